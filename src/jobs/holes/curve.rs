//! The curve of hole area against the number of ensemble members: the paper's Figure 6 as a number.

use super::super::map::{Map, MapSettings};
use super::super::passes::check_memory;
use super::super::{ModelSet, Observer, Progress, tell};
use super::interval::{AreaScale, HoleInterval, Repeats, check_seeds, resampled};
use super::reference::{InputPoints, reference_points};
use super::{HoleCriterion, HoleGround, PointValues, Reference, lacks_passes};
use crate::analysis::holes::area;
use crate::analysis::variance::Components;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::latent::Surroundings;
use crate::numbers::fixed;
use crate::random::{Purpose, Stream};
use crate::uncertainty::{Passes, StatisticsGrid};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

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
    /// The seeds of the masks, beginning with that of the map's settings; with each but the first goes a bootstrap resample of the
    /// reference images.
    pub seeds: usize,
    /// The most subsets of each size; where there are no more than so many, all of them.
    pub subsets: usize,
    /// What is sure in a subset.
    pub threshold: CurveThreshold,
}

impl Default for CurveSettings {
    fn default() -> Self {
        Self { seeds: 20, subsets: 20, threshold: CurveThreshold::Own }
    }
}

/// The area of the holes for subsets of one size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CurvePoint {
    /// The size.
    pub members: usize,
    /// The mean over subsets and seeds with as many draws of each member as asked for, in z².
    pub mean: f64,
    /// The 95 % prediction interval of the area of another subset with other masks.
    pub interval: [f64; 2],
    /// The control: the mean with as many draws in all as a single member has, that is T / members of each.
    pub equal_total: f64,
    /// How many subsets there are.
    pub subsets: usize,
}

/// The area of a single member's holes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SingleMember {
    /// The member by number.
    pub member: usize,
    /// The mean over the seeds, in z².
    pub mean: f64,
    /// The 95 % prediction interval of its area with other masks.
    pub interval: [f64; 2],
}

/// By how much the holes of a single member are larger than those of all members, of the same seeds of the masks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PairedDifference {
    /// The size of the whole ensemble.
    pub members: usize,
    /// The mean over members and seeds, in z².
    pub mean: f64,
    /// The 95 % confidence interval of the mean over all masks and members that there could be.
    pub interval: [f64; 2],
}

/// The curve.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HoleCurve {
    /// By size.
    pub points: Vec<CurvePoint>,
    /// Every single member.
    pub singles: Vec<SingleMember>,
    /// One against all, where there are several.
    pub difference: Option<PairedDifference>,
    /// What it shows, in words.
    pub finding: String,
    /// Area and number of the holes of all members, as [`hole_interval`](super::hole_interval) finds them: its draws are among the
    /// curve's. Files hold it beside the holes.
    #[serde(skip)]
    pub interval: HoleInterval,
}

