//! The command line as people and scripts meet it: the contract of `map`, `evaluate` and `bench`, the figures' files, and what
//! goes to which stream.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "cli/additions.rs"]
mod additions;
#[path = "cli/attack.rs"]
mod attack;
#[path = "cli/bad_input.rs"]
mod bad_input;
#[path = "cli/colour.rs"]
mod colour;
#[path = "cli/data_formats.rs"]
mod data_formats;
#[path = "cli/detect.rs"]
mod detect;
#[path = "cli/foreign_models.rs"]
mod foreign_models;
#[path = "cli/garbage.rs"]
mod garbage;
#[path = "cli/holes.rs"]
mod holes;
#[path = "cli/interpolate.rs"]
mod interpolate;
#[path = "cli/laplace.rs"]
mod laplace;
#[path = "cli/limits.rs"]
mod limits;
#[path = "cli/output.rs"]
mod output;
#[path = "cli/shards.rs"]
mod shards;
#[path = "cli/shared_cases.rs"]
mod shared_cases;
#[path = "cli/training.rs"]
mod training;
#[path = "cli/training_folders.rs"]
mod training_folders;

use crate::program::Desk;
use epistemap::engine;
use epistemap::jobs::{MapSettings, ModelSet, map};
use epistemap::latent::View;
use epistemap::nets::folder::{Precision, decode_weights, encode_weights};
use epistemap::uncertainty::Measure;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Odd and unequal, so that swapped axes show.
const IMAGE_SHAPE: [usize; 3] = [1, 8, 9];
const CLASSES: usize = 3;

const MAP: &str = "map --models models --grid 7 --extent=-10,10 --samples 5 --members 2 --seed 3";

/// An array of an npz archive.
#[derive(Debug, PartialEq)]
pub struct Array {
    shape: Vec<u64>,
    dtype: String,
    pub values: Vec<f64>,
}

pub fn read_npz(bytes: &[u8]) -> BTreeMap<String, Array> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let names: Vec<String> = archive.file_names().filter_map(|name| Some(name.unwrap().strip_suffix(".npy")?.to_owned())).collect();
    let mut arrays = BTreeMap::new();
    for name in names {
        let mut member = Vec::new();
        archive.by_name(&format!("{name}.npy")).unwrap().read_to_end(&mut member).unwrap();
        let file = npyz::NpyFile::new(&member[..]).unwrap();
        let (shape, dtype) = (file.shape().to_vec(), file.dtype().descr());
        let values = if dtype.contains("f4") {
            file.into_vec::<f32>().unwrap().into_iter().map(f64::from).collect()
        } else {
            file.into_vec::<f64>().unwrap()
        };
        arrays.insert(name, Array { shape, dtype, values });
    }
    arrays
}

/// What people script against.
fn keeps_the_contract(arrays: &BTreeMap<String, Array>, grid: usize, classes: usize) {
    let measures = [
        "predictive_entropy",
        "expected_entropy",
        "mutual_information",
        "mutual_information_corrected",
        "softmax_variance",
        "variation_ratio",
        "maximum_probability",
    ];
    let more = ["deterministic_entropy", "mean_probabilities", "mutual_information_standard_error", "z1", "z2"];
    let mut names = [&measures[..], &more[..]].concat();
    names.sort_unstable();
    assert_eq!(arrays.keys().collect::<Vec<_>>(), names);

    let n = grid as u64;
    for name in measures {
        assert_eq!((&arrays[name].shape[..], arrays[name].dtype.as_str()), (&[n, n][..], "'<f4'"), "{name}");
        let [low, high] = Measure::from_key(name).unwrap().natural_range(classes);
        assert!(arrays[name].values.iter().all(|value| (low - 1e-6..=high + 1e-6).contains(value)), "{name}");
    }
    let mean = &arrays["mean_probabilities"];
    assert_eq!((&mean.shape[..], mean.dtype.as_str()), (&[n, n, classes as u64][..], "'<f4'"));
    assert!(mean.values.chunks(classes).all(|p| (p.iter().sum::<f64>() - 1.0).abs() <= 1e-5));
    for (mutual, total) in arrays["mutual_information"].values.iter().zip(&arrays["predictive_entropy"].values) {
        assert!((0.0..=*total).contains(mutual), "{mutual} in 0..={total}");
    }
    for axis in ["z1", "z2"] {
        assert_eq!(arrays[axis].shape, [n]);
        let at = |i: usize| -10.0 + 20.0 * i as f64 / (grid - 1) as f64;
        assert!((0..grid).all(|i| (arrays[axis].values[i] - at(i)).abs() <= 1e-12), "{axis}");
    }
}

