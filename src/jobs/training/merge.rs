//! Ensembles that were trained in shards, put together.

use super::past::unfinished;
use super::plan::plan_of;
use super::{PLAN, lock};
use crate::error::{Error, Result};
use crate::files::{self, LOCK};
use crate::jobs::Shard;
use crate::jobs::model_files::refuse_models;
use crate::jobs::shard::check_complete;
use std::path::{Path, PathBuf};

/// The file that says which shard a folder holds.
const SHARD: &str = "shard.json";

/// Notes in a folder which shard is trained into it.
pub(super) fn note_shard(folder: &Path, shard: Shard) -> Result<()> {
    files::write_atomically(&folder.join(SHARD), format!("{}\n", serde_json::json!(shard)).as_bytes())
}

/// The shard that a folder holds; `None` where it holds all that its plan names.
///
/// # Errors
/// When the file is damaged.
pub(super) fn shard_of(folder: &Path) -> Result<Option<Shard>> {
    let path = folder.join(SHARD);
    if !path.exists() {
        return Ok(None);
    }
    let damaged =
        |error: serde_json::Error| Error::file(&path, format!("does not say which shard it is: {error}"), "train this shard again");
    serde_json::from_slice(&files::read_json(&path)?).map(Some).map_err(damaged)
}

/// Puts the model folders that the shards of one plan trained into the folder `out`, with the plan: the models of one run. Nothing is written
/// before all of them are found whole.
///
/// # Errors
/// Names a shard that is missing, double, of another plan, unfinished or still being trained; a model that stands in `out` already; or a file
/// that cannot be read or written.
pub fn merge_trained(folders: &[PathBuf], out: &Path) -> Result<()> {
    if out.join(PLAN).exists() {
        return Err(Error::file(out, "holds models already", "name another folder with --out"));
    }
    refuse_models(out)?;
    let mut shards: Vec<(Shard, &Path)> = Vec::new();
    let text = folders.first().map(|folder| files::read(&folder.join(PLAN))).transpose()?.unwrap_or_default();
    let mut locks = Vec::new();
    for folder in folders {
        let whole = || Error::file(folder, "holds no shard of a training", "name the folders that --shard trained into");
        let shard = shard_of(folder)?.ok_or_else(whole)?;
        if files::read(&folder.join(PLAN))? != text || shards.first().is_some_and(|(first, _)| first.of != shard.of) {
            let problem = format!("is of another plan than {}", folders[0].display());
            return Err(Error::file(folder, problem, "give the shards of one training"));
        }
        locks.push(lock(folder)?);
        let plan = plan_of(folder)?.ok_or_else(whole)?;
        if let Some(model) = unfinished(&plan, folder)? {
            return Err(Error::file(&model, "is not trained to its last epoch", "go on with this shard by `epistemap train resume`"));
        }
        shards.push((shard, folder));
    }
    check_complete(&shards)?;
    locks.push(lock(out)?);
    let mut copies = Vec::new();
    for (_, folder) in shards {
        list(folder, out, &mut copies)?;
    }
    for (from, into) in copies {
        files::write_atomically(&into, &files::read(&from)?)?;
    }
    files::write_atomically(&out.join(PLAN), &text)
}

/// Lists the files of a folder and of the folders in it, and where they are copied to; links are left out.
fn list(from: &Path, into: &Path, copies: &mut Vec<(PathBuf, PathBuf)>) -> Result<()> {
    for path in files::listed(from)? {
        let kind = path.symlink_metadata().map_err(|error| Error::io(&path, &error))?.file_type();
        let name = path.file_name().unwrap_or_default();
        if kind.is_dir() {
            files::refuse_link(&into.join(name))?;
            list(&path, &into.join(name), copies)?;
        } else if kind.is_file() && ![SHARD, PLAN, LOCK].iter().any(|own| name == *own) {
            copies.push((path.clone(), into.join(name)));
        }
    }
    Ok(())
}
