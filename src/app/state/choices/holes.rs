//! What counts as a hole, as the session keeps it: the options of `epistemap holes`.

use crate::app::state::choices::MOST_GRID;
use crate::jobs::{HoleCriterion, MeasureBound};
use crate::uncertainty::Measure;
use serde::{Deserialize, Serialize};

/// The most reference images.
pub const MOST_REFERENCE: usize = 10_000;
/// The farthest that the region of the holes reaches along an axis.
pub const FARTHEST: f64 = 1e4;

/// The images that the quantile of the measure is taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReferenceChoice {
    /// Real test images; decoded encodings where the models do not take the images at hand.
    #[default]
    TestImages,
    /// Encodings of test images, decoded by the VAE.
    Decoded,
}

/// What counts as a hole in the maps' measures, where holes are found, and which images are the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "SavedHoleChoice")]
pub struct HoleChoice {
    /// Up to which value a measure is sure.
    pub bound: MeasureBound,
    /// The least max p̄; any for `None`.
    pub min_confidence: Option<f64>,
    /// The share of the training encodings that the data's region holds; holes may hold data for `None`.
    pub covered: Option<f64>,
    /// The reference images.
    pub reference: ReferenceChoice,
    /// How many there are at most.
    pub reference_images: usize,
    /// The first and the last coordinate of the region along both axes; chosen by the encodings for `None`.
    pub region: Option<[f64; 2]>,
    /// Points along each axis of the region, whatever grid the maps have; 80 for `None`.
    pub grid: Option<usize>,
}

/// The same in a file. Older sessions hold the quantile as `confident`, and neither reference nor region.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", default, deny_unknown_fields)]
struct SavedHoleChoice {
    confident: Option<f64>,
    bound: MeasureBound,
    min_confidence: Option<f64>,
    covered: Option<f64>,
    reference: ReferenceChoice,
    reference_images: usize,
    region: Option<[f64; 2]>,
    grid: Option<usize>,
}

impl Default for SavedHoleChoice {
    fn default() -> Self {
        let HoleChoice { bound, min_confidence, covered, reference, reference_images, region, grid } = HoleChoice::default();
        Self { confident: None, bound, min_confidence, covered, reference, reference_images, region, grid }
    }
}

impl From<SavedHoleChoice> for HoleChoice {
    fn from(saved: SavedHoleChoice) -> Self {
        let SavedHoleChoice { confident, bound, min_confidence, covered, reference, reference_images, region, grid } = saved;
        let bound = confident.map_or(bound, MeasureBound::Quantile);
        Self { bound, min_confidence, covered, reference, reference_images, region, grid }
    }
}

impl Default for HoleChoice {
    fn default() -> Self {
        let HoleCriterion { bound, min_confidence, covered, reference, .. } = HoleCriterion::default();
        Self {
            bound,
            min_confidence,
            covered,
            reference: ReferenceChoice::default(),
            reference_images: reference,
            region: None,
            grid: None,
        }
    }
}

impl HoleChoice {
    /// The criterion for a measure.
    pub fn criterion(&self, measure: Measure) -> HoleCriterion {
        HoleCriterion {
            measure,
            bound: self.bound,
            min_confidence: self.min_confidence,
            covered: self.covered,
            reference: self.reference_images,
        }
    }

    /// What is wrong with it.
    pub fn problem(&self) -> Option<String> {
        let quantile = if let MeasureBound::Quantile(share) = self.bound { Some(share) } else { None };
        let mut shares = [quantile, self.min_confidence, self.covered].into_iter().flatten();
        if shares.any(|share| !(share > 0.0 && share <= 1.0)) {
            return Some("a share is not above 0 and up to 1".to_owned());
        }
        if matches!(self.bound, MeasureBound::Value(value) if !value.is_finite()) {
            return Some("the bound on the measure is not finite".to_owned());
        }
        if self.criterion(Measure::MutualInformation).parts() == 0 {
            return Some("every part of the criterion is off".to_owned());
        }
        if !(1..=MOST_REFERENCE).contains(&self.reference_images) {
            return Some(format!("{} reference images are out of range", self.reference_images));
        }
        if self.region.is_some_and(|[first, last]| !(-FARTHEST <= first && first < last && last <= FARTHEST)) {
            return Some("the region has no width".to_owned());
        }
        if self.grid.is_some_and(|grid| !(2..=MOST_GRID).contains(&grid)) {
            return Some(format!("a grid of {} points is out of range", self.grid.unwrap_or_default()));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: serde_json::Value) -> Result<HoleChoice, serde_json::Error> {
        serde_json::from_value(value)
    }

    #[test]
    fn older_sessions_hold_the_quantile_under_another_key() {
        let older = read(json!({ "confident": 0.9, "covered": 0.98 })).unwrap();
        let expected = HoleChoice { bound: MeasureBound::Quantile(0.9), covered: Some(0.98), ..HoleChoice::default() };
        assert_eq!(older, expected);
        assert!(read(json!({ "confidence": 0.9 })).unwrap_err().to_string().contains("confidence"));
    }

    #[test]
    fn parts_that_are_off_are_saved_as_the_command_line_writes_them() {
        let choice = HoleChoice { bound: MeasureBound::Off, min_confidence: None, ..HoleChoice::default() };
        let saved = serde_json::to_value(&choice).unwrap();
        let criterion = serde_json::to_value(choice.criterion(Measure::MutualInformation)).unwrap();
        for key in ["bound", "min_confidence", "covered"] {
            assert_eq!(saved[key], criterion[key]);
        }
        assert!(saved["bound"] == "off" && saved["min_confidence"].is_null());
        assert_eq!(read(saved).unwrap(), choice);
        assert_eq!(choice.problem(), None);
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        let usual = HoleChoice::default;
        for (choice, word) in [
            (HoleChoice { bound: MeasureBound::Off, min_confidence: None, covered: None, ..usual() }, "every part"),
            (HoleChoice { covered: Some(0.0), ..usual() }, "share"),
            (HoleChoice { bound: MeasureBound::Quantile(1.5), ..usual() }, "share"),
            (HoleChoice { bound: MeasureBound::Value(f64::NAN), ..usual() }, "finite"),
            (HoleChoice { reference_images: 0, ..usual() }, "reference"),
            (HoleChoice { region: Some([2.0, 2.0]), ..usual() }, "region"),
            (HoleChoice { region: Some([f64::NAN, 2.0]), ..usual() }, "region"),
            (HoleChoice { grid: Some(1), ..usual() }, "grid"),
        ] {
            let problem = choice.problem();
            assert!(problem.as_ref().is_some_and(|problem| problem.contains(word)), "{choice:?}: {problem:?}");
        }
    }
}
