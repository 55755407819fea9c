//! What is seen of a detection, summed up once: curves, histogram, numbers.

use crate::analysis::detection::{Estimate, Quality, Ranking};
use crate::app::panels::detection::workers::Found;
use crate::app::state::choices::detection::{DetectionChoice, Sought};
use crate::jobs::{Detected, Detector, Kind, Negatives, SeedSpread, Table1Line};
use std::borrow::Cow;
use std::sync::Arc;

/// The bins of a histogram.
pub const BINS: usize = 40;
/// Curves are drawn with no shorter steps than this, in shares.
const STEP: f64 = 1.0 / 512.0;

/// An image among the scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// One of the detection.
    Of(Kind, usize),
    /// One of the other data set.
    Other(usize),
}

/// The curves of a detector.
pub struct Curve {
    pub detector: Detector,
    /// \[false positive rate, true positive rate\].
    pub roc: Vec<[f64; 2]>,
    /// \[recall, precision\].
    pub precision_recall: Vec<[f64; 2]>,
}

/// One of the two kinds that are to be told apart.
pub struct Side {
    pub name: String,
    /// The value of the detector for each image, in the detector's unit.
    pub values: Vec<f64>,
    pub images: Vec<Shown>,
    /// The share of the values in each bin.
    pub bins: [f64; BINS],
}

/// What of the settings a view depends on.
#[derive(PartialEq)]
struct Key {
    sought: Sought,
    negatives: Negatives,
    detector: Detector,
    curves: Vec<Detector>,
    row: Option<usize>,
}

/// A detection as it is seen.
pub struct View {
    pub found: Arc<Found>,
    key: Key,
    pub qualities: Vec<(Detector, Option<Quality>)>,
    pub curves: Vec<Curve>,
    /// The scores of the detector of the histogram, where there are images of both kinds.
    pub ranking: Option<Ranking>,
    /// Negatives and positives.
    pub sides: [Side; 2],
    /// The values from the first to the last.
    pub range: [f64; 2],
    /// The lines of table 1, where there are several attacks.
    pub lines: Vec<Table1Line>,
}

fn key(choice: &DetectionChoice) -> Key {
    let &DetectionChoice { sought, negatives, detector, row, .. } = choice;
    Key { sought, negatives, detector, curves: choice.curves.clone(), row }
}

/// The attack of the chosen row, else the first.
fn row(found: &Found, chosen: Option<usize>) -> Option<&Detected> {
    found.detection.rows.get(chosen.unwrap_or(0)).or(found.detection.rows.first())
}

/// The scores of negatives and positives; none where what is sought was not asked for.
fn scores(found: &Found, choice: &DetectionChoice, detector: Detector) -> [Vec<f64>; 2] {
    match choice.sought.positives() {
        Some(positives) => row(found, choice.row).map(|row| row.scores(detector, positives, choice.negatives)),
        None => found.detection.unfamiliar.first().map(|other| other.scores_of(detector)),
    }
    .unwrap_or_default()
}

fn images(found: &Found, choice: &DetectionChoice, counts: [usize; 2]) -> [Vec<Shown>; 2] {
    match (choice.sought.positives(), row(found, choice.row)) {
        (Some(positives), Some(row)) => {
            row.images(positives, choice.negatives).map(|side| side.into_iter().map(|(kind, number)| Shown::Of(kind, number)).collect())
        }
        _ => [(0..counts[0]).map(|number| Shown::Of(Kind::Clean, number)).collect(), (0..counts[1]).map(Shown::Other).collect()],
    }
}

fn quality(found: &Found, choice: &DetectionChoice, detector: Detector) -> Option<Quality> {
    match choice.sought.positives() {
        Some(positives) => row(found, choice.row)?.quality(detector, positives, choice.negatives),
        None => found.detection.unfamiliar.first()?.scored.iter().find(|(other, _)| *other == detector).and_then(|(_, quality)| *quality),
    }
}

