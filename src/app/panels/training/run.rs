//! A training as the tab shows it: what has been told of it so far.

use crate::jobs::Progress;
use crate::jobs::training::{Epoch, Frame, News};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Points of the loss's curve per model.
const POINTS: usize = 2000;

/// A training under way, or at its end.
pub struct Run {
    /// Where the models go.
    pub folder: PathBuf,
    /// The model under way, its number from 1, and how many there are.
    pub model: String,
    pub number: usize,
    pub of: usize,
    /// Epochs of each model, and images of each epoch.
    pub epochs: usize,
    pub images: usize,
    /// The mean training loss of some steps each, over epochs.
    pub losses: Vec<[f64; 2]>,
    /// The epochs that are done.
    pub done: Vec<Epoch>,
    /// What was kept of each, the oldest first.
    pub film: Vec<Arc<Frame>>,
    /// The newest picture.
    pub newest: Option<Arc<Frame>>,
    /// What is to be said of the plan.
    pub notes: Vec<String>,
    /// Images that the model under way has seen.
    seen: usize,
    /// A job beside the training steps, and its progress in images.
    pub aside: Option<(&'static str, Progress)>,
    /// Whether the epoch's steps are done, and the model is being tested.
    is_testing: bool,
    /// Losses of steps that are no point of the curve yet: their sum and number.
    gathered: (f64, usize),
    speed: Speed,
}

/// Images a second, without what was before the start and while it was paused.
#[derive(Default)]
struct Speed {
    since: Option<Instant>,
    worked: Duration,
    /// `worked` at the newest step or the end of the newest test: a test that is under way does not count.
    counted: Duration,
    /// Seconds of `counted` that went into tests and previews.
    aside: f64,
    images: usize,
}

impl Run {
    /// Nothing has been told yet.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            model: String::new(),
            number: 0,
            of: 0,
            epochs: 0,
            images: 0,
            losses: Vec::new(),
            done: Vec::new(),
            film: Vec::new(),
            newest: None,
            notes: Vec::new(),
            seen: 0,
            aside: None,
            is_testing: false,
            gathered: (0.0, 0),
            speed: Speed::default(),
        }
    }

    /// A finished training, from its log and its film.
    pub fn of_past(folder: PathBuf, model: String, done: Vec<Epoch>, film: Vec<Frame>) -> Self {
        let film: Vec<Arc<Frame>> = film.into_iter().map(Arc::new).collect();
        let newest = film.last().cloned();
        let losses = losses_of(&done);
        Self { model, number: 1, of: 1, epochs: done.len(), losses, done, film, newest, ..Self::new(folder) }
    }

    /// Takes the pictures of the epochs before a stop.
    pub fn take_film(&mut self, film: Vec<Frame>) {
        self.film = film.into_iter().map(Arc::new).collect();
        self.newest = self.film.last().cloned();
    }

    /// Takes news in.
    pub fn take(&mut self, news: News) {
        match news {
            News::Begun { model, number, of, epochs, images, done } => {
                (self.model, self.number, self.of, self.epochs, self.images) = (model, number, of, epochs, images);
                self.seen = done.len() * images;
                self.losses = losses_of(&done);
                self.done = done;
                self.film.clear();
                self.aside = None;
                self.is_testing = false;
                self.gathered = (0.0, 0);
                self.speed.go();
            }
            News::Step { epoch, step } => {
                self.speed.go();
                let seen = (epoch - 1) * self.images + step.images;
                self.speed.images += seen.saturating_sub(self.seen);
                self.speed.counted = self.speed.worked();
                self.is_testing = step.step == step.steps;
                self.seen = seen;
                self.gathered = (self.gathered.0 + step.loss, self.gathered.1 + 1);
                if self.gathered.1 >= (step.steps * self.epochs).div_ceil(POINTS) || step.step == step.steps {
                    let (sum, count) = std::mem::take(&mut self.gathered);
                    self.losses.push([seen as f64 / self.images.max(1) as f64, sum / count as f64]);
                }
            }
            News::Frame(frame) => {
                if frame.test.is_some() {
                    self.film.push(Arc::clone(&frame));
                }
                self.newest = Some(frame);
            }
            News::Epoch(epoch) => {
                self.speed.aside += epoch.test_seconds + epoch.preview_seconds;
                self.speed.counted = self.speed.worked();
                self.is_testing = false;
                self.done.push(epoch);
            }
            News::Features(progress) => self.aside = Some(("computing the features", progress)),
            News::Fitting(progress) => self.aside = Some(("fitting the last layer", progress)),
            News::Note(sentence) => self.notes.push(sentence),
        }
    }

    /// The clock stands still until the next news.
    pub fn pause(&mut self) {
        self.speed.rest();
    }

    /// Whether its clock stands still: nothing is computed until a pause ends.
    pub fn is_resting(&self) -> bool {
        self.speed.since.is_none()
    }

    /// Whether the model is being tested after an epoch's steps.
    pub const fn is_testing(&self) -> bool {
        self.is_testing
    }

    /// The share of the work that is done, of all models.
    pub fn share(&self) -> f64 {
        let all = self.of * self.epochs * self.images;
        let done = self.number.saturating_sub(1) * self.epochs * self.images + self.seen;
        if all == 0 { 0.0 } else { done as f64 / all as f64 }
    }

    /// Images a second in training alone, and the seconds that are left with tests and previews; `None` before there is something to go by.
    pub fn speed(&self) -> Option<[f64; 2]> {
        let worked = self.speed.counted.as_secs_f64();
        let per_second = self.speed.images as f64 / (worked - self.speed.aside);
        let left = (1.0 - self.share()) * (self.of * self.epochs * self.images) as f64;
        let is_known = self.speed.images > 0 && per_second.is_finite() && per_second > 0.0;
        is_known.then(|| [per_second, left * worked / self.speed.images as f64])
    }

    /// Where the time of the last epoch went; `None` for logs that do not say.
    pub fn times(&self) -> Option<String> {
        let Epoch { epoch, seconds, test_seconds, preview_seconds, .. } = *self.done.last()?;
        let text = || {
            format!("epoch {epoch}: training {:.1} s, test {test_seconds:.1} s, previews {preview_seconds:.1} s", seconds - test_seconds)
        };
        (test_seconds > 0.0).then(text)
    }
}

