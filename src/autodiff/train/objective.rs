//! The losses, and the scores on test data.

use super::concrete::{logit_name, regulariser, relaxed_mask};
use super::{Goal, Trainer};
use crate::autodiff::device::device;
use crate::autodiff::forward::{Parameters, forward};
use crate::autodiff::operations::Activation;
use crate::data::Dataset;
use crate::error::Result;
use crate::nets::{Layer, VaeLayers};
use crate::random::{Purpose, Stream, drop_threshold};
use candle_core::{D, Tensor};
use candle_nn::{loss, ops};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

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

impl Trainer {
    /// The mean loss of a batch with fresh masks and noise for the step to come.
    pub(super) fn loss(&self, images: &Tensor, labels: &[u8]) -> candle_core::Result<Tensor> {
        let parameters = Parameters::trained(&self.variables);
        let step = self.optimiser.steps as u32;
        match &self.settings.goal {
            Goal::Classifier { layers, .. } => {
                let stream = Stream::new(self.settings.seed, Purpose::TrainingMask);
                let mut masks = |layer: usize, rate: f64, shape: &[usize]| {
                    let address = [step, layer as u32, 0];
                    match self.settings.concrete_dropout {
                        None => dropout_mask(stream, address, rate, shape),
                        Some(concrete) => relaxed_mask(stream, address, parameters.named(&logit_name(layer))?, concrete.temperature, shape),
                    }
                };
                let logits = forward(layers, &parameters, images, Some(&mut masks))?;
                loss::cross_entropy(&logits, &targets(&logits, labels)?)
            }
            Goal::Vae { layers, as_published } => {
                let noise = latent_noise(self.settings.seed, layers, [step, 0], labels.len())?;
                let noise = if *as_published { (noise * 0.5)? } else { noise };
                let [reconstruction, kl] = elbo(layers, &parameters, images, &noise)?;
                (reconstruction + kl)?.mean_all()
            }
        }
    }

    /// What learned dropout rates add to the loss; `None` where none is learned.
    pub(super) fn regulariser(&self) -> candle_core::Result<Option<Tensor>> {
        match (&self.settings.goal, self.settings.concrete_dropout) {
            (Goal::Classifier { layers, .. }, Some(concrete)) => {
                let parameters = Parameters::trained(&self.variables);
                regulariser(layers, &self.settings.image_shape, &parameters, concrete, self.settings.images)
            }
            _ => Ok(None),
        }
    }

    /// The scores of the weights as they are on test data.
    ///
    /// # Errors
    /// When candle refuses.
    pub fn scores(&self, data: &Dataset) -> Result<Scores> {
        let parameters = Parameters::trained(&self.variables);
        match &self.settings.goal {
            Goal::Classifier { layers, .. } => {
                let [accuracy, nll] = mean_over_batches(data, |images, labels, _| {
                    let logits = forward(layers, &parameters, images, None)?;
                    let classes = logits.argmax(D::Minus1)?.to_vec1::<u32>()?;
                    let right = classes.iter().zip(labels).filter(|(class, label)| **class == u32::from(**label)).count();
                    Ok([right as f64, sum(&negative_log_likelihood(&logits, labels)?)?])
                })?;
                Ok(Scores::Classifier { accuracy, nll })
            }
            Goal::Vae { layers, .. } => {
                let [reconstruction, kl] = mean_elbo(layers, &parameters, data, self.settings.seed)?;
                Ok(Scores::Vae { negative_elbo: reconstruction + kl, reconstruction, kl })
            }
        }
    }
}

/// The means over a data set of two sums over a batch: `sums(images, labels, number of the batch)`.
fn mean_over_batches(data: &Dataset, mut sums: impl FnMut(&Tensor, &[u8], u32) -> candle_core::Result<[f64; 2]>) -> Result<[f64; 2]> {
    let [c, h, w] = data.image_shape;
    let mut totals = [0.0; 2];
    for (number, labels) in data.labels.chunks(TEST_BATCH).enumerate() {
        let images = &data.images[number * TEST_BATCH * data.pixels()..][..labels.len() * data.pixels()];
        let images = Tensor::from_slice(images, (labels.len(), c, h, w), device())?;
        let batch = sums(&images, labels, number as u32)?;
        totals.iter_mut().zip(batch).for_each(|(total, sum)| *total += sum);
    }
    Ok(totals.map(|total| total / data.len() as f64))
}

/// The mean reconstruction and KL of a data set, with one sample of z per image.
fn mean_elbo(layers: &VaeLayers, parameters: &Parameters, data: &Dataset, seed: u32) -> Result<[f64; 2]> {
    mean_over_batches(data, |images, labels, number| {
        let noise = latent_noise(seed, layers, [TEST_NOISE, number], labels.len())?;
        let [reconstruction, kl] = elbo(layers, parameters, images, &noise)?;
        Ok([sum(&reconstruction)?, sum(&kl)?])
    })
}

/// −ln p(x|z) of each image \[N\] in nats. It takes the decoder's logits: the sigmoid at its end would lose them.
fn reconstruction(layers: &VaeLayers, parameters: &Parameters, images: &Tensor, z: &Tensor) -> candle_core::Result<Tensor> {
    let decoder = layers.decoder.strip_suffix(&[Layer::Sigmoid]).unwrap_or(&layers.decoder);
    let logits = forward(decoder, parameters, z, None)?.flatten_from(1)?;
    (Activation::Softplus.of(&logits)? - (&logits * images.flatten_from(1)?)?)?.sum(1)
}

/// Standard normal noise for the latent vectors of `count` images, by its address.
fn latent_noise(seed: u32, layers: &VaeLayers, address: [u32; 2], count: usize) -> candle_core::Result<Tensor> {
    let size = match layers.mean.last() {
        Some(Layer::Linear { outputs, .. }) => *outputs,
        _ => candle_core::bail!("the VAE's mean does not end with a linear layer"),
    };
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
pub fn elbo(layers: &VaeLayers, parameters: &Parameters, images: &Tensor, epsilon: &Tensor) -> candle_core::Result<[Tensor; 2]> {
    let features = forward(&layers.encoder, parameters, images, None)?;
    let mean = forward(&layers.mean, parameters, &features, None)?;
    let log_variance = forward(&layers.log_variance, parameters, &features, None)?;
    let z = (&mean + ((&log_variance * 0.5)?.exp()? * epsilon)?)?;
    let reconstruction = reconstruction(layers, parameters, images, &z)?;
    let kl = (((log_variance.exp()? + mean.sqr()?)? - &log_variance)? - 1.0)?.sum(1)?;
    Ok([reconstruction, (kl * 0.5)?])
}

/// −ln p of each image's label \[N\], for logits \[N, classes\].
///
/// # Errors
/// When candle refuses.
pub fn negative_log_likelihood(logits: &Tensor, labels: &[u8]) -> candle_core::Result<Tensor> {
    ops::log_softmax(logits, D::Minus1)?.gather(&targets(logits, labels)?.unsqueeze(1)?, 1)?.squeeze(1)?.neg()
}

/// The labels \[N\] as indices, where the logits are.
fn targets(logits: &Tensor, labels: &[u8]) -> candle_core::Result<Tensor> {
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
