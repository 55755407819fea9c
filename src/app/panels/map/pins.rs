//! The pins on a map: a badge beside the point, so that the point and what lies on it stay visible.

use crate::app::panels::map::marks::{badge, cased};
use crate::app::panels::map::menu;
use crate::app::state::scope::Scope;
use crate::app::state::session::PIN_NAMES;
use crate::app::widgets::plane::{Plane, map_id};
use crate::app::widgets::style;
use eframe::egui::{Color32, Painter, Pos2, Rect, Role, Sense, Stroke, Ui, Vec2, WidgetInfo, vec2};

/// How far a badge is from its point: a hole's number, which may stand there, is 17 points high.
const LIFT: f32 = 21.0;
/// The diameter of a badge.
const BADGE: f32 = 17.0;

/// Draws the pins of a map.
pub fn show(ui: &Ui, painter: &Painter, plane: &Plane, scope: &mut Scope, place: usize) {
    for (which, z) in scope.results.pinned.into_iter().enumerate() {
        let Some(z) = z else { continue };
        let (at, centre) = (plane.to_screen(z), badge_at(plane, z));
        cased(painter, [at, centre], style::PINS[which], 1.5);
        painter.circle(at, 2.5, style::PINS[which], Stroke::new(1.0, Color32::BLACK));
        badge(painter, centre, PIN_NAMES[which], style::PINS[which]);
        if plane.rect.contains(centre) {
            let rect = Rect::from_center_size(centre, Vec2::splat(BADGE));
            let response = ui.interact(rect, map_id(place).with(("pin", which)), Sense::click());
            response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Pin {} on map {}", PIN_NAMES[which], place + 1)));
            menu::pin(&response, scope, which, z);
        }
    }
}

/// Where the badge of a pin stands: above its point, or below it at the upper border of the map.
fn badge_at(plane: &Plane, z: [f64; 2]) -> Pos2 {
    let at = plane.to_screen(z);
    let is_high = at.y - LIFT - BADGE / 2.0 < plane.rect.top();
    at + vec2(0.0, if is_high { LIFT } else { -LIFT })
}
