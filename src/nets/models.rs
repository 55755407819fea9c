//! The models of this program: a VAE, a classifier, an ensemble of classifiers; and the paper's two as constructors.

use super::lowering::{Program, lower};
use super::{Function, Graph, Layer, Network, Op, Weights, same_classes};
use crate::error::{Error, Result};
use crate::files;
use crate::uncertainty::Measure;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

/// The layers of a VAE, without weights: `encoder` makes features of an image, the linear heads `mean` and
/// `log_variance` make the moments of q(z|x) of them, `decoder` makes an image of z and ends with the sigmoid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaeLayers {
    pub encoder: Vec<Layer>,
    pub mean: Vec<Layer>,
    pub log_variance: Vec<Layer>,
    pub decoder: Vec<Layer>,
}

/// p(x|z) of a VAE whose decoder makes the image m of z: every pixel by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Likelihood {
    /// Bernoulli with the mean m.
    #[default]
    Bernoulli,
    /// Gaussian with the mean m and this variance.
    Gaussian { variance: f64 },
}

impl Likelihood {
    pub(super) fn is_bernoulli(&self) -> bool {
        *self == Self::Bernoulli
    }
}

/// The graphs of a VAE, without weights.
#[derive(Clone, Debug, PartialEq)]
pub struct VaeGraphs {
    /// Image → features.
    pub encoder: Graph,
    /// Features → μ of q(z|x).
    pub mean: Graph,
    /// Features → ln σ² of q(z|x).
    pub log_variance: Graph,
    /// z → image in 0..=1; it ends with the sigmoid.
    pub decoder: Graph,
    /// p(x|z).
    pub likelihood: Likelihood,
}

impl VaeGraphs {
    /// Makes each graph of the shape of its input, and checks that they fit each other.
    ///
    /// # Errors
    /// When a graph cannot be made, the parts do not fit, or the decoder does not end with the sigmoid and the encoder's input shape.
    pub fn new(image_shape: [usize; 3], part: impl Fn(VaePart, &[usize]) -> Result<Graph>) -> Result<Self> {
        let encoder = part(VaePart::Encoder, &image_shape)?;
        let [mean, log_variance] = [VaePart::Mean, VaePart::LogVariance].map(|moment| part(moment, encoder.output_shape()));
        let (mean, log_variance) = (mean?, log_variance?);
        if mean.output_shape() != log_variance.output_shape() || mean.output_shape().len() != 1 {
            return Err(Error::Network(format!(
                "the VAE's mean has the shape {:?} and its log-variance {:?}: both should be one vector of the latent size",
                mean.output_shape(),
                log_variance.output_shape()
            )));
        }
        let decoder = part(VaePart::Decoder, mean.output_shape())?;
        let last = decoder.last().map(|node| &node.op);
        if last != Some(&Op::Apply(Function::Sigmoid {})) || decoder.output_shape() != image_shape {
            return Err(Error::Network(format!(
                "the VAE's decoder should end with a sigmoid of the shape {image_shape:?} but ends with {} of {:?}",
                last.map_or_else(|| "nothing".to_owned(), Op::label),
                decoder.output_shape()
            )));
        }
        Ok(Self { encoder, mean, log_variance, decoder, likelihood: Likelihood::Bernoulli })
    }

    /// The graphs of chains of layers.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_layers(image_shape: [usize; 3], layers: &VaeLayers) -> Result<Self> {
        Self::new(image_shape, |part, shape| Graph::chain(shape, layers.part(part)))
    }

    /// The same with another likelihood.
    ///
    /// # Errors
    /// When its variance is not a positive number.
    pub fn with_likelihood(self, likelihood: Likelihood) -> Result<Self> {
        match likelihood {
            Likelihood::Gaussian { variance } if !(variance > 0.0 && variance.is_finite()) => {
                Err(Error::Network(format!("the variance of the VAE's likelihood is {variance}: it should be a number above 0")))
            }
            _ => Ok(Self { likelihood, ..self }),
        }
    }

    /// All four.
    pub fn all(&self) -> [&Graph; 4] {
        [&self.encoder, &self.mean, &self.log_variance, &self.decoder]
    }
}

