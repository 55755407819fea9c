//! A chunk of points on its way through the networks: which kernel takes what from where.

use super::device::{Device, NoBuffer};
use super::kernel::{KeptParameters, Kernel, PoolParameters, Precision, ProductParameters, SoftmaxParameters, TallyParameters};
use super::network::{Member, Place, Plan};
use super::recorder::{ProductBuffers, Recorder, Slot, Slots};
use super::weights::{Thinned, thinned_flops};
use crate::engine::{Block, Draws, Input, Masks};
use crate::random::drop_threshold;
use crate::uncertainty::sums_len;
use std::ops::Range;
use wgpu::Buffer;

pub type Done<T> = std::result::Result<T, NoBuffer>;

pub struct Pass<'a, 'd, 'b> {
    pub device: &'d Device,
    pub slots: &'a mut Slots,
    pub recorder: &'a mut Recorder<'d>,
    pub precision: Precision,
    /// Vec4s of points.
    pub quads: usize,
    pub block: &'a Block<'b>,
}

/// Which masks apply: of a member, from a draw on.
#[derive(Clone, Copy)]
pub struct Masking {
    pub member: u32,
    pub first_draw: u32,
}

impl Block<'_> {
    /// Whether draws are functions of the whole plane.
    pub(super) fn is_thinned(&self) -> bool {
        self.masks == Masks::Shared && matches!(self.draws, Draws::Sampled(_))
    }
}

