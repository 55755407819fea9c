//! Maximum and average over windows, forward and backward.

use super::Real;
use crate::nets::lowering::{Plane, PlaneMap};
use rayon::prelude::*;
use std::hint::select_unpredictable;

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

#[expect(clippy::eq_op, reason = "NaN alone differs from itself")]
fn is_nan<T: Real>(x: T) -> bool {
    x != x
}

impl Pooling {
    /// The pool that a map of images with this number of channels is: windows within the image, whose elements can be numbered. `None` for
    /// any other map.
    pub fn of(channels: usize, plane: &Plane) -> Option<Self> {
        let (kernel, stride, maximum) = match plane.map {
            PlaneMap::Maximum { kernel, stride, padding: [0, 0] } => (kernel, stride, true),
            PlaneMap::Mean { kernel, stride, padding: [0, 0], .. } => (kernel, stride, false),
            _ => return None,
        };
        let inside = (0..2).all(|axis| (plane.to[axis] - 1) * stride[axis] + kernel[axis] <= plane.from[axis]);
        let few = u16::try_from(kernel[0].saturating_mul(kernel[1])).is_ok();
        let [input, output] = [plane.from, plane.to].map(|[height, width]| [channels, height, width]);
        (inside && few).then_some(Self { input, output, kernel, stride, maximum })
    }

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

    /// Calls `row(offset in the image of its first window's corner, offset of its first output)` for each row of outputs.
    fn for_each_row(&self, mut row: impl FnMut(usize, usize)) {
        for channel in 0..self.output[0] {
            for y in 0..self.output[1] {
                row(channel * self.plane() + y * self.stride[0] * self.input[2], (channel * self.output[1] + y) * self.output[2]);
            }
        }
    }

    /// The maxima of one image's windows, and the number of the first of the largest in each.
    pub(super) fn maxima<T: Real>(&self, image: &[T], output: &mut [T], chosen: &mut [u16]) {
        let (offsets, width, stride) = (self.offsets(), self.output[2], self.stride[1]);
        self.for_each_row(|corner, first| {
            let (output, chosen) = (&mut output[first..][..width], &mut chosen[first..][..width]);
            for (number, offset) in offsets.iter().enumerate() {
                let candidates = &image[corner + offset..][..=((width - 1) * stride)];
                for x in 0..width {
                    let (candidate, best) = (candidates[x * stride], output[x]);
                    // NaN stays: it is above all, and nothing is above it.
                    let better = number == 0 || candidate > best || (is_nan(candidate) && !is_nan(best));
                    // Which of a window is the largest cannot be foreseen: a branch costs more than the comparison.
                    output[x] = select_unpredictable(better, candidate, best);
                    chosen[x] = select_unpredictable(better, number as u16, chosen[x]);
                }
            }
        });
    }

    /// Brings the gradients of one image's outputs to the elements that were chosen; `of_image` holds zeros elsewhere.
    pub(super) fn scatter<T: Real>(&self, chosen: &[u16], gradient: &[T], of_image: &mut [T]) {
        let (offsets, width, stride) = (self.offsets(), self.output[2], self.stride[1]);
        of_image.fill(T::ZERO);
        self.for_each_row(|corner, first| {
            for x in 0..width {
                let target = &mut of_image[corner + x * stride + offsets[usize::from(chosen[first + x])]];
                *target += gradient[first + x];
            }
        });
    }

    /// Images \[N, C, H, W\] into \[N, C, H', W'\].
    pub fn forward<T: Real>(&self, images: &[T]) -> Vec<T> {
        let (offsets, share) = (self.offsets(), T::of_double(1.0 / (self.kernel[0] * self.kernel[1]) as f64));
        let mut output = vec![T::ZERO; images.len() / self.plane() * self.pooled()];
        output.par_chunks_mut(self.pooled()).zip(images.par_chunks(self.plane())).for_each(|(output, plane)| {
            for (at, value) in output.iter_mut().enumerate() {
                let window = &plane[self.corner(at)..];
                *value = if self.maximum {
                    offsets.iter().map(|&offset| window[offset]).reduce(|a, b| if b > a || is_nan(b) { b } else { a }).unwrap_or(T::ZERO)
                } else {
                    offsets.iter().map(|&offset| window[offset]).sum::<T>() * share
                };
            }
        });
        output
    }

    /// The gradient of the images for the gradient of the output. A maximum's goes to the first of the largest.
    pub fn backward<T: Real>(&self, images: &[T], gradient: &[T]) -> Vec<T> {
        let (offsets, share) = (self.offsets(), T::of_double(1.0 / (self.kernel[0] * self.kernel[1]) as f64));
        let mut of_images = vec![T::ZERO; images.len()];
        of_images.par_chunks_mut(self.plane()).zip(images.par_chunks(self.plane())).zip(gradient.par_chunks(self.pooled())).for_each(
            |((target, plane), gradient)| {
                for (at, &gradient) in gradient.iter().enumerate() {
                    let corner = self.corner(at);
                    if self.maximum {
                        let largest = offsets
                            .iter()
                            .fold(corner, |best, &offset| if plane[corner + offset] > plane[best] { corner + offset } else { best });
                        target[largest] += gradient;
                    } else {
                        for offset in &offsets {
                            target[corner + offset] += gradient * share;
                        }
                    }
                }
            },
        );
        of_images
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_the_maximum_of_its_window() {
        let pooling = Pooling { input: [1, 2, 4], output: [1, 1, 2], kernel: [2, 2], stride: [2, 2], maximum: true };
        for place in 0..8 {
            let mut image = [0.5, 3.0, 1.0, -2.0, 2.0, 0.0, 7.0, 4.0f32];
            let (mut maxima, mut chosen) = ([0.0; 2], [0; 2]);
            pooling.maxima(&image, &mut maxima, &mut chosen);
            assert_eq!((maxima, chosen), ([3.0, 7.0], [1, 2]), "the negative control");
            image[place] = f32::NAN;
            pooling.maxima(&image, &mut maxima, &mut chosen);
            let window = place % 4 / 2;
            assert!(maxima[window].is_nan() && !maxima[1 - window].is_nan(), "{maxima:?} with NaN at {place}");
            assert_eq!(usize::from(chosen[window]), place / 4 * 2 + place % 2);
            let alone = pooling.forward(&image);
            assert!(alone[window].is_nan() && !alone[1 - window].is_nan());
        }
    }

    #[test]
    fn windows_with_more_elements_than_can_be_numbered_are_left_to_others() {
        let of = |size: usize| {
            let map = PlaneMap::Maximum { kernel: [size; 2], stride: [1, 1], padding: [0, 0] };
            Pooling::of(1, &Plane { from: [300, 300], to: [301 - size; 2], map })
        };
        assert!(of(255).is_some() && of(257).is_none());
    }
}
