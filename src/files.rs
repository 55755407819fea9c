//! Reading and writing whole files: a file appears under its name complete, or not at all. Foreign files and names, hashes of files, and the
//! user's folders.

mod lock;

pub use lock::{FolderLock, LOCK};

use crate::budget;
use crate::error::{Error, Result};
use sha2::Digest;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write as _};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Once;

/// How the names of unfinished files begin.
pub const TEMPORARY: &str = ".epistemap-";
/// The longest name of a file or folder that comes from outside, in bytes: file systems allow 255, and files get longer names beside it.
pub const LONGEST_NAME: usize = 100;
/// JSON takes at most so many times its length as values in memory: one of `{"":0}` is a node of a tree.
const JSON_GROWTH: u64 = 100;

/// Opens a file to read. Only a regular one: a pipe may never end, nor begin.
///
/// # Errors
/// When it is none; names the path and what the operating system said.
pub fn open(path: &Path) -> Result<File> {
    let facts = std::fs::metadata(path).map_err(|error| Error::io(path, &error))?;
    if facts.is_dir() {
        return Err(Error::file(path, "is a folder where a file is expected", "name a file"));
    }
    if !facts.is_file() {
        return Err(Error::file(path, "is a device, a pipe or a socket, not a regular file", "save its content as a file and name that"));
    }
    File::open(path).map_err(|error| Error::io(path, &error))
}

/// Reads a whole regular file that fits into the memory budget.
///
/// # Errors
/// When it is none, or does not fit; names the path and what the operating system said.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    read_at_most(path, budget::limit())
}

/// As [`read`], for a text of JSON, of which the values must fit into the memory budget too.
///
/// # Errors
/// As [`read`].
pub fn read_json(path: &Path) -> Result<Vec<u8>> {
    read_at_most(path, budget::limit() / JSON_GROWTH)
}

/// Refuses JSON whose values may not fit into the memory budget.
///
/// # Errors
/// Names the path, the estimate and the limit.
pub fn check_json(path: &Path, bytes: &[u8]) -> Result<()> {
    let length = bytes.len() as u64;
    if length > budget::limit() / JSON_GROWTH { Err(too_long(path, length, budget::limit() / JSON_GROWTH)) } else { Ok(()) }
}

/// Reads a whole regular file of at most so many bytes.
///
/// # Errors
/// As [`read`].
pub fn read_at_most(path: &Path, most: u64) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Error::io(path, &error);
    let file = open(path)?;
    let length = file.metadata().map_err(failed)?.len();
    if length > most {
        return Err(too_long(path, length, most));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    // It may have grown since.
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most { Err(too_long(path, bytes.len() as u64, most)) } else { Ok(bytes) }
}

/// Refuses a file of safetensors whose header, a text of JSON, may not fit into the memory budget.
///
/// # Errors
/// As [`check_json`].
pub fn check_header(path: &Path, bytes: &[u8]) -> Result<()> {
    let length = bytes.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
    // A longer one than the file is the decoder's to refuse.
    check_json(path, &bytes[..length.min(bytes.len() as u64) as usize])
}

/// The same safetensors file with a sorted header. The library writes metadata in random order.
pub fn with_sorted_header(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = 8 + bytes.first_chunk().map_or(0, |length| u64::from_le_bytes(*length)) as usize;
    let header = bytes.get(8..end).and_then(|header| serde_json::from_slice::<BTreeMap<String, serde_json::Value>>(header).ok());
    if let Some(mut sorted) = header.and_then(|header| serde_json::to_vec(&header).ok()) {
        // Padded with spaces, as the library does; the order of keys does not change the length.
        sorted.resize(end - 8, b' ');
        bytes.splice(8..end, sorted);
    }
    bytes
}

/// Unpacks a part of an archive that holds `what`, of at most so many bytes: a few may unpack to any number.
///
/// # Errors
/// When there are more, or the archive is damaged.
pub fn unpack(path: &Path, what: &str, packed: impl Read, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let damaged = |error: std::io::Error| Error::file(path, format!("is damaged: {what} cannot be unpacked ({error})"), "get it again");
    packed.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(damaged)?;
    if bytes.len() as u64 <= most {
        return Ok(bytes);
    }
    let problem = format!("{what} unpacks to more than {}", budget::size(most as f64));
    Err(Error::file(path, problem, format!("get the file again, or allow more memory with {}", budget::OPTION)))
}

