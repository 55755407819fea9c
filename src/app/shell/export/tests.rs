//! The dialog without a screen: what is chosen is what is written, and what goes wrong is said.

use crate::app::shell::export::subject::{Export, Subject, exports};
use crate::app::shell::run::Program;
use crate::app::state::event::{Event, Opening};
use crate::app::state::scope::Scope;
use crate::app::state::session::{Layout, Pin, Session};
use crate::app::state::storage::Storage;
use crate::app::tests::{harness, scope, until, wait};
use crate::engine::cpu;
use crate::figure::{self, Needs, VENUES, Width, provenance};
use crate::jobs::{Computed, LiveMap, map};
use eframe::egui::accesskit::Role;
use eframe::egui::{Key, Modifiers, OutputCommand};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Two maps with a pin, and the dialog open over them.
fn open() -> Harness<'static, Program> {
    let mut harness = harness([1280.0, 800.0]);
    let session = &mut harness.state_mut().0.scope.session;
    session.layout = Layout::Two;
    session.pins[0] = Some(Pin::Latent([1.0, -2.0]));
    crate::app::tests::settle(&mut harness);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::E);
    until(&mut harness, "the dialog", |harness| harness.query_by_label("Copy image").is_some());
    harness
}

fn choose(harness: &mut Harness<'static, Program>, menu: &str, entry: &str) {
    harness.get_by(|node| node.role() == Role::ComboBox && node.label().is_some_and(|label| label == menu)).click();
    harness.run_steps(3);
    harness.get_by_label(entry).click();
    harness.run_steps(3);
}

/// Types the path of a file into the dialog.
pub fn type_path(harness: &mut Harness<'static, Program>, path: &Path) {
    harness.get_by_label("Save as").focus();
    harness.run_steps(2);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    harness.run_steps(2);
    harness.get_by_label("Save as").type_text(&path.display().to_string());
    harness.run_steps(2);
}

/// Frames until the dialog says that the file is written.
fn saved(harness: &mut Harness<'static, Program>) {
    until(harness, "the end", |harness| {
        harness.query_all_by_label_contains(" is saved in ").next().is_some() && harness.query_by_label("Save").is_some()
    });
}

fn is_open(harness: &Harness<'static, Program>) -> bool {
    harness.query_by_label("Format").is_some()
}

fn click(harness: &mut Harness<'static, Program>, label: &str) {
    // Not by the pointer: the list of figures is longer than the dialog.
    harness.get_by_label(label).click_accesskit();
    harness.run_steps(2);
}

/// What a file holds opens as the session of the window.
fn opens_as(path: &Path, session: &Session) {
    let opened = Storage::open(path).unwrap();
    assert_eq!(opened.session, *session, "{}", path.display());
    assert_eq!(opened.data.unwrap().name, "decoded digits (MNIST test encodings, decoded by the VAE)");
}

#[test]
fn every_format_of_what_is_seen_opens_as_the_session() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = open();
    wait(&mut harness, "the data's hash", |scope| scope.data_identity.is_some());
    for (entry, extension) in [
        ("The maps on the screen", "svg"),
        ("The maps on the screen", "png"),
        ("The maps on the screen", "pdf"),
        ("The interpolation", "pdf"),
        ("The map's numbers", "npz"),
        ("The map's numbers", "csv"),
    ] {
        click(&mut harness, entry);
        // A name with all that XML and JSON must escape.
        let path = folder.path().join(format!("{entry}, a <b> & \"c\".{extension}"));
        type_path(&mut harness, &path);
        harness.key_press(Key::Enter);
        until(&mut harness, "the file", |_| path.exists());
        saved(&mut harness);
        opens_as(&path, &scope(&harness).session);
        let provenance = provenance::read(&path).unwrap();
        assert_eq!(provenance["settings"]["samples"], 4);
        // Only a map may be exported while it grows.
        assert_eq!(provenance.get("complete").is_some(), entry.contains("map"));
        assert_ne!(provenance["complete"], false);
    }
}

