//! What is detected, and what is seen of it: the tab's part of the session.

use crate::app::state::choices::attack::AttackChoice;
use crate::attack::Settings;
use crate::data::sources;
use crate::jobs::{AttackSettings, Detector, ModelSet, Negatives, Positives, table1_attacks};
use crate::uncertainty::Measure;
use serde::{Deserialize, Serialize};

/// The most images that the window offers to attack.
pub const MOST_IMAGES: usize = 100_000;

/// What is to be told from other images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sought {
    /// All attacked images.
    All,
    /// Those on which the attack succeeded.
    Successful,
    /// The images of the other data set.
    Unfamiliar,
}

impl Sought {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::All, Self::Successful, Self::Unfamiliar];

    /// Its name for a person.
    pub const fn label(self) -> &'static str {
        match self {
            Self::All => "all attacked",
            Self::Successful => "successful only",
            Self::Unfamiliar => "other data",
        }
    }

    /// Which attacked images; `None` where they are not attacked.
    pub const fn positives(self) -> Option<Positives> {
        match self {
            Self::All => Some(Positives::All),
            Self::Successful => Some(Positives::Successful),
            Self::Unfamiliar => None,
        }
    }
}

/// The settings of the tab.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", default, deny_unknown_fields)]
pub struct DetectionChoice {
    /// The attack, on whom, and the draws; its image and its target do not matter here.
    pub attack: AttackChoice,
    /// Whether all attacks of the paper's table 1 are made, with their budgets and steps, rather than that one.
    pub table1: bool,
    /// Of several attacks the one whose numbers and curves are shown, by its row; for `None` the table of all, and the curves of the first.
    pub row: Option<usize>,
    /// How many images, the first ones of the data; all where there are fewer.
    pub images: usize,
    /// Another data set whose images are to be told from these as well, by name.
    pub unfamiliar: Option<String>,
    /// What is to be detected.
    pub sought: Sought,
    /// What it is to be told from.
    pub negatives: Negatives,
    /// The detector of the histogram.
    #[serde(rename = "measure")]
    pub detector: Detector,
    /// The detectors whose curves are drawn.
    pub curves: Vec<Detector>,
    /// The value of the detector from which on an alarm goes off; where 95 % are detected for `None`.
    pub threshold: Option<f64>,
}

impl Default for DetectionChoice {
    fn default() -> Self {
        Self {
            attack: AttackChoice::default(),
            table1: false,
            row: None,
            images: 1000,
            unfamiliar: None,
            sought: Sought::All,
            negatives: Negatives::Both,
            detector: Measure::MutualInformation.into(),
            curves: [Measure::PredictiveEntropy, Measure::MutualInformation, Measure::DeterministicEntropy].map(Detector::Measure).to_vec(),
            threshold: None,
        }
    }
}

impl DetectionChoice {
    /// The attacks as jobs take them: untargeted.
    pub fn attacks(&self, set: &ModelSet, seed: u32) -> Vec<AttackSettings> {
        if self.table1 {
            let attack = |method: &str, norm, epsilon| Settings { seed, ..Settings::new(method, norm, epsilon) };
            return table1_attacks(attack, self.attack.samples, &[self.attack.member]);
        }
        vec![AttackChoice { target: None, ..self.attack.clone() }.settings(set, seed)]
    }

    /// Looks at another detector; the threshold is in the unit of the old one.
    pub fn look_at(&mut self, detector: Detector) {
        if self.detector != detector {
            (self.detector, self.threshold) = (detector, None);
        }
    }

    /// What is wrong with a choice that came from a file.
    pub fn problem(&self, set: &ModelSet) -> Option<String> {
        let unknown = self.unfamiliar.as_ref().filter(|name| sources::named(name).is_err());
        if !(1..=MOST_IMAGES).contains(&self.images) {
            Some(format!("{} images are out of range", self.images))
        } else if let Some(name) = unknown {
            Some(format!("'{name}' is no data set"))
        } else if self.threshold.is_some_and(|threshold| !threshold.is_finite()) {
            Some("the threshold is not finite".to_owned())
        } else {
            self.attack.problem(set)
        }
    }
}
