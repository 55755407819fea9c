//! What a worker reads so that the window need not wait: models, sessions, engines.

use crate::app::state::event::Opening;
use crate::app::state::session::Session;
use crate::app::state::storage::{Opened, Storage};
use crate::data::DataIdentity;
use crate::error::{Error, Result};
use crate::jobs::library::name_of;
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

/// The result of reading, for the window to take over.
pub struct Ready {
    pub models: Option<PathBuf>,
    pub additions: Additions,
    pub set: Arc<ModelSet>,
    pub engine: Arc<SharedEngine>,
    pub how: How,
}

/// What becomes of the session.
pub enum How {
    /// The same with entirely other models, as far as it makes sense for them.
    Models,
    /// The same with these models; then a folder of models may be deleted.
    Kept { delete: Option<PathBuf> },
    /// The same: the models are as they were wished. The sentence says so.
    Unchanged(String),
    /// That of a file, fitted to the models.
    Session(Box<FittedSession>),
    /// The same with this engine.
    Engine,
    /// The same with a pin on this image.
    Pin(PathBuf),
}

/// A session that fits its models.
pub struct FittedSession {
    pub session: Session,
    /// The images that it was made with, where they are known.
    pub data: Option<DataIdentity>,
    /// What else a person should know of it, a sentence each.
    pub told: Vec<String>,
    /// What it lost, a sentence each.
    pub missing: Vec<String>,
}

impl AtHand {
    fn ready(&self, how: How) -> Ready {
        let Self { set, engine, models, additions } = self;
        Ready { models: models.clone(), additions: additions.clone(), set: Arc::clone(set), engine: Arc::clone(engine), how }
    }

    /// The engine of that name for these models; the present one where it is the same.
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
        Opening::Models(folder) => at_hand.with_models(folder.map(absolute), Additions::default(), How::Models),
        Opening::Vae(folder) => at_hand.with_models(models, Additions { vae: Some(folder), ..additions }, How::Kept { delete: None }),
        Opening::Members(folder) => {
            let mut additions = additions;
            let is_known = additions.members.contains(&folder);
            if !is_known {
                additions.members.push(folder.clone());
            }
            let ready = at_hand.with_models(models, additions, How::Kept { delete: None })?;
            // A model that was trained again has other weights under the same name.
            let is_same = is_known && ready.set.hashes == at_hand.set.hashes;
            let unchanged = || at_hand.ready(How::Unchanged(format!("{} is a member of the ensemble already.", name_of(&folder))));
            Ok(if is_same { unchanged() } else { ready })
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
        Opening::Session(path) => read_session(Storage::open(&path)?, at_hand).map_err(|error| unchanged(&path, &error)),
        Opening::File(path) if path.is_dir() => read(Opening::Models(Some(path)), at_hand),
        Opening::File(path) if is_session(&path) => read(Opening::Session(path), at_hand),
        Opening::File(path) => Ok(at_hand.ready(How::Pin(path))),
        Opening::Engine(name) => Ok(Ready { engine: at_hand.engine_for(&name, &at_hand.set)?, ..at_hand.ready(How::Engine) }),
    }
}

/// Opens the engine and the models of a session, as far as they are there, and fits the session to them.
///
/// # Errors
/// When the engine cannot be opened, or the session makes no sense.
pub fn read_session(opened: Opened, at_hand: &AtHand) -> Result<Ready> {
    let Opened { mut session, data } = opened;
    let (mut missing, mut told) = (Vec::new(), session.missing_files());
    let (set, recovered) = if session.models == at_hand.models && session.additions == at_hand.additions {
        (Arc::clone(&at_hand.set), None)
    } else {
        let recovered = RecoveredModels::open(session.models.as_deref(), &session.additions)?;
        missing.extend(recovered.missing.iter().map(|error| format!("{error} The session goes on without it.")));
        (session.models, session.additions) = (recovered.folder.clone(), recovered.additions.clone());
        (Arc::new(recovered.set.clone()), Some(recovered))
    };
    if session.hashes != set.hashes {
        let (now, before) = (set.ensemble().members().len(), session.hashes.len().checked_sub(1));
        session.renumber_members(|member| match &recovered {
            Some(recovered) => recovered.number_of(member, before),
            None => Some(member).filter(|member| *member < now),
        });
        if missing.is_empty() && !session.hashes.is_empty() {
            let gone: Vec<&str> = session.hashes.keys().filter(|name| !set.hashes.contains_key(*name)).map(String::as_str).collect();
            told.push(if gone.is_empty() {
                "The models are not those that this session was made with: its picture will differ.".to_owned()
            } else {
                format!("Models of this session are gone ({}): its picture will differ.", gone.join(", "))
            });
        }
        missing.extend(session.fit_to(&set));
    }
    session.check(&set)?;
    let engine = at_hand.engine_for(&session.engine, &set)?;
    let (models, additions) = (session.models.clone(), session.additions.clone());
    Ok(Ready { models, additions, set, engine, how: How::Session(Box::new(FittedSession { session, data, told, missing })) })
}

/// The error of a session file that cannot be taken over.
pub fn unchanged(path: &Path, error: &Error) -> Error {
    Error::file(path, error.to_string().trim_end_matches('.'), "nothing was changed")
}

/// The absolute path, which stays valid when the program starts in another folder.
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
