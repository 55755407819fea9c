//! Attacked images that are kept from run to run, in parts, by the hash of everything that made them.

use crate::attack::Settings;
use crate::data::npy;
use crate::error::{Error, Result};
use crate::files;
use crate::jobs::{AttackSettings, Classifiers};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

/// Raised where an attack of the same settings makes other images than before.
const VERSION: u32 = 1;

/// The bytes of the SHA-256 behind the array in a file; NumPy reads the array all the same.
const CHECKSUM: usize = 32;

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

    /// The images of a part, if they are there and as they were stored.
    pub fn load(&self, key: &str, shape: [usize; 3], count: usize) -> Option<Vec<f32>> {
        let path = self.path(key);
        let bytes = files::read(&path).ok()?;
        let (array, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM)?)?;
        if Sha256::digest(array)[..] != *checksum {
            return None;
        }
        let images = npy::decode_images(&path, array).ok()?;
        (images.shape == shape && images.count == count).then_some(images.pixels)
    }

    /// Keeps the images of a part.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn store(&self, key: &str, shape: [usize; 3], images: &[f32]) -> Result<()> {
        let mut bytes = npy::encode_images(shape, images);
        bytes.extend(Sha256::digest(&bytes));
        files::write_atomically(&self.path(key), &bytes).map_err(|error| match error {
            Error::File { path, problem, .. } => Error::file(&path, problem, "name another place with --cache, or give --no-cache"),
            other => other,
        })
    }
}

/// The key of a part: the SHA-256 of the settings, the members, the images with their labels, and the number of the first.
pub(super) fn key(classifiers: &Classifiers, settings: &AttackSettings, (images, labels): (&[f32], &[usize]), first: usize) -> String {
    let mut hasher = Sha256::new();
    // The draws that measure change no attacked image: the draws of the attack stand in the key in their place.
    let of_attack = AttackSettings {
        attack: Settings { attack_samples: None, ..settings.attack.clone() },
        samples: settings.attack_draws().unwrap_or(settings.samples),
        ..settings.clone()
    };
    // Settings are plain data, which always have a form in JSON; should that change, an empty text is a key like another.
    let text = serde_json::to_string(&of_attack).unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_pixel_of_a_kept_image_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, images) = (Cache::new(folder.path()).unwrap(), [0.0, 0.25, 0.5, 1.0]);
        cache.store("a", [1, 1, 2], &images).unwrap();
        assert_eq!(cache.load("a", [1, 1, 2], 2).unwrap(), images);
        assert_eq!(npy::read_images(&cache.path("a")).unwrap().pixels, images, "other readers find the array");
        assert_eq!((cache.load("a", [1, 2, 1], 2), cache.load("a", [1, 1, 2], 3), cache.load("b", [1, 1, 2], 2)), (None, None, None));
        let whole = std::fs::read(cache.path("a")).unwrap();
        let last = whole.len() - CHECKSUM - 4;
        for (what, bytes) in [
            ("a pixel, still in 0..=1", [&whole[..last], &0.75_f32.to_le_bytes(), &whole[last + 4..]].concat()),
            ("the checksum", [&whole[..whole.len() - 1], &[whole[whole.len() - 1] ^ 1]].concat()),
            ("of an earlier version, without a checksum", whole[..whole.len() - CHECKSUM].to_vec()),
            ("cut short", whole[..10].to_vec()),
        ] {
            std::fs::write(cache.path("a"), bytes).unwrap();
            assert_eq!(cache.load("a", [1, 1, 2], 2), None, "{what}");
        }
        let flipped = (0..8 * whole.len()).map(|bit| {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        });
        for (number, bytes) in flipped.chain((0..whole.len()).map(|end| whole[..end].to_vec())).enumerate() {
            // A file that is truncated and written is flushed on some disks, which takes long.
            std::fs::remove_file(cache.path("a")).unwrap();
            std::fs::write(cache.path("a"), bytes).unwrap();
            assert_eq!(cache.load("a", [1, 1, 2], 2), None, "damage {number}");
        }
    }
}
