//! Whole graphs: answers against the reference engine, gradients against central differences in f64, each with a negative control.

use super::super::input::Networks;
use super::super::{Answer, DecoderGradients, InputGradients, Loss, Objective, Passes, Precision, Randomness, input_gradients};
use crate::engine::reference::{Draw, run, softmax};
use crate::nets::lowering::Kind;
use crate::nets::{Classifier, Ending, Ensemble, Graph, Network, random_graph_weights};
use crate::random::{Purpose, Stream, keep_mask, normal_noise};
use rayon::ThreadPoolBuilder;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const CLASSES: usize = 4;
const SEED: u32 = 5;

fn network(shape: &[usize], nodes: Value, seed: u32) -> Network {
    let graph = Graph::new(shape, serde_json::from_value(nodes).unwrap()).unwrap();
    let weights = random_graph_weights(&graph, seed);
    Network::of(graph, &weights).unwrap()
}

fn convolution(name: &str, input: &str, channels: [usize; 2], kernel: usize, stride: usize, groups: usize) -> Value {
    json!({"name": name, "inputs": [input], "op": "conv2d", "in_channels": channels[0], "out_channels": channels[1],
        "kernel": [kernel, kernel], "stride": [stride, stride], "padding": [kernel / 2, kernel / 2], "groups": groups})
}

fn linear(inputs: usize) -> Value {
    json!({"name": "fc", "op": "linear", "in_features": inputs, "out_features": CLASSES})
}

/// Two blocks with a shortcut, dropout in three places, the input normalised.
fn residual() -> Value {
    json!([
        {"name": "norm", "op": "normalise", "mean": [0.4, 0.5, 0.6], "std": [0.5, 0.6, 0.7]},
        convolution("stem", "norm", [3, 4], 3, 1, 1),
        {"name": "stem_norm", "op": "batch_norm", "channels": 4, "epsilon": 1e-3},
        {"name": "stem_relu", "op": "apply", "function": "relu"},
        convolution("a1", "stem_relu", [4, 4], 3, 1, 1),
        {"name": "a_relu", "op": "apply", "function": "relu"},
        {"name": "a_drop", "op": "dropout", "rate": 0.3, "stream": 3},
        convolution("a2", "a_drop", [4, 4], 3, 1, 1),
        {"name": "a", "inputs": ["a2", "stem_relu"], "op": "add"},
        {"name": "a_out", "op": "apply", "function": "relu"},
        {"name": "channels", "op": "dropout2d", "rate": 0.4, "stream": 9},
        convolution("b1", "channels", [4, 6], 3, 2, 1),
        {"name": "b_norm", "op": "batch_norm", "channels": 6, "epsilon": 1e-3},
        {"name": "b_elu", "op": "apply", "function": "elu", "alpha": 0.7},
        convolution("b2", "b_elu", [6, 6], 3, 1, 1),
        convolution("shortcut", "channels", [4, 6], 1, 2, 1),
        {"name": "b", "inputs": ["b2", "shortcut"], "op": "add"},
        {"name": "b_out", "op": "apply", "function": "leaky_relu", "slope": 0.1},
        {"name": "pool", "op": "global_average_pool"},
        {"name": "vector", "op": "flatten"},
        {"name": "last_drop", "op": "dropout", "rate": 0.5, "stream": 5},
        linear(6),
    ])
}

/// An inverted residual block with squeeze and excitation; the dropout in it leaves two values that cross the cut.
fn squeeze_and_excitation() -> Value {
    json!([
        convolution("stem", "input", [3, 4], 3, 1, 1),
        {"name": "stem_swish", "op": "apply", "function": "hard_swish"},
        convolution("expand", "stem_swish", [4, 8], 1, 1, 1),
        {"name": "expand_swish", "op": "apply", "function": "silu"},
        convolution("depthwise", "expand_swish", [8, 8], 3, 1, 8),
        {"name": "swish", "op": "apply", "function": "hard_swish"},
        {"name": "squeeze", "op": "global_average_pool"},
        convolution("s1", "squeeze", [8, 3], 1, 1, 1),
        {"name": "s1_relu", "op": "apply", "function": "relu"},
        {"name": "s_drop", "op": "dropout", "rate": 0.3, "stream": 2},
        convolution("s2", "s_drop", [3, 8], 1, 1, 1),
        {"name": "gate", "op": "apply", "function": "hard_sigmoid"},
        {"name": "gated", "inputs": ["swish", "gate"], "op": "multiply"},
        convolution("project", "gated", [8, 4], 1, 1, 1),
        {"name": "block", "inputs": ["stem_swish", "project"], "op": "add"},
        {"name": "groups", "op": "group_norm", "groups": 2, "channels": 4, "epsilon": 1e-3},
        {"name": "pool", "op": "average_pool2d", "kernel": [3, 2], "stride": [2, 2], "padding": [1, 0], "ceil_mode": true},
        {"name": "vector", "op": "flatten"},
        linear(4 * 5 * 4),
    ])
}

