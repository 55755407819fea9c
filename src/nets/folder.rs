//! The model folder: `model.json` (what it is) and `weights.safetensors` (PyTorch's names and layout, f16, f32 or f64). Models in folders side by
//! side may share weights: a file beside these folders, which the metadata of their own weights name.

use super::{Classifier, Description, Network, Tensor, Vae, Weights, foreign};
use crate::budget;
use crate::error::{Error, Result};
use crate::files;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// The name of the description in a model folder.
pub const DESCRIPTION: &str = "model.json";
/// The name of the weights in a model folder.
pub const WEIGHTS: &str = "weights.safetensors";
/// The name of the weights where Hugging Face's tools wrote them.
const OTHER_WEIGHTS: &str = "model.safetensors";
/// What PyTorch's wrappers put before every name of a state dict: `DataParallel`, and `torch.compile`.
const PREFIXES: [&str; 2] = ["module.", "_orig_mod."];
/// The keys of the metadata that name a file of shared weights, and its SHA-256.
const SHARED: &str = "shared_weights";
const SHARED_HASH: &str = "shared_sha256";
/// The fewest images that the CPU engine computes side by side.
const IMAGES_AT_ONCE: usize = 32;
/// Bytes of a weight in memory: as it was read, in its network, and packed for an engine.
const BYTES_PER_WEIGHT: usize = 8 + 8 + 4;

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
    let (description, model, _) = parse(folder, &read_description(folder)?, &files::read(&weights_file(folder))?)?;
    Ok((description, model))
}

/// The file of the weights in a model folder, under the name that it has there.
pub fn weights_file(folder: &Path) -> PathBuf {
    let [own, other] = [WEIGHTS, OTHER_WEIGHTS].map(|name| folder.join(name));
    if !own.exists() && other.exists() { other } else { own }
}

/// Makes the model of the bytes of its two files; `folder` is for messages. Also what should be said of the reading.
///
/// # Errors
/// As [`load`].
pub fn parse(folder: &Path, description: &[u8], weights: &[u8]) -> Result<(Description, Model, Option<String>)> {
    let description = parse_description(folder, description)?;
    check_values(folder, &description)?;
    let path = weights_file(folder);
    let mut all = decode_weights(&path, weights)?;
    let prefix = strip_prefixes(&mut all, |prefix| description.weights().any(|(name, _)| name.starts_with(prefix)));
    let note = (!prefix.is_empty()).then(|| format!("{}: every name begins with '{prefix}', which is left out.", path.display()));
    if let Some(shared) = shared_weights(folder, &path, weights)? {
        all.extend(shared);
    }
    let weights = all;
    let model = build(&description, &weights).map_err(|error| in_file(&path, error))?;
    Ok((description, model, note))
}

/// Removes prefixes of PyTorch's wrappers that all names share, unless `is_meant`. Returns what it removed.
pub fn strip_prefixes(weights: &mut Weights, is_meant: impl Fn(&str) -> bool) -> String {
    let mut taken = String::new();
    let all_begin = |weights: &Weights, prefix: &str| !weights.is_empty() && weights.keys().all(|name| name.starts_with(prefix));
    while let Some(prefix) = PREFIXES.into_iter().find(|prefix| all_begin(weights, prefix)) {
        if is_meant(prefix) {
            break;
        }
        *weights = std::mem::take(weights).into_iter().map(|(name, tensor)| (name[prefix.len()..].to_owned(), tensor)).collect();
        taken.push_str(prefix);
    }
    taken
}

/// Reads the description of the model folder `folder`, without its weights.
///
/// # Errors
/// When it is missing or damaged.
pub fn describe(folder: &Path) -> Result<Description> {
    parse_description(folder, &read_description(folder)?)
}

