//! The window without a screen: clicks, drags and keys, and what follows from them.

mod colours;
pub mod held;
mod map;
mod map_requests;
mod overlays;
mod room;
mod snapshots;
mod standing;

use crate::app::panels::panel::{Panel, Place};
use crate::app::panels::panels;
use crate::app::shell::headless::{Headless, random_events};
use crate::app::shell::run::Program;
use crate::app::shell::start::LoadData;
use crate::app::shell::start::Start;
use crate::app::shell::window::Window;
use crate::app::state::event::{Event, Opening};
use crate::app::state::scope::Scope;
use crate::app::state::session::{Layout, Pin, Session};
use crate::app::state::storage::Storage;
use crate::data::shipped_digits;
use crate::engine::test_engine::TestEngine;
use crate::engine::{AUTO, Block, cpu, fallback};
use crate::error::Error;
use crate::jobs::training::TrainingEstimate;
use crate::jobs::{Additions, Map, ModelSet, SharedEngine, Status, decoded_digits, map, screen_data};
use crate::uncertainty::Measure;
use eframe::egui::{Event as Input, Key, Modifiers, Pos2, Rect, pos2, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A start that is quick: few points, few draws, nothing remembered.
pub fn start() -> Start {
    Start {
        set: ModelSet::shipped().unwrap(),
        folder: None,
        additions: Additions::default(),
        engine: AUTO.to_owned(),
        session: None,
        storage: Storage::in_folder(None),
        load: Arc::new(|_| decoded_digits()),
        load_named: Arc::new(|name| Err(Error::setting(name, "it is not there", "choose another"))),
        attack_cache: None,
        load_training: Arc::new(|plan| plan.data.load(None)),
        // A picture of a measured time would be another each time.
        estimate_training: Arc::new(|_, _, _| Ok(TrainingEstimate { parameters: 1_200_000, memory: 389_000_000, seconds: 420.0 })),
        library: None,
        cats_dogs: None,
    }
}

/// A harness over a window with a small map, which is complete.
pub fn harness(size: [f32; 2]) -> Harness<'static, Program> {
    let builder = Harness::builder().with_size(vec2(size[0], size[1])).with_step_dt(1.0 / 60.0);
    let mut harness = builder.build_eframe(|creation| {
        let mut window = Window::open(&creation.egui_ctx, start()).unwrap();
        let session = &mut window.scope.session;
        (session.grid, session.samples) = (24, 4);
        // One empty map: what a first start shows beside it has its own test.
        (session.layout, session.overlays.encodings) = (Layout::One, false);
        window.preferences.hints_seen = true;
        Program(window)
    });
    settle(&mut harness);
    harness
}

/// Frames until everything that was asked for has come.
pub fn settle(harness: &mut Harness<'static, Program>) {
    wait(harness, "the map", |scope| {
        let shown = scope.session.layout.count();
        let panes = scope.results.values.iter().map(|values| &values.pane);
        scope.results.map_status == Status::Done
            && scope.data.is_some()
            && (scope.surroundings.is_some() || scope.set.encodings.is_none())
            && scope.results.values.len() >= shown
            && panes.eq(&scope.session.panes)
            && scope.results.values[..shown]
                .iter()
                .all(|values| values.known == 1.0 && [values.settings.view.z1, values.settings.view.z2] == scope.session.extent())
    });
    harness.run_steps(3);
}

/// Runs frames until a condition on the scope holds.
pub fn wait(harness: &mut Harness<'static, Program>, what: &str, holds: impl Fn(&Scope) -> bool) {
    until(harness, what, |harness| holds(scope(harness)));
}

