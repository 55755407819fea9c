//! Transfer: torchvision's residual networks by the names of their weights, and heads on frozen trunks.

use epistemap::data::Dataset;
use epistemap::engine::cpu;
use epistemap::engine::reference::forward;
use epistemap::jobs::training::{ClassifierArchitecture, ClassifierPlan, News, Resume, TrainingPlan, What, train};
use epistemap::nets::folder::{Model, decode_weights, load};
use epistemap::nets::{Classifier, Graph, Network, Op, Weights, torchvision};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Networks of `tests/reference/torchvision_resnets.py`.
fn state_dict(name: &str) -> (PathBuf, Weights) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/reference/torchvision/{name}.safetensors"));
    let weights = decode_weights(&path, &std::fs::read(&path).unwrap()).unwrap();
    (path, weights)
}

#[test]
fn residual_networks_of_torchvision_answer_as_in_pytorch() {
    let text = include_str!("reference/torchvision/outputs.json");
    let expected: serde_json::Value = serde_json::from_str(text).unwrap();
    let image = |number: usize| (0..1728).map(|at| ((number * 1728 + at) % 251) as f64 / 250.0).collect::<Vec<f64>>();
    for (name, outputs) in expected["outputs"].as_object().unwrap() {
        let (_, weights) = state_dict(name);
        assert!(torchvision::is_resnet(&weights));
        let network = Network::of(torchvision::resnet([3, 24, 24], &weights).unwrap(), &weights).unwrap();
        let got = [0, 1].map(|number| forward(&network, &image(number), None)).concat();
        for (got, expected) in got.iter().zip(outputs.as_array().unwrap()) {
            assert!((got - expected.as_f64().unwrap()).abs() <= 2e-5, "{name}: {got} {expected}");
        }
        assert!((got[0] - got[3]).abs() > 1e-4, "{name}: the images differ");
    }
}

#[test]
fn weights_of_no_residual_network_are_named() {
    let (_, weights) = state_dict("bottleneck");
    let refused = |change: &dyn Fn(&mut Weights)| {
        let mut changed = weights.clone();
        change(&mut changed);
        torchvision::resnet([3, 24, 24], &changed).unwrap_err().to_string()
    };
    let missing = refused(&|weights| drop(weights.remove("layer2.0.conv2.weight")));
    assert!(missing.contains("'layer2.0.conv2.weight' is missing"), "{missing}");
    let foreign = refused(&|weights| drop(weights.insert("mask.weight".to_owned(), weights["conv1.weight"].clone())));
    assert!(foreign.contains("'mask.weight' is of no residual network"), "{foreign}");
    let shape = refused(&|weights| drop(weights.insert("conv1.weight".to_owned(), weights["fc.weight"].clone())));
    assert!(shape.contains("'conv1.weight' has the impossible shape"), "{shape}");
}

/// Images of three classes, which a channel's brightness tells.
fn data(count: usize) -> Dataset {
    let pixel = |at: usize| {
        let (image, channel) = (at / 432, at % 432 / 144);
        if channel == image % 3 { 0.9 } else { 0.05 * ((at * 7 % 11) as f32 / 10.0) }
    };
    let labels = (0..count).map(|image| (image % 3) as u16).collect();
    let classes = ["red", "green", "blue"].map(str::to_owned).to_vec();
    Dataset::new("colours train", [3, 12, 12], (0..count * 432).map(pixel).collect(), labels, classes).unwrap()
}

fn classifier_of(folder: &Path) -> Classifier {
    match load(folder).unwrap().1 {
        Model::Classifier(classifier) => classifier,
        Model::Vae(_) => panic!("a VAE"),
    }
}