/// Down and up again with concatenation, and a softmax over channels in the middle.
fn u_shape() -> Value {
    json!([
        convolution("down", "input", [3, 4], 3, 1, 1),
        {"name": "down_relu", "op": "apply", "function": "relu"},
        {"name": "half", "op": "max_pool2d", "kernel": [2, 2], "stride": [2, 2]},
        {"name": "drop", "op": "dropout2d", "rate": 0.3, "stream": 1},
        convolution("deep", "drop", [4, 5], 3, 1, 1),
        {"name": "deep_gelu", "op": "apply", "function": "gelu", "tanh": false},
        {"name": "up", "op": "upsample", "size": [9, 7], "mode": "bilinear"},
        {"name": "both", "inputs": ["down_relu", "up", "input"], "op": "concatenate"},
        convolution("join", "both", [12, 3], 3, 1, 3),
        {"name": "shares", "op": "softmax"},
        {"name": "shares_norm", "op": "layer_norm", "shape": [3, 9, 7], "epsilon": 1e-3},
        {"name": "pool", "op": "max_pool2d", "kernel": [3, 3], "stride": [2, 3], "padding": [1, 1], "ceil_mode": true},
        {"name": "vector", "op": "flatten"},
        linear(3 * 5 * 3),
        {"name": "logs", "op": "log_softmax"},
    ])
}

/// Dropout and a dense layer at the input, which something else reads as well, and drawn weights at the end.
fn drawn() -> Value {
    json!([
        {"name": "vector", "op": "flatten"},
        {"name": "drop", "op": "dropout", "rate": 0.4, "stream": 8},
        {"name": "a", "op": "linear", "in_features": 189, "out_features": 11},
        {"name": "a_sigmoid", "op": "apply", "function": "sigmoid"},
        {"name": "a_drop", "op": "dropout", "rate": 0.5, "stream": 0},
        {"name": "other", "inputs": ["vector"], "op": "linear", "in_features": 189, "out_features": 11},
        {"name": "sum", "inputs": ["a_drop", "other"], "op": "add"},
        {"name": "scaled", "op": "scale", "factor": 0.8, "offset": 0.1},
        {"name": "g", "op": "gaussian_linear", "in_features": 11, "out_features": CLASSES, "stream": 6},
    ])
}

/// Nothing that draws: the answer is there before the first draw. A convolution with ReLU and pool in one, a function of its own, and a
/// pool of other channels than the convolution before it makes.
fn sure() -> Value {
    json!([
        convolution("c", "input", [3, 4], 3, 1, 1),
        {"name": "relu", "op": "apply", "function": "relu"},
        {"name": "pool", "op": "max_pool2d", "kernel": [2, 2], "stride": [2, 2]},
        {"name": "exp", "op": "apply", "function": "exp"},
        {"name": "sum", "inputs": ["pool", "exp"], "op": "add"},
        convolution("d", "sum", [4, 4], 1, 1, 1),
        {"name": "turned", "op": "reshape", "shape": [4, 3, 4]},
        {"name": "pool2", "op": "max_pool2d", "kernel": [2, 2], "stride": [1, 2]},
        {"name": "vector", "op": "flatten"},
        linear(4 * 2 * 2),
        {"name": "p", "op": "softmax"},
    ])
}

fn models() -> Vec<Classifier> {
    use Ending::{LogProbabilities, Logits, Probabilities};
    let graphs = [
        (residual(), Logits),
        (squeeze_and_excitation(), Logits),
        (u_shape(), LogProbabilities),
        (drawn(), Logits),
        (sure(), Probabilities),
    ];
    let classes: Vec<String> = (0..CLASSES).map(|class| class.to_string()).collect();
    let model = |(seed, (nodes, ending)): (usize, (Value, Ending))| {
        let network = network(&[3, 9, 7], nodes, seed as u32);
        Classifier::new(seed.to_string(), classes.clone(), network).unwrap().ending_in(ending)
    };
    graphs.into_iter().enumerate().map(model).collect()
}

fn images() -> Vec<f64> {
    let stream = Stream::new(SEED, Purpose::Choice);
    (0..2 * 189).map(|at| stream.uniform([0; 3], at)).collect()
}

