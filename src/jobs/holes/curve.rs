//! The curve of hole area against the number of ensemble members: the paper's Figure 6 as a number.

use super::super::map::Map;
use super::super::{Observer, tell};
use super::{HoleSettings, Reference, values};
use crate::analysis::holes::{Thresholds, area};
use crate::error::{Error, Result};
use crate::latent::Surroundings;
use crate::random::{Purpose, Stream};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The ends of the band: so much of the subsets lie below the lower one, and above the upper one.
const OUTSIDE: f64 = 0.1;

/// What is sure in a subset of the members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CurveThreshold {
    /// What the subset itself is as sure of as of that share of the data. Every subset then raises the alarm at the same share
    /// of the data, so that areas are compared at one rate of false alarms. Mutual information rises with the members on data
    /// too; a bound in nats would count that as fewer holes.
    #[default]
    Own,
    /// What the whole ensemble is as sure of as of that share of the data: one bound in units of the measure for all subsets.
    Whole,
}

/// How the curve is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurveSettings {
    /// The seed of the choice of subsets.
    pub seed: u32,
    /// The most subsets of each size; where there are no more than so many, all of them.
    pub subsets: usize,
    /// What is sure in a subset.
    pub threshold: CurveThreshold,
}

impl Default for CurveSettings {
    fn default() -> Self {
        Self { seed: 0, subsets: 20, threshold: CurveThreshold::Own }
    }
}

/// The area of the holes for subsets of one size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CurvePoint {
    /// The size.
    pub members: usize,
    /// The mean over the subsets, in units of z².
    pub mean: f64,
    /// One in ten subsets has a smaller area (linearly interpolated).
    pub low: f64,
    /// One in ten subsets has a larger area.
    pub high: f64,
    /// How many subsets there are.
    pub subsets: usize,
}

/// The area of the holes for ensembles of 1, 2, … up to all members of a map, each the mean over random, distinct subsets with the
/// band from the 10th to the 90th percentile. The subsets are of one ensemble and overlap, so that the band narrows towards all
/// members, where there is but one subset: it is how much the choice among these members matters, not how much another
/// ensemble would differ.
///
/// # Errors
/// As [`Reference::thresholds`], when no subset is asked for, when the map lacks passes that the measure needs, or when the
/// observer stops; it is told after each size.
pub fn hole_curve(
    map: &Map,
    reference: &Reference,
    surroundings: &Surroundings,
    settings: &HoleSettings,
    curve: &CurveSettings,
    observe: Observer<'_>,
) -> Result<Vec<CurvePoint>> {
    if curve.subsets == 0 {
        return Err(Error::setting("--subsets", "0 subsets make no curve", "give a number from 1, such as 20"));
    }
    let (view, members) = (map.settings.view, map.settings.members.len());
    let density = surroundings.density.grid(&view);
    let whole: Vec<usize> = (0..members).collect();
    let of_whole = reference.thresholds(surroundings, settings, &whole)?;
    let area_of = |places: &Vec<usize>| -> Result<f64> {
        let thresholds: Thresholds = match curve.threshold {
            CurveThreshold::Own => reference.thresholds(surroundings, settings, places)?,
            CurveThreshold::Whole => of_whole,
        };
        Ok(area(&view, &values(map, settings.measure, places)?, &density, &thresholds))
    };
    tell(observe, 0, members)?;
    let mut points = Vec::with_capacity(members);
    for size in 1..=members {
        let mut areas = subsets(members, size, curve).par_iter().map(area_of).collect::<Result<Vec<f64>>>()?;
        areas.sort_unstable_by(f64::total_cmp);
        points.push(CurvePoint {
            members: size,
            mean: areas.iter().sum::<f64>() / areas.len() as f64,
            low: quantile(&areas, OUTSIDE),
            high: quantile(&areas, 1.0 - OUTSIDE),
            subsets: areas.len(),
        });
        tell(observe, size, members)?;
    }
    Ok(points)
}

/// Distinct subsets of so many out of `members`, in ascending order: all of them where the settings allow as many, else random ones.
fn subsets(members: usize, size: usize, curve: &CurveSettings) -> Vec<Vec<usize>> {
    // C(members, size), which is whole at every step; far beyond the most it may saturate.
    let count = (0..size).fold(1_u128, |count, i| count.saturating_mul((members - i) as u128) / (i as u128 + 1));
    if count <= curve.subsets as u128 {
        let mut all = Vec::new();
        extend(&mut all, &mut Vec::new(), members, size);
        return all;
    }
    let stream = Stream::new(curve.seed, Purpose::Choice);
    let mut chosen = BTreeSet::new();
    for attempt in 0.. {
        if chosen.len() == curve.subsets {
            break;
        }
        let mut subset = stream.permutation([1, size as u32, attempt], members);
        subset.truncate(size);
        subset.sort_unstable();
        chosen.insert(subset);
    }
    chosen.into_iter().collect()
}

fn extend(all: &mut Vec<Vec<usize>>, begun: &mut Vec<usize>, members: usize, size: usize) {
    if begun.len() == size {
        all.push(begun.clone());
        return;
    }
    for next in begun.last().map_or(0, |last| last + 1)..members {
        begun.push(next);
        extend(all, begun, members, size);
        begun.pop();
    }
}

/// A quantile of sorted numbers, interpolated between them.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets_are_distinct_and_all_where_there_are_few() {
        let of = |members, size, most, seed| subsets(members, size, &CurveSettings { seed, subsets: most, threshold: CurveThreshold::Own });
        assert_eq!(of(4, 2, 6, 0), [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]);
        assert_eq!(of(3, 3, 1, 0), [[0, 1, 2]]);
        // C(10, 5) = 252: one too many, then just enough.
        for most in [20, 251, 252] {
            let chosen = of(10, 5, most, 0);
            assert_eq!(chosen.len(), most);
            assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]), "distinct");
            assert!(chosen.iter().all(|subset| subset.len() == 5 && subset.windows(2).all(|pair| pair[0] < pair[1]) && subset[4] < 10));
        }
        assert_eq!(of(10, 5, 20, 7), of(10, 5, 20, 7));
        assert_ne!(of(10, 5, 20, 7), of(10, 5, 20, 8));
        assert_eq!(of(200, 100, 3, 0).len(), 3);
    }

    #[test]
    fn quantiles_lie_between_the_numbers() {
        let sorted: Vec<f64> = (0..=10).map(f64::from).collect();
        assert!((quantile(&sorted, 0.1) - 1.0).abs() < 1e-12 && (quantile(&sorted, 0.9) - 9.0).abs() < 1e-12);
        assert!((quantile(&[2.0, 4.0], 0.1) - 2.2).abs() < 1e-12);
        assert_eq!(quantile(&[3.0], 0.9), 3.0);
    }
}
