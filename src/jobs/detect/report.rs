//! The table of a detection as text, CSV and JSON.

use super::cells::COMPARED;
use super::{Detected, Detection, Detector, Negatives, Positives, Scored, SeedSpread};
use crate::analysis::detection::{Estimate, Quality, is_few};
use crate::attack::Norm;
use crate::figure::provenance::{JSON_KEY, csv_line};
use crate::jobs::attack::{success_json, success_proportion};
use crate::jobs::figures::classifier_provenance;
use crate::jobs::passes::ComputedBy;
use crate::jobs::{Classifiers, On};
use crate::numbers::counted;
use crate::uncertainty::Measure;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The width of the first columns of the table for a person, which only the first line of an attack has.
const HEAD: usize = 59;

/// The L2 length among [`Norm::ALL`].
const L2: usize = 1;

impl Detection {
    /// What made it.
    pub fn provenance(&self, classifiers: &Classifiers) -> Value {
        let mut by = ComputedBy::default();
        let mut members: Vec<usize> = Vec::new();
        for row in &self.rows {
            by.merge(&row.attacked.by());
            by.merge(row.noisy.by());
            members.extend(&row.attacked.settings.members);
        }
        members.sort_unstable();
        members.dedup();
        let mut all = classifier_provenance(classifiers, &by, &self.settings, &members);
        all["dataset"] = json!({ "name": self.dataset, "images": self.images });
        all
    }