fn answer(
    networks: &dyn InputGradients,
    images: &[f64],
    member: usize,
    draws: Option<std::ops::Range<u32>>,
) -> crate::error::Result<Answer> {
    let objective = Objective { loss: Loss::Evading(0.5), towards: false };
    networks.answer(images, &[1, 3], &Passes { members: vec![member], draws }, objective, true)
}

/// The largest difference, relative to the largest number; infinite for NaN.
fn apart(got: &[f64], expected: &[f64]) -> f64 {
    let largest = expected.iter().fold(1e-9, |most: f64, value| most.max(value.abs()));
    let worst =
        got.iter().zip(expected).map(|(a, b)| (a - b).abs() / largest).fold(0.0, |worst: f64, d| if d <= worst { worst } else { d });
    if got.len() == expected.len() && worst.is_finite() { worst } else { f64::INFINITY }
}

#[test]
fn the_graphs_have_every_kind_of_instruction() {
    let mut kinds = BTreeSet::new();
    for model in models() {
        for instruction in model.program().instructions {
            // A new kind belongs into a graph here, and is counted below.
            kinds.insert(match instruction.kind {
                Kind::Product(_) => 0,
                Kind::Gaussian(_) => 1,
                Kind::Plane(_) => 2,
                Kind::Identity => 3,
                Kind::Affine { .. } => 4,
                Kind::Normalise { .. } => 5,
                Kind::Add => 6,
                Kind::Multiply => 7,
                Kind::Concatenate => 8,
                Kind::Softmax { .. } => 9,
                Kind::Mask { .. } => 10,
            });
        }
    }
    assert_eq!(kinds, (0..11).collect());
    let crossing = |model: &Classifier| model.program().values.iter().filter(|value| value.crosses).count();
    assert!(crossing(&models()[1]) > 2 && crossing(&models()[0]) > 1, "several values cross the cut");
}

#[test]
fn answers_are_those_of_the_reference_engine() {
    let (models, images) = (models(), images());
    let networks = Networks::<f64>::new(&Ensemble::new(models.clone()).unwrap(), Randomness::of_seed(SEED));
    for (number, model) in models.iter().enumerate() {
        let (program, member) = (model.program(), number as u32);
        for draws in [None, Some(3..6u32)] {
            let mean = |image: &[f64], seed: u32| -> Vec<f64> {
                let of_draw = |draw: u32| {
                    let keep = |stream: usize, rate: f64, units: usize| keep_mask(seed, member, draw, stream as u32, 0, rate, units);
                    let noise = |stream: usize, count: usize| normal_noise(seed, member, draw, stream as u32, 0, count);
                    run(&program, image, Some(Draw { keep: &keep, noise: &noise }))
                };
                let passes: Vec<Vec<f64>> =
                    draws.clone().map_or_else(|| vec![run(&program, image, None)], |draws| draws.map(of_draw).collect());
                let probabilities: Vec<Vec<f64>> = passes.iter().map(|logits| softmax(logits)).collect();
                (0..CLASSES).map(|class| probabilities.iter().map(|p| p[class]).sum::<f64>() / passes.len() as f64).collect()
            };
            let of_seed = |seed: u32| images.chunks_exact(189).flat_map(|image| mean(image, seed)).collect::<Vec<f64>>();
            let got = answer(&networks, &images, number, draws.clone()).unwrap().mean;
            assert!(apart(&got, &of_seed(SEED)) <= 1e-12, "graph {number}, {draws:?}: {}", apart(&got, &of_seed(SEED)));
            let draws_differ = draws.is_some() && model.has_draws();
            assert_eq!(apart(&got, &of_seed(SEED + 1)) > 1e-6, draws_differ, "the negative control of graph {number}, {draws:?}");
        }
    }
}

#[test]
fn gradients_are_the_slopes() {
    let (models, images) = (models(), images());
    let networks = Networks::<f64>::new(&Ensemble::new(models.clone()).unwrap(), Randomness::of_seed(SEED));
    for number in 0..models.len() {
        for draws in [None, Some(3..6)] {
            let gradients = answer(&networks, &images, number, draws.clone()).unwrap().gradients;
            let places: Vec<usize> = (0..images.len()).step_by(13).collect();
            let slope = |&place: &usize| {
                let at = |by: f64| {
                    let mut images = images.clone();
                    images[place] += by;
                    answer(&networks, &images, number, draws.clone()).unwrap().values[place / 189]
                };
                (at(1e-5) - at(-1e-5)) / 2e-5
            };
            let slopes: Vec<f64> = places.iter().map(slope).collect();
            let got: Vec<f64> = places.iter().map(|&place| gradients[place]).collect();
            assert!(apart(&got, &slopes) <= 1e-5, "graph {number}, {draws:?}: {}", apart(&got, &slopes));
            let mut shifted = got.clone();
            shifted.rotate_left(1);
            assert!(apart(&shifted, &slopes) > 1e-2, "the negative control of graph {number}");
        }
    }
}

