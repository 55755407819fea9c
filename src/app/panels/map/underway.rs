//! A model under training on the maps: where a VAE puts the data, or how uncertain a classifier is, as it now stands.

use crate::app::panels::map::dots::WHOLE;
use crate::app::state::scope::Scope;
use crate::app::state::values::point_of;
use crate::app::widgets::class_dot::class_dot;
use crate::app::widgets::images::Texture;
use crate::app::widgets::plane::Plane;
use crate::app::widgets::style;
use crate::figure::{Scale, Scaled, range_of};
use crate::jobs::training::{Frame, Look};
use crate::latent::View;
use crate::uncertainty::Measure;
use eframe::egui::{Align2, Color32, ColorImage, Context, FontId, Painter, vec2};
use std::sync::Arc;

/// The measure that a map shows of a model under training, where it shows one: previews hold two.
pub fn measure_of(frame: &Frame, measure: Measure) -> Option<Measure> {
    match frame.look {
        Look::Map { .. } if measure == Measure::PredictiveEntropy => Some(measure),
        Look::Map { .. } => Some(Measure::MutualInformation),
        Look::Plane { .. } | Look::Nothing => None,
    }
}

/// What a map of that measure shows instead.
pub fn caption(frame: &Frame, measure: Measure) -> String {
    let what = measure_of(frame, measure).map_or("Encodings of test images", Measure::label);
    format!("{what}, {}", model(frame))
}

/// Which model is shown, when, and on which grid: a preview is of one network.
pub fn model(frame: &Frame) -> String {
    let grid = if let Look::Map { view, .. } = &frame.look { format!(", {} × {} points", view.columns, view.rows) } else { String::new() };
    format!("training preview: {}, epoch {}{grid}", frame.model, frame.epoch)
}

/// The value that a map of that measure shows at a latent point, with the measure that it is of.
pub fn value_at(frame: &Frame, measure: Measure, z: [f64; 2]) -> Option<(Measure, f64)> {
    let Look::Map { view, mutual_information, predictive_entropy } = &frame.look else { return None };
    let measure = measure_of(frame, measure)?;
    let values = if measure == Measure::PredictiveEntropy { predictive_entropy } else { mutual_information };
    Some((measure, f64::from(values[point_of(view, z)?])))
}

/// The picture of one map, painted anew where frame, measure or colours are others.
#[derive(Default)]
pub struct Underway {
    texture: Texture,
    painted: Option<(Arc<Frame>, Scale)>,
}

impl Underway {
    /// Draws the frame instead of a map of that measure; answers the scale of its colours and what they show, where there are any.
    pub fn draw(
        &mut self,
        ctx: &Context,
        painter: &Painter,
        plane: &Plane,
        scope: &Scope,
        frame: &Arc<Frame>,
        measure: Measure,
    ) -> Option<(Scale, Measure)> {
        let shown = match &frame.look {
            Look::Map { view, mutual_information, predictive_entropy } => {
                let measure = measure_of(frame, measure).unwrap_or(Measure::MutualInformation);
                let values = if measure == Measure::PredictiveEntropy { predictive_entropy } else { mutual_information };
                let scaled = Scaled { measure, is_difference: false, range: range_of(values) };
                let scale = Scale::new(&[scaled], 0, scope.classes().len(), scope.session.colours, scope.session.range);
                self.heat_map(ctx, painter, plane, frame, *view, values, &scale);
                Some((scale, measure))
            }
            Look::Plane { points, labels, .. } => {
                let hidden = &scope.session.overlays.hidden;
                for (point, &label) in points.iter().zip(labels).filter(|(_, label)| !hidden.contains(&usize::from(**label))) {
                    class_dot(painter, label.into(), plane.to_screen(point.map(f64::from)), 2.2, 1.0);
                }
                None
            }
            Look::Nothing => None,
        };
        let text = caption(frame, measure);
        let at = plane.rect.left_top() + vec2(8.0, 6.0);
        let galley = painter.layout_no_wrap(text, FontId::proportional(12.0), Color32::WHITE);
        painter.rect_filled(Align2::LEFT_TOP.anchor_size(at, galley.size()).expand(3.0), 3.0, Color32::from_black_alpha(170));
        painter.galley(at, galley, Color32::WHITE);
        shown
    }

    #[allow(clippy::too_many_arguments, reason = "a picture is its values, their place and their colours")]
    fn heat_map(&mut self, ctx: &Context, painter: &Painter, plane: &Plane, frame: &Arc<Frame>, view: View, values: &[f32], scale: &Scale) {
        if self.painted.as_ref().is_none_or(|(of, colours)| !Arc::ptr_eq(of, frame) || colours != scale) {
            let pixels = values.chunks(view.columns).rev().flatten().map(|&value| style::colour(scale.colour(value.into())));
            self.texture.set(ctx, "model under way", ColorImage::new([view.columns, view.rows], pixels.collect()));
            self.painted = Some((Arc::clone(frame), scale.clone()));
        }
        // Each value fills the cell around its point.
        let half = |[first, last]: [f64; 2], count: usize| (last - first) / (count - 1).max(1) as f64 / 2.0;
        let grown = |range: [f64; 2], count: usize| [range[0] - half(range, count), range[1] + half(range, count)];
        if let Some(texture) = self.texture.handle() {
            let rect = plane.rect_of([grown(view.z1, view.columns), grown(view.z2, view.rows)]);
            painter.image(texture.id(), rect, WHOLE, Color32::WHITE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_says_what_it_shows_and_answers_with_its_own_values() {
        let view = View::new([-1.0, 1.0], [-1.0, 1.0], 2, 2).unwrap();
        let look = Look::Map { view, mutual_information: vec![0.1, 0.2, 0.3, 0.4], predictive_entropy: vec![1.0, 2.0, 3.0, 4.0] };
        let frame = Frame { model: "small".to_owned(), epoch: 3, step: 9, loss: 1.0, test: None, look };
        let said = "Mutual information, training preview: small, epoch 3, 2 × 2 points";
        assert_eq!(caption(&frame, Measure::VariationRatio), said, "a preview has two measures");
        assert_eq!(value_at(&frame, Measure::PredictiveEntropy, [0.9, -0.9]), Some((Measure::PredictiveEntropy, 2.0)));
        let (measure, value) = value_at(&frame, Measure::MaximumProbability, [-0.9, 0.9]).unwrap();
        assert!(measure == Measure::MutualInformation && (value - 0.3).abs() < 1e-6);
        assert_eq!(value_at(&frame, Measure::PredictiveEntropy, [5.0, 0.0]), None, "outside its view");
        let plane =
            Look::Plane { points: Vec::new(), labels: Vec::new(), originals: Vec::new(), reconstructions: Vec::new(), shape: [1; 3] };
        let frame = Frame { look: plane, ..frame };
        assert!(value_at(&frame, Measure::PredictiveEntropy, [0.0; 2]).is_none());
        assert_eq!(caption(&frame, Measure::PredictiveEntropy), "Encodings of test images, training preview: small, epoch 3");
    }
}
