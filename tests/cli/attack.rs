//! `epistemap attack`: its contract, and what it refuses.

use super::{CLASSES, IMAGE_SHAPE};
use crate::program::{Desk, write_classifier};
use epistemap::autodiff::{Loss, Objective, Passes, Precision, Randomness, input_gradients};
use epistemap::data::{idx, npy};
use epistemap::nets::Ensemble;
use epistemap::nets::folder::{self, Model};
use serde_json::Value;
use std::path::Path;

const SHORT: &str = "attack --model models --images x.npy --method bim --norm linf --eps 0.1 --samples 3 --out adversarial.npy";

/// Whether a network of random weights has a gradient at every image: some have no hidden unit that is ever on.
fn is_alive(folder: &Path, images: &[f64]) -> bool {
    let (_, Model::Classifier(classifier)) = folder::load(folder).unwrap() else { return false };
    let networks = input_gradients(&Ensemble::new(vec![classifier]).unwrap(), Precision::Double, Randomness::of_seed(0));
    let passes = Passes { members: vec![0], draws: None };
    let objective = Objective { loss: Loss::MeanProbability, towards: false };
    let gradients = networks.answer(images, &[0; 7], &passes, objective, true).unwrap().gradients;
    gradients.chunks(images.len() / 7).all(|gradient| gradient.iter().any(|value| *value != 0.0))
}

/// A desk with small models, seven images and their labels as npy and IDX files.
fn desk() -> Desk {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    let pixels: Vec<u8> = (0..7 * IMAGE_SHAPE.iter().product::<usize>()).map(|at| (at * 37 % 251) as u8).collect();
    let single: Vec<f32> = pixels.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    npy::write_images(&desk.path("x.npy"), IMAGE_SHAPE, &single).unwrap();
    let images: Vec<f64> = single.iter().copied().map(f64::from).collect();
    let mut seeds = 0..;
    for number in 0..2 {
        let folder = desk.path("models").join(format!("classifier-{number}"));
        seeds.find(|&seed| {
            write_classifier(&folder, IMAGE_SHAPE, CLASSES, seed);
            is_alive(&folder, &images)
        });
    }
    let labels: Vec<u8> = (0..7).map(|image| image % CLASSES as u8).collect();
    let axes = [7, IMAGE_SHAPE[0] as u32, IMAGE_SHAPE[1] as u32, IMAGE_SHAPE[2] as u32];
    std::fs::write(desk.path("x.idx"), idx::encode(&axes, &pixels)).unwrap();
    std::fs::write(desk.path("y.idx"), idx::encode(&[7], &labels)).unwrap();
    desk
}

fn summary(desk: &Desk, line: &str) -> Value {
    serde_json::from_str(&desk.succeeds(&format!("{line} --json"))[0]).unwrap()
}

#[test]
fn the_contract_of_an_attack_is_kept() {
    let desk = desk();
    let clean = npy::read_images(&desk.path("x.npy")).unwrap();
    let pixels: usize = IMAGE_SHAPE.iter().product();
    for (method, norm, eps) in [
        ("fgm", "linf", 0.1),
        ("apgd", "linf", 0.1),
        ("apgd", "l1", 2.0),
        ("mim", "l2", 0.5),
        ("pgd", "l1", 2.0),
        ("square", "linf", 0.1),
        ("cw", "l2", 3.0),
    ] {
        for on in ["deterministic", "mc", "ensemble"] {
            let line = format!(
                "attack --model models --images x.idx --labels y.idx --method {method} --norm {norm} --eps {eps} --on {on} --samples 3 \
                 --iterations 5 --seed 2 --no-checks --out a.npy"
            );
            let said = summary(&desk, &line);
            let changed = npy::read_images(&desk.path("a.npy")).unwrap();
            assert_eq!((changed.count, changed.shape), (7, IMAGE_SHAPE));
            assert!(said["norms"][norm]["largest"].as_f64().unwrap() <= eps * (1.0 + 1e-6), "{line}");
            let lengths = changed.pixels.chunks(pixels).zip(clean.pixels.chunks(pixels));
            let longest = lengths.map(|(a, b)| a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs()).fold(0.0, f64::max));
            let longest = longest.fold(0.0, f64::max);
            assert!((said["norms"]["linf"]["largest"].as_f64().unwrap() - longest).abs() <= 1e-12, "{line}");
            assert!(longest > 0.0 || method == "cw", "{line}: nothing moved");
            let success = &said["success"];
            let [low, rate, high] = [&success["interval"][0], &success["rate"], &success["interval"][1]].map(|of| of.as_f64().unwrap());
            assert!(0.0 <= low && low <= rate && rate <= high && high <= 1.0 && low < high, "{success}");
            for measure in ["mutual_information", "deterministic_entropy"] {
                assert!(said["measures"][measure]["before"].is_number() && said["measures"][measure]["after"].is_number());
            }
            assert_eq!(said["provenance"]["settings"]["on"], on);
        }
    }
}

