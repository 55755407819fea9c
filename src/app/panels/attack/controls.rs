//! What is attacked, how, and the buttons that begin and stop it.

use crate::app::state::choices::attack::{AttackChoice, AttackedImage, MOST_SAMPLES, MOST_STEPS, longest};
use crate::app::state::scope::Scope;
use crate::app::state::session::{PIN_NAMES, Pin};
use crate::app::widgets::style;
use crate::attack::{ApgdLoss, Norm, all, named};
use crate::jobs::{On, Status};
use crate::numbers::fixed;
use eframe::egui::{Button, CollapsingHeader, ComboBox, DragValue, Role, Slider, Ui};

/// The rows of controls that an error may be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// Whatever has no row of its own.
    Buttons,
    Image,
    Method,
    Budget,
    Numbers,
    Victim,
    Aim,
    Fine,
}

/// The row that the sentence of an error is about, by the option that it begins with.
pub fn row_of(sentence: &str) -> Row {
    match sentence.split(':').next().unwrap_or_default() {
        "--images" => Row::Image,
        "--method" | "--norm" => Row::Method,
        "--eps" => Row::Budget,
        "--iterations" | "--samples" => Row::Numbers,
        "--on" | "--members" => Row::Victim,
        "--targets" => Row::Aim,
        "--step" | "--restarts" | "--decay" | "--confidence" | "--lambda" | "--as-published" => Row::Fine,
        _ => Row::Buttons,
    }
}

/// Says what a request failed of, under the row of controls that caused it.
pub fn error_at(ui: &mut Ui, statuses: &[&Status], row: Row) {
    for status in statuses {
        if matches!(status, Status::Failed(sentence) if row_of(sentence) == row) {
            style::status_line(ui, "", status);
        }
    }
}

/// What somebody wants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Attack,
    StopAttack,
    Sweep,
    StopSweep,
}

/// Draws the controls; `ready` says that there is an image.
pub fn show(ui: &mut Ui, scope: &mut Scope, ready: bool, [attack, sweep]: [&Status; 2]) -> Option<Wish> {
    ui.spacing_mut().item_spacing.y = 3.0;
    let values = scope.set.ensemble().image_shape().iter().product();
    let statuses = [attack, sweep];
    // A sweep fails of what an attack fails of.
    let failed = if matches!(attack, Status::Failed(_)) { &statuses[..1] } else { &statuses[1..] };
    let wish = buttons(ui, &mut scope.session.attack, ready, statuses);
    error_at(ui, failed, Row::Buttons);
    image(ui, scope);
    error_at(ui, failed, Row::Image);
    attack_rows(ui, &mut scope.session.attack, values, failed);
    let (classes, members) = (scope.classes().to_vec(), scope.set.ensemble().members().len());
    victim(ui, &mut scope.session.attack, members);
    error_at(ui, failed, Row::Victim);
    aim(ui, &mut scope.session.attack, &classes);
    error_at(ui, failed, Row::Aim);
    fine(ui, &mut scope.session.attack);
    error_at(ui, failed, Row::Fine);
    for (what, status) in [("attacking", attack), ("sweeping", sweep)] {
        if matches!(status, Status::Working(_)) && style::status_line(ui, what, status) {
            break;
        }
    }
    wish
}

fn buttons(ui: &mut Ui, choice: &mut AttackChoice, ready: bool, statuses: [&Status; 2]) -> Option<Wish> {
    let mut wish = None;
    ui.horizontal(|ui| {
        let [attacking, sweeping] = statuses.map(|status| matches!(status, Status::Working(_)));
        let (text, wanted) = if attacking { ("Stop", Wish::StopAttack) } else { ("Attack", Wish::Attack) };
        let hover = "Change the image step by step, within the budget, so that the networks answer something else";
        if ui.add_enabled(ready || attacking, Button::new(text)).on_hover_text(hover).clicked() {
            wish = Some(wanted);
        }
        let (text, wanted) = if sweeping { ("Stop sweep", Wish::StopSweep) } else { ("Sweep ε", Wish::Sweep) };
        let hover = "The same attack at budgets from 0 to 2 ε, as curves";
        if ui.add_enabled(ready || sweeping, Button::new(text)).on_hover_text(hover).clicked() {
            wish = Some(wanted);
        }
        ui.toggle_value(&mut choice.live, "Live").on_hover_text("Once attacked, another setting attacks anew");
        ui.toggle_value(&mut choice.path, "Path")
            .on_hover_text("On the map: where the encoder puts the image after each step, from the ring to the cross");
    });
    wish
}

