//! A worker thread for one kind of job: the newest request wins, the newest reply is kept, nobody waits.

use super::Progress;
use crate::engine::Stop;
use crate::error::{Error, Result};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What a worker is at.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Status {
    /// Nothing was asked for yet, or what was asked for is no longer wanted.
    #[default]
    Idle,
    /// It works.
    Working(Progress),
    /// The newest request is done.
    Done,
    /// The newest request failed; the sentence says why.
    Failed(String),
}

/// How soon the window must be repainted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// There is a result.
    Now,
    /// Only the progress has changed: a software renderer would otherwise take the processor's time to paint it.
    Soon,
}

/// Called whenever there is news: wakes the window.
pub type Wake = Arc<dyn Fn(Urgency) + Send + Sync>;

/// A thread that works on the newest request, and gives an older one up. Dropping it ends the thread after the block of work at hand.
pub struct Worker<Request, Reply> {
    shared: Arc<Shared<Request, Reply>>,
}

struct Shared<Request, Reply> {
    /// The number of the newest request; a job of another number gives up.
    newest: AtomicU64,
    state: Mutex<State<Request, Reply>>,
    changed: Condvar,
    wake: Wake,
}

struct State<Request, Reply> {
    request: Option<Request>,
    reply: Option<Reply>,
    status: Status,
    closed: bool,
}

/// Where a job puts its results, and hears whether they are still wanted.
pub struct Desk<'a, Request, Reply> {
    shared: &'a Arc<Shared<Request, Reply>>,
    number: u64,
}

impl<Request: Send + 'static, Reply: Send + 'static> Worker<Request, Reply> {
    /// Starts a thread of that name. A panic in `work` ends the request, not the thread.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn spawn(
        name: &str,
        wake: Wake,
        mut work: impl FnMut(Request, &Desk<'_, Request, Reply>) -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        let state = State { request: None, reply: None, status: Status::Idle, closed: false };
        let shared = Arc::new(Shared { newest: AtomicU64::new(0), state: Mutex::new(state), changed: Condvar::new(), wake });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            while let Some((request, number)) = theirs.next() {
                let desk = Desk { shared: &theirs, number };
                let outcome = catch_unwind(AssertUnwindSafe(|| work(request, &desk)));
                desk.finish(outcome.unwrap_or_else(|_| {
                    Err(Error::setting("this computation", "it met a defect of the program", "report it with the settings that led here"))
                }));
            }
        });
        thread.map_err(|error| Error::setting("a worker thread", error.to_string(), "close some programs"))?;
        Ok(Self { shared })
    }

    /// Asks for work; an older request is given up.
    pub fn request(&self, request: Request) {
        let mut state = self.shared.lock();
        self.shared.newest.fetch_add(1, Ordering::SeqCst);
        state.request = Some(request);
        state.status = Status::Working(Progress { done: 0, total: 0 });
        self.shared.changed.notify_one();
    }

    /// Gives up what is being worked on.
    pub fn cancel(&self) {
        let mut state = self.shared.lock();
        self.shared.newest.fetch_add(1, Ordering::SeqCst);
        state.request = None;
        state.status = Status::Idle;
    }

    /// What it is at.
    pub fn status(&self) -> Status {
        self.shared.lock().status.clone()
    }

    /// The newest reply, once.
    pub fn take(&self) -> Option<Reply> {
        self.shared.lock().reply.take()
    }

    /// Puts the worker into a state, so that a test sees how that looks.
    #[cfg(test)]
    pub fn pretend(&self, status: Status) {
        self.cancel();
        self.shared.lock().status = status;
    }

    /// How many requests there have been, cancellations included.
    pub fn requests(&self) -> u64 {
        self.shared.newest.load(Ordering::SeqCst)
    }
}

/// A worker, whatever it is asked for and replies.
pub trait Task {
    /// What it is at.
    fn status(&self) -> Status;

    /// Gives up what is being worked on.
    fn cancel(&self);

    /// Puts it into a state, so that a test sees how that looks.
    #[cfg(test)]
    fn pretend(&self, status: Status);
}

impl<Request: Send + 'static, Reply: Send + 'static> Task for Worker<Request, Reply> {
    fn status(&self) -> Status {
        self.status()
    }

    fn cancel(&self) {
        self.cancel();
    }

    #[cfg(test)]
    fn pretend(&self, status: Status) {
        self.pretend(status);
    }
}

impl<Request, Reply> Drop for Worker<Request, Reply> {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.newest.fetch_add(1, Ordering::SeqCst);
        self.shared.changed.notify_one();
    }
}

