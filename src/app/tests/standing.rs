//! Labels of results that are provisional or of former settings.

use crate::app::panels::interpolation::Interpolations;
use crate::app::panels::population::Populations;
use crate::app::state::scope::Scope;
use crate::app::state::session::Session;
use crate::app::tests::held::{hold, hold_from};
use crate::app::tests::{UnderTest as _, alone, click, harness, rest, scope, settle, until};
use crate::app::widgets::standing::FORMER;
use crate::jobs::{ModelSet, SharedEngine, decoded_digits};
use egui_kittest::kittest::Queryable as _;
use std::sync::Arc;

/// What a panel alone sees: few draws of one member.
fn small_scope() -> Scope {
    let set = Arc::new(ModelSet::shipped().unwrap());
    let engine = SharedEngine::open("cpu", &set).unwrap();
    let mut session = Session::new(&set);
    (session.samples, session.line.pairs, session.line.steps) = (4, 20, 5);
    Scope { data: Some(Arc::new(decoded_digits().unwrap())), ..Scope::new(session, set, engine) }
}

#[test]
fn a_map_is_labelled_until_it_has_all_draws_of_the_present_settings() {
    let mut harness = harness([1280.0, 800.0]);
    harness.state_mut().0.open_panel("Training");
    harness.run_steps(3);
    assert!(harness.query_by_label(FORMER).is_none() && harness.query_by_label_contains("provisional").is_none());

    let release = hold(&mut harness.state_mut().0.scope);
    harness.state_mut().0.scope.session.seed = 1;
    harness.run_steps(3);
    assert!(harness.query_by_label(FORMER).is_some(), "no number of the new map is there");
    drop(release);
    settle(&mut harness);
    assert!(harness.query_by_label(FORMER).is_none());

    let release = hold_from(&mut harness.state_mut().0.scope, 10);
    let session = &mut harness.state_mut().0.scope.session;
    (session.seed, session.samples) = (2, 20);
    until(&mut harness, "a provisional map", |harness| harness.query_by_label("provisional, 10 of 20 draws").is_some());
    assert!(!scope(&harness).results.values[0].complete);
    drop(release);
    settle(&mut harness);
    assert!(harness.query_by_label_contains("provisional").is_none() && scope(&harness).results.values[0].complete);
}

#[test]
fn curves_of_another_line_are_labelled_while_new_ones_are_computed() {
    let wake: crate::jobs::Wake = Arc::new(|_| {});
    let mut harness = alone(Interpolations::new(&wake).unwrap(), small_scope(), [1280.0, 300.0]);
    rest(&mut harness);
    assert!(harness.query_by_label(FORMER).is_none());
    let scope = &mut harness.state_mut().1;
    let release = hold(scope);
    scope.session.line.ends[0] = [1.0, 1.0];
    harness.run_steps(3);
    assert!(harness.query_by_label(FORMER).is_some() && harness.state().0.is_busy());
    drop(release);
    rest(&mut harness);
    assert!(harness.query_by_label(FORMER).is_none());
}

#[test]
fn a_population_of_other_settings_is_labelled_until_it_is_computed_anew() {
    let wake: crate::jobs::Wake = Arc::new(|_| {});
    let mut harness = alone(Populations::new(&wake).unwrap(), small_scope(), [1280.0, 300.0]);
    harness.run_steps(2);
    click(&mut harness, "Compute");
    rest(&mut harness);
    assert!(harness.query_by_label_contains("20 pairs of").is_some() && harness.query_by_label(FORMER).is_none());
    harness.state_mut().1.session.samples = 5;
    harness.run_steps(2);
    assert!(harness.query_by_label(FORMER).is_some());
    click(&mut harness, "Compute");
    rest(&mut harness);
    assert!(harness.query_by_label(FORMER).is_none());
}
