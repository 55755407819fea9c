//! Products of any form on panels of points: linear layers, convolutions, transposed and grouped ones.

use super::functions;
use super::kernel::{LANES, Packed, Row, add_some_products, even_parts};
use super::scratch::Part;
use super::sharing::LEAST_PRODUCTS;
use crate::nets::Function;
use crate::nets::lowering::{Phase, Product};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// Places of a convolution's output that are computed at once: few enough for the innermost cache.
const POSITIONS: usize = 8;

/// Places of a depthwise convolution's output that are computed at once.
const LINE: usize = 32;

/// A product, prepared.
#[derive(Debug)]
pub struct Convolution {
    phases: Vec<PreparedPhase>,
    bias: Vec<f32>,
    groups: usize,
    /// Rows of a group's input.
    group_size: usize,
    /// Rows of a channel of the output.
    plane: usize,
    /// Rows of a channel of the output that stay 0: the padding for the convolution after it.
    border: Vec<u32>,
    then: Vec<Function>,
}

#[derive(Debug)]
struct PreparedPhase {
    /// The places of the inputs relative to a position.
    taps: Vec<u32>,
    /// Where the positions begin in the input.
    corners: Vec<u32>,
    /// Where they stand in the output; none where position i stands at place i.
    places: Option<Vec<u32>>,
    weights: Weights,
}

#[derive(Debug)]
enum Weights {
    /// Of each group.
    Packed(Vec<Packed>),
    /// \[channels, taps\] of a depthwise convolution.
    Depthwise(Vec<f32>),
}

impl Convolution {
    pub fn new(product: &Product, then: &[Function]) -> Self {
        let ([channels, height, width], [outputs, rows, columns]) = (product.input, product.output);
        let phase = |phase: &Phase| {
            let (taps, places) = (phase.taps(channels / product.groups, [height, width]), phase.places(columns));
            let inputs = taps.len();
            let weights = if product.groups > 1 && product.groups == channels && channels == outputs {
                Weights::Depthwise(phase.weight.iter().map(|&weight| weight as f32).collect())
            } else {
                let of_group = outputs / product.groups;
                let packed = |group: usize| {
                    let weight = &phase.weight[group * of_group * inputs..];
                    Packed::new(of_group, inputs, |i| move |o| weight[o * inputs + i] as f32)
                };
                Weights::Packed((0..product.groups).map(packed).collect())
            };
            let in_order = places.len() == rows * columns && places.iter().enumerate().all(|(at, &place)| at == place as usize);
            PreparedPhase { taps, corners: phase.corners(width), places: (!in_order).then_some(places), weights }
        };
        Self {
            phases: product.phases.iter().map(phase).collect(),
            bias: product.bias.iter().map(|&bias| bias as f32).collect(),
            groups: product.groups,
            group_size: channels / product.groups * height * width,
            plane: rows * columns,
            border: Vec::new(),
            then: then.to_vec(),
        }
    }

    /// The same with the output in the middle of a larger image of zeros, its first pixel at row and column `at`.
    pub fn padded(mut self, from: [usize; 2], to: [usize; 2], at: [usize; 2]) -> Self {
        let moved = |place: usize| ((at[0] + place / from[1]) * to[1] + at[1] + place % from[1]) as u32;
        for phase in &mut self.phases {
            let places = phase.places.take().unwrap_or_else(|| (0..phase.corners.len() as u32).collect());
            phase.places = Some(places.into_iter().map(|place| moved(place as usize)).collect());
        }
        let within = |row: usize| (0..2).all(|axis| (at[axis]..at[axis] + from[axis]).contains(&[row / to[1], row % to[1]][axis]));
        self.border = (0..to[0] * to[1]).filter(|&row| !within(row)).map(|row| row as u32).collect();
        self.plane = to[0] * to[1];
        self
    }

    /// Whether it can run line by line: one matrix, and every position at its place.
    pub fn has_lines(&self) -> bool {
        matches!(&self.phases[..], [PreparedPhase { places: None, weights: Weights::Packed(_), .. }]) && self.groups == 1
    }

    /// Rows of a channel of the output.
    pub fn plane(&self) -> usize {
        self.plane
    }

