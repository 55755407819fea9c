//! Images and labels in arrays of NumPy, `npy` or `npz`, or in IDX files: what scripts hand over.

use super::npy::{self, Array};
use super::{idx, npz};
use crate::error::{Error, Result};
use crate::files;
use npyz::TypeChar;
use std::io::Read as _;
use std::path::Path;

/// A pixel may be so far beyond 0..=1 by rounding.
const ROUNDING: f64 = 1e-6 + f32::EPSILON as f64;
/// A last axis of at most this length is read as channels.
const MOST_CHANNELS: usize = 4;
/// Floats beyond this are taken for bytes.
const LARGEST_FRACTION: f64 = 2.0;

/// Images without labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Images {
    /// The number of images, one at least.
    pub count: usize,
    /// [channels, height, width] of every image.
    pub shape: [usize; 3],
    /// The pixels in 0..=1, \[N, C, H, W\] row-major.
    pub pixels: Vec<f32>,
}

/// Reads images as [`read_images_for`] does where nothing is known of them.
///
/// # Errors
/// As it.
pub fn read_images(path: &Path) -> Result<Images> {
    Ok(read_images_for(path, None, None)?.0)
}

/// Reads images, and what should be said of the reading: from an npy file floats in 0..=1, booleans, or bytes (then over 255) with the axes
/// \[N, C, H, W\] or \[N, H, W\], or where the images' `shape` is known, \[N, C · H · W\]; the same from the array `key` of an npz file, or
/// from the only one with such axes; or from an IDX file.
///
/// # Errors
/// When the file cannot be read, is none of them, holds no image, or a pixel is not in 0..=1.
pub fn read_images_for(path: &Path, key: Option<&str>, shape: Option<[usize; 3]>) -> Result<(Images, Vec<String>)> {
    let length = shape.map(|shape| shape.iter().product::<usize>());
    let fits = |axes: &[u64]| matches!(axes.len(), 3 | 4) || (axes.len() == 2 && length.is_some_and(|length| length as u64 == axes[1]));
    if let Some((name, array)) = read(path, key, "images [N, C, H, W]", &fits)? {
        return images_of(&name, array, shape);
    }
    let read = idx::read_images(path)?;
    let images = Images { count: read.count, shape: [read.channels, read.rows, read.cols], pixels: read.pixels };
    Ok((images, Vec::new()))
}

/// The images in the bytes of an npy file; `path` is for messages.
///
/// # Errors
/// As [`read_images_for`].
pub fn decode_images(path: &Path, bytes: &[u8]) -> Result<Images> {
    files::guarded(path, || Ok(images_of(path, npy::decode(path, bytes)?, None)?.0))
}

/// Reads labels: whole numbers from 0, from an npy file or an array of an npz file with the axes \[N\] or \[N, 1\], or from an IDX file.
///
/// # Errors
/// When the file cannot be read, is none of them, or a label is not a whole number from 0.
pub fn read_labels(path: &Path, key: Option<&str>) -> Result<Vec<usize>> {
    match read(path, key, "labels [N]", &|axes| matches!(axes, [_] | [_, 1]))? {
        Some((name, array)) => labels_of(&name, &array),
        None => Ok(idx::read_labels(path)?.into_iter().map(usize::from).collect()),
    }
}

/// The array of an npy or npz file and its name for messages; `None` for another file.
fn read(path: &Path, key: Option<&str>, what: &str, fits: &dyn Fn(&[u64]) -> bool) -> Result<Option<(std::path::PathBuf, Array)>> {
    let mut first = Vec::new();
    files::open(path)?.take(npy::MAGIC.len() as u64).read_to_end(&mut first).map_err(|error| Error::io(path, &error))?;
    if first.starts_with(npz::MAGIC) {
        return files::guarded(path, || {
            let mut archive = npz::Archive::open(path)?;
            let name = archive.choose(key, what, fits)?;
            Ok(Some((path.join(&name), archive.array(&name)?)))
        });
    }
    if first != npy::MAGIC {
        return Ok(None);
    }
    let bytes = files::read(path)?;
    files::guarded(path, || Ok(Some((path.to_owned(), npy::decode(path, &bytes)?))))
}

