//! Learning-rate schedules: pure functions of the number of the step.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;
use std::fmt;

/// How the learning rate falls after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Decay {
    /// It does not.
    #[default]
    Constant,
    /// Linearly to 0 at the end of the training.
    Linear,
    /// To 0 at the end of the training along half a cosine (Loshchilov & Hutter 2017, PyTorch's `CosineAnnealingLR`).
    Cosine,
    /// Multiplies the learning rate by a factor after every `every_epochs` epochs (PyTorch's `StepLR`).
    Step { every_epochs: usize, factor: f64 },
}

impl Decay {
    /// The default number of epochs of [`Step`](Self::Step).
    pub const EVERY_EPOCHS: usize = 10;
    /// The default factor of [`Step`](Self::Step): PyTorch's.
    pub const FACTOR: f64 = 0.1;
    /// [`Step`](Self::Step) with its defaults.
    pub const STEP: Self = Self::Step { every_epochs: Self::EVERY_EPOCHS, factor: Self::FACTOR };
}

/// How the learning rate changes over the training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Schedule {
    /// What comes after the warm-up.
    #[serde(flatten)]
    pub decay: Decay,
    /// The number of first epochs, or a fraction of one, over which the learning rate rises linearly to its full value.
    pub warm_up_epochs: f64,
}

/// A schedule as a file has it: formerly whether the rate falls linearly to 0.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Anneal(bool),
    Schedule {
        #[serde(flatten)]
        decay: Decay,
        #[serde(default)]
        warm_up_epochs: f64,
    },
}

impl From<Stored> for Schedule {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Anneal(anneal) => Self { decay: if anneal { Decay::Linear } else { Decay::Constant }, warm_up_epochs: 0.0 },
            Stored::Schedule { decay, warm_up_epochs } => Self { decay, warm_up_epochs },
        }
    }
}

impl Schedule {
    /// The schedule in the training facts of a model; `None` where they have none.
    pub fn of_facts(training: &serde_json::Value) -> Option<Self> {
        let stored = training.get("schedule").or_else(|| training.get("anneal"))?;
        serde_json::from_value(stored.clone()).ok()
    }

    /// Whether the rate of a step depends on the length of the whole training.
    pub const fn depends_on_length(self) -> bool {
        matches!(self.decay, Decay::Linear | Decay::Cosine)
    }

    /// The factor of the learning rate in step number `step`, from 0.
    pub fn factor(self, step: u64, steps_per_epoch: usize, epochs: usize) -> f64 {
        let (step, per_epoch) = (step as f64, steps_per_epoch as f64);
        let warm_up = (self.warm_up_epochs * per_epoch).round();
        if step < warm_up {
            return (step + 1.0) / (warm_up + 1.0);
        }
        let since = step - warm_up;
        let share = since / (per_epoch * epochs as f64 - warm_up);
        match self.decay {
            Decay::Constant => 1.0,
            Decay::Linear => 1.0 - share,
            Decay::Cosine => 0.5 * (1.0 + (PI * share).cos()),
            Decay::Step { every_epochs, factor } => factor.powf((since / (per_epoch * every_epochs as f64)).floor()),
        }
    }

    /// Checks the numbers for a training of `epochs` epochs.
    ///
    /// # Errors
    /// Names the setting that makes no sense.
    pub fn check(self, epochs: usize) -> Result<()> {
        let warm_up = self.warm_up_epochs;
        if !(0.0..epochs as f64).contains(&warm_up) {
            let mend = format!("give at least 0 and fewer than {epochs} epochs, the length of the training");
            return Err(Error::setting("--warm-up", format!("{warm_up} is out of range"), mend));
        }
        if let Decay::Step { every_epochs, factor } = self.decay {
            if every_epochs == 0 {
                return Err(Error::setting("--step-every", "0 is out of range", "give a number of epochs above 0"));
            }
            if !(factor > 0.0 && factor <= 1.0) {
                let mend = "give a number above 0 and at most 1, such as 0.1";
                return Err(Error::setting("--step-factor", format!("{factor} is out of range"), mend));
            }
        }
        Ok(())
    }

