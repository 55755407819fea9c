//! The measures, the reference engine's networks, the ELBO and the AUROC against an independent implementation (PyTorch in f64; see
//! `tests/reference/make.py`), to 1e-9 relative. Every comparison has a twin with one number changed that must fail.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use crate::fixtures::{load, numbers, odd_classifier, weights};
use epistemap::analysis::detection::Ranking;
use epistemap::analysis::elbo::{Elbo, logit_decoder, sample};
use epistemap::engine::reference::{Draw, forward, softmax};
use epistemap::nets::{Layer, Likelihood, Vae, VaeLayers, Weights};
use epistemap::uncertainty::{CellStatistics, Measure, Passes};
use serde_json::Value;

const RELATIVE: f64 = 1e-9;

/// Some of the true values are 0 (variances and mutual information of equal draws). There the sums leave rounding errors of
/// numbers up to ln 37 < 4, a few times 4e-16 each, here as in the reference. This floor is below every other number by far
/// more than nine digits.
const FLOOR: f64 = 1e-14;

/// Whether all numbers agree; NaN never does.
fn agree(got: &[f64], expected: &[f64]) -> bool {
    got.len() == expected.len() && got.iter().zip(expected).all(|(a, b)| (a - b).abs() <= RELATIVE * b.abs() + FLOOR)
}

/// Adds a little to one weight: far above the tolerance, far below what one would notice.
fn changed(weights: &Weights, name: &str, at: usize) -> Weights {
    let mut weights = weights.clone();
    weights.get_mut(name).unwrap().values[at] += 1e-5;
    weights
}

fn sampled_measures() -> impl Iterator<Item = Measure> {
    let published = |measure: &Measure| measure.passes() == Passes::Sampled && *measure != Measure::MutualInformationCorrected;
    Measure::ALL.into_iter().filter(published)
}

/// For each of the measures whether it is the one of the fixture.
fn measures_agree(statistics: &CellStatistics, expected: &Value) -> Vec<bool> {
    sampled_measures().map(|measure| agree(&[measure.evaluate(statistics)], &[expected[measure.key()].as_f64().unwrap()])).collect()
}

#[test]
fn measures_agree_with_the_reference() {
    let mut told = vec![0; sampled_measures().count()];
    for (number, case) in load("measures.json").as_array().unwrap().iter().enumerate() {
        let mut draws: Vec<Vec<f64>> = case["p"].as_array().unwrap().iter().map(numbers).collect();
        let statistics = CellStatistics::of_draws(&draws);
        assert_eq!(measures_agree(&statistics, case), vec![true; told.len()], "case {number}");

        // The twin: one draw votes for the class that the others think of least.
        let mean = statistics.mean();
        let least = (0..mean.len()).min_by(|&a, &b| mean[a].total_cmp(&mean[b])).unwrap();
        *draws.last_mut().unwrap() = (0..mean.len()).map(|class| f64::from(class == least)).collect();
        let twin = measures_agree(&CellStatistics::of_draws(&draws), case);
        assert!(twin.contains(&false), "the twin of case {number} passes");
        told.iter_mut().zip(twin).for_each(|(count, same)| *count += usize::from(!same));
    }
    assert!(told.iter().all(|&count| count >= 5), "the twins fail so often per measure: {told:?}");
}

/// What `classifier.json` says of its two members: logits, logits of the draws, and the measures of each image.
struct Answers {
    logits: Vec<f64>,
    draw_logits: Vec<f64>,
    measures: Vec<f64>,
}

/// Our answers with the fixture's images and keep masks.
fn answers(fixture: &Value, members: &[Weights]) -> Answers {
    let images: Vec<Vec<f64>> = fixture["images"].as_array().unwrap().iter().map(numbers).collect();
    let mut cells = vec![CellStatistics::new(4); images.len()];
    let mut answers = Answers { logits: Vec::new(), draw_logits: Vec::new(), measures: Vec::new() };
    for (member, weights) in members.iter().enumerate() {
        let network = odd_classifier(weights).network;
        for image in &images {
            answers.logits.extend(forward(&network, image, None));
        }
        for draw in 0..4 {
            let keep = |layer: usize, _: f64, units: usize| {
                let masks = if layer == 5 { "keep_after_pool" } else { "keep_after_fc1" };
                let mask = numbers(&fixture[masks][member][draw]);
                assert_eq!(mask.len(), units);
                mask.into_iter().map(|kept| kept == 1.0).collect()
            };
            for (image, cell) in images.iter().zip(&mut cells) {
                let logits = forward(&network, image, Some(Draw { keep: &keep, noise: &|_, _| Vec::new() }));
                cell.add_draw(&softmax(&logits));
                answers.draw_logits.extend(logits);
            }
        }
    }
    answers.measures = cells.iter().flat_map(|cell| sampled_measures().map(|measure| measure.evaluate(cell))).collect();
    answers
}

#[test]
fn the_classifier_agrees_with_the_reference() {
    let fixture = load("classifier.json");
    let expected = Answers {
        logits: numbers(&fixture["logits"]),
        draw_logits: numbers(&fixture["draw_logits"]),
        measures: (0..3)
            .flat_map(|image| sampled_measures().map(move |measure| (image, measure.key())))
            .map(|(image, key)| fixture["measures"][image][key].as_f64().unwrap())
            .collect(),
    };
    let compare = |members: &[Weights]| {
        let got = answers(&fixture, members);
        [agree(&got.logits, &expected.logits), agree(&got.draw_logits, &expected.draw_logits), agree(&got.measures, &expected.measures)]
    };
    let members: Vec<Weights> = fixture["members"].as_array().unwrap().iter().map(weights).collect();
    assert_eq!(compare(&members), [true; 3]);
    for member in 0..members.len() {
        for (name, tensor) in &members[member] {
            // Some units are dead on these images, and their weights without effect.
            let told = (0..tensor.values.len()).any(|at| {
                let mut twin = members.clone();
                twin[member] = changed(&members[member], name, at);
                compare(&twin) == [false; 3]
            });
            assert!(told, "member {member} with another '{name}' passes");
        }
    }
}