#[test]
fn the_standard_error_in_a_file_of_numbers_is_that_of_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = open();
    click(&mut harness, "The map's numbers");
    let path = folder.path().join("map.npz");
    type_path(&mut harness, &path);
    click(&mut harness, "Save");
    until(&mut harness, "the file", |_| path.exists());
    saved(&mut harness);
    assert_eq!(provenance::read(&path).unwrap()["complete_arrays"]["mutual_information_standard_error"], true);
    let mut archive = zip::ZipArchive::new(std::fs::File::open(&path).unwrap()).unwrap();
    let array = archive.by_name("mutual_information_standard_error.npy").unwrap();
    let saved: Vec<f32> = npyz::NpyFile::new(std::io::BufReader::new(array)).unwrap().into_vec().unwrap();
    let Scope { session, set, .. } = scope(&harness);
    let mut engine = cpu::open(Arc::clone(&set.models)).unwrap();
    let whole = map(set, engine.as_mut(), &session.map_settings(set).unwrap(), &mut |_| ControlFlow::Continue(())).unwrap();
    let expected = whole.standard_error.unwrap();
    assert_eq!(saved.len(), expected.len());
    assert!(saved.iter().zip(&expected).all(|(saved, expected)| (saved - expected).abs() <= 1e-5), "{saved:?}");
    assert!(expected.iter().any(|error| *error > 1e-3), "the negative control");
}

#[test]
fn a_figure_of_the_paper_is_computed_and_opens_as_what_it_shows() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = open();
    click(&mut harness, "Figure 4");
    choose(&mut harness, "Format", "svg");
    type_path(&mut harness, &folder.path().join("figure"));
    click(&mut harness, "Save");
    let path = folder.path().join("figure.svg");
    until(&mut harness, "the file", |_| path.exists());
    let shown = Storage::open(&path).unwrap().session;
    let session = &scope(&harness).session;
    assert_eq!(
        (shown.panes[0].measure.key(), shown.panes[0].members.as_slice(), shown.layout),
        ("predictive_entropy", &[0][..], Layout::One)
    );
    assert_eq!((shown.grid, shown.samples, shown.seed), (session.grid, session.samples, session.seed));
    assert_eq!(provenance::read(&path).unwrap()["figure"], "figure-4");
}

#[test]
fn the_folder_of_a_saved_file_can_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = open();
    let opened = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&opened);
    harness.state_mut().0.scope.sources.open_folder = Some(Arc::new(move |folder| {
        notes.lock().unwrap().push(folder.to_owned());
        Ok(())
    }));
    // A folder that is not there is created after a question.
    let path = folder.path().join("new/maps.svg");
    type_path(&mut harness, &path);
    click(&mut harness, "Save");
    until(&mut harness, "the question", |harness| harness.query_by_label("Create the folder").is_some());
    assert!(!folder.path().join("new").exists() && harness.query_by_label("Open the folder").is_none());
    click(&mut harness, "Create the folder");
    saved(&mut harness);
    click(&mut harness, "Open the folder");
    assert_eq!(*opened.lock().unwrap(), [folder.path().join("new")]);
    harness.state_mut().0.scope.sources.open_folder = None;
    harness.run_steps(2);
    assert!(harness.get_by_label("Open the folder").accesskit_node().is_disabled());
}

#[test]
fn an_unfinished_map_is_saved_only_after_asking() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = open();
    // A map that never grows: nothing has been computed.
    let Scope { session, set, .. } = scope(&harness);
    let live = LiveMap::new(set, &session.map_settings(set).unwrap()).unwrap();
    harness.state_mut().0.scope.results.live = Some(Arc::new(live));
    click(&mut harness, "The map's numbers");
    let path = folder.path().join("map.csv");
    type_path(&mut harness, &path);
    click(&mut harness, "Save");
    until(&mut harness, "the question", |harness| harness.query_by_label("Save unfinished").is_some());
    assert!(!path.exists());
    click(&mut harness, "Save unfinished");
    saved(&mut harness);
    assert_eq!(provenance::read(&path).unwrap()["complete"], false);
}

#[test]
fn the_path_of_an_attack_is_in_what_is_exported() {
    let mut harness = open();
    let of = |scope: &Scope| {
        Subject::new(Export::Screen, VENUES[0].style(Width::Full), false, scope)
            .document(&mut Computed::default(), &mut |_| ControlFlow::Continue(()))
    };
    let shapes = |harness: &Harness<'static, Program>| of(scope(harness)).unwrap().canvas.shapes.len();
    let before = shapes(&harness);
    harness.state_mut().0.scope.results.attack_path = Some(vec![[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]]);
    // On each of both maps: two lines of the path, three steps, a ring and four lines of the cross.
    assert_eq!(shapes(&harness), before + 2 * 10);
}

