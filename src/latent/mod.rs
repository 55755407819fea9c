//! The latent plane: which part of it is looked at, where the data lie on it, and how densely.

mod contours;
mod density;
mod encodings;
mod nearest;
mod view;

pub use contours::contours;
pub use density::Density;
pub use encodings::{Encodings, ShippedEncodings};
pub use nearest::{Nearest, Surroundings};
pub use view::View;
