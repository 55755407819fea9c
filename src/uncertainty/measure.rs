//! The measures of uncertainty: pure functions of the statistics of draws (Smith & Gal 2018, eq. 3–9). With T draws
//! `p₁ … p_T` over C classes and their mean p̄, all logarithms are natural and 0 ln 0 = 0, the limit.

use super::{CellStatistics, UNDEFINED_FOR_ONE_DRAW, UNDEFINED_WITHOUT_DRAWS};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// A measure of uncertainty. A new one is a variant, a place in [`ALL`](Self::ALL) and the arms that the compiler asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// H\[E p\], what the mean prediction does not know, for whatever reason.
    PredictiveEntropy,
    /// E H\[p\], what the draws do not know on average: the ambiguity that more data would not take away.
    ExpectedEntropy,
    /// I(y; ω) = H\[E p\] − E H\[p\], how far the draws disagree (BALD, Houlsby et al. 2011).
    MutualInformation,
    /// The variance of the probabilities over the draws.
    SoftmaxVariance,
    /// The share of draws that vote against the most voted class.
    VariationRatio,
    /// The mean probability of the most probable class; high where the others are low.
    MaximumProbability,
    /// H\[p\] of the network without dropout.
    DeterministicEntropy,
    /// I(y; ω) less the bias that a small number of draws gives its plug-in estimate.
    MutualInformationCorrected,
}

/// The passes whose statistics a measure is a function of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passes {
    /// One pass per member with dropout off.
    Deterministic,
    /// Draws with dropout.
    Sampled,
}

impl Measure {
    /// Every measure, in the order of menus and tables.
    pub const ALL: [Self; 8] = [
        Self::PredictiveEntropy,
        Self::ExpectedEntropy,
        Self::MutualInformation,
        Self::SoftmaxVariance,
        Self::VariationRatio,
        Self::MaximumProbability,
        Self::DeterministicEntropy,
        Self::MutualInformationCorrected,
    ];

