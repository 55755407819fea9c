//! What the tests of kernels share.

use rayon::ThreadPoolBuilder;

/// Numbers in −1 … 1 that repeat only after long (a linear congruential generator).
pub fn numbers(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

pub fn singles(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

/// The largest |a − b| / (|b| + 1); infinite for NaN or another length.
pub fn difference(a: &[f64], b: &[f64]) -> f64 {
    let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs() / (b.abs() + 1.0)).fold(0.0, |worst: f64, d| if d <= worst { worst } else { d });
    if a.len() == b.len() && worst.is_finite() { worst } else { f64::INFINITY }
}

pub fn single_difference(a: &[f32], b: &[f64]) -> f64 {
    difference(&a.iter().map(|&a| f64::from(a)).collect::<Vec<_>>(), b)
}

/// Asserts that a gradient is the slope of the loss at some places (central differences), and that an altered one is not.
pub fn assert_is_slope(name: &str, at: &[f64], gradient: &[f64], loss: impl Fn(&[f64]) -> f64) {
    const STEP: f64 = 1e-6;
    assert_eq!(at.len(), gradient.len(), "{name}");
    for place in (0..at.len()).step_by(1 + at.len() / 23) {
        let shifted = |by: f64| {
            let mut at = at.to_vec();
            at[place] += by;
            loss(&at)
        };
        let slope = (shifted(STEP) - shifted(-STEP)) / (2.0 * STEP);
        let error = |gradient: f64| (gradient - slope).abs() / (slope.abs() + 1.0);
        assert!(error(gradient[place]) <= 1e-6, "{name}[{place}]: {} but the slope is {slope}", gradient[place]);
        assert!(error(gradient[place] * 1.01 + 1e-3) > 1e-6, "{name}[{place}]: the negative control");
    }
}

/// What `run` gives with that many threads.
pub fn with_threads<R: Send>(threads: usize, run: impl FnOnce() -> R + Send) -> R {
    ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
}

/// Σ c y for fixed, unequal c: a loss whose gradient in y is c.
pub fn weighted_sum(y: &[f64]) -> f64 {
    y.iter().zip(numbers(99, y.len())).map(|(y, c)| y * c).sum()
}
