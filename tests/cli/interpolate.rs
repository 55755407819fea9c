//! `epistemap interpolate`: what scripts read, figures, and bad input.

use super::{CLASSES, IMAGE_SHAPE};
use crate::program::Desk;
use epistemap::uncertainty::Measure;
use serde_json::{Value, json};

/// Points of the plane need no data set.
const CURVES: &str = "interpolate --models models --from=-2,1.5 --to 3,-1 --steps 4 --samples 3 --seed 2";
/// Images of the classes of the data that stand in for MNIST.
const IMAGES: &str = "interpolate --models models --dataset decoded-digits --steps 3 --samples 2 --members 1";

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn curves_come_as_json_with_every_measure() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    let [out, err] = desk.succeeds(&format!("{CURVES} --json"));
    assert_eq!(err, "");
    let result = parsed(&out);
    assert_eq!(numbers(&result["t"]), [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0]);
    assert_eq!(result["paths"].as_object().unwrap().keys().collect::<Vec<_>>(), ["geodesic", "latent", "pixel"]);
    for (path, curve) in result["paths"].as_object().unwrap() {
        for measure in Measure::ALL {
            let [low, high] = measure.natural_range(CLASSES);
            let values = numbers(&curve[measure.key()]);
            assert!(values.len() == 4 && values.iter().all(|value| (low - 1e-6..=high + 1e-6).contains(value)), "{path} {measure:?}");
        }
        let probabilities: Vec<Vec<f64>> = curve["mean_probabilities"].as_array().unwrap().iter().map(numbers).collect();
        assert_eq!(probabilities.len(), 4);
        assert!(probabilities.iter().all(|p| p.len() == CLASSES && (p.iter().sum::<f64>() - 1.0).abs() <= 1e-5));
        match path.as_str() {
            "pixel" => assert!(curve["z"].is_null()),
            _ => assert_eq!([&curve["z"][0], &curve["z"][3]], [&json!([-2.0, 1.5]), &json!([3.0, -1.0])], "{path}"),
        }
    }
    // The ends of decoded points are the same images on every path.
    let at = |path: &str, step: usize| numbers(&result["paths"][path]["predictive_entropy"])[step];
    for step in [0, 3] {
        assert!((at("latent", step) - at("pixel", step)).abs() <= 1e-6 && at("latent", step) == at("geodesic", step));
    }
    assert!(at("latent", 1) != at("pixel", 1));

    assert_eq!(desk.succeeds(&format!("{CURVES} --json --out again.json"))[0], out);
    assert_eq!(parsed(std::str::from_utf8(&desk.read("again.json")).unwrap()), result);
    let [pixel_alone, _] = desk.succeeds(&format!("{CURVES} --paths pixel --json"));
    assert_eq!(parsed(&pixel_alone)["paths"]["pixel"], result["paths"]["pixel"]);
    let [table, _] = desk.succeeds(CURVES);
    assert!(table.contains("Predictive entropy (nats)") && table.contains("Geodesic") && table.lines().count() == 10, "{table}");
}

#[test]
fn every_format_carries_its_settings_and_is_written_the_same_again() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    for (extension, start) in [("json", &b"{"[..]), ("csv", b"# "), ("png", b"\x89PNG"), ("svg", b"<"), ("pdf", b"%PDF")] {
        let file = format!("new/curves.{extension}");
        let once = [CURVES, CURVES].map(|line| {
            assert_eq!(desk.succeeds(&format!("{line} --out {file}")), ["", ""]);
            desk.read(&file)
        });
        assert!(once[0].starts_with(start) && once[0] == once[1], "{file}");
        let provenance = parsed(&desk.succeeds(&format!("provenance {file}"))[0]);
        let settings = json!({
            "ends": [{"z": [-2.0, 1.5]}, {"z": [3.0, -1.0]}], "steps": 4, "samples": 3, "members": [0, 1], "seed": 2, "masks": "shared",
            "paths": ["latent", "pixel", "geodesic"],
        });
        assert_eq!((&provenance["settings"], &provenance["images"]), (&settings, &json!([null, null])), "{file}");
    }
    let csv = String::from_utf8(desk.read("new/curves.csv")).unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!((lines.len(), lines[1].starts_with("path,t,z1,z2,predictive_entropy,")), (2 + 12, true));
    assert!(lines[2].starts_with("latent,0,-2,1.5,") && lines[6].starts_with("pixel,0,,,"));
    assert!(lines.iter().skip(1).all(|line| line.split(',').count() == 4 + Measure::ALL.len()));
}

