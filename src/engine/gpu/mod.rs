//! The engine in shaders, on any graphics processor that wgpu reaches: the same programs, masks and statistics as the CPU engine's, draw for
//! draw. Points go through in chunks; of a chunk the trunk runs once, draws run side by side, as thinned networks where they can, the
//! statistics add up on the device, and only they come back, while the next chunk is already computing.

mod adapters;
mod bench;
mod chunks;
mod device;
mod function;
mod kernel;
mod loop_limit;
mod network;
mod pass;
mod recorder;
mod steps;
mod weights;

pub use adapters::{AdapterReport, VARIABLE, devices, has_hardware, reports};

use super::reference::softmax;
use super::{Block, Draws, Engine, Input, Masks, Models, Profile};
use crate::error::{Error, Result};
use crate::nets::{Network, Op};
use crate::uncertainty::{StatisticsGrid, sums_len};
use chunks::{Wanted, What};
use device::{Device, NoBuffer};
use kernel::Precision;
use network::{Member, Plan};
use pass::Pass;
use rayon::prelude::*;
use recorder::{Recorder, Slot, Slots, TimesByNode, read};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;
use wgpu::DeviceType;

/// The device is not to be held longer than this by one kernel: it also paints the window.
const TURN_SECONDS: f64 = 0.008;
/// A block of points should take about this long.
const BLOCK_SECONDS: f64 = 0.03;
/// The most bytes of one buffer of activations, however much the adapter would give; of one with memory of its own.
const MOST_BYTES: u64 = 256 << 20;
const MOST_BYTES_OF_ITS_OWN: u64 = 1 << 30;

/// Opens the engine in single precision.
///
/// # Errors
/// When there is no adapter that can compute, its driver rejects a shader or ends long loops that the models take, it has no room for the
/// decoder's weights, or a member's weights are drawn.
pub fn open(models: Arc<Models>) -> Result<Box<dyn Engine>> {
    check(&models)?;
    Ok(Box::new(Gpu::new(Device::shared()?, models, Precision::Single)?))
}

/// Opens the engine with factors of 16 bits and sums of 32.
///
/// # Errors
/// As [`open`], and when the adapter has no 16-bit floats.
pub fn open_half(models: Arc<Models>) -> Result<Box<dyn Engine>> {
    check(&models)?;
    Ok(Box::new(Gpu::new(Device::shared()?, models, Precision::Half)?))
}

/// Opens the engine on matrix units, with factors of 16 bits and sums of 32.
///
/// # Errors
/// As [`open`], and when the adapter has no cooperative matrices of 16 × 16.
pub fn open_matrix(models: Arc<Models>) -> Result<Box<dyn Engine>> {
    check(&models)?;
    Ok(Box::new(Gpu::new(Device::shared()?, models, Precision::Matrix)?))
}

/// Refuses members whose weights are drawn: the shaders only draw masks.
///
/// # Errors
/// Names the member and the node.
pub fn check(models: &Models) -> Result<()> {
    for member in models.ensemble.members() {
        if let Some(node) = member.network.nodes().iter().find(|node| matches!(node.op, Op::GaussianLinear { .. })) {
            return Err(Error::Engine(format!(
                "the weights of node '{}' ({}) of '{}' are drawn, and the shaders draw only dropout masks",
                node.name,
                node.op.label(),
                member.name
            )));
        }
    }
    Ok(())
}

struct Gpu {
    device: Arc<Device>,
    precision: Precision,
    models: Arc<Models>,
    /// That of the models, if they have one.
    decoder: Option<Plan>,
    /// Uploaded when they are first asked.
    members: Vec<Option<Member>>,
    slots: Slots,
    /// Operations per second, as measured last.
    rate: f64,
    /// Those of the last block, per point.
    flops_per_point: f64,
    /// The most bytes of a buffer: less after the memory has once been short.
    most_bytes: u64,
    /// When the device finished what it did last.
    finished: Instant,
    /// Which staging buffer is next.
    turn: u8,
    /// Where times are taken: what each kernel took for each node.
    times: Option<TimesByNode>,
}

