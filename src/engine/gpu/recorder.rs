//! Work for the device: kernels recorded one after another, submitted together.

use super::device::{Device, NoBuffer, PARAMETERS_STRIDE, PATIENCE};
use super::kernel::{Access, Kernel, Parameters, ProductParameters, THREADS};
use super::weights::Product;
use crate::error::Result;
use std::collections::HashMap;
use std::sync::Arc;
use wgpu::{
    BindGroup, BindGroupDescriptor, BindGroupEntry, BindingResource, Buffer, BufferBinding, BufferUsages, CommandEncoder,
    CommandEncoderDescriptor, ComputePassDescriptor, ComputePassTimestampWrites, QuerySet, QuerySetDescriptor, QueryType, SubmissionIndex,
};

/// The buffers of an engine, by what stands in them. They grow as needed and are kept from call to call.
#[derive(Default)]
pub struct Slots {
    buffers: HashMap<Slot, Buffer>,
    /// As if the memory were full beyond so many bytes a buffer.
    #[cfg(test)]
    pub most_bytes: Option<u64>,
}

/// What a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// What comes in: latent points or images, a row a coordinate or pixel.
    Input,
    /// The decoded images.
    Image,
    /// A value of a network, by the number of its buffer there; two slots a number, for no kernel writes what it reads.
    Value(u32, bool),
    /// What one instruction hands from kernel to kernel, in turn.
    Scratch(u8),
    /// The moments of a normalisation.
    Moments,
    /// The product that thinned draws are subtracted from.
    Base,
    /// Its parts.
    Parts,
    /// The listed inputs of each draw of a thinned layer.
    List(u8),
    /// What `softmax` leaves.
    Normal,
    /// The statistics, in groups of draws; without groups; the groups' over all members.
    Sums,
    Whole,
    Pooled,
    /// The points' numbers.
    Numbers,
    /// Where the groups of draws begin.
    Starts,
    /// The kernels' parameters.
    Parameters,
    /// What the processor reads, by turns.
    Staging(u8),
}

impl Slots {
    /// The buffer of a slot, with room for so many bytes.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn take(&mut self, device: &Device, slot: Slot, bytes: u64) -> std::result::Result<Buffer, NoBuffer> {
        if let Some(buffer) = self.buffers.get(&slot).filter(|buffer| buffer.size() >= bytes) {
            return Ok(buffer.clone());
        }
        #[cfg(test)]
        if self.most_bytes.is_some_and(|most| bytes > most) {
            return Err(NoBuffer::OutOfMemory);
        }
        // The old one first, so that both need not fit.
        self.buffers.remove(&slot);
        let usage = match slot {
            Slot::Staging(_) => BufferUsages::MAP_READ | BufferUsages::COPY_DST,
            Slot::Parameters => BufferUsages::UNIFORM | BufferUsages::COPY_DST,
            _ => BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC,
        };
        let buffer = device.buffer(&format!("{slot:?}"), bytes, usage)?;
        self.buffers.insert(slot, buffer.clone());
        Ok(buffer)
    }

    /// The bytes of all buffers but the parameters: into how many calls the work is split follows the adapter's speed.
    #[cfg(test)]
    pub fn bytes(&self) -> u64 {
        self.buffers.iter().filter(|(slot, _)| **slot != Slot::Parameters).map(|(_, buffer)| buffer.size()).sum()
    }

    /// Lets go of all buffers.
    pub fn clear(&mut self) {
        self.buffers.clear();
    }
}

/// The device times of kernels, by the node that they work for.
pub type TimesByNode = HashMap<(Kernel, Arc<str>), Times>;

/// The device time of a kernel's calls.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    pub calls: u64,
    pub seconds: f64,
    pub flops: f64,
}

struct Call {
    kernel: Kernel,
    activation: u32,
    node: Arc<str>,
    bindings: Vec<Buffer>,
    groups: [u32; 3],
    flops: f64,
}

/// A list of kernels to run.
pub struct Recorder<'a> {
    device: &'a Device,
    calls: Vec<Call>,
    parameters: Vec<u32>,
    /// What the next calls work for, in reports.
    node: Arc<str>,
    /// Operations that a single call should not exceed, so that the window's own painting gets its turn.
    most_flops: f64,
}

impl<'a> Recorder<'a> {
    pub fn new(device: &'a Device, most_flops: f64) -> Self {
        Self { device, calls: Vec::new(), parameters: Vec::new(), node: "".into(), most_flops }
    }

    /// Names the node that the next calls work for.
    pub fn works_for(&mut self, node: &Arc<str>) {
        self.node = Arc::clone(node);
    }

    /// The operations recorded so far.
    pub fn flops(&self) -> f64 {
        self.calls.iter().map(|call| call.flops).sum()
    }

    /// The kernels recorded so far.
    #[cfg(test)]
    pub fn kernels(&self) -> Vec<Kernel> {
        self.calls.iter().map(|call| call.kernel).collect()
    }

