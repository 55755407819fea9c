//! Plans, stops, films and degenerate input, on images of a few pixels.

use super::*;
use crate::jobs::ModelSet;
use crate::latent::View;
use crate::nets::Op;
use crate::nets::folder::WEIGHTS;
use std::fs;

/// Images of a bright bar whose place is the class, with some grey that differs from image to image.
fn bars(count: usize, classes: usize, side: usize) -> Dataset {
    let pixel = |at: usize| {
        let (image, row) = (at / (side * side), at / side % side);
        if row * classes / side == image % classes { 0.9 } else { (at * 7 % 11) as f32 / 30.0 }
    };
    let pixels = (0..count * side * side).map(pixel).collect();
    let labels = (0..count).map(|image| (image % classes) as u16).collect();
    Dataset::new("bars", [1, side, side], pixels, labels, (0..classes).map(|class| format!("bar {class}")).collect()).unwrap()
}

fn small(what: What) -> TrainingPlan {
    TrainingPlan {
        what,
        vae: VaePlan { hidden: vec![6], ..VaePlan::default() },
        classifier: ClassifierPlan { channels: [2, 3], hidden: 5, ..ClassifierPlan::default() },
        members: 2,
        epochs: Some(4),
        batch: 8,
        ..TrainingPlan::default()
    }
}

fn looks(side: usize) -> Looks {
    let folder = tempfile::tempdir().unwrap();
    let data = bars(8, 2, side);
    let plan = TrainingPlan { epochs: Some(1), ..small(What::Vae) };
    let folders =
        train(&plan, (&data, &data), &folder.path().join("vae"), Resume::Never, None, &mut |_| ControlFlow::Continue(())).unwrap();
    let Model::Vae(vae) = load(&folders[0]).unwrap().1 else { panic!("no VAE") };
    Looks { view: View::square([-3.0, 3.0], 16).unwrap(), vae: Some(Arc::new(vae)) }
}

/// Trains and returns what was told.
fn told(plan: &TrainingPlan, data: &Dataset, folder: &Path, looks: Option<&Looks>) -> Result<Vec<News>> {
    let mut news = Vec::new();
    train(plan, (data, data), folder, Resume::SameData, looks, &mut |one| {
        news.push(one);
        ControlFlow::Continue(())
    })?;
    Ok(news)
}

fn weights(folder: &Path) -> Vec<u8> {
    fs::read(folder.join(WEIGHTS)).unwrap()
}