#[test]
fn a_map_of_the_shipped_models_keeps_the_contract() {
    let desk = Desk::new();
    let [out, err] = desk.succeeds("map --grid 4 --extent=-10,10 --samples 3 --members 2 --seed 3 --out map.npz");
    assert_eq!([out, err], ["", ""]);
    keeps_the_contract(&read_npz(&desk.read("map.npz")), 4, 10);
}

#[test]
fn a_maps_rows_are_z2_and_its_values_those_of_the_reference() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    desk.succeeds(&format!("{MAP} --out map.npz"));
    let arrays = read_npz(&desk.read("map.npz"));
    keeps_the_contract(&arrays, 7, CLASSES);

    let (row, column) = (1, 5);
    let set = ModelSet::load(&desk.path("models")).unwrap();
    let [z1, z2] = [arrays["z1"].values[column], arrays["z2"].values[row]];
    let view = View::new([z1 - 1.0, z1 + 1.0], [z2 - 1.0, z2 + 1.0], 1, 1).unwrap();
    let settings = MapSettings { view, samples: 5, members: vec![0, 1], seed: 3, masks: engine::Masks::Shared, deterministic: true };
    let mut reference = engine::open("reference", Arc::clone(&set.models)).unwrap();
    let point = map(&set, reference.as_mut(), &settings, &mut |_| ControlFlow::Continue(())).unwrap();
    for measure in [Measure::PredictiveEntropy, Measure::MaximumProbability, Measure::DeterministicEntropy] {
        let expected = f64::from(point.measure(measure, &[0, 1]).unwrap()[0]);
        let agrees = |row: usize, column: usize| (arrays[measure.key()].values[row * 7 + column] - expected).abs() <= 1e-4;
        assert!(agrees(row, column), "{}", measure.key());
        assert!(!agrees(column, row), "{}: rows and columns can be told apart", measure.key());
    }
    let probabilities = &arrays["mean_probabilities"].values[(row * 7 + column) * CLASSES..][..CLASSES];
    assert!(probabilities.iter().zip(point.mean_probabilities()).all(|(&a, b)| (a - f64::from(b)).abs() <= 1e-4));
}

#[test]
fn the_same_settings_give_the_same_bytes() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    let made = |options: &str, threads: &str| {
        let output = desk.program(&format!("{MAP} {options} --out map.npz")).env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        desk.read("map.npz")
    };
    let once = made("", "1");
    assert!(made("", "1") == once && made("", "3") == once);

    let other = |options: &str| {
        desk.succeeds(&format!("map --models models --grid 7 --samples 5 {options} --out map.npz"));
        desk.read("map.npz")
    };
    assert!(other("--members 0,1 --seed 3") == once);
    let changed = ["--members 2 --seed 4", "--members 1,0 --seed 3", "--members 1, --seed 3", "--members 2 --seed 3 --masks per-point"];
    for options in changed {
        assert!(other(options) != once, "{options}");
    }

    let close = |bytes: &[u8]| {
        let (a, b) = (read_npz(&once), read_npz(bytes));
        a.iter().all(|(name, array)| array.values.iter().zip(&b[name].values).all(|(a, b)| (a - b).abs() <= 1e-4))
    };
    assert!(close(&made("--engine reference", "2")));
    assert!(!close(&other("--members 2 --seed 4 --engine reference")));
}

