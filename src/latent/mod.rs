//! The latent plane: which part of it is looked at, and where the data lie on it.

mod encodings;
mod view;

pub use encodings::{Encodings, ShippedEncodings};
pub use view::View;
