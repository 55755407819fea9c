//! The engine of a shard, which answers about its points and keeps the answers, and that of a merge, which finds them in the parts.

use super::Shard;
use super::part::{Call, Part};
use crate::engine::{Block, Draws, Engine, Input};
use crate::error::{Error, Result};
use crate::files;
use crate::uncertainty::{StatisticsGrid, add_draw, sums_len};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is asked about the points of a shard: their places in a block, their input, and a key of all that fixes the answer.
fn share(block: &Block<'_>, shard: Shard) -> (Vec<usize>, OwnInput, String) {
    let places: Vec<usize> = (0..block.point_numbers.len()).filter(|&place| shard.has(block.point_numbers[place])).collect();
    let count = block.point_numbers.len().max(1);
    let input = match block.input {
        Input::Latent(z) => {
            OwnInput::Latent(places.iter().flat_map(|place| &z[place * (z.len() / count)..][..z.len() / count]).copied().collect())
        }
        Input::Images(x) => {
            OwnInput::Images(places.iter().flat_map(|place| &x[place * (x.len() / count)..][..x.len() / count]).copied().collect())
        }
    };
    let draws = match &block.draws {
        Draws::Deterministic => "off".to_owned(),
        Draws::Sampled(draws) => format!("{draws:?}"),
    };
    let numbers: Vec<u32> = places.iter().map(|&place| block.point_numbers[place]).collect();
    let asked = format!("{numbers:?} {:?} {draws} {} {} {:?}", block.members, block.groups, block.seed, block.masks);
    let hash = Sha256::new().chain_update(asked);
    let hash = match &input {
        OwnInput::Latent(z) => z.iter().fold(hash, |hash, value| hash.chain_update(value.to_le_bytes())),
        OwnInput::Images(x) => x.iter().fold(hash, |hash, value| hash.chain_update(value.to_le_bytes())),
    };
    (places, input, files::hexadecimal(&hash.finalize()))
}

enum OwnInput {
    Latent(Vec<f64>),
    Images(Vec<f32>),
}

/// What a run with shards keeps while it goes on; a clone shares it.
#[derive(Clone, Debug, Default)]
pub struct Sharing(Arc<Mutex<Answers>>);

#[derive(Debug, Default)]
struct Answers {
    calls: Vec<Call>,
    rows: Vec<f64>,
}

impl Sharing {
    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The part of a shard that is done; `models` are the SHA-256 of every model by its name.
    pub fn part(&self, shard: Shard, arguments: Vec<String>, models: BTreeMap<String, String>, engine: &str) -> Part {
        let Answers { calls, rows } = std::mem::take(&mut *self.lock());
        Part::new((shard, arguments), models, engine, calls, rows)
    }
}

/// An engine that answers about a shard's points, and keeps the answers. About others it says that every class is as likely as any other: what
/// is made of that is thrown away.
pub struct ShardEngine {
    engine: Box<dyn Engine>,
    classes: usize,
    shard: Shard,
    sharing: Sharing,
}

impl ShardEngine {
    /// Around an engine whose answers do not depend on how points come in blocks.
    ///
    /// # Errors
    /// When it is another.
    pub fn new(engine: Box<dyn Engine>, classes: usize, shard: Shard, sharing: Sharing) -> Result<Self> {
        if !["cpu", "reference"].contains(&engine.name()) {
            let problem =
                format!("the engine '{}' learns how large a block is best, so shards of it would not fit together", engine.name());
            return Err(Error::setting("--shard", problem, "add --engine cpu"));
        }
        Ok(Self { engine, classes, shard, sharing })
    }
}

impl Engine for ShardEngine {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn points_per_block(&self) -> usize {
        self.engine.points_per_block()
    }