/// mu, logvar, reconstruction, KL and −ELBO of the images, and the decoded points, of the VAE with these weights.
fn vae_answers(fixture: &Value, weights: &Weights) -> [Vec<f64>; 6] {
    let linear = |name: &str, inputs, outputs| Layer::Linear { name: name.into(), inputs, outputs };
    let layers = VaeLayers {
        encoder: vec![Layer::Flatten, linear("enc1", 189, 8), Layer::Elu],
        mean: vec![linear("mu", 8, 2)],
        log_variance: vec![linear("logvar", 8, 2)],
        decoder: vec![linear("dec1", 2, 8), Layer::Elu, linear("dec2", 8, 189), Layer::Reshape { shape: vec![3, 9, 7] }, Layer::Sigmoid],
    };
    let vae = Vae::new([3, 9, 7], &layers, weights).unwrap();
    let logit_decoder = logit_decoder(&vae).unwrap();
    let mut answers = [const { Vec::new() }; 6];
    for (image, noise) in fixture["images"].as_array().unwrap().iter().zip(fixture["noise"].as_array().unwrap()) {
        let (image, noise) = (numbers(image), numbers(noise));
        let features = forward(&vae.encoder, &image, None);
        let [mean, log_variance] = [&vae.mean, &vae.log_variance].map(|head| forward(head, &features, None));
        let logits = forward(&logit_decoder, &sample(&mean, &log_variance, &noise), None);
        let elbo = Elbo::new(Likelihood::Bernoulli, &image, &mean, &log_variance, &logits);
        let ours = [mean, log_variance, vec![elbo.reconstruction], vec![elbo.kl], vec![elbo.negative()]];
        answers.iter_mut().zip(ours).for_each(|(all, one)| all.extend(one));
    }
    answers[5] = fixture["z"].as_array().unwrap().iter().flat_map(|z| forward(&vae.decoder, &numbers(z), None)).collect();
    answers
}

#[test]
fn the_vae_agrees_with_the_reference() {
    let fixture = load("vae.json");
    let keys = ["mu", "logvar", "reconstruction_nll", "kl", "negative_elbo", "decoded"];
    let failing = |weights: &Weights| -> Vec<&str> {
        let answers = vae_answers(&fixture, weights);
        keys.into_iter().zip(answers).filter(|(key, got)| !agree(got, &numbers(&fixture[*key]))).map(|(key, _)| key).collect()
    };
    let weights = weights(&fixture["weights"]);
    assert_eq!(failing(&weights), [""; 0]);

    let [encoder, mean, log_variance, decoder] = [
        vec!["mu", "logvar", "reconstruction_nll", "kl", "negative_elbo"],
        vec!["mu", "reconstruction_nll", "kl", "negative_elbo"],
        vec!["logvar", "reconstruction_nll", "kl", "negative_elbo"],
        vec!["reconstruction_nll", "negative_elbo", "decoded"],
    ];
    for name in weights.keys() {
        let expected = match name.split_once('.').unwrap().0 {
            "enc1" => &encoder,
            "mu" => &mean,
            "logvar" => &log_variance,
            _ => &decoder,
        };
        assert_eq!(failing(&changed(&weights, name, 0)), *expected, "with another '{name}'");
    }
}

#[test]
fn detection_agrees_with_the_reference() {
    for (number, case) in load("detection.json").as_array().unwrap().iter().enumerate() {
        let (labels, scores) = (numbers(&case["labels"]), numbers(&case["scores"]));
        let of =
            |wanted: f64| scores.iter().zip(&labels).filter(|(_, label)| **label == wanted).map(|(score, _)| *score).collect::<Vec<_>>();
        let (negatives, mut positives) = (of(0.0), of(1.0));
        let agrees = |negatives: &[f64], positives: &[f64]| {
            let ranking = Ranking::new(negatives, positives).unwrap();
            let [fpr, tpr]: [Vec<f64>; 2] = [0, 1].map(|axis| ranking.roc().iter().map(|point| point[axis]).collect());
            [
                agree(&[ranking.auroc()], &[case["auroc"].as_f64().unwrap()]),
                agree(&[ranking.average_precision()], &[case["average_precision"].as_f64().unwrap()]),
                agree(&[ranking.fpr_at_95_tpr()], &[case["fpr_at_95_tpr"].as_f64().unwrap()]),
                agree(&fpr, &numbers(&case["fpr"])) && agree(&tpr, &numbers(&case["tpr"])),
            ]
        };
        assert_eq!(agrees(&negatives, &positives), [true; 4], "case {number}");
        // The twins: a negative that is above all others; and the least of the positives' scores as the greatest of all.
        let below: Vec<f64> = negatives.iter().map(|score| score - 10.0).collect();
        assert_eq!(agrees(&below, &positives), [false; 4], "the twin of case {number} passes");
        let least = (0..positives.len()).min_by(|&a, &b| positives[a].total_cmp(&positives[b])).unwrap();
        positives[least] = 1e9;
        let moved = agrees(&negatives, &positives);
        assert!(!moved[0] && !moved[1] && !moved[3], "the twin of case {number} passes");
    }
}

#[test]
fn nan_never_agrees() {
    assert!(agree(&[1.0], &[1.0]) && !agree(&[f64::NAN], &[1.0]) && !agree(&[1.0], &[f64::NAN]) && !agree(&[], &[1.0]));
}
