//! IDX, the format of the MNIST files (described on the MNIST page of Y. Le Cun, C. Cortes & C. Burges): two zero bytes, the
//! element type, the number of axes, the length of each axis as a big-endian u32, then the elements in row-major order.
//! Plain or gzip, told apart by the first bytes rather than by the name.

use super::{Dataset, Split};
use crate::budget;
use crate::error::{Error, Result};
use crate::files;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The element type u8, the only one that images and labels come in.
const UNSIGNED_BYTE: u8 = 0x08;
/// A file of more elements (2 GiB as f32) is taken for a damaged header.
const MOST_ELEMENTS: u64 = 1 << 29;
/// Deflate cannot shrink anything further than this (a run of equal bytes).
const DEFLATE_LIMIT: u64 = 1032;
/// Bytes of an element in memory: itself in a buffer that grows by doubling, and a pixel in single precision.
const BYTES_PER_ELEMENT: u64 = 2 + 4;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The images of an IDX file.
#[derive(Clone, Debug, PartialEq)]
pub struct IdxImages {
    /// The number of images.
    pub count: usize,
    /// 1 for a file with the axes \[N, H, W\].
    pub channels: usize,
    /// The height of an image.
    pub rows: usize,
    /// The width of an image.
    pub cols: usize,
    /// The pixels in 0..=1 (byte / 255), \[N, C, H, W\] row-major.
    pub pixels: Vec<f32>,
}

/// Reads images: u8 with the axes \[N, H, W\] or \[N, C, H, W\].
///
/// # Errors
/// When the file cannot be read, is no such IDX file, or its length is not exactly what its header says.
pub fn read_images(path: &Path) -> Result<IdxImages> {
    let (file, size) = open(path)?;
    files::guarded(path, || decode_images(path, file, size))
}

fn decode_images(path: &Path, bytes: impl BufRead, size: u64) -> Result<IdxImages> {
    let (axes, bytes) = decode(path, bytes, size, &[3, 4], "images [N, H, W] or [N, C, H, W]")?;
    let (channels, [rows, cols]) = match axes[1..] {
        [channels, rows, cols] => (channels, [rows, cols]),
        _ => (1, [axes[1], axes[2]]),
    };
    let pixels = bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    Ok(IdxImages { count: axes[0], channels, rows, cols, pixels })
}

/// Reads labels: u8 with the one axis \[N\].
///
/// # Errors
/// As [`read_images`].
pub fn read_labels(path: &Path) -> Result<Vec<u16>> {
    let (file, size) = open(path)?;
    files::guarded(path, || decode_labels(path, file, size))
}

fn decode_labels(path: &Path, bytes: impl BufRead, size: u64) -> Result<Vec<u16>> {
    Ok(decode(path, bytes, size, &[1], "labels [N]")?.1.into_iter().map(u16::from).collect())
}

/// Reads a file of images and the file of their labels.
///
/// # Errors
/// As [`read_images`], and when the counts differ or a label is not below the number of classes.
pub fn load_pair(name: &str, images_path: &Path, labels_path: &Path, classes: Vec<String>) -> Result<Dataset> {
    pair(name, [images_path, labels_path], read_images(images_path)?, read_labels(labels_path)?, classes)
}

/// The same from the bytes of both files, images first; their paths are for messages.
///
/// # Errors
/// As [`load_pair`].
pub fn decode_pair(name: &str, files: [(&Path, &[u8]); 2], classes: Vec<String>) -> Result<Dataset> {
    let [(images_path, images), (labels_path, labels)] = files;
    let decoded = decode_images(images_path, images, images.len() as u64)?;
    pair(name, [images_path, labels_path], decoded, decode_labels(labels_path, labels, labels.len() as u64)?, classes)
}

fn pair(name: &str, paths: [&Path; 2], images: IdxImages, labels: Vec<u16>, classes: Vec<String>) -> Result<Dataset> {
    let [images_path, labels_path] = paths;
    let wrong = |problem| Err(Error::file(labels_path, problem, "put the labels that belong to the images there"));
    if labels.len() != images.count {
        return wrong(format!("holds {} labels, but {} holds {} images", labels.len(), images_path.display(), images.count));
    }
    if let Some(at) = labels.iter().position(|&label| usize::from(label) >= classes.len()) {
        return wrong(format!("label {at} is {}, but the classes are numbered 0 to {}", labels[at], classes.len().saturating_sub(1)));
    }
    Dataset::new(name, [images.channels, images.rows, images.cols], images.pixels, labels, classes)
}

