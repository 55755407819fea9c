//! Heads that can be thinned: with a dropout mask that all points share, a draw is a smaller network.

use crate::nets::lowering::{Kind, Program};
use crate::nets::{Function, Gaussian};
use crate::random::normal_noise;

/// The shape of a linear layer of a head that can be thinned.
#[derive(Clone, Debug, PartialEq)]
pub struct ThinShape {
    pub inputs: usize,
    pub outputs: usize,
    /// The dropout before the layer: its mask stream and its rate.
    pub dropout: Option<(u32, f64)>,
    /// Whether its weights are drawn.
    pub is_gaussian: bool,
    /// The functions after it.
    pub then: Vec<Function>,
    /// The place of its instruction in the head.
    instruction: usize,
}

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

impl ThinShape {
    /// The shape of the layer that an instruction of the head is, after that dropout.
    fn of(instruction: usize, program: &Program, dropout: Option<(u32, f64)>) -> Option<Self> {
        let layer = &program.head()[instruction];
        let (inputs, outputs, is_gaussian) = match &layer.kind {
            Kind::Product(product) if product.is_linear() && layer.pool.is_none() => (product.input[0], product.output[0], false),
            Kind::Gaussian(gaussian) => (gaussian.inputs, gaussian.outputs, true),
            _ => return None,
        };
        Some(Self { inputs, outputs, dropout, is_gaussian, then: layer.then.clone(), instruction })
    }

    /// The layer with its weights, given the program that it comes from.
    pub fn layer(&self, program: &Program) -> ThinLayer {
        let layer = match &program.head()[self.instruction].kind {
            Kind::Gaussian(gaussian) => {
                let layer = ThinLayer::of_rows(gaussian, self.dropout, &gaussian.mean);
                ThinLayer { gaussian: Some(gaussian.clone()), ..layer }
            }
            Kind::Product(product) => ThinLayer::new([self.inputs, self.outputs], self.dropout, &product.phases[0].weight, &product.bias),
            other => unreachable!("a layer is a product: {other:?}"),
        };
        ThinLayer { then: self.then.clone(), ..layer }
    }
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
pub fn thinnable(program: &Program) -> Option<Vec<ThinShape>> {
    let mut layers: Vec<ThinShape> = Vec::new();
    let (mut dropout, mut value) = (None, program.head().first()?.inputs[0]);
    for (number, instruction) in program.head().iter().enumerate() {
        if instruction.inputs != [value] {
            return None;
        }
        value = instruction.output;
        match &instruction.kind {
            Kind::Mask { stream, rate, size: 1 } if dropout.is_none() && instruction.then.is_empty() => dropout = Some((*stream, *rate)),
            // Between a dropout and its linear layer a function could make something else of the dropped zeros.
            Kind::Identity if dropout.is_none() => layers.last_mut()?.then.extend(&instruction.then),
            _ => layers.push(ThinShape::of(number, program, dropout.take())?),
        }
    }
    layers.first().filter(|first| dropout.is_none() && (first.dropout.is_some() || first.is_gaussian))?;
    Some(layers)
}

/// Whether of the first layer of a thinnable head the dropped inputs are subtracted, rather than the kept ones multiplied. Draws of other
/// weights share no full product.
pub fn subtracts(layers: &[ThinShape]) -> bool {
    !layers[0].is_gaussian && layers[0].dropout.is_some_and(|(_, rate)| rate <= 0.5)
}
