//! From the instructions of a program to steps: what runs faster as one is one, what is done in turn is one after the other.

use super::plane::Map;
use super::product::Phased;
use super::{Kind, Part, Step};
use crate::autodiff::operations::Element;
use crate::kernels::{Convolution, ConvolutionBlock, Pooling};
use crate::nets::Function;
use crate::nets::lowering::{Instruction, Kind as Computes, Plane, PlaneMap, Product, Program};

impl<T: Element> Part<T> {
    /// The whole program, for passes without draws.
    pub fn whole(program: &Program) -> Self {
        let mut building = Building::new(program);
        let steps = building.steps(&program.instructions);
        Self::new(steps, building.lengths.len(), vec![0], vec![program.output])
    }

    /// What runs once per image, and what runs once per draw.
    pub fn trunk_and_head(program: &Program) -> [Self; 2] {
        let crossing: Vec<usize> = (0..program.values.len()).filter(|&value| program.values[value].crosses).collect();
        let mut building = Building::new(program);
        let (trunk, head) = (building.steps(program.trunk()), building.steps(program.head()));
        let values = building.lengths.len();
        [Self::new(trunk, values, vec![0], crossing.clone()), Self::new(head, values, crossing, vec![program.output])]
    }

    fn new(mut steps: Vec<Step<T>>, values: usize, takes: Vec<usize>, gives: Vec<usize>) -> Self {
        let mut needed = vec![false; values];
        for &value in &gives {
            needed[value] = true;
        }
        for step in steps.iter_mut().rev() {
            for &input in &step.inputs {
                if !needed[input] {
                    needed[input] = true;
                    step.frees.push(input);
                }
            }
        }
        Self { steps, values, takes, gives }
    }

    /// How many steps read a value; one more if the part gives it.
    pub fn readers(&self, value: usize) -> usize {
        let inputs = self.steps.iter().flat_map(|step| &step.inputs);
        inputs.chain(&self.gives).filter(|read| **read == value).count()
    }
}

struct Building<'a> {
    program: &'a Program,
    /// The lengths of values, those between the steps of an instruction included.
    lengths: Vec<usize>,
    /// How many masks and weights are drawn so far.
    drawn: usize,
}

/// An image whose padding is left to the product that reads it: where it comes from, its size, and the first pixel's place in the padding.
struct Unpadded {
    value: usize,
    size: [usize; 2],
    at: [usize; 2],
}

impl<'a> Building<'a> {
    fn new(program: &'a Program) -> Self {
        Self { program, lengths: program.values.iter().map(|value| value.length).collect(), drawn: 0 }
    }

    fn steps<T: Element>(&mut self, instructions: &[Instruction]) -> Vec<Step<T>> {
        let padded: Vec<usize> = instructions.iter().filter_map(|product| Some(self.unpadded(product)?.0)).collect();
        let mut steps = Vec::new();
        for instruction in instructions.iter().filter(|instruction| !padded.contains(&instruction.output)) {
            self.instruction(instruction, &mut steps);
        }
        steps
    }

    /// The padded value that a convolution reads, and what it was before, where the convolution can pad by itself.
    fn unpadded(&self, instruction: &Instruction) -> Option<(usize, Unpadded)> {
        let Computes::Product(product) = &instruction.kind else { return None };
        let padded = instruction.inputs[0];
        let readers =
            self.program.instructions.iter().flat_map(|instruction| &instruction.inputs).filter(|&&input| input == padded).count();
        let pad = self.program.instructions.iter().find(|pad| pad.output == padded && pad.then.is_empty())?;
        match &pad.kind {
            Computes::Plane(Plane { from, map: PlaneMap::Pad { at }, .. }) if readers == 1 && is_plain(product) => {
                Some((padded, Unpadded { value: pad.inputs[0], size: *from, at: *at }))
            }
            _ => None,
        }
    }

