//! What lies over the maps and must be computed: the grid of decoded images, contours of the density, outlines of holes, class names.

use crate::app::panels::map::class_names::ClassNames;
use crate::app::state::scope::Scope;
use crate::app::state::session::MOST_IMAGES;
use crate::app::widgets::images::Texture;
use crate::app::widgets::plane::Plane;
use crate::engine::Engine as _;
use crate::error::Result;
use crate::figure::ImageGrid;
use crate::jobs::{SharedEngine, Task, Wake, Worker};
use crate::latent::{Surroundings, View, contours};
use eframe::egui::{Color32, ColorImage, Context, FontId, Painter, Pos2, Rect, Shape, Stroke, StrokeKind, vec2};
use std::sync::Arc;

/// The shares of the training encodings that the contours of the density hold.
const SHARES: [f64; 4] = [0.25, 0.5, 0.9, 0.99];
/// Points along each axis of the density under its contours.
const FINE: usize = 200;

/// The colour of the holes: no colour map holds it.
const OUTLINE: Color32 = Color32::from_rgb(0xff, 0x5a, 0xd2);
/// The first holes bear their numbers.
pub const NUMBERED: usize = 12;

/// The smallest width of a decoded image, in points of the screen.
const IMAGE_WIDTH: f32 = 32.0;

/// Polylines on the latent plane.
pub type Polylines = Vec<Vec<[f64; 2]>>;

/// What is computed for the overlays.
pub struct Layers {
    density: Worker<(Arc<Surroundings>, View), Vec<Polylines>>,
    contours_of: Option<(usize, View)>,
    contours: Vec<Polylines>,
    digits: Worker<(Arc<SharedEngine>, View), (View, Vec<f32>)>,
    asked: Option<View>,
    /// The part of the plane that the images cover.
    shown: Option<[[f64; 2]; 2]>,
    texture: Texture,
    /// The width of the narrowest map that has been drawn in this frame, in points; infinite before the first.
    narrowest: f32,
    names: ClassNames,
}

impl Layers {
    /// Starts the workers.
    pub fn new(wake: &Wake) -> Result<Self> {
        let digits = Worker::spawn("decoded grid", Arc::clone(wake), |(engine, view): (Arc<SharedEngine>, View), desk| {
            let images = engine.foreground().until(desk.stop()).decode(view.points().as_flattened())?;
            desk.publish((view, images));
            Ok(())
        })?;
        let density = Worker::spawn("density", Arc::clone(wake), |(surroundings, view): (Arc<Surroundings>, View), desk| {
            desk.publish(density_contours(&surroundings, &view));
            Ok(())
        })?;
        Ok(Self {
            density,
            contours_of: None,
            contours: Vec::new(),
            digits,
            asked: None,
            shown: None,
            texture: Texture::default(),
            narrowest: f32::INFINITY,
            names: ClassNames::default(),
        })
    }

    /// Takes what has come, and asks for what is to be shown now.
    pub fn logic(&mut self, ctx: &Context, scope: &Scope) {
        if let Some((view, pixels)) = self.digits.take() {
            let images = ImageGrid { view, shape: scope.image_shape(), pixels };
            self.texture.set(ctx, "decoded grid", mosaic(&images));
            self.shown = Some(images.extent());
        }
        self.ask_for_contours(scope);
        if !scope.session.overlays.digits {
            self.shown = None;
            self.asked = None;
            return;
        }
        if let Ok(view) = scope.session.image_grid(scope.results.images_per_axis)
            && self.asked != Some(view)
        {
            self.digits.request((Arc::clone(&scope.engine), view));
            self.asked = Some(view);
        }
    }

    fn ask_for_contours(&mut self, scope: &Scope) {
        if let Some(contours) = self.density.take() {
            self.contours = contours;
        }
        if scope.session.overlays.density
            && let Some(surroundings) = &scope.surroundings
            && let Ok(view) = density_view(scope.session.extent())
        {
            let key = Some((Arc::as_ptr(surroundings) as usize, view));
            if self.contours_of != key {
                self.contours_of = key;
                self.density.request((Arc::clone(surroundings), view));
            }
        }
    }

    /// The workers of the density and of the decoded images.
    pub fn tasks(&self) -> [&dyn Task; 2] {
        [&self.density, &self.digits]
    }

