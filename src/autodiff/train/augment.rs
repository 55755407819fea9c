//! Data augmentation: random flips, shifts and crops of the training images. Each is a pure function of seed, epoch and number of the image,
//! so that a resumed training sees the same images.

use crate::error::{Error, Result};
use crate::random::{Purpose, Stream};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What the pixels are that a shift moves into the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// 0.
    #[default]
    Zeros,
    /// The nearest pixel of the image.
    Edge,
}

/// Random changes of each training image in each epoch, in the order of the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// A horizontal flip, in half of the cases.
    pub flip: bool,
    /// The largest shift along each axis in pixels; every shift up to it is equally probable.
    pub shift: usize,
    /// What a shift moves in.
    pub fill: Fill,
    /// The zeros that pad each side, before a crop of the image's size at a random place (torchvision's `RandomCrop`).
    pub crop: usize,
}

impl Augmentation {
    /// Whether none was chosen.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Checks the numbers of pixels for images of a shape \[C, H, W\].
    ///
    /// # Errors
    /// Names the change that would leave nothing of an image.
    pub fn check(&self, [_, height, width]: [usize; 3]) -> Result<()> {
        let smallest = height.min(width);
        for (name, pixels) in [("shift", self.shift), ("crop", self.crop)] {
            if pixels >= smallest {
                let problem = format!("{name}={pixels} is too much for images of {height} × {width} pixels");
                return Err(Error::setting("--augment", problem, format!("give fewer than {smallest} pixels")));
            }
        }
        Ok(())
    }

    /// Writes the changed image of a training image of a shape \[C, H, W\] into `output`.
    pub fn apply(&self, seed: u32, [epoch, number]: [u32; 2], image: &[f32], shape: [usize; 3], output: &mut [f32]) {
        let stream = Stream::new(seed, Purpose::Augmentation);
        // Each change has its own address: whether another is chosen as well does not matter to it.
        let words = |change: u32| stream.quad([epoch, number, change], 0);
        output.copy_from_slice(image);
        if self.flip && words(0)[0] >= 1 << 31 {
            output.chunks_exact_mut(shape[2]).for_each(<[f32]>::reverse);
        }
        for (change, most, fill) in [(1, self.shift, self.fill), (2, self.crop, Fill::Zeros)] {
            if most > 0 {
                let [down, right, ..] = words(change);
                let offset = |word: u32| ((u64::from(word) * (2 * most as u64 + 1)) >> 32) as isize - most as isize;
                translate(output, shape, [offset(down), offset(right)], fill);
            }
        }
    }
}

/// Moves an image \[C, H, W\] down and to the right.
fn translate(image: &mut [f32], [_, height, width]: [usize; 3], [down, right]: [isize; 2], fill: Fill) {
    let source = image.to_vec();
    for (index, pixel) in image.iter_mut().enumerate() {
        let (plane, place) = (index / (height * width), index % (height * width));
        let wanted = [(place / width, down, height), (place % width, right, width)].map(|(at, by, size)| {
            let from = at as isize - by;
            let nearest = from.clamp(0, size as isize - 1);
            (nearest as usize, nearest == from)
        });
        let [(row, has_row), (column, has_column)] = wanted;
        let is_inside = has_row && has_column || fill == Fill::Edge;
        *pixel = if is_inside { source[(plane * height + row) * width + column] } else { 0.0 };
    }
}

impl FromStr for Augmentation {
    type Err = String;

    /// Reads a list such as `flip,shift=2,crop=4`, or `shift=2:edge`.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let mut augmentation = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let refused = || format!("'{part}' is no augmentation such as flip, shift=2, shift=2:edge or crop=4");
            let pixels = |text: &str| text.parse::<u16>().map(usize::from).map_err(|_| refused());
            match part.split_once('=') {
                None if part == "flip" => augmentation.flip = true,
                Some(("shift", how)) => {
                    let (count, fill) = how.split_once(':').unwrap_or((how, "zeros"));
                    augmentation.shift = pixels(count)?;
                    augmentation.fill = match fill {
                        "zeros" => Fill::Zeros,
                        "edge" => Fill::Edge,
                        _ => return Err(refused()),
                    };
                }
                Some(("crop", count)) => augmentation.crop = pixels(count)?,
                _ => return Err(refused()),
            }
        }
        Ok(augmentation)
    }
}

