//! Attacked images that are kept from run to run, in parts, by the hash of everything that made them.

use crate::data::npy;
use crate::error::{Error, Result};
use crate::files;
use crate::jobs::{AttackSettings, Classifiers};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

/// Raised where an attack of the same settings makes other images than before.
const VERSION: u32 = 1;

/// The folder of the user's cache directory that attacked images are kept in, if the system has one.
pub fn cache_folder() -> Option<PathBuf> {
    files::cache_folder("attacks")
}

/// A folder of attacked images.
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache in a folder.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(folder: &Path) -> Result<Self> {
        files::create_folder(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.npy"))
    }

    /// The images of a part, if they are there and whole.
    pub fn load(&self, key: &str, shape: [usize; 3], count: usize) -> Option<Vec<f32>> {
        let images = npy::read_images(&self.path(key)).ok()?;
        (images.shape == shape && images.count == count).then_some(images.pixels)
    }

    /// Keeps the images of a part.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn store(&self, key: &str, shape: [usize; 3], images: &[f32]) -> Result<()> {
        npy::write_images(&self.path(key), shape, images).map_err(|error| match error {
            Error::File { path, problem, .. } => Error::file(&path, problem, "name another place with --cache, or give --no-cache"),
            other => other,
        })
    }
}

/// The key of a part: the SHA-256 of the settings, the members, the images with their labels, and the number of the first.
pub(super) fn key(classifiers: &Classifiers, settings: &AttackSettings, (images, labels): (&[f32], &[usize]), first: usize) -> String {
    let mut hasher = Sha256::new();
    // Settings are plain data, which always have a form in JSON; should that change, an empty text is a key like another.
    let text = serde_json::to_string(settings).unwrap_or_default();
    hasher.update(format!("epistemap attack {VERSION}\n{text}\n{first}\n{:?}\n", classifiers.ensemble().image_shape()));
    // JSON has no infinity.
    hasher.update(settings.attack.epsilon.to_le_bytes());
    for &member in &settings.members {
        hasher.update(&classifiers.hashes[&classifiers.ensemble().members()[member].name]);
    }
    for chunk in images.chunks(1 << 14) {
        hasher.update(chunk.iter().flat_map(|pixel| pixel.to_le_bytes()).collect::<Vec<u8>>());
    }
    for label in labels {
        hasher.update((*label as u64).to_le_bytes());
    }
    files::hexadecimal(&hasher.finalize())
}
