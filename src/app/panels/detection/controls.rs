//! What is attacked and detected, and the button that begins and stops it.

use crate::app::panels::attack::controls::{Row, attack_rows, draws, error_at, fine, member, victim};
use crate::app::panels::detection::view::View;
use crate::app::state::choices::detection::{DetectionChoice, MOST_IMAGES, Sought};
use crate::app::state::scope::Scope;
use crate::app::widgets::style;
use crate::data::sources;
use crate::jobs::{Negatives, Status, TABLE1_IMAGES};
use eframe::egui::{Button, ComboBox, DragValue, Role, Slider, SliderClamping, Ui};

/// What somebody wants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Detect,
    Stop,
}

/// What negatives are called.
const fn label(negatives: Negatives) -> &'static str {
    match negatives {
        Negatives::Both => "clean and noisy",
        Negatives::Clean => "clean",
        Negatives::Noisy => "noisy",
    }
}

/// Draws the controls; `ready` says that there are images.
pub fn show(ui: &mut Ui, scope: &mut Scope, ready: bool, status: &Status) -> Option<Wish> {
    ui.spacing_mut().item_spacing.y = 3.0;
    let mut wish = None;
    let ensemble = scope.set.ensemble();
    let (values, members) = (ensemble.image_shape().iter().product(), ensemble.members().len());
    let choice = &mut scope.session.detection;
    ui.horizontal(|ui| {
        let working = matches!(status, Status::Working(_));
        let (text, wanted) = if working { ("Stop", Wish::Stop) } else { ("Detect", Wish::Detect) };
        let hover = "Attack the first images of the data, and ask about them, clean and with noise. Attacked images are kept: what was \
                     stopped goes on where it was";
        if ui.add_enabled(ready || working, Button::new(text)).on_hover_text(hover).clicked() {
            wish = Some(wanted);
        }
        let label = ui.label("images");
        ui.add(DragValue::new(&mut choice.images).range(1..=MOST_IMAGES).speed(5.0)).labelled_by(label.id);
    });
    let failed: &[&Status] = &[status];
    if matches!(status, Status::Working(_)) {
        style::status_line(ui, "detecting", status);
    }
    error_at(ui, failed, Row::Buttons);
    error_at(ui, failed, Row::Image);
    error_at(ui, failed, Row::Aim);
    let text = "The attacks of the paper's table 1: BIM, FGM and MIM at 5/255 and 10/255 on the network without dropout and on the mean of its \
                draws, then stronger ones. 200 images are usual";
    if ui.checkbox(&mut choice.table1, "all attacks of table 1").on_hover_text(text).clicked() && choice.table1 {
        (choice.images, choice.row) = (TABLE1_IMAGES, None);
    }
    if choice.table1 {
        draws(ui, &mut choice.attack);
        error_at(ui, failed, Row::Numbers);
        member(ui, &mut choice.attack, members);
        error_at(ui, failed, Row::Victim);
    } else {
        attack_rows(ui, &mut choice.attack, values, failed);
        victim(ui, &mut choice.attack, members);
        error_at(ui, failed, Row::Victim);
    }
    other_data(ui, choice);
    kinds(ui, choice);
    if !choice.table1 {
        fine(ui, &mut choice.attack);
        error_at(ui, failed, Row::Fine);
    }
    wish
}

fn other_data(ui: &mut Ui, choice: &mut DetectionChoice) {
    ui.horizontal(|ui| {
        ui.label("other data");
        let name = choice.unfamiliar.clone().unwrap_or_else(|| "none".to_owned());
        let menu = ComboBox::from_id_salt("other data").selected_text(&name).width(110.0).show_ui(ui, |ui| {
            ui.selectable_value(&mut choice.unfamiliar, None, "none");
            for source in &sources::ALL {
                ui.selectable_value(&mut choice.unfamiliar, Some(source.folder.to_owned()), source.name);
            }
        });
        style::named(menu.response, Role::ComboBox, &format!("Other data: {name}"))
            .on_hover_text("Also tell the test images of this data set, which the networks were not trained on, from the clean ones");
    });
}

/// What is told from what.
fn kinds(ui: &mut Ui, choice: &mut DetectionChoice) {
    ui.horizontal(|ui| {
        ui.label("find");
        let menu = ComboBox::from_id_salt("sought").selected_text(choice.sought.label()).width(130.0).show_ui(ui, |ui| {
            for sought in Sought::ALL {
                ui.selectable_value(&mut choice.sought, sought, sought.label());
            }
        });
        style::named(menu.response, Role::ComboBox, &format!("Find: {}", choice.sought.label()))
            .on_hover_text("What is to be detected: the positives");
    });
    if choice.sought == Sought::Unfamiliar {
        return;
    }
    ui.horizontal(|ui| {
        ui.label("among");
        let menu = ComboBox::from_id_salt("negatives").selected_text(label(choice.negatives)).width(120.0).show_ui(ui, |ui| {
            for negatives in Negatives::ALL {
                ui.selectable_value(&mut choice.negatives, negatives, label(negatives));
            }
        });
        style::named(menu.response, Role::ComboBox, &format!("Among: {}", label(choice.negatives)))
            .on_hover_text("What it is to be told from: the negatives. Noise is Gaussian and as long as the image's attack");
    });
}

/// The threshold, and what it comes to.
pub fn threshold(ui: &mut Ui, choice: &mut DetectionChoice, view: &View) {
    let mut threshold = view.threshold(choice);
    ui.horizontal(|ui| {
        let label = ui.label("threshold");
        let [low, high] = view.range;
        // Label, number and button take the rest of a narrow column.
        ui.spacing_mut().slider_width = (ui.available_width() - 116.0).clamp(30.0, 96.0);
        let slider = Slider::new(&mut threshold, low..=high).clamping(SliderClamping::Never).max_decimals(4);
        let direction = if choice.detector.rises() { "from here on" } else { "up to here" };
        let text = format!("An alarm goes off at values {direction}, in {}", unit(choice));
        if ui.add(slider).labelled_by(label.id).on_hover_text(text).changed() && threshold.is_finite() {
            choice.threshold = Some(threshold);
        }
        if ui.small_button("95 %").on_hover_text("The threshold at which 95 % are detected").clicked() {
            choice.threshold = None;
        }
    });
    let text = view.rates(choice.detector, threshold).map_or_else(
        || format!("There is nothing to detect: no image is “{}”.", choice.sought.label()),
        |[fpr, tpr, precision]| {
            format!("{:.1} % detected, {:.1} % false alarms, precision {:.1} %", 100.0 * tpr, 100.0 * fpr, 100.0 * precision)
        },
    );
    ui.label(style::note(text));
}

fn unit(choice: &DetectionChoice) -> &'static str {
    match choice.detector.unit() {
        "" => "shares of 1",
        unit => unit,
    }
}
