//! `--vae`, `--add-member` and `encode`: sets of models put together on the command line.

use super::{CLASSES, IMAGE_SHAPE};
use crate::program::{Desk, write_classifier, write_vae};
use epistemap::jobs::{Additions, Classifiers, ModelSet};
use epistemap::nets::Description;
use serde_json::Value;

const MAP: &str = "map --models models --grid 4 --samples 3 --seed 3";

fn desk() -> Desk {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    write_classifier(&desk.path("more/classifier-1"), IMAGE_SHAPE, CLASSES, 7);
    write_classifier(&desk.path("more/classifier-5"), IMAGE_SHAPE, CLASSES, 8);
    write_vae(&desk.path("plane"), IMAGE_SHAPE, 2);
    desk
}

#[test]
fn members_and_another_vae_are_added() {
    let desk = desk();
    let additions = Additions { vae: Some(desk.path("plane")), members: vec![desk.path("more"), desk.path("models/classifier-0")] };
    let set = ModelSet::open_with(Some(&desk.path("models")), &additions).unwrap();
    let names: Vec<&str> = set.ensemble().members().iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, ["classifier-0", "classifier-1", "classifier-1 (2)", "classifier-5", "classifier-0 (2)"]);
    let described: Vec<&str> = set.descriptions.iter().map(Description::name).collect();
    assert_eq!((described[0], &described[1..]), ("plane", &names[..]));
    assert!(set.hashes.len() == 6 && set.hashes["classifier-1"] != set.hashes["classifier-1 (2)"]);
    assert_eq!(set.hashes["classifier-0"], set.hashes["classifier-0 (2)"]);
    assert!(set.encodings.is_none() && set.encodings().unwrap_err().to_string().contains("epistemap encode"));
    let alone = Classifiers::open_with(Some(&desk.path("models/classifier-1")), &[desk.path("more/classifier-5")]).unwrap();
    assert_eq!(alone.ensemble().members().len(), 2);
    assert_eq!(Classifiers::open_with(None, &[]).unwrap().ensemble().members().len(), 10);

    desk.succeeds(&format!("{MAP} --vae plane --add-member more --add-member models/classifier-0 --members 5 --out map.npz"));
    let [printed, _] = desk.succeeds("provenance map.npz");
    let provenance: Value = serde_json::from_str(&printed).unwrap();
    assert!(provenance.to_string().contains("classifier-1 (2)"), "{printed}");
    assert!(desk.refuses(&format!("{MAP} --members 3 --out map.npz")).contains("--members"));
    for (models, rest) in [("more", "--vae plane"), ("plane", "--add-member more"), ("more/classifier-5", "--vae models")] {
        desk.succeeds(&format!("map --models {models} {rest} --grid 3 --samples 2 --out {}.npz", models.replace('/', "-")));
    }
}

#[test]
fn a_vae_with_its_encodings_brings_them() {
    let desk = desk();
    let shape = [1, 28, 28];
    write_vae(&desk.path("digits"), shape, 2);
    write_classifier(&desk.path("digit-classifier"), shape, 10, 1);
    desk.succeeds("encode --vae digits --dataset decoded-digits");
    let additions = Additions { vae: Some(desk.path("digits")), members: Vec::new() };
    let set = ModelSet::open_with(Some(&desk.path("digit-classifier")), &additions).unwrap();
    let encodings = set.encodings().unwrap();
    assert_eq!((encodings.train.points.len(), encodings.test.points.len()), (8_000, 2_000));
    assert_ne!(Some(encodings), ModelSet::shipped().unwrap().encodings.as_ref());

    assert!(desk.refuses("encode --vae plane --dataset decoded-digits").contains("[1, 8, 9]"));
    assert!(desk.refuses("encode --vae digit-classifier --dataset decoded-digits").contains("holds a classifier"));
    write_vae(&desk.path("deep"), shape, 3);
    assert!(desk.refuses("encode --vae deep --dataset decoded-digits").contains("3 latent dimensions"));
}

/// A VAE of a set of models brings the encodings that lie beside it; one of several VAEs does not.
#[test]
fn a_vae_of_a_set_brings_the_encodings_beside_it() {
    let desk = desk();
    let set =
        || ModelSet::open_with(Some(&desk.path("more")), &Additions { vae: Some(desk.path("models/vae")), members: Vec::new() }).unwrap();
    assert_eq!(set().encodings().unwrap(), ModelSet::open(Some(&desk.path("models"))).unwrap().encodings().unwrap());
    desk.succeeds("holes --models more --vae models/vae --grid 8 --samples 2 --reference-images 4");
    write_vae(&desk.path("models/another"), IMAGE_SHAPE, 2);
    assert!(set().encodings.is_none());
}

#[test]
fn classifiers_without_a_vae_are_evaluated() {
    let desk = Desk::new();
    for seed in 0..2 {
        write_classifier(&desk.path(&format!("mine/classifier-{seed}")), [1, 28, 28], 10, seed);
    }
    for (models, rows) in [("mine", 3), ("mine/classifier-1", 2)] {
        let line = format!("evaluate --models {models} --dataset mnist-1000 --images 20 --samples 2");
        let [text, _] = desk.succeeds(&line);
        assert!(!text.contains("VAE") && text.contains("classifier-1"), "{text}");
        let [json, _] = desk.succeeds(&format!("{line} --json"));
        let evaluation: Value = serde_json::from_str(&json).unwrap();
        assert!(evaluation["vae"].is_null() && evaluation["classifiers"].as_array().unwrap().len() == rows - 1, "{json}");
    }
    assert!(desk.refuses("evaluate --models nowhere").contains("nowhere"));
}

#[test]
fn what_does_not_fit_together_is_said() {
    let desk = desk();
    write_classifier(&desk.path("other-shape"), [1, 9, 9], CLASSES, 1);
    write_classifier(&desk.path("other-classes"), IMAGE_SHAPE, CLASSES + 1, 1);
    write_vae(&desk.path("other-vae"), [1, 9, 9], 2);
    for (models, rest, told) in [
        ("models", "--add-member other-shape", "takes images of [1, 9, 9]"),
        ("models", "--add-member other-classes", "the members of an ensemble must agree"),
        ("models", "--add-member plane", "holds no classifier"),
        ("models", "--add-member nowhere", "nowhere"),
        ("models", "--vae other-vae", "the decoder makes images of [1, 9, 9]"),
        ("models", "--vae more", "holds no VAE"),
        ("more", "", "holds 0 VAEs where one is needed; put a VAE in a folder of its own beside these classifiers"),
        ("more/classifier-5", "", "or name a folder with one VAE and one classifier at least"),
        ("plane", "", "add classifiers with --add-member DIR"),
    ] {
        let sentence = desk.refuses(&format!("map --models {models} {rest} --grid 3 --samples 2 --out map.npz"));
        assert!(sentence.contains(told), "{models} {rest}: {sentence}");
    }
}