impl fmt::Display for Augmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let edge = if self.fill == Fill::Edge { ":edge" } else { "" };
        let parts = [
            self.flip.then(|| "flip".to_owned()),
            (self.shift > 0).then(|| format!("shift={}{edge}", self.shift)),
            (self.crop > 0).then(|| format!("crop={}", self.crop)),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: [usize; 3] = [2, 3, 4];

    /// No two pixels are equal, and none is 0.
    fn image() -> Vec<f32> {
        (1..=24).map(|pixel| pixel as f32).collect()
    }

    fn changed(augmentation: Augmentation, seed: u32, epoch: u32, number: u32) -> Vec<f32> {
        let mut output = vec![0.0; 24];
        augmentation.apply(seed, [epoch, number], &image(), SHAPE, &mut output);
        output
    }

    #[test]
    fn a_shift_moves_pixels_and_fills_with_zeros_or_the_edge() {
        let moved = |by, fill| {
            let mut pixels = image();
            translate(&mut pixels, SHAPE, by, fill);
            pixels
        };
        assert_eq!(moved([1, -1], Fill::Zeros)[..12], [0.0, 0.0, 0.0, 0.0, 2.0, 3.0, 4.0, 0.0, 6.0, 7.0, 8.0, 0.0]);
        assert_eq!(moved([1, -1], Fill::Edge)[..12], [2.0, 3.0, 4.0, 4.0, 2.0, 3.0, 4.0, 4.0, 6.0, 7.0, 8.0, 8.0]);
        assert_eq!(moved([-1, 0], Fill::Zeros)[12..], [17.0, 18.0, 19.0, 20.0, 21.0, 22.0, 23.0, 24.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(moved([0, 0], Fill::Zeros), image());
    }

    #[test]
    fn every_change_comes_as_often_as_it_should() {
        let flip = Augmentation { flip: true, ..Augmentation::default() };
        let flipped = (0..2000).filter(|&number| changed(flip, 3, 0, number) != image()).count();
        // Four standard deviations of a share of a half.
        assert!((flipped as f64 - 1000.0).abs() <= 90.0, "{flipped}");
        assert!((0..50).all(|number| [image()[0], image()[3]].contains(&changed(flip, 3, 0, number)[0])));
        for augmentation in [Augmentation { shift: 1, ..Augmentation::default() }, Augmentation { crop: 1, ..Augmentation::default() }] {
            let mut counts = std::collections::BTreeMap::new();
            for number in 0..1800 {
                let output = changed(augmentation, 3, 1, number);
                *counts.entry(output.iter().map(|&pixel| pixel as u8).collect::<Vec<_>>()).or_insert(0) += 1;
            }
            assert_eq!(counts.len(), 9, "{augmentation}");
            assert!(counts.values().all(|&count| (140..260).contains(&count)), "{counts:?}");
        }
    }

    #[test]
    fn an_image_depends_on_seed_epoch_and_number_alone() {
        let all: Augmentation = "flip,shift=1:edge,crop=1".parse().unwrap();
        let images = |seed, epoch| (0..20).map(|number| changed(all, seed, epoch, number)).collect::<Vec<_>>();
        assert_eq!(images(1, 2), images(1, 2));
        assert!(images(1, 2) != images(2, 2) && images(1, 2) != images(1, 3) && images(1, 2)[..10] != images(1, 2)[10..]);
        // A crop is the same with and without a flip.
        let [crop, both] = ["crop=1", "flip,crop=1"].map(|text| text.parse::<Augmentation>().unwrap());
        assert!((0..20).any(|number| changed(crop, 1, 2, number) == changed(both, 1, 2, number)));
    }

    #[test]
    fn texts_are_read_back_and_what_is_none_is_refused() {
        for text in ["", "flip", "flip,shift=2,crop=4", "shift=3:edge"] {
            assert_eq!(text.parse::<Augmentation>().unwrap().to_string(), text);
        }
        for text in ["flop", "shift", "shift=x", "shift=2:blue", "crop=-1", "flip=1", "crop=70000"] {
            assert!(text.parse::<Augmentation>().unwrap_err().contains(text), "{text}");
        }
        let check = |text: &str| text.parse::<Augmentation>().unwrap().check(SHAPE);
        assert!(check("shift=3").unwrap_err().to_string().contains("--augment") && check("crop=9").is_err() && check("shift=2").is_ok());
    }
}