    /// Every number, and the provenance.
    pub fn to_json(&self, classifiers: &Classifiers) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(row).collect();
        let unfamiliar: Vec<Value> = self
            .unfamiliar
            .iter()
            .map(|found| {
                let scored: Vec<Value> =
                    found.scored.iter().map(|(detector, quality)| with_quality(json!({ "measure": detector }), *quality)).collect();
                json!({ "on": found.on, "dataset": found.dataset, "detection": scored, "auroc_of_entropy_less_information": found.difference })
            })
            .collect();
        let mut all = json!({
            JSON_KEY: self.provenance(classifiers), "dataset": self.dataset, "images": self.images, "about": Self::LEGEND, "rows": rows,
            "success_differences": self.success_differences(),
        });
        if !unfamiliar.is_empty() {
            all["unfamiliar"] = json!(unfamiliar);
        }
        all
    }

    /// What the numbers are about, for a person: which are the negatives, and which side is positive.
    pub const LEGEND: &str = "Positive: attacked images, or those of other data, on the side of high values (of the maximum probability and the latent \
        log-density on that of low ones). \
        Negative, unless another choice is named: the clean and the noisy images together; the clean ones for other data. Intervals: 95 %, bootstrap \
        over images with all their versions, so differences are paired; of success, Wilson's.";

    /// The provenance, a header, then one line per attack, positives, negatives and measure. What has no positives is empty; so are the
    /// columns of the attack where unfamiliar images are the positives.
    pub fn to_csv(&self, classifiers: &Classifiers) -> String {
        let mut text = csv_line(&self.provenance(classifiers));
        text.push_str("method,norm,epsilon,on,samples,success_rate,success_low,success_high,positives,negatives,measure");
        for name in Quality::KEYS {
            let _ = write!(text, ",{name},{name}_low,{name}_high");
        }
        text.push_str(",auroc_less_that_of_mutual_information,difference_low,difference_high");
        text.push_str(",auroc_seeds,auroc_seed_lowest,auroc_seed_highest,auroc_seed_standard_deviation\n");
        for row in &self.rows {
            let settings = &row.attacked.settings;
            let success = success(row).map_or_else(|| ",,".to_owned(), |Estimate { value, low, high }| format!("{value},{low},{high}"));
            for scored in &row.scored {
                // Writing to a string cannot fail.
                let _ = writeln!(
                    text,
                    "{},{},{},{},{},{success},{},{},{}{}{}{}",
                    settings.attack.method,
                    settings.attack.norm.key(),
                    settings.attack.epsilon,
                    settings.on.key(),
                    settings.samples,
                    scored.positives.key(),
                    scored.negatives.key(),
                    scored.detector.key(),
                    cells(scored.quality),
                    difference(scored.detector, row.difference(scored.positives, scored.negatives)),
                    spread(scored.seed_spread)
                );
            }
        }
        for found in &self.unfamiliar {
            for (detector, quality) in &found.scored {
                let name = found.dataset.replace(',', " ");
                let more = difference(*detector, found.difference) + &spread(None);
                let _ = writeln!(text, ",,,{},,,,,{name},clean,{}{}{more}", found.on.key(), detector.key(), cells(*quality));
            }
        }
        text
    }

    /// The rows in the order of the paper's table: by method and budget, and side by side who is attacked.
    pub(super) fn grid(&self) -> Vec<[Option<&Detected>; 3]> {
        let mut lines: Vec<[Option<&Detected>; 3]> = Vec::new();
        for row in &self.rows {
            let of = |row: &Detected| {
                let attack = &row.attacked.settings.attack;
                (attack.method.clone(), attack.norm, attack.epsilon.to_bits())
            };
            let place = On::ALL.iter().position(|on| *on == row.attacked.settings.on).unwrap_or(0);
            let line = lines.iter_mut().find(|line| line[place].is_none() && line.iter().flatten().any(|other| of(other) == of(row)));
            if let Some(line) = line {
                line[place] = Some(row);
            } else {
                let mut line = [None; 3];
                line[place] = Some(row);
                lines.push(line);
            }
        }
        lines
    }

    /// The table for a person: success, and AUROC with its interval against clean and noisy images together.
    pub fn to_text(&self) -> String {
        let mut lines = vec![format!("{} images of {}; against as many clean and as many noisy ones", self.images, self.dataset)];
        lines.push(Self::LEGEND.to_owned());
        lines.push(format!(
            "{:<11}{:<6}{:>6}  {:<14}{:>20}  {:<22}{:<24}{:<24}{:<22}{}",
            "attack",
            "norm",
            "ε",
            "on",
            "success",
            "measure",
            "AUROC of all",
            "AUROC of successful",
            "TPR at 1 and 5 % FPR",
            if self.settings.seeds > 1 { format!("AUROC of all over {} mask seeds", self.settings.seeds) } else { String::new() }
        ));
        let interval = |estimate: Option<Estimate>| estimate.map_or_else(|| "–".to_owned(), Estimate::describe);
        for row in &self.rows {
            let settings = &row.attacked.settings;
            let of_vae = Detector::OF_VAE.into_iter().filter(|_| row.distances.is_some());
            for (number, detector) in shown(settings.on).iter().copied().map(Detector::Measure).chain(of_vae).enumerate() {
                let tpr = row.quality(detector, Positives::All, Negatives::Both).map_or_else(
                    || "–".to_owned(),
                    |quality| format!("{:.3} {:.3}", quality.tpr_at_1_fpr.value, quality.tpr_at_5_fpr.value),
                );
                let seeds = row.scored(detector, Positives::All, Negatives::Both).and_then(|scored| scored.seed_spread);
                let seeds = seeds.map_or_else(String::new, |SeedSpread { lowest, highest, .. }| format!("{lowest:.3}–{highest:.3}"));
                let [all, successful] = Positives::ALL.map(|positives| {
                    let text = || interval(row.quality(detector, positives, Negatives::Both).map(|quality| quality.auroc));
                    row.undefined(detector).map_or_else(text, |_| "undefined".to_owned())
                });
                let name = if number == 0 {
                    format!(
                        "{:<11}{:<6}{:>6}  {:<14}{:>20}",
                        settings.attack.method,
                        settings.attack.norm.key(),
                        settings.attack.epsilon,
                        settings.on.key(),
                        success(row).map_or_else(
                            || "–".to_owned(),
                            |rate| format!("{:.1} % [{:.1}, {:.1}]", 100.0 * rate.value, 100.0 * rate.low, 100.0 * rate.high)
                        )
                    )
                } else {
                    " ".repeat(HEAD)
                };
                let line = format!("{name}  {:<22}{:<24}{:<24}{tpr:<22}{seeds}", detector.label(), all, successful);
                lines.push(line.trim_end().to_owned());
            }
            let [all, successful] = Positives::ALL.map(|positives| interval(row.difference(positives, Negatives::Both)));
            lines.push(format!("{}  {:<22}{all:<24}{successful}", " ".repeat(HEAD), "H − I, paired"));
            lines.extend(notes(row).into_iter().map(|note| format!("{}  {note}", " ".repeat(HEAD))));
        }
        let differences = self.success_differences();
        if !differences.is_empty() {
            lines.push("Success on one less that on another, of the same images, with Newcombe's 95 % interval:".to_owned());
            lines.extend(differences.iter().map(|difference| format!("  {}", difference.describe())));
        }
        for found in &self.unfamiliar {
            lines.push(format!("{} against {}, {}:", found.dataset, self.dataset, found.on.label()));
            for (detector, quality) in &found.scored {
                let Some(Quality { auroc, fpr_at_95_tpr, tpr_at_1_fpr, tpr_at_5_fpr, .. }) = quality else {
                    lines.push(format!("  {:<30}{}", detector.label(), found.undefined(*detector).unwrap_or("–")));
                    continue;
                };
                let rates = [fpr_at_95_tpr, tpr_at_1_fpr, tpr_at_5_fpr].map(|rate| format!("{:.3}", rate.value));
                let [fpr95, tpr1, tpr5] = rates;
                lines.push(format!("  {:<30}AUROC {}  FPR95 {fpr95}  TPR1 {tpr1}  TPR5 {tpr5}", detector.label(), interval(Some(*auroc))));
            }
            lines.push(format!("  {:<30}{}", "AUROC of entropy − MI, paired", interval(found.difference)));
        }
        lines.join("\n")
    }
}

