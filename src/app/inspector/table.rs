//! Every measure of the pins, side by side.

use super::probe::Shown;
use crate::app::map::describe;
use crate::app::scope::Scope;
use crate::app::style;
use crate::uncertainty::Measure;
use eframe::egui::{Align, Grid, Layout, RichText, Ui};

/// Below this, measures go by their symbols: three columns of numbers need the room.
const ROOMY: f32 = 350.0;

/// Draws the table of those that are shown.
pub fn show(ui: &mut Ui, scope: &Scope, shown: [Option<&Shown>; 2]) {
    let both = shown.iter().all(Option::is_some);
    let short = both && ui.available_width() < ROOMY;
    Grid::new("measures").num_columns(if both { 5 } else { 3 }).spacing([8.0, 3.0]).striped(true).show(ui, |ui| {
        if both {
            ui.label("");
            for (name, colour) in style::PIN_NAMES.iter().zip(style::PINS) {
                right(ui, RichText::new(*name).strong().background_color(colour.gamma_multiply(0.35)));
            }
            right(ui, RichText::new("B − A").strong());
            ui.end_row();
        }
        for (at, measure) in Measure::ALL.into_iter().enumerate() {
            let label = ui.label(if short { measure.symbol() } else { measure.label() });
            describe(label, measure);
            numbers(ui, shown.map(|shown| shown.map(|shown| shown.digest.measures[at])));
            ui.label(style::note(measure.unit()));
            ui.end_row();
            if measure == Measure::MutualInformation {
                ui.label(style::note(if short { "± SE" } else { "± standard error" })).on_hover_text(
                    "The standard error of the mutual information for this number of draws (jackknife over ten groups of them). The \
                     estimate itself is also too low by about I/T.",
                );
                errors(ui, shown);
                ui.end_row();
            }
        }
        surroundings(ui, scope, shown, short);
    });
}

/// How far the pins are from the data.
fn surroundings(ui: &mut Ui, scope: &Scope, shown: [Option<&Shown>; 2], short: bool) {
    let text = scope.surroundings.as_ref().map_or_else(
        || "The density of the training encodings is not known yet, or the models have no encodings.".to_owned(),
        |around| {
            format!(
                "The natural logarithm of the training encodings' density per unit of z² (Gaussian kernels of σ = {:.3}); −∞ beyond five σ \
                 from all of them.",
                around.density.bandwidth()
            )
        },
    );
    ui.label(if short { "ln q(z)" } else { "Log-density ln q(z)" }).on_hover_text(text);
    numbers(ui, shown.map(|shown| Some(scope.surroundings.as_ref()?.density.log_at(shown?.inspection.z))));
    ui.label("");
    ui.end_row();
    ui.label(if short { "distance" } else { "Distance to the data" })
        .on_hover_text("From z to the nearest training encoding on the latent plane");
    numbers(ui, shown.map(|shown| Some(shown?.neighbours.first()?.distance)));
    ui.label(style::note("of z"));
    ui.end_row();
}

/// A column for each that is shown, and their difference.
fn numbers(ui: &mut Ui, values: [Option<f64>; 2]) {
    let text = |value: f64| match value {
        value if value == f64::NEG_INFINITY => "−∞".to_owned(),
        value if value.is_nan() => "–".to_owned(),
        value => style::signed(format!("{value:.4}")),
    };
    for value in values.into_iter().flatten() {
        right(ui, RichText::new(text(value)).monospace());
    }
    if let [Some(a), Some(b)] = values {
        let sign = if b > a { "+" } else { "" };
        right(ui, RichText::new(format!("{sign}{}", text(b - a))).monospace());
    } else if values.iter().all(Option::is_none) {
        right(ui, style::note("…"));
    }
}

fn errors(ui: &mut Ui, shown: [Option<&Shown>; 2]) {
    for shown in shown.into_iter().flatten() {
        let error = shown.digest.standard_error;
        let text = if error.is_nan() { "–".to_owned() } else { format!("{error:.4}") };
        right(ui, RichText::new(text).monospace().weak());
    }
    if shown.iter().all(Option::is_some) {
        ui.label("");
    }
    ui.label(style::note("nats"));
}

fn right(ui: &mut Ui, text: RichText) {
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| ui.label(text));
}
