//! The noisy images that attacked ones are compared with.

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::random::{Purpose, Stream};
use serde::{Deserialize, Serialize};

/// The means of red, green and blue, of 255, that the paper's network had its images less of.
const PAPERS_MEANS: [f64; 3] = [123.68, 116.779, 103.939];

/// Which noisy images attacked ones are compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoiseControl {
    /// As long as the change by the attack, in L2.
    #[default]
    Matched,
    /// As the paper's code made them: images in levels less their mean, about ±120, noise by the *squared* length of the change, and all of it clipped
    /// to 0..=1, which leaves next to nothing of an image.
    Published,
}

impl NoiseControl {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Matched, Self::Published];

    /// Its name on the command line.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::Published => "published",
        }
    }

    /// That of a [`key`](Self::key).
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|noise| noise.key() == key)
    }

    /// Checks that it can be made of images [channels, height, width].
    ///
    /// # Errors
    /// When the paper's is asked for of images that are not red, green and blue.
    pub(super) fn check(self, [channels, ..]: [usize; 3]) -> Result<()> {
        if self == Self::Published && channels != PAPERS_MEANS.len() {
            let problem = format!("the paper's noise is of photographs of three channels, and these images have {channels}");
            return Err(Error::setting("--noise", problem, "choose matched, or photographs"));
        }
        Ok(())
    }

    /// The noisy version of the image of that number, [C, H, W]; `norms` are the lengths of its change by the attack.
    pub(super) fn of(self, image: &[f32], number: usize, norms: &[f64; 3], seed: u32) -> Vec<f32> {
        match self {
            Self::Matched => noisy_image(image, number, norms, seed),
            Self::Published => published(image, number, norms, seed),
        }
    }
}

/// What the paper's code made of an image, as pixels in 0..=1.
fn published(image: &[f32], number: usize, [_, length, _]: &[f64; 3], seed: u32) -> Vec<f32> {
    let stream = Stream::new(seed, Purpose::Noise);
    let size = (255.0 * length).powi(2) / image.len() as f64;
    let plane = image.len() / PAPERS_MEANS.len();
    let noisy = image.iter().enumerate().map(|(at, &pixel)| {
        let mean = PAPERS_MEANS[(at / plane).min(PAPERS_MEANS.len() - 1)];
        let noise = size * stream.normal([number as u32, 0, 0], at as u32);
        (((255.0 * f64::from(pixel) - mean + noise).clamp(0.0, 1.0) + mean) / 255.0) as f32
    });
    noisy.collect()
}

/// Halvings of the search for the size of the noise: to the last bit of an f32.
const HALVINGS: usize = 40;

/// All noisy images.
pub(super) fn noisy(control: NoiseControl, data: &Dataset, norms: &[[f64; 3]], seed: u32) -> Vec<f32> {
    norms.iter().enumerate().flat_map(|(number, norms)| control.of(&data.image(number), number, norms, seed)).collect()
}

/// The image of that number with Gaussian noise whose L2 length, after the clip to 0..=1, is that of the image's change (the second of `norms`): the clip
/// takes much of the noise away where images are black or white, so the noise before it is larger. Where no noise of this sign pattern is
/// so long, the longest.
fn noisy_image(image: &[f32], number: usize, [_, wanted, _]: &[f64; 3], seed: u32) -> Vec<f32> {
    let stream = Stream::new(seed, Purpose::Noise);
    let noise: Vec<f64> = (0..image.len()).map(|at| stream.normal([number as u32, 0, 0], at as u32)).collect();
    let with = |size: f64| image.iter().zip(&noise).map(move |(&pixel, noise)| (f64::from(pixel) + size * noise).clamp(0.0, 1.0));
    let length = |size: f64| with(size).zip(image).map(|(noisy, &pixel)| (noisy - f64::from(pixel)).powi(2)).sum::<f64>().sqrt();
    let [mut low, mut high] = [0.0, 1.0];
    while length(high) < *wanted && high < 1e6 {
        high *= 2.0;
    }
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if length(middle) < *wanted { low = middle } else { high = middle }
    }
    with(if *wanted > 0.0 { high } else { 0.0 }).map(|pixel| pixel as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::attack::lengths;

    #[test]
    fn the_noise_is_as_long_as_the_attack() {
        let pixels: Vec<f32> = (0..2 * 40).map(|at| if at % 3 == 0 { 0.0 } else { (at % 11) as f32 / 10.0 }).collect();
        let data = Dataset::new("few", [1, 5, 8], pixels, vec![0, 0], vec!["a".into()]).unwrap();
        let noisy = |norms: &[[f64; 3]], seed| noisy(NoiseControl::Matched, &data, norms, seed);
        let images = noisy(&[[0.0, 1.3, 0.0], [0.0, 0.0, 0.0]], 3);
        let got = lengths(&images, &data.images(), 40);
        assert!((got[0][1] - 1.3).abs() <= 1e-5, "{got:?}");
        assert_eq!(images[40..], data.images()[40..], "no attack, no noise");
        assert!(images.iter().all(|pixel| (0.0..=1.0).contains(pixel)));
        assert_ne!(images, noisy(&[[0.0, 1.3, 0.0], [0.0, 0.0, 0.0]], 4));
        // Longer than any: everything is black or white.
        let most = noisy(&[[0.0, 1e3, 0.0]; 2], 3);
        assert!(most.iter().all(|&pixel| pixel == 0.0 || pixel == 1.0));
    }

    #[test]
    fn of_the_papers_noise_nothing_of_an_image_is_left() {
        let image: Vec<f32> = (0..3 * 50).map(|at| (at % 7) as f32 / 6.0).collect();
        let noisy = NoiseControl::Published.of(&image, 0, &[0.0, 0.5, 0.0], 1);
        for (at, pixel) in noisy.iter().enumerate() {
            let mean = PAPERS_MEANS[at / 50] / 255.0;
            assert!((mean - 1e-6..=mean + 1.0 / 255.0 + 1e-6).contains(&f64::from(*pixel)));
        }
        assert!(NoiseControl::Published.check([3, 5, 10]).is_ok() && NoiseControl::Matched.check([1, 2, 2]).is_ok());
        assert!(NoiseControl::Published.check([1, 28, 28]).unwrap_err().to_string().starts_with("--noise: "));
    }
}
