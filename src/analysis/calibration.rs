//! How good a classifier's probabilities are: accuracy, two proper scores, and the calibration error.

/// The number of equal-width bins of confidence (Guo et al. 2017).
pub const BINS: usize = 15;

/// A probability below this counts as this in the NLL: the smallest normal f32, so that an image costs 87.3 nats at most and
/// an underflow in single precision costs what it costs in double.
pub const LEAST_PROBABILITY: f64 = f32::MIN_POSITIVE as f64;

/// How well predictions fit the labels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// The share of images whose most probable class, the first of equals, is the label.
    pub accuracy: f64,
    /// −ln p(label), the mean over the images, in nats.
    pub nll: f64,
    /// `Σ_c (p_c − [c = label])²`, the mean over the images: 0 ..= 2 (Brier 1950).
    pub brier: f64,
    /// The expected calibration error `Σ_b n_b/N |accuracy_b − confidence_b|`: 0 ..= 1 (Guo et al. 2017, eq. 3).
    pub ece: f64,
}

impl Scores {
    /// The scores of mean probabilities \[N, classes\] and labels \[N\]; NaN for no images.
    ///
    /// # Panics
    /// When the lengths do not fit, or a label is not below the number of classes: defects of the caller.
    pub fn new(probabilities: &[f64], labels: &[u16], classes: usize) -> Self {
        let images = labels.len() as f64;
        let (mut correct, mut nll, mut brier) = (0.0, 0.0, 0.0);
        for (p, label) in rows(probabilities, labels, classes) {
            correct += f64::from(most_probable(p) == label);
            // `f64::max` would turn NaN into the floor.
            nll -= if p[label] < LEAST_PROBABILITY { LEAST_PROBABILITY } else { p[label] }.ln();
            brier += p.iter().enumerate().map(|(class, p)| (p - f64::from(class == label)).powi(2)).sum::<f64>();
        }
        let gaps = reliability(probabilities, labels, classes).into_iter().filter(|bin| bin.count > 0);
        let ece = gaps.map(|bin| bin.count as f64 * (bin.accuracy - bin.confidence).abs()).sum::<f64>() / images;
        Self { accuracy: correct / images, nll: nll / images, brier: brier / images, ece }
    }
}

/// The images of one bin of confidence: a bar of the reliability diagram.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// The number of images.
    pub count: usize,
    /// The mean probability of their most probable class; 0 without images.
    pub confidence: f64,
    /// The share of them whose most probable class is the label; 0 without images.
    pub accuracy: f64,
}

/// The images by their confidence `max_c p_c`: bin b of the [`BINS`] holds those with b/15 < confidence ≤ (b + 1)/15.
///
/// # Panics
/// As [`Scores::new`].
pub fn reliability(probabilities: &[f64], labels: &[u16], classes: usize) -> [Bin; BINS] {
    let mut bins = [Bin::default(); BINS];
    for (p, label) in rows(probabilities, labels, classes) {
        let class = most_probable(p);
        // Compared with the edges themselves: a product would put some confidences on an edge into the next bin. Rounding can
        // lift a confidence above 1; it belongs to the last bin.
        let number = (1..BINS).take_while(|&edge| p[class] > edge as f64 / BINS as f64).count();
        let bin = &mut bins[number];
        bin.count += 1;
        bin.confidence += p[class];
        bin.accuracy += f64::from(class == label);
    }
    for bin in bins.iter_mut().filter(|bin| bin.count > 0) {
        bin.confidence /= bin.count as f64;
        bin.accuracy /= bin.count as f64;
    }
    bins
}

fn rows<'a>(probabilities: &'a [f64], labels: &'a [u16], classes: usize) -> impl Iterator<Item = (&'a [f64], usize)> {
    assert_eq!(probabilities.len(), labels.len() * classes, "one row of {classes} probabilities per label");
    probabilities.chunks_exact(classes).zip(labels.iter().map(|&label| usize::from(label)))
}

