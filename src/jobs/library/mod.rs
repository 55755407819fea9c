//! The user's model library: a folder with an entry for each model, or for each set of models, that was trained here.

mod card;
mod cats_dogs;
#[cfg(test)]
mod tests;

pub use cats_dogs::{CATS_DOGS_MISSING, cats_dogs};

use super::model_files::{folders, model_folders};
use super::models::ENCODINGS;
use super::pack::CARD;
use super::training::{FILM, PLAN};
use crate::autodiff::train::{CHECKPOINT, LOG};
use crate::error::{Error, Result};
use crate::files::{self, LOCK, TEMPORARY};
use crate::nets::Description;
use crate::nets::folder::{DESCRIPTION, WEIGHTS, describe, weights_file};
use serde_json::Value;
use std::path::{Component, Path, PathBuf};

/// The environment variable that names the library's folder.
pub const VARIABLE: &str = "EPISTEMAP_MODELS";
/// How the frames of a training's film are called.
const FRAME: &str = "epoch-";
/// What this program writes into a model's folder, or into that of a set; what makes it an entry last.
const OWN: [&str; 8] = [LOCK, CHECKPOINT, LOG, ENCODINGS, CARD, WEIGHTS, PLAN, DESCRIPTION];

/// What an entry of the library is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A VAE.
    Vae,
    /// One classifier.
    Classifier,
    /// Several classifiers.
    Ensemble,
    /// A VAE with classifiers.
    Set,
}

/// A model, or a set of models, in the library.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What the user calls it: its folder's name.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// What it is.
    pub kind: EntryKind,
    /// What its descriptions say of it, as lines (what, value) for a person.
    pub card: Vec<(String, String)>,
    /// Why it cannot be used, in one sentence; `None` where nothing is seen against it.
    pub problem: Option<String>,
}

/// The folder of the library: what `EPISTEMAP_MODELS` names, else `models` in the user's data directory. It need not be there yet.
///
/// # Errors
/// When none is named and the operating system gives this user no data directory.
pub fn library() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty()) {
        return Ok(named.into());
    }
    directories::ProjectDirs::from("", "", "epistemap").map(|project| project.data_dir().join("models")).ok_or_else(|| {
        let mend = format!("name a folder in the environment variable {VARIABLE}");
        Error::setting("the model library", "this user has no data directory to keep it in", mend)
    })
}

/// The entries of a library in the order of their names (numbers in names by value); none where there is no such folder. Only
/// descriptions are read, no weights.
pub fn entries(folder: &Path) -> Vec<Entry> {
    let folders = folders(folder).unwrap_or_default();
    folders.iter().filter(|folder| !name_of(folder).starts_with('.')).filter_map(|folder| entry(folder)).collect()
}

/// The entry of a folder, if it is one.
fn entry(folder: &Path) -> Option<Entry> {
    let (kind, card, problem) = if folder.join(DESCRIPTION).is_file() {
        match describe_whole(folder) {
            Ok(description) => {
                let kind = if let Description::Vae { .. } = description { EntryKind::Vae } else { EntryKind::Classifier };
                (kind, card::of(&description), None)
            }
            Err(error) => (kind_in_plan(folder).unwrap_or(EntryKind::Classifier), Vec::new(), Some(error.to_string())),
        }
    } else {
        let models = model_folders(folder).unwrap_or_default();
        if models.is_empty() {
            let problem = "No epoch of its training is done yet: go on with it, or delete it.";
            (kind_in_plan(folder)?, Vec::new(), Some(problem.to_owned()))
        } else {
            several(folder, &models)
        }
    };
    Some(Entry { name: name_of(folder), folder: folder.to_owned(), kind, card, problem })
}

/// What model folders make together: kind, card and problem.
fn several(folder: &Path, models: &[PathBuf]) -> (EntryKind, Vec<(String, String)>, Option<String>) {
    let (descriptions, errors): (Vec<_>, Vec<_>) = models.iter().map(|path| describe_whole(path)).partition(Result::is_ok);
    let descriptions: Vec<Description> = descriptions.into_iter().flatten().collect();
    let (vaes, classifiers): (Vec<&Description>, Vec<&Description>) =
        descriptions.iter().partition(|description| matches!(description, Description::Vae { .. }));
    let kind = if vaes.is_empty() { EntryKind::Ensemble } else { EntryKind::Set };
    // A training that was stopped early has told its plan what it was to become.
    let kind = if kind_in_plan(folder) == Some(EntryKind::Set) { EntryKind::Set } else { kind };
    let problem = match (errors.into_iter().find_map(Result::err), vaes.len()) {
        (Some(error), _) => Some(error.to_string()),
        (None, 2..) => Some(format!("{} VAEs are in it, where one is needed.", vaes.len())),
        (None, 1) if classifiers.is_empty() => {
            Some("It has a VAE but no classifier yet: go on with its training, or use the VAE alone.".to_owned())
        }
        _ => None,
    };
    (kind, card::of_several(&vaes, &classifiers), problem)
}

/// The description of a model folder that has weights beside it.
fn describe_whole(folder: &Path) -> Result<Description> {
    let description = describe(folder)?;
    let weights = weights_file(folder);
    if weights.is_file() {
        Ok(description)
    } else {
        Err(Error::file(&weights, "is missing", "go on with the training, or delete the model"))
    }
}

