//! Elementwise functions as the shaders take them: a number and two constants.

use crate::nets::Function;
use std::fmt::Write as _;

/// The names of the functions in WGSL; the number of one is its place plus one, 0 is no function.
pub const NAMES: [&str; 14] = [
    "RELU",
    "LEAKY_RELU",
    "ELU",
    "GELU",
    "GELU_TANH",
    "SILU",
    "CLIP",
    "HARD_SIGMOID",
    "HARD_SWISH",
    "TANH",
    "SIGMOID",
    "SOFTPLUS",
    "EXP",
    "LN",
];

/// A function in a kernel's parameters: its number, and the bits of its constants, of which the second is the upper bound of a clip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Code {
    pub activation: u32,
    pub low: u32,
    pub high: u32,
}

impl Code {
    pub fn of(function: Option<Function>) -> Self {
        let Some(function) = function else { return Self::default() };
        let (name, [low, high]) = match function {
            Function::Relu {} => ("RELU", [0.0; 2]),
            Function::LeakyRelu { slope } => ("LEAKY_RELU", [slope, 0.0]),
            Function::Elu { alpha } => ("ELU", [alpha, 0.0]),
            Function::Gelu { tanh: false } => ("GELU", [0.0; 2]),
            Function::Gelu { tanh: true } => ("GELU_TANH", [0.0; 2]),
            Function::Silu {} => ("SILU", [0.0; 2]),
            Function::Clip { low, high } => ("CLIP", [low, high]),
            Function::HardSigmoid {} => ("HARD_SIGMOID", [0.0; 2]),
            Function::HardSwish {} => ("HARD_SWISH", [0.0; 2]),
            Function::Tanh {} => ("TANH", [0.0; 2]),
            Function::Sigmoid {} => ("SIGMOID", [0.0; 2]),
            Function::Softplus {} => ("SOFTPLUS", [0.0; 2]),
            Function::Exp {} => ("EXP", [0.0; 2]),
            Function::Ln {} => ("LN", [0.0; 2]),
        };
        let activation = NAMES.iter().position(|other| *other == name).map_or(0, |place| place as u32 + 1);
        Self { activation, low: (low as f32).to_bits(), high: (high as f32).to_bits() }
    }
}

/// Declares the functions' numbers, and that of the one which a kernel applies.
pub fn declare(source: &mut String, activation: u32) {
    let _ = writeln!(source, "const ACTIVATION: u32 = {activation}u;");
    for (place, name) in NAMES.iter().enumerate() {
        let _ = writeln!(source, "const {name}: u32 = {}u;", place + 1);
    }
}
