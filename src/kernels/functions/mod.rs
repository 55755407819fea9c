//! Elementwise functions and their derivatives: vectorised for f32; for f64 those of [`Function`].

mod double;
mod single;
#[cfg(test)]
mod tests;

use super::{Real, vectorised};
use crate::nets::{Function, GELU_CUBIC, ROOT_2_OVER_PI};
use rayon::prelude::*;

pub use double::{exp_of_negative, sigmoid};

/// Values per task.
const PIECE: usize = 1 << 13;

/// The function of every value.
pub fn map<T: Real>(function: Function, x: &[T]) -> Vec<T> {
    let mut y = vec![T::ZERO; x.len()];
    y.par_chunks_mut(PIECE).zip(x.par_chunks(PIECE)).for_each(|(y, x)| {
        y.copy_from_slice(x);
        T::apply(function, y);
    });
    y
}

/// The gradient in `x` for that in the function's value.
pub fn gradient<T: Real>(function: Function, x: &[T], gradient: &[T]) -> Vec<T> {
    let mut result = vec![T::ZERO; x.len()];
    let pieces = result.par_chunks_mut(PIECE).zip(gradient.par_chunks(PIECE)).zip(x.par_chunks(PIECE));
    pieces.for_each(|((result, gradient), x)| {
        result.copy_from_slice(gradient);
        T::multiply_by_derivative(function, x, result);
    });
    result
}

/// What the functions need of a precision.
pub trait Elementwise: Sized {
    /// Applies the function to every value.
    fn apply(function: Function, values: &mut [Self]);
    /// Multiplies each gradient by the derivative at its x.
    fn multiply_by_derivative(function: Function, x: &[Self], gradient: &mut [Self]);
    /// Σ ln(1 + exp(l)) − x l.
    fn bernoulli_sum(logits: &[Self], images: &[Self]) -> f64;
    /// factor · (sigmoid(l) − x) of each element into `gradient`.
    fn bernoulli_gradient(logits: &[Self], images: &[Self], factor: f64, gradient: &mut [Self]);
}

impl Elementwise for f64 {
    fn apply(function: Function, values: &mut [Self]) {
        for value in values {
            *value = function.value(*value);
        }
    }

    fn multiply_by_derivative(function: Function, x: &[Self], gradient: &mut [Self]) {
        for (gradient, &x) in gradient.iter_mut().zip(x) {
            *gradient *= function.derivative(x);
        }
    }

    fn bernoulli_sum(logits: &[Self], images: &[Self]) -> f64 {
        logits.iter().zip(images).map(|(&l, &x)| Function::Softplus {}.value(l) - x * l).sum()
    }

    fn bernoulli_gradient(logits: &[Self], images: &[Self], factor: f64, gradient: &mut [Self]) {
        for (gradient, (&l, &x)) in gradient.iter_mut().zip(logits.iter().zip(images)) {
            *gradient = factor * (Function::Sigmoid {}.value(l) - x);
        }
    }
}

