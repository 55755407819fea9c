//! A lowered network as steps on panels of points.

use super::convolution::Convolution;
use super::functions;
use super::gaussian::Drawn;
use super::kernel::{LANES, Row, even_parts};
use super::masks::Address;
use super::scratch::{Part, Scratch};
use super::sharing::in_parts;
use super::tally;
use super::winograd::Winograd;
use crate::nets::Function;
use crate::nets::lowering::Taps;
use rayon::prelude::*;
use std::ops::Range;

/// Numbers that are added up in single precision. Longer sums add such parts in double precision: the rounding error of one running sum
/// grows with the number of its terms.
const PART: usize = 32;

/// A program, prepared: as many steps as instructions. Buffers are numbered.
#[derive(Debug, Default)]
pub struct Steps {
    pub all: Vec<Step>,
    /// The number of steps that do not depend on a draw.
    pub head: usize,
    /// The buffer of the input.
    pub input: usize,
    /// The buffer of the output.
    pub output: usize,
    /// How many buffers there are.
    pub buffers: usize,
    /// The buffers that draws read and none writes.
    pub crossing: Vec<usize>,
    /// Rows of all buffers.
    pub rows: usize,
    /// Rows of the buffers that cross from trunk to head.
    pub crossing_rows: usize,
}

/// One step: from buffers to a buffer.
#[derive(Debug)]
pub struct Step {
    /// Its name in a profile: the operation and the nodes of the network.
    pub name: String,
    /// Floating-point operations for one point, as `Instruction::flops` counts them.
    pub flops: f64,
    pub kind: StepKind,
    pub inputs: Vec<usize>,
    pub output: usize,
    /// Functions of the result that the kind itself has not applied.
    pub then: Vec<Function>,
    /// A pool after them that the kind itself has not taken.
    pub pool: Option<Plane>,
}

#[derive(Debug)]
pub enum StepKind {
    Product(Convolution),
    /// A 3×3 convolution of stride 1 in the fast way; with the convolution before it, whose output is then made line by line
    /// just before it is used, for as a whole it would not fit into the cache.
    Winograd {
        before: Option<Convolution>,
        winograd: Winograd,
    },
    /// An image \[channels, h, w\] into the middle of a larger one of zeros.
    Pad {
        from: [usize; 2],
        to: [usize; 2],
        at: [usize; 2],
    },
    Plane(Plane),
    Identity,
    Affine {
        scale: Vec<f32>,
        offset: Vec<f32>,
    },
    Normalise {
        groups: usize,
        epsilon: f64,
        scale: Vec<f32>,
        offset: Vec<f32>,
    },
    Add,
    Multiply,
    Concatenate,
    Softmax {
        size: usize,
        log: bool,
    },
    /// Dropout; nothing in a deterministic pass.
    Mask {
        stream: u32,
        rate: f64,
        size: usize,
    },
    /// A linear layer whose weights are drawn; in a deterministic pass only the product with their means.
    Gaussian {
        mean: Convolution,
        drawn: Drawn,
    },
}

impl StepKind {
    /// The name of the operation in a profile.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Product(_) => "product",
            Self::Winograd { .. } => "winograd",
            Self::Pad { .. } => "padding",
            Self::Plane(_) => "pool or resampling",
            Self::Identity => "function",
            Self::Affine { .. } => "scale",
            Self::Normalise { .. } => "normalisation",
            Self::Add => "sum",
            Self::Multiply => "elementwise product",
            Self::Concatenate => "concatenation",
            Self::Softmax { .. } => "softmax",
            Self::Mask { .. } => "mask",
            Self::Gaussian { .. } => "drawn weights",
        }
    }
}

/// A linear map or maxima, the same of every channel of `size` rows.
#[derive(Debug)]
pub struct Plane {
    pub size: usize,
    pub taps: Taps,
}

impl Steps {
    /// Sees to it that the buffers are there.
    pub fn reserve(&self, scratch: &mut Scratch) {
        if scratch.buffers.len() < self.buffers {
            scratch.buffers.resize_with(self.buffers, Vec::new);
        }
    }

    pub fn trunk(&self) -> &[Step] {
        &self.all[..self.head]
    }

    pub fn head(&self) -> &[Step] {
        &self.all[self.head..]
    }
}