/// The area of the holes for ensembles of 1, 2, … up to all members, each over random, distinct subsets and over seeds of the masks,
/// and the interval of all members from the same draws.
/// Sizes at which the measure is undefined (a single member without draws) are left out.
///
/// # Errors
/// As [`Reference::thresholds`] for all members, when no subset or less than two seeds are asked for, when the measure is not one of
/// draws, when the engine fails, or when the observer stops.
pub fn hole_curve(
    set: &ModelSet,
    engine: &mut dyn Engine,
    settings: &MapSettings,
    ground: HoleGround<'_>,
    criterion: &HoleCriterion,
    curve: &CurveSettings,
    observe: Observer<'_>,
) -> Result<HoleCurve> {
    if !(1..=MOST_SUBSETS).contains(&curve.subsets) {
        let problem = format!("{} subsets of each size are out of range", curve.subsets);
        return Err(Error::setting("--subsets", problem, format!("give a number from 1 to {MOST_SUBSETS}, such as 20")));
    }
    check_seeds(curve.seeds)?;
    if criterion.measure.passes() == Passes::Deterministic {
        return Err(lacks_passes(criterion.measure));
    }
    let members = settings.members.len();
    let all: Vec<usize> = (0..members).collect();
    let of_size: Vec<Vec<Vec<usize>>> = (1..=members).map(|size| subsets(members, size, settings.seed, curve)).collect();
    let at_once = cuts(settings.samples, members).len();
    check_memory("--grid", (settings.view.len(), members), at_once * settings.bytes_per_point(set.ensemble().classes().len()))?;
    let images = reference_points(set, ground.images, criterion.reference)?;
    // [size][seed][subset]
    let (mut equal_each, mut equal_total) = (vec![Vec::new(); members], vec![Vec::new(); members]);
    let mut repeats = Repeats::default();
    tell(observe, 0, curve.seeds)?;
    for number in 0..curve.seeds {
        let seeded = MapSettings { seed: settings.seed.wrapping_add(number as u32), deterministic: false, ..settings.clone() };
        let mut within = |_| observe(Progress { done: number as u64, total: curve.seeds as u64 });
        let mut seed = Seed::new(set, &seeded, (ground, &images), criterion, curve, number)?;
        if let Some(whole) = seed.drawn.last() {
            whole.reference.check_defined(criterion, &all)?;
        }
        seed.draw(engine, &images, &mut within)?;
        for (size, subsets) in (1..=members).zip(&of_size) {
            equal_each[size - 1].push(seed.areas(settings.samples, subsets)?);
            equal_total[size - 1].push(seed.areas(draws_of_each(settings.samples, size), subsets)?);
        }
        if let Some(whole) = seed.drawn.last() {
            repeats.add(&whole.map, &whole.reference, (ground.surroundings, &seed.density), criterion)?;
        }
        tell(observe, number + 1, curve.seeds)?;
    }
    Ok(summary(&settings.members, [&equal_each, &equal_total], repeats.scale(), repeats.interval()))
}

/// The most subsets of each size.
const MOST_SUBSETS: usize = 10_000;

/// The draws of each member of an ensemble of this size that has as many in all as one member.
fn draws_of_each(samples: u32, size: usize) -> u32 {
    (samples / size as u32).max(1)
}

/// The numbers of draws at which areas are taken, ascending.
fn cuts(samples: u32, members: usize) -> Vec<u32> {
    let cuts: BTreeSet<u32> = (1..=members).map(|size| draws_of_each(samples, size)).chain([samples]).collect();
    cuts.into_iter().collect()
}

/// The map and the reference of some of the first draws of each member.
struct Drawn {
    draws: u32,
    map: Map,
    reference: Reference,
}

/// What a seed's areas follow from.
struct Seed<'a> {
    settings: &'a MapSettings,
    /// For each number of draws at which areas are taken.
    drawn: Vec<Drawn>,
    chosen: Vec<usize>,
    density: Vec<f64>,
    criterion: &'a HoleCriterion,
    surroundings: &'a Surroundings,
    threshold: CurveThreshold,
}

impl<'a> Seed<'a> {
    /// Of the seed of that number, which has the masks of these settings; nothing is drawn yet.
    fn new(
        set: &ModelSet,
        settings: &'a MapSettings,
        (ground, images): (HoleGround<'a>, &InputPoints<'_>),
        criterion: &'a HoleCriterion,
        curve: &CurveSettings,
        number: usize,
    ) -> Result<Self> {
        let (members, classes) = (settings.members.len(), set.ensemble().classes().len());
        let of_draws = |draws: u32| -> Result<Drawn> {
            let reference = Reference {
                images: ground.images.name(),
                sampled: StatisticsGrid::new(images.count, members, classes),
                deterministic: None,
                has_draws: set.ensemble().has_draws(&settings.members),
                samples: draws,
            };
            Ok(Drawn { draws, map: Map::new(set, settings)?, reference })
        };
        Ok(Self {
            settings,
            drawn: cuts(settings.samples, members).into_iter().map(of_draws).collect::<Result<_>>()?,
            chosen: if number == 0 { (0..images.count).collect() } else { resampled(settings.seed, 0, images.count) },
            density: ground.surroundings.density.grid(&settings.view),
            criterion,
            surroundings: ground.surroundings,
            threshold: curve.threshold,
        })
    }

