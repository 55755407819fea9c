//! Images of the data as textures.

use eframe::egui::{Color32, ColorImage, Context, TextureHandle, TextureOptions};

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
