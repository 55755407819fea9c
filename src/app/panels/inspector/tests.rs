//! The inspector in a window without a screen.

use crate::app::Window;
use crate::app::panels::inspector;
use crate::app::panels::inspector::Inspector;
use crate::app::panels::panel::Panel;
use crate::app::state::scope::Scope;
use crate::app::state::session::{Pin, Session};
use crate::app::tests::start;
use crate::jobs::{ModelSet, Progress, SharedEngine, Status, Wake};
use crate::latent::Surroundings;
use eframe::egui::{Event, Modifiers, Pos2, pos2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A window, opened in its first frame.
fn window<'a>() -> Harness<'a, Option<Window>> {
    let open = |ctx: &eframe::egui::Context| {
        let mut window = Window::open(ctx, start()).unwrap();
        window.preferences.hints_seen = true;
        (window.scope.session.grid, window.scope.session.samples) = (4, 3);
        window
    };
    let frame = move |ui: &mut eframe::egui::Ui, window: &mut Option<Window>| {
        let ctx = ui.ctx().clone();
        window.get_or_insert_with(|| open(&ctx)).frame(ui);
    };
    // The names of its own widgets are checked where the inspector stands alone.
    Harness::builder().with_size([1280.0, 900.0]).with_accessibility_check(false).build_ui_state(frame, None)
}

fn scope<'a>(harness: &'a mut Harness<'_, Option<Window>>) -> &'a mut Scope {
    &mut harness.state_mut().as_mut().unwrap().scope
}

/// Lets frames and workers go on until something holds.
fn wait(harness: &mut Harness<'_, Option<Window>>, what: &str, holds: impl Fn(&mut Harness<'_, Option<Window>>) -> bool) {
    let start = Instant::now();
    while !holds(harness) {
        assert!(start.elapsed() < Duration::from_mins(1), "{what} never came");
        std::thread::sleep(Duration::from_millis(5));
        harness.step();
    }
    harness.step();
}

fn click(harness: &mut Harness<'_, Option<Window>>, at: Pos2) {
    harness.hover_at(at);
    harness.step();
    harness.drag_at(at);
    harness.step();
    harness.drop_at(at);
    harness.step();
}

/// The middle of the first map.
fn map(harness: &Harness<'_, Option<Window>>) -> eframe::egui::Rect {
    harness.get_by_label_contains("Map 1: ").rect()
}

fn says(harness: &Harness<'_, Option<Window>>, text: &str) -> bool {
    harness.query_all_by_label_contains(text).count() > 0
}

#[test]
fn a_click_on_the_map_pins_a_point_and_says_what_it_is() {
    let mut harness = window();
    harness.step();
    assert!(harness.query_by_label("Nothing is pinned").is_some());
    wait(&mut harness, "the map", |harness| says(harness, "Map 1:"));
    let rect = map(&harness);
    click(&mut harness, pos2(rect.left() + 0.6 * rect.width(), rect.top() + 0.5 * rect.height()));
    let z = scope(&mut harness).results.pinned[0].unwrap();
    assert!((z[0] - 2.0).abs() <= 0.1 && z[1].abs() <= 0.1 && scope(&mut harness).session.pins[1].is_none(), "{z:?}");
    wait(&mut harness, "the answer", |harness| says(harness, "class 0: "));
    let text = format!("z = ({:.2}, {:.2})", z[0], z[1]).replace('-', "−");
    assert!(harness.query_by_label(&text).is_some(), "{text}");
    assert!(harness.query_by_label("Nothing is pinned").is_none());
    let set = Arc::clone(&scope(&mut harness).set);
    let mut engine = scope(&mut harness).engine.foreground();
    let settings = crate::jobs::InspectSettings { members: vec![0], samples: 3, seed: 0, masks: crate::engine::Masks::Shared };
    let expected = crate::jobs::inspect(&set, &mut engine, crate::jobs::Subject::Latent(z), &settings, &mut |_| ControlFlow::Continue(()))
        .unwrap()
        .mean(&[0]);
    for (class, mean) in expected.iter().enumerate() {
        assert!(harness.query_by_label(&format!("class {class}: {mean:.2}")).is_some(), "class {class}: {mean:.2}");
    }
    wait(&mut harness, "the neighbours", |harness| says(harness, "Training image "));
    wait(&mut harness, "the density", |harness| scope(harness).surroundings.is_some());

    // The other pin comes with the shift key, and goes with its button.
    harness.event(Event::ModifiersChanged(Modifiers::SHIFT));
    click(&mut harness, rect.center());
    harness.event(Event::ModifiersChanged(Modifiers::NONE));
    wait(&mut harness, "both answers", |harness| harness.query_by_label("B − A").is_some());
    harness.get_by_label("Remove pin A").click();
    harness.step();
    harness.step();
    assert!(scope(&mut harness).session.pins[0].is_none() && scope(&mut harness).results.pinned[0].is_none());
    assert!(scope(&mut harness).results.pinned[1].is_some() && harness.query_by_label("B − A").is_none());
}

