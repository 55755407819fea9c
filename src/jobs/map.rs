//! The map: the statistics of the draws over a view of the latent plane.

use super::draw_groups::{DrawGroups, group_count};
use super::passes::{ComputedBy, check, check_memory, next_block};
use super::{ModelSet, Observer, tell};
use crate::engine::{Block, Draws, Engine, Input, Masks};
use crate::error::Result;
use crate::latent::View;
use crate::uncertainty::{CellStatistics, GroupSums, Measure, Passes, StatisticsGrid, sums_len};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Numbers of a point beside its statistics, in single precision: its place and number, the standard error, and every measure twice, as values
/// and in a file.
const NUMBERS_PER_POINT: usize = 6 + 2 * Measure::ALL.len();

/// Everything that fixes a map, given the models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MapSettings {
    /// The points.
    pub view: View,
    /// Draws per member, T.
    pub samples: u32,
    /// The members by number.
    pub members: Vec<usize>,
    /// The seed of the dropout masks.
    pub seed: u32,
    /// How masks are shared between points.
    pub masks: Masks,
    /// Whether a pass without dropout is made as well, for the deterministic entropy.
    pub deterministic: bool,
}

impl MapSettings {
    /// Into how many groups the draws of a map are cut, for the standard error.
    pub fn groups(&self) -> usize {
        group_count(self.samples)
    }

    /// The points × passes × members.
    pub fn work(&self) -> u64 {
        (self.view.len() * self.members.len()) as u64 * (u64::from(self.samples) + u64::from(self.deterministic))
    }

    /// Bytes of a point of the map: the members' sums and passes without dropout, the mean prediction, and what is written of it.
    pub(super) fn bytes_per_point(&self, classes: usize) -> usize {
        let numbers = classes * (2 + if self.deterministic { self.members.len() } else { 0 }) + NUMBERS_PER_POINT;
        self.members.len() * sums_len(classes) * size_of::<f64>() + numbers * size_of::<f32>()
    }

    /// The same of a map whose draws come bit by bit, which keeps sums of groups of draws.
    pub(super) fn growing_bytes_per_point(&self, classes: usize) -> usize {
        self.bytes_per_point(classes) + DrawGroups::bytes_per_point(self.samples, classes)
    }
}

/// What is looked at of a map: a measure over some members, or its difference from another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Seen {
    /// The measure.
    pub measure: Measure,
    /// The places of the members in the map's settings.
    pub members: Vec<usize>,
    /// The measure over the members that is taken away.
    pub minus: Option<(Measure, Vec<usize>)>,
}

impl Seen {
    /// The measure and what is taken away, each with its members.
    pub fn parts(&self) -> impl Iterator<Item = (Measure, &[usize])> {
        let minus = self.minus.iter().map(|(measure, places)| (*measure, places.as_slice()));
        std::iter::once((self.measure, self.members.as_slice())).chain(minus)
    }
}

/// A map. The members are kept apart, so that any subset of them is a sum over it. Points that have not been asked yet have
/// statistics of no draws, so a map is valid at every moment of its making.
#[derive(Clone, Debug)]
pub struct Map {
    /// What was asked for.
    pub settings: MapSettings,
    /// The sampled passes: points × members, in the order of the settings.
    pub sampled: StatisticsGrid,
    /// The probabilities without dropout, [points, members, classes], where they were asked for; NaN where they are still to come.
    pub deterministic: Option<Vec<f32>>,
    /// The standard error of the mutual information over all members at each point, in nats, where it was estimated; NaN with fewer than
    /// three draws of each.
    pub standard_error: Option<Vec<f32>>,
    /// The sums of groups of draws over all members, for the standard error of a map whose draws come bit by bit.
    pub groups: Option<DrawGroups>,
    /// Who computed it.
    pub by: ComputedBy,
}

/// Computes a map.
///
/// # Errors
/// As [`Map::new`], and when the engine fails or the observer stops.
pub fn map(set: &ModelSet, engine: &mut dyn Engine, settings: &MapSettings, observe: Observer<'_>) -> Result<Map> {
    let mut map = Map::new(set, settings)?;
    let points = settings.view.points();
    let mut standard_error = Vec::with_capacity(points.len());
    let numbers: Vec<u32> = (0..points.len() as u32).collect();
    tell(observe, 0, points.len())?;
    let (mut done, mut answered) = (0, None);
    while done < points.len() {
        let tile = next_block(engine, done, points.len());
        let numbers = &numbers[tile.clone()];
        let block = Block {
            input: Input::Latent(points[tile.clone()].as_flattened()),
            point_numbers: numbers,
            members: &settings.members,
            draws: Draws::Sampled(0..settings.samples),
            groups: settings.groups(),
            seed: settings.seed,
            masks: settings.masks,
        };
        let before = answered.take();
        // What is left to do for the block before runs beside the engine.
        let answer = rayon::in_place_scope(|scope| {
            scope.spawn(|_| {
                if let Some(before) = &before {
                    map.add(before, &mut standard_error);
                }
            });
            Answered::ask(engine, &block, settings.deterministic)
        })?;
        map.by.merge(&answer.by);
        answered = Some(answer);
        done = tile.end;
        tell(observe, done, points.len())?;
    }
    if let Some(last) = &answered {
        map.add(last, &mut standard_error);
    }
    map.standard_error = Some(standard_error);
    Ok(map)
}

