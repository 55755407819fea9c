//! Elementwise functions on rows, vectorised over the points. NaN stays NaN: comparisons are written so that it is the value kept, which `max` and
//! `min` are not.

use super::kernel::Row;
use crate::kernels::functions::{self, exp_of_negative};
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
            each(rows, |x| if x > 0.0 { x } else { (alpha * (exp_of_negative(f64::from(if x > 0.0 { 0.0 } else { x })) - 1.0)) as f32 });
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
    functions::sigmoid(f64::from(x)) as f32
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
