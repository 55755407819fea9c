//! Lowered networks on the device against the reference engine, one for each kind of instruction and some whole ones: odd unequal sizes,
//! more points than one tile holds, masks of both kinds, NaN among the inputs.

use super::device::Device;
use super::kernel::{Kernel, Precision};
use super::network::{Member, Plan};
use super::pass::Pass;
use super::recorder::{Recorder, Slot, Slots, read};
use super::tests::device;
use crate::engine::reference::{Draw, run};
use crate::engine::thinning::thinnable;
use crate::engine::{Block, Draws, Input, Masks};
use crate::nets::lowering::{Program, lower};
use crate::nets::{Ending, FUNCTIONS, Function, Graph, Interpolation, Network, Node, Op, random_graph_weights};
use crate::random::{Purpose, Stream, keep_mask};
use std::collections::HashSet;

const POINTS: usize = 70;
const SEED: u32 = 5;
const MEMBER: u32 = 1;
/// Relative to 1 or the number itself: single precision through some layers.
const TOLERANCE: f64 = 2e-5;

fn node(name: &str, inputs: &[&str], op: Op) -> Node {
    Node { name: name.to_owned(), inputs: inputs.iter().map(|&input| input.to_owned()).collect(), op }
}

/// A chain of operations.
fn chain(operations: impl IntoIterator<Item = Op>) -> Vec<Node> {
    operations.into_iter().enumerate().map(|(number, op)| node(&format!("n{number}"), &[], op)).collect()
}

fn convolution(
    channels: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
    groups: usize,
) -> Op {
    let [in_channels, out_channels] = channels;
    Op::Conv2d { in_channels, out_channels, kernel, stride, padding, dilation, groups, bias: groups != 2 }
}

/// Of 3 channels.
fn transposed(out_channels: usize, kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2], groups: usize) -> Op {
    let output_padding = [1, 0];
    Op::ConvTranspose2d { in_channels: 3, out_channels, kernel, stride, padding, output_padding, dilation: [1, 2], groups, bias: true }
}

fn linear(inputs: usize, outputs: usize) -> Op {
    Op::Linear { inputs, outputs, bias: true }
}

fn dropout(rate: f64, stream: u32) -> Op {
    Op::Dropout { rate, stream }
}

fn upsample(size: [usize; 2], mode: Interpolation, align_corners: bool) -> Op {
    Op::Upsample { size, mode, align_corners }
}

/// Chains on images of [3, 5, 7].
fn chains() -> Vec<(&'static str, Vec<Node>)> {
    let one = [1, 1];
    let (relu, tanh) = (Op::Apply(Function::Relu {}), Op::Apply(Function::Tanh {}));
    let (kernel, stride, padding, ceil_mode) = ([3, 2], [2, 3], [1, 1], true);
    let mean = |count_include_pad| Op::AveragePool2d { kernel, stride, padding, ceil_mode, count_include_pad };
    let most = Op::MaxPool2d { kernel, stride, padding, ceil_mode };
    vec![
        ("convolution", chain([convolution([3, 35], [2, 3], [2, 1], [1, 2], [1, 2], 1), relu.clone()])),
        (
            "convolution, functions and a pool",
            chain([convolution([3, 9], [3, 3], one, one, one, 1), relu.clone(), tanh.clone(), most.clone()]),
        ),
        ("large groups", chain([convolution([3, 27], [2, 2], [1, 2], [0, 1], one, 3), Op::Apply(Function::Silu {})])),
        ("depthwise", chain([convolution([3, 6], [3, 2], [1, 2], [2, 1], [2, 1], 3), Op::Apply(Function::LeakyRelu { slope: 0.1 })])),
        (
            "small groups",
            chain([convolution([3, 4], one, one, [0, 0], one, 1), convolution([4, 6], [3, 2], one, one, one, 2), tanh.clone()]),
        ),
        ("transposed", chain([transposed(9, [3, 4], [2, 3], [1, 0], 1), relu.clone()])),
        ("transposed, with phases of a bias alone", chain([transposed(33, [1, 1], [3, 2], [0, 0], 1), tanh.clone()])),
        ("transposed, in large groups", chain([transposed(24, [3, 2], [2, 2], [1, 1], 3)])),
        ("transposed, depthwise", chain([transposed(3, [2, 3], [2, 1], [0, 1], 3), tanh.clone()])),
        ("maxima", chain([most])),
        ("means with the padding", chain([mean(true), tanh.clone()])),
        ("means without the padding", chain([mean(false)])),
        ("global mean", chain([Op::GlobalAveragePool {}])),
        ("zeros around", chain([Op::ZeroPad { padding: [1, 0, 2, 3] }])),
        ("nearest", chain([upsample([8, 9], Interpolation::Nearest, false)])),
        ("bilinear", chain([upsample([9, 4], Interpolation::Bilinear, false)])),
        ("bilinear with corners", chain([upsample([4, 15], Interpolation::Bilinear, true)])),
        ("softmax at pixels", chain([Op::Scale { factor: 3.0, offset: 0.0 }, Op::Softmax {}])),
        ("log-softmax", chain([Op::Flatten {}, linear(105, 7), Op::LogSoftmax {}])),
        ("normalised input", chain([Op::Normalise { mean: vec![0.5, -0.25, 2.0], std: vec![2.0, 0.5, 1.0] }])),
        ("batch norm", chain([Op::BatchNorm { channels: 3, epsilon: 1e-3 }, relu.clone()])),
        ("group norm", chain([Op::GroupNorm { groups: 3, channels: 3, epsilon: 1e-5 }, relu.clone()])),
        ("group norm of one", chain([Op::GroupNorm { groups: 1, channels: 3, epsilon: 1e-5 }])),
        ("layer norm", chain([Op::LayerNorm { shape: vec![3, 5, 7], epsilon: 1e-5 }])),
    ]
}

