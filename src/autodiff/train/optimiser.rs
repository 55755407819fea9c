//! First-order optimisers whose whole state can be saved: candle's keep theirs to themselves.

use crate::autodiff::operations::with_values;
use candle_core::backprop::GradStore;
use candle_core::{Device, Result, Tensor, Var};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Weights per piece of work.
const PIECE: usize = 1 << 14;

/// How a step follows from a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Optimiser {
    /// Kingma & Ba 2015, with β = (0.9, 0.999), ε = 1e-8.
    Adam { learning_rate: f64 },
    /// Zeiler 2012, with ρ = 0.95, ε = 1e-7: Keras's, which the paper used with a learning rate of 1.
    Adadelta { learning_rate: f64 },
    /// Stochastic gradient descent with momentum (PyTorch's form: v ← m v + g, w ← w − r v).
    Sgd { learning_rate: f64, momentum: f64 },
}

impl Optimiser {
    /// r, the factor of every step.
    pub fn learning_rate(self) -> f64 {
        match self {
            Self::Adam { learning_rate } | Self::Adadelta { learning_rate } | Self::Sgd { learning_rate, .. } => learning_rate,
        }
    }

    /// The same with its learning rate times `factor`.
    fn scaled(self, factor: f64) -> Self {
        match self {
            Self::Adam { learning_rate } => Self::Adam { learning_rate: factor * learning_rate },
            Self::Adadelta { learning_rate } => Self::Adadelta { learning_rate: factor * learning_rate },
            Self::Sgd { learning_rate, momentum } => Self::Sgd { learning_rate: factor * learning_rate, momentum },
        }
    }

    /// Updates one weight and its two numbers of state for its gradient, in step number `step` (from 1).
    fn update(self, step: u64) -> impl Fn(&mut f32, &mut f32, &mut f32, f32) + Sync {
        // Adam's bias corrections, the same for every weight.
        let [first_correction, second_correction] = [0.9f64, 0.999].map(|beta| (1.0 - beta.powf(step as f64)) as f32);
        move |weight, first, second, gradient| match self {
            Self::Adam { learning_rate } => {
                *first = 0.9 * *first + 0.1 * gradient;
                *second = 0.999 * *second + 0.001 * gradient * gradient;
                *weight -= learning_rate as f32 * (*first / first_correction) / ((*second / second_correction).sqrt() + 1e-8);
            }
            Self::Adadelta { learning_rate } => {
                *first = 0.95 * *first + 0.05 * gradient * gradient;
                let change = gradient * (*second + 1e-7).sqrt() / (*first + 1e-7).sqrt();
                *second = 0.95 * *second + 0.05 * change * change;
                *weight -= learning_rate as f32 * change;
            }
            Self::Sgd { learning_rate, momentum } => {
                *first = momentum as f32 * *first + gradient;
                *weight -= learning_rate as f32 * *first;
            }
        }
    }
}

/// What an optimiser remembers: two numbers per weight, and the number of steps taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    pub steps: u64,
    pub slots: BTreeMap<String, [Vec<f32>; 2]>,
}

impl State {
    /// Moves every variable that has a gradient by one step, with the learning rate times `factor`.
    pub fn step(&mut self, optimiser: Optimiser, factor: f64, variables: &BTreeMap<String, Var>, gradients: &GradStore) -> Result<()> {
        self.steps += 1;
        let update = optimiser.scaled(factor).update(self.steps);
        for (name, variable) in variables {
            let Some(gradient) = gradients.get(variable) else { continue };
            let [first, second] = self.slots.entry(name.clone()).or_insert_with(|| [(); 2].map(|()| vec![0.0; variable.elem_count()]));
            // A step takes little beside its gradient: it is done on the CPU, wherever the variable lies.
            let mut weights = variable.flatten_all()?.to_vec1::<f32>()?;
            with_values::<f32, _>(&gradient.to_device(&Device::Cpu)?, |gradient| {
                // Plain loops over pieces: those over rayon's own iterators are not vectorised.
                let state = first.par_chunks_mut(PIECE).zip(second.par_chunks_mut(PIECE));
                weights.par_chunks_mut(PIECE).zip(state).zip(gradient.par_chunks(PIECE)).for_each(
                    |((weights, (first, second)), gradient)| {
                        for (((weight, first), second), &gradient) in weights.iter_mut().zip(first).zip(second).zip(gradient) {
                            update(weight, first, second, gradient);
                        }
                    },
                );
                Ok(())
            })?;
            variable.set(&Tensor::from_vec(weights, variable.shape(), variable.device())?)?;
        }
        Ok(())
    }
}
