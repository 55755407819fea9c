//! How well a score tells two kinds of images apart: uncertain ones from others, adversarial ones from others.

#[cfg(test)]
mod tests;

use crate::error::{Error, Result};
use crate::numbers::fixed;
use crate::random::{Purpose, Stream};
use rayon::prelude::*;
use serde::Serialize;

/// The share of the positives that [`Ranking::fpr_at_95_tpr`] is about.
const DETECTED: f64 = 0.95;
/// The false positive rates that [`Ranking::tpr_at_1_fpr`] and [`Ranking::tpr_at_5_fpr`] are about.
const TOLERATED: [f64; 2] = [0.01, 0.05];
/// Minimum number of positives, and of negatives, for a meaningful bootstrap interval.
const FEWEST: usize = 10;
/// How many numbers a [`Quality`] holds.
const NUMBERS: usize = 5;

/// The area under the ROC curve: the probability that the score of a positive is higher than that of a negative, where a tie
/// counts half (the statistic of Mann & Whitney 1947 over the number of pairs; Hanley & `McNeil` 1982). 0.5 is chance.
///
/// # Errors
/// When there is no negative or no positive, or a score is not a number.
pub fn auroc(negatives: &[f64], positives: &[f64]) -> Result<f64> {
    Ok(Ranking::new(negatives, positives)?.auroc())
}

/// The scores of negatives and positives in order: what every number about detection follows from.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// The different scores, the highest first.
    pub thresholds: Vec<f64>,
    /// How many negatives and positives have each.
    counts: Vec<[f64; 2]>,
    /// For each negative, then each positive, which of the scores it has.
    places: [Vec<u32>; 2],
}

/// A number with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Of the scores as they are.
    pub value: f64,
    /// The 2.5th percentile of the resamples; NaN where there is no interval: for a single positive or negative, or without resamples.
    pub low: f64,
    /// The 97.5th; NaN as well.
    pub high: f64,
}

impl Estimate {
    /// The interval, where there is one.
    pub fn interval(self) -> Option<[f64; 2]> {
        (!self.low.is_nan() && !self.high.is_nan()).then_some([self.low, self.high])
    }

    /// The number with its interval, "0.824 [0.813, 0.834]"; "0.824 [–]" without one.
    pub fn describe(self) -> String {
        let interval = self.interval().map_or_else(|| "[–]".to_owned(), |[low, high]| format!("[{}, {}]", fixed(low, 3), fixed(high, 3)));
        format!("{} {interval}", fixed(self.value, 3))
    }
}

/// How good a detector is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quality {
    /// The area under the ROC curve.
    pub auroc: Estimate,
    /// The average precision.
    pub average_precision: Estimate,
    /// The share of false alarms where 95 % are detected.
    pub fpr_at_95_tpr: Estimate,
    /// The share that is detected where at most 1 % of the negatives raise an alarm.
    pub tpr_at_1_fpr: Estimate,
    /// The same for 5 %.
    pub tpr_at_5_fpr: Estimate,
}

impl Quality {
    /// The names of its numbers in files, in the order of [`estimates`](Self::estimates).
    pub const KEYS: [&'static str; NUMBERS] = ["auroc", "average_precision", "fpr_at_95_tpr", "tpr_at_1_fpr", "tpr_at_5_fpr"];

    /// Its numbers.
    pub const fn estimates(&self) -> [Estimate; NUMBERS] {
        [self.auroc, self.average_precision, self.fpr_at_95_tpr, self.tpr_at_1_fpr, self.tpr_at_5_fpr]
    }

    const fn of(estimates: [Estimate; NUMBERS]) -> Self {
        let [auroc, average_precision, fpr_at_95_tpr, tpr_at_1_fpr, tpr_at_5_fpr] = estimates;
        Self { auroc, average_precision, fpr_at_95_tpr, tpr_at_1_fpr, tpr_at_5_fpr }
    }
}

/// Which image each score belongs to. The scores of the versions of one image (clean, noisy, attacked) depend on each other, so a
/// bootstrap draws images, not scores (cluster bootstrap, Davison & Hinkley 1997, section 3.8; Field & Welsh 2007).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clusters {
    /// The cluster of each negative, then of each positive.
    of: [Vec<u32>; 2],
    /// The sizes of the strata, each of which is resampled on its own: clusters are numbered through them.
    strata: Vec<u32>,
}

