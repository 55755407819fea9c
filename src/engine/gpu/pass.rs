//! A chunk of points on its way through the networks: which kernel takes what from where.

use super::device::{Device, NoBuffer};
use super::kernel::{
    AffineParameters, ApplyParameters, KeptParameters, Kernel, MaskParameters, PadParameters, PoolParameters, Precision, ProductParameters,
    SoftmaxParameters, TallyParameters,
};
use super::network::{Kind, Member, Product, Step, Tail, Thinned, thinned_flops};
use super::recorder::{ProductBuffers, Recorder, Slot, Slots, code};
use crate::engine::{Block, Draws, Input, Masks};
use crate::random::drop_threshold;
use crate::uncertainty::sums_len;
use std::ops::Range;
use wgpu::Buffer;

type Done<T> = std::result::Result<T, NoBuffer>;

/// Where the layers before the first dropout leave their output, for all draws to take.
const TRUNK: Slot = Slot::Scratch(0);

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
struct Masking {
    member: u32,
    first_draw: u32,
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
    fn rows(&mut self, slot: Slot, rows: usize) -> Done<Buffer> {
        self.take(slot, 16 * (rows * self.quads) as u64)
    }

    fn write<T: bytemuck::NoUninit>(&mut self, slot: Slot, values: &[T]) -> Done<Buffer> {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        let buffer = self.take(slot, bytes.len() as u64)?;
        self.device.queue.write_buffer(&buffer, 0, bytes);
        Ok(buffer)
    }

    /// Brings some points of the block to the device, and decodes them.
    pub fn load(&mut self, points: &Range<usize>, decoder: &[Step]) -> Done<()> {
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
        if let Input::Latent(_) = self.block.input {
            self.steps(decoder, Slot::Input, Slot::Input, 1, None, Some(Slot::Image))?;
        }
        Ok(())
    }

    /// Where the images stand.
    pub fn image(&self, decoder: &[Step]) -> Slot {
        match self.block.input {
            Input::Latent(_) if !decoder.is_empty() => Slot::Image,
            Input::Latent(_) | Input::Images(_) => Slot::Input,
        }
    }

    /// Runs the layers before the first dropout.
    pub fn trunk(&mut self, member: &Member, image: Slot) -> Done<()> {
        self.steps(&member.trunk, image, image, 1, None, Some(TRUNK))?;
        let Tail::Thinnable(layers, _) = &member.tail else { return Ok(()) };
        if let (Some(zeros), true) = (&layers[0].zeros, self.block.is_thinned()) {
            let product = &layers[0].product;
            let x = self.rows(trunk_output(member, image), product.inputs)?;
            let out = self.rows(Slot::Base, product.outputs)?;
            let parameters = ProductParameters { activation: 0, ..self.parameters(product, 0) };
            let buffers = ProductBuffers {
                product,
                bias: zeros,
                inputs: &product.rows,
                outputs: &product.positions,
                x: &x,
                base: &product.weights,
                out: &out,
            };
            let [_, shared] = thinned_flops(layers);
            let kernel = self.kernel(product);
            self.recorder.product(kernel, parameters, &buffers, 1, shared * (4 * self.quads) as f64);
        }
        Ok(())
    }

    /// Runs some passes behind the trunk; returns where their logits stand, [draw][class][point].
    pub fn tail(&mut self, member: &Member, number: u32, image: Slot, passes: &Range<usize>) -> Done<Slot> {
        let trunk = trunk_output(member, image);
        let Draws::Sampled(draws) = &self.block.draws else {
            return self.steps(member.rest(), trunk, trunk, 1, None, None);
        };
        let masking = Masking { member: number, first_draw: draws.start + passes.start as u32 };
        match &member.tail {
            Tail::None => Ok(trunk),
            Tail::Thinnable(layers, _) if self.block.is_thinned() => self.thinned(layers, trunk, passes.len(), masking),
            Tail::Thinnable(_, steps) | Tail::Steps(steps) => self.steps(steps, trunk, trunk, passes.len(), Some(masking), None),
        }
    }

    fn kernel(&self, product: &Product) -> Kernel {
        Kernel::Product(if product.exact { Precision::Single } else { self.precision })
    }

