//! The fast engine: rayon over panels of points, and within the steps of a network where there are fewer panels than threads; one matrix product for every kind of layer, the trunk once per point, and draws as
//! thinned networks. All sums run in an order that neither the number of threads nor
//! the place of a point in its block changes, so results are equal to the bit.

#![allow(clippy::inline_always, reason = "code uses the wide registers only where it is inlined into what pulp dispatches")]
#![allow(clippy::needless_range_loop, reason = "loops over the points of a panel go through several arrays in step")]

pub mod bench;
mod convolution;
mod functions;
mod gaussian;
mod kernel;
mod masks;
mod prepare;
mod scratch;
mod sharing;
mod steps;
mod tally;
mod thinned;
mod winograd;

use super::{Block, Draws, Engine, Input, KernelTime, Masks, Models, Profile, Stop};
use crate::error::{Error, Result};
use crate::nets::lowering::lower;
use crate::nets::{Classifier, Ending, Network};
use crate::uncertainty::{StatisticsGrid, sums_len};
use kernel::{LANES, Row};
use masks::Address;
use rayon::prelude::*;
use scratch::{Scratch, Time, Times};
use sharing::{Sharing, in_groups, tasks_within};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use steps::{Steps, run};
use tally::{Tally, softmax};
use thinned::{Thinnable, Thinned};

/// Thinned draws are kept from call to call up to so many bytes (five of the paper's networks with a hundred draws take
/// 295 MB). A block that needs more runs in parts; a part takes at least one draw of each member.
const MOST_THINNED_BYTES: usize = 320 << 20;

/// The most panels that one task runs together. The weights of a thinned draw then leave the outer cache once for all of
/// them; more would push the panels themselves out of it.
const MOST_PANELS: usize = 2;

/// The activations of tasks that run at once take about so many bytes at most, one task excepted: each holds the live values of its network
/// for a panel of points.
const MOST_ACTIVATION_BYTES: usize = 2 << 30;

/// Opens the engine. The weights of a member are packed, and what is fused is decided, when it is first asked.
///
/// # Errors
/// None so far: every network runs.
pub fn open(models: Arc<Models>) -> Result<Box<dyn Engine>> {
    let decoder = models.decoder.as_ref().map(|network| Steps::new(&lower(network, Ending::Logits)));
    let members = models.ensemble.members().iter().map(|_| OnceLock::new()).collect();
    Ok(Box::new(Cpu {
        models,
        decoder,
        members,
        seed: 0,
        thinned: HashMap::new(),
        scratches: Mutex::default(),
        times: None,
        stop: Stop::default(),
    }))
}

/// The outputs of a network for many inputs, without draws; `inputs` \[N, input\], the result \[N, output\].
pub fn outputs(network: &Network, inputs: &[f32]) -> Vec<f32> {
    let steps = Steps::new(&lower(network, Ending::Logits));
    let [taken, made] = [network.input_shape(), network.output_shape()].map(|shape| shape.iter().product::<usize>());
    let count = inputs.len() / taken;
    let mut all = vec![0.0; count * made];
    in_groups(&mut all, LANES * made, tasks_within(MOST_ACTIVATION_BYTES, steps.rows, rayon::current_num_threads()), |panel, outputs| {
        let mut scratch = Scratch::default();
        scratch.share(1);
        steps.reserve(&mut scratch);
        load(inputs, |value| value, count, panel, &mut scratch.buffers[steps.input]);
        run(&steps.all, None, &mut scratch);
        write_lanes(&scratch.buffers[steps.output], outputs, made);
    });
    all
}

/// Writes the vectors of a panel, \[points, length\].
fn write_lanes(rows: &[Row], vectors: &mut [f32], length: usize) {
    for (lane, vector) in vectors.chunks_mut(length).enumerate() {
        vector.iter_mut().zip(rows).for_each(|(value, row)| *value = row.0[lane]);
    }
}