impl Clusters {
    /// Negatives and positives that are versions of the same images, 0 to `images` − 1. Images without a positive (where no attack
    /// succeeded) are among those drawn, so that the number of positives varies as it would with other images.
    ///
    /// # Panics
    /// When a score belongs to an image beyond `images`.
    pub fn paired(negatives: Vec<u32>, positives: Vec<u32>, images: usize) -> Self {
        assert!(negatives.iter().chain(&positives).all(|&image| (image as usize) < images), "every score belongs to an image");
        Self { of: [negatives, positives], strata: vec![images as u32] }
    }

    /// So many negatives and positives that are all different images.
    pub fn independent(negatives: usize, positives: usize) -> Self {
        let [first, last] = [negatives as u32, (negatives + positives) as u32];
        Self { of: [(0..first).collect(), (first..last).collect()], strata: vec![first, last - first] }
    }

    /// How often each cluster is drawn in a resample.
    fn weights(&self, stream: Stream, resample: u32) -> Vec<f64> {
        let mut weights = Vec::with_capacity(self.strata.iter().sum::<u32>() as usize);
        for (number, &size) in self.strata.iter().enumerate() {
            let first = weights.len();
            weights.resize(first + size as usize, 0.0);
            for quad in 0..size.div_ceil(4) {
                for word in &stream.quad([resample, number as u32, 0], quad)[..(size - 4 * quad).min(4) as usize] {
                    weights[first + ((u64::from(*word) * u64::from(size)) >> 32) as usize] += 1.0;
                }
            }
        }
        weights
    }
}

/// Detectors of the same positives among the same negatives, with what the bootstrap says about each and about pairs of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Of each detector.
    pub qualities: Vec<Quality>,
    /// The AUROC of each detector in each resample, \[detectors\]\[resamples\].
    areas: Vec<Vec<f64>>,
}

impl Comparison {
    /// Every number with its bootstrap interval: the clusters are drawn anew, with all their scores, so many times; the interval is that
    /// of the percentiles (Efron & Tibshirani 1993). All detectors see the same resamples. The same seed gives the same intervals.
    ///
    /// # Panics
    /// When the rankings are not of as many scores as there are clusters of.
    pub fn new(rankings: &[Ranking], clusters: &Clusters, resamples: u32, seed: u32) -> Self {
        let fits = |ranking: &Ranking| (0..2).all(|kind| ranking.places[kind].len() == clusters.of[kind].len());
        assert!(rankings.iter().all(fits), "every score belongs to a cluster");
        let stream = Stream::new(seed, Purpose::Bootstrap);
        // A single positive, or negative, says nothing about how others would vary.
        let resamples = if clusters.of.iter().any(|of| of.len() < 2) { 0 } else { resamples };
        let resample = |number: u32| -> Vec<[f64; NUMBERS]> {
            let weights = clusters.weights(stream, number);
            let numbers = |ranking: &Ranking| {
                let mut counts = vec![[0.0; 2]; ranking.counts.len()];
                for (kind, places) in ranking.places.iter().enumerate() {
                    for (&place, &cluster) in places.iter().zip(&clusters.of[kind]) {
                        counts[place as usize][kind] += weights[cluster as usize];
                    }
                }
                numbers(&counts)
            };
            rankings.iter().map(numbers).collect()
        };
        let values: Vec<Vec<[f64; NUMBERS]>> = (0..resamples).into_par_iter().map(resample).collect();
        let of = |detector: usize, number: usize| values.iter().map(move |values| values[detector][number]);
        let quality = |(detector, ranking): (usize, &Ranking)| {
            let whole = numbers(&ranking.counts);
            Quality::of(std::array::from_fn(|number| estimate(whole[number], of(detector, number))))
        };
        Self {
            qualities: rankings.iter().enumerate().map(quality).collect(),
            areas: (0..rankings.len()).map(|detector| of(detector, 0).collect()).collect(),
        }
    }

