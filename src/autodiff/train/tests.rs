//! Learned dropout rates: their gradient, their masks, and what becomes of them in a model folder.

use super::concrete::{ConcreteDropout, logit_name, regulariser, relaxed_mask};
use super::goal::modernised;
use super::{Augmentation, Decay, Goal, Optimiser, Schedule, Settings, Trainer, negative_log_likelihood};
use crate::autodiff::forward::{Forward, Parameters, Pass};
use crate::data::Dataset;
use crate::nets::architectures::{convolutional_vae, resnet};
use crate::nets::folder::Model;
use crate::nets::{Ending, Graph, Layer, random_weights};
use crate::random::{Purpose, Stream};
use candle_core::{Device, Tensor, Var};
use safetensors::SafeTensors;
use std::collections::BTreeMap;

const SHAPE: [usize; 3] = [2, 3, 3];

fn layers() -> Vec<Layer> {
    let linear = |name: &str, inputs, outputs| Layer::Linear { name: name.to_owned(), inputs, outputs };
    vec![
        Layer::Dropout2d { rate: 0.3 },
        Layer::Flatten,
        linear("fc1", 18, 5),
        Layer::Tanh,
        Layer::Dropout { rate: 0.2 },
        linear("fc2", 5, 3),
    ]
}

/// The whole loss of six images with the logits moved from ±½ by `moved`, the gradients in both, and that of the data alone in the first.
fn loss(moved: [f64; 2]) -> (f64, [f64; 2], f64) {
    let (layers, concrete) = (layers(), ConcreteDropout { temperature: 0.4, length_scale: 0.7 });
    let mut variables = BTreeMap::new();
    for (name, weight) in random_weights(&layers, 3) {
        variables.insert(name, Var::from_vec(weight.values, weight.shape, &Device::Cpu).unwrap());
    }
    let names = [0, 4].map(logit_name);
    for (name, logit) in names.iter().zip([0.5 + moved[0], -0.5 + moved[1]]) {
        variables.insert(name.clone(), Var::from_vec(vec![logit], 1, &Device::Cpu).unwrap());
    }
    let parameters = Parameters::trained(&variables);
    let stream = Stream::new(4, Purpose::TrainingMask);
    let mut masks = |layer: u32, _: f64, shape: &[usize]| {
        relaxed_mask(stream, [0, layer, 0], parameters.named(&logit_name(layer))?, concrete.temperature, shape)
    };
    let pixels = (0..6 * 18).map(|at| f64::from(at % 7) / 7.0).collect();
    let images = Tensor::from_vec(pixels, (6, 2, 3, 3), &Device::Cpu).unwrap();
    let graph = Graph::chain(&SHAPE, &layers).unwrap();
    let pass = Pass { masks: Some(&mut masks), moments: None };
    let logits = Forward::new(graph.clone()).run(&parameters, &images, pass).unwrap();
    let of_data = negative_log_likelihood(&logits, &[0, 1, 2, 2, 1, 0]).unwrap().mean_all().unwrap();
    let whole = (&of_data + regulariser(&graph, &parameters, concrete, 20).unwrap().unwrap()).unwrap();
    let slope = |loss: &Tensor, name: &str| loss.backward().unwrap().get(&variables[name]).unwrap().to_vec1::<f64>().unwrap()[0];
    (whole.to_scalar().unwrap(), [0, 1].map(|at| slope(&whole, &names[at])), slope(&of_data, &names[0]))
}

#[test]
fn gradients_of_the_logits_are_the_slopes_of_the_loss() {
    let (_, gradients, of_data_alone) = loss([0.0; 2]);
    for (at, gradient) in gradients.into_iter().enumerate() {
        let moved = |by: f64| loss(std::array::from_fn(|logit| if logit == at { by } else { 0.0 })).0;
        let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        let off = |gradient: f64| (gradient - slope).abs();
        // The noise is kept in single precision, the same for both sides.
        assert!(off(gradient) <= 1e-8, "{gradient} for {slope}");
        assert!(off(gradient * 1.001) > 1e-8, "the negative control");
        assert!(at == 1 || off(of_data_alone) > 1e-3, "the regulariser counts");
    }
}

