//! Looks at a model under way: where a VAE puts test images, what a classifier is unsure of on the plane. They are taken in the training's own
//! thread, between two steps, and together may take a small share of its time.

use crate::autodiff::train::{Epoch, Scores, Step, Trainer};
use crate::autodiff::{DecoderGradients, encode};
use crate::data::Dataset;
use crate::engine::{self, Block, Draws, Engine, Input, Masks, Models};
use crate::error::Result;
use crate::jobs::passes::next_block;
use crate::latent::View;
use crate::nets::folder::Model;
use crate::nets::{Classifier, Ensemble, Vae};
use crate::uncertainty::Measure;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most that all looks together take, as a share of the time of the training itself. Only the smallest look at an epoch's end is taken
/// even where it costs more, so that the film has no gap.
pub const LOOKS_SHARE: f64 = 0.04;

/// A VAE is looked at in the middle of an epoch after so many steps.
const STEPS_BETWEEN: u64 = 200;
/// Nothing is known of the first look's cost: it waits until so much may be spent.
const FIRST_LOOK: f64 = 0.01;
/// Looks come in sizes: the share of the view's points along each axis, and how many test images a VAE encodes.
const SHARES: [f64; SIZES] = [0.25, 0.375, 0.5, 0.75, 1.0];
const ENCODED: [usize; SIZES] = [60, 125, 250, 500, 1000];
const SIZES: usize = 5;
/// The fewest points along an axis.
const COARSEST: usize = 6;
/// Draws of a classifier at each point.
const DRAWS: u32 = 16;
/// So many test images are shown with their reconstructions.
const SHOWN: usize = 10;

/// How the model under way is looked at.
#[derive(Clone, Debug)]
pub struct Looks {
    /// The part of the plane for maps of classifiers, and its grid, which should be coarse.
    pub view: View,
    /// Whose plane it is, for classifiers; without one they are not looked at.
    pub vae: Option<Arc<Vae>>,
}

/// A picture of the model under way.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// The model's name.
    pub model: String,
    /// From 1.
    pub epoch: usize,
    /// Of the whole training, from 1.
    pub step: u64,
    /// The mean loss of the step, or, at an epoch's end, of the epoch; in nats.
    pub loss: f64,
    /// At the end of an epoch.
    pub test: Option<Scores>,
    /// What is seen.
    pub look: Look,
}

/// What is seen of a model.
#[derive(Clone, Debug, PartialEq)]
pub enum Look {
    /// A VAE: where it puts the first test images, and what it makes of the first ten of them, \[N, C, H, W\] each.
    Plane { points: Vec<[f32; 2]>, labels: Vec<u16>, originals: Vec<f32>, reconstructions: Vec<f32>, shape: [usize; 3] },
    /// A classifier: measures over the part of the plane in nats, row-major as a map's.
    Map { view: View, mutual_information: Vec<f32>, predictive_entropy: Vec<f32> },
    /// It has no 2-D plane to be shown on.
    Nothing,
}

/// Where the time of a training went.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Steps, tests and files.
    pub training: Duration,
    /// Looks.
    pub looks: Duration,
}

/// Looks at one model as it is trained.
pub(super) struct Watch<'a> {
    view: View,
    vae: Option<Arc<Vae>>,
    test: &'a Dataset,
    pub cost: Cost,
    /// When the training last went on.
    resumed: Instant,
    /// How long the last look of each size took, in seconds.
    took: [Option<f64>; SIZES],
    looked_at: u64,
    /// The images of the plane's points, by the size of the look: the plane stays as it is.
    images: BTreeMap<usize, Vec<f32>>,
}

impl<'a> Watch<'a> {
    /// Looks at a model that is tested on those images, and what a person should know of it.
    pub fn new(looks: &Looks, is_vae: bool, test: &'a Dataset) -> (Self, Option<String>) {
        let fits = |vae: &Vae| vae.latent_size() == 2 && vae.image_shape() == test.image_shape;
        let vae = looks.vae.clone().filter(|vae| fits(vae));
        let note = (!is_vae && vae.is_none() && looks.vae.is_some())
            .then(|| "The VAE has no plane of such images: no map of the classifier is made while it trains.".to_owned());
        let watch = Self {
            view: looks.view,
            vae,
            test,
            cost: Cost::default(),
            resumed: Instant::now(),
            took: [None; SIZES],
            looked_at: 0,
            images: BTreeMap::new(),
        };
        (watch, note)
    }

    /// The training has come to a moment at which it may be looked at.
    pub fn arrive(&mut self) {
        self.cost.training += self.resumed.elapsed();
    }

    /// The training goes on.
    pub fn leave(&mut self) {
        self.resumed = Instant::now();
    }

    /// What may still be spent on looks, in seconds; below 0 where they took too long.
    fn budget(&self) -> f64 {
        LOOKS_SHARE * self.cost.training.as_secs_f64() - self.cost.looks.as_secs_f64()
    }

    /// The largest look that may be taken now; `None` where not even the smallest may, or nothing is known yet.
    fn affordable(&self) -> Option<usize> {
        let known = (0..SIZES).rev().find_map(|size| self.took[size].map(|seconds| (size, seconds)));
        let (known, seconds) = known?;
        // A look costs something whatever its size, so that this guesses too much for larger ones.
        let expected = |size: usize| self.took[size].unwrap_or(seconds * Self::work(size) / Self::work(known));
        (0..SIZES).rev().find(|&size| expected(size) <= self.budget())
    }

