//! Gradients against finite differences and against an independent implementation's numbers (`tests/reference/make.py`).

use super::composed;
use super::input::Networks;
use super::operations;
use super::tape::Tape;
use super::train::{VaeNetworks, elbo, negative_log_likelihood};
use super::{Answer, Forward, InputGradients, Loss, Masks, Objective, Parameters, Pass, Passes, Randomness};
use crate::nets::{
    Classifier, Covariance, Ensemble, FUNCTIONS, Function, Graph, Layer, Network, Op, Tensor as Weight, VaeGraphs, VaeLayers, Weights,
    random_graph, random_weights,
};
use crate::random::{Purpose, Stream};
use candle_core::{D, DType, Device, Result, Tensor, Var};
use serde_json::Value;
use std::collections::BTreeMap;

fn reference(name: &str) -> Value {
    let path = format!("{}/tests/reference/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A nested JSON list as its shape and values.
fn weight(value: &Value) -> Weight {
    fn walk(value: &Value, values: &mut Vec<f64>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| walk(item, values)),
            number => values.push(number.as_f64().unwrap()),
        }
    }
    let (mut shape, mut level, mut values) = (Vec::new(), value, Vec::new());
    while let Value::Array(items) = level {
        shape.push(items.len());
        level = &items[0];
    }
    walk(value, &mut values);
    Weight::new(shape, values)
}

fn weights(value: &Value) -> Weights {
    value.as_object().unwrap().iter().map(|(name, value)| (name.clone(), weight(value))).collect()
}

