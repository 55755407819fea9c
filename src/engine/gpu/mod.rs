//! The engine in shaders, on any graphics processor that wgpu reaches: the same programs, masks and statistics as the CPU engine's, draw for
//! draw. Points go through in chunks; of a chunk the trunk runs once, draws run side by side, as thinned networks where they can, the
//! statistics add up on the device, and only they come back, while the next chunks are already computing.

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
mod results;
mod steps;
mod tuning;
mod weights;

pub use adapters::{AdapterReport, VARIABLE, devices, has_hardware, missing, reports};
pub use kernel::Precision;

use super::reference::softmax;
use super::{Block, Draws, Engine, Input, Masks, Models, Profile, Stop};
use crate::error::{Error, Result};
use crate::nets::{Network, Op};
use crate::uncertainty::{GroupSums, StatisticsGrid};
use chunks::{Traffic, Wanted, What};
use device::{Device, NoBuffer};
use network::{Member, Plan};
use pass::Pass;
use recorder::{Recorder, Slot, Slots, TimesByNode, read};
use results::Results;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;
use tuning::Tuning;
use wgpu::DeviceType;

/// A block of points should take about this long.
const BLOCK_SECONDS: f64 = 0.03;

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

/// Refuses overrides in the environment that make no sense on a graphics processor.
///
/// # Errors
/// Names the variable.
pub fn check_environment() -> Result<()> {
    Tuning::of_environment(DeviceType::DiscreteGpu).map(|_| ())
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
    /// What went through the device so far.
    traffic: Traffic,
    stop: Stop,
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
        let (rate, most_bytes) = (device.tuning.rate, device.most_bytes().min(device.tuning.most_bytes));
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
            traffic: Traffic::default(),
            stop: Stop::default(),
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

    /// Uploads the members of a block that are not there yet, and counts its operations.
    fn prepare(&mut self, block: &Block<'_>) -> Result<()> {
        if let Input::Latent(_) = block.input {
            self.decoder()?;
        }
        for &number in block.members {
            if self.members[number].is_none() {
                self.members[number] = Some(Member::new(&self.device, &self.models.ensemble.members()[number])?);
            }
        }
        let flops: f64 = block.members.iter().map(|&number| self.member(number).map_or(0.0, |member| Self::flops(member, block))).sum();
        self.flops_per_point = flops / block.members.len().max(1) as f64;
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

    fn heed(&mut self, stop: &Stop) {
        self.stop = stop.clone();
    }

    fn points_per_block(&self) -> usize {
        let points = self.rate * BLOCK_SECONDS / self.flops_per_point.max(1e7);
        (points as usize).clamp(16, 65_536)
    }

    fn statistics(&mut self, block: &Block<'_>) -> Result<StatisticsGrid> {
        self.prepare(block)?;
        let mut results = Results::in_groups(block, self.alike(block)?, self.models.ensemble.classes().len());
        self.run(block, Wanted::Statistics, |received| results.take(received))?;
        Ok(results.grid)
    }

    fn grouped_statistics(&mut self, block: &Block<'_>) -> Result<(StatisticsGrid, GroupSums)> {
        self.prepare(block)?;
        let mut results = Results::pooled(block, self.alike(block)?, self.models.ensemble.classes().len());
        self.run(block, Wanted::Pooled, |received| results.take(received))?;
        Ok(results.finish())
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
            self.stop.check()?;
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
        bench::profile(self, block).map(Some)
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
        let mut recorder = Recorder::new(&device, self.rate * self.device.tuning.turn_seconds);
        let mut pass = Pass { device: &device, slots: &mut self.slots, recorder: &mut recorder, precision: self.precision, quads, block };
        pass.load(&points, self.decoder.as_ref())?;
        let image = pass.image(self.decoder.as_ref());
        let bytes = 16 * (pixels * quads) as u64;
        let from = pass.take(image, bytes)?;
        let staging = self.slots.take(&device, Slot::Staging(0), bytes)?;
        let submission = recorder.submit(&mut self.slots, &[(from, bytes)], &staging, self.times.as_mut())?;
        read(&device, &staging, bytes, submission).map_err(NoBuffer::Failed)
    }
}

#[cfg(test)]
mod engine_tests;
#[cfg(test)]
mod program_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod twins;
