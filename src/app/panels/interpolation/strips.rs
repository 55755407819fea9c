//! Strips of images above the curves, each image over its point.

use crate::app::widgets::images::{Texture, part_of_row, row};
use crate::jobs::{Interpolation, Path};
use eframe::egui::{Align2, Color32, Context, FontId, Rect, Ui, Vec2, pos2};

/// Share of the height that all strips have together above the curves.
const SHARE: f32 = 0.45;
/// The tallest strip in points: more leaves room for few images side by side.
const TALLEST: f32 = 140.0;

/// The images of each path, side by side in a texture each.
#[derive(Default)]
pub struct Strips {
    paths: Vec<Path>,
    textures: Vec<Texture>,
}

impl Strips {
    /// Takes the images of an interpolation.
    pub fn set(&mut self, ctx: &Context, shape: [usize; 3], interpolation: &Interpolation) {
        self.paths = interpolation.curves.iter().map(|curve| curve.path).collect();
        self.textures.resize_with(self.paths.len(), Texture::default);
        for (curve, texture) in interpolation.curves.iter().zip(&mut self.textures) {
            texture.set(ctx, curve.path.key(), row(shape, &curve.images));
        }
    }

    /// How much of an area the strips take.
    pub fn height(&self, area: Vec2) -> f32 {
        let count = self.paths.len().max(1) as f32;
        (TALLEST * count).min(area.y * SHARE)
    }

    /// Draws the strips; `x_of` says where a position from 0 to 1 is. Images that would overlap are left out.
    pub fn draw(&self, ui: &Ui, area: Rect, x_of: &dyn Fn(f64) -> f32, steps: usize) {
        let height = area.height() / self.paths.len().max(1) as f32;
        let spacing = x_of(1.0 / (steps - 1) as f64) - x_of(0.0);
        let side = (height - 3.0).max(1.0);
        let stride = ((side + 1.0) / spacing.max(0.1)).ceil().max(1.0) as usize;
        for (row, (path, texture)) in self.paths.iter().zip(&self.textures).enumerate() {
            let top = area.top() + row as f32 * height;
            let painter = ui.painter();
            painter.text(
                pos2(area.left(), top + side / 2.0),
                Align2::LEFT_CENTER,
                path.label(),
                FontId::proportional(11.0),
                ui.visuals().weak_text_color(),
            );
            let Some(texture) = texture.handle() else { continue };
            // The last image is always there: what is left out lies between.
            for step in (0..steps).step_by(stride).filter(|step| step + stride < steps).chain([steps - 1]) {
                let x = x_of(step as f64 / (steps - 1) as f64);
                let rect = Rect::from_min_max(pos2(x - side / 2.0, top), pos2(x + side / 2.0, top + side));
                painter.image(texture.id(), rect, part_of_row(step, steps), Color32::WHITE);
            }
        }
    }
}