#[test]
fn single_precision_follows_double_and_no_sum_depends_on_threads() {
    let ensemble = Ensemble::new(models()).unwrap();
    let answers = |precision: Precision, threads: usize| -> Vec<Vec<f64>> {
        let of = |number: usize| {
            let networks = input_gradients(&ensemble, precision, Randomness::of_seed(SEED));
            answer(networks.as_ref(), &images(), number, Some(0..5)).unwrap().gradients
        };
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| (0..ensemble.members().len()).map(of).collect())
    };
    let (double, single) = (answers(Precision::Double, 1), answers(Precision::Single, 1));
    for (number, (single, double)) in single.iter().zip(&double).enumerate() {
        assert!(apart(single, double) <= 1e-4, "graph {number}: {}", apart(single, double));
        assert!(apart(single, double) > 1e-12, "graph {number}: single precision is another one");
    }
    assert_eq!(answers(Precision::Single, 3), single);
    assert_eq!(answers(Precision::Double, 3), double);
}

#[test]
fn a_pixel_that_is_no_number_is_told() {
    let ensemble = Ensemble::new(models()).unwrap();
    let networks = Networks::<f32>::new(&ensemble, Randomness::of_seed(SEED));
    for place in 0..189 {
        let mut images = images();
        images[place] = f64::NAN;
        for number in 0..ensemble.members().len() {
            assert!(answer(&networks, &images, number, None).is_err(), "graph {number}, pixel {place}");
        }
    }
}

/// A decoder of transposed convolutions: strides, output padding, groups.
fn decoder() -> Network {
    let nodes = json!([
        {"name": "grow", "op": "linear", "in_features": 2, "out_features": 4 * 3 * 2},
        {"name": "image", "op": "reshape", "shape": [4, 3, 2]},
        {"name": "grow_silu", "op": "apply", "function": "silu"},
        {"name": "up1", "op": "conv_transpose2d", "in_channels": 4, "out_channels": 6, "kernel": [3, 4], "stride": [2, 3],
            "padding": [1, 1], "output_padding": [0, 1], "groups": 2},
        {"name": "up1_tanh", "op": "apply", "function": "tanh"},
        {"name": "up2", "op": "conv_transpose2d", "in_channels": 6, "out_channels": 3, "kernel": [2, 2], "stride": [2, 1],
            "padding": [0, 1], "dilation": [1, 2]},
        {"name": "sigmoid", "op": "apply", "function": "sigmoid"},
    ]);
    network(&[2], nodes, 9)
}

#[test]
fn a_decoder_of_transposed_convolutions_goes_there_and_back() {
    let network = decoder();
    let (decoder, program) = (DecoderGradients::new(&network), crate::nets::lowering::lower(&network, Ending::Logits));
    let z = [0.3, -0.7, 1.1, 0.4, -1.3, 0.9];
    let decoded = decoder.decode(&z);
    let expected: Vec<f64> = z.chunks_exact(2).flat_map(|z| run(&program, z, None)).collect();
    assert!(apart(&decoded.images, &expected) <= 1e-12 && apart(&decoder.decode(&[0.3; 6]).images, &expected) > 1e-3);
    let stream = Stream::new(SEED, Purpose::Choice);
    let weights: Vec<f64> = (0..decoded.images.len()).map(|at| stream.uniform([1, 0, 0], at as u32) - 0.5).collect();
    let gradient = decoder.back(&decoded, weights.clone());
    let slope = |place: usize| {
        let at = |by: f64| {
            let mut z = z;
            z[place] += by;
            decoder.decode(&z).images.iter().zip(&weights).map(|(pixel, weight)| pixel * weight).sum::<f64>()
        };
        (at(1e-5) - at(-1e-5)) / 2e-5
    };
    let slopes: Vec<f64> = (0..z.len()).map(slope).collect();
    assert!(apart(&gradient, &slopes) <= 1e-7, "{}", apart(&gradient, &slopes));
    assert!(apart(&gradient[1..], &slopes[..5]) > 1e-2, "the negative control");
    assert!(decoder.decode(&[]).images.is_empty());
}
