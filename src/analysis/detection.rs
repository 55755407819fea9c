//! How well a score tells two kinds of images apart: uncertain ones from others, adversarial ones from others.

use crate::error::{Error, Result};

/// The area under the ROC curve: the probability that the score of a positive is higher than that of a negative, where a tie
/// counts half (the statistic of Mann & Whitney 1947 over the number of pairs; Hanley & `McNeil` 1982). 0.5 is chance.
///
/// # Errors
/// When there is no negative or no positive, or a score is not a number.
pub fn auroc(negatives: &[f64], positives: &[f64]) -> Result<f64> {
    let wrong = |problem: String| Err(Error::setting("the scores of the AUROC", problem, "give numbers for some images of both kinds"));
    if negatives.is_empty() || positives.is_empty() {
        return wrong(format!("there are {} negatives and {} positives", negatives.len(), positives.len()));
    }
    let mut scores: Vec<(f64, bool)> = negatives.iter().map(|&score| (score, false)).collect();
    scores.extend(positives.iter().map(|&score| (score, true)));
    if scores.iter().any(|(score, _)| score.is_nan()) {
        return wrong("one of them is NaN".to_owned());
    }
    scores.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Counts and halves of counts: exact. `==` rather than the order of the sort, for which −0 is below 0.
    let (mut below, mut wins) = (0.0, 0.0);
    for tied in scores.chunk_by(|a, b| a.0 == b.0) {
        let positive = tied.iter().filter(|(_, positive)| *positive).count() as f64;
        let negative = tied.len() as f64 - positive;
        wins += positive * (below + negative / 2.0);
        below += negative;
    }
    Ok(wins / (negatives.len() as f64 * positives.len() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_share_of_pairs_in_the_right_order() {
        assert_eq!(auroc(&[0.0, 1.0], &[2.0, 3.0]).unwrap(), 1.0);
        assert_eq!(auroc(&[2.0, 3.0], &[0.0, 1.0]).unwrap(), 0.0);
        // 3 beats both, 1 ties with one and beats the other: 3.5 of 4.
        assert_eq!(auroc(&[1.0, 0.5], &[3.0, 1.0]).unwrap(), 3.5 / 4.0);
        assert_eq!(auroc(&[0.0; 7], &[-0.0; 3]).unwrap(), 0.5);
        assert_eq!(auroc(&[f64::NEG_INFINITY], &[f64::INFINITY]).unwrap(), 1.0);
    }

    #[test]
    fn nothing_to_compare_is_refused() {
        for (negatives, positives) in [(&[][..], &[1.0][..]), (&[1.0], &[]), (&[1.0, f64::NAN], &[2.0]), (&[1.0], &[f64::NAN])] {
            assert!(auroc(negatives, positives).is_err(), "{negatives:?} {positives:?}");
        }
    }
}
