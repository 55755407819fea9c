//! Reads scores of any detectors, ours or those of others, and computes the table of them.

use super::Detector;
use super::npz::{self, Column};
use super::scores::COLUMNS;
use crate::analysis::detection::{Clusters, Comparison, Estimate, Quality, Ranking, is_few};
use crate::error::{Error, Result};
use crate::files;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Scores as a file holds them.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreFile {
    rows: Vec<Scores>,
    /// The columns that are no columns of images: the detectors by name.
    detectors: Vec<String>,
}

/// A row: an image in a version.
#[derive(Clone, Debug, PartialEq)]
struct Scores {
    image: String,
    version: Version,
    attack: String,
    eps: String,
    on: String,
    model: String,
    success: bool,
    /// Of each detector; NaN where the field is empty.
    values: Vec<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Clean,
    Noise,
    Attacked,
    Ood,
}

/// A line of the table: a detector of some positives among some negatives.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoredLine {
    /// The attack, empty for images of other data.
    pub attack: String,
    /// Its budget, as the file has it.
    pub eps: String,
    /// Who was attacked.
    pub on: String,
    /// Which model scored.
    pub model: String,
    /// `all` or `successful` attacked images, or `ood`.
    pub positives: &'static str,
    /// `both`, `clean` or `noise`.
    pub negatives: &'static str,
    /// The detector: the name of its column.
    pub detector: String,
    /// How many negatives and positives.
    pub counts: [usize; 2],
    /// Its numbers; `None` where its column is empty.
    #[serde(flatten)]
    pub quality: Option<Quality>,
    /// The AUROC of the first detector less that of this one, with the interval of the paired difference.
    pub first_less_this: Option<Estimate>,
}

