//! What lies over the maps and must be computed: the grid of decoded images.

use super::plane::Plane;
use crate::app::images::{Texture, pixels};
use crate::app::scope::Scope;
use crate::engine::Engine as _;
use crate::error::Result;
use crate::jobs::{SharedEngine, Wake, Worker};
use crate::latent::View;
use eframe::egui::{Color32, ColorImage, Context, Painter};
use std::sync::Arc;

/// Decoded images along each axis.
const DIGITS: usize = 20;

/// What is computed for the overlays.
pub struct Layers {
    digits: Worker<(Arc<SharedEngine>, View), (View, Vec<f32>)>,
    asked: Option<View>,
    shown: Option<View>,
    texture: Texture,
}

impl Layers {
    /// Starts the workers.
    pub fn new(wake: &Wake) -> Result<Self> {
        let digits = Worker::spawn("decoded grid", Arc::clone(wake), |(engine, view): (Arc<SharedEngine>, View), desk| {
            let images = engine.foreground().decode(view.points().as_flattened())?;
            desk.publish((view, images));
            Ok(())
        })?;
        Ok(Self { digits, asked: None, shown: None, texture: Texture::default() })
    }

    /// Takes what has come, and asks for what is to be shown now.
    pub fn logic(&mut self, ctx: &Context, scope: &Scope) {
        if let Some((view, images)) = self.digits.take() {
            let shape = scope.set.vae.image_shape();
            self.texture.set(ctx, "decoded grid", mosaic([shape[0], shape[1], shape[2]], view.columns, &images));
            self.shown = Some(view);
        }
        if !scope.session.overlays.digits {
            self.shown = None;
            self.asked = None;
            return;
        }
        let half = scope.session.width / DIGITS as f64 / 2.0;
        let inner = scope.session.extent().map(|[first, last]| [first + half, last - half]);
        if let Ok(view) = View::new(inner[0], inner[1], DIGITS, DIGITS)
            && self.asked != Some(view)
        {
            self.digits.request((Arc::clone(&scope.engine), view));
            self.asked = Some(view);
        }
    }

    /// What lies under the encodings.
    pub fn under(&self, painter: &Painter, plane: &Plane, _scope: &Scope) {
        let (Some(view), Some(texture)) = (self.shown, self.texture.handle()) else { return };
        let half = |[first, last]: [f64; 2]| (last - first) / (DIGITS - 1) as f64 / 2.0;
        let whole = [view.z1, view.z2].map(|range| [range[0] - half(range), range[1] + half(range)]);
        painter.image(texture.id(), plane.rect_of(whole), super::dots::WHOLE, Color32::WHITE);
    }

    /// What lies over the encodings.
    pub fn over(&self, _painter: &Painter, _plane: &Plane, _scope: &Scope, _place: usize) {}
}

/// Images side by side, those of the highest z₂ first. Ink is opaque and paper is clear, so that the map shows through.
fn mosaic(shape: [usize; 3], columns: usize, images: &[f32]) -> ColorImage {
    let [_, height, width] = shape;
    let length = shape.iter().product::<usize>();
    let rows = images.len() / length / columns;
    let mut whole = ColorImage::new([columns * width, rows * height], vec![Color32::TRANSPARENT; columns * width * rows * height]);
    for (number, image) in images.chunks(length).enumerate() {
        let (left, top) = (number % columns * width, (rows - 1 - number / columns) * height);
        for (at, colour) in pixels(shape, image).pixels.into_iter().enumerate() {
            let ink = colour.r().max(colour.g()).max(colour.b());
            let clear = Color32::from_rgba_unmultiplied(colour.r(), colour.g(), colour.b(), ink);
            whole.pixels[(top + at / width) * columns * width + left + at % width] = clear;
        }
    }
    whole
}
