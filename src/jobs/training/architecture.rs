//! The architectures that are trained: those with a name, and those of anyone's `model.json`.

use crate::autodiff::train::Goal;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::files;
use crate::nets::architectures::{convolutional_vae, halvings, mlp, resnet};
use crate::nets::folder::DESCRIPTION;
use crate::nets::{Description, Ending, Graph, Layer, Likelihood, VaeGraphs, VaeLayers, cnn};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The most blocks of a stage of a residual network.
const MOST_BLOCKS: usize = 1000;

/// The architecture of a classifier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassifierArchitecture {
    /// Linear layers with ReLU; dropout of pixels and after each hidden layer.
    Mlp,
    /// Two 3×3 convolutions, pooling, a hidden linear layer; dropout after the pooling and after the hidden layer (Smith & Gal 2018).
    #[default]
    PaperCnn,
    /// A residual network of basic blocks with batch normalisation (He et al. 2016); dropout of channels after each block, and before the
    /// last layer.
    Resnet,
    /// The graph of a `model.json` or of a model folder, without its weights.
    File(PathBuf),
    /// Dropout and a linear layer on the features of a frozen trunk: that of a classifier's model folder, or of a `.safetensors` file of one of
    /// torchvision's residual networks.
    Backbone(PathBuf),
}

/// The architecture of a VAE.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VaeArchitecture {
    /// Linear layers with ELU; the decoder mirrors the encoder.
    #[default]
    Mlp,
    /// 4×4 convolutions of stride 2 with ReLU, and transposed ones back.
    ConvVae,
    /// The graphs of a `model.json` or of a model folder, without their weights.
    File(PathBuf),
}

impl ClassifierArchitecture {
    /// The usual widths: of hidden layers, or of stages. The paper's network has none of these.
    pub fn usual_widths(&self) -> &'static [usize] {
        match self {
            Self::Mlp => &[256, 256],
            Self::Resnet => &[32, 64, 128],
            Self::PaperCnn | Self::File(_) | Self::Backbone(_) => &[],
        }
    }

    /// The usual dropout rates.
    pub fn usual_dropout(&self) -> [f64; 2] {
        match self {
            Self::PaperCnn | Self::File(_) => [0.25, 0.5],
            Self::Mlp | Self::Backbone(_) => [0.0, 0.5],
            Self::Resnet => [0.1, 0.5],
        }
    }
}

/// Where a file stands is made absolute: a plan outlives the current directory.
fn file(text: &str) -> std::result::Result<PathBuf, String> {
    let path = Path::new(text);
    if path.exists() {
        return Ok(std::path::absolute(path).unwrap_or_else(|_| path.into()));
    }
    Err(format!("'{text}' is neither the name of an architecture nor a file or folder"))
}

impl FromStr for ClassifierArchitecture {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "mlp" => Ok(Self::Mlp),
            "paper-cnn" => Ok(Self::PaperCnn),
            "resnet" => Ok(Self::Resnet),
            _ => file(text).map(Self::File),
        }
    }
}

impl FromStr for VaeArchitecture {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "mlp" => Ok(Self::Mlp),
            "conv-vae" => Ok(Self::ConvVae),
            _ => file(text).map(Self::File),
        }
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

/// A classifier's architecture and what a draw of it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", default, deny_unknown_fields)]
pub struct ClassifierPlan {
    /// The architecture.
    pub architecture: ClassifierArchitecture,
    /// The channels of the convolutions of the paper's network.
    pub channels: [usize; 2],
    /// The width of its hidden layer.
    pub hidden: usize,
    /// The widths of an MLP's hidden layers, or of a residual network's stages; none named: the usual ones.
    pub widths: Vec<usize>,
    /// Blocks of each stage of a residual network.
    pub blocks: usize,
    /// What a draw is.
    pub draw: Draw,
    /// Two dropout rates, where the architecture says; a file has its own.
    pub dropout: [f64; 2],
    /// Before a backbone, images are brought to so many pixels along each side, inside the model; `None`: to the size that it takes.
    pub resize: Option<usize>,
}

impl Default for ClassifierPlan {
    fn default() -> Self {
        Self {
            architecture: ClassifierArchitecture::PaperCnn,
            channels: [32, 64],
            hidden: 128,
            widths: Vec::new(),
            blocks: 2,
            draw: Draw::Dropout,
            dropout: [0.25, 0.5],
            resize: None,
        }
    }
}

