//! Whether a block of work is still wanted.

use crate::error::{Error, Result};
use std::sync::Arc;

/// Tells an engine, in the middle of a block, that nobody wants it any more. By default somebody always does.
#[derive(Clone, Default)]
pub struct Stop(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Stop {
    /// One that is set when `is_set` says so; engines ask that often, from several threads.
    pub fn when(is_set: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(is_set)))
    }

    /// Whether nobody wants the work any more.
    pub fn is_set(&self) -> bool {
        self.0.as_ref().is_some_and(|is_set| is_set())
    }

    /// Ends the work where nobody wants it any more.
    ///
    /// # Errors
    /// [`Error::Cancelled`] then.
    pub fn check(&self) -> Result<()> {
        if self.is_set() { Err(Error::Cancelled) } else { Ok(()) }
    }
}
