//! `epistemap holes`, and the figures of holes.

use super::{CLASSES, IMAGE_SHAPE};
use crate::program::Desk;
use serde_json::Value;

const HOLES: &str =
    "holes --models models --grid 9 --region=-6,6 --samples 4 --quantile 1 --min-confidence off --reference decoded --seeds 2";

#[test]
fn holes_are_listed_as_json_with_thresholds_curve_and_garbage() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    let [out, err] = desk.succeeds(&format!("{HOLES} --json --garbage 1 --curve --subsets 3"));
    assert_eq!(err, "");
    let result: Value = serde_json::from_str(&out).unwrap();
    let number = |of: &Value| of.as_f64().unwrap_or_else(|| panic!("no number: {of}"));
    let list = result["holes"].as_array().unwrap();
    assert!(!list.is_empty());
    let sum: f64 = list.iter().map(|hole| number(&hole["area"])).sum();
    assert!((sum - number(&result["area"])).abs() < 1e-9 && (sum / 144.0 - number(&result["share"])).abs() < 1e-9);
    for hole in list {
        let threshold = number(&result["thresholds"]["uncertainty"]);
        assert!(number(&hole["uncertainty"]) <= threshold && number(&hole["distance"]) > 0.0, "{hole}");
        assert!((1.0 / CLASSES as f64 - 1e-6..=1.0).contains(&number(&hole["confidence"])), "{hole}");
        assert!(hole["peak"].as_array().is_some_and(|peak| peak.len() == 2) && hole["class"].is_string());
    }
    let garbage = &list[0]["garbage"];
    assert_eq!(garbage["image"].as_array().unwrap().len(), IMAGE_SHAPE.iter().product::<usize>());
    assert!(garbage["measures"]["mutual_information"].is_f64() && garbage["measures"]["deterministic_entropy"].is_f64());
    assert!(list.iter().skip(1).all(|hole| hole["garbage"].is_null()));
    let curve = result["curve"]["points"].as_array().unwrap();
    assert_eq!((curve.len(), &curve[0]["subsets"], &curve[1]["subsets"]), (2, &Value::from(2), &Value::from(1)));
    assert!(result["curve"]["finding"].as_str().is_some_and(|finding| finding.contains("95 % interval")));
    let interval = result["interval"]["area"].as_array().unwrap();
    assert!(number(&interval[0]) <= number(&interval[1]) && result["interval"]["seeds"] == 2);
    assert_eq!(result["reference"]["images"], "decoded encodings of test images");

    let [again, _] = desk.succeeds(&format!("{HOLES} --json --garbage 1 --curve --subsets 3"));
    assert!(again == out);
    let [other, _] = desk.succeeds(&format!("{HOLES} --json --seed 9"));
    let other: Value = serde_json::from_str(&other).unwrap();
    assert!(other["area"] != result["area"] && other["curve"].is_null());
}

#[test]
fn every_format_of_holes_carries_its_settings() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    for extension in ["json", "csv", "png", "svg", "pdf"] {
        let file = format!("holes.{extension}");
        assert_eq!(desk.succeeds(&format!("{HOLES} --measure predictive_entropy --garbage 2 --out {file}")), ["", ""]);
        let [provenance, _] = desk.succeeds(&format!("provenance {file}"));
        let provenance: Value = serde_json::from_str(&provenance).unwrap();
        assert_eq!((&provenance["holes"]["measure"], &provenance["holes"]["covered"]), (&"predictive_entropy".into(), &0.99.into()));
        assert_eq!(provenance["settings"]["view"]["columns"], 9);
        // JSON has the interval beside the holes.
        assert_eq!(provenance["interval"]["seeds"].as_u64(), (extension != "json").then_some(2), "{extension}");
    }
    let drawn = || String::from_utf8(desk.read("holes.svg")).unwrap().split("</metadata>").nth(1).unwrap().to_owned();
    assert!(drawn().contains("interval"), "{}", drawn());
    desk.succeeds(&format!("{} --out holes.svg", HOLES.replace("--seeds 2", "--seeds 0")));
    assert!(!drawn().contains("interval"), "the negative control");
    let csv = String::from_utf8(desk.read("holes.csv")).unwrap();
    let list: Value = serde_json::from_slice(&desk.read("holes.json")).unwrap();
    assert!(
        csv.lines().nth(1).unwrap().starts_with("# predictive entropy ≤") && csv.lines().nth(2).unwrap().starts_with("number,area,class,")
    );
    assert_eq!(csv.lines().count(), 3 + list["holes"].as_array().unwrap().len());

    let [table, _] = desk.succeeds(&format!("{HOLES} --curve --garbage 1 --measure maximum_probability"));
    for words in [
        "z², ",
        "of the region",
        "95 % interval over 2 mask seeds",
        "; mean area ",
        "maximum probability ≥",
        "density of encodings ≤",
        "Garbage in hole 1",
        "subsets",
    ] {
        assert!(table.contains(words), "'{words}' in {table}");
    }
}

