//! First-order optimisers behind candle-nn's [`Optimizer`], whose whole state can be saved: candle-nn's own keep theirs to themselves.

use super::fused::FusedUpdate;
use candle_core::backprop::GradStore;
use candle_core::{DType, Result, Tensor, Var};
use candle_nn::Optimizer;
use serde::{Deserialize, Serialize};

/// Adam's decay rates of the two moments, β₁ and β₂.
pub(super) const BETAS: [f64; 2] = [0.9, 0.999];
/// Adam's ε.
pub(super) const ADAM_EPSILON: f64 = 1e-8;

/// How a step follows from a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Optimiser {
    /// Kingma & Ba 2015, with β = (0.9, 0.999), ε = 1e-8. Weight decay is an L2 penalty.
    Adam { learning_rate: f64 },
    /// Adam with decoupled weight decay (Loshchilov & Hutter 2019): w ← (1 − r λ) w before Adam's step.
    #[serde(rename = "adamw")]
    AdamW { learning_rate: f64 },
    /// Zeiler 2012. Keras has ρ = 0.95, ε = 1e-7, which the paper used with a learning rate of 1; PyTorch has ρ = 0.9, ε = 1e-6. Weight
    /// decay is an L2 penalty.
    Adadelta {
        learning_rate: f64,
        #[serde(default = "keras_rho")]
        rho: f64,
        #[serde(default = "keras_epsilon")]
        epsilon: f64,
    },
    /// Stochastic gradient descent with momentum (PyTorch's form: v ← m v + g, w ← w − r v). Weight decay is an L2 penalty.
    Sgd { learning_rate: f64, momentum: f64 },
}

const fn keras_rho() -> f64 {
    0.95
}

const fn keras_epsilon() -> f64 {
    1e-7
}

impl Optimiser {
    /// Adadelta with Keras's ρ and ε.
    pub const fn keras_adadelta(learning_rate: f64) -> Self {
        Self::Adadelta { learning_rate, rho: keras_rho(), epsilon: keras_epsilon() }
    }

    /// Adadelta with PyTorch's ρ and ε.
    pub const fn pytorch_adadelta(learning_rate: f64) -> Self {
        Self::Adadelta { learning_rate, rho: 0.9, epsilon: 1e-6 }
    }

    /// r, the factor of every step.
    pub fn learning_rate(self) -> f64 {
        match self {
            Self::Adam { learning_rate }
            | Self::AdamW { learning_rate }
            | Self::Adadelta { learning_rate, .. }
            | Self::Sgd { learning_rate, .. } => learning_rate,
        }
    }
}

/// An optimiser and λ, the strength of its weight decay. The decay acts on every variable, as PyTorch's does by default.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct OptimiserConfig {
    pub optimiser: Optimiser,
    pub weight_decay: f64,
}

/// All numbers that an update of a weight depends on beside its gradient and its state.
#[derive(Clone, Copy, Debug)]
pub(super) struct UpdateRule {
    pub optimiser: Optimiser,
    /// The learning rate of this step.
    pub learning_rate: f64,
    /// λ of a penalty λ/2 ‖w‖², whose gradient is added to that of the loss.
    pub l2: f64,
    /// The factor of the weight before the step: 1 − r λ where weight decay is decoupled, else 1.
    pub shrinkage: f64,
    /// Adam's bias corrections 1 − βᵗ.
    pub corrections: [f64; 2],
}

impl UpdateRule {
    /// The rule of the step number `step`, from 1.
    fn new(config: OptimiserConfig, learning_rate: f64, step: u64) -> Self {
        let OptimiserConfig { optimiser, weight_decay } = config;
        let decoupled = matches!(optimiser, Optimiser::AdamW { .. });
        Self {
            optimiser,
            learning_rate,
            l2: if decoupled { 0.0 } else { weight_decay },
            shrinkage: if decoupled { 1.0 - learning_rate * weight_decay } else { 1.0 },
            corrections: BETAS.map(|beta| 1.0 - beta.powf(step as f64)),
        }
    }

