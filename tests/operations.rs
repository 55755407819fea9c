//! Every operation of a graph against PyTorch's numbers (`tests/reference/torch_ops.py`): the output by the reference engine in double and by the
//! others in single precision, the gradient of the input in both. Every comparison has a twin with one number changed that must fail.

use crate::controls::named_nodes;
use crate::engines::{Open, engines};
use crate::fixtures::{load, numbers, weights};
use crate::networks::{graph_classifier, names};
use epistemap::autodiff::{Loss, MaskOf, NoiseOf, Objective, Passes, Precision, Randomness, input_gradients};
use epistemap::engine::reference::{self, Draw, forward};
use epistemap::engine::{Block, Draws, Input, Masks, Models};
use epistemap::nets::{Classifier, Ensemble, FUNCTIONS, Function, Graph, Network, Node, Op, Weights};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A row of the file.
struct Row {
    about: String,
    graph: Graph,
    weights: Weights,
    input: Vec<f64>,
    output: Vec<f64>,
    label: usize,
    gradient: Vec<f64>,
    /// What is drawn, by stream.
    keep: BTreeMap<usize, Vec<f64>>,
    noise: BTreeMap<usize, Vec<f64>>,
}

impl Row {
    fn of(value: &Value) -> Self {
        let nodes: Vec<Node> = serde_json::from_value(value["nodes"].clone()).unwrap();
        let shape: Vec<usize> = numbers(&value["shape"]).into_iter().map(|axis| axis as usize).collect();
        let drawn = |key: &str| {
            let streams = value[key].as_object().into_iter().flatten();
            streams.map(|(stream, values)| (stream.parse().unwrap(), numbers(values))).collect()
        };
        Self {
            about: value["about"].as_str().unwrap().to_owned(),
            graph: Graph::new(&shape, nodes).unwrap(),
            weights: weights(&value["weights"]),
            input: numbers(&value["input"]),
            output: numbers(&value["output"]),
            label: value["label"].as_u64().unwrap() as usize,
            gradient: numbers(&value["gradient"]),
            keep: drawn("keep"),
            noise: drawn("noise"),
        }
    }

    fn kept(&self, stream: usize) -> Vec<bool> {
        self.keep[&stream].iter().map(|&keep| keep > 0.0).collect()
    }

    fn draws(&self) -> bool {
        !self.keep.is_empty() || !self.noise.is_empty()
    }

    fn network(&self) -> Network {
        Network::of(self.graph.clone(), &self.weights).unwrap()
    }

    fn output_of(&self, input: &[f64]) -> Vec<f64> {
        let keep = |stream: usize, _: f64, units: usize| Some(self.kept(stream)).filter(|kept| kept.len() == units).unwrap();
        let noise = |stream: usize, _: usize| self.noise[&stream].clone();
        forward(&self.network(), input, Some(Draw { keep: &keep, noise: &noise }))
    }

    fn gradient_at(&self, input: &[f64], label: usize, precision: Precision) -> Vec<f64> {
        let ensemble = Ensemble::new(vec![classifier_of(self.network())]).unwrap();
        let (keep, noise) = (self.keep.clone(), self.noise.clone());
        let random = Randomness {
            keep: Box::new(move |MaskOf { stream, .. }| keep[&(stream as usize)].iter().map(|&keep| keep > 0.0).collect()),
            noise: Box::new(move |NoiseOf { stream, .. }| noise[&(stream as usize)].clone()),
        };
        let objective = Objective { loss: Loss::MeanProbability, towards: false };
        // Twice the image and twice the draw: nothing may go from one to the other, and the mean stays what it is.
        let images = [input, input].concat();
        let passes = Passes { members: vec![0], draws: Some(0..2) };
        let answer = input_gradients(&ensemble, precision, random).answer(&images, &[label; 2], &passes, objective, true).unwrap();
        let (first, second) = answer.gradients.split_at(input.len());
        assert_eq!(first, second, "{}", self.about);
        first.to_vec()
    }
}

fn classifier_of(network: Network) -> Classifier {
    let classes = (0..network.output_shape()[0]).map(|class| class.to_string()).collect();
    Classifier::new("one", classes, network).unwrap()
}

fn rows() -> Vec<Row> {
    load("ops.json").as_array().unwrap().iter().map(Row::of).collect()
}

/// The largest difference, relative to the largest number; infinite for NaN and other lengths.
fn apart(got: &[f64], expected: &[f64]) -> f64 {
    let largest = expected.iter().fold(1e-3, |most: f64, value| most.max(value.abs()));
    let worst = got.iter().zip(expected).map(|(a, b)| (a - b).abs() / largest).fold(0.0, |worst, d| if d <= worst { worst } else { d });
    if got.len() == expected.len() && worst.is_finite() { worst } else { f64::INFINITY }
}

/// The input with one element in the middle moved.
fn moved(input: &[f64]) -> Vec<f64> {
    let mut moved = input.to_vec();
    moved[input.len() / 2] += 0.37;
    moved
}

