//! What it means that an engine conforms: its answers to a case are those of the reference engine, and its answers to the
//! case's twins are not.

use crate::networks::{Dice, random_images};
use epistemap::engine::{Block, Draws, Engine, Input, Masks, Models, reference};
use epistemap::error::Result;
use epistemap::nets::{Ensemble, Network, Node, Op};
use epistemap::uncertainty::{Measure, StatisticsGrid, add_draw};
use std::ops::Range;
use std::sync::Arc;

/// Single precision: per draw, and relative where a sum is larger than the number of draws.
const TOLERANCE: f64 = 1e-4;
/// Two classes of a draw this close may both be the most probable one.
const TIE: f64 = 1e-5;

/// What goes into the networks, as [`Input`].
#[derive(Clone, Debug)]
pub enum Points {
    Latent(Vec<f64>),
    Images(Vec<f32>),
}

/// What an engine is asked for.
#[derive(Clone, Debug)]
pub struct Case {
    pub models: Models,
    pub points: Points,
    pub point_numbers: Vec<u32>,
    pub members: Vec<usize>,
    pub draws: Draws,
    pub seed: u32,
    pub masks: Masks,
}

impl Case {
    /// Latent points around the origin, or images of noise where there is no decoder; all members, shared masks.
    pub fn new(models: Models, points: usize, draws: Range<u32>) -> Self {
        let input = match &models.decoder {
            Some(decoder) => {
                let mut dice = Dice::new(3);
                Points::Latent((0..points * decoder.input_shape()[0]).map(|_| dice.real(-3.0, 3.0)).collect())
            }
            None => Points::Images(random_images(models.ensemble.image_shape(), points, 3)),
        };
        Self {
            points: input,
            point_numbers: (0..points as u32).collect(),
            members: (0..models.ensemble.members().len()).collect(),
            models,
            draws: Draws::Sampled(draws),
            seed: 20,
            masks: Masks::Shared,
        }
    }

    /// The same with masks of their own for points of these numbers.
    pub fn per_point(self, point_numbers: Vec<u32>) -> Self {
        Self { point_numbers, masks: Masks::PerPoint, ..self }
    }

    /// The block of some of the points and passes.
    pub fn block(&self, points: Range<usize>, draws: Draws) -> Block<'_> {
        let range = |values: usize| points.start * values..points.end * values;
        let input = match &self.points {
            Points::Latent(z) => Input::Latent(&z[range(z.len() / self.point_numbers.len())]),
            Points::Images(images) => Input::Images(&images[range(images.len() / self.point_numbers.len())]),
        };
        let point_numbers = &self.point_numbers[points];
        Block { input, point_numbers, members: &self.members, draws, groups: 1, seed: self.seed, masks: self.masks }
    }

    /// Whether a member that is asked draws its weights, which shaders do not.
    pub fn draws_weights(&self) -> bool {
        let drawn = |node: &Node| matches!(node.op, Op::GaussianLinear { .. });
        self.models.ensemble.members().iter().any(|member| member.network.nodes().iter().any(drawn))
    }

    pub fn whole(&self) -> Block<'_> {
        self.block(0..self.point_numbers.len(), self.draws.clone())
    }

    /// The points and the draws in uneven blocks, out of order.
    fn blocks(&self) -> Vec<(usize, Block<'_>)> {
        let count = self.point_numbers.len();
        let tiles = [count.div_ceil(3)..count, 0..count.div_ceil(3)];
        let draws = match &self.draws {
            Draws::Deterministic => vec![Draws::Deterministic],
            Draws::Sampled(draws) => {
                let cut = draws.start + draws.len().div_ceil(4) as u32;
                vec![Draws::Sampled(cut..draws.end), Draws::Sampled(draws.start..cut)]
            }
        };
        let pairs = tiles.into_iter().flat_map(|tile| draws.iter().map(move |draws| (tile.clone(), draws.clone())));
        pairs.filter(|(tile, _)| !tile.is_empty()).map(|(tile, draws)| (tile.start, self.block(tile, draws))).collect()
    }

    /// Questions so different that their answers must not pass: one weight of a member and of the decoder changed, and
    /// where there are masks, another seed and the other kind of sharing.
    pub fn twins(&self) -> Vec<(String, Self)> {
        let mut twins = Vec::new();
        for &number in &self.members {
            let mut members = self.models.ensemble.members().to_vec();
            members[number].network = with_last_bias_changed(&members[number].network);
            let ensemble = Ensemble::new(members).unwrap();
            twins.push((format!("another weight of member {number}"), Models { ensemble, ..self.models.clone() }));
        }
        if let Some(decoder) = &self.models.decoder {
            let decoder = Some(with_last_bias_changed(decoder));
            twins.push(("another weight of the decoder".to_owned(), Models { decoder, ..self.models.clone() }));
        }
        let mut twins: Vec<_> = twins.into_iter().map(|(what, models)| (what, Self { models, ..self.clone() })).collect();
        let random = self.members.iter().any(|&member| self.models.ensemble.members()[member].has_draws());
        if random && self.draws != Draws::Deterministic {
            twins.push(("another seed".to_owned(), Self { seed: self.seed + 1, ..self.clone() }));
            let masks = if self.masks == Masks::Shared { Masks::PerPoint } else { Masks::Shared };
            twins.push(("the other kind of masks".to_owned(), Self { masks, ..self.clone() }));
        }
        twins
    }
}