#[test]
fn ends_are_chosen_by_class_and_by_number() {
    let desk = Desk::with_models([1, 28, 28], 10);
    let images = |choice: &str| {
        let [out, err] = desk.succeeds(&format!("{IMAGES} {choice} --paths pixel --json"));
        assert_eq!(err, "");
        let result = parsed(&out);
        (result["provenance"]["images"].clone(), result["provenance"]["settings"]["ends"].clone())
    };
    let (by_class, ends) = images("--from-class 3 --to-class 5");
    assert_eq!((&by_class[0]["class"], &by_class[1]["class"]), (&json!("3"), &json!("5")));
    let [from, to] = [0, 1].map(|end| by_class[end]["image"].as_u64().unwrap());
    assert_eq!(images(&format!("--from-index {from} --to-index {to}")), (by_class.clone(), ends.clone()));
    let (mixed, places) = images("--from-class 3 --to=1,2");
    assert_eq!((&mixed[0], &mixed[1], &places[0], &places[1]), (&by_class[0], &Value::Null, &ends[0], &json!({"z": [1.0, 2.0]})));
    // One end is chosen: the other is the first image of another class.
    let (first, _) = images("");
    for (option, chosen) in [("--from-class", 0), ("--to-class", 1)] {
        let (ends, _) = images(&format!("{option} 3"));
        assert_eq!(ends[chosen], by_class[0], "{option}");
        let of_first = first[0]["class"] == "3";
        assert!(ends[1 - chosen]["image"] == first[usize::from(of_first)]["image"] && ends[1 - chosen]["class"] != "3", "{option}: {ends}");
    }
    assert_eq!((&images("--from=1,2").0[1], &images("--to=1,2").0[0]), (&first[1], &first[0]));
    // Nobody chose: two images of different classes.
    let (chosen, _) = images("");
    assert!(chosen[0]["image"] == 0 && chosen[0]["class"] != chosen[1]["class"]);
}

#[test]
fn a_population_comes_as_json_csv_and_figure() {
    let desk = Desk::with_models([1, 28, 28], 10);
    let line = "interpolate --population 7 --models models --dataset decoded-digits --samples 3 --seed 5";
    let result = parsed(&desk.succeeds(&format!("{line} --json --out midpoints.csv"))[0]);
    assert_eq!(result["pairs"].as_array().unwrap().len(), 7);
    for measure in Measure::ALL {
        assert!((0.0..=1.0).contains(&result["auroc"][measure.key()].as_f64().unwrap()));
        assert!(["latent", "pixel"].iter().all(|path| numbers(&result[path][measure.key()]).len() == 7));
    }
    assert!(result["provenance"]["dataset"].as_str().unwrap().starts_with("decoded digits"));
    let csv = String::from_utf8(desk.read("midpoints.csv")).unwrap();
    assert_eq!((csv.lines().count(), csv.lines().nth(1).unwrap().starts_with("path,first,second,predictive_entropy")), (2 + 14, true));
    desk.succeeds(&format!("{line} --measures softmax_variance --out midpoints.svg"));
    assert!(String::from_utf8(desk.read("midpoints.svg")).unwrap().contains("Softmax variance"));
    let [table, _] = desk.succeeds(line);
    assert!(table.contains("AUROC") && table.contains("7 pairs"), "{table}");
    assert!(table.contains("; paired difference, predictive entropy minus mutual information: "), "{table}");
}