/// The bytes of the description in a model folder, which is one.
fn read_description(folder: &Path) -> Result<Vec<u8>> {
    if folder.is_file() { Err(foreign::file_as_model(folder)) } else { files::read_json(&folder.join(DESCRIPTION)) }
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

/// Refuses a model whose values of one node do not fit into memory for the images that an engine computes at once.
fn check_values(folder: &Path, description: &Description) -> Result<()> {
    for graph in description.graphs() {
        for (number, node) in graph.nodes().iter().enumerate() {
            let taken = graph.sources(number).iter().map(|&value| graph.shape(value));
            let elements: f64 = taken.chain([graph.shape(number + 1)]).map(|shape| shape.iter().product::<usize>() as f64).sum();
            let what = format!("input and output of node '{}' ({}) for {IMAGES_AT_ONCE} images", node.name, node.op.label());
            if let Some(problem) = budget::excess(what, elements * (IMAGES_AT_ONCE * size_of::<f32>()) as f64) {
                let mend = format!("make its shapes smaller, or allow more memory with {}", budget::OPTION);
                return Err(Error::file(&folder.join(DESCRIPTION), problem, mend));
            }
        }
    }
    Ok(())
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
    write_description(folder, description)
}

fn write_description(folder: &Path, description: &Description) -> Result<()> {
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
    if let Some((what, mend)) = foreign::of_weights(path, bytes) {
        return Err(Error::file(path, what, mend));
    }
    files::check_header(path, bytes)?;
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| damaged(format!("not a safetensors file: {error}")))?;
    let count: usize = tensors.iter().map(|(_, view)| view.shape().iter().product::<usize>()).sum();
    if let Some(problem) = budget::excess(format!("its {count} weights"), (count * BYTES_PER_WEIGHT) as f64) {
        return Err(Error::file(path, problem, format!("name a smaller model, or allow more with {}", budget::OPTION)));
    }
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
    encode(path, weights, precision, None)
}

fn encode(path: &Path, weights: &Weights, precision: Precision, metadata: Option<HashMap<String, String>>) -> Result<Vec<u8>> {
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
    safetensors::serialize(views, metadata).map_err(refused)
}

/// Writes a model folder whose other weights stand in the file `shared` beside it, which is there.
///
/// # Errors
/// When a file cannot be read or written.
pub fn save_beside(folder: &Path, description: &Description, own: &Weights, shared: &str) -> Result<()> {
    let beside = beside(folder, &folder.join(WEIGHTS), shared)?;
    let hash = hash_of(&files::read(&beside)?);
    let metadata = HashMap::from([(SHARED.to_owned(), shared.to_owned()), (SHARED_HASH.to_owned(), hash)]);
    let path = folder.join(WEIGHTS);
    files::write_atomically(&path, &files::with_sorted_header(encode(&path, own, Precision::F32, Some(metadata))?))?;
    write_description(folder, description)
}

fn hash_of(bytes: &[u8]) -> String {
    files::hexadecimal(&Sha256::digest(bytes))
}

/// The file of shared weights beside a model's folder: a plain name, since it comes from a file.
fn beside(folder: &Path, weights: &Path, name: &str) -> Result<PathBuf> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.starts_with('.') || !name.ends_with(".safetensors") || !name.chars().all(plain) {
        let problem = format!("shares the weights of {name:?}, which is no name of a .safetensors file beside its folder");
        return Err(Error::file(weights, problem, "get the model again"));
    }
    Ok(std::path::absolute(folder).map_err(|error| Error::io(folder, &error))?.parent().unwrap_or(folder).join(name))
}

/// The weights that a model shares with others, where its own name them.
fn shared_weights(folder: &Path, path: &Path, own: &[u8]) -> Result<Option<Weights>> {
    // What is no safetensors file was refused already.
    let metadata = SafeTensors::read_metadata(own).ok().and_then(|(_, header)| header.metadata().clone()).unwrap_or_default();
    let Some(name) = metadata.get(SHARED) else { return Ok(None) };
    let beside = beside(folder, path, name)?;
    let bytes = files::read(&beside)?;
    if metadata.get(SHARED_HASH) != Some(&hash_of(&bytes)) {
        return Err(Error::file(&beside, format!("is not the file that {} was made with", path.display()), "get both again"));
    }
    decode_weights(&beside, &bytes).map(Some)
}

