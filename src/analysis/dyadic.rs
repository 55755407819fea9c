//! AUROC of scores that belong to pairs of images: each pair has a negative and a positive score, and pairs that share an image depend on
//! each other.
//!
//! The variance of AUROC is that of the mean of its influence function (the placements of `DeLong`, `DeLong` & Clarke-Pearson 1988), summed over
//! all pairs of pairs that share an image (Aronow, Samii & Assenova 2015, *Cluster-robust variance estimation for dyadic data*).

use super::detection::Estimate;
use super::student::t_quantile_975;
use crate::error::{Error, Result};
use std::collections::HashMap;

/// The AUROC of a score, and how much each pair adds to its deviation from the truth.
#[derive(Clone, Debug, PartialEq)]
pub struct Influence {
    /// The AUROC.
    pub auroc: f64,
    /// Of each pair, with mean 0.
    values: Vec<f64>,
}

impl Influence {
    /// That of the negative and the positive score of each pair.
    ///
    /// # Errors
    /// When there is no pair, the numbers of both kinds differ, or a score is not a number.
    pub fn new(negatives: &[f64], positives: &[f64]) -> Result<Self> {
        let wrong = |problem: String| Err(Error::setting("the scores of pairs", problem, "give two numbers for each pair"));
        if negatives.len() != positives.len() || negatives.is_empty() {
            return wrong(format!("there are {} negatives and {} positives", negatives.len(), positives.len()));
        }
        if negatives.iter().chain(positives).any(|score| score.is_nan()) {
            return wrong("one of them is NaN".to_owned());
        }
        let below = placements(positives, negatives);
        let above = placements(negatives, positives);
        let auroc = below.iter().sum::<f64>() / below.len() as f64;
        let values = below.iter().zip(&above).map(|(below, above)| (below - auroc) + (1.0 - above - auroc)).collect();
        Ok(Self { auroc, values })
    }

    /// The AUROC with its 95 % interval, symmetric in its logit, so that it stays between 0 and 1. None of an AUROC of exactly 0 or 1, whose
    /// scores say nothing about how far the truth may be from there.
    pub fn estimate(&self, pairs: &[[usize; 2]]) -> Estimate {
        let value = self.auroc;
        let spread = value * (1.0 - value);
        let Some(reach) = reach(&self.values, pairs).filter(|_| spread > 0.0) else {
            return Estimate { value, low: f64::NAN, high: f64::NAN };
        };
        let at = |side: f64| 1.0 / (1.0 + (-((value / (1.0 - value)).ln() + side * reach / spread)).exp());
        Estimate { value, low: at(-1.0), high: at(1.0) }
    }

    /// This AUROC less that of another score of the same pairs, with the 95 % interval of the difference.
    pub fn difference(&self, other: &Self, pairs: &[[usize; 2]]) -> Estimate {
        let value = self.auroc - other.auroc;
        let values: Vec<f64> = self.values.iter().zip(&other.values).map(|(a, b)| a - b).collect();
        let reach = reach(&values, pairs).unwrap_or(f64::NAN);
        Estimate { value, low: value - reach, high: value + reach }
    }
}

/// Of each score the share of `others` below it; equal ones count half.
fn placements(scores: &[f64], others: &[f64]) -> Vec<f64> {
    let mut sorted = others.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    // Comparisons rather than the order of the sort, for which −0 is below 0.
    let share = |score: &f64| {
        let (below, to) = (sorted.partition_point(|other| other < score), sorted.partition_point(|other| other <= score));
        (below + to) as f64 / (2 * sorted.len()) as f64
    };
    scores.iter().map(share).collect()
}

