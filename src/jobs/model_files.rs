//! Models from their files: the shipped ones, which are part of the program, and those of folders.

use super::models::ENCODINGS;
use crate::engine::reference::forward;
use crate::error::{Error, Result};
use crate::files;
use crate::latent::ShippedEncodings;
use crate::nets::folder::{self, DESCRIPTION, Model, weights_file};
use crate::nets::{Classifier, Description, Ending, Op, foreign};
use crate::numbers::by_number;
use crate::random::{Purpose, Stream};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The origin of the shipped models, for messages.
pub const SHIPPED_ORIGIN: &str = "models";

/// The bytes of the files of a shipped model.
macro_rules! shipped {
    ($($name:literal),*) => {
        [$((
            $name,
            include_bytes!(concat!("../../models/", $name, "/model.json")).as_slice(),
            include_bytes!(concat!("../../models/", $name, "/weights.safetensors")).as_slice(),
        )),*]
    };
}

/// Name, `model.json` and `weights.safetensors` of every shipped model.
static SHIPPED: [(&str, &[u8], &[u8]); 11] = shipped![
    "vae",
    "classifier-0",
    "classifier-1",
    "classifier-2",
    "classifier-3",
    "classifier-4",
    "classifier-5",
    "classifier-6",
    "classifier-7",
    "classifier-8",
    "classifier-9"
];
static SHIPPED_ENCODINGS: &[u8] = include_bytes!("../../models/encodings.safetensors");

/// A model as it was read.
pub struct ReadModel {
    pub description: Description,
    pub model: Model,
    /// The SHA-256 of its description and weights.
    pub hash: String,
    /// What should be said of the reading.
    pub note: Option<String>,
}

impl ReadModel {
    /// Makes the model of the bytes of its two files; `folder` is for messages.
    fn parse(folder: &Path, description: &[u8], weights: &[u8]) -> Result<Self> {
        let hash = files::hexadecimal(&Sha256::new().chain_update(description).chain_update(weights).finalize());
        let (description, model, note) = folder::parse(folder, description, weights)?;
        if let Model::Classifier(classifier) = &model {
            check_ending(folder, classifier)?;
        }
        Ok(Self { description, model, hash, note })
    }

    fn read(folder: &Path) -> Result<Self> {
        Self::parse(folder, &files::read_json(&folder.join(DESCRIPTION))?, &files::read(&weights_file(folder))?)
    }
}

/// How far probabilities may be from 1 in sum.
const MOST_OFF: f64 = 1e-3;

/// Refuses a classifier that says to end in probabilities, or their logarithms, but does not on an image of noise.
fn check_ending(folder: &Path, classifier: &Classifier) -> Result<()> {
    let Classifier { network, ending, .. } = classifier;
    let Some(last) = network.graph().last() else { return Ok(()) };
    let (what, probability): (_, fn(f64) -> f64) = match (ending, &last.op) {
        (Ending::Logits, _) | (Ending::Probabilities, Op::Softmax {}) | (Ending::LogProbabilities, Op::LogSoftmax {}) => return Ok(()),
        (Ending::Probabilities, _) => ("probabilities", |p| p),
        (Ending::LogProbabilities, _) => ("log_probabilities", f64::exp),
    };
    let noise = Stream::new(1, Purpose::Choice);
    let pixels: usize = network.input_shape().iter().product();
    let image: Vec<f64> = (0..pixels).map(|pixel| noise.uniform([0; 3], pixel as u32)).collect();
    let probabilities: Vec<f64> = forward(network, &image, None).into_iter().map(probability).collect();
    let sum: f64 = probabilities.iter().sum();
    if (sum - 1.0).abs() <= MOST_OFF && probabilities.iter().all(|&p| p >= -MOST_OFF) {
        return Ok(());
    }
    let problem = format!(
        "its output should be {what}, but of an image of noise node '{}' ({}) makes {}, which sum to {sum:.4}",
        last.name,
        last.op.label(),
        if *ending == Ending::Probabilities { "numbers" } else { "logarithms of numbers" }
    );
    Err(Error::file(&folder.join(DESCRIPTION), problem, "end the network in a softmax, or set `output` to what it makes"))
}

/// The shipped models.
///
/// # Errors
/// Only if the program was built from damaged models.
pub fn shipped() -> Result<Vec<ReadModel>> {
    let parse =
        |(name, description, weights): &(&str, &[u8], &[u8])| ReadModel::parse(&Path::new(SHIPPED_ORIGIN).join(name), description, weights);
    SHIPPED.iter().map(parse).collect()
}

