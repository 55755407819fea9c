//! How far area and number of the holes vary with the masks and the reference images.

use super::super::map::{Map, MapSettings, map};
use super::super::{ModelSet, Observer, tell};
use super::{HoleCriterion, HoleGround, PointValues, Reference, reference, view_area};
use crate::analysis::holes::{Thresholds, area, cell_area, count, total_area};
use crate::analysis::variance::{Components, sample_variance};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::latent::{Surroundings, View};
use crate::random::{Purpose, Stream};
use rayon::prelude::*;
use serde::Serialize;
use std::ops::ControlFlow;

/// Resamples of the reference images for each seed of the masks.
const RESAMPLES: u32 = 50;

/// The most mask seeds: more only take time.
const MOST_SEEDS: usize = 10_000;

/// What the number of holes is rounded by: the variance of a uniform distribution of width 1.
const ROUNDING: f64 = 1.0 / 12.0;

/// 95 % prediction intervals of area and number of holes: where those of another run fall, with other masks and a bound from all images
/// that the reference images are a sample of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HoleInterval {
    /// The seeds of the masks.
    pub seeds: usize,
    /// The area, in z²: Student's interval of its logarithm, from the variances between seeds and between resampled reference images.
    pub area: [f64; 2],
    /// The mean area over the seeds.
    pub mean_area: f64,
    /// The number of holes: the same of its square root.
    pub count: [f64; 2],
}

/// Finds the holes for so many seeds of the masks, beginning with that of the settings, and for each with 50 bootstrap resamples of the
/// reference images.
///
/// # Errors
/// As [`map`] and [`reference`], and for less than two seeds, or more than 10,000.
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
    limits: Option<Limits>,
    runs: Vec<Run>,
}

/// What the masks of one seed give.
#[derive(Clone, Copy)]
struct Run {
    /// With the reference images as they are.
    area: f64,
    count: f64,
    /// The variances over resamples of the images, of the logarithm of the area and of the root of the number.
    of_images: [f64; 2],
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
        let limits = *self.limits.get_or_insert_with(|| {
            let most = criterion.covered.map(|share| surroundings.density.covering(share));
            let of_density = Thresholds { measure: criterion.measure, uncertainty: None, confidence: None, density: most };
            Limits::of(&settings.view, density, &of_density)
        });
        let places: Vec<usize> = (0..settings.members.len()).collect();
        let points = PointValues::new(map, criterion.measure, &places)?;
        let of = |chosen: &[usize]| -> Result<(f64, f64)> {
            let thresholds = reference.thresholds_of(chosen, surroundings, criterion, &places)?;
            let fields = points.fields(density);
            Ok((area(&settings.view, fields, &thresholds), count(&settings.view, fields, &thresholds) as f64))
        };
        let images = reference.sampled.points();
        let (area, count) = of(&(0..images).collect::<Vec<_>>())?;
        let of_resample = |resample: u32| of(&resampled(settings.seed, resample, images));
        let found = (0..RESAMPLES).into_par_iter().map(of_resample).collect::<Result<Vec<_>>>()?;
        let areas: Vec<f64> = found.iter().map(|(area, _)| limits.scale.to(*area)).collect();
        let counts: Vec<f64> = found.iter().map(|(_, count)| count.sqrt()).collect();
        self.runs.push(Run { area, count, of_images: [areas, counts].map(|values| sample_variance(&values)) });
        Ok(())
    }

    /// The scale of the areas, which ends where the density does not allow holes; of what was added.
    pub fn scale(&self) -> AreaScale {
        self.limits.unwrap_or_default().scale
    }

    /// The intervals over all that was added, two seeds at least.
    pub fn interval(&self) -> HoleInterval {
        interval_of_runs(self.limits.unwrap_or_default(), &self.runs)
    }
}

