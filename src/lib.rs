//! Epistemap: a microscope for what an image classifier does not know.

pub mod analysis;
pub mod autodiff;
pub mod cli;
pub mod data;
pub mod engine;
pub mod error;
pub mod figure;
pub mod files;
pub mod jobs;
pub mod kernels;
pub mod latent;
pub mod nets;
pub mod random;
pub mod uncertainty;
