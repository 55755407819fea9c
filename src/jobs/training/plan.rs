//! What is to be trained, on what, and how: everything that a person chooses.

use super::data::{DECODED, SHIPPED};
use super::method::Method;
use crate::autodiff::train::{Augmentation, ConcreteDropout, Goal, Schedule, Settings, check_weight_decay};
use crate::data::{Dataset, sources};
use crate::error::{Error, Result};
use crate::files;
use crate::nets::{Layer, VaeLayers, cnn};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

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
    /// A folder of IDX files, or an image folder (see [`crate::data::load_folder`]).
    Folder(PathBuf),
}

impl DataChoice {
    /// What a person named: a known data set, else a folder of that path (made absolute: a plan outlives the current directory), else a data
    /// set that nobody knows.
    pub fn of(text: &str) -> Self {
        let known = [DECODED, SHIPPED].contains(&text) || sources::named(text).is_ok();
        if !known && Path::new(text).is_dir() {
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

/// The architecture of a VAE: fully connected layers with ELU, the decoder mirrors the encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", default, deny_unknown_fields)]
pub struct VaePlan {
    /// The widths of the encoder's hidden layers.
    pub hidden: Vec<usize>,
    /// The latent dimensions; a map needs 2.
    pub latent: usize,
    /// Sample z = μ + ½ σ ε, as the paper's code did.
    pub as_published: bool,
}

impl Default for VaePlan {
    fn default() -> Self {
        Self { hidden: vec![400, 256], latent: 2, as_published: false }
    }
}

/// What a draw of a trained classifier is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Draw {
    /// A dropout mask at fixed rates (Gal & Ghahramani 2016).
    #[default]
    Dropout,
    /// A dropout mask at learned rates (Gal, Hron & Kendall 2017); the plan's rates are where they start.
    ConcreteDropout,
    /// The last layer's weights from a Gaussian that is fitted when the training ends (Laplace; Daxberger et al. 2021). The plan's dropout is
    /// then one of the training only.
    LastLayerLaplace,
    /// The network itself, without dropout: draws differ only between members (deep ensembles, Lakshminarayanan et al. 2017).
    Deterministic,
}

/// The architecture of a classifier: two 3×3 convolutions, pooling, a dense hidden layer, dropout after both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", default, deny_unknown_fields)]
pub struct ClassifierPlan {
    /// The channels of the convolutions.
    pub channels: [usize; 2],
    /// The width of the hidden dense layer.
    pub hidden: usize,
    /// What a draw is.
    pub draw: Draw,
    /// The dropout rates after the pooling and after the hidden layer.
    pub dropout: [f64; 2],
}

impl Default for ClassifierPlan {
    fn default() -> Self {
        Self { channels: [32, 64], hidden: 128, draw: Draw::Dropout, dropout: [0.25, 0.5] }
    }
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
        let kinds: &[bool] = match self.what {
            What::Vae => &[true],
            What::Classifier | What::Ensemble => &[false],
            What::Set => &[true, false],
        };
        kinds.iter().try_for_each(|&is_vae| self.schedule.check(self.epochs_of(is_vae)))?;
        if self.members == 0 {
            return Err(Error::setting("--members", "0 is no number of classifiers", "give 1 or more"));
        }
        let [first, second] = self.classifier.dropout;
        let possible = |rate: f64| (0.0..1.0).contains(&rate);
        if self.what != What::Vae && self.classifier.draw != Draw::Deterministic && !(possible(first) && possible(second)) {
            let problem = format!("{first},{second} are not both rates");
            return Err(Error::setting("--dropout", problem, "give numbers of at least 0 and below 1, such as 0.25,0.5"));
        }
        self.parts().map(|_| ())
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

    /// Checks that the images are of classes, and of a size, that a classifier can be made for.
    ///
    /// # Errors
    /// When there is one class only, or the images are too small.
    pub(super) fn check_images(&self, train: &Dataset) -> Result<()> {
        // Two 3×3 convolutions and pooling by 2 leave one place of it.
        const SMALLEST: usize = 6;
        let [_, height, width] = train.image_shape;
        if self.what == What::Vae {
            return Ok(());
        }
        if train.classes.len() < 2 {
            let problem = format!("a classifier needs two classes at least, and there is {}", train.classes.len());
            return Err(Error::setting("--classes", problem, "choose more of them, or data of several classes"));
        }
        if height.min(width) < SMALLEST {
            let problem = format!("images of {height} × {width} pixels are too small for a classifier's two convolutions and pooling");
            let mend = format!("bring them to {SMALLEST} × {SMALLEST} at least (an image folder with --shape), or train a VAE");
            return Err(Error::setting("the images", problem, mend));
        }
        Ok(())
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

    /// Passes over the training images, for a VAE or a classifier.
    pub fn epochs_of(&self, is_vae: bool) -> usize {
        self.epochs.unwrap_or(if is_vae { 50 } else { 12 })
    }

    /// How a VAE or a classifier is optimised, and its learning rate.
    pub fn method_of(&self, is_vae: bool) -> (Method, f64) {
        let method = self.optimiser.unwrap_or(if is_vae { Method::Adam } else { Method::Adadelta });
        (method, self.learning_rate.unwrap_or_else(|| method.learning_rate()))
    }

    /// The strength of the weight decay of a VAE or a classifier.
    pub fn weight_decay_of(&self, is_vae: bool) -> f64 {
        self.weight_decay.unwrap_or_else(|| self.method_of(is_vae).0.weight_decay())
    }

    /// The settings of one model, in a folder of that name.
    pub(super) fn settings(&self, part: &Part, name: String, train: &Dataset) -> Settings {
        let (method, learning_rate) = self.method_of(part.vae);
        let concrete = !part.vae && self.classifier.draw == Draw::ConcreteDropout;
        Settings {
            name,
            goal: if part.vae { self.vae_goal(train) } else { self.classifier_goal(train) },
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
        }
    }

    fn vae_goal(&self, train: &Dataset) -> Goal {
        Goal::Vae { layers: VaeLayers::dense(train.image_shape, &self.vae.hidden, self.vae.latent), as_published: self.vae.as_published }
    }

    fn classifier_goal(&self, train: &Dataset) -> Goal {
        let ClassifierPlan { channels, hidden, draw, dropout } = self.classifier;
        let mut layers = cnn(train.image_shape, train.classes.len(), channels, hidden, dropout);
        if draw == Draw::Deterministic {
            layers.retain(|layer| !Layer::is_dropout(layer));
        }
        Goal::Classifier { layers, classes: train.classes.clone() }
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
    serde_json::from_slice(&files::read(&path)?).map(Some).map_err(damaged)
}
