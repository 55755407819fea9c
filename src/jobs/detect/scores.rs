//! The scores behind a detection as a table, a row per image and version, for other programs.

use super::npz::{self, Column};
use super::{Detected, Detection, Detector, Kind};
use crate::error::Result;
use crate::figure::provenance::csv_line;
use crate::jobs::Classifiers;
use std::fmt::Write as _;
use std::path::Path;

/// The columns before the detectors.
pub(super) const COLUMNS: [&str; 9] = ["image", "label", "version", "attack", "eps", "on", "model", "prediction", "success"];

/// A row: what the first columns hold, as text, and a value of each detector.
struct Row {
    fields: [String; COLUMNS.len()],
    values: Vec<f64>,
}

impl Detection {
    /// The detectors that every row and the unfamiliar images have scores of.
    fn detectors(&self) -> Vec<Detector> {
        self.rows.first().map_or_else(|| Detector::all(false), Detected::detectors)
    }

    fn score_rows(&self, classifiers: &Classifiers) -> Vec<Row> {
        let mut rows = Vec::new();
        for (number, row) in self.rows.iter().enumerate() {
            // The clean images once for all attacks that are measured by the same draws of the same members.
            let seen = |other: &Detected| super::same_eyes(&other.attacked.settings, &row.attacked.settings);
            let clean = (!self.rows[..number].iter().any(seen)).then_some(Kind::Clean);
            let values: Vec<[Vec<f64>; 3]> = row.detectors().into_iter().map(|detector| row.values(detector)).collect();
            for kind in clean.into_iter().chain([Kind::Noisy, Kind::Attacked]) {
                rows.extend(rows_of(classifiers, row, kind, &values));
            }
        }
        let detectors = self.detectors();
        for found in &self.unfamiliar {
            let model = model(classifiers, &found.members);
            let of = |&detector: &Detector| -> Vec<f64> {
                let [_, other] = found.scores_of(detector);
                other.into_iter().map(|score| detector.turned(score)).collect()
            };
            let values: Vec<Vec<f64>> = detectors.iter().map(of).collect();
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
                rows.push(Row { fields, values: values.iter().map(|of| of.get(image).copied().unwrap_or(f64::NAN)).collect() });
            }
        }
        rows
    }

    /// The scores as CSV: the provenance, a header with [`COLUMNS`] and every detector by its key, then a row per image and version.
    /// A field is empty where it has no meaning: the attack of a clean image, the success where the image was wrong before.
    pub fn scores_csv(&self, classifiers: &Classifiers) -> String {
        let mut text = csv_line(&self.provenance(classifiers)) + &COLUMNS.join(",");
        for detector in self.detectors() {
            text = text + "," + detector.key();
        }
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
        for (place, detector) in self.detectors().into_iter().enumerate() {
            columns.push((detector.key(), Column::Numbers(rows.iter().map(|row| row.values[place]).collect())));
        }
        npz::encode(path, &columns, &self.provenance(classifiers))
    }
}

/// The rows of one kind of images; `values` are those of each detector of clean, noisy and attacked images.
fn rows_of(classifiers: &Classifiers, row: &Detected, kind: Kind, values: &[[Vec<f64>; 3]]) -> Vec<Row> {
    let settings = &row.attacked.settings;
    let (version, attacked, place, said) = match kind {
        Kind::Clean => ("clean", false, 0, &row.attacked.before),
        Kind::Noisy => ("noise", true, 1, &row.noisy),
        Kind::Attacked => ("attacked", true, 2, &row.attacked.after),
    };
    let [attack, eps] = if attacked { [settings.attack.method.clone(), settings.attack.epsilon.to_string()] } else { Default::default() };
    let (model, successes) = (model(classifiers, &settings.members), row.attacked.successes());
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
        Row { fields, values: values.iter().map(|of| of[place][image]).collect() }
    };
    (0..successes.len()).map(of_image).collect()
}

/// The names of the members, with plus signs between them.
fn model(classifiers: &Classifiers, members: &[usize]) -> String {
    let names: Vec<String> = members.iter().map(|&member| classifiers.ensemble().members()[member].name.replace(',', " ")).collect();
    names.join("+")
}
