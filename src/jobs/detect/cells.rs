//! The numbers of every measure for one choice of positives and negatives.

use crate::analysis::detection::{Clusters, Comparison, Estimate, Quality, Ranking};
use crate::error::Result;
use crate::uncertainty::Measure;

/// The measures whose AUROCs are compared: that of the first less that of the second.
pub(super) const COMPARED: [Measure; 2] = [Measure::PredictiveEntropy, Measure::MutualInformation];

/// Every measure with its quality, `None` where it is undefined; and the AUROC of predictive entropy less that of mutual information.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cells {
    pub qualities: Vec<(Measure, Option<Quality>)>,
    pub difference: Option<Estimate>,
}

/// Compares all measures by the same resamples of images. `scores` are those of negatives and positives; `undefined` says of which
/// measures the models have none.
///
/// # Errors
/// When a score is not a number.
pub(super) fn cells(
    scores: impl Fn(Measure) -> [Vec<f64>; 2],
    undefined: impl Fn(Measure) -> bool,
    clusters: &Clusters,
    (resamples, seed): (u32, u32),
) -> Result<Cells> {
    let mut rankings = Vec::new();
    let mut places = Vec::new();
    for measure in Measure::ALL {
        let [negatives, positives] = scores(measure);
        let defined = !undefined(measure) && !negatives.is_empty() && !positives.is_empty();
        places.push(defined.then_some(rankings.len()));
        if defined {
            rankings.push(Ranking::new(&negatives, &positives)?);
        }
    }
    let comparison = Comparison::new(&rankings, clusters, resamples, seed);
    let place = |measure: Measure| Measure::ALL.iter().position(|other| *other == measure).and_then(|at| places[at]);
    let qualities = Measure::ALL.into_iter().map(|measure| (measure, place(measure).map(|at| comparison.qualities[at]))).collect();
    let [first, second] = COMPARED.map(place);
    Ok(Cells { qualities, difference: first.zip(second).map(|(first, second)| comparison.difference(first, second)) })
}
