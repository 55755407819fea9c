//! The tab alone, and in the window.

use super::*;
use crate::app::state::choices::detection::{DetectionChoice, Sought};
use crate::app::state::scope::Sources;
use crate::app::state::session::Session;
use crate::app::tests;
use crate::app::tests::{UnderTest as _, click, rest};
use crate::data::Dataset;
use crate::engine::Engine as _;
use crate::error::Error;
use crate::jobs::{Detector, ModelSet, Negatives, On, Positives, SharedEngine};
use crate::uncertainty::Measure;
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use std::path::Path;
use std::time::{Duration, Instant};

type Alone = tests::Alone<DetectionPanel>;

/// Images that are attacked.
const IMAGES: usize = 30;

/// The tab alone over a session, with some decoded digits as data, and stripes as other data.
fn alone(cache: Option<&Path>, change: impl FnOnce(&mut Session)) -> Alone {
    let set = Arc::new(ModelSet::shipped().unwrap());
    let engine = SharedEngine::open("cpu", &set).unwrap();
    let mut session = Session::new(&set);
    let choice = &mut session.detection;
    (choice.images, choice.attack.samples, choice.attack.iterations) = (IMAGES, 3, Some(3));
    (choice.attack.on, choice.attack.epsilon) = (On::Mc, 0.2);
    change(&mut session);
    let test = &set.encodings().unwrap().test;
    let places: Vec<usize> = (0..2 * IMAGES).collect();
    let images = places.iter().flat_map(|&at| engine.foreground().decode(&test.points[at].map(f64::from)).unwrap()).collect();
    let labels = places.iter().map(|&at| test.labels[at]).collect();
    let data = Dataset::new("digits", [1, 28, 28], images, labels, test.classes.clone()).unwrap();
    let wake: Wake = Arc::new(|_| {});
    let scope = Scope {
        open_panels: ["Detection".to_owned()].into(),
        data: Some(Arc::new(data)),
        sources: Sources {
            attack_cache: cache.map(Path::to_owned),
            load_named: Arc::new(|name| match name {
                "kmnist" => {
                    let pixels = (0..40 * 784).map(|at| if at % 5 < 2 { 1.0 } else { 0.0 }).collect();
                    Dataset::new("stripes", [1, 28, 28], pixels, vec![0; 40], vec!["stripe".to_owned()])
                }
                _ => Err(Error::setting(name, "it is not there", "choose another")),
            }),
            ..Sources::default()
        },
        ..Scope::new(session, set, engine)
    };
    tests::alone(DetectionPanel::new(&wake).unwrap(), scope, [1760.0, 260.0])
}

fn view(harness: &Alone) -> &View {
    harness.state().0.view.as_ref().unwrap()
}

fn choice(harness: &mut Alone) -> &mut DetectionChoice {
    &mut harness.state_mut().1.session.detection
}

/// Whether something with such a name is drawn.
fn says(harness: &Alone, part: &str) -> bool {
    harness.query_all_by_label_contains(part).count() > 0
}

