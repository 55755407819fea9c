//! Quantiles of Student's t distribution, also for degrees of freedom that are not whole.

/// More degrees of freedom than these are a normal distribution's, to seven digits.
const NORMAL: f64 = 1e7;
/// Terms of the continued fraction; it needs about as many as the root of its larger parameter.
const TERMS: u32 = 20_000;

/// The 97.5th percentile: 95 % of the distribution lie between its negative and it.
///
/// # Panics
/// When the degrees of freedom are not positive.
pub fn t_quantile_975(degrees: f64) -> f64 {
    assert!(degrees > 0.0, "positive degrees of freedom");
    if degrees > NORMAL {
        return super::proportions::Z;
    }
    // P(|T| > t) = I_x(ν/2, 1/2) with x = ν / (ν + t²), which rises with x.
    let [mut low, mut high] = [0.0, 1.0];
    for _ in 0..100 {
        let x = f64::midpoint(low, high);
        if incomplete_beta(degrees / 2.0, 0.5, x) < 0.05 { low = x } else { high = x }
    }
    let x = f64::midpoint(low, high);
    (degrees * (1.0 - x) / x).sqrt()
}

/// The regularised incomplete beta function `I_x(a, b)` (DLMF 8.17.22).
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    let of = |a: f64, b: f64, x: f64| {
        let scale = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * x.ln() + b * (-x).ln_1p();
        scale.exp() * continued_fraction(a, b, x) / a
    };
    // The fraction converges fast on this side of the mean.
    if x < (a + 1.0) / (a + b + 2.0) { of(a, b, x) } else { 1.0 - of(b, a, 1.0 - x) }
}

/// The fraction by the modified algorithm of Lentz (1976).
fn continued_fraction(a: f64, b: f64, x: f64) -> f64 {
    let away = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for term in 1..=TERMS {
        let m = f64::from(term);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for numerator in [even, odd] {
            d = 1.0 / away(1.0 + numerator * d);
            c = away(1.0 + numerator / c);
            change = c * d;
            fraction *= change;
        }
        if (change - 1.0).abs() < 1e-15 {
            break;
        }
    }
    fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_equal_scipy() {
        // scipy.stats.t.ppf(0.975, ν)
        for (degrees, quantile) in [
            (0.5, 164.557_673_480_488_18),
            (1.0, 12.706_204_736_174_694),
            (1.7, 5.118_838_988_253_056_5),
            (2.0, 4.302_652_729_749_462),
            (4.3, 2.701_694_898_282_23),
            (19.0, 2.093_024_054_408_308_7),
            (150.5, 1.975_851_949_200_890_6),
            (100_000.0, 1.959_987_707_534_609_5),
        ] {
            let found = t_quantile_975(degrees);
            assert!((found / quantile - 1.0).abs() <= 1e-9, "{degrees}: {found}");
        }
        assert!((t_quantile_975(1e9) - 1.959_963_984_540_054).abs() <= 1e-12);
    }
}