/// Runs frames until a condition holds.
pub fn until(harness: &mut Harness<'static, Program>, what: &str, holds: impl Fn(&Harness<'static, Program>) -> bool) {
    let start = Instant::now();
    loop {
        harness.step();
        if holds(harness) {
            return;
        }
        let (status, complaints) = (&scope(harness).results.map_status, harness.state().0.complaints());
        assert!(start.elapsed() < Duration::from_mins(3), "{what} does not come: {status:?}, {complaints:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn scope<'a>(harness: &'a Harness<'static, Program>) -> &'a Scope {
    &harness.state().0.scope
}

/// What tests ask of every panel.
pub trait UnderTest: Panel {
    /// Whether a worker of it is at work.
    fn is_busy(&self) -> bool {
        self.tasks().iter().any(|(_, task)| matches!(task.status(), Status::Working(_)))
    }

    /// Puts its workers into a state.
    fn pretend(&self, status: &Status) {
        self.tasks().iter().for_each(|(_, task)| task.pretend(status.clone()));
    }
}

impl<P: Panel + ?Sized> UnderTest for P {}

/// A panel alone, without the window around it.
pub type Alone<P> = Harness<'static, (P, Scope)>;

/// A panel alone over what it sees.
pub fn alone<P: Panel + 'static>(panel: P, scope: Scope, size: [f32; 2]) -> Alone<P> {
    Harness::builder().with_size(size).build_ui_state(
        |ui, (panel, scope): &mut (P, Scope)| {
            let ctx = ui.ctx().clone();
            panel.logic(&ctx, scope);
            panel.ui(ui, scope);
        },
        (panel, scope),
    )
}

/// Frames until a panel alone is at rest.
pub fn rest<P: Panel>(harness: &mut Alone<P>) {
    let start = Instant::now();
    harness.run_steps(3);
    while harness.state().0.is_busy() {
        assert!(start.elapsed() < Duration::from_mins(3), "it does not come to rest");
        std::thread::sleep(Duration::from_millis(5));
        harness.step();
    }
    harness.run_steps(3);
}

/// A click on what has that name in a panel alone.
pub fn click<P>(harness: &mut Alone<P>, label: &str) {
    harness.get_by_label(label).click();
    harness.run_steps(2);
}

/// Where a map lies on the screen, by its name for screen readers.
fn map_rect(harness: &Harness<'static, Program>, place: usize) -> Rect {
    harness.get_by(|node| node.label().is_some_and(|label| label.starts_with(&format!("Map {}:", place + 1)))).rect()
}

/// A point of a map by its shares of width and height from the lower left.
fn on_map(harness: &Harness<'static, Program>, place: usize, [x, y]: [f32; 2]) -> Pos2 {
    let rect = map_rect(harness, place);
    pos2(rect.left() + x * rect.width(), rect.bottom() - y * rect.height())
}

/// How many maps have been computed so far.
fn jobs(harness: &Harness<'static, Program>) -> u64 {
    harness.state().0.map_jobs()
}

fn press(harness: &mut Harness<'static, Program>, key: Key, modifiers: Modifiers) {
    harness.key_press_modifiers(modifiers, key);
    harness.run_steps(2);
}

fn click_at(harness: &mut Harness<'static, Program>, at: Pos2) {
    harness.hover_at(at);
    harness.step();
    harness.drag_at(at);
    harness.step();
    harness.drop_at(at);
    harness.run_steps(2);
}

fn drag(harness: &mut Harness<'static, Program>, from: Pos2, to: Pos2) {
    harness.hover_at(from);
    harness.step();
    harness.drag_at(from);
    harness.step();
    for share in [0.25, 0.5, 0.75, 1.0] {
        harness.hover_at(from + (to - from) * share);
        harness.step();
    }
    harness.drop_at(to);
    harness.run_steps(2);
}

#[test]
fn a_click_pins_the_point_under_it() {
    let mut harness = harness([1280.0, 800.0]);
    let at = on_map(&harness, 0, [0.75, 0.25]);
    click_at(&mut harness, at);
    let Some(Pin::Latent(z)) = scope(&harness).session.pins[0] else { panic!("{:?}", scope(&harness).session.pins) };
    // A quarter of a plane from -10 to 10, within a pixel of the map's.
    assert!((z[0] - 5.0).abs() < 0.05 && (z[1] + 5.0).abs() < 0.05, "{z:?}");
    assert_eq!(scope(&harness).results.pinned[0], Some(z));
}

#[test]
fn dragging_an_end_of_the_line_moves_it_and_nothing_else_and_is_one_step() {
    let mut harness = harness([1280.0, 800.0]);
    let before = scope(&harness).session.clone();
    let rect = map_rect(&harness, 0);
    let at = |z: [f64; 2]| on_map(&harness, 0, z.map(|z| ((z + 10.0) / 20.0) as f32));
    let (from, to) = (at(before.line.ends[0]), at([3.0, 6.0]));
    drag(&mut harness, from, to);
    let session = &scope(&harness).session;
    let pixel = 20.0 / f64::from(rect.width());
    assert!(
        (session.line.ends[0][0] - 3.0).abs() < 2.0 * pixel && (session.line.ends[0][1] - 6.0).abs() < 2.0 * pixel,
        "{:?}",
        session.line
    );
    assert_eq!(Session { line: before.line.clone(), ..session.clone() }, before, "only the line has moved");
    press(&mut harness, Key::Z, Modifiers::COMMAND);
    assert_eq!(scope(&harness).session, before, "one step back undoes the whole drag, exactly");
    press(&mut harness, Key::Y, Modifiers::COMMAND);
    assert_ne!(scope(&harness).session, before);
}

#[test]
fn dragging_the_map_pans_and_the_wheel_zooms_around_the_pointer() {
    let mut harness = harness([1280.0, 800.0]);
    let (from, to) = (on_map(&harness, 0, [0.8, 0.8]), on_map(&harness, 0, [0.7, 0.8]));
    drag(&mut harness, from, to);
    let [z1, z2] = scope(&harness).session.centre;
    assert!((z1 - 2.0).abs() < 0.1 && z2.abs() < 0.1, "{z1}, {z2}");
    let at = on_map(&harness, 0, [0.25, 0.5]);
    harness.hover_at(at);
    harness.step();
    let under = scope(&harness).pointer.cursor.unwrap();
    harness.event(Input::MouseWheel {
        unit: eframe::egui::MouseWheelUnit::Point,
        delta: vec2(0.0, 120.0),
        phase: eframe::egui::TouchPhase::Move,
        source: eframe::egui::MouseWheelSource::Wheel,
        modifiers: Modifiers::NONE,
    });
    harness.run_steps(20);
    assert!(scope(&harness).session.width < 19.0, "{}", scope(&harness).session.width);
    let still = scope(&harness).pointer.cursor.unwrap();
    assert!((0..2).all(|axis| (under[axis] - still[axis]).abs() < 0.05), "{under:?} {still:?}");
    click_at(&mut harness, at);
    click_at(&mut harness, at);
    assert_eq!((scope(&harness).session.centre, scope(&harness).session.width), ([0.0; 2], 20.0), "a double click shows the whole plane");
}

#[test]
fn measure_members_colours_and_range_change_the_map_without_a_new_job() {
    let mut harness = harness([1280.0, 800.0]);
    let computed = jobs(&harness);
    let mut seen = vec![scope(&harness).results.values[0].numbers.clone()];
    for key in [Key::Num1, Key::Num7, Key::Num3, Key::CloseBracket, Key::CloseBracket] {
        press(&mut harness, key, Modifiers::NONE);
        settle(&mut harness);
        let numbers = scope(&harness).results.values[0].numbers.clone();
        // MI of one member is the first picture; it comes back only there.
        let new = seen.iter().filter(|&others| *others != numbers).count();
        assert!(new + usize::from(key == Key::Num3) >= seen.len(), "{key:?} has changed nothing");
        seen.push(numbers);
    }
    assert_eq!(scope(&harness).session.panes[0].members, [0, 1, 2]);
    for key in [Key::C, Key::R, Key::E, Key::G, Key::D, Key::H, Key::M] {
        press(&mut harness, key, Modifiers::NONE);
        settle(&mut harness);
    }
    assert_eq!(scope(&harness).session.layout, Layout::Two);
    assert_eq!(jobs(&harness), computed);
    harness.state_mut().0.scope.session.seed = 1;
    settle(&mut harness);
    assert_eq!(jobs(&harness), computed + 1, "another seed is another map");
}

#[test]
fn a_difference_of_a_map_from_itself_is_nothing() {
    let mut harness = harness([1280.0, 800.0]);
    let session = &mut harness.state_mut().0.scope.session;
    session.layout = Layout::Two;
    session.panes[1] = crate::app::state::session::Pane { minus: Some(0), ..session.panes[0].clone() };
    settle(&mut harness);
    assert!(scope(&harness).results.values[1].numbers.iter().all(|&value| value == 0.0));
    harness.state_mut().0.scope.session.panes[1].measure = Measure::PredictiveEntropy;
    settle(&mut harness);
    assert!(scope(&harness).results.values[1].numbers.iter().any(|&value| value > 0.1));
}

#[test]
fn when_the_engine_is_lost_the_status_line_says_so_and_everything_goes_on() {
    let mut harness = harness([1280.0, 800.0]);
    assert!(harness.query_by_label_contains("computes").is_none(), "an engine without a notice says nothing");
    // The pin's questions may come before, between and after those of the map: only the map's last points fail.
    let last = scope(&harness).session.grid.pow(2) as u32 - 1;
    let fails = move |_, block: Option<&mut Block<'_>>| {
        if block.is_some_and(|block| block.point_numbers.contains(&last)) {
            return Err(Error::Engine("the adapter is lost".to_owned()));
        }
        Ok(())
    };
    let first = |models| Ok(TestEngine::over(cpu::open(models)?, fails));
    let engine = fallback::open(first, Arc::clone(&scope(&harness).set.models)).unwrap();
    let window = &mut harness.state_mut().0;
    window.scope.engine = SharedEngine::of(AUTO, engine);
    window.scope.session.seed = 1;
    window.scope.session.pins[0] = Some(Pin::Data(3));
    let made =
        |scope: &Scope, seed| scope.results.map_status == Status::Done && scope.results.live.as_ref().unwrap().read().settings.seed == seed;
    wait(&mut harness, "the map", |scope| made(scope, 1));
    wait(&mut harness, "the answer about the pin", |scope| scope.results.pinned[0].is_some());
    settle(&mut harness);
    assert!(harness.query_by_label("The CPU computes: the adapter is lost.").is_some());
    harness.hover_at(on_map(&harness, 0, [0.6, 0.6]));
    harness.run_steps(3);
    assert!(harness.query_by_label("click to pin").is_some());
    assert!(harness.state().0.complaints().is_empty() && scope(&harness).session.engine == AUTO);

    // The map is that of the CPU, and says that another engine began it.
    let Scope { set, results, .. } = scope(&harness);
    let live = &results.live;
    let mixed = live.as_ref().unwrap().read().clone();
    let whole = map(set, cpu::open(Arc::clone(&set.models)).unwrap().as_mut(), &mixed.settings, &mut |_| ControlFlow::Continue(()));
    let whole = whole.unwrap();
    assert_eq!((mixed.by.to_string().as_str(), whole.by.to_string().as_str()), ("test, then cpu", "cpu"));
    let values = |map: &Map| map.measure(Measure::PredictiveEntropy, &[0, 1]).unwrap();
    assert!(values(&mixed).iter().zip(values(&whole)).all(|(a, b)| (a - b).abs() <= 1e-6));
    let provenance = screen_data(set, live.as_ref().unwrap(), &[], &serde_json::json!({})).1;
    assert_eq!(provenance["engine"], "test, then cpu");
    harness.state_mut().0.scope.session.seed = 2;
    wait(&mut harness, "the next map", |scope| made(scope, 2));
    assert_eq!(scope(&harness).results.live.as_ref().unwrap().read().by.to_string(), "cpu", "the next map has nothing of the lost engine");
}