fn too_long(path: &Path, length: u64, most: u64) -> Error {
    let problem = format!("holds {} where a file of its kind has {} at most", budget::size(length as f64), budget::size(most as f64));
    Error::file(path, problem, format!("name another file, or allow more memory with {}", budget::OPTION))
}

thread_local! {
    /// Whether this thread is in [`guarded`].
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a decoder of another crate on the foreign file `path`. Where it panics, the file is refused like any other that cannot be decoded.
///
/// # Errors
/// Those of the decoder.
pub fn guarded<T>(path: &Path, decode: impl FnOnce() -> Result<T>) -> Result<T> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IS_GUARDED.get() {
                loud(panic);
            }
        }));
    });
    let outer = IS_GUARDED.replace(true);
    // What a decoder has half done is dropped with its panic.
    let decoded = std::panic::catch_unwind(AssertUnwindSafe(decode));
    IS_GUARDED.set(outer);
    decoded.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        let problem = format!("is damaged in a way that its decoder does not expect ({})", text.unwrap_or("no reason given"));
        Err(Error::file(path, problem, "get the file again, or save it anew"))
    })
}

/// What is wrong with a text from outside as the name of a file or folder, on any system.
pub fn name_problem(name: &str) -> Option<&'static str> {
    const RESERVED: [&str; 4] = ["CON", "PRN", "AUX", "NUL"];
    // Files that the program writes beside models.
    const OWN: [&str; 9] = [
        "card.md",
        "encodings.safetensors",
        "backbone.safetensors",
        "plan.json",
        "shard.json",
        LOCK,
        "model.json",
        "weights.safetensors",
        "film",
    ];
    let stem = name.split('.').next().unwrap_or_default().to_ascii_uppercase();
    let device = RESERVED.contains(&stem.as_str()) || (stem.len() == 4 && (stem.starts_with("COM") || stem.starts_with("LPT")));
    match name {
        _ if name.trim().is_empty() => Some("is empty"),
        _ if name.len() > LONGEST_NAME => Some("is too long"),
        _ if name.chars().any(|c| c.is_control() || "/\\:*?\"<>|".contains(c)) => {
            Some("has a character that folders' names cannot have everywhere")
        }
        _ if name.starts_with('.') => Some("begins with a dot, which hides a folder"),
        _ if name.trim() != name || name.ends_with('.') => Some("begins or ends with a space, or ends with a dot"),
        _ if OWN.contains(&name.to_lowercase().as_str()) => Some("is that of a file of the program"),
        _ if device => Some("is a device's name on some systems"),
        _ => None,
    }
}

/// The path in an output folder under a name that comes from `origin`, a file or a folder of outside.
///
/// # Errors
/// When the name is not that of something right in the folder, or a link stands there: nothing is written outside the folder.
pub fn inside(folder: &Path, name: &str, origin: &Path) -> Result<PathBuf> {
    if let Some(problem) = name_problem(name) {
        let problem = format!("the name '{name}' {problem}, so no file or folder in {} can have it", folder.display());
        return Err(Error::file(origin, problem, "give the model another name, such as 'classifier-0'"));
    }
    let path = folder.join(name);
    refuse_link(&path)?;
    Ok(path)
}

