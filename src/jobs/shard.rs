//! Work in parts, on several machines: a shard asks the engine about its share of the points only and keeps the answers in a part; a merge makes
//! the same calls again and finds every answer in the parts, so that what it writes is, to the byte, what one run writes.

use super::attack::BATCH;
use crate::budget;
use crate::engine::{Block, Draws, Engine, Input};
use crate::error::{Error, Result};
use crate::files;
use crate::uncertainty::{StatisticsGrid, add_draw, sums_len};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::io::{Cursor, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// Points that stay together: those of a batch of an attack.
const TOGETHER: u32 = BATCH as u32;
/// The version of the format of parts.
const VERSION: u32 = 1;
/// The names of a part's members.
const HEADER: &str = "part.json";
const ROWS: &str = "rows.f64";
/// The most shards.
const MOST: u32 = 100_000;
/// The most missing shards that a message names.
const MOST_NAMED: usize = 20;

/// One of several shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "ShardNumbers")]
pub struct Shard {
    /// From 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

/// A shard as a file has it.
#[derive(Deserialize)]
struct ShardNumbers {
    number: u32,
    of: u32,
}

impl TryFrom<ShardNumbers> for Shard {
    type Error = String;

    fn try_from(ShardNumbers { number, of }: ShardNumbers) -> std::result::Result<Self, String> {
        format!("{number}/{of}").parse()
    }
}

impl Shard {
    /// Whether it is asked about the point of that number; about points of the same hundred always the same shard is.
    pub fn has(self, point: u32) -> bool {
        (point / TOGETHER) % self.of == self.number - 1
    }

    /// Whether it has the member of that place.
    pub fn has_member(self, place: usize) -> bool {
        place as u32 % self.of == self.number - 1
    }
}

/// Checks that there is every shard of a run once; each comes with the file or folder that holds it.
///
/// # Errors
/// Names a shard that is double, or those that are missing.
pub(super) fn check_complete(shards: &[(Shard, &Path)]) -> Result<()> {
    for (at, (shard, path)) in shards.iter().enumerate() {
        if let Some((_, other)) = shards[..at].iter().find(|(other, _)| other == shard) {
            return Err(Error::file(path, format!("is shard {shard} once more, as {}", other.display()), "give each shard once"));
        }
    }
    let of = shards.first().map_or(0, |(shard, _)| shard.of);
    let is_missing = |number: &u32| shards.iter().all(|(shard, _)| shard.number != *number);
    let missing: Vec<String> = (1..=of).filter(is_missing).take(MOST_NAMED + 1).map(|number| number.to_string()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let more = if missing.len() > MOST_NAMED { ", …" } else { "" };
    let named = missing[..missing.len().min(MOST_NAMED)].join(", ");
    let problem = format!("of {of} shards there are {}; missing: {named}{more}", shards.len());
    Err(Error::setting("the parts", problem, "compute those too"))
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parts = text.split_once('/').map(|(number, of)| (number.trim().parse(), of.trim().parse()));
        match parts {
            Some((Ok(number), Ok(of))) if number >= 1 && number <= of && of <= MOST => Ok(Self { number, of }),
            _ => Err(format!("'{text}' is no shard such as 1/4, the first of four")),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.number, self.of)
    }
}

/// A call of the engine, as a shard answers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Call {
    /// The SHA-256 of what was asked about the shard's points.
    key: String,
    /// How many numbers the answer has.
    numbers: usize,
}

/// What one shard computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    version: u32,
    /// The program's version.
    program: String,
    /// The words of the command line, but for the shard and the place of the part.
    pub arguments: Vec<String>,
    /// Which shard.
    pub shard: Shard,
    /// The SHA-256 of every model, by name.
    models: BTreeMap<String, String>,
    engine: String,
    calls: Vec<Call>,
    /// The SHA-256 of the answers.
    sha256: String,
    #[serde(skip)]
    rows: Vec<f64>,
    /// Attacked images: the bytes of files of the cache by name.
    #[serde(skip)]
    attacked: BTreeMap<String, Vec<u8>>,
}

