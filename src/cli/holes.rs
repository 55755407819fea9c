//! `epistemap holes`: where the models are sure without data.

use super::drawing::Drawing;
use super::progress::Bar;
use super::shared::{MapOptions, ModelOptions, choice, print, print_json};
use crate::error::{Error, Result};
use crate::figure::{Document, Format, check_dpi};
use crate::files;
use crate::jobs::{self, CurveSettings, CurveThreshold, HoleReport, HoleSettings, ModelSet, hole_curve, hole_picture, map};
use crate::latent::Surroundings;
use crate::uncertainty::{Measure, Passes};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `epistemap holes`.
#[derive(Debug, Args)]
pub struct Holes {
    #[command(flatten)]
    map: MapOptions,
    #[command(flatten)]
    models: ModelOptions,
    /// The measure that says where the models are sure.
    #[arg(long, value_parser = choice(Measure::ALL.map(Measure::key), |key| Measure::from_key(key).ok()), default_value = "mutual_information")]
    measure: Measure,
    /// A point is sure where the measure is as sure as at this share of the data (decoded encodings of test images).
    #[arg(long, value_name = "SHARE", default_value_t = HoleSettings::default().confident)]
    confident: f64,
    /// A point is without data where the density of training encodings is at most that which this share of them exceed, each judged
    /// by the others. The density is a kernel density estimate whose width the encodings choose by their likelihood.
    #[arg(long, value_name = "SHARE", default_value_t = HoleSettings::default().covered)]
    covered: f64,
    /// How many encodings of test images say what sure is.
    #[arg(long, value_name = "N", default_value_t = HoleSettings::default().reference)]
    reference: usize,
    /// Print JSON rather than a table.
    #[arg(long)]
    json: bool,
    /// Where to write instead; the extension says what: json and csv hold the list, png, svg and pdf the map with the holes' outlines
    /// and peaks.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Find a garbage image in each of the first N holes: of its most confident twentieth (max p̄), the farthest from data.
    #[arg(long, value_name = "N", default_value_t = 0)]
    garbage: usize,
    /// Also give the area of the holes against the number of ensemble members (table and json; `epistemap figures hole-curve` draws it).
    #[arg(long)]
    curve: bool,
    /// The most subsets of members of each size in the curve.
    #[arg(long, value_name = "N", default_value_t = CurveSettings::default().subsets)]
    subsets: usize,
    /// What is sure in a subset of the curve: what it itself is as sure of as of the data, or what the whole ensemble is.
    #[arg(long, value_enum, default_value_t = ThresholdChoice::Own)]
    curve_threshold: ThresholdChoice,
    #[command(flatten)]
    drawing: Drawing,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ThresholdChoice {
    Own,
    Whole,
}

/// What is written.
enum Output {
    Json,
    Csv,
    Picture(Format),
}

impl Holes {
    /// Runs the verb.
    ///
    /// # Errors
    /// When an option makes no sense, the models are damaged or have no encodings, or the file cannot be written.
    pub fn run(self) -> Result<()> {
        let output = self.output()?;
        check_dpi(self.drawing.dpi)?;
        let settings = HoleSettings { measure: self.measure, confident: self.confident, covered: self.covered, reference: self.reference };
        settings.check()?;
        let (set, mut engine) = self.models.open()?;
        let map_settings = self.map.settings(&set, self.measure.passes() == Passes::Deterministic)?;
        let surroundings = Surroundings::new(&set.encodings()?.train);
        if let Some(out) = &self.out {
            files::create_folder_of(out)?;
        }

        let bar = Bar::new(map_settings.view.len() as u64, "points");
        let map = map(&set, engine.as_mut(), &map_settings, &mut bar.follow())?;
        let reference = jobs::reference(&set, engine.as_mut(), &map_settings, self.reference, &mut bar.follow())?;
        let places: Vec<usize> = (0..map_settings.members.len()).collect();
        let holes = jobs::holes(&map, &reference, &surroundings, &settings, &places)?;
        let wanted = self.garbage.min(holes.list.len());
        let garbage = (0..wanted)
            .map(|hole| jobs::garbage(engine.as_mut(), &map, &holes, hole, &surroundings, &mut bar.follow()))
            .collect::<Result<Vec<_>>>()?;
        let curve = CurveSettings {
            seed: map_settings.seed,
            subsets: self.subsets,
            threshold: match self.curve_threshold {
                ThresholdChoice::Own => CurveThreshold::Own,
                ThresholdChoice::Whole => CurveThreshold::Whole,
            },
        };
        let points =
            if self.curve { Some(hole_curve(&map, &reference, &surroundings, &settings, &curve, &mut bar.follow())?) } else { None };
        drop(bar);
        let provenance = jobs::hole_provenance(&set, &map, &settings, self.curve.then_some(&curve));
        let report = HoleReport { holes, garbage, curve: points, provenance };
        match (output, &self.out) {
            (Some(Output::Picture(format)), Some(out)) => {
                let title = format!("Holes: {}", self.measure.label());
                let canvas = hole_picture(&set, &map, &report.holes, &report.garbage, &self.drawing.options())?;
                Document { title, canvas, provenance: report.provenance }.write(out, format, self.drawing.dpi)
            }
            (Some(Output::Csv), Some(out)) => files::write_atomically(out, report.to_csv(&set).as_bytes()),
            (Some(Output::Json), Some(out)) => files::write_atomically(out, format!("{:#}\n", report.to_json(&set)).as_bytes()),
            _ if self.json => print_json(&report.to_json(&set)),
            _ => print(&table(&report, &set)),
        }
    }

