//! Whether uncertainty notices: attacked images against clean and noisy ones, and unfamiliar ones against those of the training.

mod cache;
mod cells;
mod noise;
mod npz;
mod report;
mod score_file;
mod scores;

pub use cache::cache_folder;
pub use score_file::{ScoreFile, ScoredLine, scored_csv, scored_text};

use super::attack::{BATCH, Said, attack_batch, check_shape, gradients, lengths, pixels};
use super::passes::Asked;
use super::{AttackSettings, Attacked, Classifiers, On, Progress};
use crate::analysis::detection::{Clusters, Estimate, Quality};
use crate::attack::{Iterate, named};
use crate::data::Dataset;
use crate::engine::{Engine, Masks};
use crate::error::{Error, Result};
use crate::nets::{Layer, Network};
use crate::uncertainty::Measure;
use cache::Cache;
use cells::{Cells, cells};
use noise::{noisy, noisy_image};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

/// Everything that fixes a detection, given the classifiers and the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DetectSettings {
    /// The attacks, each a row of the table.
    pub attacks: Vec<AttackSettings>,
    /// The resamples behind each interval.
    pub resamples: u32,
    /// Where attacked images are kept, and looked for; `None`: nowhere.
    #[serde(skip)]
    pub cache: Option<PathBuf>,
}

/// Which of the attacked images are to be detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Positives {
    /// All of them.
    All,
    /// Those on which the attack succeeded.
    Successful,
}

impl Positives {
    /// Both.
    pub const ALL: [Self; 2] = [Self::All, Self::Successful];

    /// Its name in files.
    pub const fn key(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Successful => "successful",
        }
    }
}

/// What the attacked images are to be told from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Negatives {
    /// Clean and noisy images together.
    Both,
    /// The images before the attack.
    Clean,
    /// The images with Gaussian noise of the same L2 length as their attack.
    Noisy,
}

impl Negatives {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Both, Self::Clean, Self::Noisy];

    /// Its name in files.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Clean => "clean",
            Self::Noisy => "noisy",
        }
    }
}

/// How well a measure tells some positives from some negatives.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scored {
    /// What is to be detected.
    pub positives: Positives,
    /// What it is to be told from.
    pub negatives: Negatives,
    /// The measure.
    pub measure: Measure,
    /// How well; `None` where there are no positives, as no attack succeeded, or the models have no draws that the measure could compare.
    pub quality: Option<Quality>,
}

/// The AUROC of predictive entropy less that of mutual information, with the interval of the paired difference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EntropyGain {
    /// What is to be detected.
    pub positives: Positives,
    /// What it is to be told from.
    pub negatives: Negatives,
    /// The difference; `None` where one of the two has no AUROC.
    pub difference: Option<Estimate>,
}

/// A row of the table.
#[derive(Clone, Debug)]
pub struct Detected {
    /// The attack, with what was said before and after.
    pub attacked: Attacked,
    /// Every measure against every choice of positives and negatives.
    pub scored: Vec<Scored>,
    /// Entropy against mutual information, for every choice of positives and negatives.
    pub gains: Vec<EntropyGain>,
    /// The images before the attack, \[N, C, H, W\], shared by all rows.
    pub clean: Arc<[f32]>,
    noisy: Said,
}

/// What an image of a detection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As it is in the data.
    Clean,
    /// With noise.
    Noisy,
    /// Attacked.
    Attacked,
}

/// Unfamiliar images against those that the models were trained for.
#[derive(Clone, Debug)]
pub struct Unfamiliar {
    /// Who was asked.
    pub on: On,
    /// The members that were asked, by number.
    pub members: Vec<usize>,
    /// The name of the unfamiliar data.
    pub dataset: String,
    /// Every measure: positives are the unfamiliar images, negatives the familiar ones. `None` where the models have no draws that the
    /// measure could compare.
    pub scored: Vec<(Measure, Option<Quality>)>,
    /// The AUROC of predictive entropy less that of mutual information, with the interval of the paired difference.
    pub difference: Option<Estimate>,
    /// What the unfamiliar images are taken for.
    pub predictions: Vec<usize>,
    /// The scores of familiar and unfamiliar images, in their order, for each of [`Measure::ALL`]: the higher, the more uncertain.
    pub scores: Vec<[Vec<f64>; 2]>,
}