/// What it has to compute with: threads and vectors.
pub fn devices() -> Vec<String> {
    vec![format!("threads: {} (RAYON_NUM_THREADS sets them); vectors: {}", rayon::current_num_threads(), bench::vectors())]
}

struct Cpu {
    models: Arc<Models>,
    decoder: Option<Steps>,
    members: Vec<OnceLock<Member>>,
    /// The seed of the thinned draws.
    seed: u32,
    /// Thinned draws by member and draw.
    thinned: HashMap<(usize, u32), Thinned>,
    /// As many as tasks ever ran at once.
    scratches: Mutex<Vec<Scratch>>,
    /// What steps take, while it is measured.
    times: Option<Mutex<Times>>,
    stop: Stop,
}

/// A classifier, prepared.
struct Member {
    steps: Steps,
    thinnable: Option<Thinnable>,
}

impl Member {
    fn new(classifier: &Classifier) -> Self {
        let program = classifier.program();
        Self { steps: Steps::new(&program), thinnable: Thinnable::new(&program) }
    }
}

impl Cpu {
    fn decoder(&self) -> Result<&Steps> {
        self.decoder.as_ref().ok_or_else(|| {
            Error::Network("these models have no decoder, so latent points have no images: choose models with a VAE".to_owned())
        })
    }

    fn member(&self, number: usize) -> &Member {
        self.members[number].get_or_init(|| Member::new(&self.models.ensemble.members()[number]))
    }

    fn classes(&self) -> usize {
        self.models.ensemble.classes().len()
    }

    /// Calls `work` with buffers for as many threads as share its steps.
    fn with_scratch<T>(&self, parts: usize, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let lock = || self.scratches.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = lock().pop().unwrap_or_default();
        scratch.share(parts);
        scratch.times = self.times.as_ref().map(|_| Times::new());
        let result = work(&mut scratch);
        if let (Some(all), Some(times)) = (&self.times, scratch.times.take()) {
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            for (name, time) in times {
                all.entry(name).or_default().add(time);
            }
        }
        lock().push(scratch);
        result
    }

    /// The draws of a block in parts whose thinned networks fit into memory together.
    fn parts(&self, block: &Block<'_>) -> Vec<Draws> {
        let Draws::Sampled(draws) = &block.draws else { return vec![Draws::Deterministic] };
        let bytes = |&member: &usize| self.member(member).thinnable.as_ref().map_or(0, Thinnable::bytes_per_draw);
        let bytes_per_draw: usize = block.members.iter().map(bytes).sum();
        let step = match block.masks {
            Masks::Shared => (MOST_THINNED_BYTES / bytes_per_draw.max(1)).max(1),
            Masks::PerPoint => usize::MAX,
        };
        draws.clone().step_by(step).map(|first| Draws::Sampled(first..draws.end.min(first.saturating_add(step as u32)))).collect()
    }

    /// Sees to it that what these draws need is there.
    fn prepare(&mut self, block: &Block<'_>, draws: &Draws) -> Result<()> {
        if let Input::Latent(_) = block.input {
            self.decoder()?;
        }
        let (Draws::Sampled(draws), Masks::Shared) = (draws, block.masks) else { return Ok(()) };
        if self.seed != block.seed {
            self.thinned.clear();
            self.seed = block.seed;
        }
        let bytes = |&(member, _): &(usize, u32)| self.member(member).thinnable.as_ref().map_or(0, Thinnable::bytes_per_draw);
        let thinnable = block.members.iter().copied().filter(|&member| self.member(member).thinnable.is_some());
        let missing: Vec<(usize, u32)> = thinnable
            .flat_map(|member| draws.clone().map(move |draw| (member, draw)))
            .filter(|key| !self.thinned.contains_key(key))
            .collect();
        if self.thinned.keys().chain(&missing).map(bytes).sum::<usize>() > MOST_THINNED_BYTES {
            self.thinned.retain(|(member, draw), _| block.members.contains(member) && draws.contains(draw));
        }
        let engine = &*self;
        let thin = |&(member, draw): &(usize, u32)| {
            let thinnable = engine.member(member).thinnable.as_ref().filter(|_| !engine.stop.is_set())?;
            Some(((member, draw), thinnable.thin(block.seed, member as u32, draw)))
        };
        let thinned: Vec<_> = missing.par_iter().filter_map(thin).collect();
        self.thinned.extend(thinned);
        self.stop.check()
    }

