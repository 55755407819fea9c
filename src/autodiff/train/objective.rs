//! The losses, and the scores on test data.

use super::concrete::{logit_name, regulariser, relaxed_mask};
use super::settings::LOG_VARIANCE;
use super::{Goal, Trainer};
use crate::autodiff::device::device;
use crate::autodiff::forward::{Forward, Moments, Parameters, Pass};
use crate::autodiff::{composed, operations};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::nets::{Ending, Graph, Likelihood, Op, VaeGraphs};
use crate::random::{Purpose, Stream, drop_threshold};
use candle_core::{D, Device, Tensor};
use candle_nn::{loss, ops};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// Images per forward pass when testing.
pub(in crate::autodiff) const TEST_BATCH: usize = 500;
/// Units of a mask per piece of work: a multiple of the hash's four words.
const PIECE: usize = 1 << 14;
/// The address of the latent noise of test images; training steps are numbered below it.
const TEST_NOISE: u32 = u32::MAX;

/// How good a model is on test data; in nats per image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scores {
    /// The share of right predictions and the mean negative log-likelihood, with dropout off.
    Classifier { accuracy: f64, nll: f64 },
    /// −ELBO = reconstruction + KL, with one sample of z per image.
    Vae { negative_elbo: f64, reconstruction: f64, kl: f64 },
}

impl Scores {
    /// The loss that the training is about: NLL or −ELBO.
    pub fn loss(self) -> f64 {
        match self {
            Self::Classifier { nll, .. } => nll,
            Self::Vae { negative_elbo, .. } => negative_elbo,
        }
    }
}

/// The networks that are trained.
#[expect(clippy::large_enum_variant, reason = "there are only a few of them at a time")]
pub(super) enum Networks {
    /// It makes logits.
    Classifier(Forward),
    Vae(VaeNetworks),
}

/// The networks of a VAE; the decoder ends before its sigmoid, which would lose what the likelihood needs.
pub struct VaeNetworks {
    encoder: Forward,
    mean: Forward,
    log_variance: Forward,
    logits: Forward,
    likelihood: Likelihood,
}

impl VaeNetworks {
    /// Gets the graphs ready.
    ///
    /// # Errors
    /// When the decoder does not end with a sigmoid.
    pub fn of(graphs: &VaeGraphs) -> Result<Self> {
        let forward = |graph: &Graph| Forward::new(graph.clone());
        Ok(Self {
            encoder: forward(&graphs.encoder),
            mean: forward(&graphs.mean),
            log_variance: forward(&graphs.log_variance),
            logits: Forward::new(graphs.decoder.without_last()?),
            likelihood: graphs.likelihood,
        })
    }

    /// The number of latent dimensions.
    fn latent_size(&self) -> usize {
        self.mean.graph().output_shape()[0]
    }
}

impl Networks {
    pub fn of(goal: &Goal) -> Result<Self> {
        Ok(match goal {
            Goal::Classifier { graph, ending: Ending::Probabilities, .. } => {
                if graph.last().is_none_or(|node| node.op != Op::Softmax {}) {
                    let problem = "a classifier whose output is probabilities is trained only where its last node is a softmax";
                    return Err(Error::Network(format!("{problem}: end it in one, or in logits")));
                }
                Self::Classifier(Forward::new(graph.without_last()?))
            }
            // The logarithms of probabilities are logits.
            Goal::Classifier { graph, .. } => Self::Classifier(Forward::new(graph.clone())),
            Goal::Vae { graphs, .. } => Self::Vae(VaeNetworks::of(graphs)?),
        })
    }
}

