//! The latent plane: which part of it is looked at, and where the data lie on it.

mod view;

pub use view::View;
