//! What the numbers say about a model: how well a VAE explains images, how well a classifier knows what it knows, how well a
//! measure tells images apart, and where it is sure without a reason.

pub mod calibration;
pub mod correlation;
pub mod detection;
pub mod dyadic;
pub mod elbo;
pub mod holes;
pub mod proportions;
pub mod student;
pub mod variance;
