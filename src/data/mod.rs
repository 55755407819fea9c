//! Images with labels, and where they come from.

mod array_images;
mod choice;
mod class_folders;
mod decoded;
pub mod fetch;
mod folder;
pub mod idx;
mod image_cache;
mod image_decoder;
mod image_file;
mod image_set;
pub mod labels;
pub mod locate;
pub mod npy;
mod npz;
mod npz_set;
mod pixels;
mod shipped;
pub mod sources;

pub use decoded::{DECODED_DIGITS, decoded_digits};
pub use folder::{FolderData, load_folder};
pub use image_file::{ImageFile, read_image};
pub use shipped::{SHIPPED_DIGITS, shipped_digits};
pub use sources::{Source, Split};

use crate::error::{Error, Result};
use crate::files;
use pixels::Pixels;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::ops::Range;

/// Identifies a data set in files that refer to its images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataIdentity {
    /// The data set's name.
    pub name: String,
    /// The SHA-256 of its images and labels.
    pub sha256: String,
}

impl DataIdentity {
    /// That of a data set. Hashing takes time.
    pub fn of(data: &Dataset) -> Self {
        Self { name: data.name.clone(), sha256: data.sha256() }
    }
}

/// Labelled images.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// What a person calls it; the decoded digits always say that they are decoded.
    pub name: String,
    /// [channels, height, width] of every image.
    pub image_shape: [usize; 3],
    /// Pixels in 0..=1, \[N, C, H, W\] row-major.
    pub(crate) images: Pixels,
    /// One class per image, each below the number of classes.
    pub labels: Vec<u16>,
    /// What the classes are called.
    pub classes: Vec<String>,
    /// Whether nobody has named the classes, which then are called by their numbers.
    pub(crate) is_unnamed: bool,
}

impl Dataset {
    /// Puts images and labels together.
    ///
    /// # Errors
    /// When there is no image, the counts differ, a label is not below the number of classes, or a pixel is not in 0..=1.
    pub fn new(name: impl Into<String>, image_shape: [usize; 3], images: Vec<f32>, labels: Vec<u16>, classes: Vec<String>) -> Result<Self> {
        let name = name.into();
        let wrong =
            |problem: String| Err(Error::setting(format!("the data set '{name}'"), problem, "compare it with a data set that works"));
        let pixels: usize = image_shape.iter().product();
        if pixels == 0 || labels.is_empty() || classes.is_empty() {
            return wrong(format!("{} images of {image_shape:?} in {} classes are none", labels.len(), classes.len()));
        }
        if images.len() != pixels * labels.len() {
            return wrong(format!("{} pixels are not {} images of {image_shape:?}", images.len(), labels.len()));
        }
        if let Some(at) = labels.iter().position(|&label| usize::from(label) >= classes.len()) {
            return wrong(format!("image {at} has the label {}, but there are {} classes", labels[at], classes.len()));
        }
        if let Some(at) = images.iter().position(|pixel| !(0.0..=1.0).contains(pixel)) {
            return wrong(format!("image {} holds the pixel {}, which is not in 0..=1", at / pixels, images[at]));
        }
        Ok(Self { name, image_shape, images: Pixels::of_numbers(pixels, images), labels, classes, is_unnamed: false })
    }

    /// The same images as numbers of another kind, such as the features that a network makes of them, \[N, size\], which may be any: as images
    /// of \[size, 1, 1\].
    ///
    /// # Panics
    /// When they are not `size` for each image.
    #[must_use]
    pub fn with_features(&self, size: usize, features: Vec<f32>) -> Self {
        assert_eq!(features.len(), size * self.len(), "features of every image");
        let (name, labels, classes) = (self.name.clone(), self.labels.clone(), self.classes.clone());
        Self { name, image_shape: [size, 1, 1], images: Pixels::of_numbers(size, features), labels, classes, is_unnamed: self.is_unnamed }
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Always false: a data set holds one image at least.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The number of values of one image.
    pub fn pixels(&self) -> usize {
        self.image_shape.iter().product()
    }

    /// The pixels of one image.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    pub fn image(&self, index: usize) -> Cow<'_, [f32]> {
        self.images_of(index..index + 1)
    }

    /// The pixels of the images of a range, \[N, C, H, W\].
    ///
    /// # Panics
    /// When it is not within [`len`](Self::len).
    pub fn images_of(&self, range: Range<usize>) -> Cow<'_, [f32]> {
        self.images.of(range)
    }

    /// The pixels of all images, \[N, C, H, W\]: of a large set, very many.
    pub fn images(&self) -> Cow<'_, [f32]> {
        self.images_of(0..self.len())
    }

    /// The SHA-256, in hexadecimal, of every pixel (f32, little endian) and every label: which data these are, whatever their name.
    pub fn sha256(&self) -> String {
        files::hexadecimal(&self.hash_of_images().chain_update(labels::to_bytes(&self.labels).1).finalize())
    }

    /// The same of the images and of the labels alone.
    pub fn sha256_of_parts(&self) -> [String; 2] {
        [self.hash_of_images().finalize(), Sha256::digest(labels::to_bytes(&self.labels).1)].map(|hash| files::hexadecimal(&hash))
    }

    fn hash_of_images(&self) -> Sha256 {
        let mut hasher = Sha256::new();
        for image in 0..self.len() {
            let bytes: Vec<u8> = self.image(image).iter().flat_map(|pixel| pixel.to_le_bytes()).collect();
            hasher.update(&bytes);
        }
        hasher
    }

    /// The images from `start` to before `end`, under the same name.
    ///
    /// # Panics
    /// When the range is empty or not within [`len`](Self::len).
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        self.subset(&range.collect::<Vec<_>>())
    }

    /// The images of these numbers, in their order, under the same name.
    ///
    /// # Panics
    /// When there is no number, or one is not below [`len`](Self::len).
    #[must_use]
    pub fn subset(&self, numbers: &[usize]) -> Self {
        assert!(!numbers.is_empty(), "a data set holds one image at least");
        Self {
            name: self.name.clone(),
            image_shape: self.image_shape,
            images: self.images.select(numbers.iter().copied()),
            labels: numbers.iter().map(|&number| self.labels[number]).collect(),
            classes: self.classes.clone(),
            is_unnamed: self.is_unnamed,
        }
    }
}
