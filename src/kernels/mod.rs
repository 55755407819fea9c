//! Kernels on the CPU that training and attacks share: convolution and pooling, forward and backward, in f32 or f64.
//!
//! Work is split over images (rayon), never over a sum: results do not depend on the number of threads.

mod convolution;
mod pooling;

pub use convolution::{Convolution, ConvolutionBlock};
pub use pooling::Pooling;

/// The two precisions.
pub trait Real: faer::traits::ComplexField + faer::traits::RealField + Copy + PartialOrd + Send + Sync + std::iter::Sum + 'static {
    /// 0.
    const ZERO: Self;
    /// 1 / `count`.
    fn reciprocal(count: usize) -> Self;
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    fn reciprocal(count: usize) -> Self {
        1.0 / count as Self
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    fn reciprocal(count: usize) -> Self {
        1.0 / count as Self
    }
}