#[test]
fn every_format_of_a_map_carries_its_settings() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    for (extension, start) in [("npz", &b"PK"[..]), ("csv", b"# "), ("png", b"\x89PNG"), ("svg", b"<"), ("pdf", b"%PDF")] {
        let file = format!("map.{extension}");
        assert_eq!(desk.succeeds(&format!("{MAP} --out {file}")), ["", ""]);
        assert!(desk.read(&file).starts_with(start), "{file}");
        let [provenance, err] = desk.succeeds(&format!("provenance {file}"));
        let provenance: Value = serde_json::from_str(&provenance).unwrap();
        let settings = json!({
            "view": {"z1": [-10.0, 10.0], "z2": [-10.0, 10.0], "columns": 7, "rows": 7},
            "samples": 5, "members": [0, 1], "seed": 3, "masks": "shared",
            "deterministic": (["npz", "csv"].contains(&extension)),
        });
        assert_eq!((&provenance["settings"], &provenance["engine"], err.as_str()), (&settings, &json!("cpu"), ""), "{file}");
        let models: Vec<&String> = provenance["models"].as_object().unwrap().keys().collect();
        assert_eq!(models, ["classifier-0", "classifier-1", "vae"], "{file}");
    }
    let csv = String::from_utf8(desk.read("map.csv")).unwrap();
    assert_eq!((csv.lines().count(), csv.lines().nth(1).unwrap().starts_with("z1,z2,predictive_entropy,")), (2 + 49, true));
    assert!(csv.lines().nth(2).unwrap().starts_with("-10,-10,"));
}

#[test]
fn figures_are_written_in_every_format_and_the_same_again() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    let figures = |into: &str| {
        let line = "figures figure-1 figure-6 --models models --grid 8 --samples 3 --members 2 --format png,svg,pdf --out";
        let [out, err] = desk.succeeds(&format!("{line} {into}"));
        // A line for each file, and that figure 1 is of one network.
        assert_eq!((out.as_str(), err.lines().count()), ("", 6 + 1), "{err}");
        ["figure-1.png", "figure-1.svg", "figure-1.pdf", "figure-6.png", "figure-6.svg", "figure-6.pdf"].map(|name| {
            assert!(err.contains(name), "{err}");
            desk.read(&format!("{into}/{name}"))
        })
    };
    let once = figures("once");
    assert!(once.iter().all(|file| file.len() > 1000));
    assert!(figures("twice") == once);
    let [list, err] = desk.succeeds("figures --list");
    assert!(["figure-1", "figure-2", "figure-3", "figure-4", "figure-6"].iter().all(|name| list.contains(name)) && err.is_empty());
}

#[test]
fn evaluate_prints_one_json_object_and_names_what_stands_in_for_mnist() {
    let desk = Desk::with_models([1, 28, 28], 10);
    let line = "evaluate --json --models models --images 40 --samples 3";
    let [out, err] = desk.succeeds(line);
    assert!(err.lines().count() == 1 && err.contains("the first 1,000 of its 10,000 test images"), "{err}");
    let result: Value = serde_json::from_str(&out).unwrap();
    assert!(result["dataset"].as_str().unwrap().starts_with("MNIST test, the first 1,000"), "{out}");
    let number = |of: &Value, key: &str| of[key].as_f64().unwrap_or_else(|| panic!("'{key}' in {of}"));
    let [total, reconstruction, kl] = ["negative_elbo", "reconstruction", "kl"].map(|key| number(&result["vae"], key));
    assert!((total - reconstruction - kl).abs() <= 1e-9 && kl > 0.0, "{out}");
    let classifiers = result["classifiers"].as_array().unwrap();
    assert_eq!(classifiers.iter().map(|of| of["name"].as_str().unwrap()).collect::<Vec<_>>(), ["classifier-0", "classifier-1"]);
    let drawn = result["classifiers_with_draws"].as_array().unwrap();
    assert_eq!(drawn.len(), 2);
    assert!(drawn[0]["nll"] != classifiers[0]["nll"], "draws of dropout change the scores");
    for of in classifiers.iter().chain(drawn).chain([&result["ensemble"], &result["ensemble_without_draws"]]) {
        let [accuracy, nll, brier, ece] = ["accuracy", "nll", "brier", "ece"].map(|key| number(of, key));
        assert!((0.0..=1.0).contains(&accuracy) && nll > 0.0 && (0.0..=2.0).contains(&brier) && (0.0..=1.0).contains(&ece), "{of}");
    }

    let [named, err] = desk.succeeds(&format!("{line} --dataset mnist-1000"));
    assert_eq!((named.as_str(), err.as_str()), (out.as_str(), ""), "asked for by name, they need no excuse");
    assert!(desk.refuses("evaluate --models models --data nowhere").contains("nowhere"));
    assert!(desk.refuses_command(desk.program("evaluate --models models").env("EPISTEMAP_DATA", "nowhere"), line).contains("nowhere"));
    let output = desk.program(line).env("EPISTEMAP_DATA", "").output().unwrap();
    assert_eq!(output.stdout, out.as_bytes(), "an empty variable names no folder");
}

