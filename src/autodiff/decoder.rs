//! A decoder with gradients: latent points in, images out, and the way back. In f64: a plane has two dimensions, and slopes in it are small.

use super::plan::{Saved, Step, backward, forward, steps};
use crate::nets::Network;

/// A decoder that can be gone back through.
pub struct DecoderGradients {
    steps: Vec<Step<f64>>,
    latent_size: usize,
}

/// Images of latent points, and what the way back needs.
pub struct Decoded {
    /// \[N, C, H, W\].
    pub images: Vec<f64>,
    trace: Vec<Saved<f64>>,
    count: usize,
}

impl DecoderGradients {
    /// Prepares a decoder.
    pub fn new(decoder: &Network) -> Self {
        Self { steps: steps(decoder, 0..decoder.layers().len()), latent_size: decoder.input_shape().iter().product() }
    }

    /// The images of z \[N, latent size\].
    pub fn decode(&self, z: &[f64]) -> Decoded {
        let count = z.len() / self.latent_size;
        let (images, trace) = forward(&self.steps, z.to_vec(), count, None, true);
        Decoded { images, trace, count }
    }

    /// The gradient in z \[N, latent size\], for that in the images.
    pub fn back(&self, decoded: &Decoded, of_images: Vec<f64>) -> Vec<f64> {
        backward(&self.steps, &decoded.trace, of_images, decoded.count, None)
    }
}