    /// The AUROC of detector `a` less that of `b`, with the interval of the paired differences: of the same resamples.
    pub fn difference(&self, a: usize, b: usize) -> Estimate {
        let value = self.qualities[a].auroc.value - self.qualities[b].auroc.value;
        estimate(value, self.areas[a].iter().zip(&self.areas[b]).map(|(a, b)| a - b))
    }
}

/// A number with the percentiles of its resamples. A resample without a positive, or a negative, has none.
fn estimate(value: f64, resampled: impl Iterator<Item = f64>) -> Estimate {
    let mut sorted: Vec<f64> = resampled.filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (share * (sorted.len().max(1) - 1) as f64).round() as usize;
        sorted.get(place).copied().unwrap_or(f64::NAN)
    };
    Estimate { value, low: at(0.025), high: at(0.975) }
}

impl Ranking {
    /// Puts scores in order; a positive should have the higher one.
    ///
    /// # Errors
    /// When there is no negative or no positive, or a score is not a number.
    pub fn new(negatives: &[f64], positives: &[f64]) -> Result<Self> {
        let wrong =
            |problem: String| Err(Error::setting("the scores of a detector", problem, "give numbers for some images of both kinds"));
        if negatives.is_empty() || positives.is_empty() {
            return wrong(format!("there are {} negatives and {} positives", negatives.len(), positives.len()));
        }
        let mut scores: Vec<(f64, usize, usize)> = Vec::with_capacity(negatives.len() + positives.len());
        for (kind, of_kind) in [negatives, positives].into_iter().enumerate() {
            scores.extend(of_kind.iter().enumerate().map(|(number, &score)| (score, kind, number)));
        }
        if scores.iter().any(|(score, ..)| score.is_nan()) {
            return wrong("one of them is NaN".to_owned());
        }
        scores.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut ranking = Self { thresholds: Vec::new(), counts: Vec::new(), places: [vec![0; negatives.len()], vec![0; positives.len()]] };
        // `==` rather than the order of the sort, for which −0 is below 0.
        for tied in scores.chunk_by(|a, b| a.0 == b.0) {
            let mut counts = [0.0; 2];
            for &(_, kind, number) in tied {
                counts[kind] += 1.0;
                ranking.places[kind][number] = ranking.counts.len() as u32;
            }
            ranking.thresholds.push(tied[0].0);
            ranking.counts.push(counts);
        }
        Ok(ranking)
    }

    /// The area under the ROC curve; see [`auroc`](fn@auroc).
    pub fn auroc(&self) -> f64 {
        area(&self.counts)
    }

    /// The mean precision over the thresholds, each weighed by the recall that it adds, without interpolation (as scikit-learn's `average_precision_score`).
    pub fn average_precision(&self) -> f64 {
        precision(&self.counts)
    }

    /// The false positive rate at the first threshold, from above, at which 95 % of the positives are detected.
    pub fn fpr_at_95_tpr(&self) -> f64 {
        false_alarms(&self.counts)
    }

    /// The share of the positives that is detected at the lowest threshold at which at most 1 % of the negatives raise an alarm.
    pub fn tpr_at_1_fpr(&self) -> f64 {
        detected(&self.counts, TOLERATED[0])
    }

    /// The same for 5 %.
    pub fn tpr_at_5_fpr(&self) -> f64 {
        detected(&self.counts, TOLERATED[1])
    }

    /// The highest score at which 95 % of the positives are detected.
    pub fn threshold_at_95_tpr(&self) -> f64 {
        let all = totals(&self.counts);
        let place = sums(&self.counts).position(|above| above[1] / all[1] >= DETECTED);
        place.and_then(|place| self.thresholds.get(place)).copied().unwrap_or(f64::NEG_INFINITY)
    }

