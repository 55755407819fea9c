//! Decoded images that are kept from run to run: one file per set and shape, the pixels as bytes, then a line that says what they are.

use super::pixels::Bytes;
use crate::error::{Error, Result};
use crate::files;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Sets of fewer bytes are held in memory and decoded in every run.
const KEPT_FROM: usize = 1 << 25;
/// Raised where the same files become other bytes than before.
const VERSION: u32 = 2;
/// The most bytes of a footer; it lists the images that could not be read.
const MOST_OF_FOOTER: u64 = 1 << 24;

/// Decoded images.
pub(super) struct Cached {
    /// \[N, size\]; zeros for images that could not be read.
    pub bytes: Bytes,
    /// Which images could not be read, and why.
    pub refused: Vec<(usize, String)>,
}

/// What the end of a file says.
#[derive(Serialize, Deserialize)]
struct Footer {
    key: String,
    sha256: String,
    refused: Vec<(usize, String)>,
}

type Decoded = std::result::Result<Vec<u8>, String>;

/// The bytes of `count` images of `shape`: those of the cache if they are of the same `key`, else those of `batches`, which are kept where
/// they are many. `of` names the set: another version of it takes its place in the cache.
///
/// # Errors
/// When no file can be written, neither to the user's cache nor to the folder of temporary files.
pub(super) fn bytes(
    of: &Path,
    shape: [usize; 3],
    count: usize,
    key: impl FnOnce() -> Vec<u8>,
    batches: impl Iterator<Item = Vec<Decoded>>,
) -> Result<Cached> {
    let folder = files::cache_folder("images");
    bytes_in(folder.as_deref(), of, (shape, count), key, batches)
}

fn bytes_in(
    folder: Option<&Path>,
    of: &Path,
    (shape, count): ([usize; 3], usize),
    key: impl FnOnce() -> Vec<u8>,
    batches: impl Iterator<Item = Vec<Decoded>>,
) -> Result<Cached> {
    let size: usize = shape.iter().product();
    if size * count < KEPT_FROM {
        let mut held = Vec::with_capacity(size * count);
        let refused = write(&mut held, size, batches).map_err(|error| Error::io(of, &error))?;
        return Ok(Cached { bytes: Bytes::Held(held), refused });
    }
    let name = files::hexadecimal(&Sha256::digest(format!("{} {shape:?}", of.display())));
    let key = format!("{VERSION} {}", files::hexadecimal(&key()));
    let path = folder.map(|folder| folder.join(format!("{name}.pixels")));
    if let Some(path) = &path
        && let Some(cached) = load(path, size * count, &key)
    {
        return Ok(cached);
    }
    // Where the user's cache cannot be written to, a file without a name serves this run alone.
    let named = path.as_ref().and_then(|path| {
        files::create_folder_of(path).ok()?;
        tempfile::Builder::new().prefix(files::TEMPORARY).tempfile_in(path.parent()?).ok()
    });
    let failed = |error: std::io::Error| Error::io(path.as_deref().unwrap_or(of), &error);
    let mut file = match &named {
        Some(named) => named.reopen(),
        None => tempfile::tempfile(),
    }
    .map_err(failed)?;
    let refused = fill(&mut file, size, &key, batches).map_err(failed)?;
    // The images are there, whether or not the next run finds them.
    if let (Some(named), Some(path)) = (named, &path) {
        named.persist(path).ok();
    }
    let bytes = Bytes::map(&file, path.as_deref().unwrap_or(of))?;
    Ok(Cached { bytes, refused })
}

/// Writes the images, and returns which could not be read.
fn write(out: &mut dyn std::io::Write, size: usize, batches: impl Iterator<Item = Vec<Decoded>>) -> std::io::Result<Vec<(usize, String)>> {
    let (mut refused, mut number) = (Vec::new(), 0);
    for decoded in batches.flatten() {
        match decoded {
            Ok(image) => out.write_all(&image)?,
            Err(problem) => {
                refused.push((number, problem));
                out.write_all(&vec![0; size])?;
            }
        }
        number += 1;
    }
    Ok(refused)
}

/// A writer that hashes what goes through it.
struct Hashed<'a> {
    file: BufWriter<&'a mut File>,
    hash: Sha256,
}

