//! Models of two classes on colour photographs of 64 × 64 in the window: every panel and every export.

use crate::app::panels::panel::{Panel, Place};
use crate::app::shell::export::subject::{Export, exports};
use crate::app::shell::export::tests::type_path;
use crate::app::shell::run::Program;
use crate::app::shell::start::DataRequest;
use crate::app::shell::start::Start;
use crate::app::shell::window::Window;
use crate::app::state::session::Pin;
use crate::app::tests::{UnderTest as _, scope, settle, start, until, wait};
use crate::data::Dataset;
use crate::jobs::{ModelSet, On};
use crate::latent::{Encodings, ShippedEncodings};
use crate::nets::folder::{Model, Precision, load, save};
use crate::nets::{Description, Ending, Graph, VaeGraphs, VaeLayers, cnn, random_weights};
use eframe::egui::accesskit::Role;
use eframe::egui::{Key, Modifiers, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use std::path::Path;
use std::sync::Arc;

const SHAPE: [usize; 3] = [3, 64, 64];
const IMAGES: usize = 24;

fn classes() -> Vec<String> {
    ["Cat", "Dog"].map(str::to_owned).to_vec()
}

/// Writes a VAE, two classifiers and encodings with random weights.
fn write_models(folder: &Path) {
    let training = serde_json::Value::Null;
    let layers = VaeLayers::dense(SHAPE, &[6], 2);
    let weights = random_weights(layers.all(), 20);
    let graphs = VaeGraphs::of_layers(SHAPE, &layers).unwrap();
    let description = Description::Vae { name: "vae".to_owned(), input_shape: SHAPE, graphs, training: training.clone() };
    save(&folder.join("vae"), &description, &weights, Precision::F32).unwrap();
    for number in 0..2 {
        let layers = cnn(SHAPE, 2, [2, 3], 5, [0.25, 0.5]);
        let (name, graph) = (format!("classifier-{number}"), Graph::chain(&SHAPE, &layers).unwrap());
        let (ending, training) = (Ending::Logits, training.clone());
        let described = Description::Classifier { name: name.clone(), input_shape: SHAPE, classes: classes(), ending, graph, training };
        save(&folder.join(name), &described, &random_weights(&layers, number), Precision::F32).unwrap();
    }
    let points = (0..30u8).map(|at| [f32::from(at) / 4.0 - 3.0, f32::from(at % 7) - 3.0]).collect();
    let train = Encodings::new(points, (0..30).map(|at| at % 2).collect(), classes()).unwrap();
    let Model::Vae(vae) = load(&folder.join("vae")).unwrap().1 else { panic!("no VAE") };
    let vae = Some(vae.encoder_sha256());
    ShippedEncodings { test: train.clone(), train, vae, data: None }.write(&folder.join("encodings.safetensors")).unwrap();
}

fn photographs() -> Dataset {
    let pixels = (0..IMAGES * 3 * 64 * 64).map(|at| (at * 37 % 251) as f32 / 250.0).collect();
    Dataset::new("photographs", SHAPE, pixels, (0..IMAGES).map(|image| (image % 2) as u16).collect(), classes()).unwrap()
}

fn window(models: &Path) -> Harness<'static, Program> {
    let set = ModelSet::load(models).unwrap();
    let mut harness = Harness::builder().with_size(vec2(1600.0, 1000.0)).with_step_dt(1.0 / 60.0).build_eframe(move |creation| {
        let start = Start { set, load: Arc::new(|_| Ok(photographs())), ..start() };
        let mut window = Window::open(&creation.egui_ctx, start).unwrap();
        let session = &mut window.scope.session;
        (session.grid, session.samples, session.line.pairs) = (12, 3, 5);
        (session.attack.on, session.attack.samples) = (On::Mc, 2);
        (session.detection.images, session.detection.attack.samples) = (IMAGES, 2);
        session.pins = [Some(Pin::Latent([0.5, 0.5])), Some(Pin::Data(3))];
        window.preferences.hints_seen = true;
        Program(window)
    });
    settle(&mut harness);
    harness
}

