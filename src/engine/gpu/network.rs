//! A network as kernels on the device: its weights uploaded, its layers as steps.

use super::device::Device;
use crate::engine::tail::{Activation, TailLayer, affine, places, subtracts, thinnable};
use crate::error::Result;
use crate::nets::{Layer, Network};
use std::ops::Range;
use wgpu::Buffer;

/// Products of fewer inputs or outputs are always made in single precision: they take little time, and the last one makes the logits.
const FEWEST_FACTORS: [usize; 2] = [64, 32];

/// One step: from one activation to the next.
pub struct Step {
    pub kind: Kind,
    /// The rows of its input and of its output, each a number for every point.
    pub rows: [usize; 2],
}

pub enum Kind {
    /// A linear layer or a convolution.
    Product(Product),
    /// The maximum or the mean over `window` at `positions` (lists) of every channel of `size` rows.
    Pool { window: Buffer, positions: Buffer, size: usize, mean: bool },
    /// An image into the middle of a larger one of zeros: heights and widths, and the place.
    Pad { from: [usize; 2], to: [usize; 2], at: [usize; 2] },
    /// An elementwise function.
    Apply(Activation),
    /// Batch normalisation of channels of `size` rows.
    Affine { coefficients: Buffer, channels: usize, size: usize },
    /// Dropout by layer `layer` of the network, of units of `size` rows; nothing in a deterministic pass.
    Mask { layer: u32, rate: f64, size: usize },
}

/// Weights and what they are multiplied with.
pub struct Product {
    /// \[inputs, outputs\], the outputs padded to vec4s.
    pub weights: Buffer,
    pub bias: Buffer,
    /// The list of the rows that are multiplied at a position, and that of the positions.
    pub rows: Buffer,
    pub positions: Buffer,
    pub inputs: usize,
    pub outputs: usize,
    pub places: usize,
    pub then: Option<Activation>,
    /// Whether it is always multiplied in single precision.
    pub exact: bool,
}

/// A classifier on the device.
pub struct Member {
    /// The layers before the first that draws.
    pub trunk: Vec<Step>,
    pub tail: Tail,
}

/// The other layers.
pub enum Tail {
    /// There are none: every draw is the same.
    None,
    /// Linear layers, which a shared mask thins; and the same as steps, for masks per point and deterministic passes.
    Thinnable(Vec<Thinned>, Vec<Step>),
    Steps(Vec<Step>),
}

/// A linear layer of a thinnable tail.
pub struct Thinned {
    pub product: Product,
    /// The dropout before it: its index in the network and its rate.
    pub dropout: Option<(u32, f64)>,
    /// Functions behind the first, which the product applies itself.
    pub more: Vec<Activation>,
    /// Of the first layer, if dropped inputs are subtracted: a bias of zeros for the full product.
    pub zeros: Option<Buffer>,
}

impl Member {
    /// Uploads a classifier.
    ///
    /// # Errors
    /// When the device has no room for its weights.
    pub fn new(device: &Device, network: &Network) -> Result<Self> {
        let (trunk, all) = (network.trunk_length(), network.layers().len());
        let rest = steps(device, network, trunk..all)?;
        let tail = match thinnable(network) {
            _ if trunk == all => Tail::None,
            Some(layers) => Tail::Thinnable(thinned(device, layers)?, rest),
            None => Tail::Steps(rest),
        };
        Ok(Self { trunk: steps(device, network, 0..trunk)?, tail })
    }

    /// The layers behind the trunk as steps.
    pub fn rest(&self) -> &[Step] {
        match &self.tail {
            Tail::None => &[],
            Tail::Thinnable(_, steps) | Tail::Steps(steps) => steps,
        }
    }
}

/// A list for the kernels: with its length in front.
fn list(device: &Device, label: &str, entries: impl IntoIterator<Item = u32>) -> Result<Buffer> {
    let mut list = vec![0];
    list.extend(entries);
    list[0] = list.len() as u32 - 1;
    device.upload(label, &list)
}

/// Weights \[inputs, outputs\] by `weight(input, output)`.
fn product(
    device: &Device,
    [inputs, outputs]: [usize; 2],
    weight: impl Fn(usize, usize) -> f32,
    bias: &[f32],
    rows: impl IntoIterator<Item = u32>,
    positions: Vec<u32>,
    then: Option<Activation>,
) -> Result<Product> {
    let padded = outputs.next_multiple_of(4);
    let mut weights = vec![0.0f32; inputs * padded];
    for (input, line) in weights.chunks_exact_mut(padded).enumerate() {
        line[..outputs].iter_mut().enumerate().for_each(|(output, to)| *to = weight(input, output));
    }
    Ok(Product {
        weights: device.upload("weights", &weights)?,
        bias: device.upload("bias", bias)?,
        rows: list(device, "rows", rows)?,
        places: positions.len(),
        positions: list(device, "positions", positions)?,
        inputs,
        outputs,
        then,
        exact: inputs < FEWEST_FACTORS[0] || outputs < FEWEST_FACTORS[1],
    })
}

fn thinned(device: &Device, layers: Vec<TailLayer>) -> Result<Vec<Thinned>> {
    let subtract = subtracts(&layers);
    let upload = |(number, layer): (usize, TailLayer)| {
        let TailLayer { inputs, outputs, dropout, weights, bias, then, .. } = layer;
        let weight = |input: usize, output: usize| weights[input * outputs + output];
        let product = product(device, [inputs, outputs], weight, &bias, 0..inputs as u32, vec![0], then.first().copied())?;
        let zeros = if number == 0 && subtract { Some(device.upload("zeros", &vec![0.0f32; outputs])?) } else { None };
        Ok(Thinned { product, dropout, more: then.into_iter().skip(1).collect(), zeros })
    };
    layers.into_iter().enumerate().map(upload).collect()
}