#[test]
fn the_status_line_says_when_the_shipped_digits_are_used() {
    let said = "1,000 of its 10,000 test images";
    let open = |load: LoadData| {
        let mut harness = Harness::builder().with_size(vec2(1280.0, 800.0)).build_eframe(|creation| {
            let mut window = Window::open(&creation.egui_ctx, Start { load, ..start() }).unwrap();
            (window.scope.session.grid, window.scope.session.samples) = (24, 4);
            Program(window)
        });
        wait(&mut harness, "the data", |scope| scope.data.is_some());
        harness.run_steps(2);
        harness
    };
    let digits = open(Arc::new(|_| shipped_digits()));
    assert!(digits.query_by_label_contains(said).is_some());
    assert_eq!(scope(&digits).data.as_ref().unwrap().len(), 1000);
    assert!(open(Arc::new(|_| decoded_digits())).query_by_label_contains(said).is_none());
}

#[test]
fn data_that_do_not_fit_the_models_are_not_shown_and_others_can_be_chosen() {
    let load: LoadData = Arc::new(|request| {
        let digits = decoded_digits()?;
        if request.name.is_some() { Ok(digits) } else { digits.keep_classes(&[0, 1]) }
    });
    let mut harness = Harness::builder().with_size(vec2(1280.0, 800.0)).build_eframe(|creation| {
        let mut window = Window::open(&creation.egui_ctx, Start { load, ..start() }).unwrap();
        (window.scope.session.grid, window.scope.session.samples) = (24, 4);
        Program(window)
    });
    until(&mut harness, "the complaint", |harness| !harness.state().0.complaints().is_empty());
    harness.run_steps(2);
    assert!(scope(&harness).data.is_none() && harness.state().0.complaints()[0].contains("in 2 classes"));
    assert!(harness.query_all_by_label_contains("There are no data").next().is_some(), "the inspector says so");
    assert!(harness.query_all_by_label_contains("--dataset").next().is_none(), "in the words of the window");
    harness.state_mut().0.scope.ask(Event::LoadData(Some("decoded-digits".to_owned())));
    wait(&mut harness, "the data", |scope| scope.data.is_some() && scope.data_problem.is_none());
}

