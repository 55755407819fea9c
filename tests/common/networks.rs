//! Networks with random weights, and random graphs, each determined by a seed.

use epistemap::nets::{Classifier, Graph, Layer, Network, Op, Tensor, Weights, random_graph, random_graph_weights};
use epistemap::random::{Purpose, Stream};
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;

/// Random numbers one after the other.
pub struct Dice {
    stream: Stream,
    rolls: u32,
}

impl Dice {
    pub fn new(seed: u32) -> Self {
        Self { stream: Stream::new(seed, Purpose::Choice), rolls: 0 }
    }

    /// A number in `low..high`.
    pub fn real(&mut self, low: f64, high: f64) -> f64 {
        self.rolls += 1;
        low + (high - low) * self.stream.uniform([0; 3], self.rolls)
    }

    /// A whole number from `low` to `high`, both included.
    pub fn whole(&mut self, low: usize, high: usize) -> usize {
        self.real(low as f64, high as f64 + 1.0) as usize
    }
}

/// Random weights that keep activations at the same size from layer to layer.
pub fn random_weights(layers: &[Layer], seed: u32) -> Weights {
    let mut dice = Dice::new(seed);
    let weights = layers.iter().flat_map(Layer::weights);
    weights
        .map(|(name, shape)| {
            let fan_in: usize = shape[1..].iter().product();
            let bound = (6.0 / fan_in as f64).sqrt().min(1.0);
            // What a Gaussian layer adds in a draw is then about as large as its mean.
            let bound = if name.ends_with("deviation") { bound / (fan_in as f64).sqrt() } else { bound };
            let [low, high] = if name.ends_with("running_var") { [0.5, 1.5] } else { [-bound, bound] };
            let values = (0..shape.iter().product()).map(|_| dice.real(low, high)).collect();
            (name, Tensor::new(shape, values))
        })
        .collect()
}

/// A classifier of these layers with random weights.
pub fn classifier(input_shape: &[usize], layers: Vec<Layer>, seed: u32) -> Classifier {
    let weights = random_weights(&layers, seed);
    of_network(Network::new(input_shape, layers, &weights).unwrap(), seed)
}

/// A classifier of this graph with random weights.
pub fn graph_classifier(graph: Graph, seed: u32) -> Classifier {
    let weights = random_graph_weights(&graph, seed);
    of_network(Network::of(graph, &weights).unwrap(), seed)
}

fn of_network(network: Network, seed: u32) -> Classifier {
    let classes = (0..network.output_shape()[0]).map(|class| class.to_string()).collect();
    Classifier::new(format!("random-{seed}"), classes, network).unwrap()
}

/// Images of uniform noise.
pub fn random_images(image_shape: &[usize], count: usize, seed: u32) -> Vec<f32> {
    let mut dice = Dice::new(seed);
    (0..count * image_shape.iter().product::<usize>()).map(|_| dice.real(0.0, 1.0) as f32).collect()
}

/// A random graph of at most nine operations that `allows` lets in, and the shape of its images.
pub fn random_classifier_graph(seed: u32, allows: impl Fn(&Op) -> bool) -> ([usize; 3], Graph) {
    let mut dice = Dice::new(seed);
    let shape = [dice.whole(1, 3), dice.whole(5, 13), dice.whole(5, 13)];
    (shape, random_graph(&shape, dice.whole(2, 7), dice.whole(1, 9), seed, allows).unwrap())
}

/// The names that serde knows of an enum with that tag, from what it says of one that it does not.
pub fn names<T: DeserializeOwned>(tag: &str) -> BTreeSet<String> {
    let error = serde_json::from_value::<T>(serde_json::json!({ tag: "?" })).map(|_| ()).unwrap_err().to_string();
    error.split('`').skip(1).step_by(2).filter(|name| *name != "?").map(str::to_owned).collect()
}
