//! `epistemap decode`: the images of latent points.

use super::shared::{ModelOptions, pair};
use crate::error::{Error, Result};
use crate::files;
use clap::Args;
use image::{ImageFormat, Rgb, RgbImage, imageops};
use std::io::Cursor;
use std::path::PathBuf;

/// The largest image side.
const LARGEST: u32 = 16_384;

/// `epistemap decode`.
#[derive(Debug, Args)]
pub struct Decode {
    /// A latent point; several stand side by side.
    #[arg(long, value_name = "Z1,Z2", value_parser = pair::<f64>, allow_hyphen_values = true, required = true)]
    z: Vec<[f64; 2]>,
    /// How many pixels wide and high each pixel of an image becomes.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    scale: u32,
    /// The file to write; the extension says whether it is a PNG or a JPEG.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    models: ModelOptions,
}

impl Decode {
    /// Runs the verb.
    ///
    /// # Errors
    /// When a point is not finite, the models have no plane, or the file cannot be written.
    pub fn run(self) -> Result<()> {
        let extension = self.out.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
        let format = match extension.as_str() {
            "png" | "" => ImageFormat::Png,
            "jpg" | "jpeg" => ImageFormat::Jpeg,
            _ => {
                let problem = format!("'.{extension}' is no format of decoded images");
                return Err(Error::file(&self.out, problem, "end the name in .png or .jpg"));
            }
        };
        if self.z.as_flattened().iter().any(|z| !z.is_finite()) {
            return Err(Error::setting("--z", "a coordinate is not finite", "give numbers such as --z=-1.5,2"));
        }
        let (set, mut engine) = self.models.open()?;
        if set.vae.latent_size() != 2 {
            let problem = format!("its VAE has {} latent dimensions, but --z has 2", set.vae.latent_size());
            return Err(Error::file(&set.origin, problem, "choose a VAE with two"));
        }
        let &[channels, height, width] = set.vae.image_shape() else {
            return Err(Error::file(&set.origin, "its VAE makes no images", "choose a VAE of images"));
        };
        let images = engine.decode(self.z.as_flattened())?;
        let (w, h) = ((width * self.z.len()) as u32, height as u32);
        if w.max(h) * self.scale > LARGEST {
            return Err(Error::setting("--scale", format!("the picture would be {} pixels wide", w * self.scale), "give a smaller one"));
        }
        let picture = RgbImage::from_fn(w, h, |x, y| {
            let (number, at) = (x as usize / width, y as usize * width + x as usize % width);
            // Three channels are red, green and blue; of any other number the first is shown grey.
            let channel = |channel: usize| {
                let channel = if channels == 3 { channel } else { 0 };
                (images[(number * channels + channel) * height * width + at].clamp(0.0, 1.0) * 255.0).round() as u8
            };
            Rgb([0, 1, 2].map(channel))
        });
        let large = imageops::resize(&picture, w * self.scale, h * self.scale, imageops::FilterType::Nearest);
        let mut file = Cursor::new(Vec::new());
        let encoded = large.write_to(&mut file, format);
        encoded.map_err(|error| Error::file(&self.out, error.to_string(), "choose a smaller --scale"))?;
        files::write_through(&self.out, file.get_ref())
    }
}
