//! Whether uncertainty notices: attacked images against clean and noisy ones, and unfamiliar ones against those of the training.

mod cache;
mod cells;
mod detector;
mod manifold;
mod noise;
mod npz;
mod report;
mod score_file;
mod scores;
mod seeds;

pub use cache::cache_folder;
pub use detector::Detector;
pub use manifold::{Distances, Manifold};
pub use score_file::{ScoreFile, ScoredLine, scored_csv, scored_text};
pub use seeds::SeedSpread;

use super::attack::{BATCH, Said, attack_batch, check_shape, gradients, lengths, pixels};
use super::passes::Asked;
use super::{AttackSettings, Attacked, Classifiers, On, Progress};
use crate::analysis::detection::{Clusters, Estimate, Quality};
use crate::attack::{Iterate, Settings, named};
use crate::data::Dataset;
use crate::engine::{Engine, Masks};
use crate::error::{Error, Result};
use crate::nets::Classifier;
use crate::uncertainty::Measure;
use cache::Cache;
use cells::{Cells, cells};
use noise::{noisy, noisy_image};
use seeds::SaidToAll;
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
    /// The seeds of dropout masks that measure, for the spread of AUROC over them: the attack's own and those after it; no spread for 1.
    pub seeds: u32,
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

/// How well a detector tells some positives from some negatives.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scored {
    /// What is to be detected.
    pub positives: Positives,
    /// What it is to be told from.
    pub negatives: Negatives,
    /// The detector.
    #[serde(rename = "measure")]
    pub detector: Detector,
    /// How well; `None` where there are no positives, as no attack succeeded, or the models have no draws that the measure could compare.
    pub quality: Option<Quality>,
    /// Its AUROC over mask seeds; `None` where one seed was asked for, or the detector has no draws.
    pub seed_spread: Option<SeedSpread>,
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
    /// Every detector against every choice of positives and negatives.
    pub scored: Vec<Scored>,
    /// Entropy against mutual information, for every choice of positives and negatives.
    pub gains: Vec<EntropyGain>,
    /// The images before the attack, \[N, C, H, W\], shared by all rows.
    pub clean: Arc<[f32]>,
    noisy: Said,
    /// How far clean, noisy and attacked images lie from the data, where there is a VAE.
    distances: Option<[Distances; 3]>,
    undefined: Undefined,
}

/// Measures that compare draws of which there are none, each with the reason.
type Undefined = Vec<(Detector, &'static str)>;

fn reason(undefined: &Undefined, detector: Detector) -> Option<&'static str> {
    undefined.iter().find(|(other, _)| *other == detector).map(|(_, reason)| *reason)
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
    /// Every detector: positives are the unfamiliar images, negatives the familiar ones. `None` where the models have no draws that the
    /// measure could compare.
    pub scored: Vec<(Detector, Option<Quality>)>,
    /// The AUROC of predictive entropy less that of mutual information, with the interval of the paired difference.
    pub difference: Option<Estimate>,
    /// What the unfamiliar images are taken for.
    pub predictions: Vec<usize>,
    undefined: Undefined,
    /// The scores of familiar and unfamiliar images, in their order, for each of [`scored`](Self::scored): the higher, the more suspicious.
    pub scores: Vec<[Vec<f64>; 2]>,
}

impl Unfamiliar {
    /// Why a detector tells nothing apart, where it has no draws.
    pub fn undefined(&self, detector: Detector) -> Option<&'static str> {
        reason(&self.undefined, detector)
    }

    /// The scores of a detector of familiar and unfamiliar images; none where it is not there.
    pub fn scores_of(&self, detector: Detector) -> [Vec<f64>; 2] {
        let place = self.scored.iter().position(|(other, _)| *other == detector);
        place.and_then(|place| self.scores.get(place)).cloned().unwrap_or_default()
    }
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

