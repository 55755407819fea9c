//! Last-layer Laplace: another kind of draw, made of a classifier that is trained already.

use super::model_files::{ReadModel, classifiers_of, shipped};
use super::{Observer, Progress};
use crate::autodiff::last_layer_laplace;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::nets::Layer;
use crate::nets::folder::{DESCRIPTION, Description, Model, Precision, describe, save};
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};

/// A model that was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LaplaceModel {
    /// What it is called: its folder's name.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// The prior's precision, at the maximum of the evidence.
    pub prior_precision: f64,
    /// The logarithm of the marginal likelihood of the labels, in nats.
    pub log_evidence: f64,
}

/// Makes the last-layer Laplace model of a classifier into the model folder `out`; of a folder with several classifiers, each into a folder
/// of its name in `out`; without a folder, of the shipped ones. Dropout layers are left out: a draw is a draw of the last layer only. `data`
/// are the images that the classifiers were trained on.
///
/// # Errors
/// When there is no classifier or it cannot be fitted, the data do not fit it, a model stands in `out` already, a file cannot be written, or
/// the observer stops.
pub fn laplace(folder: Option<&Path>, data: &Dataset, out: &Path, observe: Observer<'_>) -> Result<Vec<LaplaceModel>> {
    let alone = folder.is_some_and(|folder| folder.join(DESCRIPTION).is_file());
    let models = match folder {
        Some(folder) => classifiers_of(folder)?,
        None => shipped()?.into_iter().filter(|model| matches!(model.model, Model::Classifier(_))).collect(),
    };
    let total = models.len() * data.len();
    let into = |model: &ReadModel| if alone { out.to_owned() } else { out.join(model.description.name()) };
    if let Some(taken) = models.iter().map(into).find(|into| into.join(DESCRIPTION).exists()) {
        return Err(Error::file(&taken, "holds a model already", "name another folder with --out"));
    }
    let mut made = Vec::new();
    for (number, model) in models.into_iter().enumerate() {
        let into = into(&model);
        let images = number * data.len();
        let observe = &mut |progress: Progress| observe(Progress { done: images as u64 + progress.done, total: total as u64 });
        made.push(fit_into(model, data, &into, observe)?);
    }
    Ok(made)
}

/// Whether the classifier of a model folder draws its last layer.
pub(super) fn is_fitted(folder: &Path) -> bool {
    matches!(describe(folder), Ok(Description::Classifier { layers, .. }) if layers.iter().any(|layer| matches!(layer, Layer::GaussianLinear { .. })))
}

/// Puts the last-layer Laplace model of a classifier in its place, unless it is there already. `data` are the images that it was trained on.
///
/// # Errors
/// When it cannot be fitted, a file cannot be written, or the observer stops.
pub(super) fn fit(folder: &Path, data: &Dataset, observe: Observer<'_>) -> Result<()> {
    if !is_fitted(folder) {
        for model in classifiers_of(folder)? {
            fit_into(model, data, folder, observe)?;
        }
    }
    Ok(())
}

fn fit_into(model: ReadModel, data: &Dataset, into: &Path, observe: Observer<'_>) -> Result<LaplaceModel> {
    let (Description::Classifier { classes, input_shape, mut training, name: of, .. }, Model::Classifier(classifier)) =
        (model.description, model.model)
    else {
        return Err(Error::file(into, "is to hold the model of a VAE, which has no classes", "name a classifier"));
    };
    if data.classes.len() != classes.len() {
        let problem = format!("'{of}' knows {} classes, but {} has {}", classes.len(), data.name, data.classes.len());
        return Err(Error::file(into, problem, "choose the data that it was trained on"));
    }
    let total = data.len() as u64;
    let fitted = last_layer_laplace(&classifier.network, data, &mut |images| observe(Progress { done: images as u64, total }))?;
    if !training.is_object() {
        training = json!({});
    }
    training["laplace"] = json!({
        "of": of, "dataset": data.name, "images": data.len(), "prior_precision": fitted.prior_precision, "log_evidence": fitted.log_evidence,
    });
    let name = into.file_name().map_or(of, |name| name.to_string_lossy().into_owned());
    let layers = fitted.network.layers().to_vec();
    let description = Description::Classifier { name: name.clone(), input_shape, classes, layers, training };
    save(into, &description, fitted.network.weights(), Precision::F32)?;
    Ok(LaplaceModel { name, folder: into.to_owned(), prior_precision: fitted.prior_precision, log_evidence: fitted.log_evidence })
}
