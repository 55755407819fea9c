//! Arrays in NumPy's `npy` format.

use crate::budget;
use crate::error::{Error, Result};
use crate::files;
use npyz::{DType, NpyFile, Order, TypeChar, WriterBuilder as _};
use std::path::Path;

pub use super::array_images::{Images, decode_images, read_images, read_images_for, read_labels};

/// How an npy file begins.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";
/// An array of more elements (2 GiB as f32) is taken for a damaged header.
const MOST_ELEMENTS: u64 = 1 << 29;

/// Bytes of an element in memory beside the file: of any type as it is read, in double precision, in another order, and in single precision.
const BYTES_PER_ELEMENT: u64 = 8 + 8 + 8 + 4;

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

/// An array of numbers.
pub(super) struct Array {
    pub shape: Vec<usize>,
    /// Row-major.
    pub values: Vec<f64>,
    /// The kind of its elements, and their bytes.
    pub kind: (TypeChar, usize),
}

/// The kind of the elements of an array, and their bytes.
pub(super) fn kind_of(file: &NpyFile<&[u8]>) -> (TypeChar, usize) {
    match file.dtype() {
        DType::Plain(kind) => (kind.type_char(), kind.num_bytes().unwrap_or(0)),
        _ => (TypeChar::RawData, 0),
    }
}

/// The bytes of the elements that the header of an array promises; `None` for more than can be true.
pub(super) fn promised(file: &NpyFile<&[u8]>) -> Option<u64> {
    let elements = file.shape().iter().try_fold(1_u64, |product, &axis| product.checked_mul(axis)).filter(|&all| all <= MOST_ELEMENTS);
    elements.map(|elements| elements.saturating_mul(kind_of(file).1.max(1) as u64))
}

/// The array of the bytes of an npy file; `path` is for messages.
///
/// # Errors
/// When they are no such file, or hold something else than numbers.
pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Array> {
    let damaged = |error: std::io::Error| wrong(path, format!("is no whole npy file ({error})"), "save it again with numpy.save");
    let file = npy_file(bytes).map_err(damaged)?;
    let kind = kind_of(&file);
    if promised(&file).is_none_or(|promised| promised > bytes.len() as u64) {
        return Err(wrong(path, format!("is shorter than its axes {:?} say", file.shape()), "save it again with numpy.save"));
    }
    let elements: u64 = file.shape().iter().product();
    budget::check_file(path, format!("its {elements} elements"), (elements * BYTES_PER_ELEMENT) as f64)?;
    let is_fortran = file.order() != Order::C;
    let shape: Vec<usize> = file.shape().iter().map(|&axis| axis as usize).collect();
    macro_rules! values {
        ($type:ty, $convert:expr) => {
            file.into_vec::<$type>().map_err(damaged)?.into_iter().map($convert).collect::<Vec<f64>>()
        };
    }
    let values = match kind {
        (TypeChar::Float, 2) => values!(half::f16, f64::from),
        (TypeChar::Float, 4) => values!(f32, f64::from),
        (TypeChar::Float, 8) => values!(f64, |value| value),
        (TypeChar::Bool, 1) => values!(bool, f64::from),
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
    let values = if is_fortran && shape.len() > 1 { row_major(&shape, &values) } else { values };
    Ok(Array { shape, values, kind })
}

/// The values of an array in Fortran's order, of which the first index runs fastest, with the last one running fastest.
fn row_major(shape: &[usize], values: &[f64]) -> Vec<f64> {
    let mut index = vec![0; shape.len()];
    let mut ordered = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        ordered.push(values[index.iter().zip(shape).rev().fold(0, |at, (i, axis)| at * axis + i)]);
        for (i, &axis) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < axis {
                break;
            }
            *i = 0;
        }
    }
    ordered
}
