//! A lowered network as kernels on the device: its weights uploaded, its instructions as steps.

use super::device::Device;
use super::recorder::Slot;
use super::weights::{Grouped, Product, Thinned, coefficients, grouped, has_small_groups, products, taps, thinned};
use crate::error::Result;
use crate::nets::lowering::{self, Instruction, Program};
use crate::nets::{Classifier, Ending, Function, Network};
use std::collections::HashMap;
use std::sync::Arc;
use wgpu::Buffer;

/// Where a value stands.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// None for the network's input.
    pub slot: Option<Slot>,
    /// Its elements, each a row of a number for every point.
    pub rows: usize,
    /// Whether every draw has its own.
    pub drawn: bool,
}

/// One step: a kernel, or some that make parts of the same output.
pub struct Step {
    /// The node that it comes from, with its shapes.
    pub node: Arc<str>,
    pub kind: Kind,
    pub inputs: Vec<Place>,
    pub output: Place,
    /// A function that the kernel applies to what it makes.
    pub then: Option<Function>,
}

pub enum Kind {
    /// A linear layer or a convolution: the phases and groups in turn.
    Products(Vec<Product>),
    /// The same of many small groups: the phases.
    Grouped(Vec<Grouped>),
    /// A pool, padding or resampling of every channel: `size` rows of the input become `to`.
    Plane { starts: Buffer, taps: Buffer, maximum: bool, size: usize, to: usize },
    /// Nothing but the function: into the output from the row `first` on.
    Apply { first: usize },
    /// Scale and offset of each of `units`.
    Affine { coefficients: Buffer, units: usize },
    /// The moments of `runs`, then scale and offset of each of `units`.
    Normalise { coefficients: Buffer, units: usize, runs: usize, epsilon: f64 },
    /// The sum or the product of the two inputs.
    Combine { multiply: bool },
    /// Softmax over the channels of `size` rows, or its logarithm.
    Softmax { size: usize, log: bool },
    /// Dropout of units of `size` rows; a copy in a deterministic pass.
    Mask { stream: u32, rate: f64, size: usize },
}

/// A network on the device.
pub struct Plan {
    /// What does not depend on a draw.
    pub trunk: Vec<Step>,
    /// The rest.
    pub head: Vec<Step>,
    pub output: Place,
}

/// A classifier on the device.
pub struct Member {
    pub plan: Plan,
    /// The head as layers that a shared mask thins, if it is of that form.
    pub thinned: Option<Vec<Thinned>>,
}

impl Member {
    /// Uploads a classifier.
    ///
    /// # Errors
    /// When the device has no room for its weights.
    pub fn new(device: &Device, classifier: &Classifier) -> Result<Self> {
        let program = classifier.program();
        Self::of_program(device, &program)
    }

    /// As [`new`](Self::new), of a lowered network.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_program(device: &Device, program: &Program) -> Result<Self> {
        let plan = Plan::new(device, program, None)?;
        let thinned = thinned(device, program, &plan.head)?;
        Ok(Self { plan, thinned })
    }

    /// Whether draws differ.
    pub fn has_draws(&self) -> bool {
        !self.plan.head.is_empty()
    }
}

impl Plan {
    /// Uploads a network; with a slot for `output` that is where its output goes.
    ///
    /// # Errors
    /// When the device has no room for its weights.
    pub fn new(device: &Device, program: &Program, output: Option<Slot>) -> Result<Self> {
        let mut places = places(program);
        if output.is_some() && !program.instructions.is_empty() {
            places[program.output].slot = output;
        }
        let mut builder = Builder { device, steps: Vec::new(), scratch: 0 };
        let mut trunk = Vec::new();
        for (at, instruction) in program.instructions.iter().enumerate() {
            if at == program.head {
                trunk = std::mem::take(&mut builder.steps);
            }
            let inputs: Vec<Place> = instruction.inputs.iter().map(|&value| places[value]).collect();
            builder.instruction(instruction, &inputs, places[instruction.output])?;
        }
        let mut head = builder.steps;
        if program.head == program.instructions.len() {
            trunk = std::mem::take(&mut head);
        }
        Ok(Self { trunk, head, output: places[program.output] })
    }

