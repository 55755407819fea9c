//! What counts as a hole: each part with its bound and a switch, and the criterion in words.

use crate::app::state::choices::MOST_GRID;
use crate::app::state::choices::holes::{FARTHEST, HoleChoice, MOST_REFERENCE, ReferenceChoice};
use crate::app::state::scope::Scope;
use crate::app::widgets::style;
use crate::jobs::{HOLE_GRID, HoleCriterion, MeasureBound, hole_region};
use crate::uncertainty::Measure;
use eframe::egui::{Checkbox, ComboBox, DragValue, Role, Ui};

/// Why the last part cannot be turned off.
pub const LAST_PART: &str = "One part stays on: with none, the whole region would be a hole.";

/// The part of the density, where it is off.
const OUTSIDE: &str = "outside the region of the data";

/// Draws the controls.
pub fn show(ui: &mut Ui, scope: &mut Scope) {
    let active = scope.session.active.min(scope.session.shown().len() - 1);
    let measure = scope.session.panes[active].measure;
    // The bound that the quantile stands for now.
    let found = scope.results.holes.get(active).and_then(|holes| holes.thresholds.uncertainty);
    let choice = &mut scope.session.holes;
    let is_last = choice.criterion(measure).parts() == 1;
    let usual = HoleCriterion::default();
    ui.horizontal(|ui| {
        let text = "In a hole, max E p, the mean probability of the most probable class, is at least this";
        switch(ui, &mut choice.min_confidence, ("confident from", text), usual.min_confidence, is_last);
        if let Some(least) = &mut choice.min_confidence {
            share(ui, least, "Least confidence");
        }
    });
    bound(ui, choice, (measure, found), is_last);
    ui.horizontal(|ui| {
        let text = "Holes lie outside the region, by density, that holds this share of the training encodings. At 99 % up to 1 % of the data lie there";
        let name = if choice.covered.is_some() { "outside the region of" } else { OUTSIDE };
        switch(ui, &mut choice.covered, (name, text), usual.covered, is_last);
        if let Some(covered) = &mut choice.covered {
            share(ui, covered, "Share of the encodings in the region of the data");
            ui.label("of the data");
        }
    });
    if is_last {
        ui.label(style::note(LAST_PART));
    }
    let criterion = choice.criterion(measure);
    ui.horizontal(|ui| {
        ui.toggle_value(&mut scope.session.overlays.holes, "Outline them on the map");
        ui.menu_button("Where…", |ui| place(ui, scope)).response.on_hover_text("The reference images, and the region with its grid");
    });
    ui.label(style::note(criterion.describe()));
    if let Some(text) = criterion.about_density() {
        ui.label(style::note(text));
    }
}

/// The checkbox of a part; what is turned on begins with its usual bound. The last part that is on cannot be turned off.
fn switch<T: Copy>(ui: &mut Ui, part: &mut Option<T>, (name, text): (&str, &str), usual: Option<T>, is_last: bool) {
    let mut on = part.is_some();
    let response = ui.add_enabled(!(on && is_last), Checkbox::new(&mut on, name));
    if response.on_hover_text(text).on_disabled_hover_text(LAST_PART).changed() {
        *part = usual.filter(|_| on);
    }
}

fn share(ui: &mut Ui, share: &mut f64, name: &str) {
    let mut percent = *share * 100.0;
    let value = DragValue::new(&mut percent).range(1.0..=100.0).speed(0.1).max_decimals(2).suffix(" %");
    if style::named(ui.add(value), Role::SpinButton, name).changed() {
        *share = percent / 100.0;
    }
}

/// The part of the measure: a share of the reference images, or a value.
fn bound(ui: &mut Ui, choice: &mut HoleChoice, (measure, found): (Measure, Option<f64>), is_last: bool) {
    let usual = HoleCriterion::default().bound;
    let mut part = Some(choice.bound).filter(|bound| *bound != MeasureBound::Off);
    let (low, up_to) = if measure.rises_with_uncertainty() { ("low", "up to") } else { ("high", "from") };
    let name = format!("{low} {}", measure.label().to_lowercase());
    let text = format!(
        "In a hole, {} is as {low} as on a share of the reference images (at 95 % an alarm would go off at one of them in twenty), or {up_to} a value in its unit",
        measure.symbol()
    );
    switch(ui, &mut part, (&name, &text), Some(usual), is_last);
    if let Some(bound) = &mut part {
        ui.indent("bound on the measure", |ui| ui.horizontal(|ui| value_of(ui, bound, (measure, found), up_to)));
    }
    choice.bound = part.unwrap_or(MeasureBound::Off);
}

