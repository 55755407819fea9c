//! Dense layers.

use super::optional::{self, Operation, Stored};
use super::{slice, with_values};
use crate::kernels::Dense;
use crate::nets::Function;
use candle_core::backend::BackendStorage as _;
use candle_core::{CpuStorage, Result, Shape, Tensor, WithDType as _, bail};
use std::sync::OnceLock;

/// function(x Wᵀ + b) of x \[N, inputs\], weight \[outputs, inputs\] and bias \[outputs\].
///
/// # Errors
/// When candle refuses.
pub(in crate::autodiff) fn dense(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, function: Option<Function>) -> Result<Tensor> {
    let (outputs, inputs) = weight.dims2()?;
    if x.dims2()?.1 != inputs {
        bail!("a dense layer of {inputs} inputs is given {:?}", x.dims());
    }
    optional::apply(x, weight, bias, DenseLayer { layer: Dense { inputs, outputs, function }, sums: OnceLock::new() })
}

struct DenseLayer {
    layer: Dense,
    /// What the function was applied to: saved by the forward pass for the backward pass.
    sums: OnceLock<CpuStorage>,
}

impl Operation for DenseLayer {
    const NAME: &'static str = "dense layer";

    fn forward(&self, (x, xl): Stored<'_>, (weight, wl): Stored<'_>, bias: Option<Stored<'_>>) -> Result<(CpuStorage, Shape)> {
        with_element!(x.dtype(), T, {
            let bias = bias.map_or(Ok(&[][..]), |(bias, bl)| slice(bias, bl))?;
            let (y, sums) = self.layer.forward::<T>(slice(x, xl)?, slice(weight, wl)?, bias);
            self.sums.get_or_init(|| T::to_cpu_storage_owned(sums));
            Ok((T::to_cpu_storage_owned(y), Shape::from((xl.dims()[0], self.layer.outputs))))
        })
    }

    fn backward(&self, x: &Tensor, weight: &Tensor, _bias: Option<&Tensor>, _y: &Tensor, gradient: &Tensor) -> Result<[Option<Tensor>; 3]> {
        let of_x = x.track_op();
        with_element!(x.dtype(), T, {
            let sums = self.sums.get().map_or(Ok(&[][..]), T::cpu_storage_as_slice)?;
            let gradients = with_values::<T, _>(x, |x| {
                with_values(weight, |weight| with_values(gradient, |gradient| Ok(self.layer.backward(x, weight, sums, gradient, of_x))))
            })?;
            let of_x = of_x.then(|| Tensor::from_vec(gradients.x, x.shape(), x.device())).transpose()?;
            let of_weight = Tensor::from_vec(gradients.weight, weight.shape(), x.device())?;
            Ok([of_x, Some(of_weight), Some(Tensor::from_vec(gradients.bias, self.layer.outputs, x.device())?)])
        })
    }
}
