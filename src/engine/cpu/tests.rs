use super::*;
use crate::engine::reference::{Draw, forward};
use crate::nets::architectures::{InvertedResidual, convolutional_decoder, mobile_net, resnet};
use crate::nets::{Classifier, Ensemble, Graph, Layer, Network, Op, cnn, random_graph, random_graph_weights};
use crate::random::{Purpose, Stream, keep_mask};

const POINTS: usize = 37;

fn named(name: &str) -> String {
    name.to_owned()
}

fn linear(name: &str, inputs: usize, outputs: usize) -> Layer {
    Layer::Linear { name: named(name), inputs, outputs }
}

fn conv(name: &str, channels: [usize; 2], kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2]) -> Layer {
    Layer::Conv2d { name: named(name), in_channels: channels[0], out_channels: channels[1], kernel, stride, padding }
}

fn network(graph: Graph, seed: u32) -> Network {
    let weights = random_graph_weights(&graph, seed);
    Network::of(graph, &weights).unwrap()
}

/// Random graphs of images [2, 7, 8] whose randomness is that of masks.
fn random_graphs() -> Vec<Graph> {
    let is_mask = |op: &Op| op.dropout().is_some() || !op.draws();
    (0..12).map(|seed| random_graph(&[2, 7, 8], 3, 3 + seed as usize, seed, is_mask).unwrap()).filter(Graph::draws).collect()
}

/// The paper's order of layers, with rates on both sides of one half, and a third dropout.
fn thinnable(rate: f64) -> Graph {
    let layers = [
        conv("a", [2, 9], [2, 3], [1, 1], [0, 0]),
        Layer::Relu,
        conv("b", [9, 16], [3, 3], [1, 1], [0, 0]),
        Layer::Relu,
        Layer::MaxPool2d { kernel: [2, 2], stride: [2, 2] },
        Layer::Dropout { rate },
        Layer::Flatten,
        linear("c", 64, 31),
        Layer::Elu,
        Layer::Dropout { rate: 0.5 },
        linear("d", 31, 12),
        Layer::Tanh,
        linear("e", 12, 7),
        Layer::Sigmoid,
        Layer::Dropout { rate: 0.1 },
        linear("f", 7, 3),
    ];
    Graph::chain(&[2, 7, 8], &layers).unwrap()
}

fn softmax64(logits: &[f64]) -> Vec<f64> {
    let total: f64 = logits.iter().map(|l| l.exp()).sum();
    logits.iter().map(|l| l.exp() / total).collect()
}

/// A decoder and two members of the given graph of images [2, 7, 8].
fn models(graph: &Graph) -> Arc<Models> {
    let decoder = [linear("d1", 3, 11), Layer::Elu, linear("d2", 11, 112), Layer::Reshape { shape: vec![2, 7, 8] }, Layer::Sigmoid];
    let member = |seed| Classifier::new("m", ["x", "y", "z"].map(named).to_vec(), network(graph.clone(), seed)).unwrap();
    let decoder = network(Graph::chain(&[3], &decoder).unwrap(), 1);
    Arc::new(Models::new(Some(decoder), Ensemble::new(vec![member(2), member(3)]).unwrap()).unwrap())
}

fn latent() -> Vec<f64> {
    (0..3 * POINTS).map(|i| Stream::new(9, Purpose::Choice).normal([0; 3], i as u32) * 3.0).collect()
}

/// Probabilities [points, members 1 and 0, draws, classes] by the definitions.
fn expected(models: &Models, z: &[f64], numbers: &[u32], draws: &Draws, masks: Masks) -> Vec<f64> {
    let mut all = Vec::new();
    for (z, number) in z.chunks(3).zip(numbers) {
        let image = forward(models.decoder.as_ref().unwrap(), z, None);
        for member in [1, 0] {
            let network = &models.ensemble.members()[member].network;
            let point = if masks == Masks::Shared { 0 } else { 1 + number };
            match draws {
                Draws::Deterministic => all.extend(softmax64(&forward(network, &image, None))),
                Draws::Sampled(draws) => draws.clone().for_each(|draw| {
                    let keep = |stream, rate, units| keep_mask(5, member as u32, draw, stream as u32, point, rate, units);
                    let draw = Draw { keep: &keep, noise: &|_, _| unreachable!("no weights are drawn") };
                    all.extend(softmax64(&forward(network, &image, Some(draw))));
                }),
            }
        }
    }
    all
}

/// The largest difference relative to the largest number: NaN if there is one.
fn difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |most, d| if most.is_nan() || d <= most { most } else { d })
}

