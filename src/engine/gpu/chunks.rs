//! The chunks of points, members and passes in which a block goes through the device, one ahead of what is read.

use super::device::NoBuffer;
use super::network::{Member, flops, most_rows};
use super::pass::Pass;
use super::recorder::{Recorder, Slot, read};
use super::weights::thinned_flops;
use super::{Gpu, TURN_SECONDS};
use crate::engine::Block;
use crate::error::Result;
use crate::uncertainty::sums_len;
use std::ops::Range;
use std::sync::Arc;
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
    Statistics,
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
        let in_turn = (self.rate * TURN_SECONDS / most_flops.max(1.0)) as usize;
        // Fewer than fill a tile of the product would take as long; calls that are too long are split by the recorder.
        let tile = 4 * self.device.tile.quads() as usize;
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

    /// Runs a block in chunks of points, members and passes, one ahead of what is read; `take` is given what comes back,
    /// [rows][points padded to four].
    pub(super) fn run(&mut self, block: &Block<'_>, wanted: Wanted, mut take: impl FnMut(&Received)) -> Result<()> {
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

    pub(super) fn run_short_of_memory(&mut self) {
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
                pass.load(&what.points, self.decoder.as_ref())?;
            }
            let image = pass.image(self.decoder.as_ref());
            if what.passes.start == 0 {
                pass.trunk(member, image)?;
            }
            let logits = pass.head(member, number as u32, image, &what.passes)?;
            match wanted {
                Wanted::Logits => {
                    staging_bytes = 16 * (draws * classes * quads) as u64;
                    pass.take(logits, staging_bytes)?
                }
                Wanted::Statistics => {
                    // A network without dropout has one pass, which counts for all.
                    let starts = if member.has_draws() { starts(block, &what.passes) } else { vec![0, 1] };
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
        self.rate = learned(self.rate, pending.flops, seconds);
        Ok(Received { what: pending.what, values })
    }
}

/// The speed after a turn of so many operations and seconds. Of a short turn most is the way there and back: it says only, if it was about as
/// much as the speed so far allows, that the device is faster.
pub(super) fn learned(rate: f64, flops: f64, seconds: f64) -> f64 {
    if seconds > WORTH_MEASURING {
        (flops / seconds).clamp(rate / 2.0, rate * 2.0)
    } else if flops > 0.5 * rate * TURN_SECONDS {
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