/// Refuses a folder in an output folder that is a link: what is written into it would lie elsewhere.
///
/// # Errors
/// When it is a link.
pub fn refuse_link(path: &Path) -> Result<()> {
    if path.is_symlink() {
        let problem = "is a link, and a link in an output folder is not followed";
        return Err(Error::file(path, problem, "remove it, or name another output folder"));
    }
    Ok(())
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

/// Writes a file at a path that a person typed. A link stays and the file that it names is written, a device or a pipe is written into; anything
/// else as [`write_atomically`], which replaces a link.
///
/// # Errors
/// Names the path and what the operating system said.
pub fn write_through(path: &Path, content: &[u8]) -> Result<()> {
    match std::fs::metadata(path) {
        Ok(facts) if !facts.is_file() && !facts.is_dir() => {
            let write = || std::fs::OpenOptions::new().write(true).open(path)?.write_all(content);
            write().map_err(|error| Error::io(path, &error))
        }
        Ok(_) if path.is_symlink() => write_atomically(&path.canonicalize().map_err(|error| Error::io(path, &error))?, content),
        // A link to a file that is not there yet.
        Err(_) if path.is_symlink() => {
            let target = std::fs::read_link(path).map_err(|error| Error::io(path, &error))?;
            let target = folder_of(path).join(target);
            if target.is_symlink() {
                return Err(Error::file(path, "is a link to a link that leads nowhere", "remove it, or name another file"));
            }
            write_atomically(&target, content)
        }
        _ => write_atomically(path, content),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_stay_in_the_folder() {
        let place = tempfile::tempdir().unwrap();
        let inside = |name: &str| inside(place.path(), name, Path::new("model.json")).map_err(|error| error.to_string());
        for name in ["classifier-0", "größe 3 (2)", "a.b", "комп"] {
            assert_eq!(inside(name), Ok(place.path().join(name)));
        }
        let long = "x".repeat(LONGEST_NAME + 1);
        for name in ["", "..", ".", "../victim", "/etc", "a/b", "a\\b", "C:", "nul.txt", "a\nb", " a", "a.", &long] {
            let text = inside(name).unwrap_err();
            assert!(text.starts_with("model.json: the name '") && text.ends_with('.'), "{text}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_kept_where_they_were_typed_and_not_followed_inside_a_folder() {
        use std::os::unix::fs::symlink;
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        write_through(&path("target"), b"old").unwrap();
        symlink("target", path("link")).unwrap();
        symlink("later", path("dangling")).unwrap();
        symlink("dangling", path("twice")).unwrap();
        assert!(write_through(&path("twice"), b"new").unwrap_err().to_string().contains("leads nowhere"));
        for (link, target) in [("link", "target"), ("dangling", "later")] {
            write_through(&path(link), b"new").unwrap();
            assert!(path(link).is_symlink() && read(&path(target)).unwrap() == b"new", "{link}");
        }
        assert!(inside(place.path(), "link", place.path()).unwrap_err().to_string().contains("is a link"));
        write_atomically(&path("link"), b"mine").unwrap();
        assert!(!path("link").is_symlink() && read(&path("target")).unwrap() == b"new", "a link inside a folder is replaced");
        let null = Path::new("/dev/null");
        write_through(null, b"gone").unwrap();
        assert!(std::os::unix::fs::FileTypeExt::is_char_device(&std::fs::metadata(null).unwrap().file_type()));
    }

    #[test]
    fn only_regular_files_of_a_length_are_read() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        write_atomically(&file, &[7; 100]).unwrap();
        assert_eq!(read_at_most(&file, 100).unwrap(), [7; 100]);
        for (result, says) in [
            (read_at_most(&file, 99), "holds 100 bytes"),
            (read(place.path()), "is a folder"),
            #[cfg(unix)]
            (read(Path::new("/dev/zero")), "not a regular file"),
        ] {
            let text = result.unwrap_err().to_string();
            assert!(text.contains(says), "{text}");
        }
        // Sparse: it takes no room on the disk.
        File::create(&file).unwrap().set_len(1 << 42).unwrap();
        assert!(read(&file).unwrap_err().to_string().contains("holds 4.4 TB"));
    }

    #[test]
    fn a_panic_of_a_decoder_is_an_error_of_the_file() {
        let path = Path::new("a.png");
        assert_eq!(guarded(path, || Ok(3)).unwrap(), 3);
        assert!(matches!(guarded(path, || -> Result<()> { Err(Error::Cancelled) }), Err(Error::Cancelled)));
        let text = guarded(path, || -> Result<()> { panic!("index {} is out of range", 3) }).unwrap_err().to_string();
        assert!(text.starts_with("a.png: is damaged") && text.contains("(index 3 is out of range)"), "{text}");
        assert!(!IS_GUARDED.get(), "a later panic is reported again");
    }
}
