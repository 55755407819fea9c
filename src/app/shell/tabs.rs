//! The tabs below the maps, and the hints of the first start.

use crate::app::panels::panel::{Panel, Place};
use crate::app::state::scope::Scope;
use crate::app::state::storage::Preferences;
use eframe::egui::{Align2, Context, Key, Ui, Vec2, Window};

/// The tabs' names, and the one that is open.
pub fn tabs(ui: &mut Ui, panels: &mut [Box<dyn Panel>], scope: &mut Scope, preferences: &mut Preferences) {
    // A tab with little to show leaves the height as it is.
    ui.set_min_height(ui.available_height());
    let names: Vec<&'static str> = panels.iter().filter(|panel| panel.place() == Place::Tab).map(|panel| panel.name()).collect();
    if !names.contains(&preferences.tab.as_str())
        && let Some(first) = names.first()
    {
        (*first).clone_into(&mut preferences.tab);
    }
    ui.horizontal(|ui| {
        for name in names {
            if ui.selectable_label(preferences.tab == name, name).clicked() {
                name.clone_into(&mut preferences.tab);
            }
        }
    });
    ui.separator();
    for panel in panels.iter_mut().filter(|panel| panel.place() == Place::Tab && panel.name() == preferences.tab) {
        panel.ui(ui, scope);
    }
}

/// Three hints on the first start, and never again.
pub fn hints(ui: &mut Ui, preferences: &mut Preferences, size: Vec2) {
    if preferences.hints_seen || size.x < 500.0 || size.y < 400.0 {
        return;
    }
    let ctx: Context = ui.ctx().clone();
    Window::new("Welcome").collapsible(false).resizable(false).anchor(Align2::CENTER_CENTER, Vec2::ZERO).show(&ctx, |ui| {
        ui.set_max_width(400.0);
        for (what, how) in [
            ("Look.", "Every point of the map is an image that the VAE decodes. Move the pointer over it; a click pins a point in the inspector."),
            ("Compare.", "Dark is sure. Choose another measure above the map, or more members of the ensemble, and see what changes."),
            ("Pull.", "Drag the two ends of the line across a boundary between classes, and watch entropy and mutual information part ways below."),
        ] {
            ui.horizontal_wrapped(|ui| {
                ui.strong(what);
                ui.label(how);
            });
            ui.add_space(4.0);
        }
        ui.vertical_centered(|ui| {
            if ui.button("Begin").clicked() || ui.input(|input| input.key_pressed(Key::Escape) || input.key_pressed(Key::Enter)) {
                preferences.hints_seen = true;
            }
        });
    });
}
