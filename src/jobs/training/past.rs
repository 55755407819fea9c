//! Trainings of the past: what their folders tell.

use super::{Draw, Epoch, TrainingPlan};
use crate::autodiff::train::LOG;
use crate::error::{Error, Result};
use crate::files;
use crate::jobs::laplace::is_drawn;
use std::path::Path;

/// The epochs of a model, from the log in its folder; none where it has no log.
///
/// # Errors
/// When the log cannot be read, or is damaged.
pub fn past(folder: &Path) -> Result<Vec<Epoch>> {
    let path = folder.join(LOG);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = String::from_utf8_lossy(&files::read(&path)?).into_owned();
    let epoch = |line: &str| {
        serde_json::from_str(line)
            .map_err(|error| Error::file(&path, format!("not the log of a training: {error}"), "train the model again"))
    };
    text.lines().map(epoch).collect()
}

/// Whether all that a plan names has been trained in its folder, to the last epoch.
pub fn is_complete(plan: &TrainingPlan, folder: &Path) -> bool {
    plan.parts().is_ok_and(|parts| {
        parts.iter().all(|part| {
            let into = part.folder.as_ref().map_or_else(|| folder.to_owned(), |name| folder.join(name));
            let fitted = part.vae || plan.classifier.draw != Draw::LastLayerLaplace || is_drawn(&into);
            fitted && past(&into).is_ok_and(|done| done.len() >= plan.epochs_of(part.vae))
        })
    })
}
