//! The chunks of points, members and passes in which a block goes through the device, some ahead of what is read.

use super::Gpu;
use super::device::NoBuffer;
use super::network::{Member, flops, most_rows};
use super::pass::Pass;
use super::recorder::{Recorder, Slot, read};
use super::weights::thinned_flops;
use crate::engine::Block;
use crate::error::{Error, Result};
use crate::uncertainty::sums_len;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Instant;
use wgpu::{Buffer, SubmissionIndex};

/// The speed is not learned from turns shorter than this.
const WORTH_MEASURING: f64 = 0.001;
/// The most draws that run together; their statistics are added up in single precision, those of several parts in double.
const MOST_DRAWS: usize = 64;
/// Draws run together only as far as so many points still fit into a buffer.
const FEWEST_POINTS: u64 = 64;

/// Statistics or logits on their way back.
pub(super) struct Pending {
    pub(super) what: What,
    staging: Buffer,
    bytes: u64,
    submission: SubmissionIndex,
    submitted: Instant,
    flops: f64,
}

/// What came back: [rows][points padded to four].
pub(super) struct Received {
    pub(super) what: What,
    pub(super) values: Vec<f32>,
}

impl Received {
    /// The numbers of a row, point by point.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.what.points.len().next_multiple_of(4)).map(|row| &row[..self.what.points.len()])
    }
}

/// What went through the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) submissions: u64,
    /// Bytes that came back.
    pub(super) bytes: u64,
    /// The most points of a submission.
    pub(super) points: usize,
}

/// Some points, a member by its place in the block, and some passes.
#[derive(Clone, Debug)]
pub(super) struct What {
    pub(super) points: Range<usize>,
    pub(super) place: usize,
    pub(super) passes: Range<usize>,
}

/// What a block is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// In groups, those of each member.
    Statistics,
    /// Without groups, and the sums of each group over all members.
    Pooled,
    Logits,
}

impl Gpu {
    /// The passes of a member that really differ: all draws of a network without dropout are one.
    pub(super) fn passes(member: &Member, block: &Block<'_>) -> usize {
        if member.has_draws() { block.passes() } else { 1 }
    }

    /// The most rows of a draw's own activations.
    fn rows_of_draw(member: &Member, block: &Block<'_>) -> usize {
        match &member.thinned {
            Some(layers) if block.is_thinned() => layers.iter().map(|layer| layer.product.outputs).max().unwrap_or(1),
            _ => most_rows(&member.plan.head),
        }
    }

    /// How many draws of a member run together.
    fn draws_together(&self, member: &Member, block: &Block<'_>) -> usize {
        let bytes = 4 * FEWEST_POINTS * Self::rows_of_draw(member, block) as u64;
        Self::passes(member, block).clamp(1, MOST_DRAWS).min((self.most_bytes / bytes.max(1)).max(1) as usize)
    }

    /// How many points of a block fit into memory and into a turn of the device, a multiple of four.
    pub(super) fn points_together(&self, block: &Block<'_>) -> Result<usize> {
        let pixels = self.models.ensemble.image_shape().iter().product::<usize>();
        let decoder = self.decoder.as_ref();
        let mut rows = pixels.max(decoder.map_or(1, |decoder| decoder.rows(1)));
        let mut most_flops = decoder.map_or(0.0, |decoder| flops(&decoder.trunk) + flops(&decoder.head));
        for &number in block.members {
            let member = self.member(number)?;
            let draws = self.draws_together(member, block);
            let of_member = match &member.thinned {
                Some(_) if block.is_thinned() => member.plan.trunk_rows().max(draws * Self::rows_of_draw(member, block)),
                _ => member.plan.rows(draws),
            };
            rows = rows.max(of_member);
            most_flops = most_flops.max(Self::flops(member, block));
        }
        let fitting = self.most_bytes as usize / (4 * rows);
        if fitting < 4 {
            return Err(self.device.error("its memory does not hold the activations of four points"));
        }
        let in_turn = (self.rate * self.device.tuning.turn_seconds / most_flops.max(1.0)) as usize;
        // Fewer than fill a tile of the product would take as long; calls that are too long are split by the recorder.
        let tile = 4 * self.device.tuning.tile.quads() as usize;
        Ok(in_turn.max(tile).min(fitting) / 4 * 4)
    }