/// The engine's answer about a block of points.
struct Answered {
    points: Vec<u32>,
    sampled: StatisticsGrid,
    groups: GroupSums,
    deterministic: Option<StatisticsGrid>,
    by: ComputedBy,
}

impl Answered {
    fn ask(engine: &mut dyn Engine, block: &Block<'_>, deterministic: bool) -> Result<Self> {
        let mut by = ComputedBy::default();
        let (sampled, groups) = engine.grouped_statistics(block)?;
        by.note(engine);
        let without_masks = Block { draws: Draws::Deterministic, groups: 1, ..block.clone() };
        let deterministic = if deterministic { Some(engine.statistics(&without_masks)?) } else { None };
        by.note(engine);
        Ok(Self { points: block.point_numbers.to_vec(), sampled, groups, deterministic, by })
    }
}

impl Map {
    /// A map that has asked nothing yet.
    ///
    /// # Errors
    /// When the settings make no sense or ask for more memory than any machine should give, or the VAE's plane has not two dimensions.
    pub fn new(set: &ModelSet, settings: &MapSettings) -> Result<Self> {
        check(set, settings.samples, &settings.members)?;
        let (points, members, classes) = (settings.view.len(), settings.members.len(), set.ensemble().classes().len());
        check_memory("--grid", (points, members), settings.bytes_per_point(classes))?;
        Ok(Self {
            settings: settings.clone(),
            sampled: StatisticsGrid::new(points, members, classes),
            deterministic: settings.deterministic.then(|| vec![f32::NAN; points * members * classes]),
            standard_error: None,
            groups: None,
            by: ComputedBy::default(),
        })
    }

