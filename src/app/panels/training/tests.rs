//! The tab in the window: begin, rest, go on, end; and what was made.

use super::*;
use crate::app::shell::export::subject::Export;
use crate::app::shell::run::Program;
use crate::app::shell::window::Window;
use crate::app::state::scope::LoadTraining;
use crate::app::state::session::Layout;
use crate::app::tests;
use crate::app::tests::{scope, settle, start, wait};
use crate::data::FolderData;
use crate::jobs::training::{DataChoice, Decay, Method, PLAN, Schedule};
use crate::jobs::{ModelSet, decoded_digits};
use crate::nets::folder::{Model, load};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};

type Whole = Harness<'static, Program>;

/// The window with the tab open over a library of its own, and a small classifier to be trained on few decoded digits.
fn window(library: &Path, change: impl FnOnce(&mut TrainingPlan)) -> Whole {
    let library = library.to_owned();
    let digits = decoded_digits().unwrap();
    let data = FolderData { train: digits.slice(0..300), test: digits.slice(300..400), notes: Vec::new() };
    let mut plan = TrainingPlan { epochs: Some(2), batch: 20, ..TrainingPlan::default() };
    (plan.classifier.channels, plan.classifier.hidden, plan.vae.hidden) = ([2, 4], 8, vec![16]);
    plan.data.source = DataChoice::Named("decoded-digits".to_owned());
    change(&mut plan);
    let builder = Harness::builder().with_size([1280.0, 800.0]).with_step_dt(1.0 / 60.0);
    let mut harness = builder.build_eframe(|creation| {
        let load_training: LoadTraining = Arc::new(move |_| Ok(data.clone()));
        let mut window = Window::open(&creation.egui_ctx, crate::app::Start { library: Some(library), load_training, ..start() }).unwrap();
        (window.scope.session.grid, window.scope.session.samples) = (12, 2);
        window.scope.session.layout = Layout::One;
        window.scope.session.training.plan = plan;
        window.preferences.hints_seen = true;
        window.open_panel("Training");
        Program(window)
    });
    settle(&mut harness);
    harness
}

/// Clicks a button as soon as it is there.
fn click(harness: &mut Whole, label: &str) {
    until(harness, label);
    harness.get_by_label(label).click();
    harness.run_steps(3);
}

/// Frames until a button is there.
fn until(harness: &mut Whole, label: &str) {
    let start = std::time::Instant::now();
    while harness.query_by_label(label).is_none() {
        assert!(start.elapsed() < std::time::Duration::from_mins(2), "'{label}' does not come: {:?}", harness.state().0.complaints());
        std::thread::sleep(std::time::Duration::from_millis(5));
        harness.step();
    }
}

/// Frames until a line with this text is there.
fn until_said(harness: &mut Whole, text: &str) {
    let start = std::time::Instant::now();
    while harness.query_by_label_contains(text).is_none() {
        assert!(start.elapsed() < std::time::Duration::from_mins(2), "'{text}' is not said: {:?}", harness.state().0.complaints());
        std::thread::sleep(std::time::Duration::from_millis(5));
        harness.step();
    }
}

/// Opens the card of the model "classifier" in the menu.
fn submenu(harness: &mut Whole) {
    tests::until(harness, "the list of models", |harness| harness.query_all_by_label_contains("classifier").next().is_some());
    harness
        .get_by(|node| {
            node.role() == eframe::egui::accesskit::Role::Button
                && node.label().is_some_and(|label| label.trim_end_matches(" ⏵") == "classifier")
        })
        .click();
    harness.run_steps(20);
}

fn weights(folder: &Path) -> crate::nets::Weights {
    match load(folder).unwrap().1 {
        Model::Vae(vae) => vae.weights(),
        Model::Classifier(classifier) => classifier.network.weights().clone(),
    }
}

