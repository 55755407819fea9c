//! What is made of the encodings once per set of models, off the window's thread: their density and their neighbours.

use super::scope::Scope;
use crate::error::Result;
use crate::jobs::{ModelSet, Wake, Worker};
use crate::latent::{Density, Nearest};
use std::sync::Arc;

/// One of the two, as soon as it is made.
enum Made {
    Nearest(Arc<Nearest>),
    Both(Arc<Nearest>, Arc<Density>),
}

/// Makes them, and puts them where every panel sees them.
pub struct Encoded {
    worker: Worker<Arc<ModelSet>, Made>,
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
                let nearest = Arc::new(Nearest::new(&encodings.train));
                desk.publish(Made::Nearest(Arc::clone(&nearest)));
                desk.publish(Made::Both(nearest, Arc::new(Density::new(&encodings.train))));
            }
            Ok(())
        })?;
        Ok(Self { worker, of: None })
    }

    /// Takes what has been made, and asks anew where the models are others.
    pub fn logic(&mut self, scope: &mut Scope) {
        if self.of.as_ref().is_none_or(|set| !Arc::ptr_eq(set, &scope.set)) {
            (scope.density, scope.nearest) = (None, None);
            self.worker.request(Arc::clone(&scope.set));
            self.of = Some(Arc::clone(&scope.set));
            return;
        }
        match self.worker.take() {
            Some(Made::Nearest(nearest)) => scope.nearest = Some(nearest),
            Some(Made::Both(nearest, density)) => (scope.nearest, scope.density) = (Some(nearest), Some(density)),
            None => {}
        }
    }
}
