//! Pooling, padding and resampling of images.

use super::{slice, with_values};
use crate::autodiff::steps::Map;
use crate::kernels::Pooling;
use crate::nets::lowering::Plane;
use candle_core::backend::BackendStorage as _;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType as _, bail};
use std::sync::OnceLock;

/// A pool, a padding or another size of images \[N, C, H, W\].
///
/// # Errors
/// When candle refuses, or the images have another size.
pub(in crate::autodiff) fn plane(x: &Tensor, plane: &Plane) -> Result<Tensor> {
    let (_, channels, height, width) = x.dims4()?;
    if plane.from != [height, width] {
        bail!("a map of images of {:?} pixels is given {:?}", plane.from, x.dims());
    }
    match Pooling::of(channels, plane) {
        Some(pooling) => x.contiguous()?.apply_op1(Pool(pooling)),
        None => x.contiguous()?.apply_op1(MapPlane { plane: plane.clone(), chosen: OnceLock::new() }),
    }
}

struct MapPlane {
    plane: Plane,
    /// The pixels that were the largest: saved by the forward pass for the backward pass.
    chosen: OnceLock<Vec<u32>>,
}

impl CustomOp1 for MapPlane {
    fn name(&self) -> &'static str {
        "map of a plane"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout) -> Result<(CpuStorage, Shape)> {
        let ([height, width], dims) = (self.plane.to, xl.dims());
        with_element!(x.dtype(), T, {
            let (output, chosen) = Map::<T>::new(&self.plane).forward(slice(x, xl)?);
            self.chosen.get_or_init(|| chosen);
            Ok((T::to_cpu_storage_owned(output), Shape::from((dims[0], dims[1], height, width))))
        })
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let chosen = self.chosen.get().map_or(&[][..], Vec::as_slice);
        with_element!(x.dtype(), T, {
            let of_x = with_values::<T, _>(gradient, |gradient| Ok(Map::new(&self.plane).backward(chosen, gradient)))?;
            Ok(Some(Tensor::from_vec(of_x, x.shape(), x.device())?))
        })
    }
}

/// Maximum or average pooling.
struct Pool(Pooling);

impl CustomOp1 for Pool {
    fn name(&self) -> &'static str {
        "pooling"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout) -> Result<(CpuStorage, Shape)> {
        let [channels, height, width] = self.0.output;
        let shape = Shape::from((xl.dims()[0], channels, height, width));
        with_element!(x.dtype(), T, Ok((T::to_cpu_storage_owned(self.0.forward::<T>(slice(x, xl)?)), shape)))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        with_element!(x.dtype(), T, {
            let of_images = with_values::<T, _>(x, |x| with_values(gradient, |gradient| Ok(self.0.backward(x, gradient))))?;
            Ok(Some(Tensor::from_vec(of_images, x.shape(), x.device())?))
        })
    }
}
