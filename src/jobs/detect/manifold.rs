//! How far images lie from the data by the VAE: the paper's hypothesis without a classifier (Smith & Gal 2018, §1 and §3.1).

use super::Detector;
use crate::autodiff::reconstruct;
use crate::data::Dataset;
use crate::error::Result;
use crate::jobs::ModelSet;
use crate::latent::{Density, Nearest};
use crate::nets::Vae;
use rayon::prelude::*;

/// A VAE and its training encodings, as [`Detector::OF_VAE`] need them.
pub struct Manifold {
    vae: Vae,
    nearest: Nearest,
    density: Density,
}

impl Manifold {
    /// That of a set; `None` where it has no encodings, or its latent space is no plane.
    pub fn of(set: &ModelSet) -> Option<Self> {
        let train = &set.encodings.as_ref()?.train;
        (set.vae.latent_size() == 2).then(|| Self { vae: set.vae.clone(), nearest: Nearest::new(train), density: Density::new(train) })
    }

    /// Encodes images \[N, C, H, W\] in 0..=1, and measures how far from the data they lie.
    ///
    /// # Errors
    /// When the images are not of the VAE's shape.
    pub fn distances(&self, images: &[f32], shape: [usize; 3]) -> Result<Distances> {
        let count = images.len() / shape.iter().product::<usize>().max(1);
        let data = Dataset::new("the images", shape, images.to_vec(), vec![0; count], vec!["image".to_owned()])?;
        let (means, errors) = reconstruct(&self.vae, &data)?;
        let points: Vec<[f64; 2]> = means.as_chunks().0.iter().map(|&[z1, z2]: &[f32; 2]| [z1.into(), z2.into()]).collect();
        Ok(Distances {
            to_encodings: points.par_iter().map(|&z| self.nearest.distance(z)).collect(),
            log_density: points.par_iter().map(|&z| self.density.log_at(z)).collect(),
            reconstruction: errors.into_iter().map(f64::from).collect(),
        })
    }
}

/// How far images lie from the data, a value for each.
#[derive(Clone, Debug, PartialEq)]
pub struct Distances {
    /// To the nearest training encoding, in units of z.
    pub to_encodings: Vec<f64>,
    /// ln q(z).
    pub log_density: Vec<f64>,
    /// −ln p(x|z) in nats.
    pub reconstruction: Vec<f64>,
}

impl Distances {
    /// The values of a detector; `None` for a measure, which is no distance.
    pub fn of(&self, detector: Detector) -> Option<&[f64]> {
        match detector {
            Detector::Measure(_) => None,
            Detector::DistanceToEncodings => Some(&self.to_encodings),
            Detector::LatentLogDensity => Some(&self.log_density),
            Detector::ReconstructionError => Some(&self.reconstruction),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::elbo::{bernoulli_nll, logit_decoder};
    use crate::autodiff::{DecoderGradients, encode};
    use crate::engine;
    use std::sync::Arc;

    /// Decoded encodings, which lie on the manifold, and the same with light for dark, which do not.
    fn images(set: &ModelSet) -> [Vec<f32>; 2] {
        let points = &set.encodings().unwrap().test.points[..20];
        let z: Vec<f64> = points.iter().flatten().copied().map(f64::from).collect();
        let on = engine::open("cpu", Arc::clone(&set.models)).unwrap().decode(&z).unwrap();
        let off = on.iter().map(|pixel| 1.0 - pixel).collect();
        [on, off]
    }

    #[test]
    fn distances_are_those_of_the_definitions() {
        let set = ModelSet::shipped().unwrap();
        let [on, _] = images(&set);
        let found = Manifold::of(&set).unwrap().distances(&on, [1, 28, 28]).unwrap();
        let data = Dataset::new("on", [1, 28, 28], on.clone(), vec![0; 20], vec!["digit".into()]).unwrap();
        let means = encode(&set.vae, &data).unwrap();
        let train = &set.encodings().unwrap().train;
        let decoder = DecoderGradients::new(&logit_decoder(&set.vae).unwrap());
        for image in 0..20 {
            let z = [f64::from(means[2 * image]), f64::from(means[2 * image + 1])];
            let distance = |point: &[f32; 2]| (f64::from(point[0]) - z[0]).hypot(f64::from(point[1]) - z[1]);
            let nearest = train.points.iter().map(distance).fold(f64::INFINITY, f64::min);
            assert!((found.to_encodings[image] - nearest).abs() <= 1e-9, "image {image}");
            let pixels: Vec<f64> = on[784 * image..784 * (image + 1)].iter().copied().map(f64::from).collect();
            let error = bernoulli_nll(&decoder.decode(&z).images, &pixels);
            assert!((found.reconstruction[image] / error - 1.0).abs() <= 1e-4, "image {image}: {error}");
        }
        assert_eq!(found.log_density[0], Density::new(train).log_at([means[0].into(), means[1].into()]));
    }

    #[test]
    fn images_off_the_data_are_reconstructed_worse() {
        let set = ModelSet::shipped().unwrap();
        let manifold = Manifold::of(&set).unwrap();
        let [on, off] = images(&set).map(|images| manifold.distances(&images, [1, 28, 28]).unwrap());
        let worse = on.reconstruction.iter().zip(&off.reconstruction).filter(|(on, off)| on < off).count();
        assert_eq!(worse, 20);
        assert!(manifold.distances(&[0.5; 4], [1, 2, 2]).is_err(), "of another shape");
    }

    #[test]
    fn a_set_without_encodings_has_no_manifold() {
        let set = ModelSet { encodings: None, ..ModelSet::shipped().unwrap() };
        assert!(Manifold::of(&set).is_none());
    }
}
