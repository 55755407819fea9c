//! Damaged files that jobs write for themselves: parts of shards, plans, films, logs and preferences.

use crate::damage::{Choices, mutate_json};
use crate::{load_one, rewrite, rounds, survive_at};
use epistemap::app::Storage;
use epistemap::jobs::training::{PLAN, TrainingPlan, past, plan_of};
use epistemap::jobs::{Part, ScoreFile};
use serde_json::Value;
use std::path::Path;

#[test]
fn plans_and_logs_of_trainings() {
    let place = tempfile::tempdir().unwrap();
    let (plan, log) = (place.path().join(PLAN), place.path().join("training.jsonl"));
    let good = serde_json::to_vec_pretty(&TrainingPlan::default()).unwrap();
    survive_at(100, &plan, &good, || plan_of(place.path()));
    let good: Value = serde_json::from_slice(&good).unwrap();
    for round in 0..rounds() {
        let mutated = mutate_json(&good, &mut Choices::new(101, round));
        rewrite(&plan, mutated.to_string().as_bytes());
        load_one(&place.path().to_string_lossy(), || mutated.to_string(), || plan_of(place.path()));
    }
    let epoch = r#"{"epoch":1,"loss":0.25,"seconds":1.5,"test_seconds":0.5,"preview_seconds":0.0,"accuracy":0.9,"nll":0.3}"#;
    survive_at(102, &log, format!("{epoch}\n{}\n", epoch.replace(":1,", ":2,")).as_bytes(), || past(place.path()));
}

#[test]
fn preferences() {
    let place = tempfile::tempdir().unwrap();
    let tiles = serde_json::json!({"id": 1, "root": 1, "height": null, "width": null, "tiles": {"next_tile_id": 2, "tiles": {"1": {"Pane": "Map"}}, "invisible": []}});
    let good = serde_json::json!({"appearance": "dark", "tiles": tiles, "window": [1280.0, 800.0], "hints_seen": true}).to_string();
    let storage = Storage::in_folder(Some(place.path().to_owned()));
    survive_at(103, &place.path().join("preferences.json"), good.as_bytes(), || storage.preferences());
}

/// Written by the program: `map --models … --grid 2 --samples 1 --shard 1/2`, and scores of a detection.
#[test]
fn parts_of_shards_and_scores() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let part: &[u8] = include_bytes!("map.part");
    survive_at(104, &at("map.part"), part, || Part::read(&at("map.part")));
    let scores: &[u8] = include_bytes!("scores.csv");
    survive_at(105, &at("scores.csv"), scores, || ScoreFile::read(Path::new(&at("scores.csv"))));
}
