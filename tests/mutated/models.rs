//! Damaged models: weights, descriptions, folders.

use crate::damage::{Choices, mutate, mutate_json};
use crate::{load_one, rewrite, rounds, survive, survive_at};
use epistemap::nets::folder::{self, DESCRIPTION, Precision, WEIGHTS};
use epistemap::nets::{Description, Ending, Layer, OPERATIONS, Tensor, VaeGraphs, VaeLayers, Weights, random_graph};
use serde_json::{Value, json};
use std::io::{Cursor, Write as _};
use std::path::Path;

fn weights_of(shapes: impl IntoIterator<Item = (String, Vec<usize>)>) -> Weights {
    let mut choices = Choices::new(3, 0);
    let mut tensor = |(name, shape): (String, Vec<usize>)| {
        // A variance is above 0.
        let least = if name.ends_with("running_var") { 0.5 } else { -0.5 };
        let values = (0..shape.iter().product()).map(|_| choices.below(2000) as f64 / 1000.0 + least).collect();
        (name, Tensor::new(shape, values))
    };
    shapes.into_iter().map(&mut tensor).collect()
}

/// A classifier of every operation.
fn classifier() -> (Description, Weights) {
    let input_shape = [2, 4, 3];
    let graph = random_graph(&input_shape, 4, OPERATIONS, 7, |_| true).unwrap();
    let weights = weights_of(graph.weights());
    let classes = ["a", "b", "c", "d"].map(String::from).to_vec();
    let (name, ending, training) = ("odd".into(), Ending::Logits, json!({"epochs": 3}));
    (Description::Classifier { name, input_shape, classes, ending, graph, training }, weights)
}

fn vae() -> (Description, Weights) {
    let layers = VaeLayers::dense([2, 3, 5], &[7, 4], 2);
    let weights = weights_of(layers.all().flat_map(Layer::weights));
    let graphs = VaeGraphs::of_layers([2, 3, 5], &layers).unwrap();
    (Description::Vae { name: "vae".into(), input_shape: [2, 3, 5], graphs, training: Value::Null }, weights)
}

#[test]
fn weights() {
    let path = Path::new("weights.safetensors");
    for (seed, (_, weights)) in [(40, classifier()), (41, vae())] {
        for (seed, precision) in [(seed, Precision::F16), (seed + 2, Precision::F32)] {
            let good = folder::encode_weights(path, &weights, precision).unwrap();
            // The shorter the numbers, the more of the file is its header.
            survive(seed, "weights.safetensors", &good[..], |bytes| folder::decode_weights(path, bytes));
        }
    }
}

#[test]
fn model_folders() {
    for (seed, (description, weights)) in [(50, classifier()), (60, vae())] {
        let place = tempfile::tempdir().unwrap();
        folder::save(place.path(), &description, &weights, Precision::F16).unwrap();
        for (seed, name) in [(seed, DESCRIPTION), (seed + 1, WEIGHTS)] {
            let path = place.path().join(name);
            let good = std::fs::read(&path).unwrap();
            survive_at(seed, &path, &good, || folder::load(place.path()));
        }
    }
}

#[test]
fn descriptions_that_are_json_but_lie() {
    for (seed, (description, weights)) in [(70, classifier()), (71, vae())] {
        let place = tempfile::tempdir().unwrap();
        folder::save(place.path(), &description, &weights, Precision::F32).unwrap();
        let path = place.path().join(DESCRIPTION);
        let good: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let refused = (0..rounds()).filter(|&round| {
            let mutated = mutate_json(&good, &mut Choices::new(seed, round));
            rewrite(&path, mutated.to_string().as_bytes());
            mutated != good && !load_one(&place.path().to_string_lossy(), || mutated.to_string(), || folder::load(place.path()))
        });
        assert!(refused.count() > rounds() as usize / 3);
    }
}

