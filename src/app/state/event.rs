//! What is to happen: the one way in which parts of the window ask for something that others do.

use crate::jobs::library::name_of;
use std::path::PathBuf;

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

/// A path that the user is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathFor {
    /// A folder of models.
    Models,
    /// A session file or an exported figure.
    Session,
    /// Where to save the session.
    SaveSession,
    /// An image file.
    Image,
    /// Where to save the film of a training.
    SaveFilm,
}

/// Something that is to happen after this frame. The window does it, or hands it to the panels.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Open something.
    Open(Opening),
    /// Ask the user for a path.
    AskPath(PathFor),
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
    /// Bring the panel of a name to the front.
    OpenPanel(&'static str),
    /// Models have come or gone in the folder of trained models.
    LibraryChanged,
    /// Start the training that is chosen.
    StartTraining,
    /// Show how the model in a folder was trained.
    ShowTraining(PathBuf),
    /// Write the film of the training that is shown.
    SaveFilm(PathBuf),
    /// Close the window.
    Quit,
}
