//! Weights, and the lists that say what they are multiplied with, on the device.

use super::device::Device;
use super::network::{Kind as StepKind, Step};
use crate::engine::thinning::{ThinShape, subtracts, thinnable};
use crate::error::Result;
use crate::nets::Function;
use crate::nets::lowering::{self, Phase, Plane, Program};
use rayon::prelude::*;
use std::sync::Arc;
use wgpu::Buffer;

/// Products of fewer inputs or outputs are always made in single precision: they take little time, and the last one makes the logits.
const FEWEST_FACTORS: [usize; 2] = [64, 32];
/// Groups of fewer outputs are left to the kernel that makes one output a thread: they fill no tile of the product.
const FEWEST_OUTPUTS_OF_GROUP: usize = 8;
/// Of how many inputs at least a product is split where it does not fill the adapter.
const FEWEST_SPLIT: usize = 1024;

/// A phase of a group of a linear layer or a convolution.
#[derive(Clone)]
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
    /// Rows of the whole output before this one.
    pub first: usize,
    /// Rows of a channel of the whole output, where the positions are some of them: `positions` then holds their places as well.
    pub scatter: Option<usize>,
    pub then: Option<Function>,
    /// Whether it is always multiplied in single precision.
    pub exact: bool,
    /// Of a linear layer of many inputs.
    pub split: Option<Split>,
}

impl Product {
    /// Operations for one point.
    pub fn flops(&self) -> f64 {
        2.0 * (self.inputs * self.outputs) as f64 * self.places as f64
    }
}

/// A phase of a convolution of many small groups.
pub struct Grouped {
    /// \[outputs, taps\].
    pub weights: Buffer,
    pub bias: Buffer,
    /// The rows of a group that are multiplied at a position.
    pub taps: Buffer,
    /// Where the positions begin in the input, and their places in the output.
    pub positions: Buffer,
    pub places: usize,
    pub tap_count: usize,
    pub outputs: usize,
    /// Outputs of a group, rows of a group of the input, rows of a channel of the output.
    pub group_outputs: usize,
    pub group_rows: usize,
    pub plane: usize,
}

impl Grouped {
    /// Operations for one point.
    pub fn flops(&self) -> f64 {
        2.0 * (self.tap_count * self.outputs) as f64 * self.places as f64
    }
}

/// A linear layer of a thinnable head.
pub struct Thinned {
    /// The node that it comes from.
    pub node: Arc<str>,
    /// With the weights of the same layer in a plan, which are not yet scaled by 1 / (1 − rate).
    pub product: Product,
    /// The dropout before it: its mask stream and its rate.
    pub dropout: Option<(u32, f64)>,
    /// Functions after the first, which the product applies itself.
    pub more: Vec<Function>,
    /// Of the first layer, if dropped inputs are subtracted: a bias of zeros for the full product.
    pub full: Option<Buffer>,
}

impl Thinned {
    /// The bits of the factor 1 / (1 − rate) of its dropout.
    pub fn scale(&self) -> u32 {
        self.dropout.map_or(1.0, |(_, rate)| (1.0 / (1.0 - rate)) as f32).to_bits()
    }
}

/// What a linear layer of many inputs needs beside its weights to be made in parts.
#[derive(Clone)]
pub struct Split {
    /// A bias of zeros.
    pub zeros: Buffer,
    /// A list of inputs for each of [`Tuning::split_k`](super::tuning::Tuning::split_k) parts.
    pub parts: Buffer,
}

impl Split {
    /// Entries of a list of [`parts`](Self::parts), with its length.
    pub fn stride(inputs: usize, parts: usize) -> usize {
        inputs.div_ceil(parts) + 1
    }

    /// None for a layer of few inputs.
    fn new(device: &Device, [inputs, outputs]: [usize; 2]) -> Result<Option<Self>> {
        let parts = device.tuning.split_k;
        if inputs < FEWEST_SPLIT || parts == 1 {
            return Ok(None);
        }
        let list = |part: usize| {
            let [start, end] = [part, part + 1].map(|part| part * inputs / parts);
            let mut list: Vec<u32> = [(end - start) as u32].into_iter().chain(start as u32..end as u32).collect();
            list.resize(Self::stride(inputs, parts), 0);
            list
        };
        let lists: Vec<u32> = (0..parts).flat_map(list).collect();
        Ok(Some(Self { zeros: device.upload("zeros", &vec![0.0f32; outputs])?, parts: device.upload("parts", &lists)? }))
    }
}

/// A list for the kernels: the number of `entries`, they, and what follows them.
fn list(device: &Device, label: &str, entries: &[u32], more: &[u32]) -> Result<Buffer> {
    device.upload(label, &[&[entries.len() as u32], entries, more].concat())
}

fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

/// Weights \[outputs, inputs\] as \[inputs, outputs\], the outputs padded to vec4s.
fn packed(device: &Device, [inputs, outputs]: [usize; 2], weights: &[f64]) -> Result<Buffer> {
    // Some inputs of each output in turn: one at a time would take a line of the cache for every weight.
    const INPUTS: usize = 16;
    let padded = outputs.next_multiple_of(4);
    let mut packed = vec![0.0f32; inputs * padded];
    packed.par_chunks_mut(INPUTS * padded).enumerate().for_each(|(block, lines)| {
        for output in 0..outputs {
            let of_output = &weights[output * inputs + block * INPUTS..];
            lines.chunks_exact_mut(padded).zip(of_output).for_each(|(line, &weight)| line[output] = weight as f32);
        }
    });
    device.upload("weights", &packed)
}

