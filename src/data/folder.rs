//! Data of one's own: IDX files under MNIST's names, an image folder with one sub-folder per class, or an npz file.

use super::class_folders::ClassFolders;
use super::image_set::{self, Entry, Holder};
use super::pixels::Pixels;
use super::{Dataset, Split, idx, npz_set};
use crate::error::{Error, Result};
use crate::files;
use crate::nets::MOST_CLASSES;
use std::path::{Path, PathBuf};

/// The data of a folder.
#[derive(Clone, Debug, PartialEq)]
pub struct FolderData {
    /// For training.
    pub train: Dataset,
    /// For testing.
    pub test: Dataset,
    /// What a person should know of the reading, a sentence each.
    pub notes: Vec<String>,
}

/// Reads a folder. IDX files: `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, plain or `.gz`, and `t10k-…` for testing. Images: files
/// in one sub-folder per class, or such folders in `train` and `test` (else `val`). Where nobody has split the data, a fifth is for testing: of
/// IDX files every fifth image, of images those whose name hashes so, whatever else is in the folder. Or an npz file, as `MedMNIST` has it.
///
/// All images of an image folder are brought to `shape` [channels, height, width], in bytes: scaled to fit, in the middle of black. `None`: the
/// size they share if it is no larger than 32 × 32, else 28 × 28 in grey or 32 × 32 in colour.
///
/// # Errors
/// When the folder holds none of them, a file is damaged (single images are left out, and a note says so), or there is too much of it.
pub fn load_folder(folder: &Path, shape: Option<[usize; 3]>) -> Result<FolderData> {
    let name = folder.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let name = name.unwrap_or_else(|| "a folder".to_owned());
    // Everything else is opened as an npz file, which refuses devices and pipes.
    if !folder.is_dir() {
        return files::guarded(folder, || npz_set::load(folder, &name));
    }
    std::fs::read_dir(folder).map_err(|error| Error::io(folder, &error))?;
    match idx::files_in(folder, Split::Train) {
        Some(train) => idx_folder(folder, &name, &train),
        None => image_folder(folder, &name, shape),
    }
}

fn idx_folder(folder: &Path, name: &str, train: &[PathBuf; 2]) -> Result<FolderData> {
    let test = idx::files_in(folder, Split::Test);
    let mut most = 0;
    for [_, labels] in std::iter::once(train).chain(&test) {
        most = most.max(idx::read_labels(labels)?.into_iter().max().unwrap_or_default());
    }
    let classes: Vec<String> = (0..=most).map(|class| class.to_string()).collect();
    let load = |split: Split, [images, labels]: &[PathBuf; 2]| {
        idx::load_pair(&format!("{name} {split}"), images, labels, classes.clone()).map(|data| Dataset { is_unnamed: true, ..data })
    };
    let all = load(Split::Train, train)?;
    if let Some(test) = test {
        return Ok(FolderData { train: all, test: load(Split::Test, &test)?, notes: Vec::new() });
    }
    Ok(split_by_fifth(&all, name))
}

/// Keeps every fifth image for testing.
pub(super) fn split_by_fifth(all: &Dataset, name: &str) -> FolderData {
    let is_test = (0..all.len()).map(|image| image % 5 == 4).collect::<Vec<_>>();
    split(all, &is_test, name, vec![format!("{name} has no test images: every fifth of its images is kept for testing.")])
}

/// Parts a data set. Where one part would be empty, so few images are in both.
fn split(all: &Dataset, is_test: &[bool], name: &str, mut notes: Vec<String>) -> FolderData {
    if is_test.iter().all(|&test| test == is_test[0]) {
        notes.push(format!("{name} holds so few images that all are for training and for testing alike."));
    }
    let part = |split: Split, wanted: bool| {
        let numbers: Vec<usize> = (0..all.len()).filter(|&image| is_test[image] == wanted).collect();
        let mut part = if numbers.is_empty() { all.clone() } else { all.subset(&numbers) };
        part.name = format!("{name} {split}");
        part
    };
    FolderData { train: part(Split::Train, false), test: part(Split::Test, true), notes }
}

