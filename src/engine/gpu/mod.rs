//! The engine in shaders, on any graphics processor that wgpu reaches: the same layers, masks and statistics as the CPU engine's, draw for
//! draw. Points go through in chunks; of a chunk the layers before the first dropout run once, draws run as thinned networks, the
//! statistics add up on the device, and only they come back, while the next chunk is already computing.

mod adapters;
mod bench;
mod device;
mod kernel;
mod network;
mod pass;
mod recorder;

pub use adapters::{AdapterReport, VARIABLE, devices, has_hardware, reports};

use super::reference::softmax;
use super::{Block, Draws, Engine, Input, Masks, Models, Profile};
use crate::error::{Error, Result};
use crate::nets::{Layer, Network};
use crate::uncertainty::{StatisticsGrid, sums_len};
use device::{Device, NoBuffer};
use kernel::{Kernel, Precision};
use network::{Member, Step, Tail, decoder, flops, most_rows, thinned_flops};
use pass::Pass;
use recorder::{Recorder, Slot, Slots, Times, read};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;
use wgpu::{Buffer, DeviceType, SubmissionIndex};

/// The device is not to be held longer than this by one kernel: it also paints the window.
const TURN_SECONDS: f64 = 0.008;
/// A block of points should take about this long.
const BLOCK_SECONDS: f64 = 0.03;
/// The speed is not learned from turns shorter than this.
const WORTH_MEASURING: f64 = 0.001;
/// The most bytes of one buffer of activations, however much the adapter would give.
const MOST_BYTES: u64 = 256 << 20;
/// The most draws that run together; their statistics are added up in single precision, those of several parts in double.
const MOST_DRAWS: usize = 64;
/// Draws run together only as far as so many points still fit into a buffer.
const FEWEST_POINTS: u64 = 64;

