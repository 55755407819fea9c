//! The data that a plan names.

use super::plan::{DataChoice, TrainingData};
use crate::data::{self, Dataset, FolderData, Split, load_folder, locate, sources};
use crate::error::Result;
use std::path::Path;
use std::sync::OnceLock;

/// The name of the decoded digits as a data set.
pub const DECODED: &str = "decoded-digits";
/// The decoded digits come in one piece; so many of them are for training, the others for testing.
const DECODED_TRAIN: usize = 8_000;

/// One split of a known data set, or of the decoded digits; and what should be said of it. Where MNIST is nowhere to be found and no folder
/// was named, the decoded digits stand in.
///
/// # Errors
/// When it is not known, not there or damaged.
fn load_named(name: &str, split: Split, data_dir: Option<&Path>) -> Result<(Dataset, Option<String>)> {
    if name == DECODED {
        return Ok((decoded(split)?, None));
    }
    let source = sources::named(name)?;
    let named = data_dir.is_some() || std::env::var_os(data::locate::VARIABLE).is_some_and(|folder| !folder.is_empty());
    if name == "mnist" && !named && locate::locate(source, split, None).is_none() {
        let note = "MNIST is not on this machine: the decoded digits stand in for it. `epistemap data fetch mnist` downloads it.";
        return Ok((decoded(split)?, Some(note.to_owned())));
    }
    Ok((locate::find(source, split, data_dir)?, None))
}

/// One split of what a person named, as [`TrainingData::load`] reads it; and what should be said of it.
///
/// # Errors
/// As [`load_named`], or [`load_folder`].
pub fn load_split(text: &str, split: Split, data_dir: Option<&Path>, shape: Option<[usize; 3]>) -> Result<(Dataset, Option<String>)> {
    match DataChoice::of(text) {
        DataChoice::Named(name) => load_named(&name, split, data_dir),
        DataChoice::Folder(folder) => {
            let FolderData { train, test, notes } = load_folder(&folder, shape)?;
            let data = if split == Split::Train { train } else { test };
            Ok((data, (!notes.is_empty()).then(|| notes.join(" "))))
        }
    }
}

impl TrainingData {
    /// Reads the data: all of them, before [`TrainingPlan::prepare`](super::TrainingPlan::prepare) cuts them down. `data_dir` is where known
    /// data sets are looked for, as `--data`.
    ///
    /// # Errors
    /// When they are not known, not there or damaged.
    pub fn load(&self, data_dir: Option<&Path>) -> Result<FolderData> {
        match &self.source {
            DataChoice::Folder(folder) => load_folder(folder, self.shape),
            DataChoice::Named(name) => {
                let (train, note) = load_named(name, Split::Train, data_dir)?;
                let (test, _) = load_named(name, Split::Test, data_dir)?;
                Ok(FolderData { train, test, notes: note.into_iter().collect() })
            }
        }
    }
}

fn decoded(split: Split) -> Result<Dataset> {
    // Training wants both splits, and they are decoded together.
    static DIGITS: OnceLock<Dataset> = OnceLock::new();
    let digits = if let Some(digits) = DIGITS.get() {
        digits
    } else {
        let digits = crate::jobs::decoded_digits()?;
        DIGITS.get_or_init(|| digits)
    };
    Ok(match split {
        Split::Train => digits.slice(0..DECODED_TRAIN),
        Split::Test => digits.slice(DECODED_TRAIN..digits.len()),
    })
}