#[test]
fn benchmarks_print_json_alone() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    for (line, keys) in [
        (
            "bench map --models models --json --grid 6 --samples 2 --members 1",
            &[
                "points",
                "samples",
                "members",
                "ms_per_point",
                "first_picture_ms",
                "gemm_gflops",
                "points_per_second",
                "draws_per_second",
                "arithmetic_gflops",
                "effective_gflops",
            ][..],
        ),
        ("bench requests --json --requests 30 --engine cpu", &["requests", "finished", "stopped", "cells"]),
        (
            "bench train --json --batch 4 --steps 1 --epochs 1 --images 20",
            &["seconds_per_step", "batch", "gemm_gflops", "largest_with_to_without"],
        ),
    ] {
        let [out, err] = desk.succeeds(line);
        let result: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(err, "");
        for key in keys {
            assert!(result[key].as_f64().is_some_and(|value| value > 0.0), "{key}: {out}");
        }
        assert!(!line.contains("map") || result["points"] == 36, "{out}");
        assert!(line.contains("train") || result["engine"].as_str().is_some_and(|engine| engine != "auto"), "{out}");
        assert!(!line.contains("requests") || (&result["wrong_cells"], &result["errors"]) == (&json!(0), &json!(0)), "{out}");
        let [text, err] = desk.succeeds(&line.replace(" --json", ""));
        assert!(err.is_empty() && keys.iter().all(|key| text.lines().any(|line| line.starts_with(key))), "{text}");
    }
}

#[test]
fn engines_that_agree_are_told_from_engines_that_do_not() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    let line = "compare --models models --grid 4 --samples 3 --engines cpu,reference";
    let [out, err] = desk.succeeds(&format!("{line} --json"));
    let result: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&result["engines"], &result["agree"], err.as_str()), (&json!(["cpu", "reference"]), &json!(true), ""), "{out}");
    let compared = &result["comparison"];
    let measures: Vec<&str> = compared["differences"].as_array().unwrap().iter().map(|of| of["measure"].as_str().unwrap()).collect();
    assert_eq!((measures, &compared["points"]), (Measure::ALL.map(Measure::key).to_vec(), &json!(16)));
    let [table, err] = desk.succeeds(line);
    assert!(Measure::ALL.iter().all(|measure| table.contains(measure.key())) && err.is_empty(), "{table}");

    // Single precision is not double precision.
    let output = desk.run(&format!("{line} --tolerance 1e-15"));
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.code() == Some(1) && out.contains("mutual_information"), "{out}");
    assert!(err.starts_with("epistemap: --tolerance: cpu and reference differ by more at ") && err.lines().count() == 1, "{err}");
    assert!(desk.refuses("compare --models models --grid 2 --engines cpu,steam").contains("'steam'"));
    // What is not finite is no matter of tolerance.
    let path = desk.path("models/classifier-1/weights.safetensors");
    let mut weights = decode_weights(&path, &std::fs::read(&path).unwrap()).unwrap();
    for tensor in weights.values_mut() {
        tensor.values.fill(3e38);
    }
    std::fs::write(&path, encode_weights(&path, &weights, Precision::F32).unwrap()).unwrap();
    let output = desk.run(line);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(1) && err.contains(" by both cpu and reference is not finite at z = ") && err.lines().count() == 1,
        "{err}"
    );
    for options in ["--engines reference", "", "--engines cpu,cpu --tolerance NaN", "--engines cpu,cpu --tolerance=-1"] {
        desk.misunderstands(&format!("compare --models models --grid 2 {options}"));
    }
}

