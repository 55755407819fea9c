//! The models that a job works with: the shipped ones, which are part of the program, or those of a folder.

use crate::data::{self, Dataset};
use crate::engine::{self, Models};
use crate::error::{Error, Result};
use crate::files;
use crate::latent::ShippedEncodings;
use crate::nets::folder::{self, DESCRIPTION, Description, Model, WEIGHTS};
use crate::nets::{Classifier, Ensemble, Vae};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name of the encodings' file in a folder of models.
pub const ENCODINGS: &str = "encodings.safetensors";

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

/// A model's folder, its `model.json` and its weights.
type ModelFiles<'a> = (PathBuf, Cow<'a, [u8]>, Cow<'a, [u8]>);

/// A VAE, an ensemble, and where the data lie on the VAE's latent plane.
#[derive(Clone, Debug)]
pub struct ModelSet {
    /// Where it comes from, for messages.
    pub origin: PathBuf,
    /// The VAE.
    pub vae: Vae,
    /// The VAE's decoder and the ensemble, as engines take them.
    pub models: Arc<Models>,
    /// The encodings of the data that the VAE was trained and tested on.
    pub encodings: Option<ShippedEncodings>,
    /// The SHA-256 of each model's description and weights, by the model's name.
    pub hashes: BTreeMap<String, String>,
    /// Each model's description, the VAE first.
    pub descriptions: Vec<Description>,
}

impl ModelSet {
    /// The models in `folder`, or the shipped ones.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn open(folder: Option<&Path>) -> Result<Self> {
        folder.map_or_else(Self::shipped, Self::load)
    }

    /// The models that are part of the program.
    ///
    /// # Errors
    /// Only if the program was built from damaged models.
    pub fn shipped() -> Result<Self> {
        let origin = Path::new("models");
        let files =
            SHIPPED.iter().map(|(name, description, weights)| (origin.join(name), Cow::Borrowed(*description), Cow::Borrowed(*weights)));
        let encodings = ShippedEncodings::decode(&origin.join(ENCODINGS), SHIPPED_ENCODINGS)?;
        Self::assemble(origin, files.collect(), Some(encodings))
    }

    /// The model folders in `folder`: one VAE, and classifiers in the order of their names (numbers in names by value). The
    /// encodings are read where they are there.
    ///
    /// # Errors
    /// When a model is damaged, there is not one VAE, or no classifier, or they do not fit each other.
    pub fn load(folder: &Path) -> Result<Self> {
        let read = model_files(folder)?;
        let encodings = folder.join(ENCODINGS);
        let encodings = if encodings.exists() { Some(ShippedEncodings::read(&encodings)?) } else { None };
        Self::assemble(folder, read, encodings)
    }

    fn assemble(origin: &Path, files: Vec<ModelFiles<'_>>, encodings: Option<ShippedEncodings>) -> Result<Self> {
        let mut vaes: Vec<(Description, Vae)> = Vec::new();
        let mut classifiers: Vec<(Description, Classifier)> = Vec::new();
        let mut hashes = BTreeMap::new();
        for (path, description, weights) in files {
            let (parsed, model) = folder::parse(&path, &description, &weights)?;
            hashes.insert(parsed.name().to_owned(), hash(&description, &weights));
            match model {
                Model::Vae(vae) => vaes.push((parsed, vae)),
                Model::Classifier(classifier) => classifiers.push((parsed, classifier)),
            }
        }
        let count = vaes.len();
        let Some((description, vae)) = vaes.pop().filter(|_| count == 1) else {
            let mend = "name a folder with one VAE and one classifier at least, each in a folder of its own with a model.json";
            return Err(Error::file(origin, format!("holds {count} VAEs where one is needed"), mend));
        };
        let (mut descriptions, members): (Vec<_>, Vec<_>) = classifiers.into_iter().unzip();
        descriptions.insert(0, description);
        let fits =
            |error: Error| Error::file(origin, error.to_string().trim_end_matches('.'), "leave only models that fit each other in it");
        let ensemble = Ensemble::new(members).map_err(fits)?;
        let models = Arc::new(Models::new(Some(vae.decoder.clone()), ensemble).map_err(fits)?);
        Ok(Self { origin: origin.to_owned(), vae, models, encodings, hashes, descriptions })
    }

    /// The encodings.
    ///
    /// # Errors
    /// When the folder has none.
    pub fn encodings(&self) -> Result<&ShippedEncodings> {
        self.encodings.as_ref().ok_or_else(|| {
            Error::file(&self.origin.join(ENCODINGS), "is missing", "make it with `epistemap pack`, which encodes the data of the VAE")
        })
    }

    /// The classifiers.
    pub fn ensemble(&self) -> &Ensemble {
        &self.models.ensemble
    }

    /// The numbers of the members that a person asked for; all for `None`.
    ///
    /// # Errors
    /// When one is not there or named twice, or none is named.
    pub fn members(&self, wanted: Option<&[usize]>) -> Result<Vec<usize>> {
        members_of(self.ensemble(), wanted)
    }
}

