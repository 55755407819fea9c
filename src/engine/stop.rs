//! Cancels a block of work before its end.

use crate::error::{Error, Result};
use std::sync::Arc;

/// Tells an engine to stop in the middle of a block. The default never does.
#[derive(Clone, Default)]
pub struct Stop(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Stop {
    /// Stops when `is_set` returns true. Engines call it often, from several threads.
    pub fn when(is_set: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(is_set)))
    }

    /// Whether the work was cancelled.
    pub fn is_set(&self) -> bool {
        self.0.as_ref().is_some_and(|is_set| is_set())
    }

    /// Returns an error where the work was cancelled.
    ///
    /// # Errors
    /// [`Error::Cancelled`] then.
    pub fn check(&self) -> Result<()> {
        if self.is_set() { Err(Error::Cancelled) } else { Ok(()) }
    }
}
