//! Kernels on the CPU that training and attacks share: convolutions, dense layers, batch normalisation, pooling,
//! elementwise functions, forward and backward, in f32 or f64.
//!
//! Work is split (rayon) into tasks whose size does not depend on the number of threads, so neither do the results.

#![allow(clippy::inline_always, reason = "loops are compiled for the widest vectors only where all that they call is inlined")]

mod batch_norm;
mod convolution;
mod dense;
pub mod functions;
mod pooling;
#[cfg(test)]
mod test_support;

use pulp::{Arch, Simd, WithSimd};

pub use batch_norm::{BatchMoments, BatchNorm, BatchNormGradients};
pub use convolution::{Convolution, ConvolutionBlock, Gradients, TransposedConvolution};
pub use dense::{Dense, DenseGradients};
pub use pooling::Pooling;

/// Runs loops compiled for the widest vectors of the machine. `body` and what it calls must be `#[inline(always)]`; it is an `FnMut`, since rustc
/// calls an `FnOnce` that could be called again through a function that stays out of line, and scalar.
#[inline(always)]
pub(crate) fn vectorised<R>(body: impl FnMut() -> R) -> R {
    struct Body<F>(F);
    impl<R, F: FnMut() -> R> WithSimd for Body<F> {
        type Output = R;

        #[inline(always)]
        fn with_simd<S: Simd>(mut self, _: S) -> R {
            (self.0)()
        }
    }
    Arch::new().dispatch(Body(body))
}

/// The gradient before a ReLU for the gradient behind it and the output y.
fn relu_gradient<T: Real>(target: &mut [T], gradient: &[T], y: &[T]) {
    vectorised(
        #[inline(always)]
        || {
            for ((target, &gradient), &y) in target.iter_mut().zip(gradient).zip(y) {
                *target = if y <= T::ZERO { T::ZERO } else { gradient };
            }
        },
    );
}

/// The two precisions.
pub trait Real:
    functions::Elementwise + faer::traits::ComplexField + faer::traits::RealField + Copy + PartialOrd + Send + Sync + std::iter::Sum + 'static
{
    /// 0.
    const ZERO: Self;
    /// As f64.
    fn double(self) -> f64;
    /// The nearest to an f64.
    fn of_double(value: f64) -> Self;
}

impl Real for f32 {
    const ZERO: Self = 0.0;

    #[inline(always)]
    fn double(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn of_double(value: f64) -> Self {
        value as Self
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;

    #[inline(always)]
    fn double(self) -> f64 {
        self
    }

    #[inline(always)]
    fn of_double(value: f64) -> Self {
        value
    }
}
