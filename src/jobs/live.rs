//! A map that comes into being while one looks: coarse first, then finer in space and in draws, what is looked at first.

use super::map::{Map, MapSettings};
use super::passes::next_block;
use super::{ModelSet, Observer, Progress};
use crate::engine::{Block, Draws, Engine, Input};
use crate::error::{Error, Result};
use crate::latent::View;
use crate::uncertainty::{Measure, Passes};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The first picture has at most so many points…
const COARSE_POINTS: usize = 1024;
/// … and so many draws.
const COARSE_DRAWS: u32 = 10;
/// Later passes over the plane add at most so many draws: the trunk of the network runs again in each.
const MORE_DRAWS: u32 = 50;

/// A map that a job fills while others read it.
pub struct LiveMap {
    map: RwLock<Map>,
    /// The places of the members that somebody looks at, a bit each: they come first.
    sampled_first: AtomicU64,
    /// As above, for the passes without dropout.
    deterministic_first: AtomicU64,
}

impl LiveMap {
    /// A map that has asked nothing yet.
    ///
    /// # Errors
    /// When the settings make no sense, ask for more memory than the limit, or the VAE's plane has not two dimensions.
    pub fn new(set: &ModelSet, settings: &MapSettings) -> Result<Self> {
        Ok(Self {
            map: RwLock::new(Map::growing(set, settings)?),
            sampled_first: AtomicU64::new(0),
            deterministic_first: AtomicU64::new(0),
        })
    }

    /// Takes over all passes of another map; see [`MapCache`](super::MapCache) for when it may.
    pub(super) fn start_from(&self, other: &Self) {
        self.write().start_from(&other.read());
    }

    fn write(&self) -> RwLockWriteGuard<'_, Map> {
        self.map.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The map as it is now.
    pub fn read(&self) -> RwLockReadGuard<'_, Map> {
        self.map.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The map as it is now, unless it is just being written.
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, Map>> {
        self.map.try_read().ok()
    }

    /// Says what is looked at: it is computed before the rest.
    pub fn look_at<'a>(&self, looked_at: impl IntoIterator<Item = (Measure, &'a [usize])>) {
        let (mut sampled, mut deterministic) = (0, 0);
        for (measure, places) in looked_at {
            let bits = places.iter().fold(0, |bits, &place| bits | bit(place));
            match measure.passes() {
                Passes::Sampled => sampled |= bits,
                Passes::Deterministic => deterministic |= bits,
            }
        }
        self.sampled_first.store(sampled, Ordering::Relaxed);
        self.deterministic_first.store(deterministic, Ordering::Relaxed);
    }

    fn is_looked_at(&self, lane: &Lane<'_>) -> bool {
        let first = if lane.sampled { &self.sampled_first } else { &self.deterministic_first };
        first.load(Ordering::Relaxed) & bit(lane.place) != 0
    }
}

/// Members beyond the 64th share bits: some then come first unasked.
fn bit(place: usize) -> u64 {
    1 << (place % 64)
}

/// Some points, by their place in the order, and some draws of them.
#[derive(Clone, Debug, PartialEq)]
struct Span {
    points: Range<usize>,
    draws: Range<u32>,
}

/// The passes of one member, sampled or without dropout.
struct Lane<'a> {
    place: usize,
    sampled: bool,
    /// What is still to do; the first may have been begun.
    plan: &'a [Span],
    /// The points of that one that are done.
    begun: usize,
    /// The points × draws that are there.
    done: u64,
}

