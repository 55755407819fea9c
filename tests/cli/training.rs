//! `epistemap train`: the files of a training, resumed and killed trainings, and settings that make no sense.

use crate::program::Desk;
use epistemap::nets::folder::{Model, load};
use serde_json::Value;
use std::process::Stdio;
use std::time::{Duration, Instant};

const CLASSIFIER: &str = "train classifier --dataset decoded-digits --images 64 --batch 16 --channels 2,3 --hidden 8";
const VAE: &str = "train vae --dataset decoded-digits --images 64 --batch 16 --hidden 8 --latent 2";

/// The lines of a training's log, without the times.
fn log(desk: &Desk, folder: &str) -> Vec<Value> {
    let text = String::from_utf8(desk.read(&format!("{folder}/training.jsonl"))).unwrap();
    let line = |line: &str| {
        let mut epoch: Value = serde_json::from_str(line).unwrap();
        let mut time = |key: &str| epoch.as_object_mut().unwrap().remove(key).unwrap().as_f64().unwrap();
        let [all, test, previews] = ["seconds", "test_seconds", "preview_seconds"].map(&mut time);
        assert!(test > 0.0 && test < all && previews >= 0.0, "{all} {test} {previews}");
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
        // Model, weights, plan, log and checkpoint; of a VAE where it puts the data as well.
        let files = 5 + usize::from(verb == VAE);
        assert_eq!(std::fs::read_dir(desk.path(folder)).unwrap().count(), files, "{folder}: a file too many or too few");
        for file in ["weights.safetensors", "model.json", "checkpoint.safetensors"] {
            assert!(desk.read(&format!("{folder}/{file}")) == desk.read(&format!("whole/model/{file}")), "{folder}/{file}");
        }
    };

    desk.succeeds(&format!("{verb} --epochs 4 --out resumed/model"));
    let [_, err] = desk.succeeds(&format!("{verb} --epochs 10 --resume --out resumed/model"));
    assert!(!err.contains("done already"), "{err}");
    same("resumed/model");
    let [_, err] = desk.succeeds(&format!("{verb} --epochs 10 --resume --out resumed/model"));
    assert!(err.contains("Every epoch in resumed/model is done already"), "{err}");
    same("resumed/model");

    // A busy machine may let it end before it is killed: then again.
    let was_killed = (0..20).any(|_| {
        std::fs::remove_dir_all(desk.path("killed")).ok();
        let mut child = desk.program(&format!("{verb} --epochs 10 --out killed/model")).stderr(Stdio::null()).spawn().unwrap();
        let start = Instant::now();
        while !desk.path(&format!("killed/model/{watched}")).exists() && start.elapsed() < Duration::from_mins(1) {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        !child.wait().unwrap().success()
    });
    assert!(was_killed, "it was too fast to be killed");
    // As a kill in the middle of a write does.
    std::fs::write(desk.path("killed/model/.epistemap-a1B2c3"), "half").unwrap();
    desk.succeeds(&format!("{verb} --epochs 10 --resume --out killed/model"));
    same("killed/model");

    for (what, refused) in [
        ("a second time", format!("{verb} --epochs 10 --out whole/model")),
        ("another seed", format!("{verb} --epochs 10 --resume --seed 4 --out whole/model")),
        ("another batch", format!("{} --epochs 10 --resume --out whole/model", verb.replace("--batch 16", "--batch 17"))),
        ("fewer epochs", format!("{verb} --epochs 3 --resume --out whole/model")),
    ] {
        let sentence = desk.refuses(&refused);
        assert!(sentence.contains("whole/model"), "{what}");
        assert_eq!(sentence.contains("holds 10 epochs, more than the 3"), what == "fewer epochs", "{sentence}");
    }
    std::fs::remove_file(desk.path("whole/model/checkpoint.safetensors")).unwrap();
    assert!(desk.refuses(&format!("{verb} --epochs 10 --out whole/model")).contains("--resume"), "a model without a checkpoint");
}

/// The program is killed at one moment after another until it gets through; nothing but the running epoch may be lost.
#[test]
fn a_training_that_is_killed_again_and_again_ends_with_the_same_weights_and_a_whole_film() {
    let desk = Desk::new();
    let verb = "train classifier --dataset decoded-digits --classes 3,1,8 --images 150 --batch 10 --channels 2,3 --hidden 8 --label-noise 0.2 \
                --draw concrete --optimiser adamw --schedule cosine --warm-up 0.5 --augment flip,shift=2,crop=1 --epochs 12";
    let start = Instant::now();
    desk.succeeds(&format!("{verb} --film whole.gif --out whole/model"));
    let whole = start.elapsed();
    let moment = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
    let (mut kills, mut resumed_after) = (0, Vec::new());
    for number in 0..40 {
        // Anywhere in the time of a whole run, a little later each time, so that it gets through at last.
        let share = f64::from(moment.wrapping_mul(2_654_435_761).wrapping_add(number * 0x9E37_79B9)) / f64::from(u32::MAX);
        let line = if desk.path("killed/model/plan.json").exists() {
            "train resume killed/model --film killed.gif".to_owned()
        } else {
            format!("{verb} --film killed.gif --out killed/model")
        };
        let mut child = desk.program(&line).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole.mul_f64(share * (0.6 + 0.1 * f64::from(number))));
        let _ = child.kill();
        if child.wait().unwrap().success() {
            if kills > 0 {
                break;
            }
            // It was measured on a busier machine: again.
            std::fs::remove_dir_all(desk.path("killed")).unwrap();
            continue;
        }
        kills += 1;
        resumed_after.push(std::fs::read_dir(desk.path("killed/model/film")).map_or(0, Iterator::count));
    }
    assert!(kills > 0, "it was too fast to be killed");
    desk.succeeds("train resume killed/model --film killed.gif");
    let why = format!("moment {moment}, {kills} kills, {resumed_after:?} pictures");
    assert_eq!(log(&desk, "killed/model"), log(&desk, "whole/model"), "{why}");
    for file in ["weights.safetensors", "model.json", "plan.json"] {
        assert!(desk.read(&format!("killed/model/{file}")) == desk.read(&format!("whole/model/{file}")), "{file}: {why}");
    }
    let pictures = |folder: &str| std::fs::read_dir(desk.path(&format!("{folder}/model/film"))).unwrap().count();
    assert_eq!((pictures("whole"), pictures("killed")), (12, 12), "{why}");
    assert!(desk.read("killed.gif").starts_with(b"GIF89a"));
    desk.succeeds("film killed/model --out series --measure predictive-entropy");
    assert_eq!(std::fs::read_dir(desk.path("series")).unwrap().count(), 12);

    let (description, model) = load(&desk.path("killed/model")).unwrap();
    let Model::Classifier(classifier) = model else { panic!("no classifier") };
    assert_eq!(classifier.classes, ["3", "1", "8"]);
    let rates: Vec<f64> = classifier.network.nodes().iter().filter_map(|node| node.op.dropout()).map(|(_, rate)| rate).collect();
    assert!(rates.len() == 2 && rates[0] != 0.25 && rates[1] != 0.5 && rates.iter().all(|rate| (0.0..1.0).contains(rate)), "{rates:?}");
    assert!(description.training()["label_noise"] == 0.2 && description.training()["concrete_dropout"]["temperature"] == 0.1);
}

