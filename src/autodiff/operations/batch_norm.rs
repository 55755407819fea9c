//! Batch normalisation in training.

use super::optional::{self, Operation, Stored};
use super::{slice, with_values};
use crate::kernels::{BatchMoments, BatchNorm};
use candle_core::backend::BackendStorage as _;
use candle_core::{CpuStorage, Result, Shape, Tensor, WithDType as _, bail};
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
    let y = optional::apply(x, parameters, residual, Normalise { kernel, moments: Arc::clone(&moments) })?;
    match moments.get() {
        Some(moments) => Ok((y, Arc::clone(moments))),
        None => bail!("batch normalisation was not computed"),
    }
}

struct Normalise {
    kernel: BatchNorm,
    /// Saved by the forward pass.
    moments: Arc<OnceLock<Arc<BatchMoments>>>,
}

impl Operation for Normalise {
    const NAME: &'static str = "batch normalisation";

    fn forward(&self, (x, xl): Stored<'_>, (parameters, pl): Stored<'_>, residual: Option<Stored<'_>>) -> Result<(CpuStorage, Shape)> {
        with_element!(x.dtype(), T, {
            let x = slice::<T>(x, xl)?;
            let moments = self.moments.get_or_init(|| Arc::new(self.kernel.moments(x)));
            let (weight, bias) = slice(parameters, pl)?.split_at(self.kernel.channels);
            let residual = residual.map(|(residual, rl)| slice(residual, rl)).transpose()?;
            let y = self.kernel.forward(x, moments, weight, bias, residual);
            Ok((T::to_cpu_storage_owned(y), xl.shape().clone()))
        })
    }

    fn backward(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        residual: Option<&Tensor>,
        y: &Tensor,
        gradient: &Tensor,
    ) -> Result<[Option<Tensor>; 3]> {
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
            // Without a residual the kernel finds what the ReLU cut off from x.
            let gradients = if residual.is_some() { with_values(y, |y| go_back(Some(y)))? } else { go_back(None)? };
            let of_parameters = [gradients.weight, gradients.bias].concat();
            let of_residual = residual.map(|residual| Tensor::from_vec(gradients.residual, residual.shape(), x.device())).transpose()?;
            let of_x = Tensor::from_vec(gradients.x, x.shape(), x.device())?;
            Ok([Some(of_x), Some(Tensor::from_vec(of_parameters, parameters.shape(), x.device())?), of_residual])
        })
    }
}