#[test]
fn linked_maps_share_the_pointer_and_the_view() {
    let mut harness = harness([1280.0, 800.0]);
    harness.state_mut().0.scope.session.layout = Layout::Four;
    settle(&mut harness);
    let (first, last) = (map_rect(&harness, 0), map_rect(&harness, 3));
    assert!(first.max.x < last.min.x && first.max.y < last.min.y && (first.width() - last.width()).abs() < 1.0);
    harness.hover_at(on_map(&harness, 3, [0.5, 0.75]));
    harness.run_steps(2);
    let scope = scope(&harness);
    assert_eq!(scope.pointer.map, Some(3));
    assert!((scope.pointer.cursor.unwrap()[1] - 5.0).abs() < 0.2);
}

#[test]
fn every_panel_draws_in_every_state_and_size() {
    for size in [[320.0, 240.0], [1280.0, 800.0], [3840.0, 2160.0]] {
        for layout in Layout::ALL {
            let mut harness = harness(size);
            let names: Vec<&str> =
                harness.state().0.panels.iter().filter(|panel| panel.place() == Place::Tab).map(|panel| panel.name()).collect();
            let states = [
                Status::Idle,
                Status::Working(crate::jobs::Progress { done: 1, total: 3 }),
                Status::Failed("x: y; z.".to_owned()),
                Status::Done,
            ];
            for name in names.into_iter().chain([""]) {
                for state in &states {
                    let window = &mut harness.state_mut().0;
                    window.open_panel(name);
                    window.scope.session.layout = layout;
                    window.scope.session.pins = [Some(Pin::Latent([0.5, 0.5])), Some(Pin::Data(3))];
                    for panel in &mut window.panels {
                        panel.pretend(state);
                    }
                    harness.run_steps(2);
                }
            }
            // Nothing at all: no map, no data, no encodings.
            let window = &mut harness.state_mut().0;
            window.scope.results.live = None;
            window.scope.data = None;
            window.scope.set = Arc::new(ModelSet { encodings: None, ..ModelSet::clone(&window.scope.set) });
            window.scope.session.overlays = crate::app::state::session::Overlays {
                encodings: true,
                density: true,
                holes: true,
                digits: true,
                line: true,
                hidden: vec![1],
            };
            harness.run_steps(3);
        }
    }
}

