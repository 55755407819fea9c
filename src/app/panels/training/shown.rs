//! The model under way, or at an earlier epoch: reconstructions, and the strip of epochs.

use crate::app::panels::training::run::Run;
use crate::app::widgets::images::{Texture, row};
use crate::app::widgets::style;
use crate::jobs::training::{Frame, Look};
use eframe::egui::{Color32, Context, Label, Rect, Role, Sense, Slider, Ui, WidgetInfo, pos2, vec2};
use std::sync::Arc;

/// Which of the kept pictures is looked at.
#[derive(Default)]
pub struct Shown {
    /// The place in the film; the newest picture, kept or not, for `None`.
    at: Option<usize>,
    originals: Texture,
    reconstructions: Texture,
    of: Option<Arc<Frame>>,
}

impl Shown {
    /// The picture that is looked at.
    pub fn frame(&self, run: &Run) -> Option<Arc<Frame>> {
        self.at.and_then(|at| run.film.get(at)).or(run.newest.as_ref()).cloned()
    }

    /// The epoch of an earlier picture, where one is looked at.
    pub fn epoch(&self, run: &Run) -> Option<usize> {
        self.at.and_then(|at| run.film.get(at)).map(|frame| frame.epoch)
    }

    /// Back to the newest.
    pub fn follow(&mut self) {
        self.at = None;
    }

    /// The strip of epochs.
    pub fn strip(&mut self, ui: &mut Ui, run: &Run) {
        let count = run.film.len();
        if count == 0 {
            ui.label(style::note("The first epoch is under way."));
            return;
        }
        ui.horizontal(|ui| {
            let label = ui.label("epoch");
            let mut at = self.at.unwrap_or(count).min(count);
            let epochs: Vec<usize> = run.film.iter().map(|frame| frame.epoch).collect();
            let name = move |at: f64, _| epochs.get(at as usize).map_or("newest".to_owned(), usize::to_string);
            let slider = Slider::new(&mut at, 0..=count).custom_formatter(name).integer();
            let text = "Scrub back through the training: maps, curves and reconstructions show that epoch";
            if ui.add(slider).labelled_by(label.id).on_hover_text(text).changed() {
                self.at = (at < count).then_some(at);
            }
        });
    }

    /// The originals, and under them what the VAE makes of them.
    pub fn images(&mut self, ctx: &Context, ui: &mut Ui, frame: &Arc<Frame>) {
        let Look::Plane { originals, reconstructions, shape, .. } = &frame.look else { return };
        if self.of.as_ref().is_none_or(|of| !Arc::ptr_eq(of, frame)) {
            self.originals.set(ctx, "training originals", row(*shape, originals));
            self.reconstructions.set(ctx, "training reconstructions", row(*shape, reconstructions));
            self.of = Some(Arc::clone(frame));
        }
        let count = (originals.len() / shape.iter().product::<usize>()).max(1);
        let width = ui.available_width();
        let height = width / count as f32 * shape[1] as f32 / shape[2] as f32;
        for (texture, name) in [(&self.originals, "test images"), (&self.reconstructions, "what the VAE makes of them")] {
            let Some(handle) = texture.handle() else { continue };
            ui.add(Label::new(style::note(name)).truncate());
            let (rect, response) = ui.allocate_exact_size(vec2(width, height), Sense::hover());
            ui.painter().image(handle.id(), rect, Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0)), Color32::WHITE);
            response.widget_info(|| WidgetInfo::labeled(Role::Image, true, format!("Training: {name}")));
        }
    }
}
