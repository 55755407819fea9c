//! Engines: latent points or images in, statistics of the draws out. The same seed and settings give the same draws on
//! every engine, with any number of threads and any tiling.

pub mod cpu;
pub mod reference;

use crate::error::{Error, Result};
use crate::nets::{Ensemble, Network};
use crate::uncertainty::StatisticsGrid;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// What an engine works with: the ensemble that is asked, and the decoder of the latent space, if there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Models {
    /// z → image.
    pub decoder: Option<Network>,
    /// The classifiers.
    pub ensemble: Ensemble,
}

impl Models {
    /// Puts a decoder and an ensemble together.
    ///
    /// # Errors
    /// When the decoder does not make the images that the ensemble takes.
    pub fn new(decoder: Option<Network>, ensemble: Ensemble) -> Result<Self> {
        if let Some(decoder) = &decoder
            && decoder.output_shape() != ensemble.image_shape()
        {
            return Err(Error::Network(format!(
                "the decoder makes images of {:?}, but the classifiers take {:?}: choose models of the same data",
                decoder.output_shape(),
                ensemble.image_shape()
            )));
        }
        Ok(Self { decoder, ensemble })
    }
}

/// How dropout masks are shared between points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Masks {
    /// One draw is one function f^ω of the whole plane: a smooth map.
    #[default]
    Shared,
    /// Every point draws its own masks, as the paper's code did.
    PerPoint,
}

/// Which passes through the networks are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Draws {
    /// One pass with dropout off.
    Deterministic,
    /// The draws of these numbers.
    Sampled(Range<u32>),
}

/// What goes into the networks.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Latent points, \[N, latent size\] row-major, to be decoded first.
    Latent(&'a [f64]),
    /// Images in 0..=1, \[N, C, H, W\] row-major.
    Images(&'a [f32]),
}

/// One block of work: small enough that a person need not wait for it, large enough to be worth the call.
#[derive(Clone, Debug)]
pub struct Block<'a> {
    /// The points.
    pub input: Input<'a>,
    /// The number of each point in the whole work, for [`Masks::PerPoint`]: it makes the masks independent of the tiling.
    pub point_numbers: &'a [u32],
    /// The members by their number in the ensemble.
    pub members: &'a [usize],
    /// The passes.
    pub draws: Draws,
    /// Into how many groups of consecutive draws the statistics are kept apart, 1 for none: from the spread between groups
    /// follows the standard error (see [`crate::uncertainty::mutual_information_standard_error`]).
    pub groups: usize,
    /// The seed of the dropout masks.
    pub seed: u32,
    /// How masks are shared between points.
    pub masks: Masks,
}

impl Block<'_> {
    /// The number of passes through each member.
    pub fn passes(&self) -> usize {
        match &self.draws {
            Draws::Deterministic => 1,
            Draws::Sampled(draws) => draws.len(),
        }
    }

    /// The group of the pass of that place in [`draws`](Self::draws): the groups differ by one draw at most.
    pub fn group(&self, pass: usize) -> usize {
        pass * self.groups / self.passes()
    }
}

/// Computes the statistics of draws. An engine is opened for one set of models and may keep what it has prepared of them
/// (packed weights, thinned networks) from call to call.
pub trait Engine: Send {
    /// The engine's name as it stands in `--engine`.
    fn name(&self) -> &'static str;

    /// The statistics of the block: `point_numbers.len()` points, `members.len()` · `groups` rows to a point, those of a
    /// member side by side.
    ///
    /// # Errors
    /// When the engine fails; a block that does not fit the models is the caller's defect.
    fn statistics(&mut self, block: &Block<'_>) -> Result<StatisticsGrid>;

    /// The images of latent points, \[N, C, H, W\] for z \[N, latent size\].
    ///
    /// # Errors
    /// When there is no decoder, or the engine fails.
    fn decode(&mut self, z: &[f64]) -> Result<Vec<f32>>;

    /// The class probabilities of every draw, \[points, members, draws, classes\]: for the inspector, not for maps.
    ///
    /// # Errors
    /// As [`statistics`](Self::statistics).
    fn probabilities(&mut self, block: &Block<'_>) -> Result<Vec<f64>>;
}

/// A kind of engine that can be opened.
pub struct Kind {
    /// Its name as it stands in `--engine`.
    pub name: &'static str,
    /// One line for a person.
    pub summary: &'static str,
    /// Opens it for the given models.
    pub open: fn(Arc<Models>) -> Result<Box<dyn Engine>>,
}

/// Every engine that this build has, the fastest first.
pub fn available() -> &'static [Kind] {
    &KINDS
}

static KINDS: [Kind; 2] = [
    Kind { name: "cpu", summary: "every core, vectorised, draws as thinned networks", open: cpu::open },
    Kind { name: "reference", summary: "plain f64 loops, one draw at a time: slow, and obviously right", open: reference::open },
];

/// Opens the engine of that name.
///
/// # Errors
/// When there is none of that name, or it cannot be opened.
pub fn open(name: &str, models: Arc<Models>) -> Result<Box<dyn Engine>> {
    let kind = available().iter().find(|kind| kind.name == name).ok_or_else(|| {
        let names: Vec<&str> = available().iter().map(|kind| kind.name).collect();
        Error::setting("--engine", format!("'{name}' is no engine of this build"), format!("choose one of {}", names.join(", ")))
    })?;
    (kind.open)(models)
}