/// Networks that branch, on such images.
fn branching() -> Vec<(&'static str, Vec<Node>)> {
    let one = [1, 1];
    let (relu, tanh) = (Op::Apply(Function::Relu {}), Op::Apply(Function::Tanh {}));
    vec![
        (
            "sums",
            vec![
                node("a", &["input"], tanh.clone()),
                node("mean", &["input"], Op::GlobalAveragePool {}),
                node("sum", &["a", "input", "mean", "a", "input"], Op::Add {}),
                node("end", &["sum"], relu.clone()),
            ],
        ),
        (
            "squeeze and excitation",
            vec![
                node("mean", &["input"], Op::GlobalAveragePool {}),
                node("squeeze", &["mean"], convolution([3, 2], one, one, [0, 0], one, 1)),
                node("excite", &["squeeze"], convolution([2, 3], one, one, [0, 0], one, 1)),
                node("gate", &["excite"], Op::Apply(Function::HardSigmoid {})),
                node("gated", &["input", "gate"], Op::Multiply {}),
                node("square", &["gated", "gated"], Op::Multiply {}),
            ],
        ),
        (
            "concatenated",
            vec![
                node("a", &["input"], convolution([3, 2], [3, 3], one, one, one, 1)),
                node("both", &["a", "input", "a"], Op::Concatenate {}),
                node("tanh", &["both"], tanh.clone()),
                node("relu", &["tanh"], relu.clone()),
            ],
        ),
        (
            "dropout in three places of a residual network",
            vec![
                node("stem", &["input"], convolution([3, 6], [3, 3], one, one, one, 1)),
                node("drop1", &["stem"], Op::Dropout2d { rate: 0.3, stream: 7 }),
                node("a", &["drop1"], convolution([6, 6], [3, 3], one, one, one, 1)),
                node("relu", &["a"], relu.clone()),
                node("sum1", &["relu", "stem"], Op::Add {}),
                node("drop2", &["sum1"], dropout(0.4, 2)),
                node("norm", &["drop2"], Op::GroupNorm { groups: 2, channels: 6, epsilon: 1e-5 }),
                node("depthwise", &["norm"], convolution([6, 6], [3, 3], one, one, one, 6)),
                node("sum2", &["depthwise", "sum1", "stem"], Op::Add {}),
                node("mean", &["sum2"], Op::GlobalAveragePool {}),
                node("flat", &["mean"], Op::Flatten {}),
                node("drop3", &["flat"], dropout(0.5, 0)),
                node("fc", &["drop3"], linear(6, 4)),
            ],
        ),
        (
            "dropout in the middle of a U-net",
            vec![
                node("wide", &["input"], convolution([3, 4], [3, 3], one, one, one, 1)),
                node("down", &["wide"], Op::MaxPool2d { kernel: [2, 2], stride: [2, 2], padding: [0, 0], ceil_mode: true }),
                node("drop", &["down"], dropout(0.5, 1)),
                node("deep", &["drop"], convolution([4, 5], [3, 3], one, one, one, 1)),
                node("up", &["deep"], upsample([5, 7], Interpolation::Bilinear, false)),
                node("both", &["wide", "up", "input"], Op::Concatenate {}),
                node("softmax", &["both"], Op::Softmax {}),
                node("gate", &["wide"], Op::GlobalAveragePool {}),
                node("last", &["softmax"], convolution([12, 4], [2, 2], one, [0, 0], one, 1)),
                node("gated", &["last", "gate"], Op::Multiply {}),
            ],
        ),
    ]
}

