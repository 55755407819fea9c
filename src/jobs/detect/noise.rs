//! The noisy images that attacked ones are compared with.

use crate::data::Dataset;
use crate::random::{Purpose, Stream};

/// Halvings of the search for the size of the noise: to the last bit of an f32.
const HALVINGS: usize = 40;

/// Each image with Gaussian noise whose L2 length, after the clip to 0..=1, is that of the image's change (the second of `norms`): the clip
/// takes much of the noise away where images are black or white, so the noise before it is larger. Where no noise of this sign pattern is
/// so long, the longest.
pub(super) fn noisy(data: &Dataset, norms: &[[f64; 3]], seed: u32) -> Vec<f32> {
    norms.iter().enumerate().flat_map(|(number, norms)| noisy_image(data.image(number), number, norms, seed)).collect()
}

/// One of them: the image of that number.
pub(super) fn noisy_image(image: &[f32], number: usize, [_, wanted, _]: &[f64; 3], seed: u32) -> Vec<f32> {
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
        let images = noisy(&data, &[[0.0, 1.3, 0.0], [0.0, 0.0, 0.0]], 3);
        let got = lengths(&images, &data.images, 40);
        assert!((got[0][1] - 1.3).abs() <= 1e-5, "{got:?}");
        assert_eq!(images[40..], data.images[40..], "no attack, no noise");
        assert!(images.iter().all(|pixel| (0.0..=1.0).contains(pixel)));
        assert_ne!(images, noisy(&data, &[[0.0, 1.3, 0.0], [0.0, 0.0, 0.0]], 4));
        // Longer than any: everything is black or white.
        let most = noisy(&data, &[[0.0, 1e3, 0.0]; 2], 3);
        assert!(most.iter().all(|&pixel| pixel == 0.0 || pixel == 1.0));
    }
}