#[cfg(unix)]
#[test]
fn a_full_disk_and_a_file_in_the_way_keep_the_epochs_that_were_saved() {
    let desk = Desk::new();
    let line = format!("{CLASSIFIER} --film film.gif --out model");
    desk.succeeds(&format!("{line} --epochs 1"));
    let saved = ["weights.safetensors", "model.json", "checkpoint.safetensors", "training.jsonl"];
    let before = saved.map(|file| desk.read(&format!("model/{file}")));
    // The limit is above the size of the log, the plan and a picture, and below that of the weights.
    let mut shell = desk.command("sh");
    let script = format!("trap '' XFSZ; ulimit -f 6; exec \"$0\" {line} --epochs 2 --resume");
    let output = shell.args(["-c", &script, crate::program::PROGRAM]).output().unwrap();
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && sentence.starts_with("epistemap: model/") && sentence.lines().count() == 1, "{sentence}");
    for (file, before) in saved.iter().zip(&before).filter(|(file, _)| **file != "training.jsonl") {
        assert!(desk.read(&format!("model/{file}")) == *before, "{file}");
    }
    std::fs::remove_dir_all(desk.path("model/film")).unwrap();
    std::fs::write(desk.path("model/film"), "").unwrap();
    let sentence = String::from_utf8(desk.run(&format!("{line} --epochs 2 --resume")).stderr).unwrap();
    assert!(sentence.starts_with("epistemap: model/film: is no folder"), "{sentence}");
    std::fs::remove_file(desk.path("model/film")).unwrap();
    desk.succeeds(&format!("{line} --epochs 2 --resume"));
    desk.succeeds(&format!("{CLASSIFIER} --epochs 2 --out whole"));
    assert!(desk.read("model/weights.safetensors") == desk.read("whole/weights.safetensors"));
}

