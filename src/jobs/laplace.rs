//! Last-layer Laplace: another kind of draw, made of a classifier that is trained already.

use super::model_files::{ReadModel, SHIPPED_ORIGIN, classifiers_of, shipped, tell_apart};
use super::passes::check_classes;
use super::{Observer, Progress};
use crate::autodiff::train::{CHECKPOINT, Trainer};
use crate::autodiff::{ImageObserver, Structure, last_layer_laplace};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::files;
use crate::nets::folder::{DESCRIPTION, Model, Precision, build, describe, save};
use crate::nets::{Description, Op};
use serde::Serialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// A model that was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LaplaceModel {
    /// What it is called: its folder's name.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// What was kept of the Hessian.
    pub structure: Structure,
    /// The prior's precision, at the maximum of the evidence.
    pub prior_precision: f64,
    /// The logarithm of the marginal likelihood of the labels, in nats.
    pub log_evidence: f64,
}

/// Makes the last-layer Laplace model of a classifier into the model folder `out`; of a folder with several classifiers, each into a folder
/// of its name in `out`; without a folder, of the shipped ones. Dropout layers are left out: a draw is a draw of the last layer only. `data`
/// are the images that the classifiers were trained on, in the classes that they know; what a description says of their number and of wrong
/// labels is done to them here.
///
/// # Errors
/// When there is no classifier or it cannot be fitted, the data do not fit it, a model stands in `out` already, a file cannot be written, or
/// the observer stops.
pub fn laplace(
    folder: Option<&Path>,
    data: &Dataset,
    structure: Option<Structure>,
    out: &Path,
    observe: Observer<'_>,
) -> Result<Vec<LaplaceModel>> {
    let alone = folder.is_some_and(|folder| folder.join(DESCRIPTION).is_file());
    let mut models = match folder {
        Some(folder) => classifiers_of(folder)?,
        None => shipped()?.into_iter().filter(|model| matches!(model.model, Model::Classifier(_))).collect(),
    };
    tell_apart(&mut models);
    let count = models.len();
    let into = |model: &ReadModel| {
        if alone { Ok(out.to_owned()) } else { files::inside(out, model.description.name(), folder.unwrap_or(SHIPPED_ORIGIN.as_ref())) }
    };
    let folders: Vec<PathBuf> = models.iter().map(into).collect::<Result<_>>()?;
    if let Some(taken) = folders.iter().find(|into| into.join(DESCRIPTION).exists()) {
        return Err(Error::file(taken, "holds a model already", "name another folder with --out"));
    }
    let mut made = Vec::new();
    for (number, (ReadModel { description, model, .. }, into)) in models.into_iter().zip(&folders).enumerate() {
        let Description::Classifier { classes, name, training, .. } = &description else { continue };
        if data.classes.len() != classes.len() {
            let problem = format!("knows {} classes, but {} has {}", classes.len(), data.name, data.classes.len());
            return Err(Error::file(folder.unwrap_or(out), format!("'{name}' {problem}"), "choose the data that it was trained on"));
        }
        check_classes(classes, data)?;
        let data = as_trained(data, training)?;
        let data = data.as_ref();
        let total = (count * data.len()) as u64;
        let observe = &mut |images: usize| observe(Progress { done: (number * data.len() + images) as u64, total });
        made.push(write(description, &model, data, structure, into, observe)?);
    }
    Ok(made)
}

/// Makes of the classifier that was trained in `folder` its last-layer Laplace model, there; one that is made already stays. The weights are
/// those of the checkpoint, so that a stop at any moment leaves what can be done again. `data` are the images of the training.
///
/// # Errors
/// When the checkpoint is missing or damaged, the classifier cannot be fitted, or the observer stops.
pub(super) fn laplace_in_place(folder: &Path, data: &Dataset, observe: ImageObserver<'_>) -> Result<Option<LaplaceModel>> {
    if is_drawn(folder) {
        return Ok(None);
    }
    let description = describe(folder)?;
    let model = build(&description, &Trainer::load(&folder.join(CHECKPOINT))?.weights()?)?;
    write(description, &model, data, None, folder, observe).map(Some)
}

/// Whether the weights of a model's layer are drawn.
pub(super) fn is_drawn(folder: &Path) -> bool {
    describe(folder).is_ok_and(|description| description.nodes().any(|node| matches!(node.op, Op::GaussianLinear { .. })))
}