    /// All outputs, as many threads at once as there are `parts`.
    pub fn run(&self, x: &[Row], parts: &mut [Part], out: &mut Vec<Row>) {
        out.resize(self.bias.len() * self.plane, Row::splat(0.0));
        for channel in out.chunks_mut(self.plane) {
            self.border.iter().for_each(|&row| channel[row as usize] = Row::splat(0.0));
        }
        for phase in &self.phases {
            let products = phase.corners.len() * phase.taps.len() * self.bias.len();
            match &phase.weights {
                Weights::Depthwise(weights) => self.run_depthwise(phase, weights, x, parts.len() > 1 && products >= LEAST_PRODUCTS, out),
                Weights::Packed(packed) => {
                    let parts = if products / self.groups < LEAST_PRODUCTS { &mut parts[..1] } else { &mut *parts };
                    self.run_packed(phase, packed, x, parts, out);
                }
            }
        }
    }

    /// The outputs at some of the positions. In `out` a channel has `plane` rows, which start over when they are full.
    pub fn run_lines(&self, positions: Range<usize>, x: &[Row], plane: usize, work: &mut Vec<Row>, out: &mut Vec<Row>) {
        out.resize(self.bias.len() * plane, Row::splat(0.0));
        let phase = &self.phases[0];
        if let Weights::Packed(packed) = &phase.weights {
            let mut channels: Vec<&mut [Row]> = out.chunks_exact_mut(plane).collect();
            let task = Task { weights: &packed[0], x, bias: &self.bias, outputs: 0..self.bias.len(), positions, plane, first: 0 };
            task.run(phase, &self.then, work, &mut channels);
        }
    }

    /// Group by group; the threads share the positions of a group, or its outputs where these are more.
    fn run_packed(&self, phase: &PreparedPhase, packed: &[Packed], x: &[Row], parts: &mut [Part], out: &mut [Row]) {
        let (of_group, plane, count) = (self.bias.len() / self.groups, self.plane, phase.corners.len());
        for (group, weights) in packed.iter().enumerate() {
            let x = &x[group * self.group_size..];
            let mut rest: Vec<&mut [Row]> = out[group * of_group * plane..].chunks_exact_mut(plane).take(of_group).collect();
            let all = Task { weights, x, bias: &self.bias[group * of_group..], outputs: 0..of_group, positions: 0..count, plane, first: 0 };
            let mut tasks = Vec::with_capacity(parts.len());
            if count >= parts.len() {
                for positions in even_parts(count, count.div_ceil(parts.len())) {
                    let (first, end) = (plane - rest[0].len(), if positions.end == count { plane } else { phase.place(positions.end) });
                    let (channels, others): (Vec<_>, Vec<_>) = rest.into_iter().map(|channel| channel.split_at_mut(end - first)).unzip();
                    tasks.push((Task { positions, first, ..all.clone() }, channels));
                    rest = others;
                }
            } else {
                for outputs in weights.parts(parts.len()) {
                    let others = rest.split_off(outputs.len());
                    tasks.push((Task { outputs, ..all.clone() }, std::mem::replace(&mut rest, others)));
                }
            }
            let run = |((task, mut channels), part): ((Task<'_>, Vec<&mut [Row]>), &mut Part)| {
                task.run(phase, &self.then, &mut part.work, &mut channels);
            };
            match &mut parts[..] {
                [part] => tasks.into_iter().for_each(|task| run((task, &mut *part))),
                parts => tasks.into_par_iter().zip(parts).for_each(run),
            }
        }
    }

    /// Channel by channel; the threads share the channels.
    fn run_depthwise(&self, phase: &PreparedPhase, weights: &[f32], x: &[Row], is_shared: bool, out: &mut [Row]) {
        let taps = phase.taps.len();
        let of_channel = |(channel, plane): (usize, &mut [Row])| {
            let mut line = [Row::splat(0.0); LINE];
            let (x, weights) = (&x[channel * self.group_size..], &weights[channel * taps..][..taps]);
            let bias = self.bias[channel];
            let mut at = 0;
            for corners in phase.corners.chunks(LINE) {
                Arch::new().dispatch(DepthwiseLine { x, corners, taps: &phase.taps, weights, bias, out: &mut line });
                functions::apply(&self.then, &mut line[..corners.len()]);
                for row in &line[..corners.len()] {
                    plane[phase.place(at)] = *row;
                    at += 1;
                }
            }
        };
        if is_shared {
            out.par_chunks_mut(self.plane).enumerate().for_each(of_channel);
        } else {
            out.chunks_mut(self.plane).enumerate().for_each(of_channel);
        }
    }
}

impl PreparedPhase {
    /// The place of a position in the output: the later, the larger.
    fn place(&self, position: usize) -> usize {
        self.places.as_ref().map_or(position, |places| places[position] as usize)
    }
}

/// Some outputs of a group at some positions of a phase.
#[derive(Clone)]
struct Task<'a> {
    weights: &'a Packed,
    /// The input of the group, and the bias of its outputs.
    x: &'a [Row],
    bias: &'a [f32],
    outputs: Range<usize>,
    positions: Range<usize>,
    /// Rows of a channel, which start over when they are full.
    plane: usize,
    /// The first places of each channel, which are left out.
    first: usize,
}