/// The parts of a VAE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VaePart {
    Encoder,
    Mean,
    LogVariance,
    Decoder,
}

/// A variational autoencoder (Kingma & Welling 2014).
#[derive(Clone, Debug, PartialEq)]
pub struct Vae {
    /// Image → features.
    pub encoder: Network,
    /// Features → μ of q(z|x).
    pub mean: Network,
    /// Features → ln σ² of q(z|x).
    pub log_variance: Network,
    /// z → image in 0..=1; its last layer is the sigmoid.
    pub decoder: Network,
    /// p(x|z).
    pub likelihood: Likelihood,
}

impl Vae {
    /// Puts chains of layers and their weights together.
    ///
    /// # Errors
    /// As [`VaeGraphs::new`] and [`of`](Self::of).
    pub fn new(image_shape: [usize; 3], layers: &VaeLayers, weights: &Weights) -> Result<Self> {
        Self::of(&VaeGraphs::of_layers(image_shape, layers)?, weights)
    }

    /// Puts graphs and their weights together.
    ///
    /// # Errors
    /// As [`Network::of`], and when two parts name the same weight.
    pub fn of(graphs: &VaeGraphs, weights: &Weights) -> Result<Self> {
        let mut names = BTreeSet::new();
        if let Some((name, _)) = graphs.all().into_iter().flat_map(Graph::weights).find(|(name, _)| !names.insert(name.clone())) {
            return Err(Error::Network(format!("two parts of the VAE name the weight '{name}': give their nodes different names")));
        }
        let network = |graph: &Graph| Network::of(graph.clone(), weights);
        let VaeGraphs { encoder, mean, log_variance, decoder, likelihood } = graphs;
        let [encoder, mean, log_variance, decoder] = [network(encoder)?, network(mean)?, network(log_variance)?, network(decoder)?];
        Ok(Self { encoder, mean, log_variance, decoder, likelihood: *likelihood })
    }

    /// The graphs without their weights.
    pub fn graphs(&self) -> VaeGraphs {
        let graph = |network: &Network| network.graph().clone();
        let [encoder, mean, log_variance, decoder] = [&self.encoder, &self.mean, &self.log_variance, &self.decoder].map(graph);
        VaeGraphs { encoder, mean, log_variance, decoder, likelihood: self.likelihood }
    }

    /// All weights by name.
    pub fn weights(&self) -> Weights {
        [&self.encoder, &self.mean, &self.log_variance, &self.decoder].into_iter().flat_map(|network| network.weights().clone()).collect()
    }

    /// The SHA-256, in hexadecimal, of the weights that make encodings: by their names, shapes and values in single precision.
    pub fn encoder_sha256(&self) -> String {
        let mut hash = Sha256::new();
        for (name, tensor) in [&self.encoder, &self.mean].into_iter().flat_map(Network::weights) {
            hash.update(format!("{name} {:?}", tensor.shape));
            tensor.to_f32().iter().for_each(|value| hash.update(value.to_le_bytes()));
        }
        files::hexadecimal(&hash.finalize())
    }

    /// The number of latent dimensions.
    pub fn latent_size(&self) -> usize {
        self.mean.output_shape()[0]
    }

    /// [channels, height, width] of the images.
    pub fn image_shape(&self) -> &[usize] {
        self.encoder.input_shape()
    }
}

/// A network that makes logits of an image, and what the classes are called.
#[derive(Clone, Debug, PartialEq)]
pub struct Classifier {
    /// What a person calls it; the name of its folder by default.
    pub name: String,
    /// Class names, in the order of the logits.
    pub classes: Vec<String>,
    /// Image → [classes], as `ending` says.
    pub network: Network,
    /// What the network's output is.
    pub ending: Ending,
}