    fn parameters(&self, product: &Product, x_draw: usize) -> ProductParameters {
        let columns = (product.places * self.quads) as u32;
        ProductParameters {
            quads: self.quads as u32,
            columns,
            outputs: product.outputs as u32,
            weight_quads: product.outputs.div_ceil(4) as u32,
            x_draw: x_draw as u32,
            out_draw: product.outputs as u32 * columns,
            activation: code(product.then),
            ..ProductParameters::default()
        }
    }

    /// Runs steps on `draws` activations side by side, or on one that all draws share until the first mask. Leaves `keep` alone; the
    /// last output goes to `last` if that is given.
    fn steps(&mut self, steps: &[Step], from: Slot, keep: Slot, draws: usize, masking: Option<Masking>, last: Option<Slot>) -> Done<Slot> {
        let mut from = from;
        let mut spread = draws == 1;
        for (number, step) in steps.iter().enumerate() {
            if masking.is_none() && matches!(step.kind, Kind::Mask { .. }) {
                continue;
            }
            let to = last.filter(|_| number + 1 == steps.len()).unwrap_or_else(|| other(from, last.unwrap_or(keep)));
            let [rows_in, rows_out] = step.rows;
            spread |= matches!(step.kind, Kind::Mask { .. });
            let together = if spread { draws } else { 1 };
            let x = self.rows(from, rows_in)?;
            let out = self.rows(to, together * rows_out)?;
            self.step(step, &x, &out, together, number > 0, masking)?;
            from = to;
        }
        Ok(from)
    }

    /// One step. `own`: whether every draw has its own input.
    fn step(&mut self, step: &Step, x: &Buffer, out: &Buffer, draws: usize, own: bool, masking: Option<Masking>) -> Done<()> {
        let [rows_in, rows_out] = step.rows;
        let (quads, count) = (self.quads as u32, (draws * rows_out * self.quads) as u32);
        match &step.kind {
            Kind::Product(product) => {
                let parameters = self.parameters(product, rows_in * self.quads);
                let buffers = ProductBuffers {
                    product,
                    bias: &product.bias,
                    inputs: &product.rows,
                    outputs: &product.positions,
                    x,
                    base: &product.weights,
                    out,
                };
                let flops = 8.0 * (draws * product.inputs * product.outputs * product.places * self.quads) as f64;
                let kernel = self.kernel(product);
                self.recorder.product(kernel, parameters, &buffers, draws as u32, flops);
            }
            Kind::Pool { window, positions, size, mean } => {
                let parameters = PoolParameters { count, quads, size: *size as u32, mean: u32::from(*mean) };
                self.recorder.each(Kernel::Pool, &parameters, &[window, positions, x, out], count);
            }
            Kind::Pad { from, to, at } => {
                let [height, width, to_height, to_width, top, left] =
                    [from[0], from[1], to[0], to[1], at[0], at[1]].map(|size| size as u32);
                let parameters = PadParameters { count, quads, width, height, to_width, to_height, left, top };
                self.recorder.each(Kernel::Pad, &parameters, &[x, out], count);
            }
            Kind::Apply(activation) => {
                let parameters = ApplyParameters { count, activation: activation.code() };
                self.recorder.each(Kernel::Apply, &parameters, &[x, out], count);
            }
            Kind::Affine { coefficients, channels, size } => {
                let parameters = AffineParameters { count, channel_quads: *size as u32 * quads, channels: *channels as u32 };
                self.recorder.each(Kernel::Affine, &parameters, &[coefficients, x, out], count);
            }
            Kind::Mask { layer, rate, size } => {
                let Some(Masking { member, first_draw }) = masking else { return Ok(()) };
                let units = rows_out / size;
                let count = (draws * units.div_ceil(4) * self.quads) as u32;
                let parameters = MaskParameters {
                    count,
                    quads,
                    units: units as u32,
                    size: *size as u32,
                    x_draw: if own { (rows_in * self.quads) as u32 } else { 0 },
                    first_draw,
                    layer: *layer,
                    seed: self.block.seed,
                    member,
                    threshold: drop_threshold(*rate),
                    scale: ((1.0 / (1.0 - rate)) as f32).to_bits(),
                    per_point: u32::from(self.block.masks == Masks::PerPoint),
                };
                let numbers = self.take(Slot::Numbers, 0)?;
                self.recorder.each(Kernel::Mask, &parameters, &[&numbers, x, out], count);
            }
        }
        Ok(())
    }