    fn instruction<T: Element>(&mut self, instruction: &Instruction, steps: &mut Vec<Step<T>>) {
        let values = |values: &[f64]| values.iter().map(|&value| T::from_f64(value)).collect::<Vec<T>>();
        let mut inputs = instruction.inputs.clone();
        let (mut then, mut pool) = (&instruction.then[..], instruction.pool.as_ref());
        let kind = match &instruction.kind {
            Computes::Product(product) if product.is_linear() && !product.phases[0].weight.is_empty() => {
                Some(Kind::Linear { weight: values(&product.phases[0].weight), bias: values(&product.bias) })
            }
            Computes::Product(product) if is_plain(product) => {
                let unpadded = self.unpadded(instruction).map(|(_, from)| from);
                let [channels, height, width] = product.input;
                let from = unpadded.unwrap_or(Unpadded { value: inputs[0], size: [height, width], at: [0, 0] });
                inputs = vec![from.value];
                let phase = &product.phases[0];
                let convolution = Convolution {
                    input: [channels, from.size[0], from.size[1]],
                    output: product.output,
                    kernel: phase.kernel,
                    stride: phase.stride,
                    padding: from.at,
                    dilation: [1, 1],
                    groups: product.groups,
                };
                let relu = then.first() == Some(&Function::Relu {});
                then = &then[usize::from(relu)..];
                // Behind a reshape the pool has other channels.
                let pooling = pool.filter(|_| then.is_empty()).and_then(|pool| Pooling::of(product.output[0], pool));
                let pooling = pooling.filter(|pooling| pooling.maximum && pooling.input == product.output);
                pool = pool.filter(|_| pooling.is_none());
                let block = ConvolutionBlock { convolution, relu, pooling };
                Some(Kind::Convolve { block, weight: values(&phase.weight), bias: values(&product.bias) })
            }
            Computes::Product(product) => Some(Kind::Phased(Phased::new(product))),
            Computes::Gaussian(gaussian) => {
                let (weight, bias) = gaussian.weight_and_bias(&gaussian.mean);
                Some(Kind::Drawn { slot: self.slot(), weight: values(&weight), bias: values(&bias), gaussian: gaussian.clone() })
            }
            Computes::Plane(plane) => Some(Kind::Plane(Map::new(plane))),
            Computes::Identity => None,
            Computes::Affine { scale, offset } => Some(Kind::Affine { scale: values(scale), offset: values(offset) }),
            Computes::Normalise { groups, epsilon, scale, offset } => {
                Some(Kind::Normalise { groups: *groups, epsilon: *epsilon, scale: values(scale), offset: values(offset) })
            }
            Computes::Add => Some(Kind::Add),
            Computes::Multiply => Some(Kind::Multiply),
            Computes::Concatenate => Some(Kind::Concatenate),
            Computes::Softmax { size, log } => Some(Kind::Softmax { size: *size, log: *log }),
            Computes::Mask { stream, rate, size } => {
                let units = self.lengths[inputs[0]] / size;
                Some(Kind::Mask { slot: self.slot(), stream: *stream, rate: *rate, units, size: *size })
            }
        };
        let mut kinds: Vec<Kind<T>> = kind.into_iter().collect();
        // What computes nothing copies.
        if !then.is_empty() || kinds.is_empty() {
            kinds.push(Kind::Apply(then.to_vec()));
        }
        kinds.extend(pool.map(|pool| Kind::Plane(Map::new(pool))));
        let last = kinds.len() - 1;
        for (place, kind) in kinds.into_iter().enumerate() {
            let lengths: Vec<usize> = inputs.iter().map(|&value| self.lengths[value]).collect();
            let output = if place == last { instruction.output } else { self.lengths.len() };
            if place < last {
                // A pool reads what a product writes: as many as its windows' images hold; a function as many as it writes.
                self.lengths.push(instruction.pool.as_ref().filter(|_| pool.is_some()).map_or_else(
                    || self.lengths[instruction.output],
                    |pool| self.lengths[instruction.output] / (pool.to[0] * pool.to[1]) * (pool.from[0] * pool.from[1]),
                ));
            }
            steps.push(Step { kind, inputs: std::mem::replace(&mut inputs, vec![output]), output, lengths, frees: Vec::new() });
        }
    }

    fn slot(&mut self) -> usize {
        self.drawn += 1;
        self.drawn - 1
    }
}

/// Whether a product is a convolution with its taps and its outputs next to each other.
fn is_plain(product: &Product) -> bool {
    let [_, rows, columns] = product.output;
    match &product.phases[..] {
        [phase] => {
            let gaps = (0..2).any(|axis| phase.dilation[axis] != 1 && phase.kernel[axis] > 1);
            let all = phase.grid == [rows, columns] && phase.place == [0, 0] && phase.step == [1, 1];
            !phase.kernel.contains(&0) && !gaps && all && phase.corner == [0, 0] && !product.is_linear()
        }
        _ => false,
    }
}
