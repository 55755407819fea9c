//! The tab of the holes in the window.

use crate::app::panels::holes::controls::LAST_PART;
use crate::app::state::choices::holes::HoleChoice;
use crate::app::state::session::{Layout, Pin};
use crate::app::tests::held::hold;
use crate::app::tests::{UnderTest as _, harness, scope, settle, until, wait};
use crate::app::widgets::standing::FORMER;
use crate::jobs::{HOLE_GRID, Holes, MeasureBound};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use std::sync::Arc;

/// A window whose tab shows the holes of its map.
fn with_holes() -> egui_kittest::Harness<'static, crate::app::shell::run::Program> {
    let mut harness = harness([1280.0, 800.0]);
    harness.state_mut().0.open_panel("Holes");
    wait(&mut harness, "the holes", |scope| !scope.results.holes.is_empty());
    harness.run_steps(3);
    harness
}

#[test]
fn panning_zooming_and_the_maps_grid_change_neither_list_nor_numbers() {
    let mut harness = with_holes();
    let before: Arc<Holes> = Arc::clone(&scope(&harness).results.holes[0]);
    assert!(harness.query_by_label(&before.describe()).is_some());
    let still_busy = |harness: &egui_kittest::Harness<'static, crate::app::shell::run::Program>| {
        harness.state().0.panels.iter().any(|panel| panel.name() == "Holes" && panel.is_busy())
    };
    for (factor, by) in [(1.0, [4.0, -3.0]), (8.0, [0.0; 2]), (0.1, [1.0, 2.0])] {
        let session = &mut harness.state_mut().0.scope.session;
        session.pan(by);
        session.zoom(factor, [2.0, 1.0]);
        settle(&mut harness);
        while still_busy(&harness) {
            harness.step();
        }
        harness.run_steps(3);
        assert_eq!(*scope(&harness).results.holes[0], *before, "the view is {:?}", scope(&harness).session.extent());
        assert!(harness.query_by_label(&before.describe()).is_some());
    }
    assert_eq!(before.region.columns, HOLE_GRID, "the grid is that of `epistemap holes`, not that of the maps");
    harness.state_mut().0.scope.session.grid += 8;
    settle(&mut harness);
    while still_busy(&harness) {
        harness.step();
    }
    harness.run_steps(3);
    assert_eq!(*scope(&harness).results.holes[0], *before, "the grid of the maps is another");
    harness.state_mut().0.scope.session.holes.min_confidence = Some(0.999);
    wait(&mut harness, "the holes of another criterion", |scope| scope.results.holes.first().is_some_and(|holes| holes.area < before.area));
}

#[test]
fn list_marks_holes_at_the_border_and_names_its_map() {
    let mut harness = with_holes();
    // A region that cuts through holes.
    let peak = scope(&harness).results.holes[0].list[0].region.peak;
    harness.state_mut().0.scope.session.holes.region = Some([-10.0, peak[0].max(peak[1])]);
    let borders =
        |scope: &crate::app::state::scope::Scope| scope.results.holes[0].list.iter().filter(|hole| hole.region.touches_border).count();
    wait(&mut harness, "holes at the border", |scope| scope.results.holes.first().is_some_and(|_| borders(scope) > 0));
    harness.run_steps(3);
    let holes = Arc::clone(&scope(&harness).results.holes[0]);
    for (number, hole) in holes.list.iter().enumerate().take(5) {
        let border = hole.region.touches_border;
        assert_eq!(holes.label(number).ends_with('*'), border);
        let area = format!("{}{:.2}", if border { "≥ " } else { "" }, hole.region.area);
        assert!(harness.query_all_by_label(&area).next().is_some(), "{area}");
    }
    assert!(harness.query_by_label_contains("Each map numbers its own holes").is_none());
    let session = &mut harness.state_mut().0.scope.session;
    (session.layout, session.active) = (Layout::Two, 1);
    settle(&mut harness);
    wait(&mut harness, "the holes of the second map", |scope| scope.results.holes.len() > 1);
    harness.run_steps(3);
    assert!(harness.query_by_label("Map 2: Predictive entropy of member 0. Each map numbers its own holes.").is_some());
}

#[test]
fn parts_can_be_turned_off_but_the_last_stays_on() {
    let mut harness = with_holes();
    let usual = scope(&harness).results.holes[0].area;
    harness.get_by_label("confident from").click();
    wait(&mut harness, "holes of any confidence", |scope| {
        scope.results.holes.first().is_some_and(|holes| holes.criterion.min_confidence.is_none())
    });
    harness.run_steps(3);
    let unsure = Arc::clone(&scope(&harness).results.holes[0]);
    assert!(unsure.area > usual && unsure.thresholds.confidence.is_none(), "{} against {usual}", unsure.area);
    assert!(harness.query_by_label(&unsure.criterion.describe()).is_some(), "{}", unsure.criterion.describe());
    assert!(harness.query_by_label(LAST_PART).is_none());

    harness.get_by_label("low mutual information").click();
    wait(&mut harness, "holes by density alone", |scope| {
        scope.results.holes.first().is_some_and(|holes| holes.criterion.bound == MeasureBound::Off)
    });
    harness.run_steps(3);
    assert!(scope(&harness).results.holes[0].area > unsure.area && harness.query_by_label(LAST_PART).is_some());
    let last = harness.get_by_label("outside the region of");
    assert!(last.accesskit_node().is_disabled());
    last.click();
    harness.run_steps(3);
    assert_eq!(scope(&harness).session.holes.covered, Some(0.99), "the last part stays on");

    harness.get_by_label("confident from").click();
    wait(&mut harness, "the confident ones of them", |scope| {
        scope.results.holes.first().is_some_and(|holes| holes.criterion.min_confidence.is_some())
    });
    harness.run_steps(3);
    harness.get_by_label("low mutual information").click();
    wait(&mut harness, "the usual holes", |scope| scope.results.holes.first().is_some_and(|holes| holes.area == usual));
    assert_eq!(scope(&harness).session.holes, HoleChoice::default());
}