/// The first of the largest, as votes are counted.
fn most_probable(p: &[f64]) -> usize {
    (1..p.len()).fold(0, |best, class| if p[class] > p[best] { class } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(got: f64, expected: f64) {
        assert!((got - expected).abs() <= 1e-15, "{got} is not {expected}");
    }

    #[test]
    fn scores_are_those_worked_out_by_hand() {
        let probabilities = [0.7, 0.2, 0.1, /**/ 0.5, 0.25, 0.25, /**/ 0.125, 0.75, 0.125, /**/ 0.68, 0.30, 0.02];
        let scores = Scores::new(&probabilities, &[0, 2, 1, 1], 3);
        assert_close(scores.accuracy, 0.5);
        assert_close(scores.nll, -(0.7f64.ln() + 0.25f64.ln() + 0.75f64.ln() + 0.3f64.ln()) / 4.0);
        let brier = [0.14, 0.875, 0.09375, 0.9528];
        assert_close(scores.brier, brier.iter().sum::<f64>() / 4.0);
        // Bins of width 1/15: 0.68 and 0.7 share (10/15, 11/15], 0.5 lies in (7/15, 8/15], 0.75 in (11/15, 12/15].
        assert_close(scores.ece, 0.5 * (0.69f64 - 0.5).abs() + 0.25 * 0.5 + 0.25 * 0.25);
        let other = Scores::new(&probabilities, &[0, 2, 1, 0], 3);
        assert!(other.accuracy != scores.accuracy && other.nll != scores.nll && other.brier != scores.brier && other.ece != scores.ece);
    }

    #[test]
    fn certainty_lies_in_the_last_bin() {
        let above = 1.0 + f64::EPSILON;
        let bins = reliability(&[1.0, 0.0, 0.0, 1.0, above, 0.0], &[0, 0, 0], 2);
        assert_eq!(bins[..BINS - 1], [Bin::default(); BINS - 1]);
        assert_eq!((bins[BINS - 1].count, bins[BINS - 1].accuracy), (3, 2.0 / 3.0));
        assert_eq!(Scores::new(&[1.0, 0.0, 0.0, 1.0], &[0, 1], 2), Scores { accuracy: 1.0, nll: 0.0, brier: 0.0, ece: 0.0 });
        let wrong = Scores::new(&[1.0, 0.0], &[1], 2);
        assert_eq!((wrong.accuracy, wrong.brier, wrong.ece), (0.0, 2.0, 1.0));
        assert_close(wrong.nll, -LEAST_PROBABILITY.ln());
    }

    #[test]
    fn an_edge_belongs_to_the_bin_below_it() {
        for edge in 1..=BINS {
            let confidence = edge as f64 / BINS as f64;
            // Sixteen classes, so that even 1/15 is the largest probability.
            let mut p = [(1.0 - confidence) / 15.0; 16];
            p[3] = confidence;
            assert_eq!(reliability(&p, &[3], 16)[edge - 1].count, 1, "{edge}/15");
            p[3] = confidence * (1.0 + 2.0 * f64::EPSILON);
            assert_eq!(reliability(&p, &[3], 16)[edge.min(BINS - 1)].count, 1, "just above {edge}/15");
        }
    }

    #[test]
    fn ties_go_to_the_first_class_and_nan_stays_nan() {
        assert_eq!(Scores::new(&[0.5, 0.5], &[0], 2).accuracy, 1.0);
        assert_eq!(Scores::new(&[0.5, 0.5], &[1], 2).accuracy, 0.0);
        let broken = Scores::new(&[f64::NAN, f64::NAN], &[0], 2);
        assert!(broken.nll.is_nan() && broken.brier.is_nan() && broken.ece.is_nan());
        let none = Scores::new(&[], &[], 2);
        assert!(none.accuracy.is_nan() && none.nll.is_nan() && none.brier.is_nan() && none.ece.is_nan());
    }
}