    /// Panels that one task runs together: several where there are enough of them for all threads.
    fn panels_per_task(points: usize) -> usize {
        points.div_ceil(LANES).div_ceil(4 * rayon::current_num_threads()).clamp(1, MOST_PANELS)
    }

    /// How many tasks of a block run at once: as many as there are threads, where the values of their networks fit into memory.
    fn tasks_at_once(&self, block: &Block<'_>, panels: usize) -> usize {
        let decoder = match block.input {
            Input::Latent(_) => self.decoder.as_ref().map_or(0, |decoder| decoder.rows),
            Input::Images(_) => 0,
        };
        let pixels: usize = self.models.ensemble.image_shape().iter().product();
        // What crosses from trunk to head is kept for each panel of a task.
        let of_member = |&member: &usize| {
            let steps = &self.member(member).steps;
            steps.rows + panels * steps.crossing_rows
        };
        let rows = panels * pixels + decoder.max(block.members.iter().map(of_member).max().unwrap_or(0));
        tasks_within(MOST_ACTIVATION_BYTES, rows, rayon::current_num_threads())
    }

    /// Runs the members on the panels of these numbers. `add` is given a panel's logits of each draw, or those of several
    /// draws where they are equal; what it makes of them is returned member by member, within a member panel by panel.
    fn task<T: Send>(
        &self,
        block: &Block<'_>,
        draws: &Draws,
        panels: Range<usize>,
        Sharing { parts, members_at_once }: Sharing,
        new: impl Fn() -> T + Sync,
        add: impl Fn(&mut T, Range<u32>, &[Row]) + Sync,
    ) -> Vec<Vec<T>> {
        let numbers = block.point_numbers;
        let image = |panel| {
            self.with_scratch(parts, |scratch| match (block.input, &self.decoder) {
                (Input::Latent(z), Some(decoder)) => {
                    decoder.reserve(scratch);
                    load(z, |z| z as f32, numbers.len(), panel, &mut scratch.buffers[decoder.input]);
                    run(&decoder.all, None, scratch);
                    scratch.buffers[decoder.output].clone()
                }
                (Input::Images(images), _) => {
                    let mut rows = Vec::new();
                    load(images, |pixel| pixel, numbers.len(), panel, &mut rows);
                    rows
                }
                (Input::Latent(_), None) => unreachable!("the block was checked"),
            })
        };
        let images: Vec<_> = panels.clone().map(image).collect();
        let addresses = |member: usize| -> Vec<Address> {
            let points = |panel: usize| std::array::from_fn(|lane| numbers[(panel * LANES + lane).min(numbers.len() - 1)]);
            let address = |panel| Address { seed: block.seed, member: member as u32, draw: 0, masks: block.masks, points: points(panel) };
            panels.clone().map(address).collect()
        };
        let of_member = |&member: &usize| {
            let mut results: Vec<T> = panels.clone().map(|_| new()).collect();
            self.with_scratch(parts, |scratch| {
                self.passes(&images, &addresses(member), draws, scratch, |panel, draws, logits| add(&mut results[panel], draws, logits));
            });
            results
        };
        if members_at_once { block.members.par_iter().map(of_member).collect() } else { block.members.iter().map(of_member).collect() }
    }

