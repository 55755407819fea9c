//! What must be so if an attack works as it should: cheap to look at, and telling where it is not so.

use super::{AttackSettings, Attacked, Labels, attack, gradients, success_rate};
use crate::attack::{Norm, Settings, named};
use crate::autodiff::{Loss, Objective, Passes};
use crate::engine::Engine;
use crate::error::Result;
use crate::jobs::{Classifiers, Progress};
use std::ops::ControlFlow;

/// Images that are looked at.
const IMAGES: usize = 20;
/// Queries of the attack without gradients.
const QUERIES: u32 = 60;
/// The attack that stands for one of a single step beside the search without gradients.
const STEPWISE: &str = "bim";
/// Success rates of so few images may differ by this much and mean nothing.
const SLACK: f64 = 0.1;
/// What an attack without limits succeeds on at least.
const NEARLY_ALWAYS: f64 = 0.9;

/// What was seen of an attack on a few images.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    method: &'static str,
    takes_one_step: bool,
    epsilon: f64,
    /// Budgets that rise, the asked one first, and their success rates.
    rising: Vec<(f64, f64)>,
    /// The success rate of a single step, for an attack that takes several.
    single_step: Option<f64>,
    /// The success rate of L∞ with ε = 1, for an attack that sees gradients.
    unlimited: Option<f64>,
    /// The success rate of the search without gradients, for an attack that sees them, and that of the same attack, or, if it takes one
    /// step, of `bim`: too short an attack says nothing about its gradients.
    square: Option<(f64, f64)>,
    /// The share of images whose gradient is 0 everywhere.
    flat: f64,
    /// The longest change over ε.
    longest: f64,
    /// Whether a pixel left 0..=1.
    outside: bool,
}

impl Seen {
    /// A sentence for each thing that is not as it should be.
    fn failures(&self) -> Vec<String> {
        let percent = |share: f64| format!("{:.0} %", 100.0 * share);
        let (name, success) = (self.method, self.rising[0].1);
        let mut failed = Vec::new();
        if let Some(single) = self.single_step.filter(|&single| success < single - SLACK) {
            failed.push(format!("A single step fools more ({}) than {name} ({}): its steps go wrong.", percent(single), percent(success)));
        }
        if let Some(unlimited) = self.unlimited.filter(|&unlimited| unlimited.is_nan() || unlimited < NEARLY_ALWAYS) {
            failed.push(format!("With ε = 1, where every image is allowed, {name} fools only {}.", percent(unlimited)));
        }
        for pair in self.rising.windows(2) {
            if pair[1].1 < pair[0].1 - SLACK {
                failed.push(format!(
                    "With ε = {} {name} fools {}, but with ε = {} only {}: success should not fall as ε grows.",
                    pair[0].0,
                    percent(pair[0].1),
                    pair[1].0,
                    percent(pair[1].1)
                ));
            }
        }
        if let Some((square, stepwise)) = self.square.filter(|(square, stepwise)| *square > stepwise + SLACK) {
            let name = if self.takes_one_step { STEPWISE } else { name };
            failed.push(format!(
                "A random search without gradients fools more ({}) than {name} ({}): the gradients are masked.",
                percent(square),
                percent(stepwise)
            ));
        }
        if self.flat > 0.0 {
            failed.push(format!(
                "The loss is flat at {} of the images: their gradient is 0, and no step follows from it.",
                percent(self.flat)
            ));
        }
        if self.longest.is_nan() || self.longest > 1.0 + 1e-6 {
            failed.push(format!("A change has {} times the length of ε = {}: the budget was left.", self.longest, self.epsilon));
        }
        if self.outside {
            failed.push("A pixel lies outside of 0..=1: the range was left.".to_owned());
        }
        failed
    }
}

