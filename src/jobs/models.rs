//! The models that a job works with: the shipped ones, which are part of the program, or those of a folder.

use super::model_files::{self, ReadModel};
use crate::data::{self, Dataset};
use crate::engine::{self, Models};
use crate::error::{Error, Result};
use crate::latent::ShippedEncodings;
use crate::nets::folder::Model;
use crate::nets::{Classifier, Description, Ensemble, Vae, same_classes};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name of the encodings' file in a folder of models.
pub const ENCODINGS: &str = "encodings.safetensors";

/// What a person adds to a set of models.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Additions {
    /// The folder of a VAE that takes the place of the set's own.
    pub vae: Option<PathBuf>,
    /// Folders of classifiers, or of several such folders, that come behind the set's own.
    pub members: Vec<PathBuf>,
}

impl Additions {
    /// Whether nothing is added.
    pub fn is_empty(&self) -> bool {
        self.vae.is_none() && self.members.is_empty()
    }
}

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
    /// The file that holds the encodings, or should, for messages.
    pub encodings_file: PathBuf,
    /// The SHA-256 of each model's description and weights, by the model's name.
    pub hashes: BTreeMap<String, String>,
    /// Each model's description, the VAE first.
    pub descriptions: Vec<Description>,
    /// What should be said of the reading, a sentence each.
    pub notes: Vec<String>,
}

