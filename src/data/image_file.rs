//! One image out of a file, made into what the networks take.

use super::image_decoder;
use crate::error::{Error, Result};
use crate::files;
use image::imageops::{FilterType, resize};
use image::{DynamicImage, GenericImageView as _, ImageBuffer, Luma, Rgba};
use std::path::Path;

/// An image of a file in the shape that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageFile {
    /// \[C, H, W\] in 0..=1.
    pub image: Vec<f32>,
    /// What was done to make it fit, a clause each.
    pub notes: Vec<String>,
}

/// Reads a file (PNG, JPEG, BMP, the first frame of a GIF, TIFF, WebP) as an image [channels, height, width] in 0..=1: the camera's turn is
/// undone; what is transparent shows black behind it; one channel is grey (Rec. 709 weights), three are red, green and blue. An image of
/// another size is scaled so that all of it fits, in the middle of black.
///
/// Networks of one channel know digits and clothes white on black. So where the outermost pixels are brighter than one half on
/// average, which is ink on paper, the image is inverted; a note says so.
///
/// # Errors
/// When the file cannot be read, is no such image or a huge one, or the networks take neither one channel nor three.
pub fn read_image(path: &Path, shape: [usize; 3]) -> Result<ImageFile> {
    read(path, &files::read(path)?, shape, true)
}

/// As [`read_image`] from the bytes of a file, each pixel rounded to a byte; bright borders stay bright: what is trained on comes in one way.
/// `path` is for messages.
pub(super) fn decode_as_it_is(path: &Path, bytes: &[u8], shape: [usize; 3]) -> Result<Vec<u8>> {
    let image = read(path, bytes, shape, false)?.image;
    Ok(image.into_iter().map(|pixel| (255.0 * pixel).round() as u8).collect())
}

fn read(path: &Path, bytes: &[u8], [channels, height, width]: [usize; 3], invert_paper: bool) -> Result<ImageFile> {
    if channels != 1 && channels != 3 {
        let problem = format!("an image file has one channel or three, but the models take {channels}");
        return Err(Error::file(path, problem, "pick an image from the data instead"));
    }
    let (picture, _turn) = files::guarded(path, || image_decoder::decode(path, bytes))?;
    let [from_width, from_height] = [picture.width(), picture.height()].map(|side| side as usize);
    let scale = (width as f64 / from_width as f64).min(height as f64 / from_height as f64);
    let [inner_width, inner_height] =
        [(from_width, width), (from_height, height)].map(|(from, to)| ((from as f64 * scale).round() as usize).clamp(1, to));
    let mut notes = Vec::new();
    if [from_width, from_height] != [width, height] {
        notes.push(format!("resized from {from_width} × {from_height} to {inner_width} × {inner_height}"));
    }
    if [inner_width, inner_height] != [width, height] {
        notes.push("in the middle of black".to_owned());
    }
    if channels == 1 && picture.color().has_color() {
        notes.push("turned grey".to_owned());
    }
    let mut planes: Vec<Vec<f32>> =
        (0..channels).map(|channel| plane(&picture, channel, channels == 1, [inner_width, inner_height])).collect();
    if invert_paper && channels == 1 && border_mean(&planes[0], inner_width) > 0.5 {
        planes[0].iter_mut().for_each(|pixel| *pixel = 1.0 - *pixel);
        notes.push("inverted, since its border is bright".to_owned());
    }
    let mut image = vec![0.0; channels * height * width];
    let (left, top) = ((width - inner_width) / 2, (height - inner_height) / 2);
    for (channel, plane) in planes.iter().enumerate() {
        for (row, pixels) in plane.chunks_exact(inner_width).enumerate() {
            image[(channel * height + top + row) * width + left..][..inner_width].copy_from_slice(pixels);
        }
    }
    if image.chunks_exact(height * width).all(|plane| plane.iter().all(|&pixel| pixel == plane[0])) {
        notes.push("all of it has one colour".to_owned());
    }
    Ok(ImageFile { image, notes })
}

