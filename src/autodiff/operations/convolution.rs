//! Convolutions and transposed convolutions, with or without a bias.

use super::{Element, slice, with_values};
use crate::kernels::{ConvolutionBlock, Gradients, TransposedConvolution};
use candle_core::backend::BackendStorage as _;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType as _, bail};
use std::sync::OnceLock;

/// A convolution of images \[N, C, H, W\] with weight \[out, in / groups, kh, kw\] and bias \[out\], and the ReLU and pooling that follow it.
///
/// # Errors
/// When candle refuses.
pub(in crate::autodiff) fn convolve(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, block: ConvolutionBlock) -> Result<Tensor> {
    apply(x, weight, bias, Convolve { block, chosen: OnceLock::new() })
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
    apply(x, weight, bias, ConvolveTransposed(block))
}

fn apply(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    operation: impl CustomOp2 + CustomOp3 + Send + Sync + 'static,
) -> Result<Tensor> {
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    match bias {
        Some(bias) => x.apply_op3(&weight, &bias.contiguous()?, operation),
        None => x.apply_op2(&weight, operation),
    }
}

struct Convolve {
    block: ConvolutionBlock,
    /// Which element of its window each output is: found on the way forward, needed on the way back.
    chosen: OnceLock<Vec<u16>>,
}

struct ConvolveTransposed(TransposedConvolution);

/// What both have in common.
trait Kernel {
    const NAME: &'static str;

    fn output(&self) -> [usize; 3];

    fn forward<T: Element>(&self, x: &[T], weight: &[T], bias: &[T]) -> Vec<T>;

    fn backward<T: Element>(&self, x: &[T], weight: &[T], output: &[T], gradient: &[T], of_images: bool) -> Gradients<T>;
}

impl Kernel for Convolve {
    const NAME: &'static str = "convolution";

    fn output(&self) -> [usize; 3] {
        self.block.output()
    }

    fn forward<T: Element>(&self, x: &[T], weight: &[T], bias: &[T]) -> Vec<T> {
        let (output, chosen) = self.block.forward(x, weight, bias);
        self.chosen.get_or_init(|| chosen);
        output
    }

    fn backward<T: Element>(&self, x: &[T], weight: &[T], output: &[T], gradient: &[T], of_images: bool) -> Gradients<T> {
        let chosen = self.chosen.get().map_or(&[][..], Vec::as_slice);
        self.block.backward(x, weight, (output, chosen), gradient, of_images)
    }
}

impl Kernel for ConvolveTransposed {
    const NAME: &'static str = "transposed convolution";

    fn output(&self) -> [usize; 3] {
        self.0.output()
    }

    fn forward<T: Element>(&self, x: &[T], weight: &[T], bias: &[T]) -> Vec<T> {
        self.0.forward(x, weight, bias)
    }

    fn backward<T: Element>(&self, x: &[T], weight: &[T], output: &[T], gradient: &[T], of_images: bool) -> Gradients<T> {
        self.0.backward(x, weight, output, gradient, of_images)
    }
}

fn forward<K: Kernel>(
    kernel: &K,
    (x, xl): (&CpuStorage, &Layout),
    (weight, wl): (&CpuStorage, &Layout),
    bias: Option<(&CpuStorage, &Layout)>,
) -> Result<(CpuStorage, Shape)> {
    let [channels, height, width] = kernel.output();
    let shape = Shape::from((xl.dims()[0], channels, height, width));
    with_element!(x.dtype(), T, {
        let bias = bias.map_or(Ok(&[][..]), |(bias, bl)| slice(bias, bl))?;
        Ok((T::to_cpu_storage_owned(kernel.forward::<T>(slice(x, xl)?, slice(weight, wl)?, bias)), shape))
    })
}

/// The gradients of images, weight and bias.
fn backward<K: Kernel>(kernel: &K, x: &Tensor, weight: &Tensor, output: &Tensor, gradient: &Tensor) -> Result<[Option<Tensor>; 3]> {
    let of_images = x.track_op();
    with_element!(x.dtype(), T, {
        let gradients = with_values::<T, _>(x, |x| {
            with_values(weight, |weight| {
                with_values(output, |output| with_values(gradient, |gradient| Ok(kernel.backward(x, weight, output, gradient, of_images))))
            })
        })?;
        let of_images = of_images.then(|| Tensor::from_vec(gradients.images, x.shape(), x.device())).transpose()?;
        let of_weight = Tensor::from_vec(gradients.weight, weight.shape(), x.device())?;
        let channels = gradients.bias.len();
        Ok([of_images, Some(of_weight), Some(Tensor::from_vec(gradients.bias, channels, x.device())?)])
    })
}

macro_rules! custom_op {
    ($operation:ty) => {
        impl CustomOp2 for $operation {
            fn name(&self) -> &'static str {
                Self::NAME
            }

            fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, w: &CpuStorage, wl: &Layout) -> Result<(CpuStorage, Shape)> {
                forward(self, (x, xl), (w, wl), None)
            }

            fn bwd(&self, x: &Tensor, w: &Tensor, output: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
                let [of_images, of_weight, _] = backward(self, x, w, output, gradient)?;
                Ok((of_images, of_weight))
            }
        }

        impl CustomOp3 for $operation {
            fn name(&self) -> &'static str {
                Self::NAME
            }

            fn cpu_fwd(
                &self,
                x: &CpuStorage,
                xl: &Layout,
                w: &CpuStorage,
                wl: &Layout,
                b: &CpuStorage,
                bl: &Layout,
            ) -> Result<(CpuStorage, Shape)> {
                forward(self, (x, xl), (w, wl), Some((b, bl)))
            }

            fn bwd(
                &self,
                x: &Tensor,
                w: &Tensor,
                _: &Tensor,
                output: &Tensor,
                gradient: &Tensor,
            ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
                let [of_images, of_weight, of_bias] = backward(self, x, w, output, gradient)?;
                Ok((of_images, of_weight, of_bias))
            }
        }
    };
}

custom_op!(Convolve);
custom_op!(ConvolveTransposed);
