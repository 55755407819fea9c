//! Attacks that know what they are up against: networks that draw masks anew, and a detector that looks at mutual information.

use super::iterative::{usual, usual_steps, walk};
use super::{Attack, Problem, Settings, Watch};
use crate::autodiff::Loss;
use crate::error::Result;

/// Expectation over transformation (Athalye et al. 2018), the transformation being dropout.
pub(super) struct Eot;

impl Attack for Eot {
    fn name(&self) -> &'static str {
        "eot"
    }

    fn summary(&self) -> &'static str {
        "as bim, on the mean loss of draws that are new at every step (expectation over dropout, Athalye et al. 2018)"
    }

    fn steps(&self, settings: &Settings) -> u32 {
        usual_steps(settings)
    }

    fn run(&self, problem: &Problem<'_>, watch: Watch<'_>) -> Result<Vec<f64>> {
        let settings = Settings { fresh_masks: true, ..problem.settings.clone() };
        let problem = Problem { settings: &settings, ..*problem };
        let way = usual(&problem);
        walk(&problem, Loss::Expected, problem.images.to_vec(), &way, [0, way.steps], watch)
    }
}

/// Wrong, and without disagreement: raises the loss while it holds mutual information down.
pub(super) struct Evading;

impl Attack for Evading {
    fn name(&self) -> &'static str {
        "mi-evading"
    }

    fn summary(&self) -> &'static str {
        "as bim, on the loss less lambda times the mutual information: wrong, and the draws agree"
    }

    fn steps(&self, settings: &Settings) -> u32 {
        usual_steps(settings)
    }

    fn run(&self, problem: &Problem<'_>, watch: Watch<'_>) -> Result<Vec<f64>> {
        let way = usual(problem);
        walk(problem, Loss::Evading(problem.settings.lambda), problem.images.to_vec(), &way, [0, way.steps], watch)
    }
}