#[test]
fn one_trains_on_folders_of_ones_own() {
    let desk = Desk::new();
    for image in 0..40u8 {
        let folder = desk.path(&format!("pets/{}", ["cat", "dog"][usize::from(image % 2)]));
        std::fs::create_dir_all(&folder).unwrap();
        let colour = image::Rgb([250 * (image % 2), 3 * image, 40]);
        image::RgbImage::from_pixel(12, 10, colour).save(folder.join(format!("{image}.png"))).unwrap();
    }
    let small = "--channels 2,3 --hidden 5 --epochs 2 --batch 8 --optimiser adam";
    let [_, err] = desk.succeeds(&format!("train classifier --dataset pets {small} --draw none --out pet"));
    assert!(err.contains("a fifth of its images is kept for testing"), "{err}");
    let Model::Classifier(classifier) = load(&desk.path("pet")).unwrap().1 else { panic!("no classifier") };
    assert_eq!((classifier.network.input_shape(), classifier.classes.join(" ")), (&[3, 10, 12][..], "cat dog".to_owned()));
    assert!(!classifier.has_draws());
    desk.succeeds(&format!("train set --dataset pets --shape 1,8,8 {small} --members 1 --vae-hidden 6 --out set"));
    desk.succeeds("map --models set --grid 3 --samples 2 --out map.npz");
    desk.succeeds("holes --models set --grid 8 --samples 2 --json");
    desk.succeeds("evaluate --models set --dataset pets --samples 2");
    let parts = "--classes 7,2 --images 40 --epochs 1 --channels 2,3 --hidden 5 --batch 8";
    desk.succeeds(&format!("train ensemble --dataset decoded-digits {parts} --members 2 --draw none --out digits"));
    let [found, _] =
        desk.succeeds("detect --models digits --dataset decoded-digits --images 12 --on deterministic --method fgm --eps 0.2 --json");
    assert!(found.contains("auroc"), "{found}");
    let empty = desk.path("nothing");
    std::fs::create_dir(empty).unwrap();
    assert!(desk.refuses(&format!("train classifier --dataset nothing {small} --out m")).contains("neither IDX files nor images"));
    assert!(desk.refuses(&format!("train classifier --dataset pets --classes 1 {small} --out m")).contains("two classes at least"));
    assert!(desk.refuses("train resume pets").contains("plan.json"));
    assert!(desk.refuses("film pet --out film.gif").contains("no film"));
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
        (CLASSIFIER, "--label-noise 1.5", "--label-noise"),
        (CLASSIFIER, "--label-noise nan", "--label-noise"),
        (CLASSIFIER, "--classes 4", "two classes"),
        (CLASSIFIER, "--classes 4,10", "--classes"),
        (CLASSIFIER, "--draw concrete --dropout 0,0.5", "--dropout"),
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
        (VAE, "--latent 0", "mean"),
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

    for (rate, folder) in [("1e9", "fast"), ("1e38", "faster")] {
        let fast = desk.run(&format!("{CLASSIFIER} --optimiser sgd --epochs 1 --learning-rate {rate} --out {folder}"));
        let text = String::from_utf8(fast.stderr).unwrap();
        let failed = text.starts_with("epistemap: --learning-rate: ") && text.lines().count() == 1;
        assert!(failed || fast.status.success() && text.contains("may be too large"), "{text}");
        assert!(failed != desk.path(&format!("{folder}/model.json")).exists());
    }
}

/// The command line with these options in place of its own of the same names.
fn with(line: &str, options: &str) -> String {
    let replaced = |part: &&str| !options.contains(&format!("--{} ", part.split(' ').next().unwrap_or_default()));
    line.split(" --").filter(replaced).collect::<Vec<_>>().join(" --") + " " + options
}