    /// The options of `epistemap train` that choose it, each after a space; none for a constant rate.
    pub fn options(self) -> String {
        let decay = match self.decay {
            Decay::Constant => String::new(),
            Decay::Linear => " --schedule linear".to_owned(),
            Decay::Cosine => " --schedule cosine".to_owned(),
            Decay::Step { every_epochs, factor } => format!(" --schedule step --step-every {every_epochs} --step-factor {factor}"),
        };
        if self.warm_up_epochs == 0.0 { decay } else { format!("{decay} --warm-up {}", self.warm_up_epochs) }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.decay {
            Decay::Constant => write!(f, "constant")?,
            Decay::Linear => write!(f, "falling linearly to 0")?,
            Decay::Cosine => write!(f, "falling to 0 along a cosine")?,
            Decay::Step { every_epochs: 1, factor } => write!(f, "times {factor} after every epoch")?,
            Decay::Step { every_epochs, factor } => write!(f, "times {factor} after every {every_epochs} epochs")?,
        }
        match self.warm_up_epochs {
            0.0 => Ok(()),
            1.0 => write!(f, ", warm-up of 1 epoch"),
            epochs => write!(f, ", warm-up of {epochs} epochs"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_settings_of_anneal_are_read_as_schedules() {
        let read = |text: &str| serde_json::from_str::<Schedule>(text).unwrap();
        assert_eq!([read("true").decay, read("false").decay], [Decay::Linear, Decay::Constant]);
        for decay in [Decay::Constant, Decay::Linear, Decay::Cosine, Decay::STEP] {
            let schedule = Schedule { decay, warm_up_epochs: 0.5 };
            assert_eq!(read(&serde_json::to_string(&schedule).unwrap()), schedule);
        }
        assert!(serde_json::from_str::<Schedule>("{\"kind\": \"triangle\"}").is_err());
        let facts = |text: &str| Schedule::of_facts(&serde_json::from_str(text).unwrap());
        assert_eq!(facts("{\"anneal\": true}").unwrap().decay, Decay::Linear);
        assert_eq!(facts("{\"schedule\": {\"kind\": \"cosine\"}}").unwrap(), Schedule { decay: Decay::Cosine, warm_up_epochs: 0.0 });
        assert!(facts("{}").is_none());
    }

    #[test]
    fn schedules_that_make_no_sense_are_refused() {
        let step = |every_epochs, factor| Schedule { decay: Decay::Step { every_epochs, factor }, warm_up_epochs: 0.0 };
        let warm = |warm_up_epochs| Schedule { warm_up_epochs, ..Schedule::default() };
        for (schedule, named) in [
            (warm(-1.0), "--warm-up"),
            (warm(f64::NAN), "--warm-up"),
            (warm(3.0), "--warm-up"),
            (step(0, 0.1), "--step-every"),
            (step(1, 0.0), "--step-factor"),
            (step(1, f64::INFINITY), "--step-factor"),
        ] {
            assert!(schedule.check(3).unwrap_err().to_string().contains(named), "{schedule:?}");
        }
        assert!(warm(2.5).check(3).is_ok() && step(1, 0.1).check(3).is_ok(), "the negative control");
    }

    #[test]
    fn options_and_words_say_the_whole_schedule() {
        let schedule = Schedule { decay: Decay::STEP, warm_up_epochs: 0.5 };
        assert_eq!(schedule.options(), " --schedule step --step-every 10 --step-factor 0.1 --warm-up 0.5");
        assert_eq!(schedule.to_string(), "times 0.1 after every 10 epochs, warm-up of 0.5 epochs");
        assert_eq!(Schedule::default().options(), "");
    }
}