fn in_file(path: &Path, error: Error) -> Error {
    match error {
        Error::Network(text) => Error::file(path, text, format!("mend the layers in {DESCRIPTION} beside it, or the weights")),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::random_graph_weights;
    use super::*;

    fn decoded(tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) -> Result<Weights> {
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| (*name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
        decode_weights(Path::new("w.safetensors"), &safetensors::serialize(views, None).unwrap())
    }

    #[test]
    fn models_side_by_side_share_weights_of_a_file_with_a_plain_name() {
        let set = tempfile::tempdir().unwrap();
        let folder = set.path().join("one");
        let linear = |name: &str| serde_json::json!({"name": name, "op": "linear", "in_features": 2, "out_features": 2});
        let text = serde_json::json!({"kind": "classifier", "version": 2, "name": "one", "input_shape": [1, 1, 2], "classes": ["a", "b"],
            "nodes": [{"name": "flat", "op": "flatten"}, linear("first"), linear("second")]});
        let description = Description::parse(text.to_string().as_bytes()).unwrap();
        let weights = random_graph_weights(description.graphs()[0], 3);
        let of =
            |part: &str| weights.iter().filter(|(name, _)| name.starts_with(part)).map(|(name, t)| (name.clone(), t.clone())).collect();
        let file = set.path().join("shared.safetensors");
        std::fs::write(&file, encode_weights(&file, &of("first"), Precision::F32).unwrap()).unwrap();
        save_beside(&folder, &description, &of("second"), "shared.safetensors").unwrap();
        let written = std::fs::read(folder.join(WEIGHTS)).unwrap();
        for _ in 0..8 {
            save_beside(&folder, &description, &of("second"), "shared.safetensors").unwrap();
            assert!(std::fs::read(folder.join(WEIGHTS)).unwrap() == written, "the bytes change from run to run");
        }
        let Model::Classifier(classifier) = load(&folder).unwrap().1 else { panic!("no classifier") };
        let in_f32 = |weights: &Weights| weights.values().flat_map(Tensor::to_f32).collect::<Vec<_>>();
        assert_eq!(in_f32(classifier.network.weights()), in_f32(&weights));
        // Another file, none, and names that lead elsewhere.
        std::fs::write(&file, encode_weights(&file, &of("second"), Precision::F32).unwrap()).unwrap();
        assert!(load(&folder).unwrap_err().to_string().contains("is not the file that"));
        std::fs::remove_file(&file).unwrap();
        assert!(load(&folder).unwrap_err().to_string().contains("shared.safetensors"));
        for name in ["../shared.safetensors", "/etc/w.safetensors", ".safetensors", "a/b.safetensors", "weights.bin"] {
            assert!(save_beside(&folder, &description, &of("second"), name).unwrap_err().to_string().contains("no name of"), "{name}");
        }
    }

    #[test]
    fn prefixes_of_wrappers_are_left_out_and_told_unless_the_description_has_them() {
        let place = tempfile::tempdir().unwrap();
        let model = |node: &str| {
            let text = serde_json::json!({"kind": "classifier", "version": 2, "name": "one", "input_shape": [1, 1, 2], "classes": ["a", "b"],
                "nodes": [{"name": "flat", "op": "flatten"}, {"name": node, "op": "linear", "in_features": 2, "out_features": 2}]});
            Description::parse(text.to_string().as_bytes()).unwrap()
        };
        for (node, prefix, taken) in [
            ("fc", "", None),
            ("fc", "module.", Some("'module.'")),
            ("fc", "_orig_mod.module.", Some("'_orig_mod.module.'")),
            ("fc", "module._orig_mod.", Some("'module._orig_mod.'")),
            ("module.fc", "", None),
            ("module.fc", "_orig_mod.", Some("'_orig_mod.'")),
        ] {
            let description = model(node);
            let plain = random_graph_weights(description.graphs()[0], 3);
            let weights: Weights = plain.iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor.clone())).collect();
            let _ = std::fs::remove_file(place.path().join(OTHER_WEIGHTS));
            save(place.path(), &description, &weights, Precision::F32).unwrap();
            // As Hugging Face's tools name it.
            std::fs::rename(place.path().join(WEIGHTS), place.path().join(OTHER_WEIGHTS)).unwrap();
            let bytes = [place.path().join(DESCRIPTION), weights_file(place.path())].map(|path| std::fs::read(path).unwrap());
            let (_, model, note) = parse(place.path(), &bytes[0], &bytes[1]).unwrap();
            let Model::Classifier(classifier) = model else { panic!("a VAE") };
            assert!(classifier.network.weights().keys().eq(plain.keys()), "{prefix}");
            assert_eq!(
                note.as_deref().map(|note| note.contains(taken.unwrap_or("none")) && note.contains(OTHER_WEIGHTS)),
                taken.map(|_| true)
            );
        }
        // A prefix of some only belongs to their names.
        let mut weights = random_graph_weights(model("fc").graphs()[0], 3);
        let bias = weights.remove("fc.bias").unwrap();
        weights.insert("module.fc.bias".to_owned(), bias);
        std::fs::remove_file(place.path().join(OTHER_WEIGHTS)).unwrap();
        save(place.path(), &model("fc"), &weights, Precision::F32).unwrap();
        assert!(load(place.path()).unwrap_err().to_string().contains("'fc.bias' of shape [2] is missing"));
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
