//! How well a score tells two kinds of images apart: uncertain ones from others, adversarial ones from others.

use crate::error::{Error, Result};
use crate::numbers::fixed;
use crate::random::{Purpose, Stream};
use rayon::prelude::*;
use serde::Serialize;

/// The share of the positives that [`Ranking::fpr_at_95_tpr`] is about.
const DETECTED: f64 = 0.95;
/// The false positive rates that [`Ranking::tpr_at_1_fpr`] and [`Ranking::tpr_at_5_fpr`] are about.
const TOLERATED: [f64; 2] = [0.01, 0.05];
/// With fewer positives, or negatives, many resamples hold hardly any of them: the bootstrap says little about other images.
pub const FEWEST: usize = 10;
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

/// The numbers of a [`Quality`]; NaN without a negative or without a positive.
fn numbers(counts: &[[f64; 2]]) -> [f64; NUMBERS] {
    if totals(counts).contains(&0.0) {
        return [f64::NAN; NUMBERS];
    }
    [area(counts), precision(counts), false_alarms(counts), detected(counts, TOLERATED[0]), detected(counts, TOLERATED[1])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_share_of_pairs_in_the_right_order() {
        assert_eq!(auroc(&[0.0, 1.0], &[2.0, 3.0]).unwrap(), 1.0);
        assert_eq!(auroc(&[2.0, 3.0], &[0.0, 1.0]).unwrap(), 0.0);
        // 3 beats both, 1 ties with one and beats the other: 3.5 of 4.
        assert_eq!(auroc(&[1.0, 0.5], &[3.0, 1.0]).unwrap(), 3.5 / 4.0);
        assert_eq!(auroc(&[0.0; 7], &[-0.0; 3]).unwrap(), 0.5);
        assert_eq!(auroc(&[f64::NEG_INFINITY], &[f64::INFINITY]).unwrap(), 1.0);
    }

    #[test]
    fn nothing_to_compare_is_refused() {
        for (negatives, positives) in [(&[][..], &[1.0][..]), (&[1.0], &[]), (&[1.0, f64::NAN], &[2.0]), (&[1.0], &[f64::NAN])] {
            assert!(auroc(negatives, positives).is_err(), "{negatives:?} {positives:?}");
        }
    }

    fn noise(number: u32, count: u32, shift: f64) -> Vec<f64> {
        let stream = Stream::new(number, Purpose::Choice);
        (0..count).map(|index| stream.normal([0; 3], index) + shift).collect()
    }

    #[test]
    fn a_score_and_its_reverse_share_all_pairs() {
        for ties in [false, true] {
            let of = |number, count| -> Vec<f64> {
                noise(number, count, 0.3).into_iter().map(|score| if ties { score.round() } else { score }).collect()
            };
            let (negatives, positives) = (of(1, 70), of(2, 30));
            let reversed = |scores: &[f64]| scores.iter().map(|score| -score).collect::<Vec<_>>();
            let sum = auroc(&negatives, &positives).unwrap() + auroc(&reversed(&negatives), &reversed(&positives)).unwrap();
            assert!((sum - 1.0).abs() <= 1e-15, "{sum}");
        }
    }

    #[test]
    fn curves_go_from_end_to_end_and_hold_the_area() {
        let ranking = Ranking::new(&noise(3, 50, 0.0), &noise(4, 40, 1.0)).unwrap();
        let roc = ranking.roc();
        assert_eq!((roc[0], roc[roc.len() - 1]), ([0.0; 2], [1.0; 2]));
        let area: f64 = roc.windows(2).map(|pair| (pair[1][0] - pair[0][0]) * (pair[0][1] + pair[1][1]) / 2.0).sum();
        assert!((area - ranking.auroc()).abs() <= 1e-12);
        let curve = ranking.precision_recall();
        assert_eq!((curve.len(), curve[curve.len() - 1]), (ranking.thresholds.len(), [1.0, 40.0 / 90.0]));
    }

    #[test]
    fn the_rates_of_a_threshold_lie_on_the_curves() {
        let ranking = Ranking::new(&noise(5, 50, 0.0), &noise(6, 60, 1.0)).unwrap();
        for (place, &threshold) in ranking.thresholds.iter().enumerate() {
            let [fpr, tpr, precision] = ranking.rates(threshold);
            assert_eq!([fpr, tpr], ranking.roc()[place + 1]);
            assert_eq!([tpr, precision], ranking.precision_recall()[place]);
            assert_ne!([fpr, tpr], ranking.roc()[place], "the negative control");
        }
        assert_eq!(ranking.rates(f64::INFINITY), [0.0, 0.0, 1.0]);
        let [fpr, tpr, _] = ranking.rates(ranking.threshold_at_95_tpr());
        assert_eq!((fpr, tpr), (ranking.fpr_at_95_tpr(), 0.95));
    }

    #[test]
    fn intervals_are_the_same_for_the_same_seed_only() {
        let ranking = Ranking::new(&noise(7, 80, 0.0), &noise(8, 60, 1.0)).unwrap();
        let quality = ranking.quality(200, 1);
        assert!(quality == ranking.quality(200, 1) && quality != ranking.quality(200, 2));
        for estimate in quality.estimates() {
            assert!(estimate.low <= estimate.value && estimate.value <= estimate.high && estimate.low < estimate.high, "{estimate:?}");
        }
    }

    #[test]
    fn a_single_positive_or_negative_has_no_interval() {
        for (negatives, positives) in [(1, 20), (20, 1)] {
            let ranking = Ranking::new(&noise(1, negatives, 0.0), &noise(2, positives, 1.0)).unwrap();
            assert!(ranking.quality(100, 0).estimates().iter().all(|estimate| estimate.interval().is_none() && !estimate.value.is_nan()));
        }
        let ranking = Ranking::new(&noise(1, 20, 0.0), &noise(2, 2, 1.0)).unwrap();
        assert!(ranking.quality(100, 0).auroc.interval().is_some(), "the negative control");
    }

    #[test]
    fn rates_at_few_false_alarms_are_those_of_the_curve() {
        let ranking = Ranking::new(&noise(9, 100, 0.0), &noise(10, 70, 1.5)).unwrap();
        let best = |most: f64| ranking.roc().iter().filter(|point| point[0] <= most).map(|point| point[1]).fold(0.0, f64::max);
        assert_eq!([ranking.tpr_at_1_fpr(), ranking.tpr_at_5_fpr()], [best(0.01), best(0.05)]);
        assert!(best(0.01) > best(0.009) && best(0.05) > best(0.01), "one alarm in a hundred is allowed");
        // All scores are tied: whoever detects one has all alarms.
        assert_eq!(Ranking::new(&[1.0; 9], &[1.0; 9]).unwrap().tpr_at_5_fpr(), 0.0);
    }

    #[test]
    fn numbers_with_ties_are_those_of_all_pairs_and_thresholds() {
        for number in 0..8 {
            let rounded =
                |number, count, shift| noise(number, count, shift).into_iter().map(|score| (2.0 * score).round()).collect::<Vec<_>>();
            let (negatives, positives) = (rounded(number, 53, 0.0), rounded(number + 50, 31, 0.7));
            let ranking = Ranking::new(&negatives, &positives).unwrap();
            let win = |n: f64, p: f64| {
                if p > n {
                    1.0
                } else if p == n {
                    0.5
                } else {
                    0.0
                }
            };
            let wins: f64 = negatives.iter().flat_map(|&n| positives.iter().map(move |&p| win(n, p))).sum();
            assert!((ranking.auroc() - wins / (53.0 * 31.0)).abs() <= 1e-12);
            // At each threshold anew from all scores.
            let mut thresholds: Vec<f64> = negatives.iter().chain(&positives).copied().collect();
            thresholds.sort_by(|a, b| b.total_cmp(a));
            thresholds.dedup();
            let above = |scores: &[f64], threshold: f64| scores.iter().filter(|score| **score >= threshold).count() as f64;
            let (mut precision, mut recall, mut fpr) = (0.0, 0.0, None);
            for threshold in thresholds {
                let [false_alarms, detected] = [above(&negatives, threshold), above(&positives, threshold)];
                precision += (detected / 31.0 - recall) * detected / (detected + false_alarms);
                recall = detected / 31.0;
                fpr = fpr.or((recall >= 0.95).then_some(false_alarms / 53.0));
            }
            assert!((ranking.average_precision() - precision).abs() <= 1e-12);
            assert_eq!(Some(ranking.fpr_at_95_tpr()), fpr);
        }
    }

    /// How often the interval of the AUROC, and that of the difference between two detectors, hold the truth. Each image has a clean and
    /// a noisy version, which share most of what makes them uncertain, and an attacked one, on which the attack turns it around. The
    /// second detector sees the first one's scores through noise of its own.
    fn coverage(by_image: bool) -> [f64; 2] {
        const IMAGES: u32 = 100;
        const RUNS: u32 = 1500;
        let (shared, own, blur) = (0.95_f64, 0.3_f64, 0.5_f64);
        let phi = |x: f64| 1.0 - 0.5 * complementary_error_function(x / std::f64::consts::SQRT_2);
        let spread = |blur: f64| (2.0 * (shared * shared + own * own + blur * blur)).sqrt();
        let truth = [phi(1.0 / spread(0.0)), phi(1.0 / spread(blur))];
        let held: Vec<[bool; 2]> = (0..RUNS)
            .into_par_iter()
            .map(|run| {
                let stream = Stream::new(run, Purpose::Choice);
                let common = |image: u32| shared * stream.normal([0; 3], image);
                // Versions 0 and 1 are negatives, 2 is attacked. The clean and attacked versions turn on an image's own level.
                let score = |image: u32, version: u32| {
                    let level = if version == 2 { 1.0 - common(image) } else { common(image) };
                    level + own * stream.normal([1, version, 0], image)
                };
                let blurred = |image: u32, version: u32| score(image, version) + blur * stream.normal([2, version, 0], image);
                let ranking = |of: &dyn Fn(u32, u32) -> f64| {
                    let negatives: Vec<f64> =
                        (0..2).flat_map(|version| (0..IMAGES).map(move |image| (image, version))).map(|(i, v)| of(i, v)).collect();
                    Ranking::new(&negatives, &(0..IMAGES).map(|image| of(image, 2)).collect::<Vec<_>>()).unwrap()
                };
                let rankings = [ranking(&score), ranking(&blurred)];
                let images: Vec<u32> = (0..IMAGES).collect();
                let clusters = if by_image {
                    Clusters::paired([&images[..], &images[..]].concat(), images, IMAGES as usize)
                } else {
                    Clusters::independent(2 * IMAGES as usize, IMAGES as usize)
                };
                let comparison = Comparison::new(&rankings, &clusters, 400, run);
                let holds = |estimate: Estimate, truth: f64| estimate.low <= truth && truth <= estimate.high;
                [holds(comparison.qualities[0].auroc, truth[0]), holds(comparison.difference(0, 1), truth[0] - truth[1])]
            })
            .collect();
        [0, 1].map(|which| held.iter().filter(|held| held[which]).count() as f64 / f64::from(RUNS))
    }

    /// erfc to 1.2e-7 (Numerical Recipes).
    fn complementary_error_function(x: f64) -> f64 {
        let t = 1.0 / (1.0 + 0.5 * x.abs());
        let coefficients = [
            -1.265_512_23,
            1.000_023_68,
            0.374_091_96,
            0.096_784_18,
            -0.186_288_06,
            0.278_868_07,
            -1.135_203_98,
            1.488_515_87,
            -0.822_152_23,
            0.170_872_77,
        ];
        let sum = coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * t + coefficient);
        let value = t * (sum - x * x).exp();
        if x < 0.0 { 2.0 - value } else { value }
    }

    #[test]
    fn intervals_by_image_hold_the_truth_in_95_of_100_cases() {
        let [area, difference] = coverage(true);
        assert!((0.93..=0.97).contains(&area) && (0.93..=0.97).contains(&difference), "{area}, {difference}");
        let [area, _] = coverage(false);
        assert!(area < 0.9, "the negative control, versions resampled as if they were different images: {area}");
    }
}
