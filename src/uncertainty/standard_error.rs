//! Whether there were enough draws: the standard error of the estimate of mutual information.

use super::StatisticsGrid;
use super::measure::mutual_information_of_sums;
use std::ops::Range;

/// Why there is no standard error, for a person.
pub const NO_STANDARD_ERROR: &str = "A standard error needs at least 3 draws of each member: without one of them, 2 must be left.";

/// Sums over the draws of all members together, in groups of consecutive draws: Σp \[classes\], ΣH, n, point by point, within a point
/// group by group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSums {
    classes: usize,
    groups: usize,
    sums: Vec<f64>,
}

impl GroupSums {
    /// The sums of no draws.
    pub fn new(points: usize, groups: usize, classes: usize) -> Self {
        Self { classes, groups, sums: vec![0.0; points * groups * Self::length(classes)] }
    }

    /// The numbers of a group at a point.
    pub const fn length(classes: usize) -> usize {
        classes + 2
    }

    /// Those of statistics that have `groups` rows for each member, over the members at the given places.
    pub fn of(statistics: &StatisticsGrid, groups: usize, places: &[usize]) -> Self {
        let classes = statistics.classes();
        let mut sums = Self::new(statistics.points(), groups, classes);
        for (number, row) in sums.sums.chunks_exact_mut(Self::length(classes)).enumerate() {
            for place in places {
                let of_member = statistics.sums(number / groups, place * groups + number % groups);
                let taken = of_member[..classes].iter().chain(&of_member[3 * classes..]);
                row.iter_mut().zip(taken).for_each(|(sum, other)| *sum += other);
            }
        }
        sums
    }

    /// The groups of each point.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// The points.
    pub fn points(&self) -> usize {
        self.sums.len() / (self.groups * Self::length(self.classes)).max(1)
    }

    /// The sums of a point, [`groups`](Self::groups) times [`length`](Self::length) numbers.
    pub fn rows(&self, point: usize) -> &[f64] {
        let of_point = self.groups * Self::length(self.classes);
        &self.sums[point * of_point..][..of_point]
    }

    /// The sums of some points, `groups` times [`length`](Self::length) numbers to a point.
    pub fn rows_mut(&mut self, points: Range<usize>) -> &mut [f64] {
        let of_point = self.groups * Self::length(self.classes);
        &mut self.sums[points.start * of_point..points.end * of_point]
    }

    /// The standard error in nats of the mutual information of all groups together, by the jackknife for groups of unequal
    /// size (Busing, Meijer & van der Leeden 1999): `SE² = 1/G Σ_g (θ̃_g − θ_J)² / (h_g − 1)` with `h_g = n / m_g`, the pseudo-values
    /// `θ̃_g = h_g θ − (h_g − 1) θ₍g₎` and `θ_J = Σ_g θ̃_g / h_g`, where θ₍g₎ is the estimate without the `m_g` of n draws of group g. For groups of
    /// one size it is the delete-a-group jackknife (Shao & Wu 1989): `SE² = (G − 1)/G Σ_g (θ₍g₎ − θ̄)²`, where θ̄ is the mean of the θ₍g₎.
    ///
    /// Each of the G groups holds draws of every member. The delta method, `√(Var_t[KL(p_t‖p̄)] / T)`, would need
    /// the covariance of probabilities and entropy, which these sums do not hold; a second estimate from
    /// their merged blocks costs nothing. Ten groups or more make a usable estimate. With shared masks the draws of one number
    /// are one function ω at all points, so neighbouring points err together: the error is that of a point, not of a difference
    /// between points.
    ///
    /// The plug-in estimate I is also too low, by about 1.5 I/T (see [`mutual_information`](super::measure::mutual_information)); that
    /// bias is not in the standard error. NaN with less than two groups or with an empty one, and where what is left without a group has
    /// fewer than two draws of each of the `members` (see [`NO_STANDARD_ERROR`]): one draw disagrees with nothing.
    pub fn mutual_information_standard_error(&self, point: usize, members: usize) -> f64 {
        let (classes, length, count) = (self.classes, Self::length(self.classes), self.groups as f64);
        let groups = self.sums[point * self.groups * length..][..self.groups * length].chunks_exact(length);
        let draws: f64 = groups.clone().map(|group| group[classes + 1]).sum();
        let too_few = |group: &[f64]| group[classes + 1] == 0.0 || draws - group[classes + 1] < 2.0 * members as f64;
        if self.groups < 2 || groups.clone().any(too_few) {
            return f64::NAN;
        }
        let without = |left_out: usize| {
            let mut rest = vec![0.0; length];
            for (_, group) in groups.clone().enumerate().filter(|&(number, _)| number != left_out) {
                rest.iter_mut().zip(group).for_each(|(sum, other)| *sum += other);
            }
            rest
        };
        let information = |sums: &[f64]| mutual_information_of_sums(&sums[..classes], sums[classes], sums[classes + 1]);
        // All draws: no group has the number of their count.
        let whole = information(&without(self.groups));
        let parts = groups.clone().enumerate().map(|(group, sums)| (draws / sums[classes + 1], information(&without(group)) - whole));
        // With d_g = θ₍g₎ − θ: θ̃_g − θ_J = Σ_i (1 − 1/h_i) d_i − (h_g − 1) d_g, which does not take the difference of large numbers.
        let parts: Vec<(f64, f64)> = parts.collect();
        let shift: f64 = parts.iter().map(|(times, difference)| (1.0 - 1.0 / times) * difference).sum();
        let squares: f64 = parts.iter().map(|(times, difference)| (shift - (times - 1.0) * difference).powi(2) / (times - 1.0)).sum();
        let error = (squares / count).sqrt();
        // Where all draws are equal, nothing but the rounding of entropies is left.
        if error <= 8.0 * count * f64::EPSILON { 0.0 } else { error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};
    use crate::uncertainty::measure::mutual_information;
    use crate::uncertainty::{CellStatistics, add_draw};

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

    /// The standard error of draws in that many groups.
    fn error_of(draws: &[Vec<f64>], groups: usize) -> f64 {
        let mut statistics = StatisticsGrid::new(1, groups, draws[0].len());
        for (number, draw) in draws.iter().enumerate() {
            add_draw(statistics.sums_mut(0, number * groups / draws.len()), draw);
        }
        GroupSums::of(&statistics, groups, &[0]).mutual_information_standard_error(0, 1)
    }

    fn spread(values: &[f64]) -> f64 {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64).sqrt()
    }

