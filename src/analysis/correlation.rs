//! Rank correlation.

/// Spearman's rank correlation of pairs of values: Pearson's correlation of their ranks, where ties share their mean rank. `None` with fewer
/// than two pairs, where a value is not finite, or where one side has no two different values.
pub fn spearman(pairs: &[[f64; 2]]) -> Option<f64> {
    if pairs.len() < 2 || pairs.iter().flatten().any(|value| !value.is_finite()) {
        return None;
    }
    let middle = (pairs.len() - 1) as f64 / 2.0;
    let [left, right] = [0, 1].map(|side| ranks(&pairs.iter().map(|pair| pair[side]).collect::<Vec<_>>()));
    let product = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| (a - middle) * (b - middle)).sum() };
    let scale = (product(&left, &left) * product(&right, &right)).sqrt();
    (scale > 0.0).then(|| product(&left, &right) / scale)
}

/// The rank of each value from 0; ties share their mean rank.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        for &at in tied {
            ranks[at] = first as f64 + (tied.len() - 1) as f64 / 2.0;
        }
        first += tied.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spearman_equals_scipy_with_ties() {
        // scipy.stats.spearmanr([1, 2, 2, 4, 5, 3], [2, 1, 4, 4, 6, 9]).statistic
        let pairs = [[1.0, 2.0], [2.0, 1.0], [2.0, 4.0], [4.0, 4.0], [5.0, 6.0], [3.0, 9.0]];
        assert!((spearman(&pairs).unwrap() - 0.661_764_705_882_352).abs() <= 1e-12, "{:?}", spearman(&pairs));
    }

    #[test]
    fn a_monotone_function_has_rank_correlation_1() {
        let pairs: Vec<[f64; 2]> = (0..50).map(|x| [f64::from(x), f64::from(x).exp()]).collect();
        assert!((spearman(&pairs).unwrap() - 1.0).abs() <= 1e-12);
        assert_eq!(spearman(&[[1.0, 2.0], [1.0, 3.0]]), None, "one side has no order");
        assert_eq!(spearman(&[[1.0, f64::NAN], [2.0, 3.0]]), None);
    }
}
