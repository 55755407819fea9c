//! The bar beside a map that says what its colours stand for.

use crate::app::state::session::Session;
use crate::app::widgets::style;
use crate::figure::{ColourMap, ColourRange, ManualRange, Scale, nice_ticks};
use crate::uncertainty::Measure;
use eframe::egui::{Align2, CursorIcon, FontId, Painter, Rect, Response, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2};

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

/// The smallest part of the range that is left when one frame of a drag moves an end towards the other.
const LEAST: f64 = 0.05;
/// What the pointer does on a bar.
const HINT: &str = "Drag an end of the colours. Double click: fit them to the map. Right click: colour map, range, copy.";

/// Makes the colour bar of a map a control: its ends can be dragged (each by its half of the bar), a double click fits the colours to
/// the map, and a menu has the colour map, the range and a copy of it. `of` is the map's measure, and whether it is a difference.
pub fn bar_control(ui: &Ui, map: Rect, scale: &Scale, session: &mut Session, of: (Measure, bool), place: usize) {
    let bar = bar_beside(map);
    let grip = bar.expand2(vec2(5.0, 0.0));
    let halves = [grip.with_min_y(grip.center().y), grip.with_max_y(grip.center().y)];
    let mut control: Option<Response> = None;
    for (end, (half, name)) in halves.into_iter().zip(["Lower", "Upper"]).enumerate() {
        let response = ui.interact(half, ui.scope_id().with(("colours", end)), Sense::click_and_drag());
        response.widget_info(|| WidgetInfo::slider(true, scale.range[end], format!("{name} end of the colours of map {}", place + 1)));
        if response.dragged() {
            let by = -f64::from(response.drag_delta().y / bar.height());
            set(session, of, dragged(scale.range, end, by, of.1));
        }
        if response.hovered() || response.dragged() || response.has_focus() {
            ui.ctx().set_cursor_icon(CursorIcon::ResizeVertical);
            let y = if end == 0 { bar.bottom() } else { bar.top() };
            ui.painter().hline(grip.x_range(), y, Stroke::new(3.0, style::ACCENT));
        }
        control = Some(control.map_or_else(|| response.clone(), |other| other | response.clone()));
    }
    let Some(control) = control else { return };
    if control.double_clicked() {
        fit(session, of);
    }
    control.on_hover_text(HINT).context_menu(|ui| menu(ui, scale, session, of));
}

/// The menu of the right mouse button.
fn menu(ui: &mut Ui, scale: &Scale, session: &mut Session, of: (Measure, bool)) {
    for colours in ColourMap::ALL {
        // A difference has its own colours, which part at 0.
        ui.add_enabled_ui(!of.1, |ui| ui.radio_value(&mut session.colours, colours, colours.label()));
    }
    ui.separator();
    if ui.button("Fit to the map").clicked() {
        fit(session, of);
    }
    if ui.button("All that the measure can be").clicked() {
        session.set_range(ColourRange::Natural);
    }
    let [low, high] = scale.range;
    if ui.button("Copy the range").clicked() {
        ui.copy_text(format!("{low}, {high}"));
    }
}

/// Fits the colours of a measure to its maps.
fn fit(session: &mut Session, (measure, is_difference): (Measure, bool)) {
    session.range = ColourRange::Data;
    session.manual_ranges.retain(|manual| (manual.measure, manual.is_difference) != (measure, is_difference));
}

/// Sets the range of a measure by hand.
fn set(session: &mut Session, (measure, is_difference): (Measure, bool), range: [f64; 2]) {
    let manual = ManualRange { measure, is_difference, range };
    if manual.is_valid() {
        session.manual_ranges.retain(|other| (other.measure, other.is_difference) != (measure, is_difference));
        session.manual_ranges.push(manual);
    }
}

/// A range with an end moved by a share of its length; differences stay even around 0, and no range becomes empty.
fn dragged(range: [f64; 2], end: usize, by: f64, is_difference: bool) -> [f64; 2] {
    let [low, high] = range;
    let length = high - low;
    let least = LEAST * length;
    match (is_difference, end) {
        (false, 0) => [(low + by * length).min(high - least), high],
        (false, _) => [low, (high + by * length).max(low + least)],
        (true, 0) => [(low + by * length).min(-least), (-low - by * length).max(least)],
        (true, _) => [(-high - by * length).min(-least), (high + by * length).max(least)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dragged_ends_keep_their_order_and_differences_their_middle() {
        assert_eq!(dragged([0.0, 2.0], 1, 0.25, false), [0.0, 2.5]);
        assert_eq!(dragged([0.0, 2.0], 0, 0.25, false), [0.5, 2.0]);
        assert_eq!(dragged([0.0, 2.0], 1, -3.0, false), [0.0, 0.1]);
        assert_eq!(dragged([0.0, 2.0], 0, 3.0, false), [1.9, 2.0]);
        assert_eq!(dragged([-1.0, 1.0], 1, 0.25, true), [-1.5, 1.5]);
        assert_eq!(dragged([-1.0, 1.0], 0, 0.25, true), [-0.5, 0.5]);
        assert_eq!(dragged([-1.0, 1.0], 0, 9.0, true), [-0.1, 0.1]);
    }
}