/// Fits a classifier and writes it into a model folder.
fn write(
    description: Description,
    model: &Model,
    data: &Dataset,
    structure: Option<Structure>,
    into: &Path,
    observe: ImageObserver<'_>,
) -> Result<LaplaceModel> {
    let (Description::Classifier { classes, input_shape, mut training, name: of, ending, .. }, Model::Classifier(classifier)) =
        (description, model)
    else {
        return Err(Error::file(into, "holds no classifier", "name the folder of one"));
    };
    let fitted = last_layer_laplace(&classifier.network, data, structure, observe)?;
    if !training.is_object() {
        training = json!({});
    }
    training["laplace"] = json!({
        "of": of, "dataset": data.name, "images": data.len(), "structure": fitted.structure,
        "prior_precision": fitted.prior_precision, "log_evidence": fitted.log_evidence,
    });
    let name = into.file_name().map_or(of, |name| name.to_string_lossy().into_owned());
    let graph = fitted.network.graph().clone();
    let description = Description::Classifier { name: name.clone(), input_shape, classes, ending, graph, training };
    save(into, &description, fitted.network.weights(), Precision::F32)?;
    let (structure, prior_precision, log_evidence) = (fitted.structure, fitted.prior_precision, fitted.log_evidence);
    Ok(LaplaceModel { name, folder: into.to_owned(), structure, prior_precision, log_evidence })
}

/// As many of the images as a classifier says that it was trained on, with as many wrong labels.
fn as_trained<'a>(data: &'a Dataset, training: &Value) -> Result<Cow<'a, Dataset>> {
    let images = training["images"].as_u64().filter(|images| *images > 0).map_or(data.len(), |images| data.len().min(images as usize));
    let noise = training["label_noise"].as_f64().unwrap_or_default();
    if images == data.len() && noise == 0.0 {
        return Ok(Cow::Borrowed(data));
    }
    data.slice(0..images).with_label_noise(noise).map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::training::{ClassifierPlan, Draw, News, Resume, TrainingPlan, train};
    use crate::nets::folder::{WEIGHTS, load};
    use std::fs;
    use std::ops::ControlFlow;

    #[test]
    fn a_training_may_end_with_it_and_go_on_from_it() {
        let pixels = (0..30 * 36).map(|at| ((at * 7 + at / 36 * 13) % 17) as f32 / 16.0).collect();
        let labels = (0..30).map(|image| image % 3).collect();
        let data = Dataset::new("noise", [1, 6, 6], pixels, labels, ["a", "b", "c"].map(String::from).to_vec()).unwrap();
        let desk = tempfile::tempdir().unwrap();
        let told = |name: &str, epochs: usize, draw: Draw| -> Vec<News> {
            let classifier = ClassifierPlan { channels: [2, 3], hidden: 5, draw, ..ClassifierPlan::default() };
            let plan = TrainingPlan { classifier, epochs: Some(epochs), batch: 8, ..TrainingPlan::default() };
            let mut news = Vec::new();
            let mut observe = |one| {
                news.push(one);
                ControlFlow::Continue(())
            };
            train(&plan, (&data, &data), &desk.path().join(name), Resume::SameData, None, &mut observe).unwrap();
            news
        };
        let weights = |name: &str| fs::read(desk.path().join(name).join(WEIGHTS)).unwrap();
        let drawn = |name: &str| {
            let (description, Model::Classifier(model)) = load(&desk.path().join(name)).unwrap() else { panic!("no classifier") };
            let draws: Vec<String> = model
                .network
                .nodes()
                .iter()
                .filter(|node| node.op.draws())
                .map(|node| format!("{} '{}'", node.op.label(), node.name))
                .collect();
            (draws, description.training()["laplace"]["images"].clone())
        };
        let says = |news: &[News]| news.iter().any(|one| matches!(one, News::Note(text) if text.contains("prior precision")));
        assert!(says(&told("whole", 3, Draw::LastLayerLaplace)));
        assert_eq!(drawn("whole"), (vec!["gaussian_linear 'fc2'".to_owned()], json!(30)));
        assert!(!says(&told("plain", 3, Draw::Dropout)) && drawn("plain").0.len() == 2, "the negative control");
        // A finished one stays, one that goes on is fitted anew, and so is one that was stopped between its two files.
        let whole = weights("whole");
        assert!(!says(&told("whole", 3, Draw::LastLayerLaplace)) && weights("whole") == whole);
        told("parts", 2, Draw::LastLayerLaplace);
        assert!(weights("parts") != whole);
        told("parts", 3, Draw::LastLayerLaplace);
        assert!(weights("parts") == whole);
        let [complete, plain] = ["whole", "plain"].map(|name| fs::read(desk.path().join(name).join(DESCRIPTION)).unwrap());
        fs::write(desk.path().join("whole").join(DESCRIPTION), String::from_utf8(plain).unwrap().replace("plain", "whole")).unwrap();
        assert!(load(&desk.path().join("whole")).is_err());
        assert!(says(&told("whole", 3, Draw::LastLayerLaplace)));
        assert!(weights("whole") == whole && fs::read(desk.path().join("whole").join(DESCRIPTION)).unwrap() == complete);
    }
}