    fn call(&mut self, kernel: Kernel, parameters: &impl Parameters, bindings: &[&Buffer], groups: [u32; 3], flops: f64) {
        debug_assert_eq!(bindings.len(), kernel.bindings().len(), "{}", kernel.name());
        self.parameters.extend(parameters.words());
        self.parameters.resize((self.calls.len() + 1) * (PARAMETERS_STRIDE / 4) as usize, 0);
        let bindings = bindings.iter().map(|&buffer| buffer.clone()).collect();
        self.calls.push(Call { kernel, activation: parameters.activation(), node: Arc::clone(&self.node), bindings, groups, flops });
    }

    /// A kernel of one thread for each of `count` places, of `flops` operations in all.
    pub fn each(&mut self, kernel: Kernel, parameters: &impl Parameters, bindings: &[&Buffer], count: u32, flops: f64) {
        let most = self.device.limits.max_compute_workgroups_per_dimension;
        let groups = count.div_ceil(THREADS);
        let lines = groups.div_ceil(most);
        self.call(kernel, parameters, bindings, [groups.div_ceil(lines.max(1)), lines, 1], flops);
    }

    /// A kernel of so many workgroups.
    pub fn workgroups(&mut self, kernel: Kernel, parameters: &impl Parameters, bindings: &[&Buffer], groups: [u32; 3]) {
        self.call(kernel, parameters, bindings, groups, 0.0);
    }

    /// A product for `draws` draws of `flops` operations in all. `inputs` and `outputs` are lists, as `parameters` says.
    pub fn product(&mut self, kernel: Kernel, parameters: ProductParameters, buffers: &ProductBuffers<'_>, draws: u32, flops: f64) {
        let tile = kernel.tile(self.device.tuning.tile);
        let (columns, outputs) = (parameters.columns.div_ceil(tile.quads()), parameters.outputs.div_ceil(tile.outputs()));
        let ProductBuffers { product, bias, inputs, outputs: made, x, base, out } = *buffers;
        let bindings = [&product.weights, &product.weights, bias, inputs, made, x, base, out];
        // Columns are split first; where one tile of them is too long, its draws as well.
        let fitting = self.most_flops / flops.max(1.0);
        let most_columns = (f64::from(columns) * fitting) as u32;
        let most_columns = most_columns.clamp(1, self.device.limits.max_compute_workgroups_per_dimension);
        let most_draws = (f64::from(columns) * f64::from(draws) * fitting) as u32;
        let most_draws = if most_columns == 1 { most_draws.clamp(1, draws.max(1)) } else { draws.max(1) };
        for first_group in (0..columns).step_by(most_columns as usize) {
            for first_draw in (0..draws).step_by(most_draws as usize) {
                let (columns_now, draws_now) = (most_columns.min(columns - first_group), most_draws.min(draws - first_draw));
                let share = f64::from(columns_now) * f64::from(draws_now) / (f64::from(columns) * f64::from(draws));
                let parameters = ProductParameters { first_group, first_draw, ..parameters };
                self.call(kernel, &parameters, &bindings, [columns_now, outputs, draws_now], share * flops);
            }
        }
    }

    /// Submits the work; the first bytes of some buffers then go to `staging`, one after another.
    ///
    /// # Errors
    /// When a shader is rejected, there is no memory for the parameters, or the device fails.
    pub fn submit(
        self,
        slots: &mut Slots,
        results: &[(Buffer, u64)],
        staging: &Buffer,
        times: Option<&mut TimesByNode>,
    ) -> std::result::Result<SubmissionIndex, NoBuffer> {
        let Self { device, calls, parameters, .. } = self;
        let buffer = slots.take(device, Slot::Parameters, 4 * parameters.len() as u64)?;
        device.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(&parameters));
        let mut encoder = device.raw.create_command_encoder(&CommandEncoderDescriptor::default());
        match times {
            None => encode(device, &mut encoder, &calls, &buffer, None),
            Some(times) => timed(device, &calls, &buffer, times),
        }
        .map_err(NoBuffer::Failed)?;
        let mut offset = 0;
        for (buffer, bytes) in results {
            encoder.copy_buffer_to_buffer(buffer, 0, staging, offset, *bytes);
            offset += bytes;
        }
        let submission = device.queue.submit([encoder.finish()]);
        device.check().map_err(NoBuffer::Failed)?;
        Ok(submission)
    }
}

/// What a product takes and gives.
#[derive(Clone, Copy)]
pub struct ProductBuffers<'a> {
    pub product: &'a Product,
    pub bias: &'a Buffer,
    pub inputs: &'a Buffer,
    pub outputs: &'a Buffer,
    pub x: &'a Buffer,
    pub base: &'a Buffer,
    pub out: &'a Buffer,
}

