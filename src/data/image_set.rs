//! Sets of image files: their names by class, in a folder or an archive, and their pixels as bytes in a cache file.

use super::image_cache::{self, Cached};
use super::pixels::Bytes;
use super::{image_decoder, image_file};
use crate::budget;
use crate::error::{Error, Result};
use crate::files;
use flate2::read::GzDecoder;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;
use zip::ZipArchive;

/// Of images that nobody has split, a fifth is for testing: those whose name hashes below this share of 256.
const TEST_SHARE: u8 = 51;
/// A set of more values than this (8 GiB as bytes) is taken for a slip.
const MOST_VALUES: usize = 1 << 33;
/// So many images, evenly spread over the set, say which shape becomes of all.
const SAMPLED: usize = 64;
/// Images of one size keep it up to so many pixels along a side.
const LARGEST_KEPT: usize = 32;
/// Files that are decoded side by side before their pixels are written.
const BATCH: usize = 512;
/// The most bytes of an image file; as many are read at once as there are threads.
const MOST_OF_FILE: u64 = 1 << 27;

/// The extensions of images that are read, and of others.
const READ: [&str; 10] = ["png", "jpg", "jpeg", "jpe", "jfif", "bmp", "gif", "webp", "tif", "tiff"];
const UNREAD: [&str; 24] = [
    "avif", "cr2", "dcm", "dds", "dng", "exr", "hdr", "heic", "heif", "ico", "j2k", "jp2", "jxl", "nef", "pbm", "pcx", "pgm", "pnm", "ppm",
    "psd", "qoi", "raw", "svg", "tga",
];

/// An image file of a class.
pub(super) struct Entry {
    /// Where it stands: below the folder, or in the archive.
    pub path: PathBuf,
    pub class: usize,
    /// The hash of class and file name: it orders the images and parts them, whatever else is in the set.
    hash: [u8; 8],
}

impl Entry {
    pub fn new(path: PathBuf, class: usize) -> Self {
        let parts: Vec<_> = path.components().rev().take(2).map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
        let digest = Sha256::digest(parts.join("/"));
        Self { path, class, hash: std::array::from_fn(|at| digest[at]) }
    }

    pub fn is_for_testing(&self) -> bool {
        self.hash[0] < TEST_SHARE
    }
}

/// Puts images into the order of their hashes: the first so many are of every class.
pub(super) fn shuffle(entries: &mut [Entry]) {
    entries.sort_by(|a, b| (a.hash, &a.path).cmp(&(b.hash, &b.path)));
}

/// The images of a known set: in a folder with one sub-folder per class, or in an archive of the folder `root`; shuffled by their hash.
///
/// # Errors
/// When it cannot be read, or holds no image of these classes.
pub(super) fn of_source(path: &Path, root: &str, classes: &[String]) -> Result<(Holder, Vec<Entry>)> {
    let (holder, mut entries) = if path.is_dir() {
        let of_class = |class: usize| Ok(image_files(&path.join(&classes[class]))?.into_iter().map(move |file| Entry::new(file, class)));
        let entries: Result<Vec<_>> = (0..classes.len()).map(of_class).collect();
        (Holder::Folder, entries?.into_iter().flatten().collect::<Vec<_>>())
    } else {
        let (holder, names) = files::guarded(path, || Holder::open(path))?;
        let entry = |name: String| {
            let inside = Path::new(&name).strip_prefix(root).ok()?;
            let class = classes.iter().position(|class| inside.parent() == Some(Path::new(class)))?;
            is_image(inside).then(|| Entry::new(name.into(), class))
        };
        (holder, names.into_iter().filter_map(entry).collect())
    };
    if entries.is_empty() {
        return Err(Error::file(path, format!("holds no image of the classes {}", classes.join(", ")), "get the data set again"));
    }
    shuffle(&mut entries);
    Ok((holder, entries))
}

/// Whether a file is an image that is read, by its extension.
fn is_image(path: &Path) -> bool {
    has_extension(path, &READ)
}

/// Whether a file is an image in a format that is not read, by its extension.
pub(super) fn is_unread_image(path: &Path) -> bool {
    has_extension(path, &UNREAD)
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    !is_hidden(path) && extension.is_some_and(|extension| extensions.contains(&extension.as_str()))
}

/// Whether a file or folder belongs to a program rather than to the data, by its name: `.ipynb_checkpoints`, `__MACOSX`.
pub(super) fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".") || name == "__MACOSX")
}

/// The image files in a folder by their extension, sorted by name. Pipes, devices and links to nothing are among them: they are counted with
/// those that cannot be read.
pub(super) fn image_files(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(files::listed(folder)?.into_iter().filter(|path| !path.is_dir() && is_image(path)).collect())
}

/// What holds image files.
pub(super) enum Holder {
    /// Paths are those of the file system.
    Folder,
    Zip(PathBuf, Box<Mutex<ZipArchive<File>>>),
    /// An unpacked `.tar.gz`.
    Unpacked(PathBuf, BTreeMap<String, Vec<u8>>),
}