/// Opens the engine in single precision.
///
/// # Errors
/// When there is no adapter that can compute, its driver rejects a shader, it has no room for the decoder's weights, or a member's
/// weights are drawn.
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
/// Names the member and the layer.
pub fn check(models: &Models) -> Result<()> {
    for member in models.ensemble.members() {
        if let Some(layer) = member.network.layers().iter().find(|layer| matches!(layer, Layer::GaussianLinear { .. })) {
            return Err(Error::Engine(format!(
                "the weights of layer {} of '{}' are drawn, and the shaders draw only dropout masks",
                layer.label(),
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
    /// Empty where there is no decoder.
    decoder: Vec<Step>,
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
    /// Where times are taken: what each kernel took.
    times: Option<HashMap<Kernel, Times>>,
}

/// Statistics or logits on their way back.
struct Pending {
    what: What,
    staging: Buffer,
    bytes: u64,
    submission: SubmissionIndex,
    submitted: Instant,
    flops: f64,
}

/// What came back: [rows][points padded to four].
struct Received {
    what: What,
    values: Vec<f32>,
}

impl Received {
    /// The numbers of a row, point by point.
    fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.what.points.len().next_multiple_of(4)).map(|row| &row[..self.what.points.len()])
    }
}

/// Some points, a member by its place in the block, and some passes.
#[derive(Clone, Debug)]
struct What {
    points: Range<usize>,
    place: usize,
    passes: Range<usize>,
}

/// What a block is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Statistics,
    Logits,
}

impl Gpu {
    fn new(device: Arc<Device>, models: Arc<Models>, precision: Precision) -> Result<Self> {
        if !device.has(precision) {
            let lacking = if precision == Precision::Half { "16-bit floats" } else { "matrix units that shaders could use" };
            return Err(Error::Engine(format!("the graphics adapter {} has no {lacking}", device.name)));
        }
        let decoder = match &models.decoder {
            Some(network) => decoder(&device, network)?,
            None => Vec::new(),
        };
        // A first guess, low enough that no kernel is much too long; measured from the first block on.
        let rate = match device.kind {
            DeviceType::DiscreteGpu => 2e12,
            DeviceType::IntegratedGpu | DeviceType::VirtualGpu | DeviceType::Other => 2e11,
            DeviceType::Cpu => 2e9,
        };
        let most_bytes = device.most_bytes().min(MOST_BYTES);
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
                self.members[number] = Some(Member::new(&self.device, &self.models.ensemble.members()[number].network)?);
            }
        }
        Ok(())
    }

    /// The passes of a member that really differ: all draws of a network without dropout are one.
    fn passes(member: &Member, block: &Block<'_>) -> usize {
        if matches!(member.tail, Tail::None) { 1 } else { block.passes() }
    }

    /// The most rows of a draw's own activations.
    fn rows_of_draw(member: &Member, block: &Block<'_>) -> usize {
        match &member.tail {
            Tail::Thinnable(layers, _) if block.is_thinned() => layers.iter().map(|layer| layer.product.outputs).max().unwrap_or(1),
            Tail::None | Tail::Thinnable(..) | Tail::Steps(_) => most_rows(member.rest()),
        }
    }

    /// How many draws of a member run together.
    fn draws_together(&self, member: &Member, block: &Block<'_>) -> usize {
        let bytes = 4 * FEWEST_POINTS * Self::rows_of_draw(member, block) as u64;
        Self::passes(member, block).clamp(1, MOST_DRAWS).min((self.most_bytes / bytes.max(1)).max(1) as usize)
    }

    /// How many points of a block fit into memory and into a turn of the device, a multiple of four.
    fn points_together(&self, block: &Block<'_>) -> Result<usize> {
        let input = self.decoder.iter().flat_map(|step| step.rows).max().unwrap_or(1);
        let (mut rows, mut most_flops) = (input.max(self.models.ensemble.image_shape().iter().product()), flops(&self.decoder));
        for &number in block.members {
            let member = self.member(number)?;
            rows = rows.max(most_rows(&member.trunk)).max(self.draws_together(member, block) * Self::rows_of_draw(member, block));
            most_flops = most_flops.max(Self::flops(member, block));
        }
        let fitting = self.most_bytes as usize / (4 * rows);
        if fitting < 4 {
            return Err(self.device.error("its memory does not hold the activations of four points"));
        }
        let in_turn = (self.rate * TURN_SECONDS / most_flops.max(1.0)) as usize;
        // Fewer than fill a tile of the product would take as long; calls that are too long are split by the recorder.
        let tile = 4 * self.device.tile.quads() as usize;
        Ok(in_turn.max(tile).min(fitting) / 4 * 4)
    }

    /// The operations of a point through a member.
    fn flops(member: &Member, block: &Block<'_>) -> f64 {
        let passes = Self::passes(member, block) as f64;
        let tail = match &member.tail {
            Tail::Thinnable(layers, _) if block.is_thinned() => {
                let [of_draw, shared] = thinned_flops(layers);
                shared + passes * of_draw
            }
            Tail::None | Tail::Thinnable(..) | Tail::Steps(_) => passes * flops(member.rest()),
        };
        flops(&member.trunk) + tail
    }

    /// Which members of a block say the same in every draw.
    fn alike(&self, block: &Block<'_>) -> Result<Vec<bool>> {
        block.members.iter().map(|&number| self.member(number).map(|member| matches!(member.tail, Tail::None))).collect()
    }

    /// Runs a block in chunks of points, members and passes, one ahead of what is read; `take` is given what comes back,
    /// [rows][points padded to four].
    fn run(&mut self, block: &Block<'_>, wanted: Wanted, mut take: impl FnMut(&Received)) -> Result<()> {
        let numbers = block.point_numbers.len();
        let mut first = 0;
        let mut pending = None;
        while first < numbers {
            let points = first..numbers.min(first + self.points_together(block)?);
            let mut received = Vec::new();
            match self.chunk(block, wanted, points.clone(), &mut pending, &mut received) {
                Ok(()) => first = points.end,
                Err(NoBuffer::Failed(error)) => return Err(error),
                // Once more, with fewer points: what has come back of the chunk is dropped, lest it count twice.
                Err(NoBuffer::OutOfMemory) => {
                    if let Some(last) = pending.take() {
                        received.push(self.receive(last)?);
                    }
                    received.retain(|received| received.what.points.start < first);
                    self.run_short_of_memory();
                }
            }
            received.iter().for_each(&mut take);
        }
        pending.map_or(Ok(()), |last| self.receive(last).map(|received| take(&received)))
    }

    fn run_short_of_memory(&mut self) {
        self.slots.clear();
        self.most_bytes /= 2;
    }

    /// Submits some points of a block, and receives all but the last.
    fn chunk(
        &mut self,
        block: &Block<'_>,
        wanted: Wanted,
        points: Range<usize>,
        pending: &mut Option<Pending>,
        received: &mut Vec<Received>,
    ) -> std::result::Result<(), NoBuffer> {
        for (place, &number) in block.members.iter().enumerate() {
            let member = self.member(number).map_err(NoBuffer::Failed)?;
            let (passes, step) = (Self::passes(member, block), self.draws_together(member, block));
            for from in (0..passes).step_by(step) {
                let what = What { points: points.clone(), place, passes: from..passes.min(from + step) };
                let next = self.submit(block, wanted, what)?;
                if let Some(before) = pending.replace(next) {
                    received.push(self.receive(before).map_err(NoBuffer::Failed)?);
                }
            }
        }
        Ok(())
    }

    /// Records and submits some passes of a member. The first passes of a member bring its trunk along, those of the first member the
    /// images.
    fn submit(&mut self, block: &Block<'_>, wanted: Wanted, what: What) -> std::result::Result<Pending, NoBuffer> {
        let quads = what.points.len().div_ceil(4);
        let device = Arc::clone(&self.device);
        let most_flops = if self.times.is_some() { f64::INFINITY } else { self.rate * TURN_SECONDS };
        let mut recorder = Recorder::new(&device, most_flops);
        let number = block.members[what.place];
        let classes = self.models.ensemble.classes().len();
        let draws = what.passes.len();
        let staging_bytes;
        let from = {
            let member = self.members[number].as_ref().ok_or_else(|| NoBuffer::Failed(device.error("a member was not uploaded")))?;
            let mut pass =
                Pass { device: &device, slots: &mut self.slots, recorder: &mut recorder, precision: self.precision, quads, block };
            if what.place == 0 && what.passes.start == 0 {
                pass.load(&what.points, &self.decoder)?;
            }
            let image = pass.image(&self.decoder);
            if what.passes.start == 0 {
                pass.trunk(member, image)?;
            }
            let logits = pass.tail(member, number as u32, image, &what.passes)?;
            match wanted {
                Wanted::Logits => {
                    staging_bytes = 16 * (draws * classes * quads) as u64;
                    pass.take(logits, staging_bytes)?
                }
                Wanted::Statistics => {
                    // A network without dropout has one pass, which counts for all.
                    let starts = if matches!(member.tail, Tail::None) { vec![0, 1] } else { starts(block, &what.passes) };
                    staging_bytes = 16 * ((starts.len() - 1) * (sums_len(classes) - 1) * quads) as u64;
                    pass.statistics(logits, draws, classes, &starts)?
                }
            }
        };
        self.turn = 1 - self.turn;
        let staging = self.slots.take(&device, Slot::Staging(self.turn), staging_bytes)?;
        let flops = recorder.flops();
        let submitted = Instant::now();
        let submission = recorder.submit(&mut self.slots, Some((&from, &staging, staging_bytes)), self.times.as_mut())?;
        Ok(Pending { what, staging, bytes: staging_bytes, submission, submitted, flops })
    }

    /// Waits for what is on its way, and learns how fast the device is.
    fn receive(&mut self, pending: Pending) -> Result<Received> {
        let values = read(&self.device, &pending.staging, pending.bytes, pending.submission)?;
        let now = Instant::now();
        let seconds = now.duration_since(pending.submitted.max(self.finished)).as_secs_f64();
        self.finished = now;
        // Of a short turn most is the way there and back.
        if seconds > WORTH_MEASURING {
            self.rate = (pending.flops / seconds).clamp(self.rate / 2.0, self.rate * 2.0);
        }
        Ok(Received { what: pending.what, values })
    }
}

