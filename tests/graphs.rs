//! The conformance suite of graphs: every operation and whole networks, on every engine.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use crate::cli::read_npz;
use crate::conformance::{Answer, Case};
use crate::controls::controls;
use crate::engines::{hold, hold_with};
use crate::networks::{graph_classifier, names};
use epistemap::engine::{self, Draws, Masks, Models};
use epistemap::jobs::{MapSettings, ModelSet, map};
use epistemap::latent::View;
use epistemap::nets::architectures::{Builder, InvertedResidual, convolutional_decoder, mobile_net, resnet};
use epistemap::nets::{
    Classifier, Covariance, Description, Ending, Ensemble, FUNCTIONS, Function, Graph, Interpolation, Likelihood, Network, Node, Op,
    random_graph_weights,
};
use epistemap::uncertainty::Measure;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

fn case(graph: Graph, points: usize, draws: std::ops::Range<u32>) -> Case {
    let ensemble = Ensemble::new(vec![graph_classifier(graph, 1)]).unwrap();
    Case::new(Models::new(None, ensemble).unwrap(), points, draws)
}

/// A classifier of images [2, 7, 9] around an operation: what `nodes` makes of the input goes through a dropout, which makes the trunk of
/// it, and a linear layer.
fn around(nodes: Vec<(&str, &[&str], Op)>) -> Graph {
    let build = |nodes: Vec<(&str, &[&str], Op)>| {
        let mut builder = Builder::default();
        for (name, inputs, op) in nodes {
            builder.of(name, inputs, op);
        }
        builder
    };
    let shape = build(nodes.clone()).graph(&[2, 7, 9]).unwrap().output_shape().to_vec();
    let mut builder = build(nodes);
    builder.then("end.flat", Op::Flatten {});
    builder.dropout("end.drop", 0.25, false);
    builder.then("end.fc", Op::Linear { inputs: shape.iter().product(), outputs: 3, bias: true });
    builder.graph(&[2, 7, 9]).unwrap()
}

fn conv(channels: [usize; 2], kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2], dilation: [usize; 2], groups: usize) -> Op {
    let [in_channels, out_channels] = channels;
    Op::Conv2d { in_channels, out_channels, kernel, stride, padding, dilation, groups, bias: groups != 2 }
}

fn transposed(channels: [usize; 2], kernel: [usize; 2], [stride, padding]: [[usize; 2]; 2], more: [[usize; 2]; 2], groups: usize) -> Op {
    let ([in_channels, out_channels], [output_padding, dilation]) = (channels, more);
    Op::ConvTranspose2d { in_channels, out_channels, kernel, stride, padding, output_padding, dilation, groups, bias: groups == 1 }
}

