//! `epistemap bench train`: the time of a training step, and the cost of looks at a model under way.

use crate::autodiff::train::{Augmentation, Goal, Optimiser, Schedule, Settings, Trainer};
use crate::cli::film::shipped_looks;
use crate::data::Dataset;
use crate::engine::cpu::bench::{YARDSTICK, gemm_gflops};
use crate::error::Result;
use crate::jobs::training::{DECODED, DataChoice, TrainingData, TrainingPlan, What, cost_of_looks};
use crate::nets::paper_cnn;
use serde_json::{Value, json};
use std::time::Instant;

/// The time of a step of the paper's network, the fastest of some.
pub fn step(batch: usize, steps: usize) -> Result<Value> {
    let gemm = gemm_gflops(YARDSTICK);
    let goal = Goal::chain([1, 28, 28], &paper_cnn(), (0..10).map(|digit| digit.to_string()).collect())?;
    let fastest = seconds_per_step(goal, Optimiser::Sgd { learning_rate: 0.01, momentum: 0.0 }, batch, steps)?;
    Ok(json!({
        "seconds_per_step": fastest, "batch": batch, "images_per_second": batch as f64 / fastest,
        "threads": rayon::current_num_threads(), "gemm_gflops": gemm,
    }))
}

/// The fastest of some training steps on a batch, after one that does not count.
pub(super) fn seconds_per_step(goal: Goal, optimiser: Optimiser, batch: usize, steps: usize) -> Result<f64> {
    let shape = goal.graphs()[0].input_shape();
    let image_shape = [shape[0], shape[1], shape[2]];
    let classes = match &goal {
        Goal::Classifier { classes, .. } => classes.clone(),
        Goal::Vae { .. } => vec!["image".to_owned()],
    };
    // The time of a step does not depend on what the images show.
    let pixels = (0..batch * image_shape.iter().product::<usize>()).map(|pixel| (pixel % 97) as f32 / 96.0).collect();
    let labels = (0..batch).map(|image| (image % classes.len()) as u16).collect();
    let data = Dataset::new("bench", image_shape, pixels, labels, classes)?;
    let mut trainer = Trainer::new(Settings {
        name: "bench".to_owned(),
        goal,
        image_shape,
        dataset: data.name.clone(),
        images: batch,
        epochs: 1,
        batch,
        optimiser,
        weight_decay: 0.0,
        schedule: Schedule::default(),
        augmentation: Augmentation::default(),
        seed: 0,
        kept_classes: Vec::new(),
        label_noise: 0.0,
        concrete_dropout: None,
    })?;
    let images: Vec<usize> = (0..batch).collect();
    let mut fastest = f64::INFINITY;
    trainer.step(&data, &images)?;
    for _ in 0..steps {
        let start = Instant::now();
        trainer.step(&data, &images)?;
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    Ok(fastest)
}

/// What looks cost, by the clock of the trainings themselves; and the largest ratio of the time with them to that without.
pub fn looks(epochs: usize, images: usize) -> Result<(Vec<Value>, f64)> {
    let looks = shipped_looks()?;
    let (mut results, mut largest) = (Vec::new(), 1.0f64);
    for (model, what, epochs) in [("classifier", What::Classifier, epochs), ("vae", What::Vae, 10 * epochs)] {
        let source = DataChoice::Named(DECODED.to_owned());
        let data = TrainingData { source, images: Some(images), ..TrainingData::default() };
        let plan = TrainingPlan { what, data, epochs: Some(epochs), ..TrainingPlan::default() };
        let loaded = plan.data.load(None)?;
        let (train, test) = plan.prepare(loaded.train, loaded.test)?;
        let cost = cost_of_looks(&plan, (&train, &test), &looks)?;
        let [training, looks] = [cost.training, cost.looks].map(|time| time.as_secs_f64());
        let ratio = (training + looks) / training;
        largest = largest.max(ratio);
        results.push(json!({
            "model": model, "epochs": epochs, "images": images, "training_seconds": training, "looks_seconds": looks,
            "with_to_without": ratio,
        }));
    }
    Ok((results, largest))
}
