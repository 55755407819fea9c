//! What a VAE makes of the images of a data set, in single precision, batch by batch.

use super::steps::Part;
use super::train::{TEST_BATCH, test_noise};
use crate::analysis::elbo::{Elbo, logit_decoder, negative_log_likelihood, sample};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::nets::lowering::lower;
use crate::nets::{Ending, Network, Vae};
use rayon::prelude::*;
use std::sync::Arc;

/// The networks of a VAE. The decoder ends before its sigmoid, which would lose what the likelihood needs.
struct Parts {
    encoder: Part<f32>,
    mean: Part<f32>,
    log_variance: Part<f32>,
    logits: Part<f32>,
    latent_size: usize,
}

/// What one network makes of a batch.
fn output(part: &Part<f32>, input: &Arc<Vec<f32>>, count: usize) -> Arc<Vec<f32>> {
    let (mut given, _) = part.forward(0, [(0, Arc::clone(input))], count, None, false);
    given.swap_remove(0)
}

impl Parts {
    fn of(vae: &Vae) -> Result<Self> {
        let part = |network: &Network| Part::whole(&lower(network, Ending::Logits));
        Ok(Self {
            encoder: part(&vae.encoder),
            mean: part(&vae.mean),
            log_variance: part(&vae.log_variance),
            logits: part(&logit_decoder(vae)?),
            latent_size: vae.latent_size(),
        })
    }
}

/// Calls `visit(number of the batch, its images, their features, how many they are)` for each batch of a data set.
fn each_batch(vae: &Vae, data: &Dataset, mut visit: impl FnMut(&Parts, usize, &[f32], &Arc<Vec<f32>>, usize)) -> Result<()> {
    if vae.image_shape() != data.image_shape {
        return Err(Error::Network(format!(
            "the VAE takes images of {:?}, but those of {} are of {:?}: give images of its shape",
            vae.image_shape(),
            data.name,
            data.image_shape
        )));
    }
    let parts = Parts::of(vae)?;
    for (number, first) in (0..data.len()).step_by(TEST_BATCH).enumerate() {
        let count = TEST_BATCH.min(data.len() - first);
        let images = Arc::new(data.images_of(first..first + count).into_owned());
        let features = output(&parts.encoder, &images, count);
        visit(&parts, number, &images, &features, count);
    }
    Ok(())
}

