//! Maps that are kept: going back shows them at once, and other settings start from what they have in common with them.

use super::ModelSet;
use super::live::LiveMap;
use super::map::MapSettings;
use crate::budget;
use crate::error::Result;
use std::sync::Arc;

/// The fraction of the memory limit that kept maps may take is one over this: a new map may need the limit.
const PARTS: u64 = 4;

/// Maps, finished or not, within a memory budget. The one that was used the longest time ago goes first.
pub struct MapCache {
    /// The most bytes of all maps but the newest.
    limit: u64,
    /// The one that was used last comes last.
    kept: Vec<Kept>,
}

struct Kept {
    ground: Ground,
    settings: MapSettings,
    live: Arc<LiveMap>,
    bytes: u64,
}

/// What the numbers of a map depend on besides its settings.
#[derive(Clone, PartialEq)]
struct Ground {
    /// The name that the engine was asked for with: another engine may differ in the last digits.
    engine: String,
    /// The SHA-256 of the VAE.
    vae: String,
    /// The number and the SHA-256 of each member, in the order of the settings.
    members: Vec<(usize, String)>,
}

impl Ground {
    /// `None` where the hash of a model is not known.
    fn of(set: &ModelSet, engine: &str, settings: &MapSettings) -> Option<Self> {
        let vae = set.hashes.get(set.descriptions.first()?.name())?.clone();
        let hash = |&number: &usize| Some((number, set.hashes.get(&set.ensemble().members().get(number)?.name)?.clone()));
        Some(Self { engine: engine.to_owned(), vae, members: settings.members.iter().map(hash).collect::<Option<_>>()? })
    }
}

impl Default for MapCache {
    /// A cache that takes a fixed fraction of the memory limit.
    fn default() -> Self {
        Self::new(budget::limit() / PARTS)
    }
}

impl MapCache {
    /// A cache of at most so many bytes besides the newest map.
    pub fn new(limit: u64) -> Self {
        Self { limit, kept: Vec::new() }
    }

    /// The map of these settings: the one that is kept, as far as it was filled, or a new one. A new map starts with the draws of a kept one
    /// where that has the same view, seed and masks, no more draws, and no other members.
    ///
    /// # Errors
    /// As [`LiveMap::new`].
    pub fn live(&mut self, set: &ModelSet, engine: &str, settings: &MapSettings) -> Result<Arc<LiveMap>> {
        let Some(ground) = Ground::of(set, engine, settings) else { return Ok(Arc::new(LiveMap::new(set, settings)?)) };
        let kept = match self.kept.iter().position(|kept| kept.settings == *settings && kept.ground == ground) {
            Some(place) => self.kept.remove(place),
            None => self.new_map(set, ground, settings)?,
        };
        let live = Arc::clone(&kept.live);
        self.kept.push(kept);
        while self.kept.len() > 1 && self.kept[..self.kept.len() - 1].iter().map(|kept| kept.bytes).sum::<u64>() > self.limit {
            self.kept.remove(0);
        }
        Ok(live)
    }

    fn new_map(&self, set: &ModelSet, ground: Ground, settings: &MapSettings) -> Result<Kept> {
        let live = LiveMap::new(set, settings)?;
        let start = self.kept.iter().filter(|kept| kept.is_start_of(&ground, settings)).max_by_key(|kept| kept.live.read().all_draws());
        if let Some(start) = start {
            live.start_from(&start.live);
        }
        let classes = set.ensemble().classes().len();
        let bytes = (settings.view.len() * settings.growing_bytes_per_point(classes)) as u64;
        Ok(Kept { ground, settings: settings.clone(), live: Arc::new(live), bytes })
    }
}

impl Kept {
    /// Whether all draws of this map are draws of that one. The sums of groups are over all members, so that none of them may go.
    fn is_start_of(&self, ground: &Ground, settings: &MapSettings) -> bool {
        let MapSettings { view, samples, members: _, seed, masks, deterministic } = &self.settings;
        let has_plane = (*view, *seed, *masks) == (settings.view, settings.seed, settings.masks);
        let has_models = self.ground.engine == ground.engine
            && self.ground.vae == ground.vae
            && self.ground.members.iter().all(|member| ground.members.contains(member));
        has_plane && has_models && *samples <= settings.samples && *deterministic == settings.deterministic
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_engine::TestEngine;
    use crate::engine::{Draws, Engine, Masks, cpu};
    use crate::jobs::{Seen, fill};
    use crate::latent::View;
    use crate::uncertainty::Measure;
    use std::ops::ControlFlow;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn settings(samples: u32, members: &[usize]) -> MapSettings {
        let view = View::new([-3.0, 3.0], [-2.0, 2.0], 9, 7).unwrap();
        MapSettings { view, samples, members: members.to_vec(), seed: 5, masks: Masks::Shared, deterministic: true }
    }

    /// An engine that counts the points × draws × members that it is asked for, passes without dropout included.
    fn counting(set: &ModelSet) -> (Box<dyn Engine>, Arc<AtomicU64>) {
        let work = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&work);
        let engine = TestEngine::with_blocks(cpu::open(Arc::clone(&set.models)).unwrap(), 16, move |_, block| {
            if let Some(block) = block {
                let draws = if let Draws::Sampled(draws) = &block.draws { draws.len() } else { 1 };
                counted.fetch_add((block.point_numbers.len() * draws * block.members.len()) as u64, Ordering::Relaxed);
            }
            Ok(())
        });
        (engine, work)
    }

