//! `epistemap holes`: where the models are sure outside the region of the data.

use super::drawing::Drawing;
use super::map_options::DrawOptions;
use super::progress::Bar;
use super::shard::ShardOptions;
use super::shared::{ModelOptions, TestImages, choice, pair, print, print_json, say};
use crate::error::{Error, Result};
use crate::figure::{Document, Format, add_caption, check_dpi};
use crate::files;
use crate::jobs::{
    self, CurveSettings, CurveThreshold, HOLE_GRID, HoleCriterion, HoleGround, HoleInterval, HoleReport, MapSettings, MeasureBound,
    ModelSet, ReferenceImages, hole_curve, hole_interval, hole_picture, hole_region, map,
};
use crate::latent::{Surroundings, View};
use crate::numbers::{counted, fixed};
use crate::uncertainty::{Measure, Passes};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::PathBuf;

/// `epistemap holes`.
#[derive(Debug, Args)]
pub struct Holes {
    /// The region on which holes are found: the first and the last latent coordinate, of both axes [default: the square three times as wide
    /// as the one that holds 99 % of the encodings].
    #[arg(long, value_name = "MIN,MAX", value_parser = pair::<f64>, allow_hyphen_values = true)]
    region: Option<[f64; 2]>,
    /// Points along each axis of the region.
    #[arg(long, value_name = "N", default_value_t = HOLE_GRID)]
    grid: usize,
    #[command(flatten)]
    draws: DrawOptions,
    #[command(flatten)]
    models: ModelOptions,
    /// The measure that says where the models are sure.
    #[arg(long, value_parser = choice(Measure::ALL.map(Measure::key), |key| Measure::from_key(key).ok()), default_value = "mutual_information")]
    measure: Measure,
    /// The least max p̄ in a hole, or off.
    #[arg(long, value_name = "P|off", value_parser = number_or_off, default_value = "0.9", allow_hyphen_values = true)]
    min_confidence: Switch,
    /// A point is sure where the measure is as sure as on this share of the reference images.
    #[arg(long, value_name = "SHARE", default_value_t = 0.95, allow_hyphen_values = true)]
    quantile: f64,
    /// A bound on the measure in its unit in place of the quantile; or off, so that the measure does not matter.
    #[arg(long, value_name = "VALUE|off", value_parser = number_or_off, allow_hyphen_values = true)]
    threshold: Option<Switch>,
    /// A point has no density where it lies outside the region that holds this share of the training encodings, each judged by the others: at
    /// 0.99 up to 1 % of the data lie there; or off, for holes that may hold data. The density is a kernel density estimate whose width the encodings choose by their likelihood.
    #[arg(long, value_name = "SHARE|off", value_parser = number_or_off, default_value = "0.99", allow_hyphen_values = true)]
    covered: Switch,
    /// The images that the quantile is taken from: real test images, or decoded encodings [default: test images where the models take them].
    #[arg(long, value_enum)]
    reference: Option<ReferenceChoice>,
    /// How many reference images there are at most.
    #[arg(long, value_name = "N", default_value_t = HoleCriterion::default().reference)]
    reference_images: usize,
    #[command(flatten)]
    images: TestImages,
    /// The mask seeds of the 95 % intervals of area and number, from 2 to 10,000; 0 for no interval.
    #[arg(long, value_name = "N", default_value_t = CurveSettings::default().seeds)]
    seeds: usize,
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
    #[command(flatten)]
    pub shard: ShardOptions,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ThresholdChoice {
    Own,
    Whole,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ReferenceChoice {
    TestImages,
    Decoded,
}

/// A number, or `None` for off.
#[derive(Clone, Copy, Debug)]
struct Switch(Option<f64>);

fn number_or_off(text: &str) -> std::result::Result<Switch, String> {
    if text == "off" {
        return Ok(Switch(None));
    }
    text.trim().parse().map(|number| Switch(Some(number))).map_err(|_| format!("'{text}' is neither a number nor off"))
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
        if self.garbage > 0 && (self.shard.shard.is_some() || self.shard.is_merge()) {
            let problem = "the search for garbage goes from answer to answer, and a shard has not all of them";
            return Err(Error::setting("--garbage", problem, "leave it out, or --shard"));
        }
        let output = if self.shard.shard.is_some() { None } else { self.output()? };
        check_dpi(self.drawing.dpi)?;
        let criterion = self.criterion();
        criterion.check()?;
        let (set, engine) = self.models.open()?;
        let mut engine = self.shard.engine(engine, set.ensemble().classes().len(), &set.hashes)?;
        let train = &set.encodings()?.train;
        let view = match self.region {
            Some(extent) => View::square(extent, self.grid)?,
            None => hole_region(train, self.grid)?,
        };
        let settings = MapSettings {
            view,
            samples: self.draws.samples,
            members: self.draws.members(&set)?,
            seed: self.draws.seed.seed,
            masks: self.draws.masks(),
            deterministic: self.measure.passes() == Passes::Deterministic,
        };
        if let (Some(reason), true) =
            (set.ensemble().undefined(self.measure, &settings.members, settings.samples), criterion.bound != MeasureBound::Off)
        {
            return Err(Error::setting(self.measure.label(), reason, "choose --measure predictive_entropy, or --threshold off"));
        }
        let surroundings = Surroundings::new(train);
        let data = match self.reference {
            Some(ReferenceChoice::Decoded) => None,
            Some(ReferenceChoice::TestImages) => Some(self.images.load(&set)?),
            None => self.images.load(&set).ok(),
        };
        let images = match (&data, self.reference) {
            (Some(data), Some(_)) => ReferenceImages::Test(data),
            (data, _) => ReferenceImages::choose(&set, data.as_ref()),
        };
        if self.reference.is_none() && matches!(images, ReferenceImages::Decoded) {
            say("These models take no test images that are at hand: decoded encodings are the reference.");
        }
        if let Some(out) = &self.out {
            files::create_folder_of(out)?;
        }

        let bar = Bar::new(settings.view.len() as u64, "points");
        let map = map(&set, engine.as_mut(), &settings, &mut bar.follow())?;
        let reference = jobs::reference(&set, engine.as_mut(), &settings, images, criterion.reference, &mut bar.follow())?;
        let places: Vec<usize> = (0..settings.members.len()).collect();
        let holes = jobs::holes(&map, &reference, &surroundings, &criterion, &places)?;
        let wanted = self.garbage.min(holes.list.len());
        let garbage = (0..wanted)
            .map(|hole| jobs::garbage(engine.as_mut(), &map, &holes, hole, &surroundings, &mut bar.follow()))
            .collect::<Result<Vec<_>>>()?;
        let ground = HoleGround { images, surroundings: &surroundings };
        let threshold = match self.curve_threshold {
            ThresholdChoice::Own => CurveThreshold::Own,
            ThresholdChoice::Whole => CurveThreshold::Whole,
        };
        let curve = CurveSettings { seeds: self.seeds, subsets: self.subsets, threshold };
        // The curve's draws hold those of the interval.
        let (points, interval) = if self.curve {
            let points = hole_curve(&set, engine.as_mut(), &settings, ground, &criterion, &curve, &mut bar.follow())?;
            let interval = points.interval;
            (Some(points), Some(interval))
        } else if self.seeds > 0 {
            (None, Some(hole_interval(&set, engine.as_mut(), &settings, ground, &criterion, self.seeds, &mut bar.follow())?))
        } else {
            (None, None)
        };
        drop(bar);
        if self.shard.finish(engine.as_ref(), &set.hashes, self.out.as_deref(), None)? {
            return Ok(());
        }
        let mut provenance = jobs::hole_provenance(&set, &map, &criterion, self.curve.then_some(&curve));
        // JSON has the interval beside the holes.
        if let (Some(interval), Some(Output::Csv | Output::Picture(_))) = (&interval, &output) {
            provenance["interval"] = json!(interval);
        }
        let report = HoleReport { holes, garbage, curve: points, interval, provenance };
        match (output, &self.out) {
            (Some(Output::Picture(format)), Some(out)) => {
                let title = format!("Holes: {}", self.measure.label());
                let mut canvas = hole_picture(&set, &map, &report.holes, &report.garbage, &self.drawing.options())?;
                if let Some(interval) = &report.interval {
                    add_caption(&mut canvas, &format!("{}.", described(interval)), &self.drawing.style());
                }
                Document { title, canvas, provenance: report.provenance }.write(out, format, self.drawing.dpi)
            }
            (Some(Output::Csv), Some(out)) => files::write_through(out, report.to_csv(&set).as_bytes()),
            (Some(Output::Json), Some(out)) => files::write_through(out, format!("{:#}\n", report.to_json(&set)).as_bytes()),
            _ if self.json => print_json(&report.to_json(&set)),
            _ => print(&table(&report, &set)),
        }
    }

    /// What counts as a hole.
    fn criterion(&self) -> HoleCriterion {
        HoleCriterion {
            measure: self.measure,
            bound: match self.threshold {
                None => MeasureBound::Quantile(self.quantile),
                Some(Switch(Some(value))) => MeasureBound::Value(value),
                Some(Switch(None)) => MeasureBound::Off,
            },
            min_confidence: self.min_confidence.0,
            covered: self.covered.0,
            reference: self.reference_images,
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

/// The intervals of area and number in one line, with the mean area.
fn described(interval: &HoleInterval) -> String {
    format!("{}; mean area {} z²", interval.describe(), fixed(interval.mean_area, 1))
}

/// The most holes of the table; the others are summed up.
const LISTED: usize = 20;

fn table(report: &HoleReport, set: &ModelSet) -> String {
    let HoleReport { holes, garbage, curve, interval, .. } = report;
    let (measure, list) = (holes.criterion.measure, &holes.list);
    let unit = measure.unit();
    let classes = set.ensemble().classes();
    let mut lines = vec![holes.describe()];
    lines.extend(interval.as_ref().map(described));
    let (images, count) = &holes.reference;
    lines.push(format!("Holes: {}", holes.thresholds.describe()));
    lines.extend(holes.criterion.about_density());
    lines.push(format!("Reference: {} of {images}", counted(*count as u64, "image")));
    let View { z1, z2, columns, rows } = holes.region;
    let [z1, z2] = [z1, z2].map(|ends| ends.map(|z| fixed(z, 2)).join(" to "));
    lines.push(format!("Region: z1 {z1}, z2 {z2}, {columns} × {rows} points"));
    if !list.is_empty() {
        lines.push(format!(
            "{:>4}{:>9}  {:<12}{:>11}{:>13}{:>9}{:>9}{:>10}",
            "", "area", "class", "confidence", "uncertainty", "z1", "z2", "distance"
        ));
    }
    for (number, hole) in list.iter().take(LISTED).enumerate() {
        let ([z1, z2], region) = (hole.region.peak.map(|z| fixed(z, 3)), &hole.region);
        lines.push(format!(
            "{:>4}{:>9.3}  {:<12}{:>11.4}{:>13.5}{z1:>9}{z2:>9}{:>10.3}{}",
            number + 1,
            region.area,
            classes[hole.class],
            hole.confidence,
            region.uncertainty,
            hole.distance,
            if region.touches_border { "  border" } else { "" }
        ));
    }
    if list.len() > LISTED {
        let rest: f64 = list[LISTED..].iter().map(|hole| hole.region.area).sum();
        lines.push(format!("     and {} smaller ones of {rest:.3} z² together", list.len() - LISTED));
    }
    for found in garbage {
        let value = found.measures.iter().find(|(of, _)| *of == measure).map_or(f64::NAN, |(_, value)| *value);
        lines.push(format!(
            "Garbage in hole {}: '{}' with {:.4}, {} {value:.5} {unit}, at {},{}, {:.3} from the nearest training encoding",
            found.hole + 1,
            classes[found.class],
            found.confidence,
            measure.label().to_lowercase(),
            fixed(found.z[0], 3),
            fixed(found.z[1], 3),
            found.distance
        ));
    }
    if let Some(curve) = curve {
        lines.push(format!("{:>7}{:>10}{:>10}{:>10}{:>13}{:>9}", "members", "area", "2.5 %", "97.5 %", "equal total", "subsets"));
        lines.extend(curve.points.iter().map(|at| {
            let [low, high] = at.interval;
            format!("{:>7}{:>10.3}{low:>10.3}{high:>10.3}{:>13.3}{:>9}", at.members, at.mean, at.equal_total, at.subsets)
        }));
        let singles = curve.singles.iter().map(|single| format!("{} {:.1}", single.member, single.mean)).collect::<Vec<_>>().join(", ");
        lines.push(format!("Single members (number, area): {singles}"));
        lines.push(curve.finding.clone());
    }
    lines.join("\n")
}
