//! Images of the data as textures.

use eframe::egui::{Color32, ColorImage, Context, Rect, TextureHandle, TextureOptions, pos2};

/// An image [C, H, W] in 0..=1 as pixels: three channels are red, green and blue; of any other number the first is shown grey.
pub fn pixels(shape: [usize; 3], image: &[f32]) -> ColorImage {
    let [channels, height, width] = shape;
    let byte = |value: f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
    let plane = height * width;
    let colour = |at: usize| match channels {
        3 => Color32::from_rgb(byte(image[at]), byte(image[plane + at]), byte(image[2 * plane + at])),
        _ => Color32::from_gray(byte(image[at])),
    };
    ColorImage::new([width, height], (0..plane).map(colour).collect())
}

/// Images [N, C, H, W] side by side; one black one where there is none.
pub fn row(shape: [usize; 3], images: &[f32]) -> ColorImage {
    let [_, height, width] = shape;
    let length = shape.iter().product::<usize>();
    let count = (images.len() / length).max(1);
    let mut whole = ColorImage::new([count * width, height], vec![Color32::BLACK; count * width * height]);
    for (number, image) in images.chunks_exact(length).enumerate() {
        for (at, colour) in pixels(shape, image).pixels.into_iter().enumerate() {
            whole.pixels[at / width * count * width + number * width + at % width] = colour;
        }
    }
    whole
}

/// The part of a [`row`] of so many images that is one of them, as texture coordinates.
pub fn part_of_row(number: usize, count: usize) -> Rect {
    let share = |at: usize| at as f32 / count as f32;
    Rect::from_min_max(pos2(share(number), 0.0), pos2(share(number + 1), 1.0))
}

/// A texture that is painted anew only when asked to.
#[derive(Default)]
pub struct Texture(Option<TextureHandle>);

impl Texture {
    /// Puts other pixels into it.
    pub fn set(&mut self, ctx: &Context, name: &str, image: ColorImage) {
        match &mut self.0 {
            Some(texture) => texture.set(image, TextureOptions::NEAREST),
            None => self.0 = Some(ctx.load_texture(name, image, TextureOptions::NEAREST)),
        }
    }

    /// The texture, once it has pixels.
    pub fn handle(&self) -> Option<&TextureHandle> {
        self.0.as_ref()
    }
}
