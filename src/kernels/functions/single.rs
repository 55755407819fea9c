//! Functions of one f32, without branches and calls, so that they vectorise. NaN stays NaN.

use super::INVERSE_ODD;
use crate::nets::{GELU_CUBIC, ROOT_2_OVER_PI};
use std::hint::select_unpredictable;

/// exp(x) for x ≤ 0 as power · (1 + rest), power a power of 2 and rest in −0.3 … 0.42: Cephes' expf (Moshier 1992). x = n ln 2 + r with
/// |r| ≤ ½ ln 2, and n is added to the exponent.
#[inline(always)]
fn power_and_rest(x: f32) -> [f32; 2] {
    // Adding 1.5 · 2²³ rounds to an integer, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts: the first has so few digits that its product with n is exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    const SERIES: [f32; 6] = [0.5, 1.666_666_5e-1, 4.166_579_6e-2, 8.333_452e-3, 1.398_199_9e-3, 1.987_569_1e-4];
    let clamped = if x < -87.0 { -87.0 } else { x };
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (clamped - n * LN_2[0]) - n * LN_2[1];
    let series = SERIES.iter().rev().fold(0.0, |series, coefficient| series * r + coefficient);
    [f32::from_bits(shifted.to_bits().wrapping_add(127) << 23), series * (r * r) + r]
}

/// exp(x) for x ≤ 0; 0 below −87.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let [power, rest] = power_and_rest(x);
    select_unpredictable(x < -87.0, 0.0, power * rest + power)
}

/// exp(x) − 1 for x ≤ 0.
#[inline(always)]
pub fn exp_minus_1(x: f32) -> f32 {
    let [power, rest] = power_and_rest(x);
    power * rest + (power - 1.0)
}

/// 1 / (1 + exp(−x)).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let power = exp(-x.abs());
    (if x >= 0.0 { 1.0 } else { power }) / (1.0 + power)
}

#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let apart = exp_minus_1(-2.0 * x.abs());
    (-apart / (2.0 + apart)).copysign(x)
}

/// 1 − tanh²(x).
#[inline(always)]
pub fn tanh_slope(x: f32) -> f32 {
    let power = exp(-2.0 * x.abs());
    4.0 * power / ((1.0 + power) * (1.0 + power))
}

/// ln(1 + exp(x)).
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    let power = exp(-x.abs());
    // ln(1 + u) = 2 artanh(u / (2 + u)), whose argument is at most 1/3.
    let s = power / (2.0 + power);
    let series = INVERSE_ODD.iter().rev().fold(0.0, |series, &coefficient| series * (s * s) + coefficient as f32);
    (if x < 0.0 { 0.0 } else { x }) + 2.0 * s * series
}

/// What GELU's approximation takes the tanh of.
#[inline(always)]
pub fn cubic(x: f32) -> f32 {
    ROOT_2_OVER_PI as f32 * (x + GELU_CUBIC as f32 * x * x * x)
}

/// Φ(x), below 0 to 10⁻⁶ of itself: Press et al., *Numerical Recipes*, 2nd ed., section 6.2, erfcc.
#[inline(always)]
pub fn normal_distribution(x: f32) -> f32 {
    const COEFFICIENTS: [f32; 10] = [
        -1.265_512_2,
        1.000_023_7,
        0.374_091_97,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_08,
        -1.135_204,
        1.488_515_9,
        -0.822_152_25,
        0.170_872_77,
    ];
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * z);
    let series = COEFFICIENTS.iter().rev().fold(0.0, |series, coefficient| series * t + coefficient);
    let tail = 0.5 * t * exp(series - z * z);
    select_unpredictable(x > 0.0, 1.0 - tail, tail)
}
