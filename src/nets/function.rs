//! Elementwise functions with their derivatives.

use serde::{Deserialize, Serialize};

/// A function of one number, as PyTorch defines it. Its NaN is NaN.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "function", rename_all = "snake_case", deny_unknown_fields)]
pub enum Function {
    /// max(x, 0).
    Relu {},
    /// x for x > 0, else slope · x.
    LeakyRelu { slope: f64 },
    /// x for x > 0, else alpha · (exp(x) − 1).
    Elu { alpha: f64 },
    /// x · Φ(x), Φ the normal distribution (Hendrycks & Gimpel 2016); with `tanh` by its approximation
    /// ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))).
    Gelu { tanh: bool },
    /// x · sigmoid(x), also called swish.
    Silu {},
    /// min(max(x, low), high); `ReLU6` has 0 and 6.
    Clip { low: f64, high: f64 },
    /// clip(x + 3, 0, 6) / 6.
    HardSigmoid {},
    /// x · clip(x + 3, 0, 6) / 6.
    HardSwish {},
    /// tanh(x).
    Tanh {},
    /// 1 / (1 + exp(−x)).
    Sigmoid {},
    /// ln(1 + exp(x)).
    Softplus {},
    /// exp(x).
    Exp {},
    /// ln(x).
    Ln {},
}

/// One of each function, for tests that must cover all.
pub const FUNCTIONS: [Function; 14] = [
    Function::Relu {},
    Function::LeakyRelu { slope: 0.1 },
    Function::Elu { alpha: 0.7 },
    Function::Gelu { tanh: false },
    Function::Gelu { tanh: true },
    Function::Silu {},
    Function::Clip { low: -0.5, high: 1.5 },
    Function::HardSigmoid {},
    Function::HardSwish {},
    Function::Tanh {},
    Function::Sigmoid {},
    Function::Softplus {},
    Function::Exp {},
    Function::Ln {},
];

/// √(2/π), of GELU's approximation.
pub(crate) const ROOT_2_OVER_PI: f64 = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
/// The cubic term of GELU's approximation.
pub(crate) const GELU_CUBIC: f64 = 0.044_715;

impl Function {
    /// The function at `x`.
    pub fn value(self, x: f64) -> f64 {
        match self {
            Self::Relu {} => {
                if x < 0.0 {
                    0.0
                } else {
                    x
                }
            }
            Self::LeakyRelu { slope } => {
                if x < 0.0 {
                    slope * x
                } else {
                    x
                }
            }
            Self::Elu { alpha } => {
                if x > 0.0 {
                    x
                } else {
                    alpha * x.exp_m1()
                }
            }
            Self::Gelu { tanh: false } => x * normal_distribution(x),
            Self::Gelu { tanh: true } => 0.5 * x * (1.0 + (ROOT_2_OVER_PI * (x + GELU_CUBIC * x * x * x)).tanh()),
            Self::Silu {} => x * sigmoid(x),
            Self::Clip { low, high } => clip(x, low, high),
            Self::HardSigmoid {} => clip(x + 3.0, 0.0, 6.0) / 6.0,
            Self::HardSwish {} => x * clip(x + 3.0, 0.0, 6.0) / 6.0,
            Self::Tanh {} => x.tanh(),
            Self::Sigmoid {} => sigmoid(x),
            Self::Softplus {} => {
                if x > 0.0 {
                    x + (-x).exp().ln_1p()
                } else {
                    x.exp().ln_1p()
                }
            }
            Self::Exp {} => x.exp(),
            Self::Ln {} => x.ln(),
        }
    }

    /// Its derivative at `x`; at a corner PyTorch's choice.
    pub fn derivative(self, x: f64) -> f64 {
        let within = |low: f64, high: f64| f64::from(u8::from(x > low && x < high));
        match self {
            Self::Relu {} => f64::from(u8::from(x > 0.0)),
            Self::LeakyRelu { slope } => {
                if x > 0.0 {
                    1.0
                } else {
                    slope
                }
            }
            Self::Elu { alpha } => {
                if x > 0.0 {
                    1.0
                } else {
                    alpha * x.exp()
                }
            }
            Self::Gelu { tanh: false } => normal_distribution(x) + x * (-0.5 * x * x).exp() * 0.5 * ROOT_2_OVER_PI,
            Self::Gelu { tanh: true } => {
                let tanh = (ROOT_2_OVER_PI * (x + GELU_CUBIC * x * x * x)).tanh();
                0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * ROOT_2_OVER_PI * (1.0 + 3.0 * GELU_CUBIC * x * x)
            }
            Self::Silu {} => sigmoid(x) * (1.0 + x * sigmoid(-x)),
            Self::Clip { low, high } => within(low, high),
            Self::HardSigmoid {} => within(-3.0, 3.0) / 6.0,
            Self::HardSwish {} => {
                if x <= -3.0 {
                    0.0
                } else if x < 3.0 {
                    x / 3.0 + 0.5
                } else {
                    1.0
                }
            }
            Self::Tanh {} => 1.0 - x.tanh().powi(2),
            Self::Sigmoid {} => sigmoid(x) * sigmoid(-x),
            Self::Softplus {} => sigmoid(x),
            Self::Exp {} => x.exp(),
            Self::Ln {} => 1.0 / x,
        }
    }
}

/// Φ(x).
fn normal_distribution(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// As `clamp`, without its panic where `low` > `high`.
fn clip(x: f64, low: f64, high: f64) -> f64 {
    if x < low {
        low
    } else if x > high {
        high
    } else {
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_the_slopes() {
        for function in FUNCTIONS {
            for x in [-4.0, -2.9, -0.6, -0.2, 0.3, 1.1, 1.7, 2.9, 3.4] {
                if function == (Function::Ln {}) && x < 0.0 {
                    continue;
                }
                let slope = (function.value(x + 1e-6) - function.value(x - 1e-6)) / 2e-6;
                assert!((function.derivative(x) - slope).abs() <= 1e-8 * slope.abs().max(1.0), "{function:?} at {x}: {slope}");
            }
        }
    }

    #[test]
    fn nan_stays_nan() {
        assert!(FUNCTIONS.iter().all(|function| function.value(f64::NAN).is_nan()));
    }

    #[test]
    fn large_numbers_do_not_overflow() {
        for function in FUNCTIONS {
            if matches!(function, Function::Exp {} | Function::Ln {}) {
                continue;
            }
            assert!([-800.0, 800.0].iter().all(|&x| function.value(x).is_finite() && function.derivative(x).is_finite()), "{function:?}");
        }
    }
}
