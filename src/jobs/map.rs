//! The map: the statistics of the draws over a view of the latent plane.

use super::passes::check;
use super::{ModelSet, Observer, tell};
use crate::engine::{Block, Draws, Engine, Input, Masks};
use crate::error::{Error, Result};
use crate::latent::View;
use crate::uncertainty::{CellStatistics, Measure, Passes, StatisticsGrid, mutual_information_standard_error, sums_len};
use serde::{Deserialize, Serialize};

/// Points per block of work: a few hundredths of a second of the paper's networks, so that a stop is not waited for.
const TILE: usize = 256;
/// The groups of draws that the standard error is estimated from.
const GROUPS: usize = 10;
/// The most bytes of statistics: what asks for more is a slip rather than a wish.
const MOST_BYTES: f64 = (16u64 << 30) as f64;

/// Everything that fixes a map, given the models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MapSettings {
    /// The points.
    pub view: View,
    /// Draws per member, T.
    pub samples: u32,
    /// The members by number.
    pub members: Vec<usize>,
    /// The seed of the dropout masks.
    pub seed: u32,
    /// How masks are shared between points.
    pub masks: Masks,
    /// Whether a pass without dropout is made as well, for the deterministic entropy.
    pub deterministic: bool,
}

/// A finished map. The members are kept apart, so that any subset of them is a sum over it.
pub struct Map {
    /// What was asked for.
    pub settings: MapSettings,
    /// The sampled passes: points × members, in the order of the settings.
    pub sampled: StatisticsGrid,
    /// The entropy of the mean prediction of all members without dropout at each point in nats, where it was asked for.
    pub deterministic_entropy: Option<Vec<f32>>,
    /// The standard error of the mutual information over all members at each point, in nats; NaN with one draw.
    pub standard_error: Vec<f32>,
}

/// Computes a map.
///
/// # Errors
/// When the settings make no sense or ask for more memory than any machine should give, the VAE's plane has not two
/// dimensions, the engine fails, or the observer stops.
pub fn map(set: &ModelSet, engine: &mut dyn Engine, settings: &MapSettings, observe: Observer<'_>) -> Result<Map> {
    check(set, settings.samples, &settings.members)?;
    let (members, classes) = (settings.members.len(), set.ensemble().classes().len());
    let bytes = settings.view.len() as f64 * ((members + 1) * sums_len(classes) * size_of::<f64>()) as f64;
    if bytes > MOST_BYTES {
        let problem = format!("{} points with {members} members would take {:.0} GB of memory", settings.view.len(), bytes / 1e9);
        return Err(Error::setting("--grid", problem, "give a smaller one, or fewer --members"));
    }
    let points = settings.view.points();
    let groups = GROUPS.min(settings.samples as usize);
    let mut map = Map {
        settings: settings.clone(),
        sampled: StatisticsGrid::new(points.len(), members, classes),
        deterministic_entropy: settings.deterministic.then(|| vec![f32::NAN; points.len()]),
        standard_error: vec![f32::NAN; points.len()],
    };
    let numbers: Vec<u32> = (0..points.len() as u32).collect();
    tell(observe, 0, points.len())?;
    for (tile, numbers) in points.chunks(TILE).zip(numbers.chunks(TILE)) {
        let block = Block {
            input: Input::Latent(tile.as_flattened()),
            point_numbers: numbers,
            members: &settings.members,
            draws: Draws::Sampled(0..settings.samples),
            groups,
            seed: settings.seed,
            masks: settings.masks,
        };
        let sampled = engine.statistics(&block)?;
        if let Some(entropy) = &mut map.deterministic_entropy {
            let deterministic = engine.statistics(&Block { draws: Draws::Deterministic, groups: 1, ..block })?;
            for (at, &number) in numbers.iter().enumerate() {
                entropy[number as usize] = Measure::DeterministicEntropy.evaluate(&deterministic.whole_cell(at)) as f32;
            }
        }
        for (at, &number) in numbers.iter().enumerate() {
            let point = number as usize;
            for row in 0..members * groups {
                add(map.sampled.sums_mut(point, row / groups), sampled.sums(at, row));
            }
            let of_group = |group| sampled.cell(at, (0..members).map(|member| member * groups + group));
            let groups: Vec<CellStatistics> = (0..groups).map(of_group).collect();
            map.standard_error[point] = mutual_information_standard_error(&groups) as f32;
        }
        tell(observe, numbers[0] as usize + tile.len(), points.len())?;
    }
    Ok(map)
}

fn add(sums: &mut [f64], others: &[f64]) {
    sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
}

impl Map {
    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.sampled.classes()
    }

    /// A measure at every point over the members at the given places in the settings; the deterministic entropy is always
    /// that of all members. `None` where the map has not the passes that the measure is a function of.
    pub fn measure(&self, measure: Measure, places: &[usize]) -> Option<Vec<f32>> {
        let at = |point| measure.evaluate(&self.sampled.cell(point, places.iter().copied())) as f32;
        match measure.passes() {
            Passes::Sampled => Some((0..self.sampled.points()).map(at).collect()),
            Passes::Deterministic => self.deterministic_entropy.clone(),
        }
    }

    /// The mean prediction at every point over all members, [points, classes].
    pub fn mean_probabilities(&self) -> Vec<f32> {
        (0..self.sampled.points()).flat_map(|point| self.sampled.whole_cell(point).mean()).map(|p| p as f32).collect()
    }
}
