//! `epistemap train`: a VAE, a classifier, an ensemble, a set of both, or heads on a frozen trunk, into model folders.

mod options;

use super::film::{Film, export};
use super::progress::Bar;
use super::shared::{DataOptions, Seed, say};
use crate::error::{Error, Result};
use crate::jobs::Shard;
use crate::jobs::training::{
    self, Augmentation, ClassifierArchitecture, ClassifierPlan, DataChoice, Epoch, News, Resume, Scores, TrainingData, TrainingPlan,
    VaeArchitecture, What as Trained, plan_of,
};
use clap::{Args, Subcommand};
use options::{ClassifierOptions, DrawChoice, MethodChoice, ScheduleOptions, VaeOptions};
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
    /// A variational autoencoder (the paper's by default: linear layers 784-400-256-2 with ELU).
    Vae {
        #[command(flatten)]
        common: Common,
        /// The VAE's architecture: mlp, conv-vae, or the file of a model whose graphs are taken without their weights (model.json or its folder).
        #[arg(long, value_name = "NAME|FILE", default_value = "mlp")]
        architecture: VaeArchitecture,
        /// The widths of the encoder's hidden layers of mlp; the decoder mirrors them.
        #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "400,256")]
        hidden: Vec<usize>,
        /// The channels of the convolutions of conv-vae, each of which halves the image; the decoder mirrors them [default: as many of
        /// 32,64,128,128 as the images can be halved].
        #[arg(long, value_name = "N,N,…", value_delimiter = ',')]
        widths: Vec<usize>,
        #[command(flatten)]
        latent: VaeOptions,
    },
    /// One classifier (the paper's convolutional network with dropout by default).
    Classifier {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        architecture: ClassifierOptions,
    },
    /// Several classifiers that differ in their seed: OUT/classifier-SEED for `--members` seeds from `--seed` on.
    Ensemble {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        architecture: ClassifierOptions,
        #[command(flatten)]
        members: Members,
        /// Train the I-th of N shares of the members only, into an --out of its own; `epistemap merge` puts the folders together.
        #[arg(long, value_name = "I/N")]
        shard: Option<Shard>,
    },
    /// A VAE and an ensemble on the same data, with the encodings of the data: a folder for `--models`.
    Set {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        architecture: ClassifierOptions,
        #[command(flatten)]
        members: Members,
        /// The VAE's architecture: mlp, conv-vae, or the file of a model.
        #[arg(long, value_name = "NAME|FILE", default_value = "mlp")]
        vae_architecture: VaeArchitecture,
        /// The widths of the encoder's hidden layers of the VAE's mlp.
        #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "400,256")]
        vae_hidden: Vec<usize>,
        /// The channels of the VAE's conv-vae [default: as many of 32,64,128,128 as the images can be halved].
        #[arg(long, value_name = "N,N,…", value_delimiter = ',')]
        vae_widths: Vec<usize>,
        #[command(flatten)]
        latent: VaeOptions,
    },
    /// A classifier of transfer: dropout and a new last layer on the features of a network that is trained already and stays as it is. The
    /// features of all images are computed once and kept for the next run.
    Head {
        #[command(flatten)]
        common: Common,
        /// The network whose last layer is replaced: a classifier's model folder, or a .safetensors file of a residual network of torchvision.
        #[arg(long, value_name = "DIR|FILE")]
        backbone: PathBuf,
        /// Bring the images to N × N pixels inside the model, bilinearly [default: to the size that the network takes].
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
        resize: Option<u32>,
        /// The dropout rate of the features.
        #[arg(long, value_name = "P", default_value_t = 0.5)]
        dropout: f64,
        /// What a draw is.
        #[arg(long, value_enum, default_value_t = DrawChoice::Dropout)]
        draw: DrawChoice,
        /// How many heads that differ in their seed, on the same trunk: OUT/classifier-SEED each [default: one, OUT itself].
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        members: Option<u32>,
    },
    /// Go on with what was trained into a folder, as its plan says.
    Resume {
        /// The folder that was named by --out.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// So many epochs in all instead of the plan's; not fewer than are done.
        #[arg(long, value_name = "N")]
        epochs: Option<usize>,
        /// The data of the training, where they are elsewhere now or have another name.
        #[arg(long, value_name = "NAME|DIR")]
        dataset: Option<String>,
        #[command(flatten)]
        data: DataOptions,
        #[command(flatten)]
        changed: Changed,
        #[command(flatten)]
        film: Film,
    },
}

