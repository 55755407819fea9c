//! How well a score tells two kinds of images apart: uncertain ones from others, adversarial ones from others.

use crate::error::{Error, Result};
use crate::random::{Purpose, Stream};
use rayon::prelude::*;
use serde::Serialize;

/// The share of the positives that [`Ranking::fpr_at_95_tpr`] is about.
const DETECTED: f64 = 0.95;

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

/// A number with the interval that holds it with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Of the scores as they are.
    pub value: f64,
    /// The 2.5th percentile of the resamples.
    pub low: f64,
    /// The 97.5th.
    pub high: f64,
}

/// What is said about a detector.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quality {
    /// The area under the ROC curve.
    pub auroc: Estimate,
    /// The average precision.
    pub average_precision: Estimate,
    /// The share of false alarms where 95 % are detected.
    pub fpr_at_95_tpr: Estimate,
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

    /// Every number with its bootstrap interval: negatives and positives are drawn anew, each kind from its own, so many times; the
    /// interval is that of the percentiles (Efron & Tibshirani 1993). The same seed gives the same interval.
    pub fn quality(&self, resamples: u32, seed: u32) -> Quality {
        let stream = Stream::new(seed, Purpose::Bootstrap);
        let resample = |number: u32| {
            let mut counts = vec![[0.0; 2]; self.counts.len()];
            for (kind, places) in self.places.iter().enumerate() {
                for quad in 0..places.len().div_ceil(4) {
                    let wanted = (places.len() - 4 * quad).min(4);
                    for word in &stream.quad([number, kind as u32, 0], quad as u32)[..wanted] {
                        let place = places[((u64::from(*word) * places.len() as u64) >> 32) as usize];
                        counts[place as usize][kind] += 1.0;
                    }
                }
            }
            [area(&counts), precision(&counts), false_alarms(&counts)]
        };
        let values: Vec<[f64; 3]> = (0..resamples).into_par_iter().map(resample).collect();
        let estimate = |of: usize, value: f64| {
            let mut sorted: Vec<f64> = values.iter().map(|values| values[of]).collect();
            sorted.sort_by(f64::total_cmp);
            let at = |share: f64| {
                let place = (share * (sorted.len().max(1) - 1) as f64).round() as usize;
                sorted.get(place).copied().unwrap_or(f64::NAN)
            };
            Estimate { value, low: at(0.025), high: at(0.975) }
        };
        Quality {
            auroc: estimate(0, self.auroc()),
            average_precision: estimate(1, self.average_precision()),
            fpr_at_95_tpr: estimate(2, self.fpr_at_95_tpr()),
        }
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
    fn intervals_hold_what_they_should_and_are_the_same_again() {
        // Of two normal distributions a shift of √2 z apart, the area is Φ(z).
        let truth = 0.841_344_7;
        let mut held = 0;
        for number in 0..60 {
            let ranking = Ranking::new(&noise(2 * number, 80, 0.0), &noise(2 * number + 1, 60, std::f64::consts::SQRT_2)).unwrap();
            let quality = ranking.quality(200, number);
            assert_eq!(quality, ranking.quality(200, number));
            assert_ne!(quality, ranking.quality(200, number + 1));
            for estimate in [quality.auroc, quality.average_precision, quality.fpr_at_95_tpr] {
                assert!(estimate.low <= estimate.high);
            }
            held += u32::from(quality.auroc.low <= truth && truth <= quality.auroc.high);
        }
        // 95 % of 60 are 57; four standard deviations below are 50.
        assert!((50..60).contains(&held), "{held} of 60 hold the truth");
    }
}
