//! Attacks against an independent implementation (`tests/reference/make.py`), and what must hold of every attack on random networks. Every
//! comparison has a twin that must fail.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use crate::fixtures::{load, numbers, odd_classifier, weights};
use crate::networks::{classifier, graph_classifier, random_classifier_graph, random_images};
use epistemap::attack::{self, FIRST_DRAW, Norm, Problem, Settings, Victim, round_towards};
use epistemap::autodiff::{InputGradients, Loss, MaskOf, Objective, Passes, Precision, Randomness, input_gradients};
use epistemap::engine::{self, Block, Draws, Input, Masks, Models};
use epistemap::nets::{Classifier, Ensemble, Function, Graph, Interpolation, Layer, Network, Node, Op, Weights};
use serde_json::Value;
use std::ops::ControlFlow;
use std::sync::Arc;

/// The networks of `classifier.json` with the masks that stand there.
fn reference(precision: Precision) -> Box<dyn InputGradients> {
    let data = load("classifier.json");
    let members = data["members"].as_array().unwrap().iter().map(|member| odd_classifier(&weights(member)));
    let ensemble = Ensemble::new(members.collect()).unwrap();
    let kept = move |MaskOf { member, draw, stream, .. }: MaskOf| {
        let key = if stream == 5 { "keep_after_pool" } else { "keep_after_fc1" };
        numbers(&data[key][member][draw as usize]).into_iter().map(|keep| keep == 1.0).collect()
    };
    input_gradients(&ensemble, precision, Randomness { keep: Box::new(kept), ..Randomness::of_seed(0) })
}

fn images() -> (Vec<f64>, Vec<usize>) {
    let data = load("classifier.json");
    (numbers(&data["images"]), numbers(&data["labels"]).into_iter().map(|label| label as usize).collect())
}

/// The largest difference; NaN, or another length, is infinite.
fn apart(a: &[f64], b: &[f64]) -> f64 {
    let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |worst: f64, d| if d <= worst { worst } else { d });
    if a.len() == b.len() && worst.is_finite() { worst } else { f64::INFINITY }
}

const UP: Objective = Objective { loss: Loss::MeanProbability, towards: false };

#[test]
fn input_gradients_equal_the_reference() {
    let data = load("classifier.json");
    let (images, labels) = images();
    let deterministic = Passes { members: vec![0], draws: None };
    let sampled = Passes { members: vec![0, 1], draws: Some(0..4) };
    for (precision, tolerance) in [(Precision::Double, 1e-12), (Precision::Single, 1e-6)] {
        let networks = reference(precision);
        for (passes, key) in [(&deterministic, "input_gradient_deterministic"), (&sampled, "input_gradient_mc_mean")] {
            let expected = numbers(&data[key]);
            let got = networks.answer(&images, &labels, passes, UP, true).unwrap().gradients;
            assert!(apart(&got, &expected) <= tolerance, "{key}, {precision:?}: {}", apart(&got, &expected));
            let fewer = Passes { members: vec![1], ..passes.clone() };
            let other = networks.answer(&images, &labels, &fewer, UP, true).unwrap().gradients;
            assert!(apart(&other, &expected) > 1e-3, "the negative control");
        }
    }
}

/// A victim of `attacks.json`.
fn victim<'a>(networks: &'a dyn InputGradients, on: &Value) -> Victim<'a> {
    match on.as_str().unwrap() {
        "deterministic" => Victim { networks, members: vec![0], samples: None, first_draw: 0 },
        _ => Victim { networks, members: vec![0, 1], samples: Some(4), first_draw: 0 },
    }
}

fn settings_of(row: &Value) -> Settings {
    let norm = Norm::from_key(row["norm"].as_str().unwrap()).unwrap();
    Settings {
        step: row["step"].as_f64(),
        iterations: row["iterations"].as_u64().map(|steps| steps as u32),
        decay: row["decay"].as_f64().unwrap_or(1.0),
        ..Settings::new(row["method"].as_str().unwrap(), norm, row["eps"].as_f64().unwrap())
    }
}