/// The network with one weight changed, the first bias of its last layer with weights: no dead unit hides it, and it is
/// changed by so much that a saturated softmax does not either.
fn with_last_bias_changed(network: &Network) -> Network {
    let (bias, _) = network.graph().weights().filter(|(_, shape)| shape.len() == 1).last().unwrap();
    with_weights(network, |name, values| values[0] += if name == bias { 5.0 } else { 0.0 })
}

/// What the reference engine answers.
pub struct Answer {
    statistics: StatisticsGrid,
    probabilities: Vec<f64>,
    images: Option<Vec<f32>>,
}

impl Answer {
    pub fn of_reference(case: &Case) -> Self {
        let mut engine = reference::open(Arc::new(case.models.clone())).unwrap();
        let probabilities = engine.probabilities(&case.whole()).unwrap();
        let images = match &case.points {
            Points::Latent(z) => Some(engine.decode(z).unwrap()),
            Points::Images(_) => None,
        };
        Self { statistics: engine.statistics(&case.whole()).unwrap(), probabilities, images }
    }

    /// Where statistics differ from these.
    fn compare_statistics(&self, got: &StatisticsGrid) -> std::result::Result<(), String> {
        let shape = |grid: &StatisticsGrid| [grid.points(), grid.members(), grid.classes()];
        let [points, members, classes] = shape(&self.statistics);
        if shape(got) != shape(&self.statistics) {
            return Err(format!("a grid of {:?} is not {:?}", shape(got), shape(&self.statistics)));
        }
        let passes = self.probabilities.len() / (points * members * classes);
        let mut all_probabilities = self.probabilities.chunks_exact(passes * classes);
        for point in 0..points {
            let mut ties = 0;
            for member in 0..members {
                let probabilities = all_probabilities.next().unwrap();
                ties += compare_sums(got.sums(point, member), self.statistics.sums(point, member), probabilities)
                    .map_err(|text| format!("point {point}, member {member}: {text}"))?;
            }
            let [a, b] = [got, &self.statistics].map(|grid| grid.whole_cell(point));
            for measure in Measure::ALL {
                let ([a, b], n) = ([&a, &b].map(|cell| measure.evaluate(cell)), (passes * members) as f64);
                let tolerance = if measure == Measure::VariationRatio { ties as f64 / n + 1e-12 } else { TOLERANCE * b.max(1.0) };
                if !within(tolerance, a, b) {
                    return Err(format!("point {point}: {} {a} is not {b}", measure.label()));
                }
            }
        }
        Ok(())
    }
}

/// Never true of NaN.
fn within(tolerance: f64, a: f64, b: f64) -> bool {
    (a - b).abs() <= tolerance
}