/// A table of detection.
#[derive(Clone, Debug)]
pub struct Detection {
    /// What was asked for.
    pub settings: DetectSettings,
    /// The name of the data.
    pub dataset: String,
    /// The number of images.
    pub images: usize,
    /// A row for each attack.
    pub rows: Vec<Detected>,
    /// What was found of other data, where any were looked at.
    pub unfamiliar: Vec<Unfamiliar>,
}

/// Scores of a measure by which an uncertain image has the higher one.
fn scores(said: &Said, measure: Measure) -> Vec<f64> {
    let sign = if measure.rises_with_uncertainty() { 1.0 } else { -1.0 };
    said.measure(measure).into_iter().map(|value| sign * value).collect()
}

impl Detected {
    /// The scores of a measure of negatives and positives, for curves and histograms: the higher, the more uncertain.
    pub fn scores(&self, measure: Measure, positives: Positives, negatives: Negatives) -> [Vec<f64>; 2] {
        let [clean, noisy, attacked] = [&self.attacked.before, &self.noisy, &self.attacked.after].map(|said| scores(said, measure));
        let of_negatives = match negatives {
            Negatives::Both => [clean, noisy].concat(),
            Negatives::Clean => clean,
            Negatives::Noisy => noisy,
        };
        let of_positives = match positives {
            Positives::All => attacked,
            Positives::Successful => {
                let successes = self.attacked.successes();
                attacked.into_iter().zip(successes).filter(|(_, success)| *success == Some(true)).map(|(score, _)| score).collect()
            }
        };
        [of_negatives, of_positives]
    }

    /// The images that [`scores`](Self::scores) are of, in the same order: what they are, and their numbers in the data.
    pub fn images(&self, positives: Positives, negatives: Negatives) -> [Vec<(Kind, usize)>; 2] {
        let count = self.attacked.norms.len();
        let all = |kind: Kind| (0..count).map(move |number| (kind, number));
        let of_negatives = match negatives {
            Negatives::Both => all(Kind::Clean).chain(all(Kind::Noisy)).collect(),
            Negatives::Clean => all(Kind::Clean).collect(),
            Negatives::Noisy => all(Kind::Noisy).collect(),
        };
        let successes = self.attacked.successes();
        let wanted = |number: usize| positives == Positives::All || successes[number] == Some(true);
        [of_negatives, all(Kind::Attacked).filter(|(_, number)| wanted(*number)).collect()]
    }

