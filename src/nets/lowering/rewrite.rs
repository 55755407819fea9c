//! From instructions one by one to the program: fusing, cutting, buffers.

use super::{Instruction, Kind, PlaneMap, Program, Value};
use crate::nets::{Ending, Function};

/// Added to probabilities before the logarithm, so that ln 0 is finite. Above the smallest normal number of single precision, because some
/// adapters flush subnormal ones to 0. A negative number still has no logarithm.
const SMALLEST_PROBABILITY: f64 = 1e-37;
/// Lower bound of log-probabilities: it replaces −∞, and its exponential is 0 in every precision.
const LOWEST_LOGARITHM: f64 = -1e4;

/// Instructions in an order in which they can run, each with a value of its own.
pub(super) struct Draft {
    pub instructions: Vec<Instruction>,
    pub lengths: Vec<usize>,
    pub output: usize,
}

impl Draft {
    /// Whether the last instructions, from the output back, have these forms and each reads the one before it.
    fn ends_with(&self, forms: &[fn(&Instruction) -> bool]) -> bool {
        let (mut value, mut last) = (self.output, self.instructions.iter().rev());
        forms.iter().all(|form| {
            let fitting = last.next().filter(|instruction| instruction.output == value && form(instruction));
            value = fitting.map_or(value, |instruction| instruction.inputs[0]);
            fitting.is_some()
        })
    }

    /// Removes the last instruction: its input becomes the output.
    fn drop_last(&mut self) {
        if let Some(last) = self.instructions.pop() {
            self.output = last.inputs[0];
        }
    }

    pub fn end_in_logits(&mut self, ending: Ending) {
        let is_ln = |instruction: &Instruction| instruction.kind == Kind::Identity && instruction.then == [Function::Ln {}];
        let is_softmax = |instruction: &Instruction| instruction.kind == Kind::Softmax { size: 1, log: false };
        let is_log_softmax = |instruction: &Instruction| instruction.kind == Kind::Softmax { size: 1, log: true };
        match ending {
            Ending::Probabilities if self.ends_with(&[is_softmax]) => self.drop_last(),
            Ending::Probabilities => {
                let above_0 = Kind::Affine { scale: vec![1.0], offset: vec![SMALLEST_PROBABILITY] };
                self.append(above_0, Function::Ln {});
            }
            Ending::LogProbabilities if self.ends_with(&[is_log_softmax]) => self.drop_last(),
            Ending::LogProbabilities if self.ends_with(&[is_ln, is_softmax]) => {
                self.drop_last();
                self.drop_last();
            }
            Ending::LogProbabilities => self.append(Kind::Identity, Function::Clip { low: LOWEST_LOGARITHM, high: f64::INFINITY }),
            Ending::Logits => {}
        }
    }

    /// Appends an instruction with a function to the output.
    fn append(&mut self, kind: Kind, function: Function) {
        let output = self.lengths.len();
        self.lengths.push(self.lengths[self.output]);
        let (inputs, then) = (vec![self.output], vec![function]);
        self.instructions.push(Instruction { node: "logits".to_owned(), kind, inputs, output, then, pool: None });
        self.output = output;
    }

    /// Joins instructions with the one before them where nothing else reads what lies between.
    pub fn fuse(&mut self) {
        let mut uses = vec![0; self.lengths.len()];
        self.instructions.iter().flat_map(|instruction| &instruction.inputs).for_each(|&value| uses[value] += 1);
        uses[self.output] += 1;
        let mut fused: Vec<Instruction> = Vec::with_capacity(self.instructions.len());
        for instruction in self.instructions.drain(..) {
            let before = match instruction.inputs[..] {
                [value] if uses[value] == 1 => fused.iter_mut().rev().find(|before| before.output == value),
                _ => None,
            };
            let left = match before {
                Some(before) => joined(before, instruction),
                None => Some(instruction),
            };
            fused.extend(left);
        }
        self.instructions = fused;
    }

