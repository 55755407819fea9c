//! Numbers at the edges, on every engine: probabilities of exactly 0, logits far apart, long sums, and what is not finite.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use crate::conformance::{Case, with_weights};
use crate::engines::{engines, hold};
use crate::networks::random_images;
use epistemap::engine::reference::forward;
use epistemap::engine::{self, Draws, Models};
use epistemap::nets::architectures::Builder;
use epistemap::nets::{Classifier, Ending, Ensemble, Graph, Network, Op, random_graph_weights};
use epistemap::uncertainty::{CellStatistics, Measure};
use std::sync::Arc;

/// A graph on images of `shape`, of nodes by their names and inputs.
fn graph(shape: &[usize], nodes: Vec<(&str, &[&str], Op)>) -> Graph {
    let mut builder = Builder::default();
    for (name, inputs, op) in nodes {
        builder.of(name, inputs, op);
    }
    builder.graph(shape).unwrap()
}

fn models(graph: Graph, ending: Ending) -> Models {
    let weights = random_graph_weights(&graph, 3);
    let classes = (0..graph.output_shape()[0]).map(|class| class.to_string()).collect();
    let classifier = Classifier::new("extreme", classes, Network::of(graph, &weights).unwrap()).unwrap().ending_in(ending);
    Models::new(None, Ensemble::new(vec![classifier]).unwrap()).unwrap()
}

fn linear(inputs: usize, outputs: usize) -> Op {
    Op::Linear { inputs, outputs, bias: true }
}

fn scale(factor: f64, offset: f64) -> Op {
    Op::Scale { factor, offset }
}

