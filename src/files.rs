//! Reading and writing whole files: a file appears under its name complete, or not at all.

use crate::error::{Error, Result};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

/// How the names of unfinished files begin.
pub const TEMPORARY: &str = ".epistemap-";

/// Reads a whole file.
///
/// # Errors
/// Names the path and what the operating system said.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Error::io(path, &error))
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
