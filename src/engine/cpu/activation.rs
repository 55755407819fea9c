//! Elementwise functions on rows, vectorised over the points. NaN stays NaN: comparisons are written so that it is the value kept, which `max` and
//! `min` are not.

use super::kernel::Row;
use crate::engine::tail::Activation;
use pulp::Arch;

impl Activation {
    /// Applies the function to every value.
    pub fn apply(self, rows: &mut [Row]) {
        match self {
            Self::Relu => each(rows, |x| if x < 0.0 { 0.0 } else { x }),
            Self::Elu => each(rows, |x| if x > 0.0 { x } else { (exp(f64::from(if x > 0.0 { 0.0 } else { x })) - 1.0) as f32 }),
            Self::Tanh => each(rows, f32::tanh),
            Self::Sigmoid => each(rows, |x| {
                let power = exp(-f64::from(x.abs()));
                ((if x >= 0.0 { 1.0 } else { power }) / (1.0 + power)) as f32
            }),
            Self::Softplus => each(rows, |x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
        }
    }
}

#[inline(always)]
fn each(rows: &mut [Row], function: impl Fn(f32) -> f32) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for row in rows {
                for value in &mut row.0 {
                    *value = function(*value);
                }
            }
        },
    );
}

/// eˣ for x ≤ 0 to about 2⁻⁵², 0 below −708; without branches and calls, so that it vectorises. As usual: x = n ln 2 + r with
/// |r| ≤ ½ ln 2, Taylor's series for eʳ, and n added to the exponent.
#[inline(always)]
pub fn exp(x: f64) -> f64 {
    // Adding 1.5 · 2⁵² rounds to an integer, which then stands in the lowest bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    // ln 2 in two parts: the first has so few digits that its product with n is exact.
    const LN_2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];
    let clamped = if x < -708.0 { -708.0 } else { x };
    let shifted = clamped * std::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (clamped - n * LN_2[0]) - n * LN_2[1];
    let series = INVERSE_FACTORIALS.iter().rev().fold(0.0, |series, coefficient| series * r + coefficient);
    let power = f64::from_bits((shifted.to_bits().wrapping_add(1023)) << 52);
    if x < -708.0 { 0.0 } else { series * power }
}

/// 1 / k! for k = 0 … 13.
const INVERSE_FACTORIALS: [f64; 14] = {
    let mut coefficients = [1.0; 14];
    let mut k = 1;
    while k < 14 {
        coefficients[k] = coefficients[k - 1] / k as f64;
        k += 1;
    }
    coefficients
};
