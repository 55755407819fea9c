//! The conformance suite: every engine gives what the reference engine gives, on every kind of network and of block. Every
//! comparison has twins (another weight, other masks) that must fail.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![allow(clippy::needless_pass_by_value, reason = "the signature of `Kind::open`")]

use crate::conformance::{Answer, Case, Points, conforms, with_weights};
use crate::fixtures;
use crate::networks::{classifier, graph_classifier, names, random_classifier_graph, random_weights};
use epistemap::engine::{Block, Draws, Engine, Masks, Models, cpu, gpu, reference};
use epistemap::error::Result;
use epistemap::jobs::{MapSettings, ModelSet, compare};
use epistemap::latent::View;
use epistemap::nets::{Classifier, Covariance, Ensemble, Layer, Network, Op, VaeLayers, Weights, cnn, paper_cnn};
use epistemap::uncertainty::{Measure, StatisticsGrid};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

pub type Open = fn(Arc<Models>) -> Result<Box<dyn Engine>>;

/// The engines that are held against the reference.
pub fn engines() -> Vec<(&'static str, Open)> {
    let mut engines: Vec<(&'static str, Open)> =
        vec![("reference", reference::open), ("reference with f32 weights", with_f32_weights), ("cpu", cpu::open)];
    if gpu_is_there() {
        engines.push(("gpu", gpu::open));
    }
    engines
}

/// Whether there is an adapter to compute on; where one is required, its absence is a failure.
fn gpu_is_there() -> bool {
    static THERE: OnceLock<bool> = OnceLock::new();
    let there = *THERE.get_or_init(|| gpu::reports().iter().any(|adapter| adapter.problem.is_none()));
    let required = std::env::var_os("EPISTEMAP_REQUIRE_GPU").is_some_and(|value| value == "1");
    assert!(there || !required, "EPISTEMAP_REQUIRE_GPU is set, but no graphics adapter can compute");
    there
}

/// What an engine does to the weights at least when it computes in single precision.
fn with_f32_weights(models: Arc<Models>) -> Result<Box<dyn Engine>> {
    let rounded = |network: &Network| with_weights(network, |_, values| values.iter_mut().for_each(|w| *w = f64::from(*w as f32)));
    let members = models.ensemble.members().iter();
    let members = members.map(|member| Classifier { network: rounded(&member.network), ..member.clone() }).collect();
    reference::open(Arc::new(Models::new(models.decoder.as_ref().map(rounded), Ensemble::new(members)?)?))
}

/// Holds every engine to the case, and to failing its twins.
pub fn hold(what: &str, case: &Case) {
    hold_with(what, case, &Answer::of_reference(case), &case.twins());
}

/// The same with these twins.
pub fn hold_with(what: &str, case: &Case, expected: &Answer, twins: &[(String, Case)]) {
    for (name, open) in engines() {
        if name == "gpu" && case.draws_weights() {
            let refused = open(Arc::new(case.models.clone())).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(refused.contains("are drawn"), "{name}, {what}: {refused}");
            continue;
        }
        // Such models are left to the CPU engine.
        let ends_loops = open(Arc::new(case.models.clone())).err().is_some_and(|error| error.to_string().contains("ends loops after"));
        if name == "gpu" && ends_loops && is_long(case) {
            continue;
        }
        conforms(open, case, expected).unwrap_or_else(|text| panic!("{name}, {what}: {text}"));
        for (difference, twin) in twins {
            assert!(conforms(open, twin, expected).is_err(), "{name}, {what}: {difference} passes");
        }
    }
}

/// Whether a kernel may take more rounds than some drivers allow: a value has many elements.
fn is_long(case: &Case) -> bool {
    let shapes = case.models.ensemble.members().iter().flat_map(|member| member.network.graph().shapes());
    shapes.into_iter().any(|shape| shape.iter().product::<usize>() > 30_000)
}

pub fn models(decoder: Option<Network>, members: Vec<Classifier>) -> Models {
    Models::new(decoder, Ensemble::new(members).unwrap()).unwrap()
}

/// A decoder of fully connected layers with random weights.
pub fn dense_decoder(image_shape: [usize; 3], hidden: &[usize], latent: usize, seed: u32) -> Network {
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
fn gaussian_layers_in_every_place() {
    for covariance in [Covariance::Kronecker, Covariance::Full] {
        gaussian_layers_in_every_place_with(covariance);
    }
}

fn gaussian_layers_in_every_place_with(covariance: Covariance) {
    let gaussian = |name: &str, inputs, outputs| Layer::GaussianLinear { name: name.into(), inputs, outputs, covariance };
    let linear = |name: &str, inputs, outputs| Layer::Linear { name: name.into(), inputs, outputs };
    let dropout = |rate| Layer::Dropout { rate };
    let mut last = cnn([1, 7, 9], 3, [4, 3], 5, [0.3, 0.4]);
    last.retain(|layer| !layer.is_dropout());
    last.pop();
    last.push(gaussian("fc2", 5, 3));
    for (what, shape, layers) in [
        ("the last layer of a network without dropout", [1, 7, 9], last),
        ("the only layer", [1, 2, 3], vec![Layer::Flatten, gaussian("g", 6, 5)]),
        ("behind a dropout that drops few", [1, 2, 3], vec![Layer::Flatten, dropout(0.2), gaussian("g", 6, 5)]),
        (
            "behind a dropout that drops many",
            [1, 2, 3],
            vec![Layer::Flatten, dropout(0.8), gaussian("g", 6, 5), Layer::Relu, linear("l", 5, 4)],
        ),
        ("before a dropout", [1, 2, 3], vec![Layer::Flatten, gaussian("g", 6, 7), Layer::Tanh, dropout(0.5), linear("l", 7, 4)]),
        ("between dropouts", [1, 2, 3], vec![Layer::Flatten, dropout(0.3), linear("l", 6, 7), dropout(0.5), gaussian("g", 7, 4)]),
        ("twice", [1, 2, 3], vec![Layer::Flatten, gaussian("g", 6, 7), Layer::Elu, gaussian("h", 7, 4)]),
        (
            "before a normalisation",
            [1, 2, 3],
            vec![Layer::Flatten, gaussian("g", 6, 4), Layer::BatchNorm { name: "n".into(), channels: 4, epsilon: 0.1 }],
        ),
        ("last before a dropout", [1, 2, 3], vec![Layer::Flatten, gaussian("g", 6, 5), dropout(0.4)]),
    ] {
        let case = Case::new(models(None, (1..3).map(|seed| classifier(&shape, layers.clone(), seed)).collect()), 5, 3..9);
        hold(what, &case);
        hold(&format!("{what}, per point"), &case.clone().per_point(vec![3, 1, 2, 90_000, 0]));
        hold(&format!("{what}, deterministic"), &Case { draws: Draws::Deterministic, ..case });
    }
    // Where nothing is drawn, the mean is meant: a decoder decodes a point always the same.
    let layers = vec![gaussian("g", 2, 5 * 8), Layer::Reshape { shape: vec![1, 5, 8] }, Layer::Sigmoid];
    let decoder = Network::new(&[2], layers.clone(), &random_weights(&layers, 1)).unwrap();
    let members = vec![classifier(&[1, 5, 8], vec![Layer::Flatten, dropout(0.5), linear("l", 40, 3)], 2)];
    hold("in a decoder", &Case::new(models(Some(decoder), members), 4, 0..5));
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
fn random_graphs_of_every_operation() {
    let (mut ops, mut told, mut untold) = (BTreeSet::new(), 0, 0);
    for seed in 0..60 {
        let (shape, graph) = random_classifier_graph(seed, |_| true);
        ops.extend(graph.nodes().iter().filter_map(|node| Some(serde_json::to_value(&node.op).unwrap()["op"].as_str()?.to_owned())));
        let members = (0..=seed % 2).map(|member| graph_classifier(graph.clone(), 100 * seed + member)).collect();
        let decoder = seed.is_multiple_of(3).then(|| dense_decoder(shape, &[7], 2, seed));
        let case = Case { seed, ..Case::new(models(decoder, members), 1 + seed as usize % 5, seed..seed + 6) };
        let case = if seed % 4 == 1 { case.clone().per_point((0..case.point_numbers.len() as u32).rev().collect()) } else { case };
        // A softmax over one channel, or a clipped value, hides what was drawn before it: such a twin is no control.
        let expected = Answer::of_reference(&case);
        let (twins, others): (Vec<_>, Vec<_>) =
            case.twins().into_iter().partition(|(_, twin)| conforms(reference::open, twin, &expected).is_err());
        (told, untold) = (told + twins.len(), untold + others.len());
        hold_with(&format!("random graph {seed}"), &case, &expected, &twins);
    }
    assert_eq!(ops, names::<Op>("op"), "not every operation was tried");
    assert!(told > 5 * untold, "{untold} of {} twins change nothing", told + untold);
}

#[test]
fn factors_of_16_bits_stay_close_on_the_shipped_models() {
    if !gpu_is_there() {
        return;
    }
    let set = ModelSet::shipped().unwrap();
    let view = View::new([-10.0, 10.0], [-10.0, 10.0], 5, 7).unwrap();
    let settings = MapSettings { view, samples: 10, members: vec![0, 3], seed: 2, masks: Masks::Shared, deterministic: true };
    let mut single = gpu::open(Arc::clone(&set.models)).unwrap();
    let mut opened = 0;
    for open in [gpu::open_half, gpu::open_matrix] {
        let mut engine = match open(Arc::clone(&set.models)) {
            Ok(engine) => engine,
            Err(error) if error.to_string().contains("has no") => continue,
            Err(error) => panic!("{error}"),
        };
        opened += 1;
        let result = compare(&set, [single.as_mut(), engine.as_mut()], &settings, 2e-3, &mut |_| ControlFlow::Continue(())).unwrap();
        let worst = result.worst().unwrap();
        assert_eq!(result.wrong, 0, "{}: {worst:?}", engine.name());
        assert!(worst.share > 1e-6, "{}: nothing was rounded ({worst:?})", engine.name());
    }
    let halves = gpu::reports().iter().any(|adapter| adapter.lines.iter().any(|line| line.contains("16-bit floats: yes")));
    assert!(opened > 0 || !halves, "the adapter has 16-bit floats, but no engine took them");
}

/// An engine that does something else than it was asked.
struct Faulty {
    engine: Box<dyn Engine>,
    fault: Fault,
    calls: u32,
    /// Which of its other answers hold a NaN.
    spoiled: &'static str,
}

/// Changes a block at the call of this number.
type Fault = fn(&mut Block<'_>, u32);

impl Engine for Faulty {
    fn name(&self) -> &'static str {
        "faulty"
    }

    fn statistics(&mut self, block: &Block<'_>) -> Result<StatisticsGrid> {
        let mut block = block.clone();
        (self.fault)(&mut block, self.calls);
        self.calls += 1;
        self.engine.statistics(&block)
    }

    fn decode(&mut self, z: &[f64]) -> Result<Vec<f32>> {
        let mut pixels = self.engine.decode(z)?;
        if self.spoiled == "pixels" {
            pixels[1] = f32::NAN;
        }
        Ok(pixels)
    }

    fn probabilities(&mut self, block: &Block<'_>) -> Result<Vec<f64>> {
        let mut probabilities = self.engine.probabilities(block)?;
        if self.spoiled == "probabilities" {
            probabilities[1] = f64::NAN;
        }
        Ok(probabilities)
    }
}

#[test]
fn the_suite_tells_what_no_twin_shows() {
    let right: Fault = |_, _| ();
    let points_by_block: Fault = |block, _| block.point_numbers = &[0, 1, 2][..block.point_numbers.len()];
    let draws_by_block: Fault = |block, _| {
        if let Draws::Sampled(draws) = &mut block.draws {
            *draws = 0..draws.len() as u32;
        }
    };
    let other_at_the_sixth_call: Fault = |block, call| block.seed += u32::from(call == 5);

    let members = vec![classifier(&[2, 7, 9], cnn([2, 7, 9], 3, [4, 3], 5, [0.3, 0.4]), 1)];
    let case = Case::new(models(Some(dense_decoder([2, 7, 9], &[5], 2, 1)), members), 3, 0..8).per_point(vec![0, 1, 2]);
    let expected = Answer::of_reference(&case);
    for (fault, spoiled, told) in [
        (right, "", ""),
        (points_by_block, "", "in several blocks"),
        (draws_by_block, "", "in several blocks"),
        (other_at_the_sixth_call, "", "the second time"),
        (right, "probabilities", "probabilities 1: NaN"),
        (right, "pixels", "pixels 1: NaN"),
    ] {
        let open = |models| Ok(Box::new(Faulty { engine: reference::open(models)?, fault, calls: 0, spoiled }) as Box<dyn Engine>);
        let text = conforms(open, &case, &expected).err().unwrap_or_default();
        assert!(text.contains(told) && text.is_empty() == told.is_empty(), "'{told}' is told as '{text}'");
    }
}

#[test]
fn groups_keep_their_own_draws() {
    let members = (0..2).map(|seed| classifier(&[2, 7, 9], cnn([2, 7, 9], 3, [4, 3], 5, [0.3, 0.4]), seed)).collect();
    let case = Case::new(models(None, members), 3, 4..11);
    let groups = 3;
    for (name, open) in engines() {
        let mut engine = open(Arc::new(case.models.clone())).unwrap();
        let whole = Block { groups, ..case.whole() };
        let grouped = engine.statistics(&whole).unwrap();
        let mut groups_differ = false;
        for group in 0..groups {
            let passes: Vec<usize> = (0..whole.passes()).filter(|&pass| whole.group(pass) == group).collect();
            let draws = 4 + passes[0] as u32..5 + passes[passes.len() - 1] as u32;
            assert!((2..=3).contains(&draws.len()), "seven draws in three groups");
            let alone = engine.statistics(&case.block(0..3, Draws::Sampled(draws))).unwrap();
            for (point, member) in (0..3).flat_map(|point| (0..2).map(move |member| (point, member))) {
                let (expected, row) = (alone.sums(point, member), member * groups + group);
                let same = |sums: &[f64]| sums.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-12);
                assert!(same(grouped.sums(point, row)), "{name}, point {point}, member {member}, group {group}");
                groups_differ |= !same(grouped.sums(point, member * groups + (group + 1) % groups));
            }
        }
        assert!(groups_differ, "{name}: every group passes for every other");
    }
}

/// Members of which draws differ and others, draws in one part and in several.
#[test]
fn grouped_statistics_are_those_of_all_groups() {
    let layers = cnn([2, 7, 9], 3, [4, 3], 5, [0.3, 0.4]);
    let sure: Vec<Layer> = layers.iter().filter(|layer| !layer.is_dropout()).cloned().collect();
    let members = [&sure, &layers, &layers, &sure];
    let members = members.into_iter().zip(0..).map(|(layers, seed)| classifier(&[2, 7, 9], layers.clone(), seed)).collect();
    let case = Case::new(models(None, members), 6, 4..74);
    let mut reference = reference::open(Arc::new(case.models.clone())).unwrap();
    for (name, open) in engines() {
        let mut engine = open(Arc::new(case.models.clone())).unwrap();
        for members in [&[0, 1, 2, 3][..], &[1], &[3, 0]] {
            for draws in [4..74, 4..15] {
                let block = Block { groups: 10, members, draws: Draws::Sampled(draws), ..case.whole() };
                let (expected, errors) = reference.grouped_statistics(&block).unwrap();
                let (whole, sums) = engine.grouped_statistics(&block).unwrap();
                assert_eq!((whole.members(), sums.groups()), (members.len(), 10));
                for (point, member) in (0..6).flat_map(|point| (0..members.len()).map(move |member| (point, member))) {
                    let pairs = whole.sums(point, member).iter().zip(expected.sums(point, member));
                    assert!(pairs.clone().all(|(a, b)| (a - b).abs() <= 1e-4 * b.max(1.0)), "{name}, {members:?}, point {point}");
                    let other = whole.sums(point, member).iter().zip(expected.sums(5 - point, member));
                    assert!(other.clone().any(|(a, b)| (a - b).abs() > 1e-4 * b.max(1.0)), "{name}: another point passes");
                    let [a, b] = [&sums, &errors].map(|sums| sums.mutual_information_standard_error(point, members.len()));
                    assert!((a - b).abs() <= 1e-5, "{name}, {members:?}, point {point}: {a}, not {b}");
                    assert_eq!(b == 0.0, members == [3, 0], "draws that differ have an error: {b}");
                }
            }
        }
    }
}
