//! Convolutions of each channel by itself: too small for matrix products.

use super::{Convolution, lane_sum};
use crate::kernels::{Real, vectorised};

impl Convolution {
    /// The convolution of images; `finish(channel, outputs)` is called on each channel.
    pub(super) fn apply_depthwise<T: Real>(&self, images: &[T], weight: &[T], outputs: &mut [T], finish: &impl Fn(usize, &mut [T])) {
        let (pixels, width, taps) = (self.pixels(), self.output[2], self.taps());
        for (image, output) in images.chunks_exact(self.input_len()).zip(outputs.chunks_exact_mut(self.output_len())) {
            for (number, channel) in output.chunks_exact_mut(pixels).enumerate() {
                let weight = &weight[number * taps..][..taps];
                channel.fill(T::ZERO);
                self.lines(
                    number,
                    #[inline(always)]
                    |tap, row, across, from, stride| {
                        let target = &mut channel[row * width..][across];
                        let (source, factor) = (&image[from..], weight[tap]);
                        if stride == 1 {
                            target.iter_mut().zip(source).for_each(|(to, &from)| *to += factor * from);
                        } else {
                            target.iter_mut().zip(source.iter().step_by(stride)).for_each(|(to, &from)| *to += factor * from);
                        }
                    },
                );
                finish(number, channel);
            }
        }
    }

    /// Adds the transpose of [`apply_depthwise`](Self::apply_depthwise) onto the images.
    pub(super) fn add_depthwise_adjoint<T: Real>(&self, outputs: &[T], weight: &[T], images: &mut [T]) {
        let (pixels, width, taps) = (self.pixels(), self.output[2], self.taps());
        for (image, output) in images.chunks_exact_mut(self.input_len()).zip(outputs.chunks_exact(self.output_len())) {
            for (number, channel) in output.chunks_exact(pixels).enumerate() {
                let weight = &weight[number * taps..][..taps];
                self.lines(
                    number,
                    #[inline(always)]
                    |tap, row, across, to, stride| {
                        let source = &channel[row * width..][across];
                        let (target, factor) = (&mut image[to..], weight[tap]);
                        if stride == 1 {
                            target.iter_mut().zip(source).for_each(|(to, &from)| *to += factor * from);
                        } else {
                            target.iter_mut().step_by(stride).zip(source).for_each(|(to, &from)| *to += factor * from);
                        }
                    },
                );
            }
        }
    }

    /// Adds the gradient of the weight for that of the outputs.
    pub(super) fn add_depthwise_weight_gradient<T: Real>(&self, images: &[T], outputs: &[T], of_weight: &mut [T]) {
        let (pixels, width, taps) = (self.pixels(), self.output[2], self.taps());
        for (image, output) in images.chunks_exact(self.input_len()).zip(outputs.chunks_exact(self.output_len())) {
            for (number, channel) in output.chunks_exact(pixels).enumerate() {
                let mut lanes = [T::ZERO; 16];
                let of_weight = &mut of_weight[number * taps..][..taps];
                let mut last = 0;
                self.lines(
                    number,
                    #[inline(always)]
                    |tap, row, across, from, stride| {
                        if tap != last {
                            of_weight[last] += lane_sum(&lanes);
                            (lanes, last) = ([T::ZERO; 16], tap);
                        }
                        let gradient = &channel[row * width..][across];
                        let seen = &image[from..][..=(gradient.len() - 1) * stride];
                        if stride == 1 {
                            let (gradients, seen) = (gradient.chunks_exact(16), seen.chunks_exact(16));
                            for ((lane, &g), &x) in lanes.iter_mut().zip(gradients.remainder()).zip(seen.remainder()) {
                                *lane += g * x;
                            }
                            for (gradient, seen) in gradients.zip(seen) {
                                for (lane, (&g, &x)) in lanes.iter_mut().zip(gradient.iter().zip(seen)) {
                                    *lane += g * x;
                                }
                            }
                        } else {
                            for (place, (&g, &x)) in gradient.iter().zip(seen.iter().step_by(stride)).enumerate() {
                                lanes[place % 16] += g * x;
                            }
                        }
                    },
                );
                of_weight[last] += lane_sum(&lanes);
            }
        }
    }

    /// Calls `line(tap, output row, output columns, offset of the first input, stride)` for the lines of a channel, vectorised.
    #[inline(always)]
    fn lines(&self, channel: usize, mut line: impl FnMut(usize, usize, std::ops::Range<usize>, usize, usize)) {
        let stride = self.stride[1];
        vectorised(
            #[inline(always)]
            || {
                self.for_each_line(
                    channel..channel + 1,
                    0..self.output[1],
                    #[inline(always)]
                    |_, tap, row, across, from| {
                        if !across.is_empty() {
                            line(tap, row, across, from, stride);
                        }
                    },
                );
            },
        );
    }
}
