//! The fast engine: rayon over panels of points, one matrix product for every kind of layer, the layers before the first
//! dropout once per point, and draws as thinned networks. All sums run in an order that neither the number of threads nor
//! the place of a point in its block changes, so results are equal to the bit.

#![allow(clippy::inline_always, reason = "code uses the wide registers only where it is inlined into what pulp dispatches")]
#![allow(clippy::needless_range_loop, reason = "loops over the points of a panel go through several arrays in step")]

mod activation;
mod kernel;
mod masks;
mod steps;
mod tally;
mod thinned;
mod winograd;

use super::{Block, Draws, Engine, Input, Masks, Models};
use crate::error::{Error, Result};
use crate::nets::Network;
use crate::uncertainty::StatisticsGrid;
use kernel::{LANES, Row};
use masks::Address;
use rayon::prelude::*;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use steps::{Scratch, Step, run, steps};
use tally::{Tally, softmax};
use thinned::{Thinnable, Thinned};

/// Thinned draws are kept from call to call up to so many bytes (five of the paper's networks with a hundred draws take
/// 295 MB). A block that needs more runs in parts; a part takes at least one draw of each member.
const MOST_THINNED_BYTES: usize = 320 << 20;

/// Opens the engine: packs the weights and decides what is fused.
///
/// # Errors
/// None so far: every network that the layers can express runs.
pub fn open(models: Arc<Models>) -> Result<Box<dyn Engine>> {
    let decoder = models.decoder.as_ref().map_or_else(Vec::new, |network| steps(network, 0..network.layers().len()));
    let members = models.ensemble.members().iter().map(|member| Member::new(&member.network)).collect();
    Ok(Box::new(Cpu { models, decoder, members, seed: 0, thinned: HashMap::new(), scratches: Mutex::default() }))
}

struct Cpu {
    models: Arc<Models>,
    /// Empty where there is no decoder.
    decoder: Vec<Step>,
    members: Vec<Member>,
    /// The seed of the thinned draws.
    seed: u32,
    /// Thinned draws by member and draw.
    thinned: HashMap<(usize, u32), Thinned>,
    /// As many as tasks ever ran at once.
    scratches: Mutex<Vec<Scratch>>,
}

/// A classifier, prepared.
struct Member {
    /// The layers before the first dropout.
    trunk: Vec<Step>,
    /// The others.
    tail: Vec<Step>,
    thinnable: Option<Thinnable>,
}

impl Member {
    fn new(network: &Network) -> Self {
        let (trunk, all) = (network.trunk_length(), network.layers().len());
        Self { trunk: steps(network, 0..trunk), tail: steps(network, trunk..all), thinnable: Thinnable::new(network) }
    }
}

impl Cpu {
    fn decoder(&self) -> Result<&Network> {
        self.models.decoder.as_ref().ok_or_else(|| {
            Error::Network("these models have no decoder, so latent points have no images: choose models with a VAE".to_owned())
        })
    }

    fn classes(&self) -> usize {
        self.models.ensemble.classes().len()
    }

    fn with_scratch<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let lock = || self.scratches.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = lock().pop().unwrap_or_default();
        let result = work(&mut scratch);
        lock().push(scratch);
        result
    }

    /// The draws of a block in parts whose thinned networks fit into memory together.
    fn parts(&self, block: &Block<'_>) -> Vec<Draws> {
        let Draws::Sampled(draws) = &block.draws else { return vec![Draws::Deterministic] };
        let bytes = |&member: &usize| self.members[member].thinnable.as_ref().map_or(0, Thinnable::bytes_per_draw);
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
        let bytes = |&(member, _): &(usize, u32)| self.members[member].thinnable.as_ref().map_or(0, Thinnable::bytes_per_draw);
        let thinnable = block.members.iter().copied().filter(|&member| self.members[member].thinnable.is_some());
        let missing: Vec<(usize, u32)> = thinnable
            .flat_map(|member| draws.clone().map(move |draw| (member, draw)))
            .filter(|key| !self.thinned.contains_key(key))
            .collect();
        if self.thinned.keys().chain(&missing).map(bytes).sum::<usize>() > MOST_THINNED_BYTES {
            self.thinned.retain(|(member, draw), _| block.members.contains(member) && draws.contains(draw));
        }
        let members = &self.members;
        let thin = |&(member, draw): &(usize, u32)| {
            let thinnable = members[member].thinnable.as_ref()?;
            Some(((member, draw), thinnable.thin(block.seed, member as u32, draw)))
        };
        self.thinned.par_extend(missing.par_iter().filter_map(thin));
        Ok(())
    }

    /// Runs the members on one panel of points, the `panel`-th of the block. `add` is given each draw's logits, or those of
    /// several draws where they are equal; what it makes of them is returned member by member.
    fn panel<T: Send>(
        &self,
        block: &Block<'_>,
        draws: &Draws,
        panel: usize,
        new: impl Fn() -> T + Sync,
        add: impl Fn(&mut T, Range<u32>, &[Row]) + Sync,
    ) -> Vec<T> {
        let numbers = &block.point_numbers[panel * LANES..];
        let points = std::array::from_fn(|lane| numbers[lane.min(numbers.len() - 1)]);
        self.with_scratch(|scratch| {
            match block.input {
                Input::Latent(z) => {
                    load(z, |z| z as f32, block.point_numbers.len(), panel, &mut scratch.x);
                    run(&self.decoder, None, scratch);
                }
                Input::Images(images) => load(images, |pixel| pixel, block.point_numbers.len(), panel, &mut scratch.x),
            }
            let images = std::mem::take(&mut scratch.x);
            let of_member = |&member: &usize| {
                let mut result = new();
                let address = Address { seed: block.seed, member: member as u32, draw: 0, masks: block.masks, points };
                self.with_scratch(|scratch| {
                    scratch.x.clone_from(&images);
                    self.passes(&address, draws, scratch, |draws, logits| add(&mut result, draws, logits));
                });
                result
            };
            let results = block.members.par_iter().map(of_member).collect();
            scratch.x = images;
            results
        })
    }

    /// The passes of one member on the images in `scratch.x`.
    fn passes(&self, address: &Address, draws: &Draws, scratch: &mut Scratch, mut add: impl FnMut(Range<u32>, &[Row])) {
        let number = address.member as usize;
        let member = &self.members[number];
        run(&member.trunk, None, scratch);
        let draws = match draws {
            Draws::Deterministic => {
                run(&member.tail, None, scratch);
                return add(0..1, &scratch.x);
            }
            Draws::Sampled(draws) if member.tail.is_empty() => return add(draws.clone(), &scratch.x),
            Draws::Sampled(draws) => draws,
        };
        std::mem::swap(&mut scratch.x, &mut scratch.trunk);
        let thinnable = member.thinnable.as_ref().filter(|_| address.masks == Masks::Shared);
        if let Some(thinnable) = thinnable {
            thinnable.prepare(scratch);
        }
        for draw in draws.clone() {
            if let Some(thinnable) = thinnable {
                thinnable.run(&self.thinned[&(number, draw)], scratch);
            } else {
                scratch.x.clone_from(&scratch.trunk);
                run(&member.tail, Some(&Address { draw, ..*address }), scratch);
            }
            add(draw..draw + 1, &scratch.x);
        }
    }
}

