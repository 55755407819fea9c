//! The tab of the holes in the window.

use crate::app::tests::{harness, scope, settle, wait};
use crate::jobs::Holes;
use egui_kittest::kittest::Queryable as _;
use std::sync::Arc;

#[test]
fn panning_and_zooming_change_neither_list_nor_numbers() {
    let mut harness = harness([1280.0, 800.0]);
    "Holes".clone_into(&mut harness.state_mut().0.preferences.tab);
    wait(&mut harness, "the holes", |scope| !scope.holes.is_empty());
    harness.run_steps(3);
    let before: Arc<Holes> = Arc::clone(&scope(&harness).holes[0]);
    assert!(harness.query_by_label(&before.describe()).is_some());
    let still_busy = |harness: &egui_kittest::Harness<'static, crate::app::run::Program>| {
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
        assert_eq!(*scope(&harness).holes[0], *before, "the view is {:?}", scope(&harness).session.extent());
        assert!(harness.query_by_label(&before.describe()).is_some());
    }
    harness.state_mut().0.scope.session.holes.min_confidence = 0.999;
    wait(&mut harness, "the holes of another criterion", |scope| scope.holes.first().is_some_and(|holes| holes.area < before.area));
}
