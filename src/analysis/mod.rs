//! What the numbers say about a model: how well a VAE explains images, how well a classifier knows what it knows, and how well
//! a measure tells images apart.

pub mod calibration;
pub mod detection;
pub mod elbo;