/// Their encodings.
///
/// # Errors
/// As [`shipped`].
pub fn shipped_encodings() -> Result<ShippedEncodings> {
    ShippedEncodings::decode(&Path::new(SHIPPED_ORIGIN).join(ENCODINGS), SHIPPED_ENCODINGS)
}

/// The encodings of a file, if it is there.
///
/// # Errors
/// When the file is damaged.
pub fn encodings(path: &Path) -> Result<Option<ShippedEncodings>> {
    if path.exists() { ShippedEncodings::read(path).map(Some) } else { Ok(None) }
}

/// Whether a folder holds a description of a model, readable or not.
fn is_model(folder: &Path) -> bool {
    folder.join(DESCRIPTION).symlink_metadata().is_ok()
}

/// The file of the encodings of a set of models: in its folder, or where `epistemap encode` writes it, in the folder of its only VAE.
pub fn encodings_of_set(folder: &Path) -> PathBuf {
    let own = folder.join(ENCODINGS);
    let vaes = || model_folders(folder).unwrap_or_default().into_iter().filter(|model| is_vae(model)).collect::<Vec<_>>();
    if own.exists() || is_model(folder) {
        return own;
    }
    match &vaes()[..] {
        [vae] if vae.join(ENCODINGS).exists() => vae.join(ENCODINGS),
        _ => own,
    }
}

/// The file of the encodings of the VAE in a folder: in the folder itself, or beside it, where it is the only VAE of a set of models.
pub fn encodings_file(folder: &Path) -> PathBuf {
    let own = folder.join(ENCODINGS);
    if own.exists() || !is_model(folder) {
        return own;
    }
    let set = folder.join("..");
    let is_the_only_one = || model_folders(&set).is_ok_and(|models| models.iter().filter(|model| is_vae(model)).count() == 1);
    let beside = set.join(ENCODINGS);
    if beside.exists() && is_the_only_one() { beside } else { own }
}

/// The model of a folder, or the models of the folders in it, in the order of their names (numbers in names by value).
///
/// # Errors
/// When it is a file or cannot be read, or a model is damaged.
pub fn read_all(folder: &Path) -> Result<Vec<ReadModel>> {
    if folder.exists() && !folder.is_dir() {
        return Err(foreign::file_as_model(folder));
    }
    if is_model(folder) {
        return Ok(vec![ReadModel::read(folder)?]);
    }
    model_folders(folder)?.iter().map(|path| ReadModel::read(path)).collect()
}

/// The model folders in a folder, in the order of their names (numbers in names by value).
///
/// # Errors
/// When the folder cannot be read.
pub fn model_folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut models = folders(folder)?;
    models.retain(|path| is_model(path));
    Ok(models)
}

/// Refuses an output folder that is or contains a model folder, which could be overwritten.
///
/// # Errors
/// Names the model.
pub fn refuse_models(folder: &Path) -> Result<()> {
    let there = match () {
        () if is_model(folder) => vec![folder.to_owned()],
        () if folder.is_dir() => model_folders(folder)?,
        () => Vec::new(),
    };
    match there.first() {
        Some(model) => Err(Error::file(model, "holds a model already", "name another folder with --out")),
        None => Ok(()),
    }
}

/// The folders in a folder, in the order of their names (numbers in names by value).
///
/// # Errors
/// When the folder cannot be read.
pub fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = files::listed(folder)?;
    folders.retain(|path| path.is_dir());
    folders.sort_by_key(|path| by_number(&path.to_string_lossy()));
    Ok(folders)
}

/// The one VAE of a folder.
///
/// # Errors
/// When there is not one, or a model is damaged.
pub fn vae_of(folder: &Path) -> Result<ReadModel> {
    let mut vaes = read_all(folder)?.into_iter().filter(|model| matches!(model.model, Model::Vae(_)));
    match (vaes.next(), vaes.next()) {
        (Some(vae), None) => Ok(vae),
        (None, _) => Err(Error::file(folder, "holds no VAE", "name the folder of a VAE, or one that holds such a folder")),
        _ => Err(Error::file(folder, "holds several VAEs", "name the folder of one of them")),
    }
}

fn is_vae(model: &Path) -> bool {
    matches!(folder::describe(model), Ok(Description::Vae { .. }))
}