    #[test]
    fn it_is_the_spread_over_independent_repetitions() {
        let repetitions: Vec<_> = (0..400).map(|number| repetition(number, 100)).collect();
        let estimates: Vec<f64> = repetitions.iter().map(|draws| mutual_information(&CellStatistics::of_draws(draws))).collect();
        let errors = repetitions.iter().map(|draws| error_of(draws, 20));
        let (mean, truth) = (errors.sum::<f64>() / 400.0, spread(&estimates));
        assert!((mean / truth - 1.0).abs() <= 0.1, "the jackknife says {mean}, the repetitions {truth}");
    }

    #[test]
    fn it_agrees_with_the_delta_method() {
        let draws = repetition(0, 2000);
        let mean = CellStatistics::of_draws(&draws).mean();
        let divergence = |p: &Vec<f64>| p.iter().zip(&mean).map(|(p, m)| p * (p / m).ln()).sum::<f64>();
        let delta = spread(&draws.iter().map(divergence).collect::<Vec<_>>()) / 2000f64.sqrt();
        let jackknife = error_of(&draws, 200);
        assert!((jackknife / delta - 1.0).abs() <= 0.1, "the jackknife says {jackknife}, the delta method {delta}");
    }

    #[test]
    fn groups_of_unequal_size_estimate_the_same_error() {
        // θ_J is a weighted mean of the pseudo-values: Σ 1/h_g = 1. Ends at even numbers of 20 draws, then of ten.
        let ends = [8, 20, 28, 40, 50, 60, 70, 80, 90, 100];
        let of = |draws: &[Vec<f64>]| {
            let mut statistics = StatisticsGrid::new(1, ends.len(), CLASSES);
            for (number, draw) in draws.iter().enumerate() {
                add_draw(statistics.sums_mut(0, ends.partition_point(|&end| end <= number)), draw);
            }
            GroupSums::of(&statistics, ends.len(), &[0]).mutual_information_standard_error(0, 1)
        };
        let repetitions: Vec<_> = (0..400).map(|number| repetition(number, 100)).collect();
        let unequal = repetitions.iter().map(|draws| of(draws)).sum::<f64>();
        let equal = repetitions.iter().map(|draws| error_of(draws, 10)).sum::<f64>();
        assert!((unequal / equal - 1.0).abs() <= 0.05, "{unequal} and {equal}");
    }

    #[test]
    fn members_inside_a_group_count_as_draws() {
        let draws = repetition(1, 120);
        let mut statistics = StatisticsGrid::new(1, 2 * 10, CLASSES);
        for (number, draw) in draws.iter().enumerate() {
            let (group, member) = (number / 12, usize::from(number % 12 >= 5));
            add_draw(statistics.sums_mut(0, member * 10 + group), draw);
        }
        let sums = GroupSums::of(&statistics, 10, &[0, 1]);
        let (apart, together) = (sums.mutual_information_standard_error(0, 1), error_of(&draws, 10));
        assert!((apart - together).abs() <= 1e-12 * together && together > 0.0, "{apart} and {together}");
    }

    #[test]
    fn identical_draws_have_no_error_and_one_group_has_none_to_tell() {
        let same = vec![vec![0.7, 0.2, 0.1]; 20];
        assert_eq!(error_of(&same, 10), 0.0);
        assert!(error_of(&same, 1).is_nan());
        let empty = GroupSums::of(&StatisticsGrid::new(1, 2, 3), 2, &[0]);
        assert!(empty.mutual_information_standard_error(0, 1).is_nan());
    }
}
