//! The options of `epistemap train`: how the learning rate changes, and the architectures.

use crate::error::{Error, Result};
use crate::jobs::training::{
    ClassifierArchitecture, ClassifierPlan, Decay, Draw, LikelihoodPlan, Method, Schedule, VaeArchitecture, VaePlan,
};
use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(super) struct ScheduleOptions {
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
pub(super) enum DecayChoice {
    Constant,
    /// Linearly to 0 at the end of the training.
    Linear,
    /// To 0 at the end of the training along half a cosine.
    Cosine,
    /// By --step-factor after every --step-every epochs.
    Step,
}

impl ScheduleOptions {
    pub(super) fn schedule(&self) -> Result<Schedule> {
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

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum MethodChoice {
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

impl MethodChoice {
    pub(super) fn method(self) -> Method {
        match self {
            Self::Adam => Method::Adam,
            Self::AdamW => Method::AdamW,
            Self::Adadelta => Method::Adadelta,
            Self::AdadeltaPytorch => Method::AdadeltaPytorch,
            Self::Sgd => Method::Sgd,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum DrawChoice {
    /// A dropout mask at the rates of --dropout.
    Dropout,
    /// A dropout mask at learned rates, which start at --dropout (concrete dropout).
    Concrete,
    /// The last layer's weights from a Gaussian that is fitted at the end; --dropout is then of the training only (last-layer Laplace).
    Laplace,
    /// The network itself, without dropout: a deep ensemble, where there are several.
    None,
}

impl DrawChoice {
    pub(super) fn draw(self) -> Draw {
        match self {
            Self::Dropout => Draw::Dropout,
            Self::Concrete => Draw::ConcreteDropout,
            Self::Laplace => Draw::LastLayerLaplace,
            Self::None => Draw::Deterministic,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct VaeOptions {
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

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum LikelihoodChoice {
    Bernoulli,
    /// With a fixed variance.
    Gaussian,
    /// With one variance for all pixels, which is learned.
    LearnedGaussian,
}

impl VaeOptions {
    pub(super) fn plan(&self, architecture: VaeArchitecture, hidden: Vec<usize>, widths: Vec<usize>) -> VaePlan {
        let likelihood = match self.likelihood {
            LikelihoodChoice::Bernoulli => LikelihoodPlan::Bernoulli,
            LikelihoodChoice::Gaussian => LikelihoodPlan::Gaussian,
            LikelihoodChoice::LearnedGaussian => LikelihoodPlan::LearnedGaussian,
        };
        let Self { latent, variance, as_published, .. } = *self;
        VaePlan { architecture, hidden, widths, latent, likelihood, variance, as_published }
    }
}

#[derive(Debug, Args)]
pub(super) struct ClassifierOptions {
    /// The classifier's architecture: mlp, paper-cnn, resnet, or the file of a model whose graph is taken without its weights (model.json
    /// or its folder).
    #[arg(long, value_name = "NAME|FILE", default_value = "paper-cnn")]
    architecture: ClassifierArchitecture,
    /// The channels of the two 3×3 convolutions of paper-cnn.
    #[arg(long, value_name = "N,N", value_parser = super::super::shared::pair::<usize>, default_value = "32,64")]
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
    #[arg(long, value_name = "P,P", value_parser = super::super::shared::pair::<f64>)]
    dropout: Option<[f64; 2]>,
}

impl ClassifierOptions {
    pub(super) fn plan(&self) -> ClassifierPlan {
        let dropout = self.dropout.unwrap_or_else(|| self.architecture.usual_dropout());
        ClassifierPlan {
            architecture: self.architecture.clone(),
            channels: self.channels,
            hidden: self.hidden,
            widths: self.widths.clone(),
            blocks: self.blocks,
            draw: self.draw.draw(),
            dropout,
            resize: None,
        }
    }
}