/// An archive as PyTorch makes one, with a file of each name.
fn archive(names: &[&str]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for name in names {
        archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(b"\x80\x02}q\x00.").unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// ONNX, `.pt` and `TorchScript` are never read, given as a model or as weights: however damaged, they end in a sentence.
#[test]
fn models_of_other_programs() {
    let place = tempfile::tempdir().unwrap();
    let torch = archive(&["net/data.pkl", "net/data/0", "net/version"]);
    let script = archive(&["net/code/__torch__.py", "net/constants.pkl", "net/data.pkl", "net/version"]);
    for (seed, name, good, is) in [
        (112, "net.onnx", include_bytes!("../cases/model.onnx").to_vec(), "is an ONNX model"),
        (113, "net.pt", torch, "is a file of PyTorch (torch.save)"),
        (114, "net.pth", script, "is a TorchScript program"),
    ] {
        let path = place.path().join(name);
        rewrite(&path, &good);
        for refused in [folder::load(&path).map(drop), folder::decode_weights(&path, &good).map(drop)] {
            let sentence = refused.unwrap_err().to_string();
            assert!(sentence.contains(is), "{sentence}");
        }
        for round in 0..rounds() {
            let bytes = mutate(&good, &mut Choices::new(seed, round));
            rewrite(&path, &bytes);
            let what = || format!("seed {seed}, round {round}");
            let is_read = load_one(name, what, || folder::load(&path)) || load_one(name, what, || folder::decode_weights(&path, &bytes));
            assert!(!is_read, "{} was read", what());
        }
    }
}

/// Mistakes that people make, with what the sentence must say.
#[test]
fn particular_mistakes_are_named() {
    let layers = [
        Layer::Conv2d { name: "conv".into(), in_channels: 2, out_channels: 3, kernel: [3, 2], stride: [2, 1], padding: [1, 0] },
        Layer::MaxPool2d { kernel: [2, 2], stride: [1, 2] },
        Layer::Reshape { shape: vec![3, 12] },
        Layer::Flatten,
        Layer::Dropout { rate: 0.25 },
        Layer::Linear { name: "out".into(), inputs: 36, outputs: 4 },
    ];
    let weights = weights_of(layers.iter().flat_map(Layer::weights));
    let classifier = |classes: &[&str], layers: &[Layer], weights: &Weights| {
        let place = tempfile::tempdir().unwrap();
        let description =
            json!({"kind": "classifier", "name": "x", "input_shape": [2, 9, 7], "classes": classes, "layers": layers, "training": null});
        std::fs::write(place.path().join(DESCRIPTION), description.to_string()).unwrap();
        let path = place.path().join(WEIGHTS);
        std::fs::write(&path, folder::encode_weights(&path, weights, Precision::F32).unwrap()).unwrap();
        folder::load(place.path()).map_err(|error| error.to_string())
    };
    let classes = ["a", "b", "c", "d"];
    classifier(&classes, &layers, &weights).unwrap();
    let with = |name: &str, tensor: Option<Tensor>| {
        let mut weights = weights.clone();
        weights.remove(name);
        weights.extend(tensor.map(|tensor| (name.to_owned(), tensor)));
        weights
    };
    let replaced = |at: usize, layer: Layer| {
        let mut layers = layers.to_vec();
        layers[at] = layer;
        layers
    };
    for (result, text) in [
        (classifier(&[], &layers, &weights), "there are 0 class names"),
        (classifier(&classes[..3], &layers, &weights), "there are 3 class names"),
        (
            classifier(&classes, &layers, &with("out.bias", Some(Tensor::new([4], vec![0.0, f64::NAN, 0.0, 0.0])))),
            "'out.bias' holds NaN at position 1",
        ),
        (classifier(&classes, &layers, &with("out.bias", Some(Tensor::new([4], vec![1e300; 4])))), "'out.bias' holds inf"),
        (
            classifier(&classes, &layers, &with("out.bias", Some(Tensor::new([2, 2], vec![0.0; 4])))),
            "should have the shape [4] but has [2, 2]",
        ),
        (classifier(&classes, &layers, &with("conv.weight", None)), "'conv.weight' of shape [3, 2, 3, 2] is missing"),
        (classifier(&classes, &layers, &with("fc9.bias", Some(Tensor::new([1], vec![0.0])))), "no node takes the weight 'fc9.bias'"),
        (classifier(&classes, &replaced(4, Layer::Dropout { rate: 1.0 }), &weights), "rate 1, which is not in 0 ≤ rate < 1"),
        (classifier(&classes, &replaced(2, Layer::Reshape { shape: vec![3, 8] }), &weights), "as many elements as [3, 8] has"),
        (classifier(&classes, &replaced(1, Layer::MaxPool2d { kernel: [2, 2], stride: [0, 2] }), &weights), "a stride of 0"),
        (classifier(&classes, &[], &weights), "it has no nodes"),
    ] {
        let error = result.unwrap_err();
        assert!(error.contains(text) && (error.contains(WEIGHTS) || error.contains(DESCRIPTION)), "'{error}' should say '{text}'");
    }
}