    /// The passes of one member on the images of some panels; `add` is given the panel, the draws and their logits. They end early where the
    /// block is no longer wanted.
    fn passes(
        &self,
        images: &[Vec<Row>],
        addresses: &[Address],
        draws: &Draws,
        scratch: &mut Scratch,
        mut add: impl FnMut(usize, Range<u32>, &[Row]),
    ) {
        let Address { member: number, masks, .. } = addresses[0];
        let Member { steps, thinnable } = self.member(number as usize);
        steps.reserve(scratch);
        scratch.trunks.resize_with(images.len(), Vec::new);
        for (panel, image) in images.iter().enumerate() {
            if self.stop.is_set() {
                return;
            }
            scratch.buffers[steps.input].clone_from(image);
            run(steps.trunk(), None, scratch);
            match draws {
                Draws::Deterministic => {
                    run(steps.head(), None, scratch);
                    add(panel, 0..1, &scratch.buffers[steps.output]);
                }
                Draws::Sampled(draws) if steps.head().is_empty() => add(panel, draws.clone(), &scratch.buffers[steps.output]),
                Draws::Sampled(_) => scratch.swap_trunk(panel, &steps.crossing),
            }
        }
        let Draws::Sampled(draws) = draws else { return };
        if steps.head().is_empty() {
            return;
        }
        if let (Some(thinnable), Masks::Shared) = (thinnable, masks) {
            thinnable.prepare(scratch);
            for draw in draws.clone().take_while(|_| !self.stop.is_set()) {
                thinnable.run(&self.thinned[&(number as usize, draw)], scratch);
                scratch.x.chunks_exact(self.classes()).enumerate().for_each(|(panel, logits)| add(panel, draw..draw + 1, logits));
            }
            return;
        }
        for (panel, address) in addresses.iter().enumerate() {
            scratch.swap_trunk(panel, &steps.crossing);
            for draw in draws.clone().take_while(|_| !self.stop.is_set()) {
                run(steps.head(), Some(&Address { draw, ..*address }), scratch);
                add(panel, draw..draw + 1, &scratch.buffers[steps.output]);
            }
        }
    }
}