    /// A decoder, its images in [`Slot::Image`]: in single precision, for whatever an image is off all classifiers are.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn decoder(device: &Device, network: &Network) -> Result<Self> {
        let program = lowering::lower(network, Ending::Logits);
        let mut plan = Self::new(device, &program, Some(Slot::Image))?;
        for step in plan.trunk.iter_mut().chain(&mut plan.head) {
            if let Kind::Products(products) = &mut step.kind {
                for product in products.iter_mut() {
                    product.exact = true;
                }
            }
        }
        Ok(plan)
    }

    /// How many rows the buffers have where so many draws run together: those of the largest, but at least a quarter of all.
    pub fn rows(&self, draws: usize) -> usize {
        rows(self.trunk.iter().chain(&self.head), draws)
    }

    /// The same of the trunk alone.
    pub fn trunk_rows(&self) -> usize {
        rows(self.trunk.iter(), 1)
    }
}

fn rows<'a>(steps: impl Iterator<Item = &'a Step>, draws: usize) -> usize {
    let mut rows: HashMap<Slot, usize> = HashMap::new();
    for place in steps.map(|step| step.output) {
        if let Some(slot) = place.slot {
            let most = rows.entry(slot).or_default();
            *most = (*most).max(place.rows * if place.drawn { draws } else { 1 });
        }
    }
    rows.values().copied().max().unwrap_or(0).max(rows.values().sum::<usize>().div_ceil(4))
}

/// Where the values of a program stand. No kernel writes the slot that it reads.
fn places(program: &Program) -> Vec<Place> {
    let place = |value: &lowering::Value| Place { slot: None, rows: value.length, drawn: false };
    let mut places: Vec<Place> = program.values.iter().map(place).collect();
    for (at, instruction) in program.instructions.iter().enumerate() {
        let buffer = program.values[instruction.output].buffer as u32;
        let first = Some(Slot::Value(buffer, false));
        let read = instruction.inputs.iter().any(|&value| places[value].slot == first);
        places[instruction.output] =
            Place { slot: Some(Slot::Value(buffer, read)), drawn: at >= program.head, ..places[instruction.output] };
    }
    places
}

/// Turns instructions into steps.
struct Builder<'a> {
    device: &'a Device,
    steps: Vec<Step>,
    scratch: u8,
}

