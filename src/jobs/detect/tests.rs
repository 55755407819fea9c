use super::*;
use crate::analysis::detection::Estimate;
use crate::attack::{Norm, Settings};
use crate::data::decoded_digits;
use crate::engine;
use crate::jobs::ModelSet;
use std::sync::Arc;

/// Decoded digits, more than a part of them.
fn digits(count: usize) -> (Classifiers, Dataset) {
    let set = ModelSet::shipped().unwrap();
    let test = &set.encodings().unwrap().test;
    let mut engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
    let data = decoded_digits(&test.points[..count], &test.labels[..count], &test.classes, [1, 28, 28], |z| engine.decode(z)).unwrap();
    (Classifiers::of(&set), data)
}

fn attack(method: &str, epsilon: f64, on: On) -> AttackSettings {
    let attack = Settings { iterations: Some(3), ..Settings::new(method, Norm::Linf, epsilon) };
    AttackSettings { attack, on, members: if on == On::Ensemble { vec![2, 0] } else { vec![1] }, samples: 3 }
}

fn run(classifiers: &Classifiers, data: &Dataset, settings: &DetectSettings, observe: DetectObserver<'_>) -> Result<Detection> {
    let mut engine = engine::open("cpu", Arc::clone(&classifiers.models)).unwrap();
    detect(classifiers, engine.as_mut(), None, data, settings, observe)
}

fn settings(attacks: Vec<AttackSettings>, cache: Option<&std::path::Path>) -> DetectSettings {
    DetectSettings {
        attacks,
        resamples: 20,
        seeds: 1,
        noise: NoiseControl::Matched,
        shard: None,
        cache: cache.map(std::path::Path::to_owned),
    }
}

/// All of a result that is said.
fn said(detection: &Detection, classifiers: &Classifiers) -> String {
    detection.to_csv(classifiers)
}