    /// An image of the detection, \[C, H, W\]; `None` where there is none of that number.
    pub fn image(&self, kind: Kind, number: usize) -> Option<Cow<'_, [f32]>> {
        let (norms, length) = (self.attacked.norms.get(number)?, self.clean.len() / self.attacked.norms.len());
        let of = |images| <[f32]>::get(images, number * length..(number + 1) * length);
        Some(match kind {
            Kind::Clean => of(&self.clean)?.into(),
            Kind::Attacked => of(&self.attacked.images)?.into(),
            Kind::Noisy => noisy_image(of(&self.clean)?, number, norms, self.attacked.settings.attack.seed).into(),
        })
    }

    /// How well a measure tells those apart.
    pub fn quality(&self, measure: Measure, positives: Positives, negatives: Negatives) -> Option<Quality> {
        let of = |scored: &&Scored| (scored.measure, scored.positives, scored.negatives) == (measure, positives, negatives);
        self.scored.iter().find(of).and_then(|scored| scored.quality)
    }

    /// The difference between entropy and mutual information.
    pub fn difference(&self, positives: Positives, negatives: Negatives) -> Option<Estimate> {
        let of = |gain: &&EntropyGain| (gain.positives, gain.negatives) == (positives, negatives);
        self.gains.iter().find(of).and_then(|gain| gain.difference)
    }

    fn score(&mut self, classifiers: &Classifiers, resamples: u32) -> Result<()> {
        let AttackSettings { members, samples, attack, .. } = self.attacked.settings.clone();
        let undefined = |measure| classifiers.ensemble().undefined(measure, &members, samples).is_some();
        for positives in Positives::ALL {
            for negatives in Negatives::ALL {
                let numbers = |side: Vec<(Kind, usize)>| side.into_iter().map(|(_, number)| number as u32).collect();
                let [of_negatives, of_positives] = self.images(positives, negatives).map(numbers);
                let clusters = Clusters::paired(of_negatives, of_positives, self.attacked.norms.len());
                let scores = |measure| self.scores(measure, positives, negatives);
                let Cells { qualities, difference } = cells(scores, undefined, &clusters, (resamples, attack.seed))?;
                let scored = |(measure, quality)| Scored { positives, negatives, measure, quality };
                self.scored.extend(qualities.into_iter().map(scored));
                self.gains.push(EntropyGain { positives, negatives, difference });
            }
        }
        Ok(())
    }
}

/// Is told how far a detection is, in millions of multiplications; may stop it.
pub type DetectObserver<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// Multiplications for one image: before the first dropout, and after it.
fn work(network: &Network) -> [f64; 2] {
    let mut work = [0.0; 2];
    for (index, layer) in network.layers().iter().enumerate() {
        let outputs = network.shape_at(index + 1).iter().product::<usize>() as f64;
        let of_layer = match layer {
            Layer::Linear { inputs, .. } => outputs * *inputs as f64,
            Layer::Conv2d { in_channels, kernel, .. } => outputs * (in_channels * kernel[0] * kernel[1]) as f64,
            _ => outputs,
        };
        work[usize::from(index >= network.trunk_length())] += of_layer;
    }
    work
}

/// Millions of multiplications for one image: of one step of an attack, and of measuring.
fn costs(classifiers: &Classifiers, settings: &AttackSettings) -> [f64; 2] {
    let of = |member: &usize| {
        let [trunk, head] = work(&classifiers.ensemble().members()[*member].network);
        let passes = if settings.on == On::Deterministic { 1.0 } else { f64::from(settings.samples) };
        [2.0 * (trunk + passes * head) / 1e6, (trunk + f64::from(settings.samples) * head) / 1e6]
    };
    settings.members.iter().map(of).fold([0.0; 2], |[a, b], [c, d]| [a + c, b + d])
}

/// Counts work.
struct Meter<'a> {
    done: f64,
    total: f64,
    observe: DetectObserver<'a>,
}

impl Meter<'_> {
    fn at(&mut self, done: f64) -> ControlFlow<()> {
        (self.observe)(Progress { done: done.min(self.total) as u64, total: self.total as u64 })
    }

    fn tell(&mut self, done: f64) -> Result<()> {
        if self.at(done).is_break() { Err(Error::Cancelled) } else { Ok(()) }
    }

    fn add(&mut self, work: f64) -> Result<()> {
        self.done += work;
        self.tell(self.done)
    }
}

