//! What to train, on what, and how: all that fixes the resulting weights.

use super::augment::Augmentation;
use super::concrete::{ConcreteDropout, dropouts, logit_name};
use super::goal::Goal;
use super::optimiser::{Optimiser, OptimiserConfig};
use super::schedule::Schedule;
use crate::error::{Error, Result};
use crate::nets::{Description, Graph, Likelihood, Op, VaeGraphs};
use serde::{Deserialize, Serialize};

/// The most weights; with their gradients and the optimiser's memory they take sixteen bytes each.
const MOST_WEIGHTS: f64 = 2.5e8;

/// The name of the trained logarithm of a likelihood's variance.
pub(super) const LOG_VARIANCE: &str = "likelihood.log_variance";

/// Everything that fixes a training: the same settings and data give the same weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The model's name.
    pub name: String,
    /// What is trained.
    pub goal: Goal,
    /// [channels, height, width].
    pub image_shape: [usize; 3],
    /// The name of the data set.
    pub dataset: String,
    /// How many images of it.
    pub images: usize,
    /// Passes over the training images.
    pub epochs: usize,
    /// Images per step; the last step of an epoch takes what is left.
    pub batch: usize,
    /// How a step follows from a gradient.
    pub optimiser: Optimiser,
    /// The strength of the weight decay.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub weight_decay: f64,
    /// How the learning rate changes; settings of earlier versions say whether it falls linearly to 0.
    #[serde(default, alias = "anneal")]
    pub schedule: Schedule,
    /// Random changes of the training images.
    #[serde(default, skip_serializing_if = "Augmentation::is_none")]
    pub augmentation: Augmentation,
    /// The seed of initial weights, order, masks and noise.
    pub seed: u32,
    /// The classes of the data set that were kept, by their numbers in it; none named: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept_classes: Vec<usize>,
    /// The share of the training labels that were replaced by another class.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub label_noise: f64,
    /// A classifier's dropout rates are learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concrete_dropout: Option<ConcreteDropout>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(share: &f64) -> bool {
    *share == 0.0
}

/// Checks the strength of a weight decay.
///
/// # Errors
/// When it is negative or not finite.
pub fn check_weight_decay(strength: f64) -> Result<()> {
    if strength >= 0.0 && strength.is_finite() {
        return Ok(());
    }
    Err(Error::setting("--weight-decay", format!("{strength} is out of range"), "give a number of at least 0, such as 0.01"))
}

impl Settings {
    /// Checks the numbers and the layers.
    ///
    /// # Errors
    /// Names the setting or the layer that makes no sense.
    pub fn check(&self) -> Result<()> {
        for (setting, count) in [("--epochs", self.epochs), ("--batch", self.batch)] {
            if !(1..=1_000_000).contains(&count) {
                return Err(Error::setting(setting, format!("{count} is out of range"), "give a number from 1 to 1000000"));
            }
        }
        let rate = self.optimiser.learning_rate();
        if !(rate > 0.0 && rate.is_finite()) {
            return Err(Error::setting("--learning-rate", format!("{rate} is out of range"), "give a number above 0, such as 0.001"));
        }
        check_weight_decay(self.weight_decay)?;
        self.schedule.check(self.epochs)?;
        self.augmentation.check(self.image_shape)?;
        if let (Some(concrete), Goal::Classifier { graph, .. }) = (self.concrete_dropout, &self.goal) {
            let positive = |number: f64| number > 0.0 && number.is_finite();
            if !(positive(concrete.temperature) && positive(concrete.length_scale)) {
                return Err(Error::setting(
                    "concrete dropout",
                    "its temperature or length scale is no number above 0",
                    "give positive ones",
                ));
            }
            if let Some((_, rate)) = dropouts(graph).find(|(_, rate)| !(*rate > 0.0 && *rate < 1.0)) {
                let problem = format!("a rate that is learned cannot start at {rate}");
                return Err(Error::setting("--dropout", problem, "give rates above 0 and below 1, such as 0.1,0.1"));
            }
        }
        self.check_graphs()
    }

