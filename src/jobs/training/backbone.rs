//! Transfer: the trunk of a trained network, frozen, whose features of all images are computed once, and a head that is trained on them.

use super::News;
use super::NewsObserver;
use crate::data::Dataset;
use crate::engine::cpu;
use crate::error::{Error, Result};
use crate::files;
use crate::jobs::Progress;
use crate::jobs::model_files::classifiers_of;
use crate::nets::folder::{Model, Precision, decode_weights, encode_weights, load, save, save_beside, strip_prefixes};
use crate::nets::{Description, Graph, INPUT, Interpolation, Network, Node, Op, Weights, torchvision};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::path::Path;

/// The file of the trunk's weights beside the folders of several heads.
const SHARED: &str = "backbone.safetensors";
/// The name of the node that brings images to the trunk's size.
const RESIZE: &str = "resize";
/// What the names of the nodes behind the trunk begin with.
const HEAD: &str = "head";
/// Images whose features are computed between two looks at whether to go on.
const BATCH: usize = 64;

/// A frozen trunk: everything before a network's last linear layer, without dropout.
pub(super) struct Backbone {
    name: String,
    network: Network,
    hash: String,
}

impl Backbone {
    /// The trunk of a classifier's model folder, or of a `.safetensors` file of one of torchvision's residual networks, for images
    /// [channels, height, width]. Images of another size than the network takes are brought to its size inside the model, bilinearly, or to
    /// `resize` pixels along each side.
    ///
    /// # Errors
    /// When there is no such network, or it does not take these images.
    pub fn open(path: &Path, images: [usize; 3], resize: Option<usize>) -> Result<Self> {
        let refused =
            |problem: String| Error::file(path, problem, "name the folder of a classifier, or a torchvision ResNet's .safetensors");
        let of_file = |error: Error| match error {
            Error::Network(text) => refused(text),
            other => other,
        };
        let (name, mut graph, weights) = if path.is_dir() {
            let mut models = classifiers_of(path)?;
            if models.len() > 1 {
                return Err(refused(format!("holds {} classifiers", models.len())));
            }
            let one = models.remove(0);
            let Model::Classifier(classifier) = one.model else { return Err(refused("holds no classifier".to_owned())) };
            (one.description.name().to_owned(), classifier.network.graph().clone(), classifier.network.weights().clone())
        } else {
            let mut weights = decode_weights(path, &files::read(path)?)?;
            strip_prefixes(&mut weights, |_| false);
            if !torchvision::is_resnet(&weights) {
                return Err(refused("holds weights, but not under the names of a torchvision ResNet".to_owned()));
            }
            let side = resize.map_or([images[1], images[2]], |side| [side; 2]);
            let graph = torchvision::resnet([images[0], side[0], side[1]], &weights).map_err(of_file)?;
            let name = path.file_stem().map_or_else(|| "backbone".to_owned(), |stem| stem.to_string_lossy().into_owned());
            (name, graph, weights)
        };
        graph = trunk(&graph).map_err(of_file)?;
        graph = resized(&graph, images, resize).map_err(of_file)?;
        let weights: Weights = graph.weights().filter_map(|(name, _)| Some((name.clone(), weights.get(&name)?.clone()))).collect();
        let network = Network::of(graph, &weights).map_err(of_file)?;
        let mut hash = Sha256::new().chain_update(format!("{:?}", network.nodes()));
        for tensor in network.weights().values() {
            tensor.values.iter().for_each(|value| hash.update(value.to_le_bytes()));
        }
        Ok(Self { name, hash: files::hexadecimal(&hash.finalize()), network })
    }

    /// How many features it makes of an image.
    pub fn features(&self) -> usize {
        self.network.output_shape().iter().product()
    }

    /// The features of the images of a data set in place of its pixels, \[N, features, 1, 1\]: from the cache where they were computed before.
    ///
    /// # Errors
    /// When the observer stops.
    pub fn of(&self, data: &Dataset, cache: Option<&Path>, observe: NewsObserver<'_>) -> Result<Dataset> {
        let file = cache.map(|folder| {
            folder.join(format!("{}.features", files::hexadecimal(&Sha256::digest(format!("{} {}", self.hash, data.sha256())))))
        });
        let kept = file.as_deref().and_then(|file| load_features(file, data.len() * self.features()));
        let features = if let Some(kept) = kept {
            kept
        } else {
            let computed = self.compute(data, observe)?;
            if let Some(file) = &file {
                // Without a place in the cache they are computed again in the next run.
                store_features(file, &computed).ok();
            }
            computed
        };
        Ok(data.with_features(self.features(), features))
    }