#[test]
fn a_stopped_run_goes_on_and_ends_as_one_that_was_not() {
    let (classifiers, data) = digits(130);
    let folder = tempfile::tempdir().unwrap();
    let attacks = vec![attack("bim", 0.1, On::Mc), attack("bim", 0.2, On::Ensemble)];
    let plain = run(&classifiers, &data, &settings(attacks.clone(), None), &mut |_| ControlFlow::Continue(())).unwrap();
    let parts = || std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();

    let kept = settings(attacks, Some(folder.path()));
    let stopped =
        run(&classifiers, &data, &kept, &mut |_| if parts().is_empty() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) });
    assert!(matches!(stopped, Err(Error::Cancelled)));
    assert_eq!(parts().len(), 1, "the first hundred images");
    let mut told = Vec::new();
    let whole = run(&classifiers, &data, &kept, &mut |progress| {
        told.push(progress.done);
        assert!(progress.done <= progress.total);
        ControlFlow::Continue(())
    });
    let whole = whole.unwrap();
    assert_eq!(parts().len(), 4);
    assert!(told.is_sorted() && told[0] == 0);
    assert_eq!(said(&whole, &classifiers), said(&plain, &classifiers));
    assert_eq!(whole.rows[1].attacked.images, plain.rows[1].attacked.images);

    // A damaged part is made again, and one of other settings is another.
    std::fs::write(&parts()[2], "damaged").unwrap();
    let again = run(&classifiers, &data, &kept, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(said(&again, &classifiers), said(&plain, &classifiers));
    let other = settings(vec![attack("bim", 0.11, On::Mc)], Some(folder.path()));
    run(&classifiers, &data, &other, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(parts().len(), 6);
}

#[test]
fn attack_draws_alone_fix_the_attacked_images_and_their_cache() {
    let (classifiers, data) = digits(20);
    let folder = tempfile::tempdir().unwrap();
    let of = |on: On, attack_samples: Option<u32>, samples: u32| {
        let plain = attack("bim", 0.1, on);
        AttackSettings { attack: Settings { attack_samples, ..plain.attack }, on, members: vec![1], samples }
    };
    let run = |attack: AttackSettings, cache: Option<&std::path::Path>| {
        let mut found = run(&classifiers, &data, &settings(vec![attack], cache), &mut |_| ControlFlow::Continue(())).unwrap();
        found.rows.remove(0).attacked
    };
    let parts = || std::fs::read_dir(folder.path()).unwrap().count();
    let [one, one_more] = [5, 6].map(|samples| run(of(On::Mc, Some(1), samples), None));
    let [three, five] = [3, 5].map(|samples| run(of(On::Mc, None, samples), None));
    assert_eq!(one.images, one_more.images);
    assert_ne!(one.images, three.images, "the negative control");
    assert_eq!(run(of(On::Mc, Some(3), 5), None).images, three.images);
    let of_clean = |attacked: &Attacked| attacked.measure(Measure::MutualInformation)[0].clone();
    assert_eq!(of_clean(&one), of_clean(&five), "the draws that measure are those of --samples");
    assert_ne!(of_clean(&one), of_clean(&one_more));
    // The attack's draws are in the key, those that measure are not, and without dropout neither matters.
    for (on, attack_samples, samples, expected, kept) in [
        (On::Mc, Some(1), 5, Some(&one), 1),
        (On::Mc, None, 3, Some(&three), 2),
        (On::Mc, Some(1), 6, Some(&one), 2),
        (On::Mc, Some(3), 5, Some(&three), 2),
        (On::Deterministic, None, 3, None, 3),
        (On::Deterministic, Some(1), 3, None, 3),
    ] {
        let attacked = run(of(on, attack_samples, samples), Some(folder.path()));
        assert!(expected.is_none_or(|expected| expected.images == attacked.images), "{on:?} {attack_samples:?} {samples}");
        assert_eq!(parts(), kept, "{on:?} {attack_samples:?} {samples}");
    }
    // This text stands in the keys of images that earlier versions cached.
    let text = r#"{"attack":{"method":"bim","norm":"linf","epsilon":0.1,"step":null,"iterations":3,"decay":1.0,"restarts":1,"loss":"both","confidence":0.0,"lambda":0.3,"targeted":false,"fresh_masks":false,"as_published":false,"seed":0},"on":"mc","members":[1],"samples":3}"#;
    assert_eq!(serde_json::to_string(&of(On::Mc, None, 3)).unwrap(), text);
}

#[test]
fn nothing_is_detected_where_nothing_was_changed() {
    let (classifiers, data) = digits(30);
    let attacks = vec![attack("fgm", 0.0, On::Mc), attack("fgm", 0.3, On::Mc)];
    let found = run(&classifiers, &data, &settings(attacks, None), &mut |_| ControlFlow::Continue(())).unwrap();
    for measure in Measure::ALL {
        let quality = |row: usize, positives| found.rows[row].quality(measure, positives, Negatives::Both);
        // Equal images have equal scores: ties.
        assert_eq!(quality(0, Positives::All).unwrap().auroc.value, 0.5, "{measure:?}");
        assert_eq!(quality(0, Positives::Successful), None);
        assert!(quality(1, Positives::All).unwrap().auroc.value != 0.5, "the negative control: {measure:?}");
    }
    let [negatives, positives] = found.rows[1].scores(Measure::MutualInformation, Positives::All, Negatives::Both);
    assert_eq!((negatives.len(), positives.len()), (60, 30));
}

#[test]
fn the_table_is_the_same_in_every_form() {
    let (classifiers, data) = digits(40);
    let attacks = [On::Deterministic, On::Mc].into_iter().flat_map(|on| [0.1, 0.3].map(|epsilon| attack("bim", epsilon, on))).collect();
    let found = run(&classifiers, &data, &settings(attacks, None), &mut |_| ControlFlow::Continue(())).unwrap();
    let json = found.to_json(&classifiers);
    assert_eq!(json["rows"].as_array().unwrap().len(), 4);
    let detection = json["rows"][3]["detection"].as_array().unwrap();
    assert_eq!(detection.len(), 2 * 3 * Measure::ALL.len());
    let csv = found.to_csv(&classifiers);
    assert_eq!(csv.lines().filter(|line| !line.starts_with('#')).count(), 1 + 4 * detection.len());
    let fields = |line: &str| line.split(',').count();
    let lines: Vec<&str> = csv.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(lines.iter().all(|line| fields(line) == fields(lines[0])), "{csv}");
    let latex = found.to_latex(&classifiers);
    // By hand: of the images that both answered rightly, on how many more the attack succeeded on the one.
    let differences = found.success_differences();
    assert_eq!(
        differences.iter().map(|of| (of.epsilon, of.on)).collect::<Vec<_>>(),
        [0.1, 0.3].map(|of| (of, [On::Deterministic, On::Mc]))
    );
    let [first, second] = [1, 3].map(|row: usize| found.rows[row].attacked.successes());
    let both: Vec<[bool; 2]> = first.iter().zip(&second).filter_map(|(a, b)| Some([(*a)?, (*b)?])).collect();
    let rate = |which: usize| both.iter().filter(|pair| pair[which]).count() as f64 / both.len() as f64;
    let Estimate { value, low, high } = differences[1].difference;
    assert!((value - (rate(0) - rate(1))).abs() <= 1e-12 && low <= value && value <= high && low < high, "{differences:?}");
    assert!(found.to_text().contains("deterministic − mc: ") && json["success_differences"][1]["on"][1] == "mc", "{}", found.to_text());
    // A line for each victim and budget.
    assert_eq!(latex.matches("BIM").count(), 4);
    let (comment, table) = latex.split_once('\n').unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&comment[2..]).unwrap(), found.provenance(&classifiers));
    let lines: Vec<&str> = table.lines().filter(|line| line.contains(" & ")).collect();
    // Success and H − I beside the measures; victim, attack and budget before them.
    assert!(lines.iter().all(|line| line.split(" & ").count() == 3 + 2 + Measure::ALL.len()), "{latex}");
    let areas = Measure::ALL.map(|measure| found.rows[3].quality(measure, Positives::All, Negatives::Both).unwrap().auroc.value);
    let best = format!(" & \\textbf{{{:.1}}} / ", 100.0 * areas.into_iter().fold(0.0, f64::max));
    assert!(lines[4].contains(&best), "{best}: {}", lines[4]);
    let value = found.rows[3].quality(Measure::MutualInformation, Positives::All, Negatives::Both).unwrap().auroc.value;
    let printed = format!("{:.1}", 100.0 * value);
    assert!([format!("{printed} / "), format!("{{{printed}}} / ")].iter().any(|cell| lines[4].contains(cell)), "{printed}: {}", lines[4]);
    assert!(found.to_text().contains(&format!("{value:.3} [")), "{latex}");
}

