//! What the tab has computed for it.

use crate::app::panels::inspector::subject;
use crate::app::state::choices::attack::AttackedImage;
use crate::app::state::scope::Scope;
use crate::app::state::session::Pin;
use crate::data::Dataset;
use crate::engine::Engine as _;
use crate::error::Result;
use crate::jobs::{
    Aim, AttackSettings, ModelSet, SharedEngine, Subject, SweepPoint, Wake, WatchedAttack, Worker, sweep_attack, watch_attack,
};
use std::sync::Arc;

/// Budgets of a sweep.
const BUDGETS: usize = 13;

/// What is asked: another question, another answer.
#[derive(Clone)]
pub struct Question {
    /// The image.
    pub pin: Pin,
    pub settings: AttackSettings,
    pub target: Option<usize>,
    pub set: Arc<ModelSet>,
    engine: Arc<SharedEngine>,
    /// For an image of the data.
    data: Option<Arc<Dataset>>,
}

impl PartialEq for Question {
    fn eq(&self, other: &Self) -> bool {
        let data = |question: &Self| question.data.as_ref().map(Arc::as_ptr);
        (&self.pin, &self.settings, self.target) == (&other.pin, &other.settings, other.target)
            && Arc::ptr_eq(&self.set, &other.set)
            && data(self) == data(other)
    }
}

impl Question {
    /// What the session asks for; `None` where there is no such image (yet).
    pub fn new(scope: &Scope) -> Option<Self> {
        let (session, choice) = (&scope.session, &scope.session.attack);
        let pin = match choice.image {
            AttackedImage::Pin(which) => session.pins.get(which)?.clone()?,
            AttackedImage::Data(number) => Pin::Data(number),
        };
        let data = if matches!(pin, Pin::Data(_)) { Some(Arc::clone(scope.data.as_ref()?)) } else { None };
        Some(Self {
            pin,
            settings: choice.settings(&scope.set, session.seed),
            target: choice.target,
            set: Arc::clone(&scope.set),
            engine: Arc::clone(&scope.engine),
            data,
        })
    }

    /// Whether another asks for the same but for the budget.
    pub fn differs_in_budget_only(&self, other: &Self) -> bool {
        let mut same = other.clone();
        same.settings.attack.epsilon = self.settings.attack.epsilon;
        *self == same
    }

    /// The image, and what is known of its class.
    fn image(&self) -> Result<(Vec<f32>, Aim)> {
        let shape = self.set.vae.image_shape();
        let (subject, label, _) = subject(&self.pin, self.data.as_deref(), [shape[0], shape[1], shape[2]])?;
        let image = match subject {
            Subject::Latent(z) => self.engine.foreground().decode(&z)?,
            Subject::Image(image) => image,
        };
        Ok((image, Aim { class: label.map(usize::from), target: self.target }))
    }
}

/// A sweep over budgets, as far as it has come.
pub struct Sweep {
    pub question: Question,
    pub points: Vec<SweepPoint>,
}

/// The threads.
pub struct Workers {
    pub attack: Worker<Question, (Question, WatchedAttack)>,
    pub sweep: Worker<(Question, Vec<f64>), Sweep>,
}

impl Workers {
    /// Starts them.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn new(wake: &Wake) -> Result<Self> {
        let attack = Worker::spawn("attack", Arc::clone(wake), |question: Question, desk| {
            let (image, aim) = question.image()?;
            let (set, mut engine) = (&question.set, question.engine.foreground().until(desk.stop()));
            let whole = watch_attack(set, &mut engine, &image, aim, &question.settings, &mut |progress, part| {
                desk.publish((question.clone(), part.clone()));
                desk.tell(progress)
            })?;
            desk.publish((question.clone(), whole));
            Ok(())
        })?;
        let sweep = Worker::spawn("attack sweep", Arc::clone(wake), |(question, budgets): (Question, Vec<f64>), desk| {
            let (image, aim) = question.image()?;
            let (set, mut engine) = (&question.set, question.engine.background().until(desk.stop()));
            let mut shown = 0;
            let asked = (&question.settings, &budgets[..]);
            let points = sweep_attack(set, &mut engine, &image, aim, asked, &mut |progress, points| {
                if points.len() > shown {
                    shown = points.len();
                    desk.publish(Sweep { question: question.clone(), points: points.to_vec() });
                }
                desk.tell(progress)
            })?;
            desk.publish(Sweep { question: question.clone(), points });
            Ok(())
        })?;
        Ok(Self { attack, sweep })
    }

    /// Sweeps from no budget to twice that of a question; over what is usual where that is none.
    pub fn sweep(&self, question: Question, usual: f64) {
        let epsilon = question.settings.attack.epsilon;
        let most = 2.0 * if epsilon > 0.0 { epsilon } else { usual };
        let budgets = (0..BUDGETS).map(|number| most * number as f64 / (BUDGETS - 1) as f64).collect();
        self.sweep.request((question, budgets));
    }
}