fn is_exact([inputs, outputs]: [usize; 2]) -> bool {
    inputs < FEWEST_FACTORS[0] || outputs < FEWEST_FACTORS[1]
}

/// Whether the groups are too small for products of their own.
pub fn has_small_groups(product: &lowering::Product) -> bool {
    product.groups > 1 && product.output[0] / product.groups < FEWEST_OUTPUTS_OF_GROUP
}

/// Every phase of every group.
pub fn products(device: &Device, product: &lowering::Product, then: Option<Function>) -> Result<Vec<Product>> {
    let ([channels, height, width], [all, rows, columns]) = (product.input, product.output);
    let [of_group, outputs] = [channels, all].map(|channels| channels / product.groups);
    let upload = |(phase, group): (&Phase, usize)| {
        let mut taps = phase.taps(of_group, [height, width]);
        for tap in &mut taps {
            *tap += (group * of_group * height * width) as u32;
        }
        let (corners, places) = (phase.corners(width), phase.places(columns));
        let is_whole = places.iter().enumerate().all(|(at, &place)| at as u32 == place) && places.len() == rows * columns;
        let (inputs, first) = (taps.len(), group * outputs);
        Ok(Product {
            weights: packed(device, [inputs, outputs], &phase.weight[first * inputs..])?,
            bias: device.upload("bias", &single(&product.bias[first..first + outputs]))?,
            rows: list(device, "rows", &taps, &[])?,
            positions: list(device, "positions", &corners, if is_whole { &[] } else { &places })?,
            inputs,
            outputs,
            places: places.len(),
            first: first * rows * columns,
            scatter: (!is_whole).then_some(rows * columns),
            then,
            exact: is_exact([inputs, outputs]),
            split: if product.is_linear() { Split::new(device, [inputs, outputs])? } else { None },
        })
    };
    product.phases.iter().flat_map(|phase| (0..product.groups).map(move |group| (phase, group))).map(upload).collect()
}

/// Every phase, of small groups.
pub fn grouped(device: &Device, product: &lowering::Product) -> Result<Vec<Grouped>> {
    let ([channels, height, width], [outputs, rows, columns]) = (product.input, product.output);
    let of_group = channels / product.groups;
    let upload = |phase: &Phase| {
        let (taps, corners, places) = (phase.taps(of_group, [height, width]), phase.corners(width), phase.places(columns));
        Ok(Grouped {
            weights: device.upload("weights", &single(&phase.weight))?,
            bias: device.upload("bias", &single(&product.bias))?,
            taps: device.upload("taps", &taps)?,
            positions: device.upload("positions", &[corners.as_slice(), &places].concat())?,
            places: places.len(),
            tap_count: taps.len(),
            outputs,
            group_outputs: outputs / product.groups,
            group_rows: of_group * height * width,
            plane: rows * columns,
        })
    };
    product.phases.iter().map(upload).collect()
}

/// Where the taps of each output pixel of a plane begin, the taps with their weights, and whether their maximum is taken.
pub fn taps(device: &Device, plane: &Plane) -> Result<(Buffer, Buffer, bool)> {
    let taps = plane.taps();
    let pairs: Vec<[u32; 2]> = taps.places.iter().zip(&taps.shares).map(|(&place, &share)| [place, (share as f32).to_bits()]).collect();
    Ok((device.upload("starts", &taps.starts)?, device.upload("taps", &pairs)?, taps.maximum))
}

/// Scale and offset of each unit in turn.
pub fn coefficients(device: &Device, scale: &[f64], offset: &[f64]) -> Result<Buffer> {
    let pairs: Vec<[f32; 2]> = scale.iter().zip(offset).map(|(&scale, &offset)| [scale as f32, offset as f32]).collect();
    device.upload("coefficients", &pairs)
}

/// The head of a program as layers that a shared mask thins, if it is of that form, given its steps.
pub fn thinned(device: &Device, program: &Program, head: &[Step]) -> Result<Option<Vec<Thinned>>> {
    let Some(shapes) = thinnable(program) else { return Ok(None) };
    let subtract = subtracts(&shapes);
    let products = head.iter().filter_map(|step| match &step.kind {
        StepKind::Products(products) => products.first().map(|product| (step, product)),
        _ => None,
    });
    let layer = |(number, (shape, (step, product))): (usize, (ThinShape, (&Step, &Product)))| {
        let product = Product { then: shape.then.first().copied(), ..product.clone() };
        let full = if number == 0 && subtract { Some(device.upload("zeros", &vec![0.0f32; product.outputs])?) } else { None };
        let (node, more) = (Arc::clone(&step.node), shape.then.into_iter().skip(1).collect());
        Ok(Thinned { node, product, dropout: shape.dropout, more, full })
    };
    shapes.into_iter().zip(products).enumerate().map(layer).collect::<Result<_>>().map(Some)
}

/// Operations of a thinned draw of a point, on average; and of what all draws share.
pub fn thinned_flops(layers: &[Thinned]) -> [f64; 2] {
    let kept = |dropout: Option<(u32, f64)>| dropout.map_or(1.0, |(_, rate)| 1.0 - rate);
    let of_draw = layers.iter().enumerate().map(|(number, layer)| {
        let outputs = kept(layers.get(number + 1).and_then(|next| next.dropout)) * layer.product.outputs as f64;
        let share = if layer.full.is_some() { 1.0 - kept(layer.dropout) } else { kept(layer.dropout) };
        2.0 * share * layer.product.inputs as f64 * outputs
    });
    let Product { inputs, outputs, .. } = layers[0].product;
    let shared = if layers[0].full.is_some() { 2.0 * (inputs * outputs) as f64 } else { 0.0 };
    [of_draw.sum(), shared]
}
