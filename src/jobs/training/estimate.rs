//! Estimates the parameters, memory and time of a training before it starts.

use super::TrainingPlan;
use crate::autodiff::train::{Settings, Trainer};
use crate::budget;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::nets::Graph;
use std::ops::ControlFlow;
use std::time::Instant;

/// Images of the trial at most: its time per image is about that of a whole batch.
const TRIAL: usize = 64;
/// Bytes per trained weight: itself, its gradient, and the two numbers of an optimiser.
const BYTES_PER_WEIGHT: usize = 16;

/// What a training takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainingEstimate {
    /// Trained weights of all models of the plan.
    pub parameters: usize,
    /// Bytes of the largest model's weights with gradients and optimiser, of a batch's values with theirs, and of the images.
    pub memory: usize,
    /// Seconds of the whole training, tests included, previews not.
    pub seconds: f64,
}

/// Measures two steps and a test of each kind of model in a plan, on the first of the prepared images; `go_on` is asked between them.
///
/// # Errors
/// When the plan does not fit the images, or `go_on` says stop.
pub fn estimate(plan: &TrainingPlan, (train, test): (&Dataset, &Dataset), go_on: &dyn Fn() -> ControlFlow<()>) -> Result<TrainingEstimate> {
    let parts = plan.parts()?;
    // What a trunk takes is told by a few of its images; a head is trained on features.
    let (mut of_features, mut data) = (0.0, None);
    if let Some(backbone) = plan.backbone(train.image_shape)? {
        let trial = train.slice(0..TRIAL.min(train.len()));
        let start = Instant::now();
        backbone.of(&trial, None, &mut |_| go_on())?;
        of_features = start.elapsed().as_secs_f64() * (train.len() + test.len()) as f64 / trial.len() as f64;
        let empty = |data: &Dataset| data.with_features(backbone.features(), vec![0.0; data.len() * backbone.features()]);
        data = Some([empty(train), empty(test)]);
    }
    let (train, test) = data.as_ref().map_or((train, test), |[train, test]| (train, test));
    let images = 4 * (train.len() * train.pixels() + test.len() * test.pixels());
    let mut whole = TrainingEstimate { parameters: 0, memory: images, seconds: of_features };
    for is_vae in [true, false] {
        let count = parts.iter().filter(|part| part.vae == is_vae).count();
        let Some(part) = parts.iter().find(|part| part.vae == is_vae) else { continue };
        let settings = plan.settings(part, String::new(), train)?;
        settings.check()?;
        let parameters = settings.parameters();
        let memory = images + BYTES_PER_WEIGHT * parameters + memory_of_batch(&settings);
        let seconds = settings.epochs as f64 * seconds_per_epoch(settings, train, test, go_on)?;
        whole.parameters += count * parameters;
        whole.memory = whole.memory.max(memory);
        whole.seconds += count as f64 * seconds;
    }
    Ok(whole)
}

/// Bytes of all values of a batch in single precision, each with its gradient.
fn memory_of_batch(settings: &Settings) -> usize {
    let of_graph = |graph: &Graph| graph.shapes().iter().map(|shape| shape.iter().product::<usize>()).sum::<usize>();
    let of_image = settings.goal.graphs().into_iter().map(of_graph).sum::<usize>();
    of_image.saturating_mul(8 * settings.batch.min(settings.images))
}

/// Checks that the training of one model fits into the memory budget, beside the images.
///
/// # Errors
/// With the estimate, and what to make smaller.
pub(super) fn check_memory(settings: &Settings) -> Result<()> {
    let weights = settings.goal.graphs().into_iter().flat_map(Graph::weights);
    // Shapes of a file may have any product.
    let parameters: f64 = weights.map(|(_, shape)| shape.iter().map(|&axis| axis as f64).product::<f64>()).sum();
    let batch = memory_of_batch(settings) as f64;
    let what = format!("a training of {parameters:.2e} weights in batches of {} images", settings.batch.min(settings.images));
    budget::excess(what, parameters * BYTES_PER_WEIGHT as f64 + batch).map_or(Ok(()), |problem| {
        let mend = format!("make the network or --batch smaller, or allow more with {}", budget::OPTION);
        Err(Error::setting("the training", problem, mend))
    })
}

fn seconds_per_epoch(settings: Settings, train: &Dataset, test: &Dataset, go_on: &dyn Fn() -> ControlFlow<()>) -> Result<f64> {
    let trial: Vec<usize> = (0..TRIAL.min(settings.batch).min(train.len())).collect();
    let mut trainer = Trainer::new(settings)?;
    let mut fastest = f64::INFINITY;
    // The first step also makes memory and threads ready.
    for _ in 0..2 {
        let start = Instant::now();
        trainer.step(train, &trial)?;
        fastest = fastest.min(start.elapsed().as_secs_f64());
        if go_on().is_break() {
            return Err(Error::Cancelled);
        }
    }
    let tested = test.slice(0..TRIAL.min(test.len()));
    let start = Instant::now();
    trainer.scores(&tested)?;
    let of_test = start.elapsed().as_secs_f64() / tested.len() as f64;
    Ok(fastest / trial.len() as f64 * train.len() as f64 + of_test * test.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::super::{ClassifierPlan, What};
    use super::*;

    #[test]
    fn an_estimate_counts_all_models_and_the_largest_memory() {
        let images: Vec<f32> = (0..20 * 64).map(|at| (at % 7) as f32 / 6.0).collect();
        let classes = ["a", "b"].map(str::to_owned).to_vec();
        let data = Dataset::new("noise", [1, 8, 8], images, (0..20).map(|image| image % 2).collect(), classes).unwrap();
        let classifier = ClassifierPlan { channels: [2, 3], hidden: 5, ..ClassifierPlan::default() };
        let plan = |what, members| TrainingPlan { what, members, classifier: classifier.clone(), epochs: Some(2), ..Default::default() };
        let of = |plan: &TrainingPlan| estimate(plan, (&data, &data), &|| ControlFlow::Continue(())).unwrap();
        // conv 1→2 and 2→3 of 3×3, linear 3·2·2→5 and 5→2, with biases.
        let parameters = 2 * 9 + 2 + 2 * 3 * 9 + 3 + 12 * 5 + 5 + 5 * 2 + 2;
        let one = of(&plan(What::Classifier, 1));
        assert_eq!(one.parameters, parameters);
        assert!(one.seconds > 0.0 && one.seconds.is_finite());
        let several = of(&plan(What::Ensemble, 3));
        assert_eq!((several.parameters, several.memory), (3 * parameters, one.memory));
        assert!(one.memory > 16 * parameters + 8 * data.images().len());
        let stopped = estimate(&plan(What::Classifier, 1), (&data, &data), &|| ControlFlow::Break(()));
        assert!(matches!(stopped, Err(Error::Cancelled)));
    }
}
