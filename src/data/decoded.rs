//! The decoded digits: what stands in for MNIST where its images are not at hand.

use super::Dataset;
use crate::error::Result;

/// The name of the decoded digits, which says what they are.
pub const DECODED_DIGITS: &str = "decoded digits (MNIST test encodings, decoded by the VAE)";

/// A data set of images that `decode` makes of the latent `points`, with the labels of the images that were encoded. `decode`
/// takes \[N, 2\] and gives \[N, C, H, W\], as an engine's `decode` does.
///
/// # Errors
/// When `decode` fails, or what it makes does not fit `image_shape`, the labels and the classes.
pub fn decoded_digits(
    points: &[[f32; 2]],
    labels: &[u16],
    classes: &[String],
    image_shape: [usize; 3],
    decode: impl FnOnce(&[f64]) -> Result<Vec<f32>>,
) -> Result<Dataset> {
    let z: Vec<f64> = points.as_flattened().iter().copied().map(f64::from).collect();
    Dataset::new(DECODED_DIGITS, image_shape, decode(&z)?, labels.to_vec(), classes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_images_are_those_of_the_decoder_in_order() {
        let halves = |z: &[f64]| Ok(z.iter().flat_map(|&z| [z as f32, 0.5]).collect());
        let decode = |labels: &[u16], shape| decoded_digits(&[[0.25, 1.0], [0.0, 0.75]], labels, &["a".into(), "b".into()], shape, halves);
        let data = decode(&[1, 0], [1, 2, 2]).unwrap();
        assert_eq!((data.name.as_str(), data.image(1)), (DECODED_DIGITS, vec![0.0, 0.5, 0.75, 0.5].into()));
        assert!(decode(&[1], [1, 2, 2]).is_err());
        assert!(decode(&[1, 2], [1, 2, 2]).is_err());
        assert!(decode(&[1, 0], [1, 2, 3]).is_err());
    }
}