/// Compares two rows of sums; `probabilities` are those of the draws \[n, classes\]. Returns in how many draws the two best
/// classes are too close to tell which gets the vote.
fn compare_sums(got: &[f64], expected: &[f64], probabilities: &[f64]) -> std::result::Result<usize, String> {
    let (classes, n) = ((expected.len() - 2) / 3, expected[expected.len() - 1]);
    let (mut fewest, mut most, mut ties) = (vec![0.0; classes], vec![0.0; classes], 0);
    for draw in probabilities.chunks_exact(classes) {
        let best = draw.iter().copied().fold(0.0, f64::max);
        let candidates: Vec<usize> = (0..classes).filter(|&class| draw[class] >= best - TIE).collect();
        for &class in &candidates {
            most[class] += 1.0;
        }
        match candidates[..] {
            [only] => fewest[only] += 1.0,
            _ => ties += 1,
        }
    }
    for (at, (&a, &b)) in got.iter().zip(expected).enumerate() {
        let agrees = match at / classes {
            2 => (fewest[at % classes]..=most[at % classes]).contains(&a),
            _ => within(TOLERANCE * b.abs().max(n), a, b),
        };
        if !agrees {
            let what = ["Σp", "Σp²", "votes", "ΣH, n"][(at / classes).min(3)];
            return Err(format!("number {} of {what} is {a} but should be {b}", at % classes));
        }
    }
    let votes: f64 = got[2 * classes..3 * classes].iter().sum();
    if votes == n && got[got.len() - 1] == n { Ok(ties) } else { Err(format!("{votes} votes of {n} draws")) }
}

fn compare_all<T: Copy + Into<f64>>(what: &str, got: &[T], expected: &[T]) -> std::result::Result<(), String> {
    if got.len() != expected.len() {
        return Err(format!("{} {what} are not {}", got.len(), expected.len()));
    }
    let pairs = got.iter().zip(expected).map(|(&a, &b)| (a.into(), b.into()));
    match pairs.enumerate().find(|&(_, (a, b))| !within(TOLERANCE, a, b)) {
        Some((at, (a, b))) => Err(format!("{what} {at}: {a} is not {b}")),
        None => Ok(()),
    }
}

/// Whether the engine's answers to `case` are `expected`, asked in one block, in several, and again.
pub fn conforms(open: impl Fn(Arc<Models>) -> Result<Box<dyn Engine>>, case: &Case, expected: &Answer) -> std::result::Result<(), String> {
    let mut engine = open(Arc::new(case.models.clone())).map_err(|error| error.to_string())?;
    let mut statistics = |block: &Block<'_>| engine.statistics(block).map_err(|error| error.to_string());
    let whole = statistics(&case.whole())?;
    expected.compare_statistics(&whole)?;

    let mut pieces = StatisticsGrid::new(whole.points(), whole.members(), whole.classes());
    for (first_point, block) in case.blocks() {
        pieces.merge_at(first_point, &statistics(&block)?);
    }
    expected.compare_statistics(&pieces).map_err(|text| format!("in several blocks: {text}"))?;
    if statistics(&case.whole())? != whole {
        return Err("the same block gives other statistics the second time".to_owned());
    }

    let probabilities = engine.probabilities(&case.whole()).map_err(|error| error.to_string())?;
    compare_all("probabilities", &probabilities, &expected.probabilities)?;
    if let (Points::Latent(z), Some(images)) = (&case.points, &expected.images) {
        compare_all("pixels", &engine.decode(z).map_err(|error| error.to_string())?, images)?;
    }
    Ok(())
}

/// The network after `change(name, values)` of every weight.
pub fn with_weights(network: &Network, change: impl Fn(&str, &mut [f64])) -> Network {
    let mut weights = network.weights().clone();
    for (name, tensor) in &mut weights {
        change(name, &mut tensor.values);
    }
    Network::of(network.graph().clone(), &weights).unwrap()
}

#[test]
fn votes_may_differ_only_where_two_classes_are_equally_good() {
    let draws = [0.1, 0.7, 0.2, /**/ 0.45, 0.1, 0.45, /**/ 0.45, 0.1, 0.45 + 2.0 * TIE];
    let mut expected = [0.0; 11];
    draws.chunks_exact(3).for_each(|draw| add_draw(&mut expected, draw));
    assert_eq!(expected[6..9], [1.0, 1.0, 1.0]);
    let with_votes = |votes: [f64; 3]| {
        let mut got = expected;
        got[6..9].copy_from_slice(&votes);
        compare_sums(&got, &expected, &draws)
    };
    assert_eq!(with_votes([1.0, 1.0, 1.0]), Ok(1));
    assert_eq!(with_votes([0.0, 1.0, 2.0]), Ok(1));
    for wrong in [[2.0, 1.0, 0.0], [1.0, 0.0, 2.0], [1.0, 1.0, 2.0], [0.0, 1.0, 1.0], [f64::NAN, 1.0, 1.0]] {
        assert!(with_votes(wrong).is_err(), "{wrong:?}");
    }
}