impl std::io::Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// Writes pixels, footer, and the footer's length. The footer's hash is that of the pixels and of what could not be read.
fn fill(file: &mut File, size: usize, key: &str, batches: impl Iterator<Item = Vec<Decoded>>) -> std::io::Result<Vec<(usize, String)>> {
    let mut hashed = Hashed { file: BufWriter::with_capacity(1 << 20, file), hash: Sha256::new() };
    let refused = write(&mut hashed, size, batches)?;
    let Hashed { mut file, hash } = hashed;
    let hash = hash.chain_update(serde_json::to_vec(&refused)?);
    let footer = Footer { key: key.to_owned(), sha256: files::hexadecimal(&hash.finalize()), refused };
    let text = serde_json::to_vec(&footer)?;
    file.write_all(&text)?;
    file.write_all(&(text.len() as u64).to_le_bytes())?;
    file.flush()?;
    Ok(footer.refused)
}

/// The images of a file; `None` where it is not there, of another key, or damaged.
fn load(path: &PathBuf, length: usize, key: &str) -> Option<Cached> {
    let mut file = File::open(path).ok()?;
    let mut word = [0; 8];
    file.seek(SeekFrom::End(-8)).ok()?;
    file.read_exact(&mut word).ok()?;
    let of_footer = u64::from_le_bytes(word);
    if of_footer > MOST_OF_FOOTER || file.metadata().ok()?.len() != length as u64 + of_footer + 8 {
        return None;
    }
    file.seek(SeekFrom::Start(length as u64)).ok()?;
    let mut text = vec![0; of_footer as usize];
    file.read_exact(&mut text).ok()?;
    let footer: Footer = serde_json::from_slice(&text).ok()?;
    if footer.key != key {
        return None;
    }
    file.rewind().ok()?;
    let refused = serde_json::to_vec(&footer.refused).ok()?;
    let hashed = file.try_clone().ok()?.take(length as u64).chain(&refused[..]);
    (files::hash_of::<Sha256>(hashed).ok()? == footer.sha256).then_some(())?;
    Some(Cached { bytes: Bytes::map(&file, path).ok()?, refused: footer.refused })
}

#[cfg(test)]
mod tests {
    use super::super::pixels::Pixels;
    use super::*;
    use std::sync::Arc;

    const SHAPE: [usize; 3] = [1, 1 << 11, 1 << 11];
    const COUNT: usize = 9;

    fn images(bytes: Bytes) -> Pixels {
        let size = SHAPE.iter().product();
        Pixels::of_bytes(size, Arc::new(bytes), (0..COUNT as u32).collect())
    }

    /// The images of a cache, and how many of them had to be decoded.
    fn from(folder: Option<&Path>, key: u8) -> (Pixels, Vec<(usize, String)>, usize) {
        let mut decoded = 0;
        let batches = (0..COUNT).map(|image| {
            decoded += 1;
            vec![if image == 4 { Err("no image".to_owned()) } else { Ok(vec![image as u8; SHAPE.iter().product()]) }]
        });
        let cached = bytes_in(folder, Path::new("set"), (SHAPE, COUNT), || vec![key], batches).unwrap();
        (images(cached.bytes), cached.refused, decoded)
    }

    #[test]
    fn large_sets_are_decoded_once_and_a_changed_byte_or_key_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = || std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let first = from(Some(folder.path()), 1);
        assert_eq!((first.1.as_slice(), first.2), (&[(4, "no image".to_owned())][..], COUNT));
        let again = from(Some(folder.path()), 1);
        assert!(again.0 == first.0 && again.1 == first.1 && again.2 == 0);
        // Of other files: decoded anew, and in the place of the former.
        assert_eq!(from(Some(folder.path()), 2).2, COUNT);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let mut bytes = std::fs::read(path()).unwrap();
        bytes[12345] ^= 1;
        std::fs::write(path(), &bytes).unwrap();
        assert_eq!(from(Some(folder.path()), 2).2, COUNT);
        bytes.truncate(1000);
        std::fs::write(path(), bytes).unwrap();
        let repaired = from(Some(folder.path()), 2);
        assert!(repaired.2 == COUNT && repaired.0 == first.0);
        // Without a place of its own.
        assert!(from(None, 1).0 == first.0);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_a_cache_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.pixels");
        let decoded = vec![vec![Ok(vec![7, 8, 9]), Err("no image".to_owned()), Ok(vec![1, 2, 3])]];
        fill(&mut File::create(&path).unwrap(), 3, "key", decoded.into_iter()).unwrap();
        let read = |bytes: &[u8]| {
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, bytes).unwrap();
            load(&path, 9, "key").map(|cached| cached.refused)
        };
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(read(&whole), Some(vec![(1, "no image".to_owned())]));
        let flipped = (0..8 * whole.len()).map(|bit| {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        });
        for (number, bytes) in flipped.chain((0..whole.len()).map(|end| whole[..end].to_vec())).enumerate() {
            assert_eq!(read(&bytes), None, "damage {number}");
        }
    }
}