fn image_folder(folder: &Path, name: &str, shape: Option<[usize; 3]>) -> Result<FolderData> {
    let [train, test, validation] = [&["train"][..], &["test"], &["val", "valid", "validation"]]
        .map(|names| names.iter().map(|name| folder.join(name)).find(|part| holds_classes(part)));
    let mut notes = Vec::new();
    let root = match train {
        // With another class beside it, it is a class as well, of images in folders.
        Some(train) if test.is_some() || validation.is_some() || ClassFolders::of(folder)?.classes.is_empty() => train,
        _ => folder.to_owned(),
    };
    let is_split = root != folder;
    let other = if is_split { test.clone().or_else(|| validation.clone()) } else { None };
    if let Some(validation) = validation.filter(|_| is_split) {
        let what = if test.is_some() { "is left out" } else { "is for testing" };
        notes.push(format!("{}: the folder '{}' {what}.", folder.display(), validation.file_name().unwrap_or_default().display()));
    }
    let classes = ClassFolders::of(&root)?;
    match classes.classes.len() {
        0 => return Err(classes.none()),
        1..=MOST_CLASSES => {}
        more => return Err(Error::file(&root, format!("holds {more} classes"), format!("leave {MOST_CLASSES} at most in it"))),
    }
    let mut entries = classes.entries();
    image_set::shuffle(&mut entries);
    let of_training = entries.len();
    notes.extend(classes.summary());
    if let Some(test) = &other {
        let mut found = ClassFolders::of(test)?;
        let mut of_testing = found.entries_of(&classes);
        image_set::shuffle(&mut of_testing);
        entries.extend(of_testing);
        notes.extend(found.summary());
    }
    let is_test = |number: usize| if other.is_some() { number >= of_training } else { entries[number].is_for_testing() };
    let shape = shape.unwrap_or_else(|| image_set::common_shape(&entries));
    let names = classes.classes.into_iter().map(|class| class.name).collect();
    let data = of_images(folder, name, (&Holder::Folder, &entries), shape, names, is_test)?;
    notes.extend(data.notes.iter().cloned());
    if other.is_none() {
        notes.push(format!("{name} has no test images: a fifth of its images is kept for testing."));
    }
    notes.push(class_table(&data));
    Ok(FolderData { notes, ..data })
}

/// Whether a folder holds folders of images and no image itself.
fn holds_classes(folder: &Path) -> bool {
    folder.is_dir()
        && image_set::image_files(folder).is_ok_and(|images| images.is_empty())
        && ClassFolders::of(folder).is_ok_and(|found| !found.classes.is_empty())
}

/// The most classes that a note lists.
const MOST_LISTED: usize = 20;

