//! What is to be trained, on what, and how: everything that a person chooses.

use super::architecture::{ClassifierArchitecture, ClassifierPlan, Draw, VaePlan};
use super::backbone::Backbone;
use super::data::{DECODED, SHIPPED};
use super::estimate::check_memory;
use super::merge::shard_of;
use super::method::Method;
use crate::autodiff::train::{Augmentation, ConcreteDropout, Schedule, Settings, check_weight_decay};
use crate::data::{Dataset, sources};
use crate::error::{Error, Result};
use crate::files;
use crate::jobs::Shard;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The most classifiers of an ensemble.
const MOST_MEMBERS: u32 = 10_000;
/// The most values of an image.
const MOST_VALUES: usize = 1 << 26;

/// The name of the plan in the folder that it trains into.
pub const PLAN: &str = "plan.json";

/// What is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A VAE.
    Vae,
    /// One classifier.
    #[default]
    Classifier,
    /// Several classifiers that differ in their seed, in a folder each.
    Ensemble,
    /// A VAE and an ensemble on the same data, in a folder each, with the encodings of the data: a set for `--models`.
    Set,
}

/// Where training images come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataChoice {
    /// A known data set, `decoded-digits`, or for testing `mnist-1000`.
    Named(String),
    /// A folder of IDX files, an image folder, or an npz file (see [`crate::data::load_folder`]).
    Folder(PathBuf),
}

impl DataChoice {
    /// What a person named: a known data set, else a folder or file of that path (made absolute: a plan outlives the current directory), else
    /// a data set that nobody knows.
    pub fn of(text: &str) -> Self {
        let known = [DECODED, SHIPPED].contains(&text) || sources::named(text).is_ok();
        if !known && Path::new(text).exists() {
            Self::Folder(std::path::absolute(text).unwrap_or_else(|_| text.into()))
        } else {
            Self::Named(text.to_owned())
        }
    }
}

impl Default for DataChoice {
    fn default() -> Self {
        Self::Named("mnist".to_owned())
    }
}

/// What is trained on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", default, deny_unknown_fields)]
pub struct TrainingData {
    /// Where the images come from.
    pub source: DataChoice,
    /// The classes that are kept, by number; they are numbered anew in this order. None named: all.
    pub classes: Vec<usize>,
    /// The first so many training images of these classes; `None` for all.
    pub images: Option<usize>,
    /// The share of the training labels that are replaced by another class, from 0 to 1.
    pub label_noise: f64,
    /// [channels, height, width] that the images of an image folder are brought to; `None` leaves it to the folder.
    pub shape: Option<[usize; 3]>,
}

/// Everything that a person chooses. With the data it fixes the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", default, deny_unknown_fields)]
pub struct TrainingPlan {
    /// What is trained.
    pub what: What,
    /// On what.
    pub data: TrainingData,
    /// The VAE's architecture.
    pub vae: VaePlan,
    /// The classifiers' architecture.
    pub classifier: ClassifierPlan,
    /// How many classifiers, where there are several.
    pub members: u32,
    /// `None`: the paper's, Adam for a VAE and Adadelta for classifiers.
    pub optimiser: Option<Method>,
    /// `None`: the optimiser's usual one.
    pub learning_rate: Option<f64>,
    /// The strength of the weight decay: decoupled for `AdamW`, an L2 penalty for others. `None`: 0.01 for `AdamW`, else 0.
    pub weight_decay: Option<f64>,
    /// How the learning rate changes; plans of earlier versions say whether it falls linearly to 0.
    #[serde(alias = "anneal")]
    pub schedule: Schedule,
    /// Random changes of the training images.
    pub augmentation: Augmentation,
    /// `None`: the paper's, 50 for a VAE and 12 for classifiers.
    pub epochs: Option<usize>,
    /// Images per step.
    pub batch: usize,
    /// The seed of the first model; the members of an ensemble count up from it.
    pub seed: u32,
    /// The only members of an ensemble that are trained here, of several shards.
    #[serde(skip)]
    pub shard: Option<Shard>,
}

impl Default for TrainingPlan {
    /// The paper's classifier on MNIST.
    fn default() -> Self {
        Self {
            what: What::Classifier,
            data: TrainingData::default(),
            vae: VaePlan::default(),
            classifier: ClassifierPlan::default(),
            members: 10,
            optimiser: None,
            learning_rate: None,
            weight_decay: None,
            schedule: Schedule::default(),
            augmentation: Augmentation::default(),
            epochs: None,
            batch: 128,
            seed: 0,
            shard: None,
        }
    }
}

/// One model of a plan: what it is, its seed, and its folder below the plan's, if it has one of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub vae: bool,
    pub seed: u32,
    pub folder: Option<String>,
}

