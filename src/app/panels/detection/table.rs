//! Every measure's numbers, and what they are about.

use crate::analysis::detection::{Estimate, is_few};
use crate::app::panels::detection::view::View;
use crate::app::panels::map::describe;
use crate::app::state::choices::detection::DetectionChoice;
use crate::app::state::scope::Scope;
use crate::app::widgets::style;
use crate::jobs::{Classifiers, Detector, SeedSpread, TABLE1_HEADS, percent_or_dash, success_rate};
use crate::numbers::{counted, fixed};
use eframe::egui::{Grid, RichText, Role, ScrollArea, Ui};

/// Draws the table; a row chooses the measure of the histogram, its switch whether its curves are drawn. In a narrow one only AUROC stands with
/// its interval.
pub fn show(ui: &mut Ui, scope: &mut Scope, view: &View, is_narrow: bool) {
    let Some(row) = view.row() else { return };
    if !view.lines.is_empty() {
        let choice = &mut scope.session.detection;
        if choice.row.is_none() {
            return all_attacks(ui, scope, view);
        }
        if ui.small_button("All attacks").clicked() {
            choice.row = None;
        }
    }
    let settings = &row.attacked.settings;
    let (attack, samples) = (&settings.attack, settings.samples);
    let success = success_rate(&row.attacked.successes());
    let stale = !asks_for(&scope.session.detection, view, scope);
    let members = settings.members.len();
    ui.label(RichText::new(format!("Success {}", percent_or_dash(success))).strong()).on_hover_text(
        "Of the images that were answered rightly before the attack, those that are answered wrongly after it by whoever was attacked",
    );
    ui.label(style::note(format!(
        "{}, {} ε = {:.3}, on {}; {} images of {}, {} of {}",
        attack.method,
        attack.norm.symbol(),
        attack.epsilon,
        settings.on.label(),
        view.found.detection.images,
        view.found.detection.dataset,
        counted(samples, "draw"),
        counted(members as u64, "member"),
    )));
    warnings(ui, view, stale);
    ui.label(style::note(view.legend(scope.session.detection.detector)));
    numbers(ui, &mut scope.session.detection, view, if is_narrow { 1 } else { BRACKETED });
    let difference = view.difference(&scope.session.detection).map_or_else(|| "–".to_owned(), cell);
    ui.label(style::note(format!("AUROC of entropy less that of mutual information: {difference}")))
        .on_hover_text("H − I, the paired difference: both measures of the same images, which are resampled with all their versions");
    let detector = scope.session.detection.detector;
    if let Some(spread) = view.seed_spread(&scope.session.detection, detector) {
        ui.label(style::note(format!("AUROC of {} {}", detector.label().to_lowercase(), spread_text(spread)))).on_hover_text(SPREAD);
    }
    let positives = view.sides[1].values.len();
    if is_few(positives) {
        let text = format!("{}: too few for the intervals to say how other images would vary", counted(positives as u64, "positive"));
        ui.label(style::note(text).color(ui.visuals().warn_fg_color));
    }
    copies(ui, scope, view);
}

/// Says where the settings have changed since, and which checks of the attack failed.
fn warnings(ui: &mut Ui, view: &View, stale: bool) {
    if stale {
        ui.label(style::note("The settings are others now: “Detect” anew.").color(ui.visuals().warn_fg_color));
    }
    for warning in &view.found.warnings {
        ui.colored_label(ui.visuals().warn_fg_color, warning);
    }
}

/// Table 1: a click on an attack shows its numbers.
fn all_attacks(ui: &mut Ui, scope: &mut Scope, view: &View) {
    let detection = &view.found.detection;
    ui.label(RichText::new("Table 1").strong());
    ui.label(style::note(format!(
        "{} images of {}; AUROC against clean and noisy images, with 95 % intervals",
        detection.images, detection.dataset
    )))
    .on_hover_text("A re-examination, not a replication: network, resolution, split and noise differ from the paper's. “LaTeX” says how");
    warnings(ui, view, !asks_for(&scope.session.detection, view, scope));
    copies(ui, scope, view);
    ScrollArea::both().id_salt("table 1").show(ui, |ui| {
        Grid::new("table 1").num_columns(TABLE1_HEADS.len()).striped(true).spacing([10.0, 3.0]).show(ui, |ui| {
            for head in TABLE1_HEADS {
                ui.label(style::note(head));
            }
            ui.end_row();
            for line in &view.lines {
                for (column, cell) in line.cells.iter().enumerate() {
                    // The attack is the button of its row.
                    if column == 1 {
                        let response = ui.selectable_label(false, cell).on_hover_text("Show the numbers and curves of this attack");
                        let name = line.cells[..3].join(" ");
                        if style::named(response, Role::Button, &name).clicked() {
                            scope.session.detection.row = Some(line.row);
                        }
                    } else {
                        ui.label(cell);
                    }
                }
                ui.end_row();
            }
        });
    });
}

