//! What a window opens with.

use crate::app::state::scope::{EstimateTraining, LoadNamed, LoadTraining};
use crate::app::state::storage::Storage;
use crate::data::Dataset;
use crate::error::Result;
use crate::jobs::{Additions, ModelSet};
use std::path::PathBuf;
use std::sync::Arc;

/// Loads the images that ends and pins are chosen from.
pub type LoadData = Arc<dyn Fn(&DataRequest) -> Result<Dataset> + Send + Sync>;

/// Which images are to be loaded.
pub struct DataRequest {
    /// The models that they are for.
    pub set: Arc<ModelSet>,
    /// The folder of the models; none for the shipped ones.
    pub folder: Option<PathBuf>,
    /// A known data set, or a folder; those that the models are about for `None`.
    pub name: Option<String>,
}

/// The models, the session and the places that a window opens with.
pub struct Start {
    /// The models.
    pub set: ModelSet,
    /// The folder that they come from; none for the shipped ones.
    pub folder: Option<PathBuf>,
    /// What is added to them.
    pub additions: Additions,
    /// The engine's name.
    pub engine: String,
    /// A session file to open.
    pub session: Option<PathBuf>,
    /// Where the window remembers things.
    pub storage: Storage,
    /// Loads the images that ends and pins are chosen from.
    pub load: LoadData,
    /// Loads the test images of any data set by name.
    pub load_named: LoadNamed,
    /// Where attacked images are kept from run to run, if anywhere.
    pub attack_cache: Option<PathBuf>,
    /// Loads training and test images.
    pub load_training: LoadTraining,
    /// Says what a training takes.
    pub estimate_training: EstimateTraining,
    /// Where trained models go, if anywhere.
    pub library: Option<PathBuf>,
    /// Where the models of cats and dogs are, if anywhere.
    pub cats_dogs: Option<PathBuf>,
}
