//! A trial of an engine: thousands of maps of every size, half of them stopped midway, each finished one held against the reference.

use super::compare::compare_maps;
use super::live::{LiveMap, fill};
use super::map::{Map, MapSettings, map};
use super::{ModelSet, Observer, Progress, tell};
use crate::engine::{Block, Engine, Masks, Models, reference};
use crate::error::{Error, Result};
use crate::latent::View;
use crate::nets::{Classifier, Ensemble, Graph, Network, Vae, VaeLayers, cnn, random_graph, random_graph_weights, random_weights};
use crate::random::{Purpose, Stream};
use crate::uncertainty::{GroupSums, StatisticsGrid};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

/// The images of the trial's networks, [channels, height, width], and their classes.
const IMAGE_SHAPE: [usize; 3] = [2, 9, 11];
const CLASSES: usize = 5;
/// Points along an axis; of one request in eight, up to [`MANY_POINTS`].
const FEW_POINTS: u32 = 14;
const MANY_POINTS: u32 = 40;
/// Draws per member.
const MOST_DRAWS: u32 = 12;
/// Of three requests in four, blocks have up to so many points; of the others, as many as the engine likes.
const MOST_POINTS_PER_BLOCK: u32 = 97;

/// How a soak went.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Soak {
    /// Requests that were finished.
    pub finished: u32,
    /// Requests that were stopped midway, as they were meant to be.
    pub stopped: u32,
    /// Points that were held against the reference.
    pub cells: usize,
    /// Those that differ from it.
    pub wrong: usize,
    /// Requests that failed.
    pub errors: u32,
    /// The first of the wrong cells and errors, in a sentence.
    pub first_trouble: Option<String>,
}

impl Soak {
    fn trouble(&mut self, sentence: impl FnOnce() -> String) {
        self.first_trouble.get_or_insert_with(sentence);
    }
}

/// Asks an engine for `requests` maps of a small random network, whose points, draws, members, seeds, masks and blocks are chosen at
/// random by the seed. Half of them are stopped midway, the others are compared with those of the reference engine: a measure may be
/// `tolerance` away, in units of its natural range. An error of the engine is counted, and the next request asked. `observe` is told of
/// the requests.
///
/// # Errors
/// When the engine cannot be opened, or the observer stops.
pub fn soak(
    open: impl FnOnce(Arc<Models>) -> Result<Box<dyn Engine>>,
    requests: u32,
    seed: u32,
    tolerance: f64,
    observe: Observer<'_>,
) -> Result<Soak> {
    let set = random_models(seed)?;
    let mut engine = open(Arc::clone(&set.models))?;
    let mut reference = reference::open(Arc::clone(&set.models))?;
    let mut outcome = Soak::default();
    for number in 0..requests {
        tell(observe, number as usize, requests as usize)?;
        let request = Request::random(seed, number)?;
        match request.run(&set, engine.as_mut()) {
            Ok(got) => {
                let expected = map(&set, reference.as_mut(), &request.settings, &mut |_| ControlFlow::Continue(()))?;
                let compared = compare_maps([&got, &expected], reference.as_mut(), tolerance)?;
                outcome.finished += 1;
                outcome.cells += compared.points;
                outcome.wrong += compared.wrong;
                if compared.wrong > 0 {
                    let worst = compared.worst().map(|worst| format!("{} differs by {:e}", worst.measure.label(), worst.largest));
                    outcome.trouble(|| format!("Request {number}: {}.", worst.unwrap_or_default()));
                }
            }
            Err(Error::Cancelled) if request.stop_at.is_some() => outcome.stopped += 1,
            Err(error) => {
                outcome.errors += 1;
                outcome.trouble(|| format!("Request {number}: {error}"));
            }
        }
    }
    tell(observe, requests as usize, requests as usize)?;
    Ok(outcome)
}

/// One map.
struct Request {
    settings: MapSettings,
    /// As the window makes maps, coarse to fine, rather than as the command line.
    live: bool,
    points_per_block: Option<usize>,
    /// It is stopped as soon as this share is done.
    stop_at: Option<f64>,
}