/// The bytes of a plain IDX file of u8.
///
/// # Panics
/// When `values` are not as many as `axes` say, or there are more than 255 axes.
pub fn encode(axes: &[u32], values: &[u8]) -> Vec<u8> {
    assert_eq!(axes.iter().map(|&axis| axis as usize).product::<usize>(), values.len(), "an IDX file of {axes:?}");
    assert!(axes.len() < 256, "an IDX file has at most 255 axes");
    let header = [0, 0, UNSIGNED_BYTE, axes.len() as u8].into_iter();
    header.chain(axes.iter().flat_map(|axis| axis.to_be_bytes())).chain(values.iter().copied()).collect()
}

/// The files of images and labels of a split in a folder, plain or gzipped, under the names of MNIST's page or those with a dot; also in
/// `raw` or `MNIST/raw` below it, where torchvision puts them.
pub(super) fn files_in(folder: &Path, split: Split) -> Option<[PathBuf; 2]> {
    let find = |folder: &Path| {
        let file = |name: &str| {
            let dotted = name.replace("-idx", ".idx");
            let names = [name.to_owned(), format!("{name}.gz"), dotted.clone(), format!("{dotted}.gz")];
            names.into_iter().map(|name| folder.join(name)).find(|path| path.is_file())
        };
        let [images, labels] = split.files().map(file);
        Some([images?, labels?])
    };
    ["", "raw", "MNIST/raw"].into_iter().find_map(|below| find(&folder.join(below)))
}

/// A file and its size in bytes.
fn open(path: &Path) -> Result<(BufReader<File>, u64)> {
    let file = files::open(path)?;
    let size = file.metadata().map_err(|error| Error::io(path, &error))?.len();
    Ok((BufReader::new(file), size))
}

/// The axes and the elements of an IDX file of `size` bytes with one of the expected numbers of axes.
fn decode(path: &Path, mut bytes: impl BufRead, size: u64, expected_axes: &[usize], what: &str) -> Result<(Vec<usize>, Vec<u8>)> {
    if bytes.fill_buf().map_err(|error| Error::io(path, &error))?.starts_with(&GZIP_MAGIC) {
        parse(path, MultiGzDecoder::new(bytes), size.saturating_mul(DEFLATE_LIMIT), expected_axes, what)
    } else {
        parse(path, bytes, size, expected_axes, what)
    }
}

