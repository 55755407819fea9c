//! What the colours of a map stand for: one rule for the screen and for print.

use super::colour::{ColourMap, Rgb, difference_colour};
use super::heat_map::ColourRange;
use crate::uncertainty::Measure;

/// What the ends of a map's colours stand for, and which colours they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    /// The values at the ends, the lower first.
    pub range: [f64; 2],
    /// The colours; those of differences for `None`.
    pub colours: Option<ColourMap>,
}

/// What a scale is chosen by: one of the maps that are seen together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaled {
    /// Its measure.
    pub measure: Measure,
    /// Whether it is a difference of two maps.
    pub is_difference: bool,
    /// Its smallest and its largest finite value, where it has one.
    pub range: Option<[f32; 2]>,
}

/// A range of colours that the user set for a measure, or for differences of it.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct ManualRange {
    /// The measure.
    pub measure: Measure,
    /// Whether it holds for differences.
    pub is_difference: bool,
    /// The values at the ends, the lower first, in the measure's unit. Those of differences lie evenly around 0.
    pub range: [f64; 2],
}

impl ManualRange {
    /// Whether the ends are finite, in order, and evenly around 0 for differences.
    pub fn is_valid(&self) -> bool {
        let [low, high] = self.range;
        low.is_finite() && high.is_finite() && low < high && (!self.is_difference || low == -high)
    }
}

/// The smallest and the largest finite number, where there is one.
pub fn range_of(values: &[f32]) -> Option<[f32; 2]> {
    let finite = values.iter().copied().filter(|value| value.is_finite());
    finite.fold(None, |range, value| match range {
        None => Some([value; 2]),
        Some([low, high]) => Some([value.min(low), value.max(high)]),
    })
}

impl Scale {
    /// The scale of the map at a place among those that are seen together: fitted ranges are common to all maps of one
    /// measure, so that one network can be compared with an ensemble; entropy and mutual information, of one unit but not of
    /// one size, keep their own, or the smaller would be dark. Those of differences lie evenly around 0.
    ///
    /// # Panics
    /// When there is no map at that place.
    pub fn new(all: &[Scaled], place: usize, classes: usize, colours: ColourMap, range: ColourRange) -> Self {
        let Scaled { measure, is_difference, .. } = all[place];
        let alike = |other: &&Scaled| other.measure == measure && other.is_difference == is_difference;
        let fitted = all.iter().filter(alike).filter_map(|map| map.range).fold(None, |range: Option<[f32; 2]>, [low, high]| {
            Some(range.map_or([low, high], |[lowest, highest]| [lowest.min(low), highest.max(high)]))
        });
        let natural = measure.natural_range(classes);
        let [low, high] = match (range, fitted) {
            (ColourRange::Data, Some([low, high])) if low < high => [low.into(), high.into()],
            _ if is_difference => [natural[0] - natural[1], natural[1] - natural[0]],
            _ => natural,
        };
        // A single class has no entropy to show: its range is empty.
        if is_difference {
            let most = if low < high { high.max(-low) } else { 1.0 };
            return Self { range: [-most, most], colours: None };
        }
        Self { range: [low, if low < high { high } else { low + 1.0 }], colours: Some(colours) }
    }

    /// The same scale with the range that the user set for a map's measure, if there is one.
    #[must_use]
    pub fn with_manual(mut self, ranges: &[ManualRange], map: &Scaled) -> Self {
        let alike = |manual: &&ManualRange| (manual.measure, manual.is_difference) == (map.measure, map.is_difference);
        if let Some(manual) = ranges.iter().find(alike) {
            self.range = manual.range;
        }
        self
    }

    /// The colour of a value; what is out of range has that of the nearer end.
    pub fn colour(&self, value: f64) -> Rgb {
        let t = (value - self.range[0]) / (self.range[1] - self.range[0]);
        self.colours.map_or_else(|| difference_colour(t), |colours| colours.sample(t))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Measure::{MaximumProbability, MutualInformation, PredictiveEntropy};

    fn scaled(measure: Measure, is_difference: bool, range: [f32; 2]) -> Scaled {
        Scaled { measure, is_difference, range: Some(range) }
    }

    #[test]
    fn maps_of_one_measure_share_a_fitted_range_and_others_do_not() {
        let all = [
            scaled(MutualInformation, false, [0.0, 0.5]),
            scaled(PredictiveEntropy, false, [0.25, 2.0]),
            scaled(MaximumProbability, false, [0.25, 0.75]),
            scaled(MutualInformation, true, [-1.0, 0.25]),
            scaled(MutualInformation, false, [0.125, 1.0]),
        ];
        let range = |place, range| Scale::new(&all, place, 10, ColourMap::Grey, range).range;
        assert_eq!(
            [0, 1, 2, 3, 4].map(|place| range(place, ColourRange::Data)),
            [[0.0, 1.0], [0.25, 2.0], [0.25, 0.75], [-1.0, 1.0], [0.0, 1.0]]
        );
        let most = 10_f64.ln();
        assert_eq!([0, 1, 2, 3].map(|place| range(place, ColourRange::Natural)), [[0.0, most], [0.0, most], [0.1, 1.0], [-most, most]]);
    }

    #[test]
    fn a_range_set_by_hand_holds_for_its_measure_alone() {
        let all = [scaled(MutualInformation, false, [0.0, 0.5]), scaled(MutualInformation, true, [-0.5, 0.25])];
        let manual = [ManualRange { measure: MutualInformation, is_difference: false, range: [0.1, 0.2] }];
        let range = |place: usize| Scale::new(&all, place, 10, ColourMap::Grey, ColourRange::Data).with_manual(&manual, &all[place]).range;
        assert_eq!([range(0), range(1)], [[0.1, 0.2], [-0.5, 0.5]]);
        let valid = |is_difference, range| ManualRange { measure: MutualInformation, is_difference, range }.is_valid();
        assert!(valid(false, [0.1, 0.2]) && valid(true, [-1.0, 1.0]));
        assert!(!valid(false, [0.2, 0.1]) && !valid(true, [-1.0, 2.0]) && !valid(false, [0.0, f64::INFINITY]));
    }

    #[test]
    fn a_range_is_never_empty_and_differences_meet_in_the_middle() {
        let flat = [scaled(MutualInformation, false, [1.0, 1.0]), Scaled { range: None, ..scaled(MutualInformation, true, [0.0; 2]) }];
        for classes in [1, 10] {
            for place in 0..2 {
                let scale = Scale::new(&flat, place, classes, ColourMap::Viridis, ColourRange::Data);
                assert!(scale.range[0] < scale.range[1], "{scale:?}");
            }
        }
        let scale = Scale::new(&flat, 1, 10, ColourMap::Viridis, ColourRange::Data);
        assert_eq!(scale.colour(0.0), difference_colour(0.5));
    }
}