impl Pass<'_, '_, '_> {
    /// The buffer of a slot with room for so many bytes.
    pub fn take(&mut self, slot: Slot, bytes: u64) -> Done<Buffer> {
        self.slots.take(self.device, slot, bytes)
    }

    /// The buffer of a slot with room for so many rows.
    pub fn rows(&mut self, slot: Slot, rows: usize) -> Done<Buffer> {
        self.take(slot, 16 * (rows * self.quads) as u64)
    }

    fn write<T: bytemuck::NoUninit>(&mut self, slot: Slot, values: &[T]) -> Done<Buffer> {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        let buffer = self.take(slot, bytes.len() as u64)?;
        self.device.queue.write_buffer(&buffer, 0, bytes);
        Ok(buffer)
    }

    /// The buffer of a value of a network whose input stands in `input`, for so many draws.
    pub fn place(&mut self, place: Place, input: Slot, draws: usize) -> Done<Buffer> {
        self.rows(place.slot.unwrap_or(input), place.rows * if place.drawn { draws } else { 1 })
    }

    /// Brings some points of the block to the device, and decodes them.
    pub fn load(&mut self, points: &Range<usize>, decoder: Option<&Plan>) -> Done<()> {
        let padded = 4 * self.quads;
        let all = self.block.point_numbers.len();
        // Beyond the last point it is repeated.
        let point = |at: usize| (points.start + at).min(points.end - 1);
        let numbers: Vec<u32> = (0..padded).map(|at| self.block.point_numbers[point(at)]).collect();
        self.write(Slot::Numbers, &numbers)?;
        let rows: Vec<f32> = match self.block.input {
            Input::Latent(z) => {
                let size = z.len() / all;
                (0..size).flat_map(|axis| (0..padded).map(move |at| z[point(at) * size + axis] as f32)).collect()
            }
            Input::Images(images) => {
                let size = images.len() / all;
                (0..size).flat_map(|pixel| (0..padded).map(move |at| images[point(at) * size + pixel])).collect()
            }
        };
        self.write(Slot::Input, &rows)?;
        if let (Input::Latent(_), Some(decoder)) = (self.block.input, decoder) {
            self.steps(&decoder.trunk, Slot::Input, 1, None)?;
            self.steps(&decoder.head, Slot::Input, 1, None)?;
        }
        Ok(())
    }

    /// Where the images stand.
    pub fn image(&self, decoder: Option<&Plan>) -> Slot {
        match self.block.input {
            Input::Latent(_) => decoder.and_then(|decoder| decoder.output.slot).unwrap_or(Slot::Input),
            Input::Images(_) => Slot::Input,
        }
    }

    /// Runs what does not depend on a draw.
    pub fn trunk(&mut self, member: &Member, image: Slot) -> Done<()> {
        self.steps(&member.plan.trunk, image, 1, None)?;
        let Some(layers) = member.thinned.as_ref().filter(|_| self.block.is_thinned()) else { return Ok(()) };
        if layers[0].full.is_some() {
            let x = self.place(member.plan.head[0].inputs[0], image, 1)?;
            self.full(layers, &x)?;
        }
        Ok(())
    }

    /// The product of a first layer that the dropped inputs of all draws are subtracted from.
    fn full(&mut self, layers: &[Thinned], x: &Buffer) -> Done<()> {
        let Thinned { node, product, full: Some(zeros), .. } = &layers[0] else { return Ok(()) };
        self.recorder.works_for(&format!("{node} for all draws").into());
        let out = self.rows(Slot::Base, product.outputs)?;
        // Bias and function come with the draws.
        let parameters = self.parameters(product, 0, product.outputs);
        let parameters = ProductParameters { scale: layers[0].scale(), activation: 0, low: 0, high: 0, ..parameters };
        let [_, flops] = thinned_flops(layers).map(|flops| flops * (4 * self.quads) as f64);
        self.shared_product(product, parameters, [zeros, x, &out], flops)
    }

    /// Runs some passes of the head; returns where their logits stand, [draw][class][point].
    pub fn head(&mut self, member: &Member, number: u32, image: Slot, passes: &Range<usize>) -> Done<Slot> {
        let plan = &member.plan;
        let masking = match &self.block.draws {
            Draws::Deterministic => None,
            Draws::Sampled(draws) => Some(Masking { member: number, first_draw: draws.start + passes.start as u32 }),
        };
        if let (Some(layers), Some(masking), true) = (&member.thinned, masking, self.block.is_thinned()) {
            return self.thinned(layers, plan.head[0].inputs[0], image, passes.len(), masking);
        }
        self.steps(&plan.head, image, passes.len(), masking)?;
        Ok(plan.output.slot.unwrap_or(image))
    }

    /// Runs draws as thinned networks.
    fn thinned(&mut self, layers: &[Thinned], trunk: Place, image: Slot, draws: usize, masking: Masking) -> Done<Slot> {
        let Masking { member, first_draw } = masking;
        let mut lists = Vec::new();
        for (number, layer) in layers.iter().enumerate() {
            self.recorder.works_for(&layer.node);
            let Some((stream, rate)) = layer.dropout else {
                lists.push(None);
                continue;
            };
            let units = layer.product.inputs;
            let parameters = KeptParameters {
                units: units as u32,
                stride: units as u32 + 1,
                threshold: drop_threshold(rate),
                dropped: u32::from(layer.full.is_some()),
                first_draw,
                stream,
                seed: self.block.seed,
                member,
            };
            let list = self.take(Slot::List(number as u8), 4 * (draws * (units + 1)) as u64)?;
            self.recorder.workgroups(Kernel::Kept, &parameters, &[&list], [draws as u32, 1, 1]);
            lists.push(Some((list, units as u32 + 1)));
        }
        let [of_draw, _] = thinned_flops(layers);
        let all: f64 = layers.iter().map(|layer| (layer.product.inputs * layer.product.outputs) as f64).sum();
        let mut from = trunk.slot.unwrap_or(image);
        for (number, layer) in layers.iter().enumerate() {
            self.recorder.works_for(&layer.node);
            let product = &layer.product;
            let x = self.rows(from, if number == 0 { product.inputs } else { draws * product.inputs })?;
            let to = other(from);
            let out = self.rows(to, draws * product.outputs)?;
            let x_rows = if number == 0 { 0 } else { product.inputs };
            let mut parameters = self.parameters(product, x_rows, product.outputs);
            parameters.scale = layer.scale();
            let (mut inputs, mut outputs, mut base) = (&product.rows, &product.positions, &product.weights);
            if let Some((list, stride)) = &lists[number] {
                (parameters.gather_inputs, parameters.input_stride, inputs) = (1, *stride, list);
            }
            if let Some(Some((list, stride))) = lists.get(number + 1) {
                (parameters.gather_outputs, parameters.output_stride, outputs) = (1, *stride, list);
            }
            let of_all;
            if layer.full.is_some() {
                of_all = self.rows(Slot::Base, product.outputs)?;
                (parameters.subtract, base) = (1, &of_all);
            }
            let buffers = ProductBuffers { product, bias: &product.bias, inputs, outputs, x: &x, base, out: &out };
            let share = (product.inputs * product.outputs) as f64 / all;
            let flops = share * of_draw * (draws * 4 * self.quads) as f64;
            let kernel = self.kernel(product);
            self.recorder.product(kernel, parameters, &buffers, draws as u32, flops);
            from = to;
            for &function in &layer.more {
                let rows = draws * product.outputs;
                let (x, to) = (self.rows(from, rows)?, other(from));
                let out = self.rows(to, rows)?;
                self.apply(Some(function), [&x, &out], rows);
                from = to;
            }
        }
        Ok(from)
    }

    /// Adds up the statistics of logits; the buffer holds [group][3 · classes + 1][point].
    pub fn statistics(&mut self, logits: Slot, draws: usize, classes: usize, starts: &[u32]) -> Done<Buffer> {
        self.recorder.works_for(&"the statistics".into());
        let groups = starts.len() - 1;
        let logits = self.rows(logits, draws * classes)?;
        let normal = self.rows(Slot::Normal, 4 * draws)?;
        let sums = self.rows(Slot::Sums, groups * (sums_len(classes) - 1))?;
        let starts = self.write(Slot::Starts, starts)?;
        let (quads, count) = (self.quads as u32, (draws * self.quads) as u32);
        let parameters = SoftmaxParameters { count, quads, classes: classes as u32 };
        self.recorder.each(Kernel::Softmax, &parameters, &[&logits, &normal], count, 0.0);
        let count = (groups * classes * self.quads) as u32;
        let parameters = TallyParameters { count, quads, classes: classes as u32 };
        self.recorder.each(Kernel::Tally, &parameters, &[&logits, &normal, &starts, &sums], count, 0.0);
        Ok(sums)
    }

    /// Of the statistics of a member in groups: those of all groups, [3 · classes + 1][point], and the sums of each group over this member
    /// and, unless it is the first, those before, [group][classes + 1][point].
    pub fn pool(&mut self, sums: &Buffer, groups: usize, classes: usize, is_first: bool) -> Done<[Buffer; 2]> {
        let rows = sums_len(classes) - 1;
        let (whole, pooled) = (self.rows(Slot::Whole, rows)?, self.rows(Slot::Pooled, groups * (classes + 1))?);
        let count = (rows * self.quads) as u32;
        let (quads, classes, groups, first) = (self.quads as u32, classes as u32, groups as u32, u32::from(is_first));
        let parameters = PoolParameters { count, quads, classes, groups, first };
        self.recorder.each(Kernel::Pool, &parameters, &[sums, &whole, &pooled], count, 0.0);
        Ok([whole, pooled])
    }
}

/// The slot for an output that does not overwrite its input, of those that a head as thinned layers takes in turn.
fn other(from: Slot) -> Slot {
    if from == Slot::Scratch(0) { Slot::Scratch(1) } else { Slot::Scratch(0) }
}
