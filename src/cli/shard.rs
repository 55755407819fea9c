//! `--shard` and `epistemap merge`: work in parts, and the parts joined.

use super::{Cli, Verb};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::jobs::training::merge_trained;
use crate::jobs::{MergeEngine, Part, Shard, ShardEngine, Sharing, read_parts, unpack_attacked};
use clap::{Args, Parser as _};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The option of verbs that work in parts.
#[derive(Clone, Debug, Default, Args)]
pub struct ShardOptions {
    /// Compute the I-th of N shards only, and write it as a part into --out; `epistemap merge` makes of all parts what one run writes. Shards
    /// split points or images, never draws, and compute with --engine cpu.
    #[arg(long, value_name = "I/N", requires = "out")]
    pub shard: Option<Shard>,
    /// The parts that are merged.
    #[arg(skip)]
    parts: Option<Arc<Vec<Part>>>,
    #[arg(skip)]
    sharing: Sharing,
}

impl ShardOptions {
    /// The engine of a shard, or of a merge, around an engine for models of so many classes and of these SHA-256 by name.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn engine(&self, engine: Box<dyn Engine>, classes: usize, models: &BTreeMap<String, String>) -> Result<Box<dyn Engine>> {
        Ok(match (self.shard, &self.parts) {
            (Some(shard), _) => Box::new(ShardEngine::new(engine, classes, shard, self.sharing.clone())?),
            (None, Some(parts)) => Box::new(MergeEngine::new(engine, classes, Arc::clone(parts), models)?),
            (None, None) => engine,
        })
    }

    /// Writes the part of a shard that is done, with the attacked images in `cache`; whether it is one.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn finish(&self, engine: &dyn Engine, models: &BTreeMap<String, String>, out: Option<&Path>, cache: Option<&Path>) -> Result<bool> {
        let (Some(shard), Some(out)) = (self.shard, out) else { return Ok(false) };
        let part = self.sharing.part(shard, arguments(std::env::args().skip(1)), models.clone(), engine.name());
        part.write(out, cache)?;
        Ok(true)
    }

    /// Whether parts are merged.
    pub fn is_merge(&self) -> bool {
        self.parts.is_some()
    }

    /// Puts the attacked images of the parts that are merged into a folder.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn unpack(&self, folder: &Path) -> Result<()> {
        self.parts.as_ref().map_or(Ok(()), |parts| unpack_attacked(parts, folder))
    }
}

/// The words of a command line without those that differ from shard to shard, and without any place to write to: a part may be foreign.
fn arguments(words: impl Iterator<Item = String>) -> Vec<String> {
    const OWN: [&str; 5] = ["--shard", "--out", "--scores", "--cache", "--memory"];
    let (mut kept, mut is_value) = (Vec::new(), false);
    for word in words {
        let is_own = OWN.contains(&word.as_str());
        if !(is_value || is_own || OWN.iter().any(|own| word.strip_prefix(own).is_some_and(|rest| rest.starts_with('=')))) {
            kept.push(word);
        }
        is_value = is_own;
    }
    kept
}

/// `epistemap merge`.
#[derive(Debug, Args)]
pub struct Merge {
    /// The parts of all shards of one run, in any order: files, or the folders of `train ensemble`.
    #[arg(value_name = "PART", required = true)]
    parts: Vec<PathBuf>,
    /// What the one run would have been given as --out [default: standard output, where the verb prints].
    #[arg(long, value_name = "FILE|DIR")]
    out: Option<PathBuf>,
    /// Of parts of `detect`, also write the scores into this file, .csv or .npz, as `epistemap detect --scores` does.
    #[arg(long, value_name = "FILE")]
    scores: Option<PathBuf>,
}

impl Merge {
    /// Runs the verb.
    ///
    /// # Errors
    /// When parts are missing, double, damaged or foreign, models or data are not those of the shards, or a file cannot be written.
    pub fn run(self) -> Result<()> {
        let check_scores = |is_detect: bool| match self.scores {
            Some(_) if !is_detect => Err(Error::setting("--scores", "only parts of `detect` have scores", "leave it out")),
            _ => Ok(()),
        };
        if self.parts.iter().all(|part| part.is_dir()) {
            check_scores(false)?;
            let out = self.out.as_deref();
            let out = out.ok_or_else(|| Error::setting("--out", "trained models need a folder", "name one with --out DIR"))?;
            return merge_trained(&self.parts, out);
        }
        let parts = read_parts(&self.parts)?;
        let mut words = vec!["epistemap".to_owned()];
        // Parts of a former version hold the place of the scores.
        words.extend(arguments(parts[0].arguments.iter().cloned()));
        if let Some(out) = &self.out {
            words.extend(["--out".to_owned(), out.display().to_string()]);
        }
        let refused = |error: clap::Error| {
            let line = error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            Error::setting(
                "the parts",
                format!("their command line is not understood: {line}"),
                "name --out, and use the program of the shards",
            )
        };
        let mut verb = Cli::try_parse_from(&words).map_err(refused)?.verb;
        check_scores(matches!(verb, Some(Verb::Detect(_))))?;
        let options = match &mut verb {
            Some(Verb::Map(map)) => &mut map.shard,
            Some(Verb::Holes(holes)) => &mut holes.shard,
            Some(Verb::Evaluate(evaluate)) => &mut evaluate.shard,
            Some(Verb::Detect(detect)) => {
                detect.scores = self.scores;
                &mut detect.shard
            }
            _ => return Err(Error::setting("the parts", "they are of a verb that has no shards", "compute them again")),
        };
        options.parts = Some(Arc::new(parts));
        super::run(verb)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_shard_to_shard_is_left_out_of_the_command_line() {
        let of = |line: &str| arguments(line.split(' ').map(str::to_owned)).join(" ");
        assert_eq!(of("map --shard 1/4 --grid 9 --out a.part --seed 2"), "map --grid 9 --seed 2");
        assert_eq!(of("map --out=a --shard=2/3 --outer x"), "map --outer x");
        for scores in ["--scores /etc/s.csv", "--scores=victim.csv", "--out --scores s.csv"] {
            assert_eq!(of(&format!("detect --images 3 {scores} --json --from-scores a")), "detect --images 3 --json --from-scores a");
        }
    }

    #[test]
    fn a_shard_of_a_file_is_one_of_its_run() {
        let of = |text: &str| serde_json::from_str::<Shard>(text).ok().map(|shard| shard.to_string());
        assert_eq!(of(r#"{"number": 2, "of": 3}"#).as_deref(), Some("2/3"));
        for text in [r#"{"number": 0, "of": 0}"#, r#"{"number": 4, "of": 3}"#, r#"{"number": 1, "of": 4294967295}"#] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