/// Whether a folder is that of a VAE, or holds one. A folder that cannot be read holds none.
pub fn has_vae(folder: &Path) -> bool {
    is_vae(folder) || model_folders(folder).is_ok_and(|models| models.iter().any(|model| is_vae(model)))
}

/// The classifiers of a folder, one at least.
///
/// # Errors
/// When there is none, or a model is damaged.
pub fn classifiers_of(folder: &Path) -> Result<Vec<ReadModel>> {
    let mut models = read_all(folder)?;
    models.retain(|model| matches!(model.model, Model::Classifier(_)));
    if models.is_empty() {
        return Err(Error::file(folder, "holds no classifier", "name the folder of a classifier, or one that holds such folders"));
    }
    Ok(models)
}

/// Gives the later ones of models of the same name a number: hashes and scores go by the name.
pub fn tell_apart(models: &mut [ReadModel]) {
    let mut taken = BTreeSet::new();
    for ReadModel { description, model, .. } in models {
        let name = description.name().to_owned();
        let numbered = (2..).map(|number: u32| format!("{name} ({number})"));
        let Some(free) = std::iter::once(name.clone()).chain(numbered).find(|name| !taken.contains(name)) else { continue };
        if let Model::Classifier(classifier) = model {
            classifier.name.clone_from(&free);
        }
        description.rename(free.clone());
        taken.insert(free);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::{Graph, Network, Tensor, random_graph_weights};
    use serde_json::json;

    /// What is said of a classifier that ends in these nodes.
    fn said(ending: Ending, last: &serde_json::Value) -> String {
        let mut nodes =
            vec![json!({"name": "flat", "op": "flatten"}), json!({"name": "fc", "op": "linear", "in_features": 4, "out_features": 3})];
        nodes.extend(last.as_array().cloned().unwrap_or_default());
        let graph = Graph::new(&[1, 2, 2], serde_json::from_value(nodes.into()).unwrap()).unwrap();
        let network = Network::of(graph.clone(), &random_graph_weights(&graph, 1)).unwrap();
        let classifier = Classifier::new("c", ["a", "b", "c"].map(String::from).to_vec(), network).unwrap().ending_in(ending);
        check_ending(Path::new("c"), &classifier).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn one_logit_is_that_of_the_second_class() {
        let text = json!({"kind": "classifier", "version": 2, "name": "m", "input_shape": [1, 1, 2], "classes": ["a", "b"], "output": "binary_logit",
            "nodes": [{"name": "flat", "op": "flatten"}, {"name": "fc", "op": "linear", "in_features": 2, "out_features": 1}]});
        let weights = [("fc.weight", Tensor::new([1, 2], vec![1.0, 0.0])), ("fc.bias", Tensor::new([1], vec![-2.0]))];
        let weights = weights.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect();
        let description = Description::parse(text.to_string().as_bytes()).unwrap();
        let Model::Classifier(classifier) = folder::build(&description, &weights).unwrap() else { panic!("a VAE") };
        assert_eq!(forward(&classifier.network, &[0.5, 0.0], None), [0.0, -1.5]);
    }

    #[test]
    fn outputs_that_are_no_probabilities_are_refused() {
        let softmax = json!({"name": "p", "op": "softmax"});
        let log = json!({"name": "l", "op": "log_softmax"});
        let same = |name: &str| json!({"name": name, "op": "scale", "factor": 1.0});
        let sigmoid = json!({"name": "s", "op": "apply", "function": "sigmoid"});
        for (ending, last) in [
            (Ending::Logits, json!([])),
            (Ending::Probabilities, json!([softmax])),
            (Ending::Probabilities, json!([softmax, same("p2")])),
            (Ending::LogProbabilities, json!([log])),
            (Ending::LogProbabilities, json!([log, same("l2")])),
        ] {
            assert_eq!(said(ending, &last), "");
        }
        for (ending, last, told) in [
            (Ending::Probabilities, json!([sigmoid]), "node 's' (sigmoid) makes numbers, which sum to "),
            (Ending::Probabilities, json!([log]), "node 'l' (log_softmax) makes numbers, which sum to -"),
            (Ending::LogProbabilities, json!([]), "node 'fc' (linear) makes logarithms of numbers, which sum to "),
            (Ending::LogProbabilities, json!([softmax]), "node 'p' (softmax) makes logarithms"),
        ] {
            let text = said(ending, &last);
            assert!(text.contains(told) && text.contains(DESCRIPTION), "{text}");
        }
    }
}