/// One graph and more for every operation.
fn rows() -> Vec<(String, Graph)> {
    let (max, mean) = (
        |kernel, stride, padding, ceil_mode| Op::MaxPool2d { kernel, stride, padding, ceil_mode },
        |kernel, stride, padding, ceil_mode, count_include_pad| Op::AveragePool2d { kernel, stride, padding, ceil_mode, count_include_pad },
    );
    let up = |size, mode, align_corners| Op::Upsample { size, mode, align_corners };
    let single: Vec<Op> = vec![
        conv([2, 5], [3, 2], [2, 1], [1, 0], [1, 2], 1),
        conv([2, 6], [3, 3], [1, 2], [2, 1], [2, 1], 2),
        conv([2, 4], [3, 3], [1, 1], [1, 1], [1, 1], 2),
        conv([2, 2], [3, 5], [2, 1], [1, 2], [1, 1], 2),
        transposed([2, 3], [4, 4], [[2, 2], [1, 1]], [[0, 0], [1, 1]], 1),
        transposed([2, 4], [3, 2], [[2, 3], [1, 0]], [[1, 2], [1, 1]], 2),
        transposed([2, 3], [2, 3], [[1, 2], [0, 2]], [[0, 1], [3, 2]], 1),
        transposed([2, 3], [1, 2], [[3, 1], [0, 0]], [[2, 0], [1, 1]], 1),
        max([3, 2], [2, 2], [1, 0], false),
        max([2, 3], [2, 2], [0, 1], true),
        mean([3, 2], [2, 2], [1, 1], true, true),
        mean([3, 2], [2, 1], [1, 0], false, false),
        Op::GlobalAveragePool {},
        Op::Softmax {},
        Op::LogSoftmax {},
        Op::Scale { factor: -1.5, offset: 0.25 },
        Op::Flatten {},
        Op::Reshape { shape: vec![9, 2, 7] },
        Op::ZeroPad { padding: [1, 2, 3, 0] },
        up([11, 5], Interpolation::Nearest, false),
        up([11, 5], Interpolation::Bilinear, false),
        up([4, 13], Interpolation::Bilinear, true),
        Op::BatchNorm { channels: 2, epsilon: 1e-3 },
        Op::GroupNorm { groups: 2, channels: 2, epsilon: 1e-3 },
        Op::LayerNorm { shape: vec![2, 7, 9], epsilon: 1e-3 },
        Op::Normalise { mean: vec![0.4, 0.6], std: vec![0.2, 0.5] },
        Op::Dropout { rate: 0.3, stream: 70 },
        Op::Dropout2d { rate: 0.5, stream: 70_000 },
    ];
    let mut rows: Vec<(String, Graph)> = single.into_iter().map(|op| (format!("{op:?}"), around(vec![("op", &["input"], op)]))).collect();
    for function in FUNCTIONS {
        // Ln of positive numbers.
        let first = if function == (Function::Ln {}) { (1.0, 0.5) } else { (4.0, -2.0) };
        let spread = Op::Scale { factor: first.0, offset: first.1 };
        rows.push((format!("{function:?}"), around(vec![("spread", &["input"], spread), ("op", &[], Op::Apply(function))])));
    }
    let narrow = || conv([2, 3], [3, 3], [1, 1], [1, 1], [1, 1], 1);
    let gate = || ("gate", &["input"][..], Op::GlobalAveragePool {});
    rows.extend([
        ("add".to_owned(), around(vec![("a", &["input"], narrow()), ("b", &["input"], narrow()), ("op", &["a", "b", "a"], Op::Add {})])),
        ("add of channels".to_owned(), around(vec![gate(), ("op", &["input", "gate"], Op::Add {})])),
        ("multiply".to_owned(), around(vec![("a", &["input"], Op::Apply(Function::Tanh {})), ("op", &["input", "a"], Op::Multiply {})])),
        ("gates".to_owned(), around(vec![gate(), ("op", &["input", "gate"], Op::Multiply {})])),
        ("concatenate".to_owned(), around(vec![("a", &["input"], narrow()), ("op", &["a", "input", "a"], Op::Concatenate {})])),
        (
            "pool after a function".to_owned(),
            around(vec![
                ("a", &["input"], conv([2, 8], [3, 3], [1, 1], [1, 1], [1, 1], 1)),
                ("t", &[], Op::Apply(Function::Tanh {})),
                ("b", &[], conv([8, 9], [3, 3], [1, 1], [1, 1], [1, 1], 1)),
                ("e", &[], Op::Apply(Function::LeakyRelu { slope: -0.5 })),
                ("op", &[], max([2, 2], [2, 2], [0, 0], false)),
            ]),
        ),
    ]);
    let turned = ("turned", &[][..], Op::Reshape { shape: vec![9, 7, 8] });
    let wide = || ("wide", &["input"][..], conv([2, 8], [3, 3], [1, 1], [1, 1], [1, 1], 1));
    let again = |padding| ("op", &[][..], conv([9, 8], [3, 3], [1, 1], padding, [1, 1], 1));
    rows.extend([
        ("pool behind a reshape".to_owned(), around(vec![wide(), turned.clone(), ("op", &[], max([2, 2], [2, 2], [0, 0], false))])),
        ("convolution behind a reshape".to_owned(), around(vec![wide(), turned.clone(), again([0, 0])])),
        ("padded convolution behind a reshape".to_owned(), around(vec![wide(), turned, again([1, 1])])),
    ]);
    for covariance in [Covariance::Kronecker, Covariance::Full] {
        let wide = [("flat", &["input"][..], Op::Flatten {}), ("narrow", &[], Op::Linear { inputs: 126, outputs: 4, bias: false })];
        let gaussian = ("op", &[][..], Op::GaussianLinear { inputs: 4, outputs: 3, covariance, stream: 9 });
        rows.push((format!("gaussian {covariance:?}"), around(wide.into_iter().chain([gaussian]).collect())));
    }
    rows
}

#[test]
fn every_operation_has_a_row() {
    let graphs = rows();
    let ops: BTreeSet<String> = graphs.iter().flat_map(|(_, graph)| graph.nodes()).map(|node| node.op.label()).collect();
    let known = [names::<Op>("op"), names::<Function>("function")];
    assert!(known[0].contains("conv_transpose2d") && known[1].contains("hard_swish"), "{known:?}");
    // Functions are called by their own names.
    let missing: Vec<&String> = known.iter().flatten().filter(|name| *name != "apply" && !ops.contains(*name)).collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
}

#[test]
fn every_operation_on_every_engine() {
    for (what, graph) in rows() {
        let case = case(graph, 5, 1..4);
        let member = &case.models.ensemble.members()[0];
        let of = |network| {
            let ensemble = Ensemble::new(vec![Classifier { network, ..member.clone() }]).unwrap();
            Case { models: Models::new(None, ensemble).unwrap(), ..case.clone() }
        };
        let controls: Vec<_> = controls(&member.network, "op").into_iter().map(|(what, network)| (what, of(network))).collect();
        assert!(!controls.is_empty(), "{what} has no negative control");
        hold_with(&what, &case, &Answer::of_reference(&case), &[case.twins(), controls].concat());
        hold(&format!("{what}, masks per point"), &case.per_point(vec![8, 70_000, 1, 2, 3]));
    }
}

