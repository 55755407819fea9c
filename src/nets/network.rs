//! A graph with its weights.

use super::graph::{Graph, Node};
use super::shapes::is_single;
use super::{Layer, Op, Tensor};
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
    /// When a weight is missing or of the wrong shape, a value is not finite in single precision, or a variance is negative. Names the node.
    pub fn of(graph: Graph, weights: &Weights) -> Result<Self> {
        let mut own = Weights::new();
        for node in graph.nodes() {
            for (name, shape) in node.op.weights(&node.name) {
                let tensor = checked(node, &name, &shape, weights.get(&name))
                    .map_err(|problem| Error::Network(format!("node '{}' ({}): {problem}", node.name, node.op.label())))?;
                own.insert(name, tensor.clone());
            }
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

/// The weight of a node if it has the shape and values that make sense, else what is wrong with it.
fn checked<'a>(node: &Node, name: &str, shape: &[usize], tensor: Option<&'a Tensor>) -> std::result::Result<&'a Tensor, String> {
    let Some(tensor) = tensor else { return Err(format!("the weight '{name}' of shape {shape:?} is missing")) };
    if tensor.shape != shape {
        return Err(format!("the weight '{name}' should have the shape {shape:?} but has {:?}", tensor.shape));
    }
    let wrong = |at: usize, rule: &str| Err(format!("the weight '{name}' holds {:?} at position {at}: {rule}", tensor.values[at]));
    if let Some(at) = tensor.values.iter().position(|&value| !is_single(value)) {
        return wrong(at, "weights must be finite numbers of single precision");
    }
    if let Op::BatchNorm { epsilon, .. } = node.op
        && name.ends_with(".running_var")
        && let Some(at) = tensor.values.iter().position(|&variance| variance < 0.0 || variance + epsilon <= 0.0)
    {
        return wrong(at, "a variance must not be negative, and with epsilon it must be above 0");
    }
    Ok(tensor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_that_make_no_numbers_are_refused_by_the_name_of_their_node() {
        let node = Node { name: "bn".to_owned(), inputs: Vec::new(), op: Op::BatchNorm { channels: 2, epsilon: 0.0 } };
        let of = |part: &str, value: f64| {
            let graph = Graph::new(&[2, 3, 3], vec![node.clone()]).unwrap();
            let mut weights: Weights = graph.weights().map(|(name, shape)| (name, Tensor::new(shape, vec![0.5; 2]))).collect();
            if let Some(tensor) = weights.get_mut(&format!("bn.{part}")) {
                tensor.values[1] = value;
            }
            Network::of(graph, &weights).map(|_| ()).map_err(|error| error.to_string())
        };
        of("running_var", 1e-30).unwrap();
        for (part, value) in [("running_var", -0.5), ("running_var", 0.0), ("weight", f64::NAN), ("bias", 1e300)] {
            let error = of(part, value).unwrap_err();
            assert!(error.starts_with(&format!("node 'bn' (batch_norm): the weight 'bn.{part}' holds")), "{error}");
        }
    }
}