impl Trainer {
    /// The mean loss of a batch with fresh masks and noise for the step to come. Leaves the moments of batch normalisation.
    pub(super) fn loss(&self, images: &Tensor, labels: &[u16], moments: &mut Moments) -> candle_core::Result<Tensor> {
        let parameters = self.parameters();
        let step = self.optimiser.steps as u32;
        let stream = Stream::new(self.settings.seed, Purpose::TrainingMask);
        let mut masks = |node: u32, rate: f64, shape: &[usize]| {
            let address = [step, node, 0];
            match self.settings.concrete_dropout {
                None => dropout_mask(stream, address, rate, shape),
                Some(concrete) => relaxed_mask(stream, address, parameters.named(&logit_name(node))?, concrete.temperature, shape),
            }
        };
        let pass = Pass { masks: Some(&mut masks), moments: Some(moments) };
        match (&self.networks, &self.settings.goal) {
            (Networks::Classifier(network), _) => {
                let logits = network.run(&parameters, images, pass)?;
                loss::cross_entropy(&logits, &targets(&logits, labels)?)
            }
            (Networks::Vae(networks), goal) => {
                let noise = latent_noise(self.settings.seed, networks, [step, 0], labels.len())?;
                let noise = if matches!(goal, Goal::Vae { as_published: true, .. }) { (noise * 0.5)? } else { noise };
                let [reconstruction, kl] = elbo(networks, &parameters, images, &noise, pass)?;
                (reconstruction + kl)?.mean_all()
            }
        }
    }

    /// What learned dropout rates add to the loss; `None` where none is learned.
    pub(super) fn regulariser(&self) -> candle_core::Result<Option<Tensor>> {
        match (&self.settings.goal, self.settings.concrete_dropout) {
            (Goal::Classifier { graph, .. }, Some(concrete)) => {
                regulariser(graph, &Parameters::trained(&self.variables), concrete, self.settings.images)
            }
            _ => Ok(None),
        }
    }

    /// The scores of the weights as they are on test data.
    ///
    /// # Errors
    /// When candle refuses.
    pub fn scores(&self, data: &Dataset) -> Result<Scores> {
        let parameters = self.parameters().detached();
        match &self.networks {
            Networks::Classifier(network) => {
                let [accuracy, nll] = mean_over_batches(data, |images, labels, _| {
                    let logits = network.run(&parameters, images, Pass::default())?;
                    let classes = logits.argmax(D::Minus1)?.to_vec1::<u32>()?;
                    let right = classes.iter().zip(labels).filter(|(class, label)| **class == u32::from(**label)).count();
                    Ok([right as f64, sum(&negative_log_likelihood(&logits, labels)?)?])
                })?;
                Ok(Scores::Classifier { accuracy, nll })
            }
            Networks::Vae(networks) => {
                let [reconstruction, kl] = mean_over_batches(data, |images, labels, number| {
                    let noise = latent_noise(self.settings.seed, networks, [TEST_NOISE, number], labels.len())?;
                    let [reconstruction, kl] = elbo(networks, &parameters, images, &noise, Pass::default())?;
                    Ok([sum(&reconstruction)?, sum(&kl)?])
                })?;
                Ok(Scores::Vae { negative_elbo: reconstruction + kl, reconstruction, kl })
            }
        }
    }
}

/// The means over a data set of two sums over a batch: `sums(images, labels, number of the batch)`.
fn mean_over_batches(data: &Dataset, mut sums: impl FnMut(&Tensor, &[u16], u32) -> candle_core::Result<[f64; 2]>) -> Result<[f64; 2]> {
    let [c, h, w] = data.image_shape;
    let mut totals = [0.0; 2];
    for (number, labels) in data.labels.chunks(TEST_BATCH).enumerate() {
        let images = data.images_of(number * TEST_BATCH..number * TEST_BATCH + labels.len());
        let images = Tensor::from_slice(&images, (labels.len(), c, h, w), device())?;
        let batch = sums(&images, labels, number as u32)?;
        totals.iter_mut().zip(batch).for_each(|(total, sum)| *total += sum);
    }
    Ok(totals.map(|total| total / data.len() as f64))
}

/// −ln p(x|z) of each image \[N\] in nats, for the decoder's logits \[N, …\].
fn reconstruction(likelihood: Likelihood, parameters: &Parameters, images: &Tensor, logits: &Tensor) -> candle_core::Result<Tensor> {
    let (logits, images) = (logits.flatten_from(1)?, images.flatten_from(1)?);
    match likelihood {
        Likelihood::Bernoulli if parameters.is_fused() => operations::bernoulli(&logits, &images),
        Likelihood::Bernoulli => composed::bernoulli(&logits, &images),
        Likelihood::Gaussian { variance } => {
            let squares = (ops::sigmoid(&logits)? - &images)?.sqr()?.sum(1)?;
            let log_variance = match parameters.named(LOG_VARIANCE) {
                Ok(learned) => learned.clone(),
                Err(_) => Tensor::new(&[variance.ln()], &Device::Cpu)?.to_dtype(logits.dtype())?.to_device(logits.device())?,
            };
            let constant = ((&log_variance + (2.0 * PI).ln())? * images.dims()[1] as f64)?;
            squares.broadcast_div(&log_variance.exp()?)?.broadcast_add(&constant)? * 0.5
        }
    }
}

