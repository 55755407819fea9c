//! The table of a detection: its rows, and how well each detector tells positives from negatives.

use super::cells::{Cells, cells};
use super::noise::NoiseControl;
use super::{DetectSettings, Detector, Distances, SeedSpread};
use crate::analysis::detection::{Clusters, Estimate, Quality};
use crate::error::Result;
use crate::jobs::attack::Said;
use crate::jobs::{Attacked, On};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

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
    pub(super) noise: NoiseControl,
    pub(super) noisy: Said,
    /// How far clean, noisy and attacked images lie from the data, where there is a VAE.
    pub(super) distances: Option<[Distances; 3]>,
    pub(super) undefined: Undefined,
}

/// Measures that compare draws of which there are none, each with the reason.
pub(super) type Undefined = Vec<(Detector, &'static str)>;

pub(super) fn reason(undefined: &Undefined, detector: Detector) -> Option<&'static str> {
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
    pub(super) undefined: Undefined,
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
    /// The results for out-of-distribution data, if there are any.
    pub unfamiliar: Vec<Unfamiliar>,
}

/// Scores of images by a detector, which rise with what is suspicious; none of one that a VAE computes without its distances.
pub(super) fn scores(said: &Said, distances: Option<&Distances>, detector: Detector) -> Vec<f64> {
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
    pub(super) fn scores_of_all(&self, detector: Detector) -> [Vec<f64>; 3] {
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
            Kind::Noisy => self.noise.of(of(&self.clean)?, number, norms, self.attacked.settings.attack.seed).into(),
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

    pub(super) fn score(&mut self, resamples: u32) -> Result<()> {
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