#[test]
fn heads_are_trained_on_the_features_of_a_frozen_trunk_and_share_its_weights() {
    let (path, trunk) = state_dict("basic");
    let (desk, data) = (tempfile::tempdir().unwrap(), data(60));
    let plan = |epochs: usize, what: What| TrainingPlan {
        what,
        members: 2,
        classifier: ClassifierPlan {
            architecture: ClassifierArchitecture::Backbone(path.clone()),
            dropout: [0.0, 0.25],
            resize: Some(24),
            ..ClassifierPlan::default()
        },
        epochs: Some(epochs),
        learning_rate: Some(0.05),
        batch: 20,
        ..TrainingPlan::default()
    };
    let mut features = 0;
    let mut run = |name: &str, epochs: usize, what: What, resume: Resume| {
        let mut observe = |news: News| {
            features += usize::from(matches!(news, News::Features(_)));
            ControlFlow::Continue(())
        };
        train(&plan(epochs, what), (&data, &data), &desk.path().join(name), resume, None, &mut observe).unwrap()
    };
    let heads = run("ensemble", 20, What::Ensemble, Resume::Never);
    let shared = desk.path().join("ensemble/backbone.safetensors");
    assert!(heads.len() == 2 && shared.is_file());
    let [one, other] = [0, 1].map(|head: usize| classifier_of(&heads[head]));
    // The whole network takes the images, and is PyTorch's trunk with a last layer of its own.
    assert_eq!((one.network.input_shape(), one.network.output_shape()), (&[3, 12, 12][..], &[3][..]));
    assert!(one.network.nodes().iter().any(|node| matches!(node.op, Op::Upsample { size: [24, 24], .. })));
    assert_eq!(one.network.nodes().iter().filter(|node| node.op.draws()).count(), 1);
    assert_eq!(one.network.weights()["conv1.weight"], trunk["conv1.weight"]);
    let last = |classifier: &Classifier| classifier.network.weights()["head.fc1.weight"].clone();
    assert!(last(&one) != last(&other) && !one.network.weights().contains_key("fc.weight"));
    // Its logits are those of the head on the features.
    let image: Vec<f64> = data.image(7).iter().map(|&pixel| f64::from(pixel)).collect();
    let nodes = one.network.nodes().iter().take_while(|node| !node.name.starts_with("head.")).cloned().collect();
    let seen = forward(&Network::of(Graph::new(&[3, 12, 12], nodes).unwrap(), one.network.weights()).unwrap(), &image, None);
    let (weight, bias) = (last(&one), &one.network.weights()["head.fc1.bias"]);
    for (class, logit) in forward(&one.network, &image, None).into_iter().enumerate() {
        let sum: f64 = weight.values[class * seen.len()..].iter().zip(&seen).map(|(weight, feature)| weight * feature).sum();
        assert!((logit - sum - bias.values[class]).abs() <= 1e-9);
    }
    // A network with a head is a backbone as well: what stands before its last layer stays.
    let of_images = plan(2, What::Classifier);
    let architecture = ClassifierArchitecture::Backbone(heads[0].clone());
    let of_head = TrainingPlan { classifier: ClassifierPlan { architecture, resize: None, ..of_images.classifier.clone() }, ..of_images };
    let into = desk.path().join("again");
    let again = train(&of_head, (&data, &data), &into, Resume::Never, None, &mut |_| ControlFlow::Continue(())).unwrap();
    let again = classifier_of(&again[0]);
    assert!(again.network.nodes().iter().any(|node| node.name.starts_with("head-new.")), "a head of its own");
    // One head holds all weights itself; what goes on ends as what never stopped.
    let whole = run("whole", 4, What::Classifier, Resume::Never);
    run("parts", 2, What::Classifier, Resume::Never);
    let parts = run("parts", 4, What::Classifier, Resume::SameData);
    assert_eq!(classifier_of(&whole[0]).network.weights(), classifier_of(&parts[0]).network.weights());
    assert!(features > 0);
    assert!(classifier_of(&whole[0]).network.weights() != one.network.weights(), "the negative control");
}

