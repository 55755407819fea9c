//! Two engines on the same map: where their measures differ most.

use super::map::{Map, MapSettings, map};
use super::{ModelSet, Observer};
use crate::engine::{Block, Draws, Engine, Input};
use crate::error::Result;
use crate::uncertainty::Measure;
use serde::Serialize;

/// Points whose draws are looked at together: every probability of theirs is held in memory.
const POINTS: usize = 64;

/// Where a measure differs most between two maps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The measure.
    pub measure: Measure,
    /// The largest absolute difference, in the measure's unit; of the variation ratio what ties do not explain. NaN where a value is
    /// none.
    pub largest: f64,
    /// The same in units of the measure's natural range.
    pub share: f64,
    /// The latent point where it is.
    pub z: [f64; 2],
    /// What the first and the second map have there.
    pub values: [f32; 2],
}

/// How much two maps differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The largest difference of each measure that the maps have.
    pub differences: Vec<Difference>,
    /// The number of points.
    pub points: usize,
    /// The number of points where a measure differs by more than the tolerance.
    pub wrong: usize,
    /// The number of points whose variation ratios differ by more, but no more than ties explain.
    pub ties: usize,
}

impl Comparison {
    /// The measure that differs most in units of its range; NaN before all.
    pub fn worst(&self) -> Option<&Difference> {
        self.differences.iter().max_by(|a, b| a.share.total_cmp(&b.share))
    }
}

/// Computes the same map with two engines, each in the blocks that it likes, and compares them as [`compare_maps`] does.
///
/// # Errors
/// As [`map`].
pub fn compare(
    set: &ModelSet,
    [first, second]: [&mut dyn Engine; 2],
    settings: &MapSettings,
    tolerance: f64,
    observe: Observer<'_>,
) -> Result<Comparison> {
    let a = map(set, first, settings, observe)?;
    let b = map(set, second, settings, observe)?;
    compare_maps([&a, &b], second, tolerance)
}

/// Compares two maps of the same settings, measure by measure over all members. `tolerance` is in units of each measure's natural
/// range; a value that is not a number is farther than any.
///
/// The variation ratio counts votes, and a draw whose two best classes are closer than the tolerance may vote for either: where only the
/// variation ratio of a point differs, `engine` is asked for its draws, and it may differ by the share of such draws.
///
/// # Errors
/// When the engine fails.
///
/// # Panics
/// When the maps are not of the same settings and models.
pub fn compare_maps([a, b]: [&Map; 2], engine: &mut dyn Engine, tolerance: f64) -> Result<Comparison> {
    assert!(a.settings == b.settings && a.classes() == b.classes(), "maps of the same settings and models");
    let (points, settings) = (a.settings.view.points(), &a.settings);
    let places: Vec<usize> = (0..settings.members.len()).collect();
    let mut columns: Vec<Column> = Measure::ALL.into_iter().filter_map(|measure| Column::new(measure, [a, b], &places)).collect();
    let right = |column: &Column, point: usize| column.share(point) <= tolerance;
    let mut wrong: Vec<bool> = (0..points.len()).map(|point| !columns.iter().all(|column| right(column, point))).collect();
    let mut ties = 0;
    if let Some(place) = columns.iter().position(|column| column.measure == Measure::VariationRatio) {
        let by_votes =
            |&point: &usize| wrong[point] && columns.iter().enumerate().all(|(other, column)| other == place || right(column, point));
        let suspects: Vec<usize> = (0..points.len()).filter(by_votes).collect();
        let votes = &mut columns[place];
        for points in suspects.chunks(POINTS) {
            for (&point, tied) in points.iter().zip(tied_shares(engine, settings, points, a.classes(), tolerance)?) {
                // NaN stays.
                if votes.apart[point] <= tied {
                    votes.apart[point] = 0.0;
                } else {
                    votes.apart[point] -= tied;
                }
                wrong[point] = !right(votes, point);
                ties += usize::from(!wrong[point]);
            }
        }
    }
    let differences = columns.iter().map(|column| column.largest(&points)).collect();
    Ok(Comparison { differences, points: points.len(), wrong: wrong.into_iter().filter(|&wrong| wrong).count(), ties })
}

/// A measure at every point of both maps.
struct Column {
    measure: Measure,
    values: [Vec<f32>; 2],
    /// Their absolute difference.
    apart: Vec<f64>,
    /// The width of the measure's natural range.
    range: f64,
}

