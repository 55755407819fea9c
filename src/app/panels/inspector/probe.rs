//! One pin: asking the networks about it, and what they answered.

use crate::app::state::scope::Scope;
use crate::app::state::session::Pin;
use crate::app::widgets::images::{Texture, pixels};
use crate::data::{Dataset, read_image};
use crate::engine::Stop;
use crate::error::{Error, Result};
use crate::jobs::{
    InspectSettings, Inspection, ModelSet, Neighbour, Observer, SharedEngine, Status, Subject, Task, Wake, Worker, inspect, neighbours,
};
use crate::latent::Surroundings;
use crate::uncertainty::Measure;
use eframe::egui::Context;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many of the nearest encodings are shown.
pub const NEIGHBOURS: usize = 5;
/// An answer that takes no longer replaces the one before without a word.
const SOON: Duration = Duration::from_millis(250);

/// What is asked: another question, another answer.
#[derive(Clone)]
struct Question {
    pin: Pin,
    /// The members that are asked first, so that somebody who looks at a few does not wait for all. Makes no other question.
    first: Vec<usize>,
    settings: InspectSettings,
    set: Arc<ModelSet>,
    engine: Arc<SharedEngine>,
    surroundings: Option<Arc<Surroundings>>,
    /// For an image of the data.
    data: Option<Arc<Dataset>>,
}

impl PartialEq for Question {
    fn eq(&self, other: &Self) -> bool {
        fn same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
            one.map(Arc::as_ptr) == other.map(Arc::as_ptr)
        }
        (&self.pin, &self.settings) == (&other.pin, &other.settings)
            && Arc::ptr_eq(&self.set, &other.set)
            && Arc::ptr_eq(&self.engine, &other.engine)
            && same(self.surroundings.as_ref(), other.surroundings.as_ref())
            && same(self.data.as_ref(), other.data.as_ref())
    }
}

/// What the networks say of a pin.
struct Answer {
    pin: Pin,
    inspection: Inspection,
    neighbours: Vec<Neighbour>,
    /// The class that the data give it.
    label: Option<u16>,
    /// Where it comes from and what was done to it, a clause each.
    notes: Vec<String>,
}

/// An answer on the screen.
pub struct Shown {
    /// What is pinned.
    pub pin: Pin,
    /// What the networks say.
    pub inspection: Inspection,
    /// The nearest encodings, once they are known.
    pub neighbours: Vec<Neighbour>,
    /// The class that the data give it.
    pub label: Option<u16>,
    /// Where it comes from and what was done to it.
    pub notes: Vec<String>,
    /// The sums over the members of the active map.
    pub digest: Digest,
    /// The image.
    pub image: Texture,
    /// The image encoded and decoded again.
    pub reconstruction: Texture,
    /// Of the neighbours.
    pub thumbnails: [Texture; NEIGHBOURS],
}

/// Draws of one member in one place of one bar.
pub struct Tick {
    /// The bar's class.
    pub class: usize,
    /// The member's place among those that are shown.
    pub lane: usize,
    /// From the left end of the bar, in points.
    pub x: f32,
    /// As so many faint ticks on top of each other.
    pub opacity: f32,
}

/// The sums over some members.
pub struct Digest {
    /// The members, by number.
    pub members: Vec<usize>,
    /// The same by their places in the inspection.
    pub places: Vec<usize>,
    /// The mean prediction of each.
    pub of_members: Vec<Vec<f64>>,
    /// The mean prediction.
    pub mean: Vec<f64>,
    /// In the order of [`Measure::ALL`].
    pub measures: [f64; Measure::ALL.len()],
    /// Of the mutual information, in nats.
    pub standard_error: f64,
    /// The ticks of every draw, and the width of the bars that they are for.
    pub ticks: Option<(f32, Vec<Tick>)>,
}

impl Digest {
    /// `None` where one of the members has not been asked.
    pub fn new(inspection: &Inspection, members: &[usize]) -> Option<Self> {
        let places: Vec<usize> = members.iter().map(|&member| inspection.place(member)).collect::<Option<_>>()?;
        Some(Self {
            members: members.to_vec(),
            mean: inspection.mean(&places),
            measures: Measure::ALL.map(|measure| inspection.measure(measure, &places)),
            standard_error: inspection.standard_error(&places),
            of_members: places.iter().map(|&place| inspection.mean(&[place])).collect(),
            places,
            ticks: None,
        })
    }

    /// The most probable class and its mean probability.
    pub fn prediction(&self) -> (usize, f64) {
        let best = self.mean.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        best.unwrap_or((0, f64::NAN))
    }
}

/// What is known of one pin.
pub struct Probe {
    worker: Worker<Question, Answer>,
    asked: Option<(Question, Instant)>,
    shown: Option<Shown>,
    status: Status,
}

