//! `epistemap train`: a VAE, a classifier or an ensemble, into model folders.

use super::progress::Bar;
use super::shared::{DataOptions, Seed, first_images};
use crate::autodiff::train::{self, Event, Goal, Optimiser, Scores, Settings};
use crate::data::{Dataset, Split};
use crate::error::{Error, Result};
use crate::nets::{VaeLayers, cnn};
use clap::{Args, Subcommand, ValueEnum};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// `epistemap train`.
#[derive(Debug, Args)]
pub struct Train {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A variational autoencoder of fully connected layers with ELU (the paper's by default: 784-400-256-2).
    Vae {
        #[command(flatten)]
        common: Common,
        /// The widths of the encoder's hidden layers; the decoder mirrors them.
        #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "400,256")]
        hidden: Vec<usize>,
        /// The number of latent dimensions; the map needs 2.
        #[arg(long, value_name = "N", default_value_t = 2)]
        latent: usize,
        /// Sample z = μ + ½ σ ε, as the paper's code did; the loss is then no ELBO.
        #[arg(long)]
        as_published: bool,
    },
    /// One convolutional classifier with dropout (the paper's by default).
    Classifier {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        architecture: Architecture,
    },
    /// Several classifiers that differ in their seed: OUT/classifier-SEED for `--members` seeds from `--seed` on.
    Ensemble {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        architecture: Architecture,
        /// How many classifiers.
        #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
        members: u32,
    },
}

#[derive(Debug, Args)]
struct Common {
    /// The data set; `epistemap data list` names them.
    #[arg(long, value_name = "NAME", default_value = "mnist")]
    dataset: String,
    #[command(flatten)]
    data: DataOptions,
    /// The model folder to write (for an ensemble, the folder of the model folders).
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Passes over the training images [default: 50 for a VAE, 12 for classifiers].
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Images per step.
    #[arg(long, value_name = "N", default_value_t = 128)]
    batch: usize,
    /// [default: adam for a VAE, adadelta for classifiers, as the paper].
    #[arg(long, value_enum)]
    optimiser: Option<Method>,
    /// [default: 0.001 for adam, 1 for adadelta, 0.05 for sgd].
    #[arg(long, value_name = "R")]
    learning_rate: Option<f64>,
    /// Let the learning rate fall linearly to 0 over the training.
    #[arg(long)]
    anneal: bool,
    /// Train on the first N images only.
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    #[command(flatten)]
    seed: Seed,
    /// Go on from the checkpoint in OUT, to the same weights as without the stop.
    #[arg(long)]
    resume: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Method {
    Adam,
    Adadelta,
    /// With momentum 0.9.
    Sgd,
}

#[derive(Debug, Args)]
struct Architecture {
    /// The channels of the two 3×3 convolutions.
    #[arg(long, value_name = "N,N", value_parser = super::shared::pair::<usize>, default_value = "32,64")]
    channels: [usize; 2],
    /// The width of the hidden dense layer.
    #[arg(long, value_name = "N", default_value_t = 128)]
    hidden: usize,
    /// The dropout rates after the pooling and after the hidden dense layer.
    #[arg(long, value_name = "P,P", value_parser = super::shared::pair::<f64>, default_value = "0.25,0.5")]
    dropout: [f64; 2],
}

impl Architecture {
    fn goal(&self, data: &Dataset) -> Goal {
        let layers = cnn(data.image_shape, data.classes.len(), self.channels, self.hidden, self.dropout);
        Goal::Classifier { layers, classes: data.classes.clone() }
    }
}

impl Train {
    /// Runs the verb.
    ///
    /// # Errors
    /// When the data or the settings do not fit, or a file cannot be written.
    pub fn run(self) -> Result<()> {
        match self.what {
            What::Vae { common, hidden, latent, as_published } => {
                let (train, test) = common.load()?;
                let goal = Goal::Vae { layers: VaeLayers::dense(train.image_shape, &hidden, latent), as_published };
                common.train(goal, common.seed.seed, &common.out, &train, &test)
            }
            What::Classifier { common, architecture } => {
                let (train, test) = common.load()?;
                common.train(architecture.goal(&train), common.seed.seed, &common.out, &train, &test)
            }
            What::Ensemble { common, architecture, members } => {
                let first = common.seed.seed;
                let last = first.checked_add(members - 1).ok_or_else(|| {
                    let problem = format!("{members} seeds from {first} on would pass the largest, {}", u32::MAX);
                    Error::setting("--seed", problem, "give a smaller one, or fewer --members")
                })?;
                let (train, test) = common.load()?;
                for seed in first..=last {
                    common.train(architecture.goal(&train), seed, &common.out.join(format!("classifier-{seed}")), &train, &test)?;
                }
                Ok(())
            }
        }
    }
}

impl Common {
    fn load(&self) -> Result<(Dataset, Dataset)> {
        let train = first_images(self.data.load(&self.dataset, Split::Train)?, self.images)?;
        Ok((train, self.data.load(&self.dataset, Split::Test)?))
    }

    fn train(&self, goal: Goal, seed: u32, folder: &Path, train: &Dataset, test: &Dataset) -> Result<()> {
        let vae = matches!(goal, Goal::Vae { .. });
        let rate = |default| self.learning_rate.unwrap_or(default);
        let optimiser = match self.optimiser.unwrap_or(if vae { Method::Adam } else { Method::Adadelta }) {
            Method::Adam => Optimiser::Adam { learning_rate: rate(1e-3) },
            Method::Adadelta => Optimiser::Adadelta { learning_rate: rate(1.0) },
            Method::Sgd => Optimiser::Sgd { learning_rate: rate(0.05), momentum: 0.9 },
        };
        let settings = Settings {
            name: folder.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned()),
            goal,
            image_shape: train.image_shape,
            dataset: train.name.clone(),
            images: train.len(),
            epochs: self.epochs.unwrap_or(if vae { 50 } else { 12 }),
            batch: self.batch,
            optimiser,
            anneal: self.anneal,
            seed,
        };
        let (name, epochs) = (settings.name.clone(), settings.epochs);
        let bar = Bar::new((epochs * train.len()) as u64, "images");
        train::run(settings, train, test, folder, self.resume, &mut |event| {
            match event {
                Event::Step(epoch, step) => {
                    bar.at(
                        ((epoch - 1) * train.len() + step.images) as u64,
                        &format!("{name}, epoch {epoch} of {epochs}, loss {:.4}", step.loss),
                    );
                }
                Event::Epoch(epoch) => {
                    let test = match epoch.test {
                        Scores::Classifier { accuracy, nll } => format!("accuracy {:.2} %, NLL {nll:.4}", 100.0 * accuracy),
                        Scores::Vae { negative_elbo, reconstruction, kl } => {
                            format!("−ELBO {negative_elbo:.2} = {reconstruction:.2} + {kl:.2} nats")
                        }
                    };
                    bar.say(&format!(
                        "{name}, epoch {} of {epochs}: loss {:.4}, test {test} ({:.0} s)",
                        epoch.epoch, epoch.loss, epoch.seconds
                    ));
                }
            }
            ControlFlow::Continue(())
        })
    }
}
