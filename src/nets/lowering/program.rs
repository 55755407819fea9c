//! What backends run: a few instructions, with everything decided that does not depend on the machine.

use super::plane::Plane;
use super::product::Product;
use crate::nets::{Function, Gaussian};
use std::ops::Range;

/// A lowered network. Instructions before [`head`](Self::head) are the *trunk*: they do not depend on a draw and run once per image. Those
/// from there on are the *head* and run once per draw. Every value is written by one instruction, before it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// The instructions, trunk before head.
    pub instructions: Vec<Instruction>,
    /// The number of instructions in the trunk.
    pub head: usize,
    /// The values; 0 is the input.
    pub values: Vec<Value>,
    /// The number of the value that is the output.
    pub output: usize,
    /// The shape of the input.
    pub input_shape: Vec<usize>,
    /// The shape of the output.
    pub output_shape: Vec<usize>,
    /// How many buffers are in use at once: those of [`Value::buffer`].
    pub buffers: usize,
}

/// A value of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// The number of its elements.
    pub length: usize,
    /// Its buffer. Values of one buffer are never alive together. Only an elementwise instruction may write the buffer of an
    /// input, of its first.
    pub buffer: usize,
    /// Whether it is made by the trunk, or is the input, and the head reads it, or it is the output of a network without a head: it crosses
    /// the cut.
    pub crosses: bool,
}

/// One step. Its output is `pool(then(kind(inputs)))`.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    /// The name of the node that it comes from.
    pub node: String,
    /// What it computes.
    pub kind: Kind,
    /// The values that it reads.
    pub inputs: Vec<usize>,
    /// The value that it writes.
    pub output: usize,
    /// Elementwise functions of what it computes, in turn.
    pub then: Vec<Function>,
    /// A pool of maxima after them: only of a product.
    pub pool: Option<Plane>,
}

/// The kinds of instructions. A *unit* is a run of elements that share a constant: a channel, or one element of a vector.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A linear layer, a convolution or a transposed convolution.
    Product(Product),
    /// A linear layer whose weights are drawn; in a deterministic pass their mean.
    Gaussian(Gaussian),
    /// The same linear map, or the same maxima, of every channel.
    Plane(Plane),
    /// Nothing but `then`.
    Identity,
    /// scale · x + offset, one of each per unit; the units are equally long.
    Affine { scale: Vec<f64>, offset: Vec<f64> },
    /// (x − mean) / √(variance + epsilon) · scale + offset, with the moments of each of `groups` equal runs of elements.
    Normalise { groups: usize, epsilon: f64, scale: Vec<f64>, offset: Vec<f64> },
    /// The sum of all inputs; a shorter one has one value per unit.
    Add,
    /// The product of all inputs, likewise.
    Multiply,
    /// All inputs one after the other.
    Concatenate,
    /// exp(x) / Σ exp(x) over the channels at each of `size` places; with `log` its logarithm x − max − ln Σ exp(x − max), which stays
    /// finite where a probability is too small for a number.
    Softmax { size: usize, log: bool },
    /// Dropout of units of `size` elements; nothing in a deterministic pass.
    Mask { stream: u32, rate: f64, size: usize },
}

impl Kind {
    /// Whether draws differ in it.
    pub fn draws(&self) -> bool {
        matches!(self, Self::Gaussian(_) | Self::Mask { .. })
    }
}

impl Program {
    /// Floating-point operations of a range of instructions for one image: products only, a multiplication and an addition as two, the
    /// zeros of a padding included.
    pub fn flops(&self, range: Range<usize>) -> f64 {
        self.instructions[range].iter().map(Instruction::flops).sum()
    }

    /// The trunk.
    pub fn trunk(&self) -> &[Instruction] {
        &self.instructions[..self.head]
    }

    /// The head; empty where nothing is drawn.
    pub fn head(&self) -> &[Instruction] {
        &self.instructions[self.head..]
    }
}

impl Instruction {
    /// Its floating-point operations for one image, counted as in [`Program::flops`].
    pub fn flops(&self) -> f64 {
        match &self.kind {
            Kind::Product(product) => product.flops(),
            Kind::Gaussian(gaussian) => 2.0 * gaussian.inputs as f64 * gaussian.outputs as f64,
            _ => 0.0,
        }
    }
}