/// What a classifier's output is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Logits: any numbers, whose softmax is the probabilities.
    #[default]
    Logits,
    /// The logarithms of probabilities.
    LogProbabilities,
    /// Probabilities.
    Probabilities,
}

impl Classifier {
    /// Puts a network and the class names together.
    ///
    /// # Errors
    /// When the network's output is not one logit per class, or there is no class.
    pub fn new(name: impl Into<String>, classes: Vec<String>, network: Network) -> Result<Self> {
        if classes.is_empty() || network.output_shape() != [classes.len()] {
            return Err(Error::Network(format!(
                "the network's output has the shape {:?}, but there are {} class names: there should be one number per class, and one class at least",
                network.output_shape(),
                classes.len()
            )));
        }
        if network.input_shape().len() != 3 {
            return Err(Error::Network(format!(
                "a classifier's input should be [channels, height, width] but is {:?}",
                network.input_shape()
            )));
        }
        Ok(Self { name: name.into(), classes, network, ending: Ending::Logits })
    }

    /// The same for a network that ends in something else than logits.
    #[must_use]
    pub fn ending_in(self, ending: Ending) -> Self {
        Self { ending, ..self }
    }

    /// The lowered network; its output is logits.
    pub fn program(&self) -> Program {
        lower(&self.network, self.ending)
    }
}

impl Classifier {
    /// Whether two draws of it can differ: it has a layer that draws, at a rate above 0.
    pub fn has_draws(&self) -> bool {
        self.network.graph().draws()
    }
}

/// Classifiers that answer together: of the same images and the same classes, one at least. A member's place in the list
/// is its number in the dropout hash, so a subset draws the same masks as the whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble {
    members: Vec<Classifier>,
}

impl Ensemble {
    /// Puts the members together.
    ///
    /// # Errors
    /// When there is none, or two differ in image shape or classes.
    pub fn new(members: Vec<Classifier>) -> Result<Self> {
        let Some(first) = members.first() else {
            return Err(Error::Network("an ensemble needs at least one classifier".to_owned()));
        };
        for member in &members {
            if member.network.input_shape() != first.network.input_shape() || !same_classes(&member.classes, &first.classes) {
                return Err(Error::Network(format!(
                    "'{}' takes images of {:?} and knows the classes {:?}, but '{}' takes {:?} and knows {:?}: the members of an ensemble must agree",
                    member.name,
                    member.network.input_shape(),
                    member.classes,
                    first.name,
                    first.network.input_shape(),
                    first.classes
                )));
            }
        }
        Ok(Self { members })
    }

    /// The members, one at least.
    pub fn members(&self) -> &[Classifier] {
        &self.members
    }

    /// The number of draws that can differ when so many samples of each of the given members are asked for: one of a member that does
    /// not draw.
    pub fn distinct_draws(&self, members: &[usize], samples: u32) -> usize {
        members.iter().map(|&member| if self.members[member].has_draws() { samples as usize } else { 1 }).sum()
    }

    /// Which of the given members [draw](Classifier::has_draws).
    pub fn has_draws(&self, members: &[usize]) -> Vec<bool> {
        members.iter().map(|&member| self.members[member].has_draws()).collect()
    }

    /// Why a measure over the given members, with so many samples of each, ranks and bounds nothing; see [`Measure::undefined`].
    pub fn undefined(&self, measure: Measure, members: &[usize], samples: u32) -> Option<&'static str> {
        measure.undefined(&self.has_draws(members), samples)
    }

    /// The class names.
    pub fn classes(&self) -> &[String] {
        &self.members[0].classes
    }

    /// [channels, height, width] of the images.
    pub fn image_shape(&self) -> &[usize] {
        self.members[0].network.input_shape()
    }
}

fn linear(name: &str, inputs: usize, outputs: usize) -> Layer {
    Layer::Linear { name: name.to_owned(), inputs, outputs }
}

