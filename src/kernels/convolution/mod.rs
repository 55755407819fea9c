//! Convolutions as im2col and matrix products, and their adjoints.

mod bands;
mod block;
mod columns;
mod depthwise;
#[cfg(test)]
mod tests;
mod transposed;

use super::{Real, vectorised};
use rayon::prelude::*;
use std::ops::Range;

pub use block::{ConvolutionBlock, Gradients};
pub use transposed::TransposedConvolution;

/// The weight gradient is summed within this many groups of images, then over the groups in order: the same bits with any
/// number of threads.
const GROUPS: usize = 8;

/// The geometry of a 2-D cross-correlation with zero padding (PyTorch's `Conv2d`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// [channels, height, width] of an input image.
    pub input: [usize; 3],
    /// [channels, height, width] of an output image.
    pub output: [usize; 3],
    /// [height, width] of the kernel.
    pub kernel: [usize; 2],
    /// Steps along [height, width].
    pub stride: [usize; 2],
    /// Zeros before [height, width]; there may be fewer or more of them behind.
    pub padding: [usize; 2],
    /// Distances of the kernel's taps along [height, width].
    pub dilation: [usize; 2],
    /// Groups of channels that are convolved each by itself.
    pub groups: usize,
}

/// Output rows whose input row, or columns whose input column, lies in the image.
#[derive(Clone, Copy)]
struct Run {
    /// The first output, and one past the last.
    first: usize,
    end: usize,
    /// The input of the first.
    from: usize,
}

impl Convolution {
    /// Places of an output channel.
    fn pixels(&self) -> usize {
        self.output[1] * self.output[2]
    }

    /// Taps of an output: rows of a group's columns.
    fn taps(&self) -> usize {
        self.input[0] / self.groups * self.kernel[0] * self.kernel[1]
    }

    fn input_len(&self) -> usize {
        self.input.iter().product()
    }

    fn output_len(&self) -> usize {
        self.output.iter().product()
    }

    /// The length of the weight \[out, in / groups, kh, kw\].
    pub fn weight_len(&self) -> usize {
        self.output[0] * self.taps()
    }

    fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.input[0] && self.groups == self.output[0]
    }

    /// Whether the columns of an image are the image.
    fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [0, 0] && self.output[1..] == self.input[1..]
    }

    /// The outputs among `within` along an axis (0: rows, 1: columns) that the kernel's `tap`-th place reads from the image.
    #[inline(always)]
    fn run(&self, axis: usize, tap: usize, within: Range<usize>) -> Run {
        let (stride, padding, shift) = (self.stride[axis], self.padding[axis], tap * self.dilation[axis]);
        let first = padding.saturating_sub(shift).div_ceil(stride).max(within.start);
        let end = (self.input[axis + 1] + padding).saturating_sub(shift).div_ceil(stride).min(within.end);
        Run { first: first.min(within.end), end: end.max(first).min(within.end), from: (first * stride + shift).saturating_sub(padding) }
    }

    /// Calls `line(channel, tap of the kernel, output row, its columns whose inputs lie in the image, offset of the first of these in the image)`
    /// for each row, for some of the channels. Where no input lies in the image, the columns are empty.
    #[inline(always)]
    fn for_each_line(&self, channels: Range<usize>, rows: Range<usize>, mut line: impl FnMut(usize, usize, usize, Range<usize>, usize)) {
        let [_, height, width] = self.input;
        for channel in channels {
            for tap in 0..self.kernel[0] * self.kernel[1] {
                let down = self.run(0, tap / self.kernel[1], rows.clone());
                let across = self.run(1, tap % self.kernel[1], 0..self.output[2]);
                for row in rows.clone() {
                    if (down.first..down.end).contains(&row) {
                        let y = down.from + (row - down.first) * self.stride[0];
                        line(channel, tap, row, across.first..across.end, (channel * height + y) * width + across.from);
                    } else {
                        line(channel, tap, row, 0..0, 0);
                    }
                }
            }
        }
    }
}

/// A sum in lanes, which the compiler can vectorise: a plain one must add in order.
#[inline(always)]
fn lane_sum<T: Real>(values: &[T]) -> T {
    let mut lanes = [T::ZERO; 32];
    let chunks = values.chunks_exact(32);
    let rest: T = chunks.remainder().iter().copied().sum();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, &value)| *lane += value);
    }
    lanes.into_iter().sum::<T>() + rest
}

/// Adds the sum of each channel's `pixels` to its bias' gradient.
fn add_bias_gradient<T: Real>(of_bias: &mut [T], image: &[T], pixels: usize) {
    vectorised(
        #[inline(always)]
        || of_bias.iter_mut().zip(image.chunks_exact(pixels)).for_each(|(sum, channel)| *sum += lane_sum(channel)),
    );
}

/// The sum of the parts, one after the other.
fn sum_of_parts<T: Real>(parts: &[Vec<T>], length: usize) -> Vec<T> {
    const PIECE: usize = 1 << 14;
    let mut sum = vec![T::ZERO; length];
    sum.par_chunks_mut(PIECE).enumerate().for_each(|(piece, sum)| {
        for part in parts {
            let part = &part[piece * PIECE..][..sum.len()];
            vectorised(
                #[inline(always)]
                || sum.iter_mut().zip(part).for_each(|(sum, &part)| *sum += part),
            );
        }
    });
    sum
}
