//! The data that a plan names.

use super::plan::{DataChoice, TrainingData, plan_of};
use crate::data::{self, Dataset, FolderData, Split, load_folder, locate, sources};
use crate::error::{Error, Result};
use crate::jobs::ModelSet;
use std::path::Path;
use std::sync::OnceLock;

/// The name of the decoded digits as a data set.
pub const DECODED: &str = "decoded-digits";
/// The name of the shipped digits as a data set: test images only.
pub const SHIPPED: &str = "mnist-1000";
/// The decoded digits come in one piece; so many of them are for training, the others for testing.
const DECODED_TRAIN: usize = 8_000;

/// Which digits are used where MNIST is not on this machine.
const NO_TEST_IMAGES: &str = "MNIST is not on this machine: the first 1,000 of its 10,000 test images, which are part of the program, are used \
                              instead. `epistemap data fetch mnist` downloads all.";
const NO_TRAINING_IMAGES: &str =
    "MNIST is not on this machine: the decoded digits stand in for it. `epistemap data fetch mnist` downloads it.";

/// One split of a known data set, or of the digits of this program; and what should be said of it. Where MNIST is nowhere to be found and no
/// folder was named, the shipped digits are its test images, and decoded digits its training images. Photographs are brought to `shape`.
///
/// # Errors
/// When it is not known, not there or damaged.
fn load_named(name: &str, split: Split, data_dir: Option<&Path>, shape: Option<[usize; 3]>) -> Result<(Dataset, Option<String>)> {
    match (name, split) {
        (DECODED, _) => return Ok((decoded(split)?, None)),
        (SHIPPED, Split::Test) => return Ok((data::shipped_digits()?, None)),
        (SHIPPED, Split::Train) => {
            return Err(Error::setting(SHIPPED, "these are test images only", format!("train on {DECODED} or mnist")));
        }
        _ => {}
    }
    match split {
        _ if !is_replaced(name, split, data_dir) => locate::find(sources::named(name)?, split, data_dir, shape),
        Split::Train => Ok((decoded(split)?, Some(NO_TRAINING_IMAGES.to_owned()))),
        Split::Test => Ok((data::shipped_digits()?, Some(NO_TEST_IMAGES.to_owned()))),
    }
}

/// Whether other digits are used for this data set: MNIST is nowhere to be found, and no folder was named.
fn is_replaced(name: &str, split: Split, data_dir: Option<&Path>) -> bool {
    let named = data_dir.is_some() || std::env::var_os(locate::VARIABLE).is_some_and(|folder| !folder.is_empty());
    name == "mnist" && !named && sources::named(name).is_ok_and(|source| locate::locate(source, split, None).is_none())
}

/// One split of what a person named, as [`TrainingData::load`] reads it; and what should be said of it.
///
/// # Errors
/// As [`load_named`], or [`load_folder`].
pub fn load_split(text: &str, split: Split, data_dir: Option<&Path>, shape: Option<[usize; 3]>) -> Result<(Dataset, Option<String>)> {
    match DataChoice::of(text) {
        DataChoice::Named(name) => load_named(&name, split, data_dir, shape),
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
            // What is trained on decoded digits is tested on decoded digits: those for training are made of real test images.
            DataChoice::Named(name) if Split::ALL.iter().any(|&split| is_replaced(name, split, data_dir)) => {
                Ok(FolderData { train: decoded(Split::Train)?, test: decoded(Split::Test)?, notes: vec![NO_TRAINING_IMAGES.to_owned()] })
            }
            DataChoice::Named(name) if [DECODED, SHIPPED].contains(&name.as_str()) => {
                let [train, test] = Split::ALL.map(|split| load_named(name, split, data_dir, self.shape));
                Ok(FolderData { train: train?.0, test: test?.0, notes: Vec::new() })
            }
            DataChoice::Named(name) => locate::find_both(sources::named(name)?, data_dir, self.shape),
        }
    }
}

/// The test images of the data that models are about, in the order of their classes: those that the plan in their folder was trained on, else
/// those of the known data set that has their classes. `data_dir` as for [`TrainingData::load`].
///
/// # Errors
/// When nothing says which data these are, or they are not there, or damaged.
pub fn data_of(set: &ModelSet, folder: Option<&Path>, data_dir: Option<&Path>) -> Result<Dataset> {
    let classes = set.ensemble().classes();
    let data = if let Some(plan) = folder.map(plan_of).transpose()?.flatten() {
        let TrainingData { source, classes, shape, .. } = plan.data;
        let test = match source {
            DataChoice::Folder(folder) => load_folder(&folder, shape)?.test,
            DataChoice::Named(name) => load_named(&name, Split::Test, data_dir, shape)?.0,
        };
        if classes.is_empty() { test } else { test.keep_classes(&classes)? }
    } else {
        let source = sources::of_classes(classes);
        if !sources::has_classes(source, classes) {
            let problem = "no plan of a training stands beside them, and no known data set has their classes";
            return Err(Error::setting("the data of these models", problem, "choose others under Data in the menu Models"));
        }
        load_named(source.folder, Split::Test, data_dir, <[usize; 3]>::try_from(set.ensemble().image_shape()).ok())?.0
    };
    data.with_classes(classes)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::training::TrainingPlan;

    #[test]
    fn models_get_the_data_of_their_plan_or_none() {
        let (set, home) = (ModelSet::shipped().unwrap(), tempfile::tempdir().unwrap());
        let of = |source: DataChoice, classes: &[usize]| {
            let data = TrainingData { source, classes: classes.to_vec(), ..TrainingData::default() };
            TrainingPlan { data, ..TrainingPlan::default() }.write(home.path()).unwrap();
            data_of(&set, Some(home.path()), None)
        };
        let digits = of(DataChoice::Named(SHIPPED.to_owned()), &[]).unwrap();
        assert_eq!(digits.len(), 1000);
        set.check_data(&digits).unwrap();
        let two = of(DataChoice::Named(SHIPPED.to_owned()), &[7, 3]).unwrap();
        assert_eq!(two.classes, ["7", "3"]);
        let refused = set.check_data(&two).unwrap_err().to_string();
        assert!(refused.contains("in 2 classes"), "{refused}");
        let gone = of(DataChoice::Folder(home.path().join("gone")), &[]).unwrap_err().to_string();
        assert!(gone.contains("gone"), "{gone}");
    }
}
