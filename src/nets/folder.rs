//! The model folder: `model.json` (what it is) and `weights.safetensors` (PyTorch's names and layout, f16, f32 or f64).

use super::{Classifier, Layer, Network, Tensor, Vae, VaeLayers, Weights};
use crate::error::{Error, Result};
use crate::files;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The name of the description in a model folder.
pub const DESCRIPTION: &str = "model.json";
/// The name of the weights in a model folder.
pub const WEIGHTS: &str = "weights.safetensors";

/// What `model.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Description {
    /// A variational autoencoder.
    Vae { name: String, input_shape: [usize; 3], layers: VaeLayers, training: serde_json::Value },
    /// A classifier.
    Classifier { name: String, input_shape: [usize; 3], classes: Vec<String>, layers: Vec<Layer>, training: serde_json::Value },
}

impl Description {
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

    /// The layers, those of all parts of a VAE.
    pub fn layers(&self) -> Vec<&Layer> {
        match self {
            Self::Vae { layers, .. } => layers.all().collect(),
            Self::Classifier { layers, .. } => layers.iter().collect(),
        }
    }

    /// How it was trained; `null` where nobody said.
    pub fn training(&self) -> &serde_json::Value {
        match self {
            Self::Vae { training, .. } | Self::Classifier { training, .. } => training,
        }
    }
}

/// A model as it stands in a folder.
#[derive(Clone, Debug, PartialEq)]
pub enum Model {
    Vae(Vae),
    Classifier(Classifier),
}

/// How weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Half the size; the shipped models.
    F16,
    /// What training computes in; checkpoints.
    F32,
}

/// Reads the model folder `folder`.
///
/// # Errors
/// When a file is missing or damaged, or a weight's name, shape or values do not fit the layers; says which.
pub fn load(folder: &Path) -> Result<(Description, Model)> {
    parse(folder, &files::read(&folder.join(DESCRIPTION))?, &files::read(&folder.join(WEIGHTS))?)
}

/// Makes the model of the bytes of its two files; `folder` is for messages.
///
/// # Errors
/// As [`load`].
pub fn parse(folder: &Path, description: &[u8], weights: &[u8]) -> Result<(Description, Model)> {
    let description = parse_description(folder, description)?;
    let path = folder.join(WEIGHTS);
    let weights = decode_weights(&path, weights)?;
    let model = build(&description, &weights).map_err(|error| in_file(&path, error))?;
    Ok((description, model))
}

/// Reads the description of the model folder `folder`, without its weights.
///
/// # Errors
/// When it is missing or damaged.
pub fn describe(folder: &Path) -> Result<Description> {
    parse_description(folder, &files::read(&folder.join(DESCRIPTION))?)
}

fn parse_description(folder: &Path, bytes: &[u8]) -> Result<Description> {
    serde_json::from_slice(bytes).map_err(|error| {
        let mend = "compare it with models/classifier-0/model.json, or get the model again";
        Error::file(&folder.join(DESCRIPTION), format!("not a model description: {error}"), mend)
    })
}

/// Makes the model of a description and weights.
///
/// # Errors
/// When a layer, a name, a shape or a value does not fit.
pub fn build(description: &Description, weights: &Weights) -> Result<Model> {
    let (model, names): (_, Vec<&Layer>) = match description {
        Description::Vae { input_shape, layers, .. } => (Model::Vae(Vae::new(*input_shape, layers, weights)?), layers.all().collect()),
        Description::Classifier { name, input_shape, classes, layers, .. } => {
            let network = Network::new(input_shape, layers.clone(), weights)?;
            (Model::Classifier(Classifier::new(name.clone(), classes.clone(), network)?), layers.iter().collect())
        }
    };
    let known: Vec<String> = names.iter().flat_map(|layer| layer.weights()).map(|(name, _)| name).collect();
    match weights.keys().find(|name| !known.contains(name)) {
        Some(name) => Err(Error::Network(format!("no layer takes the weight '{name}'; the layers take {}", known.join(", ")))),
        None => Ok(model),
    }
}

/// Writes a model folder; each of the two files appears complete or not at all, the description last.
///
/// # Errors
/// When a file cannot be written.
pub fn save(folder: &Path, description: &Description, weights: &Weights, precision: Precision) -> Result<()> {
    let path = folder.join(WEIGHTS);
    files::write_atomically(&path, &encode_weights(&path, weights, precision)?)?;
    let mut text = serde_json::to_vec_pretty(description).map_err(|error| Error::file(folder, error.to_string(), "report this defect"))?;
    text.push(b'\n');
    files::write_atomically(&folder.join(DESCRIPTION), &text)
}

/// Weights from the bytes of a safetensors file; `path` is for messages.
///
/// # Errors
/// When the bytes are no safetensors file, or hold a type other than f16, bf16, f32, f64.
pub fn decode_weights(path: &Path, bytes: &[u8]) -> Result<Weights> {
    let damaged = |problem: String| Error::file(path, problem, "get the file again, or save it anew as safetensors");
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| damaged(format!("not a safetensors file: {error}")))?;
    let mut weights = Weights::new();
    for (name, view) in tensors.tensors() {
        let data = view.data();
        let values: Vec<f64> = match view.dtype() {
            Dtype::F16 => data.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f64()).collect(),
            Dtype::BF16 => data.chunks_exact(2).map(|b| half::bf16::from_le_bytes([b[0], b[1]]).to_f64()).collect(),
            Dtype::F32 => data.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect(),
            Dtype::F64 => data.chunks_exact(8).map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])).collect(),
            other => return Err(damaged(format!("the weight '{name}' has the type {other:?} where f16, bf16, f32 or f64 is expected"))),
        };
        // PyTorch counts the batches that a batch norm has seen; inference has no use for it.
        if name.ends_with(".num_batches_tracked") {
            continue;
        }
        weights.insert(name, Tensor::new(view.shape(), values));
    }
    Ok(weights)
}

/// The bytes of a safetensors file that holds `weights`; `path` is for messages.
///
/// # Errors
/// When the library refuses.
pub fn encode_weights(path: &Path, weights: &Weights, precision: Precision) -> Result<Vec<u8>> {
    let refused = |error: safetensors::SafeTensorError| Error::file(path, error.to_string(), "report this defect");
    let bytes: BTreeMap<&String, Vec<u8>> = weights
        .iter()
        .map(|(name, tensor)| {
            let bytes = match precision {
                Precision::F16 => tensor.values.iter().flat_map(|&value| half::f16::from_f64(value).to_le_bytes()).collect(),
                Precision::F32 => tensor.values.iter().flat_map(|&value| (value as f32).to_le_bytes()).collect(),
            };
            (name, bytes)
        })
        .collect();
    let dtype = match precision {
        Precision::F16 => Dtype::F16,
        Precision::F32 => Dtype::F32,
    };
    let mut views = Vec::new();
    for (name, tensor) in weights {
        views.push((name.clone(), TensorView::new(dtype, tensor.shape.clone(), &bytes[name]).map_err(refused)?));
    }
    safetensors::serialize(views, None).map_err(refused)
}

fn in_file(path: &Path, error: Error) -> Error {
    match error {
        Error::Network(text) => Error::file(path, text, format!("mend the layers in {DESCRIPTION} beside it, or the weights")),
        other => other,
    }
}
