//! What is made of the encodings once per set of models, off the window's thread: their density and their neighbours.

use crate::app::state::scope::Scope;
use crate::error::Result;
use crate::jobs::{ModelSet, Wake, Worker};
use crate::latent::Surroundings;
use std::sync::Arc;

/// Makes them, and puts them where every panel sees them.
pub struct Encoded {
    worker: Worker<Arc<ModelSet>, Arc<Surroundings>>,
    of: Option<Arc<ModelSet>>,
}

impl Encoded {
    /// Starts the worker, which wakes the window.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn new(wake: &Wake) -> Result<Self> {
        let worker = Worker::spawn("encodings", Arc::clone(wake), |set: Arc<ModelSet>, desk| {
            if let Some(encodings) = &set.encodings {
                desk.publish(Arc::new(Surroundings::new(&encodings.train)));
            }
            Ok(())
        })?;
        Ok(Self { worker, of: None })
    }

    /// Takes what has been made, and asks anew where the models are others.
    pub fn logic(&mut self, scope: &mut Scope) {
        if self.of.as_ref().is_none_or(|set| !Arc::ptr_eq(set, &scope.set)) {
            scope.surroundings = None;
            self.worker.request(Arc::clone(&scope.set));
            self.of = Some(Arc::clone(&scope.set));
        } else if let Some(made) = self.worker.take() {
            scope.surroundings = Some(made);
        }
    }
}