/// The steps of the layers of `range`, their weights uploaded.
///
/// # Errors
/// When the device has no room for the weights.
pub fn steps(device: &Device, network: &Network, range: Range<usize>) -> Result<Vec<Step>> {
    let layers = &network.layers()[..range.end];
    let mut steps: Vec<Step> = Vec::new();
    let mut index = range.start;
    while let Some(layer) = layers.get(index) {
        let (input, output) = (network.shape_at(index), network.shape_at(index + 1));
        let count = |shape: &[usize]| shape.iter().product::<usize>();
        let mut rows = [count(input), count(output)];
        index += 1;
        let then = layers.get(index).and_then(Activation::of);
        let kind = match layer {
            // In a decoder: a member that draws weights is refused when the engine is opened.
            Layer::Linear { name, inputs, outputs } | Layer::GaussianLinear { name, inputs, outputs, .. } => {
                let weight = &network.weight(name, "weight").values;
                let bias = network.weight(name, "bias").to_f32();
                index += usize::from(then.is_some());
                let weight = |i: usize, o: usize| weight[o * inputs + i] as f32;
                Kind::Product(product(device, [*inputs, *outputs], weight, &bias, 0..*inputs as u32, vec![0], then)?)
            }
            Layer::Conv2d { name, kernel, stride, padding, .. } => {
                let (weight, bias) = (&network.weight(name, "weight").values, network.weight(name, "bias").to_f32());
                let size = [0, 1].map(|axis| input[1 + axis] + 2 * padding[axis]);
                if size != input[1..] {
                    let kind = Kind::Pad { from: [input[1], input[2]], to: size, at: *padding };
                    let padded = input[0] * size[0] * size[1];
                    steps.push(Step { kind, rows: [rows[0], padded] });
                    rows[0] = padded;
                }
                let inputs = input[0] * kernel[0] * kernel[1];
                let plane = size[0] * size[1];
                let of_channel = |c: usize| places(*kernel, [1, 1], size[1]).map(move |at| (c * plane) as u32 + at);
                let positions = places([output[1], output[2]], *stride, size[1]).collect();
                index += usize::from(then.is_some());
                let weight = |i: usize, o: usize| weight[o * inputs + i] as f32;
                Kind::Product(product(device, [inputs, output[0]], weight, &bias, (0..input[0]).flat_map(of_channel), positions, then)?)
            }
            Layer::MaxPool2d { kernel, stride } | Layer::AveragePool2d { kernel, stride } => Kind::Pool {
                window: list(device, "window", places(*kernel, [1, 1], input[2]))?,
                positions: list(device, "positions", places([output[1], output[2]], *stride, input[2]))?,
                size: input[1] * input[2],
                mean: matches!(layer, Layer::AveragePool2d { .. }),
            },
            Layer::Flatten | Layer::Reshape { .. } => continue,
            Layer::Relu => Kind::Apply(Activation::Relu),
            Layer::Elu => Kind::Apply(Activation::Elu),
            Layer::Tanh => Kind::Apply(Activation::Tanh),
            Layer::Sigmoid => Kind::Apply(Activation::Sigmoid),
            Layer::Softplus => Kind::Apply(Activation::Softplus),
            Layer::Dropout { rate } => Kind::Mask { layer: index as u32 - 1, rate: *rate, size: 1 },
            Layer::Dropout2d { rate } => Kind::Mask { layer: index as u32 - 1, rate: *rate, size: input[1] * input[2] },
            Layer::BatchNorm { name, channels, epsilon } => Kind::Affine {
                coefficients: device.upload("batch normalisation", &affine(network, name, *epsilon))?,
                channels: *channels,
                size: rows[0] / channels,
            },
        };
        steps.push(Step { kind, rows });
    }
    Ok(steps)
}

/// The steps of a decoder: in single precision, for whatever an image is off all classifiers are.
///
/// # Errors
/// As [`steps`].
pub fn decoder(device: &Device, network: &Network) -> Result<Vec<Step>> {
    let mut steps = steps(device, network, 0..network.layers().len())?;
    for step in &mut steps {
        if let Kind::Product(product) = &mut step.kind {
            product.exact = true;
        }
    }
    Ok(steps)
}

/// Multiply-adds of steps, times two: what a pass of one point takes.
pub fn flops(steps: &[Step]) -> f64 {
    let of = |step: &Step| match &step.kind {
        Kind::Product(product) => 2.0 * (product.inputs * product.outputs * product.places) as f64,
        _ => 0.0,
    };
    steps.iter().map(of).sum()
}

/// Those of a thinned draw, on average; and of what all draws share.
pub fn thinned_flops(layers: &[Thinned]) -> [f64; 2] {
    let kept = |dropout: Option<(u32, f64)>| dropout.map_or(1.0, |(_, rate)| 1.0 - rate);
    let of_draw = layers.iter().enumerate().map(|(number, layer)| {
        let outputs = kept(layers.get(number + 1).and_then(|next| next.dropout)) * layer.product.outputs as f64;
        let share = if layer.zeros.is_some() { 1.0 - kept(layer.dropout) } else { kept(layer.dropout) };
        2.0 * share * layer.product.inputs as f64 * outputs
    });
    let Product { inputs, outputs, .. } = layers[0].product;
    let shared = if layers[0].zeros.is_some() { 2.0 * (inputs * outputs) as f64 } else { 0.0 };
    [of_draw.sum(), shared]
}

/// The most rows of any activation of steps.
pub fn most_rows(steps: &[Step]) -> usize {
    steps.iter().flat_map(|step| step.rows).max().unwrap_or(0)
}
