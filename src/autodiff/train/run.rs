//! A whole training: epochs, the log, the checkpoint after each, and the model folder at the end.

use super::{DataHashes, Scores, Settings, Step, Trainer};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::files;
use crate::nets::folder::{self, DESCRIPTION, Precision};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

/// The name of the checkpoint in a model folder under training.
pub const CHECKPOINT: &str = "checkpoint.safetensors";
/// The name of the log in a model folder: one JSON object per epoch and line.
pub const LOG: &str = "training.jsonl";

/// What becomes of the checkpoint that a training finds in its folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resume {
    /// There must be none.
    #[default]
    Never,
    /// The training goes on from it, on the same data.
    SameData,
    /// The training goes on from it, though images or labels have changed.
    ChangedData,
}

/// One line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// From 1.
    pub epoch: usize,
    /// The mean loss over the epoch's images while training, in nats.
    pub loss: f64,
    /// How long the epoch took, test included, without what the observer took: pauses and previews.
    pub seconds: f64,
    /// How much of `seconds` the test took; 0 in logs of earlier versions.
    #[serde(default)]
    pub test_seconds: f64,
    /// How long the previews took, which are no part of `seconds`; 0 in logs of earlier versions.
    #[serde(default)]
    pub preview_seconds: f64,
    /// On the test images.
    #[serde(flatten)]
    pub test: Scores,
}

