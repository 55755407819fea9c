//! Engines that wrap another engine: they forward every call to it, and add something of their own.

use super::{Block, Engine, Profile, Stop};
use crate::error::Result;
use crate::uncertainty::{GroupSums, StatisticsGrid};

/// An engine around another one. [`Engine`] is implemented for every wrapper.
pub trait EngineWrapper: Send {
    /// As [`Engine::name`].
    fn name(&self) -> &'static str;

    /// As [`Engine::points_per_block`].
    fn points_per_block(&self) -> usize;

    /// As [`Engine::notice`].
    fn notice(&self) -> Option<String>;

    /// As [`Engine::heed`].
    fn heed(&mut self, stop: &Stop);

    /// Makes a call on the wrapped engine; again where that is needed.
    ///
    /// # Errors
    /// As the call.
    fn with<T>(&mut self, call: impl Fn(&mut dyn Engine) -> Result<T>) -> Result<T>;
}

impl<W: EngineWrapper> Engine for W {
    fn name(&self) -> &'static str {
        EngineWrapper::name(self)
    }

    fn points_per_block(&self) -> usize {
        EngineWrapper::points_per_block(self)
    }

    fn notice(&self) -> Option<String> {
        EngineWrapper::notice(self)
    }

    fn heed(&mut self, stop: &Stop) {
        EngineWrapper::heed(self, stop);
    }

    fn statistics(&mut self, block: &Block<'_>) -> Result<StatisticsGrid> {
        self.with(|engine| engine.statistics(block))
    }

    fn grouped_statistics(&mut self, block: &Block<'_>) -> Result<(StatisticsGrid, GroupSums)> {
        self.with(|engine| engine.grouped_statistics(block))
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
