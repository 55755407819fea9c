//! The heat map as a texture.

use crate::app::state::session::Pane;
use crate::app::state::values::Values;
use crate::app::widgets::plane::Plane;
use crate::app::widgets::style;
use crate::figure::Scale;
use eframe::egui::{Color32, ColorImage, Context, Painter, Rect, TextureHandle, TextureOptions, pos2};

/// A map's texture and what it was painted from.
pub struct Picture {
    texture: TextureHandle,
    values: Values,
    scale: Scale,
}

impl Picture {
    /// Paints values.
    pub fn new(ctx: &Context, values: Values, scale: Scale) -> Self {
        let texture = ctx.load_texture("map", image(&values, &scale), TextureOptions::NEAREST);
        Self { texture, values, scale }
    }

    /// Paints other values or colours, if they are others.
    pub fn update(&mut self, values: &Values, scale: &Scale) {
        if !std::sync::Arc::ptr_eq(&self.values.numbers, &values.numbers) || self.scale != *scale {
            self.texture.set(image(values, scale), TextureOptions::NEAREST);
            self.values = values.clone();
            self.scale = scale.clone();
        }
    }

    /// The values that it was painted from.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// What it shows: the measure and the members.
    pub fn pane(&self) -> &Pane {
        &self.values.pane
    }

    /// Paints the same values in other colours, if they are others.
    pub fn recolour(&mut self, scale: &Scale) {
        let values = self.values.clone();
        self.update(&values, scale);
    }

    /// Draws the part of the picture that lies in the plane: each value fills the cell around its point.
    pub fn draw(&self, painter: &Painter, plane: &Plane) {
        let view = self.values.settings.view;
        let half = |count: usize| 0.5 / count as f32;
        let (u, v) = (half(view.columns), half(view.rows));
        let uv = Rect { min: pos2(u, v), max: pos2(1.0 - u, 1.0 - v) };
        painter.image(self.texture.id(), plane.rect_of([view.z1, view.z2]), uv, Color32::WHITE);
    }

    /// How far apart the points are that have been computed.
    pub fn spacing(&self) -> f64 {
        let view = self.values.settings.view;
        (view.z1[1] - view.z1[0]) / (view.columns as f64 * f64::from(self.values.known).sqrt())
    }
}

fn image(values: &Values, scale: &Scale) -> ColorImage {
    let view = values.settings.view;
    // A point that nobody has computed yet is not an undefined one.
    let colour = |&value: &f32| if value.is_nan() { Color32::TRANSPARENT } else { style::colour(scale.colour(value.into())) };
    let pixels = values.numbers.chunks(view.columns).rev().flatten().map(colour).collect();
    ColorImage::new([view.columns, view.rows], pixels)
}