/// Fills a map, block by block, until it is complete; `observe` is told of the points × draws of all members. Passes that are there already,
/// from another map or from a fill that was stopped, are not computed again, and do not count.
///
/// # Errors
/// When the engine fails or the observer stops.
pub fn fill(live: &LiveMap, engine: &mut dyn Engine, observe: Observer<'_>) -> Result<()> {
    let settings = live.read().settings.clone();
    let points = settings.view.points();
    let (order, levels) = coarse_to_fine(&settings.view);
    let plans = [deterministic_plan(&levels), plan(&levels, settings.samples)];
    let lane = |place, sampled| {
        let (map, plan) = (live.read(), &plans[usize::from(sampled)][..]);
        let done = (0..points.len()).map(|point| u64::from(passes(&map, point, place, sampled))).sum();
        Lane { place, sampled, plan, begun: 0, done }
    };
    let mut lanes: Vec<Lane<'_>> =
        (0..settings.members.len()).flat_map(|place| [true, false].map(|sampled| lane(place, sampled))).collect();
    lanes.retain(|lane| lane.sampled || settings.deterministic);
    let work = |span: &Span| (span.points.len() * span.draws.len()) as u64;
    let total = lanes.iter().map(|lane| lane.plan.iter().map(work).sum::<u64>() - lane.done).sum();
    let mut done = 0;
    loop {
        if observe(Progress { done, total }).is_break() {
            return Err(Error::Cancelled);
        }
        let unfinished = lanes.iter_mut().filter(|lane| !lane.plan.is_empty());
        // What is looked at comes first; among equals, all grow together.
        let Some(lane) = unfinished.min_by_key(|lane| (!live.is_looked_at(lane), !lane.sampled, lane.done)) else { return Ok(()) };
        let (map, place, sampled) = (live.read(), lane.place, lane.sampled);
        let tile = lane.next_tile(engine, |at| passes(&map, order[at] as usize, place, sampled));
        let groups = tile.as_ref().zip(map.groups.as_ref()).map_or(1, |(tile, groups)| groups.within(&tile.draws));
        drop(map);
        let Some(tile) = tile else { continue };
        lane.done += work(&tile);
        done += work(&tile);
        let numbers = &order[tile.points.clone()];
        let z: Vec<f64> = numbers.iter().flat_map(|&number| points[number as usize]).collect();
        let (statistics, sums) = engine.grouped_statistics(&Block {
            input: Input::Latent(&z),
            point_numbers: numbers,
            members: &[settings.members[lane.place]],
            draws: if lane.sampled { Draws::Sampled(tile.draws.clone()) } else { Draws::Deterministic },
            groups: if lane.sampled { groups } else { 1 },
            seed: settings.seed,
            masks: settings.masks,
        })?;
        let mut map = live.write();
        map.by.note(engine);
        for (at, &number) in numbers.iter().enumerate() {
            if lane.sampled {
                map.add_sampled(number as usize, lane.place, statistics.sums(at, 0));
                if let Some(groups) = &mut map.groups {
                    groups.add(number as usize, &tile.draws, (&sums, at));
                }
            } else {
                map.set_deterministic(number as usize, lane.place, &statistics.whole_cell(at));
            }
        }
    }
}

/// How many passes of the member at a place a point has.
fn passes(map: &Map, point: usize, place: usize, sampled: bool) -> u32 {
    if sampled { map.draws(point, place) as u32 } else { map.has_deterministic(point, place).into() }
}

impl Lane<'_> {
    /// Takes the next block of work out of the plan: points that lack the same passes. `passes` says how many a point has, by its place in
    /// the order. `None` when nothing is left.
    fn next_tile(&mut self, engine: &dyn Engine, passes: impl Fn(usize) -> u32) -> Option<Span> {
        while let [Span { points, draws }, rest @ ..] = self.plan {
            let lacks = |part: usize| passes(points.start + part).max(draws.start);
            let begun = (self.begun..points.len()).find(|&part| lacks(part) < draws.end);
            let Some(begun) = begun else {
                (self.plan, self.begun) = (rest, 0);
                continue;
            };
            let start = lacks(begun);
            let part = next_block(engine, begun, points.len());
            self.begun = part.clone().find(|&part| lacks(part) != start).unwrap_or(part.end);
            return Some(Span { points: points.start + begun..points.start + self.begun, draws: start..draws.end });
        }
        None
    }
}

/// The stride of the first picture.
fn coarsest(view: &View) -> usize {
    let mut stride = 1;
    while view.columns.div_ceil(stride) * view.rows.div_ceil(stride) > COARSE_POINTS {
        stride *= 2;
    }
    stride
}

/// The numbers of all points, those of a coarse grid first, and where in that order each finer grid is complete.
fn coarse_to_fine(view: &View) -> (Vec<u32>, Vec<usize>) {
    let mut stride = coarsest(view);
    let mut order = Vec::with_capacity(view.len());
    let mut levels = Vec::new();
    let mut coarser = usize::MAX;
    while stride > 0 {
        for row in (0..view.rows).step_by(stride) {
            let columns = (0..view.columns).step_by(stride);
            let new = columns.filter(|column| coarser == usize::MAX || row % coarser != 0 || column % coarser != 0);
            order.extend(new.map(|column| (row * view.columns + column) as u32));
        }
        levels.push(order.len());
        coarser = stride;
        stride /= 2;
    }
    (order, levels)
}

