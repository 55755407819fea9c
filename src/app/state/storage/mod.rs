//! Session files, and what is remembered from start to start.

use crate::app::state::choices::attack::AttackedImage;
use crate::app::state::session::{Pin, Session};
use crate::data::DataIdentity;
use crate::error::{Error, Result};
use crate::figure::provenance;
use crate::files::{self, FolderLock};
use egui_tiles::Tree;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// The key of a session in its file, and in the provenance of what the window exports.
pub const SESSION_KEY: &str = "session";
/// The key of the session's format beside it.
const VERSION_KEY: &str = "session_version";
/// The version of the session's format.
const VERSION: u64 = 1;
/// The key of the data set beside it.
const DATA_KEY: &str = "data";
/// Changes are written down after so long.
const KEEP_EVERY: Duration = Duration::from_secs(5);
/// The file of the last session.
const LAST_SESSION: &str = "session.json";
/// The file of what the person likes.
const PREFERENCES: &str = "preferences.json";

/// Light, dark, or as the system says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Appearance {
    /// As the system says.
    #[default]
    System,
    /// Dark.
    Dark,
    /// Light.
    Light,
}

impl Appearance {
    /// Every appearance with its name.
    pub const ALL: [(Self, &'static str); 3] = [(Self::System, "As the system"), (Self::Dark, "Dark"), (Self::Light, "Light")];
}

/// Rows, columns and tabs of panels, which it holds by their names.
pub type PanelTree = Tree<String>;

/// Tiles without a panel.
pub fn no_tiles() -> PanelTree {
    Tree::empty(eframe::egui::Id::unique("tiles"))
}

/// Reads tiles. Damaged ones cost nothing but themselves.
fn tiles_or_none<'de, D: Deserializer<'de>>(source: D) -> std::result::Result<PanelTree, D::Error> {
    let mut tree = serde_json::from_value(Value::deserialize(source)?).unwrap_or_else(|_| no_tiles());
    // The tiles take the room that there is.
    tree.set_width(f32::INFINITY);
    tree.set_height(f32::INFINITY);
    Ok(tree)
}

/// What a person likes, apart from the picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preferences {
    /// Light or dark.
    pub appearance: Appearance,
    /// Where each panel stands; empty for the tiles of a first start.
    #[serde(deserialize_with = "tiles_or_none")]
    pub tiles: PanelTree,
    /// The window's width and height in points.
    pub window: [f32; 2],
    /// Whether the tour of a first start has been seen or ended.
    pub hints_seen: bool,
}

impl Default for Preferences {
    fn default() -> Self {
        Self { appearance: Appearance::System, tiles: no_tiles(), window: [1280.0, 800.0], hints_seen: false }
    }
}

/// What a session file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// The session.
    pub session: Session,
    /// The data that its numbers of images are of, where it is known.
    pub data: Option<DataIdentity>,
}

impl Opened {
    /// What is to be said where the numbers of images in the session are of other data than those at hand.
    pub fn strange_data(&self, at_hand: &DataIdentity) -> Option<String> {
        let Session { pins, line, attack, .. } = &self.session;
        let numbers = pins.iter().flatten().any(|pin| matches!(pin, Pin::Data(_)))
            || line.images.iter().any(Option::is_some)
            || matches!(attack.image, AttackedImage::Data(_));
        let theirs = self.data.as_ref().filter(|theirs| numbers && *theirs != at_hand)?;
        let name = if theirs.name == at_hand.name { format!("another edition of {}", theirs.name) } else { theirs.name.clone() };
        Some(format!(
            "The session's images are numbers of {name}, but the images at hand are {}: its pins and ends may show others.",
            at_hand.name
        ))
    }
}

/// The folder where the program remembers things; nothing is remembered without one.
pub struct Storage {
    folder: Option<PathBuf>,
    /// Keeps the session of another window from being overwritten.
    lock: Option<FolderLock>,
    /// Whether another window keeps its session there.
    is_taken: bool,
    kept: Option<(Session, Preferences)>,
    when: Instant,
    writing: Option<JoinHandle<()>>,
}

impl Storage {
    /// The user's folder for this program.
    pub fn of_user() -> Self {
        Self::in_folder(directories::ProjectDirs::from("", "", "epistemap").map(|folders| folders.config_dir().to_owned()))
    }

    /// A folder of choice, or none.
    pub fn in_folder(folder: Option<PathBuf>) -> Self {
        Self { folder, lock: None, is_taken: false, kept: None, when: Instant::now(), writing: None }
    }

