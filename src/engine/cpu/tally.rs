//! From logits to probabilities and sums over draws, in f64, for all points of a panel at once.

use super::kernel::{LANES, Row};
use crate::kernels::functions::exp_of_negative;
use pulp::Arch;

type Row64 = [f64; LANES];

/// The sums of [`CellStatistics`](crate::uncertainty::CellStatistics) in its order, each at every point of the panel.
#[derive(Clone)]
pub struct Tally {
    sums: Vec<Row64>,
    probabilities: Vec<Row64>,
}

impl Tally {
    /// No draws.
    pub fn new(classes: usize) -> Self {
        Self { sums: vec![[0.0; LANES]; 3 * classes + 2], probabilities: vec![[0.0; LANES]; classes] }
    }

    /// Adds `times` draws of the same logits.
    pub fn add(&mut self, logits: &[Row], times: usize) {
        Arch::new().dispatch(
            #[inline(always)]
            || self.add_vectorised(logits, times as f64),
        );
    }

    #[inline(always)]
    fn add_vectorised(&mut self, logits: &[Row], times: f64) {
        let classes = logits.len();
        let entropy = softmax_vectorised(logits, &mut self.probabilities);
        let (mut largest, mut vote) = ([f64::NEG_INFINITY; LANES], [0.0; LANES]);
        for (class, p) in self.probabilities.iter().enumerate() {
            for lane in 0..LANES {
                self.sums[class][lane] += times * p[lane];
                self.sums[classes + class][lane] += times * (p[lane] * p[lane]);
                let larger = p[lane] > largest[lane];
                largest[lane] = if larger { p[lane] } else { largest[lane] };
                vote[lane] = if larger { class as f64 } else { vote[lane] };
            }
        }
        for (class, votes) in self.sums[2 * classes..3 * classes].iter_mut().enumerate() {
            for lane in 0..LANES {
                votes[lane] += if vote[lane] == class as f64 { times } else { 0.0 };
            }
        }
        for lane in 0..LANES {
            self.sums[3 * classes][lane] += times * entropy[lane];
            self.sums[3 * classes + 1][lane] += times;
        }
    }

    /// Adds the sums of one point to its row in a grid.
    pub fn add_to(&self, lane: usize, sums: &mut [f64]) {
        sums.iter_mut().zip(&self.sums).for_each(|(sum, own)| *sum += own[lane]);
    }
}

/// The class probabilities of logits; NaN where a logit is NaN or +∞.
pub fn softmax(logits: &[Row]) -> Vec<Row64> {
    let mut probabilities = vec![[0.0; LANES]; logits.len()];
    softmax_vectorised(logits, &mut probabilities);
    probabilities
}

/// The logarithms of the probabilities: l − m − ln Σ exp(l − m), m the largest logit.
pub fn log_softmax(logits: &[Row]) -> Vec<Row64> {
    let mut largest = logits[0].0;
    for logits in &logits[1..] {
        largest.iter_mut().zip(&logits.0).for_each(|(largest, &logit)| *largest = largest.max(logit));
    }
    let below = |logits: &Row, lane: usize| f64::from(logits.0[lane]) - f64::from(largest[lane]);
    let mut total = [0.0; LANES];
    for logits in logits {
        for lane in 0..LANES {
            total[lane] += exp_of_negative(below(logits, lane));
        }
    }
    let logarithm = total.map(f64::ln);
    logits.iter().map(|logits| std::array::from_fn(|lane| below(logits, lane) - logarithm[lane])).collect()
}

/// Fills in the probabilities and gives their entropy H = ln Σ exp(l − m) + Σ p (m − l), m the largest logit: all of its
/// terms are at least 0, so a small entropy keeps its digits.
#[inline(always)]
fn softmax_vectorised(logits: &[Row], probabilities: &mut [Row64]) -> Row64 {
    let mut largest = logits[0].0;
    for logits in &logits[1..] {
        largest.iter_mut().zip(&logits.0).for_each(|(largest, &logit)| *largest = largest.max(logit));
    }
    let mut total = [0.0; LANES];
    for (logits, powers) in logits.iter().zip(&mut *probabilities) {
        for lane in 0..LANES {
            powers[lane] = exp_of_negative(f64::from(logits.0[lane]) - f64::from(largest[lane]));
            total[lane] += powers[lane];
        }
    }
    let mut entropy = total.map(f64::ln);
    for (logits, p) in logits.iter().zip(probabilities) {
        for lane in 0..LANES {
            p[lane] /= total[lane];
            entropy[lane] += p[lane] * (f64::from(largest[lane]) - f64::from(logits.0[lane]));
        }
    }
    entropy
}