#[test]
fn no_holes_have_no_negative_area() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    let line = HOLES.replace("--quantile 1", "--threshold=-1");
    let [table, _] = desk.succeeds(&line);
    assert!(table.starts_with("0 holes, 0.0 z², 0.0 % of the region") && !table.contains("-0.0"), "{table}");
    let [json, _] = desk.succeeds(&format!("{line} --json"));
    let result: Value = serde_json::from_str(&json).unwrap();
    for number in [&result["area"], &result["share"], &result["interval"]["mean_area"]] {
        assert!(number.as_f64().is_some_and(|number| number == 0.0 && number.is_sign_positive()), "{json}");
    }
}

#[test]
fn figures_of_holes_are_written() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    let line = "figures figure-5 hole-curve --models models --grid 9 --samples 4 --format svg --out";
    desk.succeeds(&format!("{line} once"));
    desk.succeeds(&format!("{line} twice"));
    for name in ["figure-5", "hole-curve"] {
        let once = desk.read(&format!("once/{name}.svg"));
        assert!(once == desk.read(&format!("twice/{name}.svg")));
        let [provenance, _] = desk.succeeds(&format!("provenance once/{name}.svg"));
        let provenance: Value = serde_json::from_str(&provenance).unwrap();
        assert_eq!((&provenance["figure"], &provenance["holes"]["bound"]["quantile"]), (&name.into(), &0.95.into()));
    }
    let curve = String::from_utf8(desk.read("once/hole-curve.svg")).unwrap();
    assert!(curve.contains("Ensemble members") && curve.contains("Area of holes"));
    let [provenance, _] = desk.succeeds("provenance once/hole-curve.svg");
    let provenance: Value = serde_json::from_str(&provenance).unwrap();
    let first_words: Vec<&str> = provenance["finding"].as_str().unwrap().split(' ').take(4).collect();
    // The provenance in the file's metadata holds the finding too.
    let drawn = curve.split("</metadata>").nth(1).unwrap();
    assert!(drawn.contains(&first_words.join(" ")) && drawn.contains("mask seeds"), "{drawn}");
    let map = String::from_utf8(desk.read("once/figure-5.svg")).unwrap();
    let drawn = map.split("</metadata>").nth(1).unwrap();
    for words in ["maximum probability ≥ 0.9", "mutual information ≤"] {
        assert!(drawn.contains(words), "'{words}' in {drawn}");
    }
}

#[test]
fn what_makes_no_sense_of_holes_is_refused() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    for (setting, named) in [
        ("--quantile 1.5", "--quantile"),
        ("--min-confidence nan", "--min-confidence"),
        ("--quantile=-0.1", "--quantile"),
        ("--covered 0", "--covered"),
        ("--covered inf", "--covered"),
        ("--reference-images 0", "--reference-images"),
        ("--seeds 1", "--seeds"),
        ("--seeds 10001", "from 2 to 10000"),
        ("--min-confidence off --threshold off --covered off", "the whole region is a hole"),
        ("--members 1", "undefined"),
        ("--subsets 0 --curve", "--subsets"),
        ("--out holes.npz", "holes.npz"),
        ("--out holes", "holes"),
        ("--curve --out holes.png", "hole-curve"),
        ("--dpi 0 --out holes.png", "--dpi"),
    ] {
        let sentence = desk.refuses(&format!("holes --models models --reference decoded --grid 3 --samples 1 {setting}"));
        assert!(sentence.contains(named), "'{named}' in {sentence}");
    }
    for setting in ["--quantile x", "--threshold x", "--measure nonsense", "--garbage=-1", "--curve-threshold nonsense"] {
        desk.misunderstands(&format!("holes --models models {setting}"));
    }
    std::fs::remove_file(desk.path("models/encodings.safetensors")).unwrap();
    assert!(desk.refuses("holes --models models --grid 3 --samples 1").contains("encodings.safetensors"));
    assert!(desk.refuses("figures hole-curve --models models --grid 3 --samples 1").contains("encodings.safetensors"));
}