#[test]
fn a_classifier_is_trained_paused_stopped_resumed_and_used_as_a_member() {
    let home = tempfile::tempdir().unwrap();
    let library = home.path();
    let folder = library.join("classifier");
    // It does not end by itself, however fast it is.
    let mut harness = window(library, |plan| plan.epochs = Some(1_000_000));
    click(&mut harness, "Start");
    wait(&mut harness, "the first epoch", |_| folder.join("training.jsonl").exists());
    click(&mut harness, "Pause");
    until_said(&mut harness, "paused");
    let log = || std::fs::read_to_string(folder.join("training.jsonl")).unwrap();
    let rested = log();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(log(), rested, "it rests");
    click(&mut harness, "Go on");
    wait(&mut harness, "another epoch", |_| log() != rested);
    let is_map = |frame: &Arc<Frame>| matches!(frame.look, Look::Map { .. });
    wait(&mut harness, "the training on the maps", |scope| scope.results.underway.as_ref().is_some_and(is_map));
    harness.step();
    assert!(harness.query_by_label_contains("Map 1: Mutual information, training preview: classifier, epoch ").is_some());
    assert!(harness.query_all_by_label("Density").next().is_some_and(|toggle| toggle.accesskit_node().is_disabled()));
    harness.get_by_label_contains("Map 1: Mutual information").click();
    harness.run_steps(3);
    assert_eq!(scope(&harness).session.pins, [None, None], "the inspector answers for other models");
    assert!(Export::Screen.refusal(scope(&harness)).is_some() && Export::Interpolation.refusal(scope(&harness)).is_none());
    click(&mut harness, "Stop");
    until(&mut harness, "Resume");
    // The thread that trains hears of the stop after the step at hand; two more epochs remain.
    let plan = plan_of(&folder).unwrap().unwrap();
    let epochs = log().lines().count() + 2;
    let plan = TrainingPlan { epochs: Some(epochs), ..plan };
    std::fs::write(folder.join(PLAN), serde_json::to_vec(&plan).unwrap()).unwrap();
    harness.state_mut().0.scope.ask(Event::ResumeTraining(folder.clone()));
    until(&mut harness, "Use as ensemble member");
    assert_eq!(log().lines().count(), epochs);
    until(&mut harness, "Start");
    assert!(harness.query_by_label("Resume").is_none());

    // The same, without a stop.
    harness.state_mut().0.scope.session.training.name = "whole".to_owned();
    harness.run_steps(2);
    click(&mut harness, "Start");
    wait(&mut harness, "the whole training", |_| past(&library.join("whole")).is_ok_and(|done| done.len() == epochs));
    until(&mut harness, "Use as ensemble member");
    assert_eq!(weights(&library.join("whole")), weights(&library.join("classifier")));
    assert_ne!(weights(&library.join("whole")), weights_of_another(&mut harness, library, epochs), "another seed is another network");

    let before = scope(&harness).set.ensemble().members().len();
    click(&mut harness, "Use as ensemble member");
    wait(&mut harness, "the member", |scope| scope.set.ensemble().members().len() == before + 1);
    settle(&mut harness);
    let session = scope(&harness).session.clone();
    let again = ModelSet::open_with(None, &session.additions).unwrap();
    assert!(session.check(&again).is_ok() && again.hashes == session.hashes, "a session file brings it back");
    click(&mut harness, "Models");
    assert!(harness.query_by_label_contains("whole").is_some());
    click(&mut harness, "Without what was added");
    wait(&mut harness, "the shipped members alone", |scope| scope.set.ensemble().members().len() == before);
}

fn weights_of_another(harness: &mut Whole, library: &Path, epochs: usize) -> crate::nets::Weights {
    let training = &mut harness.state_mut().0.scope.session.training;
    training.name = "other".to_owned();
    training.plan.seed = 1;
    harness.run_steps(2);
    click(harness, "Start");
    wait(harness, "the other training", |_| past(&library.join("other")).is_ok_and(|done| done.len() == epochs));
    until(harness, "Use as ensemble member");
    weights(&library.join("other"))
}

#[test]
fn a_vae_moves_its_encodings_and_takes_the_place_of_the_old_one() {
    let home = tempfile::tempdir().unwrap();
    let mut harness = window(home.path(), |plan| plan.what = What::Vae);
    click(&mut harness, "Start");
    until(&mut harness, "Use this VAE");
    harness.run_steps(3);
    let frame = scope(&harness).results.underway.clone().unwrap();
    assert!(matches!(&frame.look, Look::Plane { points, .. } if points.len() > 10));
    assert!(harness.query_by_label("Training: what the VAE makes of them").is_some());
    assert!(harness.query_by_label("Encodings of test images").is_some(), "the map's header says what is shown");
    harness.state_mut().0.scope.session.training.on_map = false;
    harness.run_steps(2);
    assert!(scope(&harness).results.underway.is_none());
    assert!(!harness.get_by_label("Density").accesskit_node().is_disabled());
    click(&mut harness, "Use this VAE");
    let trained = weights(&home.path().join("vae"));
    wait(&mut harness, "the VAE", |scope| scope.set.vae.weights() == trained);
    settle(&mut harness);
    let set = &scope(&harness).set;
    assert_eq!(set.encodings.as_ref().unwrap().train.points.len(), 300, "the density of its own data");
}

