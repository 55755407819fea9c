//! Which maps are computed: the question before a long one, the background, and stopping.

use crate::app::shell::map_costs::MapCosts;
use crate::app::shell::run::Program;
use crate::app::tests::held::hold_where;
use crate::app::tests::{harness, jobs, scope, settle, until, wait};
use crate::jobs::Status;
use eframe::egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use std::sync::Arc;
use std::time::Duration;

/// The question before a map of more than a minute.
const QUESTION: &str = "This map takes about 9 min.";

/// Steps until the button is there, and clicks it.
fn click(harness: &mut Harness<'static, Program>, label: &str) {
    until(harness, label, |harness| harness.query_by_label(label).is_some());
    harness.get_by_label(label).click();
    harness.run_steps(3);
}

#[test]
fn a_long_map_is_computed_only_after_asking() {
    let mut harness = harness([1280.0, 800.0]);
    let computed = jobs(&harness);
    // 24 × 24 points, ten members, eight draws and the pass without dropout: 51,840 at 100 per second.
    let Program(window) = harness.state_mut();
    window.maps.costs = MapCosts::default();
    window.maps.costs.finished(window.scope.engine.name(), 100, Duration::from_secs(1));
    window.scope.session.samples = 8;
    until(&mut harness, "the question", |harness| harness.query_by_label(QUESTION).is_some());
    assert_eq!(jobs(&harness), computed);
    click(&mut harness, "Keep the former settings");
    assert_eq!((scope(&harness).session.samples, jobs(&harness)), (4, computed));
    assert!(harness.query_by_label(QUESTION).is_none());

    harness.state_mut().0.scope.session.samples = 8;
    click(&mut harness, "Compute the map");
    settle(&mut harness);
    assert!(jobs(&harness) == computed + 1 && harness.query_by_label(QUESTION).is_none());
    assert_eq!(scope(&harness).results.values[0].settings.samples, 8);
}

#[test]
fn members_that_are_not_shown_are_computed_in_the_background() {
    let mut harness = harness([1280.0, 800.0]);
    let release = hold_where(&mut harness.state_mut().0.scope, |block| block.is_some_and(|block| block.members != [0]));
    harness.state_mut().0.scope.session.seed = 1;
    let text = "The map is done; 9 members in the background";
    until(&mut harness, text, |harness| harness.query_by_label(text).is_some());
    assert!(matches!(scope(&harness).results.map_status, Status::Working(_)) && scope(&harness).results.values[0].complete);

    click(&mut harness, "Stop the map");
    assert_eq!(scope(&harness).results.map_status, Status::Idle);
    drop(release);
    let before = scope(&harness).results.live.clone().unwrap();
    click(&mut harness, "Go on with the map");
    wait(&mut harness, "the whole map", |scope| scope.results.map_status == Status::Done);
    assert!(Arc::ptr_eq(scope(&harness).results.live.as_ref().unwrap(), &before), "it goes on with what is there");
    assert!(harness.query_by_label("Go on with the map").is_none());
}

#[test]
fn undo_shows_the_finished_map_again() {
    let mut harness = harness([1280.0, 800.0]);
    let before = scope(&harness).results.live.clone().unwrap();
    harness.state_mut().0.scope.session.zoom(4.0, [1.0, 1.0]);
    settle(&mut harness);
    assert!(!Arc::ptr_eq(scope(&harness).results.live.as_ref().unwrap(), &before));
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    harness.run_steps(2);
    settle(&mut harness);
    assert!(Arc::ptr_eq(scope(&harness).results.live.as_ref().unwrap(), &before));
}
