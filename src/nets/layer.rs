//! Layers of a chain, as version 1 of `model.json` lists them and as networks are written down in this program.

use super::graph::Node;
use super::op::ones;
use super::{Covariance, Function, Op};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A link of a chain: an [`Op`] with its name, if it has weights. Its mask stream is its index in the chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Layer {
    /// [`Op::Linear`].
    Linear { name: String, inputs: usize, outputs: usize },
    /// [`Op::GaussianLinear`].
    GaussianLinear {
        name: String,
        inputs: usize,
        outputs: usize,
        #[serde(default, skip_serializing_if = "Covariance::is_kronecker")]
        covariance: Covariance,
    },
    /// [`Op::Conv2d`].
    Conv2d {
        name: String,
        in_channels: usize,
        out_channels: usize,
        kernel: [usize; 2],
        #[serde(default = "ones")]
        stride: [usize; 2],
        #[serde(default)]
        padding: [usize; 2],
    },
    /// [`Op::MaxPool2d`].
    MaxPool2d { kernel: [usize; 2], stride: [usize; 2] },
    /// [`Op::AveragePool2d`].
    AveragePool2d { kernel: [usize; 2], stride: [usize; 2] },
    /// [`Op::Flatten`].
    Flatten,
    /// [`Op::Reshape`].
    Reshape { shape: Vec<usize> },
    /// [`Function::Relu`].
    Relu,
    /// [`Function::Elu`] with alpha 1.
    Elu,
    /// [`Function::Tanh`].
    Tanh,
    /// [`Function::Sigmoid`].
    Sigmoid,
    /// [`Function::Softplus`].
    Softplus,
    /// [`Op::Dropout`].
    Dropout { rate: f64 },
    /// [`Op::Dropout2d`].
    Dropout2d { rate: f64 },
    /// [`Op::BatchNorm`].
    BatchNorm { name: String, channels: usize, epsilon: f64 },
}

impl Layer {
    /// The name, of a layer with weights.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Linear { name, .. } | Self::GaussianLinear { name, .. } | Self::Conv2d { name, .. } | Self::BatchNorm { name, .. } => {
                Some(name)
            }
            _ => None,
        }
    }

    /// The operation, of the layer at `index` of a chain.
    pub fn op(&self, index: usize) -> Op {
        let stream = index as u32;
        let no_padding = [0, 0];
        match *self {
            Self::Linear { inputs, outputs, .. } => Op::Linear { inputs, outputs, bias: true },
            Self::GaussianLinear { inputs, outputs, covariance, .. } => Op::GaussianLinear { inputs, outputs, covariance, stream },
            Self::Conv2d { in_channels, out_channels, kernel, stride, padding, .. } => {
                Op::Conv2d { in_channels, out_channels, kernel, stride, padding, dilation: [1, 1], groups: 1, bias: true }
            }
            Self::MaxPool2d { kernel, stride } => Op::MaxPool2d { kernel, stride, padding: no_padding, ceil_mode: false },
            Self::AveragePool2d { kernel, stride } => {
                Op::AveragePool2d { kernel, stride, padding: no_padding, ceil_mode: false, count_include_pad: true }
            }
            Self::Flatten => Op::Flatten {},
            Self::Reshape { ref shape } => Op::Reshape { shape: shape.clone() },
            Self::Relu => Op::Apply(Function::Relu {}),
            Self::Elu => Op::Apply(Function::Elu { alpha: 1.0 }),
            Self::Tanh => Op::Apply(Function::Tanh {}),
            Self::Sigmoid => Op::Apply(Function::Sigmoid {}),
            Self::Softplus => Op::Apply(Function::Softplus {}),
            Self::Dropout { rate } => Op::Dropout { rate, stream },
            Self::Dropout2d { rate } => Op::Dropout2d { rate, stream },
            Self::BatchNorm { channels, epsilon, .. } => Op::BatchNorm { channels, epsilon },
        }
    }

    /// Whether it draws a dropout mask.
    pub fn is_dropout(&self) -> bool {
        matches!(self, Self::Dropout { .. } | Self::Dropout2d { .. })
    }

    /// The kind, with the name if it has one.
    pub fn label(&self) -> String {
        let kind = self.op(0).label();
        self.name().map_or_else(|| kind.clone(), |name| format!("{kind} '{name}'"))
    }

    /// The names and shapes of its weights.
    pub fn weights(&self) -> Vec<(String, Vec<usize>)> {
        self.op(0).weights(self.name().unwrap_or_default())
    }
}

/// The nodes of a chain. A layer without a name gets one of its kind and its index.
pub(super) fn nodes(layers: &[Layer]) -> Vec<Node> {
    let mut names: BTreeSet<String> = layers.iter().filter_map(Layer::name).map(str::to_owned).collect();
    let node = |(index, layer): (usize, &Layer)| {
        let op = layer.op(index);
        let name = layer.name().map_or_else(
            || {
                let mut name = format!("{}_{index}", op.label());
                while !names.insert(name.clone()) {
                    name.push('_');
                }
                name
            },
            str::to_owned,
        );
        Node { name, inputs: Vec::new(), op }
    };
    layers.iter().enumerate().map(node).collect()
}
