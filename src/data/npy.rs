//! Arrays of images and labels in files of NumPy's `npy` format, or in IDX files: what scripts hand over.

use super::idx;
use crate::budget;
use crate::error::{Error, Result};
use crate::files;
use npyz::{DType, NpyFile, Order, TypeChar, WriterBuilder as _};
use std::io::Read as _;
use std::path::Path;

/// How an npy file begins.
const MAGIC: &[u8] = b"\x93NUMPY";
/// An array of more elements (2 GiB as f32) is taken for a damaged header.
const MOST_ELEMENTS: u64 = 1 << 29;

/// Bytes of an element in memory beside the file: of any type as it is read, in double precision, and in single precision.
const BYTES_PER_ELEMENT: u64 = 8 + 8 + 4;

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

/// Reads images: from an npy file floats in 0..=1 or bytes (then over 255) with the axes \[N, C, H, W\] or \[N, H, W\]; or from an IDX file.
///
/// # Errors
/// When the file cannot be read, is neither, holds no image, or a pixel is not in 0..=1.
pub fn read_images(path: &Path) -> Result<Images> {
    let images = if is_npy(path)? {
        let (shape, values, bytes) = read(path)?;
        let scale = if bytes { 255.0 } else { 1.0 };
        let [count, channels, height, width] = match shape[..] {
            [n, c, h, w] => [n, c, h, w],
            [n, h, w] => [n, 1, h, w],
            _ => return Err(wrong(path, format!("has the axes {shape:?}"), "give images with the axes [N, C, H, W] or [N, H, W]")),
        };
        Images { count, shape: [channels, height, width], pixels: values.into_iter().map(|value| (value / scale) as f32).collect() }
    } else {
        let read = idx::read_images(path)?;
        Images { count: read.count, shape: [read.channels, read.rows, read.cols], pixels: read.pixels }
    };
    if images.pixels.is_empty() {
        return Err(wrong(path, "holds no image".to_owned(), "give one image at least"));
    }
    let length = images.shape.iter().product::<usize>();
    match images.pixels.iter().position(|pixel| !(0.0..=1.0).contains(pixel)) {
        None => Ok(images),
        Some(at) => {
            let problem = format!("image {} holds the pixel {}", at / length, images.pixels[at]);
            Err(wrong(path, problem, "scale the images to the range from 0 to 1"))
        }
    }
}

/// Reads labels: whole numbers from 0, from an npy file with one axis or from an IDX file.
///
/// # Errors
/// When the file cannot be read, is neither, or a label is not a whole number from 0.
pub fn read_labels(path: &Path) -> Result<Vec<usize>> {
    if !is_npy(path)? {
        return Ok(idx::read_labels(path)?.into_iter().map(usize::from).collect());
    }
    let (shape, values, _) = read(path)?;
    let &[_] = &shape[..] else { return Err(wrong(path, format!("has the axes {shape:?}"), "give labels with the one axis [N]")) };
    match values.iter().position(|value| !(*value >= 0.0 && value.fract() == 0.0 && *value < 1e9)) {
        None => Ok(values.into_iter().map(|value| value as usize).collect()),
        Some(at) => Err(wrong(path, format!("label {at} is {}", values[at]), "give whole numbers from 0")),
    }
}

/// The bytes of an npy file of f32 with these axes.
///
/// # Panics
/// When the values are not as many as the axes say.
pub fn encode(shape: &[usize], values: &[f32]) -> Vec<u8> {
    assert_eq!(shape.iter().product::<usize>(), values.len(), "an array of {shape:?}");
    let axes: Vec<u64> = shape.iter().map(|&axis| axis as u64).collect();
    let mut bytes = Vec::with_capacity(128 + 4 * values.len());
    let write = |bytes: &mut Vec<u8>| -> std::io::Result<()> {
        let mut writer = npyz::WriteOptions::new().default_dtype().shape(&axes).writer(bytes).begin_nd()?;
        writer.extend(values.iter().copied())?;
        writer.finish()
    };
    // Writing to memory cannot fail; a failure would leave a file that no reader takes.
    if write(&mut bytes).is_err() {
        bytes.clear();
    }
    bytes
}

/// Writes images \[N, C, H, W\] as an npy file of f32.
///
/// # Errors
/// When the file cannot be written.
pub fn write_images(path: &Path, shape: [usize; 3], pixels: &[f32]) -> Result<()> {
    files::write_atomically(path, &encode_images(shape, pixels))
}

/// The bytes of an npy file of images \[N, C, H, W\].
pub fn encode_images([channels, height, width]: [usize; 3], pixels: &[f32]) -> Vec<u8> {
    let count = pixels.len() / (channels * height * width);
    encode(&[count, channels, height, width], pixels)
}