#[test]
fn an_existing_file_is_replaced_only_after_asking() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("maps.svg");
    std::fs::write(&path, "mine").unwrap();
    let mut harness = open();
    type_path(&mut harness, &path);
    click(&mut harness, "Save");
    until(&mut harness, "the question", |harness| harness.query_by_label("Replace").is_some());
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    click(&mut harness, "Replace");
    saved(&mut harness);
    Storage::open(&path).unwrap();
}

#[test]
fn an_unwritable_path_complains_and_keeps_the_dialog() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let mut harness = open();
    type_path(&mut harness, &folder.path().join("file/maps.png"));
    click(&mut harness, "Save");
    until(&mut harness, "the complaint", |harness| !harness.state().0.complaints().is_empty());
    assert!(harness.state().0.complaints()[0].contains("file"), "{:?}", harness.state().0.complaints());
    assert!(is_open(&harness) && harness.query_by_label("Save").is_some());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing half-written is left");
}

#[test]
fn an_image_goes_to_the_clipboard_and_escape_closes() {
    let mut harness = open();
    click(&mut harness, "Copy image");
    let mut size = None;
    let start = Instant::now();
    while size.is_none() {
        harness.step();
        size = harness.output().platform_output.commands.iter().find_map(|command| match command {
            OutputCommand::CopyImage(image) => Some(image.size),
            _ => None,
        });
        assert!(start.elapsed() < Duration::from_mins(1));
    }
    // Two maps take the full width of ICML: 6.75 inches at 300 dpi.
    assert_eq!(size.unwrap()[0], 2025);
    assert!(is_open(&harness));
    harness.key_press(Key::Escape);
    harness.run_steps(3);
    assert!(!is_open(&harness));
}

#[test]
fn keys_of_the_map_do_nothing_under_the_dialog() {
    let mut harness = open();
    let before = scope(&harness).session.clone();
    for key in [Key::M, Key::C, Key::Num1, Key::L] {
        harness.key_press(key);
        harness.run_steps(2);
    }
    assert_eq!(scope(&harness).session, before);
    harness.key_press(Key::Escape);
    harness.run_steps(3);
    harness.key_press(Key::L);
    harness.run_steps(2);
    assert_ne!(scope(&harness).session, before);
}

#[test]
fn models_without_encodings_say_so_in_place_of_the_picture() {
    let mut harness = open();
    let window = &mut harness.state_mut().0;
    let set = crate::jobs::ModelSet { encodings: None, ..crate::jobs::ModelSet::clone(&window.scope.set) };
    window.scope.set = Arc::new(set);
    click(&mut harness, "Figure 1");
    until(&mut harness, "the headline", |harness| harness.query_by_label("There is no picture of this").is_some());
    assert!(harness.query_all_by_label_contains("encodings.safetensors: is missing").next().is_some());
}

#[test]
fn a_figure_says_what_it_waits_for() {
    let mut harness = open();
    let data = harness.state_mut().0.scope.data.take();
    let figure = figure::all().iter().find(|figure| matches!(figure.needs, Needs::Population { .. })).unwrap();
    click(&mut harness, &Export::Figure(figure).name());
    assert!(harness.query_by_label("Waiting for the images of the data").is_some());
    harness.state_mut().0.scope.data = data;
    harness.run_steps(3);
    assert!(harness.query_by_label("Waiting for the images of the data").is_none());
    for export in exports() {
        assert!(!export.work().is_empty() && !export.summary().is_empty(), "{export:?}");
    }
}

#[test]
fn a_session_that_is_opened_from_a_figure_is_one_step_of_undo() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = open();
    let path = folder.path().join("maps.png");
    type_path(&mut harness, &path);
    click(&mut harness, "Save");
    saved(&mut harness);
    harness.key_press(Key::Escape);
    harness.run_steps(3);
    let saved = scope(&harness).session.clone();
    harness.state_mut().0.scope.session.seed = 5;
    harness.run_steps(3);
    let changed = scope(&harness).session.clone();
    harness.state_mut().0.scope.ask(Event::Open(Opening::Session(path)));
    wait(&mut harness, "the session", |scope| scope.session == saved);
    harness.run_steps(3);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    harness.run_steps(3);
    assert_eq!(scope(&harness).session, changed);
}