#[expect(clippy::redundant_closure, reason = "a function by its name is called out of line")]
#[expect(clippy::too_many_lines, reason = "one entry for each function")]
impl Elementwise for f32 {
    fn apply(function: Function, values: &mut [Self]) {
        match function {
            Function::Relu {} => each(
                values,
                #[inline(always)]
                move |x| if x < 0.0 { 0.0 } else { x },
            ),
            Function::LeakyRelu { slope } => {
                let slope = slope as Self;
                each(
                    values,
                    #[inline(always)]
                    move |x| if x < 0.0 { slope * x } else { x },
                );
            }
            Function::Elu { alpha } => {
                let alpha = alpha as Self;
                each(
                    values,
                    #[inline(always)]
                    move |x| positive(x) + alpha * single::exp_minus_1(negative(x)),
                );
            }
            Function::Gelu { tanh: false } => each(
                values,
                #[inline(always)]
                move |x| x * single::normal_distribution(x),
            ),
            Function::Gelu { tanh: true } => each(
                values,
                #[inline(always)]
                move |x| x * single::sigmoid(2.0 * single::cubic(x)),
            ),
            Function::Silu {} => each(
                values,
                #[inline(always)]
                move |x| x * single::sigmoid(x),
            ),
            Function::Clip { low, high } => {
                let (low, high) = (low as Self, high as Self);
                each(
                    values,
                    #[inline(always)]
                    move |x| clip(x, low, high),
                );
            }
            Function::HardSigmoid {} => each(
                values,
                #[inline(always)]
                move |x| clip(x + 3.0, 0.0, 6.0) / 6.0,
            ),
            Function::HardSwish {} => each(
                values,
                #[inline(always)]
                move |x| x * clip(x + 3.0, 0.0, 6.0) / 6.0,
            ),
            Function::Tanh {} => each(
                values,
                #[inline(always)]
                move |x| single::tanh(x),
            ),
            Function::Sigmoid {} => each(
                values,
                #[inline(always)]
                move |x| single::sigmoid(x),
            ),
            Function::Softplus {} => each(
                values,
                #[inline(always)]
                move |x| single::softplus(x),
            ),
            Function::Exp {} => each(
                values,
                #[inline(always)]
                move |x| double::exp(f64::from(x)) as Self,
            ),
            Function::Ln {} => each(
                values,
                #[inline(always)]
                move |x| double::ln(f64::from(x)) as Self,
            ),
        }
    }

    fn multiply_by_derivative(function: Function, x: &[Self], gradient: &mut [Self]) {
        match function {
            Function::Relu {} => scale(
                x,
                gradient,
                #[inline(always)]
                move |x| if x > 0.0 { 1.0 } else { 0.0 },
            ),
            Function::LeakyRelu { slope } => {
                let slope = slope as Self;
                scale(
                    x,
                    gradient,
                    #[inline(always)]
                    move |x| if x > 0.0 { 1.0 } else { slope },
                );
            }
            Function::Elu { alpha } => {
                let alpha = alpha as Self;
                scale(
                    x,
                    gradient,
                    #[inline(always)]
                    move |x| (if x > 0.0 { 1.0 } else { alpha }) * single::exp(negative(x)),
                );
            }
            Function::Gelu { tanh: false } => {
                const DENSITY: f32 = (0.5 * ROOT_2_OVER_PI) as f32;
                scale(
                    x,
                    gradient,
                    #[inline(always)]
                    move |x| single::normal_distribution(x) + x * single::exp(-0.5 * x * x) * DENSITY,
                );
            }
            Function::Gelu { tanh: true } => scale(
                x,
                gradient,
                #[inline(always)]
                move |x| {
                    const SLOPE: [f32; 2] = [ROOT_2_OVER_PI as f32, (3.0 * GELU_CUBIC) as f32];
                    let inner = single::cubic(x);
                    // ½ (1 + tanh(u)) is sigmoid(2u).
                    single::sigmoid(2.0 * inner) + 0.5 * x * single::tanh_slope(inner) * SLOPE[0] * (1.0 + SLOPE[1] * x * x)
                },
            ),
            Function::Silu {} => scale(
                x,
                gradient,
                #[inline(always)]
                move |x| single::sigmoid(x) * (1.0 + x * single::sigmoid(-x)),
            ),
            Function::Clip { low, high } => {
                let (low, high) = (low as Self, high as Self);
                scale(
                    x,
                    gradient,
                    #[inline(always)]
                    move |x| if x > low && x < high { 1.0 } else { 0.0 },
                );
            }
            Function::HardSigmoid {} => scale(
                x,
                gradient,
                #[inline(always)]
                move |x| if x > -3.0 && x < 3.0 { 1.0 / 6.0 } else { 0.0 },
            ),
            Function::HardSwish {} => scale(
                x,
                gradient,
                #[inline(always)]
                move |x| {
                    let below = if x <= -3.0 { 0.0 } else { x / 3.0 + 0.5 };
                    if x < 3.0 { below } else { 1.0 }
                },
            ),
            Function::Tanh {} => scale(
                x,
                gradient,
                #[inline(always)]
                move |x| single::tanh_slope(x),
            ),
            Function::Sigmoid {} => scale(
                x,
                gradient,
                #[inline(always)]
                move |x| single::sigmoid(x) * single::sigmoid(-x),
            ),
            Function::Softplus {} => scale(
                x,
                gradient,
                #[inline(always)]
                move |x| single::sigmoid(x),
            ),
            Function::Exp {} => scale(
                x,
                gradient,
                #[inline(always)]
                move |x| double::exp(f64::from(x)) as Self,
            ),
            Function::Ln {} => scale(
                x,
                gradient,
                #[inline(always)]
                move |x| 1.0 / x,
            ),
        }
    }