/// Looks at an attack that is done, and at some variations of it on the first few images that it could succeed on, and says what is not
/// as it should be: nothing where all is well.
///
/// # Errors
/// As [`attack`].
pub fn self_checks(
    classifiers: &Classifiers,
    engine: &mut dyn Engine,
    (images, shape): (&[f32], [usize; 3]),
    attacked: &Attacked,
    observe: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Vec<String>> {
    let (settings, pixels) = (&attacked.settings, shape.iter().product::<usize>());
    let method = named(&settings.attack.method)?;
    let successes = attacked.successes();
    let few: Vec<usize> = (0..successes.len()).filter(|&image| successes[image].is_some()).take(IMAGES).collect();
    let chosen: Vec<f32> = few.iter().flat_map(|&image| &images[image * pixels..][..pixels]).copied().collect();
    let labels: Vec<usize> = few.iter().map(|&image| attacked.labels[image]).collect();
    let mut rate = |changed: Settings| -> Result<f64> {
        let settings = AttackSettings { attack: changed, ..settings.clone() };
        let done = attack(classifiers, engine, (&chosen, shape), Labels::Given(&labels), &settings, &mut |progress, _| observe(progress))?;
        // Where nothing can succeed, nothing is checked.
        Ok(success_rate(&done.successes()).unwrap_or_default())
    };
    let base = &settings.attack;
    let here = success_rate(&few.iter().map(|&image| successes[image]).collect::<Vec<_>>()).unwrap_or_default();
    let place = Norm::ALL.iter().position(|norm| *norm == base.norm).unwrap_or(0);
    let longest = attacked.norms.iter().map(|lengths| lengths[place]).fold(0.0, f64::max);
    let mut seen = Seen {
        method: method.name(),
        takes_one_step: method.sees_gradients() && method.steps(base) == 1,
        epsilon: base.epsilon,
        rising: vec![(base.epsilon, here)],
        single_step: None,
        unlimited: None,
        square: None,
        flat: 0.0,
        longest: if longest > 0.0 { longest / base.epsilon } else { 0.0 },
        outside: attacked.images.iter().any(|pixel| !(0.0..=1.0).contains(pixel)),
    };
    if few.is_empty() || base.epsilon == 0.0 {
        return Ok(seen.failures());
    }
    if base.epsilon.is_finite() {
        let twice = 2.0 * base.epsilon;
        seen.rising.push((twice, rate(Settings { epsilon: twice, step: base.step.map(|step| 2.0 * step), ..base.clone() })?));
    }
    if method.sees_gradients() {
        if method.iterates() && base.epsilon.is_finite() {
            let single = Settings { method: "fgm".to_owned(), ..base.clone() };
            seen.single_step = Some(rate(single)?);
        }
        if method.iterates() && method.norms().contains(&Norm::Linf) && !base.targeted {
            seen.unlimited =
                Some(rate(Settings { norm: Norm::Linf, epsilon: 1.0, step: None, iterations: None, restarts: 1, ..base.clone() })?);
        }
        if base.epsilon.is_finite() {
            let square = Settings { method: "square".to_owned(), iterations: Some(QUERIES), as_published: false, ..base.clone() };
            let stepwise = if seen.takes_one_step {
                rate(Settings { method: STEPWISE.to_owned(), step: None, iterations: None, ..base.clone() })?
            } else {
                here
            };
            seen.square = Some((rate(square)?, stepwise));
        }
        let passes = Passes { members: settings.members.clone(), draws: settings.attack_draws().map(|draws| 0..draws) };
        let loss = if base.as_published { Loss::AsPublished } else { Loss::MeanProbability };
        let objective = Objective { loss, towards: base.targeted };
        let images: Vec<f64> = chosen.iter().copied().map(f64::from).collect();
        let gradients = gradients(classifiers, base.seed).answer(&images, &labels, &passes, objective, true)?.gradients;
        let flat = gradients.chunks_exact(pixels).filter(|gradient| gradient.iter().all(|value| *value == 0.0)).count();
        seen.flat = flat as f64 / few.len() as f64;
    }
    Ok(seen.failures())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Seen {
        Seen {
            method: "bim",
            takes_one_step: false,
            epsilon: 0.1,
            rising: vec![(0.1, 0.5), (0.2, 0.9)],
            single_step: Some(0.4),
            unlimited: Some(1.0),
            square: Some((0.2, 0.5)),
            flat: 0.0,
            longest: 1.0,
            outside: false,
        }
    }

    #[test]
    fn each_failure_is_one_sentence_and_all_well_is_none() {
        assert_eq!(good().failures(), Vec::<String>::new());
        let bad = [
            (Seen { single_step: Some(0.7), ..good() }, "single step"),
            (Seen { unlimited: Some(0.6), ..good() }, "ε = 1,"),
            (Seen { unlimited: Some(f64::NAN), ..good() }, "ε = 1,"),
            (Seen { rising: vec![(0.1, 0.5), (0.2, 0.3)], ..good() }, "should not fall"),
            (Seen { square: Some((0.8, 0.5)), ..good() }, "than bim (50 %): the gradients are masked"),
            (Seen { method: "fgm", takes_one_step: true, square: Some((0.8, 0.6)), ..good() }, "than bim (60 %)"),
            (Seen { flat: 0.25, ..good() }, "25 %"),
            (Seen { longest: 1.01, ..good() }, "budget"),
            (Seen { longest: f64::NAN, ..good() }, "budget"),
            (Seen { outside: true, ..good() }, "range"),
        ];
        let short = Seen { method: "fgm", takes_one_step: true, square: Some((0.8, 0.9)), ..good() };
        assert_eq!(short.failures(), Vec::<String>::new(), "one step that fools less than a search says nothing about gradients");
        for (seen, says) in bad {
            let failures = seen.failures();
            assert!(failures.len() == 1 && failures[0].contains(says) && failures[0].ends_with('.'), "{failures:?} for {says}");
        }
    }
}