/// What a member is asked: a first picture of few points and draws, its other draws, the finer points, then more draws of all.
fn plan(levels: &[usize], samples: u32) -> Vec<Span> {
    let (coarse, all) = (levels[0], levels[levels.len() - 1]);
    let (few, some) = (COARSE_DRAWS.min(samples), MORE_DRAWS.min(samples));
    let mut plan = vec![Span { points: 0..coarse, draws: 0..few }, Span { points: 0..coarse, draws: few..some }];
    plan.extend(levels.windows(2).map(|level| Span { points: level[0]..level[1], draws: 0..some }));
    let more = (some..samples).step_by(MORE_DRAWS as usize);
    plan.extend(more.map(|from| Span { points: 0..all, draws: from..samples.min(from + MORE_DRAWS) }));
    plan.retain(|span| !span.points.is_empty() && !span.draws.is_empty());
    plan
}

fn deterministic_plan(levels: &[usize]) -> Vec<Span> {
    let starts = std::iter::once(0).chain(levels.iter().copied());
    let spans = starts.zip(levels).map(|(start, &end)| Span { points: start..end, draws: 0..1 });
    spans.filter(|span| !span.points.is_empty()).collect()
}

/// Gives every point that has no number yet that of the coarser grid's point before it: what a picture shows meanwhile. Where the
/// first picture is still to come, there is none. `values` is [rows, columns] of the view.
pub fn fill_gaps(view: &View, values: &mut [f32]) {
    let coarsest = coarsest(view);
    for row in 0..view.rows {
        for column in 0..view.columns {
            let mut stride = 1;
            while values[row * view.columns + column].is_nan() && stride < coarsest {
                stride *= 2;
                let before = (row / stride * stride) * view.columns + column / stride * stride;
                values[row * view.columns + column] = values[before];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_engine::TestEngine;
    use crate::engine::{self, Masks};
    use crate::jobs::map;
    use std::collections::BTreeSet;
    use std::ops::ControlFlow;
    use std::sync::{Arc, Mutex};

    fn settings(columns: usize, rows: usize, samples: u32) -> MapSettings {
        MapSettings {
            view: View::new([-3.0, 3.0], [-2.0, 2.0], columns, rows).unwrap(),
            samples,
            members: vec![0, 3],
            seed: 5,
            masks: Masks::Shared,
            deterministic: true,
        }
    }

    #[test]
    fn every_point_comes_once_and_coarse_grids_first() {
        for (columns, rows) in [(1, 1), (7, 5), (32, 32), (33, 31), (128, 128), (100, 257)] {
            let view = View::new([0.0, 1.0], [0.0, 1.0], columns, rows).unwrap();
            let (order, levels) = coarse_to_fine(&view);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert!(sorted.iter().enumerate().all(|(at, &number)| at as u32 == number) && sorted.len() == view.len());
            assert!(levels[0] <= COARSE_POINTS && levels[levels.len() - 1] == view.len());
        }
    }

    #[test]
    fn every_point_gets_every_draw_once() {
        let (_, levels) = coarse_to_fine(&View::new([0.0, 1.0], [0.0, 1.0], 50, 60).unwrap());
        for samples in [1, 10, 11, 50, 51, 130] {
            let mut seen = vec![std::collections::BTreeSet::new(); 3000];
            for span in plan(&levels, samples) {
                for point in span.points {
                    span.draws.clone().for_each(|draw| assert!(seen[point].insert(draw)));
                }
            }
            assert!(seen.iter().all(|draws| draws.len() == samples as usize));
        }
    }

    #[test]
    fn a_filled_map_is_the_map_of_the_command_line() {
        let set = ModelSet::shipped().unwrap();
        let settings = settings(9, 7, 12);
        let mut engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
        let live = LiveMap::new(&set, &settings).unwrap();
        fill(&live, engine.as_mut(), &mut |_| ControlFlow::Continue(())).unwrap();
        let whole = map(&set, engine.as_mut(), &settings, &mut |_| ControlFlow::Continue(())).unwrap();
        for measure in Measure::ALL {
            for places in [&[0][..], &[1], &[0, 1]] {
                let (live, whole) = (live.read().measure(measure, places).unwrap(), whole.measure(measure, places).unwrap());
                // Blocks of other draws add up in another order.
                assert!(live.iter().zip(&whole).all(|(live, whole)| (live - whole).abs() <= 1e-5), "{measure:?}");
            }
        }
        let errors = [live.read().final_standard_error(), whole.standard_error.clone()].map(Option::unwrap);
        assert!(errors[0].iter().zip(&errors[1]).all(|(live, whole)| (live - whole).abs() <= 1e-5), "{errors:?}");
        assert!(errors[1].iter().any(|error| *error > 1e-3), "the negative control");
        let (one, other) = (live.read().measure(Measure::MutualInformation, &[0]), live.read().measure(Measure::MutualInformation, &[1]));
        assert_ne!(one, other, "members are kept apart");
    }

    #[test]
    fn a_map_does_not_depend_on_the_size_of_the_blocks() {
        let set = ModelSet::shipped().unwrap();
        // More points than a first picture has.
        let settings = MapSettings { members: vec![3], ..settings(40, 27, 2) };
        let made = |points_per_block: usize, seed: u32| {
            let sizes = Arc::new(Mutex::new(BTreeSet::new()));
            let seen = Arc::clone(&sizes);
            let cpu = engine::open("cpu", Arc::clone(&set.models)).unwrap();
            let mut engine = TestEngine::with_blocks(cpu, points_per_block, move |_, block| {
                seen.lock().unwrap().insert(block.unwrap().point_numbers.len());
                Ok(())
            });
            let settings = MapSettings { seed, ..settings.clone() };
            let live = LiveMap::new(&set, &settings).unwrap();
            fill(&live, engine.as_mut(), &mut |_| ControlFlow::Continue(())).unwrap();
            let whole = map(&set, engine.as_mut(), &settings, &mut |_| ControlFlow::Continue(())).unwrap();
            let filled = live.read().clone();
            // As bits: what has too few draws for a standard error is NaN.
            let bits = |errors: Vec<f32>| errors.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            let parts = [filled, whole].map(|map| (map.sampled, map.deterministic, map.standard_error.map(bits)));
            let sizes = sizes.lock().unwrap().clone();
            (parts, sizes)
        };
        let (usual, sizes) = made(256, 5);
        assert!(sizes.contains(&256) && sizes.last() == Some(&256), "{sizes:?}");
        // A coarse grid of 280 points, then the other 800: never together, so that the first picture is there at once.
        for (points, largest) in [(37, 37), (5000, 1080), (usize::MAX, 1080)] {
            let (parts, sizes) = made(points, 5);
            assert!(parts == usual, "blocks of {points} points make another map");
            assert_eq!(sizes.last(), Some(&largest), "blocks of {points} points");
            assert!(points < 5000 || sizes.iter().copied().collect::<Vec<_>>() == [280, 800, 1080], "{sizes:?}");
        }
        assert!(made(5000, 6).0 != usual, "another seed makes another map");
        let none = TestEngine::with_blocks(engine::open("cpu", Arc::clone(&set.models)).unwrap(), 0, |_, _| Ok(()));
        assert_eq!(next_block(none.as_ref(), 4, 9), 4..5, "there is no block without a point");
    }

    #[test]
    fn what_is_looked_at_comes_first_and_a_stopped_map_is_valid() {
        let set = ModelSet::shipped().unwrap();
        let mut engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
        let live = LiveMap::new(&set, &settings(6, 5, 3)).unwrap();
        live.look_at([(Measure::PredictiveEntropy, &[1][..])]);
        let mut blocks = 0;
        let stopped = fill(&live, engine.as_mut(), &mut |_| {
            blocks += 1;
            if blocks > 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(stopped, Err(Error::Cancelled)));
        let map = live.read();
        assert!(map.measure(Measure::PredictiveEntropy, &[1]).unwrap().iter().all(|value| value.is_finite()));
        assert!(map.measure(Measure::PredictiveEntropy, &[0, 1]).unwrap().iter().all(|value| value.is_nan()));
    }

    #[test]
    fn gaps_show_the_coarser_point_before_them() {
        // 45 × 45 points are too many for a first picture: it has every second one.
        let view = View::new([0.0, 1.0], [0.0, 1.0], 45, 45).unwrap();
        let mut values = vec![f32::NAN; 45 * 45];
        (values[0], values[2], values[46]) = (1.0, 2.0, 4.0);
        fill_gaps(&view, &mut values);
        assert_eq!((values[1], values[2], values[3], values[45], values[46], values[47]), (1.0, 2.0, 2.0, 1.0, 4.0, 2.0));
        assert!(values[4].is_nan() && values[90].is_nan(), "what the first picture has not reached yet stays open");
    }
}