impl Probe {
    /// Starts the worker, which wakes the window.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn new(wake: &Wake) -> Result<Self> {
        let worker = Worker::spawn("inspector", Arc::clone(wake), |question: Question, desk| {
            for members in [&question.first, &question.settings.members] {
                let settings = InspectSettings { members: members.clone(), ..question.settings.clone() };
                desk.publish(answer(&question, &settings, desk.stop(), &mut |progress| desk.tell(progress))?);
                if *members == question.settings.members {
                    break;
                }
            }
            Ok(())
        })?;
        Ok(Self { worker, asked: None, shown: None, status: Status::Idle })
    }

    /// Takes the newest answer, asks where the pin or the settings have changed, and says where the pin lies.
    pub fn logic(&mut self, ctx: &Context, scope: &mut Scope, which: usize) {
        let Some(pin) = scope.session.pins[which].clone() else {
            if self.asked.take().is_some() {
                self.worker.cancel();
                self.worker.take();
            }
            self.shown = None;
            self.status = Status::Idle;
            scope.results.pinned[which] = None;
            return;
        };
        self.ask(ctx, scope, &pin);
        let members = &scope.session.panes[scope.session.active].members;
        if let Some(answer) = self.worker.take() {
            self.show(ctx, answer, members);
        }
        self.status = self.worker.status();
        if matches!(self.status, Status::Failed(_)) {
            self.shown = None;
        }
        if let Some(shown) = &mut self.shown
            && shown.digest.members != *members
            && let Some(digest) = Digest::new(&shown.inspection, members)
        {
            shown.digest = digest;
        }
        let shown = self.shown.as_ref().filter(|shown| shown.pin == pin);
        scope.results.pinned[which] = if let Pin::Latent(z) = pin { Some(z) } else { shown.map(|shown| shown.inspection.z) };
    }

    fn ask(&mut self, ctx: &Context, scope: &Scope, pin: &Pin) {
        let is_data = matches!(pin, Pin::Data(_));
        let members = (0..scope.set.ensemble().members().len()).collect();
        let session = &scope.session;
        let question = Question {
            pin: pin.clone(),
            first: session.panes[session.active].members.clone(),
            settings: InspectSettings { members, samples: session.samples, seed: session.seed, masks: session.masks },
            set: Arc::clone(&scope.set),
            engine: Arc::clone(&scope.engine),
            surroundings: scope.surroundings.clone(),
            data: scope.data.clone().filter(|_| is_data),
        };
        let waits_for_data = is_data && question.data.is_none();
        if waits_for_data || self.asked.as_ref().is_some_and(|(asked, _)| *asked == question) {
            return;
        }
        self.worker.request(question.clone());
        self.asked = Some((question, Instant::now()));
        ctx.request_repaint_after(SOON);
    }

    fn show(&mut self, ctx: &Context, answer: Answer, members: &[usize]) {
        let Answer { pin, inspection, neighbours, label, notes } = answer;
        let before = self.shown.take().map(|shown| (shown.image, shown.reconstruction, shown.thumbnails));
        let (mut image, mut reconstruction, mut thumbnails) = before.unwrap_or_default();
        let shape = inspection.image_shape;
        image.set(ctx, "inspected image", pixels(shape, &inspection.image));
        reconstruction.set(ctx, "reconstruction", pixels(shape, &inspection.reconstruction));
        for (texture, neighbour) in thumbnails.iter_mut().zip(&neighbours) {
            texture.set(ctx, "neighbour", pixels(shape, &neighbour.image));
        }
        // Others may be looked at by now: they come with the whole answer.
        let Some(digest) = Digest::new(&inspection, members).or_else(|| Digest::new(&inspection, &inspection.settings.members)) else {
            return;
        };
        self.shown = Some(Shown { pin, inspection, neighbours, label, notes, digest, image, reconstruction, thumbnails });
    }

    /// The newest answer.
    pub fn shown(&self) -> Option<&Shown> {
        self.shown.as_ref()
    }

    /// As [`shown`](Self::shown), to draw it.
    pub fn shown_mut(&mut self) -> Option<&mut Shown> {
        self.shown.as_mut()
    }

    /// What the worker is at.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Whether a newer answer is being waited for, longer than one notices.
    pub fn is_late(&self) -> bool {
        let working = matches!(self.status, Status::Working(_));
        working && self.asked.as_ref().is_some_and(|(_, when)| when.elapsed() >= SOON)
    }

    /// How often the networks were asked.
    #[cfg(test)]
    pub fn requests(&self) -> u64 {
        self.worker.requests()
    }

    /// Its worker.
    pub fn task(&self) -> &dyn Task {
        &self.worker
    }
}

fn answer(question: &Question, settings: &InspectSettings, stop: Stop, observe: Observer<'_>) -> Result<Answer> {
    let Question { pin, set, engine, surroundings, data, .. } = question;
    let engine = &mut engine.foreground().until(stop);
    let shape = set.vae.image_shape();
    let shape = [shape[0], shape[1], shape[2]];
    let (subject, label, notes) = subject(pin, data.as_deref(), shape)?;
    let inspection = inspect(set, engine, subject, settings, observe)?;
    let neighbours = match surroundings {
        Some(around) => neighbours(set, engine, &around.nearest, inspection.z, NEIGHBOURS)?,
        None => Vec::new(),
    };
    Ok(Answer { pin: pin.clone(), inspection, neighbours, label, notes })
}

/// What a pin is, the class that the data give it, and what was done to it. `data` are those that images are numbered in.
///
/// # Errors
/// When a file cannot be read, or the data have no image of the number.
pub fn subject(pin: &Pin, data: Option<&Dataset>, shape: [usize; 3]) -> Result<(Subject, Option<u16>, Vec<String>)> {
    match pin {
        Pin::Latent(z) => Ok((Subject::Latent(*z), None, Vec::new())),
        Pin::File(path) => {
            let file = read_image(path, shape)?;
            Ok((Subject::Image(file.image), None, file.notes))
        }
        Pin::Data(number) => {
            let data = data.filter(|data| *number < data.len()).ok_or_else(|| {
                Error::setting("the pinned image", format!("the data have no image of the number {number}"), "pick another one")
            })?;
            Ok((Subject::Image(data.image(*number).to_vec()), Some(data.labels[*number]), vec![data.name.clone()]))
        }
    }
}