    /// The operations of a point through a member.
    pub(super) fn flops(member: &Member, block: &Block<'_>) -> f64 {
        let passes = Self::passes(member, block) as f64;
        let head = match &member.thinned {
            Some(layers) if block.is_thinned() => {
                let [of_draw, shared] = thinned_flops(layers);
                shared + passes * of_draw
            }
            _ => passes * flops(&member.plan.head),
        };
        flops(&member.plan.trunk) + head
    }

    /// Runs a block in chunks of points, members and passes, some ahead of what is read. A thread of its own gives `take` what comes back,
    /// [rows][points padded to four]; a chunk that ran short of memory comes once more, in smaller ones.
    pub(super) fn run(&mut self, block: &Block<'_>, wanted: Wanted, mut take: impl FnMut(&Received) + Send) -> Result<()> {
        std::thread::scope(|scope| {
            let (sender, arrived) = sync_channel::<Received>(self.device.tuning.ahead + 1);
            let thread = std::thread::Builder::new().name("statistics".to_owned());
            let taking = move || arrived.iter().for_each(|received| take(&received));
            thread.spawn_scoped(scope, taking).map_err(|error| self.device.error(format!("no thread takes its results: {error}")))?;
            self.chunks(block, wanted, &sender)
        })
    }

    fn chunks(&mut self, block: &Block<'_>, wanted: Wanted, sender: &SyncSender<Received>) -> Result<()> {
        let numbers = block.point_numbers.len();
        let mut first = 0;
        let mut pending = VecDeque::new();
        while first < numbers {
            let points = first..numbers.min(first + self.points_together(block)?);
            match self.chunk(block, wanted, points.clone(), &mut pending, sender) {
                Ok(()) => first = points.end,
                Err(NoBuffer::Failed(error)) => return Err(error),
                Err(NoBuffer::OutOfMemory) => {
                    // Of this chunk nothing more is read.
                    pending.retain(|pending: &Pending| pending.what.points.start < first);
                    self.receive(&mut pending, 0, sender)?;
                    self.run_short_of_memory();
                }
            }
        }
        self.receive(&mut pending, 0, sender)
    }

    pub(super) fn run_short_of_memory(&mut self) {
        self.slots.clear();
        self.most_bytes /= 2;
    }

    /// Submits some points of a block, and receives what was submitted before, up to as many submissions as may stay on their way.
    fn chunk(
        &mut self,
        block: &Block<'_>,
        wanted: Wanted,
        points: Range<usize>,
        pending: &mut VecDeque<Pending>,
        sender: &SyncSender<Received>,
    ) -> std::result::Result<(), NoBuffer> {
        for (place, &number) in block.members.iter().enumerate() {
            let member = self.member(number).map_err(NoBuffer::Failed)?;
            let (passes, step) = (Self::passes(member, block), self.draws_together(member, block));
            for from in (0..passes).step_by(step) {
                if self.stop.is_set() {
                    self.receive(pending, 0, sender).map_err(NoBuffer::Failed)?;
                    return Err(NoBuffer::Failed(Error::Cancelled));
                }
                let what = What { points: points.clone(), place, passes: from..passes.min(from + step) };
                pending.push_back(self.submit(block, wanted, what)?);
                self.receive(pending, self.device.tuning.ahead, sender).map_err(NoBuffer::Failed)?;
            }
        }
        Ok(())
    }

