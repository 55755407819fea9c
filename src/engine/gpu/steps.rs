//! The steps of a network on their way to the device: which kernel takes what.

use super::function::Code;
use super::kernel::{
    AffineParameters, ApplyParameters, ChannelSoftmaxParameters, CombineParameters, GroupedParameters, Kernel, MaskParameters,
    MomentsParameters, NormaliseParameters, PlaneParameters, Precision, ProductParameters, TotalParameters,
};
use super::network::{Kind, Step};
use super::pass::{Done, Masking, Pass};
use super::recorder::{ProductBuffers, Slot};
use super::weights::{Grouped, Product, Split};
use crate::engine::Masks;
use crate::nets::Function;
use crate::random::drop_threshold;
use wgpu::Buffer;

/// Vec4s of points of a workgroup of `moments.wgsl`.
pub(super) const MOMENTS_LANES: u32 = 16;

/// What a step works on.
struct Operands<'a> {
    x: &'a Buffer,
    out: &'a Buffer,
    draws: usize,
}

impl Pass<'_, '_, '_> {
    pub fn kernel(&self, product: &Product) -> Kernel {
        Kernel::Product(if product.exact { Precision::Single } else { self.precision })
    }

    /// Those of a product whose input and whole output have so many rows a draw.
    pub fn parameters(&self, product: &Product, x_rows: usize, out_rows: usize) -> ProductParameters {
        let Code { activation, low, high } = Code::of(product.then);
        let vec4s = |rows: usize| (rows * self.quads) as u32;
        ProductParameters {
            quads: self.quads as u32,
            columns: vec4s(product.places),
            outputs: product.outputs as u32,
            weight_quads: product.outputs.div_ceil(4) as u32,
            x_draw: vec4s(x_rows),
            out_draw: vec4s(out_rows),
            out_start: vec4s(product.first),
            out_plane: vec4s(product.scatter.unwrap_or(0)),
            scatter: u32::from(product.scatter.is_some()),
            scale: 1.0f32.to_bits(),
            activation,
            low,
            high,
            ..ProductParameters::default()
        }
    }

    /// Runs steps of a network whose input stands in `input`, on so many draws side by side.
    pub fn steps(&mut self, steps: &[Step], input: Slot, draws: usize, masking: Option<Masking>) -> Done<()> {
        steps.iter().try_for_each(|step| self.step(step, input, draws, masking))
    }

    /// A function of so many rows.
    pub fn apply(&mut self, function: Option<Function>, [x, out]: [&Buffer; 2], rows: usize) {
        let Code { activation, low, high } = Code::of(function);
        let count = (rows * self.quads) as u32;
        let parameters = ApplyParameters { count, part: count, activation, low, high, ..ApplyParameters::default() };
        self.recorder.each(Kernel::Apply, &parameters, &[x, out], count, 0.0);
    }

    fn step(&mut self, step: &Step, input: Slot, draws: usize, masking: Option<Masking>) -> Done<()> {
        self.recorder.works_for(&step.node);
        let (first, output) = (step.inputs[0], step.output);
        let draws = if output.drawn { draws } else { 1 };
        let (x, out) = (self.place(first, input, draws)?, self.place(output, input, draws)?);
        let quads = self.quads as u32;
        let vec4s = |rows: usize| rows as u32 * quads;
        let own = |place: super::network::Place| if place.drawn { vec4s(place.rows) } else { 0 };
        let (count, x_draw) = (vec4s(draws * output.rows), own(first));
        let Code { activation, low, high } = Code::of(step.then);
        let operands = Operands { x: &x, out: &out, draws };
        match &step.kind {
            Kind::Products(products) => products.iter().try_for_each(|product| self.product(product, step, &operands))?,
            Kind::Grouped(phases) => phases.iter().for_each(|phase| self.grouped(phase, step, &operands)),
            Kind::Plane { starts, taps, maximum, size, to } => {
                let (size, to, maximum) = (*size as u32, *to as u32, u32::from(*maximum));
                let parameters = PlaneParameters { count, quads, size, to, maximum, activation, low, high };
                self.recorder.each(Kernel::Plane, &parameters, &[starts, taps, &x, &out], count, 0.0);
            }
            Kind::Apply { first: row } => {
                let (part, count) = (vec4s(first.rows), vec4s(draws * first.rows));
                let (out_draw, out_start) = (vec4s(output.rows), vec4s(*row));
                let parameters = ApplyParameters { count, part, x_draw, out_draw, out_start, activation, low, high };
                self.recorder.each(Kernel::Apply, &parameters, &[&x, &out], count, 0.0);
            }
            Kind::Affine { coefficients, units } => {
                let (unit_quads, units) = (vec4s(output.rows / units), *units as u32);
                let parameters = AffineParameters { count, unit_quads, units, activation, low, high };
                self.recorder.each(Kernel::Affine, &parameters, &[coefficients, &x, &out], count, 0.0);
            }
            Kind::Normalise { coefficients, units, runs, epsilon } => {
                let run_rows = output.rows / runs;
                let moments = self.rows(Slot::Moments, 2 * draws * runs)?;
                let parameters = MomentsParameters { quads, rows: run_rows as u32, epsilon: (*epsilon as f32).to_bits() };
                let groups = [quads.div_ceil(MOMENTS_LANES), *runs as u32, draws as u32];
                self.recorder.workgroups(Kernel::Moments, &parameters, &[&x, &moments], groups);
                let (rows, run_rows, unit_rows) = (output.rows as u32, run_rows as u32, (output.rows / units) as u32);
                let parameters = NormaliseParameters { count, quads, rows, run_rows, unit_rows, activation, low, high };
                self.recorder.each(Kernel::Normalise, &parameters, &[coefficients, &moments, &x, &out], count, 0.0);
            }
            Kind::Combine { multiply } => {
                let second = step.inputs[1];
                let y = self.place(second, input, draws)?;
                let (part, unit, y_draw) = (vec4s(output.rows), (output.rows / second.rows) as u32, own(second));
                let multiply = u32::from(*multiply);
                let parameters = CombineParameters { count, quads, part, x_draw, y_draw, unit, multiply, activation, low, high };
                self.recorder.each(Kernel::Combine, &parameters, &[&x, &y, &out], count, 0.0);
            }
            Kind::Softmax { size, log } => {
                let (places, channels) = (*size as u32, (output.rows / size) as u32);
                let count = vec4s(draws * size);
                let parameters = ChannelSoftmaxParameters { count, quads, places, channels, log: u32::from(*log) };
                self.recorder.each(Kernel::ChannelSoftmax, &parameters, &[&x, &out], count, 0.0);
            }
            Kind::Mask { stream, rate, size } => {
                let Some(Masking { member, first_draw }) = masking else {
                    self.apply(None, [&x, &out], output.rows);
                    return Ok(());
                };
                let units = output.rows / size;
                let count = vec4s(draws * units.div_ceil(4));
                let parameters = MaskParameters {
                    count,
                    quads,
                    units: units as u32,
                    size: *size as u32,
                    x_draw,
                    first_draw,
                    stream: *stream,
                    seed: self.block.seed,
                    member,
                    threshold: drop_threshold(*rate),
                    scale: ((1.0 / (1.0 - rate)) as f32).to_bits(),
                    per_point: u32::from(self.block.masks == Masks::PerPoint),
                };
                let numbers = self.take(Slot::Numbers, 0)?;
                self.recorder.each(Kernel::Mask, &parameters, &[&numbers, &x, &out], count, 0.0);
            }
        }
        Ok(())
    }

    fn product(&mut self, product: &Product, step: &Step, &Operands { x, out, draws }: &Operands<'_>) -> Done<()> {
        let parameters = self.parameters(product, step.inputs[0].rows, step.output.rows);
        let flops = product.flops() * (4 * draws * self.quads) as f64;
        if draws == 1 {
            return self.shared_product(product, parameters, [&product.bias, x, out], flops);
        }
        let (bias, inputs, outputs, base) = (&product.bias, &product.rows, &product.positions, &product.weights);
        let buffers = ProductBuffers { product, bias, inputs, outputs, x, base, out };
        self.recorder.product(self.kernel(product), parameters, &buffers, draws as u32, flops);
        Ok(())
    }

    /// A product of one draw, or that draws share, of `flops` operations; in parts of its inputs where it does not fill the adapter.
    pub fn shared_product(
        &mut self,
        product: &Product,
        parameters: ProductParameters,
        [bias, x, out]: [&Buffer; 3],
        flops: f64,
    ) -> Done<()> {
        let kernel = self.kernel(product);
        let (tile, split) = (kernel.tile(self.device.tuning.tile), self.device.tuning.split_k);
        let workgroups = parameters.columns.div_ceil(tile.quads()) * parameters.outputs.div_ceil(tile.outputs());
        let count = product.outputs * self.quads;
        let is_small = workgroups < self.device.workgroups_to_fill && 16 * (split * count) as u64 <= self.device.most_bytes();
        let (outputs, base) = (&product.positions, &product.weights);
        let Some(Split { zeros, parts: lists }) = product.split.as_ref().filter(|_| is_small) else {
            let buffers = ProductBuffers { product, bias, inputs: &product.rows, outputs, x, base, out };
            self.recorder.product(kernel, parameters, &buffers, 1, flops);
            return Ok(());
        };
        let ProductParameters { activation, low, high, .. } = parameters;
        let some = self.rows(Slot::Parts, split * product.outputs)?;
        let of_parts = ProductParameters {
            gather_inputs: 1,
            input_stride: Split::stride(product.inputs, split) as u32,
            x_draw: 0,
            out_draw: count as u32,
            activation: 0,
            ..parameters
        };
        let buffers = ProductBuffers { product, bias: zeros, inputs: lists, outputs, x, base, out: &some };
        self.recorder.product(kernel, of_parts, &buffers, split as u32, flops);
        let (count, parts, quads) = (count as u32, split as u32, self.quads as u32);
        let total = TotalParameters { count, parts, quads, activation, low, high };
        self.recorder.each(Kernel::Total, &total, &[&some, bias, out], count, 0.0);
        Ok(())
    }

    fn grouped(&mut self, phase: &Grouped, step: &Step, &Operands { x, out, draws }: &Operands<'_>) {
        let vec4s = |rows: usize| (rows * self.quads) as u32;
        let Code { activation, low, high } = Code::of(step.then);
        let count = vec4s(draws * phase.outputs * phase.places);
        let parameters = GroupedParameters {
            count,
            quads: self.quads as u32,
            positions: phase.places as u32,
            outputs: phase.outputs as u32,
            taps: phase.tap_count as u32,
            group_outputs: phase.group_outputs as u32,
            group_rows: phase.group_rows as u32,
            x_draw: vec4s(step.inputs[0].rows),
            out_draw: vec4s(step.output.rows),
            out_plane: vec4s(phase.plane),
            activation,
            low,
            high,
        };
        let flops = phase.flops() * (4 * draws * self.quads) as f64;
        let buffers = [&phase.weights, &phase.bias, &phase.taps, &phase.positions, x, out];
        self.recorder.each(Kernel::Grouped, &parameters, &buffers, count, flops);
    }
}