/// Reads the header, then the elements; never more than the header promises, which in turn is believed only up to `most`
/// bytes: neither a lying header nor a gzip bomb takes memory that the file does not pay for.
fn parse(path: &Path, mut bytes: impl Read, most: u64, expected_axes: &[usize], what: &str) -> Result<(Vec<usize>, Vec<u8>)> {
    let damaged = |problem: String| Error::file(path, problem, "get the file again");
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("the file ends too early".to_owned()),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => damaged(format!("the gzip data are damaged ({error})")),
        _ => Error::io(path, &error),
    };
    let mut magic = [0; 4];
    bytes.read_exact(&mut magic).map_err(unreadable)?;
    let [0, 0, element_type, axis_count] = magic else {
        return Err(damaged(format!("not an IDX file: it starts with {magic:02x?} where two zero bytes are expected")));
    };
    if element_type != UNSIGNED_BYTE {
        return Err(damaged(format!("holds elements of the IDX type {element_type:#04x} where {UNSIGNED_BYTE:#04x} (u8) is expected")));
    }
    if !expected_axes.contains(&usize::from(axis_count)) {
        return Err(damaged(format!("has {axis_count} axes where {what} are expected")));
    }
    let mut axes = Vec::new();
    for _ in 0..axis_count {
        let mut axis = [0; 4];
        bytes.read_exact(&mut axis).map_err(unreadable)?;
        axes.push(u32::from_be_bytes(axis));
    }
    let elements = axes.iter().try_fold(1u64, |product, &axis| product.checked_mul(u64::from(axis)));
    let Some(elements @ 1..=MOST_ELEMENTS) = elements else {
        return Err(damaged(format!("says that it holds {axes:?} elements: none, or more than can be true")));
    };
    if elements > most {
        return Err(damaged(format!("says that it holds {axes:?} elements, but ends before")));
    }
    budget::check_file(path, format!("its {axes:?} elements"), (elements * BYTES_PER_ELEMENT) as f64)?;
    let mut values = Vec::new();
    bytes.by_ref().take(elements).read_to_end(&mut values).map_err(unreadable)?;
    if (values.len() as u64) < elements {
        return Err(damaged(format!("holds {} elements where its header says {axes:?}", values.len())));
    }
    // Reading on also makes the gzip decoder compare its checksum.
    if bytes.read(&mut [0]).map_err(unreadable)? > 0 {
        return Err(damaged(format!("goes on after the {axes:?} elements of its header")));
    }
    Ok((axes.into_iter().map(|axis| axis as usize).collect(), values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;

    fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn classes(count: usize) -> Vec<String> {
        (0..count).map(|class| class.to_string()).collect()
    }

    #[test]
    fn images_of_three_and_four_axes_are_read_plain_and_gzipped() {
        let values: Vec<u8> = (0..30).map(|i| i * 8).collect();
        for (axes, channels) in [(vec![2, 3, 5], 1), (vec![1, 2, 3, 5], 2)] {
            let bytes = encode(&axes, &values);
            for bytes in [bytes.clone(), gzip(&bytes)] {
                let images = read_images(written(&bytes).path()).unwrap();
                assert_eq!((images.count, images.channels, images.rows, images.cols), (axes[0] as usize, channels, 3, 5));
                assert!(images.pixels.iter().zip(&values).all(|(&pixel, &value)| pixel == f32::from(value) / 255.0));
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let good = encode(&[2, 3, 5], &[7; 30]);
        let mutated = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            bytes
        };
        let bomb = gzip(&encode(&[4, 1000, 1000], &vec![0; 4_000_000]));
        let mut longer_bomb = encode(&[1, 1, 1], &[0]);
        longer_bomb.resize(4_000_000, 0);
        let with_garbage = [gzip(&good), vec![1; 20]].concat();
        let mut wrong_sum = gzip(&good);
        let at = wrong_sum.len() - 8;
        wrong_sum[at] ^= 1;
        for (bytes, text) in [
            (mutated(0, 1), "not an IDX file"),
            (mutated(2, 0x0d), "the IDX type 0x0d"),
            (mutated(3, 2), "has 2 axes"),
            (mutated(7, 0), "says that it holds [0, 3, 5]"),
            (mutated(4, 255), "more than can be true"),
            (mutated(5, 1), "but ends before"),
            (mutated(7, 3), "holds 30 elements where its header says [3, 3, 5]"),
            (mutated(7, 1), "goes on after"),
            (good[..good.len() - 1].to_vec(), "holds 29 elements"),
            (good[..9].to_vec(), "ends too early"),
            (Vec::new(), "ends too early"),
            (gzip(&longer_bomb), "goes on after"),
            (bomb[..bomb.len() - 9].to_vec(), "ends too early"),
            (with_garbage, "gzip data are damaged"),
            (wrong_sum, "gzip data are damaged"),
        ] {
            let file = written(&bytes);
            let error = read_images(file.path()).unwrap_err().to_string();
            assert!(error.contains(text) && error.contains(&*file.path().to_string_lossy()), "'{error}' should say '{text}'");
        }
    }

    #[test]
    fn labels_belong_to_their_images_and_classes() {
        let images = written(&encode(&[3, 2, 1], &[0, 51, 102, 153, 204, 255]));
        let load = |labels: &[u8], count| {
            let labels = written(&encode(&[labels.len() as u32], labels));
            load_pair("three", images.path(), labels.path(), classes(count)).map_err(|error| error.to_string())
        };
        let data = load(&[2, 0, 1], 3).unwrap();
        assert_eq!((data.len(), data.image_shape, data.image(1)), (3, [1, 2, 1], vec![0.4, 0.6].into()));
        assert!(load(&[2, 0], 3).unwrap_err().contains("holds 2 labels"));
        assert!(load(&[2, 0, 1], 2).unwrap_err().contains("label 0 is 2, but the classes are numbered 0 to 1"));
    }
}
