//! Foreign image files, decoded within limits of size and memory.

use crate::budget;
use crate::error::{Error, Result};
use crate::files;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use std::io::{BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Beyond so many pixels along a side, or so many bytes, an image is no photograph: it is refused before it is decoded.
const LONGEST_SIDE: u32 = 20_000;
const MOST_BYTES: u64 = 400 << 20;
/// How a JPEG begins.
const JPEG_MAGIC: [u8; 3] = [0xff, 0xd8, 0xff];

/// Held as long as an image larger than its share of the memory budget is in memory.
pub(super) type Turn = Option<MutexGuard<'static, ()>>;

/// What a file's header says of an image.
pub(super) struct ImageKind {
    /// [width, height] in pixels, as stored.
    pub size: [usize; 2],
    /// Whether it has more than grey.
    pub colour: bool,
}

/// What a file's header says; `None` where it cannot be read.
pub(super) fn kind_of(path: &Path) -> Option<ImageKind> {
    let file = files::open(path).ok()?;
    // The decoder of JPEG reads the whole file.
    if file.metadata().ok()?.len() > budget::limit() {
        return None;
    }
    let kind = files::guarded(path, || {
        let (decoder, _) = open(path, BufReader::new(file))?;
        let (width, height) = decoder.dimensions();
        Ok(ImageKind { size: [width as usize, height as usize], colour: decoder.color_type().has_color() })
    });
    kind.ok()
}

/// Decodes the bytes of a file, the camera's turn undone; `path` is for messages. Waits for its turn where memory is short.
///
/// # Errors
/// When it is no image that is read, is damaged, or does not fit into the memory budget.
pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<(DynamicImage, Turn)> {
    let (mut decoder, format) = open(path, Cursor::new(bytes))?;
    let turn = turn(path, &decoder, format)?;
    check_jpeg(path, bytes)?;
    // An orientation that cannot be read is none.
    let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| match error {
        ImageError::Limits(_) => Error::file(path, "has a frame or a strip that is larger than the image", "save it anew as PNG or JPEG"),
        other => wrong(path, other),
    })?;
    picture.apply_orientation(orientation);
    Ok((picture, turn))
}

fn wrong(path: &Path, error: ImageError) -> Error {
    match error {
        ImageError::IoError(error) => Error::io(path, &error),
        ImageError::Limits(_) => too_large(path),
        ImageError::Unsupported(_) => Error::file(path, "is no PNG, JPEG, BMP, GIF, TIFF or WebP image", "convert it into one of them"),
        other => Error::file(path, other.to_string(), "get it again, or save it anew as PNG or JPEG"),
    }
}

fn too_large(path: &Path) -> Error {
    let problem = format!("is larger than {LONGEST_SIDE} pixels along a side or {} MB in memory", MOST_BYTES >> 20);
    Error::file(path, problem, "make it smaller first")
}

/// The decoder of an image, which has read its header, and the format.
fn open<'a>(path: &Path, mut bytes: impl BufRead + Seek + 'a) -> Result<(impl ImageDecoder + 'a, Option<ImageFormat>)> {
    check_tags(path, &mut bytes)?;
    let mut reader = ImageReader::new(bytes).with_guessed_format().map_err(|error| Error::io(path, &error))?;
    let format = reader.format();
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height, limits.max_alloc) = (Some(LONGEST_SIDE), Some(LONGEST_SIDE), Some(MOST_BYTES));
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(|error| wrong(path, error))?;
    if decoder.total_bytes() == 0 {
        return Err(Error::file(path, "is an image without pixels", "get it again, or save it anew"));
    }
    if decoder.total_bytes() > MOST_BYTES {
        return Err(too_large(path));
    }
    if format == Some(ImageFormat::Gif) {
        // The size of the first frame is not known yet, but it should lie within the image.
        limits.max_alloc = Some(decoder.total_bytes());
        decoder.set_limits(limits).map_err(|error| wrong(path, error))?;
    }
    Ok((decoder, format))
}

/// Refuses a TIFF that promises more values under a tag than it has bytes: before its decoder reads them, it makes room for them, 32 bytes for
/// each and up to 256 MiB, and it takes no limit before that (tiff 0.11).
fn check_tags(path: &Path, reader: &mut (impl Read + Seek)) -> Result<()> {
    let failed = |error: std::io::Error| Error::io(path, &error);
    let length = reader.seek(SeekFrom::End(0)).map_err(failed)?;
    reader.rewind().map_err(failed)?;
    let promised = most_values(reader).unwrap_or(0);
    reader.rewind().map_err(failed)?;
    if promised <= length {
        return Ok(());
    }
    let problem = format!("is a damaged TIFF: it promises {promised} values under a tag, but has {length} bytes");
    Err(Error::file(path, problem, "get it again, or save it anew"))
}

