//! The conformance suite: every engine gives what the reference engine gives, on every kind of network and of block. Every
//! comparison has twins (another weight, other masks) that must fail.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![allow(clippy::needless_pass_by_value, reason = "the signature of `Kind::open`")]

#[path = "common/fixtures.rs"]
mod fixtures;
#[path = "common/networks.rs"]
mod networks;

use epistemap::engine::{Block, Draws, Engine, Input, Masks, Models, reference};
use epistemap::error::Result;
use epistemap::nets::{Classifier, Ensemble, Layer, Network, VaeLayers, Weights, cnn, paper_cnn};
use epistemap::uncertainty::{Measure, StatisticsGrid};
use networks::{Dice, classifier, random_images, random_layers, random_weights};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

type Open = fn(Arc<Models>) -> Result<Box<dyn Engine>>;

/// The engines that are held against the reference.
fn engines() -> Vec<(&'static str, Open)> {
    vec![("reference", reference::open), ("reference with f32 weights", with_f32_weights)]
}

/// What an engine does to the weights at least when it computes in single precision.
fn with_f32_weights(models: Arc<Models>) -> Result<Box<dyn Engine>> {
    let rounded = |network: &Network| with_weights(network, |_, values| values.iter_mut().for_each(|w| *w = f64::from(*w as f32)));
    let members = models.ensemble.members().iter();
    let members = members.map(|member| Classifier { network: rounded(&member.network), ..member.clone() }).collect();
    reference::open(Arc::new(Models::new(models.decoder.as_ref().map(rounded), Ensemble::new(members)?)?))
}

/// The network after `change(name, values)` of every weight.
fn with_weights(network: &Network, change: impl Fn(&str, &mut [f64])) -> Network {
    let mut weights = network.weights().clone();
    for (name, tensor) in &mut weights {
        change(name, &mut tensor.values);
    }
    Network::new(network.input_shape(), network.layers().to_vec(), &weights).unwrap()
}

/// Single precision: per draw, and relative where a sum is larger than the number of draws.
const TOLERANCE: f64 = 1e-4;
/// Two classes of a draw this close may both be the most probable one.
const TIE: f64 = 1e-5;

#[derive(Clone, Debug)]
enum Points {
    Latent(Vec<f64>),
    Images(Vec<f32>),
}

/// What an engine is asked for.
#[derive(Clone, Debug)]
struct Case {
    models: Models,
    points: Points,
    point_numbers: Vec<u32>,
    members: Vec<usize>,
    draws: Draws,
    seed: u32,
    masks: Masks,
}

impl Case {
    /// Latent points around the origin, or images of noise where there is no decoder; all members, shared masks.
    fn new(models: Models, points: usize, draws: Range<u32>) -> Self {
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
    fn per_point(self, point_numbers: Vec<u32>) -> Self {
        Self { point_numbers, masks: Masks::PerPoint, ..self }
    }

    /// The block of some of the points and passes.
    fn block(&self, points: Range<usize>, draws: Draws) -> Block<'_> {
        let range = |values: usize| points.start * values..points.end * values;
        let input = match &self.points {
            Points::Latent(z) => Input::Latent(&z[range(z.len() / self.point_numbers.len())]),
            Points::Images(images) => Input::Images(&images[range(images.len() / self.point_numbers.len())]),
        };
        let point_numbers = &self.point_numbers[points];
        Block { input, point_numbers, members: &self.members, draws, seed: self.seed, masks: self.masks }
    }

