//! Operations with gradients that candle lacks or computes slowly on the CPU. Each takes f32 or f64 and stands on the kernels in
//! [`crate::kernels`]; `composed.rs` has the same of candle's own operations, for other devices.

use crate::kernels::Real;
use candle_core::{CpuStorage, Layout, Result, Storage, Tensor, WithDType, bail};

/// A type that both candle and the kernels compute with.
pub(in crate::autodiff) trait Element: WithDType + Real {}
impl Element for f32 {}
impl Element for f64 {}

/// Runs `$body` with `$t` bound to the element type of `$dtype`.
macro_rules! with_element {
    ($dtype:expr, $t:ident, $body:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $t = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $t = f64;
                $body
            }
            other => bail!("networks compute in f32 or f64, not {other:?}"),
        }
    };
}

mod batch_norm;
mod convolution;
mod dense;
mod functions;
mod optional;
mod plane;
#[cfg(test)]
mod tests;

pub(super) use batch_norm::batch_norm;
pub(super) use convolution::{convolve, convolve_transposed};
pub(super) use dense::dense;
pub(super) use functions::{apply, apply_anywhere, bernoulli};
pub(super) use plane::plane;

pub(super) fn slice<'a, T: Element>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&T::cpu_storage_as_slice(storage)?[start..end]),
        None => bail!("a custom operation was given a tensor that is not contiguous: {layout:?}"),
    }
}

/// Calls `f` with the values of a tensor, without a copy where it is contiguous.
pub(super) fn with_values<T: Element, R>(tensor: &Tensor, f: impl FnOnce(&[T]) -> Result<R>) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => f(slice(storage, layout)?),
        _ => bail!("custom operations run on the CPU"),
    }
}
