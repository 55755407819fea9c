//! How far AUROC depends on the dropout masks that measure: the same images, measured by the draws of other seeds.

use super::{Detected, Detector, Kind, Negatives, Positives};
use crate::analysis::detection::auroc;
use crate::analysis::variance::sample_variance;
use crate::error::Result;
use crate::jobs::attack::Said;
use serde::Serialize;

/// The AUROC over the seeds of the dropout masks that measure, the attacked images and the positives staying the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SeedSpread {
    /// How many seeds.
    pub seeds: usize,
    /// The lowest AUROC.
    pub lowest: f64,
    /// The highest.
    pub highest: f64,
    /// The sample standard deviation.
    pub standard_deviation: f64,
}

impl SeedSpread {
    /// That of some AUROCs; `None` for fewer than two, which have no spread.
    fn of(values: &[f64]) -> Option<Self> {
        (values.len() > 1).then(|| Self {
            seeds: values.len(),
            lowest: values.iter().copied().fold(f64::INFINITY, f64::min),
            highest: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            standard_deviation: sample_variance(values).sqrt(),
        })
    }
}

/// What the networks say to clean, noisy and attacked images by the masks of one seed.
pub(super) type SaidToAll = [Said; 3];

impl Detected {
    /// Adds the spread of the AUROC of each measure over its own seed and others.
    ///
    /// # Errors
    /// When a score is not a number.
    pub(super) fn add_spread(&mut self, others: &[SaidToAll]) -> Result<()> {
        let mut spreads = Vec::new();
        for scored in &self.scored {
            spreads.push(match (scored.detector, scored.quality) {
                (Detector::Measure(_), Some(quality)) => {
                    let mut values = vec![quality.auroc.value];
                    for said in others {
                        values.push(self.auroc_by(said, scored.detector, scored.positives, scored.negatives)?);
                    }
                    SeedSpread::of(&values)
                }
                _ => None,
            });
        }
        for (scored, spread) in self.scored.iter_mut().zip(spreads) {
            scored.seed_spread = spread;
        }
        Ok(())
    }

    /// The AUROC of a measure by other masks.
    fn auroc_by(
        &self,
        [clean, noisy, attacked]: &SaidToAll,
        detector: Detector,
        positives: Positives,
        negatives: Negatives,
    ) -> Result<f64> {
        let [clean, noisy, attacked] = [clean, noisy, attacked].map(|said| super::scores(said, None, detector));
        let of_side = |side: Vec<(Kind, usize)>| -> Vec<f64> {
            let score = |(kind, image): (Kind, usize)| match kind {
                Kind::Clean => clean[image],
                Kind::Noisy => noisy[image],
                Kind::Attacked => attacked[image],
            };
            side.into_iter().map(score).collect()
        };
        let [of_negatives, of_positives] = self.images(positives, negatives).map(of_side);
        auroc(&of_negatives, &of_positives)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_of_two_seeds_at_least() {
        assert_eq!(SeedSpread::of(&[0.5]), None);
        assert_eq!(SeedSpread::of(&[]), None);
        let spread = SeedSpread::of(&[0.5, 0.7, 0.6]).unwrap();
        assert_eq!((spread.seeds, spread.lowest, spread.highest), (3, 0.5, 0.7));
        assert!((spread.standard_deviation - 0.1).abs() <= 1e-12, "{}", spread.standard_deviation);
    }
}