    fn whole(&self) -> Block<'_> {
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
    fn twins(&self) -> Vec<(String, Self)> {
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
        let masked = |layer: &Layer| matches!(layer, Layer::Dropout { rate } | Layer::Dropout2d { rate } if *rate > 0.0);
        let random = self.members.iter().any(|&member| self.models.ensemble.members()[member].network.layers().iter().any(masked));
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
    let (bias, _) = network.layers().iter().flat_map(Layer::weights).rfind(|(_, shape)| shape.len() == 1).unwrap();
    with_weights(network, |name, values| values[0] += if name == bias { 5.0 } else { 0.0 })
}

/// What the reference engine answers.
struct Answer {
    statistics: StatisticsGrid,
    probabilities: Vec<f64>,
    images: Option<Vec<f32>>,
}

impl Answer {
    fn of_reference(case: &Case) -> Self {
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

/// Whether the engine's answers to `case` are `expected`, asked in one block, again, and in several.
fn conforms(open: Open, case: &Case, expected: &Answer) -> std::result::Result<(), String> {
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

/// Holds every engine to the case, and to failing its twins.
fn hold(what: &str, case: &Case) {
    let expected = Answer::of_reference(case);
    for (name, open) in engines() {
        conforms(open, case, &expected).unwrap_or_else(|text| panic!("{name}, {what}: {text}"));
        for (difference, twin) in case.twins() {
            assert!(conforms(open, &twin, &expected).is_err(), "{name}, {what}: {difference} passes");
        }
    }
}

fn models(decoder: Option<Network>, members: Vec<Classifier>) -> Models {
    Models::new(decoder, Ensemble::new(members).unwrap()).unwrap()
}

/// A decoder of fully connected layers with random weights.
fn dense_decoder(image_shape: [usize; 3], hidden: &[usize], latent: usize, seed: u32) -> Network {
    let layers = VaeLayers::dense(image_shape, hidden, latent).decoder;
    Network::new(&[latent], layers.clone(), &random_weights(&layers, seed)).unwrap()
}

/// A small classifier that begins with the given layers, on images [2, 7, 9].
fn beginning_with(first: Vec<Layer>) -> Models {
    let rest = cnn([2, 7, 9], 3, [4, 3], 5, [0.3, 0.4]);
    models(None, vec![classifier(&[2, 7, 9], first.into_iter().chain(rest).collect(), 1)])
}

#[test]
fn the_odd_network_of_the_reference_numbers() {
    let fixture = fixtures::load("classifier.json");
    let weights: Vec<Weights> = fixture["members"].as_array().unwrap().iter().map(fixtures::weights).collect();
    let members = weights.iter().map(fixtures::odd_classifier).collect();
    let images = fixtures::numbers(&fixture["images"]).into_iter().map(|pixel| pixel as f32).collect();
    let case = Case { points: Points::Images(images), ..Case::new(models(None, members), 3, 0..9) };
    hold("shared masks", &case);
    hold("masks per point", &case.clone().per_point(vec![70_000, 4, 5]));
    hold("deterministic", &Case { draws: Draws::Deterministic, ..case.clone() });
    hold("draws from the middle", &Case { draws: Draws::Sampled(1000..1003), ..case.clone() });
    hold("the second member alone", &Case { members: vec![1], ..case.clone() });
    hold("the members in another order", &Case { members: vec![1, 0], ..case }.per_point(vec![0, 1, 2]));
}

#[test]
fn the_networks_of_the_paper() {
    let decoder = dense_decoder([1, 28, 28], &[400, 256], 2, 4);
    let models = models(Some(decoder), vec![classifier(&[1, 28, 28], paper_cnn(), 5), classifier(&[1, 28, 28], paper_cnn(), 6)]);
    hold("two members", &Case::new(models.clone(), 2, 0..2));
    hold("masks per point", &Case { members: vec![1], ..Case::new(models, 2, 0..1) }.per_point(vec![9, 3]));
}

#[test]
fn one_point_and_one_draw() {
    let models =
        models(Some(dense_decoder([3, 7, 11], &[13], 2, 1)), vec![classifier(&[3, 7, 11], cnn([3, 7, 11], 5, [2, 3], 7, [0.25, 0.5]), 2)]);
    hold("shared masks", &Case::new(models.clone(), 1, 0..1));
    hold("masks per point", &Case::new(models.clone(), 1, 0..1).per_point(vec![1_000_000]));
    hold("deterministic", &Case { draws: Draws::Deterministic, ..Case::new(models, 1, 0..1) });
}

#[test]
fn prime_sizes_and_other_latent_sizes() {
    let layers = cnn([2, 13, 11], 7, [3, 5], 17, [0.25, 0.5]);
    let members = (0..3).map(|seed| classifier(&[2, 13, 11], layers.clone(), seed)).collect();
    let case = Case::new(models(Some(dense_decoder([2, 13, 11], &[19, 23], 3, 7)), members), 11, 2..15);
    hold("three members", &case);
    hold("two of three", &Case { members: vec![2, 0], ..case }.per_point((5..16).collect()));
}

#[test]
fn a_decoder_of_convolutions() {
    let layers = vec![
        Layer::Linear { name: "grow".into(), inputs: 2, outputs: 3 * 9 * 8 },
        Layer::Reshape { shape: vec![3, 9, 8] },
        Layer::Softplus,
        Layer::Conv2d { name: "paint".into(), in_channels: 3, out_channels: 1, kernel: [3, 2], stride: [1, 1], padding: [1, 0] },
        Layer::Sigmoid,
    ];
    let decoder = Network::new(&[2], layers.clone(), &random_weights(&layers, 1)).unwrap();
    let members = vec![classifier(&[1, 9, 7], cnn([1, 9, 7], 3, [4, 5], 6, [0.5, 0.5]), 2)];
    hold("latent points", &Case::new(models(Some(decoder), members), 5, 0..4));
}

#[test]
fn dropout_in_every_place() {
    let (dropout, dropout2d) = (Layer::Dropout { rate: 0.3 }, Layer::Dropout2d { rate: 0.5 });
    for (what, first) in [
        ("dropout first", vec![dropout.clone()]),
        ("two dropouts in a row", vec![dropout.clone(), Layer::Dropout { rate: 0.6 }]),
        ("dropout of channels first", vec![dropout2d.clone()]),
        ("dropout of channels, then of elements", vec![Layer::Elu, dropout2d, dropout]),
        ("a dropout that drops nothing", vec![Layer::Dropout { rate: 0.0 }]),
        ("a dropout that drops nearly everything", vec![Layer::Tanh, Layer::Dropout { rate: 0.97 }]),
    ] {
        let case = Case::new(beginning_with(first), 3, 0..8);
        hold(what, &case);
        hold(&format!("{what}, masks per point"), &case.clone().per_point(vec![3, 1, 2]));
        hold(&format!("{what}, deterministic"), &Case { draws: Draws::Deterministic, ..case });
    }
}

#[test]
fn dropout_last_and_alone() {
    let linear = Layer::Linear { name: "fc".into(), inputs: 6, outputs: 5 };
    let layers = vec![Layer::Flatten, linear, Layer::Dropout { rate: 0.4 }];
    hold("dropout of the logits", &Case::new(models(None, vec![classifier(&[1, 2, 3], layers, 1)]), 5, 0..7));
}

#[test]
fn without_dropout_every_draw_is_the_deterministic_pass() {
    let layers: Vec<Layer> = cnn([1, 9, 8], 4, [3, 2], 5, [0.2, 0.2]).into_iter().filter(|layer| !layer.is_dropout()).collect();
    let models = models(None, vec![classifier(&[1, 9, 8], layers, 1)]);
    let case = Case::new(models, 3, 0..5);
    hold("sampled", &case);
    for (name, open) in engines() {
        let mut engine = open(Arc::new(case.models.clone())).unwrap();
        let [sampled, once] = [case.draws.clone(), Draws::Deterministic].map(|draws| engine.statistics(&case.block(0..3, draws)).unwrap());
        for point in 0..3 {
            let (sampled, once) = (sampled.whole_cell(point), once.whole_cell(point));
            let information = Measure::MutualInformation.evaluate(&sampled);
            assert!(information <= 1e-6, "{name}: the mutual information of equal draws is {information}");
            assert!(sampled.mean().iter().zip(once.mean()).all(|(a, b)| (a - b).abs() <= 1e-6), "{name}");
        }
    }
}

#[test]
fn random_networks_of_every_kind_of_layer() {
    let mut kinds = BTreeSet::new();
    for seed in 0..60 {
        let (shape, layers) = random_layers(seed);
        kinds.extend(layers.iter().map(|layer| layer.label().split(' ').next().unwrap().to_owned()));
        let members = (0..=seed % 2).map(|member| classifier(&shape, layers.clone(), 100 * seed + member)).collect();
        let decoder = seed.is_multiple_of(3).then(|| dense_decoder(shape, &[7], 2, seed));
        let case = Case { seed, ..Case::new(models(decoder, members), 1 + seed as usize % 5, seed..seed + 6) };
        let case = if seed % 4 == 1 { case.clone().per_point((0..case.point_numbers.len() as u32).rev().collect()) } else { case };
        hold(&format!("random network {seed}"), &case);
    }
    assert_eq!(kinds.len(), 14, "only {kinds:?} were tried");
}