fn interval_of_runs(Limits { scale, most_holes }: Limits, runs: &[Run]) -> HoleInterval {
    let mean = |of: &dyn Fn(&Run) -> f64| runs.iter().map(of).sum::<f64>() / runs.len() as f64;
    let column = |of: &dyn Fn(&Run) -> f64| Components::of(&runs.iter().map(|run| vec![of(run)]).collect::<Vec<_>>());
    let roots = column(&|run| run.count.sqrt());
    // The root of a number near n varies by the number's variance over 4 n. Seeds that happen to agree are no proof that all do.
    let rounding = if roots.mean > 0.0 { ROUNDING / (4.0 * roots.mean.powi(2)) } else { 0.0 };
    let count = roots.with_least_variance(rounding).prediction_interval(mean(&|run| run.of_images[1]));
    HoleInterval {
        seeds: runs.len(),
        area: scale.prediction_interval(&column(&|run| scale.to(run.area)), mean(&|run| run.of_images[0])),
        mean_area: mean(&|run| run.area),
        count: count.map(|root| root.max(0.0).powi(2).min(most_holes)),
    }
}

/// The largest area and number of holes that a region allows.
#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    scale: AreaScale,
    most_holes: f64,
}

impl Limits {
    /// Those of the points of a view whose density is none by the thresholds; the measure and the confidence may be any.
    fn of(view: &View, density: &[f64], thresholds: &Thresholds) -> Self {
        let is_empty: Vec<bool> = density.iter().map(|&density| thresholds.empty(density)).collect();
        let empty_points = (0..view.len()).filter(|&point| is_empty[point]);
        let region = total_area(empty_points.map(|point| cell_area(view, point)));
        Self { scale: AreaScale { region, ..AreaScale::of(view) }, most_holes: most_holes(view, is_empty) as f64 }
    }
}

/// The most holes on some points of a grid. Neighbours along an axis belong to the same hole, so each pair of neighbours has one hole at
/// most: the points are paired as far as they go, and the pairs and the single points that remain are counted.
fn most_holes(view: &View, mut is_free: Vec<bool>) -> usize {
    let mut most = 0;
    for point in 0..is_free.len() {
        if !std::mem::replace(&mut is_free[point], false) {
            continue;
        }
        most += 1;
        let right = (point % view.columns + 1 < view.columns).then_some(point + 1);
        let above = Some(point + view.columns).filter(|&above| above < view.len());
        if let Some(partner) = right.into_iter().chain(above).find(|&neighbour| is_free[neighbour]) {
            is_free[partner] = false;
        }
    }
    most
}

/// The scale on which areas vary evenly: their logarithm. An area of less than a point's cell is not measured, so the cell's is added
/// first: no holes have a place on the scale too.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AreaScale {
    cell: f64,
    /// The area in which the holes lie.
    region: f64,
}

impl AreaScale {
    /// That of a region.
    pub fn of(view: &View) -> Self {
        let region = view_area(view);
        Self { cell: region / view.len() as f64, region }
    }

    /// An area on this scale.
    pub fn to(self, area: f64) -> f64 {
        (area + self.cell).ln()
    }

    /// The 95 % prediction interval of an area of numbers on this scale, to whose variance a known one is added. No area is larger than the
    /// region.
    pub fn prediction_interval(self, components: &Components, known: f64) -> [f64; 2] {
        components.prediction_interval(known).map(|end| (end.exp() - self.cell).clamp(0.0, self.region))
    }
}

/// Refuses less than two seeds, and more than 10,000.
pub(super) fn check_seeds(seeds: usize) -> Result<()> {
    if (2..=MOST_SEEDS).contains(&seeds) {
        return Ok(());
    }
    let mend = format!("give a number from 2 to {MOST_SEEDS}, such as 20");
    Err(Error::setting("--seeds", format!("an interval cannot be computed from {seeds} mask seeds"), mend))
}