#[test]
fn an_image_of_the_data_is_picked_encoded_and_marked() {
    let mut harness = window();
    harness.step();
    wait(&mut harness, "the data", |harness| scope(harness).data.is_some());
    harness.get_by_label("Pick for B").click();
    harness.step();
    harness.get_by_label("Next image").click();
    harness.step();
    harness.step();
    assert_eq!(scope(&mut harness).session.pins, [None, Some(Pin::Data(0))]);
    wait(&mut harness, "the answer", |harness| scope(harness).results.pinned[1].is_some());
    let label = scope(&mut harness).data.as_ref().unwrap().labels[0];
    assert!(harness.query_by_label(&format!("label {label}")).is_some());
    let first = scope(&mut harness).results.pinned[1];
    harness.get_by_label("Next image").click();
    harness.step();
    harness.step();
    wait(&mut harness, "another answer", move |harness| {
        scope(harness).results.pinned[1].is_some() && scope(harness).results.pinned[1] != first
    });
    assert_eq!(scope(&mut harness).session.pins[1], Some(Pin::Data(1)));
}

#[test]
fn an_image_file_is_encoded_and_one_that_cannot_be_read_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = window();
    harness.step();
    wait(&mut harness, "the data", |harness| scope(harness).data.is_some());
    let data = Arc::clone(scope(&mut harness).data.as_ref().unwrap());
    let path = folder.path().join("digit.png");
    let bytes = data.image(3).iter().map(|pixel| (255.0 * pixel).round() as u8).collect();
    image::GrayImage::from_raw(28, 28, bytes).unwrap().save(&path).unwrap();
    scope(&mut harness).session.pins = [Some(Pin::File(path)), Some(Pin::Data(3))];
    wait(&mut harness, "both answers", |harness| scope(harness).results.pinned.iter().all(Option::is_some));
    let [Some(file), Some(known)] = scope(&mut harness).results.pinned else { panic!("both are known") };
    // Eight bits per pixel are a little less than the image.
    assert!((file[0] - known[0]).hypot(file[1] - known[1]) <= 0.02, "{file:?} and {known:?}");
    assert!(harness.query_by_label("digit.png").is_some());
    scope(&mut harness).session.pins[0] = Some(Pin::File(PathBuf::from("nowhere.png")));
    wait(&mut harness, "the sentence", |harness| says(harness, "nowhere.png: "));
    assert!(scope(&mut harness).results.pinned[0].is_none(), "what cannot be read lies nowhere");
}

#[test]
fn nothing_is_asked_twice_and_members_cost_nothing() {
    let set = Arc::new(ModelSet::shipped().unwrap());
    let wake: Wake = Arc::new(|_| {});
    let engine = SharedEngine::open("cpu", &set).unwrap();
    let session = Session { samples: 2, pins: [Some(Pin::Latent([0.5, -0.5])), None], ..Session::new(&set) };
    let surroundings = Some(Arc::new(Surroundings::new(&set.encodings().unwrap().train)));
    let scope = Scope { surroundings, ..Scope::new(session, set, engine) };
    let mut harness = Harness::builder().with_size([300.0, 900.0]).build_ui_state(
        |ui, (inspector, scope): &mut (Inspector, Scope)| {
            let ctx = ui.ctx().clone();
            inspector.logic(&ctx, scope);
            inspector.ui(ui, scope);
        },
        (inspector::Inspector::new(&wake).unwrap(), scope),
    );
    let settle = |harness: &mut Harness<'_, (Inspector, Scope)>| {
        let start = Instant::now();
        while *harness.state().0.probes[0].status() != Status::Done {
            assert!(start.elapsed() < Duration::from_mins(1));
            std::thread::sleep(Duration::from_millis(5));
            harness.step();
        }
        harness.run_steps(3);
        harness.state().0.probes[0].requests()
    };
    assert_eq!(settle(&mut harness), 1);
    let mean = |harness: &Harness<'_, (Inspector, Scope)>| harness.state().0.probes[0].shown().unwrap().digest.mean.clone();
    let of_one = mean(&harness);
    harness.state_mut().1.session.panes[0].members = vec![1, 4];
    harness.run_steps(2);
    assert_eq!(settle(&mut harness), 1, "other members are a sum");
    assert_ne!(mean(&harness), of_one);
    harness.state_mut().1.session.seed = 1;
    harness.step();
    assert_eq!(settle(&mut harness), 2, "another seed is another question");
    assert!(harness.query_by_label("Predictive entropy").is_some() && harness.query_by_label("B − A").is_none());
    harness.state_mut().1.session.pins[1] = Some(Pin::Latent([1.0, 1.0]));
    harness.run_steps(2);
    let asking = harness.query_all_by_label_contains("The networks are being asked").last().map(|line| line.rect().right());
    assert!(asking.is_none_or(|right| right <= 300.0), "{asking:?}");
    let start = Instant::now();
    while harness.state().0.probes[1].shown().is_none() {
        assert!(start.elapsed() < Duration::from_mins(1));
        std::thread::sleep(Duration::from_millis(5));
        harness.step();
    }
    harness.run_steps(3);
    let right = ["B − A", "Remove pin B", "class 9: "].map(|text| harness.get_all_by_label_contains(text).last().unwrap().rect().right());
    assert!(right.iter().all(|&right| right <= 300.0), "what is side by side fits where one was: {right:?}");
    let state = Status::Working(Progress { done: 1, total: 2 });
    harness.state_mut().0.probes[0].task().pretend(state);
    harness.run_steps(2);
    harness.state_mut().0.probes[0].task().pretend(Status::Failed("It broke; mend it.".to_owned()));
    harness.run_steps(2);
    assert!(harness.query_by_label("It broke; mend it.").is_some());
}
