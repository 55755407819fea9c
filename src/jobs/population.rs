//! Midpoints between many pairs of images, through latent and through pixel space (Smith & Gal 2018, figure 3).

use super::interpolate::Path;
use super::passes::{Answers, Asked, ComputedBy, check, check_data};
use super::{ModelSet, Progress};
use crate::analysis::detection::{Estimate, auroc};
use crate::analysis::dyadic::Influence;
use crate::autodiff::encode;
use crate::data::Dataset;
use crate::engine::{Engine, Input, Masks};
use crate::error::{Error, Result};
use crate::random::{Purpose, Stream};
use crate::uncertainty::Measure;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// The most pairs: beyond it only time and memory are spent.
const MOST_PAIRS: usize = 1_000_000;
/// What errors call the number of pairs: each verb has an option of its own name for it.
const PAIRS: &str = "the number of pairs";
/// The address of the pairs among the random choices of a seed.
const ADDRESS: u32 = 1;

/// Everything that fixes a population, given the models and the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PopulationSettings {
    /// The number of pairs.
    pub pairs: usize,
    /// Draws per member, T.
    pub samples: u32,
    /// The members by number.
    pub members: Vec<usize>,
    /// The seed of the pairs and of the dropout masks.
    pub seed: u32,
    /// How masks are shared between images.
    pub masks: Masks,
}

/// The midpoints of pairs of images of different classes, and what the members say about them: of all pairs, or while it is
/// computed, of the first so many. The members are kept apart, so that any subset of them is a sum over it.
#[derive(Clone, Debug, PartialEq)]
pub struct Population {
    /// What was asked for.
    pub settings: PopulationSettings,
    /// The name of the data.
    pub dataset: String,
    /// The numbers of the images of each pair in the data.
    pub pairs: Vec<[usize; 2]>,
    /// How many pairs have been computed, the first ones.
    pub done: usize,
    /// Which members, in the order of the settings, have draws.
    has_draws: Vec<bool>,
    latent: Answers,
    pixel: Answers,
}

/// Is told how far a population is, may look at what there is of it, and may stop it.
pub type PopulationObserver<'a> = &'a mut dyn FnMut(Progress, &Population) -> ControlFlow<()>;

/// Computes a population: for random pairs of images a, b of different classes, the decoded middle of their encodings and the
/// mean of their pixels. The first image is any of the data, the second any of another class, each as probable as the others.
///
/// # Errors
/// When the settings make no sense, the models do not take the data, these are of a single class, the engine fails, or the
/// observer stops.
pub fn population(
    set: &ModelSet,
    engine: &mut dyn Engine,
    data: &Dataset,
    settings: &PopulationSettings,
    observe: PopulationObserver<'_>,
) -> Result<Population> {
    let PopulationSettings { pairs: count, samples, members, seed, masks } = settings;
    let (count, asked) = (*count, Asked { samples: *samples, members, seed: *seed, masks: *masks });
    check(set, *samples, members)?;
    check_data(set, data)?;
    if !(1..=MOST_PAIRS).contains(&count) {
        return Err(Error::setting(PAIRS, format!("{count} is out of range"), format!("give a number from 1 to {MOST_PAIRS}")));
    }
    let pairs = pairs(data, count, *seed)?;
    let answers = Answers::new(PAIRS, 2, [count, members.len(), set.ensemble().classes().len()])?;
    let has_draws = set.ensemble().has_draws(members);
    let (settings, dataset) = (settings.clone(), data.name.clone());
    let mut all = Population { settings, dataset, pairs, done: 0, has_draws, latent: answers.clone(), pixel: answers };
    loop {
        let progress = Progress { done: all.done as u64, total: count as u64 };
        if observe(progress, &all).is_break() {
            return Err(Error::Cancelled);
        }
        let first = all.done;
        // A pair is two points: one in latent space, one in pixel space.
        let block = first..count.min(first.saturating_add((engine.points_per_block() / 2).max(1)));
        if block.is_empty() {
            return Ok(all);
        }
        let images = data.subset(all.pairs[block.clone()].as_flattened());
        // The mean of one image's z and the next one's: the pairs lie side by side, a before b.
        let z: Vec<f64> = encode(&set.vae, &images)?
            .as_chunks()
            .0
            .iter()
            .flat_map(|&[a1, a2, b1, b2]: &[f32; 4]| [f64::midpoint(a1.into(), b1.into()), f64::midpoint(a2.into(), b2.into())])
            .collect();
        let images = images.images();
        let pixels = images.chunks_exact(2 * data.pixels()).flat_map(|pair| {
            let (a, b) = pair.split_at(data.pixels());
            a.iter().zip(b).map(|(&a, &b)| f32::midpoint(a, b))
        });
        let pixels: Vec<f32> = pixels.collect();
        // Masks that are drawn per point: those of the pixel midpoints come after all of the latent ones.
        all.latent.compute(engine, asked, Input::Latent(&z), block.len(), [first, first])?;
        all.pixel.compute(engine, asked, Input::Images(&pixels), block.len(), [first, count + first])?;
        all.done = block.end;
    }
}