#[test]
fn what_cannot_be_transferred_is_said() {
    let (path, _) = state_dict("basic");
    let (desk, data) = (tempfile::tempdir().unwrap(), data(6));
    let said = |path: &Path, augment: &str, what: What| {
        let classifier = ClassifierPlan { architecture: ClassifierArchitecture::Backbone(path.to_owned()), ..ClassifierPlan::default() };
        let augmentation = augment.parse().unwrap();
        let plan = TrainingPlan { what, classifier, augmentation, epochs: Some(1), ..TrainingPlan::default() };
        let error = train(&plan, (&data, &data), &desk.path().join("out"), Resume::Never, None, &mut |_| ControlFlow::Continue(()));
        error.unwrap_err().to_string()
    };
    assert!(said(&path, "flip", What::Classifier).starts_with("--augment: "));
    assert!(said(&path, "", What::Set).starts_with("--backbone: "));
    assert!(said(&desk.path().join("nothing"), "", What::Classifier).contains("nothing"));
    let other = desk.path().join("w.safetensors");
    std::fs::write(&other, safetensors_of_one()).unwrap();
    assert!(said(&other, "", What::Classifier).contains("not under the names of a torchvision ResNet"));
    assert!(!desk.path().join("out").exists());
}

fn safetensors_of_one() -> Vec<u8> {
    let header = r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &1f32.to_le_bytes()].concat()
}

/// The trunk of the shipped transferred network: what its head takes.
fn shipped_trunk() -> Network {
    let whole = classifier_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/cats-dogs/efficientnet-0")).network;
    let nodes = whole.nodes().iter().take_while(|node| !node.name.starts_with("head.")).cloned().collect();
    Network::of(Graph::new(whole.input_shape(), nodes).unwrap(), whole.weights()).unwrap()
}

/// The largest difference of the trunk's features from PyTorch's.
fn difference(trunk: &Network, images: &[f32], expected: &[f64]) -> f64 {
    let got = cpu::outputs(trunk, images);
    assert_eq!(got.len(), expected.len());
    got.iter().zip(expected).map(|(got, expected)| (f64::from(*got) - expected).abs()).fold(0.0, f64::max)
}

#[test]
fn the_shipped_trunk_makes_the_features_of_pytorch() {
    let trunk = shipped_trunk();
    let fixture: serde_json::Value = serde_json::from_str(include_str!("reference/efficientnet.json")).unwrap();
    let expected: Vec<f64> = fixture["features"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
    // Waves of several lengths, as in the script that made the fixture.
    let pixel = |at: usize| {
        let (image, channel, row, column) = (at / 12288, at / 4096 % 3, at / 64 % 64, at % 64);
        let wave = (row * (image + 1) + column * (channel + 2) + 7 * image) % 97;
        wave as f32 / 96.0
    };
    let images: Vec<f32> = (0..2 * 12288).map(pixel).collect();
    let most = difference(&trunk, &images, &expected);
    assert!(most <= 1e-4, "{most}");
    let mut other = images;
    other[0] = 1.0 - other[0];
    assert!(difference(&trunk, &other, &expected) > 1e-4, "the negative control");

    // Photographs that `models/cats-dogs/convert_efficientnet.py --check` read, where they are at hand.
    let Some(path) = std::env::var_os("EPISTEMAP_FEATURES").map(PathBuf::from) else {
        println!("skipped: 64 photographs; EPISTEMAP_FEATURES names no file of their features");
        return;
    };
    let read = |path: &Path| -> Vec<f32> { npyz::NpyFile::new(&std::fs::read(path).unwrap()[..]).unwrap().into_vec().unwrap() };
    let images = read(&path.with_file_name(format!("{}-images.npy", path.file_stem().unwrap().to_str().unwrap())));
    let expected: Vec<f64> = read(&path).into_iter().map(f64::from).collect();
    let most = difference(&trunk, &images, &expected);
    println!("features of {} photographs: the largest difference is {most:e}", images.len() / 12288);
    assert!(most <= 1e-4, "{most}");
}