/// The images of an array, whose `shape` may be known; and what should be said of them.
fn images_of(path: &Path, array: Array, shape: Option<[usize; 3]>) -> Result<(Images, Vec<String>)> {
    let [count, channels, height, width] = axes(path, &array.shape, shape)?;
    let (pixels, note) = pixels_of(path, array, channels * height * width)?;
    Ok((Images { count, shape: [channels, height, width], pixels }, note.into_iter().collect()))
}

/// The axes [N, C, H, W] that an array of these axes means.
fn axes(path: &Path, axes: &[usize], shape: Option<[usize; 3]>) -> Result<[usize; 4]> {
    match (axes, shape) {
        (&[n, length], Some(shape @ [c, h, w])) if shape.iter().product::<usize>() == length => Ok([n, c, h, w]),
        (&[_, h, w, c], _) if (1..=MOST_CHANNELS).contains(&c) && h.min(w) > MOST_CHANNELS && shape != Some([h, w, c]) => {
            let problem = format!("has the axes [N, H, W, C], {axes:?}, where [N, C, H, W] is expected");
            Err(Error::file(path, problem, "save x.transpose(0, 3, 1, 2) of it"))
        }
        (&[n, c, h, w], _) => Ok([n, c, h, w]),
        (&[n, h, w], _) => Ok([n, 1, h, w]),
        _ => {
            let mend = "give images with the axes [N, C, H, W] or [N, H, W], as x.reshape(-1, C, H, W) makes them";
            Err(Error::file(path, format!("has the axes {axes:?}"), mend))
        }
    }
}

/// The values of an array of images of so many pixels, in 0..=1; and what should be said of them.
pub(super) fn pixels_of(path: &Path, array: Array, length: usize) -> Result<(Vec<f32>, Option<String>)> {
    let is_byte = array.kind == (TypeChar::Uint, 1);
    let largest = array.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let smallest = array.values.iter().copied().fold(f64::INFINITY, f64::min);
    if array.values.is_empty() {
        return Err(Error::file(path, "holds no image", "give one image at least"));
    }
    let scale = if is_byte { 255.0 } else { 1.0 };
    if let Some(at) = array.values.iter().position(|value| !(-ROUNDING..=1.0 + ROUNDING).contains(&(value / scale))) {
        let problem = format!("image {} holds the pixel {}", at / length, array.values[at] as f32);
        let mend = match (smallest, largest) {
            (0.0.., LARGEST_FRACTION..=255.0) => {
                "bring the range 0..255 to 0..1 with (x / 255).astype('float32'), or save x.astype('uint8')"
            }
            (-1.0.., ..=1.0) => "bring the range −1..1 to 0..1 with (x + 1) / 2",
            _ => "scale the images to the range from 0 to 1",
        };
        return Err(Error::file(path, problem, mend));
    }
    let note = (is_byte && largest == 1.0).then(|| {
        format!("{}: its bytes are only 0 and 1, and a white pixel is 255: if 1 is meant to be white, save x * 255.", path.display())
    });
    let pixels = array.values.into_iter().map(|value| (value / scale).clamp(0.0, 1.0) as f32).collect();
    Ok((pixels, note))
}