#[test]
fn relaxed_masks_drop_the_share_that_the_rate_says_and_keep_the_mean() {
    for rate in [0.1, 0.5, 0.8f64] {
        let logit = Tensor::from_vec(vec![(rate / (1.0 - rate)).ln()], 1, &Device::Cpu).unwrap();
        let mask = |layer| {
            let mask = relaxed_mask(Stream::new(1, Purpose::TrainingMask), [7, layer, 0], &logit, 0.1, &[40, 500]).unwrap();
            mask.flatten_all().unwrap().to_vec1::<f64>().unwrap()
        };
        let values = mask(2);
        let dropped = values.iter().filter(|&&value| value < 0.5 / (1.0 - rate)).count() as f64 / 2e4;
        assert!((dropped - rate).abs() <= 4.0 * (rate * (1.0 - rate) / 2e4).sqrt(), "{dropped} dropped at {rate}");
        // The relaxation shifts the mean a little where the rate is far from a half.
        let mean = values.iter().sum::<f64>() / 2e4;
        assert!((mean - 1.0).abs() <= 0.05, "mean {mean} at {rate}");
        assert!(values != mask(3) && values.iter().all(|value| value.is_finite()));
    }
}

fn goal(layers: &[Layer]) -> Goal {
    Goal::chain(SHAPE, layers, ["a", "b", "c"].map(str::to_owned).to_vec()).unwrap()
}

fn settings(concrete_dropout: Option<ConcreteDropout>) -> Settings {
    Settings {
        name: "learned".to_owned(),
        goal: goal(&layers()),
        image_shape: SHAPE,
        dataset: "numbers".to_owned(),
        images: 30,
        epochs: 20,
        batch: 8,
        optimiser: Optimiser::Adam { learning_rate: 0.01 },
        weight_decay: 0.0,
        schedule: Schedule::default(),
        augmentation: Augmentation::default(),
        seed: 2,
        kept_classes: Vec::new(),
        label_noise: 0.0,
        concrete_dropout,
    }
}

/// Images whose class is which third of the pixels is bright.
fn data() -> Dataset {
    let pixels = (0..30 * 18).map(|at| if at % 18 / 6 == at / 18 % 3 { 0.9 } else { (at % 5) as f32 / 20.0 }).collect();
    Dataset::new("numbers", SHAPE, pixels, (0..30).map(|image| image % 3).collect(), ["a", "b", "c"].map(str::to_owned).to_vec()).unwrap()
}

#[test]
fn rates_are_learned_stand_in_the_model_and_survive_a_checkpoint() {
    let rates = |trainer: &Trainer| {
        let Model::Classifier(classifier) = trainer.model().unwrap() else { panic!("no classifier") };
        classifier.network.nodes().iter().filter_map(|node| Some(node.op.dropout()?.1)).collect::<Vec<_>>()
    };
    let epoch = |trainer: &mut Trainer| trainer.epoch(&data(), &mut |_, _| std::ops::ControlFlow::Continue(())).unwrap();
    let mut trainer = Trainer::new(settings(Some(ConcreteDropout::default()))).unwrap();
    let start = rates(&trainer);
    assert!((start[0] - 0.3).abs() < 1e-6 && (start[1] - 0.2).abs() < 1e-6, "{start:?}");
    for _ in 0..5 {
        epoch(&mut trainer);
    }
    let learned = rates(&trainer);
    assert!(learned.iter().zip(&start).all(|(now, then)| *now > 0.0 && *now < 1.0 && (now - then).abs() > 1e-3), "{learned:?}");
    assert!(trainer.weights().unwrap().keys().all(|name| !name.starts_with("dropout")));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    trainer.save(&path).unwrap();
    let mut read = Trainer::load(&path).unwrap();
    assert_eq!(read.settings(), trainer.settings());
    assert_eq!(epoch(&mut trainer), epoch(&mut read));
    assert_eq!((trainer.weights().unwrap(), rates(&trainer)), (read.weights().unwrap(), rates(&read)));

    let mut fixed = Trainer::new(settings(None)).unwrap();
    epoch(&mut fixed);
    assert_eq!(rates(&fixed), [0.3, 0.2]);
}

#[test]
fn a_rate_that_cannot_be_learned_is_refused_and_old_settings_are_read() {
    let mut wrong = settings(Some(ConcreteDropout::default()));
    wrong.goal = goal(&[&[Layer::Dropout2d { rate: 0.0 }], &layers()[1..]].concat());
    assert!(Trainer::new(wrong).err().unwrap().to_string().contains("cannot start at 0"));
    let old = serde_json::to_value(settings(None)).unwrap();
    assert!(["kept_classes", "label_noise", "concrete_dropout"].iter().all(|key| old.get(key).is_none()));
    assert_eq!(serde_json::from_value::<Settings>(old).unwrap(), settings(None));
}

