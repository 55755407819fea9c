//! Attacks: changes to images, no longer than a budget and within 0..=1, that make networks answer something else.
//!
//! Iterates are f64 whatever the precision of the networks; gradients come from [`InputGradients`]. An attack sees networks through
//! [`Victim`], which says whose answer is attacked and which draws each step sees.

mod adaptive;
mod apgd;
mod carlini_wagner;
mod iterative;
mod latent;
mod norm;
mod settings;
mod square;

pub use latent::{Found, Plane};
pub use norm::{Norm, round_towards};
pub use settings::{ApgdLoss, Settings};

use crate::autodiff::{Answer, InputGradients, Loss, Objective, Passes};
use crate::error::{Error, Result};
use crate::random::{Purpose, Stream};
use std::ops::ControlFlow;

/// The number of the first draw that an attack sees. Those who measure afterwards count from 0, so that no attack is judged by the very
/// masks that it was made for.
pub const FIRST_DRAW: u32 = 1 << 31;

/// Whose answer is attacked.
pub struct Victim<'a> {
    /// The networks.
    pub networks: &'a dyn InputGradients,
    /// The members that answer together, by number.
    pub members: Vec<usize>,
    /// The draws of each member, whose mean probability is the answer; `None`: one pass with dropout off.
    pub samples: Option<u32>,
    /// The number of the first draw, [`FIRST_DRAW`] but in tests against other programs.
    pub first_draw: u32,
}

/// A batch to attack.
pub struct Problem<'a> {
    /// The networks under attack.
    pub victim: &'a Victim<'a>,
    /// The images in 0..=1, \[N, C, H, W\].
    pub images: &'a [f64],
    /// Of each image, the label to get away from, or to get to where the attack is targeted.
    pub labels: &'a [usize],
    /// The number of the first image in the whole work: random numbers are drawn by it, so batches may be cut anywhere.
    pub first: usize,
    /// The settings, checked.
    pub settings: &'a Settings,
}

/// A step of an attack, told after it is done.
#[derive(Clone, Copy, Debug)]
pub struct Iterate<'a> {
    /// Its number, from 1.
    pub step: u32,
    /// Steps in all.
    pub steps: u32,
    /// The images as they are now, \[N, C, H, W\].
    pub images: &'a [f64],
}

/// Is told each step, and may stop the attack.
pub type Watch<'a> = &'a mut dyn FnMut(Iterate<'_>) -> ControlFlow<()>;

/// A way to attack.
pub trait Attack: Sync {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// What it does, in one line.
    fn summary(&self) -> &'static str;

    /// The norms that it knows.
    fn norms(&self) -> &'static [Norm] {
        &Norm::ALL
    }

    /// Whether it takes many steps, and so should beat one that takes a single one.
    fn iterates(&self) -> bool {
        true
    }

    /// Whether it sees gradients.
    fn sees_gradients(&self) -> bool {
        true
    }

    /// Whether it looks for the smallest change, and needs no budget.
    fn finds_the_smallest(&self) -> bool {
        false
    }

    /// Whether `as_published` means something to it.
    fn follows_the_loss(&self) -> bool {
        false
    }

    /// How many steps it will take.
    fn steps(&self, settings: &Settings) -> u32;

    /// The changed images, \[N, C, H, W\]: within the budget and 0..=1.
    ///
    /// # Errors
    /// When a network's answer is not finite, or the watcher stops.
    fn run(&self, problem: &Problem<'_>, watch: Watch<'_>) -> Result<Vec<f64>>;
}

/// Every attack, in the order of menus and tables.
pub fn all() -> &'static [&'static dyn Attack] {
    &[
        &iterative::Fgm,
        &iterative::Bim,
        &iterative::Mim,
        &iterative::Pgd,
        &apgd::Apgd,
        &carlini_wagner::CarliniWagner,
        &square::Square,
        &adaptive::Eot,
        &adaptive::Evading,
    ]
}

/// The attack of that name.
///
/// # Errors
/// When there is none; names those that there are.
pub fn named(name: &str) -> Result<&'static dyn Attack> {
    all().iter().copied().find(|attack| attack.name() == name).ok_or_else(|| {
        let names: Vec<&str> = all().iter().map(|attack| attack.name()).collect();
        Error::setting("--method", format!("'{name}' is not an attack"), format!("choose one of {}", names.join(", ")))
    })
}

