//! What is written about holes: JSON and CSV.

use super::super::ModelSet;
use super::{Garbage, Hole, HoleCurve, HoleInterval, Holes};
use crate::analysis::holes::Thresholds;
use crate::figure::provenance::{JSON_KEY, csv_line};
use crate::numbers::counted;
use crate::uncertainty::Measure;
use serde_json::{Value, json};
use std::fmt::Write as _;

impl Thresholds {
    /// The thresholds in words, as outputs give them.
    pub fn describe(&self) -> String {
        let sign = if self.measure.rises_with_uncertainty() { "≤" } else { "≥" };
        let of_measure = self.uncertainty.map(|bound| {
            let text = format!("{} {sign} {bound:.4} {}", self.measure.label().to_lowercase(), self.measure.unit());
            text.trim_end().to_owned()
        });
        let confidence = self.confidence.map(|least| format!("{} ≥ {least}", Measure::MaximumProbability.label().to_lowercase()));
        let density = self.density.map(|most| format!("density of encodings ≤ {most:.3e} per z²"));
        [confidence, of_measure, density].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

impl Holes {
    /// The number of a hole from 1, as pictures and lists have it, with an asterisk where it touches the border of the region.
    pub fn label(&self, hole: usize) -> String {
        let border = self.list.get(hole).is_some_and(|hole| hole.region.touches_border);
        format!("{}{}", hole + 1, if border { "*" } else { "" })
    }

    /// Number, area and share of the region in one line: "1 hole".
    pub fn describe(&self) -> String {
        let count = counted(self.list.len() as u64, "hole");
        let border = self.list.iter().filter(|hole| hole.region.touches_border).count();
        let touching = if border == 0 { String::new() } else { format!("; {border} at its border, and may go on beyond it") };
        format!("{count}, {:.1} z², {:.1} % of the region{touching}", self.area, 100.0 * self.share)
    }
}

impl HoleInterval {
    /// The intervals in one line.
    pub fn describe(&self) -> String {
        let ([low, high], [fewest, most]) = (self.area, self.count);
        format!(
            "95 % interval over {} mask seeds and reference images: {low:.1} to {high:.1} z², {fewest:.0} to {most:.0} holes",
            self.seeds
        )
    }
}

/// All that was found about the holes of a map.
#[derive(Clone, Debug, PartialEq)]
pub struct HoleReport {
    /// The holes.
    pub holes: Holes,
    /// Garbage images of the first of them.
    pub garbage: Vec<Garbage>,
    /// The area against the number of members, where it was asked for.
    pub curve: Option<HoleCurve>,
    /// How far area and number vary.
    pub interval: Option<HoleInterval>,
    /// What made it.
    pub provenance: Value,
}

impl HoleReport {
    /// One object: `holes` (the largest first), `criterion`, `thresholds`, `reference`, `region`, `area`,
    /// `share`, `interval`, `curve` (or null), `provenance`. `points` counts a
    /// hole's points of the grid; areas are in units of z².
    pub fn to_json(&self, set: &ModelSet) -> Value {
        let classes = set.ensemble().classes();
        let prediction =
            |class: usize, confidence: f64| json!({ "class": classes[class], "class_number": class, "confidence": confidence });
        let with = |mut to: Value, more: Value| {
            if let (Value::Object(to), Value::Object(more)) = (&mut to, more) {
                to.extend(more);
            }
            to
        };
        let garbage = |garbage: &Garbage| {
            let measures: serde_json::Map<String, Value> =
                garbage.measures.iter().map(|(measure, value)| (measure.key().to_owned(), (*value).into())).collect();
            let rest = json!({
                "z": garbage.z, "distance": garbage.distance, "measures": measures, "probabilities": garbage.probabilities,
                "image": garbage.image, "image_shape": set.vae.image_shape(),
            });
            with(prediction(garbage.class, garbage.confidence), rest)
        };
        let hole = |(number, hole): (usize, &Hole)| {
            let region = &hole.region;
            let rest = json!({
                "number": number + 1, "area": region.area, "peak": region.peak, "uncertainty": region.uncertainty,
                "distance": hole.distance, "centre": region.centre, "touches_border": region.touches_border, "points": region.cells.len(),
                "garbage": self.garbage.iter().find(|garbage| garbage.hole == number).map(garbage),
            });
            with(prediction(hole.class, hole.confidence), rest)
        };
        let Holes { criterion, reference: (images, count), region, thresholds, list, area, share, .. } = &self.holes;
        json!({
            "measure": criterion.measure, "criterion": criterion, "thresholds": thresholds,
            "reference": { "images": images, "count": count }, "region": region,
            "area": area, "share": share, "interval": self.interval, "holes": list.iter().enumerate().map(hole).collect::<Vec<_>>(), "curve": self.curve,
            JSON_KEY: self.provenance,
        })
    }

    /// The provenance, a header, then one line for each hole.
    pub fn to_csv(&self, set: &ModelSet) -> String {
        let mut text = csv_line(&self.provenance)
            + &format!("# {}\n", self.holes.thresholds.describe())
            + "number,area,class,confidence,uncertainty,z1,z2,distance,centre_z1,centre_z2,touches_border\n";
        for (number, Hole { region, class, confidence, distance }) in self.holes.list.iter().enumerate() {
            let ([z1, z2], [centre1, centre2]) = (region.peak, region.centre);
            let (number, area, class) = (number + 1, region.area, csv_field(&set.ensemble().classes()[*class]));
            let (uncertainty, border) = (region.uncertainty, region.touches_border);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{number},{area},{class},{confidence},{uncertainty},{z1},{z2},{distance},{centre1},{centre2},{border}");
        }
        text
    }
}

/// A field that commas, quotes and line ends may stand in (RFC 4180).
fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
