//! What the fast engines see in a network alike: elementwise functions, and tails that can be thinned.

use crate::nets::{Gaussian, Layer, Network};
use crate::random::normal_noise;

/// An elementwise function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    Relu,
    Elu,
    Tanh,
    Sigmoid,
    Softplus,
}

impl Activation {
    /// The function that a layer is, if it is one.
    pub fn of(layer: &Layer) -> Option<Self> {
        match layer {
            Layer::Relu => Some(Self::Relu),
            Layer::Elu => Some(Self::Elu),
            Layer::Tanh => Some(Self::Tanh),
            Layer::Sigmoid => Some(Self::Sigmoid),
            Layer::Softplus => Some(Self::Softplus),
            Layer::Linear { .. }
            | Layer::GaussianLinear { .. }
            | Layer::Conv2d { .. }
            | Layer::MaxPool2d { .. }
            | Layer::AveragePool2d { .. }
            | Layer::Flatten
            | Layer::Reshape { .. }
            | Layer::Dropout { .. }
            | Layer::Dropout2d { .. }
            | Layer::BatchNorm { .. } => None,
        }
    }
}

/// A linear layer of a tail that can be thinned.
#[derive(Clone, Debug, PartialEq)]
pub struct TailLayer {
    pub inputs: usize,
    pub outputs: usize,
    /// The dropout before the layer: its index in the network and its rate.
    pub dropout: Option<(u32, f64)>,
    /// \[inputs, outputs\], scaled by 1 / (1 − rate).
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
    /// Where the weights are drawn as well: then `weights` and `bias` are their means.
    pub gaussian: Option<Gaussian>,
    /// The functions after it.
    pub then: Vec<Activation>,
}

impl TailLayer {
    fn new([inputs, outputs]: [usize; 2], dropout: Option<(u32, f64)>, weight: &[f64], bias: Vec<f32>) -> Self {
        let scale = dropout.map_or(1.0, |(_, rate)| 1.0 / (1.0 - rate));
        let weights = (0..inputs * outputs).map(|at| (scale * weight[at % outputs * inputs + at / outputs]) as f32).collect();
        Self { inputs, outputs, dropout, weights, bias, gaussian: None, then: Vec::new() }
    }

    /// The layer with the weights of a draw that all points share, if they are drawn.
    pub fn drawn(&self, seed: u32, member: u32, draw: u32) -> Option<Self> {
        let gaussian = self.gaussian.as_ref()?;
        let drawn = gaussian.draw(&normal_noise(seed, member, draw, gaussian.layer as u32, 0, gaussian.count()));
        let rows = || drawn.chunks_exact(self.inputs + 1);
        let weight: Vec<f64> = rows().flat_map(|row| &row[..self.inputs]).copied().collect();
        let bias = rows().map(|row| row[self.inputs] as f32).collect();
        Some(Self::new([self.inputs, self.outputs], self.dropout, &weight, bias))
    }
}

/// The part of the network from its first layer that draws on, where it is linear layers with dropout or elementwise functions between
/// them. A Gaussian layer's draw that all points share is a linear layer of other weights. A mask that all points share makes a draw of
/// such a tail a smaller network: a dropped hidden unit needs no weights, and of the first layer, whose input all draws share, the dropped
/// inputs are subtracted from the full product where they are fewer than the kept ones ([`subtracts`]). This is exact.
pub fn thinnable(network: &Network) -> Option<Vec<TailLayer>> {
    let mut layers: Vec<TailLayer> = Vec::new();
    let mut dropout = None;
    for (index, layer) in network.layers().iter().enumerate().skip(network.trunk_length()) {
        match layer {
            Layer::Dropout { rate } if dropout.is_none() => dropout = Some((index as u32, *rate)),
            Layer::Flatten | Layer::Reshape { .. } => {}
            Layer::Linear { name, inputs, outputs } | Layer::GaussianLinear { name, inputs, outputs, .. } => {
                let (weight, bias) = (&network.weight(name, "weight").values, network.weight(name, "bias").to_f32());
                let gaussian = Gaussian::of(network, index);
                layers.push(TailLayer { gaussian, ..TailLayer::new([*inputs, *outputs], dropout.take(), weight, bias) });
            }
            // Between a dropout and its linear layer a function could make something else of the dropped zeros.
            other => layers.last_mut().filter(|_| dropout.is_none())?.then.push(Activation::of(other)?),
        }
    }
    layers.first().filter(|first| dropout.is_none() && (first.dropout.is_some() || first.gaussian.is_some()))?;
    Some(layers)
}

/// Whether of the first layer of a thinnable tail the dropped inputs are subtracted, rather than the kept ones multiplied. Draws of other
/// weights share no full product.
pub fn subtracts(layers: &[TailLayer]) -> bool {
    layers[0].gaussian.is_none() && layers[0].dropout.is_some_and(|(_, rate)| rate <= 0.5)
}

/// The places of a grid within an image of the given width.
pub fn places(grid: [usize; 2], stride: [usize; 2], width: usize) -> impl Iterator<Item = u32> {
    (0..grid[0]).flat_map(move |y| (0..grid[1]).map(move |x| (y * stride[0] * width + x * stride[1]) as u32))
}

/// Batch normalisation as x · scale + offset per channel: scale and offset of each in turn.
pub fn affine(network: &Network, name: &str, epsilon: f64) -> Vec<[f32; 2]> {
    let part = |part| network.weight(name, part).values.iter();
    let scales = part("weight").zip(part("running_var")).map(|(w, v)| w / (v + epsilon).sqrt());
    let offsets = part("bias").zip(part("running_mean"));
    scales.zip(offsets).map(|(scale, (b, m))| [scale as f32, (b - m * scale) as f32]).collect()
}
