//! The convolution as im2col and matrix products, image by image, so that an image's columns stay in the cache.

use super::{Pooling, Real};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

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
    /// Zeros on either side of [height, width].
    pub padding: [usize; 2],
}

/// The gradients of a convolution.
pub struct Gradients<T> {
    /// \[N, C, H, W\]; empty where it was not asked for.
    pub images: Vec<T>,
    /// \[out, in, kh, kw\].
    pub weight: Vec<T>,
    /// \[out\].
    pub bias: Vec<T>,
}

impl Convolution {
    fn pixels(&self) -> usize {
        self.output[1] * self.output[2]
    }

    fn taps(&self) -> usize {
        self.input[0] * self.kernel[0] * self.kernel[1]
    }

    fn image_len(&self) -> usize {
        self.input.iter().product()
    }

    fn output_len(&self) -> usize {
        self.output.iter().product()
    }

    /// Calls `row(row of the columns, output row, first output column, input offset, length)` for each run of columns
    /// that lies inside the image. A row of the columns is a (channel, ky, kx).
    fn for_each_run(&self, mut run: impl FnMut(usize, usize, usize, usize, usize)) {
        let [channels, height, width] = self.input;
        let [_, out_height, out_width] = self.output;
        for tap in 0..self.taps() {
            let (channel, ky, kx) = (tap / (self.kernel[0] * self.kernel[1]), tap / self.kernel[1] % self.kernel[0], tap % self.kernel[1]);
            debug_assert!(channel < channels);
            // The output columns whose input column x · stride + kx − padding lies in 0..width.
            let first = self.padding[1].saturating_sub(kx).div_ceil(self.stride[1]);
            let end = (width + self.padding[1]).saturating_sub(kx).div_ceil(self.stride[1]).min(out_width);
            if first >= end {
                continue;
            }
            for y in 0..out_height {
                let Some(row) = (y * self.stride[0] + ky).checked_sub(self.padding[0]).filter(|&row| row < height) else { continue };
                let column = first * self.stride[1] + kx - self.padding[1];
                run(tap, y, first, (channel * height + row) * width + column, end - first);
            }
        }
    }

    /// im2col: one image into \[taps, output pixels\]. `columns` must hold zeros where the padding is looked at; it does if
    /// it was zero at first and only ever filled by this geometry.
    fn unfold<T: Real>(&self, image: &[T], columns: &mut [T]) {
        let (pixels, width, stride) = (self.pixels(), self.output[2], self.stride[1]);
        self.for_each_run(|tap, y, first, from, length| {
            let target = &mut columns[tap * pixels + y * width + first..][..length];
            if stride == 1 {
                target.copy_from_slice(&image[from..from + length]);
            } else {
                target.iter_mut().zip(image[from..].iter().step_by(stride)).for_each(|(to, &from)| *to = from);
            }
        });
    }

    /// col2im: adds \[taps, output pixels\] onto one image, the transpose of `unfold`.
    fn fold<T: Real>(&self, columns: &[T], image: &mut [T]) {
        let (pixels, width, stride) = (self.pixels(), self.output[2], self.stride[1]);
        self.for_each_run(|tap, y, first, to, length| {
            let source = &columns[tap * pixels + y * width + first..][..length];
            if stride == 1 {
                image[to..to + length].iter_mut().zip(source).for_each(|(to, &from)| *to += from);
            } else {
                image[to..].iter_mut().step_by(stride).zip(source).for_each(|(to, &from)| *to += from);
            }
        });
    }
}

/// A convolution with what follows it, computed image by image while its output is in the cache: the passes over a
/// convolution's output cost as much as its products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvolutionBlock {
    /// The convolution.
    pub convolution: Convolution,
    /// Whether max(y, 0) follows.
    pub relu: bool,
    /// The maximum pooling that follows, if any.
    pub pooling: Option<Pooling>,
}

impl ConvolutionBlock {
    /// [channels, height, width] of what comes out.
    pub fn output(&self) -> [usize; 3] {
        self.pooling.map_or(self.convolution.output, |pooling| pooling.output)
    }