/// Logits, thousands apart, of images [1, 2, 3].
fn far_apart() -> Vec<(&'static str, &'static [&'static str], Op)> {
    vec![("flat", &["input"], Op::Flatten {}), ("fc", &[], linear(6, 4)), ("far", &[], scale(2000.0, 0.0))]
}

fn with<'a>(first: Vec<(&'a str, &'a [&'a str], Op)>, more: Vec<(&'a str, &'a [&'a str], Op)>) -> Graph {
    graph(&[1, 2, 3], first.into_iter().chain(more).collect())
}

/// The network's own output in f64 gives the draws; every engine's measures are those of them.
#[test]
fn probabilities_of_exactly_0_have_measures() {
    let softmax = || ("p", &[][..], Op::Softmax {});
    let one_hot = vec![
        ("zero", &[][..], scale(0.0, 0.0)),
        ("add", &["zero", "fc"][..], Op::Add {}),
        ("none", &[], scale(0.0, 0.0)),
        ("one", &[], scale(1.0, 0.25)),
    ];
    let cases = [
        ("a softmax", with(far_apart(), vec![softmax()]), Ending::Probabilities),
        ("a softmax and more", with(far_apart(), vec![softmax(), ("same", &[], scale(1.0, 0.0))]), Ending::Probabilities),
        (
            "the mean of two softmaxes",
            with(
                far_apart(),
                vec![
                    softmax(),
                    ("fc2", &["flat"], linear(6, 4)),
                    ("far2", &[], scale(-3000.0, 0.0)),
                    ("p2", &[], Op::Softmax {}),
                    ("sum", &["p", "p2"], Op::Add {}),
                    ("mean", &[], scale(0.5, 0.0)),
                ],
            ),
            Ending::Probabilities,
        ),
        ("logarithms", with(far_apart(), vec![("logs", &[], Op::LogSoftmax {})]), Ending::LogProbabilities),
        (
            "logarithms and more",
            with(far_apart(), vec![("logs", &[], Op::LogSoftmax {}), ("same", &[], scale(1.0, 0.0))]),
            Ending::LogProbabilities,
        ),
        ("logarithms as logits", with(far_apart(), vec![("logs", &[], Op::LogSoftmax {})]), Ending::Logits),
        ("a constant", with(far_apart(), one_hot), Ending::Probabilities),
    ];
    for (what, graph, ending) in cases {
        let case = Case { draws: Draws::Deterministic, ..Case::new(models(graph, ending), 5, 0..1) };
        let network = &case.models.ensemble.members()[0].network;
        let (images, mut zeros) = (random_images(&[1, 2, 3], 5, 3), 0);
        for (name, open) in engines() {
            let mut engine = open(Arc::new(case.models.clone())).unwrap();
            let grid = engine.statistics(&case.whole()).unwrap();
            for (point, image) in images.chunks_exact(6).enumerate() {
                let image: Vec<f64> = image.iter().map(|&pixel| f64::from(pixel)).collect();
                let output = forward(network, &image, None);
                let p = if ending == Ending::Probabilities { output } else { output.into_iter().map(f64::exp).collect() };
                zeros += p.iter().filter(|&&p| p == 0.0).count();
                let expected = CellStatistics::of_draws(&[&p]);
                for measure in [Measure::PredictiveEntropy, Measure::ExpectedEntropy, Measure::MaximumProbability] {
                    let (got, expected) = (measure.evaluate(&grid.whole_cell(point)), measure.evaluate(&expected));
                    assert!((got - expected).abs() <= 1e-3, "{what}, {name}, point {point}: {} {got} is not {expected}", measure.key());
                }
                let mean = grid.whole_cell(point).mean();
                assert!(mean.iter().zip(&p).all(|(a, b)| (a - b).abs() <= 1e-3), "{what}, {name}: {mean:?} is not {p:?}");
            }
        }
        assert!(zeros > 0 || what == "a constant", "{what}: no probability is 0");
    }
}

/// Thousands between neighbours before the logarithm, about 1 behind it.
#[test]
fn log_softmax_of_logits_far_apart() {
    for (what, first) in [
        ("of a vector", vec![("flat", &["input"][..], Op::Flatten {}), ("spread", &[], scale(2e4, -1e4))]),
        ("at pixels", vec![("spread", &["input"][..], scale(2e4, -1e4))]),
    ] {
        let last = vec![
            ("logs", &[][..], Op::LogSoftmax {}),
            ("near", &[], scale(1e-4, 0.0)),
            ("vector", &[], Op::Flatten {}),
            ("drop", &[], Op::Dropout { rate: 0.25, stream: 4 }),
            ("fc", &[], linear(30, 3)),
        ];
        let graph = graph(&[2, 3, 5], first.into_iter().chain(last).collect());
        hold(what, &Case::new(models(graph, Ending::Logits), 5, 0..3));
    }
}

/// Sums of so many numbers that single precision loses digits in a plain loop, and that some drivers end the loop: llvmpipe after 65,535
/// rounds, of which every pair of shapes has one below and one above.
#[test]
fn long_sums() {
    // Means of numbers near 3.5, of which the fifth digit is seen.
    let near = || ("near", &["input"][..], scale(0.01, 3.5));
    let seen = || ("seen", &[][..], scale(20.0, -70.1));
    let mean = || ("mean", &[][..], Op::GlobalAveragePool {});
    let windows = |size: usize| {
        let (kernel, stride, padding) = ([size; 2], [size; 2], [0, 0]);
        ("mean", &[][..], Op::AveragePool2d { kernel, stride, padding, ceil_mode: false, count_include_pad: true })
    };
    let largest = |inputs: &'static [&'static str], size| {
        ("largest", inputs, Op::MaxPool2d { kernel: size, stride: size, padding: [0, 0], ceil_mode: false })
    };
    let mut cases = vec![
        ("a mean over images", vec![2, 160, 160], vec![near(), mean(), seen()]),
        ("a mean over windows", vec![1, 320, 160], vec![near(), windows(160), seen()]),
    ];
    for size in [[250, 256], [512, 256]] {
        cases.push(("a long mean", vec![1, size[0], size[1]], vec![near(), mean(), seen()]));
        cases.push(("a long maximum", vec![1, size[0], size[1]], vec![largest(&["input"], size)]));
    }
    for size in [[252, 252], [320, 320]] {
        let norm = Op::GroupNorm { groups: 1, channels: 4, epsilon: 1e-9 };
        cases.push(("a long normalisation", vec![4, size[0], size[1]], vec![near(), ("norm", &[], norm), largest(&[], size)]));
    }
    for [rows, columns] in [[109, 200], [200, 200]] {
        let rest = vec![
            ("p", &["input"][..], Op::Softmax {}),
            ("many", &[], scale(2e4, 0.0)),
            ("image", &[], Op::Reshape { shape: vec![2, rows, columns] }),
            largest(&[], [rows, columns]),
        ];
        cases.push(("a long softmax", vec![rows * columns, 1, 2], rest));
    }
    for size in [[100, 163], [160, 160]] {
        let drop = ("channels", &["input"][..], Op::Dropout2d { rate: 0.4, stream: 9 });
        cases.push(("dropout of large channels", vec![9, size[0], size[1]], vec![drop, mean()]));
    }
    for shape in [[1, 240, 242], [1, 256, 256]] {
        cases.push(("a long product", shape.to_vec(), vec![("flat", &["input"], Op::Flatten {})]));
    }
    for (what, shape, nodes) in cases {
        let made: usize = graph(&shape, nodes.clone()).output_shape().iter().product();
        let last = vec![
            ("vector", &[][..], Op::Flatten {}),
            ("wide", &[], linear(made, 40)),
            ("drop", &[], Op::Dropout { rate: 0.25, stream: 0 }),
            ("fc", &[], linear(40, 3)),
        ];
        let graph = graph(&shape, nodes.into_iter().chain(last).collect());
        hold(&format!("{what} of {shape:?}"), &Case::new(models(graph, Ending::Logits), 2, 0..4));
    }
}

