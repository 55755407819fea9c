//! What is trained.

use crate::error::Result;
use crate::nets::{Description, Ending, Graph, Layer, VaeGraphs};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

/// What is trained. In a checkpoint it is the text of `model.json`.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there are only a few of them at a time")]
pub enum Goal {
    /// A classifier of `classes`, by cross-entropy.
    Classifier { graph: Graph, ending: Ending, classes: Vec<String> },
    /// A VAE, by −ELBO.
    Vae {
        graphs: VaeGraphs,
        /// The variance of a Gaussian likelihood is learned, one for all pixels (Rybkin et al. 2021, σ-VAE).
        learns_variance: bool,
        /// Samples z = μ + ½ σ ε as the paper's code did, which makes the loss no ELBO.
        as_published: bool,
    },
}

const LEARNS_VARIANCE: &str = "learns_variance";
const AS_PUBLISHED: &str = "as_published";

impl Goal {
    /// A classifier that is a chain of layers and ends in logits.
    ///
    /// # Errors
    /// As [`Graph::chain`].
    pub fn chain(image_shape: [usize; 3], layers: &[Layer], classes: Vec<String>) -> Result<Self> {
        Ok(Self::Classifier { graph: Graph::chain(&image_shape, layers)?, ending: Ending::Logits, classes })
    }

    /// The graphs whose weights are trained.
    pub fn graphs(&self) -> Vec<&Graph> {
        match self {
            Self::Classifier { graph, .. } => vec![graph],
            Self::Vae { graphs, .. } => graphs.all().to_vec(),
        }
    }

    /// The description of a model of that name; `training` goes into it, with what of the goal is of the training alone.
    pub(super) fn describe(&self, name: String, input_shape: [usize; 3], mut training: Value) -> Description {
        match self.clone() {
            Self::Classifier { graph, ending, classes } => Description::Classifier { name, input_shape, classes, ending, graph, training },
            Self::Vae { graphs, learns_variance, as_published } => {
                training[AS_PUBLISHED] = as_published.into();
                if learns_variance {
                    training[LEARNS_VARIANCE] = true.into();
                }
                Description::Vae { name, input_shape, graphs, training }
            }
        }
    }
}

impl From<Description> for Goal {
    fn from(description: Description) -> Self {
        match description {
            Description::Classifier { graph, ending, classes, .. } => Self::Classifier { graph, ending, classes },
            Description::Vae { graphs, training, .. } => {
                let of_training = |key: &str| training.get(key).and_then(Value::as_bool).unwrap_or(false);
                Self::Vae { graphs, learns_variance: of_training(LEARNS_VARIANCE), as_published: of_training(AS_PUBLISHED) }
            }
        }
    }
}

impl Serialize for Goal {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let shape = self.graphs()[0].input_shape();
        self.describe(String::new(), [shape[0], shape[1], shape[2]], Value::Object(serde_json::Map::new())).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Goal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = Value::deserialize(deserializer)?.to_string();
        Description::parse(text.as_bytes()).map(Self::from).map_err(de::Error::custom)
    }
}

/// The settings of a checkpoint as they are written today. Those of before graphs hold layers, which know no shape of images.
pub(super) fn modernised(mut settings: Value) -> Value {
    let shape = settings.get("image_shape").cloned().unwrap_or_default();
    if let Some(goal) = settings.get_mut("goal").filter(|goal| goal.get("layers").is_some()) {
        let as_published = goal.get(AS_PUBLISHED).cloned().unwrap_or_default();
        goal["name"] = "".into();
        goal["input_shape"] = shape;
        goal["training"] = serde_json::json!({ AS_PUBLISHED: as_published });
    }
    settings
}