impl Holder {
    /// Opens an archive, `.zip` or `.tar.gz`, with the names of the files in it.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn open(path: &Path) -> Result<(Self, Vec<String>)> {
        let damaged = |problem: String| Error::file(path, format!("is a damaged archive: {problem}"), "get it again");
        let file = files::open(path)?;
        if path.extension().is_some_and(|extension| extension == "zip") {
            let archive = ZipArchive::new(file).map_err(|error| damaged(error.to_string()))?;
            let names = archive.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
            return Ok((Self::Zip(path.to_owned(), Box::new(Mutex::new(archive))), names));
        }
        let failed = |error: std::io::Error| damaged(error.to_string());
        let mut archive = tar::Archive::new(GzDecoder::new(file));
        let (mut unpacked, mut total) = (BTreeMap::new(), 0);
        for entry in archive.entries().map_err(failed)? {
            let mut entry = entry.map_err(failed)?;
            let name = entry.path().map_err(failed)?.to_string_lossy().into_owned();
            if entry.header().entry_type().is_file() {
                let bytes = files::unpack(path, "the archive", &mut entry, budget::limit().saturating_sub(total))?;
                total += bytes.len() as u64;
                unpacked.insert(name, bytes);
            }
        }
        let names = unpacked.keys().cloned().collect();
        Ok((Self::Unpacked(path.to_owned(), unpacked), names))
    }

    fn read(&self, entry: &Path) -> Result<Vec<u8>> {
        let name = entry.to_string_lossy();
        match self {
            Self::Folder => files::read_at_most(entry, MOST_OF_FILE),
            Self::Zip(path, archive) => {
                let damaged = |problem: String| Error::file(&path.join(entry), problem, "get the archive again");
                // A thread that panicked changed nothing that matters: every read seeks first.
                let mut archive = archive.lock().unwrap_or_else(PoisonError::into_inner);
                let file = archive.by_name(&name).map_err(|error| damaged(error.to_string()))?;
                files::unpack(&path.join(entry), "the file", file, MOST_OF_FILE)
            }
            Self::Unpacked(_, unpacked) => Ok(unpacked.get(&*name).cloned().unwrap_or_default()),
        }
    }

    /// How messages name a file.
    fn shown(&self, entry: &Path) -> PathBuf {
        match self {
            Self::Folder => entry.to_owned(),
            Self::Zip(path, _) | Self::Unpacked(path, _) => path.join(entry),
        }
    }

    /// What tells a file from one that was changed: its size and time, or those of its archive.
    fn stamp(&self, entry: &Path) -> String {
        let path = match self {
            Self::Folder => entry,
            Self::Zip(path, _) | Self::Unpacked(path, _) => path,
        };
        let Ok(facts) = std::fs::metadata(path) else { return String::new() };
        let time = facts.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        format!("{} {}", facts.len(), time.as_nanos())
    }
}

/// The images of a set that could be read.
pub(super) struct Images {
    pub bytes: Arc<Bytes>,
    /// Which of the entries they are: the images stand in `bytes` in the order of all entries.
    pub read: Vec<usize>,
    /// Why others could not be read: how many, and the sentence of the first.
    pub refused: Option<(usize, String)>,
}

/// Reads the images of a set as bytes of `shape` [channels, height, width]: from the cache where they were read before, else decoded side
/// by side, and kept there where they are many. `of` names the set.
///
/// # Errors
/// When there are too many for a slip, or the cache cannot be written.
pub(super) fn read(of: &Path, holder: &Holder, entries: &[Entry], shape: [usize; 3]) -> Result<Images> {
    let size = shape.iter().fold(1, |size: usize, &axis| size.saturating_mul(axis));
    if size == 0 || size.saturating_mul(entries.len()) > MOST_VALUES {
        let problem = format!("{} images of {shape:?} are none, or too many", entries.len());
        return Err(Error::file(of, problem, "choose fewer images, or a smaller --shape"));
    }
    let decode = |entry: &Entry| {
        let shown = holder.shown(&entry.path);
        let read = files::guarded(&shown, || holder.read(&entry.path));
        read.and_then(|bytes| image_file::decode_as_it_is(&shown, &bytes, shape)).map_err(|error| error.to_string())
    };
    let batches = entries.chunks(BATCH).map(|batch| batch.par_iter().map(decode).collect::<Vec<_>>());
    let key = || {
        let each = entries.iter().map(|entry| format!("{}\n{}", entry.path.display(), holder.stamp(&entry.path)));
        each.fold(Sha256::new().chain_update(format!("{shape:?}")), Sha256::chain_update).finalize().to_vec()
    };
    let Cached { bytes, refused } = image_cache::bytes(of, shape, entries.len(), key, batches)?;
    let read = (0..entries.len()).filter(|entry| refused.iter().all(|(other, _)| other != entry)).collect();
    let count = refused.len();
    Ok(Images { bytes: Arc::new(bytes), read, refused: refused.into_iter().next().map(|(_, first)| (count, first)) })
}

