//! Work in parts, on several machines: a shard asks the engine about its share of the points only and keeps the answers in a part; a merge makes
//! the same calls again and finds every answer in the parts, so that what it writes is, to the byte, what one run writes.

mod engines;
mod part;

pub use engines::{MergeEngine, ShardEngine, Sharing};
pub use part::{Part, read_parts, unpack_attacked};

use super::attack::BATCH;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// Points that stay together: those of a batch of an attack.
const TOGETHER: u32 = BATCH as u32;
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
