//! Marks on a map: badges, the path of an attack, the pointer of another map, the cursor of a curve.

use crate::app::state::scope::Scope;
use crate::app::widgets::plane::Plane;
use crate::app::widgets::style;
use eframe::egui::{Align2, Color32, FontId, Painter, Pos2, Shape, Stroke, vec2};

/// A line that can be seen on light and dark: a dark one under a light one.
pub fn cased(painter: &Painter, points: [Pos2; 2], colour: Color32, width: f32) {
    painter.line_segment(points, Stroke::new(width + 2.0, Color32::from_black_alpha(160)));
    painter.line_segment(points, Stroke::new(width, colour));
}

/// A disc with a letter, for pins.
pub fn badge(painter: &Painter, at: Pos2, letter: &str, colour: Color32) {
    painter.circle(at, 8.0, colour, Stroke::new(1.5, Color32::BLACK));
    painter.text(at, Align2::CENTER_CENTER, letter, FontId::proportional(11.0), Color32::BLACK);
}

/// The way of an attack: from a ring over a dot for each step to a cross.
pub fn attack_path(painter: &Painter, plane: &Plane, path: &[[f64; 2]]) {
    let points: Vec<Pos2> = path.iter().map(|&z| plane.to_screen(z)).collect();
    for pair in points.windows(2) {
        cased(painter, [pair[0], pair[1]], style::ATTACK, 1.5);
    }
    for &at in &points {
        painter.circle(at, 2.2, style::ATTACK, Stroke::new(0.8, Color32::BLACK));
    }
    if let [first, .., last] = points.as_slice() {
        painter.add(Shape::circle_stroke(*first, 6.0, Stroke::new(4.0, Color32::BLACK)));
        painter.add(Shape::circle_stroke(*first, 6.0, Stroke::new(2.0, style::ATTACK)));
        for arm in [vec2(5.0, 5.0), vec2(5.0, -5.0)] {
            cased(painter, [*last - arm, *last + arm], style::ATTACK, 2.0);
        }
    }
}

/// The pointer of another map, and the cursor of a curve.
pub fn show(painter: &Painter, plane: &Plane, scope: &Scope, place: usize) {
    if let Some(z) = scope.pointer.cursor.filter(|_| scope.pointer.map != Some(place)) {
        let at = plane.to_screen(z);
        for (x, y) in [(7.0, 0.0), (0.0, 7.0)] {
            cased(painter, [at - vec2(x, y), at + vec2(x, y)], Color32::WHITE, 1.0);
        }
    }
    if let Some(z) = scope.pointer.mark {
        let at = plane.to_screen(z);
        painter.add(Shape::circle_stroke(at, 7.0, Stroke::new(3.5, Color32::BLACK)));
        painter.add(Shape::circle_stroke(at, 7.0, Stroke::new(1.5, Color32::WHITE)));
    }
}