/// The bound that is on.
fn value_of(ui: &mut Ui, bound: &mut MeasureBound, (measure, found): (Measure, Option<f64>), up_to: &str) {
    let by_value = matches!(bound, MeasureBound::Value(_));
    let menu = ComboBox::from_id_salt("bound on the measure").selected_text(if by_value { up_to } else { "as on" }).width(52.0);
    let menu = menu.show_ui(ui, |ui| {
        if ui.selectable_label(!by_value, "as on a share of the reference images").clicked() && by_value {
            *bound = HoleCriterion::default().bound;
        }
        if ui.selectable_label(by_value, format!("{up_to} a value")).clicked() && !by_value {
            *bound = MeasureBound::Value(found.unwrap_or(0.1));
        }
    });
    style::named(menu.response, Role::ComboBox, "Bound on the measure");
    match bound {
        MeasureBound::Quantile(of) => {
            share(ui, of, "Share of the reference images");
            ui.label("of the reference").on_hover_text("Of the reference images: “Where…” chooses them");
        }
        MeasureBound::Value(value) => {
            let unit = format!(" {}", measure.unit());
            let drag = DragValue::new(value).range(0.0..=100.0).speed(0.002).max_decimals(4).suffix(unit.trim_end());
            style::named(ui.add(drag), Role::SpinButton, "Bound in the unit of the measure");
        }
        MeasureBound::Off => {}
    }
}

/// The reference images and the region.
fn place(ui: &mut Ui, scope: &mut Scope) {
    let usual = scope.set.encodings.as_ref().and_then(|encodings| hole_region(&encodings.train, HOLE_GRID).ok());
    let choice = &mut scope.session.holes;
    ui.label("Reference of the measure");
    ui.radio_value(&mut choice.reference, ReferenceChoice::TestImages, "test images");
    ui.radio_value(&mut choice.reference, ReferenceChoice::Decoded, "decoded encodings of test images");
    ui.horizontal(|ui| {
        let label = ui.label("at most");
        ui.add(DragValue::new(&mut choice.reference_images).range(1..=MOST_REFERENCE).speed(5.0)).labelled_by(label.id);
        ui.label("images");
    });
    ui.separator();
    let mut own = choice.region.is_some();
    let text = "Else the region is three times as wide as the square that holds 99 % of the encodings";
    if ui.checkbox(&mut own, "region of my own").on_hover_text(text).changed() {
        choice.region = own.then(|| usual.map_or([-10.0, 10.0], |view| view.z1));
    }
    if let Some([first, last]) = &mut choice.region {
        ui.horizontal(|ui| {
            let (least, most) = (*first + 0.1, *last - 0.1);
            style::named(
                ui.add(DragValue::new(first).range(-FARTHEST..=most).speed(0.1)),
                Role::SpinButton,
                "First coordinate of the region",
            );
            ui.label("to");
            style::named(
                ui.add(DragValue::new(last).range(least..=FARTHEST).speed(0.1)),
                Role::SpinButton,
                "Last coordinate of the region",
            );
            ui.label("along both axes");
        });
    }
    let mut own = choice.grid.is_some();
    if ui
        .checkbox(&mut own, "grid of my own")
        .on_hover_text(format!("Else {HOLE_GRID} points along each axis. The grid of the maps changes nothing"))
        .changed()
    {
        choice.grid = own.then_some(HOLE_GRID);
    }
    if let Some(grid) = &mut choice.grid {
        style::named(ui.add(DragValue::new(grid).range(2..=MOST_GRID).suffix(" points")), Role::SpinButton, "Points along each axis");
    }
}
