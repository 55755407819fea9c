//! Intervals of repeated measurements: analysis of variance of tables whose rows and columns are both drawn at random, with Student's t.

use super::student::t_quantile_975;

/// The components of the variance of a table \[row\]\[column\]: that between rows, that between columns, and the rest (Searle, Casella &
/// `McCulloch` 1992, *Variance components*, section 4.3). A single column, or row, has no rest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Components {
    /// The mean of the table.
    pub mean: f64,
    rows: Effect,
    columns: Effect,
    rest: Effect,
}

/// A kind of effect: its mean square over the table, and its degrees of freedom.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Effect {
    /// How many there are.
    count: f64,
    square: f64,
    degrees: f64,
}

impl Components {
    /// Those of a table.
    ///
    /// # Panics
    /// When there are less than two numbers, or the rows differ in length.
    pub fn of(table: &[Vec<f64>]) -> Self {
        let columns = table.first().map_or(0, Vec::len);
        assert!(table.len() * columns >= 2 && table.iter().all(|row| row.len() == columns), "a table of two numbers at least");
        let mean_of = |values: &mut dyn Iterator<Item = f64>, count: usize| values.sum::<f64>() / count as f64;
        let of_row: Vec<f64> = table.iter().map(|row| mean_of(&mut row.iter().copied(), columns)).collect();
        let of_column: Vec<f64> = (0..columns).map(|column| mean_of(&mut table.iter().map(|row| row[column]), table.len())).collect();
        let mean = mean_of(&mut of_row.iter().copied(), table.len());
        let effect = |means: &[f64], others: usize| {
            let degrees = means.len() as f64 - 1.0;
            let squares: f64 = means.iter().map(|value| (value - mean).powi(2)).sum();
            Effect { count: means.len() as f64, square: if degrees > 0.0 { others as f64 * squares / degrees } else { 0.0 }, degrees }
        };
        let (rows, columns) = (effect(&of_row, columns), effect(&of_column, table.len()));
        let degrees = rows.degrees * columns.degrees;
        let cells =
            table.iter().zip(&of_row).flat_map(|(row, of_row)| row.iter().zip(&of_column).map(move |(value, of)| (value, of_row, of)));
        let squares: f64 = cells.map(|(value, of_row, of_column)| (value - of_row - of_column + mean).powi(2)).sum();
        let rest = Effect { count: rows.count * columns.count, square: if degrees > 0.0 { squares / degrees } else { 0.0 }, degrees };
        Self { mean, rows, columns, rest }
    }

    /// The same where rows differ by this variance at least, such as numbers that are rounded do.
    #[must_use]
    pub fn with_least_variance(mut self, least: f64) -> Self {
        self.rows.square = self.rows.square.max(least * self.columns.count);
        self
    }

    /// The 95 % confidence interval of the mean over all rows and columns that there could be.
    pub fn mean_interval(&self) -> [f64; 2] {
        self.interval(|count| 1.0 / count, 0.0)
    }

    /// The 95 % prediction interval of a number in another row and another column. `known` is a variance that is added to it.
    pub fn prediction_interval(&self, known: f64) -> [f64; 2] {
        self.interval(|count| 1.0 + 1.0 / count, known)
    }

    /// The interval around the mean with each component of the variance times its `weight`, a function of the number of effects. The
    /// degrees of freedom are Satterthwaite's (1946).
    fn interval(&self, weight: impl Fn(f64) -> f64, known: f64) -> [f64; 2] {
        // Each component is (its mean square − the rest's) / the numbers per effect, and none is negative.
        let mut of_rest = if self.rest.degrees > 0.0 { weight(self.rest.count) } else { 0.0 };
        let mut terms = Vec::new();
        for (effect, others) in [(self.rows, self.columns.count), (self.columns, self.rows.count)] {
            if effect.square > self.rest.square {
                let share = weight(effect.count) / others;
                terms.push((share * effect.square, effect.degrees));
                of_rest -= if self.rest.degrees > 0.0 { share } else { 0.0 };
            }
        }
        terms.push((of_rest * self.rest.square, self.rest.degrees));
        let variance = (terms.iter().map(|(term, _)| term).sum::<f64>() + known).max(0.0);
        let spread: f64 = terms.iter().filter(|(_, degrees)| *degrees > 0.0).map(|(term, degrees)| term * term / degrees).sum();
        let reach = if spread > 0.0 { t_quantile_975((variance * variance / spread).max(1.0)) } else { t_quantile_975(f64::MAX) };
        [-1.0, 1.0].map(|side| self.mean + side * reach * variance.sqrt())
    }
}

