//! What a worker reads so that the window need not wait: models, sessions, engines.

use super::scope::Opening;
use super::storage::{Opened, Storage};
use crate::error::{Error, Result};
use crate::jobs::{Additions, ModelSet, RecoveredModels, SharedEngine, Wake, Worker};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the window has when something is opened.
pub struct AtHand {
    pub set: Arc<ModelSet>,
    pub engine: Arc<SharedEngine>,
    pub models: Option<PathBuf>,
    pub additions: Additions,
}

/// What was read; the window takes it over in a moment.
pub struct Ready {
    pub models: Option<PathBuf>,
    pub additions: Additions,
    pub set: Arc<ModelSet>,
    pub engine: Arc<SharedEngine>,
    pub how: How,
}

/// What becomes of the session.
pub enum How {
    /// A new one.
    New,
    /// The same with these models; then a folder of models may be deleted.
    Kept { delete: Option<PathBuf> },
    /// That of a file, where it is not the last one; the models that stand in for its own where these are others, and what is to be said.
    Session { opened: Box<Opened>, recovered: Option<Box<RecoveredModels>>, told: Vec<String>, path: Option<PathBuf> },
    /// The same with this engine.
    Engine,
    /// The same with a pin on this image.
    Pin(PathBuf),
}

impl AtHand {
    fn ready(&self, how: How) -> Ready {
        let Self { set, engine, models, additions } = self;
        Ready { models: models.clone(), additions: additions.clone(), set: Arc::clone(set), engine: Arc::clone(engine), how }
    }

    /// The engine of that name for these models; the one at hand where it is that.
    fn engine_for(&self, name: &str, set: &Arc<ModelSet>) -> Result<Arc<SharedEngine>> {
        if Arc::ptr_eq(set, &self.set) && name == self.engine.asked() {
            Ok(Arc::clone(&self.engine))
        } else {
            SharedEngine::open(name, set)
        }
    }

    fn with_models(&self, models: Option<PathBuf>, additions: Additions, how: How) -> Result<Ready> {
        let set = Arc::new(ModelSet::open_with(models.as_deref(), &additions)?);
        let engine = self.engine_for(self.engine.asked(), &set)?;
        Ok(Ready { models, additions, set, engine, how })
    }
}

/// The thread that reads.
///
/// # Errors
/// When the system has no thread left.
pub fn worker(wake: &Wake) -> Result<Worker<(Opening, AtHand), Ready>> {
    Worker::spawn("opening", Arc::clone(wake), |(opening, at_hand): (Opening, AtHand), desk| {
        desk.publish(read(opening, &at_hand)?);
        Ok(())
    })
}

/// Reads what is to be opened.
///
/// # Errors
/// When it cannot be read or does not fit.
pub fn read(opening: Opening, at_hand: &AtHand) -> Result<Ready> {
    let (models, additions) = (at_hand.models.clone(), at_hand.additions.clone());
    match opening {
        Opening::Models(folder) => at_hand.with_models(folder.map(absolute), Additions::default(), How::New),
        Opening::Vae(folder) => at_hand.with_models(models, Additions { vae: Some(folder), ..additions }, How::Kept { delete: None }),
        Opening::Members(folder) => {
            let mut additions = additions;
            if !additions.members.contains(&folder) {
                additions.members.push(folder);
            }
            at_hand.with_models(models, additions, How::Kept { delete: None })
        }
        Opening::Originals => at_hand.with_models(models, Additions::default(), How::Kept { delete: None }),
        Opening::Without(folder) => {
            let stays = |path: &PathBuf| !path.starts_with(&folder);
            let members = additions.members.iter().filter(|path| stays(path)).cloned().collect();
            let left = Additions { vae: additions.vae.clone().filter(stays), members };
            let left_models = models.clone().filter(stays);
            let how = How::Kept { delete: Some(folder) };
            if left == additions && left_models == models { Ok(at_hand.ready(how)) } else { at_hand.with_models(left_models, left, how) }
        }
        Opening::Session(path) => {
            let ready = read_session(Storage::open(&path)?, at_hand).map_err(|error| unchanged(&path, &error))?;
            Ok(with_path(ready, path))
        }
        Opening::File(path) if path.is_dir() => read(Opening::Models(Some(path)), at_hand),
        Opening::File(path) if is_session(&path) => read(Opening::Session(path), at_hand),
        Opening::File(path) => Ok(at_hand.ready(How::Pin(path))),
        Opening::Engine(name) => Ok(Ready { engine: at_hand.engine_for(&name, &at_hand.set)?, ..at_hand.ready(How::Engine) }),
    }
}

/// Reads what a session needs: its models, or what is left of them, and its engine.
///
/// # Errors
/// When the engine cannot be opened.
pub fn read_session(opened: Opened, at_hand: &AtHand) -> Result<Ready> {
    let session = &opened.session;
    let told = session.missing_files();
    let is_same = session.models == at_hand.models && session.additions == at_hand.additions;
    let recovered = if is_same { None } else { Some(Box::new(RecoveredModels::open(session.models.as_deref(), &session.additions)?)) };
    let (models, additions, set) = match &recovered {
        Some(recovered) => (recovered.folder.clone(), recovered.additions.clone(), Arc::new(recovered.set.clone())),
        None => (at_hand.models.clone(), at_hand.additions.clone(), Arc::clone(&at_hand.set)),
    };
    let engine = at_hand.engine_for(&session.engine, &set)?;
    Ok(Ready { models, additions, set, engine, how: How::Session { opened: Box::new(opened), recovered, told, path: None } })
}

fn with_path(mut ready: Ready, from: PathBuf) -> Ready {
    if let How::Session { path, .. } = &mut ready.how {
        *path = Some(from);
    }
    ready
}

/// The error of a session file that cannot be taken over.
pub fn unchanged(path: &Path, error: &Error) -> Error {
    Error::file(path, error.to_string().trim_end_matches('.'), "nothing was changed")
}

/// A path that means the same after the program has started elsewhere.
pub fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// Whether a dropped file is a session or an export of this program, rather than an image to look at.
fn is_session(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
    match extension.as_str() {
        "json" | "svg" | "pdf" | "npz" | "csv" => true,
        "png" => Storage::open(path).is_ok(),
        _ => false,
    }
}
