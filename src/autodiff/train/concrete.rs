//! Concrete dropout (Gal, Hron & Kendall 2017, *Concrete Dropout*): the rate of each dropout layer is trained with the weights.

use crate::autodiff::forward::Parameters;
use crate::autodiff::operations::apply_anywhere;
use crate::nets::{Function, Graph, Op};
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

/// The name of the trained logit ln(p / (1 − p)) of the dropout node with that stream.
pub(super) fn logit_name(stream: u32) -> String {
    format!("dropout.{stream}.logit")
}

/// The dropout nodes: stream and rate.
pub(super) fn dropouts(graph: &Graph) -> impl Iterator<Item = (u32, f64)> + '_ {
    graph.nodes().iter().filter_map(|node| node.op.dropout())
}

/// The graph with the rates that the logits say.
pub(super) fn with_rates(graph: &Graph, variables: &BTreeMap<String, Var>) -> crate::error::Result<Graph> {
    graph.with_rates(|stream, rate| {
        let Some(variable) = variables.get(&logit_name(stream)) else { return Ok(rate) };
        let logit = f64::from(variable.to_vec1::<f32>()?[0]);
        // A rate is below 1, whatever a training that went wrong makes of it.
        Ok(Function::Sigmoid {}.value(logit).min(1.0 - f64::EPSILON))
    })
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
    let kept = apply_anywhere(&(dropped * (-1.0 / temperature))?, Function::Sigmoid {})?;
    kept.broadcast_mul(&(logit.exp()? + 1.0)?)
}

/// ln u/(1−u) of the middle of one of 2³² parts of 0..1: never infinite.
fn logistic(word: u32) -> f32 {
    let u = (f64::from(word) + 0.5) / 4_294_967_296.0;
    (u / (1.0 - u)).ln() as f32
}

/// KL(q‖p) / N of the weights behind each dropout layer (eq. 3–4 of the paper): l² ‖w‖² / (2 (1 − p)) − K H(p) for K units and weights w
/// that act on kept units scaled by 1 / (1 − p), so that the paper's M is w / (1 − p). In nats per image.
pub(super) fn regulariser(graph: &Graph, parameters: &Parameters, settings: ConcreteDropout, images: usize) -> Result<Option<Tensor>> {
    let mut total: Option<Tensor> = None;
    for (index, node) in graph.nodes().iter().enumerate() {
        let Some((stream, _)) = node.op.dropout() else { continue };
        let shape = graph.shape(index + 1);
        let units: usize = if matches!(node.op, Op::Dropout2d { .. }) { shape[0] } else { shape.iter().product() };
        let logit = parameters.named(&logit_name(stream))?;
        let squares = match weights_behind(graph, index) {
            Some(name) => parameters.named(&name)?.sqr()?.sum_all()?.reshape(1)?,
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

/// The name of the first weights that a node leads to.
fn weights_behind(graph: &Graph, node: usize) -> Option<String> {
    let mut follows = vec![false; graph.nodes().len() + 1];
    follows[node + 1] = true;
    for (index, later) in graph.nodes().iter().enumerate().skip(node + 1) {
        follows[index + 1] = graph.sources(index).iter().any(|&value| follows[value]);
        let first = later.op.weights(&later.name).into_iter().next().filter(|_| follows[index + 1]);
        if let Some((name, _)) = first {
            return Some(name);
        }
    }
    None
}

/// H of a Bernoulli variable with that logit, in nats: p softplus(−a) + (1 − p) softplus(a).
fn entropy(logit: &Tensor) -> Result<Tensor> {
    let part = |logit: &Tensor| apply_anywhere(logit, Function::Sigmoid {})?.mul(&apply_anywhere(&logit.neg()?, Function::Softplus {})?);
    part(logit)? + part(&logit.neg()?)?
}