/// All networks: those above, heads that can be thinned, and every function.
fn networks() -> Vec<(String, Vec<Node>)> {
    let (relu, tanh) = (Op::Apply(Function::Relu {}), Op::Apply(Function::Tanh {}));
    let mut all: Vec<_> = chains().into_iter().chain(branching()).map(|(name, nodes)| (name.to_owned(), nodes)).collect();
    for (first, second) in [(0.3, 0.5), (0.7, 0.2)] {
        let functions = [relu.clone(), tanh.clone(), Op::Apply(Function::Elu { alpha: 0.5 })];
        let layers = [Op::Flatten {}, dropout(first, 0), linear(105, 37)].into_iter().chain(functions);
        all.push((format!("thinned at {first}"), chain(layers.chain([dropout(second, 9), linear(37, 5)]))));
    }
    let many = [Op::Flatten {}, linear(105, 1100), relu, dropout(0.3, 0), linear(1100, 37), tanh, dropout(0.5, 9), linear(37, 5)];
    all.push(("thinned, of many inputs".to_owned(), chain(many)));
    for function in FUNCTIONS {
        let positive = matches!(function, Function::Ln {}).then_some(Op::Apply(Function::Sigmoid {}));
        let scaled = [Op::Scale { factor: 3.0, offset: 0.0 }];
        all.push((format!("{function:?}"), chain(positive.clone().into_iter().chain([Op::Apply(function)]))));
        all.push((format!("{function:?} of a multiple"), chain(scaled.into_iter().chain(positive).chain([Op::Apply(function)]))));
    }
    all
}

fn program(nodes: Vec<Node>) -> Program {
    let graph = Graph::new(&[3, 5, 7], nodes).unwrap();
    let weights = random_graph_weights(&graph, 11);
    lower(&Network::of(graph, &weights).unwrap(), Ending::Logits)
}

/// What the device makes, [pass][point][element], and the kernels that it took.
fn on_device(device: &Device, program: &Program, block: &Block<'_>) -> (Vec<Vec<Vec<f32>>>, Vec<Kernel>) {
    let member = Member::of_program(device, program).unwrap();
    let (mut slots, mut recorder) = (Slots::default(), Recorder::new(device, 1e6));
    let (quads, passes) = (POINTS.div_ceil(4), block.passes());
    let mut pass = Pass { device, slots: &mut slots, recorder: &mut recorder, precision: Precision::Single, quads, block };
    let length = program.values[program.output].length;
    let bytes = (16 * passes * length * quads) as u64;
    let mut out = || {
        pass.load(&(0..POINTS), None)?;
        pass.trunk(&member, Slot::Input)?;
        let logits = pass.head(&member, MEMBER, Slot::Input, &(0..passes))?;
        Ok::<_, super::device::NoBuffer>((pass.take(logits, bytes)?, pass.take(Slot::Staging(0), bytes)?))
    };
    let (out, staging) = out().ok().unwrap();
    let kernels = recorder.kernels();
    let submission = recorder.submit(&mut slots, &[(out, bytes)], &staging, None).ok().unwrap();
    let values: Vec<f32> = read(device, &staging, bytes, submission).unwrap();
    let of_point = |pass: usize, point: usize| (0..length).map(move |row| (pass * length + row) * 4 * quads + point);
    let of_pass = |pass: usize| (0..POINTS).map(|point| of_point(pass, point).map(|at| values[at]).collect()).collect();
    ((0..passes).map(of_pass).collect(), kernels)
}

/// The same by the reference engine.
fn by_reference(program: &Program, images: &[f32], block: &Block<'_>) -> Vec<Vec<Vec<f64>>> {
    let image = |point: usize| images[point * 105..][..105].iter().map(|&pixel| f64::from(pixel)).collect::<Vec<f64>>();
    match &block.draws {
        Draws::Deterministic => vec![(0..POINTS).map(|point| run(program, &image(point), None)).collect()],
        Draws::Sampled(draws) => {
            let of_point = |draw: u32, point: usize| {
                let number = if block.masks == Masks::Shared { 0 } else { 1 + block.point_numbers[point] };
                let keep = |stream: usize, rate: f64, units: usize| keep_mask(SEED, MEMBER, draw, stream as u32, number, rate, units);
                run(program, &image(point), Some(Draw { keep: &keep, noise: &|_, _| Vec::new() }))
            };
            draws.clone().map(|draw| (0..POINTS).map(|point| of_point(draw, point)).collect()).collect()
        }
    }
}

