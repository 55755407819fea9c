//! Networks as data: layers with named weights, the models made of them, and the model folder on disk.
//!
//! One description, three interpreters: `engine::reference` (f64), `engine::cpu` (f32) and `autodiff` (gradients).

pub mod folder;
mod gaussian;
mod layer;
mod models;
mod network;
mod random;
mod tensor;

pub use gaussian::{Gaussian, Spread};
pub use layer::{Covariance, Layer};
pub use models::{Classifier, Ensemble, Vae, VaeLayers, cnn, paper_cnn};
pub use network::{Network, Weights, shapes};
pub use random::random_weights;
pub use tensor::Tensor;
