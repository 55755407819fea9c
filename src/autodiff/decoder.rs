//! A decoder with gradients: latent points in, images out, and the way back. In f64: a plane has two dimensions, and slopes in it are small.

use super::steps::{Part, Saved};
use crate::nets::lowering::lower;
use crate::nets::{Ending, Network};
use std::sync::Arc;

/// A decoder that can be gone back through.
pub struct DecoderGradients {
    steps: Part<f64>,
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
        let program = lower(decoder, Ending::Logits);
        Self { steps: Part::whole(&program), latent_size: program.values[0].length }
    }

    /// The images of z \[N, latent size\].
    pub fn decode(&self, z: &[f64]) -> Decoded {
        let count = z.len() / self.latent_size;
        let (mut images, trace) = self.steps.forward(0, [(0, Arc::new(z.to_vec()))], count, None, true);
        Decoded { images: Arc::unwrap_or_clone(images.swap_remove(0)), trace, count }
    }

    /// The gradient in z \[N, latent size\], for that in the images.
    pub fn back(&self, decoded: &Decoded, of_images: Vec<f64>) -> Vec<f64> {
        let of_given = [(self.steps.gives[0], of_images)];
        let mut gradients = self.steps.backward((0, &decoded.trace), of_given, decoded.count, None);
        gradients[0].take().unwrap_or_else(|| vec![0.0; decoded.count * self.latent_size])
    }
}