    /// Runs draws as thinned networks.
    fn thinned(&mut self, layers: &[Thinned], trunk: Slot, draws: usize, Masking { member, first_draw }: Masking) -> Done<Slot> {
        let mut lists = Vec::new();
        for (number, layer) in layers.iter().enumerate() {
            let Some((index, rate)) = layer.dropout else {
                lists.push(None);
                continue;
            };
            let units = layer.product.inputs;
            let parameters = KeptParameters {
                units: units as u32,
                stride: units as u32 + 1,
                threshold: drop_threshold(rate),
                dropped: u32::from(layer.zeros.is_some()),
                first_draw,
                layer: index,
                seed: self.block.seed,
                member,
            };
            let list = self.take(Slot::List(number as u8), 4 * (draws * (units + 1)) as u64)?;
            self.recorder.lists(Kernel::Kept, &parameters, &[&list], draws as u32);
            lists.push(Some((list, units as u32 + 1)));
        }
        let [of_draw, _] = thinned_flops(layers);
        let all: f64 = layers.iter().map(|layer| (layer.product.inputs * layer.product.outputs) as f64).sum();
        let mut from = trunk;
        for (number, layer) in layers.iter().enumerate() {
            let product = &layer.product;
            let x = self.rows(from, if number == 0 { product.inputs } else { draws * product.inputs })?;
            let to = other(from, trunk);
            let out = self.rows(to, draws * product.outputs)?;
            let mut parameters = self.parameters(product, if number == 0 { 0 } else { product.inputs * self.quads });
            let (mut inputs, mut outputs, mut base) = (&product.rows, &product.positions, &product.weights);
            if let Some((list, stride)) = &lists[number] {
                (parameters.gather_inputs, parameters.input_stride, inputs) = (1, *stride, list);
            }
            if let Some(Some((list, stride))) = lists.get(number + 1) {
                (parameters.gather_outputs, parameters.output_stride, outputs) = (1, *stride, list);
            }
            let of_all;
            if layer.zeros.is_some() {
                of_all = self.rows(Slot::Base, product.outputs)?;
                (parameters.subtract, base) = (1, &of_all);
            }
            let buffers = ProductBuffers { product, bias: &product.bias, inputs, outputs, x: &x, base, out: &out };
            let share = (product.inputs * product.outputs) as f64 / all;
            let flops = share * of_draw * (draws * 4 * self.quads) as f64;
            let kernel = self.kernel(product);
            self.recorder.product(kernel, parameters, &buffers, draws as u32, flops);
            from = to;
            for activation in &layer.more {
                let count = (draws * product.outputs * self.quads) as u32;
                let (x, to) = (self.rows(from, draws * product.outputs)?, other(from, trunk));
                let out = self.rows(to, draws * product.outputs)?;
                let parameters = ApplyParameters { count, activation: activation.code() };
                self.recorder.each(Kernel::Apply, &parameters, &[&x, &out], count);
                from = to;
            }
        }
        Ok(from)
    }

    /// Adds up the statistics of logits; the buffer holds [group][3 · classes + 1][point].
    pub fn statistics(&mut self, logits: Slot, draws: usize, classes: usize, starts: &[u32]) -> Done<Buffer> {
        let groups = starts.len() - 1;
        let logits = self.rows(logits, draws * classes)?;
        let normal = self.rows(Slot::Normal, 4 * draws)?;
        let sums = self.rows(Slot::Sums, groups * (sums_len(classes) - 1))?;
        let starts = self.write(Slot::Starts, starts)?;
        let (quads, count) = (self.quads as u32, (draws * self.quads) as u32);
        self.recorder.each(Kernel::Softmax, &SoftmaxParameters { count, quads, classes: classes as u32 }, &[&logits, &normal], count);
        let count = (groups * classes * self.quads) as u32;
        let parameters = TallyParameters { count, quads, classes: classes as u32 };
        self.recorder.each(Kernel::Tally, &parameters, &[&logits, &normal, &starts, &sums], count);
        Ok(sums)
    }
}

/// Where the output of the trunk stands: a trunk without steps leaves the image where it is.
fn trunk_output(member: &Member, image: Slot) -> Slot {
    if member.trunk.is_empty() { image } else { TRUNK }
}

/// A slot for an output that overwrites neither its input nor what is to be kept.
fn other(from: Slot, keep: Slot) -> Slot {
    let free = (0..3).map(Slot::Scratch).find(|slot| *slot != from && *slot != keep);
    free.unwrap_or(Slot::Scratch(2))
}