impl ScoreFile {
    /// Reads a file whose name ends in `.csv` or `.npz`: the columns `image` and `version` (`clean`, `noise`, `attacked` or `ood`), where
    /// they have a meaning `attack`, `eps`, `on`, `model` and `success` (1, 0 or empty), and a column of numbers for each detector.
    ///
    /// # Errors
    /// When the file cannot be read, a column is missing, or a field is not what it should be; names its line and column.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = files::read(path)?;
        match path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("npz") => Self::of_columns(path, files::guarded(path, || npz::decode(path, &bytes))?),
            Some("csv") => Self::of_csv(path, &bytes),
            _ => Err(Error::file(path, "has no ending that says the format of the scores", "end the name in .csv or .npz")),
        }
    }

    fn of_csv(path: &Path, bytes: &[u8]) -> Result<Self> {
        let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).trim(csv::Trim::All).from_reader(bytes);
        let damaged = |error: csv::Error| {
            Error::file(path, error.to_string(), "save it as a CSV file with a header and equally many fields in each line")
        };
        let names: Vec<String> = reader.headers().map_err(damaged)?.iter().map(str::to_owned).collect();
        let mut rows: Vec<(u64, Vec<String>)> = Vec::new();
        for record in reader.records() {
            let record = record.map_err(damaged)?;
            rows.push((record.position().map_or(0, csv::Position::line), record.iter().map(str::to_owned).collect()));
        }
        Self::new(path, &names, rows.into_iter().map(|(line, fields)| (format!("line {line}"), fields)))
    }

    fn of_columns(path: &Path, columns: Vec<(String, Column)>) -> Result<Self> {
        let text = |column: &Column| match column {
            Column::Text(values) => values.clone(),
            Column::Numbers(values) => values.iter().map(|value| if value.is_nan() { String::new() } else { value.to_string() }).collect(),
        };
        let (names, columns): (Vec<String>, Vec<Vec<String>>) = columns.into_iter().map(|(name, column)| (name, text(&column))).unzip();
        let count = columns.first().map_or(0, Vec::len);
        if let Some(at) = columns.iter().position(|column| column.len() != count) {
            let problem = format!("'{}' has {} values, but '{}' has {count}", names[at], columns[at].len(), names[0]);
            return Err(Error::file(path, problem, "save arrays of one length"));
        }
        let rows = (0..count).map(|row| (format!("row {row}"), columns.iter().map(|column| column[row].clone()).collect()));
        Self::new(path, &names, rows)
    }

    fn new(path: &Path, names: &[String], rows: impl Iterator<Item = (String, Vec<String>)>) -> Result<Self> {
        let wrong = |problem: String, mend: &str| Error::file(path, problem, mend);
        let place = |name: &str| names.iter().position(|other| other == name);
        for (at, name) in names.iter().enumerate() {
            if name.is_empty() || names[..at].contains(name) {
                return Err(wrong(
                    format!("column {} has the name '{name}' of another one, or none", at + 1),
                    "give each column a name of its own",
                ));
            }
        }
        for needed in ["image", "version"] {
            if place(needed).is_none() {
                return Err(wrong(format!("has no column '{needed}'"), "name it in the header"));
            }
        }
        let of_detectors: Vec<usize> = (0..names.len()).filter(|&at| !COLUMNS.contains(&names[at].as_str())).collect();
        if of_detectors.is_empty() {
            return Err(wrong("has no column of scores".to_owned(), "add a column of numbers for each detector"));
        }
        let mut all = Vec::new();
        for (line, fields) in rows {
            let field = |name: &str| place(name).map_or("", |at| fields[at].as_str());
            let at = |name: &str| format!("{line}, column {} '{name}'", place(name).map_or(0, |at| at + 1));
            let version = match field("version") {
                "clean" => Version::Clean,
                "noise" => Version::Noise,
                "attacked" => Version::Attacked,
                "ood" => Version::Ood,
                other => return Err(wrong(format!("{}: '{other}' is no version", at("version")), "write clean, noise, attacked or ood")),
            };
            let success = match field("success") {
                "1" | "true" | "True" => true,
                "0" | "false" | "False" | "" => false,
                other => return Err(wrong(format!("{}: '{other}' is no success", at("success")), "write 1, 0 or nothing")),
            };
            let value = |&column: &usize| match fields[column].as_str() {
                "" => Ok(f64::NAN),
                text => text
                    .parse::<f64>()
                    .map_err(|_| wrong(format!("{}: '{text}' is no number", at(&names[column])), "write a number, or nothing")),
            };
            all.push(Scores {
                image: field("image").to_owned(),
                version,
                attack: field("attack").to_owned(),
                eps: field("eps").to_owned(),
                on: field("on").to_owned(),
                model: field("model").to_owned(),
                success,
                values: of_detectors.iter().map(value).collect::<Result<_>>()?,
            });
        }
        Ok(Self { rows: all, detectors: of_detectors.into_iter().map(|at| names[at].clone()).collect() })
    }

    /// The table: for each attack (and budget, victim, model) its images against clean, noisy and both, and images of other data
    /// against clean ones. A detector's score rises with what is suspicious, but for the keys of ours that fall with it.
    ///
    /// # Errors
    /// When there are no positives at all, or a detector has a number for a part of the images only.
    pub fn table(&self, path: &Path, resamples: u32, seed: u32) -> Result<Vec<ScoredLine>> {
        let mut groups: Vec<&Scores> = Vec::new();
        for row in self.rows.iter().filter(|row| matches!(row.version, Version::Attacked | Version::Ood)) {
            if !groups.iter().any(|other| row.version == other.version && row.same_attack(other)) {
                groups.push(row);
            }
        }
        if groups.is_empty() {
            return Err(Error::file(path, "holds no image of the version 'attacked' or 'ood'", "add what is to be detected"));
        }
        let mut lines = Vec::new();
        for group in groups {
            let rows = |version: Version| -> Vec<&Scores> {
                let of = |row: &&Scores| {
                    row.version == version && if version == Version::Clean { row.same_model(group) } else { row.same_attack(group) }
                };
                self.rows.iter().filter(of).collect()
            };
            let (clean, noise) = (rows(Version::Clean), rows(Version::Noise));
            if group.version == Version::Ood {
                self.compare(path, group, ("ood", rows(Version::Ood)), ("clean", clean), (resamples, seed), &mut lines)?;
                continue;
            }
            let attacked = rows(Version::Attacked);
            let successful = attacked.iter().copied().filter(|row| row.success).collect();
            for (positives, of_positives) in [("all", attacked), ("successful", successful)] {
                for (negatives, of_negatives) in
                    [("both", [clean.clone(), noise.clone()].concat()), ("clean", clean.clone()), ("noise", noise.clone())]
                {
                    self.compare(path, group, (positives, of_positives.clone()), (negatives, of_negatives), (resamples, seed), &mut lines)?;
                }
            }
        }
        Ok(lines)
    }

    fn compare(
        &self,
        path: &Path,
        group: &Scores,
        (positives, of_positives): (&'static str, Vec<&Scores>),
        (negatives, of_negatives): (&'static str, Vec<&Scores>),
        (resamples, seed): (u32, u32),
        lines: &mut Vec<ScoredLine>,
    ) -> Result<()> {
        let sides = [&of_negatives, &of_positives];
        let mut rankings = Vec::new();
        let mut places = Vec::new();
        for (detector, name) in self.detectors.iter().enumerate() {
            let sign = if Detector::from_key(name).is_none_or(Detector::rises) { 1.0 } else { -1.0 };
            let [negatives, positives] = sides.map(|side| side.iter().map(|row| sign * row.values[detector]).collect::<Vec<f64>>());
            let missing = negatives.iter().chain(&positives).filter(|score| score.is_nan()).count();
            if missing > 0 && missing < negatives.len() + positives.len() {
                let problem =
                    format!("column '{name}' is empty for {missing} of {} images of one comparison", negatives.len() + positives.len());
                return Err(Error::file(path, problem, "give numbers for all of them, or none"));
            }
            let defined = missing == 0 && !negatives.is_empty() && !positives.is_empty();
            places.push(defined.then_some(rankings.len()));
            if defined {
                rankings.push(Ranking::new(&negatives, &positives)?);
            }
        }
        let clusters = if group.version == Version::Ood {
            Clusters::independent(of_negatives.len(), of_positives.len())
        } else {
            // All images of the group, whether the attack succeeded on them or not.
            let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
            for row in self.rows.iter().filter(|row| row.version != Version::Ood && row.same_model(group)) {
                let next = numbers.len() as u32;
                numbers.entry(&row.image).or_insert(next);
            }
            let of = |side: &[&Scores]| side.iter().map(|row| numbers[row.image.as_str()]).collect();
            Clusters::paired(of(&of_negatives), of(&of_positives), numbers.len())
        };
        let comparison = Comparison::new(&rankings, &clusters, resamples, seed);
        for (detector, place) in self.detectors.iter().zip(&places) {
            lines.push(ScoredLine {
                attack: group.attack.clone(),
                eps: group.eps.clone(),
                on: group.on.clone(),
                model: group.model.clone(),
                positives,
                negatives,
                detector: detector.clone(),
                counts: [of_negatives.len(), of_positives.len()],
                quality: place.map(|at| comparison.qualities[at]),
                first_less_this: places[0].zip(*place).map(|(first, at)| comparison.difference(first, at)),
            });
        }
        Ok(())
    }
}

impl Scores {
    fn same_model(&self, other: &Self) -> bool {
        (&self.on, &self.model) == (&other.on, &other.model)
    }

    fn same_attack(&self, other: &Self) -> bool {
        self.same_model(other) && (&self.attack, &self.eps) == (&other.attack, &other.eps)
    }
}

/// The table as CSV.
pub fn scored_csv(lines: &[ScoredLine]) -> String {
    let mut text = "attack,eps,on,model,positives,negatives,detector,negative_count,positive_count".to_owned();
    for name in Quality::KEYS.into_iter().chain(["first_less_this"]) {
        // Writing to a string cannot fail.
        let _ = write!(text, ",{name},{name}_low,{name}_high");
    }
    for line in lines {
        let ScoredLine { attack, eps, on, model, positives, negatives, detector, counts, quality, first_less_this } = line;
        let _ = write!(text, "\n{attack},{eps},{on},{model},{positives},{negatives},{detector},{},{}", counts[0], counts[1]);
        let estimates = quality.map_or([None; Quality::KEYS.len()], |quality| quality.estimates().map(Some));
        for estimate in estimates.into_iter().chain([*first_less_this]) {
            let interval =
                estimate.and_then(Estimate::interval).map_or([String::new(), String::new()], |ends| ends.map(|end| end.to_string()));
            let _ = write!(
                text,
                ",{},{},{}",
                estimate.map_or_else(String::new, |estimate| estimate.value.to_string()),
                interval[0],
                interval[1]
            );
        }
    }
    text.push('\n');
    text
}

/// The table for a person: each choice of positives against all of their negatives. The other negatives are in CSV and JSON.
pub fn scored_text(lines: &[ScoredLine]) -> String {
    let mut text = "Positive: the version 'attacked' or 'ood'; a higher score is positive, but for measures that fall with uncertainty. Intervals: 95 %, \
                    bootstrap over images with all their versions. Attacked images stand against clean and noisy ones together; --csv and --json \
                    hold each alone.\n"
        .to_owned();
    let described = |estimate: Option<Estimate>| estimate.map_or_else(|| "–".to_owned(), Estimate::describe);
    let mut head = String::new();
    let mut first = "";
    for line in lines.iter().filter(|line| line.negatives == "both" || line.positives == "ood") {
        let [negatives, positives] = line.counts;
        let of: Vec<&str> =
            [&line.attack, &line.eps, &line.on, &line.model].into_iter().map(String::as_str).filter(|of| !of.is_empty()).collect();
        let against = if line.negatives == "both" { "clean and noisy" } else { line.negatives };
        let this = format!("{}: {positives} {} against {negatives} {against}", of.join(" "), line.positives);
        let is_first = this != head;
        if is_first {
            let few = if is_few(positives.min(negatives)) { " (too few for the intervals to say much)" } else { "" };
            let _ = writeln!(text, "{}{few}", this.trim_start_matches(": "));
            (head, first) = (this, &line.detector);
        }
        let auroc = described(line.quality.map(|quality| quality.auroc));
        // The first detector has no difference from itself.
        let difference = if is_first { String::new() } else { format!("{first} − this: {}", described(line.first_less_this)) };
        let _ = writeln!(text, "{}", format!("  {:<30}AUROC {auroc:<24}{difference}", line.detector).trim_end());
    }
    text
}
