//! APGD (Croce & Hein 2020, *Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks*, algorithm
//! 1): gradient ascent with momentum, whose step halves at checkpoints where the loss did not rise often enough, and which goes on from the
//! best image then. In L1 the step moves few values, and checkpoints adapt how many (Croce & Hein 2021, *Mind the box*, algorithm 1).

use super::{Attack, Best, Norm, Problem, Settings, Watch, tell};
use crate::autodiff::{Answer, Loss};
use crate::error::Result;

/// The steps of each run by default.
const STEPS: u32 = 100;
/// ρ: the loss must rise in more than this share of the steps since the last checkpoint.
const RISING_SHARE: f64 = 0.75;
/// α: how much of a step is the new one; the rest goes as the step before.
const NEW_SHARE: f64 = 0.75;
/// The share of the values that the first step in L1 moves.
const FIRST_SPARSITY: f64 = 0.2;
/// By what the step in L1 is divided where a checkpoint keeps the number of values, and the number of values from the best change's.
const L1_FACTOR: f64 = 1.5;
/// The shortest step in L1 over the first.
const L1_SHORTEST: f64 = 0.1;
/// A checkpoint in L1 goes on from the best image where its change moves at most this share of the values that it moved before.
const L1_FEWER: f64 = 0.95;

/// Runs with each loss and restart, each on the mean loss of draws that are new at every step, and keeps the best end of each image.
pub(super) struct Apgd;

impl Attack for Apgd {
    fn name(&self) -> &'static str {
        "apgd"
    }

    fn summary(&self) -> &'static str {
        "100 steps of a length that adapts, on cross-entropy, then on DLR, over new draws at every step (AutoAttack's rand, Croce & Hein 2020)"
    }

    fn steps(&self, settings: &Settings) -> u32 {
        steps_of_run(settings).saturating_mul(runs(settings))
    }

    fn run(&self, problem: &Problem<'_>, watch: Watch<'_>) -> Result<Vec<f64>> {
        let settings = Settings { fresh_masks: true, ..problem.settings.clone() };
        let problem = Problem { settings: &settings, ..*problem };
        let losses = settings.loss.losses();
        let mut best = Best::of(&problem);
        for number in 0..runs(&settings) {
            let loss = losses[(number / settings.restarts) as usize];
            let end = climb(&problem, loss, problem.random_start(number), number, watch)?;
            // Draws that no run has seen judge all of them.
            let unseen = runs(&settings).saturating_mul(steps_of_run(&settings).saturating_add(1));
            best.take(&problem, &end, &problem.ask(&end, Loss::Margin, unseen, false)?);
        }
        Ok(best.images)
    }
}

fn steps_of_run(settings: &Settings) -> u32 {
    settings.iterations.unwrap_or(STEPS)
}

fn runs(settings: &Settings) -> u32 {
    settings.restarts.saturating_mul(settings.loss.losses().len() as u32)
}

/// The steps after which a run looks back: `w_j = ⌈p_j N⌉` with `p_0 = 0`, `p_1 = .22`,
/// `p_(j+1) = p_j + max(p_j − p_(j−1) − .03, .06)`.
fn checkpoints(steps: u32) -> Vec<u32> {
    // In hundredths.
    let (mut before, mut at) = (0_u64, 22_u64);
    let mut checkpoints = Vec::new();
    while at <= 100 {
        checkpoints.push((at * u64::from(steps)).div_ceil(100) as u32);
        (before, at) = (at, at + (at - before).saturating_sub(3).max(6));
    }
    checkpoints.dedup();
    checkpoints
}

/// In L1 checkpoints are 4 % of the steps apart.
fn checkpoints_l1(steps: u32) -> Vec<u32> {
    let apart = (steps / 25).max(1);
    (1..=steps / apart).map(|number| number * apart).collect()
}

/// Where the run of one image is.
struct Course {
    /// The length of the next step.
    step: f64,
    /// The loss at the image now.
    loss: f64,
    /// How often the loss rose since the last checkpoint.
    rises: u32,
    /// The largest loss, its image and the gradient there.
    best: f64,
    best_image: Vec<f64>,
    best_gradient: Vec<f64>,
    /// The largest loss at the last checkpoint, and whether the step was halved there.
    best_before: f64,
    was_halved: bool,
    /// In L1 the share of the values that a step moves, and the number of those that the best change moved at the last checkpoint.
    sparsity: f64,
    moved: f64,
}

impl Course {
    fn new(step: f64, loss: f64, image: &[f64], gradient: &[f64]) -> Self {
        Self {
            step,
            loss,
            rises: 0,
            best: loss,
            best_image: image.to_vec(),
            best_gradient: gradient.to_vec(),
            best_before: loss,
            // As in the authors' code: the first checkpoint looks at the share of rises only.
            was_halved: true,
            sparsity: FIRST_SPARSITY,
            moved: image.len() as f64,
        }
    }

    /// Takes the loss after a step.
    fn see(&mut self, loss: f64, image: &[f64], gradient: &[f64]) {
        self.rises += u32::from(loss > self.loss);
        self.loss = loss;
        if loss > self.best {
            self.best = loss;
            self.best_image.copy_from_slice(image);
            self.best_gradient.copy_from_slice(gradient);
        }
    }