/// The labels of an array.
pub(super) fn labels_of(path: &Path, array: &Array) -> Result<Vec<usize>> {
    let (&[_] | &[_, 1]) = &array.shape[..] else {
        let mend = "give labels with the one axis [N], such as x.argmax(axis=1) of one-hot rows";
        return Err(Error::file(path, format!("has the axes {:?}", array.shape), mend));
    };
    match array.values.iter().position(|value| !(*value >= 0.0 && value.fract() == 0.0 && *value < 1e9)) {
        None => Ok(array.values.iter().map(|&value| value as usize).collect()),
        Some(at) => Err(Error::file(path, format!("label {at} is {}", array.values[at]), "give whole numbers from 0")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::npy::{MAGIC, encode, write_images};
    use super::*;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    fn npy(kind: &str, shape: &str, values: &[u8]) -> Vec<u8> {
        npy_in_order("False", kind, shape, values)
    }

    fn npy_in_order(fortran: &str, kind: &str, shape: &str, values: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{kind}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
        let padded = format!("{header:<117}\n");
        [MAGIC, &[1, 0], &(padded.len() as u16).to_le_bytes(), padded.as_bytes(), values].concat()
    }

    #[test]
    fn images_come_back_as_they_were_written() {
        let pixels: Vec<f32> = (0..2 * 3 * 4 * 5).map(|at| at as f32 / 120.0).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        write_images(&path, [3, 4, 5], &pixels).unwrap();
        assert_eq!(read_images(&path).unwrap(), Images { count: 2, shape: [3, 4, 5], pixels });
    }

    #[test]
    fn bytes_are_scaled_and_an_idx_file_is_as_good() {
        let expected = Images { count: 2, shape: [1, 1, 2], pixels: vec![0.0, 1.0, 0.2, 0.4] };
        let numbers = [0, 255, 51, 102];
        assert_eq!(read_images(file(&npy("|u1", "(2, 1, 2)", &numbers)).path()).unwrap(), expected);
        assert_eq!(read_images(file(&idx::encode(&[2, 1, 2], &numbers)).path()).unwrap(), expected);
        let labels = read_labels(file(&npy("<i8", "(2,)", &[3, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0])).path(), None);
        assert_eq!(labels.unwrap(), [3, 9]);
        assert_eq!(read_labels(file(&idx::encode(&[2], &[3, 9])).path(), None).unwrap(), [3, 9]);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_one_sentence() {
        let floats = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let images = [
            (npy("<f4", "(1, 1, 2)", &floats(&[0.5, 1.5])), "the pixel 1.5"),
            (npy("<f4", "(1, 1, 2)", &floats(&[0.5, f32::NAN])), "the pixel NaN"),
            (npy("<f4", "(0, 1, 2)", &[]), "no image"),
            (npy("<f4", "(2,)", &floats(&[0.5, 0.5])), "the axes"),
            (npy("<f4", "(9, 9, 9)", &floats(&[0.5])), "shorter"),
            (npy("<f4", "(99999999999, 99999999999, 9)", &[]), "shorter"),
            (npy("<c8", "(1, 1, 1)", &[0; 8]), "type"),
            (npy("<f4", "(1, 1, ", &[]), "no whole npy file"),
            (MAGIC.to_vec(), "no whole npy file"),
            ([MAGIC, &[2, 0, 0xff, 0xff, 0xff, 0xff], b"{}"].concat(), "no whole npy file"),
        ];
        for (bytes, says) in images {
            let text = read_images(file(&bytes).path()).unwrap_err().to_string();
            assert!(text.contains(says) && text.ends_with('.'), "{text}");
        }
        for values in [[-1.0, 0.0], [0.5, 0.0], [f32::NAN, 0.0]] {
            assert!(read_labels(file(&npy("<f4", "(2,)", &floats(&values))).path(), None).unwrap_err().to_string().contains("label 0"));
        }
        assert!(read_labels(file(&npy("<f4", "(1, 2)", &floats(&[0.0, 0.0]))).path(), None).unwrap_err().to_string().contains("the axes"));
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn other_orders_types_and_axes_give_the_same_images() {
        // Two images of 2 × 3 pixels, 0 to 11.
        let plain: Vec<f32> = (0..12).map(|value| value as f32 / 16.0).collect();
        let expected = Images { count: 2, shape: [1, 2, 3], pixels: plain.clone() };
        let fortran: Vec<f32> = [0, 6, 3, 9, 1, 7, 4, 10, 2, 8, 5, 11].map(|value: u8| f32::from(value) / 16.0).to_vec();
        let halves: Vec<u8> = plain.iter().flat_map(|&value| half::f16::from_f32(value).to_le_bytes()).collect();
        for bytes in [
            npy("<f4", "(2, 1, 2, 3)", &floats(&plain)),
            npy_in_order("True", "<f4", "(2, 2, 3)", &floats(&fortran)),
            npy("<f2", "(2, 2, 3)", &halves),
            npy("<f4", "(2, 6)", &floats(&plain)),
        ] {
            assert_eq!(read_images_for(file(&bytes).path(), None, Some([1, 2, 3])).unwrap(), (expected.clone(), Vec::new()));
        }
        let text = read_images_for(file(&npy("<f4", "(2, 6)", &floats(&plain))).path(), None, Some([1, 2, 4])).unwrap_err().to_string();
        assert!(text.contains("has the axes [2, 6]"), "{text}");
        let read = |kind: &str, values: &[u8]| read_images_for(file(&npy(kind, "(1, 1, 2)", values)).path(), None, None).unwrap();
        assert_eq!(read("|b1", &[0, 1]).0.pixels, [0.0, 1.0]);
        let (dark, notes) = read("|u1", &[0, 1]);
        assert!(dark.pixels == [0.0, 1.0 / 255.0] && notes.len() == 1 && notes[0].contains("only 0 and 1"), "{notes:?}");
        assert!(read("|u1", &[0, 2]).1.is_empty() && read("|b1", &[0, 1]).1.is_empty());
        assert_eq!(read("<f4", &floats(&[-1e-6, 1.0 + 1e-6])).0.pixels, [0.0, 1.0]);
        let labels = npy("<i4", "(2, 1)", &[3, 0, 0, 0, 9, 0, 0, 0]);
        assert_eq!(read_labels(file(&labels).path(), None).unwrap(), [3, 9]);
    }

    #[test]
    fn ranges_and_axes_of_other_libraries_are_refused_with_the_conversion() {
        let refused = |bytes: &[u8], shape| read_images_for(file(bytes).path(), None, shape).unwrap_err().to_string();
        for (bytes, shape, says) in [
            (npy("|u1", "(1, 5, 6, 3)", &[0; 90]), None, "save x.transpose(0, 3, 1, 2)"),
            (npy("|u1", "(1, 5, 6, 3)", &[0; 90]), Some([3, 5, 6]), "save x.transpose(0, 3, 1, 2)"),
            (npy("<f4", "(1, 1, 3)", &floats(&[0.0, 3.0, 255.0])), None, "(x / 255).astype('float32')"),
            (npy("<u2", "(1, 1, 2)", &[0, 0, 200, 0]), None, "x.astype('uint8')"),
            (npy("<f4", "(1, 1, 2)", &floats(&[-1.0, 1.0])), None, "(x + 1) / 2"),
            (npy("<f4", "(1, 1, 2)", &floats(&[0.0, 1.001])), None, "scale the images"),
        ] {
            let text = refused(&bytes, shape);
            assert!(text.contains(says) && text.ends_with('.'), "{text}");
        }
        // Three columns are three columns where the models say so.
        assert!(read_images_for(file(&npy("|u1", "(1, 5, 6, 3)", &[0; 90])).path(), None, Some([5, 6, 3])).is_ok());
    }

    #[test]
    fn of_an_npz_file_the_key_or_the_one_array_that_fits_is_read() {
        use std::io::Write as _;
        let archive = |arrays: &[(&str, Vec<u8>)]| {
            let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
            for (name, bytes) in arrays {
                zip.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
                zip.write_all(bytes).unwrap();
            }
            file(&zip.finish().unwrap().into_inner())
        };
        let images = encode(&[2, 1, 1, 2], &[0.0, 0.25, 0.5, 0.75]);
        let labels = npy("|u1", "(2, 1)", &[1, 0]);
        let both = archive(&[("x", images.clone()), ("y", labels.clone())]);
        assert_eq!(read_images(both.path()).unwrap().pixels, [0.0, 0.25, 0.5, 0.75]);
        assert_eq!(read_labels(both.path(), None).unwrap(), [1, 0]);
        let several = archive(&[("a", images.clone()), ("b", images), ("y", labels)]);
        assert_eq!(read_images_for(several.path(), Some("b"), None).unwrap().0.count, 2);
        for (key, says) in [(None, "several arrays that may be images [N, C, H, W]: a, b"), (Some("c"), "holds no array 'c', but a, b, y")]
        {
            let text = read_images_for(several.path(), key, None).unwrap_err().to_string();
            assert!(text.contains(says) && text.contains("--key"), "{text}");
        }
        let text = read_labels(archive(&[("x", encode(&[2, 1, 1, 2], &[0.0; 4]))]).path(), None).unwrap_err().to_string();
        assert!(text.contains("holds no array of labels [N], but 'x' [2, 1, 1, 2]"), "{text}");
    }
}
