//! Training: a plan, the jobs that it names, and what is seen of the models on the way.

mod architecture;
mod backbone;
mod data;
mod estimate;
mod film;
mod look;
mod merge;
mod method;
mod past;
mod picture;
mod plan;
#[cfg(test)]
mod tests;

pub use crate::autodiff::train::{Augmentation, Decay, Epoch, Fill, Resume, Schedule, Scores, Step};
pub use architecture::{ClassifierArchitecture, ClassifierPlan, Draw, LikelihoodPlan, VaeArchitecture, VaePlan};
pub use data::{DECODED, SHIPPED, data_of, load_split};
pub use estimate::{TrainingEstimate, estimate};
pub use film::{FILM, film};
pub use look::{Cost, Frame, LOOKS_SHARE, Look, Looks};
pub use merge::merge_trained;
pub use method::Method;
pub use past::{is_complete, is_resumable, past};
pub use picture::{FilmMeasure, save_film};
pub use plan::{DataChoice, PLAN, TrainingData, TrainingPlan, What, plan_of};

use super::laplace::laplace_in_place;
use super::{Progress, pack};
use crate::autodiff::train::{self, DataHashes, Event, Goal, Settings};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::files::{self, FolderLock};
use crate::nets::folder::{Model, load};
use crate::nets::{Likelihood, Vae, VaeGraphs};
use backbone::Backbone;
use look::Watch;
use plan::Part;
use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a training tells as it goes.
#[derive(Clone, Debug)]
pub enum News {
    /// A model's training begins, or goes on after the epochs `done`: the `number`th (from 1) of `of`.
    Begun { model: String, number: usize, of: usize, epochs: usize, images: usize, done: Vec<Epoch> },
    /// A step of an epoch (from 1) is done.
    Step { epoch: usize, step: Step },
    /// A picture of the model under way.
    Frame(Arc<Frame>),
    /// An epoch is done and saved.
    Epoch(Epoch),
    /// The features of a frozen trunk are being computed; in images.
    Features(Progress),
    /// The last layer's Gaussian is being fitted; in images.
    Fitting(Progress),
    /// A caution in one sentence, such as that three images are few.
    Note(String),
}

/// Is told, may take its time (a pause), and may stop the training.
pub type NewsObserver<'a> = &'a mut dyn FnMut(News) -> ControlFlow<()>;

/// Trains all that the plan names: one model straight into `folder`, several into folders in it. `data` are the training and the test images
/// as [`TrainingPlan::prepare`] made them. Where `resume` says so, what is there goes on, to the same weights as without the stop. The plan is
/// stored in `folder`, and with `looks` a film of each model in its folder. Returns the model folders.
///
/// # Errors
/// When the plan, the data or what is there do not fit each other, another training has the folder, the loss is no longer finite, the folder
/// is deleted or renamed, a file cannot be written, or the observer stops: the running epoch is lost, and what was saved before stays.
pub fn train(
    plan: &TrainingPlan,
    data: (&Dataset, &Dataset),
    folder: &Path,
    resume: Resume,
    looks: Option<&Looks>,
    observe: NewsObserver<'_>,
) -> Result<Vec<PathBuf>> {
    plan.check()?;
    plan.check_images(data.0)?;
    let parts = plan.own_parts()?;
    let lock = lock(folder)?;
    let hashes = DataHashes::of(data.0, data.1);
    let left = Cell::new(0);
    let observe: NewsObserver<'_> = &mut |news| {
        if let News::Begun { epochs, done, .. } = &news {
            left.set(left.get() + epochs - done.len());
        }
        observe(news)
    };
    let mut looks = looks.cloned();
    let backbone = plan.backbone(data.0.image_shape)?;
    let features = backbone.as_ref().map(|backbone| features(backbone, data, observe)).transpose()?;
    let data = features.as_ref().map_or(data, |[train, test]| (train, test));
    if backbone.is_some() {
        // Maps are made of images.
        looks = None;
    }
    let mut folders = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let into = part.folder.as_ref().map_or_else(|| folder.to_owned(), |name| folder.join(name));
        if part.folder.is_some() {
            files::refuse_link(&into)?;
        }
        check_lock(&lock, folder)?;
        let own_lock = part.folder.as_ref().map(|_| self::lock(&into)).transpose()?;
        let lock = own_lock.as_ref().unwrap_or(&lock);
        let begun = |job: &mut Job<'_>| {
            if index == 0 {
                plan.write(folder)?;
                plan.shard.map_or(Ok(()), |shard| merge::note_shard(folder, shard))?;
                job.notes.extend(plan.cautions(data.0));
            }
            Ok(())
        };
        let job = Job { lock: Some(lock), ..Job::new(plan, part, data, &into, looks.as_ref())? };
        job.run([index + 1, parts.len()], &hashes, resume, begun, observe)?;
        check_lock(lock, &into)?;
        if !part.vae && plan.classifier.draw == Draw::LastLayerLaplace {
            fit_last_layer(&into, data.0, observe)?;
        }
        if let Some(backbone) = &backbone {
            backbone.join(&into, part.folder.is_some())?;
        }
        if part.vae
            && let Some(vae) = write_encodings(folder, &into, data)?
            && let Some(looks) = &mut looks
        {
            looks.vae = Some(Arc::new(vae));
        }
        folders.push(into);
    }
    if left.get() == 0 {
        tell_note(format!("Every epoch in {} is done already: nothing was left to train.", folder.display()), observe)?;
    }
    Ok(folders)
}

