//! The model folder: `model.json` (what it is) and `weights.safetensors` (PyTorch's names and layout, f16, f32 or f64).

use super::{Classifier, Description, Network, Tensor, Vae, Weights};
use crate::error::{Error, Result};
use crate::files;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::BTreeMap;
use std::path::Path;

/// The name of the description in a model folder.
pub const DESCRIPTION: &str = "model.json";
/// The name of the weights in a model folder.
pub const WEIGHTS: &str = "weights.safetensors";

/// A model as it stands in a folder.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a handful of them are held at once")]
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
    Description::parse(bytes).map_err(|error| {
        let problem = match error {
            Error::Network(text) => text,
            other => other.to_string(),
        };
        let mend = "mend it as docs/model-format.md describes the format, or get the model again";
        Error::file(&folder.join(DESCRIPTION), format!("not a model description: {problem}"), mend)
    })
}

/// Makes the model of a description and weights.
///
/// # Errors
/// When a layer, a name, a shape or a value does not fit.
pub fn build(description: &Description, weights: &Weights) -> Result<Model> {
    let model = match description {
        Description::Vae { graphs, .. } => Model::Vae(Vae::of(graphs, weights)?),
        Description::Classifier { name, classes, ending, graph, .. } => {
            let network = Network::of(graph.clone(), weights)?;
            Model::Classifier(Classifier::new(name.clone(), classes.clone(), network)?.ending_in(*ending))
        }
    };
    let known: Vec<String> = description.weights().map(|(name, _)| name).collect();
    match weights.keys().find(|name| !known.contains(name)) {
        Some(name) => Err(Error::Network(format!("no node takes the weight '{name}'; the nodes take {}", known.join(", ")))),
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
    // In the order of their names: of several faults the same one is reported in every run.
    let mut tensors = tensors.tensors();
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (name, view) in tensors {
        // PyTorch counts the batches that a batch norm has seen, in 64-bit integers; inference does not use the number.
        if name.ends_with(".num_batches_tracked") {
            continue;
        }
        let data = view.data();
        let values: Vec<f64> = match view.dtype() {
            Dtype::F16 => data.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f64()).collect(),
            Dtype::BF16 => data.chunks_exact(2).map(|b| half::bf16::from_le_bytes([b[0], b[1]]).to_f64()).collect(),
            Dtype::F32 => data.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect(),
            Dtype::F64 => data.chunks_exact(8).map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])).collect(),
            other => return Err(damaged(format!("the weight '{name}' has the type {other:?} where f16, bf16, f32 or f64 is expected"))),
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) -> Result<Weights> {
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| (*name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
        decode_weights(Path::new("w.safetensors"), &safetensors::serialize(views, None).unwrap())
    }

    /// As `save_file(module.state_dict(), …)` writes a `BatchNorm2d`: its count is a scalar of 64 bits.
    #[test]
    fn the_state_dict_of_a_batch_norm_is_read() {
        let single = |name| (name, Dtype::F32, vec![1], 0.5f32.to_le_bytes().to_vec());
        let mut tensors = vec![
            single("bn.weight"),
            single("bn.bias"),
            single("bn.running_mean"),
            single("bn.running_var"),
            ("bn.num_batches_tracked", Dtype::I64, Vec::new(), 7i64.to_le_bytes().to_vec()),
        ];
        let weights = decoded(&tensors).unwrap();
        let names: Vec<&str> = weights.keys().map(String::as_str).collect();
        assert_eq!(names, ["bn.bias", "bn.running_mean", "bn.running_var", "bn.weight"]);
        // Of several weights of a wrong type always the first is named.
        for name in ["z.steps", "a.steps", "k.steps"] {
            tensors.push((name, Dtype::I64, Vec::new(), vec![0; 8]));
        }
        for _ in 0..8 {
            let error = decoded(&tensors).unwrap_err().to_string();
            assert!(error.contains("'a.steps' has the type I64"), "{error}");
        }
    }
}
