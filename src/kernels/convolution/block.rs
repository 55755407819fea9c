//! A convolution with the bias, the ReLU and the maximum pooling that follow it, forward and backward.

use super::bands::Scratch;
use super::{Convolution, GROUPS, add_bias_gradient, sum_of_parts};
use crate::kernels::{Pooling, Real, relu_gradient, vectorised};
use rayon::prelude::*;

/// The gradients of a convolution.
pub struct Gradients<T> {
    /// \[N, C, H, W\]; empty where it was not asked for.
    pub images: Vec<T>,
    /// \[out, in / groups, kh, kw\], or the layout of a transposed convolution.
    pub weight: Vec<T>,
    /// \[out\].
    pub bias: Vec<T>,
}

/// A convolution with what follows it, computed while its output is in the cache: the passes over a convolution's output cost as much as
/// its products.
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

    /// Images \[N, C, H, W\], weight \[out, in / groups, kh, kw\] and bias \[out\] (empty where there is none) into \[N, C', H', W'\], and, where
    /// it pools, which element of its window each output is.
    pub fn forward<T: Real>(&self, images: &[T], weight: &[T], bias: &[T]) -> (Vec<T>, Vec<u16>) {
        let geometry = self.convolution;
        let (input, length) = (geometry.input_len(), self.output().iter().product::<usize>());
        let (count, at_once) = (images.len() / input, geometry.images_at_once());
        let finish = |channel: usize, values: &mut [T]| finish(values, bias.get(channel).copied(), self.relu);
        let convolve =
            |images: &[T], outputs: &mut [T], scratch: &mut Scratch<T>| geometry.apply(images, weight, outputs, scratch, &finish);
        let mut output = vec![T::ZERO; count * length];
        let mut chosen = vec![0; if self.pooling.is_some() { count * length } else { 0 }];
        let images = images.par_chunks(at_once * input);
        match self.pooling {
            None => output
                .par_chunks_mut(at_once * length)
                .zip(images)
                .for_each_init(|| geometry.scratch(), |scratch, (output, images)| convolve(images, output, scratch)),
            Some(pooling) => {
                let outputs = output.par_chunks_mut(at_once * length).zip(chosen.par_chunks_mut(at_once * length));
                outputs.zip(images).for_each_init(
                    || (geometry.scratch(), vec![T::ZERO; at_once * geometry.output_len()]),
                    |(scratch, convolved), ((output, chosen), images)| {
                        let convolved = &mut convolved[..images.len() / input * geometry.output_len()];
                        convolve(images, convolved, scratch);
                        let each = output.chunks_exact_mut(length).zip(chosen.chunks_exact_mut(length));
                        for ((output, chosen), convolved) in each.zip(convolved.chunks_exact(geometry.output_len())) {
                            pooling.maxima(convolved, output, chosen);
                        }
                    },
                );
            }
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
        let (input, length) = (geometry.input_len(), self.output().iter().product::<usize>());
        let (count, at_once) = (images.len() / input, geometry.images_at_once());
        let group = count.div_ceil(GROUPS).max(1).next_multiple_of(at_once);
        let mut of_image = vec![T::ZERO; if of_images { images.len() } else { 0 }];
        // One slot per group; empty where nothing is wanted, so that the zip below keeps its length.
        let slots: Vec<&mut [T]> = if of_images {
            of_image.chunks_mut(group * input).collect()
        } else {
            (0..count.div_ceil(group)).map(|_| Default::default()).collect()
        };
        let sum_of_group = |(number, slot): (usize, &mut [T])| {
            let mut scratch = geometry.scratch();
            let mut of_output = self.gradient_scratch(at_once);
            let (mut of_weight, mut of_bias) = (vec![T::ZERO; geometry.weight_len()], vec![T::ZERO; geometry.output[0]]);
            let all = number * group..((number + 1) * group).min(count);
            for first in all.clone().step_by(at_once) {
                let end = (first + at_once).min(all.end);
                let part = first * length..end * length;
                let of_output = self.before_relu_and_pooling(
                    &output[part.clone()],
                    chosen.get(part.clone()).unwrap_or_default(),
                    &gradient[part],
                    &mut of_output,
                );
                for image in of_output.chunks_exact(geometry.output_len()) {
                    add_bias_gradient(&mut of_bias, image, geometry.pixels());
                }
                let of_images = of_images.then(|| &mut slot[(first - all.start) * input..(end - all.start) * input]);
                geometry.add_gradients((&images[first * input..end * input], of_output), weight, &mut of_weight, of_images, &mut scratch);
            }
            (of_weight, of_bias)
        };
        let (of_weight, of_bias): (Vec<_>, Vec<_>) = slots.into_par_iter().enumerate().map(sum_of_group).unzip();
        Gradients {
            images: of_image,
            weight: sum_of_parts(&of_weight, geometry.weight_len()),
            bias: sum_of_parts(&of_bias, geometry.output[0]),
        }
    }

    /// The gradient of the images alone, for that of the output, given what [`forward`](Self::forward) returned: half the work of
    /// [`backward`](Self::backward).
    pub fn backward_to_images<T: Real>(&self, weight: &[T], (output, chosen): (&[T], &[u16]), gradient: &[T]) -> Vec<T> {
        let geometry = self.convolution;
        let (input, length) = (geometry.input_len(), self.output().iter().product::<usize>());
        let at_once = geometry.images_at_once();
        let mut of_images = vec![T::ZERO; output.len() / length * input];
        let scratch = || (geometry.scratch(), self.gradient_scratch(at_once));
        let outputs = output.par_chunks(at_once * length).zip(gradient.par_chunks(at_once * length)).enumerate();
        of_images.par_chunks_mut(at_once * input).zip(outputs).for_each_init(
            scratch,
            |(scratch, of_output), (of_images, (number, (output, gradient)))| {
                let chosen = chosen.get(number * at_once * length..).and_then(|chosen| chosen.get(..output.len())).unwrap_or_default();
                let of_output = self.before_relu_and_pooling(output, chosen, gradient, of_output);
                geometry.apply_adjoint(of_output, weight, of_images, scratch);
            },
        );
        of_images
    }

    /// Space for what [`before_relu_and_pooling`](Self::before_relu_and_pooling) makes of the images that are computed at once.
    fn gradient_scratch<T: Real>(&self, images: usize) -> [Vec<T>; 2] {
        let length = |needed: bool, of_image: [usize; 3]| if needed { images * of_image.iter().product::<usize>() } else { 0 };
        [
            vec![T::ZERO; length(self.pooling.is_some(), self.output())],
            vec![T::ZERO; length(self.relu || self.pooling.is_some(), self.convolution.output)],
        ]
    }

    /// The gradient of some images' convolutions before the ReLU, for that of the block's outputs.
    fn before_relu_and_pooling<'a, T: Real>(
        &self,
        output: &[T],
        chosen: &[u16],
        gradient: &'a [T],
        [passed, of_convolution]: &'a mut [Vec<T>; 2],
    ) -> &'a [T] {
        // What the ReLU cut off is the maximum of a window only where the whole window was cut off.
        let cut = |target: &mut [T]| relu_gradient(target, gradient, output);
        let Some(pooling) = self.pooling else {
            if !self.relu {
                return gradient;
            }
            cut(of_convolution);
            return &of_convolution[..gradient.len()];
        };
        let passed = if self.relu {
            cut(passed);
            &passed[..gradient.len()]
        } else {
            gradient
        };
        let (length, inner) = (pooling.output.iter().product(), self.convolution.output_len());
        for ((chosen, passed), target) in
            chosen.chunks_exact(length).zip(passed.chunks_exact(length)).zip(of_convolution.chunks_exact_mut(inner))
        {
            pooling.scatter(chosen, passed, target);
        }
        &of_convolution[..gradient.len() / length * inner]
    }
}

/// Adds the bias, if there is one, and cuts off what is below 0. NaN stays.
pub(super) fn finish<T: Real>(values: &mut [T], bias: Option<T>, relu: bool) {
    vectorised(
        #[inline(always)]
        || match (bias, relu) {
            (None, false) => {}
            (None, true) => values.iter_mut().for_each(|value| *value = if *value < T::ZERO { T::ZERO } else { *value }),
            (Some(bias), false) => values.iter_mut().for_each(|value| *value += bias),
            (Some(bias), true) => values.iter_mut().for_each(|value| {
                let sum = *value + bias;
                *value = if sum < T::ZERO { T::ZERO } else { sum };
            }),
        },
    );
}
