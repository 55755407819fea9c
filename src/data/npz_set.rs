//! A data set in one npz file, as `MedMNIST` and Keras publish them.

use super::array_images::{labels_of, pixels_of};
use super::folder::split_by_fifth;
use super::npy::Array;
use super::npz::Archive;
use super::{Dataset, FolderData, Split};
use crate::error::{Error, Result};
use crate::nets::MOST_CLASSES;
use std::path::Path;

/// The names of the images and labels of the parts: training, testing, and the validation images that stand in where there are no others.
const NAMES: [[[&str; 2]; 3]; 2] = [
    [["train_images", "train_labels"], ["test_images", "test_labels"], ["val_images", "val_labels"]],
    [["x_train", "y_train"], ["x_test", "y_test"], ["x_val", "y_val"]],
];

/// The images of a part with their labels.
struct Part {
    shape: [usize; 3],
    pixels: Vec<f32>,
    labels: Vec<u16>,
    notes: Option<String>,
}

/// Reads a data set: `train_images` \[N, H, W\], \[N, H, W, C\] or \[N, C, H, W\] and `train_labels` \[N\] or \[N, 1\], the same for testing, or Keras'
/// `x_train` and `y_train`. Classes are called by their numbers.
///
/// # Errors
/// When an array is missing or damaged, or images and labels do not fit.
pub(super) fn load(path: &Path, name: &str) -> Result<FolderData> {
    let mut archive = Archive::open(path)?;
    let there = archive.names();
    let has = |names: &[&str; 2]| names.iter().all(|name| there.iter().any(|there| there == name));
    let Some([train, test, validation]) = NAMES.into_iter().find(|[train, ..]| has(train)) else {
        let problem = format!("holds no 'train_images' and 'train_labels', but {}", there.join(", "));
        return Err(Error::file(path, problem, "save the images and labels under these names, as MedMNIST does"));
    };
    let of_training = part(path, &mut archive, train)?;
    let (of_testing, note) = match [test, validation].into_iter().find(has) {
        Some(names) if names == test && has(&validation) => {
            (Some(part(path, &mut archive, names)?), Some(format!("'{}' of {name} are left out.", validation[0])))
        }
        Some(names) => (
            Some(part(path, &mut archive, names)?),
            (names != test).then(|| format!("{name} has no '{}': '{}' are for testing.", test[0], names[0])),
        ),
        None => (None, None),
    };
    let most = of_training.labels.iter().chain(of_testing.iter().flat_map(|part| &part.labels)).max().copied().unwrap_or_default();
    let classes: Vec<String> = (0..=most).map(|class| class.to_string()).collect();
    let mut notes: Vec<String> =
        [of_training.notes.clone(), of_testing.as_ref().and_then(|part| part.notes.clone()), note].into_iter().flatten().collect();
    let data = |part: Part, split: Split| {
        let data = Dataset::new(format!("{name} {split}"), part.shape, part.pixels, part.labels, classes.clone());
        data.map(|data| Dataset { is_unnamed: true, ..data })
    };
    let train = data(of_training, Split::Train)?;
    match of_testing {
        Some(part) if part.shape == train.image_shape => Ok(FolderData { test: data(part, Split::Test)?, train, notes }),
        Some(part) => {
            let problem = format!("its training images are of {:?} and its test images of {:?}", train.image_shape, part.shape);
            Err(Error::file(path, problem, "save both in one size"))
        }
        None => {
            let data = split_by_fifth(&train, name);
            notes.extend(data.notes);
            Ok(FolderData { notes, ..data })
        }
    }
}

fn part(path: &Path, archive: &mut Archive, [images, labels]: [&str; 2]) -> Result<Part> {
    let array = archive.array(images)?;
    let shown = path.join(images);
    let (array, shape) = channels_first(&shown, array)?;
    let (pixels, notes) = pixels_of(&shown, array, shape.iter().product())?;
    let of_labels = path.join(labels);
    let read = labels_of(&of_labels, &archive.array(labels)?)?;
    let count = pixels.len() / shape.iter().product::<usize>();
    if read.len() != count {
        let problem = format!("holds {} labels, but '{images}' holds {count} images", read.len());
        return Err(Error::file(&of_labels, problem, "save one label for each image"));
    }
    let labels = read.iter().map(|&label| u16::try_from(label)).collect::<std::result::Result<_, _>>();
    let problem = || format!("holds labels beyond {}", u16::MAX);
    let labels = labels.map_err(|_| Error::file(&of_labels, problem(), format!("leave {MOST_CLASSES} classes at most")))?;
    Ok(Part { shape, pixels, labels, notes })
}

/// The images of an array with the channels before height and width, and their shape.
fn channels_first(path: &Path, array: Array) -> Result<(Array, [usize; 3])> {
    match array.shape[..] {
        [_, h, w] => Ok((array, [1, h, w])),
        [_, c @ (1 | 3), h, w] => Ok((array, [c, h, w])),
        [n, h, w, c @ (1 | 3)] => {
            let at = |number: usize| {
                let (image, rest) = (number / (c * h * w), number % (c * h * w));
                image * (c * h * w) + rest % (h * w) * c + rest / (h * w)
            };
            let values = (0..array.values.len()).map(|number| array.values[at(number)]).collect();
            Ok((Array { shape: vec![n, c, h, w], values, kind: array.kind }, [c, h, w]))
        }
        _ => {
            let problem = format!("has the axes {:?}", array.shape);
            Err(Error::file(path, problem, "save images with the axes [N, H, W], or [N, H, W, C] with one or three channels"))
        }
    }
}