fn conv3x3(name: &str, in_channels: usize, out_channels: usize) -> Layer {
    Layer::Conv2d { name: name.to_owned(), in_channels, out_channels, kernel: [3, 3], stride: [1, 1], padding: [0, 0] }
}

impl VaeLayers {
    /// A VAE of fully connected layers with ELU; the decoder mirrors the encoder. The paper's is `dense([1, 28, 28],
    /// &[400, 256], 2)` (Smith & Gal 2018, their `train_mnist_vae.py`).
    pub fn dense(image_shape: [usize; 3], hidden: &[usize], latent: usize) -> Self {
        let pixels = image_shape.iter().product();
        let mut encoder = vec![Layer::Flatten];
        let mut width = pixels;
        for (index, &next) in hidden.iter().enumerate() {
            encoder.extend([linear(&format!("encoder.{}", index + 1), width, next), Layer::Elu]);
            width = next;
        }
        let (mean, log_variance) = (vec![linear("mean", width, latent)], vec![linear("log_variance", width, latent)]);
        let mut decoder = Vec::new();
        width = latent;
        for (index, &next) in hidden.iter().rev().enumerate() {
            decoder.extend([linear(&format!("decoder.{}", index + 1), width, next), Layer::Elu]);
            width = next;
        }
        decoder.push(linear(&format!("decoder.{}", hidden.len() + 1), width, pixels));
        decoder.extend([Layer::Reshape { shape: image_shape.to_vec() }, Layer::Sigmoid]);
        Self { encoder, mean, log_variance, decoder }
    }

    /// The paper's: 784-400-256-2-256-400-784 with ELU.
    pub fn paper() -> Self {
        Self::dense([1, 28, 28], &[400, 256], 2)
    }

    /// The layers of one part.
    pub fn part(&self, part: VaePart) -> &[Layer] {
        match part {
            VaePart::Encoder => &self.encoder,
            VaePart::Mean => &self.mean,
            VaePart::LogVariance => &self.log_variance,
            VaePart::Decoder => &self.decoder,
        }
    }

    /// All layers, for their weights.
    pub fn all(&self) -> impl Iterator<Item = &Layer> {
        [&self.encoder, &self.mean, &self.log_variance, &self.decoder].into_iter().flatten()
    }
}

/// The layers of the paper's convolutional network for images of any shape and any number of classes: conv `channels[0]`
/// 3×3, ReLU, conv `channels[1]` 3×3, ReLU, max pool 2, dropout, dense `hidden`, ReLU, dropout, dense. The paper's own
/// is [`paper_cnn`].
pub fn cnn(image_shape: [usize; 3], classes: usize, channels: [usize; 2], hidden: usize, rates: [f64; 2]) -> Vec<Layer> {
    let [c, h, w] = image_shape;
    let pooled = |axis: usize| axis.saturating_sub(4) / 2;
    vec![
        conv3x3("conv1", c, channels[0]),
        Layer::Relu,
        conv3x3("conv2", channels[0], channels[1]),
        Layer::Relu,
        Layer::MaxPool2d { kernel: [2, 2], stride: [2, 2] },
        Layer::Dropout { rate: rates[0] },
        Layer::Flatten,
        linear("fc1", channels[1].saturating_mul(pooled(h) * pooled(w)), hidden),
        Layer::Relu,
        Layer::Dropout { rate: rates[1] },
        linear("fc2", hidden, classes),
    ]
}

/// The paper's network: conv 32 3×3, ReLU, conv 64 3×3, ReLU, max pool 2, dropout 0.25, dense 128, ReLU, dropout 0.5,
/// dense 10 (Smith & Gal 2018, their `mnist_cnn.py`).
pub fn paper_cnn() -> Vec<Layer> {
    cnn([1, 28, 28], 10, [32, 64], 128, [0.25, 0.5])
}