/// The variance of numbers, over their count less one.
pub fn sample_variance(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64
}

/// The 2.5th and the 97.5th percentile: an interval of many numbers, too narrow for few.
#[cfg(test)]
pub(crate) fn percentiles(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_unstable_by(f64::total_cmp);
    [0.025, 0.975].map(|share| {
        let place = share * (values.len() - 1) as f64;
        let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
        below + (above - below) * place.fract()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};
    use rayon::prelude::*;

    #[test]
    fn a_single_column_has_students_intervals() {
        // scipy.stats.t.interval(0.95, 3, 5, sem) of 2, 4, 6, 8, and the same for the next number with s √(1 + 1/4).
        let column = Components::of(&[vec![2.0], vec![4.0], vec![6.0], vec![8.0]]);
        let [low, high] = column.mean_interval();
        assert!((low - 0.891_479_486_478_9).abs() < 1e-9 && (high - 9.108_520_513_521_04).abs() < 1e-9, "{low} {high}");
        let deviation = (20.0_f64 / 3.0).sqrt();
        let next = column.prediction_interval(0.0)[1] - 5.0;
        assert!((next - 3.182_446_305_283_708 * deviation * 1.25_f64.sqrt()).abs() < 1e-9, "{next}");
        // A row is the same as a column.
        assert_eq!(Components::of(&[vec![2.0, 4.0, 6.0, 8.0]]).mean_interval(), column.mean_interval());
        assert_eq!(Components::of(&[vec![3.0], vec![3.0]]).prediction_interval(0.0), [3.0, 3.0]);
        // A known variance alone has a normal distribution.
        let known = Components::of(&[vec![3.0], vec![3.0]]).prediction_interval(4.0)[1];
        assert!((known - 3.0 - 2.0 * 1.959_963_984_540_054).abs() < 1e-9, "{known}");
    }

    /// Of how many random tables the interval of the mean, the prediction interval, and as a control the percentiles of the table hold the
    /// mean and the next number.
    fn coverage([rows, columns]: [u32; 2], [of_rows, of_columns, of_rest]: [f64; 3]) -> [f64; 3] {
        const RUNS: u32 = 3000;
        let held: Vec<[bool; 3]> = (0..RUNS)
            .into_par_iter()
            .map(|run| {
                let stream = Stream::new(run, Purpose::Choice);
                let value = |row: u32, column: u32| {
                    of_rows * stream.normal([1, row, 0], 0)
                        + of_columns * stream.normal([2, column, 0], 0)
                        + of_rest * stream.normal([3, row, column], 0)
                };
                let table: Vec<Vec<f64>> = (0..rows).map(|row| (0..columns).map(|column| value(row, column)).collect()).collect();
                let next = value(rows, columns);
                let components = Components::of(&table);
                let holds = |[low, high]: [f64; 2], value: f64| low <= value && value <= high;
                [
                    holds(components.mean_interval(), 0.0),
                    holds(components.prediction_interval(0.0), next),
                    holds(percentiles(table.concat()), next),
                ]
            })
            .collect();
        std::array::from_fn(|which| held.iter().filter(|held| held[which]).count() as f64 / f64::from(RUNS))
    }

    #[test]
    fn intervals_hold_the_truth_in_95_of_100_tables() {
        for (size, variances, of_control) in [
            ([20, 10], [0.5, 1.0, 0.7], 0.93),
            ([20, 10], [1.0, 0.3, 1.0], 0.945),
            ([20, 10], [1.0, 0.0, 0.0], 0.93),
            ([20, 1], [1.0, 0.0, 0.0], 0.93),
            ([3, 1], [1.0, 0.0, 0.0], 0.6),
            ([2, 1], [1.0, 0.0, 0.0], 0.6),
        ] {
            let [mean, next, of_percentiles] = coverage(size, variances);
            assert!((0.935..=0.97).contains(&mean) && (0.935..=0.97).contains(&next), "{size:?} {variances:?}: {mean} {next}");
            // The negative control.
            assert!(of_percentiles < of_control, "{size:?} {variances:?}: {of_percentiles}");
        }
        // Of two or three rows between ten columns the degrees of freedom are themselves uncertain: not too narrow is what is asked.
        for rows in [2, 3] {
            let [mean, next, _] = coverage([rows, 10], [0.5, 1.0, 0.7]);
            assert!(mean >= 0.93 && next >= 0.93, "{rows}: {mean} {next}");
        }
    }
}
