//! Raw maps for other programs: npz with every measure and the axes, CSV with one line per point.

use super::ModelSet;
use super::figures::provenance;
use super::map::{Map, Seen};
use crate::error::{Error, Result};
use crate::figure::provenance::{NPZ_MEMBER, csv_line};
use crate::latent::View;
use crate::uncertainty::{Measure, Passes};
use npyz::WriterBuilder as _;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{Cursor, Write as _};
use std::path::Path;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// The name of the standard error's array.
const STANDARD_ERROR: &str = "mutual_information_standard_error";
const MEAN_PROBABILITIES: &str = "mean_probabilities";

impl Map {
    /// What made this map.
    pub fn provenance(&self, set: &ModelSet) -> Value {
        provenance(set, &self.by, &self.settings, &self.settings.members, &json!({}))
    }

    /// Everything that goes into raw files: every measure that the map has, over all members, by key, the standard error of the
    /// mutual information where it was estimated, and, as `map_1`, `map_2`, …, what is seen of it. Where draws are still to come, values are NaN:
    /// what was computed of fewer draws is another number.
    pub fn raw(&self, seen: &[Seen]) -> Raw {
        let all: Vec<usize> = (0..self.settings.members.len()).collect();
        let of_all =
            |measure: Measure| Some((measure.key().to_owned(), self.final_values(&Seen { measure, members: all.clone(), minus: None })?));
        let mut arrays: Vec<_> = Measure::ALL.into_iter().filter_map(of_all).collect();
        arrays.extend(self.final_standard_error().map(|errors| (STANDARD_ERROR.to_owned(), errors)));
        let of_seen = |(place, seen): (usize, &Seen)| Some((format!("map_{}", place + 1), self.final_values(seen)?));
        arrays.extend(seen.iter().enumerate().filter_map(of_seen));
        Raw { view: self.settings.view, classes: self.classes(), arrays, mean_probabilities: self.mean_probabilities() }
    }

    /// What is seen at every point; NaN where it lacks passes. `None` where the map does not have them at all.
    fn final_values(&self, seen: &Seen) -> Option<Vec<f32>> {
        if self.deterministic.is_none() && seen.parts().any(|(measure, _)| measure.passes() == Passes::Deterministic) {
            return None;
        }
        let sampled: Vec<&[usize]> =
            seen.parts().filter(|(measure, _)| measure.passes() == Passes::Sampled).map(|(_, places)| places).collect();
        let mut values = self.seen(seen);
        for (point, value) in values.iter_mut().enumerate() {
            if !sampled.iter().all(|places| self.has_all_draws(point, places)) {
                *value = f32::NAN;
            }
        }
        Some(values)
    }
}

/// A file format of raw maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawFormat {
    /// Arrays, for NumPy.
    Npz,
    /// A line of text per point.
    Csv,
}

impl RawFormat {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::Npz, Self::Csv];

    /// The file name's extension.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Npz => "npz",
            Self::Csv => "csv",
        }
    }

    /// The format of that extension, in any case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.extension().eq_ignore_ascii_case(name))
    }
}

/// What raw files of a map hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Raw {
    view: View,
    classes: usize,
    /// \[rows, columns\] each, row 0 the lowest z₂; NaN at points that have not been asked yet.
    arrays: Vec<(String, Vec<f32>)>,
    /// \[rows, columns, classes\].
    mean_probabilities: Vec<f32>,
}

impl Raw {
    /// The bytes of a file. `path` is for messages. The same map gives the same bytes.
    ///
    /// # Errors
    /// When the archive cannot be made.
    pub fn encode(&self, format: RawFormat, path: &Path, provenance: &Value) -> Result<Vec<u8>> {
        match format {
            RawFormat::Npz => self.npz(path, provenance),
            RawFormat::Csv => Ok(self.csv(provenance).into_bytes()),
        }
    }

    /// Which arrays have every value, by name.
    pub fn completeness(&self) -> Value {
        let is_whole = |values: &[f32]| values.iter().all(|value| !value.is_nan());
        let mut whole: serde_json::Map<String, Value> =
            self.arrays.iter().map(|(name, values)| (name.clone(), is_whole(values).into())).collect();
        let has_all_draws = is_whole(&self.mean_probabilities);
        whole.insert(MEAN_PROBABILITIES.to_owned(), has_all_draws.into());
        // With too few draws there is no standard error: its NaN does not mean that draws are still to come.
        if let Some(is_whole) = whole.get_mut(STANDARD_ERROR) {
            *is_whole = has_all_draws.into();
        }
        Value::Object(whole)
    }

    /// An npz archive: `z1` and `z2` (f64), a [rows, columns] f32 array per measure (row = z₂), `mean_probabilities`
    /// [rows, columns, classes], and the provenance.
    fn npz(&self, path: &Path, provenance: &Value) -> Result<Vec<u8>> {
        let view = self.view;
        let (rows, columns) = (view.rows as u64, view.columns as u64);
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        let mut fill = || -> std::io::Result<()> {
            add(&mut archive, "z1", &[columns], view.z1_axis())?;
            add(&mut archive, "z2", &[rows], view.z2_axis())?;
            for (name, values) in &self.arrays {
                add(&mut archive, name, &[rows, columns], values.iter().copied())?;
            }
            add(&mut archive, MEAN_PROBABILITIES, &[rows, columns, self.classes as u64], self.mean_probabilities.iter().copied())?;
            archive.start_file(NPZ_MEMBER, entry())?;
            archive.write_all(provenance.to_string().as_bytes())
        };
        fill().map_err(|error| Error::io(path, &error))?;
        archive.finish().map(Cursor::into_inner).map_err(|error| Error::file(path, error.to_string(), "report this defect"))
    }

    /// A CSV text: the provenance, a header, then one line per point with z₁, z₂ and every measure.
    fn csv(&self, provenance: &Value) -> String {
        let mut text = csv_line(provenance) + "z1,z2";
        text.extend(self.arrays.iter().flat_map(|(name, _)| [",", name]));
        for (point, [z1, z2]) in self.view.points().into_iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n{z1},{z2}");
            for (_, values) in &self.arrays {
                let _ = write!(text, ",{}", values[point]);
            }
        }
        text.push('\n');
        text
    }
}

/// No date: the same map gives the same bytes.
fn entry() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated).last_modified_time(zip::DateTime::default())
}

fn add<T: npyz::AutoSerialize>(
    archive: &mut ZipWriter<Cursor<Vec<u8>>>,
    name: &str,
    shape: &[u64],
    values: impl IntoIterator<Item = T>,
) -> std::io::Result<()> {
    archive.start_file(format!("{name}.npy"), entry())?;
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(archive).begin_nd()?;
    writer.extend(values)?;
    writer.finish()
}
