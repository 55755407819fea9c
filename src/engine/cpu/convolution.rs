//! Products of any form on panels of points: linear layers, convolutions, transposed and grouped ones.

use super::functions;
use super::kernel::{LANES, Packed, Row, add_products};
use crate::nets::Function;
use crate::nets::lowering::{Phase, Product};
use pulp::{Arch, Simd, WithSimd};
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

    /// All outputs.
    pub fn run(&self, x: &[Row], work: &mut Vec<Row>, out: &mut Vec<Row>) {
        out.resize(self.bias.len() * self.plane, Row::splat(0.0));
        for channel in out.chunks_mut(self.plane) {
            self.border.iter().for_each(|&row| channel[row as usize] = Row::splat(0.0));
        }
        for phase in &self.phases {
            self.run_phase(phase, 0..phase.corners.len(), x, self.plane, work, out);
        }
    }

    /// The outputs at some of the positions. In `out` a channel has `plane` rows, which start over when they are full.
    pub fn run_lines(&self, positions: Range<usize>, x: &[Row], plane: usize, work: &mut Vec<Row>, out: &mut Vec<Row>) {
        out.resize(self.bias.len() * plane, Row::splat(0.0));
        self.run_phase(&self.phases[0], positions, x, plane, work, out);
    }

    fn run_phase(&self, phase: &PreparedPhase, positions: Range<usize>, x: &[Row], plane: usize, work: &mut Vec<Row>, out: &mut [Row]) {
        match &phase.weights {
            Weights::Depthwise(weights) => self.run_depthwise(phase, weights, x, out),
            Weights::Packed(packed) => {
                let of_group = self.bias.len() / self.groups;
                for (group, weights) in packed.iter().enumerate() {
                    let bias = &self.bias[group * of_group..][..of_group];
                    let (x, out) = (&x[group * self.group_size..], &mut out[group * of_group * plane..]);
                    let mut at = positions.start;
                    for corners in phase.corners[positions.clone()].chunks(POSITIONS) {
                        work.clear();
                        work.extend(corners.iter().flat_map(|_| bias).map(|&bias| Row::splat(bias)));
                        add_products(corners.iter().map(|&corner| &x[corner as usize..]), &phase.taps, weights, work);
                        functions::apply(&self.then, work);
                        let place = |at: usize| phase.places.as_ref().map_or(at, |places| places[at] as usize) % plane;
                        let places: [usize; POSITIONS] = std::array::from_fn(|number| place((at + number).min(positions.end - 1)));
                        // Channel by channel: neighbours lie on one page of memory.
                        for (output, channel) in out.chunks_exact_mut(plane).take(of_group).enumerate() {
                            for (&place, row) in places.iter().zip(work[output..].iter().step_by(of_group)) {
                                channel[place] = *row;
                            }
                        }
                        at += corners.len();
                    }
                }
            }
        }
    }

    fn run_depthwise(&self, phase: &PreparedPhase, weights: &[f32], x: &[Row], out: &mut [Row]) {
        let taps = phase.taps.len();
        let mut line = [Row::splat(0.0); LINE];
        for (channel, plane) in out.chunks_mut(self.plane).enumerate() {
            let (x, weights) = (&x[channel * self.group_size..], &weights[channel * taps..][..taps]);
            let bias = self.bias[channel];
            let mut at = 0;
            for corners in phase.corners.chunks(LINE) {
                Arch::new().dispatch(DepthwiseLine { x, corners, taps: &phase.taps, weights, bias, out: &mut line });
                functions::apply(&self.then, &mut line[..corners.len()]);
                for row in &line[..corners.len()] {
                    plane[phase.places.as_ref().map_or(at, |places| places[at] as usize)] = *row;
                    at += 1;
                }
            }
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
