//! The numbers of every detector for one choice of positives and negatives.

use super::{Detector, Undefined, reason};
use crate::analysis::detection::{Clusters, Comparison, Estimate, Quality, Ranking};
use crate::error::Result;
use crate::uncertainty::Measure;

/// The detectors whose AUROCs are compared: that of the first less that of the second.
pub(super) const COMPARED: [Detector; 2] = [Detector::Measure(Measure::PredictiveEntropy), Detector::Measure(Measure::MutualInformation)];

/// Every detector with its quality, `None` where it is undefined; and the AUROC of predictive entropy less that of mutual information.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cells {
    pub qualities: Vec<(Detector, Option<Quality>)>,
    pub difference: Option<Estimate>,
}

/// Compares detectors by the same resamples of images. `scores` are those of negatives and positives; those that are
/// `undefined` have no quality.
///
/// # Errors
/// When a score is not a number.
pub(super) fn cells(
    detectors: &[Detector],
    scores: impl Fn(Detector) -> [Vec<f64>; 2],
    undefined: &Undefined,
    clusters: &Clusters,
    (resamples, seed): (u32, u32),
) -> Result<Cells> {
    let mut rankings = Vec::new();
    let mut places = Vec::new();
    for &detector in detectors {
        let [negatives, positives] = scores(detector);
        let defined = reason(undefined, detector).is_none() && !negatives.is_empty() && !positives.is_empty();
        places.push(defined.then_some(rankings.len()));
        if defined {
            rankings.push(Ranking::new(&negatives, &positives)?);
        }
    }
    let comparison = Comparison::new(&rankings, clusters, resamples, seed);
    let place = |detector: Detector| detectors.iter().position(|other| *other == detector).and_then(|at| places[at]);
    let qualities = detectors.iter().map(|&detector| (detector, place(detector).map(|at| comparison.qualities[at]))).collect();
    let [first, second] = COMPARED.map(place);
    Ok(Cells { qualities, difference: first.zip(second).map(|(first, second)| comparison.difference(first, second)) })
}