    /// Checks that the graphs can be trained and fit the images, and that their weights fit into memory.
    fn check_graphs(&self) -> Result<()> {
        let graphs = self.goal.graphs();
        if graphs[0].input_shape() != self.image_shape {
            return Err(Error::Network(format!(
                "the network takes images of {:?}, but the data set's are of {:?}: give an architecture for these",
                graphs[0].input_shape(),
                self.image_shape
            )));
        }
        // The last step of an epoch, or every step, may have a single image.
        let smallest = if self.images.is_multiple_of(self.batch) { self.batch } else { self.images % self.batch };
        if let Goal::Vae { graphs: VaeGraphs { likelihood: Likelihood::Bernoulli, .. }, learns_variance: true, .. } = self.goal {
            return Err(Error::Network("a Bernoulli likelihood has no variance to learn: take a Gaussian one".to_owned()));
        }
        for graph in &graphs {
            for (index, node) in graph.nodes().iter().enumerate() {
                let refused = |problem: &str| Err(Error::Network(format!("node '{}' ({}) {problem}", node.name, node.op.label())));
                match node.op {
                    Op::GaussianLinear { .. } => {
                        return refused(
                            "cannot be trained: its weights are fitted, so train a network of linear nodes and fit a Gaussian to it",
                        );
                    }
                    Op::BatchNorm { .. } if smallest == 1 && graph.shape(index + 1).iter().skip(1).product::<usize>() == 1 => {
                        return refused(
                            "normalises by the moments of a batch, and one step of an epoch has a single image: choose another --batch",
                        );
                    }
                    _ => {}
                }
            }
        }
        let weights: f64 = self.trained().into_iter().map(|(_, shape)| shape.into_iter().map(|axis| axis as f64).product::<f64>()).sum();
        if weights > MOST_WEIGHTS {
            return Err(Error::Network(format!(
                "the network has {weights:e} weights, more than the {MOST_WEIGHTS:e} that can be trained here"
            )));
        }
        Ok(())
    }

    /// The learning rate of the step after `steps_done` steps.
    pub fn learning_rate(&self, steps_done: u64) -> f64 {
        let factor = self.schedule.factor(steps_done, self.images.div_ceil(self.batch), self.epochs);
        factor * self.optimiser.learning_rate()
    }

    /// The optimiser with its weight decay.
    pub(super) fn optimiser_config(&self) -> OptimiserConfig {
        OptimiserConfig { optimiser: self.optimiser, weight_decay: self.weight_decay }
    }

    /// The names and shapes of everything that is trained: the weights, then what else the goal learns.
    pub(super) fn trained(&self) -> Vec<(String, Vec<usize>)> {
        let weights = self.goal.graphs().into_iter().flat_map(Graph::weights);
        let mut trained: Vec<_> = weights.filter(|(name, _)| !Op::is_statistic(name)).collect();
        trained.extend(self.learned_numbers().into_iter().map(|(name, _)| (name, vec![1])));
        trained
    }

    /// The number of trained weights.
    pub fn parameters(&self) -> usize {
        self.trained().into_iter().map(|(_, shape)| shape.into_iter().product::<usize>()).sum()
    }

    /// The names and shapes of the running statistics, which training estimates beside.
    pub(super) fn statistics(&self) -> Vec<(String, Vec<usize>)> {
        self.goal.graphs().into_iter().flat_map(Graph::weights).filter(|(name, _)| Op::is_statistic(name)).collect()
    }

    /// The names of the numbers that are learned beside the weights, and what they start from: the logits of dropout rates, the logarithm
    /// of a likelihood's variance.
    pub(super) fn learned_numbers(&self) -> Vec<(String, f64)> {
        match (&self.goal, self.concrete_dropout) {
            (Goal::Classifier { graph, .. }, Some(_)) => {
                dropouts(graph).map(|(stream, rate)| (logit_name(stream), (rate / (1.0 - rate)).ln())).collect()
            }
            (Goal::Vae { graphs, learns_variance: true, .. }, _) => {
                let Likelihood::Gaussian { variance } = graphs.likelihood else { return Vec::new() };
                vec![(LOG_VARIANCE.to_owned(), variance.ln())]
            }
            _ => Vec::new(),
        }
    }

    /// The description of the model's folder, with the graphs as they are trained so far. `facts` goes beside the settings under
    /// `training`.
    pub(super) fn describe(&self, goal: &Goal, facts: &serde_json::Value) -> Description {
        let (name, input_shape) = (self.name.clone(), self.image_shape);
        let mut training = serde_json::json!({
            "dataset": self.dataset, "images": self.images, "epochs": self.epochs, "batch": self.batch,
            "optimiser": self.optimiser, "schedule": self.schedule, "seed": self.seed, "result": facts,
        });
        if self.weight_decay != 0.0 {
            training["weight_decay"] = self.weight_decay.into();
        }
        if !self.augmentation.is_none() {
            training["augmentation"] = self.augmentation.to_string().into();
        }
        if !self.kept_classes.is_empty() {
            training["kept_classes"] = self.kept_classes.clone().into();
        }
        if self.label_noise != 0.0 {
            training["label_noise"] = self.label_noise.into();
        }
        if let Some(concrete) = self.concrete_dropout {
            training["concrete_dropout"] =
                serde_json::json!({ "temperature": concrete.temperature, "length_scale": concrete.length_scale });
        }
        goal.describe(name, input_shape, training)
    }
}
