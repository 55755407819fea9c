//! The scores behind a detection as a table, a row per image and version, for other programs.

use super::npz::{self, Column};
use super::{Detected, Detection, Kind};
use crate::error::Result;
use crate::figure::provenance::csv_line;
use crate::jobs::Classifiers;
use crate::jobs::attack::Said;
use crate::uncertainty::Measure;
use std::fmt::Write as _;
use std::path::Path;

/// The columns before the measures.
pub(super) const COLUMNS: [&str; 9] = ["image", "label", "version", "attack", "eps", "on", "model", "prediction", "success"];

/// A row: what the first columns hold, as text, and a value of each measure.
struct Row {
    fields: [String; COLUMNS.len()],
    values: Vec<f64>,
}

impl Detection {
    fn score_rows(&self, classifiers: &Classifiers) -> Vec<Row> {
        let mut rows = Vec::new();
        for (number, row) in self.rows.iter().enumerate() {
            // The clean images once for all attacks that are measured by the same draws of the same members.
            let seen = |other: &Detected| super::same_eyes(&other.attacked.settings, &row.attacked.settings);
            let clean = (!self.rows[..number].iter().any(seen)).then_some((Kind::Clean, &row.attacked.before));
            for (kind, said) in clean.into_iter().chain([(Kind::Noisy, &row.noisy), (Kind::Attacked, &row.attacked.after)]) {
                rows.extend(rows_of(classifiers, row, kind, said));
            }
        }
        for found in &self.unfamiliar {
            let model = model(classifiers, &found.members);
            let values: Vec<Vec<f64>> =
                Measure::ALL.iter().zip(&found.scores).map(|(measure, [_, other])| values(*measure, other)).collect();
            for image in 0..found.predictions.len() {
                let prediction = found.predictions[image].to_string();
                let fields = [
                    image.to_string(),
                    String::new(),
                    "ood".into(),
                    String::new(),
                    String::new(),
                    found.on.key().into(),
                    model.clone(),
                    prediction,
                    String::new(),
                ];
                rows.push(Row { fields, values: values.iter().map(|of| of[image]).collect() });
            }
        }
        rows
    }

    /// The scores as CSV: the provenance, a header with [`COLUMNS`] and every measure by its key, then a row per image and version.
    /// A field is empty where it has no meaning: the attack of a clean image, the success where the image was wrong before.
    pub fn scores_csv(&self, classifiers: &Classifiers) -> String {
        let mut text = csv_line(&self.provenance(classifiers)) + &COLUMNS.join(",") + "," + &Measure::ALL.map(Measure::key).join(",");
        for row in self.score_rows(classifiers) {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n{}", row.fields.join(","));
            for value in row.values {
                let _ = write!(text, ",{value}");
            }
        }
        text.push('\n');
        text
    }

    /// The same as the bytes of an npz archive, an array per column. Numbers are f64, NaN where a field is empty.
    ///
    /// # Errors
    /// When the archive cannot be made. `path` is for the message.
    pub fn scores_npz(&self, path: &Path, classifiers: &Classifiers) -> Result<Vec<u8>> {
        let rows = self.score_rows(classifiers);
        let mut columns: Vec<(&str, Column)> = Vec::new();
        for (place, name) in COLUMNS.into_iter().enumerate() {
            let fields = || rows.iter().map(|row| row.fields[place].as_str());
            let column = match name {
                "version" | "attack" | "on" | "model" => Column::Text(fields().map(str::to_owned).collect()),
                _ => Column::Numbers(fields().map(|field| field.parse().unwrap_or(f64::NAN)).collect()),
            };
            columns.push((name, column));
        }
        for (place, measure) in Measure::ALL.into_iter().enumerate() {
            columns.push((measure.key(), Column::Numbers(rows.iter().map(|row| row.values[place]).collect())));
        }
        npz::encode(path, &columns, &self.provenance(classifiers))
    }
}

fn rows_of(classifiers: &Classifiers, row: &Detected, kind: Kind, said: &Said) -> Vec<Row> {
    let settings = &row.attacked.settings;
    let (version, attacked) = match kind {
        Kind::Clean => ("clean", false),
        Kind::Noisy => ("noise", true),
        Kind::Attacked => ("attacked", true),
    };
    let [attack, eps] = if attacked { [settings.attack.method.clone(), settings.attack.epsilon.to_string()] } else { Default::default() };
    let (model, successes) = (model(classifiers, &settings.members), row.attacked.successes());
    let measures = Measure::ALL.map(|measure| said.measure(measure));
    let of_image = |image: usize| {
        let success = match (kind, successes[image]) {
            (Kind::Attacked, Some(success)) => u8::from(success).to_string(),
            _ => String::new(),
        };
        let fields = [
            image.to_string(),
            row.attacked.labels[image].to_string(),
            version.to_owned(),
            attack.clone(),
            eps.clone(),
            settings.on.key().to_owned(),
            model.clone(),
            said.prediction(image).to_string(),
            success,
        ];
        Row { fields, values: measures.iter().map(|values| values[image]).collect() }
    };
    (0..successes.len()).map(of_image).collect()
}

/// The names of the members, with plus signs between them.
fn model(classifiers: &Classifiers, members: &[usize]) -> String {
    let names: Vec<String> = members.iter().map(|&member| classifiers.ensemble().members()[member].name.replace(',', " ")).collect();
    names.join("+")
}

/// The values of a measure for its scores, which rise with uncertainty.
fn values(measure: Measure, scores: &[f64]) -> Vec<f64> {
    let sign = if measure.rises_with_uncertainty() { 1.0 } else { -1.0 };
    scores.iter().map(|score| sign * score).collect()
}