impl<Request, Reply> Shared<Request, Reply> {
    fn lock(&self) -> MutexGuard<'_, State<Request, Reply>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next request; `None` when the worker is closed.
    fn next(&self) -> Option<(Request, u64)> {
        let idle = |state: &mut State<Request, Reply>| state.request.is_none() && !state.closed;
        let mut state = self.changed.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return None;
        }
        state.request.take().map(|request| (request, self.newest.load(Ordering::SeqCst)))
    }
}

impl<Request: Send + 'static, Reply: Send + 'static> Desk<'_, Request, Reply> {
    /// Stops an engine as soon as a newer request has come.
    pub fn stop(&self) -> Stop {
        let (shared, number) = (Arc::clone(self.shared), self.number);
        Stop::when(move || shared.newest.load(Ordering::SeqCst) != number)
    }
}

impl<Request, Reply> Desk<'_, Request, Reply> {
    /// Whether a newer request has come, or nobody waits for this one any longer.
    pub fn is_cancelled(&self) -> bool {
        self.shared.newest.load(Ordering::SeqCst) != self.number
    }

    /// Shows a result, final or not. One that is no longer wanted is dropped.
    pub fn publish(&self, reply: Reply) {
        let mut state = self.shared.lock();
        if !self.is_cancelled() {
            state.reply = Some(reply);
            drop(state);
            (self.shared.wake)(Urgency::Now);
        }
    }

    /// Tells how far the job is, and hears whether to go on: an [`Observer`](super::Observer) in a closure.
    pub fn tell(&self, progress: Progress) -> ControlFlow<()> {
        if self.is_cancelled() {
            return ControlFlow::Break(());
        }
        let mut state = self.shared.lock();
        if !self.is_cancelled() {
            state.status = Status::Working(progress);
            drop(state);
            (self.shared.wake)(Urgency::Soon);
        }
        ControlFlow::Continue(())
    }

    fn finish(&self, outcome: Result<()>) {
        let mut state = self.shared.lock();
        if self.is_cancelled() {
            return;
        }
        state.status = match outcome {
            Ok(()) => Status::Done,
            Err(Error::Cancelled) => Status::Idle,
            Err(error) => Status::Failed(error.to_string()),
        };
        drop(state);
        (self.shared.wake)(Urgency::Now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    const SOON: Duration = Duration::from_secs(20);

    /// A worker whose wake-ups can be waited for.
    fn worker<Q: Send + 'static, A: Send + 'static>(
        work: impl FnMut(Q, &Desk<'_, Q, A>) -> Result<()> + Send + 'static,
    ) -> (Worker<Q, A>, Receiver<()>) {
        let (sender, receiver) = channel();
        let sender = Mutex::new(sender);
        let wake: Wake = Arc::new(move |_| {
            let _ = sender.lock().unwrap().send(());
        });
        (Worker::spawn("test", wake, work).unwrap(), receiver)
    }

    #[test]
    fn the_newest_request_wins_and_an_older_one_is_given_up() {
        let (started, has_started) = channel();
        let (worker, news) = worker(move |request: u32, desk: &Desk<'_, u32, u32>| {
            if request == 1 {
                started.send(()).unwrap();
                while desk.tell(Progress { done: 0, total: 1 }).is_continue() {
                    std::thread::yield_now();
                }
                desk.publish(1);
                return Err(Error::Cancelled);
            }
            desk.publish(request);
            Ok(())
        });
        worker.request(1);
        has_started.recv_timeout(SOON).unwrap();
        worker.request(2);
        while worker.status() != Status::Done {
            news.recv_timeout(SOON).unwrap();
        }
        assert_eq!((worker.take(), worker.take(), worker.requests()), (Some(2), None, 2));
    }

    #[test]
    fn a_panic_and_an_error_end_the_request_and_not_the_worker() {
        let (worker, news) = worker(|request: u32, desk: &Desk<'_, u32, u32>| match request {
            0 => panic!("a defect"),
            1 => Err(Error::setting("one", "is wrong", "mend it")),
            other => {
                desk.publish(other);
                Ok(())
            }
        });
        let ask = |request| {
            worker.request(request);
            news.recv_timeout(SOON).unwrap();
            while matches!(worker.status(), Status::Working(_)) {
                news.recv_timeout(SOON).unwrap();
            }
            worker.status()
        };
        assert!(matches!(ask(0), Status::Failed(text) if text.contains("defect")));
        assert_eq!(ask(1), Status::Failed("one: is wrong; mend it.".to_owned()));
        assert_eq!((ask(2), worker.take()), (Status::Done, Some(2)));
    }
}