/// Dropout behind the stem, within a block and before the last layer.
fn dropout_in_three_places() -> Graph {
    let mut builder = Builder::default();
    let stem = conv([1, 4], [3, 3], [1, 1], [1, 1], [1, 1], 1);
    builder.then("stem", stem);
    let stem = builder.then("relu", Op::Apply(Function::Relu {}));
    builder.dropout("drop1", 0.2, true);
    let dropped = builder.last();
    builder.of("a", &[&stem], conv([4, 4], [3, 3], [1, 1], [1, 1], [1, 1], 1));
    builder.of("b", &[&dropped], conv([4, 4], [3, 3], [1, 1], [1, 1], [1, 1], 1));
    builder.dropout("drop2", 0.5, false);
    let b = builder.last();
    builder.of("sum", &["a", &b, &stem], Op::Add {});
    builder.then("pool", Op::GlobalAveragePool {});
    builder.then("flat", Op::Flatten {});
    builder.dropout("drop3", 0.5, false);
    builder.then("fc", Op::Linear { inputs: 4, outputs: 3, bias: true });
    builder.graph(&[1, 7, 9]).unwrap()
}

/// A U-shape: what goes down is joined to what comes up again.
fn u_shape() -> Graph {
    let mut builder = Builder::default();
    let down = builder.then("down", conv([1, 4], [3, 3], [1, 1], [1, 1], [1, 1], 1));
    builder.then("pool", Op::MaxPool2d { kernel: [2, 2], stride: [2, 2], padding: [0, 0], ceil_mode: false });
    builder.then("deep", conv([4, 6], [3, 3], [1, 1], [1, 1], [1, 1], 1));
    builder.then("silu", Op::Apply(Function::Silu {}));
    builder.dropout("drop", 0.3, true);
    builder.then("up", Op::Upsample { size: [7, 9], mode: Interpolation::Bilinear, align_corners: false });
    builder.of("joined", &["up", &down], Op::Concatenate {});
    builder.then("out", conv([10, 3], [3, 3], [2, 2], [0, 0], [1, 1], 1));
    builder.then("mean", Op::GlobalAveragePool {});
    builder.then("flat", Op::Flatten {});
    builder.graph(&[1, 7, 9]).unwrap()
}

fn small_mobile_net() -> Graph {
    let blocks = [InvertedResidual { channels: 3, stride: 1 }, InvertedResidual { channels: 5, stride: 2 }];
    mobile_net([1, 11, 9], 3, 3, &blocks, (2, 7), true, 0.4).unwrap()
}

#[test]
fn whole_networks_on_every_engine() {
    for (what, graph) in [
        ("residual network", resnet([2, 9, 11], 4, &[8, 9], 1, [0.0, 0.5]).unwrap()),
        ("residual network with dropout in blocks", resnet([1, 8, 7], 3, &[3, 5], 2, [0.2, 0.5]).unwrap()),
        ("inverted residuals with gates", small_mobile_net()),
        ("dropout in three places", dropout_in_three_places()),
        ("U-shape", u_shape()),
    ] {
        let case = case(graph, 35, 2..5);
        hold(what, &case);
        hold(&format!("{what}, deterministic"), &Case { draws: Draws::Deterministic, ..case.clone() });
        hold(&format!("{what}, masks per point"), &case.per_point((100..135).collect()));
    }
}

#[test]
fn a_decoder_of_transposed_convolutions() {
    let decoder = convolutional_decoder([1, 8, 12], &[3, 5], 3).unwrap();
    let weights = random_graph_weights(&decoder, 4);
    let decoder = Network::of(decoder, &weights).unwrap();
    let ensemble = Ensemble::new(vec![graph_classifier(resnet([1, 8, 12], 3, &[4], 1, [0.0, 0.5]).unwrap(), 2)]).unwrap();
    hold("latent points", &Case::new(Models::new(Some(decoder), ensemble).unwrap(), 35, 0..3));
}