/// The classifiers alone: what attacks and their detection ask for.
#[derive(Clone, Debug)]
pub struct Classifiers {
    /// Where they come from, for messages.
    pub origin: PathBuf,
    /// The ensemble, without a decoder where there is none.
    pub models: Arc<Models>,
    /// As in [`ModelSet`].
    pub hashes: BTreeMap<String, String>,
}

impl Classifiers {
    /// The classifiers of the models in `folder`, a single classifier where the folder itself is a model's, or the shipped ones.
    ///
    /// # Errors
    /// When a model is damaged, there is no classifier, or they do not fit each other.
    pub fn open(folder: Option<&Path>) -> Result<Self> {
        let Some(folder) = folder else { return Ok(Self::of(&ModelSet::shipped()?)) };
        let files = if folder.join(DESCRIPTION).is_file() { vec![read_model(folder)?] } else { model_files(folder)? };
        let (mut members, mut hashes) = (Vec::new(), BTreeMap::new());
        for (path, description, weights) in files {
            if let (parsed, Model::Classifier(classifier)) = folder::parse(&path, &description, &weights)? {
                hashes.insert(parsed.name().to_owned(), hash(&description, &weights));
                members.push(classifier);
            }
        }
        if members.is_empty() {
            return Err(Error::file(folder, "holds no classifier", "name the folder of a classifier, or one that holds such folders"));
        }
        let fits = |error: Error| Error::file(folder, error.to_string().trim_end_matches('.'), "leave only classifiers that agree in it");
        let models = Arc::new(Models::new(None, Ensemble::new(members).map_err(fits)?)?);
        Ok(Self { origin: folder.to_owned(), models, hashes })
    }

    /// Those of a set.
    pub fn of(set: &ModelSet) -> Self {
        Self { origin: set.origin.clone(), models: Arc::clone(&set.models), hashes: set.hashes.clone() }
    }

    /// The classifiers.
    pub fn ensemble(&self) -> &Ensemble {
        &self.models.ensemble
    }

    /// As [`ModelSet::members`].
    ///
    /// # Errors
    /// As it.
    pub fn members(&self, wanted: Option<&[usize]>) -> Result<Vec<usize>> {
        members_of(self.ensemble(), wanted)
    }
}

fn members_of(ensemble: &Ensemble, wanted: Option<&[usize]>) -> Result<Vec<usize>> {
    let count = ensemble.members().len();
    let members = wanted.map_or_else(|| (0..count).collect(), <[usize]>::to_vec);
    let mut sorted = members.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if members.is_empty() || sorted.len() != members.len() || sorted.last().is_some_and(|&last| last >= count) {
        return Err(Error::setting(
            "--members",
            format!("{members:?} are not members of the ensemble of {count}"),
            format!("give a count from 1 to {count}, or different numbers from 0 to {}", count - 1),
        ));
    }
    Ok(members)
}

/// The files of the models in a folder, in the order of their names (numbers in names by value).
fn model_files(folder: &Path) -> Result<Vec<ModelFiles<'static>>> {
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let entries = entries.map_err(|error| Error::io(folder, &error))?;
    let mut models: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).filter(|path| path.join(DESCRIPTION).is_file()).collect();
    models.sort_by_key(|path| by_number(&path.to_string_lossy()));
    models.iter().map(|path| read_model(path)).collect()
}

fn read_model(path: &Path) -> Result<ModelFiles<'static>> {
    let (description, weights) = (files::read(&path.join(DESCRIPTION))?, files::read(&path.join(WEIGHTS))?);
    Ok((path.to_owned(), Cow::Owned(description), Cow::Owned(weights)))
}

/// The SHA-256 of a model.
fn hash(description: &[u8], weights: &[u8]) -> String {
    hexadecimal(&Sha256::new().chain_update(description).chain_update(weights).finalize())
}

/// The decoded digits of the shipped models: what stands in for MNIST where its images are not at hand.
///
/// # Errors
/// When the engine fails.
pub fn decoded_digits() -> Result<Dataset> {
    let set = ModelSet::shipped()?;
    let test = &set.encodings()?.test;
    let shape = set.vae.image_shape();
    let mut engine = engine::open("cpu", Arc::clone(&set.models))?;
    data::decoded_digits(&test.points, &test.labels, &test.classes, [shape[0], shape[1], shape[2]], |z| engine.decode(z))
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