#[derive(Debug, Args)]
struct Common {
    /// The data set (`epistemap data list` names them), a folder (IDX files, or images in one sub-folder per class), or an npz file as `MedMNIST`
    /// has it.
    #[arg(long, value_name = "NAME|DIR", default_value = "mnist")]
    dataset: String,
    #[command(flatten)]
    data: DataOptions,
    /// Keep these classes only, by number; they are numbered anew in this order [default: all].
    #[arg(long, value_name = "N,N,…", value_delimiter = ',')]
    classes: Vec<usize>,
    /// Train on the first N images (of the kept classes) only.
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    /// Replace this share of the training labels by another class.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    label_noise: f64,
    /// Bring the images of an image folder to this shape [default: their own where it is small, else 1,28,28 or 3,32,32].
    #[arg(long, value_name = "C,H,W", value_parser = shape)]
    shape: Option<[usize; 3]>,
    /// The model folder to write (for an ensemble or a set, the folder of the model folders).
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
    optimiser: Option<MethodChoice>,
    /// [default: 0.001 for adam and adamw, 1 for adadelta, 0.05 for sgd].
    #[arg(long, value_name = "R")]
    learning_rate: Option<f64>,
    /// The strength of the weight decay: decoupled for adamw, an L2 penalty for the others [default: 0.01 for adamw, else 0].
    #[arg(long, value_name = "L")]
    weight_decay: Option<f64>,
    #[command(flatten)]
    schedule: ScheduleOptions,
    /// Change training images at random in each epoch: `flip` mirrors left and right, `shift=N` moves by at most N pixels and fills with
    /// zeros (`shift=N:edge` with the edge), `crop=N` pads by N zeros and crops. For example `flip,shift=2,crop=4` [default: none].
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true)]
    augment: Augmentation,
    #[command(flatten)]
    seed: Seed,
    /// Go on from the checkpoint in OUT, to the same weights as without the stop.
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    changed: Changed,
    #[command(flatten)]
    film: Film,
}

#[derive(Clone, Copy, Debug, Args)]
struct Changed {
    /// When a training is resumed: go on though its images or labels have changed since.
    #[arg(long)]
    accept_changed_data: bool,
}

impl Changed {
    fn resume(self) -> Resume {
        if self.accept_changed_data { Resume::ChangedData } else { Resume::SameData }
    }
}

#[derive(Debug, Args)]
struct Members {
    /// How many classifiers.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    members: u32,
}

fn shape(text: &str) -> std::result::Result<[usize; 3], String> {
    let parts: Option<Vec<usize>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    parts.and_then(|parts| parts.try_into().ok()).ok_or_else(|| format!("'{text}' is no shape such as 1,28,28"))
}

impl Common {
    fn plan(&self, what: Trained) -> Result<TrainingPlan> {
        let optimiser = self.optimiser.map(MethodChoice::method);
        Ok(TrainingPlan {
            what,
            data: TrainingData {
                source: DataChoice::of(&self.dataset),
                classes: self.classes.clone(),
                images: self.images,
                label_noise: self.label_noise,
                shape: self.shape,
            },
            optimiser,
            learning_rate: self.learning_rate,
            weight_decay: self.weight_decay,
            schedule: self.schedule.schedule()?,
            augmentation: self.augment,
            epochs: self.epochs,
            batch: self.batch,
            seed: self.seed.seed,
            ..TrainingPlan::default()
        })
    }

    fn train(self, plan: &TrainingPlan) -> Result<()> {
        let resume = if self.resume { self.changed.resume() } else { Resume::Never };
        follow(plan, &self.data, &self.out, resume, &self.film)
    }
}