    fn statistics(&mut self, block: &Block<'_>) -> Result<StatisticsGrid> {
        let (places, input, key) = share(block, self.shard);
        let mut grid = even(block, self.classes);
        let length = block.members.len() * block.groups * sums_len(self.classes);
        let mut answers = Vec::with_capacity(places.len() * length);
        if !places.is_empty() {
            let point_numbers: Vec<u32> = places.iter().map(|&place| block.point_numbers[place]).collect();
            let input = match &input {
                OwnInput::Latent(z) => Input::Latent(z),
                OwnInput::Images(x) => Input::Images(x),
            };
            let mut own = self.engine.statistics(&Block { input, point_numbers: &point_numbers, ..block.clone() })?;
            answers.extend_from_slice(own.rows_mut());
        }
        for (place, row) in places.iter().zip(answers.chunks_exact(length)) {
            grid.rows_mut()[place * length..][..length].copy_from_slice(row);
        }
        let mut kept = self.sharing.lock();
        kept.calls.push(Call { key, numbers: answers.len() });
        kept.rows.extend(answers);
        Ok(grid)
    }

    fn decode(&mut self, z: &[f64]) -> Result<Vec<f32>> {
        self.engine.decode(z)
    }

    fn probabilities(&mut self, block: &Block<'_>) -> Result<Vec<f64>> {
        self.engine.probabilities(block)
    }
}

/// Statistics of a block in which every class is as likely as any other.
fn even(block: &Block<'_>, classes: usize) -> StatisticsGrid {
    let mut grid = StatisticsGrid::new(block.point_numbers.len(), block.members.len() * block.groups, classes);
    let p = vec![1.0 / classes as f64; classes];
    let mut of_point = StatisticsGrid::new(1, block.members.len() * block.groups, classes);
    for member in 0..block.members.len() {
        (0..block.passes()).for_each(|pass| add_draw(of_point.sums_mut(0, member * block.groups + block.group(pass)), &p));
    }
    let row = of_point.rows_mut();
    grid.rows_mut().chunks_exact_mut(row.len().max(1)).for_each(|to| to.copy_from_slice(row));
    grid
}

/// An engine that finds its answers in the parts of all shards.
pub struct MergeEngine {
    /// Decodes.
    engine: Box<dyn Engine>,
    classes: usize,
    parts: Arc<Vec<Part>>,
    /// Where in the numbers of each part the answer of each key stands.
    places: Vec<HashMap<String, Range<usize>>>,
}

impl MergeEngine {
    /// Of parts that [`read_parts`] gave; `models` are the SHA-256 of every model by its name.
    ///
    /// # Errors
    /// When the parts are of other models.
    pub fn new(engine: Box<dyn Engine>, classes: usize, parts: Arc<Vec<Part>>, models: &BTreeMap<String, String>) -> Result<Self> {
        if let Some(part) = parts.iter().find(|part| part.models != *models) {
            let is_other = |name: &&String| part.models.get(*name) != models.get(*name);
            let names: BTreeSet<&str> = part.models.keys().chain(models.keys()).filter(is_other).map(String::as_str).collect();
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            let problem = format!("shard {} was computed with other models than those that are here: {names} differ", part.shard);
            return Err(Error::setting("the parts", problem, "merge where the models of the shards are"));
        }
        let places = parts.iter().map(Part::places).collect();
        Ok(Self { engine, classes, parts, places })
    }
}

impl Engine for MergeEngine {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn points_per_block(&self) -> usize {
        self.engine.points_per_block()
    }

    fn statistics(&mut self, block: &Block<'_>) -> Result<StatisticsGrid> {
        let length = block.members.len() * block.groups * sums_len(self.classes);
        let mut grid = StatisticsGrid::new(block.point_numbers.len(), block.members.len() * block.groups, self.classes);
        for (part, answers) in self.parts.iter().zip(&self.places) {
            let (places, _, key) = share(block, part.shard);
            // What a shard computed for other formats than the one that is written stays unused.
            let Some(answer) = answers.get(&key).filter(|answer| answer.len() == places.len() * length) else {
                let problem = format!("shard {} was asked about other data, or by another program", part.shard);
                return Err(Error::setting("the parts", problem, "merge with the data of the shards and the same program"));
            };
            for (place, row) in places.iter().zip(part.rows[answer.clone()].chunks_exact(length)) {
                grid.rows_mut()[place * length..][..length].copy_from_slice(row);
            }
        }
        Ok(grid)
    }

    fn decode(&mut self, z: &[f64]) -> Result<Vec<f32>> {
        self.engine.decode(z)
    }

    fn probabilities(&mut self, block: &Block<'_>) -> Result<Vec<f64>> {
        self.engine.probabilities(block)
    }
}