impl Gpu {
    fn new(device: Arc<Device>, models: Arc<Models>, precision: Precision) -> Result<Self> {
        if !device.has(precision) {
            let lacking = if precision == Precision::Half { "16-bit floats" } else { "matrix units that shaders could use" };
            return Err(Error::Engine(format!("the graphics adapter {} has no {lacking}", device.name)));
        }
        loop_limit::check(&device, &models)?;
        let decoder = models.decoder.as_ref().map(|network| Plan::decoder(&device, network)).transpose()?;
        // A first guess, low enough that no kernel is much too long; measured from the first block on.
        let rate = match device.kind {
            DeviceType::DiscreteGpu => 2e12,
            DeviceType::IntegratedGpu | DeviceType::VirtualGpu | DeviceType::Other => 2e11,
            DeviceType::Cpu => 2e9,
        };
        let most_bytes = if device.kind == DeviceType::DiscreteGpu { MOST_BYTES_OF_ITS_OWN } else { MOST_BYTES };
        let most_bytes = device.most_bytes().min(most_bytes);
        let members = models.ensemble.members().iter().map(|_| None).collect();
        let (slots, finished) = (Slots::default(), Instant::now());
        Ok(Self {
            device,
            precision,
            models,
            decoder,
            members,
            slots,
            rate,
            flops_per_point: 0.0,
            most_bytes,
            finished,
            turn: 0,
            times: None,
        })
    }

    fn decoder(&self) -> Result<&Network> {
        self.models.decoder.as_ref().ok_or_else(|| {
            Error::Network("these models have no decoder, so latent points have no images: choose models with a VAE".to_owned())
        })
    }

    fn member(&self, number: usize) -> Result<&Member> {
        self.members[number].as_ref().ok_or_else(|| self.device.error("a member was not uploaded"))
    }

    /// Uploads the members of a block that are not there yet.
    fn prepare(&mut self, block: &Block<'_>) -> Result<()> {
        if let Input::Latent(_) = block.input {
            self.decoder()?;
        }
        for &number in block.members {
            if self.members[number].is_none() {
                self.members[number] = Some(Member::new(&self.device, &self.models.ensemble.members()[number])?);
            }
        }
        Ok(())
    }

    /// Which members of a block say the same in every draw.
    fn alike(&self, block: &Block<'_>) -> Result<Vec<bool>> {
        block.members.iter().map(|&number| self.member(number).map(|member| !member.has_draws())).collect()
    }
}