/// Keeps other trainings out of a folder.
fn lock(folder: &Path) -> Result<FolderLock> {
    FolderLock::take(folder)?.map_err(|holder| {
        Error::file(folder, format!("is being trained into by {holder}"), "wait until it has ended, or train into another folder")
    })
}

/// Checks that a folder is still the one that was locked.
fn check_lock(lock: &FolderLock, folder: &Path) -> Result<()> {
    if lock.is_held() {
        return Ok(());
    }
    Err(Error::file(folder, "was deleted, renamed or made anew during the training", "go on with what is left of it, or train anew"))
}

fn tell_note(note: String, observe: NewsObserver<'_>) -> Result<()> {
    if observe(News::Note(note)).is_break() { Err(Error::Cancelled) } else { Ok(()) }
}

/// What a frozen trunk makes of training and test images.
fn features(backbone: &Backbone, (train, test): (&Dataset, &Dataset), observe: NewsObserver<'_>) -> Result<[Dataset; 2]> {
    // The features of a few images are computed in no time.
    const KEPT_FROM: usize = 1000;
    let cache = if train.len() >= KEPT_FROM { files::cache_folder("features") } else { None };
    Ok([backbone.of(train, cache.as_deref(), observe)?, backbone.of(test, cache.as_deref(), observe)?])
}

/// Puts a Gaussian in place of the last layer of the classifier that was trained in a folder.
fn fit_last_layer(folder: &Path, train: &Dataset, observe: NewsObserver<'_>) -> Result<()> {
    let total = train.len() as u64;
    let mut tell = |images: usize| observe(News::Fitting(Progress { done: images as u64, total }));
    let Some(fitted) = laplace_in_place(folder, train, &mut tell)? else { return Ok(()) };
    let note = format!("The Gaussian of the last layer of {} is fitted: prior precision {:.4}.", fitted.name, fitted.prior_precision);
    tell_note(note, observe)
}

/// Trains the one model of a plan with looks at it into a folder that is thrown away, and says where the time went: for benchmarks.
///
/// # Errors
/// As [`train`].
pub fn cost_of_looks(plan: &TrainingPlan, data: (&Dataset, &Dataset), looks: &Looks) -> Result<Cost> {
    let folder = tempfile::tempdir().map_err(|error| Error::io(&std::env::temp_dir(), &error))?;
    plan.check()?;
    let (mut cost, hashes) = (Cost::default(), DataHashes::of(data.0, data.1));
    for part in plan.parts()? {
        let name = part.folder.clone().unwrap_or_else(|| "model".to_owned());
        let into = folder.path().join(name);
        let job = Job::new(plan, &part, data, &into, Some(looks))?;
        let of_part = job.run([1, 1], &hashes, Resume::Never, |_| Ok(()), &mut |_| ControlFlow::Continue(()))?;
        cost = Cost { training: cost.training + of_part.training, looks: cost.looks + of_part.looks };
    }
    Ok(cost)
}

/// Writes where a VAE puts its data, as `epistemap pack` does; returns the VAE where it has a plane.
fn write_encodings(folder: &Path, of_vae: &Path, (train, test): (&Dataset, &Dataset)) -> Result<Option<Vae>> {
    let (_, Model::Vae(vae)) = load(of_vae)? else { return Ok(None) };
    if vae.latent_size() != 2 {
        return Ok(None);
    }
    pack::write_encodings(&vae, [train, test], folder)?;
    Ok(Some(vae))
}

/// The training of one model.
struct Job<'a> {
    settings: Settings,
    data: (&'a Dataset, &'a Dataset),
    folder: &'a Path,
    /// The lock of the folder, where others may train into it.
    lock: Option<&'a FolderLock>,
    watch: Option<Watch<'a>>,
    notes: Vec<String>,
    /// Whether it has been said that the model is worse than a guess.
    warned: bool,
}

