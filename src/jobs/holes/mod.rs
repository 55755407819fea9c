//! Holes: where the models are as sure as of the data although no data are there. Everything but the reference and a garbage
//! image is a sum over a map that is there already, so that another threshold or another subset of members takes no engine.

mod curve;
mod garbage;
mod report;

pub use curve::{CurvePoint, CurveSettings, CurveThreshold, hole_curve};
pub(super) use garbage::describe;
pub use garbage::{Garbage, garbage};
pub use report::HoleReport;

use super::map::{Map, MapSettings};
use super::passes::next_block;
use super::{ModelSet, Observer, tell};
use crate::analysis::holes::{Region, Thresholds, as_sure_as, regions};
use crate::engine::{Block, Draws, Engine, Input};
use crate::error::{Error, Result};
use crate::latent::{Surroundings, View, contours};
use crate::uncertainty::{Measure, Passes, StatisticsGrid};
use serde::{Deserialize, Serialize};

/// What counts as a hole.
///
/// **Sure.** A point is sure where the measure is at least as sure as at such a share of the data, that is as at the encodings of
/// test images, decoded, so that what is compared are functions on the plane. At 0.95 an alarm at this threshold would go off
/// at one image in twenty of the data: the operating point at which detectors are compared (FPR95), and the area of the holes
/// is what that alarm misses.
///
/// **No data.** A point has no data where the density of the training encodings is at most that which such a share of them exceed,
/// each judged by the others (see [`crate::latent::Density::covering`]). At 0.99 the edge of the data lies where one encoding
/// in a hundred would lie outside if it were new.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HoleSettings {
    /// The measure of uncertainty.
    pub measure: Measure,
    /// The share of the data that the threshold on the measure lets pass as sure, 0.95.
    pub confident: f64,
    /// The share of the training encodings that the data's region holds, 0.99.
    pub covered: f64,
    /// How many encodings of test images the first threshold is taken from, 1000.
    pub reference: usize,
}

impl Default for HoleSettings {
    fn default() -> Self {
        Self { measure: Measure::MutualInformation, confident: 0.95, covered: 0.99, reference: 1000 }
    }
}

impl HoleSettings {
    /// Checks the numbers.
    ///
    /// # Errors
    /// When a share is not above 0 and up to 1, or there is no reference.
    pub fn check(&self) -> Result<()> {
        for (option, share) in [("--confident", self.confident), ("--covered", self.covered)] {
            if !(share > 0.0 && share <= 1.0) {
                return Err(Error::setting(
                    option,
                    format!("{share} is no share of the data"),
                    "give a number above 0 and up to 1, such as 0.95",
                ));
            }
        }
        if self.reference == 0 {
            return Err(Error::setting("--reference", "0 encodings say nothing", "give a number from 1, such as 1000"));
        }
        Ok(())
    }
}

/// What the members say of the data: statistics at encodings of test images, the members kept apart as in a [`Map`].
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// The encodings.
    pub points: Vec<[f64; 2]>,
    /// The sampled passes: points × members, in the order of the map's settings.
    pub sampled: StatisticsGrid,
    /// The passes without dropout, where the map has them.
    pub deterministic: Option<StatisticsGrid>,
}

/// Asks the members about `count` encodings of test images (all, where there are fewer), spread evenly through the data set,
/// with the draws of the map's settings: with shared masks, these are the very functions whose map it is.
///
/// # Errors
/// When the models have no encodings, the engine fails, or the observer stops.
pub fn reference(
    set: &ModelSet,
    engine: &mut dyn Engine,
    settings: &MapSettings,
    count: usize,
    observe: Observer<'_>,
) -> Result<Reference> {
    let test = &set.encodings()?.test.points;
    let count = count.clamp(1, test.len());
    let points: Vec<[f64; 2]> = (0..count).map(|i| test[i * test.len() / count].map(f64::from)).collect();
    let (members, classes) = (settings.members.len(), set.ensemble().classes().len());
    let mut reference = Reference {
        sampled: StatisticsGrid::new(count, members, classes),
        deterministic: settings.deterministic.then(|| StatisticsGrid::new(count, members, classes)),
        points,
    };
    tell(observe, 0, count)?;
    let numbers: Vec<u32> = (0..count as u32).collect();
    let mut done = 0;
    while done < count {
        let tile = next_block(engine, done, count);
        let first = tile.start;
        let block = block(settings, &settings.members, &reference.points[tile.clone()], &numbers[tile.clone()]);
        reference.sampled.merge_at(first, &engine.statistics(&block)?);
        if let Some(deterministic) = &mut reference.deterministic {
            deterministic.merge_at(first, &engine.statistics(&Block { draws: Draws::Deterministic, ..block })?);
        }
        done = tile.end;
        tell(observe, done, count)?;
    }
    Ok(reference)
}

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

