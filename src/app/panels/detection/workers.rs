//! What the tab has computed for it.

use crate::app::state::scope::{LoadNamed, Scope};
use crate::data::Dataset;
use crate::error::Result;
use crate::jobs::{
    AttackSettings, Classifiers, DetectSettings, Detection, Manifold, ModelSet, On, SharedEngine, Wake, Worker, detect, self_checks,
    unfamiliar,
};
use std::sync::Arc;

/// Resamples behind each interval.
const RESAMPLES: u32 = 1000;
/// Seeds of dropout masks that measure, as `epistemap detect` takes them.
const SEEDS: u32 = 5;

/// What is asked: another question, another answer.
#[derive(Clone)]
pub struct Question {
    pub images: usize,
    /// Another data set, by name.
    pub unfamiliar: Option<String>,
    pub set: Arc<ModelSet>,
    data: Arc<Dataset>,
    engine: Arc<SharedEngine>,
    load: LoadNamed,
    pub settings: DetectSettings,
}

impl PartialEq for Question {
    fn eq(&self, other: &Self) -> bool {
        (&self.settings, self.images, &self.unfamiliar) == (&other.settings, other.images, &other.unfamiliar)
            && Arc::ptr_eq(&self.set, &other.set)
            && Arc::ptr_eq(&self.data, &other.data)
    }
}

/// What was found.
pub struct Found {
    pub question: Question,
    pub detection: Detection,
    /// The images of the other data set.
    pub other: Option<Dataset>,
    /// What is not as it should be with the attack.
    pub warnings: Vec<String>,
}

impl Question {
    /// What the session asks for; `None` as long as there are no images.
    pub fn new(scope: &Scope) -> Option<Self> {
        let choice = &scope.session.detection;
        let data = Arc::clone(scope.data.as_ref()?);
        let settings = DetectSettings {
            attacks: choice.attacks(&scope.set, scope.session.seed),
            resamples: RESAMPLES,
            seeds: SEEDS,
            noise: crate::jobs::NoiseControl::Matched,
            shard: None,
            cache: scope.sources.attack_cache.clone(),
        };
        Some(Self {
            images: choice.images.min(data.len()),
            unfamiliar: choice.unfamiliar.clone(),
            set: Arc::clone(&scope.set),
            data,
            engine: Arc::clone(&scope.engine),
            load: Arc::clone(&scope.sources.load_named),
            settings,
        })
    }

    /// \[channels, height, width\] of its images.
    pub fn shape(&self) -> [usize; 3] {
        self.data.image_shape
    }
}

/// The thread. An answer comes a second time once the attack has been checked.
///
/// # Errors
/// When the system has no thread left.
pub fn worker(wake: &Wake) -> Result<Worker<Question, Arc<Found>>> {
    Worker::spawn("detection", Arc::clone(wake), |question: Question, desk| {
        let (classifiers, mut engine) = (Classifiers::of(&question.set), question.engine.background().until(desk.stop()));
        let data = question.data.slice(0..question.images);
        // Before anything that takes long: it may not be there.
        let other = question.unfamiliar.as_ref().map(|name| (question.load)(name)).transpose()?;
        let other = other.map(|other| if other.len() > data.len() { other.slice(0..data.len()) } else { other });
        let mut follow = |progress| desk.tell(progress);
        let manifold = Manifold::of(&question.set);
        let mut detection = detect(&classifiers, &mut engine, manifold.as_ref(), &data, &question.settings, &mut follow)?;
        if let (Some(other), [AttackSettings { attack, on, members, samples }, ..]) = (&other, &question.settings.attacks[..]) {
            let on: [(On, Vec<usize>); 1] = [(*on, members.clone())];
            let fixed = (*samples, attack.seed, RESAMPLES);
            detection.unfamiliar = unfamiliar(&classifiers, &mut engine, manifold.as_ref(), [&data, other], &on, fixed, &mut follow)?;
        }
        let found = |detection: &Detection, warnings| {
            Arc::new(Found { question: question.clone(), detection: detection.clone(), other: other.clone(), warnings })
        };
        desk.publish(found(&detection, Vec::new()));
        let mut warnings = Vec::new();
        for row in detection.checked_rows() {
            warnings.extend(self_checks(&classifiers, &mut engine, (&data.images(), data.image_shape), &row.attacked, &mut follow)?);
        }
        if !warnings.is_empty() {
            desk.publish(found(&detection, warnings));
        }
        Ok(())
    })
}
