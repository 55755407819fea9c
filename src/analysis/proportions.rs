//! Proportions with their 95 % confidence intervals: how often something happened, and whether it happened more often than something else.

use super::detection::Estimate;

/// The 97.5th percentile of the standard normal distribution.
pub(super) const Z: f64 = 1.959_963_984_540_054;

/// The proportion k of n with the score interval (Wilson 1927), which holds at 0 and 1 too. `None` for n = 0.
///
/// # Panics
/// When k exceeds n.
pub fn proportion(k: usize, n: usize) -> Option<Estimate> {
    assert!(k <= n, "at most all: {k} of {n}");
    if n == 0 {
        return None;
    }
    let (value, n) = (k as f64 / n as f64, n as f64);
    let centre = value + Z * Z / (2.0 * n);
    let half = Z * (value * (1.0 - value) / n + Z * Z / (4.0 * n * n)).sqrt();
    let end = |sum: f64| sum / (1.0 + Z * Z / n);
    // The rounding must not put an end beyond what is possible, or the value outside.
    Some(Estimate { value, low: end(centre - half).clamp(0.0, value), high: end(centre + half).clamp(value, 1.0) })
}

/// The difference of two success rates on the same images, `first` less `second`, with Newcombe's interval for paired proportions
/// (Newcombe 1998, *Improved confidence intervals for the difference between binomial proportions based on paired data*, method 10).
/// An image counts where both could succeed; `None` where there is no such image.
///
/// # Panics
/// When the two are not of as many images.
pub fn paired_difference(first: &[Option<bool>], second: &[Option<bool>]) -> Option<Estimate> {
    assert_eq!(first.len(), second.len(), "both are of the same images");
    let pairs: Vec<[bool; 2]> = first.iter().zip(second).filter_map(|(first, second)| Some([(*first)?, (*second)?])).collect();
    let count = |pair: [bool; 2]| pairs.iter().filter(|other| **other == pair).count();
    let [both, only_first, only_second, neither] = [[true, true], [true, false], [false, true], [false, false]].map(count);
    let [one, other] = [both + only_first, both + only_second].map(|successes| proportion(successes, pairs.len()));
    let (one, other) = (one?, other?);
    let correlation = correlation([both, only_first, only_second, neither].map(|count| count as f64));
    let reach = |a: f64, b: f64| (a * a - 2.0 * correlation * a * b + b * b).max(0.0).sqrt();
    let value = one.value - other.value;
    Some(Estimate {
        value,
        low: value - reach(one.value - one.low, other.high - other.value),
        high: value + reach(one.high - one.value, other.value - other.low),
    })
}

/// The φ coefficient of a table of pairs [both, only the first, only the second, neither], with Newcombe's continuity correction where it
/// is positive; 0 where one side does not vary.
fn correlation([both, only_first, only_second, neither]: [f64; 4]) -> f64 {
    let margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither);
    let product = both * neither - only_first * only_second;
    let corrected = if product > 0.0 { (product - (both + only_first + only_second + neither) / 2.0).max(0.0) } else { product };
    if margins > 0.0 { corrected / margins.sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    #[test]
    fn wilson_interval_equals_scipy() {
        // scipy.stats.binomtest(k, n).proportion_ci(method="wilson"); statsmodels' proportion_confint says the same.
        for (k, n, low, high) in [
            (0, 10, 0.0, 0.277_532_799_862_889_26),
            (10, 10, 0.722_467_200_137_110_7, 1.0),
            (7, 10, 0.396_778_147_461_145_26, 0.892_208_732_593_699),
            (131, 983, 0.113_440_676_230_910_27, 0.155_945_511_838_632_1),
            (1, 1, 0.206_549_314_377_237_45, 1.0),
        ] {
            let found = proportion(k, n).unwrap();
            assert!((found.low - low).abs() <= 1e-12 && (found.high - high).abs() <= 1e-12, "{k} of {n}: {found:?}");
            assert_eq!(found.value, k as f64 / n as f64);
        }
        assert_eq!(proportion(0, 0), None);
    }

    /// Pairs of a table [both, only the first, only the second, neither].
    fn pairs(table: [usize; 4]) -> [Vec<Option<bool>>; 2] {
        let of = |successes: [bool; 4]| table.iter().zip(successes).flat_map(|(&count, success)| vec![Some(success); count]).collect();
        [of([true, true, false, false]), of([true, false, true, false])]
    }

    #[test]
    fn paired_interval_equals_newcombes() {
        // Computed from the definition of method 10 in 30 digits (mpmath), with Wilson's limits as the roots p of the score equation
        // (p − k/n)² = z² p (1 − p) / n. The first table is that of Altman et al. 2000, *Statistics with Confidence*, table 6.2, as the
        // R package biostatUZH quotes it for the same interval.
        for (table, low, high) in [
            ([14, 5, 0, 22], 0.011_483_241_383, 0.226_492_684_351),
            ([36, 12, 2, 0], 0.056_929_584_003, 0.340_427_602_975),
            ([59, 6, 16, 80], -0.118_621_195_639, -0.004_625_113_933),
            ([3, 9, 9, 2], -0.334_728_291_486, 0.334_728_291_486),
            ([10, 0, 0, 10], -0.089_756_659_378, 0.089_756_659_378),
            ([0, 0, 0, 5], -0.434_482_464_783, 0.434_482_464_783),
        ] {
            let [first, second] = pairs(table);
            let found = paired_difference(&first, &second).unwrap();
            assert!((found.low - low).abs() <= 1e-11 && (found.high - high).abs() <= 1e-11, "{table:?}: {found:?}");
            let swapped = paired_difference(&second, &first).unwrap();
            assert!((swapped.low + high).abs() <= 1e-11 && (swapped.value + found.value).abs() <= 1e-15);
        }
    }

    #[test]
    fn only_images_eligible_in_both_are_paired() {
        let [mut first, mut second] = pairs([36, 12, 2, 0]);
        let found = paired_difference(&first, &second);
        first.extend([None, Some(true), None]);
        second.extend([Some(true), None, None]);
        assert_eq!(paired_difference(&first, &second), found);
        assert_eq!(paired_difference(&[None, Some(true)], &[Some(false), None]), None);
    }

    #[test]
    fn paired_interval_holds_the_truth_in_95_of_100_cases() {
        const RUNS: u32 = 2000;
        // Both depend on how easy an image is.
        let (harder, easier) = (0.35, 0.5);
        let held = (0..RUNS).filter(|&run| {
            let stream = Stream::new(run, Purpose::Choice);
            let draw = |image: u32, which: u32, rate: f64| {
                let ease = if stream.uniform([0; 3], image) < 0.5 { 0.3 } else { -0.3 };
                Some(stream.uniform([1, which, 0], image) < rate + ease)
            };
            let of = |which: u32, rate: f64| (0..100).map(|image| draw(image, which, rate)).collect::<Vec<_>>();
            let found = paired_difference(&of(0, harder), &of(1, easier)).unwrap();
            found.low <= harder - easier && harder - easier <= found.high
        });
        let share = held.count() as f64 / f64::from(RUNS);
        assert!((0.93..=0.97).contains(&share), "{share}");
    }
}