    /// Halves the step at a checkpoint that is `steps` after the last one, if the loss rose too rarely (condition 1), or the step was kept
    /// last time and nothing was won since (condition 2). Returns whether it did.
    fn halves(&mut self, steps: u32) -> bool {
        // The authors' code has ≤, the paper <.
        let rarely = f64::from(self.rises) <= RISING_SHARE * f64::from(steps);
        let halved = rarely || !self.was_halved && self.best <= self.best_before;
        (self.was_halved, self.best_before, self.rises) = (halved, self.best, 0);
        if halved {
            self.step /= 2.0;
        }
        halved
    }

    /// Adapts the number of values that a step in L1 moves. Returns whether the best change has become sparser.
    fn sparsens(&mut self, original: &[f64], first_step: f64) -> bool {
        let moved = self.best_image.iter().zip(original).filter(|(a, b)| a != b).count() as f64;
        let sparser = moved < L1_FEWER * self.moved;
        self.sparsity = moved / original.len() as f64 / L1_FACTOR;
        self.step = if sparser { first_step } else { (self.step / L1_FACTOR).max(L1_SHORTEST * first_step) };
        self.moved = moved;
        sparser
    }
}

/// Climbs from `start`; returns of each image the iterate with the largest loss, those that fool the networks first. `number` is that of the
/// run: it says which draws it sees.
fn climb(problem: &Problem<'_>, loss: Loss, start: Vec<f64>, number: u32, watch: Watch<'_>) -> Result<Vec<f64>> {
    let (settings, pixels) = (problem.settings, problem.pixels());
    let (norm, steps) = (settings.norm, steps_of_run(settings));
    let ask = |images: &[f64], step: u32| {
        let seen = number.saturating_mul(steps.saturating_add(1)).saturating_add(step);
        problem.ask(images, loss, seen, true)
    };
    let usual_step = if norm == Norm::L1 { settings.epsilon } else { 2.0 * settings.epsilon };
    let first_step = settings.step.unwrap_or(usual_step);
    let checkpoints = if norm == Norm::L1 { checkpoints_l1(steps) } else { checkpoints(steps) };
    let mut images = start;
    let mut before = images.clone();
    let mut best = Best::of(problem);
    let Answer { values, mean, mut gradients } = ask(&images, 0)?;
    best.take(problem, &images, &Answer { values: values.clone(), mean, gradients: Vec::new() });
    let parts = images.chunks_exact(pixels).zip(gradients.chunks_exact(pixels));
    let mut courses: Vec<Course> =
        parts.zip(values).map(|((image, gradient), value)| Course::new(first_step, value, image, gradient)).collect();
    let mut last_checkpoint = 0;
    for step in 0..steps {
        let now = images.clone();
        let new_share = if step == 0 { 1.0 } else { NEW_SHARE };
        for (course, (image, gradient)) in courses.iter().zip(images.chunks_exact_mut(pixels).zip(gradients.chunks_exact_mut(pixels))) {
            if norm == Norm::L1 {
                keep_largest(gradient, course.sparsity);
                let count = gradient.iter().filter(|value| **value != 0.0).count().max(1) as f64;
                gradient.iter().zip(image).filter(|(g, _)| **g != 0.0).for_each(|(g, value)| *value += course.step / count * g.signum());
            } else {
                norm.ascend(gradient, image, course.step);
                image.iter_mut().zip(gradient).for_each(|(value, change)| *value += *change);
            }
        }
        problem.confine(&mut images);
        if norm != Norm::L1 {
            for ((image, now), before) in images.iter_mut().zip(&now).zip(&before) {
                *image = now + new_share * (*image - now) + (1.0 - new_share) * (now - before);
            }
            problem.confine(&mut images);
        }
        before = now;
        let answer = ask(&images, step + 1)?;
        best.take(problem, &images, &answer);
        gradients = answer.gradients;
        let parts = images.chunks_exact(pixels).zip(gradients.chunks_exact(pixels));
        for ((course, (image, gradient)), value) in courses.iter_mut().zip(parts).zip(answer.values) {
            course.see(value, image, gradient);
        }
        tell(watch, number.saturating_mul(steps).saturating_add(step + 1), Apgd.steps(settings), &images)?;
        if checkpoints.contains(&(step + 1)) {
            let since = step + 1 - last_checkpoint;
            last_checkpoint = step + 1;
            for (place, course) in courses.iter_mut().enumerate() {
                let part = place * pixels..(place + 1) * pixels;
                let back = if norm == Norm::L1 { course.sparsens(&problem.images[part.clone()], first_step) } else { course.halves(since) };
                if back {
                    images[part.clone()].copy_from_slice(&course.best_image);
                    gradients[part].copy_from_slice(&course.best_gradient);
                    course.loss = course.best;
                }
            }
        }
    }
    Ok(best.images)
}

