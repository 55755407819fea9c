//! Batch normalisation in training.

use super::{slice, with_values};
use crate::kernels::{BatchMoments, BatchNorm};
use candle_core::backend::BackendStorage as _;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType as _, bail};
use std::sync::{Arc, OnceLock};

/// (x − mean) / √(variance + epsilon) · weight + bias \[+ residual\], \[max(y, 0)\], with the moments of each channel of x \[N, C, …\] over the batch
/// and the places; and the moments. `parameters` \[2, C\] holds the weight and then the bias; the residual has the shape of x.
///
/// # Errors
/// When candle refuses, or the shapes do not fit.
pub(in crate::autodiff) fn batch_norm(
    x: &Tensor,
    parameters: &Tensor,
    residual: Option<&Tensor>,
    epsilon: f64,
    relu: bool,
) -> Result<(Tensor, Arc<BatchMoments>)> {
    let [_, channels, places @ ..] = x.dims() else { bail!("batch normalisation takes x [N, C, …], not {:?}", x.dims()) };
    if parameters.dims() != [2, *channels] || residual.is_some_and(|residual| residual.dims() != x.dims()) {
        let residual = residual.map(Tensor::dims);
        bail!("batch normalisation of {:?} is given parameters {:?} and the residual {residual:?}", x.dims(), parameters.dims());
    }
    if x.elem_count() == 0 {
        bail!("batch normalisation needs an image at least, not {:?}", x.dims());
    }
    let kernel = BatchNorm { channels: *channels, places: places.iter().product(), epsilon, relu };
    let moments = Arc::new(OnceLock::new());
    let operation = Normalise { kernel, moments: Arc::clone(&moments) };
    let (x, parameters) = (x.contiguous()?, parameters.contiguous()?);
    let y = match residual {
        Some(residual) => x.apply_op3(&parameters, &residual.contiguous()?, operation)?,
        None => x.apply_op2(&parameters, operation)?,
    };
    match moments.get() {
        Some(moments) => Ok((y, Arc::clone(moments))),
        None => bail!("batch normalisation was not computed"),
    }
}

struct Normalise {
    kernel: BatchNorm,
    /// Found on the way forward.
    moments: Arc<OnceLock<Arc<BatchMoments>>>,
}

impl Normalise {
    const NAME: &'static str = "batch normalisation";

    fn forward(
        &self,
        (x, xl): (&CpuStorage, &Layout),
        (parameters, pl): (&CpuStorage, &Layout),
        residual: Option<(&CpuStorage, &Layout)>,
    ) -> Result<(CpuStorage, Shape)> {
        with_element!(x.dtype(), T, {
            let x = slice::<T>(x, xl)?;
            let moments = self.moments.get_or_init(|| Arc::new(self.kernel.moments(x)));
            let (weight, bias) = slice(parameters, pl)?.split_at(self.kernel.channels);
            let residual = residual.map(|(residual, rl)| slice(residual, rl)).transpose()?;
            let y = self.kernel.forward(x, moments, weight, bias, residual);
            Ok((T::to_cpu_storage_owned(y), xl.shape().clone()))
        })
    }

    /// The gradients of x, parameters and residual.
    fn backward(&self, x: &Tensor, parameters: &Tensor, y: Option<&Tensor>, gradient: &Tensor) -> Result<[Tensor; 3]> {
        let Some(moments) = self.moments.get() else { bail!("{} goes back before it went forward", Self::NAME) };
        with_element!(x.dtype(), T, {
            let go_back = |y: Option<&[T]>| {
                with_values::<T, _>(x, |x| {
                    with_values(parameters, |parameters| {
                        let (weight, bias) = parameters.split_at(self.kernel.channels);
                        with_values(gradient, |gradient| Ok(self.kernel.backward(x, moments, weight, bias, y, gradient)))
                    })
                })
            };
            let gradients = match y {
                Some(y) => with_values(y, |y| go_back(Some(y)))?,
                None => go_back(None)?,
            };
            let of_parameters = [gradients.weight, gradients.bias].concat();
            let of_residual = match y {
                Some(y) => Tensor::from_vec(gradients.residual, y.shape(), y.device())?,
                None => Tensor::zeros(0, x.dtype(), x.device())?,
            };
            let of_x = Tensor::from_vec(gradients.x, x.shape(), x.device())?;
            Ok([of_x, Tensor::from_vec(of_parameters, parameters.shape(), x.device())?, of_residual])
        })
    }
}

impl CustomOp2 for Normalise {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout, p: &CpuStorage, pl: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward((x, xl), (p, pl), None)
    }

    fn bwd(&self, x: &Tensor, parameters: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [of_x, of_parameters, _] = self.backward(x, parameters, None, gradient)?;
        Ok((Some(of_x), Some(of_parameters)))
    }
}

impl CustomOp3 for Normalise {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        p: &CpuStorage,
        pl: &Layout,
        r: &CpuStorage,
        rl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward((x, xl), (p, pl), Some((r, rl)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        _: &Tensor,
        y: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [of_x, of_parameters, of_residual] = self.backward(x, parameters, Some(y), gradient)?;
        Ok((Some(of_x), Some(of_parameters), Some(of_residual)))
    }
}