    /// Claims the folder for one window, until it is closed. Where another one has it, nothing of this one is written there; says so.
    pub fn claim(&mut self) -> Option<String> {
        let folder = self.folder.as_ref()?;
        match FolderLock::take(folder) {
            Ok(Ok(lock)) => self.lock = Some(lock),
            Ok(Err(holder)) => {
                self.is_taken = true;
                return Some(format!(
                    "Another window ({holder}) keeps its session in {}: this one's is not kept. Save it to a file before you close the window.",
                    folder.display()
                ));
            }
            // A disk that cannot be written to is not worth a complaint.
            Err(_) => {}
        }
        None
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(name))
    }

    /// What the person likes.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn preferences(&self) -> Result<Preferences> {
        match self.path(PREFERENCES).filter(|path| path.exists()) {
            Some(path) => parse(&path, &files::read_json(&path)?),
            None => Ok(Preferences::default()),
        }
    }

    /// The session that the last start ended with.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn last_session(&self) -> Result<Option<Opened>> {
        match self.path(LAST_SESSION).filter(|path| path.exists()) {
            Some(path) => Self::open(&path).map(Some),
            None => Ok(None),
        }
    }

    /// Puts a last session that cannot be used beside, so that nothing is lost; answers where it is now.
    pub fn set_session_aside(&self) -> Option<PathBuf> {
        set_aside(&self.path(LAST_SESSION).filter(|_| !self.is_taken)?)
    }

    /// As above, for what the person likes.
    pub fn set_preferences_aside(&self) -> Option<PathBuf> {
        set_aside(&self.path(PREFERENCES).filter(|_| !self.is_taken)?)
    }

    /// Opens a session file or an exported figure.
    ///
    /// # Errors
    /// When it holds no session, a damaged one, or one of a newer format.
    pub fn open(path: &Path) -> Result<Opened> {
        let holder = holder(path)?;
        let Some(session) = holder.get(SESSION_KEY) else {
            return Err(Error::file(path, "it holds no session", "choose a session file, or a figure that the window exported"));
        };
        if let Some(version) = holder.get(VERSION_KEY).and_then(Value::as_u64).filter(|&version| version > VERSION) {
            return Err(Error::file(
                path,
                format!("its format {version} is newer than this program"),
                "get a newer version of the program",
            ));
        }
        let session = serde_json::from_value(session.clone()).map_err(|error| damaged(path, &error))?;
        let data = holder.get(DATA_KEY).filter(|data| !data.is_null()).cloned();
        let data = data.map(serde_json::from_value).transpose().map_err(|error| damaged(path, &error))?;
        Ok(Opened { session, data })
    }

    /// Writes a session file; `data` are the images at hand, where they are known.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(path: &Path, session: &Session, data: Option<&DataIdentity>) -> Result<()> {
        let mut all = packed(session, data);
        all.insert("program".to_owned(), "epistemap".into());
        all.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
        let text = serde_json::to_string_pretty(&all).map_err(|error| Error::file(path, error.to_string(), "report this defect"))?;
        files::write_atomically(path, text.as_bytes())
    }

    /// Writes the session down every few seconds, where it has changed, so that a sudden end loses little.
    pub fn keep(&mut self, session: &Session, preferences: &Preferences, data: Option<&DataIdentity>) {
        let changed = self.kept.as_ref().is_none_or(|(kept, liked)| kept != session || liked != preferences);
        if self.folder.is_some() && !self.is_taken && changed && self.when.elapsed() > KEEP_EVERY {
            self.when = Instant::now();
            self.kept = Some((session.clone(), preferences.clone()));
            let (folder, session, preferences, data) = (self.folder.clone(), session.clone(), preferences.clone(), data.cloned());
            let thread = std::thread::Builder::new().name("session".to_owned());
            // Without a thread the next moment, or the end of the program, writes it.
            self.writing = thread.spawn(move || Self::in_folder(folder).finish(&session, &preferences, data.as_ref())).ok();
        }
    }

    /// Writes down where the next start goes on. A disk that cannot be written to is not worth a complaint: nothing of the work is lost.
    pub fn finish(&mut self, session: &Session, preferences: &Preferences, data: Option<&DataIdentity>) {
        if let Some(writing) = self.writing.take() {
            // What is still being written is older.
            writing.join().ok();
        }
        if self.is_taken {
            return;
        }
        if let Some(path) = self.path(LAST_SESSION) {
            Self::save(&path, session, data).ok();
        }
        if let (Some(path), Ok(text)) = (self.path(PREFERENCES), serde_json::to_string_pretty(preferences)) {
            files::write_atomically(&path, text.as_bytes()).ok();
        }
    }
}

/// A session as it stands in its file, and in the provenance of what the window exports.
pub fn packed(session: &Session, data: Option<&DataIdentity>) -> Map<String, Value> {
    let entries = [(VERSION_KEY, json!(VERSION)), (SESSION_KEY, json!(session)), (DATA_KEY, json!(data))];
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// What holds a session: the whole of a session file, or the provenance of an exported file.
fn holder(path: &Path) -> Result<Value> {
    let bytes = files::read(path)?;
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return provenance::read(path);
    }
    files::check_json(path, &bytes)?;
    let mut value: Value = parse(path, &bytes)?;
    let inner = value.get_mut(provenance::JSON_KEY).map(Value::take);
    Ok(inner.unwrap_or(value))
}

/// Renames a file to a name that is free.
fn set_aside(path: &Path) -> Option<PathBuf> {
    let names = std::iter::once("damaged.json".to_owned()).chain((2..1000).map(|number| format!("damaged-{number}.json")));
    let free = names.map(|name| path.with_extension(name)).find(|path| !path.exists())?;
    std::fs::rename(path, &free).ok().map(|()| free)
}

fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| damaged(path, &error))
}

fn damaged(path: &Path, error: &serde_json::Error) -> Error {
    Error::file(path, format!("this program cannot read it ({error})"), "choose another file")
}
