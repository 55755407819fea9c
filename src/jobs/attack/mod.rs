//! Attacks on images, and what the networks say before and after.

mod checks;
mod summary;

pub use checks::self_checks;

use super::passes::{Answers, Asked, ComputedBy, next_block};
use super::{Classifiers, Progress};
use crate::analysis::detection::Estimate;
use crate::analysis::proportions::proportion;
use crate::attack::{self, FIRST_DRAW, Iterate, Norm, Problem, Settings, Victim, round_towards};
use crate::autodiff::{InputGradients, Precision, Randomness, input_gradients};
use crate::engine::{Engine, Input, Masks};
use crate::error::{Error, Result};
use crate::uncertainty::{CellStatistics, Measure, Passes};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::ops::{ControlFlow, Range};

/// Images per batch. Where an attack on many is cut into parts, they are these.
pub(super) const BATCH: usize = 100;
/// The most draws: beyond it only time is spent.
const MOST_SAMPLES: u32 = 100_000;

/// Whose answer is attacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum On {
    /// One network, dropout off.
    Deterministic,
    /// The mean of the draws of one network.
    Mc,
    /// The mean of the draws of all networks.
    Ensemble,
}

impl On {
    /// Every one, in the order of the paper's table.
    pub const ALL: [Self; 3] = [Self::Deterministic, Self::Mc, Self::Ensemble];

    /// Its name on the command line and in files.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Deterministic => "deterministic",
            Self::Mc => "mc",
            Self::Ensemble => "ensemble",
        }
    }

    /// That of a [`key`](Self::key).
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|on| on.key() == key)
    }

    /// Its name for a person.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Deterministic => "Deterministic",
            Self::Mc => "MC dropout",
            Self::Ensemble => "Ensemble",
        }
    }

    /// The members that it means where nobody names any.
    pub fn members(self, classifiers: &Classifiers) -> Vec<usize> {
        match self {
            Self::Deterministic | Self::Mc => vec![0],
            Self::Ensemble => (0..classifiers.ensemble().members().len()).collect(),
        }
    }
}

/// Everything that fixes an attack, given the classifiers and the images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttackSettings {
    /// The method and its numbers; its seed is that of the masks too.
    pub attack: Settings,
    /// Whose answer is attacked.
    pub on: On,
    /// The members that answer together, by number.
    pub members: Vec<usize>,
    /// Draws of each member, T, that measure before and after; as many others are attacked, unless `attack` has a number of its own.
    pub samples: u32,
}

impl AttackSettings {
    /// Checks them.
    ///
    /// # Errors
    /// Names the option that makes no sense.
    pub fn check(&self, classifiers: &Classifiers) -> Result<()> {
        self.attack.check()?;
        classifiers.members(Some(&self.members))?;
        for (option, draws) in [("--samples", Some(self.samples)), ("--attack-samples", self.attack.attack_samples)] {
            if let Some(draws) = draws.filter(|draws| !(1..=MOST_SAMPLES).contains(draws)) {
                let problem = format!("{draws} draws are out of range");
                return Err(Error::setting(option, problem, format!("give a number from 1 to {MOST_SAMPLES}")));
            }
        }
        if self.attack.method == "mi-evading" && self.on == On::Deterministic {
            return Err(Error::setting("--on", "a single pass holds no mutual information to evade", "choose mc or ensemble"));
        }
        Ok(())
    }

    /// Draws of each member whose mean is attacked; `None`: one pass with dropout off.
    pub(super) fn attack_draws(&self) -> Option<u32> {
        (self.on != On::Deterministic).then(|| self.attack.attack_samples.unwrap_or(self.samples))
    }

    pub(super) fn asked(&self) -> Asked<'_> {
        Asked { samples: self.samples, members: &self.members, seed: self.attack.seed, masks: Masks::Shared }
    }
}