/// Which number means which class, and how many images it has for training and testing.
fn class_table(data: &FolderData) -> String {
    let FolderData { train, test, .. } = data;
    let count = |data: &Dataset, class: usize| data.labels.iter().filter(|&&label| usize::from(label) == class).count();
    let row = |(class, name): (usize, &String)| format!("{class} '{name}' ({} + {})", count(train, class), count(test, class));
    let rows: Vec<String> = train.classes.iter().enumerate().take(MOST_LISTED).map(row).collect();
    let more = train.classes.len().saturating_sub(MOST_LISTED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("Classes (images for training + for testing): {}{more}.", rows.join(", "))
}

/// The data of the image files of a set; `of` names it in messages, and `is_test` says which of its files are for testing.
pub(super) fn of_images(
    of: &Path,
    name: &str,
    (holder, entries): (&Holder, &[Entry]),
    shape: [usize; 3],
    classes: Vec<String>,
    is_test: impl Fn(usize) -> bool,
) -> Result<FolderData> {
    let images = image_set::read(of, holder, entries, shape)?;
    let mut notes = Vec::new();
    match images.refused {
        // The first says why.
        Some((count, first)) if count == entries.len() => {
            let problem = format!("holds no image that can be read: {}", first.strip_suffix('.').unwrap_or(&first));
            return Err(Error::file(of, problem, "name a folder of images"));
        }
        Some((count, first)) => notes.push(format!("{count} of {} images cannot be read and are left out: {first}", entries.len())),
        None => {}
    }
    let labels = images.read.iter().map(|&number| entries[number].class as u16).collect();
    let pixels = Pixels::of_bytes(shape.iter().product(), images.bytes, images.read.iter().map(|&number| number as u32).collect());
    let all = Dataset { name: name.to_owned(), image_shape: shape, images: pixels, labels, classes, is_unnamed: false };
    let is_test: Vec<bool> = images.read.into_iter().map(is_test).collect();
    Ok(split(&all, &is_test, name, notes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::write_atomically;
    use image::{GrayImage, Luma, RgbImage};

    fn grey(folder: &Path, class: &str, name: &str, size: [u32; 2], value: u8) {
        let path = folder.join(class).join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        GrayImage::from_pixel(size[0], size[1], Luma([value])).save(path).unwrap();
    }

    #[test]
    fn an_image_folder_has_a_class_per_sub_folder_and_keeps_a_fifth_for_testing() {
        let folder = tempfile::tempdir().unwrap();
        for image in 0..60u8 {
            grey(folder.path(), ["b", "a"][usize::from(image % 2)], &format!("{image}.png"), [5, 4], 100 + image);
        }
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        std::fs::write(folder.path().join("a/notes.txt"), "no image").unwrap();
        let data = load_folder(folder.path(), None).unwrap();
        assert_eq!((data.train.classes.as_slice(), data.train.image_shape), (&["a".to_owned(), "b".to_owned()][..], [1, 4, 5]));
        assert!(data.train.len() + data.test.len() == 60 && (4..=22).contains(&data.test.len()), "{}", data.test.len());
        // Odd images are of class a; no bright border is taken for paper.
        for part in [&data.train, &data.test] {
            assert!(part.name.ends_with("train") || part.name.ends_with("test"));
            for (number, &label) in part.labels.iter().enumerate() {
                let value = (part.image(number)[0] * 255.0).round() as u8 - 100;
                assert_eq!(value % 2 == 1, label == 0);
            }
        }
        let first = &data.train.labels[..10];
        assert!(first.contains(&0) && first.contains(&1), "the first images are of every class: {first:?}");
        // An image stays on its side when others go.
        let before = data.test.images();
        std::fs::remove_dir_all(folder.path().join("b")).unwrap();
        let after = load_folder(folder.path(), None).unwrap().test;
        assert!(after.images().iter().all(|pixel| before.contains(pixel)));
    }

    #[test]
    fn damaged_images_are_left_out_and_counted_and_folders_that_are_split_stay_so() {
        let folder = tempfile::tempdir().unwrap();
        for (part, class, value) in [("train", "x", 10), ("train", "y", 20), ("test", "y", 30)] {
            grey(&folder.path().join(part), class, "image.png", [40, 40], value);
        }
        std::fs::write(folder.path().join("train/x/broken.png"), "nothing").unwrap();
        let data = load_folder(folder.path(), None).unwrap();
        assert_eq!((data.train.len(), data.test.labels.as_slice(), data.train.image_shape), (2, &[1][..], [1, 28, 28]));
        assert!(data.train.labels.contains(&0) && data.train.labels.contains(&1));
        let [damaged, table] = &data.notes[..] else { panic!("{:?}", data.notes) };
        assert!(damaged.starts_with("1 of 4 images") && damaged.contains("broken.png"));
        assert_eq!(table, "Classes (images for training + for testing): 0 'x' (1 + 0), 1 'y' (1 + 1).");
        assert_eq!(load_folder(folder.path(), Some([3, 2, 2])).unwrap().train.image_shape, [3, 2, 2]);
        RgbImage::from_pixel(50, 40, image::Rgb([9, 200, 3])).save(folder.path().join("test/y/leaf.png")).unwrap();
        assert_eq!(load_folder(folder.path(), None).unwrap().train.image_shape, [3, 32, 32]);
    }

    #[test]
    fn idx_files_come_plain_or_gzipped_with_or_without_test_images() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, axes: &[u32], values: &[u8]| {
            write_atomically(&folder.path().join(name), &idx::encode(axes, values)).unwrap();
        };
        put("train-images-idx3-ubyte", &[10, 1, 2], &[7; 20]);
        put("train-labels-idx1-ubyte.gz", &[10], &[0, 1, 2, 0, 1, 2, 0, 1, 2, 0]);
        let data = load_folder(folder.path(), None).unwrap();
        assert_eq!((data.train.len(), data.test.labels.as_slice(), data.train.classes.len()), (8, &[1, 0][..], 3));
        put("t10k-images-idx3-ubyte", &[1, 1, 2], &[7; 2]);
        put("t10k-labels-idx1-ubyte", &[1], &[4]);
        let data = load_folder(folder.path(), None).unwrap();
        assert_eq!((data.train.len(), data.test.len(), data.test.classes.len(), data.notes.len()), (10, 1, 5, 0));
    }

    #[test]
    fn a_folder_of_something_else_is_said_in_one_sentence() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("image.png"), "x").unwrap();
        let error = load_folder(folder.path(), None).unwrap_err().to_string();
        assert!(error.contains("neither IDX files nor images") && error.ends_with('.'), "{error}");
        std::fs::create_dir(folder.path().join("a")).unwrap();
        std::fs::write(folder.path().join("a/image.png"), "x").unwrap();
        let error = load_folder(folder.path(), None).unwrap_err().to_string();
        assert!(error.contains("a/image.png") && error.ends_with("; name a folder of images.") && !error.contains(".;"), "{error}");
        assert!(load_folder(&folder.path().join("nowhere"), None).unwrap_err().to_string().contains("check the path"));
    }

    #[cfg(unix)]
    #[test]
    fn a_device_as_data_is_refused() {
        let error = load_folder(Path::new("/dev/zero"), None).unwrap_err().to_string();
        assert!(error.starts_with("/dev/zero: is a device, a pipe or a socket"), "{error}");
    }

    #[test]
    fn one_image_that_is_left_out_is_in_the_singular() {
        let folder = tempfile::tempdir().unwrap();
        for image in 0..6 {
            grey(folder.path(), ["a", "b"][image % 2], &format!("{image}.png"), [4, 4], 100);
        }
        grey(folder.path(), "", "loose-1.png", [4, 4], 100);
        let notes = || load_folder(folder.path(), None).unwrap().notes.join(" ");
        assert!(notes().contains("left out is 1 image beside the folders of the classes."), "{}", notes());
        grey(folder.path(), "", "loose-2.png", [4, 4], 100);
        assert!(notes().contains("left out are 2 images beside the folders of the classes."), "{}", notes());
    }
}
