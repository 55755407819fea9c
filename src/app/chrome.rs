//! What frames the panels: menu, toolbar, tabs, legend, status line, hints.

use super::history::History;
use super::keys::SHORTCUTS;
use super::library::Library;
use super::scope::{Command, Scope};
use super::session::{Layout, MOST_SAMPLES};
use super::storage::Preferences;
use super::style::{self, Appearance};
use super::{Panel, Place};
use crate::engine::{self, Masks};
use crate::figure::{ColourMap, ColourRange};
use crate::jobs::Status;
use crate::jobs::training::Look;
use crate::numbers::counted;
use eframe::egui::{
    Align, Align2, Button, ComboBox, Context, DragValue, Frame, Key, Layout as Flow, MenuBar, Panel as Side, RichText, Role, Sense, Ui,
    Vec2, Window, vec2,
};
use std::time::Duration;

/// The menu at the top.
pub fn menu(ui: &mut Ui, scope: &mut Scope, preferences: &mut Preferences, history: &History, library: &mut Library) {
    Side::top("menu").show(ui, |ui| {
        MenuBar::new().ui(ui, |ui| {
            ui.menu_button("File", |ui| {
                for (label, dialog) in super::dialogs::FILES {
                    if ui.button(label).clicked() {
                        super::dialogs::request(ui.ctx(), dialog);
                        ui.close();
                    }
                }
                ui.separator();
                entry(ui, scope, "Export…", Command::Export, true);
                entry(ui, scope, "Close", Command::Quit, true);
            });
            ui.menu_button("Models", |ui| library.menu(ui, scope));
            ui.menu_button("Edit", |ui| {
                entry(ui, scope, "Undo", Command::Undo, history.can_undo());
                entry(ui, scope, "Redo", Command::Redo, history.can_redo());
            });
            ui.menu_button("View", |ui| {
                for (appearance, label) in Appearance::ALL {
                    if ui.radio_value(&mut preferences.appearance, appearance, label).changed() {
                        appearance.apply(ui.ctx());
                    }
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
            ui.menu_button("Help", |ui| entry(ui, scope, "Shortcuts", Command::Help, true));
            ui.with_layout(Flow::right_to_left(Align::Center), |ui| {
                let models = super::library::at_hand(&scope.session);
                ui.add(eframe::egui::Label::new(style::note(models)).truncate());
            });
        });
    });
}

/// A line of a menu with its shortcut.
fn entry(ui: &mut Ui, scope: &mut Scope, label: &'static str, command: Command, enabled: bool) {
    let keys = SHORTCUTS.iter().find(|shortcut| shortcut.does.starts_with(label.trim_end_matches('…')) && !label.starts_with("Redo"));
    let text = keys.map_or_else(String::new, |shortcut| ui.ctx().format_shortcut(&shortcut.keys));
    if ui.add_enabled(enabled, Button::new(label).shortcut_text(text)).clicked() {
        scope.ask(command);
        ui.close();
    }
}

/// What went wrong, until it is read.
pub fn complaints(ui: &mut Ui, complaints: &mut Vec<String>) {
    if complaints.is_empty() {
        return;
    }
    let warning = ui.visuals().warn_fg_color;
    Side::top("complaints").frame(Frame::side_top_panel(ui.style()).fill(warning.gamma_multiply(0.16))).show(ui, |ui| {
        let mut read = None;
        for (at, complaint) in complaints.iter().enumerate() {
            ui.horizontal(|ui| {
                if ui.small_button("×").on_hover_text("Read").clicked() {
                    read = Some(at);
                }
                ui.add(eframe::egui::Label::new(complaint).wrap());
            });
        }
        if let Some(at) = read {
            complaints.remove(at);
        }
    });
}

/// Shows what is being opened. Returns whether the user cancelled it.
pub fn opening(ui: &mut Ui, what: &str) -> bool {
    let panel = Side::top("opening").show(ui, |ui| {
        ui.horizontal(|ui| {
            let cancelled = ui.small_button("Cancel").clicked();
            ui.label(format!("Opening {what} … The present view stays until it is open."));
            cancelled
        })
        .inner
    });
    panel.inner
}

/// What fixes the maps, and what lies over them.
pub fn toolbar(ui: &mut Ui, scope: &mut Scope) {
    Side::top("toolbar").show(ui, |ui| {
        ui.horizontal_wrapped(|ui| {
            layout(ui, scope);
            ui.separator();
            overlays(ui, scope);
            ui.separator();
            colours(ui, scope);
            ui.separator();
            computation(ui, scope);
        });
    });
}

fn layout(ui: &mut Ui, scope: &mut Scope) {
    ui.spacing_mut().item_spacing.x = 4.0;
    for (layout, label) in Layout::ALL.into_iter().zip(["1", "2", "4"]) {
        let text = if layout == Layout::One { "One map" } else { "Maps side by side, with linked views" };
        let button = ui.selectable_label(scope.session.layout == layout, label).on_hover_text(text);
        if style::named(button, Role::Button, &format!("{label} maps")).clicked() {
            scope.session.layout = layout;
            scope.session.active = scope.session.active.min(layout.count() - 1);
        }
    }
}

fn overlays(ui: &mut Ui, scope: &mut Scope) {
    let is_preview = scope.underway.is_some();
    let overlays = &mut scope.session.overlays;
    for (switch, label, text) in [
        (&mut overlays.encodings, "Encodings", "The training data where the VAE puts them, in class colours (E)"),
        (&mut overlays.density, "Density", "Contours of the encodings' density, the aggregated posterior (D)"),
        (&mut overlays.holes, "Holes", "Outlines of what is confident outside the region that holds 99 % of the training encodings (H)"),
        (&mut overlays.digits, "Images", "A grid of decoded images over the plane (G)"),
        (&mut overlays.line, "Line", "The interpolation line: drag its ends (L)"),
    ] {
        let toggle = ui.add_enabled_ui(!is_preview, |ui| ui.toggle_value(switch, label)).inner;
        toggle.on_hover_text(text).on_disabled_hover_text("Not over the preview of a training: these belong to the models at hand");
    }
}

fn colours(ui: &mut Ui, scope: &mut Scope) {
    let session = &mut scope.session;
    let menu = ComboBox::from_id_salt("colours").selected_text(session.colours.label()).width(72.0).show_ui(ui, |ui| {
        for map in ColourMap::ALL {
            ui.selectable_value(&mut session.colours, map, map.label());
        }
    });
    style::named(menu.response, Role::ComboBox, "Colour map");
    let mut fixed = session.range == ColourRange::Natural;
    let text = "Colours for all that the measure can take (0 … ln C nats for entropies), rather than for what is on the screen (R)";
    if ui.toggle_value(&mut fixed, "Fixed range").on_hover_text(text).changed() {
        session.range = if fixed { ColourRange::Natural } else { ColourRange::Data };
    }
}

fn computation(ui: &mut Ui, scope: &mut Scope) {
    let session = &mut scope.session;
    ui.label("T").on_hover_text("Dropout draws per member");
    ui.add(DragValue::new(&mut session.samples).range(1..=MOST_SAMPLES).speed(0.5)).on_hover_text("Dropout draws per member, T");
    ui.label("grid");
    let menu = ComboBox::from_id_salt("grid").selected_text(format!("{0}×{0}", session.grid)).width(76.0).show_ui(ui, |ui| {
        for grid in [32, 64, 128, 256, 512] {
            ui.selectable_value(&mut session.grid, grid, format!("{grid}×{grid}"));
        }
    });
    style::named(menu.response, Role::ComboBox, "Points of the grid");
    ui.label("seed");
    ui.add(DragValue::new(&mut session.seed).speed(0.1)).on_hover_text("The seed of the dropout masks");
    let mut shared = session.masks == Masks::Shared;
    let text = "One draw is one function of the whole plane, so that the map is smooth; without, every point draws its own masks, as the \
                paper's code did";
    if ui.toggle_value(&mut shared, "Shared masks").on_hover_text(text).changed() {
        session.masks = if shared { Masks::Shared } else { Masks::PerPoint };
    }
    let mut engine = session.engine.clone();
    let menu = ComboBox::from_id_salt("engine").selected_text(&engine).width(64.0).show_ui(ui, |ui| {
        for kind in engine::available() {
            ui.selectable_value(&mut engine, kind.name.to_owned(), kind.name).on_hover_text(kind.summary);
        }
    });
    style::named(menu.response, Role::ComboBox, "Engine");
    session.engine = engine;
}

/// The classes in their colours; a click hides or shows one.
pub fn legend(ui: &mut Ui, scope: &mut Scope) {
    let has_classes = match &scope.underway {
        Some(frame) => matches!(frame.look, Look::Plane { .. }),
        None => scope.session.overlays.encodings,
    };
    if !has_classes {
        return;
    }
    let classes = scope.classes().to_vec();
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 10.0;
        for (class, name) in classes.iter().enumerate() {
            let hidden = &mut scope.session.overlays.hidden;
            let shown = !hidden.contains(&class);
            let text = if shown { RichText::new(name) } else { RichText::new(name).weak().strikethrough() };
            let response = ui
                .horizontal(|ui| {
                    ui.spacing_mut().item_spacing.x = 3.0;
                    let (rect, dot) = ui.allocate_exact_size(vec2(11.0, 11.0), Sense::click());
                    let colour = style::of_class(class).gamma_multiply(if shown { 1.0 } else { 0.25 });
                    ui.painter().circle(rect.center(), 4.5, colour, eframe::egui::Stroke::new(0.8, eframe::egui::Color32::from_gray(90)));
                    dot | ui.add(eframe::egui::Label::new(text).sense(Sense::click()))
                })
                .inner
                .on_hover_text("Click: hide or show this class. Double click: this one alone, or all.");
            if response.double_clicked() {
                let alone = hidden.len() + 1 == classes.len() && shown;
                *hidden = if alone { Vec::new() } else { (0..classes.len()).filter(|&other| other != class).collect() };
            } else if response.clicked() {
                if shown {
                    hidden.push(class);
                    hidden.sort_unstable();
                } else {
                    hidden.retain(|&other| other != class);
                }
            }
        }
    });
}

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

/// Engine, points, draws and time; what was done last.
pub fn status(ui: &mut Ui, scope: &Scope, note: &str, since: Duration) {
    Side::bottom("status").show(ui, |ui| {
        ui.horizontal(|ui| {
            let session = &scope.session;
            let members = scope.set.ensemble().members().len();
            let work = format!(
                "{} · {2}×{2} points · {3} · {1}",
                scope.engine.name(),
                counted(members as u64, "member"),
                session.grid,
                counted(session.samples, "draw")
            );
            ui.label(style::note(work));
            if let Some(notice) = scope.engine.notice() {
                ui.colored_label(ui.visuals().warn_fg_color, notice);
            }
            match &scope.map_status {
                Status::Working(progress) if progress.total > 0 => {
                    let share = progress.done as f32 / progress.total as f32;
                    style::bar(ui, share, 90.0);
                    let left = since.as_secs_f32() * (1.0 - share) / share.max(1e-3);
                    ui.label(style::note(if share > 0.02 { format!("{left:.0} s left") } else { String::new() }));
                }
                Status::Failed(sentence) => {
                    ui.colored_label(ui.visuals().warn_fg_color, sentence);
                }
                _ => {}
            }
            ui.with_layout(Flow::right_to_left(Align::Center), |ui| {
                ui.add(eframe::egui::Label::new(style::note(note)).truncate());
            });
        });
    });
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
