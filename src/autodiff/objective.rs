//! What an attack climbs: losses of the answers of several passes through the networks, and their gradient in the logits.

use crate::error::{Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// A loss of P passes over C classes, in nats; p̄ is their mean probability and y the label.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// −ln `p̄_y`: what the networks answer together.
    MeanProbability,
    /// −ln softmax(p̄)_y, as the paper's code has it: the softmax is taken a second time, of probabilities, and the loss is nearly flat.
    AsPublished,
    /// The mean over the passes of −ln `p_y`: the expectation over draws (EOT, Athalye et al. 2018).
    Expected,
    /// ln `p̄_c` − ln `p̄_y` for the most probable class c but y: with a single pass the difference of the logits (Carlini & Wagner 2017).
    Margin,
    /// The mean over the passes of the difference of logits ratio `(z_c − z_y) / (z_π1 − z_π3)`, for the largest logit `z_c` but the label's
    /// and the first and third in descending order (DLR, Croce & Hein 2020). It knows no scale: sure networks have as large a gradient as
    /// others. With two classes there is no third, and it is `z_c − z_y`.
    LogitsRatio,
    /// −ln `p̄_y` less so many times the mutual information: wrong, and the draws agree on it.
    Evading(f64),
}

/// A loss, and which way an attack goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// The loss.
    pub loss: Loss,
    /// Whether the label is one to get to rather than to get away from.
    pub towards: bool,
}

/// ln softmax of the logits, exact for probabilities near 1: the others' share goes through ln(1 + x).
pub(super) fn log_softmax(logits: &[f64]) -> impl Iterator<Item = f64> + '_ {
    let largest = (0..logits.len()).fold(0, |best, at| if logits[at] > logits[best] { at } else { best });
    let others: f64 = logits.iter().enumerate().filter(|(at, _)| *at != largest).map(|(_, logit)| (logit - logits[largest]).exp()).sum();
    let rest = others.ln_1p();
    logits.iter().map(move |logit| logit - logits[largest] - rest)
}

/// The difference of logits ratio of one pass, and its derivatives in classes' logits. Logits are given as ln p, which differ from them by the
/// same for all classes.
fn logits_ratio(logs: &[f64], label: usize) -> (f64, [(usize, f64); 4]) {
    let mut order: Vec<usize> = (0..logs.len()).collect();
    order.sort_by(|&a, &b| logs[b].total_cmp(&logs[a]));
    let Some(&rival) = order.iter().find(|class| **class != label) else { return (0.0, [(label, 0.0); 4]) };
    let above = logs[rival] - logs[label];
    let Some(&third) = order.get(2) else { return (above, [(rival, 1.0), (label, -1.0), (rival, 0.0), (label, 0.0)]) };
    // The floor of `AutoAttack`.
    let spread = logs[order[0]] - logs[third] + 1e-12;
    let ratio = above / spread;
    (ratio, [(rival, 1.0 / spread), (label, -1.0 / spread), (order[0], -ratio / spread), (third, ratio / spread)])
}

/// What an objective is for one image.
pub(super) struct Judged {
    /// The objective.
    pub value: f64,
    /// p̄ \[C\].
    pub mean: Vec<f64>,
    /// The gradient in the logits \[P, C\] divided by `scale`; empty where it was not asked for.
    pub gradient: Vec<f64>,
    /// Its largest absolute value. Sure networks have tiny gradients: scaled up, they do not vanish in single precision on the way back.
    pub scale: f64,
}

/// The objective of images with a label each, for logits \[N, P, C\].
///
/// # Errors
/// When it is not finite.
pub(super) fn judge(logits: &[f64], labels: &[usize], classes: usize, objective: Objective, gradients: bool) -> Result<Vec<Judged>> {
    let length = logits.len() / labels.len();
    let of_image = |(logits, &label): (&[f64], &usize)| {
        let logs: Vec<f64> = logits.chunks_exact(classes).flat_map(log_softmax).collect();
        let (mut mean, mut gradient) = (vec![0.0; classes], vec![0.0; if gradients { length } else { 0 }]);
        let value = objective.evaluate(&logs, label, &mut mean, gradients.then_some(&mut gradient[..]));
        for ln in &mut mean {
            *ln = ln.exp();
        }
        let scale = gradient.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        if scale > 0.0 {
            for value in &mut gradient {
                *value /= scale;
            }
        }
        Judged { value, mean, gradient, scale }
    };
    let judged: Vec<Judged> = logits.par_chunks_exact(length).zip(labels).map(of_image).collect();
    match judged.iter().position(|image| !image.value.is_finite()) {
        Some(image) => Err(Error::Network(format!(
            "the networks' answer to image {image} of a batch is not a finite number: the weights are too large"
        ))),
        None => Ok(judged),
    }
}

