//! Every measure's numbers, and what they are about.

use super::choice::DetectionChoice;
use super::view::View;
use crate::analysis::detection::Estimate;
use crate::app::map::describe;
use crate::app::scope::Scope;
use crate::app::style;
use crate::jobs::{Classifiers, Detector, percent_or_dash, success_rate};
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
    ui.label(style::note(view.legend(scope.session.detection.detector)));
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

/// The numbers that the table shows of a detector, with their columns' titles and what these mean.
const COLUMNS: [(&str, &str); 5] = [
    ("AUROC", "The area under the ROC curve"),
    ("average precision", "The area under the precision–recall curve, in steps"),
    ("FPR at 95 %", "The share of false alarms where 95 % are detected"),
    ("TPR at 1 %", "The share that is detected where at most 1 % of the negatives are false alarms"),
    ("TPR at 5 %", "The share that is detected where at most 5 % of the negatives are false alarms"),
];

/// The first of these stand with their intervals, the others have them in their tooltips.
const BRACKETED: usize = 3;

fn numbers(ui: &mut Ui, choice: &mut DetectionChoice, view: &View) {
    let dark = ui.visuals().dark_mode;
    Grid::new("detection").num_columns(2 + COLUMNS.len()).striped(true).spacing([8.0, 3.0]).show(ui, |ui| {
        for title in ["", ""] {
            ui.label(title);
        }
        for (title, meaning) in COLUMNS {
            ui.label(style::note(title)).on_hover_text(meaning);
        }
        ui.end_row();
        for (number, (detector, quality)) in view.qualities.iter().enumerate() {
            let mut drawn = choice.curves.contains(detector);
            let switch = ui.checkbox(&mut drawn, "");
            let changed = switch.changed();
            style::named(switch, Role::CheckBox, &format!("Curves of {}", detector.label())).on_hover_text("Draw its curves");
            if changed {
                choice.curves.retain(|other| other != detector);
                if drawn {
                    choice.curves.push(*detector);
                }
            }
            let name = RichText::new(detector.symbol()).color(style::of_member(number, dark)).strong();
            let response = style::named(ui.selectable_label(choice.detector == *detector, name), Role::Button, detector.label());
            let response = match detector {
                Detector::Measure(measure) => describe(response, *measure),
                of_vae => response.on_hover_text(format!("{}: {}", of_vae.label(), of_vae.explanation())),
            };
            if response.clicked() {
                choice.look_at(*detector);
            }
            let Some(quality) = quality else {
                ui.label("–")
                    .on_hover_text(view.undefined(choice, *detector).unwrap_or("There is nothing to detect, or nothing to tell it from"));
                ui.end_row();
                continue;
            };
            for (place, estimate) in quality.estimates().into_iter().enumerate() {
                let with_interval = cell(estimate);
                let text = if place < BRACKETED { with_interval.clone() } else { format!("{:.3}", estimate.value) };
                ui.label(text)
                    .on_hover_text(format!("{with_interval}; in brackets the 95 % interval of the bootstrap over images, 1000 resamples"));
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
