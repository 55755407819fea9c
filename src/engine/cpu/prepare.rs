//! From a lowered network to the steps of this engine: weights are packed, and convolutions take their fast forms.

use super::convolution::Convolution;
use super::gaussian::Drawn;
use super::steps::{Plane, Step, StepKind, Steps};
use super::winograd::Winograd;
use crate::nets::Function;
use crate::nets::lowering::{self, Instruction, Kind, PlaneMap, Product, Program};

impl Steps {
    pub fn new(program: &Program) -> Self {
        let buffer = |value: usize| program.values[value].buffer;
        let mut prepared = Preparation { program, steps: Vec::new(), buffers: program.buffers };
        prepared.of(program.trunk());
        let head = prepared.steps.len();
        prepared.of(program.head());
        let crossing = program.values.iter().filter(|value| value.crosses).map(|value| value.buffer).collect();
        let crossing_rows = program.values.iter().filter(|value| value.crosses).map(|value| value.length).sum();
        let Preparation { steps, buffers, .. } = prepared;
        let mut rows = vec![0; program.buffers];
        for value in &program.values {
            rows[value.buffer] = value.length.max(rows[value.buffer]);
        }
        // Buffers between the steps of an instruction hold a padded image, about as large as the value that it is a copy of.
        let between = (buffers - program.buffers) * rows.iter().copied().max().unwrap_or(0);
        let rows = rows.iter().sum::<usize>() + between;
        Self { all: steps, head, input: buffer(0), output: buffer(program.output), buffers, crossing, rows, crossing_rows }
    }
}

struct Preparation<'a> {
    program: &'a Program,
    steps: Vec<Step>,
    /// The program's, and those between steps that share an instruction.
    buffers: usize,
}