/// Where the groups of a part of the passes begin, relative to the part, and where the last ends.
fn starts(block: &Block<'_>, passes: &Range<usize>) -> Vec<u32> {
    let before = |group: usize| passes.clone().filter(|&pass| block.group(pass) < group).count() as u32;
    (0..=block.groups).map(before).collect()
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
            for group in 0..block.groups {
                let draws = passes.clone().filter(|&pass| block.group(pass) == group).count() as f64;
                let (rows, times) = if alike[*place] { (&rows[..], draws) } else { (&rows[group * (length - 1)..][..length - 1], 1.0) };
                for (at, point) in points.clone().enumerate() {
                    let sums = grid.sums_mut(point, place * block.groups + group);
                    sums.iter_mut().zip(rows).for_each(|(sum, row)| *sum += times * f64::from(row[at]));
                    sums[length - 1] += draws;
                }
            }
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
        pass.load(&points, &self.decoder)?;
        let image = pass.image(&self.decoder);
        let bytes = 16 * (pixels * quads) as u64;
        let from = pass.take(image, bytes)?;
        let staging = self.slots.take(&device, Slot::Staging(0), bytes)?;
        let submission = recorder.submit(&mut self.slots, Some((&from, &staging, bytes)), self.times.as_mut())?;
        read(&device, &staging, bytes, submission).map_err(NoBuffer::Failed)
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod twins;
