//! Functions of one f64, without branches and calls, so that they vectorise.

use super::INVERSE_ODD;

/// 1 / (1 + exp(−x)).
#[inline(always)]
pub fn sigmoid(x: f64) -> f64 {
    let power = exp_of_negative(-x.abs());
    (if x >= 0.0 { 1.0 } else { power }) / (1.0 + power)
}

/// exp(x).
#[inline(always)]
pub fn exp(x: f64) -> f64 {
    let power = exp_of_negative(-x.abs());
    if x > 0.0 { 1.0 / power } else { power }
}

/// ln(x), of a number that is not smaller than f32's smallest.
#[inline(always)]
pub fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    // x = m 2ⁿ with m in √½ … √2.
    let above_root = (bits & 0x000F_FFFF_FFFF_FFFF) > 0x0006_A09E_667F_3BCD;
    let n = ((bits >> 52) as i32 & 0x7FF) - 1023 + i32::from(above_root);
    let m = f64::from_bits((bits & 0x000F_FFFF_FFFF_FFFF) | if above_root { 0x3FE0_0000_0000_0000 } else { 0x3FF0_0000_0000_0000 });
    // ln m = 2 artanh((m − 1) / (m + 1)).
    let s = (m - 1.0) / (m + 1.0);
    let series = INVERSE_ODD.iter().rev().fold(0.0, |series, coefficient| series * (s * s) + coefficient);
    let value = f64::from(n) * std::f64::consts::LN_2 + 2.0 * s * series;
    let bounded = if x == f64::INFINITY { x } else { value };
    let defined = if x > 0.0 { bounded } else { f64::NAN };
    if x == 0.0 { f64::NEG_INFINITY } else { defined }
}

/// eˣ for x ≤ 0 to about 2⁻⁵², 0 below −708; without branches and calls, so that it vectorises. As usual: x = n ln 2 + r with
/// |r| ≤ ½ ln 2, Taylor's series for eʳ, and n added to the exponent.
#[inline(always)]
pub fn exp_of_negative(x: f64) -> f64 {
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