    /// As [`new`](Self::new), for a map whose draws come bit by bit.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(super) fn growing(set: &ModelSet, settings: &MapSettings) -> Result<Self> {
        let map = Self::new(set, settings)?;
        let (points, members, classes) = (settings.view.len(), settings.members.len(), map.classes());
        check_memory("--grid", (points, members), settings.growing_bytes_per_point(classes))?;
        Ok(Self { groups: Some(DrawGroups::new(points, settings.samples, classes)), ..map })
    }

    /// Takes over all passes of another map, which has the same points, seed and masks, no more draws, and no member that this one has not.
    /// This one has no passes yet.
    pub(super) fn start_from(&mut self, other: &Self) {
        let (classes, members) = (self.classes(), self.sampled.members());
        self.groups = other.groups.as_ref().map(|groups| groups.continued(self.settings.samples, classes));
        self.by = other.by.clone();
        for (from, number) in other.settings.members.iter().enumerate() {
            let Some(place) = self.settings.members.iter().position(|member| member == number) else { continue };
            for point in 0..self.sampled.points() {
                self.add_sampled(point, place, other.sampled.sums(point, from));
                if let (Some(to), Some(own)) = (&mut self.deterministic, &other.deterministic) {
                    let own = &own[(point * other.sampled.members() + from) * classes..][..classes];
                    to[(point * members + place) * classes..][..classes].copy_from_slice(own);
                }
            }
        }
    }

    /// The draws at all points of all members.
    pub(super) fn all_draws(&self) -> u64 {
        let of_point = |point| (0..self.sampled.members()).map(move |place| self.draws(point, place) as u64);
        (0..self.sampled.points()).flat_map(of_point).sum()
    }

    /// Adds the answer about a block, and the standard errors of its points.
    fn add(&mut self, answered: &Answered, standard_error: &mut Vec<f32>) {
        let Answered { points, sampled, groups, deterministic, .. } = answered;
        let members = self.settings.members.len();
        for (at, &number) in points.iter().enumerate() {
            for place in 0..members {
                self.add_sampled(number as usize, place, sampled.sums(at, place));
                if let Some(deterministic) = deterministic {
                    self.set_deterministic(number as usize, place, &deterministic.cell(at, [place]));
                }
            }
        }
        let error = |at| groups.mutual_information_standard_error(at, members) as f32;
        standard_error.par_extend((0..points.len()).into_par_iter().map(error));
    }

    /// Adds draws of the member at a place in the settings to a point.
    pub(super) fn add_sampled(&mut self, point: usize, place: usize, sums: &[f64]) {
        self.sampled.sums_mut(point, place).iter_mut().zip(sums).for_each(|(sum, other)| *sum += other);
    }

    /// The standard error of the mutual information over all members at each point, in nats; NaN where draws are still to come, and with
    /// fewer than three draws of each. `None` where it was not estimated.
    pub(super) fn final_standard_error(&self) -> Option<Vec<f32>> {
        let Some(groups) = &self.groups else { return self.standard_error.clone() };
        let all: Vec<usize> = (0..self.settings.members.len()).collect();
        let of_point = |point: usize| {
            let is_final = self.has_all_draws(point, &all);
            if is_final { groups.standard_error(point, all.len()) as f32 } else { f32::NAN }
        };
        Some((0..self.sampled.points()).into_par_iter().map(of_point).collect())
    }

    /// Notes what the member at a place in the settings says of a point without dropout.
    pub(super) fn set_deterministic(&mut self, point: usize, place: usize, pass: &CellStatistics) {
        let (members, classes) = (self.sampled.members(), self.classes());
        if let Some(probabilities) = &mut self.deterministic {
            let to = &mut probabilities[(point * members + place) * classes..][..classes];
            to.iter_mut().zip(pass.sum_p()).for_each(|(to, &p)| *to = p as f32);
        }
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.sampled.classes()
    }

    /// A measure at every point over the members at the given places in the settings; NaN at points that they have not been
    /// asked about yet. `None` where the map has not the passes that the measure is a function of.
    pub fn measure(&self, measure: Measure, places: &[usize]) -> Option<Vec<f32>> {
        if measure.passes() == Passes::Deterministic && self.deterministic.is_none() {
            return None;
        }
        Some((0..self.sampled.points()).map(|point| self.measure_at(point, measure, places)).collect())
    }

    /// As [`measure`](Self::measure), at one point; NaN also where the map has not the passes.
    pub fn measure_at(&self, point: usize, measure: Measure, places: &[usize]) -> f32 {
        match measure.passes() {
            Passes::Sampled if places.iter().any(|&place| self.draws(point, place) == 0.0) => f32::NAN,
            Passes::Sampled => measure.evaluate(&self.sampled.cell(point, places.iter().copied())) as f32,
            Passes::Deterministic => self.deterministic.as_ref().map_or(f32::NAN, |probabilities| {
                let (members, classes) = (self.sampled.members(), self.classes());
                let mut pass = CellStatistics::new(classes);
                for &place in places {
                    let p: Vec<f64> = probabilities[(point * members + place) * classes..][..classes].iter().map(|&p| p.into()).collect();
                    pass.add_draw(&p);
                }
                measure.evaluate(&pass) as f32
            }),
        }
    }

    /// What is seen at every point; NaN where it has not been asked yet, or the map has not the passes.
    pub fn seen(&self, seen: &Seen) -> Vec<f32> {
        let of = |measure, places: &[usize]| self.measure(measure, places).unwrap_or_else(|| vec![f32::NAN; self.sampled.points()]);
        let mut values = of(seen.measure, &seen.members);
        if let Some((measure, places)) = &seen.minus {
            values.iter_mut().zip(of(*measure, places)).for_each(|(value, other)| *value -= other);
        }
        values
    }

    /// The fewest and the most draws that what is seen has at any point of any member.
    pub fn draws_of(&self, seen: &Seen) -> [u32; 2] {
        let mut range = [u32::MAX, 0];
        for (_, places) in seen.parts().filter(|(measure, _)| measure.passes() == Passes::Sampled) {
            for draws in (0..self.sampled.points()).flat_map(|point| places.iter().map(move |&place| self.draws(point, place) as u32)) {
                range = [range[0].min(draws), range[1].max(draws)];
            }
        }
        [range[0].min(range[1]), range[1]]
    }

    /// How many draws of the member at a place a point has.
    pub fn draws(&self, point: usize, place: usize) -> f64 {
        self.sampled.sums(point, place)[sums_len(self.classes()) - 1]
    }

    /// Whether a point has all draws of the members at these places.
    pub fn has_all_draws(&self, point: usize, places: &[usize]) -> bool {
        places.iter().all(|&place| self.draws(point, place) >= f64::from(self.settings.samples))
    }

    /// Whether the member at a place in the settings has told what it says of a point without dropout.
    pub fn has_deterministic(&self, point: usize, place: usize) -> bool {
        let first = (point * self.sampled.members() + place) * self.classes();
        self.deterministic.as_ref().is_some_and(|probabilities| !probabilities[first].is_nan())
    }

    /// Whether what is seen has all of its passes at every point.
    pub fn is_complete(&self, seen: &Seen) -> bool {
        (0..self.sampled.points()).all(|point| {
            seen.parts().all(|(measure, places)| match measure.passes() {
                Passes::Sampled => self.has_all_draws(point, places),
                Passes::Deterministic => places.iter().all(|&place| self.has_deterministic(point, place)),
            })
        })
    }

    /// The mean prediction at every point over all members, [points, classes]; NaN at points that lack draws of a member.
    pub fn mean_probabilities(&self) -> Vec<f32> {
        let all: Vec<usize> = (0..self.settings.members.len()).collect();
        let of_point = |point: usize| {
            let mean = self.sampled.whole_cell(point).mean();
            if self.has_all_draws(point, &all) { mean } else { vec![f64::NAN; mean.len()] }
        };
        (0..self.sampled.points()).flat_map(of_point).map(|p| p as f32).collect()
    }
}
