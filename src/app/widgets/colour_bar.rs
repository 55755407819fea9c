//! The bar beside a map that says what its colours stand for.

use crate::app::widgets::style;
use crate::figure::{Scale, nice_ticks};
use eframe::egui::{Align2, FontId, Painter, Rect, Stroke, StrokeKind, Ui, pos2};

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
        painter.text(pos2(bar.right() + 5.0, y_of(at)), Align2::LEFT_CENTER, style::tick(label), FontId::proportional(11.0), weak);
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
