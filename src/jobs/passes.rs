//! The passes of a list of images or latent points through some members: what interpolation and its population ask for.

use super::ModelSet;
use crate::budget;
use crate::data::Dataset;
use crate::engine::{Block, Draws, Engine, Input, Masks};
use crate::error::{Error, Result};
use crate::nets::{Ensemble, same_classes};
use crate::numbers::counted;
use crate::uncertainty::{Measure, Passes, StatisticsGrid, sums_len};
use std::ops::Range;

/// The most draws: beyond it only time is spent.
const MOST_SAMPLES: u32 = 1_000_000;

/// The next block of `total` points of which the first `done` have been asked: as many as the engine likes best. It may change its
/// mind from block to block, so this is asked anew before each.
pub(super) fn next_block(engine: &dyn Engine, done: usize, total: usize) -> Range<usize> {
    done..total.min(done.saturating_add(engine.points_per_block().max(1)))
}

/// Checks the number of draws, the members and the latent plane.
///
/// # Errors
/// When there are too many draws or none, a member is not there, or the plane has not two dimensions.
pub(super) fn check(set: &ModelSet, samples: u32, members: &[usize]) -> Result<()> {
    if !(1..=MOST_SAMPLES).contains(&samples) {
        let mend = format!("give a number from 1 to {MOST_SAMPLES}");
        return Err(Error::setting("--samples", format!("{samples} draws are out of range"), mend));
    }
    if set.vae.latent_size() != 2 {
        let problem = format!("its VAE has {} latent dimensions, but a map needs 2", set.vae.latent_size());
        return Err(Error::file(&set.origin, problem, "train one with --latent 2"));
    }
    set.members(Some(members)).map(|_| ())
}

/// Checks that the statistics of points fit into the memory budget; `setting` says how many points there are.
///
/// # Errors
/// With the estimate, and how many points would fit.
pub(super) fn check_memory(setting: &str, (points, members): (usize, usize), bytes_per_point: usize) -> Result<()> {
    let bytes = points as f64 * bytes_per_point as f64;
    let what = format!("{points} points with {}", counted(members as u64, "member"));
    budget::excess(what, bytes).map_or(Ok(()), |problem| {
        let fitting = budget::limit() / bytes_per_point.max(1) as u64;
        let fitting = if setting == "--grid" { fitting.isqrt() } else { fitting };
        let mend = format!("give {fitting} at most or fewer members, or allow more with {}", budget::OPTION);
        Err(Error::setting(setting, problem, mend))
    })
}

/// Checks that the models take the images of a data set, and know as many classes.
///
/// # Errors
/// When they do not.
pub(super) fn check_data(set: &ModelSet, data: &Dataset) -> Result<()> {
    check_data_of(set.ensemble(), data)
}

/// The same of classifiers alone.
///
/// # Errors
/// When they do not.
pub(super) fn check_data_of(ensemble: &Ensemble, data: &Dataset) -> Result<()> {
    let (shape, classes) = (ensemble.image_shape(), ensemble.classes().len());
    if shape == data.image_shape && classes == data.classes.len() {
        return check_classes(ensemble.classes(), data);
    }
    Err(Error::setting(
        "--dataset",
        format!(
            "{} has images of {:?} in {} classes, but the models take {shape:?} in {classes}",
            data.name,
            data.image_shape,
            data.classes.len(),
        ),
        "choose the data that the models were trained on",
    ))
}

/// Checks that data and models name their classes alike: a label means the same to both.
///
/// # Errors
/// When they do not.
pub(super) fn check_classes(classes: &[String], data: &Dataset) -> Result<()> {
    if same_classes(classes, &data.classes) {
        return Ok(());
    }
    let differ = classes.iter().zip(&data.classes).position(|(class, other)| class.to_lowercase() != other.to_lowercase());
    let class = differ.unwrap_or(classes.len().min(data.classes.len()));
    let named = |classes: &[String]| classes.get(class).map_or_else(|| "not there".to_owned(), |name| format!("'{name}'"));
    Err(Error::setting(
        "--dataset",
        format!("class {class} of {} is {}, but that of the models is {}", data.name, named(&data.classes), named(classes)),
        "choose the data that the models were trained on, or call the classes alike",
    ))
}

/// The engines that took part in a computation, in the order of their coming: one, unless another took over in the middle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComputedBy(Vec<&'static str>);

impl ComputedBy {
    /// Notes who has just answered.
    pub(super) fn note(&mut self, engine: &dyn Engine) {
        self.add(engine.name());
    }

    /// Notes the engines of a part.
    pub(super) fn merge(&mut self, part: &Self) {
        part.0.iter().for_each(|name| self.add(name));
    }

    fn add(&mut self, name: &'static str) {
        if !self.0.contains(&name) {
            self.0.push(name);
        }
    }
}

impl std::fmt::Display for ComputedBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(", then "))
    }
}

/// What fixes the passes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// Draws per member.
    pub samples: u32,
    /// The members by number.
    pub members: &'a [usize],
    /// The seed of the masks.
    pub seed: u32,
    /// How masks are shared between points.
    pub masks: Masks,
}

/// The statistics of points, the members kept apart: those of the draws, and those of the passes without dropout.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// Points × members.
    pub sampled: StatisticsGrid,
    /// Points × members, one pass each.
    pub deterministic: StatisticsGrid,
    /// Who answered.
    pub by: ComputedBy,
}

impl Answers {
    /// Those of no draws; `setting` says how many points there are.
    ///
    /// # Errors
    /// When they do not fit into the memory budget, `copies` times.
    pub(super) fn new(setting: &str, copies: usize, [points, members, classes]: [usize; 3]) -> Result<Self> {
        // Sampled, and without dropout.
        check_memory(setting, (points, members), 2 * copies * members * sums_len(classes) * size_of::<f64>())?;
        let empty = StatisticsGrid::new(points, members, classes);
        Ok(Self { sampled: empty.clone(), deterministic: empty, by: ComputedBy::default() })
    }

    /// Computes those of a block of points, whose first is `first` here, and `number` for masks that are drawn per point.
    ///
    /// # Errors
    /// When the engine fails.
    pub(super) fn compute(
        &mut self,
        engine: &mut dyn Engine,
        asked: Asked<'_>,
        input: Input<'_>,
        count: usize,
        [first, number]: [usize; 2],
    ) -> Result<()> {
        let point_numbers: Vec<u32> = (0..count).map(|point| (number + point) as u32).collect();
        let Asked { samples, members, seed, masks } = asked;
        let draws = Draws::Sampled(0..samples);
        let block = Block { input, point_numbers: &point_numbers, members, draws, groups: 1, seed, masks };
        self.sampled.merge_at(first, &engine.statistics(&block)?);
        self.by.note(engine);
        self.deterministic.merge_at(first, &engine.statistics(&Block { draws: Draws::Deterministic, ..block })?);
        self.by.note(engine);
        Ok(())
    }

    /// A measure at the first `points` points over the members at the given places.
    pub(super) fn measure(&self, measure: Measure, points: usize, places: &[usize]) -> Vec<f32> {
        let grid = match measure.passes() {
            Passes::Sampled => &self.sampled,
            Passes::Deterministic => &self.deterministic,
        };
        (0..points).map(|point| measure.evaluate(&grid.cell(point, places.iter().copied())) as f32).collect()
    }
}
