//! The optimiser, the schedule of its learning rate, and the augmentation of the training images.

use crate::app::widgets::style;
use crate::jobs::training::{Decay, Fill, Method, TrainingPlan, What};
use eframe::egui::{ComboBox, DragValue, Role, Ui};

/// The rows of the optimiser, the schedule and the augmentation.
pub fn optimisation(ui: &mut Ui, plan: &mut TrainingPlan) {
    optimiser(ui, plan);
    schedule(ui, plan);
    augmentation(ui, plan);
}

fn optimiser(ui: &mut Ui, plan: &mut TrainingPlan) {
    const METHODS: [Option<Method>; 6] =
        [None, Some(Method::Adam), Some(Method::AdamW), Some(Method::Adadelta), Some(Method::AdadeltaPytorch), Some(Method::Sgd)];
    let is_vae = plan.what == What::Vae;
    ui.horizontal(|ui| {
        let label = label_of_method(plan.optimiser);
        let menu = ComboBox::from_id_salt("optimiser").selected_text(label).width(88.0).show_ui(ui, |ui| {
            for method in METHODS {
                if ui.selectable_value(&mut plan.optimiser, method, label_of_method(method)).changed() {
                    (plan.learning_rate, plan.weight_decay) = (None, None);
                }
            }
        });
        style::named(menu.response, Role::ComboBox, &format!("Optimiser: {label}"))
            .on_hover_text("Adam for a VAE, Adadelta for classifiers, as the paper; or another");
        let (_, mut rate) = plan.method_of(is_vae);
        let text = "Learning rate";
        let speed = rate * 0.01;
        let response = ui.add(DragValue::new(&mut rate).range(1e-8..=1e9).clamp_existing_to_range(false).speed(speed).max_decimals(6));
        if style::named(response, Role::SpinButton, text).on_hover_text(text).changed() {
            plan.learning_rate = Some(rate);
        }
        let label = ui.label("decay");
        let mut strength = plan.weight_decay_of(is_vae);
        let drag = DragValue::new(&mut strength).range(0.0..=1e3).clamp_existing_to_range(false).speed(1e-4).max_decimals(6);
        if ui
            .add(drag)
            .labelled_by(label.id)
            .on_hover_text("Weight decay: decoupled for AdamW, an L2 penalty for the other optimisers")
            .changed()
        {
            plan.weight_decay = Some(strength);
        }
    });
}

const fn label_of_method(method: Option<Method>) -> &'static str {
    match method {
        None => "the paper's",
        Some(Method::Adam) => "Adam",
        Some(Method::AdamW) => "AdamW",
        Some(Method::Adadelta) => "Adadelta",
        Some(Method::AdadeltaPytorch) => "Adadelta (PyTorch)",
        Some(Method::Sgd) => "SGD",
    }
}

fn schedule(ui: &mut Ui, plan: &mut TrainingPlan) {
    const DECAYS: [Decay; 4] = [Decay::Constant, Decay::Linear, Decay::Cosine, Decay::STEP];
    let epochs = plan.epochs_of(plan.what == What::Vae);
    let schedule = &mut plan.schedule;
    ui.horizontal(|ui| {
        ui.label("schedule");
        let label = label_of_decay(schedule.decay);
        let menu = ComboBox::from_id_salt("schedule").selected_text(label).width(78.0).show_ui(ui, |ui| {
            for decay in DECAYS {
                let is_chosen = std::mem::discriminant(&decay) == std::mem::discriminant(&schedule.decay);
                if ui.selectable_label(is_chosen, label_of_decay(decay)).clicked() && !is_chosen {
                    schedule.decay = decay;
                }
            }
        });
        style::named(menu.response, Role::ComboBox, &format!("Schedule: {label}"))
            .on_hover_text("How the learning rate falls; where it falls to 0, the last epochs no longer wander");
        let label = ui.label("warm-up");
        let drag = DragValue::new(&mut schedule.warm_up_epochs).range(0.0..=epochs.saturating_sub(1) as f64).clamp_existing_to_range(false);
        ui.add(drag.speed(0.02).max_decimals(2))
            .labelled_by(label.id)
            .on_hover_text("The number of first epochs over which the learning rate rises linearly to its full value");
    });
    if let Decay::Step { every_epochs, factor } = &mut schedule.decay {
        ui.horizontal(|ui| {
            ui.label("times");
            let response = ui.add(DragValue::new(factor).range(0.001..=1.0).speed(0.005).max_decimals(3));
            style::named(response, Role::SpinButton, "Factor of the learning rate")
                .on_hover_text("Factor of the learning rate at each step");
            ui.label("every");
            let response = ui.add(DragValue::new(every_epochs).range(1..=10_000).speed(0.05));
            style::named(response, Role::SpinButton, "Epochs between the steps")
                .on_hover_text("Epochs between the steps of the learning rate");
            ui.label("epochs");
        });
    }
}

const fn label_of_decay(decay: Decay) -> &'static str {
    match decay {
        Decay::Constant => "constant",
        Decay::Linear => "linear to 0",
        Decay::Cosine => "cosine to 0",
        Decay::Step { .. } => "steps",
    }
}

fn augmentation(ui: &mut Ui, plan: &mut TrainingPlan) {
    // The most that a drag offers; a training checks it against the size of its images.
    const MOST: usize = 64;
    let augmentation = &mut plan.augmentation;
    ui.horizontal(|ui| {
        ui.toggle_value(&mut augmentation.flip, "flip")
            .on_hover_text("Augmentation: training images are mirrored left and right at random, anew in each epoch");
        let label = ui.label("shift");
        let response = ui.add(DragValue::new(&mut augmentation.shift).range(0..=MOST).clamp_existing_to_range(false).speed(0.05));
        response
            .labelled_by(label.id)
            .on_hover_text("Augmentation: training images are shifted at random along each axis, by up to this number of pixels");
        if augmentation.shift > 0 {
            let mut is_edge = augmentation.fill == Fill::Edge;
            ui.toggle_value(&mut is_edge, "edge").on_hover_text("A shift fills with the nearest pixels of the image instead of zeros");
            augmentation.fill = if is_edge { Fill::Edge } else { Fill::Zeros };
        } else {
            augmentation.fill = Fill::Zeros;
        }
        let label = ui.label("crop");
        let response = ui.add(DragValue::new(&mut augmentation.crop).range(0..=MOST).clamp_existing_to_range(false).speed(0.05));
        response.labelled_by(label.id).on_hover_text(
            "Augmentation: training images are padded by this number of zeros on each side and cropped at a random position",
        );
    });
}
