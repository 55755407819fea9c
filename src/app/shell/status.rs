//! What the window says: complaints, what is being opened, the status line.

use crate::app::state::scope::Scope;
use crate::app::state::wording::in_window;
use crate::app::widgets::style;
use crate::jobs::Status;
use crate::numbers::counted;
use eframe::egui::{Align, Frame, Layout as Flow, Panel as Side, Ui};
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
            match &scope.results.map_status {
                Status::Working(progress) if progress.total > 0 => {
                    let share = progress.done as f32 / progress.total as f32;
                    style::bar(ui, share, 90.0);
                    let left = since.as_secs_f32() * (1.0 - share) / share.max(1e-3);
                    ui.label(style::note(if share > 0.02 { format!("{left:.0} s left") } else { String::new() }));
                }
                Status::Failed(sentence) => {
                    ui.colored_label(ui.visuals().warn_fg_color, in_window(sentence));
                }
                _ => {}
            }
            ui.with_layout(Flow::right_to_left(Align::Center), |ui| {
                ui.add(eframe::egui::Label::new(style::note(note)).truncate());
            });
        });
    });
}
