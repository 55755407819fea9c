//! The training encodings nearest to the pins.

use crate::app::panels::inspector::card::{dot, picture};
use crate::app::panels::inspector::probe::{NEIGHBOURS, Probe, Shown};
use crate::app::panels::map::badge;
use crate::app::state::scope::Scope;
use crate::app::state::session::PIN_NAMES;
use crate::app::widgets::style;
use crate::numbers::fixed;
use eframe::egui::{Sense, Ui, vec2};

/// Draws a line of images for each pin.
pub fn show(ui: &mut Ui, scope: &Scope, probes: &mut [Probe; 2]) {
    ui.label("Nearest training encodings");
    if scope.set.encodings.is_none() {
        ui.label(style::note("The models come without encodings."));
        return;
    }
    let both = probes.iter().all(|probe| probe.shown().is_some());
    for (which, probe) in probes.iter().enumerate() {
        let Some(shown) = probe.shown() else { continue };
        if shown.neighbours.is_empty() {
            ui.label(style::note("They are being searched."));
            continue;
        }
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = 5.0;
            if both {
                let (disc, _) = ui.allocate_exact_size(vec2(19.0, 19.0), Sense::hover());
                badge(ui.painter(), disc.center(), PIN_NAMES[which], style::PINS[which]);
            }
            line(ui, scope, shown);
        });
    }
}

fn line(ui: &mut Ui, scope: &Scope, shown: &Shown) {
    let gap = ui.spacing().item_spacing.x;
    let side = ((ui.available_width() - gap * (NEIGHBOURS - 1) as f32) / NEIGHBOURS as f32).floor().clamp(16.0, 60.0);
    for (neighbour, texture) in shown.neighbours.iter().zip(&shown.thumbnails) {
        let class = usize::from(neighbour.label);
        let label = scope.set.encodings.as_ref().and_then(|encodings| encodings.train.classes.get(class)).map_or("?", String::as_str);
        ui.vertical(|ui| {
            ui.set_width(side);
            ui.spacing_mut().item_spacing.y = 1.0;
            let [z1, z2] = neighbour.z;
            let text = style::signed(format!(
                "Training image {}, class {label}, at z = ({}, {}): its encoding decoded, {:.4} away",
                neighbour.number,
                fixed(z1, 3),
                fixed(z2, 3),
                neighbour.distance
            ));
            picture(ui, texture, side, &text, &text);
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = 3.0;
                dot(ui, class);
                ui.add(eframe::egui::Label::new(style::note(label)).truncate());
            });
            ui.label(style::note(format!("{:.3}", neighbour.distance)));
        });
    }
}