#[test]
fn checkpoints_of_before_hashes_of_data_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let trainer = Trainer::new(settings(None)).unwrap();
    trainer.save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let settings = serde_json::to_string(trainer.settings()).unwrap();
    let write = |facts: &[(&str, &str)]| {
        let metadata = facts.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        std::fs::write(&path, safetensors::serialize(tensors.tensors(), Some(metadata)).unwrap()).unwrap();
        Trainer::load(&path)
    };
    let read = write(&[("settings", &settings), ("epochs_done", "3"), ("steps", "12")]).unwrap();
    assert_eq!((read.settings(), read.epochs_done(), read.steps_done(), &read.data), (trainer.settings(), 3, 12, &None));
    assert_eq!(read.weights().unwrap(), trainer.weights().unwrap());
    for damaged in
        [&[("settings", settings.as_str()), ("epochs_done", "3")][..], &[("settings", "{"), ("epochs_done", "3"), ("steps", "1")], &[]]
    {
        assert!(write(damaged).err().unwrap().to_string().contains("not a checkpoint"), "the negative control");
    }
}

#[test]
fn checkpoints_of_before_graphs_are_read() {
    let now = settings(None);
    let mut old = serde_json::to_value(&now).unwrap();
    old["goal"] = serde_json::json!({ "kind": "classifier", "layers": layers(), "classes": ["a", "b", "c"] });
    assert!(serde_json::from_value::<Settings>(old.clone()).is_err(), "layers alone do not know the shape of an image");
    assert_eq!(serde_json::from_value::<Settings>(modernised(old)).unwrap(), now);
    for damaged in [serde_json::json!([]), serde_json::json!(1), serde_json::json!({ "goal": 7 })] {
        assert_eq!(modernised(damaged.clone()), damaged, "left to the error of reading it");
    }
}

/// The layers with a batch normalisation of the flattened pixels.
fn with_batch_norm() -> Vec<Layer> {
    let norm = Layer::BatchNorm { name: "norm".to_owned(), channels: 18, epsilon: 1e-3 };
    [&[Layer::Flatten, norm], &layers()[2..]].concat()
}

/// Two epochs of networks with every kind of kernel, by that many threads.
#[test]
fn training_is_bit_equal_for_one_and_two_threads() {
    let shape = [1, 8, 12];
    let classes: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
    let pixels = (0..40 * 96).map(|at| (at * 7 % 97) as f32 / 96.0).collect();
    let data = Dataset::new("numbers", shape, pixels, (0..40).map(|image| image % 3).collect(), classes.clone()).unwrap();
    let residual = Goal::Classifier { graph: resnet(shape, 3, &[4, 6], 1, [0.1, 0.5]).unwrap(), ending: Ending::Logits, classes };
    let vae = Goal::Vae { graphs: convolutional_vae(shape, &[4, 6], 2).unwrap(), learns_variance: false, as_published: false };
    for goal in [residual, vae] {
        let train = |threads: usize, seed: u32| {
            let settings = Settings { goal: goal.clone(), image_shape: shape, images: 40, batch: 16, seed, ..settings(None) };
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
                let mut trainer = Trainer::new(settings).unwrap();
                let losses = [(); 2].map(|()| trainer.epoch(&data, &mut |_, _| std::ops::ControlFlow::Continue(())).unwrap());
                (losses, trainer.weights().unwrap())
            })
        };
        assert_eq!(train(1, 2), train(2, 2));
        assert_ne!(train(1, 2), train(2, 3), "the negative control");
    }
}

#[test]
fn resume_is_bit_equal_with_augmentation_schedule_batch_norm_and_adamw() {
    type Change = fn(&mut Trainer);
    let settings = || Settings {
        optimiser: Optimiser::AdamW { learning_rate: 0.01 },
        weight_decay: 0.1,
        schedule: Schedule { decay: Decay::Cosine, warm_up_epochs: 0.5 },
        augmentation: "flip,shift=1:edge,crop=1".parse().unwrap(),
        goal: goal(&with_batch_norm()),
        epochs: 4,
        ..settings(None)
    };
    let epochs = |trainer: &mut Trainer, count: usize| {
        for _ in 0..count {
            trainer.epoch(&data(), &mut |_, _| std::ops::ControlFlow::Continue(())).unwrap();
        }
        trainer.weights().unwrap()
    };
    let whole = epochs(&mut Trainer::new(settings()).unwrap(), 4);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let mut first_half = Trainer::new(settings()).unwrap();
    epochs(&mut first_half, 2);
    first_half.save(&path).unwrap();
    let second_half = |change: Change| {
        let mut trainer = Trainer::load(&path).unwrap();
        assert_eq!(trainer.settings(), &settings());
        change(&mut trainer);
        epochs(&mut trainer, 2)
    };
    assert_eq!(second_half(|_| {}), whole);
    let controls: [(&str, Change); 5] = [
        ("the running statistics", |trainer| {
            let zeros = trainer.statistics.iter().map(|(name, tensor)| (name.clone(), tensor.zeros_like().unwrap())).collect();
            trainer.statistics = zeros;
        }),
        ("augmentation", |trainer| trainer.settings.augmentation.crop = 0),
        ("schedule", |trainer| trainer.settings.schedule.decay = Decay::Linear),
        ("the optimiser's state", |trainer| {
            let zeros = trainer.optimiser.memory().unwrap().into_iter().map(|slots| slots.map(|slot| vec![0.0; slot.len()])).collect();
            trainer.optimiser.restore(trainer.optimiser.steps, zeros).unwrap();
        }),
        ("the epoch", |trainer| trainer.epochs_done = 0),
    ];
    for (what, change) in controls {
        assert_ne!(second_half(change), whole, "the negative control: {what}");
    }
}