#[test]
fn the_same_seed_is_the_same_attack_and_the_predictions_are_the_labels_where_there_are_none() {
    let desk = desk();
    let run = |seed: u32| {
        let line = SHORT.replace("--norm linf --eps 0.1", "--norm l2 --eps 1");
        let said = summary(&desk, &format!("{line} --on mc --seed {seed} --each --no-checks"));
        (said, desk.read("adversarial.npy"))
    };
    let (first, again, other) = (run(3), run(3), run(4));
    assert!(first == again);
    assert!(first.1 != other.1, "the negative control");
    assert_eq!(first.0["labels"], "predicted");
    assert_eq!(first.0["each"]["label"], first.0["each"]["before"]);
    assert_eq!(first.0["accuracy"]["before"], 1.0);
}

#[test]
fn the_draws_of_an_attack_are_apart_from_those_that_measure() {
    let desk = desk();
    let line = SHORT.replace("--norm linf --eps 0.1 --samples 3", "--norm l2 --eps 1 --labels y.idx --on mc --no-checks");
    let run = |draws: &str| {
        let said = summary(&desk, &format!("{line} {draws}"));
        (desk.read("adversarial.npy"), said["provenance"]["settings"]["attack"].get("attack_samples").cloned())
    };
    let [few, many] = ["--samples 5", "--samples 20"].map(|measure| run(&format!("--attack-samples 1 {measure}")));
    assert!(few == many && few.1 == Some(1.into()), "{:?}", few.1);
    let plain = run("--samples 5");
    assert!(plain.0 != few.0, "the negative control");
    assert!(plain.0 == run("--samples 20 --attack-samples 5").0 && plain.1.is_none(), "the default is the number that measures");
}

#[test]
fn targets_make_an_attack_targeted_and_no_budget_gives_the_images_back() {
    let desk = desk();
    let said = summary(&desk, &format!("{SHORT} --targets y.idx --on ensemble --no-checks"));
    assert!(said["at_target"]["after"].as_f64() >= said["at_target"]["before"].as_f64(), "{said}");
    // The images are of the target's class already: a rate of nothing, and no interval.
    let predicted = summary(&desk, &format!("{SHORT} --each --no-checks"));
    let classes: Vec<u8> = predicted["each"]["before"].as_array().unwrap().iter().map(|class| class.as_u64().unwrap() as u8).collect();
    std::fs::write(desk.path("there.idx"), idx::encode(&[7], &classes)).unwrap();
    let said = summary(&desk, &format!("{SHORT} --targets there.idx --no-checks"));
    assert_eq!(
        (&said["success"]["eligible"], &said["success"]["rate"], &said["success"]["interval"]),
        (&0.into(), &Value::Null, &Value::Null)
    );
    let said = summary(&desk, &format!("{SHORT} --eps 0").replace("--eps 0.1 ", ""));
    assert_eq!((&said["norms"]["l1"]["largest"], &said["success"]["rate"]), (&0.0.into(), &0.0.into()));
    assert_eq!(npy::read_images(&desk.path("adversarial.npy")).unwrap(), npy::read_images(&desk.path("x.npy")).unwrap());
}

