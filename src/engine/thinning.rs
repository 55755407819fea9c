//! Heads that can be thinned: with a dropout mask that all points share, a draw is a smaller network.

use crate::nets::lowering::{Instruction, Kind, Program};
use crate::nets::{Function, Gaussian};
use crate::random::normal_noise;

/// A linear layer of a head that can be thinned.
#[derive(Clone, Debug, PartialEq)]
pub struct ThinLayer {
    pub inputs: usize,
    pub outputs: usize,
    /// The dropout before the layer: its mask stream and its rate.
    pub dropout: Option<(u32, f64)>,
    /// \[inputs, outputs\], scaled by 1 / (1 − rate).
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
    /// Where the weights are drawn as well: then `weights` and `bias` are their means.
    pub gaussian: Option<Gaussian>,
    /// The functions after it.
    pub then: Vec<Function>,
}

impl ThinLayer {
    /// `weight` is \[outputs, inputs\].
    fn new([inputs, outputs]: [usize; 2], dropout: Option<(u32, f64)>, weight: &[f64], bias: &[f64]) -> Self {
        let scale = dropout.map_or(1.0, |(_, rate)| 1.0 / (1.0 - rate));
        let weights = (0..inputs * outputs).map(|at| (scale * weight[at % outputs * inputs + at / outputs]) as f32).collect();
        let bias = bias.iter().map(|&bias| bias as f32).collect();
        Self { inputs, outputs, dropout, weights, bias, gaussian: None, then: Vec::new() }
    }

    /// A Gaussian layer with weights \[outputs, inputs + 1\], the bias as the last column.
    fn of_rows(gaussian: &Gaussian, dropout: Option<(u32, f64)>, rows: &[f64]) -> Self {
        let (weight, bias) = gaussian.weight_and_bias(rows);
        Self::new([gaussian.inputs, gaussian.outputs], dropout, &weight, &bias)
    }

    /// The layer that an instruction is, after that dropout.
    fn of(instruction: &Instruction, dropout: Option<(u32, f64)>) -> Option<Self> {
        let layer = match &instruction.kind {
            Kind::Product(product) if product.is_linear() && instruction.pool.is_none() => {
                Self::new([product.input[0], product.output[0]], dropout, &product.phases[0].weight, &product.bias)
            }
            Kind::Gaussian(gaussian) => {
                let layer = Self::of_rows(gaussian, dropout, &gaussian.mean);
                Self { gaussian: Some(gaussian.clone()), ..layer }
            }
            _ => return None,
        };
        Some(Self { then: instruction.then.clone(), ..layer })
    }

    /// The layer with the weights of a draw that all points share, if they are drawn.
    pub fn drawn(&self, seed: u32, member: u32, draw: u32) -> Option<Self> {
        let gaussian = self.gaussian.as_ref()?;
        let drawn = gaussian.draw(&normal_noise(seed, member, draw, gaussian.stream, 0, gaussian.count()));
        Some(Self::of_rows(gaussian, self.dropout, &drawn))
    }
}

/// The head of a program, where it is a chain of linear layers with dropout or elementwise functions between them. A Gaussian layer's
/// draw that all points share is a linear layer of other weights. A mask that all points share makes a draw of such a head a smaller
/// network: a dropped hidden unit needs no weights, and of the first layer, whose input all draws share, the dropped inputs are
/// subtracted from the full product where they are fewer than the kept ones ([`subtracts`]). This is exact for finite inputs: an input
/// that is infinite or no number stays in the difference.
pub fn thinnable(program: &Program) -> Option<Vec<ThinLayer>> {
    let mut layers: Vec<ThinLayer> = Vec::new();
    let (mut dropout, mut value) = (None, program.head().first()?.inputs[0]);
    for instruction in program.head() {
        if instruction.inputs != [value] {
            return None;
        }
        value = instruction.output;
        match &instruction.kind {
            Kind::Mask { stream, rate, size: 1 } if dropout.is_none() && instruction.then.is_empty() => dropout = Some((*stream, *rate)),
            // Between a dropout and its linear layer a function could make something else of the dropped zeros.
            Kind::Identity if dropout.is_none() => layers.last_mut()?.then.extend(&instruction.then),
            _ => layers.push(ThinLayer::of(instruction, dropout.take())?),
        }
    }
    layers.first().filter(|first| dropout.is_none() && (first.dropout.is_some() || first.gaussian.is_some()))?;
    Some(layers)
}

/// Whether of the first layer of a thinnable head the dropped inputs are subtracted, rather than the kept ones multiplied. Draws of other
/// weights share no full product.
pub fn subtracts(layers: &[ThinLayer]) -> bool {
    layers[0].gaussian.is_none() && layers[0].dropout.is_some_and(|(_, rate)| rate <= 0.5)
}
