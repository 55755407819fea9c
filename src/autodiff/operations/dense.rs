//! Dense layers.

use super::{Element, slice, with_values};
use crate::kernels::Dense;
use crate::nets::Function;
use candle_core::backend::BackendStorage as _;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType as _, bail};
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
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    let operation = DenseLayer { layer: Dense { inputs, outputs, function }, sums: OnceLock::new() };
    match bias {
        Some(bias) => x.apply_op3(&weight, &bias.contiguous()?, operation),
        None => x.apply_op2(&weight, operation),
    }
}

struct DenseLayer {
    layer: Dense,
    /// What the function was applied to: found on the way forward, needed on the way back.
    sums: OnceLock<CpuStorage>,
}

impl DenseLayer {
    const NAME: &'static str = "dense layer";

    fn forward<T: Element>(&self, x: &[T], rows: usize, weight: &[T], bias: &[T]) -> (CpuStorage, Shape) {
        let (y, sums) = self.layer.forward(x, weight, bias);
        self.sums.get_or_init(|| T::to_cpu_storage_owned(sums));
        (T::to_cpu_storage_owned(y), Shape::from((rows, self.layer.outputs)))
    }

    /// The gradients of x, weight and bias.
    fn backward(&self, x: &Tensor, weight: &Tensor, gradient: &Tensor) -> Result<[Option<Tensor>; 3]> {
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

impl CustomOp2 for DenseLayer {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, w: &CpuStorage, wl: &Layout) -> Result<(CpuStorage, Shape)> {
        with_element!(x.dtype(), T, Ok(self.forward::<T>(slice(x, xl)?, xl.dims()[0], slice(w, wl)?, &[])))
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [of_x, of_weight, _] = self.backward(x, w, gradient)?;
        Ok((of_x, of_weight))
    }
}

impl CustomOp3 for DenseLayer {
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
        with_element!(x.dtype(), T, Ok(self.forward::<T>(slice(x, xl)?, xl.dims()[0], slice(w, wl)?, slice(b, bl)?)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [of_x, of_weight, of_bias] = self.backward(x, w, gradient)?;
        Ok((of_x, of_weight, of_bias))
    }
}
