//! Training: seeded, resumable draw for draw, one checkpoint per epoch.

mod augment;
mod checkpoint;
mod concrete;
mod data_hashes;
mod fused;
mod goal;
mod objective;
mod optimiser;
mod run;
mod schedule;
mod settings;
#[cfg(test)]
mod step_tests;
#[cfg(test)]
mod tests;

pub use augment::{Augmentation, Fill};
pub use concrete::ConcreteDropout;
pub use data_hashes::DataHashes;
pub use goal::Goal;
use objective::Networks;
pub use objective::{Scores, VaeNetworks, elbo, negative_log_likelihood};
pub(super) use objective::{TEST_BATCH, test_noise};
pub use optimiser::Optimiser;
pub use run::{CHECKPOINT, Epoch, Event, EventObserver, LOG, Resume, run};
pub use schedule::{Decay, Schedule};
use settings::LOG_VARIANCE;
pub use settings::{Settings, check_weight_decay};

use crate::autodiff::device::device;
use crate::autodiff::forward::{Moments, Parameters};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::nets::folder::{self, Model};
use crate::nets::{Description, Graph, Likelihood, Op, Tensor as Weight, Weights};
use crate::random::{Purpose, Stream};
use candle_core::{Tensor, Var};
use candle_nn::Optimizer as _;
use optimiser::StatefulOptimiser;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// The share of a batch's moments in the running statistics of batch normalisation: PyTorch's default.
const MOMENTUM: f64 = 0.1;

/// A training under way: the settings, the weights, the optimiser's memory, and how many epochs are done.
pub struct Trainer {
    settings: Settings,
    networks: Networks,
    variables: BTreeMap<String, Var>,
    /// The running statistics of batch normalisation.
    statistics: BTreeMap<String, Tensor>,
    optimiser: StatefulOptimiser,
    epochs_done: usize,
    /// Which data these are, where it is known.
    data: Option<DataHashes>,
}

/// What is told after each step.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The step's number within its epoch, from 1.
    pub step: usize,
    /// Steps per epoch.
    pub steps: usize,
    /// Images seen in this epoch.
    pub images: usize,
    /// The mean loss of the step's images, in nats.
    pub loss: f64,
}

impl Trainer {
    /// Starts from random weights: Glorot & Bengio's uniform distribution, biases 0 (Keras's default, and so the paper's).
    ///
    /// # Errors
    /// When the settings make no sense.
    pub fn new(settings: Settings) -> Result<Self> {
        settings.check()?;
        let stream = Stream::new(settings.seed, Purpose::Weights);
        let (mut variables, mut statistics) = (BTreeMap::new(), BTreeMap::new());
        let nodes = settings.goal.graphs().into_iter().flat_map(Graph::nodes);
        let weights = nodes.flat_map(|node| node.op.weights(&node.name).into_iter().map(move |weight| (&node.op, weight)));
        for (number, (op, (name, shape))) in weights.enumerate() {
            let values = initial(op, &name, &shape, |index| stream.uniform([number as u32, 0, 0], index));
            if Op::is_statistic(&name) {
                statistics.insert(name, Tensor::from_vec(values, shape, device())?);
            } else {
                variables.insert(name, Var::from_vec(values, shape, device())?);
            }
        }
        for (name, start) in settings.learned_numbers() {
            variables.insert(name, Var::from_vec(vec![start as f32], 1, device())?);
        }
        let optimiser = StatefulOptimiser::new(variables.values().cloned().collect(), settings.optimiser_config())?;
        let networks = Networks::of(&settings.goal)?;
        Ok(Self { settings, networks, variables, statistics, optimiser, epochs_done: 0, data: None })
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The number of epochs done.
    pub fn epochs_done(&self) -> usize {
        self.epochs_done
    }

    /// The number of steps done, over all epochs.
    pub fn steps_done(&self) -> u64 {
        self.optimiser.steps
    }

    /// The networks' weights as they are, running statistics included.
    ///
    /// # Errors
    /// When candle refuses.
    pub fn weights(&self) -> Result<Weights> {
        let parameters = self.parameters();
        let weight = |(name, shape): (String, Vec<usize>)| {
            let values = parameters.named(&name)?.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f64::from).collect();
            Ok((name, Weight::new(shape, values)))
        };
        self.settings.goal.graphs().into_iter().flat_map(Graph::weights).map(weight).collect()
    }

    /// All tensors by name.
    fn parameters(&self) -> Parameters {
        let mut parameters = Parameters::trained(&self.variables);
        self.statistics.iter().for_each(|(name, tensor)| parameters.set(name.clone(), tensor.clone()));
        parameters
    }

    /// What is trained with what is learned beside the weights as it is: dropout rates, the variance of a likelihood.
    ///
    /// # Errors
    /// When candle refuses, or a variance is no longer a positive number.
    pub fn goal(&self) -> Result<Goal> {
        Ok(match self.settings.goal.clone() {
            Goal::Classifier { graph, ending, classes } if self.settings.concrete_dropout.is_some() => {
                Goal::Classifier { graph: concrete::with_rates(&graph, &self.variables)?, ending, classes }
            }
            Goal::Vae { graphs, learns_variance: true, as_published } => {
                let logarithm = self.variables[LOG_VARIANCE].to_vec1::<f32>()?[0];
                let graphs = graphs.with_likelihood(Likelihood::Gaussian { variance: f64::from(logarithm).exp() })?;
                Goal::Vae { graphs, learns_variance: true, as_published }
            }
            goal => goal,
        })
    }

