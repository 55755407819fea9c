//! Where data sets lie on this machine. A directory that somebody named (`--data`, else `EPISTEMAP_DATA`) is the only one
//! looked in: data from elsewhere under the same name would be a quiet mistake. With none named: the user's data directory,
//! then `../shared/data`. Each holds a folder per set, such as `mnist/train-images-idx3-ubyte.gz`.

use super::sources::Layout;
use super::{Dataset, FolderData, Source, Split, folder, idx, image_set, sources};
use crate::error::{Error, Result};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// The environment variable that names the data directory.
pub const VARIABLE: &str = "EPISTEMAP_DATA";

/// Why a directory is looked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `--data DIR`.
    Argument,
    /// `EPISTEMAP_DATA`.
    Environment,
    /// The data directory that the operating system gives this user; downloads go there.
    User,
    /// `../shared/data`, seen from the current directory.
    Shared,
}

/// A directory that may hold data sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The directory.
    pub directory: PathBuf,
    /// Why it is looked in.
    pub origin: Origin,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = match self.origin {
            Origin::Argument => "--data",
            Origin::Environment => VARIABLE,
            Origin::User => "your data directory",
            Origin::Shared => "shared with the project",
        };
        write!(formatter, "{} ({origin})", self.directory.display())
    }
}

/// One split of a known data set, found on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The set.
    pub set: &'static Source,
    /// The split.
    pub split: Split,
    /// The directory that holds it.
    pub place: Place,
    files: Files,
}

/// What holds the images of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Files {
    /// The IDX files of images and of labels.
    Idx([PathBuf; 2]),
    /// A folder of image files, or an archive of such a folder.
    Images(PathBuf),
}

impl Found {
    /// Reads it; image files are brought to `shape` [channels, height, width], or the set's own. Also what should be said of the reading.
    ///
    /// # Errors
    /// When the files are damaged, or are not what they seem.
    pub fn load(&self, shape: Option<[usize; 3]>) -> Result<(Dataset, Option<String>)> {
        match &self.files {
            Files::Idx([images, labels]) => {
                let name = format!("{} {}", self.set.name, self.split);
                Ok((idx::load_pair(&name, images, labels, self.set.class_names())?, None))
            }
            Files::Images(path) => {
                let FolderData { train, test, notes } = images_of(self.set, path, shape)?;
                Ok((if self.split == Split::Train { train } else { test }, (!notes.is_empty()).then(|| notes.join(" "))))
            }
        }
    }
}

/// The images of a set that lie in a folder or an archive.
fn images_of(set: &Source, path: &Path, shape: Option<[usize; 3]>) -> Result<FolderData> {
    let Layout::Images { root, shape: own, .. } = set.layout else {
        return Err(Error::file(path, "holds no IDX files", "get the data set again"));
    };
    let classes = set.class_names();
    let (holder, entries) = image_set::of_source(path, root, &classes)?;
    let is_test = |number: usize| entries[number].is_for_testing();
    folder::of_images(path, set.name, (&holder, &entries), shape.unwrap_or(own), classes, is_test)
}

/// The directories to look in, in order.
pub fn places(data_dir: Option<&Path>) -> Vec<Place> {
    places_of(data_dir, std::env::var_os(VARIABLE), user_directory())
}

/// The directory that downloads go to: the first of [`places`].
///
/// # Errors
/// When none is named and the operating system gives this user no data directory.
pub fn download_directory(data_dir: Option<&Path>) -> Result<PathBuf> {
    match places(data_dir).into_iter().next() {
        Some(place) if place.origin != Origin::Shared => Ok(place.directory),
        _ => Err(Error::setting("the data directory", "this user has none", "name one with --data DIR")),
    }
}

/// Finds a split of a data set; `None` where no place holds both of its files.
pub fn locate(set: &'static Source, split: Split, data_dir: Option<&Path>) -> Option<Found> {
    locate_in(&places(data_dir), set, split)
}

/// Finds and reads a split of a data set, as [`Found::load`].
///
/// # Errors
/// When no place holds it (lists them, and what to do), or its files are damaged.
pub fn find(set: &'static Source, split: Split, data_dir: Option<&Path>, shape: Option<[usize; 3]>) -> Result<(Dataset, Option<String>)> {
    let places = places(data_dir);
    locate_in(&places, set, split).ok_or_else(|| missing(&places, set, split))?.load(shape)
}

/// Finds and reads both splits of a data set, as [`find`]; photographs are read once.
///
/// # Errors
/// As [`find`].
pub fn find_both(set: &'static Source, data_dir: Option<&Path>, shape: Option<[usize; 3]>) -> Result<FolderData> {
    let places = places(data_dir);
    let [train, test] = Split::ALL.map(|split| locate_in(&places, set, split).ok_or_else(|| missing(&places, set, split)));
    let train = train?;
    if let Files::Images(path) = &train.files {
        return images_of(set, path, shape);
    }
    Ok(FolderData { train: train.load(shape)?.0, test: test?.load(shape)?.0, notes: Vec::new() })
}

/// Every split of every known data set, and where it was found.
pub fn locate_all(data_dir: Option<&Path>) -> Vec<(&'static Source, Split, Option<Found>)> {
    let splits = |set| Split::ALL.map(|split| (set, split, locate(set, split, data_dir)));
    sources::ALL.iter().flat_map(splits).collect()
}

fn user_directory() -> Option<PathBuf> {
    directories::ProjectDirs::from("", "", "epistemap").map(|project| project.data_dir().join("datasets"))
}