/// Runs steps on the scratch's buffers; without an address dropout is off.
pub fn run(steps: &[Step], address: Option<&Address>, scratch: &mut Scratch) {
    for step in steps {
        let start = scratch.start();
        // A step that was joined from two may find its input in the buffer of its own output.
        let overlaps = matches!(step.kind, StepKind::Winograd { .. } | StepKind::Product(_)) && step.inputs[0] == step.output;
        let mut out = std::mem::take(if overlaps { &mut scratch.next } else { &mut scratch.buffers[step.output] });
        let Scratch { buffers, parts, .. } = scratch;
        step.run(address, buffers, parts, &mut out);
        if !step.then.is_empty() {
            in_parts(parts.len(), 1, &mut out, |_, rows| functions::apply(&step.then, rows));
        }
        if let Some(pool) = &step.pool {
            let unpooled = std::mem::replace(&mut out, std::mem::take(&mut parts[0].lines));
            pool.run(&unpooled, parts.len(), &mut out);
            parts[0].lines = unpooled;
        }
        let before = std::mem::replace(&mut scratch.buffers[step.output], out);
        if overlaps {
            scratch.next = before;
        }
        scratch.clock(start, || step.name.clone(), step.flops);
    }
}

impl Step {
    /// The kind's result into `out`, which holds the first input where a step works in place.
    fn run(&self, address: Option<&Address>, buffers: &[Vec<Row>], parts: &mut [Part], out: &mut Vec<Row>) {
        let x = &buffers[self.inputs[0]];
        let in_place = |out: &mut Vec<Row>| {
            if self.inputs[0] != self.output {
                out.clone_from(x);
            }
        };
        match &self.kind {
            StepKind::Product(product) => product.run(x, parts, out),
            StepKind::Gaussian { mean, drawn } => {
                mean.run(x, parts, out);
                if let Some(address) = address {
                    drawn.add(address, x, out);
                }
            }
            StepKind::Winograd { before, winograd } => run_winograd(before.as_ref(), winograd, x, parts, out),
            StepKind::Pad { from: [h, w], to, at } => {
                out.clear();
                out.resize(x.len() / (h * w) * to[0] * to[1], Row::splat(0.0));
                in_parts(parts.len(), to[0] * to[1], out, |first, out| {
                    for (to_channel, channel) in out.chunks_mut(to[0] * to[1]).zip(x.chunks(h * w).skip(first)) {
                        for (y, line) in channel.chunks(*w).enumerate() {
                            to_channel[(at[0] + y) * to[1] + at[1]..][..*w].copy_from_slice(line);
                        }
                    }
                });
            }
            StepKind::Plane(plane) => plane.run(x, parts.len(), out),
            StepKind::Identity => in_place(out),
            StepKind::Affine { scale, offset } => {
                in_place(out);
                let unit = out.len() / scale.len();
                in_parts(parts.len(), unit, out, |first, out| {
                    for ((unit, scale), offset) in out.chunks_mut(unit).zip(&scale[first..]).zip(&offset[first..]) {
                        unit.iter_mut().flat_map(|row| &mut row.0).for_each(|value| *value = *value * scale + offset);
                    }
                });
            }
            StepKind::Normalise { groups, epsilon, scale, offset } => {
                out.clone_from(x);
                normalise(out, *groups, *epsilon, scale, offset);
            }
            StepKind::Add => {
                in_place(out);
                self.combine(buffers, parts.len(), out, |sum, x| sum + x);
            }
            StepKind::Multiply => {
                in_place(out);
                self.combine(buffers, parts.len(), out, |product, x| product * x);
            }
            StepKind::Concatenate => {
                out.clear();
                self.inputs.iter().for_each(|&input| out.extend_from_slice(&buffers[input]));
            }
            StepKind::Softmax { size, log } => {
                out.clone_from(x);
                let softmax = if *log { tally::log_softmax } else { tally::softmax };
                for place in 0..*size {
                    let of_place: Vec<Row> = x.iter().skip(place).step_by(*size).copied().collect();
                    for (to, p) in out.iter_mut().skip(place).step_by(*size).zip(softmax(&of_place)) {
                        *to = Row(p.map(|p| p as f32));
                    }
                }
            }
            StepKind::Mask { stream, rate, size } => {
                in_place(out);
                if let Some(address) = address {
                    address.apply(*stream, *rate, *size, out);
                }
            }
        }
    }

    /// Combines the other inputs with the first, which `out` holds. A shorter one has a row per unit.
    fn combine(&self, buffers: &[Vec<Row>], parts: usize, out: &mut [Row], combine: impl Fn(f32, f32) -> f32 + Sync) {
        for &other in &self.inputs[1..] {
            let other = &buffers[other];
            let unit = out.len() / other.len();
            in_parts(parts, unit, out, |first, out| {
                for (rows, other) in out.chunks_mut(unit).zip(&other[first..]) {
                    for row in rows {
                        row.0.iter_mut().zip(&other.0).for_each(|(value, &other)| *value = combine(*value, other));
                    }
                }
            });
        }
    }
}

/// Some rows of tiles, and the channels of the output without their first places, of which the number stands between.
type TileRows<'a> = (Range<usize>, usize, Vec<&'a mut [Row]>);

