//! The file of a part: what one shard computed, in a zip archive.

use super::{Shard, check_complete};
use crate::budget;
use crate::error::{Error, Result};
use crate::files;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// The version of the format of parts.
const VERSION: u32 = 1;
/// The names of a part's members.
const HEADER: &str = "part.json";
const ROWS: &str = "rows.f64";

/// A call of the engine, as a shard answers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Call {
    /// The SHA-256 of what was asked about the shard's points.
    pub(super) key: String,
    /// How many numbers the answer has.
    pub(super) numbers: usize,
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
    pub(super) models: BTreeMap<String, String>,
    engine: String,
    calls: Vec<Call>,
    /// The SHA-256 of the answers.
    sha256: String,
    #[serde(skip)]
    pub(super) rows: Vec<f64>,
    /// Attacked images: the bytes of files of the cache by name.
    #[serde(skip)]
    attacked: BTreeMap<String, Vec<u8>>,
}

impl Part {
    /// The part of a shard with the arguments of its command line; `models` are the SHA-256 of every model by its name.
    pub(super) fn new(
        (shard, arguments): (Shard, Vec<String>),
        models: BTreeMap<String, String>,
        engine: &str,
        calls: Vec<Call>,
        rows: Vec<f64>,
    ) -> Self {
        Self {
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            arguments,
            shard,
            models,
            engine: engine.to_owned(),
            calls,
            // That of the rows as they are written.
            sha256: String::new(),
            rows,
            attacked: BTreeMap::new(),
        }
    }

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
    pub(super) fn places(&self) -> HashMap<String, Range<usize>> {
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
