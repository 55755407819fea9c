//! Reading and writing whole files: a file appears under its name complete, or not at all. Hashes of files, and the user's folders.

use crate::error::{Error, Result};
use sha2::Digest;
use std::io::{ErrorKind, Read, Write as _};
use std::path::{Path, PathBuf};

/// How the names of unfinished files begin.
pub const TEMPORARY: &str = ".epistemap-";

/// Reads a whole file.
///
/// # Errors
/// Names the path and what the operating system said.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Error::io(path, &error))
}

/// What is in a folder, sorted by name.
///
/// # Errors
/// Names the path and what the operating system said.
pub fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let mut paths: Vec<PathBuf> = entries.map_err(|error| Error::io(folder, &error))?.iter().map(std::fs::DirEntry::path).collect();
    paths.sort();
    Ok(paths)
}

/// Bytes as hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// The hash of all that a reader gives, as hexadecimal digits.
///
/// # Errors
/// As the reader.
pub fn hash_of<D: Digest>(mut reader: impl Read) -> std::io::Result<String> {
    let (mut hash, mut buffer) = (D::new(), vec![0; 1 << 20]);
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hexadecimal(&hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

/// A folder of the user's cache directory, if the system has one; it need not be there yet.
pub fn cache_folder(name: &str) -> Option<PathBuf> {
    directories::ProjectDirs::from("", "", "epistemap").map(|project| project.cache_dir().join(name))
}

/// Creates a folder and its parents.
///
/// # Errors
/// Names the path and what the operating system said.
pub fn create_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => Error::file(path, "is no folder", "choose another place"),
        _ => Error::io(path, &error),
    })
}

/// Creates the folder that `path` is to lie in: work of hours should not end at a place that cannot be written to.
///
/// # Errors
/// As [`create_folder`].
pub fn create_folder_of(path: &Path) -> Result<()> {
    create_folder(folder_of(path))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Writes a file under a temporary name beside `path`, flushes it to the disk, then renames it: whatever happens on the
/// way (a full disk, a kill), `path` holds either its former content or all of the new one.
///
/// # Errors
/// Names the path and what the operating system said.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    create_folder_of(path)?;
    let write = || -> std::io::Result<()> {
        let mut builder = tempfile::Builder::new();
        readable_by_all(builder.prefix(TEMPORARY));
        let file = builder.tempfile_in(folder_of(path))?;
        // Through the plain file: the error then does not name the temporary one.
        file.as_file().write_all(content)?;
        file.as_file().sync_all()?;
        file.persist(path).map(drop).map_err(|error| error.error)
    };
    write().map_err(|error| Error::io(path, &error))
}

/// Removes what a kill in the middle of [`write_atomically`] left in a folder that nobody else writes to.
///
/// # Errors
/// Names the path and what the operating system said.
pub fn remove_leftovers(folder: &Path) -> Result<()> {
    let remove = || -> std::io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    };
    remove().map_err(|error| Error::io(folder, &error))
}

/// Temporary files are private by default; a figure or a model is to be read like any other file (less the umask).
#[cfg(unix)]
fn readable_by_all(builder: &mut tempfile::Builder<'_, '_>) {
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
}

#[cfg(not(unix))]
fn readable_by_all(_: &mut tempfile::Builder<'_, '_>) {}
