//! What every panel sees: the session, the models, the map that is being computed, and where the pointer is.

use super::map::Values;
use super::session::Session;
use super::training::{EstimateTraining, LoadTraining};
use crate::data::{DataIdentity, Dataset, Split, locate, sources};
use crate::error::{Error, Result};
use crate::jobs::library::name_of;
use crate::jobs::training::Frame;
use crate::jobs::training::estimate;
use crate::jobs::{Holes, LiveMap, ModelSet, SharedEngine, Status};
use crate::latent::Surroundings;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Loads the test images of a data set by its name.
pub type LoadNamed = Arc<dyn Fn(&str) -> Result<Dataset> + Send + Sync>;

/// Something to open. A worker reads it while the window stays usable.
#[derive(Clone, Debug, PartialEq)]
pub enum Opening {
    /// The models of a folder; the shipped ones for `None`.
    Models(Option<PathBuf>),
    /// Another VAE in place of the models' own.
    Vae(PathBuf),
    /// A classifier, or those of a folder, for the ensemble.
    Members(PathBuf),
    /// Only the models' own VAE and members.
    Originals,
    /// The same models without one of the library, which is then deleted.
    Without(PathBuf),
    /// A session file, or the provenance of an exported figure.
    Session(PathBuf),
    /// A file or folder that was dropped: models, a session, or an image to pin.
    File(PathBuf),
    /// Another engine.
    Engine(String),
}

impl Opening {
    /// Its name in the window.
    pub fn what(&self) -> String {
        match self {
            Self::Models(None) | Self::Originals => "the shipped models".to_owned(),
            Self::Models(Some(path)) | Self::Vae(path) | Self::Members(path) | Self::Session(path) | Self::File(path) => name_of(path),
            Self::Without(path) => format!("the models without {}", name_of(path)),
            Self::Engine(name) => format!("the engine {name}"),
        }
    }
}

/// Something that a panel asks the window to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Open something.
    Open(Opening),
    /// Save the session.
    SaveSession(PathBuf),
    /// One step back.
    Undo,
    /// One step forward.
    Redo,
    /// Show or hide the dialog of exports.
    Export,
    /// Show or hide the list of shortcuts.
    Help,
    /// Say a sentence in the status line until another comes.
    Say(String),
    /// Say that something went wrong: it stays until it is closed.
    Complain(String),
    /// Close the window.
    Quit,
}

/// What every panel sees and may change.
pub struct Scope {
    /// Everything that makes the picture.
    pub session: Session,
    /// The models.
    pub set: Arc<ModelSet>,
    /// What computes.
    pub engine: Arc<SharedEngine>,
    /// The newest map; it may still be growing.
    pub live: Option<Arc<LiveMap>>,
    /// What the map's worker is at.
    pub map_status: Status,
    /// Whether the newest map has other settings than a part of the plane: older pictures then show something else.
    pub settings_changed: bool,
    /// The values that the maps show.
    pub values: Vec<Values>,
    /// The images that ends and pins are chosen from; they come a moment after the start.
    pub data: Option<Arc<Dataset>>,
    /// Which images these are; it takes a moment longer.
    pub data_identity: Option<DataIdentity>,
    /// The density of the training encodings, and a search for the nearest of them; they come a moment after the start, where the models
    /// have encodings.
    pub surroundings: Option<Arc<Surroundings>>,
    /// The holes of the maps that are shown, where somebody looks at them.
    pub holes: Vec<Arc<Holes>>,
    /// The name of the tab that is open.
    pub open_tab: String,
    /// The latent point under the pointer, in whichever panel it is: every map marks it.
    pub cursor: Option<[f64; 2]>,
    /// The map that the pointer is on.
    pub cursor_map: Option<usize>,
    /// Where the pins lie, as far as it is known.
    pub pinned: [Option<[f64; 2]>; 2],
    /// The geodesic between the ends of the line, where it is shown.
    pub geodesic: Option<Vec<[f64; 2]>>,
    /// The encodings of an image under attack, from the original to the newest step, where they are shown.
    pub attack_path: Option<Vec<[f64; 2]>>,
    /// Loads the test images of another data set by name.
    pub load_named: LoadNamed,
    /// Where attacked images are kept from run to run.
    pub attack_cache: Option<PathBuf>,
    /// Loads training and test images.
    pub load_training: LoadTraining,
    /// Says what a training takes.
    pub estimate_training: EstimateTraining,
    /// Where trained models go, if anywhere.
    pub library: Option<PathBuf>,
    /// Whether models have come or gone there.
    pub library_changed: bool,
    /// Where the models of cats and dogs are, if anywhere.
    pub cats_dogs: Option<PathBuf>,
    /// The picture of a model under training that the maps are to show instead.
    pub underway: Option<Arc<Frame>>,
    /// Whether the training that is chosen is to begin.
    pub start_training: bool,
    /// A model whose training is to be shown.
    pub look_back: Option<PathBuf>,
    /// Where the film of a training is to be written.
    pub save_film: Option<PathBuf>,
    /// A mark on the maps that follows another panel, such as the cursor on a curve.
    pub mark: Option<[f64; 2]>,
    /// What is to be done after this frame.
    pub commands: Vec<Command>,
}

impl Scope {
    /// What panels see before anything has been computed or loaded.
    pub fn new(session: Session, set: Arc<ModelSet>, engine: Arc<SharedEngine>) -> Self {
        Self {
            session,
            set,
            engine,
            live: None,
            map_status: Status::Idle,
            settings_changed: false,
            values: Vec::new(),
            data: None,
            data_identity: None,
            surroundings: None,
            holes: Vec::new(),
            open_tab: String::new(),
            cursor: None,
            cursor_map: None,
            pinned: [None, None],
            geodesic: None,
            attack_path: None,
            load_named: Arc::new(|name| Ok(locate::find(sources::named(name)?, Split::Test, None, None)?.0)),
            attack_cache: None,
            load_training: Arc::new(|_| Err(Error::setting("training data", "there are none here", "start the window anew"))),
            estimate_training: Arc::new(estimate),
            library: None,
            cats_dogs: None,
            library_changed: true,
            underway: None,
            start_training: false,
            look_back: None,
            save_film: None,
            mark: None,
            commands: Vec::new(),
        }
    }

    /// Asks for something to be done after this frame.
    pub fn ask(&mut self, command: Command) {
        self.commands.push(command);
    }

    /// Where trained models go.
    ///
    /// # Errors
    /// When the user has no folder for them.
    pub fn library(&self) -> Result<&Path> {
        self.library.as_deref().ok_or_else(|| {
            Error::setting("the folder of trained models", "the system names no data directory", "set EPISTEMAP_MODELS to a folder")
        })
    }

    /// \[channels, height, width\] of the images.
    pub fn image_shape(&self) -> [usize; 3] {
        let shape = self.set.vae.image_shape();
        [shape[0], shape[1], shape[2]]
    }

    /// The names of the classes.
    pub fn classes(&self) -> &[String] {
        self.set.ensemble().classes()
    }
}
