//! Elementwise functions, and the reconstruction error of Bernoulli pixels.

use super::{slice, with_values};
use crate::autodiff::composed;
use crate::kernels::functions;
use crate::nets::Function;
use candle_core::backend::BackendStorage as _;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, WithDType as _, bail};

/// The function of every element.
///
/// # Errors
/// When candle refuses.
pub(in crate::autodiff) fn apply(x: &Tensor, function: Function) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Apply(function))
}

/// The reconstruction error of each image with Bernoulli pixels, in nats: Σ ln(1 + exp(l)) − x l over logits and images \[N, D\], as \[N\].
///
/// # Errors
/// When candle refuses, or the shapes differ.
pub(in crate::autodiff) fn bernoulli(logits: &Tensor, images: &Tensor) -> Result<Tensor> {
    logits.contiguous()?.apply_op2(&images.contiguous()?, Bernoulli)
}

/// The operation of [`apply`].
#[derive(Clone, Copy, Debug, PartialEq)]
struct Apply(Function);

/// The same wherever the tensor lies.
///
/// # Errors
/// When candle refuses.
pub(in crate::autodiff) fn apply_anywhere(x: &Tensor, function: Function) -> Result<Tensor> {
    if x.device().is_cpu() { apply(x, function) } else { composed::apply(x, function) }
}

impl CustomOp1 for Apply {
    fn name(&self) -> &'static str {
        "elementwise function"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout) -> Result<(CpuStorage, Shape)> {
        with_element!(x.dtype(), T, Ok((T::to_cpu_storage_owned(functions::map::<T>(self.0, slice(x, xl)?)), xl.shape().clone())))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        with_element!(x.dtype(), T, {
            let of_x = with_values::<T, _>(x, |x| with_values(gradient, |gradient| Ok(functions::gradient(self.0, x, gradient))))?;
            Ok(Some(Tensor::from_vec(of_x, x.shape(), x.device())?))
        })
    }
}

struct Bernoulli;

impl CustomOp2 for Bernoulli {
    fn name(&self) -> &'static str {
        "Bernoulli reconstruction error"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, ll: &Layout, images: &CpuStorage, il: &Layout) -> Result<(CpuStorage, Shape)> {
        let &[count, length] = ll.dims() else { bail!("{} takes logits [N, D], not {:?}", CustomOp2::name(self), ll.dims()) };
        if ll.shape() != il.shape() {
            bail!("{} takes logits and images of the same shape, not {:?} and {:?}", CustomOp2::name(self), ll.dims(), il.dims());
        }
        with_element!(logits.dtype(), T, {
            let errors = functions::bernoulli::<T>(slice(logits, ll)?, slice(images, il)?, length);
            Ok((T::to_cpu_storage_owned(errors), Shape::from(count)))
        })
    }

    fn bwd(&self, logits: &Tensor, images: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let length = logits.dim(1)?;
        let of_logits = with_element!(logits.dtype(), T, {
            let of_logits = with_values::<T, _>(logits, |logits| {
                with_values(images, |images| {
                    with_values(gradient, |gradient| Ok(functions::bernoulli_gradient(logits, images, gradient, length)))
                })
            })?;
            Tensor::from_vec(of_logits, logits.shape(), logits.device())?
        });
        let of_images = images.track_op().then(|| logits.detach().broadcast_mul(&gradient.unsqueeze(1)?.neg()?)).transpose()?;
        Ok((Some(of_logits), of_images))
    }
}