    /// The description of the model as it is; `facts` goes beside the settings under `training`.
    ///
    /// # Errors
    /// When candle refuses.
    pub fn description(&self, facts: &serde_json::Value) -> Result<Description> {
        Ok(self.settings.describe(&self.goal()?, facts))
    }

    /// A copy of the model as it is.
    ///
    /// # Errors
    /// When a weight is no longer finite.
    pub fn model(&self) -> Result<Model> {
        folder::build(&self.description(&serde_json::Value::Null)?, &self.weights()?)
    }

    /// Trains for one epoch. `observe` is told each step and may stop the epoch, which is then lost. Returns the mean loss
    /// over the epoch's images.
    ///
    /// # Errors
    /// When the loss is no longer finite, or the observer stops.
    pub fn epoch(&mut self, data: &Dataset, observe: &mut dyn FnMut(&Self, Step) -> ControlFlow<()>) -> Result<f64> {
        let order = Stream::new(self.settings.seed, Purpose::Shuffle).permutation([self.epochs_done as u32, 0, 0], data.len());
        let batches = order.chunks(self.settings.batch);
        let (steps, mut total, mut images) = (batches.len(), 0.0, 0);
        for (index, batch) in batches.enumerate() {
            let loss = self.step(data, batch)?;
            total += loss * batch.len() as f64;
            images += batch.len();
            if observe(self, Step { step: index + 1, steps, images, loss }).is_break() {
                return Err(Error::Cancelled);
            }
        }
        self.epochs_done += 1;
        Ok(total / images as f64)
    }

    /// One step on the images of the given numbers; returns their mean loss, without the regulariser of learned dropout rates.
    ///
    /// # Errors
    /// When the loss is not finite.
    pub fn step(&mut self, data: &Dataset, batch: &[usize]) -> Result<f64> {
        let [c, h, w] = data.image_shape;
        let images = Tensor::from_vec(self.images(data, batch), (batch.len(), c, h, w), device())?;
        let labels = batch.iter().map(|&index| data.labels[index]).collect::<Vec<_>>();
        let mut moments = Moments::new();
        let loss = self.loss(&images, &labels, &mut moments)?;
        let value = f64::from(loss.to_scalar::<f32>()?);
        let regulariser = self.regulariser()?;
        let whole = regulariser.map_or_else(|| Ok(loss.clone()), |regulariser| &loss + regulariser)?;
        if !(value.is_finite() && whole.to_scalar::<f32>()?.is_finite()) {
            return Err(self.diverged(&format!("the loss became {value}")));
        }
        self.optimiser.set_learning_rate(self.settings.learning_rate(self.optimiser.steps));
        self.optimiser.step(&whole.backward()?)?;
        self.update_statistics(moments)?;
        Ok(value)
    }

    /// Moves the running statistics towards the moments of a batch.
    fn update_statistics(&mut self, moments: Moments) -> Result<()> {
        for (node, of_batch) in moments {
            for (part, moment) in Op::RUNNING.iter().zip([of_batch.mean.clone(), of_batch.unbiased_variance()]) {
                if let Some(running) = self.statistics.get_mut(&format!("{node}.{part}")) {
                    let before = running.to_vec1::<f32>()?;
                    let moved = before
                        .iter()
                        .zip(moment)
                        .map(|(running, moment)| ((1.0 - MOMENTUM) * f64::from(*running) + MOMENTUM * moment) as f32);
                    *running = Tensor::from_iter(moved, device())?;
                }
            }
        }
        Ok(())
    }

    /// The images of the given numbers, \[N, C, H, W\], as this epoch's augmentation makes them.
    fn images(&self, data: &Dataset, batch: &[usize]) -> Vec<f32> {
        let Settings { augmentation, seed, .. } = &self.settings;
        let mut images = vec![0.0; batch.len() * data.pixels()];
        images.par_chunks_exact_mut(data.pixels()).zip(batch).for_each(|(image, &number)| {
            augmentation.apply(*seed, [self.epochs_done as u32, number as u32], &data.image(number), data.image_shape, image);
        });
        images
    }

    /// Checks that every weight is a finite number: a ReLU hides one that is not from the loss.
    fn check_weights(&self) -> Result<()> {
        for (name, variable) in &self.variables {
            if variable.flatten_all()?.to_vec1::<f32>()?.iter().any(|value| !value.is_finite()) {
                return Err(self.diverged(&format!("the weight '{name}' is no longer finite")));
            }
        }
        Ok(())
    }

    fn diverged(&self, what: &str) -> Error {
        Error::setting(
            "--learning-rate",
            format!("{what} after {} steps with {}", self.optimiser.steps, self.settings.optimiser.learning_rate()),
            "give a smaller one; the checkpoint of the last whole epoch is kept",
        )
    }
}

/// Glorot's uniform weights for products, 1 for the scale of a normalisation and a running variance, 0 for all others.
fn initial(op: &Op, name: &str, shape: &[usize], uniform: impl Fn(u32) -> f64) -> Vec<f32> {
    let count: usize = shape.iter().product();
    let is_product = matches!(op, Op::Linear { .. } | Op::Conv2d { .. } | Op::ConvTranspose2d { .. });
    match shape {
        [outputs, inputs, kernel @ ..] if is_product => {
            let taps: usize = kernel.iter().product();
            let limit = (6.0 / ((inputs + outputs) * taps) as f64).sqrt();
            (0..count).map(|index| ((2.0 * uniform(index as u32) - 1.0) * limit) as f32).collect()
        }
        _ => vec![f32::from(u8::from(!is_product && (name.ends_with(".weight") || name.ends_with(Op::RUNNING[1])))); count],
    }
}
