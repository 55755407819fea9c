//! Elementwise functions on rows, vectorised over the points. NaN stays NaN: comparisons are written so that it is the value kept, which `max` and
//! `min` are not.

use super::kernel::Row;
use crate::nets::Function;
use pulp::Arch;

/// Applies functions to every value, in turn.
pub fn apply(functions: &[Function], rows: &mut [Row]) {
    for &function in functions {
        apply_one(function, rows);
    }
}

fn apply_one(function: Function, rows: &mut [Row]) {
    match function {
        Function::Relu {} => each(rows, |x| if x < 0.0 { 0.0 } else { x }),
        Function::LeakyRelu { slope } => {
            let slope = slope as f32;
            each(rows, |x| if x < 0.0 { slope * x } else { x });
        }
        Function::Elu { alpha } => {
            each(rows, |x| if x > 0.0 { x } else { (alpha * (exp(f64::from(if x > 0.0 { 0.0 } else { x })) - 1.0)) as f32 });
        }
        Function::Sigmoid {} => each(rows, sigmoid),
        Function::Silu {} => each(rows, |x| x * sigmoid(x)),
        Function::Clip { low, high } => {
            let (low, high) = (low as f32, high as f32);
            each(rows, |x| clip(x, low, high));
        }
        Function::HardSigmoid {} => each(rows, |x| clip(x + 3.0, 0.0, 6.0) / 6.0),
        Function::HardSwish {} => each(rows, |x| x * clip(x + 3.0, 0.0, 6.0) / 6.0),
        Function::Tanh {} => each(rows, f32::tanh),
        Function::Softplus {} => each(rows, |x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
        Function::Gelu { .. } | Function::Exp {} | Function::Ln {} => each(rows, |x| function.value(f64::from(x)) as f32),
    }
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    let power = exp(-f64::from(x.abs()));
    ((if x >= 0.0 { 1.0 } else { power }) / (1.0 + power)) as f32
}

#[inline(always)]
fn clip(x: f32, low: f32, high: f32) -> f32 {
    let above = if x < low { low } else { x };
    if above > high { high } else { above }
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
