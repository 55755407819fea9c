//! The options of a map, and those of the draws at any points or images.

use super::shared::{Seed, pair};
use crate::engine::Masks;
use crate::error::{Error, Result};
use crate::jobs::{MapSettings, ModelSet};
use crate::latent::View;
use clap::{Args, ValueEnum};

/// What fixes a map, given the models.
#[derive(Debug, Args)]
pub struct MapOptions {
    /// Points along each axis.
    #[arg(long, value_name = "N", default_value_t = 128)]
    grid: usize,
    /// The first and the last latent coordinate, of both axes.
    #[arg(long, value_name = "MIN,MAX", value_parser = pair::<f64>, default_value = "-10,10", allow_hyphen_values = true)]
    extent: [f64; 2],
    #[command(flatten)]
    draws: DrawOptions,
}

/// Which draws are asked, at every point or image.
#[derive(Debug, Args)]
pub struct DrawOptions {
    /// Dropout draws per ensemble member, T.
    #[arg(long, value_name = "T", default_value_t = 50)]
    pub samples: u32,
    /// How many ensemble members, or which: a count, their numbers with commas, or `all` [default: all].
    #[arg(long, value_name = "E|N,N,…|all", value_parser = members)]
    members: Option<MemberChoice>,
    #[command(flatten)]
    pub seed: Seed,
    /// One mask per draw for the whole plane (a smooth map), or new masks at every point (as the paper's code).
    #[arg(long, value_enum, default_value_t = MaskChoice::Shared)]
    masks: MaskChoice,
}

/// Members as a person names them.
#[derive(Clone, Debug)]
pub enum MemberChoice {
    /// Each.
    All,
    /// The first so many.
    First(usize),
    /// These.
    These(Vec<usize>),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MaskChoice {
    Shared,
    PerPoint,
}

impl MapOptions {
    /// Whether members are named, rather than all by default.
    pub const fn has_members(&self) -> bool {
        self.draws.members.is_some()
    }

    /// The settings of the map for a set of models, with passes without dropout or not.
    ///
    /// # Errors
    /// When a number makes no sense, or a member is not there.
    pub fn settings(&self, set: &ModelSet, deterministic: bool) -> Result<MapSettings> {
        Ok(MapSettings {
            view: View::square(self.extent, self.grid)?,
            samples: self.draws.samples,
            members: self.draws.members(set)?,
            seed: self.draws.seed.seed,
            masks: self.draws.masks(),
            deterministic,
        })
    }
}

impl DrawOptions {
    /// The members by number.
    ///
    /// # Errors
    /// When a member is not there.
    pub fn members(&self, set: &ModelSet) -> Result<Vec<usize>> {
        let wanted = chosen_members(self.members.as_ref(), set.ensemble().members().len())?;
        set.members(wanted.as_deref())
    }

    /// How masks are shared.
    pub fn masks(&self) -> Masks {
        match self.masks {
            MaskChoice::Shared => Masks::Shared,
            MaskChoice::PerPoint => Masks::PerPoint,
        }
    }
}

/// The numbers that a choice among so many members means; `None` for all.
///
/// # Errors
/// When the count is none of theirs.
pub fn chosen_members(choice: Option<&MemberChoice>, there: usize) -> Result<Option<Vec<usize>>> {
    match choice {
        None | Some(MemberChoice::All) => Ok(None),
        Some(MemberChoice::First(count)) if !(1..=there).contains(count) => {
            let problem = format!("{count} is no number of members of the ensemble of {there}");
            Err(Error::setting("--members", problem, format!("give a number from 1 to {there}")))
        }
        Some(MemberChoice::First(count)) => Ok(Some((0..*count).collect())),
        Some(MemberChoice::These(numbers)) => Ok(Some(numbers.clone())),
    }
}

/// `all`, a count, or numbers with commas; one number with a comma after it is that member alone.
///
/// # Errors
/// When it is none of them.
pub fn members(text: &str) -> std::result::Result<MemberChoice, String> {
    let wrong = || format!("'{text}' is neither a count such as 5 nor numbers such as 0,3,7, nor 'all'");
    if text.trim().eq_ignore_ascii_case("all") {
        return Ok(MemberChoice::All);
    }
    if text.contains(',') {
        let numbers: std::result::Result<Vec<usize>, _> = text.trim_end_matches(',').split(',').map(|part| part.trim().parse()).collect();
        return numbers.map(MemberChoice::These).map_err(|_| wrong());
    }
    text.trim().parse().map(MemberChoice::First).map_err(|_| wrong())
}