#[test]
fn settings_of_earlier_versions_are_read() {
    let mut old = serde_json::to_value(settings(None)).unwrap();
    old.as_object_mut().unwrap().remove("schedule");
    old["anneal"] = true.into();
    old["optimiser"] = serde_json::json!({ "kind": "adadelta", "learning_rate": 1.0 });
    let read: Settings = serde_json::from_value(old).unwrap();
    let schedule = Schedule { decay: Decay::Linear, warm_up_epochs: 0.0 };
    assert_eq!(read, Settings { schedule, optimiser: Optimiser::keras_adadelta(1.0), ..settings(None) });
    assert!((read.learning_rate(40) - 0.5).abs() < 1e-12, "half of 20 epochs of 4 steps");
}

/// The numbers of a nested list, in order.
fn numbers(value: &serde_json::Value) -> Vec<f32> {
    match value {
        serde_json::Value::Array(items) => items.iter().flat_map(numbers).collect(),
        number => vec![number.as_f64().unwrap() as f32],
    }
}

/// `training.json` of `tests/reference/torch_training.py`: weights, running statistics and losses of three steps by PyTorch.
#[test]
fn batch_norm_trains_as_pytorchs() {
    let path = format!("{}/tests/reference/training.json", env!("CARGO_MANIFEST_DIR"));
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let classes: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
    let graph = Graph::new(&[2, 5, 6], serde_json::from_value(file["nodes"].clone()).unwrap()).unwrap();
    let labels = numbers(&file["labels"]).into_iter().map(|label| label as u16).collect();
    let data = Dataset::new("seven", [2, 5, 6], numbers(&file["images"]), labels, classes.clone()).unwrap();
    let [learning_rate, momentum] = ["rate", "momentum"].map(|key| file[key].as_f64().unwrap());
    let train = |steps: usize| {
        let mut trainer = Trainer::new(Settings {
            goal: Goal::Classifier { graph: graph.clone(), ending: Ending::Logits, classes: classes.clone() },
            image_shape: [2, 5, 6],
            images: 7,
            batch: 7,
            optimiser: Optimiser::Sgd { learning_rate, momentum },
            ..settings(None)
        })
        .unwrap();
        for (name, variable) in &trainer.variables {
            variable.set(&Tensor::from_vec(numbers(&file["start"][name]), variable.shape(), &Device::Cpu).unwrap()).unwrap();
        }
        let losses: Vec<f64> = (0..steps).map(|_| trainer.step(&data, &[0, 1, 2, 3, 4, 5, 6]).unwrap()).collect();
        (losses, trainer.weights().unwrap())
    };
    let apart = |steps: usize| {
        let (losses, weights) = train(steps);
        let mut worst = 0f64;
        for (name, weight) in &weights {
            let expected = numbers(&file["end"][name]);
            assert_eq!(expected.len(), weight.values.len(), "{name}");
            worst = expected.iter().zip(&weight.values).map(|(&a, b)| (f64::from(a) - b).abs()).fold(worst, f64::max);
        }
        let expected = numbers(&file["losses"]);
        losses.iter().zip(expected).map(|(a, b)| (a - f64::from(b)).abs()).fold(worst, f64::max)
    };
    let worst = apart(3);
    assert!(worst <= 1e-5, "{worst}");
    assert!(apart(2) > 1e-3, "the negative control");
}

#[test]
fn batch_norm_of_a_single_image_is_refused_before_the_training() {
    let of_batch = |batch| Settings { goal: goal(&with_batch_norm()), batch, ..settings(None) }.check();
    assert!(of_batch(8).is_ok(), "30 images leave six in the last step");
    let told = of_batch(29).unwrap_err().to_string();
    assert!(told.contains("node 'norm' (batch_norm)") && told.contains("single image"), "{told}");
}