/// A channel over black, or grey, scaled to [width, height].
fn plane(picture: &DynamicImage, channel: usize, grey: bool, size: [usize; 2]) -> Vec<f32> {
    let value = |Rgba(pixel): Rgba<u8>| {
        let [red, green, blue, alpha] = pixel.map(f32::from);
        let colour = match (grey, channel) {
            // Without rounding for what is grey already.
            (true, _) if red == green && green == blue => red,
            (true, _) => 0.2126 * red + 0.7152 * green + 0.0722 * blue,
            (false, 0) => red,
            (false, 1) => green,
            (false, _) => blue,
        };
        colour / 255.0 * (alpha / 255.0)
    };
    let (width, height) = picture.dimensions();
    let mut values = Vec::with_capacity(width as usize * height as usize);
    values.extend(picture.pixels().map(|(_, _, pixel)| value(pixel)));
    let [to_width, to_height] = size.map(|side| side as u32);
    let whole: Option<ImageBuffer<Luma<f32>, Vec<f32>>> = ImageBuffer::from_raw(width, height, values);
    match whole {
        Some(whole) if (width, height) != (to_width, to_height) => {
            let scaled = resize(&whole, to_width, to_height, FilterType::Triangle).into_raw();
            scaled.into_iter().map(|pixel| pixel.clamp(0.0, 1.0)).collect()
        }
        Some(whole) => whole.into_raw(),
        None => vec![0.0; size.iter().product()],
    }
}

