//! Convolutions and transposed convolutions, with or without a bias.

use super::optional::{self, Operation, Stored};
use super::{Element, slice, with_values};
use crate::kernels::{ConvolutionBlock, Gradients, TransposedConvolution};
use candle_core::backend::BackendStorage as _;
use candle_core::{CpuStorage, Result, Shape, Tensor, WithDType as _, bail};
use std::sync::OnceLock;

/// A convolution of images \[N, C, H, W\] with weight \[out, in / groups, kh, kw\] and bias \[out\], and the ReLU and pooling that follow it.
///
/// # Errors
/// When candle refuses.
pub(in crate::autodiff) fn convolve(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, block: ConvolutionBlock) -> Result<Tensor> {
    optional::apply(x, weight, bias, Convolve { block, chosen: OnceLock::new() })
}

/// A transposed convolution of images \[N, C, H, W\] with weight \[in, out / groups, kh, kw\] and bias \[out\], and the ReLU that follows it.
///
/// # Errors
/// When candle refuses.
pub(in crate::autodiff) fn convolve_transposed(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    block: TransposedConvolution,
) -> Result<Tensor> {
    optional::apply(x, weight, bias, ConvolveTransposed(block))
}

struct Convolve {
    block: ConvolutionBlock,
    /// Which element of its window each output is: saved by the forward pass for the backward pass.
    chosen: OnceLock<Vec<u16>>,
}

struct ConvolveTransposed(TransposedConvolution);

/// What both have in common.
trait Kernel {
    const NAME: &'static str;

    fn output(&self) -> [usize; 3];

    fn convolve<T: Element>(&self, x: &[T], weight: &[T], bias: &[T]) -> Vec<T>;

    fn gradients<T: Element>(&self, x: &[T], weight: &[T], output: &[T], gradient: &[T], of_images: bool) -> Gradients<T>;
}

impl Kernel for Convolve {
    const NAME: &'static str = "convolution";

    fn output(&self) -> [usize; 3] {
        self.block.output()
    }

    fn convolve<T: Element>(&self, x: &[T], weight: &[T], bias: &[T]) -> Vec<T> {
        let (output, chosen) = self.block.forward(x, weight, bias);
        self.chosen.get_or_init(|| chosen);
        output
    }

    fn gradients<T: Element>(&self, x: &[T], weight: &[T], output: &[T], gradient: &[T], of_images: bool) -> Gradients<T> {
        let chosen = self.chosen.get().map_or(&[][..], Vec::as_slice);
        self.block.backward(x, weight, (output, chosen), gradient, of_images)
    }
}

impl Kernel for ConvolveTransposed {
    const NAME: &'static str = "transposed convolution";

    fn output(&self) -> [usize; 3] {
        self.0.output()
    }

    fn convolve<T: Element>(&self, x: &[T], weight: &[T], bias: &[T]) -> Vec<T> {
        self.0.forward(x, weight, bias)
    }

    fn gradients<T: Element>(&self, x: &[T], weight: &[T], output: &[T], gradient: &[T], of_images: bool) -> Gradients<T> {
        self.0.backward(x, weight, output, gradient, of_images)
    }
}

impl<K: Kernel> Operation for K {
    const NAME: &'static str = K::NAME;

    fn forward(&self, (x, xl): Stored<'_>, (weight, wl): Stored<'_>, bias: Option<Stored<'_>>) -> Result<(CpuStorage, Shape)> {
        let [channels, height, width] = self.output();
        let shape = Shape::from((xl.dims()[0], channels, height, width));
        with_element!(x.dtype(), T, {
            let bias = bias.map_or(Ok(&[][..]), |(bias, bl)| slice(bias, bl))?;
            Ok((T::to_cpu_storage_owned(self.convolve::<T>(slice(x, xl)?, slice(weight, wl)?, bias)), shape))
        })
    }

    fn backward(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _bias: Option<&Tensor>,
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<[Option<Tensor>; 3]> {
        let of_images = x.track_op();
        with_element!(x.dtype(), T, {
            let gradients = with_values::<T, _>(x, |x| {
                with_values(weight, |weight| {
                    with_values(output, |output| {
                        with_values(gradient, |gradient| Ok(self.gradients(x, weight, output, gradient, of_images)))
                    })
                })
            })?;
            let of_images = of_images.then(|| Tensor::from_vec(gradients.images, x.shape(), x.device())).transpose()?;
            let of_weight = Tensor::from_vec(gradients.weight, weight.shape(), x.device())?;
            let channels = gradients.bias.len();
            Ok([of_images, Some(of_weight), Some(Tensor::from_vec(gradients.bias, channels, x.device())?)])
        })
    }
}
