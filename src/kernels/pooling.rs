//! Maximum and average over windows, forward and backward.

use super::Real;
use rayon::prelude::*;

/// The geometry of a pooling layer in floor mode (PyTorch's `MaxPool2d` and `AvgPool2d` without padding).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pooling {
    /// [channels, height, width] of an input image.
    pub input: [usize; 3],
    /// [channels, height, width] of an output image.
    pub output: [usize; 3],
    /// [height, width] of a window.
    pub kernel: [usize; 2],
    /// Steps along [height, width].
    pub stride: [usize; 2],
    /// Whether a window gives its maximum or its mean.
    pub maximum: bool,
}

impl Pooling {
    fn plane(&self) -> usize {
        self.input[1] * self.input[2]
    }

    fn pooled(&self) -> usize {
        self.output[1] * self.output[2]
    }

    /// The offset in its plane of the window's first element, for an output element.
    fn corner(&self, at: usize) -> usize {
        let (y, x) = (at / self.output[2], at % self.output[2]);
        y * self.stride[0] * self.input[2] + x * self.stride[1]
    }

    /// The offsets of a window's elements from its corner, row by row.
    fn offsets(&self) -> Vec<usize> {
        (0..self.kernel[0]).flat_map(|y| (0..self.kernel[1]).map(move |x| y * self.input[2] + x)).collect()
    }

    /// Where in its image the element `chosen` of the window of output element `at` stands.
    pub(super) fn position(&self, at: usize, chosen: u16) -> usize {
        let (channel, within) = (at / self.pooled(), at % self.pooled());
        let (y, x) = (usize::from(chosen) / self.kernel[1], usize::from(chosen) % self.kernel[1]);
        channel * self.plane() + self.corner(within) + y * self.input[2] + x
    }

    /// The maxima of one image's windows, and the number of the first of the largest in each.
    pub(super) fn maxima<T: Real>(&self, image: &[T], output: &mut [T], chosen: &mut [u16]) {
        let ([_, _, width], [_, _, out_width]) = (self.input, self.output);
        let rows = output.chunks_mut(out_width).zip(chosen.chunks_mut(out_width));
        for (row, (output, chosen)) in rows.enumerate() {
            let (channel, y) = (row / self.output[1], row % self.output[1]);
            let window_row = &image[channel * self.plane() + y * self.stride[0] * width..];
            for ky in 0..self.kernel[0] {
                for kx in 0..self.kernel[1] {
                    let number = (ky * self.kernel[1] + kx) as u16;
                    let candidates = window_row[ky * width + kx..].iter().step_by(self.stride[1]);
                    for ((best, chosen), &candidate) in output.iter_mut().zip(chosen.iter_mut()).zip(candidates) {
                        if number == 0 || candidate > *best {
                            (*best, *chosen) = (candidate, number);
                        }
                    }
                }
            }
        }
    }

    /// Images \[N, C, H, W\] into \[N, C, H', W'\].
    pub fn forward<T: Real>(&self, images: &[T]) -> Vec<T> {
        let (offsets, share) = (self.offsets(), T::reciprocal(self.kernel[0] * self.kernel[1]));
        let mut output = vec![T::ZERO; images.len() / self.plane() * self.pooled()];
        output.par_chunks_mut(self.pooled()).zip(images.par_chunks(self.plane())).for_each(|(output, plane)| {
            for (at, value) in output.iter_mut().enumerate() {
                let window = &plane[self.corner(at)..];
                *value = if self.maximum {
                    offsets.iter().map(|&offset| window[offset]).reduce(|a, b| if b > a { b } else { a }).unwrap_or(T::ZERO)
                } else {
                    offsets.iter().map(|&offset| window[offset]).sum::<T>() * share
                };
            }
        });
        output
    }

    /// The gradient of the images for the gradient of the output. A maximum's goes to the first of the largest.
    pub fn backward<T: Real>(&self, images: &[T], gradient: &[T]) -> Vec<T> {
        let (offsets, share) = (self.offsets(), T::reciprocal(self.kernel[0] * self.kernel[1]));
        let mut of_images = vec![T::ZERO; images.len()];
        of_images
            .par_chunks_mut(self.plane())
            .zip(images.par_chunks(self.plane()))
            .zip(gradient.par_chunks(self.pooled()))
            .for_each(|((target, plane), gradient)| {
                for (at, &gradient) in gradient.iter().enumerate() {
                    let corner = self.corner(at);
                    if self.maximum {
                        let largest = offsets.iter().fold(corner, |best, &offset| if plane[corner + offset] > plane[best] { corner + offset } else { best });
                        target[largest] = target[largest] + gradient;
                    } else {
                        offsets.iter().for_each(|&offset| target[corner + offset] = target[corner + offset] + gradient * share);
                    }
                }
            });
        of_images
    }
}