impl Victim<'_> {
    /// The passes that a step (from 0) sees. Where steps take fresh draws beyond the last number of a draw, the first ones come again: never
    /// those below [`first_draw`](Self::first_draw), which measure.
    pub fn passes(&self, step: u32, fresh: bool) -> Passes {
        let draws = self.samples.map(|samples| {
            let blocks = ((u32::MAX - self.first_draw) / samples).max(1);
            let first = self.first_draw + if fresh { step % blocks * samples } else { 0 };
            first..first.saturating_add(samples)
        });
        Passes { members: self.members.clone(), draws }
    }
}

impl Problem<'_> {
    /// The number of values of one image.
    fn pixels(&self) -> usize {
        self.victim.networks.image_shape().iter().product()
    }

    /// The loss that the settings ask for.
    fn loss(&self) -> Loss {
        if self.settings.as_published { Loss::AsPublished } else { Loss::MeanProbability }
    }

    /// What the victim says to images at a step: what is to be raised, and, where `gradients` are wanted, how.
    fn ask(&self, images: &[f64], loss: Loss, step: u32, gradients: bool) -> Result<Answer> {
        let objective = Objective { loss, towards: self.settings.targeted };
        let passes = self.victim.passes(step, self.settings.fresh_masks);
        self.victim.networks.answer(images, self.labels, &passes, objective, gradients)
    }

    /// Brings changed images back into the budget and into 0..=1. The clip comes last: it never makes a change longer.
    fn confine(&self, images: &mut [f64]) {
        let pixels = self.pixels();
        for (image, original) in images.chunks_exact_mut(pixels).zip(self.images.chunks_exact(pixels)) {
            image.iter_mut().zip(original).for_each(|(value, original)| *value -= original);
            self.settings.norm.project(image, original, self.settings.epsilon);
            image.iter_mut().zip(original).for_each(|(value, original)| *value = (*value + original).clamp(0.0, 1.0));
        }
    }

    /// The images, each changed at random within the budget and 0..=1; `number` is that of the start.
    fn random_start(&self, number: u32) -> Vec<f64> {
        let (pixels, stream) = (self.pixels(), Stream::new(self.settings.seed, Purpose::Attack));
        let mut start = self.images.to_vec();
        for (place, image) in start.chunks_exact_mut(pixels).enumerate() {
            let change = self.settings.norm.random(stream, [(self.first + place) as u32, number, 0], pixels, self.settings.epsilon);
            image.iter_mut().zip(change).for_each(|(value, change)| *value = (*value + change).clamp(0.0, 1.0));
        }
        start
    }

    /// Whether a mean prediction is what the attack is after.
    fn succeeds(&self, image: usize, mean: &[f64]) -> bool {
        let best = (0..mean.len()).fold(0, |best, class| if mean[class] > mean[best] { class } else { best });
        (best == self.labels[image]) == self.settings.targeted
    }
}

/// The best of several attacks on the same images, of each by itself.
struct Best {
    images: Vec<f64>,
    /// Whether each fools the networks, and its loss.
    reached: Vec<(bool, f64)>,
}

impl Best {
    /// The images themselves, which any attack replaces.
    fn of(problem: &Problem<'_>) -> Self {
        Self { images: problem.images.to_vec(), reached: vec![(false, f64::NEG_INFINITY); problem.labels.len()] }
    }

    /// Takes those of `candidates` that are better. A success counts more than any loss.
    fn take(&mut self, problem: &Problem<'_>, candidates: &[f64], answer: &Answer) {
        let (pixels, classes) = (problem.pixels(), problem.victim.networks.classes());
        for (image, reached) in self.reached.iter_mut().enumerate() {
            let here = (problem.succeeds(image, &answer.mean[image * classes..][..classes]), answer.values[image]);
            if here > *reached {
                *reached = here;
                self.images[image * pixels..][..pixels].copy_from_slice(&candidates[image * pixels..][..pixels]);
            }
        }
    }
}

/// Tells the watcher.
///
/// # Errors
/// When it stops the attack.
fn tell(watch: Watch<'_>, step: u32, steps: u32, images: &[f64]) -> Result<()> {
    match watch(Iterate { step, steps, images }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled),
    }
}
