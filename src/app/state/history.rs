//! Undo and redo of sessions with their models. What happens while the pointer is held down, or within one burst of keys, is one step.

use crate::app::state::scope::Scope;
use crate::app::state::session::Session;
use crate::jobs::{ModelSet, SharedEngine};
use std::sync::Arc;

/// The most steps that are kept.
const MOST: usize = 200;
/// The most changes of the models that can be undone: each keeps its models in memory.
const MOST_MODELS: usize = 2;

/// A session with the models that it is about.
#[derive(Clone)]
pub struct Moment {
    /// The session.
    pub session: Session,
    /// Its models.
    pub set: Arc<ModelSet>,
    /// An engine for these models.
    pub engine: Arc<SharedEngine>,
}

impl Moment {
    fn of(scope: &Scope) -> Self {
        Self { session: scope.session.clone(), set: Arc::clone(&scope.set), engine: Arc::clone(&scope.engine) }
    }
}

/// The moments before and after the present one.
#[derive(Default)]
pub struct History {
    past: Vec<Moment>,
    future: Vec<Moment>,
    /// The last moment of rest.
    rested: Option<Moment>,
}

impl History {
    /// Looks at the session at the end of a frame. `busy` says that a gesture is still going on, so that the step is not over.
    pub fn observe(&mut self, scope: &Scope, busy: bool) {
        let Some(rested) = &self.rested else {
            self.rested = Some(Moment::of(scope));
            return;
        };
        if busy || rested.session == scope.session {
            return;
        }
        self.past.extend(self.rested.replace(Moment::of(scope)));
        if self.past.len() > MOST {
            self.past.remove(0);
        }
        let (mut newest, mut changes) = (&scope.set, 0);
        let kept = self.past.iter().rev().take_while(|moment| {
            changes += usize::from(!Arc::ptr_eq(&moment.set, newest));
            newest = &moment.set;
            changes <= MOST_MODELS
        });
        let forgotten = self.past.len() - kept.count();
        self.past.drain(..forgotten);
        self.future.clear();
    }

    /// Whether there is something to undo.
    pub fn can_undo(&self) -> bool {
        !self.past.is_empty()
    }

    /// Whether there is something to redo.
    pub fn can_redo(&self) -> bool {
        !self.future.is_empty()
    }

    /// Goes one step back. Returns the moment to show, if there is one.
    pub fn undo(&mut self, scope: &Scope) -> Option<Moment> {
        let moment = self.past.pop()?;
        self.future.push(Moment::of(scope));
        self.rested = Some(moment.clone());
        Some(moment)
    }

    /// Goes one step forward. Returns the moment to show, if there is one.
    pub fn redo(&mut self, scope: &Scope) -> Option<Moment> {
        let moment = self.future.pop()?;
        self.past.push(Moment::of(scope));
        self.rested = Some(moment.clone());
        Some(moment)
    }

    /// Forgets everything: models were deleted.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        let set = Arc::new(ModelSet::shipped().unwrap());
        let engine = SharedEngine::open("cpu", &set).unwrap();
        Scope::new(Session::new(&set), set, engine)
    }

    #[test]
    fn a_drag_is_one_step_and_undo_brings_the_state_back_exactly() {
        let mut scope = scope();
        let first = scope.session.clone();
        let mut history = History::default();
        history.observe(&scope, false);
        for step in 1..20 {
            scope.session.line.ends[0] = [f64::from(step), 0.0];
            history.observe(&scope, step < 19);
        }
        let dragged = scope.session.clone();
        scope.session.seed = 7;
        history.observe(&scope, false);
        scope.session = history.undo(&scope).unwrap().session;
        assert_eq!(scope.session, dragged);
        scope.session = history.undo(&scope).unwrap().session;
        assert_eq!(scope.session, first);
        assert!(!history.can_undo() && history.can_redo());
        scope.session = history.redo(&scope).unwrap().session;
        assert_eq!(scope.session, dragged);
        scope.session.seed = 9;
        history.observe(&scope, false);
        assert!(!history.can_redo(), "a new step forgets what was undone");
    }

    #[test]
    fn undo_returns_former_models_but_keeps_few_of_them() {
        let mut scope = scope();
        let mut history = History::default();
        let mut sets = Vec::new();
        for seed in 0..4 {
            scope.session.seed = seed;
            scope.set = Arc::new(ModelSet::clone(&scope.set));
            sets.push(Arc::clone(&scope.set));
            history.observe(&scope, false);
        }
        for expected in [2, 1] {
            let moment = history.undo(&scope).unwrap();
            assert!(Arc::ptr_eq(&moment.set, &sets[expected]) && moment.session.seed == expected as u32);
            (scope.session, scope.set) = (moment.session, moment.set);
        }
        assert!(!history.can_undo(), "the first models are not kept");
    }
}
