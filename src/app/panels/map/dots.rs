//! Tens of thousands of encodings as one picture: each a small dot, painted pixel by pixel where the view is.

use crate::app::widgets::plane::Plane;
use crate::app::widgets::style;
use crate::figure::{DOT_OUTLINE, DotShape};
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

/// The pixels of a dot in one row of a picture: the row and the first column from the dot's centre, and how many.
type Span = [i64; 3];

/// The pixels of a shape of a diameter that has grown by `border` pixels on each side. The centre lies in the middle of a pixel where the
/// diameter is odd, and on the corner of four where it is even.
fn spans(shape: DotShape, diameter: usize, border: usize) -> Vec<Span> {
    let radius = diameter as f64 / 2.0 + border as f64;
    let reach = (DotShape::REACH * radius).ceil() as i64;
    let middle = if diameter.is_multiple_of(2) { 0.5 } else { 0.0 };
    let place = |step: i64| (step as f64 + middle) / radius;
    let of_row = |row: i64| {
        let mut inside = (-reach..=reach).filter(|&column| shape.contains([place(column), place(row)]));
        let first = inside.next()?;
        Some([row, first, inside.count() as i64 + 1])
    };
    (-reach..=reach).filter_map(of_row).collect()
}

/// Two pixels wide where there are tens of thousands, wider on a dense screen and where there are few or the shape counts. All outlines
/// lie under all fills: where dots are dense, one sees their colours.
fn paint(encodings: &Encodings, order: &[usize], key: &Key) -> ColorImage {
    let [width, height] = key.size;
    let spacing = (width.max(height)) as f64 / (order.len() as f64).sqrt();
    let smallest = if encodings.classes.len() > 10 { 5.0 } else { 2.0 };
    let diameter = (spacing * 0.8).clamp(smallest, 7.0) as usize;
    let middle = if diameter.is_multiple_of(2) { 0.5 } else { 0.0 };
    let scale = |[first, last]: [f64; 2], length: usize| length as f64 / (last - first);
    let (x_scale, y_scale) = (scale(key.extent[0], width), scale(key.extent[1], height));
    let reach = DotShape::REACH * (diameter as f64 / 2.0 + 1.0);
    let near = |at: f64, length: usize| (-reach..=length as f64 + reach).contains(&at);
    // Column, row, class.
    let seen = order.iter().map(|&at| (encodings.points[at].map(f64::from), usize::from(encodings.labels[at])));
    let seen = seen.filter(|(_, class)| !key.hidden.contains(class)).filter_map(|([z1, z2], class)| {
        let (x, y) = ((z1 - key.extent[0][0]) * x_scale, (key.extent[1][1] - z2) * y_scale);
        (near(x, width) && near(y, height)).then(|| ((x + middle).floor() as i64, (y + middle).floor() as i64, class))
    });
    let seen: Vec<(i64, i64, usize)> = seen.collect();
    let mut pixels = vec![Color32::TRANSPARENT; width * height];
    for border in [1, 0] {
        let shapes = DotShape::ALL.map(|shape| spans(shape, diameter, border));
        for &(column, row, class) in &seen {
            let colour = if border > 0 { style::colour(DOT_OUTLINE) } else { style::of_class(class) };
            for &[down, first, length] in &shapes[DotShape::of_class(class) as usize] {
                if (0..height as i64).contains(&(row + down)) {
                    let [start, end] = [first, first + length].map(|step| (column + step).clamp(0, width as i64) as usize);
                    pixels[(row + down) as usize * width..][start..end].fill(colour);
                }
            }
        }
    }
    ColorImage::new(key.size, pixels)
}

/// The whole of a texture.
pub const WHOLE: Rect = Rect { min: eframe::egui::pos2(0.0, 0.0), max: eframe::egui::pos2(1.0, 1.0) };

#[cfg(test)]
mod tests {
    use super::*;

    fn painted(points: Vec<[f32; 2]>, labels: Vec<u16>, classes: usize, hidden: Vec<usize>) -> ColorImage {
        let encodings = Encodings::new(points, labels, vec!["class".to_owned(); classes]).unwrap();
        let key = Key { extent: [[0.0, 20.0], [0.0, 10.0]], size: [20, 10], hidden, of: 0 };
        paint(&encodings, &(0..encodings.points.len()).collect::<Vec<_>>(), &key)
    }

    fn count(image: &ColorImage, colour: Color32) -> usize {
        image.pixels.iter().filter(|&&pixel| pixel == colour).count()
    }

    #[test]
    fn dots_have_an_outline_under_every_fill() {
        let outline = style::colour(DOT_OUTLINE);
        // A single dot is as wide as dots can be.
        let one = painted(vec![[10.5, 5.5]], vec![3], 10, Vec::new());
        assert_eq!(one.pixels[4 * 20 + 10], style::of_class(3), "z₂ grows upwards");
        assert!(count(&one, style::of_class(3)) >= 30 && count(&one, outline) >= 16);
        assert_eq!(count(&one, style::of_class(3)) + count(&one, outline) + count(&one, Color32::TRANSPARENT), 200);
        // The outline of the second does not cover the first.
        let two = painted(vec![[6.5, 5.5], [13.5, 5.5]], vec![3, 4], 10, Vec::new());
        assert_eq!(count(&two, style::of_class(3)), count(&two, style::of_class(4)));
        assert_eq!(painted(vec![[10.5, 5.5]], vec![3], 10, vec![3]).pixels, vec![Color32::TRANSPARENT; 200], "a hidden class");
    }

    #[test]
    fn dots_on_the_border_are_cut_and_far_ones_are_left_out() {
        let corner = painted(vec![[0.0, 0.0], [1e30, -1e30]], vec![0, 1], 10, Vec::new());
        assert_eq!(corner.pixels[9 * 20], style::of_class(0));
        assert_eq!(count(&corner, style::of_class(1)), 0);
    }

    #[test]
    fn dots_of_twenty_classes_differ_in_shape_where_they_share_a_colour() {
        let [circle, square] = [3, 13].map(|class| painted(vec![[10.5, 5.5]], vec![class], 20, Vec::new()));
        assert_eq!(style::of_class(3), style::of_class(13));
        assert_ne!(circle.pixels, square.pixels);
        // The smallest circle that is drawn is the whole of a square of two pixels.
        assert_eq!(spans(DotShape::Circle, 2, 0), [[-1, -1, 2], [0, -1, 2]]);
        assert_eq!(spans(DotShape::Circle, 2, 1), [[-2, -1, 2], [-1, -2, 4], [0, -2, 4], [1, -1, 2]]);
    }
}
