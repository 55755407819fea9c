//! The tour: what a first start shows, step by step.

use crate::app::state::event::Event;
use crate::app::state::scope::Scope;
use eframe::egui::{Align2, Button, Id, Key, Ui, Window, vec2};

/// One step of the tour.
struct Step {
    title: &'static str,
    text: &'static str,
    /// Where it stands, so that it covers nothing that it speaks of.
    place: Align2,
    /// The panel that it needs.
    panel: &'static str,
}

const STEPS: [Step; 5] = [
    Step {
        title: "The latent plane",
        text: "Every point of a map is an image that the VAE decodes; the dots are the encodings of the training images. Move the pointer \
               over a map to see the image. A click pins it in the inspector.",
        place: Align2::RIGHT_BOTTOM,
        panel: "Map",
    },
    Step {
        title: "Two kinds of uncertainty",
        text: "Each map shows a measure of uncertainty, named above it. Predictive entropy is high at every boundary between classes, mutual \
               information where the dropout draws disagree.",
        place: Align2::RIGHT_BOTTOM,
        panel: "Map",
    },
    Step {
        title: "A line across a boundary",
        text: "The line runs between the centres of two neighbouring classes. Drag its ends: the strips of images and the curves follow.",
        place: Align2::RIGHT_CENTER,
        panel: "Interpolation",
    },
    Step {
        title: "More members",
        text: "Choose more members of the ensemble above a map, and see how the uncertainty far from the encodings changes.",
        place: Align2::RIGHT_BOTTOM,
        panel: "Map",
    },
    Step {
        title: "Your own layout",
        text: "Drag the tab of a panel to another place, or the border between two panels. View › Reset the layout undoes it. Help › Tour \
               shows these steps again.",
        place: Align2::CENTER_CENTER,
        panel: "Map",
    },
];

/// Shows a step of the tour, unless it has been seen.
pub fn show(ui: &Ui, scope: &mut Scope, is_seen: &mut bool, step: &mut usize) {
    if *is_seen {
        return;
    }
    let last = STEPS.len() - 1;
    let before = (*step).min(last);
    let Step { title, text, place, .. } = STEPS[before];
    let window = Window::new(title).id(Id::unique("tour")).collapsible(false).resizable(false);
    // Clear of the status line.
    window.anchor(place, vec2(0.0, if place == Align2::RIGHT_BOTTOM { -32.0 } else { 0.0 })).show(ui.ctx(), |ui| {
        ui.set_width(320.0);
        ui.label(text);
        ui.add_space(4.0);
        ui.horizontal(|ui| {
            if ui.add_enabled(before > 0, Button::new("Back")).clicked() {
                *step = before - 1;
            }
            if ui.add_enabled(before < last, Button::new("Next")).clicked() {
                *step = before + 1;
            }
            *is_seen = ui.button("End the tour").clicked() || ui.input(|input| input.key_pressed(Key::Escape));
            ui.weak(format!("{} of {}", before + 1, STEPS.len()));
        });
    });
    if *step != before {
        scope.ask(Event::OpenPanel(STEPS[(*step).min(last)].panel));
    }
}