impl ClassifierPlan {
    /// Checks what can be told without the data.
    ///
    /// # Errors
    /// Names the setting that makes no sense.
    pub(super) fn check(&self) -> Result<()> {
        let possible = |rate: &f64| (0.0..1.0).contains(rate);
        if self.draw != Draw::Deterministic && !self.dropout.iter().all(possible) {
            let problem = format!("{},{} are not both rates", self.dropout[0], self.dropout[1]);
            return Err(Error::setting("--dropout", problem, "give numbers of at least 0 and below 1, such as 0.25,0.5"));
        }
        if !(1..=MOST_BLOCKS).contains(&self.blocks) {
            let problem = format!("a stage of {} blocks is out of range", self.blocks);
            return Err(Error::setting("--blocks", problem, format!("give a number from 1 to {MOST_BLOCKS}")));
        }
        Ok(())
    }

    /// What is trained on these images, or on features in their place.
    ///
    /// # Errors
    /// When the architecture does not fit the images or the classes, or its file cannot be read.
    pub(super) fn goal(&self, train: &Dataset) -> Result<Goal> {
        let (shape, classes) = (train.image_shape, train.classes.clone());
        let rates = if self.draw == Draw::Deterministic { [0.0; 2] } else { self.dropout };
        let widths = if self.widths.is_empty() { self.architecture.usual_widths() } else { &self.widths };
        let graph = match &self.architecture {
            ClassifierArchitecture::PaperCnn => return self.paper_cnn(train),
            ClassifierArchitecture::Mlp => mlp(shape, classes.len(), widths, rates)?,
            ClassifierArchitecture::Resnet => resnet(shape, classes.len(), widths, self.blocks, rates)?,
            ClassifierArchitecture::File(path) => return self.of_file(path, train),
            // The data are features then.
            ClassifierArchitecture::Backbone(_) => mlp(shape, classes.len(), &[], [rates[1], 0.0])?,
        };
        Ok(Goal::Classifier { graph, ending: Ending::Logits, classes })
    }

    fn paper_cnn(&self, train: &Dataset) -> Result<Goal> {
        // Two 3×3 convolutions and pooling by 2 leave one place of it.
        const SMALLEST: usize = 6;
        let [_, height, width] = train.image_shape;
        if height.min(width) < SMALLEST {
            let problem = format!("images of {height} × {width} pixels are too small for a classifier's two convolutions and pooling");
            let mend = format!("bring them to {SMALLEST} × {SMALLEST} at least (an image folder with --shape), or take --architecture mlp");
            return Err(Error::setting("the images", problem, mend));
        }
        let mut layers = cnn(train.image_shape, train.classes.len(), self.channels, self.hidden, self.dropout);
        if self.draw == Draw::Deterministic {
            layers.retain(|layer| !Layer::is_dropout(layer));
        }
        Goal::chain(train.image_shape, &layers, train.classes.clone())
    }

    fn of_file(&self, path: &Path, train: &Dataset) -> Result<Goal> {
        let (path, description) = read(path)?;
        let refused = |problem: String| Error::file(&path, problem, "give the model.json of a classifier for these data");
        let Description::Classifier { graph, ending, .. } = description else {
            return Err(refused("describes a VAE, not a classifier".to_owned()));
        };
        let wanted = [graph.input_shape(), graph.output_shape()];
        if wanted != [&train.image_shape[..], &[train.classes.len()]] {
            let data = format!("the data are images of {:?} in {} classes", train.image_shape, train.classes.len());
            return Err(refused(format!("takes images of {:?} in {:?} classes, but {data}", wanted[0], wanted[1])));
        }
        let graph = match self.draw {
            Draw::Deterministic => Graph::new(&train.image_shape, graph.without_dropout())?,
            _ => graph,
        };
        Ok(Goal::Classifier { graph, ending, classes: train.classes.clone() })
    }
}

/// What p(x|z) of a trained VAE is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LikelihoodPlan {
    /// Bernoulli.
    #[default]
    Bernoulli,
    /// Gaussian with the plan's variance.
    Gaussian,
    /// Gaussian with one variance for all pixels, which is learned and starts from the plan's (Rybkin et al. 2021).
    LearnedGaussian,
}