/// Random pairs of images of different classes, by their numbers.
fn pairs(data: &Dataset, count: usize, seed: u32) -> Result<Vec<[usize; 2]>> {
    let mut by_class: Vec<usize> = (0..data.len()).collect();
    by_class.sort_by_key(|&image| data.labels[image]);
    let labels: Vec<u16> = by_class.iter().map(|&image| data.labels[image]).collect();
    if labels.first() == labels.last() {
        return Err(Error::setting(
            "--dataset",
            format!("all {} images of {} are of one class, but pairs are of two", data.len(), data.name),
            "choose data of several classes",
        ));
    }
    let stream = Stream::new(seed, Purpose::Choice);
    let pair = |number: usize| {
        let below = |index: u32, end: usize| (stream.uniform([number as u32, ADDRESS, 0], index) * end as f64) as usize;
        let first = below(0, data.len());
        let own = data.labels[first];
        let (start, end) = (labels.partition_point(|&label| label < own), labels.partition_point(|&label| label <= own));
        // The images of other classes are those before and those after the images of this class.
        let other = below(1, data.len() - (end - start));
        [first, by_class[if other < start { other } else { other + (end - start) }]]
    };
    Ok((0..count).map(pair).collect())
}

impl Population {
    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.latent.sampled.classes()
    }

    /// Who computed it.
    pub fn by(&self) -> ComputedBy {
        let mut by = self.latent.by.clone();
        by.merge(&self.pixel.by);
        by
    }

    /// A measure at the midpoints that have been computed, over the members at the given places in the settings; none for
    /// [`Path::Geodesic`], of which a population has no midpoints.
    pub fn measure(&self, path: Path, measure: Measure, places: &[usize]) -> Vec<f32> {
        match path {
            Path::Latent => self.latent.measure(measure, self.done, places),
            Path::Pixel => self.pixel.measure(measure, self.done, places),
            Path::Geodesic => Vec::new(),
        }
    }

    /// How well a measure tells the midpoints in pixel space, which are no digits, from those in latent space: the probability
    /// that it is more uncertain about the former. Pixel midpoints are the positives; above 0.5 the measure sees that they
    /// lie off the data.
    ///
    /// # Errors
    /// When no pair has been computed, a measure is not a number, or it is [undefined](Self::undefined).
    pub fn auroc(&self, measure: Measure, places: &[usize]) -> Result<f64> {
        if let Some(reason) = self.undefined(measure, places) {
            return Err(Error::setting(measure.label(), reason, "choose a measure that compares no draws"));
        }
        let sign = if measure.rises_with_uncertainty() { 1.0 } else { -1.0 };
        let scores = |path| self.measure(path, measure, places).into_iter().map(|value| sign * f64::from(value)).collect::<Vec<_>>();
        auroc(&scores(Path::Latent), &scores(Path::Pixel))
    }

    /// The [`auroc`](Self::auroc) with three decimals, and behind it, of all pairs, the 95 % interval of [`compare`](Self::compare); or why it is
    /// undefined.
    ///
    /// # Errors
    /// When no pair has been computed, or a measure is not a number.
    pub fn auroc_text(&self, measure: Measure, places: &[usize]) -> Result<String> {
        if let Some(reason) = self.undefined(measure, places) {
            return Ok(reason.to_owned());
        }
        if self.done < self.pairs.len() {
            return Ok(format!("{:.3}", self.auroc(measure, places)?));
        }
        let estimates = self.compare(&[measure], places)?;
        let with_interval = |[area, _]: &[Estimate; 2]| {
            let interval = area.interval().map_or_else(String::new, |[low, high]| format!(" [{low:.3}, {high:.3}]"));
            format!("{:.3}{interval}", area.value)
        };
        Ok(estimates.iter().map(with_interval).collect())
    }

    /// Why a measure over the members at the given places separates nothing, where it does not.
    pub fn undefined(&self, measure: Measure, places: &[usize]) -> Option<&'static str> {
        let has_draws: Vec<bool> = places.iter().map(|&place| self.has_draws[place]).collect();
        measure.undefined(&has_draws, self.settings.samples)
    }

    /// [`auroc`](Self::auroc) of some measures with their intervals, and that of the first less that of each. Pairs that share an image depend
    /// on each other: the intervals are those of other images (see [`Influence`]).
    ///
    /// # Errors
    /// As [`auroc`](Self::auroc).
    pub fn compare(&self, measures: &[Measure], places: &[usize]) -> Result<Vec<[Estimate; 2]>> {
        let influence = |&measure: &Measure| {
            let sign = if measure.rises_with_uncertainty() { 1.0 } else { -1.0 };
            let scores = |path| self.measure(path, measure, places).into_iter().map(|value| sign * f64::from(value)).collect::<Vec<_>>();
            Influence::new(&scores(Path::Latent), &scores(Path::Pixel))
        };
        let all = measures.iter().map(influence).collect::<Result<Vec<_>>>()?;
        let pairs = &self.pairs[..self.done];
        Ok(all.iter().map(|influence| [influence.estimate(pairs), all[0].difference(influence, pairs)]).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::decoded_digits;
    use crate::engine;
    use crate::jobs::{InterpolationSettings, image_end, interpolate};
    use std::sync::Arc;

    /// Decoded digits, a few.
    fn digits(set: &ModelSet) -> Dataset {
        let test = &set.encodings().unwrap().test;
        let mut engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
        decoded_digits(&test.points[..60], &test.labels[..60], &test.classes, [1, 28, 28], |z| engine.decode(z)).unwrap()
    }

    fn settings(pairs: usize) -> PopulationSettings {
        PopulationSettings { pairs, samples: 2, members: vec![2, 0], seed: 3, masks: Masks::Shared }
    }

    fn run(set: &ModelSet, data: &Dataset, settings: &PopulationSettings, observe: PopulationObserver<'_>) -> Result<Population> {
        let mut engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
        population(set, engine.as_mut(), data, settings, observe)
    }

    #[test]
    fn what_is_there_before_the_end_is_the_beginning_of_the_whole() {
        let set = ModelSet::shipped().unwrap();
        let data = digits(&set);
        let mut seen: Vec<(Progress, Vec<f32>)> = Vec::new();
        // Blocks are of 256 points.
        let pairs = 128 + 3;
        let whole = run(&set, &data, &settings(pairs), &mut |progress, population| {
            assert_eq!(population.auroc(Measure::PredictiveEntropy, &[0, 1]).is_ok(), progress.done > 0);
            seen.push((progress, population.measure(Path::Pixel, Measure::PredictiveEntropy, &[0, 1])));
            ControlFlow::Continue(())
        });
        let values = whole.unwrap().measure(Path::Pixel, Measure::PredictiveEntropy, &[0, 1]);
        assert_eq!(values.len(), pairs);
        assert_eq!(seen.iter().map(|(progress, _)| progress.done).collect::<Vec<_>>(), [0, 128, pairs as u64]);
        assert!(seen.iter().all(|(progress, partial)| progress.total == pairs as u64 && partial[..] == values[..progress.done as usize]));
        let stopped = run(&set, &data, &settings(9), &mut |_, _| ControlFlow::Break(()));
        assert!(matches!(stopped, Err(Error::Cancelled)));
    }

    #[test]
    fn a_midpoint_is_the_middle_of_an_interpolation() {
        let set = ModelSet::shipped().unwrap();
        let data = digits(&set);
        let asked = settings(4);
        let four = run(&set, &data, &asked, &mut |_, _| ControlFlow::Continue(())).unwrap();
        let mut engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
        let mut apart = |pair: usize, compared: usize| {
            let ends = four.pairs[compared].map(|image| image_end(&set, &data, image).unwrap().0);
            let PopulationSettings { samples, members, seed, masks, .. } = asked.clone();
            let settings = InterpolationSettings { ends, steps: 3, samples, members, seed, masks, paths: vec![Path::Latent, Path::Pixel] };
            let middle = interpolate(&set, engine.as_mut(), &settings, &mut |_| ControlFlow::Continue(())).unwrap();
            let differs = |curve: &crate::jobs::Curve| {
                let of = |measure| (curve.measure(measure, &[0, 1])[1] - four.measure(curve.path, measure, &[0, 1])[pair]).abs();
                Measure::ALL.into_iter().map(of).fold(0.0, f32::max)
            };
            middle.curves.iter().map(differs).fold(0.0, f32::max)
        };
        for pair in 0..4 {
            assert!(apart(pair, pair) <= 1e-4, "{pair}");
            assert!(apart(pair, (pair + 1) % 4) > 1e-3, "another pair's middle passes");
        }
    }

    #[test]
    fn the_auroc_turns_around_a_measure_that_falls_with_uncertainty() {
        let set = ModelSet::shipped().unwrap();
        let data = digits(&set);
        let population = run(&set, &data, &settings(50), &mut |_, _| ControlFlow::Continue(())).unwrap();
        let [latent, pixel] = [Path::Latent, Path::Pixel].map(|path| {
            let values = population.measure(path, Measure::MaximumProbability, &[0]);
            values.into_iter().map(f64::from).collect::<Vec<_>>()
        });
        let area = population.auroc(Measure::MaximumProbability, &[0]).unwrap();
        // The measure is higher where the network is surer: as a score for the pixel midpoints it is the other way round.
        assert!((area - (1.0 - auroc(&latent, &pixel).unwrap())).abs() <= 1e-12 && area != 0.5);
        let entropy = |place| population.auroc(Measure::PredictiveEntropy, &[place]).unwrap();
        assert_ne!(entropy(0), entropy(1));
    }

    /// Images of one pixel in three classes of 1, 2 and 3 images, not in order.
    fn few() -> Dataset {
        Dataset::new("few", [1, 1, 1], vec![0.0; 6], vec![2, 0, 1, 2, 1, 2], ["a", "b", "c"].map(str::to_owned).to_vec()).unwrap()
    }

    #[test]
    fn pairs_are_of_different_classes_and_equally_probable() {
        let (data, count) = (few(), 60_000);
        let drawn = pairs(&data, count, 1).unwrap();
        assert!(drawn == pairs(&data, count, 1).unwrap() && drawn != pairs(&data, count, 2).unwrap());
        assert!(drawn[..50] == pairs(&data, 50, 1).unwrap(), "more pairs begin with the same ones");
        for first in 0..6 {
            for second in 0..6 {
                let times = drawn.iter().filter(|pair| **pair == [first, second]).count() as f64 / count as f64;
                let others = data.labels.iter().filter(|label| **label != data.labels[first]).count() as f64;
                let expected = if data.labels[first] == data.labels[second] { 0.0 } else { 1.0 / (6.0 * others) };
                // Four standard deviations of a binomial share.
                assert!((times - expected).abs() <= 4.0 * (expected / count as f64).sqrt(), "{first} {second}: {times} for {expected}");
            }
        }
    }

    #[test]
    fn what_has_no_pairs_is_refused() {
        let set = ModelSet::shipped().unwrap();
        let data = digits(&set);
        let sentence = |data: &Dataset, settings: &PopulationSettings| {
            run(&set, data, settings, &mut |_, _| ControlFlow::Continue(())).unwrap_err().to_string()
        };
        assert!(sentence(&data, &settings(0)).starts_with("the number of pairs: 0 is out of range"));
        assert!(sentence(&data, &PopulationSettings { samples: 0, ..settings(3) }).starts_with("--samples"));
        assert!(sentence(&data, &PopulationSettings { members: vec![10], ..settings(3) }).starts_with("--members"));
        assert!(sentence(&few(), &settings(3)).contains("the models take"));
        let single = Dataset { labels: vec![4; data.len()], ..data };
        assert!(sentence(&single, &settings(3)).contains("one class"));
        assert!(crate::jobs::default_ends(&set, &single).unwrap_err().to_string().contains("one class"));
    }
}