#[test]
fn whatever_hands_and_keys_do_nothing_panics() {
    for seed in 0..3 {
        let mut window = Headless::open(start(), [900.0, 600.0]).unwrap();
        for frame in 0..400 {
            window.step(random_events(seed, frame, vec2(900.0, 600.0)));
        }
    }
}

#[test]
fn a_wish_that_cannot_be_granted_is_said_and_changes_nothing() {
    let mut harness = harness([1280.0, 800.0]);
    let before = scope(&harness).session.clone();
    let commands = [
        Event::Open(Opening::Models(Some("no/such/folder".into()))),
        Event::Open(Opening::Session("no/such/file.json".into())),
        Event::SaveSession("/proc/no/such/place.json".into()),
    ];
    for (count, command) in (1..).zip(commands) {
        harness.state_mut().0.scope.ask(command);
        // A worker reads what is opened.
        until(&mut harness, "the complaint", |harness| harness.state().0.complaints().len() == count);
    }
    harness.run_steps(2);
    let said = harness.state().0.complaints();
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].contains("no/such/folder") && said[1].contains("file.json") && said[2].contains("/proc/no/such"), "{said:?}");
    assert_eq!(scope(&harness).session, before);
}

#[test]
fn all_panels_have_names_of_their_own() {
    let names: Vec<&str> = panels(&(Arc::new(|_| {}) as crate::jobs::Wake)).unwrap().iter().map(|panel| panel.name()).collect();
    let unique: std::collections::BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(unique.len(), names.len());
}

#[test]
fn the_fonts_hold_every_character_of_the_measures() {
    let mut harness = Harness::builder().build_ui(|ui| {
        for measure in Measure::ALL {
            ui.label(format!("{} {} {}", measure.label(), measure.symbol(), measure.unit()));
            ui.monospace(measure.formula());
        }
    });
    // A character that no font has ends the frame in tests.
    harness.run();
}
