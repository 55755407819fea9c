//! Interpolations and populations as JSON and CSV, for other programs.

use super::interpolate::{Interpolation, Path};
use super::population::Population;
use crate::error::Result;
use crate::figure::provenance::{JSON_KEY, csv_line};
use crate::uncertainty::Measure;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

impl Interpolation {
    fn places(&self) -> Vec<usize> {
        (0..self.settings.members.len()).collect()
    }

    /// `t` (the positions from 0 to 1) and, under `paths` and each path's key, `z` (null in pixel space), every measure over all
    /// members by its key, and `mean_probabilities` [steps, classes]; and the provenance.
    pub fn to_json(&self, provenance: &Value) -> Value {
        let places = self.places();
        let curves = self.curves.iter().map(|curve| {
            let mut columns: Map<String, Value> = by_measure(|measure| curve.measure(measure, &places));
            let probabilities = curve.mean_probabilities(&places);
            let rows: Vec<&[f32]> = probabilities.chunks(self.classes()).collect();
            columns.extend([("z".to_owned(), json!(curve.z)), ("mean_probabilities".to_owned(), json!(rows))]);
            (curve.path.key().to_owned(), Value::Object(columns))
        });
        json!({ JSON_KEY: provenance, "t": self.positions(), "paths": curves.collect::<Map<String, Value>>() })
    }

    /// The provenance, a header, then one line per path and position; `z1` and `z2` are empty in pixel space.
    pub fn to_csv(&self, provenance: &Value) -> String {
        let (places, positions) = (self.places(), self.positions());
        let mut text = csv_line(provenance) + "path,t,z1,z2," + &Measure::ALL.map(Measure::key).join(",");
        for curve in &self.curves {
            let columns = Measure::ALL.map(|measure| curve.measure(measure, &places));
            for (step, t) in positions.iter().enumerate() {
                let z = curve.z.as_ref().map_or_else(|| ",".to_owned(), |z| format!("{},{}", z[step][0], z[step][1]));
                // Writing to a string cannot fail.
                let _ = write!(text, "\n{},{t},{z}", curve.path.key());
                for column in &columns {
                    let _ = write!(text, ",{}", column[step]);
                }
            }
        }
        text.push('\n');
        text
    }
}

/// The paths that a population goes.
const MIDPOINTS: [Path; 2] = [Path::Latent, Path::Pixel];

impl Population {
    fn places(&self) -> Vec<usize> {
        (0..self.settings.members.len()).collect()
    }

    /// `pairs` (the numbers of the images in the data), `auroc` by measure with its interval and the paired difference of predictive entropy
    /// from it (all null where the measure is undefined), and under `latent` and `pixel` every measure over all
    /// members by its key; and the provenance.
    ///
    /// # Errors
    /// As [`auroc`](Self::auroc).
    pub fn to_json(&self, provenance: &Value) -> Result<Value> {
        let places = self.places();
        let of = |path| Value::Object(by_measure(|measure| self.measure(path, measure, &places)));
        let mut areas = Map::new();
        let mut intervals = Map::new();
        let mut differences = Map::new();
        let defined: Vec<Measure> = Measure::ALL.into_iter().filter(|&measure| self.undefined(measure, &places).is_none()).collect();
        let estimates = self.compare(&defined, &places)?;
        for measure in Measure::ALL {
            let estimate = defined.iter().position(|&other| other == measure).map(|at| estimates[at]);
            let key = measure.key().to_owned();
            areas.insert(key.clone(), json!(estimate.map(|[area, _]| area.value)));
            intervals.insert(key.clone(), json!(estimate.map(|[area, _]| [area.low, area.high])));
            differences.insert(key, json!(estimate.map(|[_, difference]| difference)));
        }
        let [latent, pixel] = MIDPOINTS.map(of);
        Ok(json!({ JSON_KEY: provenance, "pairs": self.pairs[..self.done], "auroc": areas, "auroc_interval": intervals,
            "auroc_of_predictive_entropy_less": differences, "latent": latent, "pixel": pixel }))
    }

    /// The provenance, a header, then one line per path and pair.
    pub fn to_csv(&self, provenance: &Value) -> String {
        let places = self.places();
        let mut text = csv_line(provenance) + "path,first,second," + &Measure::ALL.map(Measure::key).join(",");
        for path in MIDPOINTS {
            let columns = Measure::ALL.map(|measure| self.measure(path, measure, &places));
            for (number, [first, second]) in self.pairs[..self.done].iter().enumerate() {
                let _ = write!(text, "\n{},{first},{second}", path.key());
                for column in &columns {
                    let _ = write!(text, ",{}", column[number]);
                }
            }
        }
        text.push('\n');
        text
    }
}

fn by_measure(values: impl Fn(Measure) -> Vec<f32>) -> Map<String, Value> {
    Measure::ALL.into_iter().map(|measure| (measure.key().to_owned(), json!(values(measure)))).collect()
}
