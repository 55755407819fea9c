//! Every measure's numbers, and what they are about.

use super::choice::DetectionChoice;
use super::view::View;
use crate::analysis::detection::Estimate;
use crate::app::map::describe;
use crate::app::scope::Scope;
use crate::app::style;
use crate::jobs::{Classifiers, percent_or_dash, success_rate};
use eframe::egui::{Grid, RichText, Role, Ui};

/// Draws the table; a row chooses the measure of the histogram, its switch whether its curves are drawn.
pub fn show(ui: &mut Ui, scope: &mut Scope, view: &View) {
    let Some(row) = view.row() else { return };
    let settings = &row.attacked.settings;
    let (attack, samples) = (&settings.attack, settings.samples);
    let success = success_rate(&row.attacked.successes());
    let stale = !asks_for(&scope.session.detection, view, scope);
    let members = settings.members.len();
    ui.label(RichText::new(format!("Success {}", percent_or_dash(success))).strong()).on_hover_text(
        "Of the images that were answered rightly before the attack, those that are answered wrongly after it by whoever was attacked",
    );
    ui.label(style::note(format!(
        "{}, {} ε = {:.3}, on {}; {} images of {}, {samples} draws of {members} member{}",
        attack.method,
        attack.norm.symbol(),
        attack.epsilon,
        settings.on.label(),
        view.found.detection.images,
        view.found.detection.dataset,
        if members == 1 { "" } else { "s" },
    )));
    if stale {
        ui.label(style::note("The settings are others now: “Detect” anew.").color(style::WARNING));
    }
    for warning in &view.found.warnings {
        ui.colored_label(style::WARNING, warning);
    }
    numbers(ui, &mut scope.session.detection, view);
    let difference = view.difference(&scope.session.detection).map_or_else(|| "–".to_owned(), cell);
    ui.label(style::note(format!("AUROC of H[E p] − that of I(y; ω): {difference}")))
        .on_hover_text("The paired difference: both measures of the same images, which are resampled with all their versions");
    ui.horizontal(|ui| {
        ui.label(style::note("copy"));
        let (detection, set) = (&view.found.detection, &scope.set);
        let mut copied = None;
        for name in ["text", "CSV", "JSON", "LaTeX"] {
            if ui.small_button(name).on_hover_text("The whole table, as `epistemap detect` prints it, for the clipboard").clicked() {
                copied = Some(match name {
                    "text" => detection.to_text(),
                    "CSV" => detection.to_csv(&Classifiers::of(set)),
                    "JSON" => format!("{:#}", detection.to_json(&Classifiers::of(set))),
                    _ => detection.to_latex(),
                });
            }
        }
        if let Some(text) = copied {
            ui.ctx().copy_text(text);
            scope.ask(crate::app::scope::Command::Say("The table is on the clipboard.".to_owned()));
        }
    });
}

/// Whether the settings still ask for what is shown.
fn asks_for(choice: &DetectionChoice, view: &View, scope: &Scope) -> bool {
    let question = &view.found.question;
    let images = scope.data.as_ref().map_or(choice.images, |data| choice.images.min(data.len()));
    choice.settings(&scope.set, scope.session.seed) == question.attack
        && images == question.images
        && choice.unfamiliar == question.unfamiliar
}

fn numbers(ui: &mut Ui, choice: &mut DetectionChoice, view: &View) {
    let dark = ui.visuals().dark_mode;
    Grid::new("detection").num_columns(5).striped(true).spacing([8.0, 3.0]).show(ui, |ui| {
        for title in ["", "", "AUROC", "average precision", "FPR at 95 %"] {
            ui.label(style::note(title));
        }
        ui.end_row();
        for (number, (measure, quality)) in view.qualities.iter().enumerate() {
            let mut drawn = choice.curves.contains(measure);
            let switch = ui.checkbox(&mut drawn, "");
            let changed = switch.changed();
            style::named(switch, Role::CheckBox, &format!("Curves of {}", measure.label())).on_hover_text("Draw its curves");
            if changed {
                choice.curves.retain(|other| other != measure);
                if drawn {
                    choice.curves.push(*measure);
                }
            }
            let name = RichText::new(measure.symbol()).color(style::of_member(number, dark)).strong();
            let response = style::named(ui.selectable_label(choice.measure == *measure, name), Role::Button, measure.label());
            if describe(response, *measure).clicked() {
                choice.look_at(*measure);
            }
            let cells = quality.map(|quality| [quality.auroc, quality.average_precision, quality.fpr_at_95_tpr]);
            for place in 0..3 {
                let text = cells.map_or_else(|| "–".to_owned(), |cells| cell(cells[place]));
                ui.label(text).on_hover_text("In brackets the 95 % interval of the bootstrap over images, 1000 resamples");
            }
            ui.end_row();
        }
    });
}

/// A number with its interval.
pub fn cell(estimate: Estimate) -> String {
    let interval = estimate.interval().map_or_else(|| " (–)".to_owned(), |[low, high]| format!(" ({low:.2}–{high:.2})"));
    format!("{:.3}{interval}", estimate.value)
}
