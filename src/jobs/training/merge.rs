//! Ensembles that were trained in shards, put together.

use super::PLAN;
use crate::error::{Error, Result};
use crate::files;
use crate::jobs::Shard;
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
    serde_json::from_slice(&files::read(&path)?).map(Some).map_err(damaged)
}

/// Puts the model folders that the shards of one plan trained into the folder `out`, with the plan: the models of one run.
///
/// # Errors
/// Names a shard that is missing, double, or of another plan; or a file that cannot be read or written.
pub fn merge_trained(folders: &[PathBuf], out: &Path) -> Result<()> {
    if out.join(PLAN).exists() {
        return Err(Error::file(out, "holds models already", "name another folder with --out"));
    }
    let mut shards: Vec<(Shard, &PathBuf)> = Vec::new();
    let plan = folders.first().map(|folder| files::read(&folder.join(PLAN))).transpose()?.unwrap_or_default();
    for folder in folders {
        let whole = || Error::file(folder, "holds no shard of a training", "name the folders that --shard trained into");
        let shard = shard_of(folder)?.ok_or_else(whole)?;
        if files::read(&folder.join(PLAN))? != plan || shards.first().is_some_and(|(first, _)| first.of != shard.of) {
            return Err(Error::file(
                folder,
                format!("is of another plan than {}", folders[0].display()),
                "give the shards of one training",
            ));
        }
        if let Some((_, other)) = shards.iter().find(|(other, _)| *other == shard) {
            return Err(Error::file(folder, format!("is shard {shard} once more, as {}", other.display()), "give each shard once"));
        }
        shards.push((shard, folder));
    }
    let of = shards.first().map_or(0, |(shard, _)| shard.of);
    let missing: Vec<String> =
        (1..=of).filter(|number| shards.iter().all(|(shard, _)| shard.number != *number)).map(|number| number.to_string()).collect();
    if !missing.is_empty() {
        let problem = format!("of {of} shards there are {}; missing: {}", shards.len(), missing.join(", "));
        return Err(Error::setting("the parts", problem, "train those too"));
    }
    for (_, folder) in shards {
        copy(folder, out)?;
    }
    files::write_atomically(&out.join(PLAN), &plan)
}

/// Copies the files of a folder and of the folders in it; links are left out.
fn copy(from: &Path, into: &Path) -> Result<()> {
    let entries = std::fs::read_dir(from).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    for entry in entries.map_err(|error| Error::io(from, &error))? {
        let kind = entry.file_type().map_err(|error| Error::io(&entry.path(), &error))?;
        if kind.is_dir() {
            copy(&entry.path(), &into.join(entry.file_name()))?;
        } else if kind.is_file() && entry.file_name() != SHARD && entry.file_name() != PLAN {
            files::write_atomically(&into.join(entry.file_name()), &files::read(&entry.path())?)?;
        }
    }
    Ok(())
}
