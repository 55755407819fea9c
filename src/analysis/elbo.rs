//! The bound that a VAE is trained on (Kingma & Welling 2014), for single images in nats.

use crate::error::Result;
use crate::nets::{Function, Likelihood, Network, Vae};
use std::f64::consts::TAU;

/// The two parts of −ELBO for one image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Elbo {
    /// −ln p(x|z) at the z that was drawn.
    pub reconstruction: f64,
    /// KL(q(z|x) ‖ p(z)).
    pub kl: f64,
}

impl Elbo {
    /// The parts for an image in 0..=1, its q(z|x), and the decoder's logits at a z drawn from it (see [`sample`]).
    pub fn new(likelihood: Likelihood, image: &[f64], mean: &[f64], log_variance: &[f64], logits: &[f64]) -> Self {
        Self { reconstruction: negative_log_likelihood(likelihood, logits, image), kl: kl_to_standard_normal(mean, log_variance) }
    }

    /// −ELBO = reconstruction + KL.
    pub fn negative(self) -> f64 {
        self.reconstruction + self.kl
    }
}

/// z = μ + σ ε with standard normal noise ε (eq. 10 there).
pub fn sample(mean: &[f64], log_variance: &[f64], noise: &[f64]) -> Vec<f64> {
    assert!(mean.len() == log_variance.len() && mean.len() == noise.len(), "one mean, log-variance and noise per dimension");
    mean.iter().zip(log_variance).zip(noise).map(|((mean, log_variance), noise)| mean + (log_variance / 2.0).exp() * noise).collect()
}

/// −ln p(x|z) for the decoder's logits at z and an image x in 0..=1.
pub fn negative_log_likelihood(likelihood: Likelihood, logits: &[f64], image: &[f64]) -> f64 {
    match likelihood {
        Likelihood::Bernoulli => bernoulli_nll(logits, image),
        Likelihood::Gaussian { variance } => gaussian_nll(logits, variance, image),
    }
}

/// ½ Σ (x − sigmoid(l))² / σ² + ln 2πσ², for pixels x of independent Gaussians with the mean sigmoid(l) and the variance σ².
fn gaussian_nll(logits: &[f64], variance: f64, image: &[f64]) -> f64 {
    assert_eq!(logits.len(), image.len(), "one logit per pixel");
    let squares: f64 = logits.iter().zip(image).map(|(&l, x)| (x - Function::Sigmoid {}.value(l)).powi(2)).sum();
    0.5 * (squares / variance + image.len() as f64 * (TAU * variance).ln())
}

/// −ln p(x|l) = Σ softplus(l) − x l, the cross-entropy of pixels x in 0..=1 and Bernoulli logits l. From logits it stays
/// finite where the sigmoid has rounded to 0 or 1.
pub fn bernoulli_nll(logits: &[f64], image: &[f64]) -> f64 {
    assert_eq!(logits.len(), image.len(), "one logit per pixel");
    logits.iter().zip(image).map(|(&l, x)| l.max(0.0) + (-l.abs()).exp().ln_1p() - x * l).sum()
}

/// KL(N(μ, σ²) ‖ N(0, 1)) = ½ Σ (σ² + μ² − 1 − ln σ²), summed over the latent dimensions (appendix B there).
pub fn kl_to_standard_normal(mean: &[f64], log_variance: &[f64]) -> f64 {
    assert_eq!(mean.len(), log_variance.len(), "one log-variance per mean");
    mean.iter().zip(log_variance).map(|(mean, log_variance)| 0.5 * (log_variance.exp_m1() + mean * mean - log_variance)).sum()
}

/// The decoder without its last layer, the sigmoid: z → logits.
///
/// # Errors
/// Never for the decoder of a checked VAE.
pub fn logit_decoder(vae: &Vae) -> Result<Network> {
    Network::of(vae.decoder.graph().without_last()?, vae.decoder.weights())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likelihood_is_that_of_the_definition_and_stays_finite() {
        let sigmoid = |l: f64| 1.0 / (1.0 + (-l).exp());
        let by_definition = |l: f64, x: f64| -(x * sigmoid(l).ln() + (1.0 - x) * (1.0 - sigmoid(l)).ln());
        for (l, x) in [(0.0, 0.3), (1.5, 0.0), (-2.5, 1.0), (3.0, 0.75)] {
            assert!((bernoulli_nll(&[l], &[x]) - by_definition(l, x)).abs() <= 1e-14, "logit {l}, pixel {x}");
        }
        assert_eq!(bernoulli_nll(&[800.0, -800.0], &[0.0, 1.0]), 1600.0);
        assert_eq!(bernoulli_nll(&[800.0, -800.0], &[1.0, 0.0]), 0.0);
        assert!(bernoulli_nll(&[f64::NAN], &[0.5]).is_nan());
    }

    #[test]
    fn a_gaussian_likelihood_is_that_of_the_normal_density() {
        let likelihood = Likelihood::Gaussian { variance: 0.04 };
        let density = |x: f64, m: f64| (-(x - m).powi(2) / 0.08).exp() / (TAU * 0.04).sqrt();
        let got = negative_log_likelihood(likelihood, &[0.0, 1.0], &[0.7, 0.2]);
        let sigmoid_of_1 = 1.0 / (1.0 + (-1f64).exp());
        assert!((got + density(0.7, 0.5).ln() + density(0.2, sigmoid_of_1).ln()).abs() <= 1e-12, "{got}");
        assert_eq!(negative_log_likelihood(Likelihood::Bernoulli, &[1.5], &[0.3]), bernoulli_nll(&[1.5], &[0.3]));
    }

    #[test]
    fn the_divergence_is_0_for_the_prior_and_grows_away_from_it() {
        assert_eq!(kl_to_standard_normal(&[0.0, 0.0], &[0.0, 0.0]), 0.0);
        // ½ μ² alone, and ½ (σ² − 1 − ln σ²) alone at σ² = 4.
        assert_eq!(kl_to_standard_normal(&[3.0], &[0.0]), 4.5);
        assert!((kl_to_standard_normal(&[0.0], &[4f64.ln()]) - 0.5 * (3.0 - 4f64.ln())).abs() <= 1e-15);
    }

    #[test]
    fn a_sample_lies_at_the_mean_plus_noise_in_standard_deviations() {
        assert_eq!(sample(&[1.0, -2.0], &[0.0, 0.0], &[0.5, -1.0]), [1.5, -3.0]);
        assert!((sample(&[0.0], &[9f64.ln()], &[2.0])[0] - 6.0).abs() <= 1e-14);
    }
}