impl ModelSet {
    /// The models in `folder`, or the shipped ones.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn open(folder: Option<&Path>) -> Result<Self> {
        Self::open_with(folder, &Additions::default())
    }

    /// The models in `folder`, or the shipped ones, with another VAE in place of their own and more classifiers at the end of the ensemble.
    /// A folder that lacks a VAE or classifiers may get them so. Models of the same name are told apart by a number.
    ///
    /// # Errors
    /// As [`load`](Self::load), or when what is added is of another kind or does not fit.
    pub fn open_with(folder: Option<&Path>, additions: &Additions) -> Result<Self> {
        let Some(folder) = folder else {
            let encodings = model_files::shipped_encodings()?;
            let origin = Path::new(model_files::SHIPPED_ORIGIN);
            return Self::assemble(origin, model_files::shipped()?, (origin.join(ENCODINGS), Some(encodings)), additions);
        };
        let models = model_files::read_all(folder)?;
        let path = model_files::encodings_of_set(folder);
        let encodings = model_files::encodings(&path)?;
        Self::assemble(folder, models, (path, encodings), additions)
    }

    /// The models that are part of the program.
    ///
    /// # Errors
    /// Only if the program was built from damaged models.
    pub fn shipped() -> Result<Self> {
        Self::open(None)
    }

    /// The model folders in `folder`: one VAE, and classifiers in the order of their names (numbers in names by value); a model's own
    /// folder counts as one that holds it. The encodings are read where they are there.
    ///
    /// # Errors
    /// When a model is damaged, there is not one VAE, or no classifier, or they do not fit each other.
    pub fn load(folder: &Path) -> Result<Self> {
        Self::open(Some(folder))
    }

    fn assemble(
        origin: &Path,
        mut models: Vec<ReadModel>,
        (mut encodings_file, mut encodings): (PathBuf, Option<ShippedEncodings>),
        additions: &Additions,
    ) -> Result<Self> {
        if let Some(folder) = &additions.vae {
            models.retain(|model| matches!(model.model, Model::Classifier(_)));
            models.push(model_files::vae_of(folder)?);
            encodings_file = model_files::encodings_file(folder);
            encodings = model_files::encodings(&encodings_file)?;
        }
        for folder in &additions.members {
            models.extend(model_files::classifiers_of(folder)?);
        }
        model_files::tell_apart(&mut models);
        let hashes = models.iter().map(|model| (model.description.name().to_owned(), model.hash.clone())).collect();
        let mut notes: Vec<String> = models.iter().filter_map(|model| model.note.clone()).collect();
        let mut vaes: Vec<(Description, Vae)> = Vec::new();
        let mut classifiers: Vec<(Description, Classifier)> = Vec::new();
        for ReadModel { description, model, .. } in models {
            match model {
                Model::Vae(vae) => vaes.push((description, vae)),
                Model::Classifier(classifier) => classifiers.push((description, classifier)),
            }
        }
        let (count, mut vaes) = (vaes.len(), vaes.into_iter());
        let (Some((description, vae)), None) = (vaes.next(), vaes.next()) else {
            return Err(not_one_vae(origin, count, classifiers.len()));
        };
        if classifiers.is_empty() {
            let mend = format!(
                "add classifiers with --add-member DIR, or give the shipped ones this VAE with `--vae {}` alone",
                additions.vae.as_deref().unwrap_or(origin).display()
            );
            return Err(Error::file(origin, "holds no classifier, which a VAE needs beside it", mend));
        }
        let (mut descriptions, members): (Vec<_>, Vec<_>) = classifiers.into_iter().unzip();
        descriptions.insert(0, description);
        let mend = if additions.is_empty() {
            "leave only models that fit each other in it"
        } else {
            "add only models of the same images and classes"
        };
        let fits = |error: Error| Error::file(origin, error.to_string().trim_end_matches('.'), mend);
        let ensemble = Ensemble::new(members).map_err(fits)?;
        let models = Arc::new(Models::new(Some(vae.decoder.clone()), ensemble).map_err(fits)?);
        if let Some(encodings) = &encodings {
            let classes = additions.vae.is_none().then(|| models.ensemble.classes());
            check_encodings(&encodings_file, encodings, &vae, classes)?;
            if encodings.vae.is_none() {
                let path = encodings_file.display();
                notes.push(format!("{path} does not say which VAE made it; `epistemap encode` writes one that does."));
            }
        }
        Ok(Self { origin: origin.to_owned(), vae, models, encodings, encodings_file, hashes, descriptions, notes })
    }

    /// Checks that the models take the images of data, and call their classes alike.
    ///
    /// # Errors
    /// When they do not.
    pub fn check_data(&self, data: &Dataset) -> Result<()> {
        super::passes::check_data(self, data)
    }

    /// Refuses data with the name and the classes of the encoded data, but with other images or labels. `sha256` gives the data's hash; it is
    /// called only where the names agree, because it takes time.
    ///
    /// # Errors
    /// When the hashes differ.
    pub fn check_encoded(&self, data: &Dataset, sha256: impl FnOnce() -> String) -> Result<()> {
        let encodings = self.encodings.as_ref().filter(|encodings| same_classes(&encodings.train.classes, &data.classes));
        let encoded = encodings.and_then(|encodings| encodings.data.as_ref()?.iter().find(|encoded| encoded.name == data.name));
        match encoded {
            Some(encoded) if encoded.sha256 != sha256() => {
                let problem = format!("are encodings of other images or labels than those that '{}' has now", data.name);
                Err(Error::file(&self.encodings_file, problem, "encode the data anew with `epistemap encode`"))
            }
            _ => Ok(()),
        }
    }

    /// The encodings.
    ///
    /// # Errors
    /// When the folder has none.
    pub fn encodings(&self) -> Result<&ShippedEncodings> {
        self.encodings.as_ref().ok_or_else(|| {
            let mend = "make it with `epistemap encode`, which encodes the data of the VAE, or with `epistemap pack`";
            Error::file(&self.encodings_file, "is missing", mend)
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
    /// As in [`ModelSet`].
    pub notes: Vec<String>,
}

impl Classifiers {
    /// The classifiers of the models in `folder`, a single classifier where the folder itself is a model's, or the shipped ones.
    ///
    /// # Errors
    /// When a model is damaged, there is no classifier, or they do not fit each other.
    pub fn open(folder: Option<&Path>) -> Result<Self> {
        Self::open_with(folder, &[])
    }

    /// The same with more classifiers behind them, as [`ModelSet::open_with`] adds them.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(folder: Option<&Path>, more: &[PathBuf]) -> Result<Self> {
        let Some(folder) = folder else {
            return Ok(Self::of(&ModelSet::open_with(None, &Additions { vae: None, members: more.to_vec() })?));
        };
        let mut models = model_files::classifiers_of(folder)?;
        for folder in more {
            models.extend(model_files::classifiers_of(folder)?);
        }
        model_files::tell_apart(&mut models);
        let hashes = models.iter().map(|model| (model.description.name().to_owned(), model.hash.clone())).collect();
        let notes = models.iter().filter_map(|model| model.note.clone()).collect();
        let members =
            models.into_iter().filter_map(|model| if let Model::Classifier(classifier) = model.model { Some(classifier) } else { None });
        let mend =
            if more.is_empty() { "leave only classifiers that agree in it" } else { "add only classifiers of the same images and classes" };
        let fits = |error: Error| Error::file(folder, error.to_string().trim_end_matches('.'), mend);
        let models = Arc::new(Models::new(None, Ensemble::new(members.collect()).map_err(fits)?)?);
        Ok(Self { origin: folder.to_owned(), models, hashes, notes })
    }

    /// Those of a set.
    pub fn of(set: &ModelSet) -> Self {
        let (origin, hashes, notes) = (set.origin.clone(), set.hashes.clone(), set.notes.clone());
        Self { origin, models: Arc::clone(&set.models), hashes, notes }
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

/// Refuses the encodings of another VAE, or of data that lack one of these classes, which those of the set's own VAE have.
fn check_encodings(path: &Path, encodings: &ShippedEncodings, vae: &Vae, classes: Option<&[String]>) -> Result<()> {
    let own: Vec<String> = encodings.train.classes.iter().map(|class| class.to_lowercase()).collect();
    let unknown = classes.unwrap_or_default().iter().find(|class| !own.contains(&class.to_lowercase()));
    let problem = match (&encodings.vae, unknown) {
        (Some(hash), _) if *hash != vae.encoder_sha256() => "are the encodings of another VAE than that of these models".to_owned(),
        (_, Some(class)) => format!("are encodings of data without the class '{class}', which the classifiers know"),
        _ => return Ok(()),
    };
    Err(Error::file(path, problem, "encode the data of the models with `epistemap encode`, or remove the file"))
}

/// The error for a set without exactly one VAE. It names no options, because not every verb has them.
fn not_one_vae(origin: &Path, vaes: usize, classifiers: usize) -> Error {
    let mend = match (vaes, classifiers) {
        (0, 0) => "name a folder with one VAE and one classifier at least, each in a folder of its own with a model.json",
        (0, _) => "put a VAE in a folder of its own beside these classifiers, or name a folder with one VAE and one classifier at least",
        _ => "leave one of them in it, or name a folder with one VAE and one classifier at least",
    };
    Error::file(origin, format!("holds {vaes} VAEs where one is needed"), mend)
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