/// Without the points that nobody can tell from those before them.
fn thinned(points: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    let last = points.len().saturating_sub(1);
    let mut kept: Vec<[f64; 2]> = Vec::new();
    for (place, point) in points.into_iter().enumerate() {
        let far = kept.last().is_none_or(|before| (0..2).any(|axis| (point[axis] - before[axis]).abs() >= STEP));
        if far || place == last {
            kept.push(point);
        }
    }
    kept
}

impl View {
    /// Sums up.
    pub fn new(found: Arc<Found>, choice: &DetectionChoice) -> Self {
        let ranking = |detector: Detector| {
            let [negatives, positives] = scores(&found, choice, detector);
            Ranking::new(&negatives, &positives).ok()
        };
        let curve = |&detector: &Detector| {
            let ranking = ranking(detector)?;
            Some(Curve { detector, roc: thinned(ranking.roc()), precision_recall: thinned(ranking.precision_recall()) })
        };
        let values = scores(&found, choice, choice.detector)
            .map(|scores| -> Vec<f64> { scores.into_iter().map(|score| choice.detector.turned(score)).collect() });
        let all = || values.iter().flatten().copied().filter(|value| value.is_finite());
        let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
        // One value, or none, has no extent.
        let range = if low < high {
            [low, high]
        } else if low.is_finite() {
            [low, low + 1e-6]
        } else {
            [0.0, 1.0]
        };
        let [of_negatives, of_positives] = images(&found, choice, [values[0].len(), values[1].len()]);
        let [negatives, positives] = values;
        let names = names(&found, choice);
        let [name_of_negatives, name_of_positives] = names;
        let side = |name, values: Vec<f64>, images| {
            let mut bins = [0.0; BINS];
            for &value in &values {
                bins[bin_of(range, value)] += 1.0 / values.len() as f64;
            }
            Side { name, values, images, bins }
        };
        let detectors = row(&found, choice.row).map_or_else(Vec::new, Detected::detectors);
        Self {
            key: key(choice),
            qualities: detectors.into_iter().map(|detector| (detector, quality(&found, choice, detector))).collect(),
            curves: choice.curves.iter().filter_map(curve).collect(),
            ranking: ranking(choice.detector),
            sides: [side(name_of_negatives, negatives, of_negatives), side(name_of_positives, positives, of_positives)],
            range,
            lines: if found.detection.rows.len() > 1 { found.detection.table1() } else { Vec::new() },
            found,
        }
    }

    /// Whether it is still what the settings want to see.
    pub fn fits(&self, choice: &DetectionChoice) -> bool {
        self.key == key(choice)
    }

    /// The threshold: the chosen one, or that at which 95 % are detected.
    pub fn threshold(&self, choice: &DetectionChoice) -> f64 {
        let usual = || self.ranking.as_ref().map_or(self.range[1], |ranking| choice.detector.turned(ranking.threshold_at_95_tpr()));
        choice.threshold.unwrap_or_else(usual)
    }

    /// \[false positive rate, true positive rate, precision\] at a threshold.
    pub fn rates(&self, detector: Detector, threshold: f64) -> Option<[f64; 3]> {
        self.ranking.as_ref().map(|ranking| ranking.rates(detector.turned(threshold)))
    }

    /// The bin of a value.
    pub fn bin(&self, value: f64) -> usize {
        bin_of(self.range, value)
    }

    /// Where a bin begins; that after the last ends it.
    pub fn edge(&self, bin: usize) -> f64 {
        self.range[0] + (self.range[1] - self.range[0]) * bin as f64 / BINS as f64
    }