/// The table for the clipboard.
fn copies(ui: &mut Ui, scope: &mut Scope, view: &View) {
    ui.horizontal(|ui| {
        ui.label(style::note("copy"));
        let (detection, set) = (&view.found.detection, &scope.set);
        let is_table1 = !view.lines.is_empty();
        let mut copied = None;
        for name in ["text", "CSV", "JSON", "LaTeX"] {
            if ui.small_button(name).on_hover_text("The whole table, as `epistemap detect` prints it, for the clipboard").clicked() {
                copied = Some(match name {
                    "text" if is_table1 => detection.to_table1(),
                    "text" => detection.to_text(),
                    "CSV" => detection.to_csv(&Classifiers::of(set)),
                    "JSON" => format!("{:#}", detection.to_json(&Classifiers::of(set))),
                    _ if is_table1 => detection.to_table1_latex(&Classifiers::of(set)),
                    _ => detection.to_latex(&Classifiers::of(set)),
                });
            }
        }
        if let Some(text) = copied {
            ui.ctx().copy_text(text);
            scope.ask(crate::app::state::event::Event::Say("The table is on the clipboard.".to_owned()));
        }
    });
}

/// Whether the settings still ask for what is shown.
fn asks_for(choice: &DetectionChoice, view: &View, scope: &Scope) -> bool {
    let question = &view.found.question;
    let images = scope.data.as_ref().map_or(choice.images, |data| choice.images.min(data.len()));
    choice.attacks(&scope.set, scope.session.seed) == question.settings.attacks
        && images == question.images
        && choice.unfamiliar == question.unfamiliar
}

/// The numbers that the table shows of a detector: their columns' titles, those in a narrow table, and what they mean.
const COLUMNS: [(&str, &str, &str); 5] = [
    ("AUROC", "AUROC", "The area under the ROC curve"),
    ("average precision", "AP", "Average precision: the area under the precision–recall curve, in steps"),
    ("FPR at 95 %", "FPR95", "The share of false alarms where 95 % are detected"),
    ("TPR at 1 %", "TPR1", "The share that is detected where at most 1 % of the negatives are false alarms"),
    ("TPR at 5 %", "TPR5", "The share that is detected where at most 5 % of the negatives are false alarms"),
];

/// Number of columns that show their interval in a wide table; the others have it in their tooltip.
const BRACKETED: usize = 3;

/// What the spread over seeds is.
const SPREAD: &str = "The same attacked images, measured with the dropout masks of several seeds: the lowest and the highest AUROC. The \
                      intervals in brackets are those of other images instead.";

fn spread_text(spread: SeedSpread) -> String {
    format!("over {} mask seeds: {} to {}", spread.seeds, fixed(spread.lowest, 3), fixed(spread.highest, 3))
}

fn numbers(ui: &mut Ui, choice: &mut DetectionChoice, view: &View, bracketed: usize) {
    let dark = ui.visuals().dark_mode;
    Grid::new("detection").num_columns(2 + COLUMNS.len()).striped(true).min_col_width(0.0).spacing([8.0, 3.0]).show(ui, |ui| {
        for title in ["", ""] {
            ui.label(title);
        }
        for (title, short, meaning) in COLUMNS {
            ui.label(style::note(if bracketed < BRACKETED { short } else { title })).on_hover_text(meaning);
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
                let text = if place < bracketed { with_interval.clone() } else { fixed(estimate.value, 3) };
                let seeds = view.seed_spread(choice, *detector).filter(|_| place == 0);
                let seeds = seeds.map_or_else(String::new, |spread| format!("\n{}", spread_text(spread)));
                ui.label(text).on_hover_text(format!(
                    "{with_interval}; in brackets the 95 % interval of the bootstrap over images, 1000 resamples{seeds}"
                ));
            }
            ui.end_row();
        }
    });
}

/// A number with its interval.
pub fn cell(estimate: Estimate) -> String {
    let interval = estimate.interval().map_or_else(|| " [–]".to_owned(), |[low, high]| format!(" [{}, {}]", fixed(low, 2), fixed(high, 2)));
    format!("{}{interval}", fixed(estimate.value, 3))
}
