//! Which session and which models the window shows: at its start, when a file is opened, and when models are added, exchanged or deleted.

use crate::app::shell::reading::{AtHand, FittedSession, How, Ready, read, read_session};
use crate::app::shell::window::Window;
use crate::app::state::event::Opening;
use crate::app::state::session::{Pin, Session};
use crate::app::state::storage::Opened;
use crate::data::DataIdentity;
use crate::error::Result;
use crate::jobs::{Additions, ModelSet, SharedEngine, Status, renumbered};
use eframe::egui::Context;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Openings that take less time are not shown.
const SUDDEN: Duration = Duration::from_millis(150);

impl Window {
    /// Takes the preferences of former starts. What cannot be read is said, kept beside, and replaced by the usual ones.
    pub(in crate::app) fn restore_preferences(&mut self) {
        match self.storage.preferences() {
            Ok(preferences) => self.preferences = preferences,
            Err(error) => {
                let aside = whereabouts(self.storage.set_preferences_aside());
                self.said.complaints.push(format!("{error} {aside} The preferences are the usual ones."));
            }
        }
    }

    /// Goes on where the last session ended. What cannot be read is said, kept beside, and replaced by a new session.
    pub(in crate::app) fn restore(&mut self) {
        let at_hand = self.at_hand();
        let (models, additions) = (&at_hand.models, &at_hand.additions);
        let restored = self.storage.last_session().and_then(|last| match last {
            // Who names other models wants a new session.
            Some(last)
                if models.is_none() && additions.is_empty() || last.session.models == *models && last.session.additions == *additions =>
            {
                let ready = read_session(last, &at_hand)?;
                self.take_over_what_was_read(ready)
            }
            _ => Ok(Vec::new()),
        });
        let complaint = match restored {
            Ok(missing) if missing.is_empty() => return,
            Ok(missing) => missing.join(" "),
            Err(error) => format!("{error} This is a new session."),
        };
        let aside = whereabouts(self.storage.set_session_aside());
        self.said.complaints.push(format!("{complaint} {aside}"));
    }

    fn at_hand(&self) -> AtHand {
        let Session { models, additions, .. } = self.scope.session.clone();
        AtHand { set: Arc::clone(&self.scope.set), engine: Arc::clone(&self.scope.engine), models, additions }
    }

    /// Opens something without a worker, before the window is shown.
    pub(in crate::app) fn open_now(&mut self, opening: Opening) -> Result<()> {
        let ready = read(opening, &self.at_hand())?;
        let missing = self.take_over_what_was_read(ready)?;
        self.said.complaints.extend(missing);
        Ok(())
    }

    /// Takes over what was read and requests the next, which starts from the models that this one has left.
    pub(in crate::app) fn open_what_is_wanted(&mut self, ctx: &Context) {
        if let Some(ready) = self.reader.take() {
            self.openings.pop_front();
            self.reader.cancel();
            match self.take_over_what_was_read(ready) {
                Ok(missing) => self.said.complaints.extend(missing),
                Err(error) => self.said.complaints.push(error.to_string()),
            }
        }
        match self.reader.status() {
            Status::Working(_) => return ctx.request_repaint_after(SUDDEN),
            Status::Failed(sentence) => {
                self.said.complaints.push(sentence);
                self.give_up_opening();
            }
            Status::Idle | Status::Done => {}
        }
        let engine = &self.scope.session.engine;
        if self.openings.is_empty() && engine != self.scope.engine.asked() {
            self.openings.push_back(Opening::Engine(engine.clone()));
        }
        if let Some(opening) = self.openings.front() {
            self.since_opening = Instant::now();
            self.reader.request((opening.clone(), self.at_hand()));
        }
    }

    /// What is being opened, once it takes long enough to be shown.
    pub(in crate::app) fn is_opening(&self) -> Option<&Opening> {
        self.openings.front().filter(|_| self.since_opening.elapsed() >= SUDDEN)
    }