    fn bernoulli_sum(logits: &[Self], images: &[Self]) -> f64 {
        vectorised(
            #[inline(always)]
            || {
                let mut lanes = [0.0; 16];
                let [logits, images] = [logits, images].map(|values| values.as_chunks::<16>());
                for (logits, images) in logits.0.iter().zip(images.0) {
                    for ((lane, &l), &x) in lanes.iter_mut().zip(logits).zip(images) {
                        *lane += f64::from(single::softplus(l) - x * l);
                    }
                }
                let rest = logits.1.iter().zip(images.1).map(|(&l, &x)| f64::from(single::softplus(l) - x * l));
                lanes.into_iter().sum::<f64>() + rest.sum::<f64>()
            },
        )
    }

    fn bernoulli_gradient(logits: &[Self], images: &[Self], factor: f64, gradient: &mut [Self]) {
        let factor = factor as Self;
        vectorised(
            #[inline(always)]
            || {
                for (gradient, (&l, &x)) in gradient.iter_mut().zip(logits.iter().zip(images)) {
                    *gradient = factor * (single::sigmoid(l) - x);
                }
            },
        );
    }
}

/// Closures own their constants: behind a reference these could be what is written, and the loop would stay scalar.
#[inline(always)]
fn each(values: &mut [f32], function: impl Fn(f32) -> f32) {
    vectorised(
        #[inline(always)]
        move || {
            for value in &mut *values {
                *value = function(*value);
            }
        },
    );
}

#[inline(always)]
fn scale(x: &[f32], gradient: &mut [f32], derivative: impl Fn(f32) -> f32) {
    vectorised(
        #[inline(always)]
        move || {
            // `for_each` of a zip stays out of line, and scalar, where the derivative is long.
            for (gradient, &x) in gradient.iter_mut().zip(x) {
                *gradient *= derivative(x);
            }
        },
    );
}

#[inline(always)]
fn positive(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

#[inline(always)]
fn negative(x: f32) -> f32 {
    if x > 0.0 { 0.0 } else { x }
}

#[inline(always)]
fn clip(x: f32, low: f32, high: f32) -> f32 {
    let above = if x < low { low } else { x };
    if above > high { high } else { above }
}

/// 1 / (2k + 1) for k = 0 … 8: artanh(s) = Σ s^(2k+1) / (2k+1).
const INVERSE_ODD: [f64; 9] = {
    let mut coefficients = [1.0; 9];
    let mut k = 0;
    while k < 9 {
        coefficients[k] = 1.0 / (2 * k + 1) as f64;
        k += 1;
    }
    coefficients
};

/// The reconstruction error −ln p(x | l) of each image, with Bernoulli pixels whose logits are l: Σ ln(1 + exp(l)) − x l, in nats, for logits and
/// images \[N, `length`\].
pub fn bernoulli<T: Real>(logits: &[T], images: &[T], length: usize) -> Vec<T> {
    logits
        .par_chunks(length)
        .zip(images.par_chunks(length))
        .map(|(logits, images)| T::of_double(T::bernoulli_sum(logits, images)))
        .collect()
}

/// The gradient in the logits for that in each image's error.
pub fn bernoulli_gradient<T: Real>(logits: &[T], images: &[T], gradient: &[T], length: usize) -> Vec<T> {
    let mut result = vec![T::ZERO; logits.len()];
    let rows = result.par_chunks_mut(length).zip(logits.par_chunks(length)).zip(images.par_chunks(length));
    rows.zip(gradient).for_each(|(((result, logits), images), gradient)| T::bernoulli_gradient(logits, images, gradient.double(), result));
    result
}
