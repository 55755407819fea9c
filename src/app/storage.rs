//! Session files, and what is remembered from start to start.

use super::scope::Scope;
use super::session::Session;
use super::style::Appearance;
use crate::error::{Error, Result};
use crate::figure::provenance;
use crate::files;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The key of a session in its file, and in the provenance of what the window exports.
pub const SESSION_KEY: &str = "session";
/// The version of the session's format.
const VERSION: u64 = 1;
/// Changes are written down after so long.
const KEEP_EVERY: Duration = Duration::from_secs(5);

/// What a person likes, apart from the picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preferences {
    /// Light or dark.
    pub appearance: Appearance,
    /// The tab that is open.
    pub tab: String,
    /// The window's width and height in points.
    pub window: [f32; 2],
    /// Whether the hints of the first start have been read.
    pub hints_seen: bool,
}

impl Default for Preferences {
    fn default() -> Self {
        Self { appearance: Appearance::System, tab: "Interpolation".to_owned(), window: [1280.0, 800.0], hints_seen: false }
    }
}

/// The folder where the program remembers things; nothing is remembered without one.
pub struct Storage {
    folder: Option<PathBuf>,
    kept: Option<(Session, Preferences)>,
    when: Instant,
}

impl Storage {
    /// The user's folder for this program.
    pub fn of_user() -> Self {
        let folder = directories::ProjectDirs::from("", "", "epistemap").map(|folders| folders.config_dir().to_owned());
        Self { folder, kept: None, when: Instant::now() }
    }

    /// A folder of choice, or none.
    pub fn in_folder(folder: Option<PathBuf>) -> Self {
        Self { folder, kept: None, when: Instant::now() }
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(name))
    }

    /// What the person likes.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn preferences(&self) -> Result<Preferences> {
        match self.path("preferences.json").filter(|path| path.exists()) {
            Some(path) => parse(&path, &files::read(&path)?),
            None => Ok(Preferences::default()),
        }
    }

    /// The session that the last start ended with.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn last_session(&self) -> Result<Option<Session>> {
        match self.path("session.json").filter(|path| path.exists()) {
            Some(path) => read(&path).map(Some),
            None => Ok(None),
        }
    }

    /// Puts a session that cannot be used beside, so that nothing is lost.
    pub fn set_aside(&self) {
        if let Some(path) = self.path("session.json") {
            // Where even this fails there is nothing to rescue.
            std::fs::rename(&path, path.with_extension("damaged.json")).ok();
        }
    }

    /// Opens a session file or an exported figure.
    ///
    /// # Errors
    /// When it holds no session, or a damaged one.
    pub fn open(&self, path: &Path, _scope: &Scope) -> Result<Session> {
        read(path)
    }

    /// Writes a session file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(path: &Path, session: &Session) -> Result<()> {
        let text = serde_json::to_string_pretty(&json!({ "program": "epistemap", "version": VERSION, SESSION_KEY: session }));
        let text = text.map_err(|error| Error::file(path, error.to_string(), "report this defect"))?;
        files::write_atomically(path, text.as_bytes())
    }

    /// Writes the session down every few seconds, where it has changed, so that a sudden end loses little.
    pub fn keep(&mut self, session: &Session, preferences: &Preferences) {
        let changed = self.kept.as_ref().is_none_or(|(kept, liked)| kept != session || liked != preferences);
        if self.folder.is_some() && changed && self.when.elapsed() > KEEP_EVERY {
            self.when = Instant::now();
            self.kept = Some((session.clone(), preferences.clone()));
            let folder = self.folder.clone();
            let (session, preferences) = (session.clone(), preferences.clone());
            let thread = std::thread::Builder::new().name("session".to_owned());
            // Without a thread the next moment, or the end of the program, writes it.
            thread.spawn(move || Self::in_folder(folder).finish(&session, &preferences)).ok();
        }
    }

    /// Writes down where the next start goes on. A disk that cannot be written to is not worth a complaint: nothing of the work is lost.
    pub fn finish(&mut self, session: &Session, preferences: &Preferences) {
        if let Some(path) = self.path("session.json") {
            Self::save(&path, session).ok();
        }
        if let (Some(path), Ok(text)) = (self.path("preferences.json"), serde_json::to_string_pretty(preferences)) {
            files::write_atomically(&path, text.as_bytes()).ok();
        }
    }
}

/// The session of a session file, or of the provenance of an exported figure.
fn read(path: &Path) -> Result<Session> {
    let bytes = files::read(path)?;
    let own: Option<Value> = serde_json::from_slice(&bytes).ok().filter(|value: &Value| value.get(SESSION_KEY).is_some());
    let holder = match own {
        Some(value) => value,
        None if bytes.trim_ascii_start().starts_with(b"{") => {
            let value: Value = parse(path, &bytes)?;
            value.get(provenance::JSON_KEY).cloned().unwrap_or(value)
        }
        None => provenance::read(path)?,
    };
    let Some(session) = holder.get(SESSION_KEY) else {
        return Err(Error::file(path, "it holds no session", "choose a session file, or a figure that the window exported"));
    };
    if let Some(version) = holder.get("version").and_then(Value::as_u64).filter(|&version| version > VERSION) {
        return Err(Error::file(path, format!("its format {version} is newer than this program"), "get a newer version of the program"));
    }
    serde_json::from_value(session.clone()).map_err(|error| damaged(path, &error))
}

fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| damaged(path, &error))
}

fn damaged(path: &Path, error: &serde_json::Error) -> Error {
    Error::file(path, format!("it is no session of this program ({error})"), "choose another file")
}