fn image(ui: &mut Ui, scope: &mut Scope) {
    let Scope { session, data, .. } = scope;
    let choice = &mut session.attack;
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        ui.label("image");
        for (which, name) in PIN_NAMES.into_iter().enumerate() {
            let chosen = choice.image == AttackedImage::Pin(which);
            let response = ui.selectable_label(chosen, format!("pin {name}"));
            let hover = match &session.pins[which] {
                None => format!("Pin {name} is empty: click a point of the map, or drop an image file on the window"),
                Some(Pin::Latent(z)) => style::signed(format!("The image decoded at z = ({}, {})", fixed(z[0], 2), fixed(z[1], 2))),
                Some(Pin::Data(number)) => format!("Image {number} of the data"),
                Some(Pin::File(path)) => path.display().to_string(),
            };
            if response.on_hover_text(hover).clicked() {
                choice.image = AttackedImage::Pin(which);
            }
        }
        let Some(data) = data else { return };
        let number = if let AttackedImage::Data(number) = choice.image { Some(number) } else { None };
        if ui.selectable_label(number.is_some(), "data").on_hover_text(&data.name).clicked() && number.is_none() {
            choice.image = AttackedImage::Data(0);
        }
        if let Some(mut number) = number {
            // A number that the data do not have is for the attack to name, not to be changed unasked.
            let range = 0..=data.len().saturating_sub(1);
            let drag = ui.add(DragValue::new(&mut number).range(range).clamp_existing_to_range(false).speed(0.2));
            let changed = drag.changed();
            style::named(drag, Role::SpinButton, "Number of the attacked image");
            if changed {
                choice.image = AttackedImage::Data(number);
            }
        }
    });
}

/// Method, budget, steps and draws, each with its errors.
pub fn attack_rows(ui: &mut Ui, choice: &mut AttackChoice, values: usize, failed: &[&Status]) {
    method(ui, choice, values);
    error_at(ui, failed, Row::Method);
    budget(ui, choice, values);
    error_at(ui, failed, Row::Budget);
    numbers(ui, choice);
    error_at(ui, failed, Row::Numbers);
}

/// The attack and its norm.
fn method(ui: &mut Ui, choice: &mut AttackChoice, values: usize) {
    ui.horizontal(|ui| {
        let mut chosen = None;
        let menu = ComboBox::from_id_salt("attack").selected_text(&choice.method).width(96.0).show_ui(ui, |ui| {
            for attack in all() {
                let response = ui.selectable_label(choice.method == attack.name(), attack.name());
                if response.on_hover_text(attack.summary()).clicked() {
                    chosen = Some(attack.name());
                }
            }
        });
        let summary = named(&choice.method).map_or("", |attack| attack.summary());
        style::named(menu.response, Role::ComboBox, &format!("Method: {}", choice.method)).on_hover_text(summary);
        if let Some(method) = chosen.filter(|method| *method != choice.method) {
            choice.choose(method, values);
        }
        let mut norm = choice.norm;
        let known = named(&choice.method).map_or(&Norm::ALL[..], |attack| attack.norms());
        let menu = ComboBox::from_id_salt("norm").selected_text(norm.symbol()).width(44.0).show_ui(ui, |ui| {
            for &one in known {
                ui.selectable_value(&mut norm, one, one.symbol());
            }
        });
        style::named(menu.response, Role::ComboBox, &format!("Norm: {}", norm.symbol()))
            .on_hover_text("How the size of the change is measured: its largest value (L∞), its length (L2), or its sum (L1)");
        if norm != choice.norm {
            choice.measure_by(norm, values);
        }
    });
}

/// The budget.
fn budget(ui: &mut Ui, choice: &mut AttackChoice, values: usize) {
    let longest = longest(choice.norm, values);
    let mut epsilon = choice.epsilon;
    ui.horizontal(|ui| {
        let label = ui.label("ε");
        let decimals = if choice.norm == Norm::Linf { 3 } else { 2 };
        let slider = Slider::new(&mut epsilon, 0.0..=longest).max_decimals(decimals);
        let text = "The budget: no change is longer, in pixels from 0 to 1. The slider ends at the longest change that there is";
        if ui.add(slider).labelled_by(label.id).on_hover_text(text).changed() {
            choice.epsilon = epsilon;
        }
    });
    let share = 100.0 * choice.epsilon / longest;
    ui.label(style::note(match choice.norm {
        Norm::Linf => format!("{:.1}/255 per pixel, {share:.1} % of the range", 255.0 * choice.epsilon),
        _ => format!("{:.0}/255 in all, {share:.1} % of the longest change", 255.0 * choice.epsilon),
    }));
}

/// Steps and draws.
fn numbers(ui: &mut Ui, choice: &mut AttackChoice) {
    ui.horizontal(|ui| {
        let mut steps = choice.steps_of_run();
        let fixed = named(&choice.method).is_ok_and(|method| !method.iterates());
        let label = ui.label("steps");
        let drag = DragValue::new(&mut steps).range(1..=MOST_STEPS).speed(0.2);
        if ui.add_enabled(!fixed, drag).labelled_by(label.id).changed() {
            choice.iterations = Some(steps);
        }
        draws(ui, choice);
    });
}