#[test]
fn a_stop_at_any_step_and_looks_at_the_model_leave_the_weights_as_they_are() {
    let (desk, data, looks) = (tempfile::tempdir().unwrap(), bars(40, 2, 8), looks(8));
    for what in [What::Classifier, What::Vae] {
        let mut plan = small(what);
        plan.classifier.draw = Draw::ConcreteDropout;
        (plan.optimiser, plan.augmentation) = (Some(Method::AdamW), "flip,shift=1,crop=1".parse().unwrap());
        plan.schedule = Schedule { decay: Decay::Cosine, warm_up_epochs: 0.5 };
        let [whole, stopped] = ["whole", "stopped"].map(|name| desk.path().join(format!("{what:?}/{name}")).join("model"));
        told(&plan, &data, &whole, None).unwrap();
        // 4 epochs of 5 steps; the observer stops at the 3rd, 8th and 14th step told, and takes its time at others.
        for stop in [3, 5, 6] {
            let mut steps = 0;
            let end = train(&plan, (&data, &data), &stopped, Resume::SameData, Some(&looks), &mut |news| {
                steps += usize::from(matches!(news, News::Step { .. }));
                if steps == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            assert!(matches!(end, Err(crate::error::Error::Cancelled)), "{what:?} {stop}");
        }
        assert_eq!(plan_of(&stopped).unwrap(), Some(plan.clone()));
        told(&plan, &data, &stopped, Some(&looks)).unwrap();
        assert!(weights(&stopped) == weights(&whole), "{what:?}");
        let other = TrainingPlan { seed: 1, ..plan };
        told(&other, &data, &desk.path().join("other/model"), None).unwrap();
        assert!(weights(&desk.path().join("other/model")) != weights(&whole), "the negative control");
        fs::remove_dir_all(desk.path().join("other")).unwrap();
        let clocks =
            |folder: &Path| past(folder).unwrap().into_iter().map(|epoch| [epoch.seconds, epoch.test_seconds, epoch.preview_seconds]);
        assert!(clocks(&stopped).all(|[all, test, previews]| test > 0.0 && test < all && previews > 0.0), "{what:?}");
        assert!(clocks(&whole).all(|[all, test, previews]| test > 0.0 && test < all && previews == 0.0), "{what:?}");
        let frames = film(&stopped).unwrap();
        assert_eq!(frames.iter().map(|frame| frame.epoch).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(film(&whole).unwrap().is_empty());
    }
}

#[test]
fn a_film_holds_the_pictures_of_the_epochs_and_can_be_saved() {
    let (desk, data, looks) = (tempfile::tempdir().unwrap(), bars(30, 3, 8), looks(8));
    for what in [What::Classifier, What::Vae] {
        let folder = desk.path().join(format!("{what:?}"));
        let news = told(&small(what), &data, &folder, Some(&looks)).unwrap();
        let seen: Vec<Frame> = news
            .iter()
            .filter_map(|news| match news {
                News::Frame(frame) if frame.test.is_some() => Some(frame.as_ref().clone()),
                _ => None,
            })
            .collect();
        let frames = film(&folder).unwrap();
        assert_eq!((frames.len(), frames[3].step), (4, 16));
        assert_eq!(frames, seen);
        match (&frames[1].look, what) {
            (Look::Map { view, mutual_information, predictive_entropy }, What::Classifier) => {
                assert!(view.len() >= 36 && mutual_information.len() == view.len());
                // Draws that differ disagree somewhere, and nowhere by more than they do not know.
                assert!(mutual_information.iter().any(|&mi| mi > 1e-4));
                assert!(mutual_information.iter().zip(predictive_entropy).all(|(mi, h)| mi <= h && *h <= 3f32.ln() + 1e-5));
            }
            (Look::Plane { points, labels, originals, reconstructions, shape }, What::Vae) => {
                assert_eq!((points.len(), labels, originals.len(), *shape), (30, &data.labels, 640, [1, 8, 8]));
                assert!(
                    originals[..] == *data.images_of(0..640 / data.pixels())
                        && reconstructions.iter().all(|pixel| (0.0..=1.0).contains(pixel))
                );
            }
            (look, _) => panic!("{look:?}"),
        }
        assert!(frames[0].look != frames[3].look);

        let gif = desk.path().join(format!("{what:?}.gif"));
        save_film(&frames, FilmMeasure::MutualInformation, &gif).unwrap();
        let mut decoder = gif::DecodeOptions::new().read_info(fs::File::open(&gif).unwrap()).unwrap();
        let (width, mut count) = (decoder.width(), 0);
        while let Some(frame) = decoder.read_next_frame().unwrap() {
            count += 1;
            assert!(frame.width == width && frame.delay > 0);
        }
        assert_eq!((width, count), (400, 4));
        save_film(&frames, FilmMeasure::PredictiveEntropy, &desk.path().join("series")).unwrap();
        assert_eq!(image::image_dimensions(desk.path().join("series/epoch-004.png")).unwrap().0, 400);

        fs::write(folder.join("film/epoch-0002.safetensors"), "half").unwrap();
        let error = film(&folder).unwrap_err().to_string();
        assert!(error.contains("epoch-0002") && error.ends_with('.'), "{error}");
    }
    assert!(save_film(&[], FilmMeasure::MutualInformation, &desk.path().join("none.gif")).is_err());
}

#[test]
fn a_set_is_a_folder_of_models_and_its_classifiers_are_seen_on_its_own_plane() {
    let (desk, data) = (tempfile::tempdir().unwrap(), bars(24, 2, 8));
    let plan = TrainingPlan { epochs: Some(2), ..small(What::Set) };
    let no_plane = Looks { vae: None, ..looks(8) };
    let news = told(&plan, &data, desk.path(), Some(&no_plane)).unwrap();
    let begun: Vec<_> = news
        .iter()
        .filter_map(|news| match news {
            News::Begun { model, number, of, .. } => Some((model.as_str(), *number, *of)),
            _ => None,
        })
        .collect();
    assert_eq!(begun, [("vae", 1, 3), ("classifier-0", 2, 3), ("classifier-1", 3, 3)]);
    let set = ModelSet::load(desk.path()).unwrap();
    assert_eq!((set.ensemble().members().len(), set.encodings().unwrap().train.points.len()), (2, 24));
    assert!(matches!(film(&desk.path().join("classifier-1")).unwrap()[0].look, Look::Map { .. }));
    // All of it is done: nothing is trained again.
    let again = told(&plan, &data, desk.path(), None).unwrap();
    assert!(again.iter().all(|news| matches!(news, News::Begun { done, .. } if done.len() == 2) || matches!(news, News::Note(_))));
}

#[test]
fn a_plan_cuts_the_data_down_and_leaves_test_labels_true() {
    let (train, test) = (bars(50, 5, 6), bars(25, 5, 6));
    let mut plan = small(What::Classifier);
    plan.data = TrainingData { classes: vec![4, 0, 1], images: Some(20), label_noise: 0.5, ..TrainingData::default() };
    let (prepared, tested) = plan.prepare(train.clone(), test.clone()).unwrap();
    assert_eq!((prepared.len(), tested.len(), prepared.classes[0].as_str()), (20, 15, "bar 4"));
    let true_labels = train.keep_classes(&[4, 0, 1]).unwrap().slice(0..20);
    assert_eq!(prepared.images(), true_labels.images());
    assert_eq!(prepared.labels.iter().zip(&true_labels.labels).filter(|(now, then)| now != then).count(), 10);
    assert_eq!(tested, test.keep_classes(&[4, 0, 1]).unwrap());
    let (all, _) = small(What::Classifier).prepare(train.clone(), test).unwrap();
    assert_eq!(all, train);

    let folder = tempfile::tempdir().unwrap();
    plan.epochs = Some(1);
    told(&plan, &prepared, &folder.path().join("m"), None).unwrap();
    let (description, _) = load(&folder.path().join("m")).unwrap();
    assert_eq!(description.training()["kept_classes"], serde_json::json!([4, 0, 1]));
    assert_eq!(description.training()["label_noise"], 0.5);
    let text = fs::read(folder.path().join("m").join(PLAN)).unwrap();
    assert_eq!(serde_json::from_slice::<TrainingPlan>(&text).unwrap(), plan);
    assert_eq!(serde_json::from_str::<TrainingPlan>("{}").unwrap(), TrainingPlan::default());
    let old: TrainingPlan = serde_json::from_str("{\"anneal\": true, \"optimiser\": \"adam\"}").unwrap();
    let linear = Schedule { decay: Decay::Linear, warm_up_epochs: 0.0 };
    assert_eq!(old, TrainingPlan { schedule: linear, optimiser: Some(Method::Adam), ..TrainingPlan::default() });
    assert!(serde_json::from_str::<TrainingPlan>("{\"epoch\": 3}").is_err(), "a word that means nothing");
}

#[test]
fn what_makes_no_sense_is_said_in_one_sentence() {
    type Change = fn(&mut TrainingPlan);
    let cases: [(Change, &str); 15] = [
        (|plan| plan.epochs = Some(0), "--epochs"),
        (|plan| plan.batch = 0, "--batch"),
        (|plan| plan.members = 0, "--members"),
        (|plan| plan.learning_rate = Some(f64::NAN), "--learning-rate"),
        (|plan| plan.weight_decay = Some(-0.1), "--weight-decay"),
        (|plan| plan.schedule.warm_up_epochs = 4.0, "--warm-up"),
        (|plan| plan.schedule.decay = Decay::Step { every_epochs: 0, factor: 0.1 }, "--step-every"),
        (|plan| plan.classifier.dropout = [0.2, 1.0], "--dropout"),
        (|plan| plan.data.label_noise = 1.5, "--label-noise"),
        (|plan| plan.data.label_noise = f64::NAN, "--label-noise"),
        (|plan| plan.data.images = Some(0), "--images"),
        (|plan| plan.data.images = Some(1000), "--images"),
        (|plan| plan.data.classes = vec![1], "two classes at least"),
        (|plan| plan.data.classes = vec![0, 9], "9 is no class"),
        (|plan| (plan.what, plan.seed) = (What::Ensemble, u32::MAX), "--seed"),
    ];
    for (change, named) in cases {
        let mut plan = small(What::Classifier);
        change(&mut plan);
        let error = plan.prepare(bars(20, 2, 8), bars(20, 2, 8)).unwrap_err().to_string();
        assert!(error.contains(named) && error.ends_with('.') && !error.contains(". "), "{error}");
    }
    let desk = tempfile::tempdir().unwrap();
    fs::write(desk.path().join("file"), "").unwrap();
    let refused =
        |data: &Dataset, folder: &str| told(&small(What::Classifier), data, &desk.path().join(folder), None).unwrap_err().to_string();
    let large = TrainingPlan { augmentation: "shift=8".parse().unwrap(), ..small(What::Classifier) };
    let error = told(&large, &bars(9, 2, 8), &desk.path().join("large"), None).unwrap_err().to_string();
    assert!(error.contains("shift=8 is too much for images of 8 × 8 pixels"), "{error}");
    assert!(refused(&bars(9, 1, 8), "one").contains("two classes at least"));
    assert!(refused(&bars(9, 2, 1), "pixel").contains("1 × 1 pixels are too small"));
    assert!(refused(&bars(9, 2, 8), "file").contains("file"));
    assert!(!desk.path().join("one").exists() && !desk.path().join("pixel").exists());
}

#[test]
fn little_data_train_with_a_caution_and_images_of_one_pixel_make_a_vae() {
    let desk = tempfile::tempdir().unwrap();
    let notes = |news: &[News]| {
        let note = |news: &News| if let News::Note(note) = news { Some(note.clone()) } else { None };
        news.iter().filter_map(note).collect::<Vec<_>>()
    };
    let news = told(&small(What::Classifier), &bars(9, 3, 8).slice(0..2), &desk.path().join("two"), Some(&looks(8))).unwrap();
    let cautions = notes(&news);
    assert!(cautions[0].starts_with("2 images are few for 3 classes") && cautions[1].contains("bar 2"), "{cautions:?}");
    let news = told(&small(What::Classifier), &bars(30, 3, 8), &desk.path().join("enough"), None).unwrap();
    assert_eq!(notes(&news), Vec::<String>::new(), "the negative control");
    told(&small(What::Vae), &bars(20, 2, 1), &desk.path().join("pixel"), Some(&looks(8))).unwrap();
    let other = told(&small(What::Classifier), &bars(30, 3, 9), &desk.path().join("other"), Some(&looks(8))).unwrap();
    assert!(notes(&other)[0].contains("no plane of such images"));
    assert_eq!(film(&desk.path().join("other")).unwrap()[0].look, Look::Nothing);
}

#[test]
fn a_learning_rate_far_too_large_is_said_and_earlier_epochs_stay() {
    let (desk, data) = (tempfile::tempdir().unwrap(), bars(40, 2, 8));
    let folder = desk.path().join("model");
    let plan = TrainingPlan { optimiser: Some(Method::Sgd), ..small(What::Classifier) };
    told(&TrainingPlan { learning_rate: Some(0.05), epochs: Some(1), ..plan.clone() }, &data, &folder, None).unwrap();
    for (rate, name) in [(1e9, "huge"), (1e38, "endless")] {
        let plan = TrainingPlan { learning_rate: Some(rate), ..plan.clone() };
        let said = match told(&plan, &data, &desk.path().join(name), None) {
            Err(error) => error.to_string(),
            Ok(news) => news.iter().find_map(|news| if let News::Note(note) = news { Some(note.clone()) } else { None }).unwrap(),
        };
        assert!(said.contains("learning") && said.ends_with('.'), "{said}");
        assert!(told(&plan, &data, &folder, None).is_err(), "other settings");
    }
    assert!(load(&folder).is_ok());
    assert_eq!(plan_of(&folder).unwrap().unwrap().learning_rate, Some(0.05));
}

#[test]
fn a_last_layer_that_is_drawn_is_fitted_after_the_last_epoch_and_only_then_is_the_training_complete() {
    let digits = crate::jobs::decoded_digits().unwrap();
    let data = (&digits.slice(0..120), &digits.slice(120..180));
    let mut plan = TrainingPlan { epochs: Some(1), batch: 40, ..TrainingPlan::default() };
    plan.classifier = ClassifierPlan { channels: [2, 2], hidden: 6, draw: Draw::LastLayerLaplace, ..plan.classifier };
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("drawn");
    let drawn = || match load(&folder).unwrap() {
        (_, Model::Classifier(classifier)) => classifier.network.nodes().iter().any(|node| matches!(node.op, Op::GaussianLinear { .. })),
        _ => panic!("a VAE"),
    };
    let mut stop = |news| if matches!(news, News::Fitting(_)) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    assert!(matches!(train(&plan, data, &folder, Resume::Never, None, &mut stop), Err(Error::Cancelled)));
    assert!(!drawn() && !is_complete(&plan, &folder), "the epoch is done, the fit is not");
    train(&plan, data, &folder, Resume::SameData, None, &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(drawn() && is_complete(&plan, &folder));
    let fitted = std::fs::read(folder.join("weights.safetensors")).unwrap();
    train(&plan, data, &folder, Resume::SameData, None, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(std::fs::read(folder.join("weights.safetensors")).unwrap(), fitted, "nothing is left to do");
    plan.epochs = Some(2);
    assert!(!is_complete(&plan, &folder));
    train(&plan, data, &folder, Resume::SameData, None, &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(drawn() && std::fs::read(folder.join("weights.safetensors")).unwrap() != fitted, "more epochs are fitted anew");
}

#[test]
fn logs_without_the_clocks_of_tests_and_previews_are_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("training.jsonl"), "{\"epoch\":1,\"loss\":0.5,\"seconds\":2.0,\"accuracy\":0.9,\"nll\":0.25}\n").unwrap();
    let epochs = past(folder.path()).unwrap();
    let test = Scores::Classifier { accuracy: 0.9, nll: 0.25 };
    assert_eq!(epochs, [Epoch { epoch: 1, loss: 0.5, seconds: 2.0, test_seconds: 0.0, preview_seconds: 0.0, test }]);
    fs::write(folder.path().join("training.jsonl"), "{\"epoch\":1,\"loss\":0.5,\"accuracy\":0.9,\"nll\":0.25}\n").unwrap();
    assert!(past(folder.path()).is_err(), "the negative control");
}

#[test]
fn a_folder_that_is_deleted_or_renamed_during_the_training_ends_it() {
    let (desk, data, plan) = (tempfile::tempdir().unwrap(), bars(24, 2, 8), small(What::Ensemble));
    let (folder, moved) = (desk.path().join("models"), desk.path().join("moved"));
    let disturbed = |disturb: &dyn Fn()| {
        train(&plan, (&data, &data), &folder, Resume::SameData, None, &mut |news| {
            if matches!(news, News::Step { epoch: 2, step } if step.step == 1) {
                disturb();
            }
            ControlFlow::Continue(())
        })
    };
    for disturb in [&|| fs::remove_dir_all(&folder).unwrap(), &|| fs::rename(&folder, &moved).unwrap()] as [&dyn Fn(); 2] {
        let sentence = disturbed(disturb).unwrap_err().to_string();
        assert!(sentence.contains("was deleted, renamed or made anew"), "{sentence}");
        assert!(!folder.exists(), "nothing is half written");
    }
    // The negative control: what is left goes on under its new name, to the weights of an undisturbed training.
    told(&plan, &data, &moved, None).unwrap();
    disturbed(&|| {}).unwrap();
    for member in ["classifier-0", "classifier-1"] {
        assert_eq!(weights(&moved.join(member)), weights(&folder.join(member)));
    }
}