    /// \[false positive rate, true positive rate, precision\] where an alarm goes off at scores from `threshold` on; without any alarm
    /// the precision is 1.
    pub fn rates(&self, threshold: f64) -> [f64; 3] {
        let (all, alarms) = (totals(&self.counts), self.thresholds.partition_point(|score| *score >= threshold));
        let [false_alarms, detected] = totals(&self.counts[..alarms]);
        let alarms = false_alarms + detected;
        [false_alarms / all[0], detected / all[1], if alarms > 0.0 { detected / alarms } else { 1.0 }]
    }

    /// The ROC curve: \[false positive rate, true positive rate\] from (0, 0), which no score is above, over every threshold to (1, 1).
    pub fn roc(&self) -> Vec<[f64; 2]> {
        let all = totals(&self.counts);
        std::iter::once([0.0; 2]).chain(sums(&self.counts).map(|above| [above[0] / all[0], above[1] / all[1]])).collect()
    }

    /// \[recall, precision\] at every threshold, the highest first.
    pub fn precision_recall(&self) -> Vec<[f64; 2]> {
        let all = totals(&self.counts);
        sums(&self.counts).map(|above| [above[1] / all[1], above[1] / (above[0] + above[1])]).collect()
    }

    /// Every number, with intervals for scores of which each belongs to an image of its own. See [`Comparison`] for others.
    pub fn quality(&self, resamples: u32, seed: u32) -> Quality {
        let clusters = Clusters::independent(self.places[0].len(), self.places[1].len());
        Comparison::new(std::slice::from_ref(self), &clusters, resamples, seed).qualities[0]
    }
}

/// The running sums of negatives and positives from the highest score down.
fn sums(counts: &[[f64; 2]]) -> impl Iterator<Item = [f64; 2]> + '_ {
    counts.iter().scan([0.0; 2], |above, here| {
        *above = [above[0] + here[0], above[1] + here[1]];
        Some(*above)
    })
}

fn totals(counts: &[[f64; 2]]) -> [f64; 2] {
    sums(counts).last().unwrap_or_default()
}

fn area(counts: &[[f64; 2]]) -> f64 {
    // Counts and halves of counts: exact.
    let (mut above, mut wins) = (0.0, 0.0);
    for [negatives, positives] in counts {
        wins += negatives * (above + positives / 2.0);
        above += positives;
    }
    let [negatives, positives] = totals(counts);
    wins / (negatives * positives)
}

fn precision(counts: &[[f64; 2]]) -> f64 {
    let of_step = sums(counts).zip(counts).filter(|(_, here)| here[1] > 0.0);
    of_step.map(|(above, here)| here[1] * above[1] / (above[0] + above[1])).sum::<f64>() / totals(counts)[1]
}

fn false_alarms(counts: &[[f64; 2]]) -> f64 {
    let all = totals(counts);
    sums(counts).find(|above| above[1] / all[1] >= DETECTED).map_or(1.0, |above| above[0] / all[0])
}

fn detected(counts: &[[f64; 2]], tolerated: f64) -> f64 {
    let all = totals(counts);
    // Rates of few negatives: 1 of 100 is 1 %, whatever the rounding.
    sums(counts).take_while(|above| above[0] <= tolerated * all[0] * (1.0 + 1e-12)).last().map_or(0.0, |above| above[1] / all[1])
}

/// Whether there are positives, or negatives, but too few for a meaningful bootstrap interval.
pub fn is_few(count: usize) -> bool {
    (1..FEWEST).contains(&count)
}

/// The numbers of a [`Quality`]; NaN without a negative or without a positive.
fn numbers(counts: &[[f64; 2]]) -> [f64; NUMBERS] {
    if totals(counts).contains(&0.0) {
        return [f64::NAN; NUMBERS];
    }
    [area(counts), precision(counts), false_alarms(counts), detected(counts, TOLERATED[0]), detected(counts, TOLERATED[1])]
}