    fn compute(&self, data: &Dataset, observe: NewsObserver<'_>) -> Result<Vec<f32>> {
        let mut features = Vec::with_capacity(data.len() * self.features());
        for first in (0..data.len()).step_by(BATCH) {
            if observe(News::Features(Progress { done: first as u64, total: data.len() as u64 })).is_break() {
                return Err(Error::Cancelled);
            }
            features.extend(cpu::outputs(&self.network, &data.images_of(first..data.len().min(first + BATCH))));
        }
        Ok(features)
    }

    /// Makes of the head that was trained in a model folder the whole network, there; one that is whole stays. The heads of several members
    /// share the trunk's weights in a file beside their folders.
    ///
    /// # Errors
    /// When the head is damaged, or a file cannot be written.
    pub fn join(&self, into: &Path, is_shared: bool) -> Result<()> {
        let (description, model) = load(into)?;
        let (Description::Classifier { name, classes, ending, graph, mut training, .. }, Model::Classifier(head)) = (description, model)
        else {
            return Err(Error::file(into, "holds no classifier", "train into another folder"));
        };
        let input = self.network.input_shape();
        if graph.input_shape() == input {
            return Ok(());
        }
        let mut nodes = self.network.graph().named_nodes();
        // A trunk made from a network with a head keeps the nodes before that head's last layer, whose names must stay unique.
        let mut part = HEAD.to_owned();
        while nodes.iter().any(|node| node.name.starts_with(&format!("{part}."))) {
            part += "-new";
        }
        let renamed = |name: &str| if name == INPUT { self.output() } else { format!("{part}.{name}") };
        nodes.extend(graph.named_nodes().into_iter().map(|node| Node {
            name: renamed(&node.name),
            inputs: node.inputs.iter().map(|input| renamed(input)).collect(),
            op: node.op,
        }));
        training["backbone"] = json!({ "name": self.name, "sha256": self.hash });
        let graph = Graph::new(input, nodes)?;
        let input_shape = [input[0], input[1], input[2]];
        let description = Description::Classifier { name, input_shape, classes, ending, graph, training };
        let own: Weights = head.network.weights().iter().map(|(name, weight)| (format!("{part}.{name}"), weight.clone())).collect();
        if is_shared {
            let beside = std::path::absolute(into).map_err(|error| Error::io(into, &error))?;
            let file = beside.parent().unwrap_or(into).join(SHARED);
            let bytes = encode_weights(&file, self.network.weights(), Precision::F32)?;
            if !files::read(&file).is_ok_and(|there| there == bytes) {
                files::write_atomically(&file, &bytes)?;
            }
            return save_beside(into, &description, &own, SHARED);
        }
        save(into, &description, &self.network.weights().clone().into_iter().chain(own).collect(), Precision::F32)
    }

    /// The name of the value that the trunk gives.
    fn output(&self) -> String {
        self.network.graph().last().map_or_else(|| INPUT.to_owned(), |node| node.name.clone())
    }
}

/// A graph without its dropouts and its last linear layer, and what stands behind that; flattened.
fn trunk(graph: &Graph) -> Result<Graph> {
    let mut nodes = Graph::new(graph.input_shape(), graph.without_dropout())?.named_nodes();
    while nodes.last().is_some_and(|node| matches!(node.op, Op::Softmax {} | Op::LogSoftmax {})) {
        nodes.pop();
    }
    if nodes.last().is_some_and(|node| matches!(node.op, Op::Linear { .. } | Op::GaussianLinear { .. })) {
        nodes.pop();
    }
    let trunk = Graph::new(graph.input_shape(), nodes)?;
    if trunk.draws() {
        return Err(Error::Network("has random weights before its last layer, so its features cannot be computed once".to_owned()));
    }
    if trunk.output_shape().len() == 1 {
        return Ok(trunk);
    }
    let mut nodes = trunk.named_nodes();
    nodes.push(Node { name: "features".to_owned(), inputs: Vec::new(), op: Op::Flatten {} });
    Graph::new(graph.input_shape(), nodes)
}

/// The same graph for images of another size, which it brings to its own, or to `side`.
fn resized(graph: &Graph, images: [usize; 3], side: Option<usize>) -> Result<Graph> {
    let &[channels, height, width] = graph.input_shape() else {
        return Err(Error::Network(format!("takes values of {:?}, which are no images", graph.input_shape())));
    };
    if channels != images[0] {
        return Err(Error::Network(format!("takes images of {channels} channels, but those of the data have {}", images[0])));
    }
    let size = side.map_or([height, width], |side| [side; 2]);
    if size == [images[1], images[2]] {
        return Graph::new(&images, graph.named_nodes());
    }
    let op = Op::Upsample { size, mode: Interpolation::Bilinear, align_corners: false };
    let mut nodes = vec![Node { name: RESIZE.to_owned(), inputs: vec![INPUT.to_owned()], op }];
    let behind = |input: String| if input == INPUT { RESIZE.to_owned() } else { input };
    nodes.extend(graph.named_nodes().into_iter().map(|node| Node { inputs: node.inputs.into_iter().map(behind).collect(), ..node }));
    Graph::new(&images, nodes)
}

