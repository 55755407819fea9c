//! The film of a training: kept with `--film`, and exported later by `epistemap film`.

use crate::error::{Error, Result};
use crate::jobs::ModelSet;
use crate::jobs::training::{FilmMeasure, Looks, film, save_film};
use crate::latent::View;
use crate::nets::Vae;
use crate::nets::folder::{Model, load};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The plane that classifiers are shown on while they train, and the points along each of its axes.
const EXTENT: [f64; 2] = [-10.0, 10.0];
const GRID: usize = 48;

/// Whether a film is kept, and of what.
#[derive(Debug, Args)]
pub struct Film {
    /// Keep a film of the training in the model folder, a picture an epoch, and write it at the end: an animated GIF, or PNGs into a
    /// folder. Several models have one each, with the model's name in it.
    #[arg(id = "film", long = "film", value_name = "FILE.gif|DIR")]
    into: Option<PathBuf>,
    /// The VAE on whose plane classifiers are filmed, a model folder [default: the shipped one].
    #[arg(long, value_name = "DIR")]
    plane: Option<PathBuf>,
    /// What a film of a classifier shows.
    #[arg(id = "film_measure", long = "film-measure", value_enum, default_value_t = MeasureChoice::MutualInformation)]
    measure: MeasureChoice,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MeasureChoice {
    MutualInformation,
    PredictiveEntropy,
}

impl MeasureChoice {
    fn measure(self) -> FilmMeasure {
        match self {
            Self::MutualInformation => FilmMeasure::MutualInformation,
            Self::PredictiveEntropy => FilmMeasure::PredictiveEntropy,
        }
    }
}

impl Film {
    /// Checks that the film can be written where it should, before hours are spent on it.
    ///
    /// # Errors
    /// When it cannot.
    pub fn check(&self) -> Result<()> {
        self.into.as_deref().map_or(Ok(()), crate::files::create_folder_of)
    }

    /// How the models are looked at; `None` where no film is wanted.
    ///
    /// # Errors
    /// When the VAE is damaged, or is none.
    pub fn looks(&self) -> Result<Option<Looks>> {
        if self.into.is_none() {
            return Ok(None);
        }
        let Some(folder) = &self.plane else { return shipped_looks().map(Some) };
        match load(folder)?.1 {
            Model::Vae(vae) => looks_on(vae).map(Some),
            Model::Classifier(_) => Err(Error::file(folder, "is a classifier", "name the model folder of a VAE")),
        }
    }
}

/// Looks on the plane of the shipped VAE.
///
/// # Errors
/// Only if the program was built from damaged models.
pub fn shipped_looks() -> Result<Looks> {
    looks_on(ModelSet::shipped()?.vae)
}

fn looks_on(vae: Vae) -> Result<Looks> {
    Ok(Looks { view: View::square(EXTENT, GRID)?, vae: Some(Arc::new(vae)) })
}

/// Writes the films of what was trained, where they are wanted.
///
/// # Errors
/// When a film is damaged, or cannot be written.
pub fn export(models: &[PathBuf], options: &Film) -> Result<()> {
    let Some(path) = &options.into else { return Ok(()) };
    for model in models {
        let into = if models.len() == 1 { path.clone() } else { named_after(path, model) };
        save_film(&film(model)?, options.measure.measure(), &into)?;
    }
    Ok(())
}

/// `path` with the model's name in it: film.gif becomes film-classifier-3.gif.
fn named_after(path: &Path, model: &Path) -> PathBuf {
    let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let name = format!("{}-{}", part(path.file_stem()), part(model.file_name()));
    path.with_file_name(match path.extension() {
        Some(extension) => format!("{name}.{}", extension.to_string_lossy()),
        None => name,
    })
}

/// `epistemap film`.
#[derive(Debug, Args)]
pub struct FilmVerb {
    /// A model folder that was trained with --film, or in the window.
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// The film: an animated GIF, or PNGs into a folder.
    #[arg(long, value_name = "FILE.gif|DIR")]
    out: PathBuf,
    /// What a film of a classifier shows.
    #[arg(long, value_enum, default_value_t = MeasureChoice::MutualInformation)]
    measure: MeasureChoice,
}

impl FilmVerb {
    /// Runs the verb.
    ///
    /// # Errors
    /// When there is no film, it is damaged, or cannot be written.
    pub fn run(self) -> Result<()> {
        let frames = film(&self.model)?;
        if frames.is_empty() {
            return Err(Error::file(&self.model, "holds no film", "train with --film, which keeps one"));
        }
        save_film(&frames, self.measure.measure(), &self.out)
    }
}