impl Reference {
    /// A measure at every encoding over the members at the given places in the map's settings.
    ///
    /// # Errors
    /// When it needs passes without dropout, and there are none.
    pub fn measure(&self, measure: Measure, places: &[usize]) -> Result<Vec<f32>> {
        let statistics = match measure.passes() {
            Passes::Sampled => &self.sampled,
            Passes::Deterministic => self.deterministic.as_ref().ok_or_else(|| lacks_passes(measure))?,
        };
        let at = |point| measure.evaluate(&statistics.cell(point, places.iter().copied())) as f32;
        Ok((0..self.points.len()).map(at).collect())
    }

    /// The thresholds that settings stand for, over the members at the given places.
    ///
    /// # Errors
    /// As [`HoleSettings::check`] and [`measure`](Self::measure).
    pub fn thresholds(&self, surroundings: &Surroundings, settings: &HoleSettings, places: &[usize]) -> Result<Thresholds> {
        settings.check()?;
        let uncertainty = as_sure_as(settings.measure, &self.measure(settings.measure, places)?, settings.confident);
        Ok(Thresholds { measure: settings.measure, uncertainty, density: surroundings.density.covering(settings.covered) })
    }
}

fn lacks_passes(measure: Measure) -> Error {
    let problem = "it needs a pass without dropout, which this map has not";
    Error::setting(measure.key(), problem, "compute the map with deterministic passes")
}

fn values(map: &Map, measure: Measure, places: &[usize]) -> Result<Vec<f32>> {
    map.measure(measure, places).ok_or_else(|| lacks_passes(measure))
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
    pub settings: HoleSettings,
    /// The places of the members in the map's settings.
    pub places: Vec<usize>,
    /// What the settings came to.
    pub thresholds: Thresholds,
    /// The largest first.
    pub list: Vec<Hole>,
    /// The area of all, in units of z².
    pub area: f64,
    /// The part of the view that they take.
    pub share: f64,
    /// Polylines around them, open where they meet the border of the view.
    pub outlines: Vec<Vec<[f64; 2]>>,
}

/// Finds the holes of a map, for the members at the given places in its settings, which are those of the reference too.
///
/// # Errors
/// As [`Reference::thresholds`], and when the map lacks passes that the measure needs.
pub fn holes(map: &Map, reference: &Reference, surroundings: &Surroundings, settings: &HoleSettings, places: &[usize]) -> Result<Holes> {
    let view = map.settings.view;
    let thresholds = reference.thresholds(surroundings, settings, places)?;
    let values = values(map, settings.measure, places)?;
    let density = surroundings.density.grid(&view);
    let list: Vec<Hole> = regions(&view, &values, &density, &thresholds, &surroundings.nearest)
        .into_iter()
        .map(|region| {
            let (class, confidence) = prediction(&map.sampled.cell(region.peak_cell as usize, places.iter().copied()).mean());
            Hole { class, confidence, distance: surroundings.nearest.distance(region.peak), region }
        })
        .collect();
    let margins: Vec<f64> = values.iter().zip(&density).map(|(&value, &density)| thresholds.margin(value.into(), density)).collect();
    let area = list.iter().map(|hole| hole.region.area).sum();
    Ok(Holes {
        settings: *settings,
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