/// Features of a file: the SHA-256 of all that follows, then single-precision numbers, little endian.
fn load_features(file: &Path, count: usize) -> Option<Vec<f32>> {
    let bytes = files::read(file).ok()?;
    let (hash, values) = bytes.split_at_checked(32)?;
    let is_whole = values.len() == 4 * count && Sha256::digest(values).as_slice() == hash;
    is_whole.then(|| values.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}

fn store_features(file: &Path, features: &[f32]) -> Result<()> {
    let values: Vec<u8> = features.iter().flat_map(|value| value.to_le_bytes()).collect();
    files::write_atomically(file, &[Sha256::digest(&values).as_slice(), &values].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::architectures::resnet;
    use crate::nets::{Ending, random_graph_weights};
    use std::ops::ControlFlow;
    use std::path::PathBuf;

    /// A classifier's folder.
    fn network(folder: &Path) -> PathBuf {
        let graph = resnet([1, 6, 6], 2, &[2, 3], 1, [0.2, 0.5]).unwrap();
        let weights = random_graph_weights(&graph, 4);
        let (name, classes) = ("small".to_owned(), vec!["a".to_owned(), "b".to_owned()]);
        let description = Description::Classifier {
            name,
            classes,
            input_shape: [1, 6, 6],
            ending: Ending::Logits,
            graph,
            training: serde_json::Value::Null,
        };
        let path = folder.join("small");
        save(&path, &description, &weights, Precision::F32).unwrap();
        path
    }

    #[test]
    fn features_are_computed_once_and_a_damaged_file_of_them_is_not_used() {
        let desk = tempfile::tempdir().unwrap();
        let backbone = Backbone::open(&network(desk.path()), [1, 6, 6], None).unwrap();
        assert!(backbone.features() == 3 && !backbone.network.graph().draws());
        let pixels = (0..70 * 36).map(|at| (at % 13) as f32 / 12.0).collect();
        let data = Dataset::new("d", [1, 6, 6], pixels, vec![0; 70], vec!["a".to_owned(), "b".to_owned()]).unwrap();
        let cache = desk.path().join("cache");
        let of = |data: &Dataset| {
            let mut computed = false;
            let features = backbone.of(data, Some(&cache), &mut |_| {
                computed = true;
                ControlFlow::Continue(())
            });
            (features.unwrap(), computed)
        };
        let (first, computed) = of(&data);
        assert!(computed && first.image_shape == [3, 1, 1] && first.labels == data.labels);
        assert_eq!(of(&data), (first.clone(), false));
        assert!(of(&data.slice(0..69)).1, "other images");
        for entry in std::fs::read_dir(&cache).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
        assert_eq!(of(&data), (first, true));
        let stopped = backbone.of(&data.slice(3..70), None, &mut |_| ControlFlow::Break(()));
        assert!(matches!(stopped, Err(Error::Cancelled)));
    }

    #[test]
    fn images_of_another_size_are_resized_inside_and_those_of_other_channels_refused() {
        let desk = tempfile::tempdir().unwrap();
        let path = network(desk.path());
        let sizes = |images, resize| {
            let backbone = Backbone::open(&path, images, resize).unwrap();
            let first = backbone.network.nodes()[0].clone();
            (backbone.network.input_shape().to_vec(), if let Op::Upsample { size, .. } = first.op { Some(size) } else { None })
        };
        assert_eq!(sizes([1, 6, 6], None), (vec![1, 6, 6], None));
        assert_eq!(sizes([1, 9, 8], None), (vec![1, 9, 8], Some([6, 6])));
        assert_eq!(sizes([1, 9, 8], Some(12)), (vec![1, 9, 8], Some([12, 12])));
        let error = Backbone::open(&path, [3, 6, 6], None).err().unwrap().to_string();
        assert!(error.contains("takes images of 1 channels, but those of the data have 3"), "{error}");
    }

    #[test]
    fn a_trunk_is_the_same_whatever_wrapped_it() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/torchvision/basic.safetensors");
        let hash_of = |path: &Path| Backbone::open(path, [3, 12, 12], Some(24)).unwrap().hash;
        let (weights, desk) = (decode_weights(&path, &files::read(&path).unwrap()).unwrap(), tempfile::tempdir().unwrap());
        for prefix in ["module.", "module._orig_mod."] {
            let wrapped = weights.iter().map(|(name, weight)| (format!("{prefix}{name}"), weight.clone())).collect();
            let file = desk.path().join("wrapped.safetensors");
            std::fs::write(&file, encode_weights(&file, &wrapped, Precision::F32).unwrap()).unwrap();
            assert_eq!(hash_of(&file), hash_of(&path), "{prefix}");
        }
    }
}
