//! A graph with its weights.

use super::graph::{Graph, Node};
use super::{Layer, Tensor};
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// Weights by name, in PyTorch's naming and layout.
pub type Weights = BTreeMap<String, Tensor>;

/// A network over single images or vectors: a checked graph, and the weights that its nodes name.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    graph: Graph,
    weights: Weights,
}

impl Network {
    /// Puts a chain of layers and its weights together.
    ///
    /// # Errors
    /// As [`Graph::chain`] and [`of`](Self::of).
    pub fn new(input_shape: &[usize], layers: impl AsRef<[Layer]>, weights: &Weights) -> Result<Self> {
        Self::of(Graph::chain(input_shape, layers.as_ref())?, weights)
    }

    /// Puts a graph and its weights together. `weights` may hold more than this graph names; the rest is ignored, so that the parts of a
    /// model can share one file.
    ///
    /// # Errors
    /// When a weight is missing or of the wrong shape, or a value is not finite.
    pub fn of(graph: Graph, weights: &Weights) -> Result<Self> {
        let mut own = Weights::new();
        for (name, shape) in graph.weights() {
            let Some(tensor) = weights.get(&name) else {
                return Err(Error::Network(format!("the weight '{name}' of shape {shape:?} is missing")));
            };
            if tensor.shape != shape {
                return Err(Error::Network(format!("the weight '{name}' should have the shape {shape:?} but has {:?}", tensor.shape)));
            }
            if let Some(at) = tensor.values.iter().position(|value| !value.is_finite()) {
                return Err(Error::Network(format!(
                    "the weight '{name}' holds {} at position {at}: weights must be finite",
                    tensor.values[at]
                )));
            }
            own.insert(name, tensor.clone());
        }
        Ok(Self { graph, weights: own })
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The nodes of the graph.
    pub fn nodes(&self) -> &[Node] {
        self.graph.nodes()
    }

    /// The shape of one input, without the batch axis.
    pub fn input_shape(&self) -> &[usize] {
        self.graph.input_shape()
    }

    /// The shape of one output, without the batch axis.
    pub fn output_shape(&self) -> &[usize] {
        self.graph.output_shape()
    }

    /// The weights by name.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The weight of a node, such as `weight("fc1", "bias")`.
    ///
    /// # Panics
    /// When the network has no such node: `of` made sure that every weight that a node names is there.
    pub fn weight(&self, node: &str, part: &str) -> &Tensor {
        &self.weights[&format!("{node}.{part}")]
    }

    /// The number of weights, as a person counts parameters.
    pub fn parameter_count(&self) -> usize {
        self.weights.values().map(|tensor| tensor.values.len()).sum()
    }
}