    /// Sorts instructions into trunk and head, and gives values their buffers.
    pub fn program(self, input_shape: &[usize], output_shape: &[usize]) -> Program {
        let Self { instructions, lengths, output } = self;
        let mut drawn = vec![false; lengths.len()];
        for instruction in &instructions {
            drawn[instruction.output] = instruction.kind.draws() || instruction.inputs.iter().any(|&value| drawn[value]);
        }
        let (head, mut ordered): (Vec<_>, Vec<_>) = instructions.into_iter().partition(|instruction| drawn[instruction.output]);
        let trunk = ordered.len();
        ordered.extend(head);
        let end = ordered.len();
        // When a value is read last; one that crosses the cut stays to the end, for other draws.
        let mut last = vec![0; lengths.len()];
        for (at, instruction) in ordered.iter().enumerate() {
            for &value in &instruction.inputs {
                last[value] = at;
            }
        }
        let mut crosses = vec![false; lengths.len()];
        for &value in ordered[trunk..].iter().flat_map(|instruction| &instruction.inputs).chain([&output]) {
            crosses[value] = !drawn[value];
        }
        (0..lengths.len()).filter(|&value| crosses[value] || value == output).for_each(|value| last[value] = end);
        let (mut buffers, mut free, mut count) = (vec![0; lengths.len()], Vec::new(), 1);
        for (at, instruction) in ordered.iter().enumerate() {
            let dying = |value: &usize| last[*value] == at;
            let first = instruction.inputs[0];
            let in_place = instruction.is_elementwise()
                && dying(&first)
                && lengths[first] == lengths[instruction.output]
                && !instruction.inputs[1..].contains(&first);
            buffers[instruction.output] = if in_place {
                buffers[first]
            } else {
                free.pop().unwrap_or_else(|| {
                    count += 1;
                    count - 1
                })
            };
            let mut dead: Vec<usize> = instruction.inputs.iter().copied().filter(dying).collect();
            dead.sort_unstable();
            dead.dedup();
            free.extend(dead.into_iter().filter(|&value| !(in_place && value == first)).map(|value| buffers[value]));
        }
        let value = |value: usize| Value { length: lengths[value], buffer: buffers[value], crosses: crosses[value] };
        Program {
            head: trunk,
            values: (0..lengths.len()).map(value).collect(),
            output,
            input_shape: input_shape.to_vec(),
            output_shape: output_shape.to_vec(),
            buffers: count,
            instructions: ordered,
        }
    }
}

/// Joins an instruction with the one whose output only it reads, or gives it back.
fn joined(before: &mut Instruction, instruction: Instruction) -> Option<Instruction> {
    if before.pool.is_some() || instruction.pool.is_some() {
        return Some(instruction);
    }
    let output = instruction.output;
    match &instruction.kind {
        Kind::Identity if !matches!(before.kind, Kind::Mask { .. } | Kind::Softmax { .. }) => before.then.extend(&instruction.then),
        Kind::Affine { scale, offset } if before.then.is_empty() && instruction.then.is_empty() => {
            if !fold(&mut before.kind, scale, offset) {
                return Some(instruction);
            }
        }
        // Behind a reshape a pool has other channels than the product.
        Kind::Plane(plane) if matches!(plane.map, PlaneMap::Maximum { .. }) && before.makes_images_of(plane.from) => {
            before.pool = Some(plane.clone());
        }
        _ => return Some(instruction),
    }
    before.output = output;
    None
}

/// Scales the outputs of a product and adds offsets, if every unit is made of whole channels. Whether it did.
fn fold(kind: &mut Kind, scale: &[f64], offset: &[f64]) -> bool {
    let Kind::Product(product) = kind else { return false };
    let channels = product.output[0];
    if !channels.is_multiple_of(scale.len()) {
        return false;
    }
    let of_unit = channels / scale.len();
    for (channel, bias) in product.bias.iter_mut().enumerate() {
        *bias = *bias * scale[channel / of_unit] + offset[channel / of_unit];
    }
    for phase in &mut product.phases {
        let row = phase.weight.len() / channels;
        for (channel, weights) in phase.weight.chunks_mut(row.max(1)).enumerate() {
            for weight in weights {
                *weight *= scale[channel / of_unit];
            }
        }
    }
    true
}

impl Instruction {
    /// Whether it is a product whose channels have this size.
    fn makes_images_of(&self, size: [usize; 2]) -> bool {
        matches!(&self.kind, Kind::Product(product) if product.output[1..] == size)
    }

    /// Whether every element of its output follows from the elements of its inputs at the same place, or of its unit.
    fn is_elementwise(&self) -> bool {
        matches!(self.kind, Kind::Identity | Kind::Affine { .. } | Kind::Add | Kind::Multiply | Kind::Mask { .. })
    }
}