fn places_of(argument: Option<&Path>, environment: Option<OsString>, user: Option<PathBuf>) -> Vec<Place> {
    let place = |directory, origin| Place { directory, origin };
    if let Some(directory) = argument {
        return vec![place(directory.to_owned(), Origin::Argument)];
    }
    if let Some(directory) = environment.filter(|directory| !directory.is_empty()) {
        return vec![place(directory.into(), Origin::Environment)];
    }
    user.map(|directory| place(directory, Origin::User)).into_iter().chain([place("../shared/data".into(), Origin::Shared)]).collect()
}

fn locate_in(places: &[Place], set: &'static Source, split: Split) -> Option<Found> {
    places.iter().find_map(|place| {
        let folder = place.directory.join(set.folder);
        let files = match set.layout {
            Layout::Idx => Files::Idx(idx::files_in(&folder, split)?),
            Layout::Images { root, archives, .. } => {
                let holds_classes = |path: &PathBuf| set.classes.iter().all(|class| path.join(class).is_dir());
                let unpacked = [folder.join(root), folder.clone()].into_iter().find(holds_classes);
                let archive = || archives.iter().map(|archive| folder.join(archive)).find(|path| path.is_file());
                Files::Images(unpacked.or_else(archive)?)
            }
        };
        Some(Found { set, split, files, place: place.clone() })
    })
}

fn missing(places: &[Place], set: &Source, split: Split) -> Error {
    let looked: Vec<_> = places.iter().map(Place::to_string).collect();
    let files = match set.layout {
        Layout::Idx => split.files().map(|file| format!("{file}.gz")).join(" and "),
        Layout::Images { root, archives, .. } => format!("'{root}' with a folder per class, or {},", archives.join(" or ")),
    };
    let get = if set.published.is_empty() { String::new() } else { format!("run `epistemap data fetch {}`, or ", set.folder) };
    Error::setting(
        format!("the {split} images of {}", set.name),
        format!("not found in {}", looked.join(" or ")),
        format!("{get}put {files} into the folder '{}' there", set.folder),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::write_atomically;

    fn put(directory: &Path, folder: &str, ending: &str) {
        let [images, labels] = Split::Test.files();
        write_atomically(&directory.join(folder).join(format!("{images}{ending}")), &idx::encode(&[2, 1, 1], &[0, 255])).unwrap();
        write_atomically(&directory.join(folder).join(format!("{labels}{ending}")), &idx::encode(&[2], &[9, 0])).unwrap();
    }

    #[test]
    fn a_named_directory_is_the_only_one_looked_in() {
        let origins = |argument: Option<&str>, environment: Option<&str>| {
            let places = places_of(argument.map(Path::new), environment.map(OsString::from), Some("u".into()));
            places.into_iter().map(|place| place.origin).collect::<Vec<_>>()
        };
        assert_eq!(origins(Some("a"), Some("e")), [Origin::Argument]);
        assert_eq!(origins(None, Some("e")), [Origin::Environment]);
        assert_eq!(origins(None, Some("")), [Origin::User, Origin::Shared]);
        assert_eq!(origins(None, None), [Origin::User, Origin::Shared]);
    }

    #[test]
    fn plain_and_gzipped_names_are_found_and_read() {
        let set = sources::named("kmnist").unwrap();
        for ending in ["", ".gz"] {
            let directory = tempfile::tempdir().unwrap();
            put(directory.path(), set.folder, ending);
            let found = locate(set, Split::Test, Some(directory.path())).unwrap();
            assert_eq!((found.place.origin, found.place.directory.as_path()), (Origin::Argument, directory.path()));
            let data = find(set, Split::Test, Some(directory.path()), None).unwrap().0;
            assert_eq!((data.name.as_str(), data.labels.as_slice(), data.classes[9].as_str()), ("Kuzushiji-MNIST test", &[9, 0][..], "wo"));
            let all = locate_all(Some(directory.path()));
            assert_eq!((all.len(), all.iter().filter(|(.., found)| found.is_some()).count()), (2 * sources::ALL.len(), 1));
        }
    }

    #[test]
    fn the_first_place_that_holds_it_is_used() {
        let (user, shared) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let places = vec![
            Place { directory: user.path().into(), origin: Origin::User },
            Place { directory: shared.path().into(), origin: Origin::Shared },
        ];
        let origin = || locate_in(&places, &sources::ALL[0], Split::Test).map(|found| found.place.origin);
        assert_eq!(origin(), None);
        put(shared.path(), "mnist", ".gz");
        assert_eq!(origin(), Some(Origin::Shared));
        put(user.path(), "mnist", ".gz");
        assert_eq!(origin(), Some(Origin::User));
    }

    #[test]
    fn what_is_missing_is_said_with_the_places_and_the_mend() {
        let directory = tempfile::tempdir().unwrap();
        let error = find(&sources::ALL[0], Split::Train, Some(directory.path()), None).unwrap_err().to_string();
        let said =
            format!("the train images of MNIST: not found in {} (--data); run `epistemap data fetch mnist`", directory.path().display());
        assert!(error.starts_with(&said), "{error}");
        let places = places_of(None, None, Some("/u".into()));
        let error = missing(&places, sources::named("notmnist").unwrap(), Split::Train).to_string();
        assert!(error.contains("/u (your data directory) or ../shared/data") && !error.contains("fetch"), "{error}");
    }
}
