//! A network as steps on panels of points. What can be fused is decided here, once, when the engine is opened.

use super::gaussian::Drawn;
use super::kernel::{Packed, Row, add_products};
use super::masks::Address;
use super::winograd::Winograd;
use crate::engine::tail::{Activation, affine, places};
use crate::nets::{Gaussian, Layer, Network};
use std::ops::Range;

/// Places of a convolution's output that are computed at once: few enough for the innermost cache.
const POSITIONS: usize = 8;

/// One step: from one activation to the next.
#[derive(Debug)]
pub enum Step {
    /// A linear layer or a convolution.
    Product(Product),
    /// A 3×3 convolution of stride 1 in the fast way; with the convolution before it, whose output is then made line by line
    /// just before it is used, for as a whole it would not fit into the cache.
    Winograd { before: Option<Product>, winograd: Winograd },
    /// An image \[channels, h, w\] into the middle of a larger one of zeros.
    Pad { from: [usize; 3], to: [usize; 2], at: [usize; 2] },
    /// The maximum or the mean over `window` (places relative to a position) in every channel of `size` rows.
    Pool { size: usize, window: Vec<u32>, positions: Vec<u32>, mean: bool },
    /// An elementwise function.
    Apply(Activation),
    /// x · scale + offset per channel: batch normalisation.
    Affine { scale: Vec<f32>, offset: Vec<f32> },
    /// Dropout by layer `layer` of the network, of units of `size` rows; nothing in a deterministic pass.
    Mask { layer: u32, rate: f64, size: usize },
    /// A linear layer whose weights are drawn; in a deterministic pass only the product with their means.
    Gaussian { mean: Product, drawn: Drawn },
}

/// A linear layer (one position), or a convolution of any stride (one position for every place of the output).
#[derive(Debug)]
pub struct Product {
    weights: Packed,
    bias: Vec<f32>,
    /// The places of the inputs relative to a position.
    rows: Vec<u32>,
    positions: Vec<u32>,
    then: Option<Activation>,
}

impl Product {
    /// The outputs at some of the positions. In `out` a channel has `plane` rows, which start over when they are full.
    fn run(&self, x: &[Row], positions: Range<usize>, plane: usize, work: &mut Vec<Row>, out: &mut Vec<Row>) {
        out.resize(self.bias.len() * plane, Row::splat(0.0));
        let mut place = positions.start;
        for some in self.positions[positions].chunks(POSITIONS) {
            work.clear();
            work.extend(some.iter().flat_map(|_| &self.bias).map(|&bias| Row::splat(bias)));
            add_products(some.iter().map(|&position| &x[position as usize..]), &self.rows, &self.weights, work);
            if let Some(activation) = self.then {
                activation.apply(work);
            }
            for outputs in work.chunks(self.bias.len()) {
                out.iter_mut().skip(place % plane).step_by(plane).zip(outputs).for_each(|(to, from)| *to = *from);
                place += 1;
            }
        }
    }
}

/// Buffers of one task, kept from one to the next.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The activation.
    pub x: Vec<Row>,
    pub next: Vec<Row>,
    work: Vec<Row>,
    lines: Vec<Row>,
    /// The activation of each panel at the first dropout layer, while the draws run.
    pub trunks: Vec<Vec<Row>>,
    /// The part of the first thinned layer that all draws share, panel by panel.
    pub base: Vec<Row>,
}

/// The steps of the layers of `range`.
pub fn steps(network: &Network, range: Range<usize>) -> Vec<Step> {
    let layers = &network.layers()[..range.end];
    let mut steps = Vec::new();
    let mut index = range.start;
    while let Some(layer) = layers.get(index) {
        let (input, output) = (network.shape_at(index), network.shape_at(index + 1));
        index += 1;
        let then = layers.get(index).and_then(Activation::of);
        match layer {
            Layer::Linear { name, inputs, outputs } => {
                steps.push(Step::Product(linear(network, name, [*inputs, *outputs], then)));
                index += usize::from(then.is_some());
            }
            Layer::GaussianLinear { name, inputs, outputs, .. } => steps.extend(
                Gaussian::of(network, index - 1)
                    .map(|gaussian| Step::Gaussian { mean: linear(network, name, [*inputs, *outputs], None), drawn: Drawn::new(gaussian) }),
            ),
            Layer::Conv2d { name, kernel, stride, padding, .. } => {
                let (weight, bias) = (network.weight(name, "weight"), network.weight(name, "bias").to_f32());
                if Winograd::takes(&weight.shape, *stride) {
                    let relu = layers.get(index) == Some(&Layer::Relu);
                    index += usize::from(relu);
                    let pool = layers.get(index) == Some(&Layer::MaxPool2d { kernel: [2, 2], stride: [2, 2] });
                    let winograd = Winograd::new(&weight.values, bias, input, output, relu, pool);
                    index += usize::from(pool);
                    steps.extend(pad(input, winograd.input_size(), *padding));
                    let before =
                        steps.pop_if(|step| matches!(step, Step::Product(product) if product.positions.len() == input[1] * input[2]));
                    let before = before.and_then(|step| if let Step::Product(product) = step { Some(product) } else { None });
                    steps.push(Step::Winograd { before, winograd });
                } else {
                    let size = [0, 1].map(|axis| input[1 + axis] + 2 * padding[axis]);
                    let inputs = input[0] * kernel[0] * kernel[1];
                    steps.extend(pad(input, size, *padding));
                    steps.push(Step::Product(Product {
                        weights: Packed::new(output[0], inputs, |i| move |o| weight.values[o * inputs + i] as f32),
                        bias,
                        rows: (0..input[0])
                            .flat_map(|c| places(*kernel, [1, 1], size[1]).map(move |at| (c * size[0] * size[1]) as u32 + at))
                            .collect(),
                        positions: places([output[1], output[2]], *stride, size[1]).collect(),
                        then,
                    }));
                    index += usize::from(then.is_some());
                }
            }
            Layer::MaxPool2d { kernel, stride } | Layer::AveragePool2d { kernel, stride } => steps.push(Step::Pool {
                size: input[1] * input[2],
                window: places(*kernel, [1, 1], input[2]).collect(),
                positions: places([output[1], output[2]], *stride, input[2]).collect(),
                mean: matches!(layer, Layer::AveragePool2d { .. }),
            }),
            Layer::Flatten | Layer::Reshape { .. } => {}
            Layer::Relu => steps.push(Step::Apply(Activation::Relu)),
            Layer::Elu => steps.push(Step::Apply(Activation::Elu)),
            Layer::Tanh => steps.push(Step::Apply(Activation::Tanh)),
            Layer::Sigmoid => steps.push(Step::Apply(Activation::Sigmoid)),
            Layer::Softplus => steps.push(Step::Apply(Activation::Softplus)),
            Layer::Dropout { rate } => steps.push(Step::Mask { layer: index as u32 - 1, rate: *rate, size: 1 }),
            Layer::Dropout2d { rate } => steps.push(Step::Mask { layer: index as u32 - 1, rate: *rate, size: input[1] * input[2] }),
            Layer::BatchNorm { name, epsilon, .. } => {
                let (scale, offset) = affine(network, name, *epsilon).into_iter().map(|[scale, offset]| (scale, offset)).unzip();
                steps.push(Step::Affine { scale, offset });
            }
        }
    }
    steps
}

