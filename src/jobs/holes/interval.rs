//! How far area and number of the holes vary with the masks and the reference images.

use super::super::map::{Map, MapSettings, map};
use super::super::{ModelSet, Observer, tell};
use super::{HoleCriterion, HoleGround, PointValues, Reference, reference};
use crate::analysis::holes::{area, count};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::latent::Surroundings;
use crate::random::{Purpose, Stream};
use rayon::prelude::*;
use serde::Serialize;
use std::ops::ControlFlow;

/// Resamples of the reference images for each seed of the masks.
const RESAMPLES: u32 = 50;

/// 95 % intervals of area and number of holes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HoleInterval {
    /// The seeds of the masks.
    pub seeds: usize,
    /// The 2.5th and 97.5th percentile of the area, in z², over all seeds and resamples.
    pub area: [f64; 2],
    /// The mean area.
    pub mean_area: f64,
    /// The 2.5th and 97.5th percentile of the number of holes.
    pub count: [f64; 2],
}

/// Finds the holes for so many seeds of the masks, beginning with that of the settings, and for each with 50 bootstrap resamples of the
/// reference images: what another run with other masks and other images would give.
///
/// # Errors
/// As [`map`] and [`reference`], and for less than two seeds.
pub fn hole_interval(
    set: &ModelSet,
    engine: &mut dyn Engine,
    settings: &MapSettings,
    HoleGround { images, surroundings }: HoleGround<'_>,
    criterion: &HoleCriterion,
    seeds: usize,
    observe: Observer<'_>,
) -> Result<HoleInterval> {
    check_seeds(seeds)?;
    let density = surroundings.density.grid(&settings.view);
    let mut repeats = Repeats::default();
    tell(observe, 0, seeds)?;
    for number in 0..seeds {
        let settings = MapSettings { seed: settings.seed.wrapping_add(number as u32), ..settings.clone() };
        let mut within = |_| {
            let progress = super::super::Progress { done: number as u64, total: seeds as u64 };
            if observe(progress).is_break() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let map = map(set, engine, &settings, &mut within)?;
        let reference = reference(set, engine, &settings, images, criterion.reference, &mut within)?;
        repeats.add(&map, &reference, (surroundings, &density), criterion)?;
        tell(observe, number + 1, seeds)?;
    }
    Ok(repeats.interval())
}

/// Areas and numbers of the holes over seeds of the masks and resamples of the reference images.
#[derive(Default)]
pub(super) struct Repeats {
    seeds: usize,
    areas: Vec<f64>,
    counts: Vec<f64>,
}

impl Repeats {
    /// Adds the holes of all members of a map with the masks of another seed, for every resample of its reference images.
    pub fn add(
        &mut self,
        map: &Map,
        reference: &Reference,
        (surroundings, density): (&Surroundings, &[f64]),
        criterion: &HoleCriterion,
    ) -> Result<()> {
        let settings = &map.settings;
        let places: Vec<usize> = (0..settings.members.len()).collect();
        let points = PointValues::new(map, criterion.measure, &places)?;
        let of = |resample: u32| -> Result<(f64, f64)> {
            let chosen = resampled(settings.seed, resample, reference.sampled.points());
            let thresholds = reference.thresholds_of(&chosen, surroundings, criterion, &places)?;
            let fields = points.fields(density);
            Ok((area(&settings.view, fields, &thresholds), count(&settings.view, fields, &thresholds) as f64))
        };
        let found = (0..RESAMPLES).into_par_iter().map(of).collect::<Result<Vec<_>>>()?;
        self.areas.extend(found.iter().map(|(area, _)| *area));
        self.counts.extend(found.iter().map(|(_, count)| *count));
        self.seeds += 1;
        Ok(())
    }

    /// The intervals over all that was added.
    pub fn interval(self) -> HoleInterval {
        let mean_area = self.areas.iter().sum::<f64>() / self.areas.len() as f64;
        HoleInterval { seeds: self.seeds, area: interval_of(self.areas), mean_area, count: interval_of(self.counts) }
    }
}

/// Refuses less than two seeds.
pub(super) fn check_seeds(seeds: usize) -> Result<()> {
    if seeds < 2 {
        return Err(Error::setting("--seeds", format!("{seeds} make no interval"), "give a number from 2, such as 20"));
    }
    Ok(())
}

/// A bootstrap resample of so many images.
pub(super) fn resampled(seed: u32, resample: u32, count: usize) -> Vec<usize> {
    let stream = Stream::new(seed, Purpose::Bootstrap);
    (0..count as u32).map(|i| ((stream.uniform([2, resample, 0], i) * count as f64) as usize).min(count - 1)).collect()
}

/// The 2.5th and the 97.5th percentile.
pub(super) fn interval_of(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_unstable_by(f64::total_cmp);
    [0.025, 0.975].map(|share| quantile(&values, share))
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
    fn quantiles_lie_between_the_numbers() {
        let sorted: Vec<f64> = (0..=10).map(f64::from).collect();
        assert!((quantile(&sorted, 0.1) - 1.0).abs() < 1e-12 && (quantile(&sorted, 0.9) - 9.0).abs() < 1e-12);
        assert_eq!(quantile(&[3.0], 0.9), 3.0);
        assert_eq!(interval_of((0..=40).rev().map(f64::from).collect()), [1.0, 39.0]);
    }

    #[test]
    fn resamples_draw_with_replacement_and_differ() {
        let [once, again] = [1, 2].map(|resample| resampled(0, resample, 1000));
        assert!(once != again && once.iter().all(|&image| image < 1000));
        let distinct: std::collections::BTreeSet<_> = once.iter().collect();
        // 1 − 1/e of them.
        assert!((560..710).contains(&distinct.len()), "{}", distinct.len());
    }
}