fn in_double(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// The mean reconstruction and KL of a VAE on a data set in nats, with one sample of z per image by `seed`.
///
/// # Errors
/// When the images are not of the VAE's shape.
pub fn elbo_of(vae: &Vae, data: &Dataset, seed: u32) -> Result<[f64; 2]> {
    let mut sums = [0.0; 2];
    each_batch(vae, data, |parts, number, images, features, count| {
        let [mean, log_variance] = [&parts.mean, &parts.log_variance].map(|part| in_double(&output(part, features, count)));
        let noise: Vec<f64> = test_noise(seed, number, count * parts.latent_size).collect();
        let z = sample(&mean, &log_variance, &noise).into_iter().map(|z| z as f32).collect();
        let logits = output(&parts.logits, &Arc::new(z), count);
        let pixels = images.len() / count;
        let of_image = |image: usize| {
            let [logits, pixels] = [&logits[..], images].map(|values| in_double(&values[image * pixels..][..pixels]));
            let moments = image * parts.latent_size..(image + 1) * parts.latent_size;
            Elbo::new(vae.likelihood, &pixels, &mean[moments.clone()], &log_variance[moments], &logits)
        };
        let each: Vec<Elbo> = (0..count).into_par_iter().map(of_image).collect();
        for elbo in each {
            sums[0] += elbo.reconstruction;
            sums[1] += elbo.kl;
        }
    })?;
    Ok(sums.map(|sum| sum / data.len() as f64))
}

/// The means μ of q(z|x) of a data set's images, \[N, latent size\].
///
/// # Errors
/// When the images are not of the VAE's shape.
pub fn encode(vae: &Vae, data: &Dataset) -> Result<Vec<f32>> {
    let mut means = Vec::with_capacity(data.len() * vae.latent_size());
    each_batch(vae, data, |parts, _, _, features, count| means.extend_from_slice(&output(&parts.mean, features, count)))?;
    Ok(means)
}

/// The means μ of q(z|x) of a data set's images, \[N, latent size\], and each image's reconstruction error −ln p(x|μ) in nats, with the
/// likelihood that the VAE is trained on.
///
/// # Errors
/// When the images are not of the VAE's shape.
pub fn reconstruct(vae: &Vae, data: &Dataset) -> Result<(Vec<f32>, Vec<f32>)> {
    let (mut means, mut errors) = (Vec::with_capacity(data.len() * vae.latent_size()), Vec::with_capacity(data.len()));
    each_batch(vae, data, |parts, _, images, features, count| {
        let mean = output(&parts.mean, features, count);
        let logits = output(&parts.logits, &mean, count);
        let pixels = images.len() / count;
        let each = logits.par_chunks(pixels).zip(images.par_chunks(pixels));
        let of_batch: Vec<f32> =
            each.map(|(logits, image)| negative_log_likelihood(vae.likelihood, &in_double(logits), &in_double(image)) as f32).collect();
        errors.extend(of_batch);
        means.extend_from_slice(&mean);
    })?;
    Ok((means, errors))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::reference::forward;
    use crate::nets::{Graph, VaeGraphs, VaePart, Weights, random_graph_weights};
    use crate::random::{Purpose, Stream};
    use serde_json::json;

    /// A VAE of convolutions, transposed ones and a shortcut.
    fn vae(seed: u32) -> Vae {
        let nodes = |part: VaePart| match part {
            VaePart::Encoder => json!([
                {"name": "c", "op": "conv2d", "in_channels": 1, "out_channels": 2, "kernel": [3, 2], "stride": [2, 2]},
                {"name": "silu", "op": "apply", "function": "silu"},
                {"name": "sum", "inputs": ["c", "silu"], "op": "add"},
                {"name": "vector", "op": "flatten"},
            ]),
            VaePart::Mean => json!([{"name": "mean", "op": "linear", "in_features": 12, "out_features": 2}]),
            VaePart::LogVariance => json!([{"name": "variance", "op": "linear", "in_features": 12, "out_features": 2}]),
            VaePart::Decoder => json!([
                {"name": "grow", "op": "linear", "in_features": 2, "out_features": 12},
                {"name": "image", "op": "reshape", "shape": [2, 2, 3]},
                {"name": "up", "op": "conv_transpose2d", "in_channels": 2, "out_channels": 1, "kernel": [3, 2], "stride": [2, 2]},
                {"name": "sigmoid", "op": "apply", "function": "sigmoid"},
            ]),
        };
        let graphs = VaeGraphs::new([1, 5, 6], |part, shape| Graph::new(shape, serde_json::from_value(nodes(part)).unwrap())).unwrap();
        let weights: Weights = graphs.all().into_iter().flat_map(|graph| random_graph_weights(graph, seed)).collect();
        Vae::of(&graphs, &weights).unwrap()
    }

    fn data() -> Dataset {
        let stream = Stream::new(3, Purpose::Choice);
        let images = (0..7 * 30).map(|at| stream.uniform([0; 3], at) as f32).collect();
        Dataset::new("noise", [1, 5, 6], images, vec![0; 7], vec!["a".to_owned()]).unwrap()
    }

    #[test]
    fn any_graph_is_encoded_reconstructed_and_bounded_as_the_reference_has_it() {
        let (data, noise) = (data(), test_noise(4, 0, 14).collect::<Vec<f64>>());
        // Means, errors at the means, and the bound's two parts.
        let expected = |vae: &Vae| {
            let mut all = (Vec::new(), Vec::new(), [0.0; 2]);
            for (image, noise) in data.images().chunks(30).zip(noise.chunks(2)) {
                let image = in_double(image);
                let features = forward(&vae.encoder, &image, None);
                let [mean, log_variance] = [&vae.mean, &vae.log_variance].map(|part| forward(part, &features, None));
                let decoder = logit_decoder(vae).unwrap();
                all.1.push(negative_log_likelihood(vae.likelihood, &forward(&decoder, &mean, None), &image));
                let z = sample(&mean, &log_variance, noise);
                let elbo = Elbo::new(vae.likelihood, &image, &mean, &log_variance, &forward(&decoder, &z, None));
                all.2[0] += elbo.reconstruction / 7.0;
                all.2[1] += elbo.kl / 7.0;
                all.0.extend(mean);
            }
            all
        };
        let (means, errors) = reconstruct(&vae(1), &data).unwrap();
        assert_eq!(encode(&vae(1), &data).unwrap(), means);
        let agree = |seed: u32| {
            let (of_means, of_errors, bound) = expected(&vae(seed));
            let near = |got: &[f64], expected: &[f64]| got.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs().max(0.1));
            [near(&in_double(&means), &of_means), near(&in_double(&errors), &of_errors), near(&elbo_of(&vae(1), &data, 4).unwrap(), &bound)]
        };
        assert_eq!(agree(1), [true; 3]);
        assert_eq!(agree(2), [false; 3], "the negative control");
        let other = Dataset { image_shape: [1, 6, 5], ..data.clone() };
        assert!(encode(&vae(1), &other).unwrap_err().to_string().contains("takes images of [1, 5, 6]"));
    }
}
