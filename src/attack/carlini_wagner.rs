//! The L2 attack of Carlini & Wagner 2017: the smallest change that wins the margin.

use super::{Attack, Norm, Problem, Settings, Watch, tell};
use crate::autodiff::Loss;
use crate::error::Result;

/// How often the weight of the margin is searched.
const SEARCHES: u32 = 5;
/// The steps of each search, and their length, by default.
const STEPS: u32 = 100;
const RATE: f64 = 0.02;
/// The weight of the margin at first.
const FIRST_WEIGHT: f64 = 1e-2;
/// Adam's memories and its floor (Kingma & Ba 2015).
const MEMORIES: [f64; 2] = [0.9, 0.999];
const FLOOR: f64 = 1e-8;

/// Minimises ‖δ‖² + c · max(κ − margin, 0) with Adam; c by bisection. The image is kept in 0..=1 by a clip rather than, as in the paper, by
/// tanh, whose slope vanishes where images are black or white, as most of a digit's are. On several passes the margin is that of ln p̄,
/// which for a single one is the difference of its logits.
pub(super) struct CarliniWagner;

impl Attack for CarliniWagner {
    fn name(&self) -> &'static str {
        "cw"
    }

    fn summary(&self) -> &'static str {
        "looks for the smallest L2 change with Adam; --eps only caps it (Carlini & Wagner 2017)"
    }

    fn norms(&self) -> &'static [Norm] {
        &[Norm::L2]
    }

    fn finds_the_smallest(&self) -> bool {
        true
    }

    fn steps(&self, settings: &Settings) -> u32 {
        SEARCHES.saturating_mul(settings.iterations.unwrap_or(STEPS))
    }

    fn run(&self, problem: &Problem<'_>, watch: Watch<'_>) -> Result<Vec<f64>> {
        let settings = problem.settings;
        let (pixels, count) = (problem.pixels(), problem.labels.len());
        let (steps, rate) = (settings.iterations.unwrap_or(STEPS), settings.step.unwrap_or(RATE));
        let mut weights = vec![(FIRST_WEIGHT, 0.0, f64::INFINITY); count];
        let mut best = problem.images.to_vec();
        let mut shortest = vec![f64::INFINITY; count];
        // An image that is wrong already needs no change.
        let clean = problem.ask(problem.images, Loss::Margin, 0, false)?;
        shortest
            .iter_mut()
            .zip(&clean.values)
            .filter(|(_, margin)| wins(**margin, settings.confidence))
            .for_each(|(found, _)| *found = 0.0);
        for search in 0..SEARCHES {
            let mut images = problem.images.to_vec();
            let [mut first, mut second] = [vec![0.0; images.len()], vec![0.0; images.len()]];
            let mut won = vec![false; count];
            for step in 0..steps {
                let done = search.saturating_mul(steps).saturating_add(step);
                let answer = problem.ask(&images, Loss::Margin, done, true)?;
                let corrections = MEMORIES.map(|memory| 1.0 - memory.powf(f64::from(step) + 1.0));
                for image in 0..count {
                    let part = image * pixels..(image + 1) * pixels;
                    let (now, original) = (&images[part.clone()], &problem.images[part.clone()]);
                    let length = Norm::L2.length(now.iter().zip(original).map(|(a, b)| a - b));
                    let margin = answer.values[image];
                    if wins(margin, settings.confidence) {
                        won[image] = true;
                        if length < shortest[image] {
                            shortest[image] = length;
                            best[part.clone()].copy_from_slice(now);
                        }
                    }
                    let weight = if margin < settings.confidence { weights[image].0 } else { 0.0 };
                    for at in part {
                        let slope = 2.0 * (images[at] - problem.images[at]) - weight * answer.gradients[at];
                        first[at] = MEMORIES[0] * first[at] + (1.0 - MEMORIES[0]) * slope;
                        second[at] = MEMORIES[1] * second[at] + (1.0 - MEMORIES[1]) * slope * slope;
                        let step = rate * (first[at] / corrections[0]) / ((second[at] / corrections[1]).sqrt() + FLOOR);
                        images[at] = (images[at] - step).clamp(0.0, 1.0);
                    }
                }
                tell(watch, done.saturating_add(1), self.steps(settings), &images)?;
            }
            for ((weight, low, high), won) in weights.iter_mut().zip(won) {
                if won {
                    *high = *weight;
                } else {
                    *low = *weight;
                }
                *weight = if high.is_finite() { 0.5 * (*low + *high) } else { 10.0 * *weight };
            }
        }
        // A found change that is longer than the budget, or none that was found, stays within it.
        problem.confine(&mut best);
        Ok(best)
    }
}

/// Whether a margin is won by the wanted confidence.
fn wins(margin: f64, confidence: f64) -> bool {
    margin > 0.0 && margin >= confidence
}