/// A bootstrap resample of `count` images.
pub(super) fn resampled(seed: u32, resample: u32, count: usize) -> Vec<usize> {
    let stream = Stream::new(seed, Purpose::Bootstrap);
    (0..count as u32).map(|i| ((stream.uniform([2, resample, 0], i) * count as f64) as usize).min(count - 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::variance::percentiles;
    use crate::data::shipped_digits;
    use crate::engine;
    use crate::engine::Masks;
    use crate::jobs::holes::{HOLE_GRID, ReferenceImages, hole_region};
    use crate::uncertainty::Measure;
    use std::sync::Arc;

    #[test]
    fn resamples_draw_with_replacement_and_differ() {
        let [once, again] = [1, 2].map(|resample| resampled(0, resample, 1000));
        assert!(once != again && once.iter().all(|&image| image < 1000));
        let distinct: std::collections::BTreeSet<_> = once.iter().collect();
        // 1 − 1/e of them.
        assert!((560..710).contains(&distinct.len()), "{}", distinct.len());
    }
    /// The share of the numbers within.
    fn inside([low, high]: [f64; 2], values: &[f64]) -> f64 {
        values.iter().filter(|value| (low..=high).contains(value)).count() as f64 / values.len() as f64
    }

    /// Intervals of random seeds of the shipped network against the areas and numbers of all other seeds.
    #[test]
    fn intervals_of_the_shipped_network_hold_95_of_100_other_seeds() {
        const SEEDS: u32 = 50;
        let (set, digits) = (ModelSet::shipped().unwrap(), shipped_digits().unwrap().slice(0..200));
        let train = &set.encodings().unwrap().train;
        let surroundings = Surroundings::new(train);
        let view = hole_region(train, HOLE_GRID / 4).unwrap();
        let density = surroundings.density.grid(&view);
        let mut engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
        let (criterion, go_on) = (HoleCriterion::default(), &mut |_| ControlFlow::Continue(()));
        let mut repeats = Repeats::default();
        for seed in 0..SEEDS {
            let settings = MapSettings { view, samples: 10, members: vec![0], seed, masks: Masks::Shared, deterministic: false };
            let map = map(&set, engine.as_mut(), &settings, go_on).unwrap();
            let reference = reference(&set, engine.as_mut(), &settings, ReferenceImages::Test(&digits), 1000, go_on).unwrap();
            repeats.add(&map, &reference, (&surroundings, &density), &criterion).unwrap();
        }
        let (limits, stream) = (repeats.limits.unwrap(), Stream::new(0, Purpose::Choice));
        assert!(limits.scale.region < view_area(&view), "there are data in the region");
        for (seeds, of_percentiles) in [(2, 0.5), (3, 0.65), (20, 0.92)] {
            let shares: Vec<[f64; 3]> = (0..300)
                .map(|attempt| {
                    let mut order = stream.permutation([seeds as u32, attempt, 0], SEEDS as usize);
                    let others = order.split_off(seeds);
                    let [chosen, others]: [Vec<Run>; 2] = [order, others].map(|of| of.iter().map(|&run| repeats.runs[run]).collect());
                    // Without the variance of the images: these are the same for all seeds.
                    let alone: Vec<Run> = chosen.iter().map(|run| Run { of_images: [0.0; 2], ..*run }).collect();
                    let found = interval_of_runs(limits, &alone);
                    // Of few seeds a known variance beside theirs makes the whole surer of itself.
                    let all = interval_of_runs(limits, &chosen);
                    assert!(seeds < 20 || all.area[0] <= found.area[0] && found.area[1] <= all.area[1]);
                    let [areas, counts]: [Vec<f64>; 2] =
                        [|run: &Run| run.area, |run: &Run| run.count].map(|of| others.iter().map(of).collect());
                    [
                        inside(found.area, &areas),
                        inside(found.count, &counts),
                        inside(percentiles(chosen.iter().map(|run| run.area).collect()), &areas),
                    ]
                })
                .collect();
            let [areas, counts, control] = [0, 1, 2].map(|which| shares.iter().map(|share| share[which]).sum::<f64>() / 300.0);
            assert!((0.93..=0.975).contains(&areas), "{seeds}: {areas}");
            assert!(counts >= 0.93, "{seeds}: {counts}");
            assert!(control < of_percentiles, "the negative control: {seeds}: {control}");
        }
        let [of_area, of_count] = [0, 1].map(|which| repeats.runs.iter().map(|run| run.of_images[which]).sum::<f64>() / f64::from(SEEDS));
        assert!(of_area > 0.0 && of_count > 0.0);
    }

    fn run(area: f64, count: f64) -> Run {
        Run { area, count, of_images: [0.0; 2] }
    }

    #[test]
    fn intervals_stay_where_there_is_no_density() {
        let view = View::square([0.0, 10.0], 11).unwrap();
        // Data in all columns but the first three, which stand for 0.5, 1 and 1 of 10 units of z.
        let density: Vec<f64> = (0..view.len()).map(|point| if point % 11 < 3 { 0.0 } else { 1.0 }).collect();
        let thresholds = Thresholds { measure: Measure::MutualInformation, uncertainty: None, confidence: None, density: Some(0.5) };
        let runs = [run(5.0, 1.0), run(20.0, 9.0)];
        let high_ends = |thresholds: &Thresholds| {
            let found = interval_of_runs(Limits::of(&view, &density, thresholds), &runs);
            [found.area[1], found.count[1]]
        };
        let [area, count] = high_ends(&thresholds);
        assert!((area - 25.0).abs() < 1e-9 && count == 17.0, "{area} {count}");
        // The negative control: where the density does not matter, the same runs reach beyond.
        let [area, count] = high_ends(&Thresholds { density: None, ..thresholds });
        assert!((area - 100.0).abs() < 1e-9 && count == 61.0, "{area} {count}");
        assert_eq!(high_ends(&Thresholds { density: Some(-1.0), ..thresholds }), [0.0; 2]);
    }

    #[test]
    fn most_holes_of_a_grid_are_those_of_a_chessboard() {
        for (columns, rows, most) in [(1, 1, 1), (2, 1, 1), (1, 5, 3), (3, 3, 5), (4, 3, 6), (13, 11, 72)] {
            let view = View::new([0.0, 6.0], [-10.0, 10.0], columns, rows).unwrap();
            assert_eq!(most_holes(&view, vec![true; view.len()]), most, "{columns} × {rows}");
            // Every second point is free, and none has a neighbour.
            let is_black = |point: usize| (point % columns + point / columns).is_multiple_of(2);
            assert_eq!(most_holes(&view, (0..view.len()).map(is_black).collect()), most, "{columns} × {rows}");
            assert_eq!(most_holes(&view, vec![false; view.len()]), 0);
        }
    }

    #[test]
    fn mask_seeds_of_an_interval_are_from_2_to_10_000() {
        assert!([2, 20, MOST_SEEDS].into_iter().all(|seeds| check_seeds(seeds).is_ok()));
        for seeds in [0, 1, MOST_SEEDS + 1, usize::MAX] {
            let refused = check_seeds(seeds).unwrap_err().to_string();
            assert!(refused.starts_with("--seeds: ") && refused.contains("from 2 to 10000"), "{refused}");
        }
    }

    #[test]
    fn intervals_stay_within_the_region_and_hold_no_holes() {
        let limits = Limits { scale: AreaScale::of(&View::square([0.0, 10.0], 10).unwrap()), most_holes: 50.0 };
        let none = interval_of_runs(limits, &[run(0.0, 0.0), run(0.0, 0.0)]);
        assert!(none.area[0].abs() + none.area[1].abs() <= 1e-12 && none.count == [0.0; 2], "{none:?}");
        let apart = interval_of_runs(limits, &[run(0.0, 0.0), run(80.0, 3.0)]);
        assert!(apart.area == [0.0, 100.0] && apart.count[0] == 0.0 && apart.mean_area == 40.0, "{apart:?}");
        let equal = interval_of_runs(limits, &[run(5.0, 4.0), run(5.0, 4.0)]);
        assert!((equal.area[1] - equal.area[0]).abs() <= 1e-9 && equal.count[0] < 4.0 && equal.count[1] > 4.0, "{equal:?}");
    }
}