#[test]
fn a_newcomer_finds_every_verb_and_what_every_option_is_for() {
    let desk = Desk::new();
    let [help, _] = desk.succeeds("--help");
    let map = "--grid --extent --samples --members --seed --masks --models --engine";
    let interpolate =
        "--steps --json --out --measures --dataset --data --samples --members --seed --masks --models --engine --venue --width";
    let train = "--dataset --data --out --epochs --batch --optimiser --learning-rate --weight-decay --schedule --anneal --warm-up --step-every --step-factor --augment --images --classes --label-noise --shape --seed \
                 --resume --film --plane --film-measure";
    for (verb, options) in [
        (
            "figures",
            &format!("--list --out --format --title --steps --pairs --dataset --data --venue --width --dpi --colours --range {map}")[..],
        ),
        ("interpolate", &format!("--from --to --from-class --to-class --from-index --to-index --paths --population {interpolate}")[..]),
        ("map", &format!("--out --measure --dpi {map}")[..]),
        (
            "holes",
            "--measure --min-confidence --quantile --threshold --covered --region --grid --seeds --reference --reference-images --json \
             --out --garbage --curve --subsets --dpi --samples --members --seed --masks --models --engine --dataset --data",
        ),
        ("evaluate", "--models --vae --add-member --engine --dataset --data --images --samples --seed --json"),
        ("train vae", &format!("--hidden --latent --as-published {train}")[..]),
        ("train classifier", &format!("--channels --hidden --draw --dropout {train}")[..]),
        ("train ensemble", &format!("--members --channels --hidden --draw --dropout {train}")[..]),
        ("train set", &format!("--members --channels --hidden --draw --dropout --vae-hidden --latent --as-published {train}")[..]),
        ("train head", "--backbone --resize --dropout --draw --members --dataset --data --out --epochs --seed --resume"),
        ("train resume", "--epochs --dataset --data --accept-changed-data --film"),
        ("film", "--out --measure"),
        ("pack", "--from --out --dataset --data"),
        ("encode", "--vae --dataset --data"),
        ("laplace", "--models --dataset --data --images --out --json"),
        ("detect", "--models --add-member --preset --noise --shard"),
        ("merge", "--out --scores"),
        ("data fetch", "--data"),
        ("data list", "--data"),
        ("compare", "--engines --tolerance --json --grid --extent --samples --members --seed --masks --models --vae --add-member"),
        ("bench map", &format!("--json {map}")[..]),
        ("bench requests", "--engine --requests --tolerance --seed --json"),
        ("bench train", "--json --batch --steps --epochs --images"),
        ("devices", ""),
        ("provenance", ""),
        ("completions", ""),
    ] {
        assert!(help.contains(verb.split(' ').next().unwrap()), "{verb}");
        let [text, err] = desk.succeeds(&format!("{verb} --help"));
        assert_eq!(err, "");
        for option in options.split_whitespace() {
            assert!(text.contains(&format!("{option} ")) || text.contains(&format!("{option}\n")), "{verb} {option}: {text}");
        }
        let lines: Vec<&str> = text.lines().collect();
        let indent = |line: &str| line.len() - line.trim_start().len();
        for pair in lines.windows(2).filter(|pair| pair[0].trim_start().starts_with("--")) {
            let described = pair[0].trim_start().contains("  ") || indent(pair[1]) > indent(pair[0]);
            assert!(described, "{verb}: nothing is said about {}", pair[0]);
        }
    }
}

#[test]
fn the_small_verbs_answer_on_standard_output() {
    let desk = Desk::new();
    for (line, words) in [
        ("devices", &["auto", "cpu", "reference", "threads"][..]),
        ("data list", &["mnist", "fashion-mnist", "kmnist", "mnist-1000", "decoded-digits", "epistemap data fetch mnist"][..]),
        ("completions bash", &["figures", "provenance", "--grid"][..]),
        ("completions zsh", &["figures", "provenance", "--grid"][..]),
        ("completions fish", &["figures", "provenance", "grid"][..]),
        ("--version", &["epistemap"][..]),
    ] {
        let [out, err] = desk.succeeds(line);
        assert!(words.iter().all(|word| out.contains(word)) && err.is_empty(), "{line}: {out}{err}");
    }
}
