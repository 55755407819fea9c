//! What the numbers say about a model: how well a VAE explains images, how well a classifier knows what it knows.

pub mod calibration;
pub mod elbo;