    /// After the maps have been drawn: as many decoded images as fit into the narrowest. The number follows the size on the screen, not the
    /// view, so that it stays while the view moves.
    pub fn fit_images(&mut self, ctx: &Context, scope: &mut Scope) {
        let narrowest = std::mem::replace(&mut self.narrowest, f32::INFINITY);
        let fitting = images_per_axis(narrowest);
        if narrowest.is_finite() && scope.results.images_per_axis != fitting {
            scope.results.images_per_axis = fitting;
            ctx.request_repaint();
        }
    }

    /// What lies under the encodings.
    pub fn under(&mut self, painter: &Painter, plane: &Plane) {
        self.narrowest = self.narrowest.min(plane.rect.width());
        let (Some(whole), Some(texture)) = (self.shown, self.texture.handle()) else { return };
        painter.image(texture.id(), plane.rect_of(whole), crate::app::panels::map::dots::WHOLE, Color32::WHITE);
    }

    /// What lies over the encodings.
    pub fn over(&mut self, painter: &Painter, plane: &Plane, scope: &Scope, place: usize) {
        if scope.session.overlays.encodings
            && let Some(encodings) = &scope.set.encodings
        {
            self.names.draw(painter, plane, &encodings.train, &scope.session.overlays.hidden);
        }
        let draw = |polyline: &[[f64; 2]], colour: Color32, width: f32| {
            let points: Vec<Pos2> = polyline.iter().map(|&z| plane.to_screen(z)).collect();
            painter.add(Shape::line(points.clone(), Stroke::new(width + 1.5, Color32::from_black_alpha(130))));
            painter.add(Shape::line(points, Stroke::new(width, colour)));
        };
        if scope.session.overlays.density {
            for (contours, share) in self.contours.iter().zip(SHARES) {
                let strength = (255.0 * (1.2 - share)).clamp(90.0, 255.0) as u8;
                for contour in contours {
                    draw(contour, Color32::from_white_alpha(strength), 1.0);
                }
            }
        }
        if scope.session.overlays.holes
            && let Some(holes) = scope.results.holes.get(place)
        {
            for outline in &holes.outlines {
                draw(outline, OUTLINE, 1.6);
            }
            for (number, hole) in holes.list.iter().take(NUMBERED).enumerate() {
                if plane.rect.contains(plane.to_screen(hole.region.peak)) {
                    plate(painter, plane.to_screen(hole.region.peak), holes.label(number));
                }
            }
        }
    }
}

/// A number on a dark plate, which can be read over any colours and over encodings.
fn plate(painter: &Painter, at: Pos2, text: String) {
    let galley = painter.layout_no_wrap(text, FontId::proportional(13.0), Color32::WHITE);
    let around = Rect::from_center_size(at, galley.size() + vec2(7.0, 1.0));
    painter.rect(around, 7.0, Color32::from_black_alpha(215), Stroke::new(1.2, OUTLINE), StrokeKind::Outside);
    painter.galley(at - galley.size() / 2.0, galley, Color32::WHITE);
}

/// The contours of the encodings' density over a part of the plane: those of each share, the smallest first.
pub fn density_contours(surroundings: &Surroundings, view: &View) -> Vec<Polylines> {
    let density = surroundings.density.grid(view);
    SHARES.map(|share| contours(view, &density, surroundings.density.covering(share))).to_vec()
}

/// Where the density is looked at for the contours over a part of the plane, [z₁, z₂].
///
/// # Errors
/// As [`View::new`].
pub fn density_view([z1, z2]: [[f64; 2]; 2]) -> Result<View> {
    View::new(z1, z2, FINE, FINE)
}

/// Decoded images along each axis of a map of a width in points.
fn images_per_axis(width: f32) -> usize {
    ((width / IMAGE_WIDTH) as usize).clamp(2, MOST_IMAGES)
}

/// Images side by side as pixels.
fn mosaic(images: &ImageGrid) -> ColorImage {
    let size = [images.view.columns * images.shape[2], images.view.rows * images.shape[1]];
    let pixels = images.ink().into_iter().map(|[red, green, blue, ink]| Color32::from_rgba_unmultiplied(red, green, blue, ink));
    ColorImage::new(size, pixels.collect())
}