impl Engine for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn heed(&mut self, stop: &Stop) {
        self.stop = stop.clone();
    }

    fn statistics(&mut self, block: &Block<'_>) -> Result<StatisticsGrid> {
        let (points, rows, classes) = (block.point_numbers.len(), block.members.len() * block.groups, self.classes());
        let mut grid = StatisticsGrid::new(points, rows, classes);
        let length = sums_len(classes);
        let panels = Self::panels_per_task(points);
        let first = match &block.draws {
            Draws::Deterministic => 0,
            Draws::Sampled(draws) => draws.start,
        };
        let add = |tallies: &mut Vec<Tally>, draws: Range<u32>, logits: &[Row]| {
            for (group, tally) in tallies.iter_mut().enumerate() {
                match draws.clone().filter(|draw| block.group((draw - first) as usize) == group).count() {
                    0 => {}
                    times => tally.add(logits, times),
                }
            }
        };
        for draws in self.parts(block) {
            self.prepare(block, &draws)?;
            let engine = &*self;
            let at_once = self.tasks_at_once(block, panels);
            let sharing = Sharing::of(points.div_ceil(panels * LANES), at_once, block.members.len());
            in_groups(grid.rows_mut(), panels * LANES * rows * length, at_once, |task, sums| {
                let some = task * panels..points.div_ceil(LANES).min((task + 1) * panels);
                let tallies = engine.task(block, &draws, some, sharing, || vec![Tally::new(classes); block.groups], add);
                for (point, sums) in sums.chunks_mut(rows * length).enumerate() {
                    let of_point = tallies.iter().flat_map(|of_member| &of_member[point / LANES]);
                    sums.chunks_mut(length).zip(of_point).for_each(|(sums, tally)| tally.add_to(point % LANES, sums));
                }
            });
            self.stop.check()?;
        }
        Ok(grid)
    }

    fn decode(&mut self, z: &[f64]) -> Result<Vec<f32>> {
        let decoder = self.decoder()?;
        let latent_size = self.models.decoder.as_ref().map_or(1, |network| network.input_shape().iter().product());
        let (points, pixels) = (z.len() / latent_size, self.models.ensemble.image_shape().iter().product::<usize>());
        let mut images = vec![0.0; points * pixels];
        let at_once = tasks_within(MOST_ACTIVATION_BYTES, decoder.rows, rayon::current_num_threads());
        let sharing = Sharing::of(points.div_ceil(LANES), at_once, 1);
        in_groups(&mut images, LANES * pixels, at_once, |panel, images| {
            if self.stop.is_set() {
                return;
            }
            self.with_scratch(sharing.parts, |scratch| {
                decoder.reserve(scratch);
                load(z, |z| z as f32, points, panel, &mut scratch.buffers[decoder.input]);
                run(&decoder.all, None, scratch);
                write_lanes(&scratch.buffers[decoder.output], images, pixels);
            });
        });
        self.stop.check()?;
        Ok(images)
    }

    fn probabilities(&mut self, block: &Block<'_>) -> Result<Vec<f64>> {
        let (points, members, classes) = (block.point_numbers.len(), block.members.len(), self.classes());
        let all = match &block.draws {
            Draws::Deterministic => 0..1,
            Draws::Sampled(draws) => draws.clone(),
        };
        let mut probabilities = vec![0.0; points * members * all.len() * classes];
        let (panels, length) = (Self::panels_per_task(points), all.len() * classes);
        for draws in self.parts(block) {
            self.prepare(block, &draws)?;
            let engine = &*self;
            let at_once = self.tasks_at_once(block, panels);
            let sharing = Sharing::of(points.div_ceil(panels * LANES), at_once, members);
            in_groups(&mut probabilities, panels * LANES * members * length, at_once, |task, rows| {
                let some = task * panels..points.div_ceil(LANES).min((task + 1) * panels);
                let add = |list: &mut Vec<_>, draws: Range<u32>, logits: &[Row]| list.push((draws, softmax(logits)));
                let passes = engine.task(block, &draws, some, sharing, Vec::new, add);
                for (point, rows) in rows.chunks_mut(members * length).enumerate() {
                    for (rows, passes) in rows.chunks_mut(length).zip(&passes) {
                        for (draws, p) in &passes[point / LANES] {
                            for draw in draws.clone() {
                                let to = &mut rows[(draw - all.start) as usize * classes..][..classes];
                                to.iter_mut().zip(p).for_each(|(to, p)| *to = p[point % LANES]);
                            }
                        }
                    }
                }
            });
            self.stop.check()?;
        }
        Ok(probabilities)
    }

    fn profile(&mut self, block: &Block<'_>) -> Result<Option<Profile>> {
        // The first time weights are packed and draws thinned.
        self.statistics(block)?;
        self.times = Some(Mutex::default());
        let answered = self.statistics(block);
        let times = self.times.take().map(|times| times.into_inner().unwrap_or_else(PoisonError::into_inner)).unwrap_or_default();
        answered?;
        // As if all threads were busy all the time.
        let threads = rayon::current_num_threads() as f64;
        let kernel = |(name, Time { calls, seconds, flops })| KernelTime { name, calls, seconds: seconds / threads, flops };
        let mut kernels: Vec<KernelTime> = times.into_iter().map(kernel).collect();
        kernels.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        Ok(Some(Profile { peak_gflops: Some(bench::gemm_gflops(bench::YARDSTICK)), kernels, ..Profile::default() }))
    }
}

/// The `panel`-th panel of `points` vectors, unit by unit; beyond the last point it is repeated.
fn load<T: Copy>(vectors: &[T], single: impl Fn(T) -> f32, points: usize, panel: usize, rows: &mut Vec<Row>) {
    let length = vectors.len() / points;
    let at = |lane: usize| (panel * LANES + lane).min(points - 1) * length;
    rows.clear();
    rows.extend((0..length).map(|unit| Row(std::array::from_fn(|lane| single(vectors[at(lane) + unit])))));
}

#[cfg(test)]
mod tests;