#[test]
fn a_click_on_detect_fills_the_table_with_what_the_job_says() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = alone(Some(folder.path()), |_| {});
    harness.run_steps(2);
    assert!(says(&harness, "Does uncertainty notice?") && harness.state().0.view.is_none(), "nobody has clicked");
    click(&mut harness, "Detect");
    rest(&mut harness);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "what was attacked is kept");
    let row = view(&harness).row().unwrap();
    assert_eq!((row.attacked.norms.len(), view(&harness).found.detection.images), (IMAGES, IMAGES));
    let quality = row.quality(Measure::PredictiveEntropy, Positives::All, Negatives::Both).unwrap();
    assert_ne!(Some(quality), row.quality(Measure::MutualInformation, Positives::All, Negatives::Both), "each measure has its own");
    assert!(says(&harness, &table::cell(quality.auroc)) && says(&harness, &table::cell(quality.fpr_at_95_tpr)));
    assert!(says(&harness, &format!("{:.3}", quality.tpr_at_5_fpr.value)) && says(&harness, "TPR at 5 %"));
    assert!(says(&harness, "Positive: attacked, at high mutual information; negative: clean and noisy"));
    assert!(
        row.quality(Detector::ReconstructionError, Positives::All, Negatives::Both).is_some() && says(&harness, "Reconstruction error")
    );
    assert!(says(&harness, "Success ") && says(&harness, &format!("{IMAGES} images of digits")));
    let spread = row.scored(Measure::MutualInformation.into(), Positives::All, Negatives::Both).unwrap().seed_spread.unwrap();
    assert!(spread.seeds == 5 && spread.lowest < spread.highest);
    assert!(says(&harness, &format!("over 5 mask seeds: {:.3} to {:.3}", spread.lowest, spread.highest)));

    // Others are told apart without another job, and have other numbers.
    let asked = harness.state().0.worker.requests();
    choice(&mut harness).negatives = Negatives::Clean;
    harness.run_steps(2);
    let clean = view(&harness).row().unwrap().quality(Measure::PredictiveEntropy, Positives::All, Negatives::Clean).unwrap();
    assert!(clean != quality && view(&harness).qualities[0].1 != Some(quality));
    assert_eq!(view(&harness).sides.each_ref().map(|side| side.values.len()), [IMAGES; 2]);
    choice(&mut harness).sought = Sought::Successful;
    harness.run_steps(2);
    let successes = view(&harness).row().unwrap().attacked.successes().iter().filter(|success| **success == Some(true)).count();
    assert_eq!(view(&harness).sides[1].values.len(), successes);
    assert_eq!(says(&harness, "too few for the intervals"), (1..10).contains(&successes));
    assert_eq!(harness.state().0.worker.requests(), asked);
    assert!(!says(&harness, "The settings are others now"));
    choice(&mut harness).attack.epsilon = 0.1;
    harness.run_steps(2);
    assert!(says(&harness, "The settings are others now"));
}

#[test]
fn the_threshold_moves_the_mark_on_histogram_and_curves_together() {
    let mut harness = alone(None, |session| session.detection.detector = Measure::MaximumProbability.into());
    click(&mut harness, "Detect");
    rest(&mut harness);
    for detector in [Measure::MaximumProbability.into(), Measure::PredictiveEntropy.into(), Detector::LatentLogDensity] {
        choice(&mut harness).look_at(detector);
        harness.run_steps(2);
        let shown = view(&harness);
        let usual = shown.threshold(&DetectionChoice { detector, ..DetectionChoice::default() });
        let [fpr, tpr, _] = shown.rates(detector, usual).unwrap();
        let quality = shown.qualities.iter().find(|(other, _)| *other == detector).unwrap().1.unwrap();
        assert!(fpr == quality.fpr_at_95_tpr.value && tpr >= 0.95, "{detector:?}: {fpr}, {tpr}");
        assert!(
            says(&harness, &format!("threshold at {usual:.4}")) && says(&harness, &format!("ROC curve, threshold at ({fpr:.3}, {tpr:.3})"))
        );
        // Every alarm goes off at the one end, none beyond the other.
        let [low, high] = shown.range;
        let (all, none) = if detector.rises() { (low, high + 1.0) } else { (high, low - 1.0) };
        assert_eq!([all, none].map(|threshold| shown.rates(detector, threshold).unwrap()[1]), [1.0, 0.0]);
        choice(&mut harness).threshold = Some(none);
        harness.run_steps(2);
        assert!(says(&harness, "ROC curve, threshold at (0.000, 0.000)") && says(&harness, "0.0 % detected"));
        assert!(!says(&harness, &format!("ROC curve, threshold at ({fpr:.3}, {tpr:.3})")), "the mark has moved");
        click(&mut harness, "95 %");
        assert_eq!(choice(&mut harness).threshold, None);
    }
    let name = Measure::MutualInformation.label();
    click(&mut harness, name);
    assert_eq!(choice(&mut harness).detector, Measure::MutualInformation.into());
    let curves = view(&harness).curves.len();
    click(&mut harness, &format!("Curves of {name}"));
    assert_eq!(view(&harness).curves.len(), curves - 1);
}