#[test]
fn figures_2_and_3_say_what_they_were_made_from() {
    let desk = Desk::with_models([1, 28, 28], 10);
    let line = "figures figure-2 figure-3 --models models --samples 2 --pairs 5 --steps 4 --dataset decoded-digits --format svg --grid 3";
    let [out, err] = desk.succeeds(&format!("{line} --out figures"));
    assert_eq!((out.as_str(), err.lines().count()), ("", 2), "{err}");
    let of = |name: &str| parsed(&desk.succeeds(&format!("provenance figures/{name}.svg"))[0]);
    let (second, third) = (of("figure-2"), of("figure-3"));
    assert_eq!(
        (&second["figure"], &second["settings"]["steps"], &second["settings"]["members"]),
        (&json!("figure-2"), &json!(4), &json!([0]))
    );
    assert_eq!(second["settings"]["paths"], json!(["latent", "pixel", "geodesic"]));
    assert!(second["images"][0]["dataset"].as_str().unwrap().starts_with("decoded digits"));
    assert_eq!(
        (&third["figure"], &third["settings"]["pairs"], &third["dataset"]),
        (&json!("figure-3"), &json!(5), &second["images"][0]["dataset"])
    );
    let text = String::from_utf8(desk.read("figures/figure-3.svg")).unwrap();
    assert!(text.contains("AUROC") && text.contains("Mutual information (nats)"));
    let sentence = desk.refuses(&line.replace("--pairs 5", "--pairs 0"));
    assert!(sentence.contains("the number of pairs: 0 is out of range"), "{sentence}");
}

#[test]
fn bad_input_gives_one_sentence() {
    let desk = Desk::with_models([1, 28, 28], 10);
    for (options, words) in [
        ("--from-class 11 --to-class 3", "--from-class: "),
        ("--from-class 3 --to-class nonsense", "--to-class: "),
        ("--from-index 0 --to-index 10000", "--to-index: "),
        ("--from=nan,0 --to=0,0", "--from: "),
        ("--from=0,0 --to=0,inf", "--to: "),
        ("--steps 1", "--steps: "),
        ("--steps 1001", "--steps: "),
        ("--samples 0", "--samples: "),
        ("--members 3", "--members: "),
        ("--paths pixel,pixel", "--paths: "),
        ("--dpi 0", "--dpi: "),
        ("--out curves.gif", ".gif"),
        ("--out curves", ".csv"),
        ("--dataset nonsense", "nonsense"),
    ] {
        // The last of two options of a name counts nowhere: take the first away.
        let name = options.split([' ', '=']).next().unwrap();
        let common =
            ["--dataset decoded-digits", "--steps 3", "--samples 2", "--members 1"].iter().filter(|common| !common.starts_with(name));
        let common: Vec<&str> = common.copied().collect();
        let sentence = desk.refuses(&format!("interpolate --models models {} {options}", common.join(" ")));
        assert!(sentence.contains(words) && sentence.len() < 300, "{options}: {sentence}");
    }
    for options in [
        "--from 0,0 --from-class 3 --to 1,1",
        "--from x --to 1,1",
        "--from 1,2,3 --to 1,1",
        "--paths straight",
        "--steps -1",
        "--population 3 --from 0,0",
        "--population x",
        "--measures entropy",
    ] {
        desk.misunderstands(&format!("interpolate --models models {options}"));
    }
    for pairs in ["0", "4294967295"] {
        let sentence = desk.refuses(&format!("interpolate --models models --dataset decoded-digits --population {pairs}"));
        assert!(sentence.contains(&format!("the number of pairs: {pairs} is out of range")), "{sentence}");
    }
    // Models of other images than the data's, but points of their plane need none.
    let odd = Desk::with_models(IMAGE_SHAPE, CLASSES);
    assert!(odd.refuses("interpolate --models models --dataset decoded-digits --from-class 1 --to-class 2").contains("the models take"));
    assert!(odd.refuses("interpolate --models models --dataset decoded-digits --population 5").contains("the models take"));
}