/// Runs kernels; with a query set each in a pass of its own, between timestamps.
fn encode(device: &Device, encoder: &mut CommandEncoder, calls: &[Call], parameters: &Buffer, queries: Option<&QuerySet>) -> Result<()> {
    let mut groups = Vec::with_capacity(calls.len());
    for call in calls {
        let pipeline = device.pipeline(call.kernel, call.activation)?;
        groups.push((bind(device, call, &pipeline.layout, parameters), pipeline));
    }
    let numbered: Vec<_> = calls.iter().zip(&groups).enumerate().collect();
    let passes = if queries.is_some() { 1 } else { numbered.len().max(1) };
    for some in numbered.chunks(passes) {
        let timestamp_writes = queries.map(|query_set| ComputePassTimestampWrites {
            query_set,
            beginning_of_pass_write_index: Some(2 * some[0].0 as u32),
            end_of_pass_write_index: Some(2 * some[0].0 as u32 + 1),
        });
        let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor { label: None, timestamp_writes });
        for (number, (call, (group, pipeline))) in some {
            let [x, y, z] = call.groups;
            pass.set_pipeline(&pipeline.pipeline);
            pass.set_bind_group(0, group, &[*number as u32 * PARAMETERS_STRIDE]);
            pass.dispatch_workgroups(x, y, z);
        }
    }
    Ok(())
}

fn bind(device: &Device, call: &Call, layout: &wgpu::BindGroupLayout, parameters: &Buffer) -> BindGroup {
    let most = device.limits.max_storage_buffer_binding_size;
    let resource = |buffer| BindingResource::Buffer(BufferBinding { buffer, offset: 0, size: None });
    let uniform = BufferBinding { buffer: parameters, offset: 0, size: std::num::NonZeroU64::new(PARAMETERS_STRIDE.into()) };
    let mut entries = vec![BindGroupEntry { binding: 0, resource: BindingResource::Buffer(uniform) }];
    for (number, buffer) in call.bindings.iter().enumerate() {
        debug_assert!(buffer.size() <= most);
        entries.push(BindGroupEntry { binding: 1 + number as u32, resource: resource(buffer) });
    }
    debug_assert!(
        call.bindings
            .iter()
            .zip(call.kernel.bindings())
            .all(|(buffer, access)| *access == Access::Read || call.bindings.iter().filter(|other| *other == buffer).count() == 1),
        "{} reads what it writes",
        call.kernel.name()
    );
    device.raw.create_bind_group(&BindGroupDescriptor { label: Some(call.kernel.name()), layout, entries: &entries })
}

/// Runs kernels, waits for them and adds up their times.
fn timed(device: &Device, calls: &[Call], parameters: &Buffer, times: &mut TimesByNode) -> Result<()> {
    let mut encoder = device.raw.create_command_encoder(&CommandEncoderDescriptor::default());
    let count = 2 * calls.len() as u32;
    let queries = device.raw.create_query_set(&QuerySetDescriptor { label: None, ty: QueryType::Timestamp, count });
    encode(device, &mut encoder, calls, parameters, Some(&queries))?;
    let no_room = |problem| device.no_room(problem);
    let bytes = 8 * u64::from(count);
    let resolved = device.buffer("timestamps", bytes, BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC).map_err(no_room)?;
    let staging = device.buffer("timestamps", bytes, BufferUsages::MAP_READ | BufferUsages::COPY_DST).map_err(no_room)?;
    encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
    encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, bytes);
    let submission = device.queue.submit([encoder.finish()]);
    let stamps: Vec<u64> = read(device, &staging, bytes, submission)?;
    for (call, stamps) in calls.iter().zip(stamps.chunks_exact(2)) {
        let of_kernel = times.entry((call.kernel, Arc::clone(&call.node))).or_default();
        of_kernel.calls += 1;
        of_kernel.flops += call.flops;
        of_kernel.seconds += stamps[1].saturating_sub(stamps[0]) as f64 * f64::from(device.queue.get_timestamp_period()) / 1e9;
    }
    Ok(())
}

/// The first bytes of a staging buffer, as soon as the submission that fills it is done.
///
/// # Errors
/// When the device fails.
pub fn read<T: bytemuck::Pod>(device: &Device, staging: &Buffer, bytes: u64, submission: SubmissionIndex) -> Result<Vec<T>> {
    let (done, mapped) = std::sync::mpsc::channel();
    // Nobody listens any more only where the wait has failed.
    staging.map_async(wgpu::MapMode::Read, 0..bytes, move |result| done.send(result).unwrap_or(()));
    device.wait(submission)?;
    // Another thread's wait may have taken up this callback, and be about to call it.
    let mapped = mapped.recv_timeout(PATIENCE).map_err(|_| device.error("it does not hand over its results"))?;
    mapped.map_err(|error| device.error(error))?;
    let range = staging.get_mapped_range(0..bytes).map_err(|error| device.error(error))?;
    let values = bytemuck::pod_collect_to_vec(&range);
    drop(range);
    staging.unmap();
    Ok(values)
}