impl Column {
    /// `None` where the maps have not the passes.
    fn new(measure: Measure, [a, b]: [&Map; 2], places: &[usize]) -> Option<Self> {
        let values = [a.measure(measure, places)?, b.measure(measure, places)?];
        assert_eq!(values[0].len(), values[1].len(), "maps of as many points");
        let apart = values[0].iter().zip(&values[1]).map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs()).collect();
        let [low, high] = measure.natural_range(a.classes());
        Some(Self { measure, values, apart, range: high - low })
    }

    /// The difference at a point in units of the range, which is nothing where there is but one class.
    fn share(&self, point: usize) -> f64 {
        let apart = self.apart[point];
        if apart == 0.0 { 0.0 } else { apart / self.range }
    }

    fn largest(&self, points: &[[f64; 2]]) -> Difference {
        // In the order of `total_cmp` a NaN, whose sign `abs` took, is larger than any number.
        let most = (0..points.len()).max_by(|&a, &b| self.apart[a].total_cmp(&self.apart[b])).unwrap_or_default();
        Difference {
            measure: self.measure,
            largest: self.apart[most],
            share: self.share(most),
            z: points[most],
            values: [self.values[0][most], self.values[1][most]],
        }
    }
}

/// At each of some points of a map, the share of its draws whose two best classes are closer than `closeness`.
fn tied_shares(engine: &mut dyn Engine, settings: &MapSettings, points: &[usize], classes: usize, closeness: f64) -> Result<Vec<f64>> {
    let all = settings.view.points();
    let z: Vec<f64> = points.iter().flat_map(|&point| all[point]).collect();
    let numbers: Vec<u32> = points.iter().map(|&point| point as u32).collect();
    let probabilities = engine.probabilities(&Block {
        input: Input::Latent(&z),
        point_numbers: &numbers,
        members: &settings.members,
        draws: Draws::Sampled(0..settings.samples),
        groups: 1,
        seed: settings.seed,
        masks: settings.masks,
    })?;
    let draws = settings.members.len() * settings.samples as usize;
    let is_tied = |draw: &&[f64]| {
        let [mut best, mut next] = [f64::NEG_INFINITY; 2];
        for &p in *draw {
            (best, next) = if p > best { (p, best) } else { (best, next.max(p)) };
        }
        best - next <= closeness
    };
    let shares = probabilities
        .chunks_exact(draws * classes)
        .map(|of_point| of_point.chunks_exact(classes).filter(is_tied).count() as f64 / draws as f64);
    Ok(shares.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_engine::TestEngine;
    use crate::engine::{Masks, Models, cpu, reference};
    use crate::jobs::soak::random_models;
    use crate::latent::View;
    use crate::nets::{Ensemble, Network};
    use std::ops::ControlFlow;
    use std::sync::Arc;

    const TOLERANCE: f64 = 1e-4;

    fn settings() -> MapSettings {
        let view = View::new([-3.0, 3.0], [-2.0, 2.0], 7, 5).unwrap();
        MapSettings { view, samples: 8, members: vec![2, 0], seed: 3, masks: Masks::Shared, deterministic: true }
    }

    fn computed(engine: &mut dyn Engine) -> Map {
        map(&random_models(1).unwrap(), engine, &settings(), &mut |_| ControlFlow::Continue(())).unwrap()
    }

    /// The models with the first classifier's weights changed.
    fn with_weights(models: &Models, change: impl Fn(&str, &mut [f64])) -> Arc<Models> {
        let mut members = models.ensemble.members().to_vec();
        let mut weights = members[0].network.weights().clone();
        for (name, tensor) in &mut weights {
            change(name, &mut tensor.values);
        }
        members[0].network = Network::of(members[0].network.graph().clone(), &weights).unwrap();
        Arc::new(Models { ensemble: Ensemble::new(members).unwrap(), ..models.clone() })
    }

    #[test]
    fn equal_engines_agree_and_another_seed_or_weight_does_not() {
        let set = random_models(1).unwrap();
        let open = || cpu::open(Arc::clone(&set.models)).unwrap();
        let compared = |mut first: Box<dyn Engine>| {
            let mut second = reference::open(Arc::clone(&set.models)).unwrap();
            let engines: [&mut dyn Engine; 2] = [first.as_mut(), second.as_mut()];
            compare(&set, engines, &settings(), TOLERANCE, &mut |_| ControlFlow::Continue(())).unwrap()
        };
        let agrees = compared(open());
        assert_eq!((agrees.differences.len(), agrees.points, agrees.wrong), (Measure::ALL.len(), 35, 0), "{agrees:?}");
        assert!(agrees.differences.iter().all(|difference| difference.share <= TOLERANCE));
        assert!(agrees.worst().unwrap().largest > 0.0, "single precision can be seen");

        let other_seed = |_, block: Option<&mut Block<'_>>| {
            block.unwrap().seed += 1;
            Ok(())
        };
        let seeds = compared(TestEngine::over(open(), other_seed));
        assert!(seeds.wrong > 30 && seeds.worst().unwrap().share > 0.01, "{seeds:?}");
        let fixed = |measure| seeds.differences.iter().find(|difference| difference.measure == measure).unwrap().share <= TOLERANCE;
        assert!(fixed(Measure::DeterministicEntropy), "what draws nothing does not depend on the seed");

        let weights = with_weights(&set.models, |name, values| values[0] += if name == "fc2.bias" { 0.01 } else { 0.0 });
        assert!(compared(cpu::open(weights).unwrap()).wrong > 30);
    }

    #[test]
    fn the_largest_difference_is_told_with_its_place_and_a_nan_is_larger() {
        let set = random_models(1).unwrap();
        let mut engine = reference::open(Arc::clone(&set.models)).unwrap();
        let whole = computed(engine.as_mut());
        let mut compared = |changed: &Map| compare_maps([changed, &whole], engine.as_mut(), TOLERANCE).unwrap();
        assert!(compared(&whole).differences.iter().all(|difference| difference.largest == 0.0));

        let mut changed = whole.clone();
        // The sum of the draws' entropies, of 16 draws: the expected entropy and both forms of the mutual information change, and nothing else.
        changed.sampled.sums_mut(11, 0)[3 * 5] += 0.16;
        changed.sampled.sums_mut(12, 1)[3 * 5] += 0.08;
        let told = compared(&changed);
        assert_eq!(told.wrong, 2);
        for difference in &told.differences {
            let entropy = difference.measure == Measure::ExpectedEntropy;
            let information = [Measure::MutualInformation, Measure::MutualInformationCorrected].contains(&difference.measure);
            if entropy {
                assert!((difference.largest - 0.01).abs() < 1e-6 && (difference.share - 0.01 / 5f64.ln()).abs() < 1e-6);
                assert_eq!(difference.z, settings().view.points()[11]);
                assert!(difference.values[0] > difference.values[1]);
            }
            assert!(entropy || information || difference.largest == 0.0, "{difference:?}");
        }

        changed.sampled.sums_mut(3, 0)[1] = f64::NAN;
        let told = compared(&changed);
        let worst = told.worst().unwrap();
        assert!(told.wrong == 3 && worst.share.is_nan() && worst.z == settings().view.points()[3], "{told:?}");
    }

    #[test]
    fn votes_may_differ_where_classes_tie_and_nowhere_else() {
        let set = random_models(1).unwrap();
        // A member that gives every class the same probability.
        let even = with_weights(&set.models, |name, values| {
            if name.starts_with("fc2") {
                values.fill(0.0);
            }
        });
        for (models, explained) in [(even, true), (Arc::clone(&set.models), false)] {
            let mut engine = reference::open(models).unwrap();
            let whole = computed(engine.as_mut());
            let mut moved = whole.clone();
            // Member 0 has the second place.
            let votes = &mut moved.sampled.sums_mut(8, 1)[10..15];
            let from = (0..5).max_by(|&a, &b| votes[a].total_cmp(&votes[b])).unwrap();
            votes[from] -= 3.0;
            votes[(from + 1) % 5] += 3.0;
            let told = compare_maps([&moved, &whole], engine.as_mut(), TOLERANCE).unwrap();
            assert_eq!((told.wrong, told.ties), if explained { (0, 1) } else { (1, 0) }, "{told:?}");
            let ratio = told.differences.iter().find(|difference| difference.measure == Measure::VariationRatio).unwrap();
            assert!((ratio.largest > 0.1) != explained, "{ratio:?}");
        }
    }
}