/// Draws.
pub fn draws(ui: &mut Ui, choice: &mut AttackChoice) {
    ui.horizontal(|ui| {
        let label = ui.label("draws");
        let text = "Draws of each network: of those that are attacked, and of others that measure before and after";
        ui.add(DragValue::new(&mut choice.samples).range(1..=MOST_SAMPLES).speed(0.2)).labelled_by(label.id).on_hover_text(text);
    });
}

/// What most attacks are left with; only what the method knows.
pub fn fine(ui: &mut Ui, choice: &mut AttackChoice) {
    let Ok(method) = named(&choice.method) else { return };
    let (name, on) = (method.name(), choice.on);
    let fine = &mut choice.fine;
    CollapsingHeader::new(style::note("more settings")).id_salt("fine").show(ui, |ui| {
        if method.iterates() {
            ui.horizontal(|ui| {
                let mut own = fine.step.is_none();
                ui.checkbox(&mut own, "usual step").on_hover_text("The length of a step that the method chooses itself");
                match (own, &mut fine.step) {
                    (true, step) => *step = None,
                    (false, step) => {
                        let drag = DragValue::new(step.get_or_insert(0.01)).range(1e-6..=1e3).speed(0.001).max_decimals(4);
                        style::named(ui.add(drag), Role::SpinButton, "Length of a step");
                    }
                }
            });
        }
        let mut number = |label: &str, value: &mut f64, text: &str| {
            ui.horizontal(|ui| {
                let label = ui.label(label);
                ui.add(DragValue::new(value).range(0.0..=1e3).speed(0.01)).labelled_by(label.id).on_hover_text(text);
            });
        };
        match name {
            "mim" => number("decay", &mut fine.decay, "How much of the former direction is kept"),
            "cw" => number("κ", &mut fine.confidence, "By how much the margin between the logits is to be won"),
            "mi-evading" => number("λ", &mut fine.lambda, "The weight of mutual information; from about 1 it holds images where they are"),
            _ => {}
        }
        if name == "apgd" {
            ui.horizontal(|ui| {
                let menu = ComboBox::from_id_salt("loss").selected_text(fine.loss.label()).width(104.0).show_ui(ui, |ui| {
                    for loss in ApgdLoss::ALL {
                        ui.selectable_value(&mut fine.loss, loss, loss.label());
                    }
                });
                style::named(menu.response, Role::ComboBox, &format!("Loss: {}", fine.loss.label()))
                    .on_hover_text("What it climbs: the cross-entropy (CE), the difference of logits ratio (DLR), or one after the other");
            });
        }
        if matches!(name, "pgd" | "apgd") {
            ui.horizontal(|ui| {
                let label = ui.label("restarts");
                ui.add(DragValue::new(&mut fine.restarts).range(1..=100).speed(0.05)).labelled_by(label.id);
            });
        }
        if on != On::Deterministic {
            ui.toggle_value(&mut fine.fresh_masks, "fresh masks").on_hover_text("Each step draws its own masks, rather than all the same");
        }
        if method.follows_the_loss() {
            let text = "The loss of the paper's code, which takes softmax twice";
            ui.toggle_value(&mut fine.as_published, "as published").on_hover_text(text);
        }
    });
}

/// Whose answer is attacked.
pub fn victim(ui: &mut Ui, choice: &mut AttackChoice, members: usize) {
    ui.horizontal(|ui| {
        let menu = ComboBox::from_id_salt("victim").selected_text(choice.on.label()).width(104.0).show_ui(ui, |ui| {
            for on in On::ALL {
                ui.selectable_value(&mut choice.on, on, on.label());
            }
        });
        style::named(menu.response, Role::ComboBox, &format!("Attacked: {}", choice.on.label()))
            .on_hover_text("Whose answer is attacked: one network without dropout, the mean of its draws, or the mean of all networks");
        if choice.on != On::Ensemble {
            member(ui, choice, members);
        }
    });
}

/// Which network is attacked, where there are several.
pub fn member(ui: &mut Ui, choice: &mut AttackChoice, members: usize) {
    if members > 1 {
        ui.horizontal(|ui| {
            let label = ui.label("member");
            ui.add(DragValue::new(&mut choice.member).range(0..=members - 1).speed(0.05)).labelled_by(label.id);
        });
    }
}

fn aim(ui: &mut Ui, choice: &mut AttackChoice, classes: &[String]) {
    ui.horizontal(|ui| {
        let name = choice.target.and_then(|class| classes.get(class)).map_or("away from its class".to_owned(), |name| format!("to {name}"));
        let menu = ComboBox::from_id_salt("target").selected_text(&name).width(140.0).show_ui(ui, |ui| {
            ui.selectable_value(&mut choice.target, None, "away from its class");
            for (class, name) in classes.iter().enumerate() {
                ui.selectable_value(&mut choice.target, Some(class), format!("to {name}"));
            }
        });
        style::named(menu.response, Role::ComboBox, &format!("Aim: {name}"))
            .on_hover_text("Untargeted: whatever is not its class; targeted: this class");
    });
}