fn run(victim: &Victim<'_>, images: &[f64], labels: &[usize], settings: &Settings) -> Vec<f64> {
    settings.check().unwrap();
    let problem = Problem { victim, images, labels, first: 0, settings };
    attack::named(&settings.method).unwrap().run(&problem, &mut |_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn attacks_equal_the_reference() {
    let (images, labels) = images();
    for row in load("attacks.json").as_array().unwrap() {
        let (expected, settings) = (numbers(&row["adversarial"]), settings_of(row));
        for (precision, tolerance) in [(Precision::Double, 1e-6), (Precision::Single, 1e-4)] {
            let networks = reference(precision);
            let got = run(&victim(networks.as_ref(), &row["on"]), &images, &labels, &settings);
            let difference = apart(&got, &expected);
            assert!(difference <= tolerance, "{} {:?} {:?} {precision:?}: {difference}", row["on"], settings.method, settings.norm);
            let further = Settings { epsilon: 1.01 * settings.epsilon, step: settings.step.map(|step| 1.01 * step), ..settings.clone() };
            let other = run(&victim(networks.as_ref(), &row["on"]), &images, &labels, &further);
            assert!(apart(&other, &expected) > 1e-4, "the negative control");
        }
    }
}

/// What MIM divides a gradient by before it is added up.
#[derive(Clone, Copy, PartialEq)]
enum Normalised {
    MeanAbsolute,
    Sign,
    Not,
}

/// MIM in L2, written again, with a choice of normalisations.
fn mim_again(victim: &Victim<'_>, images: &[f64], labels: &[usize], epsilon: f64, normalised: Normalised) -> Vec<f64> {
    let pixels = images.len() / labels.len();
    let (mut now, mut momentum) = (images.to_vec(), vec![0.0; images.len()]);
    for _ in 0..10 {
        let gradients = victim.networks.answer(&now, labels, &victim.passes(0, false), UP, true).unwrap().gradients;
        for image in 0..labels.len() {
            let part = image * pixels..(image + 1) * pixels;
            let mean = gradients[part.clone()].iter().map(|g| g.abs()).sum::<f64>() / pixels as f64;
            for at in part.clone() {
                momentum[at] += match normalised {
                    Normalised::MeanAbsolute => gradients[at] / mean,
                    Normalised::Sign => gradients[at].signum(),
                    Normalised::Not => gradients[at],
                };
            }
            let length = Norm::L2.length(momentum[part.clone()].iter().copied());
            let mut change: Vec<f64> = part.clone().map(|at| now[at] - images[at] + epsilon / 10.0 * momentum[at] / length).collect();
            let reached = Norm::L2.length(change.iter().copied());
            for value in &mut change {
                *value *= (epsilon / reached).min(1.0);
            }
            part.zip(change).for_each(|(at, change)| now[at] = (images[at] + change).clamp(0.0, 1.0));
        }
    }
    now
}

#[test]
fn another_normalisation_of_mim_is_told_apart() {
    let (images, labels) = images();
    let networks = reference(Precision::Double);
    for row in load("attacks.json").as_array().unwrap().iter().filter(|row| row["method"] == "mim" && row["norm"] == "l2") {
        let (expected, victim) = (numbers(&row["adversarial"]), victim(networks.as_ref(), &row["on"]));
        let with = |normalised| apart(&mim_again(&victim, &images, &labels, row["eps"].as_f64().unwrap(), normalised), &expected);
        assert!(with(Normalised::MeanAbsolute) <= 1e-6);
        assert!(with(Normalised::Sign) > 1e-4 && with(Normalised::Not) > 1e-4, "{} {}", with(Normalised::Sign), with(Normalised::Not));
    }
}

/// An ensemble of random networks of one graph and its image shape.
fn random_ensemble(seed: u32) -> (Ensemble, [usize; 3]) {
    let (shape, graph) = random_classifier_graph(seed, |_| true);
    let members = [seed, seed + 1000].map(|seed| graph_classifier(graph.clone(), seed));
    (Ensemble::new(members.to_vec()).unwrap(), shape)
}

fn to_f64(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

#[test]
fn answers_are_those_of_the_engines_and_gradients_their_slopes() {
    let mut controls = 0;
    for seed in 0..40 {
        let (ensemble, shape) = random_ensemble(seed);
        let single = random_images(&shape, 3, seed);
        let (images, pixels, classes) = (to_f64(&single), single.len() / 3, ensemble.classes().len());
        let labels: Vec<usize> = (0..3).map(|image| image % classes).collect();
        let networks = input_gradients(&ensemble, Precision::Double, Randomness::of_seed(seed));
        let mut engine = engine::reference::open(Arc::new(Models::new(None, ensemble).unwrap())).unwrap();
        for draws in [None, Some(FIRST_DRAW..FIRST_DRAW + 3)] {
            let passes = Passes { members: vec![1, 0], draws: draws.clone() };
            let mut means = |seed: u32| -> Vec<f64> {
                let draws = draws.clone().map_or(Draws::Deterministic, Draws::Sampled);
                let (input, masks) = (Input::Images(&single), Masks::Shared);
                let block = Block { input, point_numbers: &[0, 1, 2], members: &[1, 0], draws, groups: 1, seed, masks };
                let statistics = engine.statistics(&block).unwrap();
                (0..3).flat_map(|image| statistics.whole_cell(image).mean()).collect()
            };
            let answer = |images: &[f64], gradients| networks.answer(images, &labels, &passes, UP, gradients).unwrap();
            let here = answer(&images, true);
            assert!(apart(&here.mean, &means(seed)) <= 1e-9, "network {seed}");
            controls += usize::from(apart(&here.mean, &means(seed + 1)) > 1e-6);
            assert_eq!(here.values, answer(&images, false).values);
            for at in (0..images.len()).step_by(1 + images.len() / 17) {
                let moved = |by: f64| {
                    let mut images = images.clone();
                    images[at] += by;
                    answer(&images, false).values[at / pixels]
                };
                let [down, middle, up] = [moved(-1e-6), moved(0.0), moved(1e-6)];
                // At a corner of a ReLU or a maximum there is no slope.
                if (up - 2.0 * middle + down).abs() <= 1e-10 {
                    let slope = (up - down) / 2e-6;
                    assert!(
                        (here.gradients[at] - slope).abs() <= 1e-5 * (1.0 + slope.abs()),
                        "network {seed}: {} is {slope}",
                        here.gradients[at]
                    );
                }
            }
        }
    }
    assert!(controls > 10, "other masks, other answers: {controls}");
}

#[test]
fn the_memory_of_masks_changes_nothing() {
    let (images, labels) = images();
    let networks = reference(Precision::Double);
    let of = |draws| networks.answer(&images, &labels, &Passes { members: vec![0, 1], draws: Some(draws) }, UP, true).unwrap();
    let (first, second) = (of(0..2), of(1..4));
    assert_eq!((of(0..2), of(1..4)), (first.clone(), second.clone()));
    assert!(apart(&first.gradients, &second.gradients) > 1e-3, "the negative control");
}

/// Every attack in every norm that it knows, with few steps.
fn every_attack(epsilon: impl Fn(Norm) -> f64) -> Vec<Settings> {
    let of_attack = |attack: &&'static dyn attack::Attack| {
        let epsilon = &epsilon;
        let (name, norms) = (attack.name(), attack.norms());
        norms.iter().flat_map(move |&norm| {
            [false, true].map(|targeted| Settings {
                iterations: Some(7),
                restarts: 2,
                targeted,
                ..Settings::new(name, norm, epsilon(norm))
            })
        })
    };
    attack::all().iter().flat_map(of_attack).collect()
}

/// A budget that matters in each norm.
fn some(norm: Norm) -> f64 {
    match norm {
        Norm::Linf => 0.03,
        Norm::L2 => 0.2,
        Norm::L1 => 1.7,
    }
}

#[test]
fn no_attack_leaves_its_budget_or_the_range_and_none_goes_backwards() {
    let (mut rose, mut all) = (0, 0);
    for seed in 0..12 {
        let (ensemble, shape) = random_ensemble(seed);
        let original = random_images(&shape, 3, seed);
        let (images, pixels) = (to_f64(&original), original.len() / 3);
        let labels: Vec<usize> = (0..3).map(|image| image % ensemble.classes().len()).collect();
        let networks = input_gradients(&ensemble, Precision::Single, Randomness::of_seed(seed));
        for samples in [None, Some(3)] {
            let victim = Victim { networks: networks.as_ref(), members: vec![0, 1], samples, first_draw: FIRST_DRAW };
            for settings in every_attack(some) {
                let got = run(&victim, &images, &labels, &settings);
                let rounded = to_f64(&round_towards(&got, &images));
                for (changed, original) in rounded.chunks(pixels).zip(images.chunks(pixels)) {
                    let length = settings.norm.length(changed.iter().zip(original).map(|(a, b)| a - b));
                    assert!(length <= settings.epsilon * (1.0 + 1e-6), "{settings:?}: {length}");
                    assert!(changed.iter().all(|value| (0.0..=1.0).contains(value)), "{settings:?}");
                }
                let objective = Objective { loss: Loss::MeanProbability, towards: settings.targeted };
                let values = |images: &[f64]| networks.answer(images, &labels, &victim.passes(0, false), objective, false).unwrap().values;
                // An attack that steps may overshoot on a rough network; over all, it must climb.
                for (after, before) in values(&got).iter().zip(values(&images)) {
                    rose += usize::from(*after >= before - 1e-9);
                    all += 1;
                }
            }
        }
    }
    assert!(rose * 100 >= all * 95, "{rose} of {all} climbed");
}

/// The image shape of [`resizing`].
const BEFORE_RESIZING: [usize; 3] = [3, 6, 5];

/// Two networks that first bring an image to twice its size and normalise it; and these two operations alone.
fn resizing(mode: Interpolation) -> (Ensemble, Network) {
    let convolution = Op::Conv2d {
        in_channels: 3,
        out_channels: 4,
        kernel: [3, 3],
        stride: [1, 1],
        padding: [0, 0],
        dilation: [1, 1],
        groups: 1,
        bias: true,
    };
    let operations = [
        Op::Upsample { size: [12, 10], mode, align_corners: false },
        Op::Normalise { mean: vec![0.5, 0.4, 0.3], std: vec![0.2, 0.15, 0.1] },
        convolution,
        Op::Apply(Function::Tanh {}),
        Op::Flatten {},
        Op::Dropout { rate: 0.3, stream: 0 },
        Op::Linear { inputs: 4 * 10 * 8, outputs: 3, bias: true },
    ];
    let node = |(number, op): (usize, Op)| Node { name: format!("n{number}"), inputs: Vec::new(), op };
    let nodes: Vec<Node> = operations.into_iter().enumerate().map(node).collect();
    let first = Graph::new(&BEFORE_RESIZING, nodes[..2].to_vec()).unwrap();
    let graph = Graph::new(&BEFORE_RESIZING, nodes).unwrap();
    let members = [1, 2].map(|seed| graph_classifier(graph.clone(), seed));
    (Ensemble::new(members.to_vec()).unwrap(), Network::of(first, &Weights::new()).unwrap())
}

#[test]
fn attacks_on_a_network_that_resizes_keep_their_budget_in_pixels() {
    let images = to_f64(&random_images(&BEFORE_RESIZING, 3, 7));
    let pixels = images.len() / 3;
    for mode in [Interpolation::Nearest, Interpolation::Bilinear] {
        let (ensemble, resize) = resizing(mode);
        let networks = input_gradients(&ensemble, Precision::Single, Randomness::of_seed(0));
        for settings in every_attack(some) {
            let length = |a: &[f64], b: &[f64]| settings.norm.length(a.iter().zip(b).map(|(a, b)| a - b));
            let (mut longest, mut longest_resized) = (0.0_f64, 0.0_f64);
            for samples in [None, Some(3)] {
                let victim = Victim { networks: networks.as_ref(), members: vec![0, 1], samples, first_draw: FIRST_DRAW };
                let got = to_f64(&round_towards(&run(&victim, &images, &[0, 1, 2], &settings), &images));
                assert!(got.iter().all(|value| (0.0..=1.0).contains(value)), "{mode:?}, {settings:?}");
                for (changed, original) in got.chunks(pixels).zip(images.chunks(pixels)) {
                    longest = longest.max(length(changed, original));
                    let [after, before] = [changed, original].map(|image| engine::reference::forward(&resize, image, None));
                    longest_resized = longest_resized.max(length(&after, &before));
                }
            }
            let most = settings.epsilon * (1.0 + 1e-6);
            assert!(longest <= most, "{mode:?}, {settings:?}: {longest}");
            // What looks for the smallest change may find a very small one.
            if !attack::named(&settings.method).unwrap().finds_the_smallest() {
                assert!(longest > 0.5 * settings.epsilon, "{mode:?}, {settings:?}: {longest}");
                assert!(longest_resized > most, "the negative control, {mode:?}, {settings:?}: {longest_resized}");
            }
        }
    }
}

#[test]
fn no_budget_gives_the_image_back() {
    let (ensemble, shape) = random_ensemble(4);
    let original = random_images(&shape, 3, 1);
    let networks = input_gradients(&ensemble, Precision::Single, Randomness::of_seed(0));
    let victim = Victim { networks: networks.as_ref(), members: vec![0], samples: Some(2), first_draw: FIRST_DRAW };
    for settings in every_attack(|_| 0.0) {
        let got = run(&victim, &to_f64(&original), &[0, 1, 0], &settings);
        assert_eq!(round_towards(&got, &to_f64(&original)), original, "{settings:?}");
    }
    let bim = Settings::new("bim", Norm::Linf, 1e-3);
    assert_ne!(round_towards(&run(&victim, &to_f64(&original), &[0, 1, 0], &bim), &to_f64(&original)), original, "the negative control");
}

/// A network whose answer does not depend on the image.
fn flat() -> Ensemble {
    let layers = vec![Layer::Flatten, Layer::Linear { name: "fc".into(), inputs: 12, outputs: 3 }];
    let mut weights = crate::networks::random_weights(&layers, 1);
    weights.get_mut("fc.weight").unwrap().values.fill(0.0);
    let network = Network::new(&[1, 3, 4], layers, &weights).unwrap();
    Ensemble::new(vec![Classifier::new("flat", (0..3).map(|c| c.to_string()).collect(), network).unwrap()]).unwrap()
}

#[test]
fn without_a_gradient_nothing_moves() {
    let original = to_f64(&random_images(&[1, 3, 4], 2, 1));
    let networks = input_gradients(&flat(), Precision::Single, Randomness::of_seed(0));
    let victim = Victim { networks: networks.as_ref(), members: vec![0], samples: Some(2), first_draw: FIRST_DRAW };
    for settings in every_attack(some) {
        let got = run(&victim, &original, &[0, 1], &settings);
        if matches!(settings.method.as_str(), "pgd" | "apgd") {
            // It starts at random, and stays there.
            assert!(got.iter().all(|value| value.is_finite()));
        } else {
            assert!(apart(&got, &original) <= 1e-15, "{settings:?}");
        }
    }
}

#[test]
fn eot_on_a_network_without_dropout_is_the_plain_attack() {
    let (shape, layers) = ([1, 5, 4], vec![Layer::Flatten, Layer::Linear { name: "a".into(), inputs: 20, outputs: 9 }, Layer::Tanh]);
    let last = Layer::Linear { name: "b".into(), inputs: 9, outputs: 3 };
    let images = to_f64(&random_images(&shape, 4, 2));
    let of = |layers: Vec<Layer>| {
        let ensemble = Ensemble::new(vec![classifier(&shape, layers, 5)]).unwrap();
        let networks = input_gradients(&ensemble, Precision::Double, Randomness::of_seed(1));
        let victim = Victim { networks: networks.as_ref(), members: vec![0], samples: Some(3), first_draw: FIRST_DRAW };
        let [eot, bim] = ["eot", "bim"].map(|method| run(&victim, &images, &[0, 1, 2, 0], &Settings::new(method, Norm::L2, 0.5)));
        apart(&eot, &bim)
    };
    let plain = of([layers.clone(), vec![last.clone()]].concat());
    assert!(plain <= 1e-9, "{plain}");
    let dropped = of([layers, vec![Layer::Dropout { rate: 0.5 }, last]].concat());
    assert!(dropped > 1e-3, "the negative control: {dropped}");
}

#[test]
fn a_batch_may_be_cut_anywhere() {
    let (ensemble, shape) = random_ensemble(7);
    let images = to_f64(&random_images(&shape, 5, 3));
    let pixels = images.len() / 5;
    let labels = [0, 1, 0, 1, 0];
    let networks = input_gradients(&ensemble, Precision::Double, Randomness::of_seed(3));
    let victim = Victim { networks: networks.as_ref(), members: vec![0, 1], samples: Some(2), first_draw: FIRST_DRAW };
    for settings in every_attack(some) {
        let whole = run(&victim, &images, &labels, &settings);
        let part = |first: usize| {
            let problem = Problem { victim: &victim, images: &images[3 * pixels..], labels: &labels[3..], first, settings: &settings };
            attack::named(&settings.method).unwrap().run(&problem, &mut |_| ControlFlow::Continue(())).unwrap()
        };
        assert!(apart(&part(3), &whole[3 * pixels..]) <= 1e-9, "{settings:?}");
        if ["pgd", "square"].contains(&settings.method.as_str()) {
            assert!(apart(&part(0), &whole[3 * pixels..]) > 1e-6, "the negative control: {settings:?}");
        }
    }
}

#[test]
fn an_attack_tells_every_step_and_stops_where_it_is_told() {
    let (ensemble, shape) = random_ensemble(4);
    let images = to_f64(&random_images(&shape, 2, 1));
    let networks = input_gradients(&ensemble, Precision::Single, Randomness::of_seed(0));
    let victim = Victim { networks: networks.as_ref(), members: vec![0], samples: None, first_draw: FIRST_DRAW };
    for settings in every_attack(some) {
        let problem = Problem { victim: &victim, images: &images, labels: &[0, 1], first: 0, settings: &settings };
        let attack = attack::named(&settings.method).unwrap();
        let mut told = Vec::new();
        attack
            .run(&problem, &mut |at| {
                told.push((at.step, at.steps));
                ControlFlow::Continue(())
            })
            .unwrap();
        let steps = told.len() as u32;
        assert_eq!(told, (1..=steps).map(|step| (step, steps)).collect::<Vec<_>>(), "{settings:?}");
        let stopped = attack.run(&problem, &mut |_| ControlFlow::Break(()));
        assert!(matches!(stopped, Err(epistemap::error::Error::Cancelled)), "{settings:?}");
    }
}

#[test]
fn a_bad_setting_is_one_sentence() {
    let good = Settings::new("bim", Norm::Linf, 0.1);
    assert!(good.check().is_ok());
    assert!(Settings { epsilon: f64::INFINITY, ..Settings::new("cw", Norm::L2, 1.0) }.check().is_ok());
    let bad = [
        (Settings { epsilon: -0.1, ..good.clone() }, "--eps"),
        (Settings { epsilon: f64::NAN, ..good.clone() }, "--eps"),
        (Settings { epsilon: f64::INFINITY, ..good.clone() }, "--eps"),
        (Settings { step: Some(0.0), ..good.clone() }, "--step"),
        (Settings { step: Some(f64::NAN), ..good.clone() }, "--step"),
        (Settings { iterations: Some(0), ..good.clone() }, "--iterations"),
        (Settings { restarts: 0, ..good.clone() }, "--restarts"),
        (Settings { decay: -1.0, ..good.clone() }, "--decay"),
        (Settings { lambda: f64::NAN, ..good.clone() }, "--lambda"),
        (Settings { method: "fgsm".into(), ..good.clone() }, "--method"),
        (Settings { method: "cw".into(), ..good.clone() }, "--norm"),
        (Settings { method: "eot".into(), as_published: true, ..good }, "--as-published"),
    ];
    for (settings, option) in bad {
        let text = settings.check().unwrap_err().to_string();
        assert!(text.starts_with(option) && text.ends_with('.'), "{text}");
    }
}