/// Frames until neither the panel of that name nor one that is always there works any more.
fn rest(harness: &mut Harness<'static, Program>, tab: &str) {
    let is_at_work = |panel: &dyn Panel| (panel.place() != Place::Tab || panel.name() == tab) && panel.is_busy();
    harness.run_steps(3);
    until(harness, "rest", |harness| !harness.state().0.panels.iter().any(|panel| is_at_work(&**panel)));
    harness.run_steps(3);
}

#[test]
fn every_panel_works_on_colour_photographs_of_two_classes() {
    let folder = tempfile::tempdir().unwrap();
    write_models(folder.path());
    let mut harness = window(folder.path());
    let tabs = harness.state().0.panels.iter().filter(|panel| panel.place() == Place::Tab);
    let names: Vec<&str> = tabs.map(|panel| panel.name()).collect();
    for name in names {
        harness.state_mut().0.open_panel(name);
        rest(&mut harness, name);
        // The button that starts the work of a panel, and a text of its result.
        let button = match name {
            "Attack" => Some(("Attack", "change: ")),
            "Detection" => Some(("Detect", "images of photographs")),
            "Population" => Some(("Compute", "pairs of photographs")),
            _ => None,
        };
        if let Some((button, says)) = button {
            // The tab of that name comes first.
            let found = harness.query_all_by(|node| node.role() == Role::Button && node.label().as_deref() == Some(button));
            found.last().unwrap().click_accesskit();
            rest(&mut harness, name);
            assert!(harness.query_all_by_label_contains(says).count() > 0, "{name}: no '{says}'");
        }
        assert_eq!(harness.state().0.complaints(), [""; 0], "{name}");
    }
    assert!(harness.query_all_by_label_contains("Cat").count() > 0, "the classes have their names");
}

#[test]
fn every_export_is_written_of_colour_photographs_of_two_classes() {
    let folder = tempfile::tempdir().unwrap();
    write_models(folder.path());
    let mut harness = window(folder.path());
    harness.key_press_modifiers(Modifiers::COMMAND, Key::E);
    until(&mut harness, "the dialog", |harness| harness.query_by_label("Copy image").is_some());
    harness.run_steps(2);
    for export in exports() {
        harness.get_by_label(&export.name()).click_accesskit();
        harness.run_steps(2);
        let extension = if export == Export::Data { "npz" } else { "png" };
        let path = folder.path().join(format!("{}.{extension}", export.file_name()));
        type_path(&mut harness, &path);
        harness.key_press(Key::Enter);
        until(&mut harness, "the file", |_| path.exists());
        until(&mut harness, "the end", |harness| harness.query_by_label("Save").is_some());
        harness.run_steps(2);
    }
    assert_eq!(harness.state().0.complaints(), [""; 0]);
}

#[test]
fn other_models_bring_the_images_that_they_are_about() {
    let folder = tempfile::tempdir().unwrap();
    write_models(folder.path());
    let models = folder.path().to_owned();
    let load = |request: &DataRequest| {
        if request.set.ensemble().classes().len() == 2 { Ok(photographs()) } else { crate::jobs::decoded_digits() }
    };
    let mut harness = Harness::builder().with_size(vec2(1280.0, 800.0)).build_eframe(move |creation| {
        let mut window = Window::open(&creation.egui_ctx, Start { load: Arc::new(load), ..start() }).unwrap();
        (window.scope.session.grid, window.scope.session.samples) = (8, 2);
        window.scope.sources.cats_dogs = Some(models);
        Program(window)
    });
    let has = |harness: &mut Harness<'static, Program>, name: &'static str| {
        wait(harness, name, |scope| scope.data.as_ref().is_some_and(|data| data.name.starts_with(name)));
    };
    has(&mut harness, "decoded digits");
    harness.get_by_label("Models").click();
    harness.run_steps(3);
    harness.get_by_label("Cats and dogs").click();
    harness.run_steps(3);
    has(&mut harness, "photographs");
    assert_eq!(scope(&harness).classes(), classes());
    harness.get_by_label("Models").click();
    harness.run_steps(3);
    harness.get_by_label("The shipped models").click();
    harness.run_steps(3);
    has(&mut harness, "decoded digits");
}