    /// Draws each member as often as asked for, on the region and on the reference images.
    fn draw(&mut self, engine: &mut dyn Engine, images: &InputPoints<'_>, observe: Observer<'_>) -> Result<()> {
        let region = InputPoints::latent(&self.settings.view.points());
        let mut of_region: Vec<_> = self.drawn.iter_mut().map(|drawn| (drawn.draws, &mut drawn.map.sampled)).collect();
        region.add_first(engine, self.settings, &mut of_region, observe)?;
        let mut of_images: Vec<_> = self.drawn.iter_mut().map(|drawn| (drawn.draws, &mut drawn.reference.sampled)).collect();
        images.add_first(engine, self.settings, &mut of_images, observe)
    }

    /// The area of each subset, with so many draws of each member; NaN where the measure is undefined.
    fn areas(&self, draws: u32, subsets: &[Vec<usize>]) -> Result<Vec<f64>> {
        let whole: Vec<usize> = (0..self.settings.members.len()).collect();
        let area_of = |places: &Vec<usize>| -> Result<f64> {
            let of_draws = |drawn: &&Drawn| drawn.draws == draws && drawn.reference.check_defined(self.criterion, places).is_ok();
            let Some(Drawn { map, reference, .. }) = self.drawn.iter().find(of_draws) else { return Ok(f64::NAN) };
            let judged = if self.threshold == CurveThreshold::Own { places } else { &whole };
            let thresholds = reference.thresholds_of(&self.chosen, self.surroundings, self.criterion, judged)?;
            let points = PointValues::new(map, self.criterion.measure, places)?;
            Ok(area(&self.settings.view, points.fields(&self.density), &thresholds))
        };
        subsets.par_iter().map(area_of).collect()
    }
}

