//! The pixels of a data set: numbers in memory, or bytes of a file that is mapped, so that a large set takes no memory of its own.

use crate::error::{Error, Result};
use memmap2::Mmap;
use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// The pixels of N images of the same size, in 0..=1. A copy shares what it holds.
#[derive(Clone)]
pub struct Pixels {
    /// Values of one image.
    size: usize,
    store: Store,
}

#[derive(Clone)]
enum Store {
    Numbers(Arc<Vec<f32>>),
    /// The images of these rows; a byte b is the pixel b / 255.
    Bytes {
        bytes: Arc<Bytes>,
        rows: Arc<Vec<u32>>,
    },
}

/// Bytes of images, one after the other.
pub(super) enum Bytes {
    Held(Vec<u8>),
    /// A file, of which more may follow behind the images.
    Mapped(Mmap),
}

impl Bytes {
    /// Maps a file that nobody changes: one that this program wrote and renamed, or that has no name.
    ///
    /// # Errors
    /// What the operating system said of `path`.
    #[expect(unsafe_code, reason = "a mapping of a file that others might cut short; those of the cache are replaced whole, never changed")]
    pub(super) fn map(file: &File, path: &Path) -> Result<Self> {
        // SAFETY: the file is the program's own: it is written once, under another name, and only read afterwards.
        let map = unsafe { Mmap::map(file) }.map_err(|error| Error::io(path, &error))?;
        Ok(Self::Mapped(map))
    }

    fn all(&self) -> &[u8] {
        match self {
            Self::Held(bytes) => bytes,
            Self::Mapped(map) => map,
        }
    }
}

impl Pixels {
    /// Numbers, \[N · size\].
    pub(super) fn of_numbers(size: usize, numbers: Vec<f32>) -> Self {
        Self { size, store: Store::Numbers(Arc::new(numbers)) }
    }

    /// The images of these rows of `bytes`, \[rows, size\].
    pub(super) fn of_bytes(size: usize, bytes: Arc<Bytes>, rows: Vec<u32>) -> Self {
        Self { size, store: Store::Bytes { bytes, rows: Arc::new(rows) } }
    }

    /// The number of values.
    pub(super) fn len(&self) -> usize {
        match &self.store {
            Store::Numbers(numbers) => numbers.len(),
            Store::Bytes { rows, .. } => rows.len() * self.size,
        }
    }

    /// The values of the images of a range.
    ///
    /// # Panics
    /// When it is not within the images.
    pub(super) fn of(&self, images: Range<usize>) -> Cow<'_, [f32]> {
        match &self.store {
            Store::Numbers(numbers) => Cow::Borrowed(&numbers[images.start * self.size..images.end * self.size]),
            Store::Bytes { bytes, rows } => {
                let of_row = |row: &u32| bytes.all()[*row as usize * self.size..][..self.size].iter().map(|&byte| f32::from(byte) / 255.0);
                Cow::Owned(rows[images].iter().flat_map(of_row).collect())
            }
        }
    }

    /// The images of these numbers, in their order.
    ///
    /// # Panics
    /// When one is not there.
    pub(super) fn select(&self, numbers: impl ExactSizeIterator<Item = usize>) -> Self {
        let store = match &self.store {
            Store::Numbers(all) => {
                let mut selected = Vec::with_capacity(numbers.len() * self.size);
                numbers.for_each(|number| selected.extend_from_slice(&all[number * self.size..][..self.size]));
                Store::Numbers(Arc::new(selected))
            }
            Store::Bytes { bytes, rows } => {
                Store::Bytes { bytes: Arc::clone(bytes), rows: Arc::new(numbers.map(|number| rows[number]).collect()) }
            }
        };
        Self { size: self.size, store }
    }
}

impl PartialEq for Pixels {
    /// Of equal images, whatever holds them.
    fn eq(&self, other: &Self) -> bool {
        self.size == other.size
            && self.len() == other.len()
            && (0..self.len() / self.size.max(1)).all(|image| self.of(image..image + 1) == other.of(image..image + 1))
    }
}

impl fmt::Debug for Pixels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} pixels", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_held_bytes_and_mapped_bytes_give_the_same_images() {
        let values: Vec<u8> = vec![0, 51, 102, 255, 204, 153];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bytes");
        std::fs::write(&path, [&values[..], &[9, 9, 9]].concat()).unwrap();
        let mapped = Bytes::map(&File::open(&path).unwrap(), &path).unwrap();
        let numbers = Pixels::of_numbers(2, [0.0, 0.2, 0.4, 1.0, 0.8, 0.6].to_vec());
        for bytes in [Bytes::Held(values), mapped] {
            let all = Pixels::of_bytes(2, Arc::new(bytes), vec![0, 1, 2]);
            assert_eq!(all, numbers);
            assert_eq!(*all.of(1..3), [0.4, 1.0, 0.8, 0.6]);
            let some = all.select([2, 0].into_iter());
            assert_eq!(some, numbers.select([2, 0].into_iter()));
            assert!(some != numbers.select([2, 1].into_iter()) && some.len() == 4);
        }
    }
}
