//! The attacks that step along the gradient: FGM, BIM, MIM, PGD.

use super::{Attack, Best, Problem, Settings, Watch, tell};
use crate::autodiff::Loss;
use crate::error::Result;

/// How an attack walks.
pub(super) struct Walk {
    /// The length of a step.
    pub step: f64,
    /// The number of steps.
    pub steps: u32,
    /// How much of the former directions is kept (MIM); `None`: each step follows its own gradient.
    pub decay: Option<f64>,
}

/// The tenth of the budget in ten steps, as the tables of the paper's successors have it; what the settings say comes first.
pub(super) fn usual(problem: &Problem<'_>) -> Walk {
    let settings = problem.settings;
    Walk { step: settings.step.unwrap_or(settings.epsilon / 10.0), steps: usual_steps(settings), decay: None }
}

pub(super) fn usual_steps(settings: &Settings) -> u32 {
    settings.iterations.unwrap_or(10)
}

/// Walks from `start`: x ← clip(x₀ + project(x + ascend(g, a) − x₀)). The steps before this walk say which masks it sees.
pub(super) fn walk(problem: &Problem<'_>, loss: Loss, start: Vec<f64>, way: &Walk, before: [u32; 2], watch: Watch<'_>) -> Result<Vec<f64>> {
    let (pixels, norm) = (problem.pixels(), problem.settings.norm);
    let mut images = start;
    let mut momentum = vec![0.0; images.len()];
    let [done, all] = before;
    for step in 0..way.steps {
        let mut gradients = problem.ask(&images, loss, done.saturating_add(step), true)?.gradients;
        if let Some(decay) = way.decay {
            for (momentum, gradient) in momentum.chunks_exact_mut(pixels).zip(gradients.chunks_exact_mut(pixels)) {
                // Dong et al. 2018 divide by the mean of |g|: each step's gradient weighs the same, however flat the loss is there.
                let mean = gradient.iter().map(|value| value.abs()).sum::<f64>() / pixels as f64;
                for (momentum, gradient) in momentum.iter_mut().zip(gradient) {
                    *momentum = decay * *momentum + if mean > 0.0 { *gradient / mean } else { 0.0 };
                    *gradient = *momentum;
                }
            }
        }
        for (gradient, image) in gradients.chunks_exact_mut(pixels).zip(images.chunks_exact_mut(pixels)) {
            norm.ascend(gradient, image, way.step);
            image.iter_mut().zip(gradient).for_each(|(value, change)| *value += *change);
        }
        problem.confine(&mut images);
        tell(watch, done.saturating_add(step + 1), all, &images)?;
    }
    Ok(images)
}

/// The fast gradient method (Goodfellow et al. 2015): one step of the whole budget.
pub(super) struct Fgm;

impl Attack for Fgm {
    fn name(&self) -> &'static str {
        "fgm"
    }

    fn summary(&self) -> &'static str {
        "one step of the whole budget along the gradient (Goodfellow et al. 2015)"
    }

    fn iterates(&self) -> bool {
        false
    }

    fn follows_the_loss(&self) -> bool {
        true
    }

    fn steps(&self, _: &Settings) -> u32 {
        1
    }

    fn run(&self, problem: &Problem<'_>, watch: Watch<'_>) -> Result<Vec<f64>> {
        let way = Walk { step: problem.settings.epsilon, steps: 1, decay: None };
        walk(problem, problem.loss(), problem.images.to_vec(), &way, [0, 1], watch)
    }
}

/// The basic iterative method (Kurakin et al. 2017): small steps, no random start.
pub(super) struct Bim;

impl Attack for Bim {
    fn name(&self) -> &'static str {
        "bim"
    }

    fn summary(&self) -> &'static str {
        "small steps along the gradient, 10 of a tenth of the budget by default (Kurakin et al. 2017)"
    }

    fn follows_the_loss(&self) -> bool {
        true
    }

    fn steps(&self, settings: &Settings) -> u32 {
        usual_steps(settings)
    }

    fn run(&self, problem: &Problem<'_>, watch: Watch<'_>) -> Result<Vec<f64>> {
        let way = usual(problem);
        walk(problem, problem.loss(), problem.images.to_vec(), &way, [0, way.steps], watch)
    }
}

/// The momentum iterative method (Dong et al. 2018).
pub(super) struct Mim;

impl Attack for Mim {
    fn name(&self) -> &'static str {
        "mim"
    }

    fn summary(&self) -> &'static str {
        "steps along the sum of gradients, each over its mean absolute value (Dong et al. 2018)"
    }

    fn follows_the_loss(&self) -> bool {
        true
    }

    fn steps(&self, settings: &Settings) -> u32 {
        usual_steps(settings)
    }

    fn run(&self, problem: &Problem<'_>, watch: Watch<'_>) -> Result<Vec<f64>> {
        let way = Walk { decay: Some(problem.settings.decay), ..usual(problem) };
        walk(problem, problem.loss(), problem.images.to_vec(), &way, [0, way.steps], watch)
    }
}

/// Projected gradient descent (Madry et al. 2018): random starts, of which the best end counts.
pub(super) struct Pgd;

impl Attack for Pgd {
    fn name(&self) -> &'static str {
        "pgd"
    }

    fn summary(&self) -> &'static str {
        "from random starts, 40 steps of a thirtieth of the budget by default; the best of the restarts (Madry et al. 2018)"
    }

    fn follows_the_loss(&self) -> bool {
        true
    }

    fn steps(&self, settings: &Settings) -> u32 {
        steps_of_pgd(settings).saturating_mul(settings.restarts)
    }

    fn run(&self, problem: &Problem<'_>, watch: Watch<'_>) -> Result<Vec<f64>> {
        let settings = problem.settings;
        let steps = steps_of_pgd(settings);
        let way = Walk { step: settings.step.unwrap_or(settings.epsilon / 30.0), steps, decay: None };
        let all = self.steps(settings);
        let mut best = Best::of(problem);
        for restart in 0..settings.restarts {
            let before = [restart.saturating_mul(steps), all];
            let end = walk(problem, problem.loss(), problem.random_start(restart), &way, before, watch)?;
            // The same masks judge all restarts.
            best.take(problem, &end, &problem.ask(&end, problem.loss(), 0, false)?);
        }
        Ok(best.images)
    }
}

fn steps_of_pgd(settings: &Settings) -> u32 {
    settings.iterations.unwrap_or(40)
}