    /// The images of a bin, the positives first.
    pub fn images_of(&self, bin: usize) -> Vec<Shown> {
        let of_side = |side: &'_ Side| -> Vec<Shown> {
            let here = side.values.iter().zip(&side.images).filter(|(value, _)| self.bin(**value) == bin);
            here.map(|(_, image)| *image).collect()
        };
        self.sides.iter().rev().flat_map(of_side).collect()
    }

    /// The AUROC of predictive entropy less that of mutual information, of what is sought.
    pub fn difference(&self, choice: &DetectionChoice) -> Option<Estimate> {
        match choice.sought.positives() {
            Some(positives) => self.row()?.difference(positives, choice.negatives),
            None => self.found.detection.unfamiliar.first()?.difference,
        }
    }

    /// The AUROC of a detector over seeds of dropout masks; `None` where it has no draws, or what is sought was not attacked.
    pub fn seed_spread(&self, choice: &DetectionChoice, detector: Detector) -> Option<SeedSpread> {
        self.row()?.scored(detector, choice.sought.positives()?, choice.negatives)?.seed_spread
    }

    /// Why a detector tells nothing apart, where it has no draws.
    pub fn undefined(&self, choice: &DetectionChoice, detector: Detector) -> Option<&'static str> {
        match choice.sought.positives() {
            Some(_) => self.row()?.undefined(detector),
            None => self.found.detection.unfamiliar.first()?.undefined(detector),
        }
    }

    /// What the numbers are about: positives, the side on which they are, negatives.
    pub fn legend(&self, detector: Detector) -> String {
        let [negatives, positives] = self.sides.each_ref().map(|side| side.name.as_str());
        let side = if detector.rises() { "high" } else { "low" };
        format!("Positive: {positives}, at {side} {}; negative: {negatives}", detector.label().to_lowercase())
    }

    /// The attack whose numbers are shown.
    pub fn row(&self) -> Option<&Detected> {
        row(&self.found, self.key.row)
    }

    /// The pixels of an image, \[C, H, W\].
    pub fn pixels(&self, image: Shown) -> Option<Cow<'_, [f32]>> {
        match image {
            Shown::Of(kind, number) => self.row()?.image(kind, number),
            Shown::Other(number) => {
                let other = self.found.other.as_ref()?;
                (number < other.len()).then(|| other.image(number).into_owned().into())
            }
        }
    }
}

fn bin_of([low, high]: [f64; 2], value: f64) -> usize {
    // A NaN is 0 as an integer.
    (((value - low) / (high - low) * BINS as f64) as usize).min(BINS - 1)
}

/// What negatives and positives are called.
fn names(found: &Found, choice: &DetectionChoice) -> [String; 2] {
    let of_negatives = match (choice.sought, choice.negatives) {
        (Sought::Unfamiliar, _) => found.detection.dataset.as_str(),
        (_, Negatives::Both) => "clean and noisy",
        (_, Negatives::Clean) => "clean",
        (_, Negatives::Noisy) => "noisy",
    };
    let of_positives = match choice.sought {
        Sought::All => "attacked",
        Sought::Successful => "attacked successfully",
        Sought::Unfamiliar => found.detection.unfamiliar.first().map_or("other data", |other| other.dataset.as_str()),
    };
    [of_negatives.to_owned(), of_positives.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_a_range_has_a_bin() {
        let bins = [-1.0, 0.0, 0.99, 1.0, 1.01, 2.0, 9.0, f64::NAN].map(|value| bin_of([0.0, 2.0], value));
        assert_eq!(bins, [0, 0, 19, 20, 20, 39, 39, 0]);
    }

    #[test]
    fn a_thinned_curve_keeps_its_ends_and_goes_nowhere_else() {
        let points: Vec<[f64; 2]> = (0..=10_000).map(|step| [f64::from(step) / 1e4, (f64::from(step) / 1e4).sqrt()]).collect();
        let kept = thinned(points.clone());
        assert_eq!((kept[0], kept[kept.len() - 1]), (points[0], points[10_000]));
        assert!(kept.len() < 1200 && kept.iter().all(|point| points.contains(point)), "{}", kept.len());
        assert_eq!(thinned(vec![[0.0; 2], [0.0, 1.0], [1.0; 2]]).len(), 3, "corners stay");
    }
}
