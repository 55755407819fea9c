//! Gradients: lowered networks as steps that can be gone back over, and graphs on candle's tape, with training on top of it.
//! Nothing outside this room knows candle.

mod composed;
mod decoder;
mod device;
mod forward;
mod input;
mod laplace;
mod objective;
mod operations;
mod randomness;
mod steps;
mod tape;
mod thinned;
pub mod train;
mod vae;

pub use decoder::{Decoded, DecoderGradients};
pub use device::{device, device_name};
pub use forward::{Forward, Masks, Moments, Parameters, Pass};
pub use input::{Answer, InputGradients, Passes, Precision, input_gradients};
pub use laplace::{ImageObserver, Laplace, Structure, last_layer_laplace};
pub use objective::{Loss, Objective};
pub use randomness::{KeepMask, MaskOf, NoiseOf, Randomness};
pub use vae::{elbo_of, encode, reconstruct};

use crate::error::Error;

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        // Its first line: candle appends a backtrace where `RUST_BACKTRACE` is set.
        Self::Autodiff(error.to_string().lines().next().unwrap_or_default().to_owned())
    }
}

#[cfg(test)]
mod tests;