#[test]
fn what_cannot_be_trained_is_said_and_nothing_is_left_behind() {
    let home = tempfile::tempdir().unwrap();
    let mut harness = window(home.path(), |plan| plan.learning_rate = Some(-1.0));
    click(&mut harness, "Start");
    assert!(harness.state().0.complaints()[0].contains("--learning-rate"), "{:?}", harness.state().0.complaints());
    harness.run_steps(2);
    assert!(harness.query_all_by_label_contains("learning rate: -1 is out of range").next().is_some(), "in the words of the window");
    assert!(harness.query_all_by_label_contains("--learning-rate").next().is_none());
    harness.state_mut().0.scope.session.training.plan.learning_rate = None;
    harness.state_mut().0.scope.session.training.name = "../elsewhere".to_owned();
    harness.run_steps(2);
    click(&mut harness, "Start");
    assert!(harness.state().0.complaints()[1].contains("../elsewhere"));
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn wrong_classes_stay_in_their_field_and_are_named() {
    use eframe::egui::accesskit::Role;
    let home = tempfile::tempdir().unwrap();
    let mut harness = window(home.path(), |_| {});
    let text = |harness: &Whole| harness.get_by_role_and_label(Role::TextInput, "classes").value();
    let is_said = |harness: &Whole, text: &str| harness.query_all_by_label_contains(text).next().is_some();
    let noise = |harness: &Whole| harness.get_by_role_and_label(Role::SpinButton, "label noise").rect();
    let place = noise(&harness);
    harness.get_by_role_and_label(Role::TextInput, "classes").click();
    harness.run_steps(2);
    harness.get_by_role_and_label(Role::TextInput, "classes").type_text("0,x,99");
    harness.run_steps(2);
    assert!(is_said(&harness, "x is no number") && noise(&harness) == place, "no field moves");
    harness.get_by_role_and_label(Role::TextInput, "name").click();
    harness.run_steps(3);
    assert_eq!(text(&harness).as_deref(), Some("0,x,99"));
    assert!(is_said(&harness, "x is no number") && harness.get_by_label("Start").accesskit_node().is_disabled());
    assert!(scope(&harness).session.training.plan.data.classes.is_empty());
    harness.state_mut().0.scope.session.training.plan.data.classes = vec![0, 99];
    harness.run_steps(2);
    assert!(is_said(&harness, "99: there are only 10 classes"));
    harness.state_mut().0.scope.session.training.plan.data.classes = vec![0, 1];
    harness.run_steps(2);
    assert!(text(&harness).as_deref() == Some("0,1") && !harness.get_by_label("Start").accesskit_node().is_disabled());
}

#[test]
fn a_past_training_is_shown_with_its_film_which_can_be_saved_and_a_model_is_deleted_after_a_question() {
    let home = tempfile::tempdir().unwrap();
    let mut harness = window(home.path(), |_| {});
    click(&mut harness, "Start");
    until(&mut harness, "Use as ensemble member");
    let mut harness = window(home.path(), |_| {});
    click(&mut harness, "Models");
    submenu(&mut harness);
    click(&mut harness, "Show its training");
    harness.run_steps(3);
    assert!(scope(&harness).results.underway.is_some());
    let gif = home.path().join("film.gif");
    harness.state_mut().0.scope.ask(Event::SaveFilm(gif.clone()));
    wait(&mut harness, "the film", |_| gif.exists());
    assert!(std::fs::read(&gif).unwrap().starts_with(b"GIF89a"));

    click(&mut harness, "Models");
    submenu(&mut harness);
    click(&mut harness, "Delete…");
    click(&mut harness, "Keep");
    assert!(home.path().join("classifier").exists());
    click(&mut harness, "Models");
    submenu(&mut harness);
    click(&mut harness, "Delete…");
    click(&mut harness, "Delete");
    wait(&mut harness, "the end of it", |_| !home.path().join("classifier").exists());
}

#[test]
fn the_fields_of_optimiser_schedule_and_augmentation_reach_the_plan() {
    let home = tempfile::tempdir().unwrap();
    let mut harness = window(home.path(), |plan| plan.epochs = Some(3));
    for (menu, item) in [("Optimiser: the paper's", "AdamW"), ("Schedule: constant", "steps")] {
        click(&mut harness, menu);
        click(&mut harness, item);
    }
    click(&mut harness, "flip");
    let plan = |harness: &Whole| scope(harness).session.training.plan.clone();
    assert!(harness.query_by_label("edge").is_none(), "a shift by no pixels has no edge");
    let numbers = [
        ("Learning rate", 0.002),
        ("decay", 0.3),
        ("warm-up", 0.5),
        ("Factor of the learning rate", 0.2),
        ("Epochs between the steps", 2.0),
        ("shift", 2.0),
        ("crop", 1.0),
    ];
    for (label, value) in numbers {
        harness.get_by_role_and_label(eframe::egui::accesskit::Role::SpinButton, label).set_value_accesskit(value);
        harness.run_steps(3);
    }
    click(&mut harness, "edge");
    let chosen = plan(&harness);
    assert_eq!((chosen.optimiser, chosen.learning_rate, chosen.weight_decay), (Some(Method::AdamW), Some(0.002), Some(0.3)));
    assert_eq!(chosen.schedule, Schedule { decay: Decay::Step { every_epochs: 2, factor: 0.2 }, warm_up_epochs: 0.5 });
    assert_eq!(chosen.augmentation.to_string(), "flip,shift=2:edge,crop=1");
    click(&mut harness, "Start");
    until(&mut harness, "Use as ensemble member");
    let (description, _) = load(&home.path().join("classifier")).unwrap();
    let facts = description.training();
    assert_eq!((&facts["optimiser"]["kind"], &facts["weight_decay"]), (&"adamw".into(), &0.3.into()));
    assert_eq!((&facts["schedule"]["warm_up_epochs"], &facts["augmentation"]), (&0.5.into(), &"flip,shift=2:edge,crop=1".into()));
}