/// Attacks every image of the data by every attack, and says how well each measure tells the attacked images from clean and noisy ones.
/// Attacked images are kept in parts as they are made: a run that was stopped goes on where it was, and makes the same images as one that
/// was not.
///
/// # Errors
/// When the settings make no sense, the data are not the classifiers', the engine fails, a file cannot be written, or the observer stops.
pub fn detect(
    classifiers: &Classifiers,
    engine: &mut dyn Engine,
    data: &Dataset,
    settings: &DetectSettings,
    observe: DetectObserver<'_>,
) -> Result<Detection> {
    check(classifiers, data, settings)?;
    let count = data.len() as f64;
    let work_of = |attack: &AttackSettings| -> Result<f64> {
        let ([step, measure], steps) = (costs(classifiers, attack), f64::from(named(&attack.attack.method)?.steps(&attack.attack)));
        Ok(count * (step * steps + 2.0 * measure))
    };
    let mut total = 0.0;
    for attack in &settings.attacks {
        total += work_of(attack)?;
    }
    let kinds = |at: usize| settings.attacks[..at].iter().position(|other| same_eyes(other, &settings.attacks[at]));
    total += (0..settings.attacks.len())
        .filter(|&at| kinds(at).is_none())
        .map(|at| count * costs(classifiers, &settings.attacks[at])[1])
        .sum::<f64>();
    let mut meter = Meter { done: 0.0, total, observe };
    meter.tell(0.0)?;
    let cache = settings.cache.as_ref().map(|folder| Cache::new(folder)).transpose()?;
    let labels: Vec<usize> = data.labels.iter().map(|&label| usize::from(label)).collect();
    let clean: Arc<[f32]> = data.images.as_slice().into();
    let mut rows: Vec<Detected> = Vec::with_capacity(settings.attacks.len());
    for (at, attack) in settings.attacks.iter().enumerate() {
        // What is said to clean images is the same for all attacks of the same eyes.
        let before = if let Some(other) = kinds(at) {
            rows[other].attacked.before.clone()
        } else {
            measure(classifiers, engine, attack, &data.images, &mut meter)?
        };
        let images = attacked_images(classifiers, data, &labels, attack, cache.as_ref(), &mut meter)?;
        let after = measure(classifiers, engine, attack, &images, &mut meter)?;
        let norms = lengths(&images, &data.images, data.pixels());
        let noisy = measure(classifiers, engine, attack, &noisy(data, &norms, attack.attack.seed), &mut meter)?;
        let attacked = Attacked { settings: attack.clone(), labels: labels.clone(), images, norms, before, after };
        let mut row = Detected { attacked, scored: Vec::new(), gains: Vec::new(), clean: Arc::clone(&clean), noisy };
        row.score(classifiers, settings.resamples)?;
        rows.push(row);
    }
    Ok(Detection { settings: settings.clone(), dataset: data.name.clone(), images: data.len(), rows, unfamiliar: Vec::new() })
}

/// Whether two attacks are measured by the same draws of the same members.
fn same_eyes(a: &AttackSettings, b: &AttackSettings) -> bool {
    (a.on, &a.members, a.samples, a.attack.seed) == (b.on, &b.members, b.samples, b.attack.seed)
}

fn check(classifiers: &Classifiers, data: &Dataset, settings: &DetectSettings) -> Result<()> {
    check_shape(classifiers, data.image_shape)?;
    let classes = classifiers.ensemble().classes().len();
    if let Some(label) = data.labels.iter().find(|label| usize::from(**label) >= classes) {
        let problem = format!("{} has the label {label}, but the classifiers know {classes} classes", data.name);
        return Err(Error::setting("--dataset", problem, "choose the data that the models were trained on"));
    }
    for attack in &settings.attacks {
        attack.check(classifiers)?;
        if attack.attack.targeted {
            return Err(Error::setting("--targets", "a detection is of untargeted attacks", "leave the targets out"));
        }
    }
    Ok(())
}

fn measure(
    classifiers: &Classifiers,
    engine: &mut dyn Engine,
    settings: &AttackSettings,
    images: &[f32],
    meter: &mut Meter<'_>,
) -> Result<Said> {
    let cost = costs(classifiers, settings)[1];
    let start = meter.done;
    let said = Said::of(classifiers, engine, (settings.asked(), settings.on), images, &mut |done| meter.tell(start + cost * done as f64))?;
    meter.add(cost * (images.len() / pixels(classifiers)) as f64)?;
    Ok(said)
}

