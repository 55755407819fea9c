//! What counts as a hole.

use crate::error::{Error, Result};
use crate::uncertainty::Measure;
use serde::{Deserialize, Serialize};

/// Up to which value a measure is sure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasureBound {
    /// The quantile of the measure on the reference images: at 0.95 it is as sure as on 95 % of them.
    Quantile(f64),
    /// A value in the measure's unit.
    Value(f64),
    /// The measure does not matter.
    Off,
}

/// What counts as a hole: every part that is on must hold. The paper's holes are regions of very confident predictions where there are
/// no data (Smith & Gal 2018, §4): low mutual information alone is not that, since draws may agree that they cannot tell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HoleCriterion {
    /// The measure of uncertainty, mutual information.
    pub measure: Measure,
    /// Up to which value it is sure: the 0.95 quantile, at which an alarm would go off at one real image in twenty.
    pub bound: MeasureBound,
    /// The least max p̄, 0.9; any for `None`.
    pub min_confidence: Option<f64>,
    /// The share of the training encodings that the data's region holds, 0.99: outside, there are no data (see
    /// [`crate::latent::Density::covering`]). `None` for holes that may hold data.
    pub covered: Option<f64>,
    /// The most reference images, 1000.
    pub reference: usize,
}

impl Default for HoleCriterion {
    fn default() -> Self {
        Self {
            measure: Measure::MutualInformation,
            bound: MeasureBound::Quantile(0.95),
            min_confidence: Some(0.9),
            covered: Some(0.99),
            reference: 1000,
        }
    }
}

impl HoleCriterion {
    /// How many of its three parts are on.
    pub fn parts(&self) -> usize {
        [self.min_confidence.is_some(), self.bound != MeasureBound::Off, self.covered.is_some()].into_iter().filter(|on| *on).count()
    }

    /// The criterion in words: "A hole is where maximum probability is at least 90 %, mutual information is as low as on 95 % of …".
    pub fn describe(&self) -> String {
        let percent = |share: f64| format!("{} %", (share * 1e4).round() / 100.0);
        let (low, most) = if self.measure.rises_with_uncertainty() { ("low", "most") } else { ("high", "least") };
        let measure = self.measure.label().to_lowercase();
        let confident = self.min_confidence.map(|least| format!("maximum probability is at least {}", percent(least)));
        let sure = match self.bound {
            MeasureBound::Quantile(share) => Some(format!("{measure} is as {low} as on {} of the reference images", percent(share))),
            MeasureBound::Value(value) => Some(format!("{measure} is at {most} {value:.4} {}", self.measure.unit()).trim_end().to_owned()),
            MeasureBound::Off => None,
        };
        let empty = self.covered.map(|share| format!("the density is below that of {} of the training encodings", percent(share)));
        let parts: Vec<String> = [confident, sure, empty].into_iter().flatten().collect();
        match parts.split_last() {
            None => "The whole region is a hole.".to_owned(),
            Some((only, [])) => format!("A hole is where {only}."),
            Some((last, others)) => format!("A hole is where {} and {last}.", others.join(", ")),
        }
    }

    /// What "no density" means, for a caption; nothing where holes may hold data.
    pub fn about_density(&self) -> Option<String> {
        let covered = self.covered?;
        let percent = |share: f64| (share * 1e4).round() / 100.0;
        Some(format!(
            "No density means outside the region that holds {} % of the training encodings: up to {} % of the data lie there.",
            percent(covered),
            percent(1.0 - covered)
        ))
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// When a share is not above 0 and up to 1, a bound is not a number, no part is on, or there is no reference.
    pub fn check(&self) -> Result<()> {
        let quantile = if let MeasureBound::Quantile(share) = self.bound { Some(share) } else { None };
        for (option, share) in [("--quantile", quantile), ("--min-confidence", self.min_confidence), ("--covered", self.covered)] {
            if let Some(share) = share
                && !(share > 0.0 && share <= 1.0)
            {
                return Err(Error::setting(option, format!("{share} is out of range"), "give a number above 0 and up to 1, such as 0.95"));
            }
        }
        if let MeasureBound::Value(value) = self.bound
            && !value.is_finite()
        {
            return Err(Error::setting("--threshold", format!("{value} is no bound"), "give a finite number"));
        }
        if self.parts() == 0 {
            let problem = "with --threshold off and --covered off too, the whole region is a hole";
            return Err(Error::setting("--min-confidence off", problem, "leave one of them on"));
        }
        if self.reference == 0 {
            return Err(Error::setting("--reference-images", "0 images say nothing", "give a number from 1, such as 1000"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criterion_in_words_names_the_parts_that_are_on() {
        let usual = HoleCriterion::default();
        assert_eq!(
            usual.describe(),
            "A hole is where maximum probability is at least 90 %, mutual information is as low as on 95 % of the reference images and the \
             density is below that of 99 % of the training encodings."
        );
        let said = "No density means outside the region that holds 99 % of the training encodings: up to 1 % of the data lie there.";
        assert_eq!(usual.about_density().as_deref(), Some(said));
        assert_eq!(HoleCriterion { covered: None, ..usual }.about_density(), None);
        let value = HoleCriterion { bound: MeasureBound::Value(0.1), min_confidence: None, covered: None, ..usual };
        assert_eq!((value.describe().as_str(), value.parts()), ("A hole is where mutual information is at most 0.1000 nats.", 1));
        let probable = HoleCriterion { measure: Measure::MaximumProbability, min_confidence: None, ..usual };
        assert!(probable.describe().starts_with("A hole is where maximum probability is as high as on 95 % "), "{}", probable.describe());
    }

    #[test]
    fn one_part_must_be_on() {
        let usual = HoleCriterion::default();
        let none = HoleCriterion { bound: MeasureBound::Off, min_confidence: None, covered: None, ..usual };
        let refused = none.check().unwrap_err().to_string();
        assert!(none.parts() == 0 && refused.contains("the whole region is a hole"), "{refused}");
        for one in [
            HoleCriterion { bound: usual.bound, ..none },
            HoleCriterion { min_confidence: Some(0.9), ..none },
            HoleCriterion { covered: Some(0.99), ..none },
        ] {
            assert!(one.parts() == 1 && one.check().is_ok());
        }
    }
}
