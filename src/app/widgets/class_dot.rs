//! A class's dot in its colour and shape, for legends and for the few points of a preview.

use crate::app::widgets::style;
use crate::figure::{DOT_OUTLINE, DotShape};
use eframe::egui::{Painter, Pos2, Shape, Stroke, vec2};

/// Draws the dot of a class; `opacity` from 0 to 1.
pub fn class_dot(painter: &Painter, class: usize, centre: Pos2, radius: f32, opacity: f32) {
    let fill = style::of_class(class).gamma_multiply(opacity);
    let stroke = Stroke::new(1.0, style::colour(DOT_OUTLINE).gamma_multiply(opacity));
    let corners: Vec<Pos2> = DotShape::of_class(class).corners().iter().map(|&[x, y]| centre + radius * vec2(x as f32, y as f32)).collect();
    if corners.is_empty() {
        painter.circle(centre, radius, fill, stroke);
    } else {
        painter.add(Shape::convex_polygon(corners, fill, stroke));
    }
}
