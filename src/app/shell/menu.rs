//! The menu at the top.

use crate::app::shell::dialogs::FILES;
use crate::app::shell::keys::SHORTCUTS;
use crate::app::shell::library::{Library, at_hand};
use crate::app::shell::tiles::RESET;
use crate::app::state::event::{Event, HelpPage};
use crate::app::state::history::History;
use crate::app::state::scope::Scope;
use crate::app::state::storage::{Appearance, Preferences, no_tiles};
use crate::app::widgets::style;
use eframe::egui::{Align, Button, DragValue, Layout as Flow, MenuBar, Panel as Side, Ui};

/// The menu at the top.
pub fn menu(ui: &mut Ui, scope: &mut Scope, preferences: &mut Preferences, history: &History, library: &mut Library) {
    Side::top("menu").show(ui, |ui| {
        MenuBar::new().ui(ui, |ui| {
            ui.menu_button("File", |ui| {
                for (label, dialog) in FILES {
                    if ui.button(label).clicked() {
                        scope.ask(Event::AskPath(dialog));
                        ui.close();
                    }
                }
                ui.separator();
                entry(ui, scope, "Export…", Event::Export, true);
                entry(ui, scope, "Close", Event::Quit, true);
            });
            ui.menu_button("Models", |ui| library.menu(ui, scope));
            ui.menu_button("Edit", |ui| {
                entry(ui, scope, "Undo", Event::Undo, history.can_undo());
                entry(ui, scope, "Redo", Event::Redo, history.can_redo());
            });
            ui.menu_button("View", |ui| {
                for (appearance, label) in Appearance::ALL {
                    if ui.radio_value(&mut preferences.appearance, appearance, label).changed() {
                        style::apply(appearance, ui.ctx());
                    }
                }
                if ui.button(RESET).clicked() {
                    preferences.tiles = no_tiles();
                }
                ui.separator();
                if ui.button("The whole plane").clicked() {
                    scope.session.reset_view();
                }
                let session = &mut scope.session;
                let speed = session.width / 200.0;
                for (name, value) in ["z₁ in the middle", "z₂ in the middle"].into_iter().zip(&mut session.centre) {
                    ui.horizontal(|ui| {
                        let label = ui.label(name);
                        ui.add(DragValue::new(value).range(-1e4..=1e4).speed(speed)).labelled_by(label.id);
                    });
                }
                ui.horizontal(|ui| {
                    let label = ui.label("width");
                    ui.add(DragValue::new(&mut session.width).range(1e-3..=1e4).speed(speed)).labelled_by(label.id);
                });
            });
            ui.menu_button("Help", |ui| {
                entry(ui, scope, "Shortcuts", Event::Help, true);
                for (page, label) in HelpPage::ALL {
                    entry(ui, scope, label, Event::ShowHelp(page), true);
                }
                entry(ui, scope, "Tour", Event::Tour, true);
            });
            ui.with_layout(Flow::right_to_left(Align::Center), |ui| {
                let models = at_hand(&scope.session);
                ui.add(eframe::egui::Label::new(style::note(models)).truncate());
            });
        });
    });
}

/// A line of a menu with its shortcut.
fn entry(ui: &mut Ui, scope: &mut Scope, label: &'static str, event: Event, enabled: bool) {
    let keys = SHORTCUTS.iter().find(|shortcut| shortcut.does.starts_with(label.trim_end_matches('…')) && !label.starts_with("Redo"));
    let button = Button::new(label);
    let button = match keys {
        Some(shortcut) => button.shortcut_text(ui.ctx().format_shortcut(&shortcut.keys)),
        None => button,
    };
    if ui.add_enabled(enabled, button).clicked() {
        scope.ask(event);
        ui.close();
    }
}