fn is_close(got: &[f32], expected: &[f64]) -> bool {
    let pair = |(&a, &b): (&f32, &f64)| (f64::from(a) - b).abs() <= TOLERANCE * b.abs().max(1.0) || a.is_nan() && b.is_nan();
    got.len() == expected.len() && got.iter().zip(expected).all(pair)
}

#[test]
fn programs_are_those_of_the_reference_engine() {
    let Some(_) = device() else { return };
    // As if it had so many multiprocessors that products are split.
    let mut device = Device::open().unwrap();
    device.workgroups_to_fill = u32::MAX;
    let stream = Stream::new(12, Purpose::Choice);
    let images: Vec<f32> = (0..POINTS * 105).map(|at| stream.normal([0; 3], at as u32) as f32).collect();
    let mut spoiled = images.clone();
    (spoiled[105 + 50], spoiled[69 * 105]) = (f32::NAN, f32::NAN);
    let numbers: Vec<u32> = (0..POINTS as u32).map(|point| 1000 - 3 * point).collect();
    let (mut taken, mut wrong) = (HashSet::new(), Vec::new());
    for (name, nodes) in networks() {
        let program = program(nodes);
        let drawn = program.head < program.instructions.len();
        let modes: &[(Draws, Masks)] =
            &[(Draws::Deterministic, Masks::Shared), (Draws::Sampled(3..6), Masks::Shared), (Draws::Sampled(3..6), Masks::PerPoint)]
                [..if drawn { 3 } else { 1 }];
        for (draws, masks) in modes {
            // A dropped NaN is no zero where what is dropped is subtracted.
            let is_thinned = *masks == Masks::Shared && *draws != Draws::Deterministic && thinnable(&program).is_some();
            let images = if is_thinned { &images } else { &spoiled };
            let (draws, masks) = (draws.clone(), *masks);
            let block = Block { input: Input::Images(images), point_numbers: &numbers, members: &[0], draws, groups: 1, seed: SEED, masks };
            let (got, kernels) = on_device(&device, &program, &block);
            taken.extend(kernels);
            let expected = by_reference(&program, images, &block);
            assert_eq!(got.len(), expected.len());
            let pairs = got.iter().flatten().zip(expected.iter().flatten());
            if let Some(at) = pairs.clone().position(|(got, expected)| !is_close(got, expected)) {
                let (got, expected) = (&got[at / POINTS][at % POINTS], &expected[at / POINTS][at % POINTS]);
                let place = (0..got.len().min(expected.len())).find(|&place| !is_close(&got[place..=place], &expected[place..=place]));
                let values = place.map(|place| (place, got[place], expected[place]));
                wrong.push(format!("{name}, {:?}, {masks:?}, pass {}, point {}: {values:?}", block.draws, at / POINTS, at % POINTS));
            }
            assert!(!is_close(&got[0][2], &expected[0][3]), "{name}: another point passes");
            assert!(got.len() == 1 || !is_close(&got[0][2], &expected[1][2]), "{name}: another draw passes");
            let has_nan = expected.iter().flatten().flatten().any(|value| value.is_nan());
            assert_eq!(has_nan, !is_thinned, "{name}: NaN");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let apart = [Kernel::Softmax, Kernel::Tally, Kernel::Pool, Kernel::Peak];
    let other = |kernel: &Kernel| apart.contains(kernel) || matches!(kernel, Kernel::Product(Precision::Half | Precision::Matrix));
    let missing: Vec<_> = Kernel::ALL.into_iter().filter(|kernel| !other(kernel) && !taken.contains(kernel)).collect();
    assert!(missing.is_empty(), "no network takes {missing:?}");
}

/// A decoder's last value goes where the classifiers find it, and theirs do not touch it.
#[test]
fn images_survive_the_networks_that_take_them() {
    let Some(device) = device() else { return };
    let graph = Graph::new(&[2], chain([linear(2, 6), Op::Reshape { shape: vec![1, 2, 3] }, Op::Apply(Function::Sigmoid {})])).unwrap();
    let weights = random_graph_weights(&graph, 3);
    let decoder = Plan::decoder(&device, &Network::of(graph, &weights).unwrap()).unwrap();
    assert_eq!((decoder.output.slot, decoder.trunk.len()), (Some(Slot::Image), 1));
    for (_, nodes) in networks() {
        let plan = Plan::new(&device, &program(nodes), None).unwrap();
        for step in plan.trunk.iter().chain(&plan.head) {
            assert!(!matches!(step.output.slot, None | Some(Slot::Image | Slot::Input)), "{}", step.node);
            assert!(step.inputs.iter().all(|input| input.slot != step.output.slot), "{} reads what it writes", step.node);
        }
    }
}