impl Train {
    /// Runs the verb.
    ///
    /// # Errors
    /// When the data or the settings do not fit, or a file cannot be written.
    pub fn run(self) -> Result<()> {
        match self.what {
            What::Vae { common, architecture, hidden, widths, latent } => {
                let plan = TrainingPlan { vae: latent.plan(architecture, hidden, widths), ..common.plan(Trained::Vae)? };
                common.train(&plan)
            }
            What::Classifier { common, architecture } => {
                let plan = TrainingPlan { classifier: architecture.plan(), ..common.plan(Trained::Classifier)? };
                common.train(&plan)
            }
            What::Ensemble { common, architecture, members: Members { members }, shard } => {
                let plan = TrainingPlan { classifier: architecture.plan(), members, shard, ..common.plan(Trained::Ensemble)? };
                common.train(&plan)
            }
            What::Set { common, architecture, members: Members { members }, vae_architecture, vae_hidden, vae_widths, latent } => {
                let (vae, classifier) = (latent.plan(vae_architecture, vae_hidden, vae_widths), architecture.plan());
                let plan = TrainingPlan { vae, classifier, members, ..common.plan(Trained::Set)? };
                common.train(&plan)
            }
            What::Head { common, backbone, resize, dropout, draw, members } => {
                let path = std::path::absolute(&backbone).unwrap_or(backbone);
                let classifier = ClassifierPlan {
                    architecture: ClassifierArchitecture::Backbone(path),
                    draw: draw.draw(),
                    dropout: [0.0, dropout],
                    resize: resize.map(|side| side as usize),
                    ..ClassifierPlan::default()
                };
                let plan = common.plan(if members.is_some() { Trained::Ensemble } else { Trained::Classifier })?;
                common.train(&TrainingPlan { classifier, members: members.unwrap_or(1), ..plan })
            }
            What::Resume { folder, epochs, dataset, data, changed, film } => {
                let Some(plan) = plan_of(&folder)? else {
                    let mend = "name the folder that a training was started into with --out";
                    return Err(Error::file(&folder, format!("holds no {}", training::PLAN), mend));
                };
                let mut plan = TrainingPlan { epochs: epochs.or(plan.epochs), ..plan };
                if let Some(dataset) = dataset {
                    plan.data.source = DataChoice::of(&dataset);
                }
                follow(&plan, &data, &folder, changed.resume(), &film)
            }
        }
    }
}

/// Trains what the plan names, with a bar and a line per epoch.
fn follow(plan: &TrainingPlan, data: &DataOptions, folder: &Path, resume: Resume, film: &Film) -> Result<()> {
    plan.check()?;
    film.check()?;
    let loaded = plan.data.load(data.data.as_deref())?;
    let (train, test) = plan.prepare(loaded.train, loaded.test)?;
    loaded.notes.iter().for_each(|note| say(note));
    let looks = film.looks()?;
    let bar = Bar::new(0, "images");
    let (mut name, mut all, mut of_epoch) = (String::new(), 0, 0);
    let trained = training::train(plan, (&train, &test), folder, resume, looks.as_ref(), &mut |news| {
        match news {
            News::Begun { model, epochs, images, done, .. } => {
                (name, all, of_epoch) = (model, epochs, images);
                bar.of((done.len() * images) as u64, (epochs * images) as u64, &name);
            }
            News::Step { epoch, step } => {
                let position = (epoch - 1) * of_epoch + step.images;
                bar.at(position as u64, &format!("{name}, epoch {epoch} of {all}, loss {:.4}", step.loss));
            }
            News::Epoch(epoch) => {
                let test = match epoch.test {
                    Scores::Classifier { accuracy, nll } => format!("accuracy {:.2} %, NLL {nll:.4}", 100.0 * accuracy),
                    Scores::Vae { negative_elbo, reconstruction, kl } => {
                        format!("−ELBO {negative_elbo:.2} = {reconstruction:.2} + {kl:.2} nats")
                    }
                };
                let Epoch { epoch: number, loss, seconds, test_seconds, preview_seconds, .. } = epoch;
                let previews = if looks.is_some() { format!("; previews {preview_seconds:.1} s") } else { String::new() };
                let time = format!("{seconds:.1} s with {test_seconds:.1} s of testing{previews}");
                bar.say(&format!("{name}, epoch {number} of {all}: loss {loss:.4}, test {test} ({time})"));
            }
            News::Features(progress) => bar.of(progress.done, progress.total, "features of images"),
            News::Note(note) => bar.say(&note),
            News::Frame(_) | News::Fitting(_) => {}
        }
        ControlFlow::Continue(())
    })?;
    drop(bar);
    export(&trained, film)
}
