//! Engines that hand their calls on to another, and do something on the way.

use super::{Block, Engine, Profile};
use crate::error::Result;
use crate::uncertainty::StatisticsGrid;

/// What such an engine does with a call; the rest of an [`Engine`] follows.
pub trait Relay: Send {
    /// As [`Engine::name`].
    fn name(&self) -> &'static str;

    /// As [`Engine::points_per_block`].
    fn points_per_block(&self) -> usize;

    /// As [`Engine::notice`].
    fn notice(&self) -> Option<String>;

    /// Makes a call on the engine behind; again, where need be.
    ///
    /// # Errors
    /// As the call.
    fn with<T>(&mut self, call: impl Fn(&mut dyn Engine) -> Result<T>) -> Result<T>;
}

impl<R: Relay> Engine for R {
    fn name(&self) -> &'static str {
        Relay::name(self)
    }

    fn points_per_block(&self) -> usize {
        Relay::points_per_block(self)
    }

    fn notice(&self) -> Option<String> {
        Relay::notice(self)
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

    fn profile(&mut self, block: &Block<'_>) -> Result<Option<Profile>> {
        self.with(|engine| engine.profile(block))
    }
}