/// Half the width of the 95 % interval of the mean of numbers of pairs; none of fewer than two pairs.
fn reach(values: &[f64], pairs: &[[usize; 2]]) -> Option<f64> {
    assert_eq!(values.len(), pairs.len(), "each pair has a number");
    if pairs.len() < 2 {
        return None;
    }
    let (mut by_image, mut by_dyad): (HashMap<usize, f64>, HashMap<[usize; 2], f64>) = Default::default();
    for (&value, &[a, b]) in values.iter().zip(pairs) {
        *by_image.entry(a).or_default() += value;
        if a != b {
            *by_image.entry(b).or_default() += value;
        }
        *by_dyad.entry([a.min(b), a.max(b)]).or_default() += value;
    }
    // Sorted, so that the sum does not depend on the order of a map.
    let squares = |sums: Vec<f64>| {
        let mut squares: Vec<f64> = sums.into_iter().map(|sum| sum * sum).collect();
        squares.sort_unstable_by(f64::total_cmp);
        squares.iter().sum::<f64>()
    };
    let images = by_image.len() as f64;
    // Two pairs of the same two images are in the sums of both.
    let twice = squares(by_dyad.iter().filter(|([a, b], _)| a != b).map(|(_, sum)| *sum).collect());
    let alone = squares(by_dyad.into_values().collect());
    // The sum over pairs that share an image may be too small where there are few; the pairs by themselves vary at least.
    let sum = (squares(by_image.into_values().collect()) - twice).max(alone);
    let deviation = (sum * images / (images - 1.0)).sqrt() / values.len() as f64;
    Some(t_quantile_975(images - 1.0) * deviation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::detection::{Clusters, Comparison, Ranking, auroc};
    use crate::random::{Purpose, Stream};
    use rayon::prelude::*;

    #[test]
    fn the_area_is_that_of_the_ranking_with_ties() {
        let negatives = [0.0, 1.0, 1.0, 2.0, -0.0];
        let positives = [1.0, 0.0, 3.0, 2.0, 1.0];
        let influence = Influence::new(&negatives, &positives).unwrap();
        assert!((influence.auroc - auroc(&negatives, &positives).unwrap()).abs() <= 1e-15);
        assert!(influence.values.iter().sum::<f64>().abs() <= 1e-14);
        assert!(Influence::new(&[1.0], &[]).is_err() && Influence::new(&[], &[]).is_err() && Influence::new(&[f64::NAN], &[1.0]).is_err());
        let separate = Influence::new(&[0.0, 0.1], &[1.0, 1.1]).unwrap();
        assert!(separate.auroc == 1.0 && separate.estimate(&[[0, 1], [2, 3]]).interval().is_none());
        assert!(Influence::new(&[0.0], &[1.0]).unwrap().estimate(&[[0, 1]]).interval().is_none());
    }

    #[test]
    fn the_sum_is_over_all_pairs_that_share_an_image() {
        let stream = Stream::new(1, Purpose::Choice);
        let pairs: Vec<[usize; 2]> = (0..60).map(|pair| [0, 1].map(|end| stream.word([1, end, 0], pair) as usize % 12)).collect();
        // All of one sign: the sum over pairs that share an image is then larger than that over the pairs alone.
        let values: Vec<f64> = (0..60).map(|pair| stream.uniform([2, 0, 0], pair)).collect();
        let share = |a: [usize; 2], b: [usize; 2]| a.iter().any(|image| b.contains(image));
        let places = || (0..60).flat_map(|i| (0..60).map(move |j| (i, j)));
        let sum: f64 = places().filter(|&(i, j)| share(pairs[i], pairs[j])).map(|(i, j)| values[i] * values[j]).sum();
        let expected = t_quantile_975(11.0) * (sum * 12.0 / 11.0).sqrt() / 60.0;
        let found = reach(&values, &pairs).unwrap();
        assert!((found / expected - 1.0).abs() <= 1e-12, "{found} for {expected}");
    }

    /// How often the intervals of AUROC and of the difference of two detectors hold the truth. Half of what a midpoint's score is comes
    /// from its two images. With `by_image` false, the intervals are those of a bootstrap over pairs.
    fn coverage(by_image: bool) -> [f64; 2] {
        const RUNS: u32 = 1500;
        const IMAGES: u32 = 120;
        const PAIRS: u32 = 400;
        let (of_image, own, blur, shift) = (0.6_f64, 0.5_f64, 0.8_f64, 0.8_f64);
        // Two negatives, or positives, of different pairs differ by independent normal numbers.
        let phi = |x: f64| 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
        let variance = |blur: f64| 2.0 * (2.0 * of_image * of_image + own * own + blur * blur);
        let truth = [0.0, blur].map(|blur| phi(shift / variance(blur).sqrt()));
        let held: Vec<[bool; 2]> = (0..RUNS)
            .into_par_iter()
            .map(|run| {
                let stream = Stream::new(run, Purpose::Choice);
                let pairs: Vec<[usize; 2]> = (0..PAIRS)
                    .map(|pair| {
                        let [a, b] = [0, 1].map(|end| stream.word([1, end, 0], pair));
                        let first = a % IMAGES;
                        [first as usize, ((first + 1 + b % (IMAGES - 1)) % IMAGES) as usize]
                    })
                    .collect();
                // The effect of an image on its latent midpoints is another than that on its pixel midpoints.
                let score = |pair: usize, kind: u32, blur: f64| {
                    let of_images: f64 = pairs[pair].iter().map(|&image| of_image * stream.normal([2, kind, image as u32], 0)).sum();
                    let noise = own * stream.normal([3, kind, pair as u32], 0) + blur * stream.normal([4, kind, pair as u32], 0);
                    of_images + noise + if kind == 1 { shift } else { 0.0 }
                };
                let scores = |blur: f64| [0, 1].map(|kind| (0..pairs.len()).map(|pair| score(pair, kind, blur)).collect::<Vec<_>>());
                let [first, second] = [scores(0.0), scores(blur)];
                let found = if by_image {
                    let [first, second] = [first, second].map(|[negatives, positives]| Influence::new(&negatives, &positives).unwrap());
                    [first.estimate(&pairs), first.difference(&second, &pairs)]
                } else {
                    let rankings = [first, second].map(|[negatives, positives]| Ranking::new(&negatives, &positives).unwrap());
                    let numbers: Vec<u32> = (0..PAIRS).collect();
                    let comparison = Comparison::new(&rankings, &Clusters::paired(numbers.clone(), numbers, pairs.len()), 300, run);
                    [comparison.qualities[0].auroc, comparison.difference(0, 1)]
                };
                let holds = |estimate: Estimate, truth: f64| estimate.low <= truth && truth <= estimate.high;
                [holds(found[0], truth[0]), holds(found[1], truth[0] - truth[1])]
            })
            .collect();
        [0, 1].map(|which| held.iter().filter(|held| held[which]).count() as f64 / f64::from(RUNS))
    }

    #[test]
    fn intervals_of_pairs_hold_the_truth_in_95_of_100_cases() {
        let [area, difference] = coverage(true);
        assert!((0.93..=0.97).contains(&area) && (0.93..=0.97).contains(&difference), "{area}, {difference}");
        let [area, _] = coverage(false);
        assert!(area < 0.85, "the negative control, a bootstrap over pairs: {area}");
    }
}
