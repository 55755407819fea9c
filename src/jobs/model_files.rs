//! Models from their files: the shipped ones, which are part of the program, and those of folders.

use super::models::ENCODINGS;
use crate::error::{Error, Result};
use crate::files;
use crate::latent::ShippedEncodings;
use crate::nets::Description;
use crate::nets::folder::{self, DESCRIPTION, Model, WEIGHTS};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The origin of the shipped models, for messages.
pub const SHIPPED_ORIGIN: &str = "models";

/// The bytes of the files of a shipped model.
macro_rules! shipped {
    ($($name:literal),*) => {
        [$((
            $name,
            include_bytes!(concat!("../../models/", $name, "/model.json")).as_slice(),
            include_bytes!(concat!("../../models/", $name, "/weights.safetensors")).as_slice(),
        )),*]
    };
}

/// Name, `model.json` and `weights.safetensors` of every shipped model.
static SHIPPED: [(&str, &[u8], &[u8]); 11] = shipped![
    "vae",
    "classifier-0",
    "classifier-1",
    "classifier-2",
    "classifier-3",
    "classifier-4",
    "classifier-5",
    "classifier-6",
    "classifier-7",
    "classifier-8",
    "classifier-9"
];
static SHIPPED_ENCODINGS: &[u8] = include_bytes!("../../models/encodings.safetensors");

/// A model as it was read.
pub struct ReadModel {
    pub description: Description,
    pub model: Model,
    /// The SHA-256 of its description and weights.
    pub hash: String,
}

impl ReadModel {
    /// Makes the model of the bytes of its two files; `folder` is for messages.
    fn parse(folder: &Path, description: &[u8], weights: &[u8]) -> Result<Self> {
        let hash = hexadecimal(&Sha256::new().chain_update(description).chain_update(weights).finalize());
        let (description, model) = folder::parse(folder, description, weights)?;
        Ok(Self { description, model, hash })
    }

    fn read(folder: &Path) -> Result<Self> {
        Self::parse(folder, &files::read(&folder.join(DESCRIPTION))?, &files::read(&folder.join(WEIGHTS))?)
    }
}

/// The shipped models.
///
/// # Errors
/// Only if the program was built from damaged models.
pub fn shipped() -> Result<Vec<ReadModel>> {
    let parse =
        |(name, description, weights): &(&str, &[u8], &[u8])| ReadModel::parse(&Path::new(SHIPPED_ORIGIN).join(name), description, weights);
    SHIPPED.iter().map(parse).collect()
}

/// Their encodings.
///
/// # Errors
/// As [`shipped`].
pub fn shipped_encodings() -> Result<ShippedEncodings> {
    ShippedEncodings::decode(&Path::new(SHIPPED_ORIGIN).join(ENCODINGS), SHIPPED_ENCODINGS)
}

/// The encodings in a folder, if they are there.
///
/// # Errors
/// When the file is damaged.
pub fn encodings(folder: &Path) -> Result<Option<ShippedEncodings>> {
    let path = folder.join(ENCODINGS);
    if path.exists() { ShippedEncodings::read(&path).map(Some) } else { Ok(None) }
}

/// The model of a folder, or the models of the folders in it, in the order of their names (numbers in names by value).
///
/// # Errors
/// When the folder cannot be read, or a model is damaged.
pub fn read_all(folder: &Path) -> Result<Vec<ReadModel>> {
    if folder.join(DESCRIPTION).is_file() {
        return Ok(vec![ReadModel::read(folder)?]);
    }
    model_folders(folder)?.iter().map(|path| ReadModel::read(path)).collect()
}

/// The model folders in a folder, in the order of their names (numbers in names by value).
///
/// # Errors
/// When the folder cannot be read.
pub fn model_folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut models = folders(folder)?;
    models.retain(|path| path.join(DESCRIPTION).is_file());
    Ok(models)
}

/// The folders in a folder, in the order of their names (numbers in names by value).
///
/// # Errors
/// When the folder cannot be read.
pub fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let entries = entries.map_err(|error| Error::io(folder, &error))?;
    let mut folders: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).filter(|path| path.is_dir()).collect();
    folders.sort_by_key(|path| by_number(&path.to_string_lossy()));
    Ok(folders)
}

/// The one VAE of a folder.
///
/// # Errors
/// When there is not one, or a model is damaged.
pub fn vae_of(folder: &Path) -> Result<ReadModel> {
    let mut vaes = read_all(folder)?.into_iter().filter(|model| matches!(model.model, Model::Vae(_)));
    match (vaes.next(), vaes.next()) {
        (Some(vae), None) => Ok(vae),
        (None, _) => Err(Error::file(folder, "holds no VAE", "name the folder of a VAE, or one that holds such a folder")),
        _ => Err(Error::file(folder, "holds several VAEs", "name the folder of one of them")),
    }
}

/// The classifiers of a folder, one at least.
///
/// # Errors
/// When there is none, or a model is damaged.
pub fn classifiers_of(folder: &Path) -> Result<Vec<ReadModel>> {
    let mut models = read_all(folder)?;
    models.retain(|model| matches!(model.model, Model::Classifier(_)));
    if models.is_empty() {
        return Err(Error::file(folder, "holds no classifier", "name the folder of a classifier, or one that holds such folders"));
    }
    Ok(models)
}

/// Gives the later ones of models of the same name a number: hashes and scores go by the name.
pub fn tell_apart(models: &mut [ReadModel]) {
    let mut taken = BTreeSet::new();
    for ReadModel { description, model, .. } in models {
        let name = description.name().to_owned();
        let numbered = (2..).map(|number: u32| format!("{name} ({number})"));
        let Some(free) = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name)) else { continue };
        if let Model::Classifier(classifier) = model {
            classifier.name.clone_from(&free);
        }
        description.rename(free.clone());
        taken.insert(free);
    }
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// A key that sorts numbers within names by value: classifier-2 before classifier-10.
fn by_number(name: &str) -> Vec<(String, u64)> {
    let mut key = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (text, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        key.push((text.to_owned(), tail[..end].parse().unwrap_or(u64::MAX)));
        rest = &tail[end..];
    }
    key
}
