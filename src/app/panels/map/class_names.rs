//! The names of the classes at the centres of their encodings: they tell classes apart without colours.

use crate::app::widgets::plane::Plane;
use crate::latent::{Encodings, class_centres};
use eframe::egui::{Align2, Color32, FontId, Painter, vec2};

/// The centres of the classes, computed once for each set of encodings.
#[derive(Default)]
pub struct ClassNames {
    /// The address of the points that the centres belong to.
    of: usize,
    centres: Vec<Option<[f64; 2]>>,
}

impl ClassNames {
    /// Writes the names of the classes that are not hidden.
    pub fn draw(&mut self, painter: &Painter, plane: &Plane, encodings: &Encodings, hidden: &[usize]) {
        let of = encodings.points.as_ptr() as usize;
        if self.of != of {
            self.of = of;
            self.centres = class_centres(&encodings.points, &encodings.labels, encodings.classes.len());
        }
        for (class, centre) in self.centres.iter().enumerate().filter(|(class, _)| !hidden.contains(class)) {
            let Some(at) = centre.map(|z| plane.to_screen(z)).filter(|at| plane.rect.contains(*at)) else { continue };
            let galley = painter.layout_no_wrap(encodings.classes[class].clone(), FontId::proportional(16.0), Color32::WHITE);
            let corner = Align2::CENTER_CENTER.anchor_size(at, galley.size()).min;
            // White with a dark outline can be read on every colour map and over dots of every colour.
            for (x, y) in [(-1.5, 0.0), (1.5, 0.0), (0.0, -1.5), (0.0, 1.5), (-1.1, -1.1), (-1.1, 1.1), (1.1, -1.1), (1.1, 1.1)] {
                painter.galley_with_override_text_color(corner + vec2(x, y), galley.clone(), Color32::BLACK);
            }
            painter.galley(corner, galley, Color32::WHITE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eframe::egui::{Context, Pos2, RawInput, Rect, Shape, pos2};

    /// Each name and the middle of where it is written in white.
    fn written(hidden: &[usize]) -> Vec<(String, Pos2)> {
        let points = vec![[1.0, 1.0], [2.0, 2.0], [9.0, 9.0], [5.0, 5.0], [50.0, 5.0]];
        let classes = ["one", "two", "far", "none"].map(str::to_owned).to_vec();
        let encodings = Encodings::new(points, vec![0, 0, 0, 1, 2], classes).unwrap();
        let context = Context::default();
        let output = context.run_ui(RawInput::default(), |ui| {
            let plane = Plane { rect: Rect::from_min_size(pos2(0.0, 0.0), vec2(100.0, 100.0)), extent: [[0.0, 10.0], [0.0, 10.0]] };
            ClassNames::default().draw(ui.painter(), &plane, &encodings, hidden);
        });
        let texts = output.shapes.iter().filter_map(|clipped| match &clipped.shape {
            Shape::Text(text) if text.override_text_color.is_none() => {
                Some((text.galley.text().to_owned(), text.pos + text.galley.size() / 2.0))
            }
            _ => None,
        });
        let texts = texts.collect();
        output.drop_without_applying_deltas();
        texts
    }

    #[test]
    fn names_stand_at_the_medians_of_the_classes_in_view() {
        let names = written(&[]);
        assert_eq!(names.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
        // z = (2, 2) and (5, 5); z₂ grows upwards.
        for ((name, at), expected) in names.iter().zip([pos2(20.0, 80.0), pos2(50.0, 50.0)]) {
            assert!(at.distance(expected) < 1.0, "{name} stands at {at:?}");
        }
        assert_eq!(written(&[0]).len(), 1, "hidden classes have no name");
    }
}