impl<'a> Job<'a> {
    fn new(plan: &TrainingPlan, part: &Part, data: (&'a Dataset, &'a Dataset), folder: &'a Path, looks: Option<&Looks>) -> Result<Self> {
        let name = folder.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned());
        let (watch, note) = looks.map(|looks| Watch::new(looks, part.vae, data.1)).unzip();
        Ok(Self {
            settings: plan.settings(part, name, data.0)?,
            data,
            folder,
            lock: None,
            watch,
            notes: note.flatten().into_iter().collect(),
            warned: false,
        })
    }

    /// Trains; `begun` is called once settings, data and folder are found to fit. Returns where the time went.
    fn run(
        mut self,
        place: [usize; 2],
        hashes: &DataHashes,
        resume: Resume,
        begun: impl Fn(&mut Self) -> Result<()>,
        observe: NewsObserver<'_>,
    ) -> Result<Cost> {
        let (settings, data, folder) = (self.settings.clone(), self.data, self.folder);
        let mut failed = None;
        let result = train::run(settings, data, hashes, folder, resume, &mut |event| {
            if let Some(watch) = &mut self.watch {
                watch.arrive();
            }
            if matches!(event, Event::Begun(..))
                && let Err(error) = begun(&mut self)
            {
                failed = Some(error);
                return ControlFlow::Break(());
            }
            let start = Instant::now();
            let is_looking = self.watch.is_some() && matches!(event, Event::Step(..) | Event::Tested(..));
            let news = self.news(event, place);
            let previews = if is_looking { start.elapsed() } else { Duration::ZERO };
            let answer = match news {
                Ok(news) => news.into_iter().try_for_each(&mut *observe),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            };
            if let Some(watch) = &mut self.watch {
                watch.leave();
            }
            answer.map_continue(|()| previews)
        });
        failed.map_or(result, Err)?;
        Ok(self.watch.map_or_else(Cost::default, |watch| watch.cost))
    }

    /// What an event is to be told as; the looks are taken here.
    fn news(&mut self, event: Event<'_>, [number, of]: [usize; 2]) -> Result<Vec<News>> {
        Ok(match event {
            Event::Begun(trainer, done) => {
                if self.watch.is_some() {
                    film::cut(self.folder, done.len())?;
                }
                let Settings { name, epochs, images, .. } = trainer.settings();
                let begun = News::Begun { model: name.clone(), number, of, epochs: *epochs, images: *images, done: done.to_vec() };
                std::iter::once(begun).chain(self.notes.drain(..).map(News::Note)).collect()
            }
            Event::Step(trainer, epoch, step) => {
                let frame = self.watch.as_mut().and_then(|watch| watch.at_step(trainer, epoch, step));
                std::iter::once(News::Step { epoch, step }).chain(frame.map(|frame| News::Frame(Arc::new(frame)))).collect()
            }
            Event::Tested(trainer, epoch) => {
                self.lock.map_or(Ok(()), |lock| check_lock(lock, self.folder))?;
                let mut news: Vec<News> = self.worse_than_guessing(epoch).map(News::Note).into_iter().collect();
                if let Some(watch) = &mut self.watch {
                    let frame = watch.at_end(trainer, epoch)?;
                    film::keep(self.folder, &frame)?;
                    news.push(News::Frame(Arc::new(frame)));
                }
                news
            }
            Event::Epoch(epoch) => vec![News::Epoch(epoch)],
        })
    }

    /// A sentence for a model that a guess would beat by far, a sign of too large steps; said once.
    fn worse_than_guessing(&mut self, epoch: Epoch) -> Option<String> {
        const FAR: f64 = 3.0;
        let guess = match (epoch.test, &self.settings.goal) {
            (Scores::Classifier { .. }, _) => (self.data.0.classes.len() as f64).ln(),
            // Of Bernoulli pixels. A density of Gaussian ones has no such bound: it depends on the variance.
            (Scores::Vae { .. }, Goal::Vae { graphs: VaeGraphs { likelihood: Likelihood::Gaussian { .. }, .. }, .. }) => return None,
            (Scores::Vae { .. }, _) => self.data.0.pixels() as f64 * std::f64::consts::LN_2,
        };
        let loss = epoch.test.loss();
        let rate = self.settings.optimiser.learning_rate();
        let far = loss > FAR * guess;
        let first = far && !self.warned;
        self.warned |= far;
        first.then(|| {
            format!(
                "After epoch {} the test loss is {loss:.4e} nats where a blind guess has {guess:.2}: the learning rate, {rate}, may be too large.",
                epoch.epoch
            )
        })
    }
}