/// The most values that a TIFF promises under one tag of its first directory; `None` for other files, and one that is cut short there.
fn most_values(reader: &mut (impl Read + Seek)) -> Option<u64> {
    let mut start = [0; 16];
    reader.read_exact(&mut start).ok()?;
    let is_little_endian = start.starts_with(b"II");
    if !is_little_endian && !start.starts_with(b"MM") {
        return None;
    }
    let number = |bytes: &[u8]| {
        let append = |number: u64, byte: &u8| (number << 8) | u64::from(*byte);
        if is_little_endian { bytes.iter().rev().fold(0, append) } else { bytes.iter().fold(0, append) }
    };
    // TIFF, or BigTIFF, whose numbers are wider: where the directory begins, and the bytes of its length, of an entry and of a number.
    let (directory, of_length, of_entry, of_number) = match number(&start[2..4]) {
        42 => (number(&start[4..8]), 2, 12, 4),
        43 => (number(&start[8..16]), 8, 20, 8),
        _ => return None,
    };
    reader.seek(SeekFrom::Start(directory)).ok()?;
    let (mut length, mut entry, mut most) = ([0; 8], [0; 20], 0_u64);
    reader.read_exact(&mut length[..of_length]).ok()?;
    for _ in 0..number(&length[..of_length]) {
        reader.read_exact(&mut entry[..of_entry]).ok()?;
        // Behind the tag and the type.
        most = most.max(number(&entry[4..4 + of_number]));
    }
    Some(most)
}

/// Refuses a JPEG that is cut short or damaged: the decoder of images gives grey for what is missing.
fn check_jpeg(path: &Path, bytes: &[u8]) -> Result<()> {
    if !bytes.starts_with(&JPEG_MAGIC) {
        return Ok(());
    }
    let options =
        DecoderOptions::default().set_strict_mode(true).set_max_width(LONGEST_SIDE as usize).set_max_height(LONGEST_SIDE as usize);
    match JpegDecoder::new_with_options(ZCursor::new(bytes), options).decode() {
        // Whole images of some cameras have them.
        Err(DecodeErrors::FormatStatic(problem)) if problem.contains("Extra bytes") => Ok(()),
        Err(problem) => {
            Err(Error::file(path, format!("is a JPEG that is cut short or damaged ({problem:?})"), "get it again, or save it anew"))
        }
        Ok(_) => Ok(()),
    }
}

/// What a decoder takes at most beside the decoded image, in sizes of that image (image 0.25 and the decoders under it).
fn beside(format: Option<ImageFormat>) -> f64 {
    match format {
        // JPEG that is progressive or has several scans: all coefficients in 16 bits, of four components where the image has three channels.
        // WebP that is animated: the canvas and a frame, both with an alpha that the image may lack.
        Some(ImageFormat::Jpeg | ImageFormat::WebP) => 8.0 / 3.0,
        // The first frame where it does not fill the image, and its indices into the palette.
        Some(ImageFormat::Gif) => 5.0 / 4.0,
        // The image once more, of CMYK with its fourth channel.
        Some(ImageFormat::Tiff) => 4.0 / 3.0,
        _ => 0.0,
    }
}

/// Waits until the image can be decoded within the memory budget, which as many images share as there are threads: a larger one than its
/// share is decoded alone.
fn turn(path: &Path, decoder: &impl ImageDecoder, format: Option<ImageFormat>) -> Result<Turn> {
    static LARGE: Mutex<()> = Mutex::new(());
    let ((width, height), decoded) = (decoder.dimensions(), decoder.total_bytes() as f64);
    // Beside the decoded image what its decoder takes; later a copy that is turned, or a channel in single precision.
    let bytes = decoded + decoded.max(4.0 * f64::from(width) * f64::from(height)).max(beside(format) * decoded);
    if let Some(problem) = budget::excess(format!("an image of {width} × {height} pixels"), bytes) {
        return Err(Error::file(path, problem, format!("make it smaller, or allow more with {}", budget::OPTION)));
    }
    let share = budget::limit() as f64 / rayon::current_num_threads() as f64;
    // A thread that panicked left nothing behind.
    Ok((bytes > share).then(|| LARGE.lock().unwrap_or_else(PoisonError::into_inner)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tiff_that_promises_more_values_than_it_has_bytes_is_refused() {
        let mut file = Cursor::new(Vec::new());
        image::RgbImage::new(5, 4).write_to(&mut file, ImageFormat::Tiff).unwrap();
        let (whole, path) = (file.into_inner(), Path::new("a.tiff"));
        assert!(decode(path, &whole).is_ok());
        let directory = u32::from_ne_bytes(whole[4..8].try_into().unwrap()) as usize;
        for promised in [whole.len() as u32 + 1, u32::MAX] {
            let mut lying = whole.clone();
            // The count of the first entry stands behind the length of the directory, the tag and the type.
            lying[directory + 6..directory + 10].copy_from_slice(&promised.to_ne_bytes());
            let error = decode(path, &lying).unwrap_err().to_string();
            assert!(error.starts_with("a.tiff: ") && error.contains(&format!("it promises {promised} values")), "{error}");
        }
    }

    #[test]
    fn tags_are_counted_in_either_byte_order_and_in_big_tiff() {
        let of = |bytes: &[u8]| most_values(&mut Cursor::new(bytes));
        let entry = [&[1, 0, 0, 4][..], &9_u32.to_be_bytes(), &[0; 4]].concat();
        let two = [b"MM\0\x2a\0\0\0\x08\0\x02".as_slice(), &entry[..], &[0; 12]].concat();
        assert_eq!((of(&two), of(&two[..two.len() - 1])), (Some(9), None));
        let big = [b"II\x2b\0\x08\0\0\0".as_slice(), &16_u64.to_le_bytes(), &1_u64.to_le_bytes(), &[0; 4], &7_u64.to_le_bytes(), &[0; 8]]
            .concat();
        assert_eq!(of(&big), Some(7));
        assert_eq!(of(b"II, but no TIFF at all"), None);
    }
}