#[test]
fn a_click_on_a_bin_shows_the_images_whose_values_lie_there() {
    let mut harness = alone(None, |_| {});
    click(&mut harness, "Detect");
    rest(&mut harness);
    let rect = harness.get_by(|node| node.label().is_some_and(|label| label.starts_with("Histogram of the scores"))).rect();
    assert!(harness.state().0.bin.is_none());
    harness.hover_at(rect.center());
    harness.step();
    harness.drag_at(rect.center());
    harness.step();
    harness.drop_at(rect.center());
    harness.run_steps(2);
    assert!(harness.state().0.bin.is_some_and(|bin| (10..30).contains(&bin)), "{:?}", harness.state().0.bin);
    // Each image lies in one bin, and is shown as what it is.
    let shown = view(&harness);
    let all: usize = (0..view::BINS).map(|bin| shown.images_of(bin).len()).sum();
    assert_eq!(all, 3 * IMAGES);
    let attacked = shown.bin(*shown.sides[1].values.first().unwrap());
    let ctx = harness.ctx.clone();
    harness.state_mut().0.pick(&ctx, Some(attacked));
    harness.run_steps(2);
    assert!(says(&harness, "Image 0, attacked: "));
    let shown = view(&harness);
    let row = shown.row().unwrap();
    let [clean, noisy, changed] =
        [crate::jobs::Kind::Clean, crate::jobs::Kind::Noisy, crate::jobs::Kind::Attacked].map(|kind| row.image(kind, 7).unwrap());
    assert_eq!((&*clean, &*changed), (&row.clean[7 * 784..8 * 784], &row.attacked.images[7 * 784..8 * 784]));
    let length = |image: &[f32]| image.iter().zip(&*clean).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
    assert!((length(&noisy) - row.attacked.norms[7][1]).abs() <= 1e-4 && *noisy != *changed);
    assert!(row.image(crate::jobs::Kind::Noisy, IMAGES).is_none());
}

#[test]
fn other_data_are_told_from_these_and_missing_ones_are_said() {
    let mut harness = alone(None, |session| {
        session.detection.unfamiliar = Some("kmnist".to_owned());
        session.detection.sought = Sought::Unfamiliar;
    });
    click(&mut harness, "Detect");
    rest(&mut harness);
    let shown = view(&harness);
    assert_eq!(shown.sides.each_ref().map(|side| (side.name.as_str(), side.values.len())), [("digits", IMAGES), ("stripes", IMAGES)]);
    assert!(shown.qualities.iter().all(|(_, quality)| quality.is_some()));
    assert!(matches!(shown.images_of(shown.bin(shown.sides[1].values[0]))[0], view::Shown::Other(_)));
    let starts = [0, 1].map(|number| shown.pixels(view::Shown::Other(number)).unwrap()[..3].to_vec());
    assert_eq!(starts, [[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]]);
    choice(&mut harness).unfamiliar = Some("notmnist".to_owned());
    click(&mut harness, "Detect");
    rest(&mut harness);
    assert!(says(&harness, "notmnist: it is not there"));
    assert!(harness.state().0.view.is_none(), "a failed request leaves no old numbers");
}

#[test]
fn the_attacks_of_table_1_stand_in_one_table_and_each_shows_its_own_numbers() {
    let mut harness = alone(None, |session| (session.detection.images, session.detection.attack.samples) = (6, 2));
    click(&mut harness, "all attacks of table 1");
    assert_eq!(choice(&mut harness).images, 200, "the paper's number is offered");
    choice(&mut harness).images = 6;
    harness.run_steps(2);
    click(&mut harness, "Detect");
    rest(&mut harness);
    let shown = view(&harness);
    let (rows, lines) = (shown.found.detection.rows.len(), shown.lines.clone());
    assert_eq!((rows, lines.len(), lines.iter().filter(|line| line.is_beyond).count()), (16, 16, 4));
    let success = lines[7].cells[3].clone();
    assert!(says(&harness, "Table 1") && says(&harness, "paper's H, I") && says(&harness, &success));
    assert!(!says(&harness, "The settings are others now"));
    let line = lines.iter().find(|line| line.cells[..3] == ["MC dropout", "FGM", "10"]).unwrap();
    let first = view(&harness).sides[1].values.clone();
    // Not by the pointer: the line may lie below the part that is seen.
    harness.get_by_label("MC dropout FGM 10").click_accesskit();
    harness.run_steps(2);
    assert_eq!(choice(&mut harness).row, Some(line.row));
    let settings = &view(&harness).row().unwrap().attacked.settings;
    assert_eq!((settings.attack.method.as_str(), settings.on), ("fgm", On::Mc));
    assert!(says(&harness, "fgm, L∞ ε = 0.039, on MC dropout") && view(&harness).sides[1].values != first);
    click(&mut harness, "All attacks");
    assert!(choice(&mut harness).row.is_none() && says(&harness, "Table 1") && view(&harness).sides[1].values == first);
}

