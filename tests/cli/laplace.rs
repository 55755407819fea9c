//! `epistemap laplace`: models whose draws are draws of the last layer.

use super::read_npz;
use crate::program::{Desk, write_classifier, write_vae};
use epistemap::nets::folder::{Model, load};
use serde_json::Value;

const SHAPE: [usize; 3] = [1, 28, 28];

fn desk() -> Desk {
    let desk = Desk::new();
    write_vae(&desk.path("vae"), SHAPE, 2);
    for number in [1, 2] {
        write_classifier(&desk.path(&format!("classifiers/classifier-{number}")), SHAPE, 10, number);
    }
    desk
}

#[test]
fn a_laplace_model_is_a_model_as_any_other() {
    let desk = desk();
    let [printed, _] = desk.succeeds("laplace --model classifiers/classifier-1 --dataset decoded-digits --images 120 --out one --json");
    let made: Value = serde_json::from_str(&printed).unwrap();
    assert!(made[0]["name"] == "one" && made[0]["prior_precision"].as_f64().unwrap() > 0.0, "{printed}");
    let (description, Model::Classifier(classifier)) = load(&desk.path("one")).unwrap() else { panic!("no classifier") };
    let kinds: Vec<bool> = classifier.network.nodes().iter().map(|node| node.op.draws()).collect();
    assert!(kinds.iter().filter(|drawn| **drawn).count() == 1 && kinds.last() == Some(&true));
    assert!(description.training()["laplace"]["of"] == "classifier-1" && description.training()["laplace"]["images"] == 120);

    let information = |models: &str| -> f64 {
        desk.succeeds(&format!("map --models {models} --vae vae --grid 3 --samples 8 --engine cpu --out {models}.npz"));
        read_npz(&desk.read(&format!("{models}.npz")))["mutual_information"].values.iter().sum()
    };
    assert!(information("one") > 1e-4);
    // Without draws there is nothing to disagree about.
    let mut sure: Value = serde_json::from_slice(&desk.read("one/model.json")).unwrap();
    let last = sure["nodes"].as_array_mut().unwrap().last_mut().unwrap();
    last["op"] = "linear".into();
    last.as_object_mut().unwrap().retain(|key, _| !["covariance", "stream"].contains(&key.as_str()));
    std::fs::create_dir(desk.path("sure")).unwrap();
    std::fs::write(desk.path("sure/model.json"), sure.to_string()).unwrap();
    let source = load(&desk.path("classifiers/classifier-1")).unwrap().1;
    let Model::Classifier(source) = source else { panic!("no classifier") };
    let bytes =
        epistemap::nets::folder::encode_weights(&desk.path("sure"), source.network.weights(), epistemap::nets::folder::Precision::F32);
    std::fs::write(desk.path("sure/weights.safetensors"), bytes.unwrap()).unwrap();
    assert!(information("sure") <= 1e-6, "the negative control");

    desk.succeeds("laplace --model classifiers --dataset decoded-digits --images 50 --out both");
    assert!(desk.path("both/classifier-1/model.json").exists() && desk.path("both/classifier-2/weights.safetensors").exists());
    desk.succeeds(
        "detect --model both --dataset decoded-digits --images 4 --method fgm --eps 0.1 --on mc --samples 3 --no-cache --no-checks",
    );
}

#[test]
fn structures_are_different_posteriors_of_the_same_weights() {
    let desk = desk();
    let make = |structure: &str, out: &str| -> (Value, Vec<f32>) {
        let line = format!("laplace --model classifiers/classifier-1 --dataset decoded-digits --images 120 {structure} --out {out} --json");
        let made: Value = serde_json::from_str(&desk.succeeds(&line)[0]).unwrap();
        let (description, Model::Classifier(classifier)) = load(&desk.path(out)).unwrap() else { panic!("no classifier") };
        assert_eq!(description.training()["laplace"]["structure"], made[0]["structure"]);
        desk.succeeds(&format!("map --models {out} --vae vae --grid 3 --samples 50 --engine cpu --out {out}.npz"));
        let information = read_npz(&desk.read(&format!("{out}.npz"))).remove("mutual_information").unwrap().values;
        assert!(information.iter().sum::<f64>() > 1e-4, "draws differ");
        let name = &classifier.network.nodes().last().unwrap().name;
        (made[0].clone(), classifier.network.weight(name, "weight").values.iter().map(|weight| *weight as f32).collect())
    };
    let (default, mean) = make("", "default");
    for (structure, key) in [("full", "full"), ("kronecker", "kronecker"), ("kronecker-bias-apart", "kronecker_bias_apart")] {
        let (made, weights) = make(&format!("--structure {structure}"), structure);
        assert!(made["structure"] == key && weights == mean, "{made}");
        assert_eq!(made["log_evidence"] == default["log_evidence"], key == "full", "the full one is the default of so few weights");
    }
    desk.misunderstands("laplace --model classifiers/classifier-1 --structure diagonal --out no");
}

#[test]
fn what_cannot_be_made_is_said() {
    let desk = desk();
    write_classifier(&desk.path("twelve"), SHAPE, 12, 1);
    write_classifier(&desk.path("small"), [1, 8, 9], 10, 1);
    desk.succeeds("laplace --model classifiers/classifier-1 --dataset decoded-digits --images 20 --out made");
    for (options, told) in [
        ("--model classifiers/classifier-1 --out made", "made: holds a model already"),
        ("--model made --out again", "drawn already"),
        ("--model vae --out new", "holds no classifier"),
        ("--model nowhere --out new", "nowhere"),
        ("--model twelve --out new", "knows 12 classes"),
        ("--model small --out new", "[1, 8, 9]"),
        ("--model classifiers --images 0 --out new", "--images"),
    ] {
        let images = if options.contains("--images") { "" } else { " --images 20" };
        let sentence = desk.refuses(&format!("laplace {options} --dataset decoded-digits{images}"));
        assert!(sentence.contains(told), "{options}: {sentence}");
    }
}
