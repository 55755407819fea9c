//! A model under training on the maps: where a VAE puts the data, or how uncertain a classifier is, as it now stands.

use crate::app::panels::map::dots::WHOLE;
use crate::app::state::scope::Scope;
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

/// Which model is shown, and when.
pub fn model(frame: &Frame) -> String {
    format!("training preview: {}, epoch {}", frame.model, frame.epoch)
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
        let text = model(frame);
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
