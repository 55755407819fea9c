//! The interpolation line on a map, with a ring at its start and an arrow head at its end.

use crate::app::panels::map::gestures::{HANDLE, arrows};
use crate::app::panels::map::marks::cased;
use crate::app::state::scope::Scope;
use crate::app::state::session::{END_NAMES, Pin};
use crate::app::widgets::plane::{Plane, map_id};
use crate::app::widgets::style;
use eframe::egui::{Color32, CursorIcon, Painter, Pos2, Rect, Role, Sense, Shape, Stroke, Ui, Vec2, WidgetInfo, vec2};

/// The part of the view by which an arrow key moves an end.
const STEP: f64 = 1.0 / 50.0;

/// Draws the line, and moves its ends by pointer and arrow keys.
pub fn show(ui: &Ui, painter: &Painter, plane: &Plane, scope: &mut Scope, place: usize) {
    for end in 0..2 {
        handle(ui, painter, plane, scope, place, end);
    }
    let [start, end] = scope.session.line.ends.map(|end| plane.to_screen(end));
    cased(painter, [start, end], Color32::WHITE, 1.5);
    if let Some(geodesic) = &scope.results.geodesic {
        for pair in geodesic.windows(2) {
            cased(painter, [plane.to_screen(pair[0]), plane.to_screen(pair[1])], Color32::from_rgb(0xff, 0xd1, 0x66), 1.2);
        }
    }
    painter.circle_stroke(start, 5.0, Stroke::new(4.0, Color32::from_black_alpha(200)));
    painter.circle_stroke(start, 5.0, Stroke::new(2.0, Color32::WHITE));
    arrow_head(painter, end, end - start);
}

/// What can be taken hold of at an end of the line.
fn handle(ui: &Ui, painter: &Painter, plane: &Plane, scope: &mut Scope, place: usize, end: usize) {
    let at = plane.to_screen(scope.session.line.ends[end]);
    if !plane.rect.contains(at) {
        return;
    }
    let handle = ui.interact(Rect::from_center_size(at, Vec2::splat(2.0 * HANDLE)), map_id(place).with(("end", end)), Sense::drag());
    handle.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("The line's {} on map {}", END_NAMES[end], place + 1)));
    if handle.dragged()
        && let Some(pointer) = handle.interact_pointer_pos()
    {
        let at = pointer.clamp(plane.rect.min, plane.rect.max);
        let (z, image) = pin_at(plane, scope, at).unwrap_or_else(|| (plane.to_latent(at), None));
        scope.session.line.ends[end] = z;
        scope.session.line.images[end] = image;
    }
    if handle.has_focus() {
        let by = arrows(ui, handle.id);
        if by != [0.0; 2] {
            let step = scope.session.width * STEP;
            for (z, by) in scope.session.line.ends[end].iter_mut().zip(by) {
                *z += by * step;
            }
            scope.session.line.images[end] = None;
        }
        painter.circle_stroke(plane.to_screen(scope.session.line.ends[end]), HANDLE, Stroke::new(2.0, style::ACCENT));
    }
    if handle.hovered() || handle.dragged() {
        ui.ctx().set_cursor_icon(CursorIcon::Grab);
    }
}

/// The pin to which an end snaps there: its latent point, and its number in the data if it is one of their images.
fn pin_at(plane: &Plane, scope: &Scope, at: Pos2) -> Option<([f64; 2], Option<usize>)> {
    let pins = scope.results.pinned.iter().zip(&scope.session.pins);
    let mut near = pins.filter_map(|(z, pin)| Some(((*z)?, pin))).filter(|(z, _)| plane.to_screen(*z).distance(at) <= HANDLE);
    near.next().map(|(z, pin)| (z, if let Some(Pin::Data(number)) = pin { Some(*number) } else { None }))
}

/// An arrow head with its tip at a point.
fn arrow_head(painter: &Painter, tip: Pos2, along: Vec2) {
    let along = if along.length() > 0.0 { along.normalized() } else { vec2(1.0, 0.0) };
    let (back, side) = (tip - 13.0 * along, 6.0 * along.rot90());
    painter.add(Shape::convex_polygon(vec![tip, back + side, back - side], Color32::WHITE, Stroke::new(1.5, Color32::BLACK)));
}