/// What the plan of a training in this folder was to make.
fn kind_in_plan(folder: &Path) -> Option<EntryKind> {
    let plan: Value = serde_json::from_slice(&files::read_json(&folder.join(PLAN)).ok()?).ok()?;
    match plan["what"].as_str()? {
        "vae" => Some(EntryKind::Vae),
        "classifier" => Some(EntryKind::Classifier),
        "ensemble" => Some(EntryKind::Ensemble),
        "set" => Some(EntryKind::Set),
        _ => None,
    }
}

/// The name of a folder or a file.
pub fn name_of(folder: &Path) -> String {
    folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Checks that a name can be that of an entry on every system: a folder of this name in the library and nothing else.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_name(name: &str) -> Result<()> {
    match files::name_problem(name) {
        None => Ok(()),
        Some(problem) => Err(Error::setting("the model's name", format!("'{name}' {problem}"), "give another one, such as 'mnist-small'")),
    }
}

/// The wanted name, or where the folder holds something of that name, the first free one of `wanted-2`, `wanted-3`, …
pub fn free_name(folder: &Path, wanted: &str) -> String {
    let is_free = |name: &String| std::fs::symlink_metadata(folder.join(name)).is_err();
    let numbered = (2..=u32::MAX).map(|number| format!("{wanted}-{number}"));
    std::iter::once(wanted.to_owned()).chain(numbered).find(is_free).unwrap_or_else(|| wanted.to_owned())
}

/// Deletes an entry of the library, or a model of one of its sets: the files that this program writes into such a folder, then the folder.
///
/// # Errors
/// When the folder is not in the library, is a link, is no model's, or holds anything else: nothing is deleted then. When the system
/// refuses.
pub fn delete(library: &Path, folder: &Path) -> Result<()> {
    if !std::fs::symlink_metadata(folder).map_err(|error| Error::io(folder, &error))?.is_dir() {
        return Err(Error::file(folder, "is no folder, or only a link to one", "delete it with a file manager"));
    }
    let (root, place) = (
        library.canonicalize().map_err(|error| Error::io(library, &error))?,
        folder.canonicalize().map_err(|error| Error::io(folder, &error))?,
    );
    let depth = place.strip_prefix(&root).map_or(0, |rest| rest.components().filter(|part| matches!(part, Component::Normal(_))).count());
    if !(1..=2).contains(&depth) {
        let problem = format!("is not in the model library, {}", library.display());
        return Err(Error::file(folder, problem, "delete it with a file manager"));
    }
    let mut doomed = Doomed::default();
    doomed.add(&place, 2 - depth)?;
    if !doomed.files.iter().any(|path| path.ends_with(DESCRIPTION) || path.ends_with(PLAN)) {
        return Err(Error::file(folder, "holds no model", "delete it with a file manager"));
    }
    for path in &doomed.files {
        std::fs::remove_file(path).map_err(|error| Error::io(path, &error))?;
    }
    for path in &doomed.folders {
        std::fs::remove_dir(path).map_err(|error| Error::io(path, &error))?;
    }
    Ok(())
}

/// What is to be deleted, in order: files before their folder, and what makes a folder an entry last, so that what a kill leaves can still
/// be deleted.
#[derive(Default)]
struct Doomed {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Doomed {
    /// Adds a model's folder, or that of a set where `below` is 1.
    fn add(&mut self, folder: &Path, below: usize) -> Result<()> {
        let mut own = Vec::new();
        for (path, name, is_folder) in inside(folder)? {
            match OWN.iter().position(|own| *own == name) {
                Some(place) if !is_folder => own.push((place, path)),
                _ if name.starts_with(TEMPORARY) && !is_folder => self.files.push(path),
                _ if name == FILM && is_folder => self.add_film(&path)?,
                _ if is_folder && below > 0 => self.add(&path, below - 1)?,
                _ => return Err(foreign(&path)),
            }
        }
        own.sort_unstable();
        self.files.extend(own.into_iter().map(|(_, path)| path));
        self.folders.push(folder.to_owned());
        Ok(())
    }

    fn add_film(&mut self, folder: &Path) -> Result<()> {
        for (path, name, is_folder) in inside(folder)? {
            if is_folder || !(name.starts_with(FRAME) || name.starts_with(TEMPORARY)) {
                return Err(foreign(&path));
            }
            self.files.push(path);
        }
        self.folders.push(folder.to_owned());
        Ok(())
    }
}

fn foreign(path: &Path) -> Error {
    Error::file(path, "is no file of a model, so nothing was deleted", "move it elsewhere first")
}

/// What lies in a folder: path, name, and whether it is a folder.
fn inside(folder: &Path) -> Result<Vec<(PathBuf, String, bool)>> {
    let read = || -> std::io::Result<Vec<(PathBuf, String, bool)>> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            all.push((entry.path(), entry.file_name().to_string_lossy().into_owned(), entry.file_type()?));
        }
        // A link is neither a file nor a folder of a model's.
        Ok(all.into_iter().map(|(path, name, kind)| (path, if kind.is_symlink() { String::new() } else { name }, kind.is_dir())).collect())
    };
    read().map_err(|error| Error::io(folder, &error))
}