    /// What `--out` asks for.
    fn output(&self) -> Result<Option<Output>> {
        let Some(out) = &self.out else { return Ok(None) };
        let extension = out.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
        let output = match (Format::named(&extension), extension.as_str()) {
            (Some(format), _) => Output::Picture(format),
            (None, "json") => Output::Json,
            (None, "csv") => Output::Csv,
            _ => {
                let mend = "end the name in .json, .csv, .png, .svg or .pdf";
                return Err(Error::file(out, format!("'.{extension}' is no format of holes"), mend));
            }
        };
        if self.curve && !matches!(output, Output::Json) {
            let problem = format!("'.{extension}' has no place for the curve");
            return Err(Error::file(out, problem, "write .json, or draw it with `epistemap figures hole-curve`"));
        }
        Ok(Some(output))
    }
}

/// The most holes of the table; the others are summed up.
const LISTED: usize = 20;

fn table(report: &HoleReport, set: &ModelSet) -> String {
    let HoleReport { holes, garbage, curve, .. } = report;
    let (measure, list) = (holes.settings.measure, &holes.list);
    let (sign, unit) = (if measure.rises_with_uncertainty() { "≤" } else { "≥" }, measure.unit());
    let classes = set.ensemble().classes();
    let mut lines = vec![
        format!("{} holes with an area of {:.2} z², {:.1} % of the view", list.len(), holes.area, 100.0 * holes.share),
        format!("Sure: {} {sign} {:.4} {unit}", measure.label().to_lowercase(), holes.thresholds.uncertainty).trim_end().to_owned(),
        format!("No data: density of encodings ≤ {:.3e} per z²", holes.thresholds.density),
    ];
    if !list.is_empty() {
        lines.push(format!(
            "{:>4}{:>9}  {:<12}{:>11}{:>13}{:>9}{:>9}{:>10}",
            "", "area", "class", "confidence", "uncertainty", "z1", "z2", "distance"
        ));
    }
    for (number, hole) in list.iter().take(LISTED).enumerate() {
        let ([z1, z2], region) = (hole.region.peak, &hole.region);
        lines.push(format!(
            "{:>4}{:>9.3}  {:<12}{:>11.4}{:>13.5}{z1:>9.3}{z2:>9.3}{:>10.3}",
            number + 1,
            region.area,
            classes[hole.class],
            hole.confidence,
            region.uncertainty,
            hole.distance
        ));
    }
    if list.len() > LISTED {
        let rest: f64 = list[LISTED..].iter().map(|hole| hole.region.area).sum();
        lines.push(format!("     and {} smaller ones of {rest:.3} z² together", list.len() - LISTED));
    }
    for found in garbage {
        let value = found.measures.iter().find(|(of, _)| *of == measure).map_or(f64::NAN, |(_, value)| *value);
        lines.push(format!(
            "Garbage in hole {}: '{}' with {:.4}, {} {value:.5} {unit}, at {:.3},{:.3}, {:.3} from data",
            found.hole + 1,
            classes[found.class],
            found.confidence,
            measure.label().to_lowercase(),
            found.z[0],
            found.z[1],
            found.distance
        ));
    }
    if let Some(curve) = curve {
        lines.push(format!("{:>7}{:>10}{:>10}{:>10}{:>9}", "members", "area", "10 %", "90 %", "subsets"));
        lines
            .extend(curve.iter().map(|at| format!("{:>7}{:>10.3}{:>10.3}{:>10.3}{:>9}", at.members, at.mean, at.low, at.high, at.subsets)));
    }
    lines.join("\n")
}