/// Scores of images by a detector, which rise with what is suspicious; none of one that a VAE computes without its distances.
fn scores(said: &Said, distances: Option<&Distances>, detector: Detector) -> Vec<f64> {
    let values = match detector {
        Detector::Measure(measure) => said.measure(measure),
        of_vae => distances.and_then(|distances| distances.of(of_vae)).map(<[f64]>::to_vec).unwrap_or_default(),
    };
    values.into_iter().map(|value| detector.turned(value)).collect()
}

impl Detected {
    /// The detectors that have scores here.
    pub fn detectors(&self) -> Vec<Detector> {
        Detector::all(self.distances.is_some())
    }

    /// The values of a detector of clean, noisy and attacked images, in its unit.
    pub fn values(&self, detector: Detector) -> [Vec<f64>; 3] {
        self.scores_of_all(detector).map(|scores| scores.into_iter().map(|score| detector.turned(score)).collect())
    }

    /// The scores of a detector of clean, noisy and attacked images.
    fn scores_of_all(&self, detector: Detector) -> [Vec<f64>; 3] {
        let said = [&self.attacked.before, &self.noisy, &self.attacked.after];
        [0, 1, 2].map(|kind| scores(said[kind], self.distances.as_ref().map(|distances| &distances[kind]), detector))
    }

    /// The scores of a detector of negatives and positives, for curves and histograms: the higher, the more suspicious.
    pub fn scores(&self, detector: impl Into<Detector>, positives: Positives, negatives: Negatives) -> [Vec<f64>; 2] {
        let [clean, noisy, attacked] = self.scores_of_all(detector.into());
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

    /// How well a detector tells those apart.
    pub fn quality(&self, detector: impl Into<Detector>, positives: Positives, negatives: Negatives) -> Option<Quality> {
        self.scored(detector.into(), positives, negatives).and_then(|scored| scored.quality)
    }

    /// What is known of a detector of those.
    pub fn scored(&self, detector: Detector, positives: Positives, negatives: Negatives) -> Option<&Scored> {
        self.scored.iter().find(|scored| (scored.detector, scored.positives, scored.negatives) == (detector, positives, negatives))
    }

    /// The difference between entropy and mutual information.
    pub fn difference(&self, positives: Positives, negatives: Negatives) -> Option<Estimate> {
        let of = |gain: &&EntropyGain| (gain.positives, gain.negatives) == (positives, negatives);
        self.gains.iter().find(of).and_then(|gain| gain.difference)
    }

    /// Why a detector tells nothing apart, where it has no draws.
    pub fn undefined(&self, detector: Detector) -> Option<&'static str> {
        reason(&self.undefined, detector)
    }

    fn score(&mut self, resamples: u32) -> Result<()> {
        let seed = self.attacked.settings.attack.seed;
        let detectors = self.detectors();
        for positives in Positives::ALL {
            for negatives in Negatives::ALL {
                let numbers = |side: Vec<(Kind, usize)>| side.into_iter().map(|(_, number)| number as u32).collect();
                let [of_negatives, of_positives] = self.images(positives, negatives).map(numbers);
                let clusters = Clusters::paired(of_negatives, of_positives, self.attacked.norms.len());
                let scores = |detector: Detector| self.scores(detector, positives, negatives);
                let Cells { qualities, difference } = cells(&detectors, scores, &self.undefined, &clusters, (resamples, seed))?;
                let scored = |(detector, quality)| Scored { positives, negatives, detector, quality, seed_spread: None };
                self.scored.extend(qualities.into_iter().map(scored));
                self.gains.push(EntropyGain { positives, negatives, difference });
            }
        }
        Ok(())
    }
}

/// Which measures compare draws that these members have not.
fn undefined(classifiers: &Classifiers, members: &[usize], samples: u32) -> Undefined {
    let of = |measure: Measure| Some((measure.into(), classifiers.ensemble().undefined(measure, members, samples)?));
    Measure::ALL.into_iter().filter_map(of).collect()
}

