//! Holes: where the models are confident and as sure as on real images although no data are there. They are found on one fixed
//! region of the plane, whatever part of it is looked at.

mod criterion;
mod curve;
mod garbage;
mod interval;
mod reference;
mod region;
mod report;

pub use criterion::{HoleCriterion, MeasureBound};
pub use curve::{CurvePoint, CurveSettings, CurveThreshold, HoleCurve, PairedDifference, SingleMember, hole_curve};
pub(super) use garbage::describe;
pub use garbage::{Garbage, garbage};
pub use interval::{HoleInterval, hole_interval};
pub use reference::{HoleGround, Reference, ReferenceImages, reference};
pub use region::{HOLE_GRID, hole_region};
pub use report::HoleReport;

use super::map::{Map, MapSettings};
use crate::analysis::holes::{Fields, Region, Thresholds, regions, total_area};
use crate::engine::{Block, Draws, Input};
use crate::error::{Error, Result};
use crate::latent::{Surroundings, View, contours};
use crate::uncertainty::Measure;

fn block<'a>(settings: &MapSettings, members: &'a [usize], points: &'a [[f64; 2]], point_numbers: &'a [u32]) -> Block<'a> {
    Block {
        input: Input::Latent(points.as_flattened()),
        point_numbers,
        members,
        draws: Draws::Sampled(0..settings.samples),
        groups: 1,
        seed: settings.seed,
        masks: settings.masks,
    }
}

fn lacks_passes(measure: Measure) -> Error {
    let problem = "it needs a pass without dropout, which this map has not";
    Error::setting(measure.key(), problem, "compute the map with deterministic passes")
}

/// A hole and what is seen there.
#[derive(Clone, Debug, PartialEq)]
pub struct Hole {
    /// Where it is.
    pub region: Region,
    /// The most probable class at the peak.
    pub class: usize,
    /// Its mean probability there, max p̄.
    pub confidence: f64,
    /// From the peak to the nearest encoding, in units of z.
    pub distance: f64,
}

/// The holes of a map.
#[derive(Clone, Debug, PartialEq)]
pub struct Holes {
    /// What counted as a hole.
    pub criterion: HoleCriterion,
    /// The images that the bound on the measure was taken from, and how many.
    pub reference: (String, usize),
    /// Where they were sought.
    pub region: View,
    /// The places of the members in the map's settings.
    pub places: Vec<usize>,
    /// What the criterion came to.
    pub thresholds: Thresholds,
    /// The largest first.
    pub list: Vec<Hole>,
    /// The area of all, in units of z².
    pub area: f64,
    /// The part of the region that they take.
    pub share: f64,
    /// Polylines around them, open where they meet the border of the region.
    pub outlines: Vec<Vec<[f64; 2]>>,
}

/// What is known of the points of a map, over the members at the given places in its settings.
struct PointValues {
    values: Vec<f32>,
    confidence: Vec<f32>,
}

impl PointValues {
    fn new(map: &Map, measure: Measure, places: &[usize]) -> Result<Self> {
        let of = |measure| map.measure(measure, places).ok_or_else(|| lacks_passes(measure));
        Ok(Self { values: of(measure)?, confidence: of(Measure::MaximumProbability)? })
    }

    fn fields<'a>(&'a self, density: &'a [f64]) -> Fields<'a> {
        Fields { values: &self.values, confidence: &self.confidence, density }
    }
}

/// Finds the holes of a map, for the members at the given places in its settings, which are those of the reference too.
///
/// # Errors
/// As [`Reference::thresholds`], and when the map lacks passes that the measure needs.
pub fn holes(map: &Map, reference: &Reference, surroundings: &Surroundings, criterion: &HoleCriterion, places: &[usize]) -> Result<Holes> {
    let view = map.settings.view;
    let thresholds = reference.thresholds(surroundings, criterion, places)?;
    let points = PointValues::new(map, criterion.measure, places)?;
    let density = surroundings.density.grid(&view);
    let list: Vec<Hole> = regions(&view, points.fields(&density), &thresholds, &surroundings.nearest)
        .into_iter()
        .map(|region| {
            let (class, confidence) = prediction(&map.sampled.cell(region.peak_cell as usize, places.iter().copied()).mean());
            Hole { class, confidence, distance: surroundings.nearest.distance(region.peak), region }
        })
        .collect();
    let known = points.values.iter().zip(&points.confidence).zip(&density);
    let margins: Vec<f64> =
        known.map(|((&value, &confidence), &density)| thresholds.margin(value.into(), confidence.into(), density)).collect();
    let area = total_area(list.iter().map(|hole| hole.region.area));
    Ok(Holes {
        criterion: *criterion,
        reference: (reference.images.clone(), reference.sampled.points()),
        region: view,
        places: places.to_vec(),
        thresholds,
        list,
        area,
        share: area / view_area(&view),
        outlines: contours(&view, &margins, 0.0),
    })
}

fn view_area(view: &View) -> f64 {
    (view.z1[1] - view.z1[0]) * (view.z2[1] - view.z2[0])
}

/// The most probable class and its probability.
fn prediction(mean: &[f64]) -> (usize, f64) {
    let better = |best: (usize, f64), (class, &p): (usize, &f64)| if p > best.1 { (class, p) } else { best };
    mean.iter().enumerate().skip(1).fold((0, mean[0]), better)
}