/// The mean training loss of each epoch, over epochs.
fn losses_of(done: &[Epoch]) -> Vec<[f64; 2]> {
    done.iter().map(|epoch| [epoch.epoch as f64, epoch.loss]).collect()
}

impl Speed {
    fn go(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    fn rest(&mut self) {
        self.worked = self.worked();
        self.since = None;
    }

    fn worked(&self) -> Duration {
        self.worked + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::training::{Look, Scores, Step};

    fn step(epoch: usize, step: usize) -> News {
        News::Step { epoch, step: Step { step, steps: 4, images: 25 * step, loss: step as f64 } }
    }

    #[test]
    fn curves_shares_and_speed_follow_the_news() {
        let mut run = Run::new("m".into());
        assert!(run.share() == 0.0 && run.speed().is_none() && !run.is_testing());
        let begun = |number| News::Begun { model: "a".to_owned(), number, of: 2, epochs: 2, images: 100, done: Vec::new() };
        run.take(begun(1));
        for number in 1..=4 {
            run.take(step(1, number));
        }
        assert_eq!(run.losses, [[0.25, 1.0], [0.5, 2.0], [0.75, 3.0], [1.0, 4.0]]);
        assert!((run.share() - 0.25).abs() < 1e-12, "{}", run.share());
        let [per_second, left] = run.speed().unwrap();
        assert!((left * per_second - 300.0).abs() <= 1e-6 * 300.0, "{left} {per_second}");
        assert_eq!(run.times(), None);
        assert!(run.is_testing(), "all steps of the epoch are done");
        run.speed.worked += Duration::from_secs(100);
        assert_eq!(run.speed().unwrap(), [per_second, left], "the time of a test does not count while it runs");
        run.speed.worked = Duration::ZERO;
        let test = Scores::Classifier { accuracy: 0.5, nll: 1.0 };
        run.take(News::Epoch(Epoch { epoch: 1, loss: 1.0, seconds: 2.0, test_seconds: 0.5, preview_seconds: 0.25, test }));
        assert_eq!(run.times().unwrap(), "epoch 1: training 1.5 s, test 0.5 s, previews 0.2 s");
        assert!(run.speed.aside == 0.75 && !run.is_testing());
        run.speed.counted = Duration::from_secs(10);
        let [per_second, left] = run.speed().unwrap();
        // 100 images in ten seconds, of which three quarters of one were no training; 300 images are left.
        assert!((per_second - 100.0 / 9.25).abs() < 1e-9 && (left - 30.0).abs() < 1e-9, "{per_second} {left}");
        run.take(begun(2));
        assert!(run.losses.is_empty() && (run.share() - 0.5).abs() < 1e-12, "the next model begins anew");
        assert!(!run.is_resting());
        run.pause();
        assert!(run.is_resting());
        let worked = run.speed.worked();
        std::thread::sleep(Duration::from_millis(3));
        assert_eq!(run.speed.worked(), worked, "the clock stands still");
    }
    #[test]
    fn a_past_training_has_its_losses_and_a_resumed_one_the_whole_film() {
        let test = Scores::Classifier { accuracy: 0.5, nll: 1.0 };
        let epoch = |epoch, loss| Epoch { epoch, loss, seconds: 1.0, test_seconds: 0.0, preview_seconds: 0.0, test };
        let frame = |epoch| Frame { model: "a".to_owned(), epoch, step: 1, loss: 1.0, test: Some(test), look: Look::Nothing };
        let done = vec![epoch(1, 2.0), epoch(2, 1.5)];
        let past = Run::of_past("m".into(), "a".to_owned(), done.clone(), vec![frame(1), frame(2)]);
        assert_eq!(past.losses, [[1.0, 2.0], [2.0, 1.5]]);

        let mut resumed = Run::new("m".into());
        resumed.take(News::Begun { model: "a".to_owned(), number: 1, of: 1, epochs: 3, images: 100, done });
        resumed.take_film(vec![frame(1), frame(2)]);
        resumed.take(News::Frame(Arc::new(frame(3))));
        assert_eq!(resumed.film.iter().map(|frame| frame.epoch).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!((resumed.newest.as_ref().map(|frame| frame.epoch), &resumed.losses), (Some(3), &past.losses));
    }
}
