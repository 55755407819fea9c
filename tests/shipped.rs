//! The shipped models keep what their card promises, and their maps show what the paper shows.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use epistemap::data::{Split, locate, sources};
use epistemap::engine::{self, Masks};
use epistemap::jobs::{MapSettings, ModelSet, evaluate, map};
use epistemap::latent::View;
use epistemap::uncertainty::Measure;
use std::ops::ControlFlow;
use std::sync::Arc;

#[test]
fn on_the_real_test_images_they_are_as_good_as_promised() {
    let Some(found) = locate::locate(sources::named("mnist").unwrap(), Split::Test, None) else {
        eprintln!("SKIPPED: MNIST is not on this machine");
        return;
    };
    let (set, data) = (ModelSet::shipped().unwrap(), found.load(None).unwrap().0);
    let mut engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
    let evaluation = evaluate(set.ensemble(), Some(&set.vae), engine.as_mut(), &data, 2, 0, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((evaluation.images, evaluation.classifiers.len()), (10_000, 10));
    for scores in &evaluation.classifiers {
        assert!(scores.accuracy >= 0.99, "{}: accuracy {}", scores.name, scores.accuracy);
        assert!(scores.nll <= 0.04, "{}: NLL {}", scores.name, scores.nll);
    }
    let elbo = evaluation.vae.unwrap().negative_elbo;
    assert!(elbo <= 150.0, "−ELBO {elbo}");
    // The encodings are those of these images, and not those of others.
    let z = epistemap::autodiff::encode(&set.vae, &data).unwrap();
    let shipped = &set.encodings().unwrap().test;
    assert_eq!(shipped.labels, data.labels);
    let off =
        |shift: usize| z.chunks_exact(2).zip(shipped.points.iter().skip(shift)).map(|(z, p)| (z[0] - p[0]).abs().max((z[1] - p[1]).abs()));
    assert!(off(0).all(|off| off <= 1e-2));
    assert!(off(1).any(|off| off > 1e-2), "the encodings of other images pass");
}

/// How the training data lie around a point: the distance to the nearest encoding, and the share of the commonest class
/// among the 50 nearest.
fn surroundings(point: [f64; 2], points: &[[f32; 2]], labels: &[u16]) -> (f64, f64) {
    let squared = |p: &[f32; 2]| (f64::from(p[0]) - point[0]).powi(2) + (f64::from(p[1]) - point[1]).powi(2);
    let mut near: Vec<(f64, u16)> = points.iter().map(squared).zip(labels.iter().copied()).collect();
    near.select_nth_unstable_by(50, |a, b| a.0.total_cmp(&b.0));
    let mut counts = [0usize; 256];
    near[..50].iter().for_each(|(_, label)| counts[usize::from(*label)] += 1);
    let nearest = near[..50].iter().map(|(squared, _)| *squared).fold(f64::INFINITY, f64::min).sqrt();
    (nearest, *counts.iter().max().unwrap() as f64 / 50.0)
}

#[test]
fn the_maps_show_what_the_paper_shows() {
    let set = ModelSet::shipped().unwrap();
    let mut engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
    let members = set.ensemble().members().len();
    let settings = MapSettings {
        view: View::square([-10.0, 10.0], 48).unwrap(),
        samples: 30,
        members: (0..members).collect(),
        seed: 0,
        masks: Masks::Shared,
        deterministic: false,
    };
    let map = map(&set, engine.as_mut(), &settings, &mut |_| ControlFlow::Continue(())).unwrap();
    let all: Vec<usize> = (0..members).collect();
    let of_each = |measure: Measure| -> Vec<f64> {
        let each: Vec<Vec<f32>> = all.iter().map(|&member| map.measure(measure, &[member]).unwrap()).collect();
        (0..settings.view.len()).map(|point| each.iter().map(|of| f64::from(of[point])).sum::<f64>() / members as f64).collect()
    };
    let (mi, entropy) = (of_each(Measure::MutualInformation), of_each(Measure::PredictiveEntropy));
    let of_ensemble: Vec<f64> = map.measure(Measure::MutualInformation, &all).unwrap().into_iter().map(f64::from).collect();

    let train = &set.encodings().unwrap().train;
    let around: Vec<(f64, f64)> =
        settings.view.points().into_iter().map(|point| surroundings(point, &train.points, &train.labels)).collect();
    let mean = |values: &[f64], region: &dyn Fn(f64, f64) -> bool| {
        let inside: Vec<f64> =
            values.iter().zip(&around).filter(|(_, (nearest, share))| region(*nearest, *share)).map(|(value, _)| *value).collect();
        assert!(inside.len() >= 20, "a region of {} points is too small to judge", inside.len());
        inside.iter().sum::<f64>() / inside.len() as f64
    };
    let on_data = |nearest: f64, share: f64| nearest < 0.1 && share >= 0.9;
    let between = |nearest: f64, share: f64| nearest < 0.1 && share <= 0.6;
    let empty = |nearest: f64, _: f64| nearest > 2.0;
    let table = [("MI of one network", &mi), ("entropy of one network", &entropy), ("MI of the ensemble", &of_ensemble)]
        .map(|(name, values)| (name, mean(values, &on_data), mean(values, &between), mean(values, &empty)));
    for (name, on_data, between, empty) in table {
        eprintln!("{name}: on data {on_data:.3}, between classes {between:.3}, empty {empty:.3} nats");
    }
    let [(_, mi_data, mi_between, mi_empty), (_, entropy_data, entropy_between, _), (_, _, _, ensemble_empty)] = table;
    assert!(mi_empty > 2.0 * mi_data, "MI is high away from the data");
    assert!(mi_between < 0.5 * entropy_between, "between classes the entropy is high, little of it MI");
    assert!(entropy_between > 2.0 * entropy_data, "entropy is high between classes");
    // Ten times the same network would give 1.0.
    assert!(ensemble_empty > 1.2 * mi_empty, "the ensemble's MI is higher in the empty regions");
}

/// Mean bias and root mean square error of a measure on a plane of 8 × 8 points of classifier-0 for so many draws, against the plug-in value of
/// 4,000 other draws; over 80 repetitions. Every point has draws of its own, so that the mean over
/// the points has little noise.
fn bias_and_error(measure: Measure, draws: u32) -> (f64, f64) {
    let set = ModelSet::shipped().unwrap();
    let mut engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
    let view = View::square([-6.0, 6.0], 8).unwrap();
    let mut values = |measure: Measure, samples: u32, seed: u32| -> Vec<f64> {
        let settings = MapSettings { view, samples, members: vec![0], seed, masks: Masks::PerPoint, deterministic: false };
        let map = map(&set, engine.as_mut(), &settings, &mut |_| ControlFlow::Continue(())).unwrap();
        map.measure(measure, &[0]).unwrap().into_iter().map(f64::from).collect()
    };
    let truth = values(Measure::MutualInformation, 4000, 1);
    let errors: Vec<f64> =
        (100..180).flat_map(|seed| values(measure, draws, seed)).zip(truth.iter().cycle()).map(|(value, truth)| value - truth).collect();
    let mean = |of: fn(&f64) -> f64| errors.iter().map(of).sum::<f64>() / errors.len() as f64;
    (mean(|error| *error), mean(|error| error * error).sqrt())
}

#[test]
fn corrected_information_has_a_quarter_of_the_bias() {
    let (bias, error) = bias_and_error(Measure::MutualInformation, 10);
    let (corrected_bias, corrected_error) = bias_and_error(Measure::MutualInformationCorrected, 10);
    eprintln!("T = 10: plug-in {bias:.4}, RMSE {error:.4}; corrected {corrected_bias:.4}, RMSE {corrected_error:.4} nats");
    assert!(bias < -0.015, "the negative control: the plug-in is too low, by {bias}");
    assert!(corrected_bias.abs() <= bias.abs() / 4.0, "{corrected_bias} for {bias}");
    assert!(corrected_error <= 1.1 * error, "{corrected_error} for {error}");
}
