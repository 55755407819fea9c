//! Opens what is left of a model set whose folder, VAE or members are gone, damaged, or no longer fit.

use super::model_files::{classifiers_of, vae_of};
use super::models::{Additions, ModelSet};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// What is left of a model set.
pub struct RecoveredModels {
    /// The models.
    pub set: ModelSet,
    /// Their folder; the shipped models for `None`.
    pub folder: Option<PathBuf>,
    /// What is added to them.
    pub additions: Additions,
    /// Why each of the others was left out.
    pub missing: Vec<Error>,
    /// Where an added folder was left out: how many members there are before it, and how many it had, where this is known.
    removed: Vec<(usize, Option<usize>)>,
}

impl RecoveredModels {
    /// The models in the folder `wanted` with `additions`. Where they cannot be opened, what cannot be read is left out: first additions, then
    /// the folder, in whose place the shipped models come. Then additions that do not fit are left out, the last one first.
    ///
    /// # Errors
    /// Only if the program was built from damaged models.
    pub fn open(wanted: Option<&Path>, additions: &Additions) -> Result<Self> {
        let (mut folder, mut kept, mut missing) = (wanted.map(Path::to_owned), additions.clone(), Vec::new());
        let set = loop {
            let error = match ModelSet::open_with(folder.as_deref(), &kept) {
                Ok(set) => break set,
                Err(error) => error,
            };
            if let Some(error) = kept.vae.as_deref().and_then(|vae| vae_of(vae).err()) {
                kept.vae = None;
                missing.push(error);
            } else if let Some((place, error)) =
                kept.members.iter().enumerate().find_map(|(place, member)| Some((place, classifiers_of(member).err()?)))
            {
                kept.members.remove(place);
                missing.push(error);
            } else if folder.take().is_some() || kept.members.pop().is_some() || kept.vae.take().is_some() {
                missing.push(error);
            } else {
                return Err(error);
            }
        };
        // In place of the members of another folder there is nothing to count.
        let removed = if folder.as_deref() == wanted { removed(&set, additions, &kept) } else { Vec::new() };
        Ok(Self { set, folder, additions: kept, missing, removed })
    }

    /// The new number of a member that had the number `member` among `before` members (all members of then, where it is known); `None`
    /// where it is gone. An added folder that is gone counts as one member where nothing tells.
    pub fn number_of(&self, member: usize, before: Option<usize>) -> Option<usize> {
        let now = self.set.ensemble().members().len();
        let known: usize = self.removed.iter().filter_map(|(_, count)| *count).sum();
        let unknown = self.removed.iter().filter(|(_, count)| count.is_none()).count();
        let of_one = if unknown == 1 { before.and_then(|before| before.checked_sub(now + known)) } else { None };
        let mut gone = 0;
        for (start, count) in &self.removed {
            let count = count.or(of_one).unwrap_or(1);
            if (start + gone..start + gone + count).contains(&member) {
                return None;
            }
            gone += if member >= start + gone + count { count } else { 0 };
        }
        Some(member - gone).filter(|member| *member < now)
    }
}

/// Where the added folders stood that are no longer among the kept ones.
fn removed(set: &ModelSet, additions: &Additions, kept: &Additions) -> Vec<(usize, Option<usize>)> {
    let count = |folder: &PathBuf| classifiers_of(folder).ok().map(|classifiers| classifiers.len());
    let of_kept: usize = kept.members.iter().filter_map(count).sum();
    let (mut before, mut removed) = (set.ensemble().members().len().saturating_sub(of_kept), Vec::new());
    for folder in &additions.members {
        if kept.members.contains(folder) {
            before += count(folder).unwrap_or(0);
        } else {
            removed.push((before, count(folder)));
        }
    }
    removed
}

/// The number in `after` of each member of `before`, by its content, else by its name; `None` where it is gone.
pub fn renumbered(before: &ModelSet, after: &ModelSet) -> Vec<Option<usize>> {
    let [before_members, after_members] = [before, after].map(|set| set.ensemble().members());
    let mut taken = vec![false; after_members.len()];
    let mut numbers = vec![None; before_members.len()];
    // A member that is there twice has two numbers.
    for by_name in [false, true] {
        for (number, old) in numbers.iter_mut().zip(before_members).filter(|(number, _)| number.is_none()) {
            let is_same = |name: &String| if by_name { *name == old.name } else { after.hashes.get(name) == before.hashes.get(&old.name) };
            *number = (0..taken.len()).find(|&place| !taken[place] && is_same(&after_members[place].name));
            if let Some(place) = *number {
                taken[place] = true;
            }
        }
    }
    numbers
}
