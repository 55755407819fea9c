//! Every measure of the pins, side by side.

use crate::app::panels::inspector::probe::Shown;
use crate::app::panels::map::describe;
use crate::app::state::scope::Scope;
use crate::app::state::session::PIN_NAMES;
use crate::app::widgets::style;
use crate::numbers::{fixed, typeset};
use crate::uncertainty::{Measure, NO_STANDARD_ERROR};
use eframe::egui::{Align, Label, Layout, Rect, Response, RichText, Sense, Ui, UiBuilder, pos2, vec2};

/// Below this, measures go by their symbols: three columns of numbers need the room.
const ROOMY: f32 = 350.0;
/// The height of a row.
const ROW: f32 = 20.0;
/// The widths of a column of numbers and of that of the units.
const NUMBER: f32 = 58.0;
const UNIT: f32 = 32.0;

/// Draws the table of those that are shown.
pub fn show(ui: &mut Ui, scope: &Scope, shown: [Option<&Shown>; 2]) {
    ui.spacing_mut().item_spacing.y = 0.0;
    let both = shown.iter().all(Option::is_some);
    let short = both && ui.available_width() < ROOMY;
    if both {
        let names = PIN_NAMES.iter().zip(style::PINS);
        let mut heads: Vec<RichText> =
            names.map(|(name, colour)| RichText::new(format!(" {name} ")).strong().background_color(colour.gamma_multiply(0.35))).collect();
        heads.push(RichText::new("B − A").strong());
        row(ui, false, "", &heads, "");
    }
    for (at, measure) in Measure::ALL.into_iter().enumerate() {
        let name = if short { measure.symbol() } else { measure.label() };
        let values = numbers(shown.map(|shown| shown.map(|shown| shown.digest.measures[at])));
        describe(row(ui, at % 2 == 0, name, &values, measure.unit()), measure);
        if measure == Measure::MutualInformation {
            let mut errors: Vec<RichText> = shown.into_iter().flatten().map(|shown| number(shown.digest.standard_error).weak()).collect();
            if both {
                // The errors of two points are those of the same draws, so their difference's does not follow from them.
                errors.push(RichText::new(""));
            }
            row(ui, at % 2 == 0, if short { "± SE" } else { "± standard error" }, &errors, "nats").on_hover_text(format!(
                "The standard error of the mutual information for this number of draws (jackknife over ten groups of them). The \
                     estimate itself is also too low by about 1.5 I/T. {NO_STANDARD_ERROR}"
            ));
        }
    }
    surroundings(ui, scope, shown, short);
}

/// How far the pins are from the data.
fn surroundings(ui: &mut Ui, scope: &Scope, shown: [Option<&Shown>; 2], short: bool) {
    let text = scope.surroundings.as_ref().map_or_else(
        || "The density of the training encodings is not known yet, or the models have no encodings.".to_owned(),
        |around| {
            format!(
                "The natural logarithm of the training encodings' density per unit of z² (Gaussian kernels of σ = {:.3}).",
                around.density.bandwidth()
            )
        },
    );
    let densities = numbers(shown.map(|shown| Some(scope.surroundings.as_ref()?.density.log_at(shown?.inspection.z))));
    row(ui, false, if short { "ln q(z)" } else { "Log-density ln q(z)" }, &densities, "").on_hover_text(text);
    let distances = numbers(shown.map(|shown| Some(shown?.neighbours.first()?.distance)));
    row(ui, true, if short { "distance" } else { "Distance to the data" }, &distances, "")
        .on_hover_text("From z to the nearest training encoding on the latent plane");
}

/// A column for each that is known, and their difference.
pub fn numbers(values: [Option<f64>; 2]) -> Vec<RichText> {
    let mut texts: Vec<RichText> = values.into_iter().flatten().map(number).collect();
    if let [Some(a), Some(b)] = values {
        let difference = number(b - a);
        let rounds_to_something = difference.text().chars().any(|digit| ('1'..='9').contains(&digit));
        let sign = if b > a && rounds_to_something { "+" } else { "" };
        texts.push(RichText::new(format!("{sign}{}", difference.text())).monospace());
    }
    if texts.is_empty() {
        texts.push(style::note("…"));
    }
    texts
}

fn number(value: f64) -> RichText {
    let text = match value {
        value if value.is_nan() => "–".to_owned(),
        f64::NEG_INFINITY => "−∞".to_owned(),
        f64::INFINITY => "∞".to_owned(),
        value => typeset(&fixed(value, 4)),
    };
    RichText::new(text).monospace()
}

/// A row over the whole width and no wider, whatever it holds: name, numbers against the right, unit. Answers with the name.
fn row(ui: &mut Ui, striped: bool, name: &str, numbers: &[RichText], unit: &str) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::hover());
    if striped {
        ui.painter().rect_filled(rect, 2.0, ui.visuals().faint_bg_color);
    }
    let first = rect.right() - UNIT - NUMBER * numbers.len() as f32;
    let mut cell = |from: f32, to: f32, layout: Layout, text: RichText| {
        let max_rect = Rect::from_min_max(pos2(from, rect.top()), pos2(to.max(from), rect.bottom()));
        ui.new_child(UiBuilder::new().max_rect(max_rect).layout(layout)).add(Label::new(text).truncate());
    };
    let (left, right) = (Layout::left_to_right(Align::Center), Layout::right_to_left(Align::Center));
    let quiet = name.starts_with('±');
    cell(rect.left() + 3.0, first, left, if quiet { style::note(name) } else { RichText::new(name) });
    for (at, number) in numbers.iter().enumerate() {
        let end = first + NUMBER * (at + 1) as f32;
        cell(end - NUMBER, end, right, number.clone());
    }
    cell(rect.right() - UNIT + 5.0, rect.right(), left, style::note(unit));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_true_signs_and_differences_are_rounded_like_them() {
        let texts = |values| numbers(values).iter().map(|text| text.text().to_owned()).collect::<Vec<_>>();
        assert_eq!(texts([Some(0.5), Some(0.25)]), ["0.5000", "0.2500", "−0.2500"]);
        assert_eq!(texts([Some(0.25), Some(0.5)]), ["0.2500", "0.5000", "+0.2500"]);
        assert_eq!(texts([Some(0.25), Some(0.250_01)]), ["0.2500", "0.2500", "0.0000"]);
        assert_eq!(texts([Some(0.250_01), Some(0.25)]), ["0.2500", "0.2500", "0.0000"]);
        assert_eq!(texts([None, Some(f64::NEG_INFINITY)]), ["−∞"]);
        assert_eq!(texts([Some(f64::NEG_INFINITY); 2]), ["−∞", "−∞", "–"]);
        assert_eq!(texts([None, None]), ["…"]);
    }
}