/// The curve from areas [size][seed][subset].
fn summary(members: &[usize], [equal_each, equal_total]: [&[Vec<Vec<f64>>]; 2], scale: AreaScale, interval: HoleInterval) -> HoleCurve {
    let predicted = |areas: &[Vec<f64>]| {
        let on_scale: Vec<Vec<f64>> = areas.iter().map(|of_seed| of_seed.iter().map(|&area| scale.to(area)).collect()).collect();
        scale.prediction_interval(&Components::of(&on_scale), 0.0)
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let all = |areas: &[Vec<f64>]| areas.concat();
    let points: Vec<CurvePoint> = (0..members.len())
        .filter(|&at| all(&equal_each[at]).iter().all(|area| area.is_finite()))
        .map(|at| CurvePoint {
            members: at + 1,
            mean: mean(&all(&equal_each[at])),
            interval: predicted(&equal_each[at]),
            equal_total: mean(&all(&equal_total[at])),
            subsets: equal_each[at][0].len(),
        })
        .collect();
    let has_singles = points.first().is_some_and(|point| point.members == 1) && equal_each[0][0].len() == members.len();
    let singles = members.iter().enumerate().filter(|_| has_singles).map(|(place, &member)| {
        let areas: Vec<f64> = equal_each[0].iter().map(|of_seed| of_seed[place]).collect();
        let column: Vec<Vec<f64>> = areas.iter().map(|&area| vec![area]).collect();
        SingleMember { member, mean: mean(&areas), interval: predicted(&column) }
    });
    let singles: Vec<SingleMember> = singles.collect();
    let whole = &equal_each[members.len() - 1];
    let difference = (has_singles && members.len() > 1).then(|| {
        // [seed][member]: by how much the member's holes are larger.
        let larger: Vec<Vec<f64>> =
            equal_each[0].iter().zip(whole).map(|(singles, all)| singles.iter().map(|single| single - all[0]).collect()).collect();
        let components = Components::of(&larger);
        PairedDifference { members: members.len(), mean: components.mean, interval: components.mean_interval() }
    });
    let finding = finding(&points, difference.as_ref());
    HoleCurve { points, singles, difference, finding, interval }
}

/// What the numbers say, and no more.
fn finding(points: &[CurvePoint], difference: Option<&PairedDifference>) -> String {
    let (Some(first), Some(last), Some(difference)) = (points.first(), points.last(), difference) else {
        return "There is no difference to measure between a single member and the ensemble.".to_owned();
    };
    let PairedDifference { members, mean, interval: [low, high] } = difference;
    let found = match (*low > 0.0, *high < 0.0) {
        (true, _) => "are larger than",
        (_, true) => "are smaller than",
        _ => "cannot be told apart in area from",
    };
    format!(
        "The holes of a single member ({:.1} z²) {found} those of all {members} ({:.1} z²; {:.1} z² with equal total draws): difference \
         {} z², 95 % interval {} to {} over seeds and members.",
        first.mean,
        last.mean,
        last.equal_total,
        fixed(*mean, 1),
        fixed(*low, 1),
        fixed(*high, 1)
    )
}

/// Distinct subsets of so many out of `members`, in ascending order: all of them where the settings allow as many, else random ones.
fn subsets(members: usize, size: usize, seed: u32, curve: &CurveSettings) -> Vec<Vec<usize>> {
    // C(members, size), which is whole at every step; far beyond the most it may saturate.
    let count = (0..size).fold(1_u128, |count, i| count.saturating_mul((members - i) as u128) / (i as u128 + 1));
    // Single members are all shown.
    if size == 1 || count <= curve.subsets as u128 {
        let mut all = Vec::new();
        extend(&mut all, &mut Vec::new(), members, size);
        return all;
    }
    let stream = Stream::new(seed, Purpose::Choice);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::View;

    #[test]
    fn subsets_are_distinct_and_all_where_there_are_few() {
        let of = |members, size, most, seed| subsets(members, size, seed, &CurveSettings { subsets: most, ..CurveSettings::default() });
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

    const NO_INTERVAL: HoleInterval = HoleInterval { seeds: 0, area: [0.0; 2], mean_area: 0.0, count: [0.0; 2] };

    fn scale() -> AreaScale {
        AreaScale::of(&View::square([-10.0, 10.0], 40).unwrap())
    }

    /// [size][seed][subset] for two members and two seeds; the ensemble's holes are smaller by `less`.
    fn areas(less: f64) -> Vec<Vec<Vec<f64>>> {
        vec![vec![vec![110.0, 112.0], vec![111.0, 113.0]], vec![vec![111.0 - less], vec![112.0 - less]]]
    }

    #[test]
    fn finding_follows_the_interval_of_the_difference() {
        for (less, words) in [(50.0, "are larger than"), (-50.0, "are smaller than"), (5.0, "cannot be told apart")] {
            let curve = summary(&[0, 1], [&areas(less), &areas(less)], scale(), NO_INTERVAL);
            let difference = curve.difference.unwrap();
            assert!((difference.mean - less).abs() < 1e-9 && curve.finding.contains(words), "{curve:?}");
            assert!(difference.interval[0] <= less && less <= difference.interval[1]);
        }
        let curve = summary(&[4, 7], [&areas(0.0), &areas(0.0)], scale(), NO_INTERVAL);
        assert_eq!(curve.singles.iter().map(|single| (single.member, single.mean)).collect::<Vec<_>>(), [(4, 110.5), (7, 112.5)]);
        assert_eq!(
            curve.points.iter().map(|point| (point.members, point.mean, point.subsets)).collect::<Vec<_>>(),
            [(1, 111.5, 2), (2, 111.5, 1)]
        );
    }

    #[test]
    fn undefined_sizes_are_left_out_of_the_curve() {
        let mut areas = areas(0.0);
        areas[0] = vec![vec![f64::NAN; 2]; 2];
        let curve = summary(&[0, 1], [&areas, &areas], scale(), NO_INTERVAL);
        assert_eq!((curve.points.len(), curve.points[0].members, curve.singles.len(), curve.difference), (1, 2, 0, None));
    }

    #[test]
    fn equal_total_draws_are_cut_from_the_same_draws() {
        assert_eq!(cuts(50, 10), [5, 6, 7, 8, 10, 12, 16, 25, 50]);
        assert_eq!(cuts(2, 3), [1, 2]);
    }
}