    /// Fills a map; answers the work that this took, and what came of it.
    fn filled(set: &ModelSet, cache: &mut MapCache, settings: &MapSettings) -> (u64, Arc<LiveMap>) {
        let (mut engine, work) = counting(set);
        let live = cache.live(set, "cpu", settings).unwrap();
        fill(&live, engine.as_mut(), &mut |_| ControlFlow::Continue(())).unwrap();
        (work.load(Ordering::Relaxed), live)
    }

    /// Compares every measure of each member and of all, and the standard error, which other groups of draws change a little.
    fn assert_equal(one: &LiveMap, other: &LiveMap) {
        let (one, other) = (one.read(), other.read());
        let members: Vec<usize> = (0..one.settings.members.len()).collect();
        for measure in Measure::ALL {
            for places in members.iter().map(std::slice::from_ref).chain([&members[..]]) {
                let [one, other] = [&one, &other].map(|map| map.measure(measure, places).unwrap());
                let same = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-6 || a.is_nan() && b.is_nan();
                assert!(one.iter().zip(&other).all(same), "{measure:?} of {places:?}");
            }
        }
        let mean = |errors: Vec<f32>| errors.iter().sum::<f32>() / errors.len() as f32;
        let [one, other] = [one, other].map(|map| mean(map.final_standard_error().unwrap()));
        assert!(one > 0.0 && (one / other - 1.0).abs() < 0.5, "{one} and {other}");
    }

    #[test]
    fn going_back_shows_the_finished_map_without_work() {
        let set = ModelSet::shipped().unwrap();
        let mut cache = MapCache::default();
        let (work, first) = filled(&set, &mut cache, &settings(12, &[0, 3]));
        assert_eq!(work, 63 * 2 * (12 + 1));
        let other = MapSettings { seed: 6, ..settings(12, &[0, 3]) };
        assert_eq!(filled(&set, &mut cache, &other).0, work, "another seed has nothing in common");
        let (work, again) = filled(&set, &mut cache, &settings(12, &[0, 3]));
        assert!(work == 0 && Arc::ptr_eq(&first, &again));
        let seen = Seen { measure: Measure::MutualInformation, members: vec![0, 1], minus: None };
        assert!(again.read().is_complete(&seen));
        let another = cache.live(&set, "gpu", &settings(12, &[0, 3])).unwrap();
        assert!(!Arc::ptr_eq(&another, &again) && another.read().all_draws() == 0, "each engine has maps of its own");
    }

    #[test]
    fn more_draws_and_more_members_start_from_those_that_are_there() {
        let set = ModelSet::shipped().unwrap();
        for (before, after, work) in [
            (settings(20, &[0, 3]), settings(50, &[0, 3]), 63 * 2 * 30),
            (settings(20, &[0, 3]), settings(20, &[0, 3, 4]), 63 * (20 + 1)),
            (settings(20, &[0, 3]), settings(30, &[0, 3, 4]), 63 * (2 * 10 + 30 + 1)),
            // Fewer draws or members are not to be had from their sums.
            (settings(20, &[0, 3]), settings(10, &[0, 3]), 63 * 2 * (10 + 1)),
            (settings(20, &[0, 3]), settings(20, &[0]), 63 * (20 + 1)),
        ] {
            let mut cache = MapCache::default();
            filled(&set, &mut cache, &before);
            let (asked, reused) = filled(&set, &mut cache, &after);
            assert_eq!(asked, work, "{before:?} to {after:?}");
            assert_equal(&reused, &filled(&set, &mut MapCache::default(), &after).1);
        }
    }

    #[test]
    fn a_map_that_was_stopped_goes_on() {
        let set = ModelSet::shipped().unwrap();
        let (mut cache, settings) = (MapCache::default(), settings(12, &[0, 3]));
        let (mut engine, work) = counting(&set);
        let live = cache.live(&set, "cpu", &settings).unwrap();
        let mut blocks = 0;
        let stopped = fill(&live, engine.as_mut(), &mut |_| {
            blocks += 1;
            if blocks > 6 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let begun = work.load(Ordering::Relaxed);
        assert!(stopped.is_err() && begun > 0);
        let (rest, live) = filled(&set, &mut cache, &settings);
        assert_eq!(begun + rest, 63 * 2 * (12 + 1));
        assert_equal(&live, &filled(&set, &mut MapCache::default(), &settings).1);
    }

    #[test]
    fn the_longest_unused_map_goes_where_memory_is_scarce() {
        let set = ModelSet::shipped().unwrap();
        let of_seed = |seed| MapSettings { seed, ..settings(2, &[0]) };
        let bytes = (63 * of_seed(0).growing_bytes_per_point(10)) as u64;
        let mut cache = MapCache::new(bytes);
        let maps = [0, 1].map(|seed| cache.live(&set, "cpu", &of_seed(seed)).unwrap());
        assert!(Arc::ptr_eq(&cache.live(&set, "cpu", &of_seed(0)).unwrap(), &maps[0]), "both fit");
        cache.live(&set, "cpu", &of_seed(2)).unwrap();
        assert!(!Arc::ptr_eq(&cache.live(&set, "cpu", &of_seed(1)).unwrap(), &maps[1]), "this one was used before the first");
    }
}