/// Standard normal noise for the latent vectors of `count` images, by its address.
fn latent_noise(seed: u32, networks: &VaeNetworks, address: [u32; 2], count: usize) -> candle_core::Result<Tensor> {
    let size = networks.latent_size();
    let noise: Vec<f32> = normal_noise(seed, address, count * size).map(|number| number as f32).collect();
    Tensor::from_vec(noise, (count, size), device())
}

fn normal_noise(seed: u32, [first, second]: [u32; 2], count: usize) -> impl Iterator<Item = f64> {
    let stream = Stream::new(seed, Purpose::LatentNoise);
    (0..count as u32).map(move |index| stream.normal([first, second, 0], index))
}

/// The noise of the latent vectors of a batch of test images: batches of [`TEST_BATCH`], by their numbers.
pub(in crate::autodiff) fn test_noise(seed: u32, number: usize, count: usize) -> impl Iterator<Item = f64> {
    normal_noise(seed, [TEST_NOISE, number as u32], count)
}

/// Reconstruction and KL of each image \[N\], with one sample z = μ + σ ε for the given ε (Kingma & Welling 2014, eq. 10).
///
/// # Errors
/// When candle refuses.
pub fn elbo(
    networks: &VaeNetworks,
    parameters: &Parameters,
    images: &Tensor,
    epsilon: &Tensor,
    mut pass: Pass<'_>,
) -> candle_core::Result<[Tensor; 2]> {
    let features = networks.encoder.run(parameters, images, pass.again())?;
    let mean = networks.mean.run(parameters, &features, pass.again())?;
    let log_variance = networks.log_variance.run(parameters, &features, pass.again())?;
    let z = (&mean + ((&log_variance * 0.5)?.exp()? * epsilon)?)?;
    let logits = networks.logits.run(parameters, &z, pass)?;
    let reconstruction = reconstruction(networks.likelihood, parameters, images, &logits)?;
    let kl = (((log_variance.exp()? + mean.sqr()?)? - &log_variance)? - 1.0)?.sum(1)?;
    Ok([reconstruction, (kl * 0.5)?])
}

/// −ln p of each image's label \[N\], for logits \[N, classes\].
///
/// # Errors
/// When candle refuses.
pub fn negative_log_likelihood(logits: &Tensor, labels: &[u16]) -> candle_core::Result<Tensor> {
    ops::log_softmax(logits, D::Minus1)?.gather(&targets(logits, labels)?.unsqueeze(1)?, 1)?.squeeze(1)?.neg()
}

/// The labels \[N\] as indices, where the logits are.
fn targets(logits: &Tensor, labels: &[u16]) -> candle_core::Result<Tensor> {
    Tensor::from_iter(labels.iter().map(|&label| u32::from(label)), logits.device())
}

fn dropout_mask(stream: Stream, address: [u32; 3], rate: f64, shape: &[usize]) -> candle_core::Result<Tensor> {
    let (threshold, kept) = (drop_threshold(rate), (1.0 / (1.0 - rate)) as f32);
    let mut mask = vec![0.0; shape.iter().product()];
    mask.par_chunks_mut(PIECE).enumerate().for_each(|(piece, mask)| {
        for (quad, values) in mask.chunks_mut(4).enumerate() {
            let words = stream.quad(address, (piece * PIECE / 4 + quad) as u32);
            values.iter_mut().zip(words).for_each(|(value, word)| *value = if word >= threshold { kept } else { 0.0 });
        }
    });
    Tensor::from_vec(mask, shape, device())
}

fn sum(values: &Tensor) -> candle_core::Result<f64> {
    Ok(values.to_vec1::<f32>()?.into_iter().map(f64::from).sum())
}
