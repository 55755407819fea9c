//! Gradients: the same networks interpreted with candle's tape, and training on top of it. Nothing outside this room knows candle.

mod forward;
mod operations;
pub mod train;

pub use forward::{Masks, Parameters, forward};
pub use train::{elbo_of, encode};

#[cfg(test)]
mod tests;
