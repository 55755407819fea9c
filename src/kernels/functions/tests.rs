use super::*;
use crate::kernels::test_support::{assert_is_slope, numbers, single_difference, singles, weighted_sum, with_threads};
use crate::nets::FUNCTIONS;

/// Fine near 0, and as far as f32 goes for the tails.
fn places() -> Vec<f64> {
    let fine = (-4000..=4000).map(|place| f64::from(place) * 2e-3);
    let tails = (-30..=40).flat_map(|power| [1.7f64.powi(power), -1.7f64.powi(power)]);
    fine.chain(tails).chain([0.0, -3.0, 3.0, 6.0, -0.5, 1.5]).map(|x| f64::from(x as f32)).filter(|x| x.abs() < 1e4).collect()
}

/// |a − b| / |b|: 0 where both are infinite or not a number, infinite where one is.
fn relative(a: f32, b: f64) -> f64 {
    let apart = (f64::from(a) - b).abs() / (b.abs() + 1e-30);
    if a == b as f32 || a.is_nan() && b.is_nan() {
        0.0
    } else if apart.is_nan() {
        f64::INFINITY
    } else {
        apart
    }
}

#[test]
fn single_precision_follows_the_definition() {
    let places = places();
    let x = singles(&places);
    for function in FUNCTIONS {
        let (values, slopes) = (map(function, &x), gradient(function, &x, &vec![1.0; x.len()]));
        let mut worst = [0.0f64; 2];
        for ((&x, &value), &slope) in places.iter().zip(&values).zip(&slopes) {
            // Where values pass through 0, or the definition cancels (1 − tanh²), the difference counts, not its share.
            let of = |got: f32, expected: f64| {
                if matches!(function, Function::Gelu { .. } | Function::Silu {} | Function::HardSwish {} | Function::Tanh {}) {
                    (f64::from(got) - expected).abs() / (expected.abs() + 0.1)
                } else {
                    relative(got, expected)
                }
            };
            worst = [worst[0].max(of(value, function.value(x))), worst[1].max(of(slope, function.derivative(x)))];
        }
        assert!(worst[0] <= 4e-7 && worst[1] <= 8e-7, "{function:?}: {worst:?}");
        assert!(relative(values[5000] * 1.000_01 + 1e-5, function.value(places[5000])) > 4e-7, "the negative control");
    }
}

#[test]
fn the_exponential_is_that_of_the_standard_library() {
    for x in (0..=70_000).map(|i| -f64::from(i) * 0.0101) {
        let (got, expected) = (exp_of_negative(x), x.exp());
        assert!((got - expected).abs() <= 4e-16 * expected, "exp({x}) is {expected}, not {got}");
    }
    assert_eq!((exp_of_negative(0.0), exp_of_negative(-1e9)), (1.0, 0.0));
}

#[test]
fn nan_stays_nan_and_large_numbers_do_not_overflow() {
    for function in FUNCTIONS {
        // A length that leaves a rest behind whole vectors.
        assert!(map(function, &[f32::NAN; 19]).iter().all(|value| value.is_nan()), "{function:?}");
        let x = [-1e30f32, -800.0, -100.0, 100.0, 800.0];
        if !matches!(function, Function::Exp {} | Function::Ln {}) {
            let all = [map(function, &x), gradient(function, &x[1..4], &[1.0; 3])].concat();
            assert!(all.iter().all(|value| value.is_finite()), "{function:?}: {all:?}");
        }
    }
    assert_eq!(map(Function::Exp {}, &[100.0f32, -200.0]), [f32::INFINITY, 0.0]);
    assert_eq!(map(Function::Ln {}, &[0.0f32, f32::INFINITY, 1.0]), [f32::NEG_INFINITY, f32::INFINITY, 0.0]);
    assert!(map(Function::Ln {}, &[-1.0f32])[0].is_nan());
}

#[test]
fn double_precision_is_the_definition() {
    let x: Vec<f64> = numbers(1, 37).iter().map(|x| x * 3.0 + 3.1).collect();
    for function in FUNCTIONS {
        assert!(map(function, &x).iter().zip(&x).all(|(&y, &x)| y == function.value(x)));
        let got = gradient(function, &x, &numbers(99, x.len()));
        assert_is_slope(&format!("{function:?}"), &x, &got, |x| weighted_sum(&map(function, x)));
    }
}

#[test]
fn the_bernoulli_error_and_its_gradient() {
    let mut logits: Vec<f64> = numbers(1, 3 * 37).iter().map(|l| l * 12.0).collect();
    (logits[0], logits[1], logits[40]) = (100.0, -100.0, 0.0);
    let images: Vec<f64> = numbers(2, logits.len()).iter().map(|x| x * 0.5 + 0.5).collect();
    let logits: Vec<f64> = logits.iter().map(|&l| f64::from(l as f32)).collect();
    let images: Vec<f64> = images.iter().map(|&x| f64::from(x as f32)).collect();
    let errors = bernoulli(&logits, &images, 37);
    // −x ln s − (1 − x) ln(1 − s), where it does not overflow.
    let entropy = |l: f64, x: f64| x * (-l).exp().ln_1p() + (1.0 - x) * l.exp().ln_1p();
    for (row, error) in errors.iter().enumerate() {
        let expected: f64 = (row * 37..(row + 1) * 37).map(|at| entropy(logits[at], images[at])).sum();
        assert!((error - expected).abs() <= 1e-9 * expected, "{error} {expected}");
    }
    let coefficients = numbers(99, 3);
    let got = bernoulli_gradient(&logits, &images, &coefficients, 37);
    assert_is_slope("logits", &logits, &got, |logits| weighted_sum(&bernoulli(logits, &images, 37)));
    let (single_logits, single_images) = (singles(&logits), singles(&images));
    assert!(single_difference(&bernoulli(&single_logits, &single_images, 37), &errors) <= 1e-7);
    let single = bernoulli_gradient(&single_logits, &single_images, &singles(&coefficients), 37);
    assert!(single_difference(&single, &got) <= 1e-7);
    assert!(single_difference(&single, &numbers(5, got.len())) > 1e-2, "the negative control");
}

#[test]
fn functions_are_bit_equal_for_any_number_of_threads() {
    let run = |threads: usize, seed: u64| {
        let x = singles(&numbers(seed, 40_001));
        with_threads(threads, || {
            let values = map(Function::Elu { alpha: 1.0 }, &x);
            [values, bernoulli(&x[..40_000], &x[1..], 8000)].concat().into_iter().map(f32::to_bits).collect::<Vec<_>>()
        })
    };
    assert!(run(1, 1) == run(2, 1));
    assert!(run(1, 1) != run(2, 2), "the negative control");
}