#[test]
fn reference_and_region_are_chosen_as_on_the_command_line() {
    let mut harness = with_holes();
    let usual = Arc::clone(&scope(&harness).results.holes[0]);
    harness.get_by_label("Where…").click();
    harness.run_steps(3);
    harness.get_by_label("decoded encodings of test images").click();
    wait(&mut harness, "holes by decoded encodings", |scope| {
        scope.results.holes.first().is_some_and(|holes| holes.reference.0 == "decoded encodings of test images")
    });
    assert!(usual.reference.0 != scope(&harness).results.holes[0].reference.0);

    let choice = &mut harness.state_mut().0.scope.session.holes;
    (choice.region, choice.grid, choice.reference_images) = (Some([-6.0, 5.0]), Some(12), 50);
    choice.bound = MeasureBound::Value(0.2);
    wait(&mut harness, "holes of another region", |scope| scope.results.holes.first().is_some_and(|holes| holes.region.columns == 12));
    let found = &scope(&harness).results.holes[0];
    assert_eq!((found.region.z1, found.region.z2, found.reference.1), ([-6.0, 5.0], [-6.0, 5.0], 50));
    assert_eq!(found.thresholds.uncertainty, Some(0.2));
}

#[test]
fn a_list_of_other_settings_is_labelled_and_leaves_the_map() {
    let mut harness = with_holes();
    let before = Arc::clone(&scope(&harness).results.holes[0]);
    let labels = |harness: &egui_kittest::Harness<'static, crate::app::shell::run::Program>| harness.query_all_by_label(FORMER).count();
    assert_eq!(labels(&harness), 0);
    let release = hold(&mut harness.state_mut().0.scope);
    harness.state_mut().0.scope.session.seed = 1;
    harness.run_steps(3);
    assert_eq!(labels(&harness), 2, "on the map and above the list");
    assert!(harness.query_by_label(&before.describe()).is_some());
    assert!(scope(&harness).results.holes.is_empty(), "no map, colour bar or figure shows them");
    drop(release);
    wait(&mut harness, "the holes of the other seed", |scope| !scope.results.holes.is_empty());
    settle(&mut harness);
    assert_eq!(labels(&harness), 0);
    assert_ne!(*scope(&harness).results.holes[0], *before);
}

#[test]
fn holes_keep_their_numbers_when_sorted_and_one_click_flies_back() {
    let mut harness = with_holes();
    let holes = Arc::clone(&scope(&harness).results.holes[0]);
    let count = holes.list.len().min(5);
    assert!(count > 1, "{}", holes.describe());
    until(&mut harness, "the images of the holes", |harness| harness.query_by_label("Hole 1").is_some());
    let heights = |harness: &egui_kittest::Harness<'static, crate::app::shell::run::Program>| -> Vec<f32> {
        (1..=count).map(|number| harness.get_by_label(&format!("Hole {number}")).rect().top()).collect()
    };
    assert!(heights(&harness).is_sorted(), "the list begins with the order of the numbers");
    harness.get_by_label("Sort the holes by distance").click();
    harness.run_steps(3);
    let tops = heights(&harness);
    for (a, b) in (0..count).flat_map(|a| (0..count).map(move |b| (a, b))) {
        let farther = holes.list[a].distance > holes.list[b].distance;
        assert!(!farther || tops[a] < tops[b], "hole {} is farther than hole {}: {tops:?}", a + 1, b + 1);
    }
    harness.get_by_label("Sort the holes by number").click();
    harness.run_steps(3);
    assert!(heights(&harness).is_sorted());

    harness.state_mut().0.scope.session.pan([1.0, 0.0]);
    harness.run_steps(3);
    harness.get_by_label("Hole 1").click();
    harness.run_steps(3);
    let session = &scope(&harness).session;
    assert_eq!((session.centre, session.width), (holes.list[0].region.peak, 6.0));
    assert_eq!(session.pins[0], Some(Pin::Latent(holes.list[0].region.peak)));
    harness.get_by_label("Back to where I was").click();
    harness.run_steps(3);
    let session = &scope(&harness).session;
    assert_eq!((session.centre, session.width), ([1.0, 0.0], 20.0));
}