/// What every engine says of one point: its mean, or that it is not finite.
fn finite_on(models: &Models) -> Vec<(&'static str, bool)> {
    let case = Case::new(models.clone(), 2, 0..2);
    let asked = |name| {
        let answer = engine::open(name, Arc::new(case.models.clone())).unwrap().statistics(&case.whole());
        assert!(answer.as_ref().err().is_none_or(|error| error.to_string().contains("not finite")), "{name}");
        (name, answer.is_ok())
    };
    ["reference", "cpu", "gpu"].map(asked).to_vec()
}

#[test]
fn engines_agree_on_what_is_finite() {
    // A constant has no deviation to divide by; 0.3 is no sum of powers of 2.
    for norm in [Op::LayerNorm { shape: vec![2, 3, 5], epsilon: 0.0 }, Op::GroupNorm { groups: 2, channels: 2, epsilon: 0.0 }] {
        let nodes = vec![
            ("constant", &["input"][..], scale(0.0, 0.3)),
            ("norm", &[], norm),
            ("flat", &[], Op::Flatten {}),
            ("fc", &[], linear(30, 3)),
        ];
        let constant = models(graph(&[2, 3, 5], nodes.clone()), Ending::Logits);
        assert!(finite_on(&constant).iter().all(|&(_, finite)| !finite), "{:?}", finite_on(&constant));
        let varied =
            models(graph(&[2, 3, 5], [vec![("constant", &["input"][..], scale(1.0, 0.3))], nodes[1..].to_vec()].concat()), Ending::Logits);
        assert!(finite_on(&varied).iter().all(|&(_, finite)| finite), "{:?}", finite_on(&varied));
    }
    // Logits whose difference single precision does not hold.
    let mut far = models(with(vec![("flat", &["input"], Op::Flatten {})], vec![("fc", &[], linear(6, 2))]), Ending::Logits);
    let mut member = far.ensemble.members()[0].clone();
    member.network = with_weights(&member.network, |name, values| {
        if name == "fc.bias" {
            values.copy_from_slice(&[3e38, -3e38]);
        }
    });
    far.ensemble = Ensemble::new(vec![member]).unwrap();
    assert!(finite_on(&far).iter().all(|&(_, finite)| finite), "{:?}", finite_on(&far));
    hold(
        "logits that are far apart",
        &Case {
            draws: Draws::Deterministic,
            ..Case::new(models(with(far_apart(), vec![("near", &[], scale(1e-3, 0.0))]), Ending::Logits), 2, 0..1)
        },
    );
}
