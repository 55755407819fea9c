pub mod data;
pub mod engine;
pub mod error;
pub mod files;
pub mod latent;
pub mod nets;
pub mod uncertainty;
