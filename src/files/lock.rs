//! One writer per folder: a lock that the operating system frees when its process ends, however it ends.

use super::{create_folder, folder_of, refuse_link};
use crate::error::{Error, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// The name of the lock file in a locked folder.
pub const LOCK: &str = "epistemap.lock";

/// A locked folder, until this is dropped.
pub struct FolderLock {
    file: File,
    path: PathBuf,
    /// Whether the folder was made for the lock.
    is_new: bool,
}

impl FolderLock {
    /// Locks a folder, which is made where it is missing. A lock file that a dead process left is taken over. Where another process, or
    /// another part of this one, has the lock, the inner error says who. Where the file system has no locks, nothing is locked.
    ///
    /// # Errors
    /// When the folder or its lock file cannot be made.
    pub fn take(folder: &Path) -> Result<std::result::Result<Self, String>> {
        let is_new = !folder.exists();
        create_folder(folder)?;
        let path = folder.join(LOCK);
        let failed = |error: std::io::Error| Error::io(&path, &error);
        loop {
            refuse_link(&path)?;
            if path.exists() && !path.is_file() {
                return Err(Error::file(&path, "is no regular file, and the lock of its folder belongs there", "remove it"));
            }
            let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
            if let Err(TryLockError::WouldBlock) = file.try_lock() {
                let mut holder = String::new();
                // Where locked files cannot be read, the holder stays unknown.
                file.read_to_string(&mut holder).ok();
                let holder = holder.trim();
                return Ok(Err(if holder.is_empty() { "another process".to_owned() } else { holder.to_owned() }));
            }
            let lock = Self { file, path: path.clone(), is_new };
            // A former holder may have removed the file between its opening and its locking here: then again.
            if lock.is_held() {
                lock.file.set_len(0).map_err(failed)?;
                (&lock.file).write_all(format!("process {}\n", std::process::id()).as_bytes()).map_err(failed)?;
                return Ok(Ok(lock));
            }
        }
    }

    /// Whether the folder is still there, and still locked by this lock: not deleted, renamed or made anew.
    pub fn is_held(&self) -> bool {
        is_same(&self.file, &self.path)
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        if self.is_held() {
            std::fs::remove_file(&self.path).ok();
            if self.is_new {
                // Where nothing was written into it.
                std::fs::remove_dir(folder_of(&self.path)).ok();
            }
        }
    }
}

#[cfg(unix)]
fn is_same(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let identity = |metadata: &std::fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata(), path.symlink_metadata()), (Ok(open), Ok(named)) if identity(&open) == identity(&named))
}

#[cfg(not(unix))]
fn is_same(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_lock_at_a_time_and_a_file_of_a_dead_process_is_none() {
        let desk = tempfile::tempdir().unwrap();
        let folder = desk.path().join("new");
        let take = || FolderLock::take(&folder).unwrap();
        let first = take().unwrap();
        assert_eq!(take().err().unwrap(), format!("process {}", std::process::id()));
        assert!(FolderLock::take(&desk.path().join("other")).unwrap().is_ok(), "the negative control: another folder");
        drop(first);
        assert!(!folder.exists(), "nothing was written into it");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join(LOCK), "process 1234567890 of a former start\n").unwrap();
        let taken = take().unwrap();
        assert_eq!(std::fs::read_to_string(folder.join(LOCK)).unwrap(), format!("process {}\n", std::process::id()));
        drop(taken);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "a folder that was there stays");
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_no_lock_and_a_link_is_not_followed() {
        let desk = tempfile::tempdir().unwrap();
        let (victim, lock) = (desk.path().join("victim"), desk.path().join("folder").join(LOCK));
        std::fs::create_dir(lock.parent().unwrap()).unwrap();
        std::fs::write(&victim, "precious").unwrap();
        for target in [victim.clone(), desk.path().join("not there")] {
            std::os::unix::fs::symlink(&target, &lock).unwrap();
            let error = FolderLock::take(lock.parent().unwrap()).err().unwrap().to_string();
            assert!(error.contains("is a link") && lock.is_symlink(), "{error}");
            std::fs::remove_file(&lock).unwrap();
        }
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
        assert!(!desk.path().join("not there").exists());
        std::fs::create_dir(&lock).unwrap();
        let error = FolderLock::take(lock.parent().unwrap()).err().unwrap().to_string();
        assert!(error.contains("is no regular file"), "{error}");
        std::fs::remove_dir(&lock).unwrap();
        assert!(FolderLock::take(lock.parent().unwrap()).unwrap().is_ok(), "the negative control");
    }

    #[test]
    fn a_lock_notices_that_its_folder_has_gone_and_leaves_that_of_another_alone() {
        let desk = tempfile::tempdir().unwrap();
        let folder = desk.path().join("a");
        let first = FolderLock::take(&folder).unwrap().unwrap();
        assert!(first.is_held());
        std::fs::rename(&folder, desk.path().join("b")).unwrap();
        assert!(!first.is_held());
        let second = FolderLock::take(&folder).unwrap().unwrap();
        drop(first);
        assert!(second.is_held());
    }
}
