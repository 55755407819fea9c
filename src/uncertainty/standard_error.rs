//! Whether there were enough draws: the standard error of the estimate of mutual information.

use super::CellStatistics;
use super::measure::mutual_information;

/// Why there is no standard error, for a person.
pub const NO_STANDARD_ERROR: &str = "A standard error needs at least 3 draws of each member: without one of them, 2 must be left.";

/// The standard error in nats of the mutual information of all groups together, by the delete-a-group jackknife (Shao & Wu
/// 1989): `SE² = (G − 1)/G Σ_g (θ₍g₎ − θ̄)²`, where θ₍g₎ is the estimate without group g and θ̄ the mean of these.
///
/// Each of the G groups holds as many draws, those of every member. The delta method, `√(Var_t[KL(p_t‖p̄)] / T)`, would need
/// the covariance of probabilities and entropy, which the sums of [`CellStatistics`] do not hold; a second estimate from
/// their merged blocks costs nothing. Ten groups or more make a usable estimate. With shared masks the draws of one number
/// are one function ω at all points, so neighbouring points err together: the error is that of a point, not of a difference
/// between points.
///
/// The plug-in estimate I is also too low, by about 1.5 I/T (see [`mutual_information`]); that bias is not in the standard error.
/// NaN with less than two groups or with an empty one, and where what is left without a group has fewer than two draws of each of
/// the `members` (see [`NO_STANDARD_ERROR`]): one draw disagrees with nothing.
pub fn mutual_information_standard_error(groups: &[CellStatistics], members: usize) -> f64 {
    let count = groups.len() as f64;
    let draws: f64 = groups.iter().map(CellStatistics::draws).sum();
    let too_few = |group: &CellStatistics| group.draws() == 0.0 || draws - group.draws() < 2.0 * members as f64;
    if groups.len() < 2 || groups.iter().any(too_few) {
        return f64::NAN;
    }
    let without: Vec<f64> = (0..groups.len())
        .map(|left_out| {
            let mut rest = CellStatistics::new(groups[0].classes());
            groups.iter().enumerate().filter(|&(g, _)| g != left_out).for_each(|(_, group)| rest.merge(group));
            mutual_information(&rest)
        })
        .collect();
    let mean = without.iter().sum::<f64>() / count;
    let squares: f64 = without.iter().map(|estimate| (estimate - mean).powi(2)).sum();
    ((count - 1.0) / count * squares).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    const CLASSES: usize = 5;

    /// A draw of the Dirichlet distribution with the concentrations 1, 2, …, `CLASSES`: gamma variates of whole shape are
    /// sums of exponential ones.
    fn dirichlet(stream: Stream, address: [u32; 3]) -> Vec<f64> {
        let exponential = |index: usize| -(1.0 - stream.uniform(address, index as u32)).ln();
        let gammas: Vec<f64> = (0..CLASSES).map(|c| (0..=c).map(|i| exponential(c * CLASSES + i)).sum()).collect();
        let total: f64 = gammas.iter().sum();
        gammas.iter().map(|gamma| gamma / total).collect()
    }

    fn repetition(number: u32, draws: u32) -> Vec<Vec<f64>> {
        let stream = Stream::new(11, Purpose::Choice);
        (0..draws).map(|draw| dirichlet(stream, [draw, number, 0])).collect()
    }

    fn grouped(draws: &[Vec<f64>], groups: usize) -> Vec<CellStatistics> {
        draws.chunks_exact(draws.len() / groups).map(CellStatistics::of_draws).collect()
    }

    fn spread(values: &[f64]) -> f64 {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64).sqrt()
    }

    #[test]
    fn it_is_the_spread_over_independent_repetitions() {
        let repetitions: Vec<_> = (0..400).map(|number| repetition(number, 100)).collect();
        let estimates: Vec<f64> = repetitions.iter().map(|draws| mutual_information(&CellStatistics::of_draws(draws))).collect();
        let errors = repetitions.iter().map(|draws| mutual_information_standard_error(&grouped(draws, 20), 1));
        let (mean, truth) = (errors.sum::<f64>() / 400.0, spread(&estimates));
        assert!((mean / truth - 1.0).abs() <= 0.1, "the jackknife says {mean}, the repetitions {truth}");
    }

    #[test]
    fn it_agrees_with_the_delta_method() {
        let draws = repetition(0, 2000);
        let mean = CellStatistics::of_draws(&draws).mean();
        let divergence = |p: &Vec<f64>| p.iter().zip(&mean).map(|(p, m)| p * (p / m).ln()).sum::<f64>();
        let delta = spread(&draws.iter().map(divergence).collect::<Vec<_>>()) / 2000f64.sqrt();
        let jackknife = mutual_information_standard_error(&grouped(&draws, 200), 1);
        assert!((jackknife / delta - 1.0).abs() <= 0.1, "the jackknife says {jackknife}, the delta method {delta}");
    }

    #[test]
    fn members_inside_a_group_count_as_draws() {
        let draws = repetition(1, 120);
        let members: Vec<CellStatistics> = draws
            .chunks_exact(12)
            .map(|group| {
                let mut merged = CellStatistics::of_draws(&group[..5]);
                merged.merge(&CellStatistics::of_draws(&group[5..]));
                merged
            })
            .collect();
        let (apart, together) =
            (mutual_information_standard_error(&members, 1), mutual_information_standard_error(&grouped(&draws, 10), 1));
        assert!((apart - together).abs() <= 1e-12 * together && together > 0.0, "{apart} and {together}");
    }

    #[test]
    fn identical_draws_have_no_error_and_one_group_has_none_to_tell() {
        let same = vec![CellStatistics::of_draws(&[[0.7, 0.2, 0.1], [0.7, 0.2, 0.1]]); 10];
        let error = mutual_information_standard_error(&same, 1);
        assert!(error.abs() <= 1e-14, "{error}");
        assert!(mutual_information_standard_error(&same[..1], 1).is_nan());
        assert!(mutual_information_standard_error(&[same[0].clone(), CellStatistics::new(3)], 1).is_nan());
    }
}