    /// Images \[N, C, H, W\], weight \[out, in, kh, kw\] and bias \[out\] into \[N, C', H', W'\], and, where it pools, which element
    /// of its window each output is.
    pub fn forward<T: Real>(&self, images: &[T], weight: &[T], bias: &[T]) -> (Vec<T>, Vec<u16>) {
        let geometry = self.convolution;
        let (taps, pixels, channels) = (geometry.taps(), geometry.pixels(), geometry.output[0]);
        let (count, length) = (images.len() / geometry.image_len(), self.output().iter().product::<usize>());
        let weight = MatRef::from_row_major_slice(weight, channels, taps);
        let convolve = |columns: &mut [T], image: &[T], output: &mut [T]| {
            geometry.unfold(image, columns);
            let product = MatMut::from_row_major_slice_mut(&mut *output, channels, pixels);
            matmul(product, Accum::Replace, weight, MatRef::from_row_major_slice(columns, taps, pixels), T::one_impl(), Par::Seq);
            for (channel, &bias) in output.chunks_mut(pixels).zip(bias) {
                for value in channel {
                    let sum = *value + bias;
                    *value = if self.relu && sum < T::ZERO { T::ZERO } else { sum };
                }
            }
        };
        let mut output = vec![T::ZERO; count * length];
        let mut chosen = vec![0; if self.pooling.is_some() { count * length } else { 0 }];
        let images = images.par_chunks(geometry.image_len());
        match self.pooling {
            None => output
                .par_chunks_mut(length)
                .zip(images)
                .for_each_init(|| vec![T::ZERO; taps * pixels], |columns, (output, image)| convolve(columns, image, output)),
            Some(pooling) => output.par_chunks_mut(length).zip(chosen.par_chunks_mut(length)).zip(images).for_each_init(
                || (vec![T::ZERO; taps * pixels], vec![T::ZERO; geometry.output_len()]),
                |(columns, convolved), ((output, chosen), image)| {
                    convolve(columns, image, convolved);
                    pooling.maxima(convolved, output, chosen);
                },
            ),
        }
        (output, chosen)
    }

    /// The gradients for the gradient of the output, given what [`forward`](Self::forward) returned. `of_images`: whether
    /// the gradient of the images is wanted.
    pub fn backward<T: Real>(
        &self,
        images: &[T],
        weight: &[T],
        (output, chosen): (&[T], &[u16]),
        gradient: &[T],
        of_images: bool,
    ) -> Gradients<T> {
        let geometry = self.convolution;
        let (taps, pixels, channels) = (geometry.taps(), geometry.pixels(), geometry.output[0]);
        let (input_len, length) = (geometry.image_len(), self.output().iter().product::<usize>());
        let count = images.len() / input_len;
        let group = count.div_ceil(GROUPS).max(1);
        let weight = MatRef::from_row_major_slice(weight, channels, taps);
        let mut of_image = vec![T::ZERO; if of_images { images.len() } else { 0 }];
        // One slot per group; empty where nothing is wanted, so that the zip below keeps its length.
        let slots: Vec<&mut [T]> = if of_images {
            of_image.chunks_mut(group * input_len).collect()
        } else {
            (0..count.div_ceil(group)).map(|_| Default::default()).collect()
        };
        let sum_of_group = |(number, slot): (usize, &mut [T])| {
            let mut columns = vec![T::ZERO; taps * pixels];
            let mut of_columns = vec![T::ZERO; if of_images { taps * pixels } else { 0 }];
            let (mut passed, mut of_output) = (vec![T::ZERO; length], vec![T::ZERO; geometry.output_len()]);
            let (mut of_weight, mut of_bias) = (vec![T::ZERO; channels * taps], vec![T::ZERO; channels]);
            for index in number * group..((number + 1) * group).min(count) {
                let part = index * length..(index + 1) * length;
                self.through_relu_and_pooling(
                    &output[part.clone()],
                    chosen.get(part.clone()),
                    &gradient[part],
                    &mut passed,
                    &mut of_output,
                );
                let rows = MatRef::from_row_major_slice(&of_output, channels, pixels);
                geometry.unfold(&images[index * input_len..][..input_len], &mut columns);
                let seen = MatRef::from_row_major_slice(&columns, taps, pixels);
                let target = MatMut::from_row_major_slice_mut(&mut of_weight, channels, taps);
                matmul(target, Accum::Add, rows, seen.transpose(), T::one_impl(), Par::Seq);
                for (sum, channel) in of_bias.iter_mut().zip(of_output.chunks(pixels)) {
                    *sum += lane_sum(channel);
                }
                if of_images {
                    let target = MatMut::from_row_major_slice_mut(&mut of_columns, taps, pixels);
                    matmul(target, Accum::Replace, weight.transpose(), rows, T::one_impl(), Par::Seq);
                    geometry.fold(&of_columns, &mut slot[(index - number * group) * input_len..][..input_len]);
                }
            }
            (of_weight, of_bias)
        };
        let sums: Vec<(Vec<T>, Vec<T>)> = slots.into_par_iter().enumerate().map(sum_of_group).collect();
        let mut gradients = Gradients { images: of_image, weight: vec![T::ZERO; channels * taps], bias: vec![T::ZERO; channels] };
        for (of_weight, of_bias) in sums {
            gradients.weight.iter_mut().zip(of_weight).for_each(|(sum, part)| *sum += part);
            gradients.bias.iter_mut().zip(of_bias).for_each(|(sum, part)| *sum += part);
        }
        gradients
    }

