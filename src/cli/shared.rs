//! Options that several verbs share.

use crate::data::{self, Dataset, Split};
use crate::error::Result;
use clap::Args;
use std::path::PathBuf;
use std::str::FromStr;

/// Where data are.
#[derive(Debug, Args)]
pub struct DataOptions {
    /// The folder that holds the data sets [default: the user's data directory, then ../shared/data].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

impl DataOptions {
    /// Loads a known data set.
    ///
    /// # Errors
    /// When it is not known, not there or damaged.
    pub fn load(&self, name: &str, split: Split) -> Result<Dataset> {
        data::locate::find(data::sources::named(name)?, split, self.data.as_deref())
    }
}

/// The seed.
#[derive(Debug, Args)]
pub struct Seed {
    /// The seed of everything random.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u32,
}

/// Two values with a comma between them.
///
/// # Errors
/// When there are not two, or one is no value.
pub fn pair<T: FromStr>(text: &str) -> std::result::Result<[T; 2], String> {
    let parts: Option<Vec<T>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    parts.and_then(|parts| parts.try_into().ok()).ok_or_else(|| format!("'{text}' is not two numbers with a comma between them"))
}
