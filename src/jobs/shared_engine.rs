//! One engine for several jobs: what a person waits for goes before what fills the background.

use super::ModelSet;
use crate::engine::{self, Block, Engine};
use crate::error::Result;
use crate::uncertainty::StatisticsGrid;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// An engine that threads take turns with, a block of work each.
pub struct SharedEngine {
    engine: Mutex<Box<dyn Engine>>,
    name: &'static str,
    /// How many wait for it in the foreground.
    waiting: Mutex<usize>,
    nobody_waits: Condvar,
}

/// A thread's access to a shared engine: an engine itself.
#[derive(Clone)]
pub struct Turn {
    shared: Arc<SharedEngine>,
    foreground: bool,
}

impl SharedEngine {
    /// Opens the engine of that name.
    ///
    /// # Errors
    /// As [`engine::open`].
    pub fn open(name: &str, set: &ModelSet) -> Result<Arc<Self>> {
        let engine = engine::open(name, Arc::clone(&set.models))?;
        Ok(Arc::new(Self { name: engine.name(), engine: Mutex::new(engine), waiting: Mutex::new(0), nobody_waits: Condvar::new() }))
    }

    /// The engine's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// For what a person waits for: each block of work comes as soon as the one at hand is done.
    pub fn foreground(self: &Arc<Self>) -> Turn {
        Turn { shared: Arc::clone(self), foreground: true }
    }

    /// For what may take its time: each block of work waits until nobody waits in the foreground.
    pub fn background(self: &Arc<Self>) -> Turn {
        Turn { shared: Arc::clone(self), foreground: false }
    }
}

impl Turn {
    fn with<T>(&self, work: impl FnOnce(&mut dyn Engine) -> T) -> T {
        let SharedEngine { engine, waiting, nobody_waits, .. } = &*self.shared;
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
        work(engine.as_mut())
    }
}

impl Engine for Turn {
    fn name(&self) -> &'static str {
        self.shared.name
    }

    fn statistics(&mut self, block: &Block<'_>) -> Result<StatisticsGrid> {
        self.with(|engine| engine.statistics(block))
    }

    fn decode(&mut self, z: &[f64]) -> Result<Vec<f32>> {
        self.with(|engine| engine.decode(z))
    }

    fn probabilities(&mut self, block: &Block<'_>) -> Result<Vec<f64>> {
        self.with(|engine| engine.probabilities(block))
    }
}