#[test]
fn unfamiliar_images_are_told_apart_from_familiar_ones() {
    let (classifiers, data) = digits(60);
    // Digits upside down, light for dark: nothing like them was ever seen.
    let pixels = data.images().iter().map(|pixel| 1.0 - pixel).collect();
    let other = Dataset::new(&data.name, data.image_shape, pixels, data.labels.clone(), data.classes.clone()).unwrap();
    let mut engine = engine::open("cpu", Arc::clone(&classifiers.models)).unwrap();
    let on = [(On::Mc, vec![0]), (On::Ensemble, vec![0, 1, 2])];
    let mut of = |other: &Dataset| {
        unfamiliar(&classifiers, engine.as_mut(), None, [&data, other], &on, (10, 0, 50), &mut |_| ControlFlow::Continue(())).unwrap()
    };
    let entropy = |found: &[Unfamiliar]| found[1].scored[0].1.unwrap().auroc.value;
    let (strange, same) = (of(&other), of(&data));
    assert!(entropy(&strange) > 0.8, "{}", entropy(&strange));
    assert_eq!(entropy(&same), 0.5, "the negative control");
}

#[test]
fn the_distance_from_the_data_is_scored_beside_the_measures() {
    let (classifiers, data) = digits(40);
    let manifold = Manifold::of(&ModelSet::shipped().unwrap()).unwrap();
    let mut engine = engine::open("cpu", Arc::clone(&classifiers.models)).unwrap();
    let asked = settings(vec![attack("bim", 0.3, On::Mc)], None);
    let found = detect(&classifiers, engine.as_mut(), Some(&manifold), &data, &asked, &mut |_| ControlFlow::Continue(())).unwrap();
    let row = &found.rows[0];
    assert_eq!(row.detectors(), Detector::all(true));
    let [clean, noisy, attacked] = row.values(Detector::LatentLogDensity);
    // The positive side is the low one.
    let by_hand = crate::analysis::detection::auroc(
        &clean.iter().chain(&noisy).map(|value| -value).collect::<Vec<_>>(),
        &attacked.iter().map(|value| -value).collect::<Vec<_>>(),
    );
    let quality = |detector: Detector| row.quality(detector, Positives::All, Negatives::Both).unwrap();
    assert_eq!(quality(Detector::LatentLogDensity).auroc.value, by_hand.unwrap());
    // Decoded digits are the decoder's own: whatever is changed of them is reconstructed worse.
    let against_clean = row.quality(Detector::ReconstructionError, Positives::All, Negatives::Clean).unwrap();
    assert!(against_clean.auroc.value > 0.9, "{:?}", against_clean.auroc);
    let json = found.to_json(&classifiers);
    let keys: Vec<&str> = Detector::OF_VAE.map(Detector::key).to_vec();
    let scored = json["rows"][0]["detection"].as_array().unwrap();
    let (csv, scores, text, latex) =
        (found.to_csv(&classifiers), found.scores_csv(&classifiers), found.to_text(), found.to_latex(&classifiers));
    for (key, detector) in keys.iter().zip(Detector::OF_VAE) {
        assert_eq!(scored.iter().filter(|scored| scored["measure"] == *key).count(), 2 * 3, "{key}");
        assert!(csv.contains(&format!("both,{key},")) && text.contains(detector.label()) && scores.contains(&format!(",{key}")));
    }
    assert!(latex.contains("$H - I$ & $d$ & $\\ln q$ & $R$"), "{latex}");
    let lines: Vec<&str> = scores.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(lines.iter().all(|line| line.split(',').count() == lines[0].split(',').count()));
}