#[test]
fn passes_are_those_of_the_definitions() {
    let z = latent();
    let numbers: Vec<u32> = (0..POINTS as u32).map(|n| 1000 + 7 * n).collect();
    for (number, graph) in [thinnable(0.25), thinnable(0.7)].into_iter().chain(random_graphs()).enumerate() {
        let models = models(&graph);
        let mut engine = open(models.clone()).unwrap();
        let images = engine.decode(&z).unwrap();
        for (draws, masks) in
            [(Draws::Deterministic, Masks::Shared), (Draws::Sampled(3..6), Masks::Shared), (Draws::Sampled(3..6), Masks::PerPoint)]
        {
            let expected = expected(&models, &z, &numbers, &draws, masks);
            let block = Block { input: Input::Latent(&z), point_numbers: &numbers, members: &[1, 0], draws, groups: 1, seed: 5, masks };
            let got = engine.probabilities(&block).unwrap();
            let largest = difference(&got, &expected);
            assert!(largest <= 2e-6, "graph {number}, {:?} {masks:?}: {largest}", block.draws);
            assert_eq!(got, engine.probabilities(&Block { input: Input::Images(&images), ..block.clone() }).unwrap());
            let other = engine.probabilities(&Block { seed: 6, members: &[0, 1], ..block.clone() }).unwrap();
            assert!(difference(&other, &expected) > 1e-3, "another seed and order of members must not agree");
            // The statistics are those of the same probabilities.
            let grid = engine.statistics(&block).unwrap();
            let count = expected.len() / (POINTS * 2 * 3);
            for (cell, p) in got.chunks(count * 3).enumerate() {
                let draws: Vec<&[f64]> = p.chunks(3).collect();
                let cell_expected = crate::uncertainty::CellStatistics::of_draws(&draws);
                let mut cell_got = crate::uncertainty::CellStatistics::new(3);
                cell_got.add_sums(grid.sums(cell / 2, cell % 2));
                assert_eq!((cell_got.draws(), cell_got.votes()), (cell_expected.draws(), cell_expected.votes()));
                assert!((cell_got.sum_entropy() - cell_expected.sum_entropy()).abs() <= 1e-13);
                assert!(difference(cell_got.sum_p(), cell_expected.sum_p()) <= 1e-14);
                assert!(difference(cell_got.sum_p2(), cell_expected.sum_p2()) <= 1e-14);
            }
        }
    }
}

#[test]
fn threads_and_tiling_change_no_bit() {
    let models = models(&thinnable(0.25));
    let points = 5 * LANES + 3;
    let z: Vec<f64> = latent().into_iter().cycle().take(3 * points).collect();
    let numbers: Vec<u32> = (0..points as u32).collect();
    let statistics = |threads: usize, tile: usize, masks| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut engine = open(models.clone()).unwrap();
        let mut grid = StatisticsGrid::new(points, 2, 3);
        for first in (0..points).step_by(tile) {
            let some = first..points.min(first + tile);
            let input = Input::Latent(&z[3 * some.start..3 * some.end]);
            let block =
                Block { input, point_numbers: &numbers[some], members: &[0, 1], draws: Draws::Sampled(0..5), groups: 1, seed: 7, masks };
            grid.merge_at(first, &pool.install(|| engine.statistics(&block)).unwrap());
        }
        grid
    };
    for masks in [Masks::Shared, Masks::PerPoint] {
        let whole = statistics(1, points, masks);
        for (threads, tile) in [(3, points), (2, 50), (1, 7)] {
            assert_eq!(statistics(threads, tile, masks), whole, "{threads} threads, tiles of {tile}, {masks:?}");
        }
    }
    assert_ne!(statistics(1, points, Masks::Shared), statistics(1, points, Masks::PerPoint));
}

#[test]
fn a_profile_tells_the_steps_of_each_node() {
    let models = models(&thinnable(0.25));
    let mut engine = open(models).unwrap();
    let z = latent();
    let numbers: Vec<u32> = (0..POINTS as u32).collect();
    let draws = Draws::Sampled(0..3);
    let block =
        Block { input: Input::Latent(&z), point_numbers: &numbers, members: &[0, 1], draws, groups: 1, seed: 5, masks: Masks::Shared };
    let before = engine.statistics(&block).unwrap();
    let kernels = engine.profile(&block).unwrap().unwrap().kernels;
    let of = |name: &str| kernels.iter().find(|kernel| kernel.name == name).unwrap();
    // Two panels of 32 points each; of the first layer of a draw a quarter is subtracted from the full product.
    let panels = POINTS.div_ceil(LANES);
    assert_eq!((of("product of d1").calls, of("product of d1").flops), (panels as u64, (panels * LANES * 2 * 3 * 11) as f64));
    let trunk = of("product of a, winograd of b");
    assert_eq!((trunk.calls, trunk.flops), (4, (4 * LANES * 2 * (2 * 6 * 9 * 6 * 6 + 9 * 9 * 16 * 4 * 4)) as f64));
    assert_eq!(of("full product of c").flops, (2 * panels * LANES * 2 * 64 * 31) as f64);
    let share = of("thinned draws of c").flops / (3.0 * of("full product of c").flops);
    assert!((0.05..0.25).contains(&share), "a quarter of the inputs for half of the outputs: {share}");
    assert!(kernels.iter().all(|kernel| kernel.seconds > 0.0) && kernels.is_sorted_by(|a, b| a.seconds >= b.seconds));
    assert_eq!(engine.statistics(&block).unwrap(), before);
}

