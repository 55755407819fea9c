//! `epistemap train`: the files of a training, resumed and killed trainings, and settings that make no sense.

use crate::program::Desk;
use epistemap::nets::folder::{Model, load};
use serde_json::Value;
use std::time::{Duration, Instant};

const CLASSIFIER: &str = "train classifier --dataset decoded-digits --images 64 --batch 16 --channels 2,3 --hidden 8";
const VAE: &str = "train vae --dataset decoded-digits --images 64 --batch 16 --hidden 8 --latent 2";

/// The lines of a training's log, without the times.
fn log(desk: &Desk, folder: &str) -> Vec<Value> {
    let text = String::from_utf8(desk.read(&format!("{folder}/training.jsonl"))).unwrap();
    let line = |line: &str| {
        let mut epoch: Value = serde_json::from_str(line).unwrap();
        assert!(epoch.as_object_mut().unwrap().remove("seconds").unwrap().as_f64().unwrap() > 0.0);
        epoch
    };
    text.lines().map(line).collect()
}

/// A training that is stopped in any of these ways must end with the files of an uninterrupted one.
fn any_stop_leads_to_the_same_weights(verb: &str, scores: &[&str], watched: &str) {
    let desk = Desk::new();
    let [out, err] = desk.succeeds(&format!("{verb} --epochs 10 --out whole/model"));
    assert_eq!((out.as_str(), err.lines().count()), ("", 10), "{err}");
    let expected = log(&desk, "whole/model");
    for (index, epoch) in expected.iter().enumerate() {
        assert_eq!(epoch["epoch"], index + 1);
        assert_eq!(epoch.as_object().unwrap().len(), 2 + scores.len());
        assert!(scores.iter().chain(&["loss"]).all(|key| epoch[key].as_f64().is_some_and(f64::is_finite)), "{epoch}");
    }
    let same = |folder: &str| {
        assert_eq!(log(&desk, folder), expected, "{folder}");
        assert_eq!(std::fs::read_dir(desk.path(folder)).unwrap().count(), 4, "{folder}: a file too many or too few");
        for file in ["weights.safetensors", "model.json"] {
            assert!(desk.read(&format!("{folder}/{file}")) == desk.read(&format!("whole/model/{file}")), "{folder}/{file}");
        }
    };

    desk.succeeds(&format!("{verb} --epochs 4 --out resumed/model"));
    desk.succeeds(&format!("{verb} --epochs 10 --resume --out resumed/model"));
    same("resumed/model");
    desk.succeeds(&format!("{verb} --epochs 10 --resume --out resumed/model"));
    same("resumed/model");

    let mut child = desk.program(&format!("{verb} --epochs 10 --out killed/model")).stderr(std::process::Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while !desk.path(&format!("killed/model/{watched}")).exists() && start.elapsed() < Duration::from_mins(1) {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    // As a kill in the middle of a write does.
    std::fs::write(desk.path("killed/model/.epistemap-a1B2c3"), "half").unwrap();
    assert!(!child.wait().unwrap().success(), "it was too fast to be killed");
    desk.succeeds(&format!("{verb} --epochs 10 --resume --out killed/model"));
    same("killed/model");

    for (what, refused) in [
        ("a second time", format!("{verb} --epochs 10 --out whole/model")),
        ("another seed", format!("{verb} --epochs 10 --resume --seed 4 --out whole/model")),
        ("another batch", format!("{} --epochs 10 --resume --out whole/model", verb.replace("--batch 16", "--batch 17"))),
        ("fewer epochs", format!("{verb} --epochs 3 --resume --out whole/model")),
    ] {
        assert!(desk.refuses(&refused).contains("whole/model"), "{what}");
    }
    std::fs::remove_file(desk.path("whole/model/checkpoint.safetensors")).unwrap();
    assert!(desk.refuses(&format!("{verb} --epochs 10 --out whole/model")).contains("--resume"), "a model without a checkpoint");
}

#[test]
fn a_classifier_is_the_same_however_its_training_is_stopped() {
    any_stop_leads_to_the_same_weights(CLASSIFIER, &["accuracy", "nll"], "training.jsonl");
}

#[test]
fn a_vae_is_the_same_however_its_training_is_stopped() {
    any_stop_leads_to_the_same_weights(VAE, &["negative_elbo", "reconstruction", "kl"], "checkpoint.safetensors");
}

#[test]
fn trained_models_make_a_map() {
    let desk = Desk::new();
    let ensemble = CLASSIFIER.replace("classifier", "ensemble");
    desk.succeeds(&format!("{ensemble} --members 2 --seed 5 --epochs 1 --out models"));
    desk.succeeds(&format!("{VAE} --epochs 1 --out models/vae"));
    let Model::Classifier(classifier) = load(&desk.path("models/classifier-6")).unwrap().1 else { panic!("no classifier") };
    assert_eq!((classifier.network.input_shape(), classifier.classes.len()), (&[1, 28, 28][..], 10));
    assert_eq!(classifier.network.weight("conv2", "weight").shape, [3, 2, 3, 3]);
    let Model::Vae(vae) = load(&desk.path("models/vae")).unwrap().1 else { panic!("no VAE") };
    assert_eq!((vae.image_shape(), vae.latent_size()), (&[1, 28, 28][..], 2));
    desk.succeeds("map --models models --grid 3 --samples 2 --members 2 --out map.npz");

    let weights = |folder: &str| desk.read(&format!("{folder}/weights.safetensors"));
    desk.succeeds(&format!("{CLASSIFIER} --seed 6 --epochs 1 --out alone"));
    assert!(weights("alone") == weights("models/classifier-6"));
    assert!(weights("alone") != weights("models/classifier-5"));
    desk.succeeds(&format!("{VAE} --as-published --epochs 1 --out published"));
    assert!(weights("published") != weights("models/vae"));
}

#[test]
fn settings_that_make_no_sense_train_nothing() {
    let desk = Desk::new();
    std::fs::write(desk.path("file"), "").unwrap();
    for (verb, option, named) in [
        (CLASSIFIER, "--epochs 0", "--epochs"),
        (CLASSIFIER, "--batch 0", "--batch"),
        (CLASSIFIER, "--learning-rate 0", "--learning-rate"),
        (CLASSIFIER, "--learning-rate nan", "--learning-rate"),
        (CLASSIFIER, "--optimiser sgd --batch 64 --learning-rate 1e38", "--learning-rate"),
        (CLASSIFIER, "--images 0", "--images"),
        (CLASSIFIER, "--images 99999", "--images"),
        (CLASSIFIER, "--dataset nonsense", "nonsense"),
        (CLASSIFIER, "--dataset mnist --data nowhere", "nowhere"),
        (CLASSIFIER, "--dropout 1.5,0.5", "1.5"),
        (CLASSIFIER, "--dropout 0.5,nan", "NaN"),
        (CLASSIFIER, "--channels 0,3", "conv1"),
        (CLASSIFIER, "--hidden 0", "fc1"),
        (CLASSIFIER, "--hidden 99999999", "weights"),
        (CLASSIFIER, "--channels 99999999999,18446744073709551615", "conv1"),
        (VAE, "--latent 0", "log_variance"),
        (VAE, "--hidden 8,0", "encoder.2"),
        (CLASSIFIER, "--out file", "file"),
    ] {
        let sentence = desk.refuses(&with(&format!("{verb} --epochs 1 --out model"), option));
        assert!(sentence.contains(named), "{option}: {sentence}");
    }
    let ensemble = CLASSIFIER.replace("classifier", "ensemble");
    assert!(desk.refuses(&format!("{ensemble} --members 2 --seed 4294967295 --out models")).contains("--seed"));
    desk.misunderstands(&format!("{ensemble} --members 0 --out models"));
    for option in ["--channels 1", "--dropout 0.5", "--seed -1", "--optimiser nonsense", "--epochs x"] {
        desk.misunderstands(&with(&format!("{CLASSIFIER} --out model"), option));
    }

    let fast = desk.run(&format!("{CLASSIFIER} --epochs 1 --learning-rate 1e9 --out fast"));
    let text = String::from_utf8(fast.stderr).unwrap();
    assert!(fast.status.success() || text.starts_with("epistemap: --learning-rate: the loss became"), "{text}");
}

/// The command line with these options in place of its own of the same names.
fn with(line: &str, options: &str) -> String {
    let replaced = |part: &&str| !options.contains(&format!("--{} ", part.split(' ').next().unwrap_or_default()));
    line.split(" --").filter(replaced).collect::<Vec<_>>().join(" --") + " " + options
}
