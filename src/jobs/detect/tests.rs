use super::*;
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
    detect(classifiers, engine.as_mut(), data, settings, observe)
}

fn settings(attacks: Vec<AttackSettings>, cache: Option<&std::path::Path>) -> DetectSettings {
    DetectSettings { attacks, resamples: 20, cache: cache.map(std::path::Path::to_owned) }
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
    let latex = found.to_latex();
    // Two lines, each with both victims.
    assert_eq!(latex.matches("BIM").count(), 2);
    let value = found.rows[3].quality(Measure::MutualInformation, Positives::All, Negatives::Both).unwrap().auroc.value;
    assert!(latex.contains(&format!("{:.1} / ", 100.0 * value)) && found.to_text().contains(&format!("{value:.3} [")), "{latex}");
}

#[test]
fn unfamiliar_images_are_told_apart_from_familiar_ones() {
    let (classifiers, data) = digits(60);
    // Digits upside down, light for dark: nothing like them was ever seen.
    let mut other = data.clone();
    other.images.iter_mut().for_each(|pixel| *pixel = 1.0 - *pixel);
    let mut engine = engine::open("cpu", Arc::clone(&classifiers.models)).unwrap();
    let on = [(On::Mc, vec![0]), (On::Ensemble, vec![0, 1, 2])];
    let mut of = |other: &Dataset| {
        unfamiliar(&classifiers, engine.as_mut(), [&data, other], &on, (10, 0, 50), &mut |_| ControlFlow::Continue(())).unwrap()
    };
    let entropy = |found: &[Unfamiliar]| found[1].scored[0].1.unwrap().auroc.value;
    let (strange, same) = (of(&other), of(&data));
    assert!(entropy(&strange) > 0.8, "{}", entropy(&strange));
    assert_eq!(entropy(&same), 0.5, "the negative control");
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