    /// Its name in files and on the command line.
    pub const fn key(self) -> &'static str {
        match self {
            Self::PredictiveEntropy => "predictive_entropy",
            Self::ExpectedEntropy => "expected_entropy",
            Self::MutualInformation => "mutual_information",
            Self::SoftmaxVariance => "softmax_variance",
            Self::VariationRatio => "variation_ratio",
            Self::MaximumProbability => "maximum_probability",
            Self::DeterministicEntropy => "deterministic_entropy",
            Self::MutualInformationCorrected => "mutual_information_corrected",
        }
    }

    /// The measure of a [`key`](Self::key).
    ///
    /// # Errors
    /// When no measure has it; names those that there are.
    pub fn from_key(key: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|measure| measure.key() == key).ok_or_else(|| {
            let keys = Self::ALL.map(Self::key).join(", ");
            Error::setting("--measure", format!("'{key}' is not a measure"), format!("choose one of {keys}"))
        })
    }

    /// Its name for a person.
    pub const fn label(self) -> &'static str {
        match self {
            Self::PredictiveEntropy => "Predictive entropy",
            Self::ExpectedEntropy => "Expected entropy",
            Self::MutualInformation => "Mutual information",
            Self::SoftmaxVariance => "Softmax variance",
            Self::VariationRatio => "Variation ratio",
            Self::MaximumProbability => "Maximum probability",
            Self::DeterministicEntropy => "Deterministic entropy",
            Self::MutualInformationCorrected => "Corrected mutual information",
        }
    }

    /// Its symbol, which tells apart what other tools call by the same name.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::PredictiveEntropy => "H[E p]",
            Self::ExpectedEntropy => "E H[p]",
            Self::MutualInformation => "I(y; ω)",
            Self::SoftmaxVariance => "Var p",
            Self::VariationRatio => "v",
            Self::MaximumProbability => "max E p",
            Self::DeterministicEntropy => "H[p]",
            Self::MutualInformationCorrected => "Î(y; ω)",
        }
    }

    /// Its equation in one line; p̄ is the mean of the draws `p₁ … p_T` over the classes c = 1 … C.
    pub const fn formula(self) -> &'static str {
        match self {
            Self::PredictiveEntropy => "−Σ_c p̄_c ln p̄_c",
            Self::ExpectedEntropy => "−1/T Σ_t Σ_c p_tc ln p_tc",
            Self::MutualInformation => "H[E p] − E H[p]",
            Self::SoftmaxVariance => "1/C Σ_c 1/T Σ_t (p_tc − p̄_c)²",
            Self::VariationRatio => "1 − votes for the most voted class / T",
            Self::MaximumProbability => "max_c p̄_c",
            Self::DeterministicEntropy => "−Σ_c p_c ln p_c, dropout off",
            Self::MutualInformationCorrected => "H[E p] − E H[p] + about ½ Σ_c Var(p̄_c) / p̄_c",
        }
    }

    /// "nats" for entropies, nothing for numbers without a unit.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::PredictiveEntropy
            | Self::ExpectedEntropy
            | Self::MutualInformation
            | Self::DeterministicEntropy
            | Self::MutualInformationCorrected => "nats",
            Self::SoftmaxVariance | Self::VariationRatio | Self::MaximumProbability => "",
        }
    }

    /// The smallest and the largest value that any draws over so many classes can give: the fixed range of colour bars.
    pub fn natural_range(self, classes: usize) -> [f64; 2] {
        let c = classes as f64;
        match self {
            Self::PredictiveEntropy
            | Self::ExpectedEntropy
            | Self::MutualInformation
            | Self::DeterministicEntropy
            | Self::MutualInformationCorrected => [0.0, c.ln()],
            // (E‖p‖² − ‖p̄‖²) / C, where ‖p‖² ≤ 1 and ‖p̄‖² ≥ 1/C.
            Self::SoftmaxVariance => [0.0, (1.0 - 1.0 / c) / c],
            Self::VariationRatio => [0.0, 1.0 - 1.0 / c],
            Self::MaximumProbability => [1.0 / c, 1.0],
        }
    }

    /// Whether it is higher where there is more uncertainty; only the maximum probability is lower there.
    pub const fn rises_with_uncertainty(self) -> bool {
        !matches!(self, Self::MaximumProbability)
    }

    /// Whether it compares draws with each other: of a single draw, or of draws that are all the same, it is 0 whatever the image, so
    /// that nothing can be ranked or bounded by it (see [`undefined`](Self::undefined)).
    pub const fn needs_draws(self) -> bool {
        matches!(self, Self::MutualInformation | Self::MutualInformationCorrected | Self::SoftmaxVariance | Self::VariationRatio)
    }

    /// Why it ranks and bounds nothing over members of which each has draws or not, with so many samples of each; `None` where it is
    /// defined: it needs no draws, or there are two at least that can differ.
    pub fn undefined(self, has_draws: &[bool], samples: u32) -> Option<&'static str> {
        let random = has_draws.contains(&true);
        if !self.needs_draws() || has_draws.len() > 1 || random && samples > 1 {
            return None;
        }
        Some(if random { UNDEFINED_FOR_ONE_DRAW } else { UNDEFINED_WITHOUT_DRAWS })
    }

    /// Which statistics [`evaluate`](Self::evaluate) is to be given.
    pub const fn passes(self) -> Passes {
        match self {
            Self::DeterministicEntropy => Passes::Deterministic,
            _ => Passes::Sampled,
        }
    }

    /// The measure of the draws that the statistics sum up; NaN when there are none. Several members are draws of one
    /// mixture: pool their statistics first (see [`CellStatistics::pool`]).
    pub fn evaluate(self, statistics: &CellStatistics) -> f64 {
        match self {
            Self::PredictiveEntropy | Self::DeterministicEntropy => predictive_entropy(statistics),
            Self::ExpectedEntropy => expected_entropy(statistics),
            Self::MutualInformation => mutual_information(statistics),
            Self::SoftmaxVariance => softmax_variance(statistics),
            Self::VariationRatio => variation_ratio(statistics),
            Self::MaximumProbability => maximum_probability(statistics),
            Self::MutualInformationCorrected => mutual_information_corrected(statistics),
        }
    }
}

/// `H[p̄] = −Σ_c p̄_c ln p̄_c` in nats, where `p̄ = 1/T Σ_t p_t`. NaN without draws.
pub fn predictive_entropy(statistics: &CellStatistics) -> f64 {
    entropy_of(statistics.mean())
}

fn entropy_of(probabilities: impl IntoIterator<Item = f64>) -> f64 {
    at_least_0(probabilities.into_iter().map(|p| if p == 0.0 { 0.0 } else { -p * p.ln() }).sum())
}

/// `E H[p] = −1/T Σ_t Σ_c p_tc ln p_tc` in nats. NaN without draws.
pub fn expected_entropy(statistics: &CellStatistics) -> f64 {
    at_least_0(statistics.sum_entropy() / statistics.draws())
}