/// A linear layer, or the means of one whose weights are drawn.
fn linear(network: &Network, name: &str, [inputs, outputs]: [usize; 2], then: Option<Activation>) -> Product {
    let weight = &network.weight(name, "weight").values;
    Product {
        weights: Packed::new(outputs, inputs, |i| move |o| weight[o * inputs + i] as f32),
        bias: network.weight(name, "bias").to_f32(),
        rows: (0..inputs as u32).collect(),
        positions: vec![0],
        then,
    }
}

fn pad(from: &[usize], to: [usize; 2], at: [usize; 2]) -> Option<Step> {
    (from[1..] != to).then(|| Step::Pad { from: [from[0], from[1], from[2]], to, at })
}

/// Runs steps on `scratch.x`; without an address dropout is off.
pub fn run(steps: &[Step], address: Option<&Address>, scratch: &mut Scratch) {
    for step in steps {
        step.run(address, scratch);
    }
}

impl Step {
    fn run(&self, address: Option<&Address>, Scratch { x, next, work, lines, .. }: &mut Scratch) {
        match self {
            Self::Product(product) => {
                let positions = product.positions.len();
                product.run(x, 0..positions, positions, work, next);
            }
            Self::Gaussian { mean, drawn } => {
                mean.run(x, 0..1, 1, work, next);
                if let Some(address) = address {
                    drawn.add(address, x, next);
                }
            }
            Self::Winograd { before, winograd } => {
                let [height, width] = winograd.input_size();
                for tile_row in 0..winograd.tile_rows() {
                    if let Some(before) = before {
                        let missing = if tile_row == 0 { 0..4 } else { 2 * tile_row + 2..2 * tile_row + 4 };
                        before.run(x, missing.start * width..missing.end * width, 4 * width, work, lines);
                        winograd.run(tile_row, lines, 4 * width, work, next);
                    } else {
                        winograd.run(tile_row, x, height * width, work, next);
                    }
                }
            }
            Self::Pad { from: [_, h, w], to, at } => {
                next.clear();
                next.resize(x.len() / (h * w) * to[0] * to[1], Row::splat(0.0));
                for (to_channel, channel) in next.chunks_mut(to[0] * to[1]).zip(x.chunks(h * w)) {
                    for (y, line) in channel.chunks(*w).enumerate() {
                        to_channel[(at[0] + y) * to[1] + at[1]..][..*w].copy_from_slice(line);
                    }
                }
            }
            Self::Pool { size, window, positions, mean } => {
                next.clear();
                for channel in x.chunks(*size) {
                    next.extend(positions.iter().map(|&position| pool(&channel[position as usize..], window, *mean)));
                }
            }
            Self::Apply(activation) => return activation.apply(x),
            Self::Affine { scale, offset } => {
                let size = x.len() / scale.len();
                for ((channel, scale), offset) in x.chunks_mut(size).zip(scale).zip(offset) {
                    channel.iter_mut().flat_map(|row| &mut row.0).for_each(|value| *value = *value * scale + offset);
                }
                return;
            }
            Self::Mask { layer, rate, size } => {
                if let Some(address) = address {
                    address.apply(*layer, *rate, *size, x);
                }
                return;
            }
        }
        std::mem::swap(x, next);
    }
}

fn pool(channel: &[Row], window: &[u32], mean: bool) -> Row {
    let mut pooled = channel[window[0] as usize];
    for &at in &window[1..] {
        for (pooled, &value) in pooled.0.iter_mut().zip(&channel[at as usize].0) {
            // Not `max`, which would hide NaN.
            *pooled = match mean {
                true => *pooled + value,
                false if *pooled < value || value.is_nan() => value,
                false => *pooled,
            };
        }
    }
    if mean {
        pooled.0.iter_mut().for_each(|value| *value /= window.len() as f32);
    }
    pooled
}
