//! The images that say how sure the models are of data.

use super::super::map::MapSettings;
use super::super::passes::{check_data, next_block};
use super::super::{ModelSet, Observer, tell};
use super::{HoleCriterion, MeasureBound, lacks_passes};
use crate::analysis::holes::{Thresholds, as_sure_as};
use crate::data::Dataset;
use crate::engine::{Block, Draws, Engine, Input};
use crate::error::{Error, Result};
use crate::latent::Surroundings;
use crate::uncertainty::{Measure, Passes, StatisticsGrid};
use std::borrow::Cow;

/// The most rows of statistics of a block: of ten classes they take 64 MB.
const MOST_ROWS: usize = 1 << 18;

/// Which images the bound on the measure is taken from.
#[derive(Clone, Copy, Debug)]
pub enum ReferenceImages<'a> {
    /// Real test images.
    Test(&'a Dataset),
    /// Encodings of test images, decoded: images as the VAE makes them.
    Decoded,
}

impl<'a> ReferenceImages<'a> {
    /// The test images where the models take them, else decoded encodings.
    pub fn choose(set: &ModelSet, data: Option<&'a Dataset>) -> Self {
        data.filter(|data| check_data(set, data).is_ok()).map_or(Self::Decoded, Self::Test)
    }

    /// What they are called.
    pub fn name(&self) -> String {
        match self {
            Self::Test(data) => data.name.clone(),
            Self::Decoded => "decoded encodings of test images".to_owned(),
        }
    }
}

/// What holes are held against: images, and where the encodings lie.
#[derive(Clone, Copy)]
pub struct HoleGround<'a> {
    /// The images that say how sure the models are of data.
    pub images: ReferenceImages<'a>,
    /// The density of the training encodings.
    pub surroundings: &'a Surroundings,
}

/// What the members say of the data: statistics of the reference images, the members kept apart as in a [`Map`](super::Map).
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// What the images are called.
    pub images: String,
    /// The sampled passes: images × members, in the order of the map's settings.
    pub sampled: StatisticsGrid,
    /// The passes without dropout, where the map has them.
    pub deterministic: Option<StatisticsGrid>,
    /// Which members draw.
    pub has_draws: Vec<bool>,
    /// The draws of each member.
    pub samples: u32,
}

/// Evaluates the members on reference images, at most `count`, with the draws of the map's settings: with shared masks, these are the
/// very functions whose map it is. Of test images the first are taken, of encodings some that are spread evenly.
///
/// # Errors
/// When the models do not take the images or have no encodings, the engine fails, or the observer stops.
pub fn reference(
    set: &ModelSet,
    engine: &mut dyn Engine,
    settings: &MapSettings,
    images: ReferenceImages<'_>,
    count: usize,
    observe: Observer<'_>,
) -> Result<Reference> {
    let points = reference_points(set, images, count)?;
    let (members, classes, count) = (settings.members.len(), set.ensemble().classes().len(), points.count);
    let mut found = Reference {
        images: images.name(),
        sampled: StatisticsGrid::new(count, members, classes),
        deterministic: settings.deterministic.then(|| StatisticsGrid::new(count, members, classes)),
        has_draws: set.ensemble().has_draws(&settings.members),
        samples: settings.samples,
    };
    points.add(engine, settings, &Draws::Sampled(0..settings.samples), &mut found.sampled, observe)?;
    if let Some(deterministic) = &mut found.deterministic {
        points.add(engine, settings, &Draws::Deterministic, deterministic, observe)?;
    }
    Ok(found)
}

/// Points of the plane, or images, as an engine takes them.
pub(super) struct InputPoints<'a> {
    values: InputValues<'a>,
    pub count: usize,
}

enum InputValues<'a> {
    Latent(Vec<f64>),
    Images(Cow<'a, [f32]>),
}

/// The reference images, at most `count`.
pub(super) fn reference_points<'a>(set: &ModelSet, images: ReferenceImages<'a>, count: usize) -> Result<InputPoints<'a>> {
    match images {
        ReferenceImages::Test(data) => {
            check_data(set, data)?;
            let count = count.clamp(1, data.len());
            Ok(InputPoints { values: InputValues::Images(data.images_of(0..count)), count })
        }
        ReferenceImages::Decoded => {
            let test = &set.encodings()?.test.points;
            let count = count.clamp(1, test.len());
            let points = (0..count).flat_map(|i| test[i * test.len() / count].map(f64::from)).collect();
            Ok(InputPoints { values: InputValues::Latent(points), count })
        }
    }
}