fn tensor(weight: &Weight) -> Tensor {
    Tensor::from_slice(&weight.values, weight.shape.as_slice(), &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The largest |a − b| / (|b| + 1e-3): NaN, or a different length, is infinite.
fn difference(a: &[f64], b: &[f64]) -> f64 {
    let worst =
        a.iter().zip(b).map(|(a, b)| (a - b).abs() / (b.abs() + 1e-3)).fold(0.0, |worst: f64, d| if d <= worst { worst } else { d });
    if a.len() == b.len() && worst.is_finite() { worst } else { f64::INFINITY }
}

fn linear(name: &str, inputs: usize, outputs: usize) -> Layer {
    Layer::Linear { name: name.into(), inputs, outputs }
}

fn convolution(name: &str, channels: [usize; 2], kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2]) -> Layer {
    Layer::Conv2d { name: name.into(), in_channels: channels[0], out_channels: channels[1], kernel, stride, padding }
}

fn odd_classifier() -> Vec<Layer> {
    vec![
        convolution("conv1", [3, 5], [3, 3], [1, 1], [0, 0]),
        Layer::Relu,
        convolution("conv2", [5, 6], [3, 3], [1, 1], [1, 1]),
        Layer::Relu,
        Layer::MaxPool2d { kernel: [2, 2], stride: [2, 2] },
        Layer::Dropout { rate: 0.25 },
        Layer::Flatten,
        linear("fc1", 36, 11),
        Layer::Relu,
        Layer::Dropout { rate: 0.5 },
        linear("fc2", 11, 4),
    ]
}

/// The output of a chain of layers for a batch.
fn forward(layers: &[Layer], parameters: &Parameters, input: &Tensor, masks: Option<Masks<'_>>) -> Result<Tensor> {
    output(Graph::chain(&input.dims()[1..], layers).unwrap(), parameters, input, masks)
}

/// The output of a graph for a batch.
fn output(graph: Graph, parameters: &Parameters, input: &Tensor, masks: Option<Masks<'_>>) -> Result<Tensor> {
    Forward::new(graph).run(parameters, input, Pass { masks, moments: None })
}

#[test]
fn input_gradients_equal_the_reference() -> Result<()> {
    let data = reference("classifier");
    let members: Vec<Weights> = data["members"].as_array().unwrap().iter().map(weights).collect();
    let labels: Vec<u16> = weight(&data["labels"]).values.iter().map(|&label| label as u16).collect();
    let images = Var::from_tensor(&tensor(&weight(&data["images"])))?;
    let layers = odd_classifier();

    let deterministic = |member: &Weights| -> Result<Vec<f64>> {
        let logits = forward(&layers, &Parameters::fixed(member, DType::F64)?, &images, None)?;
        let gradients = negative_log_likelihood(&logits, &labels)?.sum_all()?.backward()?;
        Ok(values(gradients.get(&images).unwrap()))
    };
    let expected = weight(&data["input_gradient_deterministic"]).values;
    assert!(difference(&deterministic(&members[0])?, &expected) <= 1e-9);
    let mut altered = members[0].clone();
    altered.get_mut("conv2.weight").unwrap().values[7] += 1e-3;
    assert!(difference(&deterministic(&altered)?, &expected) > 1e-6, "the negative control");

    // The loss on the mean probability over both members and all their draws.
    let mut draws = Vec::new();
    for (number, member) in members.iter().enumerate() {
        let parameters = Parameters::fixed(member, DType::F64)?;
        for draw in 0..4 {
            let mut masks = |layer: u32, rate: f64, _: &[usize]| -> Result<Tensor> {
                let (key, shape) = if layer == 5 { ("keep_after_pool", vec![1, 6, 3, 2]) } else { ("keep_after_fc1", vec![1, 11]) };
                let keep = tensor(&weight(&data[key][number][draw])).reshape(shape)?;
                let scaled = (keep / (1.0 - rate))?;
                scaled.broadcast_as([&[3], &scaled.dims()[1..]].concat())?.contiguous()
            };
            let logits = forward(&layers, &parameters, &images, Some(&mut masks))?;
            let expected = weight(&data["draw_logits"][number][draw]).values;
            assert!(difference(&values(&logits), &expected) <= 1e-9);
            draws.push((logits.broadcast_sub(&logits.log_sum_exp(D::Minus1)?.unsqueeze(1)?))?.exp()?);
        }
    }
    let mean = Tensor::stack(&draws, 0)?.mean(0)?;
    let gradients = (negative_log_likelihood(&mean.log()?, &labels)?.sum_all()?).backward()?;
    assert!(difference(&values(gradients.get(&images).unwrap()), &weight(&data["input_gradient_mc_mean"]).values) <= 1e-9);
    Ok(())
}

#[test]
fn the_elbo_equals_the_reference() -> Result<()> {
    let data = reference("vae");
    let layers = VaeLayers {
        encoder: vec![Layer::Flatten, linear("enc1", 189, 8), Layer::Elu],
        mean: vec![linear("mu", 8, 2)],
        log_variance: vec![linear("logvar", 8, 2)],
        decoder: vec![linear("dec1", 2, 8), Layer::Elu, linear("dec2", 8, 189), Layer::Reshape { shape: vec![3, 9, 7] }, Layer::Sigmoid],
    };
    let (images, noise) = (tensor(&weight(&data["images"])), tensor(&weight(&data["noise"])));
    let of = |weights: &Weights| -> Result<f64> {
        let networks = VaeNetworks::of(&VaeGraphs::of_layers([3, 9, 7], &layers).unwrap()).unwrap();
        let [reconstruction, kl] = elbo(&networks, &Parameters::fixed(weights, DType::F64)?, &images, &noise, Pass::default())?;
        let parts = [(&reconstruction, "reconstruction_nll"), (&kl, "kl"), (&(&reconstruction + &kl)?, "negative_elbo")];
        Ok(parts.map(|(got, key)| difference(&values(got), &weight(&data[key]).values)).into_iter().fold(0.0, f64::max))
    };
    let mut weights = weights(&data["weights"]);
    assert!(of(&weights)? <= 1e-9);
    weights.get_mut("logvar.bias").unwrap().values[1] += 1e-6;
    assert!(of(&weights)? > 1e-9, "the negative control");
    Ok(())
}

/// A convolutional network, and random graphs of images and of vectors.
fn graphs() -> Vec<Graph> {
    let is_trained = |op: &Op| !matches!(op, Op::GaussianLinear { .. });
    let random = |seed: u32| {
        let shape = [&[2, 6, 5][..], &[5], &[1, 8, 3]][seed as usize % 3];
        random_graph(shape, 3, 2 + seed as usize, seed, is_trained).unwrap()
    };
    [Graph::chain(&[3, 9, 7], &odd_classifier()).unwrap()].into_iter().chain((0..9).map(random)).collect()
}

#[test]
fn gradients_equal_finite_differences() -> Result<()> {
    let stream = Stream::new(3, Purpose::Weights);
    for (number, graph) in graphs().into_iter().enumerate() {
        let random = |address: u32, shape: &[usize]| {
            let count = shape.iter().product::<usize>();
            // Above 0, so that a batch norm's variance is one.
            let values = (0..count).map(|i| stream.uniform([number as u32, address, 0], i as u32) + 0.1).collect();
            Weight::new(shape, values)
        };
        let mut start = BTreeMap::from([("input".to_owned(), random(0, &[&[2], graph.input_shape()].concat()))]);
        for (index, (name, shape)) in graph.weights().enumerate() {
            let mut weight = random(1 + index as u32, &shape);
            if !name.ends_with("running_var") {
                weight.values.iter_mut().for_each(|value| *value -= 0.6);
            }
            start.insert(name, weight);
        }
        let loss = |at: &BTreeMap<String, Weight>| -> Result<(f64, BTreeMap<String, Vec<f64>>)> {
            let variables: BTreeMap<String, Var> =
                at.iter().map(|(name, weight)| (name.clone(), Var::from_tensor(&tensor(weight)).unwrap())).collect();
            let mut masks = |layer: u32, rate: f64, shape: &[usize]| {
                let keep = (0..shape.iter().product())
                    .map(|i| f64::from(u8::from(stream.uniform([9, layer, 0], i as u32) >= rate)) / (1.0 - rate));
                Tensor::from_vec(keep.collect::<Vec<_>>(), shape, &Device::Cpu)
            };
            let output = output(graph.clone(), &Parameters::trained(&variables), &variables["input"], Some(&mut masks))?;
            // Unequal weights of the outputs, so that no transposition goes unseen.
            let weights = tensor(&random(99, output.dims()));
            let loss = (output.sqr()? * weights)?.sum_all()?;
            let gradients = loss.backward()?;
            let trained = variables.iter().filter(|(name, _)| !Op::is_statistic(name));
            let gradients = trained.map(|(name, variable)| (name.clone(), values(gradients.get(variable).unwrap()))).collect();
            Ok((loss.to_scalar()?, gradients))
        };
        let (_, gradients) = loss(&start)?;
        for (name, gradient) in &gradients {
            for index in (0..gradient.len()).step_by(1 + gradient.len() / 11) {
                let mut at = start.clone();
                let mut shifted = |by: f64| -> Result<f64> {
                    at.get_mut(name).unwrap().values[index] += by;
                    Ok(loss(&at)?.0)
                };
                let step = 1e-6;
                let slope = (shifted(step)? - shifted(-2.0 * step)?) / (2.0 * step);
                assert!(
                    difference(&[gradient[index]], &[slope]) <= 1e-5,
                    "network {number}, {name}[{index}]: {} but the slope is {slope}",
                    gradient[index]
                );
                assert!(difference(&[gradient[index] * 1.01 + 1e-3], &[slope]) > 1e-5, "the negative control");
            }
        }
    }
    Ok(())
}

/// The largest difference of values and gradients between the CPU's kernels and candle's own operations, on a network with random weights
/// and masks. `altered` is added to every input of the latter.
fn fused_from_composed(number: usize, altered: f64) -> Result<f64> {
    let stream = Stream::new(11, Purpose::Weights);
    let graph = graphs().remove(number);
    let random = |address: u32, shape: &[usize]| {
        let values = (0..shape.iter().product::<usize>()).map(|i| stream.uniform([number as u32, address, 0], i as u32) - 0.3).collect();
        Weight::new(shape, values)
    };
    let mut start = BTreeMap::from([("input".to_owned(), random(0, &[&[2], graph.input_shape()].concat()))]);
    for (index, (name, shape)) in graph.weights().enumerate() {
        let mut weight = random(1 + index as u32, &shape);
        if name.ends_with("running_var") {
            weight.values.iter_mut().for_each(|value| *value += 0.5);
        }
        start.insert(name, weight);
    }
    // Windows with equal elements, and a corner at 0: the choice among slopes is the same.
    start.get_mut("input").unwrap().values[..7].fill(0.0);
    let run = |composed: bool| -> Result<Vec<f64>> {
        let mut at = start.clone();
        if composed {
            at.get_mut("input").unwrap().values.iter_mut().for_each(|value| *value += altered);
        }
        let variables: BTreeMap<String, Var> =
            at.iter().map(|(name, weight)| (name.clone(), Var::from_tensor(&tensor(weight)).unwrap())).collect();
        let parameters = Parameters::trained(&variables);
        let parameters = if composed { parameters.composed() } else { parameters };
        let mut masks = |layer: u32, rate: f64, shape: &[usize]| {
            let count = shape.iter().product::<usize>() as u32;
            let keep = (0..count).map(|i| f64::from(u8::from(stream.uniform([9, layer, 0], i) >= rate)) / (1.0 - rate));
            Tensor::from_vec(keep.collect::<Vec<_>>(), shape, &Device::Cpu)
        };
        let output = output(graph.clone(), &parameters, &variables["input"], Some(&mut masks))?;
        let gradients = (output.sqr()? * tensor(&random(99, output.dims())))?.sum_all()?.backward()?;
        let trained = variables.iter().filter(|(name, _)| !Op::is_statistic(name));
        let of_variables = trained.flat_map(|(_, variable)| values(gradients.get(variable).unwrap()));
        Ok(values(&output).into_iter().chain(of_variables).collect())
    };
    Ok(difference(&run(true)?, &run(false)?))
}

#[test]
fn operations_of_candle_give_what_the_kernels_give() -> Result<()> {
    let (count, mut told) = (graphs().len(), 0);
    for number in 0..count {
        let apart = fused_from_composed(number, 0.0)?;
        assert!(apart <= 1e-9, "graph {number}: {apart}");
        told += usize::from(fused_from_composed(number, 1e-3)? > 1e-6);
    }
    // A normalisation forgets what is added to all of its input.
    assert!(2 * told > count, "the negative control: {told} of {count} graphs tell another input");
    // At a corner, at 0, and where exponentials overflow.
    let x = Tensor::new(&[-800.0, -1.5, 0.0, 1e-9, 2.0, 800.0], &Device::Cpu)?;
    for function in FUNCTIONS.into_iter().filter(|function| ![Function::Exp {}, Function::Ln {}].contains(function)) {
        let of = |composed: bool| -> Result<Vec<f64>> {
            let x = Var::from_tensor(&x)?;
            let y = if composed { composed::apply(&x, function)? } else { operations::apply(&x, function)? };
            let gradients = y.sum_all()?.backward()?;
            Ok([values(&y), values(gradients.get(&x).unwrap())].concat())
        };
        let apart = difference(&of(true)?, &of(false)?);
        assert!(apart <= 1e-9, "{function:?}: {apart}");
    }
    Ok(())
}

#[test]
fn the_tape_answers_as_the_steps_do() {
    let gaussian = |name: &str, inputs, outputs, covariance| Layer::GaussianLinear { name: name.into(), inputs, outputs, covariance };
    let mut drawn = odd_classifier();
    drawn.truncate(9);
    drawn.extend([
        gaussian("g", 11, 7, Covariance::Kronecker),
        Layer::Tanh,
        Layer::Dropout { rate: 0.3 },
        gaussian("h", 7, 4, Covariance::Full),
    ]);
    let sure = odd_classifier().into_iter().filter(|layer| !layer.is_dropout()).collect();
    let classes: Vec<String> = (0..4).map(|class| class.to_string()).collect();
    let members = [odd_classifier(), drawn, sure].into_iter().enumerate().map(|(number, layers): (usize, Vec<Layer>)| {
        let network = Network::new(&[3, 9, 7], layers.clone(), &random_weights(&layers, number as u32)).unwrap();
        Classifier::new("odd", classes.clone(), network).unwrap()
    });
    let ensemble = Ensemble::new(members.collect()).unwrap();
    let images = weight(&reference("classifier")["images"]).values;
    let tape = |seed| Tape::new(&ensemble, Randomness::of_seed(seed), &Device::Cpu, DType::F64).ok().unwrap();
    let steps = Networks::<f64>::new(&ensemble, Randomness::of_seed(5));
    for draws in [None, Some(3..6)] {
        let objective = Objective { loss: Loss::Evading(0.5), towards: false };
        let passes = Passes { members: vec![2, 0, 1], draws: draws.clone() };
        let answer =
            |networks: &dyn InputGradients, gradients| networks.answer(&images, &[0, 3, 1], &passes, objective, gradients).unwrap();
        let (expected, got) = (answer(&steps, true), answer(&tape(5), true));
        let apart = |got: &Answer| {
            let parts = [(&got.values, &expected.values), (&got.mean, &expected.mean), (&got.gradients, &expected.gradients)];
            parts.map(|(a, b)| difference(a, b)).into_iter().fold(0.0, f64::max)
        };
        assert!(apart(&got) <= 1e-9, "{draws:?}: {}", apart(&got));
        assert_eq!(answer(&tape(5), false).values, got.values);
        assert!(draws.is_none() || apart(&answer(&tape(6), true)) > 1e-3, "the negative control");
    }
}

#[test]
fn single_precision_follows_double() -> Result<()> {
    let data = reference("classifier");
    let images = tensor(&weight(&data["images"])).to_dtype(DType::F32)?;
    for (member, logits) in data["members"].as_array().unwrap().iter().zip(data["logits"].as_array().unwrap()) {
        let got = forward(&odd_classifier(), &Parameters::fixed(&weights(member), DType::F32)?, &images, None)?;
        assert!(difference(&values(&got.to_dtype(DType::F64)?), &weight(logits).values) <= 1e-4);
    }
    Ok(())
}

#[test]
fn draws_in_blocks_answer_as_all_at_once() {
    let data = reference("classifier");
    let members = data["members"].as_array().unwrap().iter().map(|member| {
        let network = Network::new(&[3, 9, 7], odd_classifier(), &weights(member)).unwrap();
        Classifier::new("odd", (0..4).map(|class| class.to_string()).collect(), network).unwrap()
    });
    let ensemble = Ensemble::new(members.collect()).unwrap();
    let images = weight(&data["images"]).values;
    let answer = |most_bytes: usize, draws: std::ops::Range<u32>| {
        let mut networks = Networks::<f64>::new(&ensemble, Randomness::of_seed(7));
        networks.most_bytes = most_bytes;
        let objective = Objective { loss: Loss::Evading(0.5), towards: false };
        networks.answer(&images, &[0, 3, 1], &Passes { members: vec![1, 0], draws: Some(draws) }, objective, true).unwrap()
    };
    let whole = answer(usize::MAX / 8, 0..5);
    // One draw at a time; two or three; and room for one member only.
    for most_bytes in [0, 8 * 36 * 6 * 10, 8 * 36 * 6 * 5] {
        let parts = answer(most_bytes, 0..5);
        assert_eq!(parts.values, whole.values);
        assert!(difference(&parts.gradients, &whole.gradients) <= 1e-9);
    }
    assert!(difference(&answer(0, 0..4).gradients, &whole.gradients) > 1e-3, "the negative control");
}