    /// Records and submits some passes of a member. The first passes of a member bring its trunk along, those of the first member the
    /// images.
    fn submit(&mut self, block: &Block<'_>, wanted: Wanted, what: What) -> std::result::Result<Pending, NoBuffer> {
        let quads = what.points.len().div_ceil(4);
        let device = Arc::clone(&self.device);
        let most_flops = if self.times.is_some() { f64::INFINITY } else { self.rate * self.device.tuning.turn_seconds };
        let mut recorder = Recorder::new(&device, most_flops);
        let number = block.members[what.place];
        let classes = self.models.ensemble.classes().len();
        let draws = what.passes.len();
        let bytes = |rows: usize| 16 * (rows * quads) as u64;
        let mut results = Vec::new();
        let has_draws = |number: &usize| self.members[*number].as_ref().is_some_and(Member::has_draws);
        let member = self.members[number].as_ref().ok_or_else(|| NoBuffer::Failed(device.error("a member was not uploaded")))?;
        let mut pass = Pass { device: &device, slots: &mut self.slots, recorder: &mut recorder, precision: self.precision, quads, block };
        if what.place == 0 && what.passes.start == 0 {
            pass.load(&what.points, self.decoder.as_ref())?;
        }
        let image = pass.image(self.decoder.as_ref());
        if what.passes.start == 0 {
            pass.trunk(member, image)?;
        }
        let logits = pass.head(member, number as u32, image, &what.passes)?;
        if wanted == Wanted::Logits {
            let bytes = bytes(draws * classes);
            results.push((pass.take(logits, bytes)?, bytes));
        } else {
            // A network without dropout has one pass, which counts for all.
            let starts = if member.has_draws() { starts(block, &what.passes) } else { vec![0, 1] };
            let (groups, rows) = (starts.len() - 1, sums_len(classes) - 1);
            let sums = pass.statistics(logits, draws, classes, &starts)?;
            if wanted == Wanted::Pooled && member.has_draws() {
                let is_first = what.passes.start == 0 && !block.members[..what.place].iter().any(has_draws);
                let is_last = what.passes.end == block.passes() && !block.members[what.place + 1..].iter().any(has_draws);
                let [whole, pooled] = pass.pool(&sums, groups, classes, is_first)?;
                results.push((whole, bytes(rows)));
                if is_last {
                    results.push((pooled, bytes(groups * (classes + 1))));
                }
            } else {
                results.push((sums, bytes(groups * rows)));
            }
        }
        // Those on their way keep their staging buffers.
        self.turn = (self.turn + 1) % (self.device.tuning.ahead as u8 + 1);
        let staging_bytes = results.iter().map(|(_, bytes)| bytes).sum();
        let staging = self.slots.take(&device, Slot::Staging(self.turn), staging_bytes)?;
        let flops = recorder.flops();
        let submitted = Instant::now();
        let submission = recorder.submit(&mut self.slots, &results, &staging, self.times.as_mut())?;
        self.traffic.submissions += 1;
        self.traffic.bytes += staging_bytes;
        self.traffic.points = self.traffic.points.max(what.points.len());
        Ok(Pending { what, staging, bytes: staging_bytes, submission, submitted, flops })
    }

    /// Waits for what is on its way until so many submissions are left, hands it over, and learns how fast the device is.
    fn receive(&mut self, pending: &mut VecDeque<Pending>, left: usize, sender: &SyncSender<Received>) -> Result<()> {
        while pending.len() > left {
            let Some(next) = pending.pop_front() else { break };
            let values = read(&self.device, &next.staging, next.bytes, next.submission)?;
            let now = Instant::now();
            let seconds = now.duration_since(next.submitted.max(self.finished)).as_secs_f64();
            self.finished = now;
            self.rate = learned(self.rate, next.flops, seconds, self.device.tuning.turn_seconds);
            // Nobody listens any more only where taking the results has panicked, which the end of the scope passes on.
            sender.send(Received { what: next.what, values }).unwrap_or(());
        }
        Ok(())
    }
}

/// The speed after a submission of so many operations and seconds, where a turn should last `turn` seconds. Of a short one most is the way
/// there and back: it says only, if it was about as much as the speed so far allows, that the device is faster.
pub(super) fn learned(rate: f64, flops: f64, seconds: f64, turn: f64) -> f64 {
    if seconds > WORTH_MEASURING {
        (flops / seconds).clamp(rate / 2.0, rate * 2.0)
    } else if flops > 0.5 * rate * turn {
        2.0 * rate
    } else {
        rate
    }
}

/// Where the groups of a part of the passes begin, relative to the part, and where the last ends.
fn starts(block: &Block<'_>, passes: &Range<usize>) -> Vec<u32> {
    let before = |group: usize| passes.clone().filter(|&pass| block.group(pass) < group).count() as u32;
    (0..=block.groups).map(before).collect()
}