impl Request {
    fn random(seed: u32, number: u32) -> Result<Self> {
        let stream = Stream::new(seed, Purpose::Choice);
        let uniform = |index: u32| stream.uniform([number, 0, 0], index);
        let whole = |index: u32, most: u32| 1 + (uniform(index) * f64::from(most)) as usize;
        let most = if uniform(0) < 0.125 { MANY_POINTS } else { FEW_POINTS };
        let centre = [8.0 * uniform(1) - 4.0, 8.0 * uniform(2) - 4.0];
        let [z1, z2] = centre.map(|middle| [middle - 0.1 - uniform(3), middle + 0.1 + uniform(3)]);
        let mut members = stream.permutation([number, 1, 0], MEMBERS);
        members.truncate(whole(4, MEMBERS as u32));
        Ok(Self {
            settings: MapSettings {
                view: View::new(z1, z2, whole(5, most), whole(6, most))?,
                samples: whole(7, MOST_DRAWS) as u32,
                members,
                // Few different ones, so that what an engine keeps of a seed is used again.
                seed: whole(8, 3) as u32,
                masks: if uniform(9) < 0.25 { Masks::PerPoint } else { Masks::Shared },
                deterministic: uniform(10) < 0.5,
            },
            live: uniform(11) < 0.5,
            points_per_block: (uniform(12) < 0.75).then(|| whole(13, MOST_POINTS_PER_BLOCK)),
            stop_at: (uniform(14) < 0.5).then(|| uniform(15)),
        })
    }

    fn run(&self, set: &ModelSet, engine: &mut dyn Engine) -> Result<Map> {
        let points_per_block = self.points_per_block.unwrap_or_else(|| engine.points_per_block());
        let engine = &mut Chopped { engine, points_per_block };
        let observe = &mut |progress: Progress| {
            let done = progress.done as f64 >= self.stop_at.unwrap_or(2.0) * progress.total as f64;
            if done { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        if !self.live {
            return map(set, engine, &self.settings, observe);
        }
        let live = LiveMap::new(set, &self.settings)?;
        fill(&live, engine, observe)?;
        let map = live.read().clone();
        Ok(map)
    }
}

/// An engine that is asked in blocks of another size than it likes.
struct Chopped<'a> {
    engine: &'a mut dyn Engine,
    points_per_block: usize,
}

impl Engine for Chopped<'_> {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn points_per_block(&self) -> usize {
        self.points_per_block
    }

    fn statistics(&mut self, block: &Block<'_>) -> Result<StatisticsGrid> {
        self.engine.statistics(block)
    }

    fn grouped_statistics(&mut self, block: &Block<'_>) -> Result<(StatisticsGrid, GroupSums)> {
        self.engine.grouped_statistics(block)
    }

    fn decode(&mut self, z: &[f64]) -> Result<Vec<f32>> {
        self.engine.decode(z)
    }

    fn probabilities(&mut self, block: &Block<'_>) -> Result<Vec<f64>> {
        self.engine.probabilities(block)
    }
}

/// The number of classifiers.
const MEMBERS: usize = 3;