#[test]
fn apgd_climbs_the_loss_that_is_chosen() {
    let desk = desk();
    let line = "attack --model models --images x.npy --labels y.idx --method apgd --eps 0.1 --on mc --samples 3 --iterations 10 --no-checks \
                --out adversarial.npy";
    let run = |loss: &str| {
        let said = summary(&desk, &format!("{line}{loss}"));
        assert!(said["norms"]["linf"]["largest"].as_f64().unwrap() <= 0.1 + 1e-6);
        (
            said["success"]["successful"].as_u64().unwrap(),
            said["provenance"]["settings"]["attack"]["loss"].clone(),
            desk.read("adversarial.npy"),
        )
    };
    let [both, ce, dlr] = [" --loss both", " --loss ce", " --loss dlr"].map(run);
    assert!(both == run(""), "both, one after the other, are the default");
    assert_eq!([&both.1, &ce.1, &dlr.1], ["both", "ce", "dlr"]);
    assert!(ce.2 != dlr.2, "two losses, two attacks");
    assert!(both.0 >= ce.0.max(dlr.0), "the better of the two: {} of {} and {}", both.0, ce.0, dlr.0);
    desk.misunderstands(&format!("{line} --loss hinge"));
}

#[test]
fn a_person_gets_a_table() {
    let desk = desk();
    let line = format!("{SHORT} --no-checks --members all --on mc");
    let said = summary(&desk, &line);
    assert_eq!(said["provenance"]["settings"]["members"], serde_json::json!([0, 1]));
    let [table, _] = desk.succeeds(&line);
    let row = |table: &str, name: &str| table.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    let success = &said["success"];
    assert!(row(&table, "success").contains(&format!("{} of {}", success["successful"], success["eligible"])), "{table}");
    assert!(row(&table, "linf").ends_with(&format!("{:.4}", said["norms"]["linf"]["largest"].as_f64().unwrap())), "{table}");
    let information = said["measures"]["mutual_information"]["before"].as_f64().unwrap();
    assert!(row(&table, "mutual_information ").contains(&format!("{information:.4}")), "{table}");
    let [each, _] = desk.succeeds(&format!("{line} --each"));
    assert_eq!(each.lines().count(), table.lines().count() + 1 + 7, "{each}");
}

#[test]
fn a_single_classifier_will_do() {
    let desk = desk();
    write_classifier(&desk.path("alone"), IMAGE_SHAPE, CLASSES, 9);
    let said = summary(&desk, &SHORT.replace("--model models", "--model alone"));
    assert_eq!(said["provenance"]["models"].as_object().unwrap().keys().collect::<Vec<_>>(), ["alone"]);
    assert_eq!(said["images"], 7);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let desk = desk();
    for (change, option) in [
        ("--eps=-0.1", "--eps"),
        ("--eps=nan", "--eps"),
        ("--eps=inf", "--eps"),
        ("--samples 0", "--samples"),
        ("--attack-samples 0", "--attack-samples"),
        ("--step=-1", "--step"),
        ("--iterations 0", "--iterations"),
        ("--restarts 0", "--restarts"),
        ("--members 9", "--members"),
        ("--first 0", "--first"),
        ("--first 8", "--first"),
        ("--norm l1 --method cw", "--norm"),
        ("--method mi-evading", "--on"),
        ("--method eot --as-published", "--as-published"),
    ] {
        let kept: Vec<&str> = SHORT.split(" --").collect();
        let name = |part: &str| part.split([' ', '=']).next().unwrap().trim_start_matches("--").to_owned();
        let replaced: Vec<String> = change.split(" --").map(name).collect();
        let line: Vec<&str> = kept.into_iter().filter(|part| !replaced.contains(&name(part))).collect();
        let sentence = desk.refuses(&format!("{} {change}", line.join(" --")));
        assert!(sentence.starts_with(&format!("epistemap: {option}: ")), "{change}: {sentence}");
    }
    assert!(desk.refuses(&format!("{SHORT} --labels x.npy")).contains("axes"));
    assert!(desk.refuses(&SHORT.replace("x.npy", "nowhere.npy")).contains("nowhere.npy"));
    assert!(desk.refuses(&SHORT.replace("--model models ", "")).contains("the classifiers take [1, 28, 28]"));
    assert!(desk.refuses(&SHORT.replace("--eps 0.1 ", "")).contains("needs a budget"));
    desk.misunderstands(&SHORT.replace("bim", "fgsm"));
    std::fs::write(desk.path("few.idx"), idx::encode(&[3], &[0, 1, 0])).unwrap();
    std::fs::write(desk.path("high.idx"), idx::encode(&[7], &[99; 7])).unwrap();
    assert!(desk.refuses(&format!("{SHORT} --labels few.idx")).contains("3 for 7 images"));
    assert!(desk.refuses(&format!("{SHORT} --labels high.idx")).contains("99"));
}
