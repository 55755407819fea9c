//! Concrete dropout (Gal, Hron & Kendall 2017, *Concrete Dropout*): the rate of each dropout layer is trained with the weights.

use crate::autodiff::forward::Parameters;
use crate::autodiff::operations::Activation;
use crate::nets::{Graph, Layer};
use crate::random::Stream;
use candle_core::{Result, Tensor, Var};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Units of a mask per piece of work: a multiple of the hash's four words.
const PIECE: usize = 1 << 12;

/// What is fixed about learned rates; each layer's own rate is where it starts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConcreteDropout {
    /// t of the relaxed Bernoulli masks (the paper's eq. 5): the smaller, the nearer to zeros and ones.
    pub temperature: f64,
    /// The length scale l of the weights' Gaussian prior (eq. 3): the larger, the smaller the weights, and with them the rates.
    pub length_scale: f64,
}

impl Default for ConcreteDropout {
    /// t = 0.1 (section 3) and l = 1e-4 (the authors' code, github.com/yaringal/ConcreteDropout).
    fn default() -> Self {
        Self { temperature: 0.1, length_scale: 1e-4 }
    }
}

/// The name of the trained logit ln(p / (1 − p)) of the dropout layer at an index.
pub(super) fn logit_name(layer: usize) -> String {
    format!("dropout.{layer}.logit")
}

/// The dropout layers: index and rate.
pub(super) fn dropouts(layers: &[Layer]) -> impl Iterator<Item = (usize, f64)> + '_ {
    layers.iter().enumerate().filter_map(|(index, layer)| match layer {
        Layer::Dropout { rate } | Layer::Dropout2d { rate } => Some((index, *rate)),
        _ => None,
    })
}

/// The layers with the rates that the logits say.
pub(super) fn with_rates(layers: &[Layer], variables: &BTreeMap<String, Var>) -> Result<Vec<Layer>> {
    let mut learned = layers.to_vec();
    for (index, layer) in learned.iter_mut().enumerate() {
        let (Layer::Dropout { rate } | Layer::Dropout2d { rate }) = layer else { continue };
        if let Some(logit) = variables.get(&logit_name(index)) {
            let logit = f64::from(logit.to_vec1::<f32>()?[0]);
            // A layer's rate is below 1, whatever a training that went wrong makes of it.
            *rate = Activation::Sigmoid.value(logit).min(1.0 - f64::EPSILON);
        }
    }
    Ok(learned)
}

/// A relaxed mask for units of that shape: (1 − z̃) / (1 − p) with z̃ = sigmoid((ln p/(1−p) + ln u/(1−u)) / t), eq. 5 of the paper, and u
/// uniform by the hash of the address. `logit` \[1\]; gradients flow to it.
pub(super) fn relaxed_mask(stream: Stream, address: [u32; 3], logit: &Tensor, temperature: f64, shape: &[usize]) -> Result<Tensor> {
    let mut noise = vec![0.0f32; shape.iter().product()];
    noise.par_chunks_mut(PIECE).enumerate().for_each(|(piece, noise)| {
        for (quad, values) in noise.chunks_mut(4).enumerate() {
            let words = stream.quad(address, (piece * PIECE / 4 + quad) as u32);
            values.iter_mut().zip(words).for_each(|(value, word)| *value = logistic(word));
        }
    });
    let noise = Tensor::from_vec(noise, shape, logit.device())?.to_dtype(logit.dtype())?;
    let dropped = noise.broadcast_add(logit)?;
    let kept = Activation::Sigmoid.of(&(dropped * (-1.0 / temperature))?)?;
    kept.broadcast_mul(&(logit.exp()? + 1.0)?)
}

/// ln u/(1−u) of the middle of one of 2³² parts of 0..1: never infinite.
fn logistic(word: u32) -> f32 {
    let u = (f64::from(word) + 0.5) / 4_294_967_296.0;
    (u / (1.0 - u)).ln() as f32
}

/// KL(q‖p) / N of the weights behind each dropout layer (eq. 3–4 of the paper): l² ‖w‖² / (2 (1 − p)) − K H(p) for K units and weights w
/// that act on kept units scaled by 1 / (1 − p), so that the paper's M is w / (1 − p). In nats per image.
pub(super) fn regulariser(
    layers: &[Layer],
    input_shape: &[usize],
    parameters: &Parameters,
    settings: ConcreteDropout,
    images: usize,
) -> Result<Option<Tensor>> {
    let graph = Graph::chain(input_shape, layers).map_err(candle_core::Error::wrap)?;
    let shapes = graph.shapes();
    let mut total: Option<Tensor> = None;
    for (index, _) in dropouts(layers) {
        let units = match layers[index] {
            Layer::Dropout2d { .. } => shapes[index][0],
            _ => shapes[index].iter().product(),
        };
        let logit = parameters.named(&logit_name(index))?;
        let next = layers[index..].iter().find_map(|layer| layer.weights().into_iter().next());
        let squares = match next {
            Some((name, _)) => parameters.named(&name)?.sqr()?.sum_all()?.reshape(1)?,
            None => Tensor::zeros(1, logit.dtype(), logit.device())?,
        };
        let of_weights = ((logit.exp()? + 1.0)?.mul(&squares)? * (settings.length_scale.powi(2) / 2.0))?;
        let of_rate = (entropy(logit)? * units as f64)?;
        let kl = ((of_weights - of_rate)? / images as f64)?;
        total = Some(match total {
            Some(total) => (total + kl)?,
            None => kl,
        });
    }
    total.map(|total| total.squeeze(0)).transpose()
}

/// H of a Bernoulli variable with that logit, in nats: p softplus(−a) + (1 − p) softplus(a).
fn entropy(logit: &Tensor) -> Result<Tensor> {
    let part = |logit: &Tensor| logit.apply_op1(Activation::Sigmoid)?.mul(&logit.neg()?.contiguous()?.apply_op1(Activation::Softplus)?);
    part(logit)? + part(&logit.neg()?.contiguous()?)?
}
