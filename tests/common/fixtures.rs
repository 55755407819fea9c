//! The reference numbers as networks, and how numbers are compared.

use epistemap::nets::{Classifier, Layer, Network, Tensor, Weights, cnn};
use serde_json::Value;
use std::path::Path;

/// One of the JSON files of `tests/reference`, made by the `make.py` beside them.
pub fn load(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The numbers of nested lists, row-major.
pub fn numbers(value: &Value) -> Vec<f64> {
    tensor(value).values
}

/// Nested lists as an array with their shape.
pub fn tensor(value: &Value) -> Tensor {
    let mut shape = Vec::new();
    let mut inner = value;
    while let Some(list) = inner.as_array() {
        shape.push(list.len());
        inner = &list[0];
    }
    let mut values = Vec::new();
    flatten(value, &mut values);
    Tensor::new(shape, values)
}

fn flatten(value: &Value, into: &mut Vec<f64>) {
    match value.as_array() {
        Some(list) => list.iter().for_each(|inner| flatten(inner, into)),
        None => into.push(value.as_f64().unwrap()),
    }
}

/// The weights of an object of named nested lists.
pub fn weights(value: &Value) -> Weights {
    value.as_object().unwrap().iter().map(|(name, values)| (name.clone(), tensor(values))).collect()
}

/// The classifier of `classifier.json`: the paper's network in small, with everything odd.
pub fn odd_classifier(weights: &Weights) -> Classifier {
    let mut layers = cnn([3, 9, 7], 4, [5, 6], 11, [0.25, 0.5]);
    layers[2] = Layer::Conv2d { name: "conv2".into(), in_channels: 5, out_channels: 6, kernel: [3, 3], stride: [1, 1], padding: [1, 1] };
    layers[7] = Layer::Linear { name: "fc1".into(), inputs: 36, outputs: 11 };
    let classes = (0..4).map(|class| class.to_string()).collect();
    Classifier::new("odd", classes, Network::new(&[3, 9, 7], layers, weights).unwrap()).unwrap()
}