/// The mean of the outermost pixels.
fn border_mean(plane: &[f32], width: usize) -> f32 {
    let height = plane.len() / width;
    let is_outermost = |at: usize| at < width || at >= (height - 1) * width || at.is_multiple_of(width) || at % width == width - 1;
    let outermost: Vec<f32> = plane.iter().enumerate().filter(|&(at, _)| is_outermost(at)).map(|(_, &pixel)| pixel).collect();
    outermost.iter().sum::<f32>() / outermost.len() as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, LumaA, RgbImage};
    use std::path::PathBuf;

    fn saved(folder: &tempfile::TempDir, name: &str, image: impl Into<DynamicImage>) -> PathBuf {
        let path = folder.path().join(name);
        image.into().save(&path).unwrap();
        path
    }

    /// Dark at the border, with values that have no round halves.
    fn digit() -> GrayImage {
        GrayImage::from_fn(28, 28, |x, y| Luma([if (8..20).contains(&x) && (5..24).contains(&y) { (7 * x + y) as u8 } else { 3 }]))
    }

    #[test]
    fn a_grey_image_of_the_right_size_comes_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let read = read_image(&saved(&folder, "digit.png", digit()), [1, 28, 28]).unwrap();
        let expected: Vec<f32> = digit().as_raw().iter().map(|&byte| f32::from(byte) / 255.0).collect();
        assert_eq!(read, ImageFile { image: expected, notes: Vec::new() });
    }

    #[test]
    fn ink_on_paper_becomes_white_on_black() {
        let folder = tempfile::tempdir().unwrap();
        let mut paper = digit();
        paper.pixels_mut().for_each(|Luma([byte])| *byte = 255 - *byte);
        let (dark, bright) = (saved(&folder, "dark.png", digit()), saved(&folder, "bright.png", paper));
        let [dark, bright] = [dark, bright].map(|path| read_image(&path, [1, 28, 28]).unwrap());
        assert!(dark.image.iter().zip(&bright.image).all(|(a, b)| (a - b).abs() <= 1e-6));
        assert!(dark.notes.is_empty() && bright.notes == ["inverted, since its border is bright"]);
        let coloured = saved(&folder, "sky.png", RgbImage::from_pixel(4, 4, image::Rgb([255, 255, 250])));
        let coloured = read_image(&coloured, [3, 4, 4]).unwrap();
        assert!(coloured.image[0] == 1.0 && coloured.notes == ["all of it has one colour"], "colours are never inverted");
    }

    #[test]
    fn channels_come_one_after_the_other_and_grey_weighs_them() {
        let folder = tempfile::tempdir().unwrap();
        let mut image = RgbImage::new(3, 2);
        image.put_pixel(1, 0, image::Rgb([255, 0, 0]));
        image.put_pixel(2, 1, image::Rgb([0, 51, 0]));
        let path = saved(&folder, "two.png", image);
        let mut expected = vec![0.0; 18];
        (expected[1], expected[11]) = (1.0, 0.2);
        assert_eq!(read_image(&path, [3, 2, 3]).unwrap().image, expected);
        let grey = read_image(&path, [1, 2, 3]).unwrap();
        assert!((grey.image[1] - 0.2126).abs() <= 1e-6 && (grey.image[5] - 0.7152 * 0.2).abs() <= 1e-6);
        assert_eq!(grey.notes, ["turned grey"]);
    }

    #[test]
    fn what_is_transparent_shows_black_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let half = image::ImageBuffer::from_fn(5, 5, |x, _| LumaA([255u8, if x == 2 { 255 } else { 51 }]));
        let read = read_image(&saved(&folder, "half.png", half), [1, 5, 5]).unwrap();
        assert_eq!(read.image[..5], [0.2, 0.2, 1.0, 0.2, 0.2]);
    }

    #[test]
    fn another_size_is_scaled_into_the_middle() {
        let folder = tempfile::tempdir().unwrap();
        let path = saved(&folder, "wide.jpg", GrayImage::from_fn(80, 40, |x, _| Luma([if x < 40 { 0 } else { 102 }])));
        let read = read_image(&path, [1, 20, 20]).unwrap();
        assert_eq!(read.notes, ["resized from 80 × 40 to 20 × 10", "in the middle of black"]);
        let row = |row: usize| &read.image[20 * row..20 * (row + 1)];
        assert!(row(4).iter().chain(row(15)).all(|&pixel| pixel == 0.0));
        // Half of it at 0.4, but for JPEG's loss at the edge.
        for at in 5..15 {
            assert!(row(at)[..9].iter().all(|&pixel| pixel <= 0.02) && row(at)[11..].iter().all(|&pixel| (pixel - 0.4).abs() <= 0.02));
        }
    }

    #[test]
    fn other_formats_give_the_same_image_and_a_cut_or_damaged_jpeg_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let picture = RgbImage::from_fn(9, 8, |x, y| image::Rgb([20 * x as u8, 30 * y as u8, 7]));
        let expected = read_image(&saved(&folder, "a.png", picture.clone()), [3, 8, 9]).unwrap();
        // GIF chooses a palette: this picture has few enough colours for it to be exact.
        for name in ["a.bmp", "a.gif", "a.webp", "a.tiff"] {
            assert_eq!(read_image(&saved(&folder, name, picture.clone()), [3, 8, 9]).unwrap(), expected, "{name}");
        }
        let noise = RgbImage::from_fn(64, 64, |x, y| image::Rgb([(x * 37 + y * 91) as u8, (x * y) as u8, (x * x + y) as u8]));
        let path = saved(&folder, "whole.jpg", noise);
        let whole = std::fs::read(&path).unwrap();
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read_image(&path, [3, 64, 64]).map_err(|error| error.to_string())
        };
        let plain = read(&whole).unwrap();
        // What some programs write behind the image is none of it.
        assert_eq!(read(&[&whole[..], b"a note"].concat()).unwrap(), plain);
        for cut in [whole.len() / 2, whole.len() * 3 / 4] {
            assert!(read(&whole[..cut]).unwrap_err().contains("cut short or damaged"));
        }
    }

    #[test]
    fn what_is_no_image_is_said_in_one_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text.png");
        let refuse = |bytes: &[u8], shape| {
            std::fs::write(&path, bytes).unwrap();
            read_image(&path, shape).unwrap_err().to_string()
        };
        let whole = std::fs::read(saved(&folder, "digit.png", digit())).unwrap();
        // The width and height of a PNG stand behind its signature and the name of its first chunk, whose sum is then wrong too.
        let mut huge = whole.clone();
        huge[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        let sum = crc32(&huge[12..29]).to_be_bytes();
        huge[29..33].copy_from_slice(&sum);
        for (bytes, shape, text) in [
            (&b"no image at all"[..], [1, 28, 28], "text.png"),
            (&whole[..whole.len() / 2], [1, 28, 28], "text.png"),
            (&huge, [1, 28, 28], "larger than 20000 pixels"),
            (&whole, [4, 28, 28], "the models take 4"),
        ] {
            let error = refuse(bytes, shape);
            assert!(error.contains(text) && error.ends_with('.') && !error.contains(". "), "{error}");
        }
        let missing = read_image(&folder.path().join("nowhere.png"), [1, 28, 28]).unwrap_err().to_string();
        assert!(missing.contains("nowhere.png") && missing.contains("check the path"), "{missing}");
    }

    /// The checksum of a PNG's chunks (ISO 3309).
    fn crc32(bytes: &[u8]) -> u32 {
        let step =
            |sum: u32, byte: &u8| (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()));
        !bytes.iter().fold(!0, step)
    }
}