impl Task<'_> {
    /// Writes the rows of each output into its channel.
    fn run(&self, phase: &PreparedPhase, then: &[Function], work: &mut Vec<Row>, channels: &mut [&mut [Row]]) {
        let outputs = self.outputs.len();
        let mut at = self.positions.start;
        for corners in phase.corners[self.positions.clone()].chunks(POSITIONS) {
            work.clear();
            work.extend(corners.iter().flat_map(|_| &self.bias[self.outputs.clone()]).map(|&bias| Row::splat(bias)));
            let xs = corners.iter().map(|&corner| &self.x[corner as usize..]);
            add_some_products(xs, &phase.taps, self.weights, self.outputs.clone(), work);
            functions::apply(then, work);
            let place = |at: usize| phase.place(at) % self.plane - self.first;
            let places: [usize; POSITIONS] = std::array::from_fn(|number| place((at + number).min(self.positions.end - 1)));
            // Channel by channel: neighbours lie on one page of memory.
            for (output, channel) in channels.iter_mut().enumerate() {
                for (&place, row) in places.iter().zip(work[output..].iter().step_by(outputs)) {
                    channel[place] = *row;
                }
            }
            at += corners.len();
        }
    }
}

/// Some outputs of one channel of a depthwise convolution.
struct DepthwiseLine<'a> {
    x: &'a [Row],
    corners: &'a [u32],
    taps: &'a [u32],
    weights: &'a [f32],
    bias: f32,
    out: &'a mut [Row],
}

impl WithSimd for DepthwiseLine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (out, &corner) in self.out.iter_mut().zip(self.corners) {
            let x = &self.x[corner as usize..];
            for part in (0..LANES / S::F32_LANES).step_by(2) {
                let mut sums = [simd.splat_f32s(self.bias); 2];
                for (&tap, &weight) in self.taps.iter().zip(self.weights) {
                    let (weight, x) = (simd.splat_f32s(weight), S::as_simd_f32s(&x[tap as usize].0).0);
                    sums = [simd.mul_add_e_f32s(weight, x[part], sums[0]), simd.mul_add_e_f32s(weight, x[part + 1], sums[1])];
                }
                S::as_mut_simd_f32s(&mut out.0).0[part..part + 2].copy_from_slice(&sums);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of a depthwise convolution as a processor with AVX2 alone computes them, on one that has more. NEON has never been run.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn depthwise_lines_with_avx2_are_those_of_the_widest_vectors() {
        let Some(avx2) = pulp::x86::V3::try_new() else { return };
        let value = |at: usize| ((at * 37 % 101) as f32 - 50.0) / 50.0;
        let x: Vec<Row> = (0..90).map(|row| Row(std::array::from_fn(|lane| value(row * LANES + lane)))).collect();
        let weights: Vec<f32> = (0..15).map(|at| value(at + 3)).collect();
        let taps: Vec<u32> = (0..15).map(|tap| tap / 5 * 9 + tap % 5).collect();
        for count in [1, 7, LINE] {
            let corners: Vec<u32> = (0..count as u32).map(|at| at / 5 * 9 + at % 5).collect();
            let [mut widest, mut narrow] = [(); 2].map(|()| vec![Row::splat(9.0); count]);
            let line = |out| DepthwiseLine { x: &x, corners: &corners, taps: &taps, weights: &weights, bias: 0.25, out };
            Arch::new().dispatch(line(&mut widest));
            Simd::vectorize(avx2, line(&mut narrow));
            let differences = widest.iter().zip(&narrow).flat_map(|(a, b)| a.0.iter().zip(&b.0)).map(|(a, b)| (a - b).abs());
            assert!(differences.fold(0.0, f32::max) <= 1e-5, "{count} places");
            // One output by its definition.
            let expected: f32 = 0.25 + taps.iter().zip(&weights).map(|(&tap, weight)| x[tap as usize].0[3] * weight).sum::<f32>();
            assert!((narrow[0].0[3] - expected).abs() <= 1e-5 && (narrow[0].0[4] - expected).abs() > 1e-3);
        }
    }
}