/// Is told how far a detection is, in millions of multiplications; may stop it.
pub type DetectObserver<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// Multiplications for one image of the trunk and of the head, of each member of the ensemble.
fn work(classifiers: &Classifiers) -> Vec<[f64; 2]> {
    let of = |member: &Classifier| {
        let program = member.program();
        [0..program.head, program.head..program.instructions.len()].map(|part| program.flops(part) / 2.0)
    };
    classifiers.ensemble().members().iter().map(of).collect()
}

/// Millions of multiplications for one image: of one step of an attack, and of measuring; `work` is that of each member.
fn costs(work: &[[f64; 2]], settings: &AttackSettings) -> [f64; 2] {
    let of = |member: &usize| {
        let [trunk, head] = work[*member];
        let passes = if settings.on == On::Deterministic { 1.0 } else { f64::from(settings.samples) };
        [2.0 * (trunk + passes * head) / 1e6, (trunk + f64::from(settings.samples) * head) / 1e6]
    };
    settings.members.iter().map(of).fold([0.0; 2], |[a, b], [c, d]| [a + c, b + d])
}

/// Counts work.
struct Meter<'a> {
    /// That of each member.
    work: Vec<[f64; 2]>,
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

/// Attacks every image of the data by every attack, and says how well each measure, and with a VAE how well the distance from the data, tells
/// the attacked images from clean and noisy ones. Attacked images are kept in parts as they are made: a run that was stopped goes on where it was, and makes the same images as one that
/// was not.
///
/// # Errors
/// When the settings make no sense, the data are not the classifiers', the engine fails, a file cannot be written, or the observer stops.
pub fn detect(
    classifiers: &Classifiers,
    engine: &mut dyn Engine,
    manifold: Option<&Manifold>,
    data: &Dataset,
    settings: &DetectSettings,
    observe: DetectObserver<'_>,
) -> Result<Detection> {
    check(classifiers, data, settings)?;
    let work = work(classifiers);
    let (count, others) = (data.len() as f64, f64::from(settings.seeds.saturating_sub(1)));
    let work_of = |attack: &AttackSettings| -> Result<f64> {
        let ([step, measure], steps) = (costs(&work, attack), f64::from(named(&attack.attack.method)?.steps(&attack.attack)));
        Ok(count * (step * steps + 2.0 * (1.0 + others) * measure))
    };
    let mut total = 0.0;
    for attack in &settings.attacks {
        total += work_of(attack)?;
    }
    let kinds = |at: usize| settings.attacks[..at].iter().position(|other| same_eyes(other, &settings.attacks[at]));
    total += (0..settings.attacks.len())
        .filter(|&at| kinds(at).is_none())
        .map(|at| count * (1.0 + others) * costs(&work, &settings.attacks[at])[1])
        .sum::<f64>();
    let mut meter = Meter { work, done: 0.0, total, observe };
    meter.tell(0.0)?;
    let cache = settings.cache.as_ref().map(|folder| Cache::new(folder)).transpose()?;
    let labels: Vec<usize> = data.labels.iter().map(|&label| usize::from(label)).collect();
    let clean: Arc<[f32]> = data.images.as_slice().into();
    let of_images = |images: &[f32]| manifold.map(|manifold| manifold.distances(images, data.image_shape)).transpose();
    let distances_of_clean = of_images(&clean)?;
    let mut rows: Vec<Detected> = Vec::with_capacity(settings.attacks.len());
    let mut clean_by_other_masks: Vec<Vec<Said>> = Vec::with_capacity(settings.attacks.len());
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
        let noisy_images = noisy(data, &norms, attack.attack.seed);
        let noisy = measure(classifiers, engine, attack, &noisy_images, &mut meter)?;
        let mut by_other_masks: Vec<SaidToAll> = Vec::new();
        for seed in other_seeds(attack, settings.seeds) {
            let of_seed = AttackSettings { attack: Settings { seed, ..attack.attack.clone() }, ..attack.clone() };
            let mut ask = |images: &[f32]| measure(classifiers, engine, &of_seed, images, &mut meter);
            let of_clean = match kinds(at) {
                Some(other) => clean_by_other_masks[other][by_other_masks.len()].clone(),
                None => ask(&clean)?,
            };
            by_other_masks.push([of_clean, ask(&noisy_images)?, ask(&images)?]);
        }
        clean_by_other_masks.push(by_other_masks.iter().map(|[clean, ..]| clean.clone()).collect());
        let distances = match (distances_of_clean.clone(), of_images(&noisy_images)?, of_images(&images)?) {
            (Some(clean), Some(noisy), Some(attacked)) => Some([clean, noisy, attacked]),
            _ => None,
        };
        let undefined = undefined(classifiers, &attack.members, attack.samples);
        let attacked = Attacked { settings: attack.clone(), labels: labels.clone(), images, norms, before, after };
        let mut row = Detected { attacked, scored: Vec::new(), gains: Vec::new(), clean: Arc::clone(&clean), noisy, distances, undefined };
        row.score(settings.resamples)?;
        row.add_spread(&by_other_masks)?;
        rows.push(row);
    }
    Ok(Detection { settings: settings.clone(), dataset: data.name.clone(), images: data.len(), rows, unfamiliar: Vec::new() })
}

