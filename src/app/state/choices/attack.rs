//! What is attacked, and how: the tab's part of the session.

use crate::attack::{ApgdLoss, Norm, Settings, named};
use crate::jobs::{AttackSettings, ModelSet, On};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most steps that the window offers.
pub const MOST_STEPS: u32 = 10_000;
/// Draws per member.
pub const MOST_SAMPLES: u32 = 1000;

/// The image that is attacked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AttackedImage {
    /// That of a pin, by its place: decoded, of the data, or from a file.
    Pin(usize),
    /// One of the data, by number.
    Data(usize),
}

/// What most attacks are left with; as in [`Settings`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", default, deny_unknown_fields)]
pub struct Fine {
    /// The length of a step; the method's own for `None`.
    pub step: Option<f64>,
    pub decay: f64,
    pub restarts: u32,
    pub loss: ApgdLoss,
    pub confidence: f64,
    pub lambda: f64,
    pub fresh_masks: bool,
    pub as_published: bool,
}

impl Default for Fine {
    fn default() -> Self {
        let Settings { step, decay, restarts, loss, confidence, lambda, fresh_masks, as_published, .. } =
            Settings::new("", Norm::Linf, 0.0);
        Self { step, decay, restarts, loss, confidence, lambda, fresh_masks, as_published }
    }
}

/// The settings of the tab.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", default, deny_unknown_fields)]
pub struct AttackChoice {
    /// The image.
    pub image: AttackedImage,
    /// The attack, by name.
    pub method: String,
    /// The norm of the budget.
    pub norm: Norm,
    /// The budget, in the norm's unit for pixels in 0..=1.
    pub epsilon: f64,
    /// The norm and the budget of each method that was chosen before, by its name.
    pub budgets: BTreeMap<String, (Norm, f64)>,
    /// Steps; the method's own number for `None`.
    pub iterations: Option<u32>,
    /// What most attacks are left with.
    pub fine: Fine,
    /// Whose answer is attacked.
    pub on: On,
    /// The network that is attacked, where it is one.
    pub member: usize,
    /// The class to get to; away from the true one for `None`.
    pub target: Option<usize>,
    /// Draws per member.
    pub samples: u32,
    /// Whether another setting starts another attack.
    pub live: bool,
    /// Whether the way is drawn on the map.
    pub path: bool,
}

impl Default for AttackChoice {
    fn default() -> Self {
        Self {
            image: AttackedImage::Pin(0),
            method: "bim".to_owned(),
            norm: Norm::Linf,
            epsilon: 0.1,
            budgets: BTreeMap::new(),
            iterations: None,
            fine: Fine::default(),
            on: On::Deterministic,
            member: 0,
            target: None,
            samples: 20,
            live: true,
            path: true,
        }
    }
}

/// The longest change within 0..=1 of an image of so many values.
pub fn longest(norm: Norm, values: usize) -> f64 {
    match norm {
        Norm::Linf => 1.0,
        Norm::L2 => (values as f64).sqrt(),
        Norm::L1 => values as f64,
    }
}

impl AttackChoice {
    /// As jobs take them.
    pub fn settings(&self, set: &ModelSet, seed: u32) -> AttackSettings {
        let members = match self.on {
            On::Deterministic | On::Mc => vec![self.member],
            On::Ensemble => (0..set.ensemble().members().len()).collect(),
        };
        AttackSettings { attack: self.attack(seed), on: self.on, members, samples: self.samples }
    }

    fn attack(&self, seed: u32) -> Settings {
        let targeted = self.target.is_some();
        let Fine { step, decay, restarts, loss, confidence, lambda, fresh_masks, as_published } = self.fine;
        let (method, norm, epsilon, iterations) = (self.method.clone(), self.norm, self.epsilon, self.iterations);
        Settings {
            method,
            norm,
            epsilon,
            step,
            iterations,
            decay,
            restarts,
            loss,
            confidence,
            lambda,
            targeted,
            fresh_masks,
            as_published,
            attack_samples: None,
            seed,
        }
    }

    /// How many steps it takes.
    pub fn steps(&self) -> u32 {
        named(&self.method).map_or(0, |method| method.steps(&self.attack(0)))
    }

