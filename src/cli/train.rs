//! `epistemap train`: a VAE, a classifier, an ensemble or a set of both, into model folders.

use super::film::{Film, export};
use super::progress::Bar;
use super::shared::{DataOptions, Seed, say};
use crate::error::{Error, Result};
use crate::jobs::training::{
    self, Augmentation, ClassifierArchitecture, ClassifierPlan, DataChoice, Decay, Draw, Epoch, LikelihoodPlan, Method, News, Schedule,
    Scores, TrainingData, TrainingPlan, VaeArchitecture, VaePlan, What as Trained, plan_of,
};
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
    /// Go on with what was trained into a folder, as its plan says.
    Resume {
        /// The folder that was named by --out.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// So many epochs in all instead of the plan's; not fewer than are done.
        #[arg(long, value_name = "N")]
        epochs: Option<usize>,
        #[command(flatten)]
        data: DataOptions,
        #[command(flatten)]
        film: Film,
    },
}

#[derive(Debug, Args)]
struct Common {
    /// The data set (`epistemap data list` names them), or a folder: IDX files, or images in one sub-folder per class.
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
    film: Film,
}

#[derive(Debug, Args)]
struct ScheduleOptions {
    /// How the learning rate falls [default: constant].
    #[arg(long, value_enum)]
    schedule: Option<DecayChoice>,
    /// The same as `--schedule linear`.
    #[arg(long, conflicts_with = "schedule")]
    anneal: bool,
    /// Let the learning rate rise linearly over the first epochs, or a fraction of one.
    #[arg(long, value_name = "EPOCHS", default_value_t = 0.0)]
    warm_up: f64,
    /// With `--schedule step`: the epochs between two falls of the learning rate [default: 10].
    #[arg(long, value_name = "EPOCHS")]
    step_every: Option<usize>,
    /// With `--schedule step`: the factor of the learning rate at each fall [default: 0.1].
    #[arg(long, value_name = "FACTOR")]
    step_factor: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DecayChoice {
    Constant,
    /// Linearly to 0 at the end of the training.
    Linear,
    /// To 0 at the end of the training along half a cosine.
    Cosine,
    /// By --step-factor after every --step-every epochs.
    Step,
}

impl ScheduleOptions {
    fn schedule(&self) -> Result<Schedule> {
        let choice = self.schedule.unwrap_or(if self.anneal { DecayChoice::Linear } else { DecayChoice::Constant });
        let for_step = [("--step-every", self.step_every.is_some()), ("--step-factor", self.step_factor.is_some())];
        if let Some((option, _)) = for_step.into_iter().find(|(_, is_given)| *is_given && choice != DecayChoice::Step) {
            return Err(Error::setting(option, "it is for another schedule than the chosen one", "add --schedule step, or leave it out"));
        }
        let decay = match choice {
            DecayChoice::Constant => Decay::Constant,
            DecayChoice::Linear => Decay::Linear,
            DecayChoice::Cosine => Decay::Cosine,
            DecayChoice::Step => Decay::Step {
                every_epochs: self.step_every.unwrap_or(Decay::EVERY_EPOCHS),
                factor: self.step_factor.unwrap_or(Decay::FACTOR),
            },
        };
        Ok(Schedule { decay, warm_up_epochs: self.warm_up })
    }
}

#[derive(Debug, Args)]
struct VaeOptions {
    /// The number of latent dimensions; the map needs 2.
    #[arg(long, value_name = "N", default_value_t = 2)]
    latent: usize,
    /// p(x|z) of the VAE; a file has its own.
    #[arg(long, value_enum, default_value_t = LikelihoodChoice::Bernoulli)]
    likelihood: LikelihoodChoice,
    /// The variance of a Gaussian likelihood, of pixels in 0..=1; a learned one starts there.
    #[arg(long, value_name = "V", default_value_t = 0.01)]
    variance: f64,
    /// Sample z = μ + ½ σ ε, as the paper's code did; the loss is then no ELBO.
    #[arg(long)]
    as_published: bool,
}

#[derive(Debug, Args)]
struct Members {
    /// How many classifiers.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    members: u32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MethodChoice {
    Adam,
    /// Adam with decoupled weight decay.
    #[value(name = "adamw")]
    AdamW,
    /// With Keras's ρ = 0.95 and ε = 1e-7.
    Adadelta,
    /// Adadelta with PyTorch's ρ = 0.9 and ε = 1e-6.
    AdadeltaPytorch,
    /// With momentum 0.9.
    Sgd,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DrawChoice {
    /// A dropout mask at the rates of --dropout.
    Dropout,
    /// A dropout mask at learned rates, which start at --dropout (concrete dropout).
    Concrete,
    /// The last layer's weights from a Gaussian that is fitted at the end; --dropout is then of the training only (last-layer Laplace).
    Laplace,
    /// The network itself, without dropout: a deep ensemble, where there are several.
    None,
}

#[derive(Debug, Args)]
struct ClassifierOptions {
    /// The classifier's architecture: mlp, paper-cnn, resnet, or the file of a model whose graph is taken without its weights (model.json
    /// or its folder).
    #[arg(long, value_name = "NAME|FILE", default_value = "paper-cnn")]
    architecture: ClassifierArchitecture,
    /// The channels of the two 3×3 convolutions of paper-cnn.
    #[arg(long, value_name = "N,N", value_parser = super::shared::pair::<usize>, default_value = "32,64")]
    channels: [usize; 2],
    /// The width of the hidden layer of paper-cnn.
    #[arg(long, value_name = "N", default_value_t = 128)]
    hidden: usize,
    /// The widths of the hidden layers of mlp, or of the stages of resnet [default: 256,256 for mlp, 32,64,128 for resnet].
    #[arg(long, value_name = "N,N,…", value_delimiter = ',')]
    widths: Vec<usize>,
    /// The blocks of each stage of resnet.
    #[arg(long, value_name = "N", default_value_t = 2)]
    blocks: usize,
    /// What a draw of the classifier is.
    #[arg(long, value_enum, default_value_t = DrawChoice::Dropout)]
    draw: DrawChoice,
    /// The two dropout rates. paper-cnn: after the pooling and after the hidden layer; mlp: of the pixels and after each hidden layer;
    /// resnet: of channels after each block, and before the last layer; 0 is none [default: 0.25,0.5 for paper-cnn, 0,0.5 for mlp, 0.1,0.5
    /// for resnet; a file has its own].
    #[arg(long, value_name = "P,P", value_parser = super::shared::pair::<f64>)]
    dropout: Option<[f64; 2]>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LikelihoodChoice {
    Bernoulli,
    /// With a fixed variance.
    Gaussian,
    /// With one variance for all pixels, which is learned.
    LearnedGaussian,
}

fn shape(text: &str) -> std::result::Result<[usize; 3], String> {
    let parts: Option<Vec<usize>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    parts.and_then(|parts| parts.try_into().ok()).ok_or_else(|| format!("'{text}' is no shape such as 1,28,28"))
}

impl ClassifierOptions {
    fn plan(&self) -> ClassifierPlan {
        let draw = match self.draw {
            DrawChoice::Dropout => Draw::Dropout,
            DrawChoice::Concrete => Draw::ConcreteDropout,
            DrawChoice::Laplace => Draw::LastLayerLaplace,
            DrawChoice::None => Draw::Deterministic,
        };
        let dropout = self.dropout.unwrap_or_else(|| self.architecture.usual_dropout());
        ClassifierPlan {
            architecture: self.architecture.clone(),
            channels: self.channels,
            hidden: self.hidden,
            widths: self.widths.clone(),
            blocks: self.blocks,
            draw,
            dropout,
        }
    }
}

impl VaeOptions {
    fn plan(&self, architecture: VaeArchitecture, hidden: Vec<usize>, widths: Vec<usize>) -> VaePlan {
        let likelihood = match self.likelihood {
            LikelihoodChoice::Bernoulli => LikelihoodPlan::Bernoulli,
            LikelihoodChoice::Gaussian => LikelihoodPlan::Gaussian,
            LikelihoodChoice::LearnedGaussian => LikelihoodPlan::LearnedGaussian,
        };
        let Self { latent, variance, as_published, .. } = *self;
        VaePlan { architecture, hidden, widths, latent, likelihood, variance, as_published }
    }
}

impl Common {
    fn plan(&self, what: Trained) -> Result<TrainingPlan> {
        let optimiser = self.optimiser.map(|method| match method {
            MethodChoice::Adam => Method::Adam,
            MethodChoice::AdamW => Method::AdamW,
            MethodChoice::Adadelta => Method::Adadelta,
            MethodChoice::AdadeltaPytorch => Method::AdadeltaPytorch,
            MethodChoice::Sgd => Method::Sgd,
        });
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
        follow(plan, &self.data, &self.out, self.resume, &self.film)
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
            What::Ensemble { common, architecture, members: Members { members } } => {
                let plan = TrainingPlan { classifier: architecture.plan(), members, ..common.plan(Trained::Ensemble)? };
                common.train(&plan)
            }
            What::Set { common, architecture, members: Members { members }, vae_architecture, vae_hidden, vae_widths, latent } => {
                let (vae, classifier) = (latent.plan(vae_architecture, vae_hidden, vae_widths), architecture.plan());
                let plan = TrainingPlan { vae, classifier, members, ..common.plan(Trained::Set)? };
                common.train(&plan)
            }
            What::Resume { folder, epochs, data, film } => {
                let Some(plan) = plan_of(&folder)? else {
                    let mend = "name the folder that a training was started into with --out";
                    return Err(Error::file(&folder, format!("holds no {}", training::PLAN), mend));
                };
                let plan = TrainingPlan { epochs: epochs.or(plan.epochs), ..plan };
                follow(&plan, &data, &folder, true, &film)
            }
        }
    }
}

/// Trains what the plan names, with a bar and a line per epoch.
fn follow(plan: &TrainingPlan, data: &DataOptions, folder: &Path, resume: bool, film: &Film) -> Result<()> {
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
            News::Note(note) => bar.say(&note),
            News::Frame(_) | News::Fitting(_) => {}
        }
        ControlFlow::Continue(())
    })?;
    drop(bar);
    export(&trained, film)
}