impl TrainingPlan {
    /// Checks what can be told without the data.
    ///
    /// # Errors
    /// Names the setting that makes no sense.
    pub fn check(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.data.label_noise) {
            let problem = format!("{} is no share", self.data.label_noise);
            return Err(Error::setting("--label-noise", problem, "give a number from 0 to 1"));
        }
        let counts = [("--epochs", self.epochs.unwrap_or(1)), ("--batch", self.batch), ("--images", self.data.images.unwrap_or(1))];
        if let Some((setting, count)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(Error::setting(setting, format!("{count} is out of range"), "give a number above 0"));
        }
        if let Some(rate) = self.learning_rate {
            if !(rate > 0.0 && rate.is_finite()) {
                return Err(Error::setting("--learning-rate", format!("{rate} is out of range"), "give a number above 0, such as 0.001"));
            }
            if self.what == What::Set && self.optimiser.is_none() {
                let problem = "a VAE and classifiers have different optimisers, which need different rates";
                return Err(Error::setting("--learning-rate", problem, "choose an --optimiser for both too, or leave the rate out"));
            }
        }
        check_weight_decay(self.weight_decay.unwrap_or(0.0))?;
        if self.is_of_heads() {
            if self.what == What::Set {
                let problem = "a set trains a VAE and classifiers of the same images, and a head is trained on features";
                return Err(Error::setting("--backbone", problem, "train the VAE and the heads one after the other"));
            }
            if !self.augmentation.is_none() {
                let problem = "the features of a frozen trunk are computed once, so its images cannot change from epoch to epoch";
                return Err(Error::setting("--augment", problem, "leave it out"));
            }
        }
        if let Some(shard) = self.shard
            && (self.what != What::Ensemble || shard.of > self.members)
        {
            let problem =
                format!("{shard} is no shard of a training of {} classifiers", if self.what == What::Ensemble { self.members } else { 1 });
            return Err(Error::setting("--shard", problem, "train an ensemble of as many members as shards at least"));
        }
        if !(1..=MOST_MEMBERS).contains(&self.members) {
            let problem = format!("{} classifiers are out of range", self.members);
            return Err(Error::setting("--members", problem, format!("give a number from 1 to {MOST_MEMBERS}")));
        }
        if let Some(shape) = self.data.shape
            && !(1..=MOST_VALUES).contains(&shape.iter().fold(1, |values: usize, &axis| values.saturating_mul(axis)))
        {
            let problem = format!("images of {shape:?} have no values, or more than {MOST_VALUES}");
            return Err(Error::setting("--shape", problem, "give a smaller shape, such as 3,32,32"));
        }
        for part in self.parts()? {
            self.schedule.check(self.epochs_of(part.vae))?;
            if part.vae { self.vae.check()? } else { self.classifier.check()? }
        }
        Ok(())
    }

    /// Cuts the data down to what the plan wants: the chosen classes, then the first so many training images, then the label noise.
    /// Returns the training and the test images; test labels stay true.
    ///
    /// # Errors
    /// When the plan makes no sense for these data.
    pub fn prepare(&self, train: Dataset, test: Dataset) -> Result<(Dataset, Dataset)> {
        self.check()?;
        let chosen = &self.data.classes;
        let (train, test) = if chosen.is_empty() { (train, test) } else { (train.keep_classes(chosen)?, test.keep_classes(chosen)?) };
        self.check_images(&train)?;
        let train = match self.data.images {
            None => train,
            Some(images) if (1..=train.len()).contains(&images) => train.slice(0..images),
            Some(images) => {
                let mend = format!("give a number from 1 to {}", train.len());
                return Err(Error::setting("--images", format!("{images} is out of range"), mend));
            }
        };
        Ok((train.with_label_noise(self.data.label_noise)?, test))
    }

    /// Checks that the images are of classes that a classifier can be made for.
    ///
    /// # Errors
    /// When there is one class only, or the architecture does not fit the images.
    pub(super) fn check_images(&self, train: &Dataset) -> Result<()> {
        if self.what == What::Vae {
            return Ok(());
        }
        if train.classes.len() < 2 {
            let problem = format!("a classifier needs two classes at least, and there is {}", train.classes.len());
            return Err(Error::setting("--classes", problem, "choose more of them, or data of several classes"));
        }
        self.classifier.goal(train).map(|_| ())
    }

    /// What a person should know before the training begins, a sentence each; `train` as it was prepared.
    pub fn cautions(&self, train: &Dataset) -> Vec<String> {
        const FEW_PER_CLASS: usize = 5;
        let classes = train.classes.len();
        let mut cautions = Vec::new();
        if train.len() < FEW_PER_CLASS * classes {
            let images = if train.len() == 1 { "One image is".to_owned() } else { format!("{} images are", train.len()) };
            cautions.push(format!("{images} few for {classes} classes: expect a model that knows little."));
        }
        let missing: Vec<&str> = (0..classes)
            .filter(|&class| !train.labels.iter().any(|&label| usize::from(label) == class))
            .map(|class| train.classes[class].as_str())
            .collect();
        if self.what != What::Vae && !missing.is_empty() {
            cautions.push(format!("No training image is of the class {}.", missing.join(", ")));
        }
        cautions
    }

    /// The models, in the order of their training.
    ///
    /// # Errors
    /// When the seeds would pass the largest.
    pub(super) fn parts(&self) -> Result<Vec<Part>> {
        let last = self.seed.checked_add(self.members.saturating_sub(1)).ok_or_else(|| {
            let problem = format!("{} seeds from {} on would pass the largest, {}", self.members, self.seed, u32::MAX);
            Error::setting("--seed", problem, "give a smaller one, or fewer --members")
        });
        let member = |seed| Part { vae: false, seed, folder: Some(format!("classifier-{seed}")) };
        Ok(match self.what {
            What::Vae => vec![Part { vae: true, seed: self.seed, folder: None }],
            What::Classifier => vec![Part { vae: false, seed: self.seed, folder: None }],
            What::Ensemble => (self.seed..=last?).map(member).collect(),
            What::Set => {
                let vae = Part { vae: true, seed: self.seed, folder: Some("vae".to_owned()) };
                std::iter::once(vae).chain((self.seed..=last?).map(member)).collect()
            }
        })
    }

    /// The models that are trained here: of a shard, its own.
    ///
    /// # Errors
    /// As [`parts`](Self::parts).
    pub(super) fn own_parts(&self) -> Result<Vec<Part>> {
        let has = |place: usize| self.shard.is_none_or(|shard| shard.has_member(place));
        Ok(self.parts()?.into_iter().enumerate().filter(|(place, _)| has(*place)).map(|(_, part)| part).collect())
    }

    /// Whether heads on a frozen trunk are trained.
    fn is_of_heads(&self) -> bool {
        self.what != What::Vae && matches!(self.classifier.architecture, ClassifierArchitecture::Backbone(_))
    }

    /// The frozen trunk that heads are trained on, for images [channels, height, width]; `None` where whole networks are trained.
    ///
    /// # Errors
    /// When there is no such network, or it does not take these images.
    pub(super) fn backbone(&self, images: [usize; 3]) -> Result<Option<Backbone>> {
        match &self.classifier.architecture {
            ClassifierArchitecture::Backbone(path) if self.what != What::Vae => {
                Backbone::open(path, images, self.classifier.resize).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Passes over the training images, for a VAE or a classifier.
    pub fn epochs_of(&self, is_vae: bool) -> usize {
        self.epochs.unwrap_or(if is_vae { 50 } else { 12 })
    }

    /// How a VAE or a classifier is optimised, and its learning rate.
    pub fn method_of(&self, is_vae: bool) -> (Method, f64) {
        let method = self.optimiser.unwrap_or(if is_vae || self.is_of_heads() { Method::Adam } else { Method::Adadelta });
        (method, self.learning_rate.unwrap_or_else(|| method.learning_rate()))
    }

    /// The strength of the weight decay of a VAE or a classifier.
    pub fn weight_decay_of(&self, is_vae: bool) -> f64 {
        self.weight_decay.unwrap_or_else(|| self.method_of(is_vae).0.weight_decay())
    }

    /// The settings of one model, in a folder of that name.
    ///
    /// # Errors
    /// When the architecture does not fit the images, or the training does not fit into the memory budget.
    pub(super) fn settings(&self, part: &Part, name: String, train: &Dataset) -> Result<Settings> {
        let (method, learning_rate) = self.method_of(part.vae);
        let concrete = !part.vae && self.classifier.draw == Draw::ConcreteDropout;
        let settings = Settings {
            name,
            goal: if part.vae { self.vae.goal(train)? } else { self.classifier.goal(train)? },
            image_shape: train.image_shape,
            dataset: train.name.clone(),
            images: train.len(),
            epochs: self.epochs_of(part.vae),
            batch: self.batch,
            optimiser: method.optimiser(learning_rate),
            weight_decay: self.weight_decay_of(part.vae),
            schedule: self.schedule,
            augmentation: self.augmentation,
            seed: part.seed,
            kept_classes: self.data.classes.clone(),
            label_noise: self.data.label_noise,
            concrete_dropout: concrete.then(ConcreteDropout::default),
        };
        check_memory(&settings)?;
        Ok(settings)
    }

    /// Writes the plan into the folder that it trains into.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(PLAN);
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| Error::file(&path, error.to_string(), "report this defect"))?;
        text.push(b'\n');
        files::write_atomically(&path, &text)
    }
}

/// The plan that was trained in a folder; `None` where there is none.
///
/// # Errors
/// When the file cannot be read, or is none.
pub fn plan_of(folder: &Path) -> Result<Option<TrainingPlan>> {
    let path = folder.join(PLAN);
    if !path.exists() {
        return Ok(None);
    }
    let damaged = |error: serde_json::Error| Error::file(&path, format!("is no plan of a training: {error}"), "train into another folder");
    let plan: TrainingPlan = serde_json::from_slice(&files::read_json(&path)?).map_err(damaged)?;
    Ok(Some(TrainingPlan { shard: shard_of(folder)?, ..plan }))
}