/// Which classes an attack is about.
#[derive(Clone, Copy, Debug)]
pub enum Labels<'a> {
    /// What the models answer before the attack.
    Predicted,
    /// The true classes; the targets where the attack is targeted.
    Given(&'a [usize]),
}

/// What the networks say to images.
#[derive(Clone, Debug)]
pub(super) struct Said {
    answers: Answers,
    members: usize,
    on: On,
}

impl Said {
    /// Asks about images \[N, C, H, W\]; `told` learns how many are done, and may stop.
    pub(super) fn of(
        classifiers: &Classifiers,
        engine: &mut dyn Engine,
        (asked, on): (Asked<'_>, On),
        images: &[f32],
        told: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<Self> {
        let (pixels, classes) = (pixels(classifiers), classifiers.ensemble().classes().len());
        let count = images.len() / pixels;
        let mut answers = Answers::new("--images", 1, [count, asked.members.len(), classes])?;
        let mut done = 0;
        while done < count {
            let Range { start, end } = next_block(engine, done, count);
            answers.compute(engine, asked, Input::Images(&images[start * pixels..end * pixels]), end - start, [start, start])?;
            told(end)?;
            done = end;
        }
        Ok(Self { answers, members: asked.members.len(), on })
    }

    fn cell(&self, image: usize, passes: Passes) -> CellStatistics {
        match passes {
            Passes::Sampled => self.answers.sampled.whole_cell(image),
            Passes::Deterministic => self.answers.deterministic.whole_cell(image),
        }
    }

    /// Who answered.
    pub(super) fn by(&self) -> &ComputedBy {
        &self.answers.by
    }

    /// The mean prediction of whoever is attacked.
    pub(super) fn mean(&self, image: usize) -> Vec<f64> {
        self.cell(image, if self.on == On::Deterministic { Passes::Deterministic } else { Passes::Sampled }).mean()
    }

    /// The class of the [`mean`](Self::mean).
    pub(super) fn prediction(&self, image: usize) -> usize {
        let mean = self.mean(image);
        (0..mean.len()).fold(0, |best, class| if mean[class] > mean[best] { class } else { best })
    }

    /// A measure of every image over all members.
    pub(super) fn measure(&self, measure: Measure) -> Vec<f64> {
        let places: Vec<usize> = (0..self.members).collect();
        self.answers.measure(measure, self.answers.sampled.points(), &places).into_iter().map(f64::from).collect()
    }
}

/// An attack that is done.
#[derive(Clone, Debug)]
pub struct Attacked {
    /// What was asked for.
    pub settings: AttackSettings,
    /// The classes that it was about, or the targets.
    pub labels: Vec<usize>,
    /// The changed images, \[N, C, H, W\].
    pub images: Vec<f32>,
    /// The length of each image's change in each of [`Norm::ALL`].
    pub norms: Vec<[f64; 3]>,
    pub(super) before: Said,
    pub(super) after: Said,
}

impl Attacked {
    /// Who measured.
    pub fn by(&self) -> ComputedBy {
        let mut by = self.before.by().clone();
        by.merge(self.after.by());
        by
    }

    /// The predictions before and after, of image after image.
    pub fn predictions(&self) -> impl Iterator<Item = [usize; 2]> + '_ {
        (0..self.labels.len()).map(|image| [self.before.prediction(image), self.after.prediction(image)])
    }

    /// The mean predictions before and after of an image.
    pub fn means(&self, image: usize) -> [Vec<f64>; 2] {
        [self.before.mean(image), self.after.mean(image)]
    }

    /// A measure of every image, before and after.
    pub fn measure(&self, measure: Measure) -> [Vec<f64>; 2] {
        [self.before.measure(measure), self.after.measure(measure)]
    }

    /// For each image whether the attack could and did succeed; see [`succeeded`].
    pub fn successes(&self) -> Vec<Option<bool>> {
        let targeted = self.settings.attack.targeted;
        self.predictions().zip(&self.labels).map(|([before, after], &label)| succeeded(before, after, label, targeted)).collect()
    }
}

/// Whether an attack succeeded: what was right is wrong, or what was another class is the target. `None` where the image was wrong (or
/// of the target's class) already, and nothing was left to do.
pub fn succeeded(before: usize, after: usize, label: usize, targeted: bool) -> Option<bool> {
    ((before == label) != targeted).then_some((after == label) == targeted)
}

/// The share of the images that an attack could succeed on where it did; `None` where there was none.
pub fn success_rate(successes: &[Option<bool>]) -> Option<f64> {
    success_proportion(successes).map(|success| success.value)
}

/// The same with its 95 % interval.
pub fn success_proportion(successes: &[Option<bool>]) -> Option<Estimate> {
    let eligible = successes.iter().flatten();
    proportion(eligible.clone().filter(|success| **success).count(), eligible.count())
}

/// The success of an attack as JSON: rate, 95 % interval, and counts.
pub(in crate::jobs) fn success_json(successes: &[Option<bool>]) -> Value {
    let success = success_proportion(successes);
    json!({
        "rate": success.map(|success| success.value),
        "interval": success.and_then(Estimate::interval),
        "successful": successes.iter().flatten().filter(|success| **success).count(),
        "eligible": successes.iter().flatten().count(),
    })
}

/// A rate in percent with one digit; "–" where there is none.
pub fn percent_or_dash(rate: Option<f64>) -> String {
    rate.map_or_else(|| "–".to_owned(), |rate| format!("{:.1} %", 100.0 * rate))
}

/// Is told how far an attack is, in images times steps, and the images of the current batch after each step; may stop it.
pub type AttackObserver<'a> = &'a mut dyn FnMut(Progress, Option<Iterate<'_>>) -> ControlFlow<()>;

/// The networks of classifiers as attacks ask them.
pub(super) fn gradients(classifiers: &Classifiers, seed: u32) -> Box<dyn InputGradients> {
    input_gradients(classifiers.ensemble(), Precision::Single, Randomness::of_seed(seed))
}

/// Attacks a batch whose first image has this number in the whole work.
pub(super) fn attack_batch(
    networks: &dyn InputGradients,
    settings: &AttackSettings,
    images: &[f32],
    labels: &[usize],
    first: usize,
    watch: &mut dyn FnMut(Iterate<'_>) -> ControlFlow<()>,
) -> Result<Vec<f32>> {
    let victim = Victim { networks, members: settings.members.clone(), samples: settings.attack_draws(), first_draw: FIRST_DRAW };
    let original: Vec<f64> = images.iter().copied().map(f64::from).collect();
    let problem = Problem { victim: &victim, images: &original, labels, first, settings: &settings.attack };
    Ok(round_towards(&attack::named(&settings.attack.method)?.run(&problem, watch)?, &original))
}

/// Attacks images \[N, C, H, W\] in 0..=1, and measures before and after with draws that no attack sees.
///
/// # Errors
/// When the settings make no sense, the images are not what the classifiers take, a label is no class, the engine fails, or the observer
/// stops.
pub fn attack(
    classifiers: &Classifiers,
    engine: &mut dyn Engine,
    (images, shape): (&[f32], [usize; 3]),
    labels: Labels<'_>,
    settings: &AttackSettings,
    observe: AttackObserver<'_>,
) -> Result<Attacked> {
    settings.check(classifiers)?;
    let pixels = pixels(classifiers);
    check_shape(classifiers, shape)?;
    let count = images.len() / pixels;
    if let Labels::Given(labels) = labels {
        check_labels(classifiers, labels, count, settings.attack.targeted)?;
    } else if settings.attack.targeted {
        return Err(Error::setting("--targets", "a targeted attack needs its targets", "give a class for each image"));
    }
    let steps = attack::named(&settings.attack.method)?.steps(&settings.attack) as usize;
    let total = (count * (steps + 2)) as u64;
    let mut tell = |done: usize, iterate: Option<Iterate<'_>>| observe(Progress { done: done as u64, total }, iterate);
    let told = |flow: ControlFlow<()>| if flow.is_break() { Err(Error::Cancelled) } else { Ok(()) };
    told(tell(0, None))?;
    let before = Said::of(classifiers, engine, (settings.asked(), settings.on), images, &mut |done| told(tell(done, None)))?;
    let labels: Vec<usize> = match labels {
        Labels::Predicted => (0..count).map(|image| before.prediction(image)).collect(),
        Labels::Given(labels) => labels.to_vec(),
    };
    let networks = gradients(classifiers, settings.attack.seed);
    let mut changed = Vec::with_capacity(images.len());
    for first in (0..count).step_by(BATCH) {
        let end = count.min(first + BATCH);
        let watch = &mut |iterate: Iterate<'_>| tell(count + first * steps + (end - first) * iterate.step as usize, Some(iterate));
        let batch = &images[first * pixels..end * pixels];
        changed.extend(attack_batch(networks.as_ref(), settings, batch, &labels[first..end], first, watch)?);
    }
    let after =
        Said::of(classifiers, engine, (settings.asked(), settings.on), &changed, &mut |done| told(tell(count * (steps + 1) + done, None)))?;
    Ok(Attacked { settings: settings.clone(), labels, norms: lengths(&changed, images, pixels), images: changed, before, after })
}

/// The length of each image's change in each of [`Norm::ALL`].
pub(super) fn lengths(changed: &[f32], original: &[f32], pixels: usize) -> Vec<[f64; 3]> {
    let pairs = changed.chunks_exact(pixels).zip(original.chunks_exact(pixels));
    pairs.map(|(a, b)| Norm::ALL.map(|norm| norm.length(a.iter().zip(b).map(|(&a, &b)| f64::from(a) - f64::from(b))))).collect()
}

pub(super) fn pixels(classifiers: &Classifiers) -> usize {
    classifiers.ensemble().image_shape().iter().product()
}

/// Checks that the classifiers take images of this shape.
pub(super) fn check_shape(classifiers: &Classifiers, shape: [usize; 3]) -> Result<()> {
    let wanted = classifiers.ensemble().image_shape();
    if shape == wanted {
        return Ok(());
    }
    let problem = format!("they are of {shape:?}, but the classifiers take {wanted:?}");
    Err(Error::setting("the images", problem, "choose the data that the models were trained on"))
}

fn check_labels(classifiers: &Classifiers, labels: &[usize], count: usize, targeted: bool) -> Result<()> {
    let (name, classes) = (if targeted { "--targets" } else { "--labels" }, classifiers.ensemble().classes().len());
    if labels.len() != count {
        return Err(Error::setting(name, format!("there are {} for {count} images", labels.len()), "give one for each image"));
    }
    match labels.iter().position(|&label| label >= classes) {
        None => Ok(()),
        Some(at) => {
            let problem = format!("label {at} is {}, but the classes are numbered 0 to {}", labels[at], classes - 1);
            Err(Error::setting(name, problem, "give classes of the models"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_of_nothing_is_none_and_a_dash() {
        assert_eq!(success_rate(&[None, None]), None);
        assert_eq!(success_rate(&[]), None);
        assert_eq!(success_rate(&[None, Some(true), Some(false)]), Some(0.5));
        assert_eq!(success_proportion(&[None]), None);
        // Of 1 of 2, not 1 of 3.
        assert!((success_proportion(&[None, Some(true), Some(false)]).unwrap().low - 0.094_531_2).abs() <= 1e-6);
        assert_eq!((percent_or_dash(None), percent_or_dash(Some(0.5))), ("–".to_owned(), "50.0 %".to_owned()));
        assert_eq!(serde_json::json!({ "rate": success_rate(&[None]) })["rate"], serde_json::Value::Null);
    }
}
