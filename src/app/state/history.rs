//! Undo and redo of sessions. What happens while the pointer is held down, or within one burst of keys, is one step.

use crate::app::state::session::Session;

/// The most steps that are kept.
const MOST: usize = 200;

/// The sessions before and after the present one.
#[derive(Default)]
pub struct History {
    past: Vec<Session>,
    future: Vec<Session>,
    /// The session at the last moment of rest.
    rested: Option<Session>,
}

impl History {
    /// Looks at the session at the end of a frame. `busy` says that a gesture is still going on, so that the step is not over.
    pub fn observe(&mut self, session: &Session, busy: bool) {
        let Some(rested) = &self.rested else {
            self.rested = Some(session.clone());
            return;
        };
        if busy || rested == session {
            return;
        }
        self.past.extend(self.rested.replace(session.clone()));
        if self.past.len() > MOST {
            self.past.remove(0);
        }
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

    /// Goes one step back.
    pub fn undo(&mut self, session: &mut Session) {
        step(&mut self.past, &mut self.future, session);
        self.rested = Some(session.clone());
    }

    /// Goes one step forward.
    pub fn redo(&mut self, session: &mut Session) {
        step(&mut self.future, &mut self.past, session);
        self.rested = Some(session.clone());
    }

    /// Forgets everything: the models have changed.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

fn step(from: &mut Vec<Session>, to: &mut Vec<Session>, session: &mut Session) {
    if let Some(other) = from.pop() {
        to.push(std::mem::replace(session, other));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::ModelSet;

    #[test]
    fn a_drag_is_one_step_and_undo_brings_the_state_back_exactly() {
        let mut session = Session::new(&ModelSet::shipped().unwrap());
        let first = session.clone();
        let mut history = History::default();
        history.observe(&session, false);
        for step in 1..20 {
            session.line.ends[0] = [f64::from(step), 0.0];
            history.observe(&session, step < 19);
        }
        let dragged = session.clone();
        session.seed = 7;
        history.observe(&session, false);
        history.undo(&mut session);
        assert_eq!(session, dragged);
        history.undo(&mut session);
        assert_eq!(session, first);
        assert!(!history.can_undo() && history.can_redo());
        history.redo(&mut session);
        assert_eq!(session, dragged);
        session.seed = 9;
        history.observe(&session, false);
        assert!(!history.can_redo(), "a new step forgets what was undone");
    }
}