impl Engine for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn statistics(&mut self, block: &Block<'_>) -> Result<StatisticsGrid> {
        let (points, members, classes) = (block.point_numbers.len(), block.members.len(), self.classes());
        let mut grid = StatisticsGrid::new(points, members, classes);
        let length = grid.rows_mut().len() / (points * members).max(1);
        for draws in self.parts(block) {
            self.prepare(block, &draws)?;
            let engine = &*self;
            grid.rows_mut().par_chunks_mut((LANES * members * length).max(1)).enumerate().for_each(|(panel, rows)| {
                let add = |tally: &mut Tally, draws: Range<u32>, logits: &[Row]| tally.add(logits, draws.len());
                let tallies = engine.panel(block, &draws, panel, || Tally::new(classes), add);
                for (lane, rows) in rows.chunks_mut(members * length).enumerate() {
                    rows.chunks_mut(length).zip(&tallies).for_each(|(sums, tally)| tally.add_to(lane, sums));
                }
            });
        }
        Ok(grid)
    }

    fn decode(&mut self, z: &[f64]) -> Result<Vec<f32>> {
        let decoder = self.decoder()?;
        let points = z.len() / decoder.input_shape().iter().product::<usize>();
        let pixels = decoder.output_shape().iter().product();
        let mut images = vec![0.0; points * pixels];
        images.par_chunks_mut(LANES * pixels).enumerate().for_each(|(panel, images)| {
            self.with_scratch(|scratch| {
                load(z, |z| z as f32, points, panel, &mut scratch.x);
                run(&self.decoder, None, scratch);
                for (lane, image) in images.chunks_mut(pixels).enumerate() {
                    image.iter_mut().zip(&scratch.x).for_each(|(pixel, row)| *pixel = row.0[lane]);
                }
            });
        });
        Ok(images)
    }

    fn probabilities(&mut self, block: &Block<'_>) -> Result<Vec<f64>> {
        let (points, members, classes) = (block.point_numbers.len(), block.members.len(), self.classes());
        let all = match &block.draws {
            Draws::Deterministic => 0..1,
            Draws::Sampled(draws) => draws.clone(),
        };
        let mut probabilities = vec![0.0; points * members * all.len() * classes];
        for draws in self.parts(block) {
            self.prepare(block, &draws)?;
            let engine = &*self;
            let length = all.len() * classes;
            probabilities.par_chunks_mut((LANES * members * length).max(1)).enumerate().for_each(|(panel, rows)| {
                let add = |list: &mut Vec<_>, draws: Range<u32>, logits: &[Row]| list.push((draws, softmax(logits)));
                for (member, passes) in engine.panel(block, &draws, panel, Vec::new, add).into_iter().enumerate() {
                    for (lane, rows) in rows.chunks_mut(members * length).enumerate() {
                        for (draws, p) in &passes {
                            for draw in draws.clone() {
                                let to = &mut rows[member * length + (draw - all.start) as usize * classes..][..classes];
                                to.iter_mut().zip(p).for_each(|(to, p)| *to = p[lane]);
                            }
                        }
                    }
                }
            });
        }
        Ok(probabilities)
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
