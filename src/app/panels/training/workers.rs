//! The thread that trains, and the one that writes films; the first can be paused between two steps.

use crate::app::panels::training::run::Run;
use crate::app::state::scope::{EstimateTraining, LoadTraining};
use crate::app::state::threads::unhurried;
use crate::app::widgets::style::PROGRESS;
use crate::data::FolderData;
use crate::error::{Error, Result};
use crate::jobs::training::{FilmMeasure, Frame, Looks, News, Resume, TrainingEstimate, TrainingPlan, What, film, save_film, train};
use crate::jobs::{Urgency, Wake, Worker};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A pause hears of its end so often.
const NAP: Duration = Duration::from_millis(30);

/// What is to be trained.
pub struct Request {
    pub plan: TrainingPlan,
    pub folder: PathBuf,
    pub resume: bool,
    pub looks: Looks,
    pub load: LoadTraining,
}

/// A plan to be estimated.
pub struct EstimateRequest {
    pub plan: TrainingPlan,
    pub load: LoadTraining,
    pub estimate: EstimateTraining,
}

/// A film to be written.
pub struct Film {
    pub frames: Vec<Frame>,
    pub measure: FilmMeasure,
    pub path: PathBuf,
}

/// What the window sees of a training.
#[derive(Clone)]
pub struct Watched {
    run: Arc<Mutex<Run>>,
    paused: Arc<AtomicBool>,
}

impl Watched {
    /// A training of which nothing has been told yet, or one of the past.
    pub fn new(run: Run) -> Self {
        Self { run: Arc::new(Mutex::new(run)), paused: Arc::new(AtomicBool::new(false)) }
    }

    /// What has been told.
    pub fn read(&self) -> MutexGuard<'_, Run> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pauses after the step at hand, or goes on.
    pub fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::SeqCst);
    }

    /// Whether it is to rest.
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
    }
}

/// The threads.
pub struct Workers {
    /// Answers with what has been trained.
    pub training: Worker<(Request, Watched), What>,
    /// Answers with the file or folder that was written.
    pub film: Worker<Film, PathBuf>,
    /// Answers with what a plan takes.
    pub estimate: Worker<EstimateRequest, TrainingEstimate>,
}

impl Workers {
    /// Starts them.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn new(wake: &Wake) -> Result<Self> {
        let news = Arc::clone(wake);
        let training = Worker::spawn("training", Arc::clone(wake), move |(request, watched): (Request, Watched), desk| {
            let FolderData { train: whole, test, notes } = (request.load)(&request.plan)?;
            watched.read().notes = notes;
            let (images, test) = request.plan.prepare(whole, test)?;
            let (mut woken, folder) = (Instant::now(), request.folder.clone());
            let mut observe = |told| {
                let earlier = film_before(&folder, &told);
                let mut run = watched.read();
                run.take(told);
                match earlier {
                    Ok(film) if film.is_empty() => {}
                    Ok(film) => run.take_film(film),
                    Err(error) => run.notes.push(error.to_string()),
                }
                drop(run);
                // Steps may be thousands a second.
                if woken.elapsed() >= PROGRESS {
                    news(Urgency::Now);
                    woken = Instant::now();
                }
                if watched.is_paused() {
                    watched.read().pause();
                    news(Urgency::Now);
                    while watched.is_paused() && !desk.is_cancelled() {
                        std::thread::sleep(NAP);
                    }
                }
                if desk.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let Request { plan, folder, resume, looks, .. } = &request;
            let resume = if *resume { Resume::SameData } else { Resume::Never };
            threads("training")?.install(|| train(plan, (&images, &test), folder, resume, Some(looks), &mut observe))?;
            desk.publish(request.plan.what);
            Ok(())
        })?;
        let writer = Worker::spawn("film", Arc::clone(wake), |film: Film, desk| {
            save_film(&film.frames, film.measure, &film.path)?;
            desk.publish(film.path);
            Ok(())
        })?;
        let estimate = Worker::spawn("estimate", Arc::clone(wake), |EstimateRequest { plan, load, estimate }, desk| {
            let FolderData { train: whole, test, .. } = load(&plan)?;
            let (images, test) = plan.prepare(whole, test)?;
            let go_on = || if desk.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            desk.publish(threads("estimate")?.install(|| estimate(&plan, (&images, &test), &go_on))?);
            Ok(())
        })?;
        Ok(Self { training, film: writer, estimate })
    }
}

/// The pictures of the epochs before a stop, where news say that the training of a model goes on after some.
fn film_before(folder: &Path, told: &News) -> Result<Vec<Frame>> {
    match told {
        News::Begun { model, done, .. } if !done.is_empty() => {
            // One model has the folder itself, each of several one in it.
            let own = folder.join(model);
            film(if own.is_dir() { &own } else { folder })
        }
        _ => Ok(Vec::new()),
    }
}

/// Threads of its own: among the engine's, each of a step's many small pieces would wait for a block of the map.
fn threads(name: &'static str) -> Result<rayon::ThreadPool> {
    let refused =
        |error: rayon::ThreadPoolBuildError| Error::setting("the threads of the training", error.to_string(), "close some programs");
    unhurried(name).build().map_err(refused)
}