/// What the table for a person shows.
fn shown(on: On) -> &'static [Measure] {
    match on {
        On::Deterministic => &[Measure::DeterministicEntropy, Measure::PredictiveEntropy, Measure::MutualInformation],
        On::Mc | On::Ensemble => &[Measure::PredictiveEntropy, Measure::MutualInformation],
    }
}

fn row(row: &Detected) -> Value {
    let (attacked, settings, count) = (&row.attacked, &row.attacked.settings, row.attacked.labels.len() as f64);
    let right = |when: usize| attacked.predictions().zip(&attacked.labels).filter(|(said, label)| said[when] == **label).count();
    let scored: Vec<Value> = row
        .scored
        .iter()
        .map(|Scored { positives, negatives, detector, quality, seed_spread }| {
            let head = json!({ "positives": positives, "negatives": negatives, "measure": detector, "seed_spread": seed_spread });
            with_quality(head, *quality)
        })
        .collect();
    let mut all = json!({
        "method": settings.attack.method,
        "norm": settings.attack.norm.key(),
        "epsilon": settings.attack.epsilon,
        "on": settings.on,
        "members": settings.members,
        "samples": settings.samples,
        "success": success_json(&attacked.successes()),
        "accuracy": { "before": right(0) as f64 / count, "after": right(1) as f64 / count },
        "mean_l2": attacked.norms.iter().map(|lengths| lengths[L2]).sum::<f64>() / count,
        "detection": scored,
        "undefined": row.undefined.iter().map(|(detector, reason)| (detector.key().to_owned(), json!(reason))).collect::<serde_json::Map<_, _>>(),
        "auroc_of_entropy_less_information": row.gains,
    });
    if let Some(draws) = settings.attack.attack_samples {
        all["attack_samples"] = json!(draws);
    }
    all
}

fn with_quality(mut value: Value, quality: Option<Quality>) -> Value {
    if let (Value::Object(all), Value::Object(more)) = (&mut value, json!(quality)) {
        all.extend(more);
    } else {
        for name in Quality::KEYS {
            value[name] = Value::Null;
        }
    }
    value
}

fn cells(quality: Option<Quality>) -> String {
    quality.map_or_else(|| ",".repeat(3 * Quality::KEYS.len()), |quality| quality.estimates().map(estimate).concat())
}

/// What the measure's AUROC is above that of mutual information, beside the measure that it is about.
fn difference(detector: Detector, difference: Option<Estimate>) -> String {
    difference.filter(|_| detector == COMPARED[0]).map_or_else(|| ",".repeat(3), estimate)
}

/// The AUROC over mask seeds: how many, the lowest, the highest, the standard deviation.
fn spread(spread: Option<SeedSpread>) -> String {
    let of = |SeedSpread { seeds, lowest, highest, standard_deviation }| format!(",{seeds},{lowest},{highest},{standard_deviation}");
    spread.map_or_else(|| ",".repeat(4), of)
}

/// A number and its interval; without one, their fields are empty.
fn estimate(estimate: Estimate) -> String {
    let interval = estimate.interval().map_or_else(|| ",".to_owned(), |[low, high]| format!("{low},{high}"));
    format!(",{},{interval}", estimate.value)
}

/// What a person must know of a row: why a measure is undefined, and where positives are too few for intervals.
fn notes(row: &Detected) -> Vec<String> {
    let mut notes = Vec::new();
    // A measure that needs draws is undefined for the same reason as every other one.
    if let Some(detector) = shown(row.attacked.settings.on).iter().copied().map(Detector::Measure).find(|&of| row.undefined(of).is_some()) {
        notes.push(format!("{}: {}", detector.label(), row.undefined(detector).unwrap_or_default()));
    }
    for (positives, name) in Positives::ALL.into_iter().zip(["attacked", "successfully attacked"]) {
        let [_, count] = row.images(positives, Negatives::Both).map(|side| side.len());
        if is_few(count) {
            notes.push(format!(
                "{}: too few for the intervals to say how other images would vary",
                counted(count as u64, &format!("{name} image"))
            ));
        }
    }
    notes
}

/// The share of the images that the attack could succeed on where it did; none where there was no such image.
pub(super) fn success(row: &Detected) -> Option<Estimate> {
    success_proportion(&row.attacked.successes())
}

const _: () = assert!(matches!(Norm::ALL[L2], Norm::L2));
