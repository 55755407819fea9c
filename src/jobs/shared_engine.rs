//! One engine for several jobs: what a person waits for goes before what fills the background.

use super::ModelSet;
use crate::engine::{self, Engine, EngineWrapper, Stop};
use crate::error::Result;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// An engine that threads take turns with, a block of work each.
pub struct SharedEngine {
    engine: Mutex<Box<dyn Engine>>,
    /// The name that it was opened by.
    asked: String,
    /// What it said of itself after the newest call: who asks for that must not wait for the block at hand.
    told: Mutex<Told>,
    /// How many wait for it in the foreground.
    waiting: Mutex<usize>,
    nobody_waits: Condvar,
}

#[derive(Clone)]
struct Told {
    name: &'static str,
    points_per_block: usize,
    notice: Option<String>,
}

impl Told {
    fn by(engine: &dyn Engine) -> Self {
        Self { name: engine.name(), points_per_block: engine.points_per_block(), notice: engine.notice() }
    }
}

/// A thread's access to a shared engine: an engine itself.
#[derive(Clone)]
pub struct Turn {
    shared: Arc<SharedEngine>,
    foreground: bool,
    stop: Stop,
}

impl Turn {
    /// The same, whose calls end soon after `stop` is set.
    #[must_use]
    pub fn until(self, stop: Stop) -> Self {
        Self { stop, ..self }
    }
}

impl SharedEngine {
    /// Opens the engine of that name.
    ///
    /// # Errors
    /// As [`engine::open`].
    pub fn open(name: &str, set: &ModelSet) -> Result<Arc<Self>> {
        Ok(Self::of(name, engine::open(name, Arc::clone(&set.models))?))
    }

    /// Shares an engine that is open already, by the name that it was asked for with.
    pub fn of(asked: &str, engine: Box<dyn Engine>) -> Arc<Self> {
        Arc::new(Self {
            asked: asked.to_owned(),
            told: Mutex::new(Told::by(engine.as_ref())),
            engine: Mutex::new(engine),
            waiting: Mutex::new(0),
            nobody_waits: Condvar::new(),
        })
    }

    /// The name that it was opened by, such as `auto`.
    pub fn asked(&self) -> &str {
        &self.asked
    }

    /// The name of the engine that computes. Nobody waits for a block of work to hear it.
    pub fn name(&self) -> &'static str {
        self.told().name
    }

    /// As [`Engine::notice`]. Nobody waits for a block of work to hear it.
    pub fn notice(&self) -> Option<String> {
        self.told().notice
    }

    fn told(&self) -> Told {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For what a person waits for: each block of work comes as soon as the one at hand is done.
    pub fn foreground(self: &Arc<Self>) -> Turn {
        Turn { shared: Arc::clone(self), foreground: true, stop: Stop::default() }
    }

    /// For what may take its time: each block of work waits until nobody waits in the foreground.
    pub fn background(self: &Arc<Self>) -> Turn {
        Turn { shared: Arc::clone(self), foreground: false, stop: Stop::default() }
    }
}

impl EngineWrapper for Turn {
    fn name(&self) -> &'static str {
        self.shared.name()
    }

    fn points_per_block(&self) -> usize {
        self.shared.told().points_per_block
    }

    fn notice(&self) -> Option<String> {
        self.shared.notice()
    }

    fn heed(&mut self, stop: &Stop) {
        self.stop = stop.clone();
    }

    fn with<T>(&mut self, call: impl Fn(&mut dyn Engine) -> Result<T>) -> Result<T> {
        let SharedEngine { engine, told, waiting, nobody_waits, .. } = &*self.shared;
        let mut waiters = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.foreground {
            *waiters += 1;
        } else {
            waiters = nobody_waits.wait_while(waiters, |waiters| *waiters > 0).unwrap_or_else(PoisonError::into_inner);
        }
        drop(waiters);
        let mut engine = engine.lock().unwrap_or_else(PoisonError::into_inner);
        if self.foreground {
            *waiting.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
            nobody_waits.notify_all();
        }
        engine.heed(&self.stop);
        let answer = call(engine.as_mut());
        *told.lock().unwrap_or_else(PoisonError::into_inner) = Told::by(engine.as_ref());
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_engine::{TestEngine, small_models};
    use crate::engine::{Block, cpu, fallback};
    use crate::error::Error;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn who_asks_for_the_notice_does_not_wait_for_the_engine() {
        const SOON: Duration = Duration::from_secs(20);
        let ((started, has_started), (go, may_go)) = (channel(), channel::<()>());
        let lost = move |_, _: Option<&mut Block<'_>>| {
            started.send(()).unwrap();
            may_go.recv().unwrap();
            Err(Error::Engine("it is lost".to_owned()))
        };
        let engine = fallback::open(|models| Ok(TestEngine::over(cpu::open(models)?, lost)), small_models()).unwrap();
        let shared = SharedEngine::of("auto", engine);
        let mut turn = shared.foreground();
        let call = std::thread::spawn(move || turn.decode(&[0.0, 1.0]).unwrap());
        has_started.recv_timeout(SOON).unwrap();
        let (asking, (answer, has_answered)) = (Arc::clone(&shared), channel());
        std::thread::spawn(move || {
            answer.send((asking.name(), asking.notice(), EngineWrapper::points_per_block(&asking.background()))).unwrap();
        });
        assert_eq!(has_answered.recv_timeout(SOON).unwrap(), ("test", None, 256), "the engine is at work meanwhile");
        go.send(()).unwrap();
        call.join().unwrap();
        assert_eq!((shared.asked(), shared.name(), shared.notice().as_deref()), ("auto", "cpu", Some("The CPU computes: it is lost.")));
    }
}