impl InputPoints<'_> {
    /// Points of the plane.
    pub fn latent(points: &[[f64; 2]]) -> Self {
        Self { values: InputValues::Latent(points.as_flattened().to_vec()), count: points.len() }
    }

    /// Adds draws of all members to the statistics of every point.
    pub fn add(
        &self,
        engine: &mut dyn Engine,
        settings: &MapSettings,
        draws: &Draws,
        to: &mut StatisticsGrid,
        observe: Observer<'_>,
    ) -> Result<()> {
        self.each_block(engine, (settings, draws, 1), observe, |first, block| to.merge_at(first, block))
    }

    /// Adds draws of all members to the statistics of every point, once for several grids: to each so many of the first draws as stand
    /// beside it, in ascending order.
    pub fn add_first(
        &self,
        engine: &mut dyn Engine,
        settings: &MapSettings,
        to: &mut [(u32, &mut StatisticsGrid)],
        observe: Observer<'_>,
    ) -> Result<()> {
        let Some(draws) = to.last().map(|(draws, _)| *draws) else { return Ok(()) };
        let (members, groups) = (settings.members.len(), draws as usize);
        self.each_block(engine, (settings, &Draws::Sampled(0..draws), groups), observe, |first, block| {
            for (point, member) in (0..block.points()).flat_map(|point| (0..members).map(move |member| (point, member))) {
                let mut sums = vec![0.0; block.sums(point, member).len()];
                let mut done = 0;
                for (draws, grid) in to.iter_mut() {
                    for draw in done..*draws as usize {
                        sums.iter_mut().zip(block.sums(point, member * groups + draw)).for_each(|(sum, of_draw)| *sum += of_draw);
                    }
                    done = *draws as usize;
                    grid.sums_mut(first + point, member).copy_from_slice(&sums);
                }
            }
        })
    }

    /// Computes block after block of draws, kept apart in so many groups; `take` gets each and the number of its first point.
    fn each_block(
        &self,
        engine: &mut dyn Engine,
        (settings, draws, groups): (&MapSettings, &Draws, usize),
        observe: Observer<'_>,
        mut take: impl FnMut(usize, &StatisticsGrid),
    ) -> Result<()> {
        let numbers: Vec<u32> = (0..self.count as u32).collect();
        let most = (MOST_ROWS / (settings.members.len() * groups)).max(1);
        let mut done = 0;
        tell(observe, 0, self.count)?;
        while done < self.count {
            let tile = next_block(engine, done, self.count.min(done + most));
            let of = |length: usize| tile.start * (length / self.count)..tile.end * (length / self.count);
            let input = match &self.values {
                InputValues::Latent(values) => Input::Latent(&values[of(values.len())]),
                InputValues::Images(values) => Input::Images(&values[of(values.len())]),
            };
            let block = Block {
                input,
                point_numbers: &numbers[tile.clone()],
                members: &settings.members,
                draws: draws.clone(),
                groups,
                seed: settings.seed,
                masks: settings.masks,
            };
            take(tile.start, &engine.statistics(&block)?);
            done = tile.end;
            tell(observe, done, self.count)?;
        }
        Ok(())
    }
}

impl Reference {
    /// A measure at every image over the members at the given places in the map's settings.
    ///
    /// # Errors
    /// When it needs passes without dropout, and there are none.
    pub fn measure(&self, measure: Measure, places: &[usize]) -> Result<Vec<f32>> {
        let statistics = match measure.passes() {
            Passes::Sampled => &self.sampled,
            Passes::Deterministic => self.deterministic.as_ref().ok_or_else(|| lacks_passes(measure))?,
        };
        let at = |point| measure.evaluate(&statistics.cell(point, places.iter().copied())) as f32;
        Ok((0..statistics.points()).map(at).collect())
    }

    /// Refuses a bound on a measure that compares draws where the members at the given places have none that differ.
    ///
    /// # Errors
    /// "undefined: …", with the reason.
    pub fn check_defined(&self, criterion: &HoleCriterion, places: &[usize]) -> Result<()> {
        let has_draws: Vec<bool> = places.iter().map(|&place| self.has_draws[place]).collect();
        match criterion.measure.undefined(&has_draws, self.samples) {
            Some(reason) if criterion.bound != MeasureBound::Off => {
                let mend = "choose a measure that needs no draws, such as predictive entropy, or leave its bound out";
                Err(Error::setting(criterion.measure.label(), reason, mend))
            }
            _ => Ok(()),
        }
    }

    /// The thresholds that a criterion stands for, over the members at the given places.
    ///
    /// # Errors
    /// As [`HoleCriterion::check`], [`check_defined`](Self::check_defined) and [`measure`](Self::measure).
    pub fn thresholds(&self, surroundings: &Surroundings, criterion: &HoleCriterion, places: &[usize]) -> Result<Thresholds> {
        let all: Vec<usize> = (0..self.sampled.points()).collect();
        self.thresholds_of(&all, surroundings, criterion, places)
    }

    /// The same with the reference images of these numbers, such as a bootstrap's resample.
    pub(super) fn thresholds_of(
        &self,
        images: &[usize],
        surroundings: &Surroundings,
        criterion: &HoleCriterion,
        places: &[usize],
    ) -> Result<Thresholds> {
        criterion.check()?;
        self.check_defined(criterion, places)?;
        let measure = criterion.measure;
        let uncertainty = match criterion.bound {
            MeasureBound::Quantile(share) => {
                let values = self.measure(measure, places)?;
                let chosen: Vec<f32> = images.iter().map(|&image| values[image]).collect();
                Some(as_sure_as(measure, &chosen, share))
            }
            MeasureBound::Value(value) => Some(value),
            MeasureBound::Off => None,
        };
        let density = criterion.covered.map(|share| surroundings.density.covering(share));
        Ok(Thresholds { measure, uncertainty, confidence: criterion.min_confidence, density })
    }
}
