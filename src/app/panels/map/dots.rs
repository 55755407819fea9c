//! Tens of thousands of encodings as one picture: each a small dot, painted pixel by pixel where the view is.

use crate::app::widgets::plane::Plane;
use crate::app::widgets::style;
use crate::latent::Encodings;
use crate::random::{Purpose, Stream};
use eframe::egui::{Color32, ColorImage, Context, Rect, TextureHandle, TextureOptions, Vec2};

/// What the picture was painted for.
#[derive(Clone, PartialEq)]
struct Key {
    extent: [[f64; 2]; 2],
    size: [usize; 2],
    hidden: Vec<usize>,
    of: usize,
}

/// The picture, and what it was painted for.
#[derive(Default)]
pub struct Dots {
    painted: Option<(Key, TextureHandle)>,
    /// A random order of the encodings, so that no class lies on top of the others for its number.
    order: Vec<usize>,
}

impl Dots {
    /// The picture of the encodings for a plane; painted anew where anything has changed.
    pub fn texture(&mut self, ctx: &Context, encodings: &Encodings, plane: &Plane, hidden: &[usize]) -> &TextureHandle {
        let pixels: Vec2 = plane.rect.size() * ctx.pixels_per_point();
        let most = ctx.input(|input| input.max_texture_side).min(4096);
        let size = [pixels.x, pixels.y].map(|side| (side.round().max(1.0) as usize).min(most));
        let key = Key { extent: plane.extent, size, hidden: hidden.to_vec(), of: encodings.points.as_ptr() as usize };
        if self.order.len() != encodings.points.len() {
            self.order = Stream::new(0, Purpose::Choice).permutation([0; 3], encodings.points.len());
        }
        let (order, old) = (&self.order, self.painted.take());
        let painted = match old {
            Some((old, texture)) if old == key => (key, texture),
            Some((_, mut texture)) => {
                texture.set(paint(encodings, order, &key), TextureOptions::NEAREST);
                (key, texture)
            }
            None => {
                let image = paint(encodings, order, &key);
                (key, ctx.load_texture("encodings", image, TextureOptions::NEAREST))
            }
        };
        &self.painted.insert(painted).1
    }
}

/// Two pixels wide, three on a dense screen; more where there are few.
fn paint(encodings: &Encodings, order: &[usize], key: &Key) -> ColorImage {
    let [width, height] = key.size;
    let spacing = (width.max(height)) as f64 / (order.len() as f64).sqrt();
    let side = (spacing * 0.8).clamp(2.0, 5.0) as usize;
    let mut pixels = vec![Color32::TRANSPARENT; width * height];
    let scale = |[first, last]: [f64; 2], length: usize| length as f64 / (last - first);
    let (x_scale, y_scale) = (scale(key.extent[0], width), scale(key.extent[1], height));
    let colours: Vec<Option<Color32>> =
        (0..encodings.classes.len()).map(|class| (!key.hidden.contains(&class)).then(|| style::of_class(class))).collect();
    for &at in order {
        let Some(colour) = colours[usize::from(encodings.labels[at])] else { continue };
        let [z1, z2] = encodings.points[at].map(f64::from);
        let x = ((z1 - key.extent[0][0]) * x_scale - side as f64 / 2.0).round();
        let y = ((key.extent[1][1] - z2) * y_scale - side as f64 / 2.0).round();
        if x < 0.0 || y < 0.0 || x + side as f64 > width as f64 || y + side as f64 > height as f64 {
            continue;
        }
        for row in 0..side {
            pixels[(y as usize + row) * width + x as usize..][..side].fill(colour);
        }
    }
    ColorImage::new(key.size, pixels)
}

/// The whole of a texture.
pub const WHOLE: Rect = Rect { min: eframe::egui::pos2(0.0, 0.0), max: eframe::egui::pos2(1.0, 1.0) };