    /// The gradient of the images alone, for that of the output, given what [`forward`](Self::forward) returned: half the work of
    /// [`backward`](Self::backward).
    pub fn backward_to_images<T: Real>(&self, weight: &[T], (output, chosen): (&[T], &[u16]), gradient: &[T]) -> Vec<T> {
        let geometry = self.convolution;
        let (taps, pixels, channels) = (geometry.taps(), geometry.pixels(), geometry.output[0]);
        let (input_len, length) = (geometry.image_len(), self.output().iter().product::<usize>());
        let weight = MatRef::from_row_major_slice(weight, channels, taps);
        let mut of_images = vec![T::ZERO; output.len() / length * input_len];
        let scratch = || (vec![T::ZERO; length], vec![T::ZERO; geometry.output_len()], vec![T::ZERO; taps * pixels]);
        of_images.par_chunks_mut(input_len).enumerate().for_each_init(scratch, |(passed, of_output, of_columns), (index, of_image)| {
            let part = index * length..(index + 1) * length;
            self.through_relu_and_pooling(&output[part.clone()], chosen.get(part.clone()), &gradient[part], passed, of_output);
            let rows = MatRef::from_row_major_slice(of_output, channels, pixels);
            let target = MatMut::from_row_major_slice_mut(of_columns, taps, pixels);
            matmul(target, Accum::Replace, weight.transpose(), rows, T::one_impl(), Par::Seq);
            geometry.fold(of_columns, of_image);
        });
        of_images
    }

    /// The gradient of one image's convolution before the ReLU, for that of the block's output. `gradient` is scratch of the
    /// output's length.
    fn through_relu_and_pooling<T: Real>(
        &self,
        output: &[T],
        chosen: Option<&[u16]>,
        of_block: &[T],
        gradient: &mut [T],
        of_convolution: &mut [T],
    ) {
        let passed = if self.pooling.is_some() { &mut *gradient } else { &mut *of_convolution };
        for ((target, &gradient), &output) in passed.iter_mut().zip(of_block).zip(output) {
            // What the ReLU cut off is the maximum of a window only where the whole window was cut off.
            *target = if self.relu && output <= T::ZERO { T::ZERO } else { gradient };
        }
        if let (Some(pooling), Some(chosen)) = (self.pooling, chosen) {
            pooling.scatter(chosen, gradient, of_convolution);
        }
    }
}

/// A sum in eight lanes, which the compiler can vectorise: a plain one must add in order.
fn lane_sum<T: Real>(values: &[T]) -> T {
    let mut lanes = [T::ZERO; 8];
    let chunks = values.chunks_exact(8);
    let rest: T = chunks.remainder().iter().copied().sum();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, &value)| *lane += value);
    }
    lanes.into_iter().sum::<T>() + rest
}
