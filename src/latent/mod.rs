//! The latent plane: which part of it is looked at, where the data lie on it, and curves on it.

mod encodings;
mod geodesic;
mod view;

pub use encodings::{Encodings, ShippedEncodings};
pub use geodesic::{curve_energy, geodesic, straight_line};
pub use view::View;
