//! Networks as data: graphs of operations with named weights, the models made of them, the model folder on disk, and the lowering to the
//! few instructions that backends run.
//!
//! A new operation is a variant of [`Op`] in `op.rs` with its shape rule in `shapes.rs`, and its lowering in `lowering/mod.rs`; if no
//! instruction serves it, one more in `lowering/program.rs` and in each backend: `engine::reference` (f64), `engine::cpu`, `engine::gpu`
//! (f32) and `autodiff` (gradients of inputs); and a row of the conformance suite, which counts them. A new elementwise function is a
//! variant of [`Function`], and its form in single precision in `engine::cpu` and `engine::gpu`.

pub mod architectures;
mod description;
pub mod folder;
mod function;
mod gaussian;
mod graph;
mod layer;
pub mod lowering;
mod models;
mod network;
mod op;
mod random;
mod shapes;
mod tensor;

pub use description::Description;
pub use function::{FUNCTIONS, Function};
pub use gaussian::{Gaussian, Spread};
pub use graph::{Graph, INPUT, Node};
pub use layer::Layer;
pub use models::{Classifier, Ending, Ensemble, Likelihood, Vae, VaeGraphs, VaeLayers, VaePart, cnn, paper_cnn};
pub use network::{Network, Weights};
pub use op::{Covariance, Interpolation, Op};
pub use random::{random_graph_weights, random_weights};
pub use tensor::Tensor;