/// The shape that all images are brought to where nobody chose one: the size they share if it is no larger than 32 × 32, else 28 × 28 in
/// grey or 32 × 32 in colour.
pub(super) fn common_shape(entries: &[Entry]) -> [usize; 3] {
    let step = entries.len().div_ceil(SAMPLED).max(1);
    let kinds: Vec<_> = entries.iter().step_by(step).filter_map(|entry| image_decoder::kind_of(&entry.path)).collect();
    let channels = if kinds.iter().any(|kind| kind.colour) { 3 } else { 1 };
    match kinds.first() {
        Some(first) if first.size.iter().all(|&side| side <= LARGEST_KEPT) && kinds.iter().all(|kind| kind.size == first.size) => {
            [channels, first.size[1], first.size[0]]
        }
        _ if channels == 3 => [3, 32, 32],
        _ => [1, 28, 28],
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Dataset, Split, locate, sources};
    use super::*;
    use std::io::Write as _;

    /// A PNG of one colour.
    fn png(value: u8) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image::RgbImage::from_pixel(5, 4, image::Rgb([value, 0, 255 - value])).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    /// Names and bytes as the public archive has them: images, one broken file, and what is no image.
    fn files() -> Vec<(String, Vec<u8>)> {
        let image = |number: u8| (format!("PetImages/{}/{number}.jpg", ["Cat", "Dog"][usize::from(number % 2)]), png(number));
        let others =
            [("PetImages/Cat/666.jpg", &b""[..]), ("PetImages/Dog/Thumbs.db", b"x"), ("readme.txt", b"x"), ("PetImages/Fox/1.jpg", b"x")];
        (0..40).map(image).chain(others.map(|(name, bytes)| (name.to_owned(), bytes.to_vec()))).collect()
    }

    #[test]
    fn a_folder_and_both_kinds_of_archives_of_a_known_set_hold_the_same_images() {
        let places = [0, 1, 2].map(|_| tempfile::tempdir().unwrap());
        let [folder, zipped, packed] = [0, 1, 2].map(|place: usize| places[place].path().join("cats-dogs"));
        for path in [&folder, &zipped, &packed] {
            std::fs::create_dir_all(path).unwrap();
        }
        let mut zip = zip::ZipWriter::new(File::create(zipped.join("kagglecatsanddogs_5340.zip")).unwrap());
        let gz = flate2::write::GzEncoder::new(File::create(packed.join("PetImages-64.tar.gz")).unwrap(), flate2::Compression::fast());
        let mut tar = tar::Builder::new(gz);
        for (name, bytes) in files() {
            let path = folder.join(&name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &bytes).unwrap();
            zip.start_file(&name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(&bytes).unwrap();
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            tar.append_data(&mut header, &name, &bytes[..]).unwrap();
        }
        zip.finish().unwrap();
        tar.into_inner().unwrap().finish().unwrap();
        let load = |place: usize, split| {
            locate::find(sources::named("cats-dogs").unwrap(), split, Some(places[place].path()), Some([3, 8, 8])).unwrap()
        };
        let [(train, note), (test, _)] = Split::ALL.map(|split| load(0, split));
        assert_eq!((train.len() + test.len(), train.classes.join(" "), train.image_shape), (40, "Cat Dog".to_owned(), [3, 8, 8]));
        assert!((3..=16).contains(&test.len()) && train.name == "Cats and dogs train" && test.name == "Cats and dogs test");
        let note = note.unwrap();
        assert!(note.starts_with("1 of 41 images cannot be read") && note.contains("666.jpg"), "{note}");
        // The blue of an image is 255 less its number, odd ones are dogs; no image is on both sides.
        let numbers = |data: &Dataset| {
            let number = |image: usize| 255 - (255.0 * data.image(image).iter().copied().fold(0.0, f32::max)).round() as u8;
            (0..data.len()).map(number).zip(data.labels.clone()).collect::<Vec<_>>()
        };
        let all: std::collections::BTreeSet<_> = [numbers(&train), numbers(&test)].concat().into_iter().collect();
        assert!(all.len() == 40 && all.iter().all(|(number, label)| number % 2 == (*label as u8)));
        for place in [1, 2] {
            for (split, expected) in Split::ALL.into_iter().zip([&train, &test]) {
                assert_eq!(&load(place, split).0, expected, "{place}");
            }
        }
        std::fs::write(zipped.join("kagglecatsanddogs_5340.zip"), b"PK, cut short").unwrap();
        let error = locate::find(sources::named("cats-dogs").unwrap(), Split::Test, Some(places[1].path()), None).unwrap_err();
        assert!(error.to_string().contains("is a damaged archive"), "{error}");
    }
}