impl Objective {
    /// What is to be raised, for `logs` = ln p \[P, C\] of one image, the ln p̄ \[C\], and, where there is room for it, the gradient in the
    /// logits \[P, C\].
    pub(super) fn evaluate(&self, logs: &[f64], label: usize, ln_mean: &mut [f64], gradient: Option<&mut [f64]>) -> f64 {
        let classes = ln_mean.len();
        let passes = (logs.len() / classes) as f64;
        for (class, ln_mean) in ln_mean.iter_mut().enumerate() {
            let of_class = || logs.iter().skip(class).step_by(classes);
            let largest = of_class().fold(f64::NEG_INFINITY, |largest, &log| largest.max(log));
            *ln_mean = largest + (of_class().map(|log| (log - largest).exp()).sum::<f64>() / passes).ln();
        }
        let ln_mean = &*ln_mean;
        // The derivatives of the value in each ln p̄_c; in ln p_y of each pass; in the mean entropy of the passes.
        let (mut in_mean, mut in_each, mut in_entropy) = (vec![0.0; classes], 0.0, 0.0);
        let sign = if self.towards { -1.0 } else { 1.0 };
        let mut value = sign
            * match self.loss {
                Loss::MeanProbability | Loss::Evading(_) => {
                    in_mean[label] = -sign;
                    -ln_mean[label]
                }
                Loss::AsPublished => {
                    let total = ln_mean.iter().map(|ln| ln.exp().exp()).sum::<f64>();
                    for (class, (derivative, ln)) in in_mean.iter_mut().zip(ln_mean).enumerate() {
                        let mean = ln.exp();
                        *derivative = sign * mean * (mean.exp() / total - f64::from(u8::from(class == label)));
                    }
                    total.ln() - ln_mean[label].exp()
                }
                Loss::Expected => {
                    in_each = -sign / passes;
                    -logs.iter().skip(label).step_by(classes).sum::<f64>() / passes
                }
                Loss::LogitsRatio => logs.chunks_exact(classes).map(|logs| logits_ratio(logs, label).0).sum::<f64>() / passes,
                Loss::Margin => {
                    let rival = |best: Option<usize>, class: usize| {
                        if class == label || best.is_some_and(|best| ln_mean[class] <= ln_mean[best]) { best } else { Some(class) }
                    };
                    // A network of a single class has no rival, and nothing to climb.
                    (0..classes).fold(None, rival).map_or(0.0, |rival| {
                        (in_mean[rival], in_mean[label]) = (sign, -sign);
                        ln_mean[rival] - ln_mean[label]
                    })
                }
            };
        let entropy = |logs: &[f64]| -logs.iter().map(|log| log.exp() * log).filter(|product| !product.is_nan()).sum::<f64>();
        if let Loss::Evading(weight) = self.loss {
            let expected = logs.chunks_exact(classes).map(entropy).sum::<f64>() / passes;
            value -= weight * (entropy(ln_mean) - expected);
            in_entropy = weight / passes;
            for (derivative, ln) in in_mean.iter_mut().zip(ln_mean) {
                *derivative += if *ln > f64::NEG_INFINITY { weight * ln.exp() * (ln + 1.0) } else { 0.0 };
            }
        }
        let Some(gradient) = gradient else { return value };
        for (gradient, logs) in gradient.chunks_exact_mut(classes).zip(logs.chunks_exact(classes)) {
            // d ln p̄_c / d ln p_c of this pass: its share in p̄_c.
            let shares =
                logs.iter().zip(ln_mean).zip(&in_mean).map(|((log, ln), d)| if *d == 0.0 { 0.0 } else { d * (log - ln).exp() / passes });
            let mut in_logs: Vec<f64> = shares.collect();
            in_logs[label] += in_each;
            if self.loss == Loss::LogitsRatio {
                logits_ratio(logs, label).1.into_iter().for_each(|(class, slope)| in_logs[class] += sign * slope / passes);
            }
            let total: f64 = in_logs.iter().sum();
            let own = if in_entropy == 0.0 { 0.0 } else { entropy(logs) };
            for ((gradient, log), in_log) in gradient.iter_mut().zip(logs).zip(in_logs) {
                // Σ_c d_c (δ_ck − p_k) with the own term apart, which 1 − p = −expm1(ln p) keeps exact where p is nearly 1.
                *gradient = -in_log * log.exp_m1() - log.exp() * (total - in_log);
                if in_entropy != 0.0 && *log > f64::NEG_INFINITY {
                    *gradient -= in_entropy * log.exp() * (log + own);
                }
            }
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSES: usize = 4;

    fn value(objective: Objective, logits: &[f64], gradient: Option<&mut [f64]>) -> f64 {
        let logs: Vec<f64> = logits.chunks(CLASSES).flat_map(log_softmax).collect();
        objective.evaluate(&logs, 2, &mut [0.0; CLASSES], gradient)
    }

    #[test]
    fn gradients_are_the_slopes() {
        let logits = [0.3, -1.0, 0.8, 2.1, 1.4, 0.2, -0.7, -2.0, 0.1, 0.0, 3.0, 0.6];
        for loss in [Loss::MeanProbability, Loss::AsPublished, Loss::Expected, Loss::LogitsRatio, Loss::Margin, Loss::Evading(0.7)] {
            for towards in [false, true] {
                let objective = Objective { loss, towards };
                let mut gradient = [0.0; 12];
                value(objective, &logits, Some(&mut gradient));
                for at in 0..12 {
                    let moved = |by: f64| {
                        let mut logits = logits;
                        logits[at] += by;
                        value(objective, &logits, None)
                    };
                    let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                    assert!((gradient[at] - slope).abs() <= 1e-9, "{loss:?} {towards} {at}: {} for {slope}", gradient[at]);
                    let wrong = gradient[at] * 1.01 + 1e-6;
                    assert!((wrong - slope).abs() > 1e-9, "the negative control");
                }
            }
        }
    }

    #[test]
    fn the_logits_ratio_is_that_of_logits_and_knows_no_scale() {
        // By hand: label 2 with .8; the others' largest 2.1, the third in order .3.
        let logits = [0.3, -1.0, 0.8, 2.1];
        let objective = Objective { loss: Loss::LogitsRatio, towards: false };
        assert!((value(objective, &logits, None) - (2.1 - 0.8) / (2.1 - 0.3)).abs() <= 1e-9);
        assert!((value(objective, &logits.map(|z| 40.0 * z + 3.0), None) - 1.3 / 1.8).abs() <= 1e-9);
        let margin = Objective { loss: Loss::Margin, towards: false };
        assert!((value(margin, &logits.map(|z| 40.0 * z), None) - 1.3).abs() > 1.0, "the negative control");
        let two = objective.evaluate(&[-2.0, -0.1], 1, &mut [0.0; 2], None);
        assert!((two + 1.9).abs() <= 1e-12, "the margin of two classes: {two}");
        assert_eq!(objective.evaluate(&[0.0], 0, &mut [0.0], Some(&mut [0.0])), 0.0, "a single class");
    }

    #[test]
    fn a_sure_network_still_has_a_gradient_and_softmax_twice_has_hardly_one() {
        let logits = [0.0, -3.0, 60.0, 1.0];
        let size = |loss| {
            let mut gradient = [0.0; 4];
            assert!(value(Objective { loss, towards: false }, &logits, Some(&mut gradient)).is_finite());
            gradient.iter().fold(0.0, |most: f64, g| most.max(g.abs()))
        };
        // p of the label is 1 to the last bit, and what is left to the others is 4e-26.
        assert!((1e-27..1e-25).contains(&size(Loss::MeanProbability)), "{}", size(Loss::MeanProbability));
        assert!(size(Loss::AsPublished) < size(Loss::MeanProbability));
        assert!(size(Loss::Margin) >= 0.9);
    }
}