#[test]
fn outputs_are_those_of_pytorch() {
    for row in rows() {
        let got = apart(&row.output_of(&row.input), &row.output);
        assert!(got <= 1e-9, "{}: {got}", row.about);
        // A dropped element may be the one that moved: then another.
        let twins = [moved(&row.input), row.input.iter().map(|x| x + 0.37).collect()];
        assert!(twins.iter().any(|twin| apart(&row.output_of(twin), &row.output) > 1e-9), "the twin of {}", row.about);
    }
}

/// The answer of an engine to one row: its network stands for a decoder, whose images are the outputs. Where it draws, what a classifier of it
/// answers with masks and weights of this program.
fn answer_of(open: Open, row: &Row, input: &[f64]) -> Vec<f64> {
    let pixels: usize = row.graph.output_shape().iter().product();
    let mut nodes = named_nodes(&row.graph);
    nodes.push(Node { name: "as an image".into(), inputs: Vec::new(), op: Op::Reshape { shape: vec![1, 1, pixels] } });
    let decoder = Network::of(Graph::new(row.graph.input_shape(), nodes).unwrap(), &row.weights).unwrap();
    if row.draws() {
        let models = Models::new(None, Ensemble::new(vec![classifier_of(row.network())]).unwrap()).unwrap();
        let images: Vec<f32> = input.iter().map(|&x| x as f32).collect();
        let (input, draws) = (Input::Images(&images), Draws::Sampled(0..3));
        let block = Block { input, point_numbers: &[0], members: &[0], draws, groups: 1, seed: 5, masks: Masks::Shared };
        return open(Arc::new(models)).unwrap().probabilities(&block).unwrap();
    }
    let flatten = Node { name: "flat".into(), inputs: Vec::new(), op: Op::Flatten {} };
    let classes = Node { name: "fc".into(), inputs: Vec::new(), op: Op::Linear { inputs: pixels, outputs: 2, bias: true } };
    let classifier = graph_classifier(Graph::new(&[1, 1, pixels], vec![flatten, classes]).unwrap(), 1);
    let models = Models::new(Some(decoder), Ensemble::new(vec![classifier]).unwrap()).unwrap();
    open(Arc::new(models)).unwrap().decode(input).unwrap().into_iter().map(f64::from).collect()
}

#[test]
fn outputs_of_engines_are_those_of_pytorch() {
    let (mut compared, mut drawn) = (0, 0);
    for row in rows() {
        // The reference, which PyTorch's masks and weights have been given to, answers with this program's.
        let expected = if row.draws() { answer_of(reference::open, &row, &row.input) } else { row.output.clone() };
        let is_gaussian = !row.noise.is_empty();
        for (name, open) in engines().into_iter().filter(|(name, _)| *name == "cpu" || *name == "gpu" && !is_gaussian) {
            let got = apart(&answer_of(open, &row, &row.input), &expected);
            assert!(got <= 1e-5, "{name}, {}: {got}", row.about);
            // A dropped element may be the one that moved: then another.
            let twins = [moved(&row.input), row.input.iter().map(|x| x + 0.37).collect()];
            assert!(twins.iter().any(|twin| apart(&answer_of(open, &row, twin), &expected) > 1e-5), "{name}, the twin of {}", row.about);
        }
        compared += 1;
        drawn += usize::from(row.draws());
    }
    assert!(drawn >= 3 && compared > 10 * drawn, "{drawn} of {compared} rows draw");
}

#[test]
fn input_gradients_are_those_of_pytorch() {
    for row in rows() {
        for (precision, tolerance) in [(Precision::Double, 1e-9), (Precision::Single, 1e-5)] {
            let got = apart(&row.gradient_at(&row.input, row.label, precision), &row.gradient);
            assert!(got <= tolerance, "{} in {precision:?}: {got}", row.about);
            // A dropped element may be the one that moved, and two outputs may both be biases: one of the twins differs.
            let twins = [(moved(&row.input), row.label), (row.input.clone(), (row.label + row.output.len() / 2) % row.output.len())];
            let told = twins.iter().any(|(input, label)| apart(&row.gradient_at(input, *label, precision), &row.gradient) > tolerance);
            assert!(told, "the twin of {} in {precision:?}", row.about);
        }
    }
}

#[test]
fn every_operation_and_function_has_a_row() {
    let rows = rows();
    let ops = || rows.iter().flat_map(|row| row.graph.nodes()).map(|node| &node.op);
    let tags = |op: &Op| serde_json::to_value(op).unwrap();
    let covered = |tag: &str| -> BTreeSet<String> { ops().filter_map(|op| Some(tags(op)[tag].as_str()?.to_owned())).collect() };
    assert_eq!(covered("op"), names::<Op>("op"));
    assert_eq!(covered("function"), names::<Function>("function"));
    assert!(names::<Op>("op").len() > 20 && names::<Function>("function").contains("gelu"), "serde says what it knows");
    for function in FUNCTIONS {
        assert!(ops().any(|op| *op == Op::Apply(function)), "{function:?}");
    }
}