#[test]
fn other_masks_spread_the_area_of_what_has_draws() {
    let (classifiers, data) = digits(30);
    let of = |seeds: u32| {
        let asked = DetectSettings { seeds, ..settings(vec![attack("bim", 0.1, On::Mc), attack("bim", 0.2, On::Mc)], None) };
        run(&classifiers, &data, &asked, &mut |_| ControlFlow::Continue(())).unwrap()
    };
    let (one, three) = (of(1), of(3));
    for (row, row_of_one) in three.rows.iter().zip(&one.rows) {
        for (scored, scored_of_one) in row.scored.iter().zip(&row_of_one.scored) {
            assert_eq!((scored.quality, scored_of_one.seed_spread), (scored_of_one.quality, None));
            let (Some(quality), Some(spread)) = (scored.quality, scored.seed_spread) else { continue };
            assert!(spread.lowest <= quality.auroc.value && quality.auroc.value <= spread.highest && spread.seeds == 3);
            // Without dropout, no mask changes anything.
            let is_random = scored.detector != Measure::DeterministicEntropy.into();
            assert!(is_random || spread.lowest == spread.highest);
        }
        let spread = row.scored(Measure::MutualInformation.into(), Positives::All, Negatives::Both).unwrap().seed_spread.unwrap();
        assert!(spread.lowest < spread.highest && spread.standard_deviation > 0.0, "the negative control: {spread:?}");
    }
    assert!(three.to_text().contains("over 3 mask seeds") && !one.to_text().contains("mask seeds"));
    assert_eq!(three.to_json(&classifiers)["rows"][0]["detection"][0]["seed_spread"]["seeds"], 3);
}

#[test]
fn the_reason_for_no_number_is_that_of_the_measure() {
    let (classifiers, data) = digits(20);
    let mut engine = engine::open("cpu", Arc::clone(&classifiers.models)).unwrap();
    let one_draw = AttackSettings { samples: 1, ..attack("fgm", 0.3, On::Mc) };
    let mut found = run(&classifiers, &data, &settings(vec![one_draw], None), &mut |_| ControlFlow::Continue(())).unwrap();
    let on = [(On::Mc, vec![0])];
    found.unfamiliar =
        unfamiliar(&classifiers, engine.as_mut(), None, [&data, &data], &on, (1, 0, 5), &mut |_| ControlFlow::Continue(())).unwrap();
    let text = found.to_text();
    let reason = crate::uncertainty::UNDEFINED_FOR_ONE_DRAW;
    assert!(text.matches(reason).count() >= 3, "{text}");
    assert!(!text.contains(crate::uncertainty::UNDEFINED_WITHOUT_DRAWS), "{text}");
    assert_eq!(found.to_json(&classifiers)["rows"][0]["undefined"]["mutual_information"], reason);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (classifiers, data) = digits(10);
    let sentence = |data: &Dataset, attack: AttackSettings| {
        run(&classifiers, data, &settings(vec![attack], None), &mut |_| ControlFlow::Continue(())).unwrap_err().to_string()
    };
    let good = attack("bim", 0.1, On::Mc);
    assert!(sentence(&data, AttackSettings { samples: 0, ..good.clone() }).starts_with("--samples"));
    assert!(sentence(&data, AttackSettings { members: vec![77], ..good.clone() }).starts_with("--members"));
    assert!(sentence(&data, attack("bim", f64::NAN, On::Mc)).starts_with("--eps"));
    let small = Dataset::new("small", [1, 2, 2], vec![0.5; 4], vec![0], data.classes.clone()).unwrap();
    assert!(sentence(&small, good).contains("the classifiers take [1, 28, 28]"));
}
