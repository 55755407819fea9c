//! What the window says: complaints, what is being opened, the question before a long map, the status line.

use crate::app::shell::map_costs::minutes;
use crate::app::shell::map_requests::{MapAction, MapRequests};
use crate::app::state::scope::Scope;
use crate::app::state::wording::in_window;
use crate::app::widgets::style;
use crate::jobs::{Status, Task};
use crate::numbers::counted;
use eframe::egui::{Align, Frame, Layout as Flow, Panel as Side, Role, Ui};
use std::time::Duration;

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
                ui.add(eframe::egui::Label::new(in_window(complaint)).wrap());
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

/// Asks whether a map that takes long is to be computed. Returns the user's answer.
pub fn question(ui: &mut Ui, time: Duration) -> Option<MapAction> {
    let panel = Side::top("long map").show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.label(format!("This map takes about {}.", minutes(time)));
            let compute = ui.button("Compute the map").clicked().then_some(MapAction::Compute);
            let text = "The grid and the number of draws of the map on the screen";
            let keep = ui.button("Keep the former settings").on_hover_text(text).clicked().then_some(MapAction::KeepFormer);
            compute.or(keep)
        })
        .inner
    });
    panel.inner
}

/// Engine, points, draws and time; what was done last. Returns what the user wants of the map.
pub fn status(ui: &mut Ui, scope: &Scope, tasks: &[(&str, &dyn Task)], note: &str, maps: &MapRequests) -> Option<MapAction> {
    let mut action = None;
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
            match &scope.results.map_status {
                Status::Working(progress) if progress.total > 0 => {
                    let share = progress.done as f32 / progress.total as f32;
                    style::bar(ui, share, 90.0);
                    let left = maps.elapsed().as_secs_f32() * (1.0 - share) / share.max(1e-3);
                    ui.label(style::note(match in_background(scope) {
                        Some(members) => format!("The map is done; {} in the background", counted(members as u64, "member")),
                        None if share > 0.02 => format!("{left:.0} s left"),
                        None => String::new(),
                    }));
                    let text = "Compute no more of it; what is there is kept";
                    if ui.small_button("Stop the map").on_hover_text(text).clicked() {
                        action = Some(MapAction::Stop);
                    }
                }
                _ if maps.is_stopped() => {
                    let go_on = ui.small_button("Go on with the map").clicked();
                    action = go_on.then_some(MapAction::GoOn).or(action);
                }
                Status::Failed(sentence) => {
                    ui.colored_label(ui.visuals().warn_fg_color, in_window(sentence));
                }
                _ => {}
            }
            running(ui, tasks);
            ui.with_layout(Flow::right_to_left(Align::Center), |ui| {
                ui.add(eframe::egui::Label::new(style::note(note)).truncate());
            });
        });
    });
    action
}

/// How many members are computed that no map on the screen shows, once these maps are complete.
fn in_background(scope: &Scope) -> Option<usize> {
    let shown = scope.session.shown();
    let values = scope.results.values.get(..shown.len())?;
    let wanted = scope.session.map_settings(&scope.set).ok()?;
    let is_done = values.iter().zip(shown).all(|(values, pane)| values.complete && values.pane == *pane && values.settings == wanted);
    let partners = shown.iter().filter_map(|pane| scope.session.panes.get(pane.minus?));
    let is_shown = |member: &usize| shown.iter().chain(partners.clone()).any(|pane| pane.members.contains(member));
    let others = wanted.members.iter().filter(|member| !is_shown(member)).count();
    (is_done && others > 0).then_some(others)
}

/// How many panels compute; a click lists what, with the progress of each and a button that cancels it.
fn running(ui: &mut Ui, tasks: &[(&str, &dyn Task)]) {
    let running: Vec<_> = tasks.iter().filter(|(_, task)| matches!(task.status(), Status::Working(_))).collect();
    if running.is_empty() {
        return;
    }
    ui.menu_button(style::note(counted(running.len() as u64, "task")), |ui| {
        for (name, task) in running {
            ui.horizontal(|ui| {
                if style::named(ui.small_button("×"), Role::Button, &format!("Cancel: {name}")).on_hover_text("Cancel").clicked() {
                    task.cancel();
                }
                style::status_line(ui, name, &task.status());
            });
        }
    });
}