impl Builder<'_> {
    /// Somewhere for what the next step takes.
    fn scratch(&mut self, rows: usize, drawn: bool) -> Place {
        self.scratch = 1 - self.scratch;
        Place { slot: Some(Slot::Scratch(self.scratch)), rows, drawn }
    }

    fn instruction(&mut self, instruction: &Instruction, inputs: &[Place], output: Place) -> Result<()> {
        let node: Arc<str> = label(instruction, output.rows).into();
        let fuses = !matches!(instruction.kind, lowering::Kind::Mask { .. } | lowering::Kind::Softmax { .. });
        let (fused, rest) = instruction.then.split_at(usize::from(fuses).min(instruction.then.len()));
        let then = fused.first().copied();
        // What comes after the first step, and the rows that it makes.
        let pool = instruction.pool.as_ref();
        let rows = pool.map_or(output.rows, |pool| output.rows / (pool.to[0] * pool.to[1]) * (pool.from[0] * pool.from[1]));
        let mut left = rest.len() + usize::from(pool.is_some());
        let mut to = if left == 0 { output } else { self.scratch(rows, output.drawn) };
        self.first(&node, instruction, inputs, to, then)?;
        for function in rest {
            left -= 1;
            let from = to;
            to = if left == 0 { output } else { self.scratch(rows, output.drawn) };
            self.push(&node, Kind::Apply { first: 0 }, &[from], to, Some(*function));
        }
        if let Some(pool) = pool {
            let kind = self.plane(pool)?;
            self.push(&node, kind, &[to], output, None);
        }
        Ok(())
    }

    fn push(&mut self, node: &Arc<str>, kind: Kind, inputs: &[Place], output: Place, then: Option<Function>) {
        self.steps.push(Step { node: Arc::clone(node), kind, inputs: inputs.to_vec(), output, then });
    }

    fn plane(&self, plane: &lowering::Plane) -> Result<Kind> {
        let (starts, taps, maximum) = taps(self.device, plane)?;
        let [size, to] = [plane.from, plane.to].map(|size| size[0] * size[1]);
        Ok(Kind::Plane { starts, taps, maximum, size, to })
    }

    /// The instruction without what follows in it.
    fn first(&mut self, node: &Arc<str>, instruction: &Instruction, inputs: &[Place], output: Place, then: Option<Function>) -> Result<()> {
        let device = self.device;
        let combine = |multiply| Kind::Combine { multiply };
        let kind = match &instruction.kind {
            lowering::Kind::Product(product) if has_small_groups(product) => Kind::Grouped(grouped(device, product)?),
            lowering::Kind::Product(product) => Kind::Products(products(device, product, then)?),
            // In a decoder, which is never drawn: a member that draws weights is refused when the engine is opened.
            lowering::Kind::Gaussian(gaussian) => Kind::Products(products(device, &lowering::Product::of_mean(gaussian), then)?),
            lowering::Kind::Plane(plane) => self.plane(plane)?,
            lowering::Kind::Identity => Kind::Apply { first: 0 },
            lowering::Kind::Affine { scale, offset } => {
                Kind::Affine { coefficients: coefficients(device, scale, offset)?, units: scale.len() }
            }
            lowering::Kind::Normalise { groups, epsilon, scale, offset } => {
                Kind::Normalise { coefficients: coefficients(device, scale, offset)?, units: scale.len(), runs: *groups, epsilon: *epsilon }
            }
            lowering::Kind::Add | lowering::Kind::Multiply => {
                let multiply = instruction.kind == lowering::Kind::Multiply;
                let (mut sum, last) = (inputs[0], inputs.len() - 1);
                for (number, other) in inputs[1..last].iter().enumerate() {
                    // Apart from what comes after this instruction.
                    let to = Place { slot: Some(Slot::Scratch(2 + number as u8 % 2)), ..output };
                    self.push(node, combine(multiply), &[sum, *other], to, None);
                    sum = to;
                }
                self.push(node, combine(multiply), &[sum, inputs[last]], output, then);
                return Ok(());
            }
            lowering::Kind::Concatenate => {
                let mut first = 0;
                for input in inputs {
                    self.push(node, Kind::Apply { first }, &[*input], output, then);
                    first += input.rows;
                }
                return Ok(());
            }
            lowering::Kind::Softmax { size, log } => Kind::Softmax { size: *size, log: *log },
            lowering::Kind::Mask { stream, rate, size } => Kind::Mask { stream: *stream, rate: *rate, size: *size },
        };
        self.push(node, kind, inputs, output, then);
        Ok(())
    }
}

/// A node with the shapes of what it takes, its padding included, and makes; of others than products and planes the number of elements.
fn label(instruction: &Instruction, elements: usize) -> String {
    let dims = |shape: &[usize]| shape.iter().map(usize::to_string).collect::<Vec<_>>().join("×");
    let shapes = match &instruction.kind {
        lowering::Kind::Product(product) if product.is_linear() => format!("{} → {}", product.input[0], product.output[0]),
        lowering::Kind::Product(product) => format!("{} → {}", dims(&product.input), dims(&product.output)),
        lowering::Kind::Plane(plane) => format!("{} → {}", dims(&plane.from), dims(&plane.to)),
        _ => elements.to_string(),
    };
    format!("{} ({shapes})", instruction.node)
}

/// Multiply-adds of steps, times two: what a pass of one point takes.
pub fn flops(steps: &[Step]) -> f64 {
    let of = |step: &Step| match &step.kind {
        Kind::Products(products) => products.iter().map(Product::flops).sum(),
        Kind::Grouped(phases) => phases.iter().map(Grouped::flops).sum(),
        _ => 0.0,
    };
    steps.iter().map(of).sum()
}

/// The most rows of any output of steps.
pub fn most_rows(steps: &[Step]) -> usize {
    steps.iter().map(|step| step.output.rows).max().unwrap_or(0)
}
