//! What is random in the passes that gradients are taken of.

use crate::random::{keep_mask, normal_noise};

/// A dropout mask that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct MaskOf {
    /// The member's number in the ensemble.
    pub member: usize,
    /// The draw.
    pub draw: u32,
    /// The stream of the dropout.
    pub stream: u32,
    /// P(dropped).
    pub rate: f64,
    /// How many units there are.
    pub units: usize,
}

/// The noise of a Gaussian layer that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct NoiseOf {
    /// The member's number in the ensemble.
    pub member: usize,
    /// The draw.
    pub draw: u32,
    /// The stream of the Gaussian layer.
    pub stream: u32,
    /// How many standard normal numbers.
    pub count: usize,
}

/// Says which units a mask keeps.
pub type KeepMask = Box<dyn Fn(MaskOf) -> Vec<bool> + Send + Sync>;

/// All that is random in draws.
pub struct Randomness {
    /// Which units a dropout mask keeps.
    pub keep: KeepMask,
    /// The standard normal numbers of a Gaussian layer's weights.
    pub noise: Box<dyn Fn(NoiseOf) -> Vec<f64> + Send + Sync>,
}

impl Randomness {
    /// That of the engines for a seed, shared by all points.
    pub fn of_seed(seed: u32) -> Self {
        Self {
            keep: Box::new(move |MaskOf { member, draw, stream, rate, units }| {
                keep_mask(seed, member as u32, draw, stream, 0, rate, units)
            }),
            noise: Box::new(move |NoiseOf { member, draw, stream, count }| normal_noise(seed, member as u32, draw, stream, 0, count)),
        }
    }
}