/// Row by row of tiles; the threads share the rows.
fn run_winograd(before: Option<&Convolution>, winograd: &Winograd, x: &[Row], parts: &mut [Part], out: &mut Vec<Row>) {
    let ([height, width], count) = (winograd.input_size(), winograd.tile_rows());
    let run = |(task, Part { work, lines }): (TileRows<'_>, &mut Part)| {
        let (rows, first, mut channels) = task;
        for tile_row in rows.clone() {
            if let Some(before) = before {
                let missing = if tile_row == rows.start { 2 * tile_row } else { 2 * tile_row + 2 };
                before.run_lines(missing * width..(2 * tile_row + 4) * width, x, 4 * width, work, lines);
                winograd.run(tile_row, lines, 4 * width, work, first, &mut channels);
            } else {
                winograd.run(tile_row, x, height * width, work, first, &mut channels);
            }
        }
    };
    let mut rest = winograd.channels(out);
    if let [part] = parts {
        return run(((0..count, 0, rest), part));
    }
    let mut tasks = Vec::with_capacity(parts.len());
    for rows in even_parts(count, count.div_ceil(parts.len())) {
        let (first, end) = (winograd.place(rows.start), winograd.place(rows.end));
        let (channels, others): (Vec<_>, Vec<_>) = rest.into_iter().map(|channel| channel.split_at_mut(end - first)).unzip();
        tasks.push((rows, first, channels));
        rest = others;
    }
    tasks.into_par_iter().zip(parts).for_each(run);
}

impl Plane {
    fn run(&self, x: &[Row], parts: usize, out: &mut Vec<Row>) {
        let windows = self.taps.starts.len() - 1;
        out.resize(x.len() / self.size * windows, Row::splat(0.0));
        in_parts(parts, windows, out, |first, out| {
            for (out, channel) in out.chunks_mut(windows).zip(x.chunks(self.size).skip(first)) {
                for (out, window) in out.iter_mut().zip(self.taps.starts.windows(2)) {
                    let window = window[0] as usize..window[1] as usize;
                    let (places, shares) = (&self.taps.places[window.clone()], &self.taps.shares[window]);
                    *out = if self.taps.maximum { maximum(channel, places) } else { weighted_sum(channel, places, shares) };
                }
            }
        });
    }
}

fn maximum(channel: &[Row], places: &[u32]) -> Row {
    let Some((&first, others)) = places.split_first() else { return Row::splat(0.0) };
    let mut largest = channel[first as usize];
    for &place in others {
        for (largest, &value) in largest.0.iter_mut().zip(&channel[place as usize].0) {
            // Not `max`, which would hide NaN.
            if *largest < value || value.is_nan() {
                *largest = value;
            }
        }
    }
    largest
}

fn weighted_sum(channel: &[Row], places: &[u32], shares: &[f64]) -> Row {
    if let ([place], [1.0]) = (places, shares) {
        return channel[*place as usize];
    }
    let part = |(places, shares): (&[u32], &[f64])| {
        let mut sum = Row::splat(0.0);
        for (&place, &share) in places.iter().zip(shares) {
            sum.0.iter_mut().zip(&channel[place as usize].0).for_each(|(sum, &value)| *sum += share as f32 * value);
        }
        sum
    };
    if places.len() <= PART {
        return part((places, shares));
    }
    let mut sum = [0.0; LANES];
    for part in places.chunks(PART).zip(shares.chunks(PART)).map(part) {
        sum.iter_mut().zip(&part.0).for_each(|(sum, &part)| *sum += f64::from(part));
    }
    Row(sum.map(|sum| sum as f32))
}

fn normalise(rows: &mut [Row], groups: usize, epsilon: f64, scale: &[f32], offset: &[f32]) {
    let (unit, length) = (rows.len() / scale.len(), rows.len() / groups);
    for (number, group) in rows.chunks_mut(length).enumerate() {
        let mut mean = [0.0; LANES];
        let mut variance = [0.0; LANES];
        // By the distances from the first: those of a constant group are 0, and its variance is exactly 0.
        let first = group[0].0.map(f64::from);
        for row in &*group {
            for lane in 0..LANES {
                mean[lane] += f64::from(row.0[lane]) - first[lane];
            }
        }
        for lane in 0..LANES {
            mean[lane] = first[lane] + mean[lane] / length as f64;
        }
        for row in &*group {
            for lane in 0..LANES {
                variance[lane] += (f64::from(row.0[lane]) - mean[lane]).powi(2) / length as f64;
            }
        }
        let deviation = variance.map(|variance| (variance + epsilon).sqrt());
        for (at, row) in group.iter_mut().enumerate() {
            let unit = (number * length + at) / unit;
            for lane in 0..LANES {
                let normalised = (f64::from(row.0[lane]) - mean[lane]) / deviation[lane];
                row.0[lane] = normalised as f32 * scale[unit] + offset[unit];
            }
        }
    }
}