/// The seeds of masks but the attack's own that its images are measured by.
fn other_seeds(attack: &AttackSettings, seeds: u32) -> impl Iterator<Item = u32> {
    let own = attack.attack.seed;
    (1..seeds).map(move |other| own.wrapping_add(other))
}

/// Whether two attacks are measured by the same draws of the same members.
fn same_eyes(a: &AttackSettings, b: &AttackSettings) -> bool {
    (a.on, &a.members, a.samples, a.attack.seed) == (b.on, &b.members, b.samples, b.attack.seed)
}

fn check(classifiers: &Classifiers, data: &Dataset, settings: &DetectSettings) -> Result<()> {
    check_shape(classifiers, data.image_shape)?;
    if settings.seeds == 0 {
        return Err(Error::setting("--seeds", "0 seeds measure nothing", "give a number from 1"));
    }
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
    let cost = costs(&meter.work, settings)[1];
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
    let (cost, pixels) = (costs(&meter.work, settings)[0], data.pixels());
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

/// How well each detector tells images of another data set from familiar ones: as many of each as there are.
///
/// # Errors
/// When the images are not what the classifiers take, the engine fails, or the observer stops.
pub fn unfamiliar(
    classifiers: &Classifiers,
    engine: &mut dyn Engine,
    manifold: Option<&Manifold>,
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
    let mut meter = Meter { work: Vec::new(), done: 0.0, total, observe };
    let mut found = Vec::new();
    let distances: Option<[Distances; 2]> = match manifold {
        Some(manifold) => {
            let of = |data: &Dataset| manifold.distances(&data.images, data.image_shape);
            Some([of(familiar)?, of(other)?])
        }
        None => None,
    };
    let detectors = Detector::all(distances.is_some());
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
        let said = [ask(familiar)?, ask(other)?];
        let of = |detector| [0, 1].map(|side| scores(&said[side], distances.as_ref().map(|distances| &distances[side]), detector));
        let undefined = undefined(classifiers, members, samples);
        // Other data are other images: each kind is resampled on its own.
        let clusters = Clusters::independent(familiar.len(), other.len());
        let Cells { qualities: scored, difference } = cells(&detectors, of, &undefined, &clusters, (resamples, seed))?;
        let predictions = (0..other.len()).map(|image| said[1].prediction(image)).collect();
        let (members, dataset, scores) = (members.clone(), other.name.clone(), detectors.iter().map(|&detector| of(detector)).collect());
        found.push(Unfamiliar { on: *on, members, dataset, scored, difference, predictions, undefined, scores });
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
