//! The image under the pointer, with what the map says of it.

use crate::app::panels::map::underway;
use crate::app::state::scope::Scope;
use crate::app::state::values::Values;
use crate::app::widgets::images::{Texture, pixels};
use crate::app::widgets::style;
use crate::engine::{Models, reference};
use crate::error::Result;
use crate::jobs::training::Frame;
use crate::jobs::{Wake, Worker};
use crate::nets::Ending;
use crate::nets::lowering::{Program, lower};
use crate::numbers::fixed;
use crate::uncertainty::Measure;
use eframe::egui::{Context, Image, PopupAnchor, TextWrapMode, Tooltip, Ui, vec2};
use std::sync::Arc;

/// A latent point and the decoder for it.
type Request = (Arc<Models>, [f64; 2]);

/// Decodes what the pointer is on.
pub struct Hover {
    worker: Worker<Request, ([f64; 2], Vec<f32>)>,
    asked: Option<[f64; 2]>,
    texture: Texture,
}

impl Hover {
    /// Starts the worker. It has a decoder of its own, since the engine may be busy for longer than a pointer waits.
    pub fn new(wake: &Wake) -> Result<Self> {
        // The decoder of the models of the last request, lowered.
        let mut lowered: Option<(Arc<Models>, Program)> = None;
        let worker = Worker::spawn("hover", Arc::clone(wake), move |(models, z): Request, desk| {
            if lowered.as_ref().is_none_or(|(of, _)| !Arc::ptr_eq(of, &models)) {
                let program = models.decoder.as_ref().map(|decoder| lower(decoder, Ending::Logits));
                lowered = program.map(|program| (models, program));
            }
            if let Some((_, decoder)) = &lowered {
                desk.publish((z, decode(decoder, z)));
            }
            Ok(())
        })?;
        Ok(Self { worker, asked: None, texture: Texture::default() })
    }

    /// Takes what has been decoded, and asks for what is under the pointer now.
    pub fn logic(&mut self, ctx: &Context, scope: &Scope) {
        if let Some((_, image)) = self.worker.take() {
            self.texture.set(ctx, "hovered image", pixels(scope.image_shape(), &image));
        }
        if let Some(z) = scope.pointer.cursor
            && self.asked != Some(z)
        {
            self.worker.request((Arc::clone(&scope.set.models), z));
            self.asked = Some(z);
        }
    }

    /// Shows it beside the pointer.
    pub fn show(&self, ui: &Ui, scope: &Scope) {
        let (Some(z), Some(place)) = (scope.pointer.cursor, scope.pointer.map) else { return };
        let id = ui.scope_id().with("hover");
        if let Some(frame) = &scope.results.underway {
            Tooltip::always_open(ui.ctx().clone(), ui.layer_id(), id, PopupAnchor::Pointer).gap(16.0).show(|ui| {
                ui.style_mut().wrap_mode = Some(TextWrapMode::Extend);
                of_preview(ui, frame, scope.session.panes[place].measure, z);
            });
            return;
        }
        Tooltip::always_open(ui.ctx().clone(), ui.layer_id(), id, PopupAnchor::Pointer).gap(16.0).show(|ui| {
            ui.style_mut().wrap_mode = Some(TextWrapMode::Extend);
            ui.horizontal(|ui| {
                if let Some(texture) = self.texture.handle() {
                    ui.add(Image::new(texture).fit_to_exact_size(vec2(72.0, 72.0)));
                }
                ui.vertical(|ui| {
                    ui.spacing_mut().item_spacing.y = 2.0;
                    ui.label(style::signed(format!("z = ({}, {})", fixed(z[0], 2), fixed(z[1], 2))));
                    let Some(values) = scope.results.values.get(place) else { return };
                    let Some(point) = values.point_at(z) else { return };
                    if let Some((class, p)) = prediction(scope, values, point) {
                        ui.label(format!("class {} with p = {p:.3}", scope.classes()[class]));
                    }
                    let value = values.numbers[point];
                    if value.is_finite() {
                        let measure = values.pane.measure;
                        let name = if values.pane.minus.is_some() { "Δ".to_owned() } else { measure.label().to_lowercase() };
                        ui.label(format!("{name} {value:.3} {}", measure.unit()));
                    }
                    ui.label(style::note("click to pin"));
                });
            });
        });
    }
}

/// What a training preview shows at a point: nothing here is of the models at hand, nor is the decoded image.
fn of_preview(ui: &mut Ui, frame: &Frame, measure: Measure, z: [f64; 2]) {
    ui.label(style::signed(format!("z = ({}, {})", fixed(z[0], 2), fixed(z[1], 2))));
    if let Some((measure, value)) = underway::value_at(frame, measure, z).filter(|(_, value)| value.is_finite()) {
        ui.label(format!("{} {value:.3} {}", measure.label().to_lowercase(), measure.unit()));
    }
    ui.label(style::note(underway::model(frame)));
}

/// The class that the map's members name at a point of its grid, and its probability.
pub fn prediction(scope: &Scope, values: &Values, point: usize) -> Option<(usize, f64)> {
    let map = scope.results.live.as_ref()?.try_read()?;
    if map.settings != values.settings {
        return None;
    }
    let mean = map.sampled.cell(point, values.pane.members.iter().copied()).mean();
    mean.into_iter().enumerate().filter(|(_, p)| p.is_finite()).max_by(|a, b| a.1.total_cmp(&b.1))
}

/// A latent point's image, by the reference engine: half a millisecond for the paper's decoder.
fn decode(decoder: &Program, z: [f64; 2]) -> Vec<f32> {
    reference::run(decoder, &z, None).into_iter().map(|pixel| pixel as f32).collect()
}