    /// How many steps each of its runs takes, of which restarts and losses make several: what [`iterations`](Self::iterations) sets.
    pub fn steps_of_run(&self) -> u32 {
        let of_one = Settings { iterations: Some(1), ..self.attack(0) };
        self.steps() / named(&self.method).map_or(1, |method| method.steps(&of_one)).max(1)
    }

    /// Takes another method: with its own number of steps, and with the norm and the budget that it had before, or else its first norm.
    pub fn choose(&mut self, method: &str, values: usize) {
        self.budgets.insert(std::mem::replace(&mut self.method, method.to_owned()), (self.norm, self.epsilon));
        self.iterations = None;
        self.fine = Fine::default();
        let known = named(method).map_or(&[][..], |method| method.norms());
        match (self.budgets.get(method), known.first()) {
            // The budget may be one for larger images.
            (Some(&(norm, epsilon)), _) if known.contains(&norm) => {
                (self.norm, self.epsilon) = (norm, epsilon.clamp(0.0, longest(norm, values)));
            }
            (_, Some(&first)) => self.measure_by(first, values),
            (_, None) => {}
        }
    }

    /// Takes another norm, with a usual budget in it.
    pub fn measure_by(&mut self, norm: Norm, values: usize) {
        let share = if norm == Norm::L1 { 0.05 } else { 0.1 };
        (self.norm, self.epsilon) = (norm, share * longest(norm, values));
    }

    /// What is wrong with a choice that came from a file.
    pub fn problem(&self, set: &ModelSet) -> Option<String> {
        let ensemble = set.ensemble();
        let (members, classes) = (ensemble.members().len(), ensemble.classes().len());
        let Ok(method) = named(&self.method) else { return Some(format!("'{}' is not an attack", self.method)) };
        let longest = longest(self.norm, ensemble.image_shape().iter().product());
        if !method.norms().contains(&self.norm) {
            Some(format!("{} has no form for '{}'", self.method, self.norm.key()))
        } else if !(0.0..=longest).contains(&self.epsilon) {
            Some(format!("a budget of {} is not between 0 and {longest}", self.epsilon))
        } else if self.iterations.is_some_and(|steps| !(1..=MOST_STEPS).contains(&steps)) || !(1..=MOST_SAMPLES).contains(&self.samples) {
            Some(format!("{:?} steps and {} draws are out of range", self.iterations, self.samples))
        } else if self.member >= members || self.target.is_some_and(|class| class >= classes) {
            Some(format!("there are only {members} members and {classes} classes"))
        } else if matches!(self.image, AttackedImage::Pin(which) if which >= 2) {
            Some("there are only two pins".to_owned())
        } else {
            self.attack(0).check().err().map(|error| error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_keeps_its_own_norm_and_budget() {
        let mut choice = AttackChoice { epsilon: 0.3, ..AttackChoice::default() };
        choice.choose("cw", 784);
        assert!(choice.norm == Norm::L2 && (choice.epsilon - 2.8).abs() < 1e-12, "{choice:?}");
        choice.choose("pgd", 784);
        assert_eq!((choice.norm, choice.epsilon), (Norm::Linf, 0.1), "a method that was never chosen begins with its first norm");
        choice.measure_by(Norm::L1, 784);
        choice.choose("bim", 784);
        assert_eq!((choice.norm, choice.epsilon), (Norm::Linf, 0.3));
        choice.choose("pgd", 100);
        assert_eq!(choice.norm, Norm::L1);
        assert!((choice.epsilon - 39.2).abs() < 1e-12, "5 % of 784: {}", choice.epsilon);
        choice.choose("cw", 4);
        assert_eq!((choice.norm, choice.epsilon), (Norm::L2, 2.0), "no change of four values is longer");
    }

    #[test]
    fn a_choice_without_kept_budgets_is_read() {
        let old: AttackChoice = serde_json::from_str(r#"{"method": "mim", "epsilon": 0.2}"#).unwrap();
        assert!(old.method == "mim" && old.epsilon == 0.2 && old.budgets.is_empty());
    }
}