/// Sets all but the largest share of a gradient to 0; keeps what is as large as the last of them.
fn keep_largest(gradient: &mut [f64], share: f64) {
    let mut sizes: Vec<f64> = gradient.iter().map(|value| value.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let place = ((1.0 - share) * gradient.len() as f64).clamp(0.0, gradient.len() as f64 - 1.0) as usize;
    let least = sizes[place];
    gradient.iter_mut().filter(|value| value.abs() < least).for_each(|value| *value = 0.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::{ApgdLoss, Iterate, Victim};
    use crate::autodiff::{InputGradients, Objective, Passes};
    use serde_json::Value;
    use std::ops::ControlFlow;

    /// The toy of `tests/reference/apgd.py`: a loss of two values with a ridge and ripples.
    struct Toy;

    impl InputGradients for Toy {
        fn image_shape(&self) -> [usize; 3] {
            [1, 1, 2]
        }

        fn classes(&self) -> usize {
            2
        }

        fn answer(&self, images: &[f64], _: &[usize], _: &Passes, _: Objective, _: bool) -> Result<Answer> {
            let at = |x: &[f64]| {
                let (a, b) = (x[0] - 0.3, x[1] - 0.6);
                let value = -a * a - 10.0 * b * b + 0.05 * (25.0 * x[0]).sin();
                (value, [-2.0 * a + 1.25 * (25.0 * x[0]).cos(), -20.0 * b])
            };
            let all: Vec<_> = images.chunks_exact(2).map(at).collect();
            Ok(Answer {
                values: all.iter().map(|(value, _)| *value).collect(),
                mean: [1.0, 0.0].repeat(all.len()),
                gradients: all.iter().flat_map(|(_, gradient)| *gradient).collect(),
            })
        }
    }

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    }

    #[test]
    fn checkpoints_are_those_of_the_paper() {
        assert_eq!(checkpoints(100), [22, 41, 57, 70, 80, 87, 93, 99]);
        assert_eq!(checkpoints(10), [3, 5, 6, 7, 8, 9, 10]);
        assert_eq!(checkpoints(u32::MAX).len(), 8);
        assert_eq!(checkpoints_l1(100)[..3], [4, 8, 12]);
    }

    #[test]
    fn iterates_and_halvings_equal_the_reference() {
        let reference: Value = serde_json::from_str(include_str!("../../tests/reference/apgd.json")).unwrap();
        let victim = Victim { networks: &Toy, members: vec![0], samples: None, first_draw: 0 };
        for row in reference.as_array().unwrap() {
            let norm = Norm::from_key(row["norm"].as_str().unwrap()).unwrap();
            let settings = Settings { loss: ApgdLoss::Ce, ..Settings::new("apgd", norm, row["eps"].as_f64().unwrap()) };
            let (images, start) = (numbers(&row["image"]), numbers(&row["start"]));
            let problem = Problem { victim: &victim, images: &images, labels: &[1], first: 0, settings: &settings };
            let mut iterates = Vec::new();
            let watch: Watch<'_> = &mut |iterate: Iterate<'_>| {
                iterates.push(iterate.images.to_vec());
                ControlFlow::Continue(())
            };
            let best = climb(&problem, Loss::Expected, start, 0, watch).unwrap();
            let expected: Vec<Vec<f64>> = row["iterates"].as_array().unwrap().iter().map(numbers).collect();
            assert_eq!(iterates.len(), 100);
            let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            for (step, (got, expected)) in iterates.iter().zip(&expected).enumerate() {
                // Steps across the ridge enlarge differences in rounding.
                let tolerance = if step < 30 { 1e-9 } else { 1e-5 };
                assert!(apart(got, expected) <= tolerance, "{norm:?}, step {}: {got:?} for {expected:?}", step + 1);
            }
            assert!(apart(&best, &numbers(&row["best"])) <= 1e-5);
            // The negative control: without momentum, or without a halving, the script goes elsewhere.
            for other in ["without_momentum", "without_halving"] {
                assert!(apart(&iterates[99], &numbers(&row[other])) > 1e-3, "{norm:?} {other}");
            }
        }
    }

    #[test]
    fn a_step_halves_by_either_condition() {
        let course = |rises, was_halved, best| Course { rises, was_halved, ..Course { best, ..Course::new(1.0, 0.0, &[0.5], &[1.0]) } };
        // Of 16 steps, 12 rises are three quarters.
        for (rises, was_halved, best, expected) in
            [(12, true, 5.0, true), (13, true, 5.0, false), (13, false, 5.0, false), (13, false, 0.0, true), (13, true, 0.0, false)]
        {
            let mut course = course(rises, was_halved, best);
            assert_eq!(course.halves(16), expected, "{rises} {was_halved} {best}");
            assert_eq!((course.step, course.rises, course.best_before), (if expected { 0.5 } else { 1.0 }, 0, best));
        }
    }

    #[test]
    fn the_largest_share_of_a_gradient_is_kept() {
        let mut gradient = [0.1, -0.5, 0.3, 0.2, -0.4];
        keep_largest(&mut gradient, 0.4);
        assert_eq!(gradient, [0.0, -0.5, 0.0, 0.0, -0.4]);
    }
}