/// What a training tells as it goes. The observer may look at the trainer, to copy its weights, and take its time: a pause.
#[derive(Clone, Copy)]
pub enum Event<'a> {
    /// Settings, data and checkpoint fit each other, and the folder is there; these epochs are done already.
    Begun(&'a Trainer, &'a [Epoch]),
    /// A step of the epoch of this number (from 1) is done.
    Step(&'a Trainer, usize, Step),
    /// An epoch is done and tested, but not saved yet.
    Tested(&'a Trainer, Epoch),
    /// An epoch is done and saved.
    Epoch(Epoch),
}

/// Receives the events of a training. `Break` stops it; `Continue` holds the time that the observer spent on previews.
pub type EventObserver<'a> = &'a mut dyn FnMut(Event<'_>) -> ControlFlow<(), Duration>;

/// Trains to the end into `folder`: after every epoch the log, the checkpoint and the model (f32) are on the disk. Where `resume` says so, a
/// checkpoint that is there goes on, to the same weights as an uninterrupted run. `data` are the training and the test images, and `hashes`
/// those of the images that they were made of.
///
/// # Errors
/// When the settings, the data or the checkpoint do not fit each other, the loss is no longer finite, a file cannot be
/// written, or the observer stops; the last whole epoch stays on the disk.
pub fn run(
    settings: Settings,
    (train, test): (&Dataset, &Dataset),
    hashes: &DataHashes,
    folder: &Path,
    resume: Resume,
    observe: EventObserver<'_>,
) -> Result<()> {
    let (checkpoint, log) = (folder.join(CHECKPOINT), folder.join(LOG));
    if train.image_shape != settings.image_shape || test.image_shape != settings.image_shape {
        return Err(Error::Network(format!(
            "the network takes images of {:?}, but the training images are {:?} and the test images {:?}",
            settings.image_shape, train.image_shape, test.image_shape
        )));
    }
    let (mut trainer, mut epochs) = if resume != Resume::Never && checkpoint.exists() {
        let trainer = Trainer::load(&checkpoint)?;
        check_resume(&trainer, &settings, hashes, resume, &checkpoint)?;
        let epochs = read_log(&log, trainer.epochs_done)?;
        (Trainer { settings, ..trainer }, epochs)
    } else if resume == Resume::Never && [&checkpoint, &folder.join(DESCRIPTION)].iter().any(|file| file.exists()) {
        return Err(Error::file(folder, "holds a model already", "add --resume to go on with its training, or train into another folder"));
    } else {
        (Trainer::new(settings)?, Vec::new())
    };
    trainer.data = Some(hashes.clone());
    files::create_folder(folder)?;
    files::remove_leftovers(folder)?;
    let mut tell = |event: Event<'_>| match observe(event) {
        ControlFlow::Continue(previews) => Ok(previews),
        ControlFlow::Break(()) => Err(Error::Cancelled),
    };
    tell(Event::Begun(&trainer, &epochs))?;
    while trainer.epochs_done < trainer.settings.epochs {
        let (start, number) = (Instant::now(), trainer.epochs_done + 1);
        let [mut watched, mut previews] = [Duration::ZERO; 2];
        let loss = trainer.epoch(train, &mut |trainer, step| {
            let told = Instant::now();
            let answer = tell(Event::Step(trainer, number, step)).map(|took| previews += took);
            watched += told.elapsed();
            if answer.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        trainer.check_weights()?;
        let before_test = Instant::now();
        let test = trainer.scores(test)?;
        let test_seconds = before_test.elapsed().as_secs_f64();
        if !test.loss().is_finite() {
            return Err(trainer.diverged(&format!("the test loss became {}", test.loss())));
        }
        let seconds = start.elapsed().saturating_sub(watched).as_secs_f64();
        let mut epoch = Epoch { epoch: number, loss, seconds, test_seconds, preview_seconds: previews.as_secs_f64(), test };
        epoch.preview_seconds += tell(Event::Tested(&trainer, epoch))?.as_secs_f64();
        epochs.push(epoch);
        write_log(&log, &epochs)?;
        let facts = serde_json::json!({ "epoch": number, "test": epoch.test });
        folder::save(folder, &trainer.description(&facts)?, &trainer.weights()?, Precision::F32)?;
        // Last: a stop before it only repeats the epoch, to the same files.
        trainer.save(&checkpoint)?;
        tell(Event::Epoch(epoch))?;
    }
    Ok(())
}

/// Checks that a training may go on with these settings and data from a checkpoint.
fn check_resume(then: &Trainer, now: &Settings, data: &DataHashes, resume: Resume, checkpoint: &Path) -> Result<()> {
    let done = then.epochs_done;
    if now.epochs < done {
        let problem = format!("holds {done} epochs, more than the {} that are asked for", now.epochs);
        return Err(Error::file(checkpoint, problem, format!("give --epochs {done} or more")));
    }
    let mut settings = then.settings.clone();
    // More epochs are the one change that leaves the epochs done as they are; not where the learning rate depends on their number.
    if !settings.schedule.depends_on_length() {
        settings.epochs = now.epochs;
    }
    // A model is called as its folder, which may have been renamed. So are data, which are known by their content.
    settings.name.clone_from(&now.name);
    if then.data.is_some() || resume == Resume::ChangedData {
        settings.dataset.clone_from(&now.dataset);
        settings.images = now.images;
    }
    if settings != *now {
        return Err(Error::file(checkpoint, "was made with other settings", "give the settings of then, or train into another folder"));
    }
    match &then.data {
        Some(known) if known != data && resume == Resume::SameData => {
            let problem = format!("was made with other data: {} have changed since", data.changes(known));
            let mend = "bring the former data back, go on with these by --accept-changed-data, or train into another folder";
            Err(Error::file(checkpoint, problem, mend))
        }
        _ => Ok(()),
    }
}

fn write_log(path: &Path, epochs: &[Epoch]) -> Result<()> {
    let mut text = String::new();
    for epoch in epochs {
        text += &serde_json::to_string(epoch).map_err(|error| Error::file(path, error.to_string(), "report this defect"))?;
        text.push('\n');
    }
    files::write_atomically(path, text.as_bytes())
}

/// The log of the epochs that the checkpoint holds: a kill between the two leaves one line too many.
fn read_log(path: &Path, wanted: usize) -> Result<Vec<Epoch>> {
    let refused = |problem: String| Error::file(path, problem, "train into another folder");
    let text = String::from_utf8_lossy(&files::read(path)?).into_owned();
    let epochs: serde_json::Result<Vec<Epoch>> = text.lines().take(wanted).map(serde_json::from_str).collect();
    let epochs = epochs.map_err(|error| refused(format!("is no log of a training: {error}")))?;
    if epochs.len() < wanted {
        return Err(refused(format!("holds {} epochs where the checkpoint holds {wanted}", epochs.len())));
    }
    Ok(epochs)
}
