//! `model.json`: what a model is, without its weights. `docs/model-format.md` describes it.

use super::{Ending, Graph, Layer, Likelihood, Node, VaeGraphs, VaeLayers, VaePart};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize, Serializer};

/// What `model.json` holds.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there are only a few of them at a time")]
pub enum Description {
    /// A variational autoencoder.
    Vae { name: String, input_shape: [usize; 3], graphs: VaeGraphs, training: serde_json::Value },
    /// A classifier.
    Classifier { name: String, input_shape: [usize; 3], classes: Vec<String>, ending: Ending, graph: Graph, training: serde_json::Value },
}

/// The version that is written.
const VERSION: u64 = 2;

#[derive(Deserialize)]
struct Version {
    #[serde(default = "first")]
    version: u64,
}

fn first() -> u64 {
    1
}

/// Version 1: chains of layers.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Version1 {
    Vae { name: String, input_shape: [usize; 3], layers: VaeLayers, training: serde_json::Value },
    Classifier { name: String, input_shape: [usize; 3], classes: Vec<String>, layers: Vec<Layer>, training: serde_json::Value },
}

/// Version 2: graphs.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Version2<N> {
    Vae {
        version: u64,
        name: String,
        input_shape: [usize; 3],
        encoder: N,
        mean: N,
        log_variance: N,
        decoder: N,
        #[serde(default, skip_serializing_if = "Likelihood::is_bernoulli")]
        likelihood: Likelihood,
        #[serde(default)]
        training: serde_json::Value,
    },
    Classifier {
        version: u64,
        name: String,
        input_shape: [usize; 3],
        classes: Vec<String>,
        #[serde(default)]
        output: Ending,
        nodes: N,
        #[serde(default)]
        training: serde_json::Value,
    },
}

impl Serialize for Description {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let (version, description) = (VERSION, self.clone());
        match description {
            Self::Vae { name, input_shape, graphs: VaeGraphs { encoder, mean, log_variance, decoder, likelihood }, training } => {
                Version2::Vae { version, name, input_shape, encoder, mean, log_variance, decoder, likelihood, training }
            }
            Self::Classifier { name, input_shape, classes, ending: output, graph: nodes, training } => {
                Version2::Classifier { version, name, input_shape, classes, output, nodes, training }
            }
        }
        .serialize(serializer)
    }
}

impl Description {
    /// Reads the text of `model.json`, of any version.
    ///
    /// # Errors
    /// When it is no such text, of a newer version, or its graph makes no sense.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let not_json = |error: serde_json::Error| Error::Network(error.to_string());
        match serde_json::from_slice::<Version>(text).map_err(not_json)?.version {
            1 => match serde_json::from_slice(text).map_err(not_json)? {
                Version1::Vae { name, input_shape, layers, training } => {
                    Ok(Self::Vae { name, input_shape, graphs: VaeGraphs::of_layers(input_shape, &layers)?, training })
                }
                Version1::Classifier { name, input_shape, classes, layers, training } => {
                    let graph = Graph::chain(&input_shape, &layers)?;
                    Ok(Self::Classifier { name, input_shape, classes, ending: Ending::Logits, graph, training })
                }
            },
            VERSION => match serde_json::from_slice::<Version2<Vec<Node>>>(text).map_err(not_json)? {
                Version2::Vae { name, input_shape, encoder, mean, log_variance, decoder, likelihood, training, .. } => {
                    let nodes = |part: VaePart| match part {
                        VaePart::Encoder => &encoder,
                        VaePart::Mean => &mean,
                        VaePart::LogVariance => &log_variance,
                        VaePart::Decoder => &decoder,
                    };
                    let graphs = VaeGraphs::new(input_shape, |part, shape| Graph::new(shape, nodes(part).clone()))?;
                    let graphs = graphs.with_likelihood(likelihood)?;
                    Ok(Self::Vae { name, input_shape, graphs, training })
                }
                Version2::Classifier { name, input_shape, classes, output: ending, nodes, training, .. } => {
                    Ok(Self::Classifier { name, input_shape, classes, ending, graph: Graph::new(&input_shape, nodes)?, training })
                }
            },
            newer => Err(Error::Network(format!("its version is {newer}, and this program reads up to {VERSION}: get a newer Epistemap"))),
        }
    }

    /// What the folder's model is called.
    pub fn name(&self) -> &str {
        match self {
            Self::Vae { name, .. } | Self::Classifier { name, .. } => name,
        }
    }

    /// Calls the model by another name.
    pub fn rename(&mut self, new: String) {
        match self {
            Self::Vae { name, .. } | Self::Classifier { name, .. } => *name = new,
        }
    }

    /// [channels, height, width] of the images.
    pub fn input_shape(&self) -> [usize; 3] {
        match self {
            Self::Vae { input_shape, .. } | Self::Classifier { input_shape, .. } => *input_shape,
        }
    }

    /// The graphs, those of all parts of a VAE.
    pub fn graphs(&self) -> Vec<&Graph> {
        match self {
            Self::Vae { graphs, .. } => graphs.all().to_vec(),
            Self::Classifier { graph, .. } => vec![graph],
        }
    }

    /// The nodes of all graphs.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.graphs().into_iter().flat_map(Graph::nodes)
    }

    /// The names and shapes of all weights.
    pub fn weights(&self) -> impl Iterator<Item = (String, Vec<usize>)> {
        self.graphs().into_iter().flat_map(Graph::weights)
    }

    /// How it was trained; `null` where nobody said.
    pub fn training(&self) -> &serde_json::Value {
        match self {
            Self::Vae { training, .. } | Self::Classifier { training, .. } => training,
        }
    }
}
