//! Whether uncertainty notices: attacked images against clean and noisy ones, and unfamiliar ones against those of the training.

mod cache;
mod cells;
mod detector;
mod latex;
mod manifold;
mod noise;
mod npz;
mod report;
mod score_file;
mod scores;
mod seeds;
mod success;
mod table;
mod table1;

pub use cache::cache_folder;
pub use detector::Detector;
pub use manifold::{Distances, Manifold};
pub use score_file::{ScoreFile, ScoredLine, scored_csv, scored_text};
pub use seeds::SeedSpread;
pub use success::SuccessDifference;
pub use table::{Detected, Detection, EntropyGain, Kind, Negatives, Positives, Scored, Unfamiliar};
pub use table1::{TABLE1_HEADS, TABLE1_IMAGES, Table1Line, table1_attacks};

use super::attack::{BATCH, Said, attack_batch, check_shape, gradients, lengths, pixels};
use super::passes::{Asked, check_classes};
use super::{AttackSettings, Attacked, Classifiers, On, Progress, Shard};
use crate::analysis::detection::Clusters;
use crate::attack::{Iterate, Settings, named};
use crate::data::Dataset;
use crate::engine::{Engine, Masks};
use crate::error::{Error, Result};
use crate::nets::Classifier;
use crate::uncertainty::Measure;
use cache::Cache;
use cells::{Cells, cells};
pub use noise::NoiseControl;
use noise::noisy;
use seeds::SaidToAll;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use table::{Undefined, reason, scores};

/// Everything that fixes a detection, given the classifiers and the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DetectSettings {
    /// The attacks, each a row of the table.
    pub attacks: Vec<AttackSettings>,
    /// The resamples behind each interval.
    pub resamples: u32,
    /// The seeds of dropout masks that measure, for the spread of AUROC over them: the attack's own and those after it; no spread for 1.
    pub seeds: u32,
    /// What attacked images are compared with beside clean ones.
    #[serde(default)]
    pub noise: NoiseControl,
    /// The only images that are attacked, of several shards; the others stay as they are, and what is made of them means nothing.
    #[serde(skip)]
    pub shard: Option<Shard>,
    /// Where attacked images are kept, and looked for; `None`: nowhere.
    #[serde(skip)]
    pub cache: Option<PathBuf>,
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
        let passes = settings.attack_draws().map_or(1.0, f64::from);
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
    let clean: Arc<[f32]> = data.images().into_owned().into();
    let of_images = |images: &[f32]| manifold.map(|manifold| manifold.distances(images, data.image_shape)).transpose();
    let distances_of_clean = of_images(&clean)?;
    let mut rows: Vec<Detected> = Vec::with_capacity(settings.attacks.len());
    let mut clean_by_other_masks: Vec<Vec<Said>> = Vec::with_capacity(settings.attacks.len());
    for (at, attack) in settings.attacks.iter().enumerate() {
        // What is said to clean images is the same for all attacks of the same eyes.
        let before = if let Some(other) = kinds(at) {
            rows[other].attacked.before.clone()
        } else {
            measure(classifiers, engine, attack, &clean, &mut meter)?
        };
        let images = attacked_images(classifiers, (data, &labels), attack, settings.shard, cache.as_ref(), &mut meter)?;
        let after = measure(classifiers, engine, attack, &images, &mut meter)?;
        let norms = lengths(&images, &clean, data.pixels());
        let noisy_images = noisy(settings.noise, data, &norms, attack.attack.seed);
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
        let (scored, gains, clean) = (Vec::new(), Vec::new(), Arc::clone(&clean));
        let mut row = Detected { attacked, scored, gains, clean, noise: settings.noise, noisy, distances, undefined };
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
    settings.noise.check(data.image_shape)?;
    check_classes(classifiers.ensemble().classes(), data)?;
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
    (data, labels): (&Dataset, &[usize]),
    settings: &AttackSettings,
    shard: Option<Shard>,
    cache: Option<&Cache>,
    meter: &mut Meter<'_>,
) -> Result<Vec<f32>> {
    let steps = f64::from(named(&settings.attack.method)?.steps(&settings.attack));
    let (cost, pixels) = (costs(&meter.work, settings)[0], data.pixels());
    let mut networks = None;
    let mut all = Vec::with_capacity(data.len() * pixels);
    for first in (0..data.len()).step_by(BATCH) {
        let end = data.len().min(first + BATCH);
        let (images, labels) = (&*data.images_of(first..end), &labels[first..end]);
        let size = (end - first) as f64;
        if shard.is_some_and(|shard| !shard.has(first as u32)) {
            all.extend_from_slice(images);
            meter.add(cost * size * steps)?;
            continue;
        }
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
            let of = |data: &Dataset| manifold.distances(&data.images(), data.image_shape);
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
            let said = Said::of(classifiers, engine, (asked, *on), &data.images(), told)?;
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
