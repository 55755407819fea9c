//! The latent plane: which part of it is looked at, where the data lie on it and how densely, and curves on it.

mod contours;
mod density;
mod encodings;
mod geodesic;
mod nearest;
mod view;

pub use contours::contours;
pub use density::Density;
pub use encodings::{Encodings, ShippedEncodings, class_centres};
pub use geodesic::{curve_energy, geodesic, straight_line};
pub use nearest::{Nearest, Surroundings};
pub use view::View;
