//! The heat map as a texture, and its colour bar.

use super::plane::Plane;
use super::sums::Values;
use crate::app::session::Pane;
use crate::app::style;
use crate::figure::{Scale, nice_ticks};
use eframe::egui::{
    Align2, Color32, ColorImage, Context, FontId, Painter, Rect, Stroke, StrokeKind, TextureHandle, TextureOptions, Ui, pos2,
};

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
        let view = self.values.view;
        let half = |count: usize| 0.5 / count as f32;
        let (u, v) = (half(view.columns), half(view.rows));
        let uv = Rect { min: pos2(u, v), max: pos2(1.0 - u, 1.0 - v) };
        painter.image(self.texture.id(), plane.rect_of([view.z1, view.z2]), uv, Color32::WHITE);
    }

    /// How far apart the points are that have been computed.
    pub fn spacing(&self) -> f64 {
        let view = self.values.view;
        (view.z1[1] - view.z1[0]) / (view.columns as f64 * f64::from(self.values.known).sqrt())
    }

    /// The part of the plane that it covers.
    pub fn extent(&self) -> [[f64; 2]; 2] {
        [self.values.view.z1, self.values.view.z2]
    }
}

fn image(values: &Values, scale: &Scale) -> ColorImage {
    let view = values.view;
    // A point that nobody has computed yet is not an undefined one.
    let colour = |&value: &f32| if value.is_nan() { Color32::TRANSPARENT } else { style::colour(scale.colour(value.into())) };
    let pixels = values.numbers.chunks(view.columns).rev().flatten().map(colour).collect();
    ColorImage::new([view.columns, view.rows], pixels)
}

/// The width that [`colour_bar`] takes with its labels.
pub const BAR: f32 = 72.0;

/// Where the colour bar of a map stands.
fn bar_beside(map: Rect) -> Rect {
    Rect::from_min_max(pos2(map.right() + 10.0, map.top()), pos2(map.right() + 22.0, map.bottom()))
}

/// Draws a mark across the colour bar of a map: the value up to which the measure is sure in a hole.
pub fn bar_mark(painter: &Painter, map: Rect, scale: &Scale, value: f64, colour: eframe::egui::Color32) {
    let (bar, [low, high]) = (bar_beside(map), scale.range);
    if (low..=high).contains(&value) {
        let y = bar.bottom() - ((value - low) / (high - low)) as f32 * bar.height();
        painter.hline(bar.left() - 4.0..=bar.right() + 4.0, y, Stroke::new(2.0, colour));
    }
}

/// Draws a colour bar with ticks and the measure's name to the right of a map.
pub fn colour_bar(ui: &Ui, painter: &Painter, map: Rect, scale: &Scale, label: &str, hovered: Option<f32>) {
    let bar = bar_beside(map);
    let (strong, weak) = (ui.visuals().text_color(), ui.visuals().weak_text_color());
    let [low, high] = scale.range;
    let mut mesh = eframe::egui::Mesh::default();
    let steps = 64;
    for step in 0..=steps {
        let share = step as f32 / steps as f32;
        let colour = style::colour(scale.colour(low + f64::from(share) * (high - low)));
        let y = bar.bottom() - share * bar.height();
        mesh.colored_vertex(pos2(bar.left(), y), colour);
        mesh.colored_vertex(pos2(bar.right(), y), colour);
        if step > 0 {
            let next = 2 * step as u32;
            mesh.add_triangle(next - 2, next - 1, next);
            mesh.add_triangle(next - 1, next + 1, next);
        }
    }
    painter.add(mesh);
    painter.rect_stroke(bar, 0.0, Stroke::new(1.0, weak), StrokeKind::Outside);
    let y_of = |value: f64| bar.bottom() - ((value - low) / (high - low)) as f32 * bar.height();
    let ticks = nice_ticks(scale.range, ((bar.height() / 40.0) as usize).clamp(2, 9));
    for (&at, label) in ticks.at.iter().zip(&ticks.labels) {
        painter.hline(bar.right()..=bar.right() + 3.0, y_of(at), Stroke::new(1.0, weak));
        painter.text(pos2(bar.right() + 5.0, y_of(at)), Align2::LEFT_CENTER, label, FontId::proportional(11.0), weak);
    }
    let galley = painter.layout_no_wrap(label.to_owned(), FontId::proportional(11.5), strong);
    let at = pos2(bar.right() + 30.0, bar.center().y + galley.size().x / 2.0);
    painter.add(eframe::egui::epaint::TextShape::new(at, galley, strong).with_angle(-std::f32::consts::FRAC_PI_2));
    if let Some(value) = hovered.filter(|value| value.is_finite()) {
        let y = y_of(f64::from(value).clamp(low, high));
        let tip = pos2(bar.left() - 1.0, y);
        painter.add(eframe::egui::Shape::convex_polygon(
            vec![tip, pos2(tip.x - 6.0, y - 4.0), pos2(tip.x - 6.0, y + 4.0)],
            strong,
            Stroke::NONE,
        ));
    }
}