/// A VAE's architecture and likelihood.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", default, deny_unknown_fields)]
pub struct VaePlan {
    /// The architecture.
    pub architecture: VaeArchitecture,
    /// The widths of an MLP encoder's hidden layers.
    pub hidden: Vec<usize>,
    /// The channels of the convolutions; none named: as many of 32, 64, 128, 128 as the images can be halved.
    pub widths: Vec<usize>,
    /// The latent dimensions; a map needs 2.
    pub latent: usize,
    /// p(x|z); a file has its own.
    pub likelihood: LikelihoodPlan,
    /// The variance of a Gaussian likelihood, of pixels in 0..=1.
    pub variance: f64,
    /// Sample z = μ + ½ σ ε, as the paper's code did.
    pub as_published: bool,
}

impl Default for VaePlan {
    fn default() -> Self {
        Self {
            architecture: VaeArchitecture::Mlp,
            hidden: vec![400, 256],
            widths: Vec::new(),
            latent: 2,
            likelihood: LikelihoodPlan::Bernoulli,
            variance: 0.01,
            as_published: false,
        }
    }
}

impl VaePlan {
    /// Checks what can be told without the data.
    ///
    /// # Errors
    /// Names the setting that makes no sense.
    pub(super) fn check(&self) -> Result<()> {
        if !(self.variance > 0.0 && self.variance.is_finite()) {
            return Err(Error::setting("--variance", format!("{} is no variance", self.variance), "give a number above 0, such as 0.01"));
        }
        Ok(())
    }

    /// What is trained on these images.
    ///
    /// # Errors
    /// When the architecture does not fit the images, or its file cannot be read.
    pub(super) fn goal(&self, train: &Dataset) -> Result<Goal> {
        /// The usual channels of the convolutions.
        const WIDTHS: [usize; 4] = [32, 64, 128, 128];
        let shape = train.image_shape;
        let graphs = match &self.architecture {
            VaeArchitecture::Mlp => VaeGraphs::of_layers(shape, &VaeLayers::dense(shape, &self.hidden, self.latent))?,
            VaeArchitecture::ConvVae => {
                let usual = &WIDTHS[..halvings(shape).clamp(1, WIDTHS.len())];
                convolutional_vae(shape, if self.widths.is_empty() { usual } else { &self.widths }, self.latent)?
            }
            VaeArchitecture::File(path) => return self.of_file(path, train),
        };
        let (likelihood, learns_variance) = match (self.likelihood, self.variance) {
            (LikelihoodPlan::Bernoulli, _) => (Likelihood::Bernoulli, false),
            (LikelihoodPlan::Gaussian, variance) => (Likelihood::Gaussian { variance }, false),
            (LikelihoodPlan::LearnedGaussian, variance) => (Likelihood::Gaussian { variance }, true),
        };
        Ok(Goal::Vae { graphs: graphs.with_likelihood(likelihood)?, learns_variance, as_published: self.as_published })
    }

    fn of_file(&self, path: &Path, train: &Dataset) -> Result<Goal> {
        let (path, description) = read(path)?;
        let refused = |problem: String| Error::file(&path, problem, "give the model.json of a VAE for these data");
        if self.likelihood != LikelihoodPlan::Bernoulli {
            let problem = format!("the architecture of {} has a likelihood of its own", path.display());
            return Err(Error::setting("--likelihood", problem, "leave it out, or change the file"));
        }
        match Goal::from(description) {
            Goal::Classifier { .. } => Err(refused("describes a classifier, not a VAE".to_owned())),
            Goal::Vae { graphs, .. } if graphs.encoder.input_shape() != train.image_shape => {
                let wanted = graphs.encoder.input_shape();
                Err(refused(format!("takes images of {wanted:?}, but the data are images of {:?}", train.image_shape)))
            }
            Goal::Vae { graphs, learns_variance, .. } => Ok(Goal::Vae { graphs, learns_variance, as_published: self.as_published }),
        }
    }
}

/// The file that a path leads to, and what it describes.
fn read(path: &Path) -> Result<(PathBuf, Description)> {
    let path = if path.is_dir() { path.join(DESCRIPTION) } else { path.to_owned() };
    let described = Description::parse(&files::read_json(&path)?);
    let refused = |error: Error| Error::file(&path, format!("is no architecture: {error}"), "compare it with docs/model-format.md");
    let description = described.map_err(refused)?;
    Ok((path, description))
}