/// A VAE and three classifiers with random weights: two like the paper's, whose draws are thinned networks, and a random graph of ten
/// operations, whose draws are not.
pub(super) fn random_models(seed: u32) -> Result<ModelSet> {
    let layers = VaeLayers::dense(IMAGE_SHAPE, &[13], 2);
    let vae = Vae::new(IMAGE_SHAPE, &layers, &random_weights(layers.all(), seed))?;
    let like_the_papers = Graph::chain(&IMAGE_SHAPE, &cnn(IMAGE_SHAPE, CLASSES, [3, 5], 19, [0.25, 0.5]))?;
    // Shaders draw masks, but no weights.
    let random = |offset| random_graph(&IMAGE_SHAPE, CLASSES, 10, seed.wrapping_add(offset), |op| op.dropout().is_some() || !op.draws());
    let other = (0..100).map(random).find(|graph| graph.as_ref().map_or(true, Graph::draws)).unwrap_or_else(|| random(0))?;
    let classes: Vec<String> = (0..CLASSES).map(|class| class.to_string()).collect();
    let members: [_; MEMBERS] = [like_the_papers.clone(), other, like_the_papers];
    let member = |(number, graph): (usize, Graph)| {
        let weights = random_graph_weights(&graph, seed.wrapping_add(1 + number as u32));
        Classifier::new(format!("member {number}"), classes.clone(), Network::of(graph, &weights)?)
    };
    let ensemble = Ensemble::new(members.into_iter().enumerate().map(member).collect::<Result<_>>()?)?;
    let models = Arc::new(Models::new(Some(vae.decoder.clone()), ensemble)?);
    let origin = PathBuf::from("random models");
    Ok(ModelSet {
        encodings_file: origin.join(super::models::ENCODINGS),
        origin,
        vae,
        models,
        encodings: None,
        hashes: BTreeMap::new(),
        descriptions: Vec::new(),
        notes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::cpu;
    use crate::engine::test_engine::TestEngine;

    const REQUESTS: u32 = 240;

    fn soaked(open: impl FnOnce(Arc<Models>) -> Result<Box<dyn Engine>>) -> Soak {
        soak(open, REQUESTS, 1, 1e-4, &mut |_| ControlFlow::Continue(())).unwrap()
    }

    #[test]
    fn the_cpu_answers_every_request_as_the_reference_does() {
        let outcome = soaked(cpu::open);
        let Soak { finished, stopped, cells, wrong, errors, first_trouble } = outcome;
        assert_eq!((wrong, errors, first_trouble), (0, 0, None));
        assert!(finished + stopped == REQUESTS && finished > REQUESTS / 3 && stopped > REQUESTS / 3 && cells > 5000, "{finished}, {cells}");
    }

    #[test]
    fn a_wrong_block_and_a_failed_call_are_told() {
        // One block in sixty draws with another seed.
        let outcome = soaked(|models| {
            Ok(TestEngine::over(cpu::open(models)?, |call, block| {
                block.unwrap().seed += u32::from(call % 60 == 59);
                Ok(())
            }))
        });
        assert!(outcome.wrong > 0 && outcome.wrong < outcome.cells && outcome.errors == 0, "{outcome:?}");
        assert!(outcome.first_trouble.unwrap().contains("differs by"));

        let fails = |call, _: Option<&mut Block<'_>>| if call == 100 { Err(Error::Engine("it is lost".to_owned())) } else { Ok(()) };
        let outcome = soaked(|models| Ok(TestEngine::over(cpu::open(models)?, fails)));
        assert_eq!((outcome.wrong, outcome.errors, outcome.finished + outcome.stopped), (0, 1, REQUESTS - 1));
        assert!(outcome.first_trouble.unwrap().ends_with(": it is lost."));
    }

    #[test]
    fn requests_are_of_every_size_and_shape() {
        let all: Vec<Request> = (0..1000).map(|number| Request::random(7, number).unwrap()).collect();
        let count = |holds: fn(&Request) -> bool| all.iter().filter(|request| holds(request)).count();
        assert!((400..600).contains(&count(|request| request.stop_at.is_some())));
        for holds in [
            |request: &Request| request.settings.view.len() == 1,
            |request: &Request| request.settings.view.len() > 900,
            |request: &Request| request.settings.samples == 1,
            |request: &Request| request.settings.samples == MOST_DRAWS,
            |request: &Request| request.settings.members == [2, 0, 1],
            |request: &Request| request.settings.masks == Masks::PerPoint && request.live,
            |request: &Request| request.points_per_block == Some(1),
            |request: &Request| request.points_per_block.is_none() && request.settings.deterministic,
        ] {
            assert!(count(holds) > 0);
        }
    }
}