#[test]
fn a_classifier_may_end_in_probabilities_or_their_logarithms() {
    let ends = |last: Option<Op>, ending: Ending| {
        let mut builder = Builder::default();
        builder.then("flat", Op::Flatten {});
        builder.dropout("drop", 0.5, false);
        builder.then("fc", Op::Linear { inputs: 6, outputs: 3, bias: true });
        if let Some(op) = last {
            builder.then("end", op);
        }
        let classifier = graph_classifier(builder.graph(&[1, 2, 3]).unwrap(), 1).ending_in(ending);
        Models::new(None, Ensemble::new(vec![classifier]).unwrap()).unwrap()
    };
    let of = |models: Models, name: &str| {
        let case = Case::new(models, 3, 0..4);
        engine::open(name, Arc::new(case.models.clone())).unwrap().probabilities(&case.whole()).unwrap()
    };
    let sigmoid = || Some(Op::Apply(Function::Sigmoid {}));
    for engine in ["reference", "cpu"] {
        let logits = of(ends(None, Ending::Logits), engine);
        let same = |models: Models| of(models, engine).iter().zip(&logits).all(|(a, b)| (a - b).abs() <= 1e-6);
        assert!(same(ends(Some(Op::Softmax {}), Ending::Probabilities)));
        assert!(same(ends(Some(Op::LogSoftmax {}), Ending::LogProbabilities)));
        assert!(!same(ends(Some(Op::Softmax {}), Ending::Logits)), "the negative control");
        // Not a softmax, but taken for probabilities: they are made to sum to 1.
        let odd = of(ends(sigmoid(), Ending::Probabilities), engine);
        assert!(odd.chunks(3).all(|p| (p.iter().sum::<f64>() - 1.0).abs() <= 1e-6) && !same(ends(sigmoid(), Ending::Probabilities)));
    }
}

/// The maps of the shipped models, whose files are of version 1, as the program made them before it had graphs.
#[test]
fn maps_of_version_1_models_have_not_changed() {
    let set = ModelSet::shipped().unwrap();
    let settings = MapSettings {
        view: View::square([-6.0, 6.0], 5).unwrap(),
        samples: 4,
        members: vec![0, 1],
        seed: 7,
        masks: Masks::Shared,
        deterministic: false,
    };
    for (name, tolerance) in [("reference", 0.0), ("cpu", 1e-6)] {
        let before = read_npz(&std::fs::read(format!("tests/reference/map-before-graphs-{name}.npz")).unwrap());
        let mut engine = engine::open(name, Arc::clone(&set.models)).unwrap();
        let map = map(&set, engine.as_mut(), &settings, &mut |_| ControlFlow::Continue(())).unwrap();
        for measure in [Measure::PredictiveEntropy, Measure::MutualInformation, Measure::MaximumProbability] {
            let now = map.measure(measure, &[0, 1]).unwrap();
            let before = &before[measure.key()].values;
            let largest = now.iter().zip(before).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
            assert!(now.len() == 25 && largest <= tolerance, "{name}, {}: {largest}", measure.key());
        }
    }
}

/// The order of nodes in a file means nothing.
#[test]
fn a_shuffled_graph_is_the_same_network() {
    let graph = dropout_in_three_places();
    let mut nodes: Vec<Node> = serde_json::from_value(serde_json::to_value(&graph).unwrap()).unwrap();
    let names: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
    for (at, node) in nodes.iter_mut().enumerate() {
        if node.inputs.is_empty() {
            node.inputs = vec![if at == 0 { "input".to_owned() } else { names[at - 1].clone() }];
        }
    }
    nodes.reverse();
    let shuffled = Graph::new(&[1, 7, 9], nodes).unwrap();
    let weights = random_graph_weights(&graph, 1);
    let of = |graph: Graph| {
        let mut case = case(graph.clone(), 2, 0..3);
        let member = Classifier { network: Network::of(graph, &weights).unwrap(), ..case.models.ensemble.members()[0].clone() };
        case.models.ensemble = Ensemble::new(vec![member]).unwrap();
        engine::open("reference", Arc::new(case.models.clone())).unwrap().probabilities(&case.whole()).unwrap()
    };
    let (a, b) = (of(graph), of(shuffled));
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-12));
}

/// `docs/model-format.md` names every operation and function, and its examples are models.
#[test]
fn the_model_format_is_documented() {
    let text = std::fs::read_to_string("docs/model-format.md").unwrap();
    for name in names::<Op>("op").iter().chain(&names::<Function>("function")) {
        assert!(text.contains(&format!("`{name}`")), "docs/model-format.md does not name {name}");
    }
    let mut examples = text.split("```json").skip(1).filter_map(|rest| rest.split("```").next()).map(|example| {
        let description = Description::parse(example.as_bytes()).unwrap();
        assert_eq!(Description::parse(&serde_json::to_vec(&description).unwrap()).unwrap(), description);
        description
    });
    let Some(Description::Classifier { graph, ending, .. }) = examples.next() else { panic!("no classifier") };
    assert_eq!((graph.nodes().len(), graph.output_shape(), ending), (9, &[3][..], Ending::Logits));
    let Some(Description::Vae { graphs, .. }) = examples.next() else { panic!("no VAE") };
    assert_eq!(graphs.likelihood, Likelihood::Gaussian { variance: 0.01 });
    assert_eq!(examples.count(), 0);
}
