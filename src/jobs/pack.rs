//! Packing: trained models made ready to ship, with half-precision weights, the encodings of the data, and a card.

use super::model_files::refuse_models;
use super::models::ENCODINGS;
use super::passes::check_data;
use super::{Evaluation, ModelSet, NamedScores, Observer, evaluate};
use crate::autodiff::encode;
use crate::autodiff::train::Schedule;
use crate::data::{DataIdentity, Dataset};
use crate::engine;
use crate::error::{Error, Result};
use crate::files;
use crate::latent::{Encodings, ShippedEncodings};
use crate::nets::folder::{self, Model, Precision};
use crate::nets::{Description, Vae};
use crate::numbers::counted;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name of the card in a folder of packed models.
pub const CARD: &str = "CARD.md";

/// Writes the models of `from` into `into`: weights in f16, `encodings.safetensors` of both data sets, and `CARD.md` with how
/// each model was made and how good it is, judged as packed. Returns the evaluation.
///
/// # Errors
/// When the models or data do not fit, a file cannot be written, or the observer stops.
pub fn pack(from: &Path, into: &Path, [train, test]: [&Dataset; 2], samples: u32, observe: Observer<'_>) -> Result<Evaluation> {
    let set = ModelSet::load(from)?;
    check_data(&set, test)?;
    let weights = std::iter::once(set.vae.weights()).chain(set.ensemble().members().iter().map(|member| member.network.weights().clone()));
    refuse_models(into)?;
    let folders: Vec<PathBuf> = set.descriptions.iter().map(|model| files::inside(into, model.name(), from)).collect::<Result<_>>()?;
    for ((description, weights), folder) in set.descriptions.iter().zip(weights).zip(&folders) {
        folder::save(folder, description, &weights, Precision::F16)?;
    }
    let packed = ModelSet::load(into)?;
    write_encodings(&packed.vae, [train, test], into)?;
    let mut engine = engine::open("cpu", Arc::clone(&packed.models))?;
    let evaluation = evaluate(packed.ensemble(), Some(&packed.vae), engine.as_mut(), test, samples, 0, observe)?;
    files::write_atomically(&into.join(CARD), card(&packed.descriptions, &evaluation).as_bytes())?;
    Ok(evaluation)
}

/// Writes where the VAE of the model folder `vae` puts the images of both data sets, as `encodings.safetensors` into that folder: density
/// and holes ask for it.
///
/// # Errors
/// When the folder holds no VAE of two latent dimensions, the images are not of its shape, or the file cannot be written.
pub fn encode_into(vae: &Path, train: &Dataset, test: &Dataset) -> Result<()> {
    let (_, Model::Vae(model)) = folder::load(vae)? else {
        return Err(Error::file(vae, "holds a classifier, which has no encodings", "name the folder of a VAE"));
    };
    if model.latent_size() != 2 {
        let problem = format!("its VAE has {} latent dimensions where a plane has two", model.latent_size());
        return Err(Error::file(vae, problem, "train one with --latent 2"));
    }
    for data in [train, test] {
        if data.image_shape != model.image_shape() {
            let (images, taken) = (data.image_shape, model.image_shape());
            let problem = format!("its VAE takes images of {taken:?}, but those of {} are {images:?}", data.name);
            return Err(Error::file(vae, problem, "choose the data that it was trained on"));
        }
    }
    write_encodings(&model, [train, test], vae)
}

/// Writes where a VAE puts the images of both data sets into a folder.
///
/// # Errors
/// When the images are not of its shape, or the file cannot be written.
pub(super) fn write_encodings(vae: &Vae, [train, test]: [&Dataset; 2], into: &Path) -> Result<()> {
    let of = |data: &Dataset| {
        let points = encode(vae, data)?.chunks_exact(2).map(|z| [z[0], z[1]]).collect();
        Encodings::new(points, data.labels.clone(), data.classes.clone())
    };
    let data = Some([train, test].map(DataIdentity::of));
    ShippedEncodings { train: of(train)?, test: of(test)?, vae: Some(vae.encoder_sha256()), data }.write(&into.join(ENCODINGS))
}

/// The card as Markdown.
fn card(descriptions: &[Description], evaluation: &Evaluation) -> String {
    let mut text = format!(
        "# The models\n\nTrained by this program on {}; each line under *How each was made* has epochs, batch, schedule and seed, and\n\
         each `model.json` the architecture. The figures below were\n\
         measured by `epistemap evaluate` on the {} of {}, with the f16 weights as they stand here. Logarithms are natural.\n\n",
        descriptions[0].training()["dataset"].as_str().unwrap_or("unnamed data"),
        counted(evaluation.images as u64, "image"),
        evaluation.dataset,
    );
    if let Some(vae) = evaluation.vae {
        let _ = write!(
            text,
            "## The VAE\n\n−ELBO {:.2} nats per image = reconstruction {:.2} + KL {:.2}, one sample of z per image.\n\n",
            vae.negative_elbo, vae.reconstruction, vae.kl
        );
    }
    let _ = write!(
        text,
        "## The classifiers\n\nEach with dropout off, and by the mean of {samples} MC dropout draws; the ensemble is the mean of its members. ECE over\n\
         15 bins; in brackets the 95 % interval of the accuracy (Wilson).\n\n| model | draws | accuracy | NLL (nats) | Brier | ECE |\n|---|---|---|---|---|---|\n",
        samples = evaluation.samples
    );
    for rows in evaluation.rows() {
        let draws = ["off".to_owned(), evaluation.samples.to_string()];
        for (scores, draws) in rows.into_iter().zip(draws) {
            let (NamedScores { name, nll, brier, ece, .. }, accuracy) = (scores, scores.accuracy_text());
            let _ = writeln!(text, "| {name} | {draws} | {accuracy} | {nll:.4} | {brier:.4} | {ece:.4} |");
        }
    }
    text.push_str("\n## How each was made\n\n");
    for description in descriptions {
        let training = description.training();
        let what = if matches!(description, Description::Vae { .. }) { "vae" } else { "classifier" };
        let mut options = Schedule::of_facts(training).unwrap_or_default().options();
        if let Some(strength) = training["weight_decay"].as_f64() {
            let _ = write!(options, " --weight-decay {strength}");
        }
        if let Some(augmentation) = training["augmentation"].as_str() {
            let _ = write!(options, " --augment {augmentation}");
        }
        let _ = writeln!(
            text,
            "- `epistemap train {what} --epochs {} --batch {}{options} --seed {} --out {}`: {}, on {} images",
            training["epochs"],
            training["batch"],
            training["seed"],
            description.name(),
            training["optimiser"],
            training["images"]
        );
    }
    text
}
