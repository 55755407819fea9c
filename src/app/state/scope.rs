//! What every panel sees: the session, the models, the map that is being computed, and where the pointer is.

use crate::app::state::event::Event;
use crate::app::state::session::{MOST_IMAGES, Session};
use crate::app::state::values::Values;
use crate::app::state::views::ViewHistory;
use crate::app::state::wording::in_window;
use crate::data::{DataIdentity, Dataset, FolderData, Split, locate, sources};
use crate::error::{Error, Result};
use crate::jobs::training::{Frame, TrainingEstimate, TrainingPlan, estimate};
use crate::jobs::{Holes, LiveMap, ModelSet, SharedEngine, Status};
use crate::latent::Surroundings;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Loads the test images of a data set by its name.
pub type LoadNamed = Arc<dyn Fn(&str) -> Result<Dataset> + Send + Sync>;

/// Loads the training and test images that a plan names, and what is to be said of them.
pub type LoadTraining = Arc<dyn Fn(&TrainingPlan) -> Result<FolderData> + Send + Sync>;

/// Estimates parameters, memory and time of a plan on prepared training and test images. `Break` from the closure cancels it.
pub type EstimateTraining =
    Arc<dyn Fn(&TrainingPlan, (&Dataset, &Dataset), &dyn Fn() -> ControlFlow<()>) -> Result<TrainingEstimate> + Send + Sync>;

/// Opens a folder in the system's file manager.
pub type OpenFolder = Arc<dyn Fn(&Path) -> Result<()> + Send + Sync>;

/// What workers have published.
pub struct Results {
    /// The newest map; it may still be growing.
    pub live: Option<Arc<LiveMap>>,
    /// What the map's worker is at.
    pub map_status: Status,
    /// The values that the maps show.
    pub values: Vec<Values>,
    /// The holes of the maps that are shown, where somebody looks at them.
    pub holes: Vec<Arc<Holes>>,
    /// Where the pins lie, as far as it is known.
    pub pinned: [Option<[f64; 2]>; 2],
    /// The geodesic between the ends of the line, where it is shown.
    pub geodesic: Option<Vec<[f64; 2]>>,
    /// The encodings of an image under attack, from the original to the newest step, where they are shown.
    pub attack_path: Option<Vec<[f64; 2]>>,
    /// Decoded images along each axis of a map, as many as its size on the screen allows.
    pub images_per_axis: usize,
    /// The engines that cannot work on this machine, each with the reason; empty until it is known.
    pub engine_problems: Vec<(&'static str, String)>,
    /// The picture of a model under training that the maps are to show instead.
    pub underway: Option<Arc<Frame>>,
}

/// Where the user points.
#[derive(Default)]
pub struct Pointer {
    /// The latent point under the pointer, in whichever panel it is: every map marks it.
    pub cursor: Option<[f64; 2]>,
    /// The map that the pointer is on.
    pub map: Option<usize>,
    /// A mark on the maps that follows another panel, such as the cursor on a curve.
    pub mark: Option<[f64; 2]>,
}

/// Where data and models come from and go to; fixed when the window opens.
pub struct Sources {
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
    /// Where the models of cats and dogs are, if anywhere.
    pub cats_dogs: Option<PathBuf>,
    /// Opens a folder, where the system has a program for that.
    pub open_folder: Option<OpenFolder>,
}

impl Default for Sources {
    /// Named data from the usual places, and no folder.
    fn default() -> Self {
        Self {
            load_named: Arc::new(|name| Ok(locate::find(sources::named(name)?, Split::Test, None, None)?.0)),
            attack_cache: None,
            load_training: Arc::new(|_| Err(Error::setting("training data", "there are none here", "start the window anew"))),
            estimate_training: Arc::new(estimate),
            library: None,
            cats_dogs: None,
            open_folder: None,
        }
    }
}

/// What every panel sees and may change.
pub struct Scope {
    /// Everything that makes the picture.
    pub session: Session,
    /// The views of the plane that were shown before.
    pub views: ViewHistory,
    /// The models.
    pub set: Arc<ModelSet>,
    /// What computes.
    pub engine: Arc<SharedEngine>,
    /// The images that ends and pins are chosen from; they come a moment after the start.
    pub data: Option<Arc<Dataset>>,
    /// Why there are none.
    pub data_problem: Option<String>,
    /// Which images these are; it takes a moment longer.
    pub data_identity: Option<DataIdentity>,
    /// The density of the training encodings, and a search for the nearest of them; they come a moment after the start, where the models
    /// have encodings.
    pub surroundings: Option<Arc<Surroundings>>,
    /// What workers have published.
    pub results: Results,
    /// Where the user points.
    pub pointer: Pointer,
    /// Where data and models come from and go to.
    pub sources: Sources,
    /// The names of the panels that no other tab covers.
    pub open_panels: BTreeSet<String>,
    /// What is to happen after this frame.
    pub events: Vec<Event>,
}

impl Scope {
    /// What panels see before anything has been computed or loaded.
    pub fn new(session: Session, set: Arc<ModelSet>, engine: Arc<SharedEngine>) -> Self {
        Self {
            session,
            views: ViewHistory::default(),
            set,
            engine,
            data: None,
            data_problem: None,
            data_identity: None,
            surroundings: None,
            results: Results {
                live: None,
                map_status: Status::Idle,
                values: Vec::new(),
                holes: Vec::new(),
                pinned: [None, None],
                geodesic: None,
                attack_path: None,
                images_per_axis: MOST_IMAGES,
                engine_problems: Vec::new(),
                underway: None,
            },
            pointer: Pointer::default(),
            sources: Sources::default(),
            open_panels: BTreeSet::new(),
            events: Vec::new(),
        }
    }

    /// Whether the panel of a name can be seen: one behind another tab computes nothing.
    pub fn is_open(&self, name: &str) -> bool {
        self.open_panels.contains(name)
    }

    /// Asks for something to happen after this frame.
    pub fn ask(&mut self, event: Event) {
        self.events.push(event);
    }

    /// What is to be said where the images of the data are not there.
    pub fn without_data(&self) -> String {
        let problem = self
            .data_problem
            .as_ref()
            .map(|problem| format!("There are no data: {} Choose others under Data in the menu Models.", in_window(problem)));
        problem.unwrap_or_else(|| "The images of the data are being loaded.".to_owned())
    }

    /// Brings a point into the middle of the view; [`ViewHistory::return_from_flight`] leads back.
    pub fn fly_to(&mut self, point: [f64; 2]) {
        self.views.fly_to(&mut self.session, point);
    }

    /// Shows all training encodings with a margin, if the models have encodings.
    pub fn fit_data(&mut self) {
        let Some(encodings) = &self.set.encodings else { return };
        let extent = [0, 1].map(|axis| {
            let values = encodings.train.points.iter().map(|point| f64::from(point[axis]));
            let [low, high] = values.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], z| [low.min(z), high.max(z)]);
            let margin = 0.03 * (high - low);
            [low - margin, high + margin]
        });
        self.session.show_extent(extent);
    }

    /// Where trained models go.
    ///
    /// # Errors
    /// When the user has no folder for them.
    pub fn library(&self) -> Result<&Path> {
        self.sources.library.as_deref().ok_or_else(|| {
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