#[test]
fn what_cannot_be_asked_is_said() {
    let models = models(&thinnable(0.25));
    let mut engine = open(Arc::new(Models::new(None, models.ensemble.clone()).unwrap())).unwrap();
    assert!(engine.decode(&[0.0; 3]).unwrap_err().to_string().contains("no decoder"));
    let block = Block {
        input: Input::Latent(&[0.0; 3]),
        point_numbers: &[0],
        members: &[0],
        draws: Draws::Deterministic,
        groups: 1,
        seed: 1,
        masks: Masks::Shared,
    };
    assert!(engine.statistics(&block).is_err() && engine.probabilities(&block).is_err());
    let nothing = Block { input: Input::Images(&[]), point_numbers: &[], ..block };
    assert_eq!(engine.statistics(&nothing).unwrap().points(), 0);
}

#[test]
fn tasks_are_held_back_where_their_values_do_not_fit() {
    let row = size_of::<Row>();
    for (rows, at_once) in [(0, 8), (1, 8), (12, 8), (13, 7), (50, 2), (51, 1), (1000, 1)] {
        assert_eq!(tasks_within(100 * row, rows, 8), at_once, "{rows} rows");
    }
    for at_once in [1, usize::MAX] {
        let mut values = vec![0; 11];
        in_groups(&mut values, 2, at_once, |task, values| values.fill(task));
        assert_eq!(values, (0..11).map(|at| at / 2).collect::<Vec<_>>());
    }
    in_groups(&mut [0; 0], 0, 1, |_, _| unreachable!("there is nothing to do"));
}

#[test]
fn threads_that_have_no_task_share_the_steps_of_others() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
    for ([tasks, at_once, members], parts, members_at_once) in [
        ([1, 4, 1], 4, true),
        ([1, 4, 2], 2, true),
        ([2, 4, 1], 2, true),
        ([3, 4, 1], 1, true),
        ([9, 4, 5], 1, true),
        ([9, 2, 5], 2, false),
        ([0, 1, 0], 4, false),
    ] {
        assert_eq!(
            pool.install(|| Sharing::of(tasks, at_once, members)),
            Sharing { parts, members_at_once },
            "{tasks}, {at_once}, {members}"
        );
    }
}

#[test]
fn threads_within_one_image_change_no_bit() {
    // Residual blocks, depthwise convolutions with gates, thinned draws, a decoder of transposed convolutions: steps large
    // enough to be shared.
    let residual = resnet([3, 32, 24], 3, &[16, 24], 1, [0.0, 0.5]).unwrap();
    let blocks = [InvertedResidual { channels: 8, stride: 1 }, InvertedResidual { channels: 12, stride: 2 }];
    let depthwise = mobile_net([3, 32, 24], 3, 8, &blocks, (12, 300), true, 0.2).unwrap();
    let thinned = Graph::chain(&[3, 32, 24], &cnn([3, 32, 24], 3, [4, 7], 90, [0.25, 0.5])).unwrap();
    let decoder = convolutional_decoder([3, 32, 24], &[16, 40], 5).unwrap();
    let answers = |threads: usize, seed: u32| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let z: Vec<f64> = (0..5).map(|at| Stream::new(seed, Purpose::Choice).normal([0; 3], at)).collect();
        let mut bits: Vec<u64> = Vec::new();
        for (graph, masks) in [(&residual, Masks::PerPoint), (&depthwise, Masks::PerPoint), (&thinned, Masks::Shared)] {
            let member = Classifier::new("m", ["x", "y", "z"].map(named).to_vec(), network(graph.clone(), 4)).unwrap();
            let ensemble = Ensemble::new(vec![member]).unwrap();
            let mut engine = open(Arc::new(Models::new(Some(network(decoder.clone(), 9)), ensemble).unwrap())).unwrap();
            for draws in [Draws::Deterministic, Draws::Sampled(0..3)] {
                let input = Input::Latent(&z);
                let block = Block { input, point_numbers: &[7], members: &[0], draws, groups: 1, seed: 5, masks };
                bits.extend(pool.install(|| engine.probabilities(&block)).unwrap().into_iter().map(f64::to_bits));
            }
            bits.extend(pool.install(|| engine.decode(&z)).unwrap().into_iter().map(|pixel| u64::from(pixel.to_bits())));
        }
        bits
    };
    let alone = answers(1, 1);
    for threads in [2, 3, 7] {
        assert!(answers(threads, 1) == alone, "{threads} threads");
    }
    assert!(answers(2, 2) != alone, "the negative control");
}