    /// The weight and its state after the step, by operations of whole tensors on their device.
    fn by_tensors(&self, weight: &Tensor, [first, second]: [&Tensor; 2], gradient: &Tensor) -> Result<(Tensor, [Tensor; 2])> {
        let gradient = (gradient + (weight * self.l2)?)?;
        let weight = (weight * self.shrinkage)?;
        let average = |old: &Tensor, new: &Tensor, share: f64| (old * share)? + (new * (1.0 - share))?;
        let (change, state) = match self.optimiser {
            Optimiser::Adam { .. } | Optimiser::AdamW { .. } => {
                let first = average(first, &gradient, BETAS[0])?;
                let second = average(second, &gradient.sqr()?, BETAS[1])?;
                let deviation = ((&second / self.corrections[1])?.sqrt()? + ADAM_EPSILON)?;
                ((&first / self.corrections[0])?.div(&deviation)?, [first, second])
            }
            Optimiser::Adadelta { rho, epsilon, .. } => {
                let first = average(first, &gradient.sqr()?, rho)?;
                let ratio = (second + epsilon)?.sqrt()?.div(&(&first + epsilon)?.sqrt()?)?;
                let change = (gradient * ratio)?;
                let second = average(second, &change.sqr()?, rho)?;
                (change, [first, second])
            }
            Optimiser::Sgd { momentum, .. } => {
                let first = ((first * momentum)? + gradient)?;
                (first.clone(), [first, second.clone()])
            }
        };
        Ok(((weight - (change * self.learning_rate)?)?, state))
    }
}

/// What an optimiser remembers of a variable: two numbers per weight.
#[derive(Debug)]
enum OptimiserMemory {
    /// On the CPU, for the fused update.
    Values([Vec<f32>; 2]),
    /// On the variable's device.
    Tensors([Tensor; 2]),
}

/// An optimiser with the variables that it moves.
#[derive(Debug)]
pub(super) struct StatefulOptimiser {
    config: OptimiserConfig,
    learning_rate: f64,
    variables: Vec<(Var, OptimiserMemory)>,
    /// The number of steps done.
    pub steps: u64,
}

impl StatefulOptimiser {
    /// An optimiser before its first step. `fused` chooses the fused update, which runs on the CPU only.
    fn with_update(variables: Vec<Var>, config: OptimiserConfig, fused: impl Fn(&Var) -> bool) -> Result<Self> {
        let memory = |variable: &Var| {
            Ok(if fused(variable) {
                OptimiserMemory::Values([(); 2].map(|()| vec![0.0; variable.elem_count()]))
            } else {
                OptimiserMemory::Tensors([variable.zeros_like()?.detach(), variable.zeros_like()?.detach()])
            })
        };
        let variables = variables.into_iter().map(|variable| memory(&variable).map(|memory| (variable, memory)));
        Ok(Self { config, learning_rate: config.optimiser.learning_rate(), variables: variables.collect::<Result<_>>()?, steps: 0 })
    }

    /// An optimiser that takes every step by tensor operations, on the CPU as well.
    #[cfg(test)]
    pub fn by_tensors(variables: Vec<Var>, config: OptimiserConfig) -> Result<Self> {
        Self::with_update(variables, config, |_| false)
    }

    /// The two numbers per weight of each variable, in the variables' order.
    pub fn memory(&self) -> Result<Vec<[Vec<f32>; 2]>> {
        let values = |tensor: &Tensor| tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>();
        let memory = |(_, memory): &(Var, OptimiserMemory)| match memory {
            OptimiserMemory::Values(values) => Ok(values.clone()),
            OptimiserMemory::Tensors([first, second]) => Ok([values(first)?, values(second)?]),
        };
        self.variables.iter().map(memory).collect()
    }

    /// Continues after `steps` steps with what [`memory`](Self::memory) gave.
    pub fn restore(&mut self, steps: u64, memory: Vec<[Vec<f32>; 2]>) -> Result<()> {
        self.steps = steps;
        for ((variable, own), stored) in self.variables.iter_mut().zip(memory) {
            match own {
                OptimiserMemory::Values(values) => *values = stored,
                OptimiserMemory::Tensors(tensors) => {
                    for (tensor, values) in tensors.iter_mut().zip(stored) {
                        *tensor = Tensor::from_vec(values, variable.shape(), variable.device())?.to_dtype(variable.dtype())?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Optimizer for StatefulOptimiser {
    type Config = OptimiserConfig;

    fn new(variables: Vec<Var>, config: OptimiserConfig) -> Result<Self> {
        Self::with_update(variables, config, |variable| variable.device().is_cpu())
    }

    /// Moves every variable that has a gradient by one step.
    fn step(&mut self, gradients: &GradStore) -> Result<()> {
        self.steps += 1;
        let rule = UpdateRule::new(self.config, self.learning_rate, self.steps);
        for (variable, memory) in &mut self.variables {
            let Some(gradient) = gradients.get(variable) else { continue };
            match memory {
                OptimiserMemory::Values(values) => variable.inplace_op2(&gradient.contiguous()?, &FusedUpdate::new(rule, values))?,
                OptimiserMemory::Tensors(tensors) => {
                    let [first, second] = &*tensors;
                    // Detached: a state that knew its history would keep every step's tensors.
                    let (weight, state) = rule.by_tensors(&variable.as_detached_tensor(), [first, second], &gradient.detach())?;
                    variable.set(&weight)?;
                    *tensors = state;
                }
            }
        }
        Ok(())
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }
}
