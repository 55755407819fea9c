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
    /// Checks the numbers.
    ///
    /// # Errors
    /// When a share is not above 0 and up to 1, a bound is not a number, or there is no reference.
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
        if self.reference == 0 {
            return Err(Error::setting("--reference-images", "0 images say nothing", "give a number from 1, such as 1000"));
        }
        Ok(())
    }
}