    /// How much work a look of a size is, in relation to others.
    fn work(size: usize) -> f64 {
        SHARES[size] * SHARES[size]
    }

    /// A look in the middle of an epoch, where it is time for one.
    pub fn at_step(&mut self, trainer: &Trainer, epoch: usize, step: Step) -> Option<Frame> {
        let is_vae = matches!(trainer.settings().goal, crate::autodiff::train::Goal::Vae { .. });
        if !is_vae || step.step == step.steps || trainer.steps_done() < self.looked_at + STEPS_BETWEEN {
            return None;
        }
        let unknown = self.took.iter().all(Option::is_none);
        let size = if unknown { (self.budget() >= FIRST_LOOK).then_some(0) } else { self.affordable() }?;
        // Weights that are no longer finite: the loss is about to say so.
        let look = self.look(trainer, size).ok()?;
        Some(Self::frame(trainer, epoch, step.loss, None, look))
    }

    /// The look at the end of an epoch: as large as may be, and the smallest in any case.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn at_end(&mut self, trainer: &Trainer, epoch: Epoch) -> Result<Frame> {
        let first = self.affordable().unwrap_or(0);
        let mut look = self.look(trainer, first)?;
        // The first look is a small one, since its cost is not known; then a larger one may follow.
        if first == 0
            && let Some(larger) = self.affordable().filter(|&size| size > first)
        {
            look = self.look(trainer, larger)?;
        }
        Ok(Self::frame(trainer, epoch.epoch, epoch.loss, Some(epoch.test), look))
    }

    fn frame(trainer: &Trainer, epoch: usize, loss: f64, test: Option<Scores>, look: Look) -> Frame {
        Frame { model: trainer.settings().name.clone(), epoch, step: trainer.steps_done(), loss, test, look }
    }

    fn look(&mut self, trainer: &Trainer, size: usize) -> Result<Look> {
        let start = Instant::now();
        self.looked_at = trainer.steps_done();
        let look = match trainer.model()? {
            Model::Vae(vae) => self.plane(&vae, size),
            Model::Classifier(classifier) => self.map(classifier, trainer.settings().seed, size),
        };
        let took = start.elapsed();
        self.cost.looks += took;
        self.took[size] = Some(took.as_secs_f64());
        look
    }

    fn plane(&self, vae: &Vae, size: usize) -> Result<Look> {
        if vae.latent_size() != 2 {
            return Ok(Look::Nothing);
        }
        let encoded = self.test.slice(0..self.test.len().min(ENCODED[size]));
        let means = encode(vae, &encoded)?;
        let shown = encoded.len().min(SHOWN);
        let z: Vec<f64> = means[..2 * shown].iter().map(|&z| f64::from(z)).collect();
        let reconstructions = DecoderGradients::new(&vae.decoder).decode(&z).images.into_iter().map(|pixel| pixel as f32).collect();
        Ok(Look::Plane {
            points: means.chunks_exact(2).map(|z| [z[0], z[1]]).collect(),
            originals: encoded.images_of(0..shown).into_owned(),
            labels: encoded.labels,
            reconstructions,
            shape: encoded.image_shape,
        })
    }

    fn map(&mut self, classifier: Classifier, seed: u32, size: usize) -> Result<Look> {
        let Some(vae) = &self.vae else { return Ok(Look::Nothing) };
        let axis = |points: usize| ((points as f64 * SHARES[size]).round() as usize).clamp(COARSEST.min(points), points);
        let view = View { columns: axis(self.view.columns), rows: axis(self.view.rows), ..self.view };
        let draws = if classifier.has_draws() { Draws::Sampled(0..DRAWS) } else { Draws::Deterministic };
        let models = Models::new(Some(vae.decoder.clone()), Ensemble::new(vec![classifier])?)?;
        let mut engine = engine::open("cpu", Arc::new(models))?;
        let images = match self.images.entry(size) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(engine.decode(view.points().as_flattened())?),
        };
        let [mutual_information, predictive_entropy] = measures(engine.as_mut(), images, view.len(), &draws, seed)?;
        Ok(Look::Map { view, mutual_information, predictive_entropy })
    }
}

/// Mutual information and predictive entropy of the only member at each of some images.
fn measures(engine: &mut dyn Engine, images: &[f32], count: usize, draws: &Draws, seed: u32) -> Result<[Vec<f32>; 2]> {
    let pixels = images.len() / count;
    let mut measures = [Vec::with_capacity(count), Vec::with_capacity(count)];
    let mut done = 0;
    while done < count {
        let tile = next_block(engine, done, count);
        let numbers: Vec<u32> = tile.clone().map(|point| point as u32).collect();
        let input = Input::Images(&images[tile.start * pixels..tile.end * pixels]);
        let block = Block { input, point_numbers: &numbers, members: &[0], draws: draws.clone(), groups: 1, seed, masks: Masks::Shared };
        let statistics = engine.statistics(&block)?;
        for point in 0..numbers.len() {
            let cell = statistics.whole_cell(point);
            measures[0].push(Measure::MutualInformation.evaluate(&cell) as f32);
            measures[1].push(Measure::PredictiveEntropy.evaluate(&cell) as f32);
        }
        done = tile.end;
    }
    Ok(measures)
}
