//! A lowered network as steps on panels of points.

use super::convolution::Convolution;
use super::functions;
use super::gaussian::Drawn;
use super::kernel::{LANES, Row};
use super::masks::Address;
use super::tally;
use super::winograd::Winograd;
use crate::nets::Function;
use crate::nets::lowering::Taps;

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

/// A linear map or maxima, the same of every channel of `size` rows.
#[derive(Debug)]
pub struct Plane {
    pub size: usize,
    pub taps: Taps,
}

/// Buffers of one task, kept from one to the next.
#[derive(Debug, Default)]
pub struct Scratch {
    pub buffers: Vec<Vec<Row>>,
    work: Vec<Row>,
    lines: Vec<Row>,
    /// The values of each panel that cross from trunk to head, while the draws run.
    pub trunks: Vec<Vec<Vec<Row>>>,
    /// The part of the first thinned layer that all draws share, panel by panel.
    pub base: Vec<Row>,
    /// The activations of thinned draws.
    pub x: Vec<Row>,
    pub next: Vec<Row>,
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

impl Scratch {
    /// Puts the values of a panel that cross from trunk to head away, or takes them back.
    pub fn swap_trunk(&mut self, panel: usize, crossing: &[usize]) {
        self.trunks[panel].resize_with(crossing.len(), Vec::new);
        for (value, &buffer) in self.trunks[panel].iter_mut().zip(crossing) {
            std::mem::swap(value, &mut self.buffers[buffer]);
        }
    }
}

/// Runs steps on the scratch's buffers; without an address dropout is off.
pub fn run(steps: &[Step], address: Option<&Address>, scratch: &mut Scratch) {
    for step in steps {
        // A step that was joined from two may find its input in the buffer of its own output.
        let overlaps = matches!(step.kind, StepKind::Winograd { .. } | StepKind::Product(_)) && step.inputs[0] == step.output;
        let mut out = std::mem::take(if overlaps { &mut scratch.next } else { &mut scratch.buffers[step.output] });
        let Scratch { buffers, work, lines, .. } = scratch;
        step.run(address, buffers, [work, lines], &mut out);
        functions::apply(&step.then, &mut out);
        if let Some(pool) = &step.pool {
            std::mem::swap(lines, &mut out);
            pool.run(lines, &mut out);
        }
        let before = std::mem::replace(&mut scratch.buffers[step.output], out);
        if overlaps {
            scratch.next = before;
        }
    }
}

impl Step {
    /// The kind's result into `out`, which holds the first input where a step works in place.
    fn run(&self, address: Option<&Address>, buffers: &[Vec<Row>], [work, lines]: [&mut Vec<Row>; 2], out: &mut Vec<Row>) {
        let x = &buffers[self.inputs[0]];
        let in_place = |out: &mut Vec<Row>| {
            if self.inputs[0] != self.output {
                out.clone_from(x);
            }
        };
        match &self.kind {
            StepKind::Product(product) => product.run(x, work, out),
            StepKind::Gaussian { mean, drawn } => {
                mean.run(x, work, out);
                if let Some(address) = address {
                    drawn.add(address, x, out);
                }
            }
            StepKind::Winograd { before, winograd } => {
                let [height, width] = winograd.input_size();
                for tile_row in 0..winograd.tile_rows() {
                    if let Some(before) = before {
                        let missing = if tile_row == 0 { 0..4 } else { 2 * tile_row + 2..2 * tile_row + 4 };
                        before.run_lines(missing.start * width..missing.end * width, x, 4 * width, work, lines);
                        winograd.run(tile_row, lines, 4 * width, work, out);
                    } else {
                        winograd.run(tile_row, x, height * width, work, out);
                    }
                }
            }
            StepKind::Pad { from: [h, w], to, at } => {
                out.clear();
                out.resize(x.len() / (h * w) * to[0] * to[1], Row::splat(0.0));
                for (to_channel, channel) in out.chunks_mut(to[0] * to[1]).zip(x.chunks(h * w)) {
                    for (y, line) in channel.chunks(*w).enumerate() {
                        to_channel[(at[0] + y) * to[1] + at[1]..][..*w].copy_from_slice(line);
                    }
                }
            }
            StepKind::Plane(plane) => plane.run(x, out),
            StepKind::Identity => in_place(out),
            StepKind::Affine { scale, offset } => {
                in_place(out);
                let unit = out.len() / scale.len();
                for ((unit, scale), offset) in out.chunks_mut(unit).zip(scale).zip(offset) {
                    unit.iter_mut().flat_map(|row| &mut row.0).for_each(|value| *value = *value * scale + offset);
                }
            }
            StepKind::Normalise { groups, epsilon, scale, offset } => {
                out.clone_from(x);
                normalise(out, *groups, *epsilon, scale, offset);
            }
            StepKind::Add => {
                in_place(out);
                self.combine(buffers, out, |sum, x| sum + x);
            }
            StepKind::Multiply => {
                in_place(out);
                self.combine(buffers, out, |product, x| product * x);
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
    fn combine(&self, buffers: &[Vec<Row>], out: &mut [Row], combine: impl Fn(f32, f32) -> f32) {
        for &other in &self.inputs[1..] {
            let other = &buffers[other];
            let unit = out.len() / other.len();
            for (rows, other) in out.chunks_mut(unit).zip(other) {
                for row in rows {
                    row.0.iter_mut().zip(&other.0).for_each(|(value, &other)| *value = combine(*value, other));
                }
            }
        }
    }
}

impl Plane {
    fn run(&self, x: &[Row], out: &mut Vec<Row>) {
        out.clear();
        for channel in x.chunks(self.size) {
            out.extend(self.taps.starts.windows(2).map(|window| {
                let window = window[0] as usize..window[1] as usize;
                let (places, shares) = (&self.taps.places[window.clone()], &self.taps.shares[window]);
                if self.taps.maximum { maximum(channel, places) } else { weighted_sum(channel, places, shares) }
            }));
        }
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