impl Engine for Gpu {
    fn name(&self) -> &'static str {
        match self.precision {
            Precision::Single => "gpu",
            Precision::Half => "gpu-f16",
            Precision::Matrix => "gpu-matrix",
        }
    }

    fn points_per_block(&self) -> usize {
        let points = self.rate * BLOCK_SECONDS / self.flops_per_point.max(1e7);
        (points as usize).clamp(16, 65_536)
    }

    fn statistics(&mut self, block: &Block<'_>) -> Result<StatisticsGrid> {
        let (members, classes) = (block.members.len(), self.models.ensemble.classes().len());
        let mut grid = StatisticsGrid::new(block.point_numbers.len(), members * block.groups, classes);
        let length = sums_len(classes);
        self.prepare(block)?;
        let per_point: f64 = block.members.iter().map(|&number| self.member(number).map_or(0.0, |member| Self::flops(member, block))).sum();
        self.flops_per_point = per_point / members.max(1) as f64;
        let alike = self.alike(block)?;
        self.run(block, Wanted::Statistics, |received| {
            let What { points, place, passes } = &received.what;
            // One pass stands for all where there is no dropout.
            let passes = if alike[*place] { 0..block.passes() } else { passes.clone() };
            let rows: Vec<&[f32]> = received.rows().collect();
            let of_group = |group| passes.clone().filter(|&pass| block.group(pass) == group).count() as f64;
            let draws: Vec<f64> = (0..block.groups).map(of_group).collect();
            let of_point = members * block.groups * length;
            let cells = &mut grid.rows_mut()[points.start * of_point..points.end * of_point];
            // While the device computes what is next.
            cells.par_chunks_exact_mut(of_point).enumerate().for_each(|(at, cells)| {
                let cells = cells[place * block.groups * length..].chunks_exact_mut(length);
                for ((group, sums), &draws) in cells.enumerate().zip(&draws) {
                    let (rows, times) = if alike[*place] { (&rows[..], draws) } else { (&rows[group * (length - 1)..][..length - 1], 1.0) };
                    sums.iter_mut().zip(rows).for_each(|(sum, row)| *sum += times * f64::from(row[at]));
                    sums[length - 1] += draws;
                }
            });
        })?;
        Ok(grid)
    }

    fn decode(&mut self, z: &[f64]) -> Result<Vec<f32>> {
        let decoder = self.decoder()?;
        let (size, pixels) = (decoder.input_shape().iter().product::<usize>(), decoder.output_shape().iter().product::<usize>());
        let numbers: Vec<u32> = (0..(z.len() / size) as u32).collect();
        let block = Block {
            input: Input::Latent(z),
            point_numbers: &numbers,
            members: &[],
            draws: Draws::Deterministic,
            groups: 1,
            seed: 0,
            masks: Masks::Shared,
        };
        let mut images = Vec::with_capacity(numbers.len() * pixels);
        while images.len() < numbers.len() * pixels {
            let first = images.len() / pixels;
            let points = first..numbers.len().min(first + self.points_together(&block)?);
            match self.decode_some(&block, points.clone(), pixels) {
                Ok(values) => {
                    let padded = points.len().next_multiple_of(4);
                    (0..points.len()).for_each(|point| images.extend(values[point..].iter().step_by(padded)));
                }
                Err(NoBuffer::OutOfMemory) => self.run_short_of_memory(),
                Err(NoBuffer::Failed(error)) => return Err(error),
            }
        }
        Ok(images)
    }

    fn profile(&mut self, block: &Block<'_>) -> Result<Option<Profile>> {
        Ok(Some(Profile { peak_gflops: Some(bench::peak_gflops(&self.device)?), kernels: bench::kernel_times(self, block)? }))
    }

    fn probabilities(&mut self, block: &Block<'_>) -> Result<Vec<f64>> {
        let (members, all, classes) = (block.members.len(), block.passes(), self.models.ensemble.classes().len());
        let mut probabilities = vec![0.0; block.point_numbers.len() * members * all * classes];
        self.prepare(block)?;
        let alike = self.alike(block)?;
        self.run(block, Wanted::Logits, |received| {
            let What { points, place, passes } = &received.what;
            let rows: Vec<&[f32]> = received.rows().collect();
            for (rows, pass) in rows.chunks_exact(classes).zip(passes.clone()) {
                for (at, point) in points.clone().enumerate() {
                    let logits: Vec<f64> = rows.iter().map(|row| f64::from(row[at])).collect();
                    let p = softmax(&logits);
                    for pass in if alike[*place] { 0..all } else { pass..pass + 1 } {
                        let to = ((point * members + place) * all + pass) * classes;
                        probabilities[to..to + classes].copy_from_slice(&p);
                    }
                }
            }
        })?;
        Ok(probabilities)
    }
}

impl Gpu {
    /// Decodes some points: [pixels][points padded to four].
    fn decode_some(&mut self, block: &Block<'_>, points: Range<usize>, pixels: usize) -> std::result::Result<Vec<f32>, NoBuffer> {
        let device = Arc::clone(&self.device);
        let quads = points.len().div_ceil(4);
        let mut recorder = Recorder::new(&device, self.rate * TURN_SECONDS);
        let mut pass = Pass { device: &device, slots: &mut self.slots, recorder: &mut recorder, precision: self.precision, quads, block };
        pass.load(&points, self.decoder.as_ref())?;
        let image = pass.image(self.decoder.as_ref());
        let bytes = 16 * (pixels * quads) as u64;
        let from = pass.take(image, bytes)?;
        let staging = self.slots.take(&device, Slot::Staging(0), bytes)?;
        let submission = recorder.submit(&mut self.slots, Some((&from, &staging, bytes)), self.times.as_mut())?;
        read(&device, &staging, bytes, submission).map_err(NoBuffer::Failed)
    }
}

#[cfg(test)]
mod program_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod twins;
