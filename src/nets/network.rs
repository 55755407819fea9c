//! A list of layers with named weights, checked once: after `Network::new` every name and shape fits.

use super::layer::{Layer, elements};
use super::tensor::Tensor;
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// Weights by name, in PyTorch's naming and layout.
pub type Weights = BTreeMap<String, Tensor>;

/// A feed-forward network over single images or vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    layers: Vec<Layer>,
    shapes: Vec<Vec<usize>>,
    weights: Weights,
}

impl Network {
    /// Puts layers and weights together. `weights` may hold more than this network names; the rest is ignored, so that
    /// the parts of a model can share one file.
    ///
    /// # Errors
    /// When a layer cannot follow the one before it, a weight is missing or of the wrong shape, or a value is not finite.
    pub fn new(input_shape: &[usize], layers: Vec<Layer>, weights: &Weights) -> Result<Self> {
        let shapes = shapes(input_shape, &layers)?;
        let mut own = Weights::new();
        for (name, shape) in layers.iter().flat_map(Layer::weights) {
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
            if own.insert(name.clone(), tensor.clone()).is_some() {
                return Err(Error::Network(format!("two layers name the weight '{name}'")));
            }
        }
        Ok(Self { layers, shapes, weights: own })
    }

    /// The layers in order.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The shape of one input, without the batch axis.
    pub fn input_shape(&self) -> &[usize] {
        &self.shapes[0]
    }

    /// The shape of one output, without the batch axis.
    pub fn output_shape(&self) -> &[usize] {
        &self.shapes[self.layers.len()]
    }

    /// The shape that goes into layer `index`; that of the output for `index` = number of layers.
    pub fn shape_at(&self, index: usize) -> &[usize] {
        &self.shapes[index]
    }

    /// The weights by name.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The weight of a layer, such as `weight("fc1", "bias")`.
    ///
    /// # Panics
    /// When the network has no such layer: `new` made sure that every weight that a layer names is there.
    pub fn weight(&self, layer: &str, part: &str) -> &Tensor {
        &self.weights[&format!("{layer}.{part}")]
    }

    /// The index of the first layer that draws; the layers before it (the *trunk*) need to run only once per image. The
    /// number of layers if there is none.
    pub fn trunk_length(&self) -> usize {
        self.layers.iter().position(Layer::is_stochastic).unwrap_or(self.layers.len())
    }

    /// The number of weights, as a person counts parameters.
    pub fn parameter_count(&self) -> usize {
        self.weights.values().map(|tensor| tensor.values.len()).sum()
    }
}

/// The shape before each layer, and after the last.
///
/// # Errors
/// When a layer cannot take what the one before it makes.
pub fn shapes(input_shape: &[usize], layers: &[Layer]) -> Result<Vec<Vec<usize>>> {
    if !matches!(elements(input_shape), Some(1..)) {
        return Err(Error::Network(format!("the input shape {input_shape:?} has no elements or too many")));
    }
    let mut shapes = vec![input_shape.to_vec()];
    for (index, layer) in layers.iter().enumerate() {
        let next = layer.output_shape(&shapes[index]).map_err(|error| match error {
            Error::Network(text) => Error::Network(format!("layer {} of {}: {text}", index + 1, layers.len())),
            other => other,
        })?;
        shapes.push(next);
    }
    Ok(shapes)
}