/// `I(y; ω) = H[p̄] − 1/T Σ_t H[p_t]` in nats: exactly 0 for equal draws, `H[p̄]` for confident draws that disagree. Exact
/// arithmetic keeps it in `0 ..= H[p̄]`; rounding is not let out of there. NaN without draws.
///
/// This plug-in estimate is too low for a small number of draws, since the entropy is concave (Jensen): on a plane of the shipped
/// networks with a mean of 0.15 nats by 0.039 at T = 5, 0.022 at T = 10 and 0.005 at T = 50, about 1.5 I/T. See
/// [`mutual_information_corrected`].
pub fn mutual_information(statistics: &CellStatistics) -> f64 {
    if statistics.has_equal_draws() {
        return 0.0;
    }
    mutual_information_of_sums(statistics.sum_p(), statistics.sum_entropy(), statistics.draws())
}

/// The same of Σp \[classes\], ΣH and n alone: for equal draws 0 only up to rounding.
pub fn mutual_information_of_sums(sum_p: &[f64], sum_entropy: f64, draws: f64) -> f64 {
    let total = entropy_of(sum_p.iter().map(|sum| sum / draws));
    let difference = at_least_0(total - at_least_0(sum_entropy / draws));
    if difference > total { total } else { difference }
}

/// [`mutual_information`] plus an estimate of how much it is too low, in nats; at most ln C, and 0 for equal draws. NaN without
/// draws.
///
/// Only `H[p̄]` is biased, by `E f(p̄_c) − f(E p̄_c)` for each class c with `f(x) = −x ln x`. The estimate is the jackknife's (Quenouille
/// 1956), `(n − 1) (f(p̄_c) − mean_t f(p̄_c without draw t))`, in closed form from Σp and Σp²: it takes the n probabilities of the
/// class to be 0 or one other value, with the mean p̄ and the variance that they have. One-hot draws are so, and dropout draws
/// nearly, where they disagree. Its first term is that of the delta method, `½ Σ_c Var(p̄_c) / p̄_c`. On a plane of the shipped networks a sixth
/// of the bias remains at T = 10 (a quarter with the delta method), and the root mean square error grows by 5 %.
///
/// The members of an ensemble count as fixed: the correction is for the draws of each, not for members that were never trained.
/// A single draw per member tells nothing of its spread: nothing is corrected then.
pub fn mutual_information_corrected(statistics: &CellStatistics) -> f64 {
    let classes = statistics.mean().into_iter().zip(statistics.variance_of_mean());
    let bias: f64 = classes.map(|(mean, variance)| entropy_bias(mean, variance, statistics.draws())).sum();
    let corrected = mutual_information(statistics) + bias;
    let most = (statistics.classes() as f64).ln();
    if corrected > most { most } else { corrected }
}

/// How much −x ln x of a class is too low for the mean x of n draws, given the variance of that mean; see
/// [`mutual_information_corrected`].
fn entropy_bias(mean: f64, variance: f64, draws: f64) -> f64 {
    if mean <= 0.0 || variance <= 0.0 {
        return 0.0;
    }
    let f = |x: f64| if x > 0.0 { -x * x.ln() } else { 0.0 };
    // A share `high` of the draws is `mean / high`, the others are 0; without one of either, this is the mean.
    let high = 1.0 / (1.0 + variance * (draws - 1.0) / (mean * mean));
    let [without_high, without_0] = [mean - variance / mean, mean * draws / (draws - 1.0)];
    (draws - 1.0) * (f(mean) - high * f(without_high) - (1.0 - high) * f(without_0))
}

/// `1/C Σ_c (1/T Σ_t p_tc² − p̄_c²)`, the population variance of each class's probability, averaged over the classes. NaN
/// without draws.
pub fn softmax_variance(statistics: &CellStatistics) -> f64 {
    if statistics.has_equal_draws() {
        return 0.0;
    }
    let squares = statistics.sum_p2().iter().map(|sum| sum / statistics.draws());
    let variances = squares.zip(statistics.mean()).map(|(square, mean)| at_least_0(square - mean * mean));
    variances.sum::<f64>() / statistics.classes() as f64
}

/// `1 − max_c votes_c / T`, where each draw votes for its most probable class (Freeman 1965). The other measure of that name,
/// `1 − max_c p̄_c`, is 1 − [`maximum_probability`]. NaN without draws.
pub fn variation_ratio(statistics: &CellStatistics) -> f64 {
    1.0 - largest(statistics.votes()) / statistics.draws()
}