    /// Cancels what is being opened.
    pub(in crate::app) fn give_up_opening(&mut self) {
        self.reader.cancel();
        if let Some(Opening::Engine(_)) = self.openings.pop_front() {
            self.scope.engine.asked().clone_into(&mut self.scope.session.engine);
        }
    }

    /// Takes over what was read. Returns what a session lost, a sentence each.
    fn take_over_what_was_read(&mut self, ready: Ready) -> Result<Vec<String>> {
        let Ready { models, additions, set, engine, how } = ready;
        match how {
            How::New => {
                let session = Session { models, additions, engine: engine.asked().to_owned(), ..Session::new(&set) };
                self.take_over(set, engine, session, None)?;
            }
            How::Kept { delete } => {
                if (&models, &additions) != (&self.scope.session.models, &self.scope.session.additions) {
                    self.exchange_models((models, additions), set, engine)?;
                }
                if let (Some(folder), Some(library)) = (delete, self.scope.sources.library.clone()) {
                    self.library.delete(library, folder);
                }
            }
            How::Session(fitted) => {
                let FittedSession { session, data, told, missing } = *fitted;
                self.take_over(set, engine, session, data)?;
                self.said.complaints.extend(told);
                return Ok(missing);
            }
            How::Engine => {
                self.scope.engine = engine;
                self.asked = None;
            }
            How::Pin(path) => {
                // The free one, or A.
                let pins = &mut self.scope.session.pins;
                let which = usize::from(pins[0].is_some() && pins[1].is_none());
                pins[which] = Some(Pin::File(path));
            }
        }
        Ok(Vec::new())
    }

    /// Shows a session with these models. `data` are the images that it was made with, where they are known.
    fn take_over(&mut self, set: Arc<ModelSet>, engine: Arc<SharedEngine>, session: Session, data: Option<DataIdentity>) -> Result<()> {
        session.check(&set)?;
        let is_other = !Arc::ptr_eq(&set, &self.scope.set);
        let kind = |set: &ModelSet| (set.ensemble().image_shape().to_vec(), set.ensemble().classes().to_vec());
        // Models of another folder may be about other images of the same classes.
        let has_other_data = kind(&set) != kind(&self.scope.set) || session.models != self.scope.session.models;
        self.scope.session = Session { hashes: set.hashes.clone(), ..session };
        (self.scope.set, self.scope.engine) = (set, engine);
        if has_other_data {
            self.load_data(None);
        }
        if is_other {
            self.scope.results.live = None;
            self.asked = None;
            self.history.clear();
        }
        self.opened = Some(Opened { session: self.scope.session.clone(), data });
        self.compare_data();
        Ok(())
    }

    /// The same session with other models or additions; members that are not there any more are left out of the maps.
    fn exchange_models(
        &mut self,
        (models, additions): (Option<PathBuf>, Additions),
        set: Arc<ModelSet>,
        engine: Arc<SharedEngine>,
    ) -> Result<()> {
        let mut session = Session { models, additions, hashes: BTreeMap::new(), ..self.scope.session.clone() };
        let before = self.scope.set.ensemble().members().len();
        let numbers = renumbered(&self.scope.set, &set);
        session.renumber_members(|member| numbers.get(member).copied().flatten());
        let lost = session.fit_to(&set);
        self.take_over(set, engine, session, None)?;
        self.said.complaints.extend(lost);
        let members = self.scope.set.ensemble().members();
        self.said.note = match members.last() {
            Some(last) if members.len() > before => format!("{} is now member {} of the ensemble.", last.name, members.len() - 1),
            _ => "The models are others now.".to_owned(),
        };
        Ok(())
    }
}

/// Where a file was put that could not be used, or not as a whole.
fn whereabouts(path: Option<PathBuf>) -> String {
    path.map_or("The former file could not be set aside.".to_owned(), |path| {
        format!("The former file was set aside as {}.", path.display())
    })
}
