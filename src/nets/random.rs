//! Random weights, for trials of what computes.

use super::{Graph, Layer, Tensor, Weights};
use crate::random::{Purpose, Stream};

/// Weights for some layers, uniform and of such a size that activations neither die out nor grow from layer to layer; determined by the
/// seed. Biases are as large as weights, and running variances lie around 1. Training starts from other ones.
pub fn random_weights<'a>(layers: impl IntoIterator<Item = &'a Layer>, seed: u32) -> Weights {
    of_shapes(layers.into_iter().flat_map(Layer::weights), seed)
}

/// The same for a graph.
pub fn random_graph_weights(graph: &Graph, seed: u32) -> Weights {
    of_shapes(graph.weights(), seed)
}

fn of_shapes(shapes: impl Iterator<Item = (String, Vec<usize>)>, seed: u32) -> Weights {
    let stream = Stream::new(seed, Purpose::Weights);
    shapes
        .enumerate()
        .map(|(number, (name, shape))| {
            let fan_in: usize = shape[1..].iter().product();
            let bound = (6.0 / fan_in.max(1) as f64).sqrt().min(1.0);
            // What a Gaussian layer adds in a draw is then about as large as its mean.
            let bound = if name.ends_with("deviation") || name.ends_with("factor") { bound / (fan_in as f64).sqrt() } else { bound };
            let [low, high] = if name.ends_with("running_var") { [0.5, 1.5] } else { [-bound, bound] };
            let value = |at: u32| low + (high - low) * stream.uniform([number as u32, 0, 0], at);
            let values = (0..shape.iter().product::<usize>() as u32).map(value).collect();
            (name, Tensor::new(shape, values))
        })
        .collect()
}