fn wrong(path: &Path, problem: String, mend: &str) -> Error {
    Error::file(path, problem, mend)
}

/// The array of an npy file whose header is no longer than the file.
pub(crate) fn npy_file(bytes: &[u8]) -> std::io::Result<NpyFile<&[u8]>> {
    let header = match bytes {
        [_, _, _, _, _, _, 1, _, low, high, ..] => u16::from_le_bytes([*low, *high]).into(),
        [_, _, _, _, _, _, _, _, a, b, c, d, ..] => u32::from_le_bytes([*a, *b, *c, *d]),
        _ => 0,
    };
    if header as usize > bytes.len() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    NpyFile::new(bytes)
}

fn is_npy(path: &Path) -> Result<bool> {
    let mut first = Vec::new();
    let read = files::open(path)?.take(MAGIC.len() as u64).read_to_end(&mut first);
    read.map(|_| first == MAGIC).map_err(|error| Error::io(path, &error))
}

/// The axes and values of an npy file, and whether they were bytes.
fn read(path: &Path) -> Result<(Vec<usize>, Vec<f64>, bool)> {
    let bytes = files::read(path)?;
    files::guarded(path, || decode(path, &bytes))
}

fn decode(path: &Path, bytes: &[u8]) -> Result<(Vec<usize>, Vec<f64>, bool)> {
    let damaged = |error: std::io::Error| wrong(path, format!("is no whole npy file ({error})"), "save it again with numpy.save");
    let file = npy_file(bytes).map_err(damaged)?;
    let kind = match file.dtype() {
        DType::Plain(kind) => (kind.type_char(), kind.num_bytes().unwrap_or(0)),
        _ => (TypeChar::RawData, 0),
    };
    let elements = file.shape().iter().try_fold(1_u64, |product, &axis| product.checked_mul(axis)).filter(|&all| all <= MOST_ELEMENTS);
    let Some(elements) = elements.filter(|&all| all.saturating_mul(kind.1.max(1) as u64) <= bytes.len() as u64) else {
        return Err(wrong(path, format!("is shorter than its axes {:?} say", file.shape()), "save it again with numpy.save"));
    };
    if let Some(problem) = budget::excess(format!("its {elements} elements"), (elements * BYTES_PER_ELEMENT) as f64) {
        return Err(wrong(path, problem, "name a smaller file, or allow more with --memory"));
    }
    if file.order() != Order::C && file.shape().len() > 1 {
        return Err(wrong(path, "is in Fortran's order".to_owned(), "save numpy.ascontiguousarray of it"));
    }
    let shape: Vec<usize> = file.shape().iter().map(|&axis| axis as usize).collect();
    macro_rules! values {
        ($type:ty, $convert:expr) => {
            file.into_vec::<$type>().map_err(damaged)?.into_iter().map($convert).collect::<Vec<f64>>()
        };
    }
    let values = match kind {
        (TypeChar::Float, 4) => values!(f32, f64::from),
        (TypeChar::Float, 8) => values!(f64, |value| value),
        (TypeChar::Uint, 1) => values!(u8, f64::from),
        (TypeChar::Uint, 2) => values!(u16, f64::from),
        (TypeChar::Uint, 4) => values!(u32, f64::from),
        (TypeChar::Uint, 8) => values!(u64, |value| value as f64),
        (TypeChar::Int, 1) => values!(i8, f64::from),
        (TypeChar::Int, 2) => values!(i16, f64::from),
        (TypeChar::Int, 4) => values!(i32, f64::from),
        (TypeChar::Int, 8) => values!(i64, |value| value as f64),
        _ => return Err(wrong(path, format!("holds elements of the type {}", file.dtype().descr()), "save floats or whole numbers")),
    };
    assert_eq!(values.len() as u64, elements, "the reader gives what the header says");
    Ok((shape, values, kind == (TypeChar::Uint, 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    fn npy(kind: &str, shape: &str, values: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
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
        let labels = read_labels(file(&npy("<i8", "(2,)", &[3, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0])).path());
        assert_eq!(labels.unwrap(), [3, 9]);
        assert_eq!(read_labels(file(&idx::encode(&[2], &[3, 9])).path()).unwrap(), [3, 9]);
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
            assert!(read_labels(file(&npy("<f4", "(2,)", &floats(&values))).path()).unwrap_err().to_string().contains("label 0"));
        }
        assert!(read_labels(file(&npy("<f4", "(1, 1)", &floats(&[0.0]))).path()).unwrap_err().to_string().contains("the axes"));
    }
}