impl Preparation<'_> {
    fn of(&mut self, instructions: &[Instruction]) {
        let first = self.steps.len();
        for instruction in instructions {
            self.add(instruction, first);
        }
    }

    fn add(&mut self, instruction: &Instruction, first: usize) {
        let buffer = |value: usize| self.program.values[value].buffer;
        let inputs: Vec<usize> = instruction.inputs.iter().map(|&value| buffer(value)).collect();
        let output = buffer(instruction.output);
        let then = instruction.then.clone();
        let pool = instruction.pool.as_ref().map(plane);
        if let Kind::Plane(lowering::Plane { from, to, map: PlaneMap::Pad { at } }) = &instruction.kind
            && then.is_empty()
            && self.is_read_once(instruction.inputs[0])
        {
            // The product before it writes into the middle of the larger image.
            let is_its_product = |step: &mut Step| makes(step, inputs[0], *from);
            let before = if self.steps.len() > first { self.steps.pop_if(is_its_product) } else { None };
            if let Some(Step { kind: StepKind::Product(product), inputs, name, flops, .. }) = before {
                let kind = StepKind::Product(product.padded(*from, *to, *at));
                return self.steps.push(Step { kind, inputs, output, then, pool: None, name, flops });
            }
        }
        let flops = instruction.flops();
        let kind = match &instruction.kind {
            Kind::Product(product) if takes_winograd(product) => {
                return self.add_winograd(instruction, product, [inputs[0], output], first);
            }
            Kind::Product(product) => {
                let (name, kind) = (name("product", instruction), StepKind::Product(Convolution::new(product, &then)));
                return self.steps.push(Step { kind, inputs, output, then: Vec::new(), pool, name, flops });
            }
            Kind::Gaussian(gaussian) => {
                StepKind::Gaussian { mean: Convolution::new(&Product::of_mean(gaussian), &[]), drawn: Drawn::new(gaussian.clone()) }
            }
            Kind::Plane(lowering::Plane { from, to, map: PlaneMap::Pad { at } }) => StepKind::Pad { from: *from, to: *to, at: *at },
            Kind::Plane(map) => StepKind::Plane(plane(map)),
            Kind::Identity => StepKind::Identity,
            Kind::Affine { scale, offset } => StepKind::Affine { scale: single(scale), offset: single(offset) },
            Kind::Normalise { groups, epsilon, scale, offset } => {
                StepKind::Normalise { groups: *groups, epsilon: *epsilon, scale: single(scale), offset: single(offset) }
            }
            Kind::Add => StepKind::Add,
            Kind::Multiply => StepKind::Multiply,
            Kind::Concatenate => StepKind::Concatenate,
            Kind::Softmax { size, log } => StepKind::Softmax { size: *size, log: *log },
            Kind::Mask { stream, rate, size } => StepKind::Mask { stream: *stream, rate: *rate, size: *size },
        };
        self.steps.push(Step { name: name(kind.label(), instruction), kind, inputs, output, then, pool, flops });
    }

    /// A convolution by Winograd's algorithm, joined with the convolution before it in the same part of the program.
    fn add_winograd(&mut self, instruction: &Instruction, product: &Product, [mut input, output]: [usize; 2], first: usize) {
        let relu = instruction.then == [Function::Relu {}];
        let pool = (relu || instruction.then.is_empty()) && instruction.pool.as_ref().is_some_and(lowering::Plane::is_two_by_two);
        let winograd = Winograd::new(product, relu, pool);
        let size = [product.input[1], product.input[2]];
        let (mut name, mut flops) = (name("winograd", instruction), instruction.flops());
        let (mut before, alone) = (None, self.is_read_once(instruction.inputs[0]));
        if winograd.input_size() != size {
            // Its tiles reach beyond the image: further zeros below and on the right.
            match self.steps[first..].last_mut() {
                Some(Step { kind: StepKind::Pad { to, .. }, output, .. }) if *output == input && *to == size && alone => {
                    *to = winograd.input_size();
                }
                _ => {
                    let kind = StepKind::Pad { from: size, to: winograd.input_size(), at: [0, 0] };
                    let (inputs, output, then) = (vec![input], self.buffers, Vec::new());
                    self.steps.push(Step {
                        kind,
                        inputs,
                        output,
                        then,
                        pool: None,
                        name: format!("padding of {}", instruction.node),
                        flops: 0.0,
                    });
                    input = self.buffers;
                    self.buffers += 1;
                }
            }
        } else if self.steps.len() > first && alone {
            let joins =
                |step: &mut Step| makes(step, input, size) && matches!(&step.kind, StepKind::Product(product) if product.has_lines());
            if let Some(Step { kind: StepKind::Product(product), inputs, name: first, flops: more, .. }) = self.steps.pop_if(joins) {
                (before, input) = (Some(product), inputs[0]);
                name = format!("{first}, {name}");
                flops += more;
            }
        }
        let then = if relu { Vec::new() } else { instruction.then.clone() };
        let left = if pool { None } else { instruction.pool.as_ref().map(plane) };
        let kind = StepKind::Winograd { before, winograd };
        self.steps.push(Step { kind, inputs: vec![input], output, then, pool: left, name, flops });
    }

    fn is_read_once(&self, value: usize) -> bool {
        let reads = self.program.instructions.iter().flat_map(|instruction| &instruction.inputs).filter(|&&read| read == value).count();
        reads == 1 && value != self.program.output
    }
}

/// The name of an instruction's step in a profile.
fn name(what: &str, instruction: &Instruction) -> String {
    format!("{what} of {}", instruction.node)
}

/// Whether a step is a product that writes this buffer, in channels of this size: a reshape may lie between them and what reads it.
fn makes(step: &Step, buffer: usize, size: [usize; 2]) -> bool {
    let plane = size[0] * size[1];
    step.output == buffer && step.pool.is_none() && matches!(&step.kind, StepKind::Product(product) if product.plane() == plane)
}

/// Whether a product is a convolution that is worth Winograd's transforms.
fn takes_winograd(product: &Product) -> bool {
    product.is_dense_convolution([3, 3]) && product.input[0] >= 8 && product.output[0] >= 8
}

fn plane(map: &lowering::Plane) -> Plane {
    Plane { size: map.from[0] * map.from[1], taps: map.taps() }
}

fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}
