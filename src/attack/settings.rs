//! What fixes an attack.

use super::norm::Norm;
use crate::autodiff::Loss;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Which losses APGD climbs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApgdLoss {
    /// Cross-entropy, then the difference of logits ratio; of each image the better of the two (as `AutoAttack`'s `rand`).
    #[default]
    Both,
    /// Cross-entropy.
    Ce,
    /// The difference of logits ratio.
    Dlr,
}

impl ApgdLoss {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Both, Self::Ce, Self::Dlr];

    /// Its name on the command line and in files.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Ce => "ce",
            Self::Dlr => "dlr",
        }
    }

    /// That of a [`key`](Self::key).
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|loss| loss.key() == key)
    }

    /// Its name for a person.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Both => "CE and DLR",
            Self::Ce => "cross-entropy",
            Self::Dlr => "DLR",
        }
    }

    /// The losses, one run each.
    pub(super) const fn losses(self) -> &'static [Loss] {
        match self {
            Self::Both => &[Loss::Expected, Loss::LogitsRatio],
            Self::Ce => &[Loss::Expected],
            Self::Dlr => &[Loss::LogitsRatio],
        }
    }
}

/// Everything that fixes an attack, but for whom and what it attacks. What a method does not know, it ignores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The attack's name in [`all`](super::all).
    pub method: String,
    /// The norm of the budget.
    pub norm: Norm,
    /// The budget ε: no change is longer. Infinite only where the attack looks for the smallest change itself.
    pub epsilon: f64,
    /// The length of a step (of the first one for apgd); the method's own for `None`.
    pub step: Option<f64>,
    /// The number of steps (of queries for an attack without gradients); the method's own for `None`.
    pub iterations: Option<u32>,
    /// How much of the former direction MIM keeps.
    pub decay: f64,
    /// How often PGD starts, and APGD with each loss.
    pub restarts: u32,
    /// Which losses APGD climbs.
    #[serde(default)]
    pub loss: ApgdLoss,
    /// By how much the margin is to be won (Carlini & Wagner's κ).
    pub confidence: f64,
    /// The weight λ of mutual information in the attack that evades it. From about 1 it holds images where they are: on the way to a wrong
    /// answer the draws must disagree for a while.
    pub lambda: f64,
    /// Whether the labels are targets to get to.
    pub targeted: bool,
    /// Whether each step draws its own masks, rather than all steps the same.
    pub fresh_masks: bool,
    /// The paper's loss, with its second softmax.
    pub as_published: bool,
    /// The seed of random starts and steps.
    pub seed: u32,
    /// Draws of each member whose mean is attacked; `None`: as many as measure. Left out of files where it is `None`, so that cached
    /// attacked images keep their keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attack_samples: Option<u32>,
}

impl Settings {
    /// The usual settings of a method.
    pub fn new(method: &str, norm: Norm, epsilon: f64) -> Self {
        Self {
            method: method.to_owned(),
            norm,
            epsilon,
            step: None,
            iterations: None,
            decay: 1.0,
            restarts: 1,
            loss: ApgdLoss::Both,
            confidence: 0.0,
            lambda: 0.3,
            targeted: false,
            fresh_masks: false,
            as_published: false,
            seed: 0,
            attack_samples: None,
        }
    }

    /// Checks every number, and that the method is known and takes the norm.
    ///
    /// # Errors
    /// Names the option that makes no sense.
    pub fn check(&self) -> Result<()> {
        let attack = super::named(&self.method)?;
        if !attack.norms().contains(&self.norm) {
            let norms: Vec<&str> = attack.norms().iter().map(|norm| norm.key()).collect();
            let problem = format!("{} has no form for '{}'", attack.name(), self.norm.key());
            return Err(Error::setting("--norm", problem, format!("choose {}", norms.join(" or "))));
        }
        let unlimited = attack.finds_the_smallest() && self.epsilon == f64::INFINITY;
        if !(unlimited || self.epsilon.is_finite() && self.epsilon >= 0.0) {
            return Err(Error::setting("--eps", format!("{} is no size of a change", self.epsilon), "give a number from 0"));
        }
        if let Some(step) = self.step.filter(|step| !(step.is_finite() && *step > 0.0)) {
            return Err(Error::setting("--step", format!("{step} is no length of a step"), "give a number above 0"));
        }
        if self.iterations == Some(0) {
            return Err(Error::setting("--iterations", "0 steps do nothing", "give a number from 1"));
        }
        if self.restarts == 0 {
            return Err(Error::setting("--restarts", "0 starts do nothing", "give a number from 1"));
        }
        for (name, value) in [("--decay", self.decay), ("--confidence", self.confidence), ("--lambda", self.lambda)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::setting(name, format!("{value} is out of range"), "give a number from 0"));
            }
        }
        if self.as_published && !attack.follows_the_loss() {
            let problem = format!("{} has a loss of its own", attack.name());
            return Err(Error::setting("--as-published", problem, "leave it out, or choose fgm, bim, mim or pgd"));
        }
        Ok(())
    }
}
