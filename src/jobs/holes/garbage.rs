//! Garbage images: what a hole shows, decoded (Smith & Gal 2018, Figure 5).

use super::super::map::Map;
use super::super::passes::Asked;
use super::super::{Observer, tell};
use super::{Holes, block, prediction};
use crate::analysis::holes::farthest;
use crate::engine::{Block, Draws, Engine, Input};
use crate::error::{Error, Result};
use crate::latent::{Surroundings, View};
use crate::uncertainty::{CellStatistics, Measure, Passes};

/// The share of a hole's points, the most confident, among which the farthest from data is sought.
const CONFIDENT: f64 = 0.05;
/// The rounds of the refinement; each looks at 5 × 5 points, a third as far apart as those of the round before.
const ROUNDS: usize = 3;

/// An image that the models are sure of, at a place where no data are.
#[derive(Clone, Debug, PartialEq)]
pub struct Garbage {
    /// The number of the hole in the list; of what was found without one, its own.
    pub hole: usize,
    /// Where it is.
    pub z: [f64; 2],
    /// The decoded image, [C, H, W].
    pub image: Vec<f32>,
    /// The mean prediction over the members and their draws.
    pub probabilities: Vec<f64>,
    /// The most probable class.
    pub class: usize,
    /// Its mean probability, max p̄.
    pub confidence: f64,
    /// Every measure there.
    pub measures: Vec<(Measure, f64)>,
    /// To the nearest encoding, in units of z.
    pub distance: f64,
}

/// Looks for a garbage image in a hole of a map: one that is confidently taken for something. Confidence is max p̄ here, whatever the
/// measure that the hole was found by: where draws agree that they cannot tell, mutual information is low as well. To be
/// confident and to be far from data contradict each other, and this rule settles it: of the 5 % most confident grid points of the
/// hole (one at least), the one farthest from any encoding, then moved between the grid points, up to a grid step away, to where
/// it is still farther, no less confident than these 5 %, and in the hole by both thresholds and within the view. The settings
/// and members are those that the holes were found with.
///
/// # Errors
/// When there is no such hole, the engine fails, or the observer stops.
///
/// # Panics
/// When the holes are those of another map.
pub fn garbage(
    engine: &mut dyn Engine,
    map: &Map,
    holes: &Holes,
    hole: usize,
    surroundings: &Surroundings,
    observe: Observer<'_>,
) -> Result<Garbage> {
    let Some(region) = holes.list.get(hole).map(|hole| &hole.region) else {
        let problem = format!("there is no hole {} among {}", hole + 1, holes.list.len());
        return Err(Error::setting("--garbage", problem, "choose another hole, or looser thresholds"));
    };
    let settings = &map.settings;
    let members: Vec<usize> = holes.places.iter().map(|&place| settings.members[place]).collect();
    let measure = holes.criterion.measure;
    tell(observe, 0, ROUNDS + 1)?;

    let confidence = |cell: u32| prediction(&map.sampled.cell(cell as usize, holes.places.iter().copied()).mean()).1;
    let mut cells: Vec<(u32, f64)> = region.cells.iter().map(|&cell| (cell, confidence(cell))).collect();
    cells.sort_by(|a, b| b.1.total_cmp(&a.1));
    cells.truncate(((CONFIDENT * cells.len() as f64).ceil() as usize).max(1));
    let least = cells[cells.len() - 1].1;
    let cells: Vec<u32> = cells.into_iter().map(|(cell, _)| cell).collect();
    let view = &settings.view;
    let points = view.points();
    let mut best = points[farthest(&cells, &points, &surroundings.nearest) as usize];
    let mut distance = surroundings.nearest.distance(best);

    let mut reach = [view.z1, view.z2].map(|[first, last]| last - first);
    (reach[0], reach[1]) = (reach[0] / (view.columns.max(2) - 1) as f64, reach[1] / (view.rows.max(2) - 1) as f64);
    for round in 0..ROUNDS {
        let at = |step: usize, axis: usize| best[axis] + (step as f64 / 2.0 - 1.0) * reach[axis];
        let lattice = (0..25).map(|i| [at(i % 5, 0), at(i / 5, 1)]);
        let candidates: Vec<[f64; 2]> = lattice
            .filter(|&z| {
                let inside = cell_of(view, z).is_some_and(|cell| region.cells.binary_search(&cell).is_ok());
                inside && holes.thresholds.empty(surroundings.density.at(z)) && surroundings.nearest.distance(z) > distance
            })
            .collect();
        if !candidates.is_empty() {
            let numbers: Vec<u32> = (0..candidates.len() as u32).collect();
            let asked = block(settings, &members, &candidates, &numbers);
            let sampled = engine.statistics(&asked)?;
            let without_dropout = match measure.passes() {
                Passes::Sampled => None,
                Passes::Deterministic => Some(engine.statistics(&Block { draws: Draws::Deterministic, ..asked })?),
            };
            for (number, &z) in candidates.iter().enumerate() {
                let value = measure.evaluate(&without_dropout.as_ref().unwrap_or(&sampled).whole_cell(number));
                let farther = surroundings.nearest.distance(z);
                let confident = prediction(&sampled.whole_cell(number).mean()).1 >= least;
                if confident && holes.thresholds.sure(value) && farther > distance {
                    (best, distance) = (z, farther);
                }
            }
        }
        reach = reach.map(|reach| reach / 3.0);
        tell(observe, round + 1, ROUNDS + 1)?;
    }

    let asked = Asked { samples: settings.samples, members: &members, seed: settings.seed, masks: settings.masks };
    let found = describe(engine, asked, best, hole, surroundings)?;
    tell(observe, ROUNDS + 1, ROUNDS + 1)?;
    Ok(found)
}

/// What the members say about the decoded image of a point.
pub(in crate::jobs) fn describe(
    engine: &mut dyn Engine,
    Asked { samples, members, seed, masks }: Asked<'_>,
    z: [f64; 2],
    hole: usize,
    surroundings: &Surroundings,
) -> Result<Garbage> {
    let (input, draws) = (Input::Latent(&z), Draws::Sampled(0..samples));
    let here = Block { input, point_numbers: &[0], members, draws, groups: 1, seed, masks };
    let sampled = engine.statistics(&here)?.whole_cell(0);
    let without_dropout = engine.statistics(&Block { draws: Draws::Deterministic, ..here })?.whole_cell(0);
    let of = |measure: Measure| -> &CellStatistics {
        match measure.passes() {
            Passes::Sampled => &sampled,
            Passes::Deterministic => &without_dropout,
        }
    };
    let probabilities = sampled.mean();
    let (class, confidence) = prediction(&probabilities);
    Ok(Garbage {
        hole,
        z,
        image: engine.decode(&z)?,
        class,
        confidence,
        measures: Measure::ALL.map(|measure| (measure, measure.evaluate(of(measure)))).to_vec(),
        distance: surroundings.nearest.distance(z),
        probabilities,
    })
}

/// The point of the view's grid that is nearest to z, if z lies within the view.
fn cell_of(view: &View, z: [f64; 2]) -> Option<u32> {
    let nearest = |[first, last]: [f64; 2], z: f64, count: usize| {
        (first..=last).contains(&z).then(|| ((z - first) / (last - first) * (count - 1) as f64).round() as usize)
    };
    Some((nearest(view.z2, z[1], view.rows)? * view.columns + nearest(view.z1, z[0], view.columns)?) as u32)
}
