//! From the latent plane to the screen and back, and the axes around a map.

use crate::app::widgets::style::tick;
use crate::figure::nice_ticks;
use eframe::egui::{Align2, FontId, Id, Painter, Pos2, Rect, Stroke, Ui, pos2, vec2};

/// Where a part of the latent plane lies on the screen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plane {
    /// The map without its axes.
    pub rect: Rect,
    /// \[z₁, z₂\], each from the first to the last.
    pub extent: [[f64; 2]; 2],
}

impl Plane {
    /// Where a latent point lies.
    pub fn to_screen(self, [z1, z2]: [f64; 2]) -> Pos2 {
        let share = |z: f64, [first, last]: [f64; 2]| ((z - first) / (last - first)) as f32;
        let Rect { min, max } = self.rect;
        pos2(min.x + share(z1, self.extent[0]) * (max.x - min.x), max.y - share(z2, self.extent[1]) * (max.y - min.y))
    }

    /// Which latent point lies there.
    pub fn to_latent(self, at: Pos2) -> [f64; 2] {
        let Rect { min, max } = self.rect;
        let z = |share: f32, [first, last]: [f64; 2]| first + f64::from(share) * (last - first);
        [z((at.x - min.x) / (max.x - min.x), self.extent[0]), z((max.y - at.y) / (max.y - min.y), self.extent[1])]
    }

    /// The screen's rectangle of a part of the plane.
    pub fn rect_of(self, [z1, z2]: [[f64; 2]; 2]) -> Rect {
        Rect::from_two_pos(self.to_screen([z1[0], z2[0]]), self.to_screen([z1[1], z2[1]]))
    }

    /// How far a movement on the screen goes on the plane.
    pub fn moved(self, by: eframe::egui::Vec2) -> [f64; 2] {
        let width = |[first, last]: [f64; 2]| last - first;
        [f64::from(by.x / self.rect.width()) * width(self.extent[0]), -f64::from(by.y / self.rect.height()) * width(self.extent[1])]
    }
}

/// The identity of a map by its place, by which its focus is found.
pub fn map_id(place: usize) -> Id {
    Id::unique(("map", place))
}

/// How much room the axes take to the left of a map and below it.
pub const AXES: eframe::egui::Vec2 = vec2(38.0, 30.0);

/// Draws frame, ticks and labels around a map.
pub fn axes(ui: &Ui, painter: &Painter, plane: &Plane) {
    let (strong, weak) = (ui.visuals().text_color(), ui.visuals().weak_text_color());
    let font = FontId::proportional(11.0);
    let stroke = Stroke::new(1.0, weak);
    let rect = plane.rect;
    painter.rect_stroke(rect, 0.0, stroke, eframe::egui::StrokeKind::Outside);
    let most = ((rect.width() / 60.0) as usize).clamp(3, 9);
    let [z1, z2] = plane.extent.map(|range| nice_ticks(range, most));
    for (&at, label) in z1.at.iter().zip(&z1.labels) {
        let x = plane.to_screen([at, 0.0]).x;
        painter.vline(x, rect.bottom()..=rect.bottom() + 4.0, stroke);
        painter.text(pos2(x, rect.bottom() + 5.0), Align2::CENTER_TOP, tick(label), font.clone(), weak);
    }
    for (&at, label) in z2.at.iter().zip(&z2.labels) {
        let y = plane.to_screen([0.0, at]).y;
        painter.hline(rect.left() - 4.0..=rect.left(), y, stroke);
        painter.text(pos2(rect.left() - 6.0, y), Align2::RIGHT_CENTER, tick(label), font.clone(), weak);
    }
    // Names stand where no tick label can be: in the corner between the axes, and at the far ends.
    painter.text(pos2(rect.right(), rect.bottom() + 17.0), Align2::RIGHT_TOP, "z₁", font.clone(), strong);
    painter.text(pos2(rect.left() - 26.0, rect.top()), Align2::RIGHT_TOP, "z₂", font, strong);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn screen_and_plane_lead_into_each_other_and_z2_grows_upwards() {
        let plane = Plane { rect: Rect::from_min_size(pos2(100.0, 50.0), vec2(400.0, 200.0)), extent: [[-4.0, 4.0], [1.0, 2.0]] };
        assert_eq!(plane.to_screen([-4.0, 1.0]), pos2(100.0, 250.0));
        assert_eq!(plane.to_screen([0.0, 2.0]), pos2(300.0, 50.0));
        let z = plane.to_latent(pos2(200.0, 100.0));
        assert_eq!(z, [-2.0, 1.75]);
        assert_eq!(plane.moved(vec2(50.0, -20.0)), [1.0, f64::from(0.1_f32)]);
    }
}
