//! Trainings of the past: what their folders tell.

use super::plan::{Part, plan_of};
use super::{Draw, Epoch, TrainingPlan};
use crate::autodiff::train::LOG;
use crate::error::{Error, Result};
use crate::files;
use crate::jobs::laplace::is_drawn;
use crate::nets::folder::{describe, weights_file};
use std::path::{Path, PathBuf};

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
    let whole = TrainingPlan { shard: None, ..plan.clone() };
    unfinished(&whole, folder).is_ok_and(|unfinished| unfinished.is_none())
}

/// Whether the training of a folder was stopped before its end.
pub fn is_resumable(folder: &Path) -> bool {
    matches!(plan_of(folder), Ok(Some(plan)) if !is_complete(&plan, folder))
}

/// The first of a plan's model folders, of a shard of its own ones, that holds no model which was trained to the last epoch.
///
/// # Errors
/// When the plan makes no sense.
pub(super) fn unfinished(plan: &TrainingPlan, folder: &Path) -> Result<Option<PathBuf>> {
    let is_trained = |part: &Part, into: &Path| {
        let fitted = part.vae || plan.classifier.draw != Draw::LastLayerLaplace || is_drawn(into);
        let is_there = describe(into).is_ok() && weights_file(into).is_file();
        is_there && fitted && past(into).is_ok_and(|done| done.len() >= plan.epochs_of(part.vae))
    };
    let parts = plan.own_parts()?.into_iter();
    let mut folders = parts.map(|part| (part.folder.as_ref().map_or_else(|| folder.to_owned(), |name| folder.join(name)), part));
    Ok(folders.find(|(into, part)| !is_trained(part, into)).map(|(into, _)| into))
}
