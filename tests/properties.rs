//! What holds of the statistics, the measures and the reference engine for every input.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use crate::networks::{graph_classifier, random_classifier_graph, random_images};
use epistemap::engine::reference::{self, forward, softmax};
use epistemap::engine::{Block, Draws, Input, Masks, Models};
use epistemap::nets::{Classifier, Ensemble, Graph, Network, Node, Op};
use epistemap::uncertainty::{CellStatistics, Measure};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::sync::Arc;

/// Sums of a few dozen numbers of order 1.
const ROUNDING: f64 = 1e-13;

/// One weight of a draw before it is normalised: mostly of any size, sometimes 0, sometimes next to nothing.
fn weight() -> impl Strategy<Value = f64> {
    prop_oneof![4 => 0.0..1.0f64, 1 => Just(0.0), 2 => (-320.0..0.0f64).prop_map(|power| 10f64.powf(power))]
}

/// A draw: probabilities of so many classes, sometimes all on one.
fn draw(classes: usize) -> impl Strategy<Value = Vec<f64>> {
    let spread = vec(weight(), classes).prop_map(|weights| {
        let sum: f64 = weights.iter().sum();
        if sum > 0.0 { weights.iter().map(|weight| weight / sum).collect() } else { vec![1.0 / weights.len() as f64; weights.len()] }
    });
    let certain = (0..classes).prop_map(move |one| (0..classes).map(|class| f64::from(class == one)).collect());
    prop_oneof![4 => spread, 1 => certain]
}

fn draws() -> impl Strategy<Value = Vec<Vec<f64>>> {
    (1..13usize).prop_flat_map(|classes| vec(draw(classes), 1..30))
}

/// Every sum of the statistics.
fn sums(statistics: &CellStatistics) -> Vec<f64> {
    [statistics.sum_p(), statistics.sum_p2(), statistics.votes(), &[statistics.sum_entropy(), statistics.draws()]].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn measures_are_ordered_and_in_their_range(draws in draws()) {
        let statistics = CellStatistics::of_draws(&draws);
        let value = |measure: Measure| measure.evaluate(&statistics);
        let (information, entropy) = (value(Measure::MutualInformation), value(Measure::PredictiveEntropy));
        prop_assert!(0.0 <= information && information <= entropy && entropy <= (draws[0].len() as f64).ln() + ROUNDING);
        for measure in Measure::ALL {
            let [low, high] = measure.natural_range(draws[0].len());
            prop_assert!(low - ROUNDING <= value(measure) && value(measure) <= high + ROUNDING, "{measure:?} is {}", value(measure));
        }
    }

    #[test]
    fn equal_draws_hold_no_mutual_information(draw in (1..13usize).prop_flat_map(draw), count in 1..40usize) {
        let statistics = CellStatistics::of_draws(&vec![draw; count]);
        prop_assert!(Measure::MutualInformation.evaluate(&statistics) <= ROUNDING);
        prop_assert!(Measure::SoftmaxVariance.evaluate(&statistics) <= ROUNDING);
        prop_assert_eq!(Measure::VariationRatio.evaluate(&statistics), 0.0);
    }

    #[test]
    fn merging_in_any_grouping_and_order_gives_the_same_statistics(
        (draws, groups, order) in draws().prop_flat_map(|draws| {
            let (groups, order) = (vec(0..5usize, draws.len()), Just((0..5).collect::<Vec<usize>>()).prop_shuffle());
            (Just(draws), groups, order)
        })
    ) {
        let whole = CellStatistics::of_draws(&draws);
        let mut blocks = vec![CellStatistics::new(draws[0].len()); 5];
        draws.iter().zip(&groups).for_each(|(draw, &group)| blocks[group].add_draw(draw));
        // From the left, and as a tree.
        let mut chain = CellStatistics::new(draws[0].len());
        for &block in &order {
            chain.merge(&blocks[block]);
        }
        let mut tree = blocks[order[4]].clone();
        let mut branch = blocks[order[0]].clone();
        branch.merge(&blocks[order[2]]);
        tree.merge(&branch);
        tree.merge(&blocks[order[1]]);
        tree.merge(&blocks[order[3]]);
        for merged in [chain, tree] {
            for (a, b) in sums(&merged).into_iter().zip(sums(&whole)) {
                prop_assert!((a - b).abs() <= 1e-12 * b.abs(), "{a} is not {b}");
            }
        }
    }

    #[test]
    fn the_reference_runs_every_network(seed in 0..100_000u32) {
        let (shape, graph) = random_classifier_graph(seed, |_| true);
        let mean = |node: Node| match node.op {
            Op::GaussianLinear { inputs, outputs, .. } => Node { op: Op::Linear { inputs, outputs, bias: true }, ..node },
            _ => node,
        };
        let sure = Graph::new(&shape, graph.without_dropout().into_iter().map(mean).collect()).unwrap();
        let random = graph_classifier(graph, seed);
        let network = Network::of(sure, random.network.weights()).unwrap();
        let sure = Classifier { network, ..random.clone() };
        let images = random_images(&shape, 2, seed);
        let deterministic: Vec<f64> = images
            .chunks_exact(shape.iter().product())
            .flat_map(|image| softmax(&forward(&random.network, &image.iter().map(|&x| f64::from(x)).collect::<Vec<_>>(), None)))
            .collect();

        for (classifier, random) in [(random, true), (sure, false)] {
            let classes = classifier.classes.len();
            let draws = classifier.has_draws();
            prop_assert!(random || !draws);
            let models = Models::new(None, Ensemble::new(vec![classifier]).unwrap()).unwrap();
            let block = Block {
                input: Input::Images(&images),
                point_numbers: &[0, 1],
                members: &[0],
                draws: Draws::Sampled(0..5),
                groups: 1,
                seed,
                masks: Masks::Shared,
            };
            let mut engine = reference::open(Arc::new(models)).unwrap();
            let probabilities = engine.probabilities(&block).unwrap();
            prop_assert_eq!(probabilities.len(), 2 * 5 * classes);
            for draw in probabilities.chunks_exact(classes) {
                prop_assert!((draw.iter().sum::<f64>() - 1.0).abs() <= ROUNDING);
            }
            let grid = engine.statistics(&block).unwrap();
            for point in 0..2 {
                let cell = grid.whole_cell(point);
                let information = Measure::MutualInformation.evaluate(&cell);
                prop_assert!(0.0 <= information && information <= Measure::PredictiveEntropy.evaluate(&cell));
                if !draws {
                    prop_assert!(information <= ROUNDING);
                    // The same weights where nothing is drawn are the deterministic network.
                    let expected = &deterministic[point * classes..][..classes];
                    prop_assert!(cell.mean().iter().zip(expected).all(|(a, b)| (a - b).abs() <= ROUNDING));
                }
            }
        }
    }
}