/// The attacked images of a data set, from the cache as far as they are there.
fn attacked_images(
    classifiers: &Classifiers,
    data: &Dataset,
    labels: &[usize],
    settings: &AttackSettings,
    cache: Option<&Cache>,
    meter: &mut Meter<'_>,
) -> Result<Vec<f32>> {
    let steps = f64::from(named(&settings.attack.method)?.steps(&settings.attack));
    let (cost, pixels) = (costs(classifiers, settings)[0], data.pixels());
    let mut networks = None;
    let mut all = Vec::with_capacity(data.images.len());
    for first in (0..data.len()).step_by(BATCH) {
        let end = data.len().min(first + BATCH);
        let (images, labels) = (&data.images[first * pixels..end * pixels], &labels[first..end]);
        let size = (end - first) as f64;
        let key = cache.map(|_| cache::key(classifiers, settings, (images, labels), first));
        let kept = cache.zip(key.as_ref()).and_then(|(cache, key)| cache.load(key, data.image_shape, end - first));
        if let Some(kept) = kept {
            all.extend(kept);
        } else {
            // Prepared only where something is left to do.
            let networks = networks.get_or_insert_with(|| gradients(classifiers, settings.attack.seed));
            let start = meter.done;
            let watch = &mut |iterate: Iterate<'_>| meter.at(start + cost * size * f64::from(iterate.step));
            let changed = attack_batch(networks.as_ref(), settings, images, labels, first, watch)?;
            if let Some((cache, key)) = cache.zip(key.as_ref()) {
                cache.store(key, data.image_shape, &changed)?;
            }
            all.extend(changed);
        }
        meter.add(cost * size * steps)?;
    }
    Ok(all)
}

/// How well each measure tells images of another data set from familiar ones: as many of each as there are.
///
/// # Errors
/// When the images are not what the classifiers take, the engine fails, or the observer stops.
pub fn unfamiliar(
    classifiers: &Classifiers,
    engine: &mut dyn Engine,
    [familiar, other]: [&Dataset; 2],
    on: &[(On, Vec<usize>)],
    (samples, seed, resamples): (u32, u32, u32),
    observe: DetectObserver<'_>,
) -> Result<Vec<Unfamiliar>> {
    for data in [familiar, other] {
        check_shape(classifiers, data.image_shape)?;
    }
    let all = familiar.len() + other.len();
    let total = on.iter().map(|(_, members)| (members.len() * all) as f64).sum();
    let mut meter = Meter { done: 0.0, total, observe };
    let mut found = Vec::new();
    for (on, members) in on {
        classifiers.members(Some(members))?;
        let asked = Asked { samples, members, seed, masks: Masks::Shared };
        let weight = members.len() as f64;
        let mut ask = |data: &Dataset| -> Result<Said> {
            let start = meter.done;
            let told = &mut |done: usize| meter.tell(start + weight * done as f64);
            let said = Said::of(classifiers, engine, (asked, *on), &data.images, told)?;
            meter.add(weight * data.len() as f64)?;
            Ok(said)
        };
        let (familiar, unfamiliar) = (ask(familiar)?, ask(other)?);
        let all = Measure::ALL.map(|measure| (measure, [&familiar, &unfamiliar].map(|said| scores(said, measure))));
        let of = |wanted| all.iter().find(|(measure, _)| *measure == wanted).map(|(_, scores)| scores.clone()).unwrap_or_default();
        let undefined = |measure| classifiers.ensemble().undefined(measure, members, samples).is_some();
        // Other data are other images: each kind is resampled on its own.
        let clusters = Clusters::independent(all[0].1[0].len(), all[0].1[1].len());
        let Cells { qualities: scored, difference } = cells(of, undefined, &clusters, (resamples, seed))?;
        let predictions = (0..all[0].1[1].len()).map(|image| unfamiliar.prediction(image)).collect();
        let (members, scores) = (members.clone(), all.into_iter().map(|(_, scores)| scores).collect());
        found.push(Unfamiliar { on: *on, members, dataset: other.name.clone(), scored, difference, predictions, scores });
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
