//! Transposed convolutions: the adjoints of convolutions.

use super::block::{Gradients, finish};
use super::{Convolution, GROUPS, add_bias_gradient, sum_of_parts};
use crate::kernels::{Real, relu_gradient};
use rayon::prelude::*;

/// A transposed convolution (PyTorch's `ConvTranspose2d`) and the ReLU that follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransposedConvolution {
    /// The convolution whose adjoint it is: from this one's output to its input, with the same weight \[in, out / groups, kh, kw\].
    pub adjoint: Convolution,
    /// Whether max(y, 0) follows.
    pub relu: bool,
}

impl TransposedConvolution {
    /// [channels, height, width] of what comes out.
    #[expect(clippy::misnamed_getters, reason = "the output of the one is the input of the other")]
    pub fn output(&self) -> [usize; 3] {
        self.adjoint.input
    }

    /// Images \[N, C, H, W\], weight \[in, out / groups, kh, kw\] and bias \[out\] (empty where there is none) into \[N, C', H', W'\].
    pub fn forward<T: Real>(&self, images: &[T], weight: &[T], bias: &[T]) -> Vec<T> {
        let adjoint = self.adjoint;
        let (from, to, at_once) = (adjoint.output_len(), adjoint.input_len(), adjoint.images_at_once());
        let mut output = vec![T::ZERO; images.len() / from * to];
        output.par_chunks_mut(at_once * to).zip(images.par_chunks(at_once * from)).for_each_init(
            || adjoint.scratch(),
            |scratch, (output, images)| {
                adjoint.apply_adjoint(images, weight, output, scratch);
                for (number, channel) in output.chunks_exact_mut(adjoint.input[1] * adjoint.input[2]).enumerate() {
                    finish(channel, bias.get(number % adjoint.input[0]).copied(), self.relu);
                }
            },
        );
        output
    }

    /// The gradients for the gradient of the output, given what [`forward`](Self::forward) returned. `of_images`: whether
    /// the gradient of the images is wanted.
    pub fn backward<T: Real>(&self, images: &[T], weight: &[T], output: &[T], gradient: &[T], of_images: bool) -> Gradients<T> {
        let adjoint = self.adjoint;
        let (from, to, at_once) = (adjoint.output_len(), adjoint.input_len(), adjoint.images_at_once());
        let count = images.len() / from;
        let group = count.div_ceil(GROUPS).max(1).next_multiple_of(at_once);
        let mut of_image = vec![T::ZERO; if of_images { images.len() } else { 0 }];
        let slots: Vec<&mut [T]> = if of_images {
            of_image.chunks_mut(group * from).collect()
        } else {
            (0..count.div_ceil(group)).map(|_| Default::default()).collect()
        };
        let sum_of_group = |(number, slot): (usize, &mut [T])| {
            let mut scratch = adjoint.scratch();
            let mut passed = vec![T::ZERO; if self.relu { at_once * to } else { 0 }];
            let (mut of_weight, mut of_bias) = (vec![T::ZERO; adjoint.weight_len()], vec![T::ZERO; adjoint.input[0]]);
            let all = number * group..((number + 1) * group).min(count);
            for first in all.clone().step_by(at_once) {
                let end = (first + at_once).min(all.end);
                let mut gradient = &gradient[first * to..end * to];
                if self.relu {
                    relu_gradient(&mut passed, gradient, &output[first * to..end * to]);
                    gradient = &passed[..gradient.len()];
                }
                for image in gradient.chunks_exact(to) {
                    add_bias_gradient(&mut of_bias, image, adjoint.input[1] * adjoint.input[2]);
                }
                let images = &images[first * from..end * from];
                let of_images = of_images.then(|| &mut slot[(first - all.start) * from..(end - all.start) * from]);
                adjoint.add_gradients_of_adjoint((gradient, images), weight, &mut of_weight, of_images, &mut scratch);
            }
            (of_weight, of_bias)
        };
        let (of_weight, of_bias): (Vec<_>, Vec<_>) = slots.into_par_iter().enumerate().map(sum_of_group).unzip();
        Gradients {
            images: of_image,
            weight: sum_of_parts(&of_weight, adjoint.weight_len()),
            bias: sum_of_parts(&of_bias, adjoint.input[0]),
        }
    }
}