/// `max_c p̄_c`. NaN without draws.
pub fn maximum_probability(statistics: &CellStatistics) -> f64 {
    largest(&statistics.mean())
}

/// Takes away a negative rounding error; unlike `f64::max` it lets NaN through.
fn at_least_0(value: f64) -> f64 {
    if value < 0.0 { 0.0 } else { value }
}

/// The largest of non-negative numbers, NaN if one of them is.
fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, &value| if most >= value || most.is_nan() { most } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(draws: &[&[f64]]) -> [f64; 8] {
        let statistics = CellStatistics::of_draws(draws);
        Measure::ALL.map(|measure| measure.evaluate(&statistics))
    }

    #[test]
    fn confident_draws_that_disagree_are_all_mutual_information() {
        let ln2 = std::f64::consts::LN_2;
        assert_eq!(all(&[&[1.0, 0.0], &[0.0, 1.0]]), [ln2, 0.0, ln2, 0.25, 0.5, 0.5, ln2, ln2]);
    }

    #[test]
    fn undecided_draws_that_agree_hold_no_mutual_information() {
        let ln4 = 4f64.ln();
        assert_eq!(all(&[&[0.25; 4], &[0.25; 4], &[0.25; 4]]), [ln4, ln4, 0.0, 0.0, 0.0, 0.25, ln4, 0.0]);
    }

    #[test]
    fn torn_draws_are_more_uncertain_than_certain_ones() {
        let (certain, torn) = (all(&[&[1.0, 0.0], &[1.0, 0.0]]), all(&[&[1.0, 0.0], &[0.0, 1.0]]));
        for (measure, (certain, torn)) in Measure::ALL.into_iter().zip(certain.into_iter().zip(torn)) {
            assert!(torn != certain || measure == Measure::ExpectedEntropy);
            assert!(torn == certain || (torn > certain) == measure.rises_with_uncertainty(), "{measure:?}");
        }
    }

    #[test]
    fn the_natural_range_is_reached_at_both_ends_and_not_left() {
        let one_hot = |class: usize| (0..5).map(|c| f64::from(c == class)).collect::<Vec<_>>();
        let certain = CellStatistics::of_draws(&[one_hot(2), one_hot(2)]);
        let torn = CellStatistics::of_draws(&(0..5).map(one_hot).collect::<Vec<_>>());
        let vague = CellStatistics::of_draws(&[[0.2; 5]]);
        for measure in Measure::ALL {
            let [low, high] = measure.natural_range(5);
            let values = [&certain, &torn, &vague].map(|statistics| measure.evaluate(statistics));
            let least = values.into_iter().fold(f64::INFINITY, f64::min);
            let most = values.into_iter().fold(f64::NEG_INFINITY, f64::max);
            assert!((least - low).abs() <= 1e-15 && (most - high).abs() <= 1e-15, "{measure:?}: {values:?} in {low}..={high}");
        }
    }

    #[test]
    fn the_certain_end_of_the_range_is_where_a_measure_says() {
        let certain = CellStatistics::of_draws(&[[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]);
        for measure in Measure::ALL {
            let [low, high] = measure.natural_range(3);
            let [sure, unsure] = if measure.rises_with_uncertainty() { [low, high] } else { [high, low] };
            assert!(measure.evaluate(&certain) == sure && sure != unsure, "{measure:?}");
        }
    }

    #[test]
    fn no_draws_and_broken_draws_give_nan() {
        for statistics in [CellStatistics::new(3), CellStatistics::of_draws(&[[f64::NAN, 0.5, 0.5], [0.2, 0.3, 0.5]])] {
            for measure in [Measure::PredictiveEntropy, Measure::MutualInformation, Measure::SoftmaxVariance, Measure::MaximumProbability] {
                assert!(measure.evaluate(&statistics).is_nan(), "{measure:?}");
            }
        }
        assert!(Measure::ALL.iter().all(|measure| measure.evaluate(&CellStatistics::new(3)).is_nan()));
    }

    #[test]
    fn keys_lead_back_and_are_the_names_in_files() {
        for measure in Measure::ALL {
            assert_eq!(Measure::from_key(measure.key()).unwrap(), measure);
            assert_eq!(serde_json::to_value(measure).unwrap(), measure.key());
        }
        let text = Measure::from_key("entropy").unwrap_err().to_string();
        assert!(text.contains("'entropy'") && text.contains("predictive_entropy, expected_entropy"), "{text}");
    }
}
