//! Networks as data: graphs of operations with named weights, the models made of them, the model folder on disk, and the lowering to the
//! few instructions that backends run.
//!
//! A new operation takes two files here: `op.rs`, where its variant of [`Op`], its weights and its shape rule stand, and
//! `lowering/mod.rs`, where it becomes instructions. If no instruction serves it, one more in `lowering/program.rs` and in each backend:
//! `engine::reference` (f64), `engine::cpu` and `engine::gpu` (f32), `autodiff::steps` (gradients of inputs). Training has its own form of
//! each operation in `autodiff::forward`. A number in `random_graph.rs`, a row of the conformance suite (`tests/graphs.rs`), a row against
//! PyTorch (`tests/reference/torch_ops.py`) and `docs/model-format.md` are counted by tests; without its negative controls
//! (`tests/common/controls.rs`) the suite does not compile. A new elementwise function is a variant of
//! [`Function`], and its forms in single precision in `engine::cpu`, `engine::gpu` and `kernels::functions`.

pub mod architectures;
mod class_names;
mod description;
mod description_faults;
pub mod folder;
pub mod foreign;
mod function;
mod gaussian;
mod graph;
mod layer;
pub mod lowering;
mod models;
mod network;
mod op;
mod random;
mod random_graph;
mod shapes;
mod tensor;
pub mod torchvision;

pub use class_names::same_classes;
pub use description::{Description, MOST_CLASSES};
pub use function::{FUNCTIONS, Function};
pub(crate) use function::{GELU_CUBIC, ROOT_2_OVER_PI};
pub use gaussian::{Gaussian, Spread};
pub use graph::{Graph, INPUT, Node};
pub use layer::Layer;
pub use models::{Classifier, Ending, Ensemble, Likelihood, Vae, VaeGraphs, VaeLayers, VaePart, cnn, paper_cnn};
pub use network::{Network, Weights};
pub use op::{Covariance, Interpolation, Op};
pub use random::{random_graph_weights, random_weights};
pub use random_graph::{OPERATIONS, random_graph};
pub use tensor::Tensor;