impl Part {
    /// Writes it with the attacked images of `cache`, if there are any.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn write(&self, path: &Path, cache: Option<&Path>) -> Result<()> {
        let failed = |error: String| Error::file(path, error, "choose another place");
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        // The same part has the same bytes: no time of day.
        let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated).large_file(true);
        let mut add = |name: &str, bytes: &[u8]| -> Result<()> {
            archive.start_file(name, options).map_err(|error| failed(error.to_string()))?;
            archive.write_all(bytes).map_err(|error| failed(error.to_string()))
        };
        let rows: Vec<u8> = self.rows.iter().flat_map(|number| number.to_le_bytes()).collect();
        let header = Self { sha256: files::hexadecimal(&Sha256::digest(&rows)), ..self.clone() };
        add(HEADER, &serde_json::to_vec_pretty(&header).map_err(|error| failed(error.to_string()))?)?;
        add(ROWS, &rows)?;
        let there = cache.filter(|folder| folder.is_dir()).map(files::listed).transpose()?.unwrap_or_default();
        // Temporary files of a killed program are left out.
        let is_whole = |file: &PathBuf| !file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        for file in there.into_iter().filter(is_whole) {
            add(&file.file_name().unwrap_or_default().to_string_lossy(), &files::read(&file)?)?;
        }
        let bytes = archive.finish().map_err(|error| failed(error.to_string()))?.into_inner();
        files::write_through(path, &bytes)
    }

    /// Where in its numbers the answer of each key stands.
    fn places(&self) -> HashMap<String, Range<usize>> {
        let mut end = 0;
        let place = |call: &Call| {
            end += call.numbers;
            (call.key.clone(), end - call.numbers..end)
        };
        self.calls.iter().map(place).collect()
    }

    /// Whether both are shards of the same run.
    fn is_of_the_run_of(&self, other: &Self) -> bool {
        let run = |part: &Self| (part.program.clone(), part.arguments.clone(), part.shard.of, part.models.clone(), part.engine.clone());
        run(self) == run(other)
    }

    /// Reads one.
    ///
    /// # Errors
    /// When the file is no part, or is damaged.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = files::read(path)?;
        let damaged = |error: String| Error::file(path, format!("is no whole part: {error}"), "compute this shard again");
        let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(error.to_string()))?;
        let (mut members, mut unpacked) = (BTreeMap::new(), 0);
        for number in 0..archive.len() {
            let mut file = archive.by_index(number).map_err(|error| damaged(error.to_string()))?;
            let bytes = files::unpack(path, "a part of it", &mut file, budget::limit().saturating_sub(unpacked));
            let bytes = bytes.map_err(|error| if let Error::File { problem, .. } = error { damaged(problem) } else { error })?;
            unpacked += bytes.len() as u64;
            members.insert(file.name().map_err(|error| damaged(error.to_string()))?.into_owned(), bytes);
        }
        let member =
            |members: &mut BTreeMap<String, Vec<u8>>, name: &str| members.remove(name).ok_or_else(|| damaged(format!("it lacks {name}")));
        let (header, rows) = (member(&mut members, HEADER)?, member(&mut members, ROWS)?);
        files::check_json(path, &header)?;
        let mut part: Self = serde_json::from_slice(&header).map_err(|error| damaged(error.to_string()))?;
        if part.version != VERSION {
            return Err(damaged(format!("its version is {}, and this program reads {VERSION}", part.version)));
        }
        if files::hexadecimal(&Sha256::digest(&rows)) != part.sha256 {
            return Err(damaged("its answers are not those that it was written with".to_owned()));
        }
        part.rows = rows.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
        if part.calls.iter().try_fold(0usize, |sum, call| sum.checked_add(call.numbers)) != Some(part.rows.len()) {
            return Err(damaged("it has more or fewer answers than calls".to_owned()));
        }
        if let Some(at) = part.rows.iter().position(|answer| !answer.is_finite()) {
            return Err(damaged(format!("answer {at} is {}, which no engine gives", part.rows[at])));
        }
        // Names of files come from a file.
        let is_plain = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '.') && !name.starts_with('.');
        if let Some(name) = members.keys().find(|name| !is_plain(name)) {
            return Err(damaged(format!("it holds a file of the name {name:?}")));
        }
        part.attacked = members;
        Ok(part)
    }
}

/// Reads the parts of one run, at least one: all of its shards, once each.
///
/// # Errors
/// Names a part that is missing, double, damaged, or of another run.
pub fn read_parts(paths: &[PathBuf]) -> Result<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    for path in paths {
        let part = files::guarded(path, || Part::read(path))?;
        if parts.first().is_some_and(|first| !first.is_of_the_run_of(&part)) {
            let problem =
                format!("is of another run than {}: `{}` in {} shards", paths[0].display(), part.arguments.join(" "), part.shard.of);
            return Err(Error::file(path, problem, "give the parts of one run"));
        }
        parts.push(part);
    }
    let shards: Vec<(Shard, &Path)> = parts.iter().map(|part| part.shard).zip(paths.iter().map(PathBuf::as_path)).collect();
    check_complete(&shards)?;
    Ok(parts)
}

/// The images that the shards attacked, as files of a cache in `folder`.
///
/// # Errors
/// When a file cannot be written.
pub fn unpack_attacked(parts: &[Part], folder: &Path) -> Result<()> {
    let mut attacked = parts.iter().flat_map(|part| &part.attacked);
    attacked.try_for_each(|(name, bytes)| files::write_atomically(&files::inside(folder, name, folder)?, bytes))
}

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
        let mut answers = self.lock();
        Part {
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            arguments,
            shard,
            models,
            engine: engine.to_owned(),
            calls: std::mem::take(&mut answers.calls),
            sha256: String::new(),
            rows: std::mem::take(&mut answers.rows),
            attacked: BTreeMap::new(),
        }
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