#[test]
fn a_run_stops_when_it_is_told() {
    let mut harness = alone(None, |session| {
        (session.detection.attack.samples, session.detection.attack.iterations) = (300, Some(500));
    });
    click(&mut harness, "Detect");
    assert!(harness.state().0.is_busy());
    click(&mut harness, "Stop");
    assert!(!harness.state().0.is_busy() && harness.state().0.view.is_none());
    choice(&mut harness).attack.choose("mi-evading", 784);
    choice(&mut harness).attack.on = On::Deterministic;
    click(&mut harness, "Detect");
    rest(&mut harness);
    assert!(says(&harness, "no mutual information to evade"));
}

#[test]
fn settings_are_part_of_the_session_and_wrong_ones_are_refused() {
    let set = ModelSet::shipped().unwrap();
    let mut whole = Session::new(&set);
    whole.detection.unfamiliar = Some("kmnist".to_owned());
    whole.detection.threshold = Some(0.25);
    whole.check(&set).unwrap();
    let text = serde_json::to_string(&whole).unwrap();
    assert_eq!(serde_json::from_str::<Session>(&text).unwrap(), whole);
    let wrong: [fn(&mut DetectionChoice); 5] = [
        |choice| choice.images = 0,
        |choice| choice.unfamiliar = Some("socks".to_owned()),
        |choice| choice.threshold = Some(f64::NAN),
        |choice| choice.attack.epsilon = -0.1,
        |choice| choice.attack.method = "socks".to_owned(),
    ];
    for change in wrong {
        let mut session = whole.clone();
        change(&mut session.detection);
        let error = session.check(&set).unwrap_err().to_string();
        assert!(error.contains("'detection' of the session"), "{error}");
    }
    let mut older = serde_json::to_value(Session::new(&set)).unwrap();
    older.as_object_mut().unwrap().remove("detection");
    assert_eq!(serde_json::from_value::<Session>(older).unwrap(), Session::new(&set), "a session from before there was a detection");
}

#[test]
fn undo_brings_a_setting_back_and_the_tab_leaves_the_map_its_room() {
    let mut harness = tests::harness([1280.0, 800.0]);
    harness.state_mut().0.open_panel("Detection");
    let choice = &mut harness.state_mut().0.scope.session.detection;
    (choice.images, choice.attack.samples, choice.attack.iterations) = (12, 2, Some(1));
    harness.run_steps(3);
    let map = |harness: &Harness<'static, crate::app::shell::run::Program>| {
        harness.get_by(|node| node.label().is_some_and(|label| label.starts_with("Map 1:"))).rect()
    };
    let room = map(&harness);
    harness.get_by_label("Detect").click();
    harness.run_steps(2);
    let start = Instant::now();
    while harness.query_all_by_label_contains("Success ").count() == 0 {
        assert!(start.elapsed() < Duration::from_mins(2), "nothing is found");
        std::thread::sleep(Duration::from_millis(5));
        harness.step();
    }
    harness.run_steps(20);
    assert_eq!(map(&harness), room);
    // Everything is within windows of usual widths.
    for width in [1280.0, 1400.0] {
        harness.set_size([width, 900.0].into());
        harness.run_steps(4);
        let histogram = harness.get_by(|node| node.label().is_some_and(|label| label.starts_with("Histogram of the scores"))).rect();
        assert!(histogram.right() <= width && histogram.width() > 150.0, "{histogram:?} in {width}");
    }
    let before = tests::scope(&harness).session.clone();
    harness.state_mut().0.scope.session.detection.threshold = Some(0.1);
    harness.run_steps(3);
    harness.key_press_modifiers(eframe::egui::Modifiers::COMMAND, eframe::egui::Key::Z);
    harness.run_steps(3);
    assert_eq!(tests::scope(&harness).session, before);
}
