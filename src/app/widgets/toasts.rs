//! Toasts: short messages of success that fade by themselves.

use eframe::egui::{Align2, Area, Context, Frame, Id, Label, Order};
use std::time::Duration;

/// How long a toast is shown, in seconds.
const DURATION: f64 = 6.0;
/// It fades during the last of these seconds.
const FADING: f64 = 0.6;
/// Distance from the lower right corner of the window in points: above the status line.
const OFFSET: [f32; 2] = [-12.0, -34.0];

/// The toasts that are shown, the newest last.
#[derive(Default)]
pub struct Toasts {
    shown: Vec<Toast>,
}

struct Toast {
    text: String,
    /// The time of the window's input at which it goes; none before it has been drawn.
    end: Option<f64>,
}

impl Toasts {
    /// Shows a sentence for a few seconds. One that is shown already starts again.
    pub fn say(&mut self, text: String) {
        self.shown.retain(|toast| toast.text != text);
        self.shown.push(Toast { text, end: None });
    }

    /// Draws the toasts over everything else.
    pub fn show(&mut self, ctx: &Context) {
        let now = ctx.input(|input| input.time);
        self.shown.retain(|toast| toast.end.is_none_or(|end| now < end));
        if self.shown.is_empty() {
            return;
        }
        Area::new(Id::unique("toasts")).order(Order::Tooltip).anchor(Align2::RIGHT_BOTTOM, OFFSET).interactable(false).show(ctx, |ui| {
            ui.set_max_width(420.0_f32.min(ctx.content_rect().width() - 24.0));
            for toast in &mut self.shown {
                let left = *toast.end.get_or_insert(now + DURATION) - now;
                ui.scope(|ui| {
                    ui.multiply_opacity((left / FADING).min(1.0) as f32);
                    Frame::popup(ui.style()).show(ui, |ui| ui.add(Label::new(&toast.text).wrap().selectable(false)));
                });
                // Nothing is painted for a toast that only stands there.
                ctx.request_repaint_after(Duration::from_secs_f64((left - FADING).max(1.0 / 30.0)));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;

    #[test]
    fn a_toast_is_shown_for_some_seconds_and_goes() {
        let mut harness =
            Harness::builder().with_step_dt(1.0).build_ui_state(|ui, toasts: &mut Toasts| toasts.show(ui.ctx()), Toasts::default());
        harness.state_mut().say("It is saved.".to_owned());
        harness.state_mut().say("It is saved.".to_owned());
        harness.run_steps(3);
        assert!(harness.query_by_label("It is saved.").is_some(), "once, however often it is said");
        harness.run_steps(8);
        assert!(harness.query_by_label("It is saved.").is_none());
    }
}
