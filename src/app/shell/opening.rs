//! Which session and which models the window shows: at its start, when a file is opened, and when models are added, exchanged or deleted.

use crate::app::shell::reading::{AtHand, FittedSession, How, Ready, read, read_session};
use crate::app::shell::window::Window;
use crate::app::state::event::Opening;
use crate::app::state::history::Moment;
use crate::app::state::repair::has_other_data;
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
            How::Models => {
                let mut session = Session { models, additions, engine: engine.asked().to_owned(), ..self.scope.session.clone() };
                let lost = session.move_to(&self.scope.set, &set);
                self.take_over(set, engine, session, None)?;
                self.said.complaints.extend(lost);
            }
            How::Unchanged(sentence) => self.said.toasts.say(sentence),
            How::Kept { delete } => {
                let is_other = (&models, &additions) != (&self.scope.session.models, &self.scope.session.additions);
                if is_other || set.hashes != self.scope.set.hashes {
                    self.exchange_models((models, additions), set, engine)?;
                }
                if let (Some(folder), Some(library)) = (delete, self.scope.sources.library.clone()) {
                    self.library.delete(library, folder);
                    // Undo must not bring back what is deleted.
                    self.history.clear();
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
                self.maps.asked = None;
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
        // Models of another folder may be about other images of the same classes.
        let has_other_data = has_other_data(&set, &self.scope.set) || session.models != self.scope.session.models;
        self.scope.session = Session { hashes: set.hashes.clone(), ..session };
        (self.scope.set, self.scope.engine) = (set, engine);
        if has_other_data {
            self.load_data(None);
        }
        if is_other {
            self.scope.results.live = None;
            self.maps.asked = None;
        }
        self.opened = Some(Opened { session: self.scope.session.clone(), data });
        self.compare_data();
        Ok(())
    }

    /// Shows a moment of the history, with its models where these are others.
    pub(in crate::app) fn go_to(&mut self, moment: Moment) -> Result<()> {
        let Moment { session, set, engine } = moment;
        if Arc::ptr_eq(&set, &self.scope.set) {
            self.scope.session = session;
            return Ok(());
        }
        self.take_over(set, engine, session, None)
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
        let said = match members.last() {
            Some(last) if members.len() > before => format!("{} is now member {} of the ensemble.", last.name, members.len() - 1),
            _ => "The models are others now.".to_owned(),
        };
        self.said.toasts.say(said);
        Ok(())
    }
}

/// Where a file was put that could not be used, or not as a whole.
fn whereabouts(path: Option<PathBuf>) -> String {
    path.map_or("The former file could not be set aside.".to_owned(), |path| {
        format!("The former file was set aside as {}.", path.display())
    })
}

#[cfg(test)]
mod tests {
    use crate::app::state::event::{Event, Opening};
    use crate::app::state::session::Pin;
    use crate::app::tests::{harness, scope, until, wait};
    use eframe::egui::{Key, Modifiers};
    use egui_kittest::kittest::Queryable as _;
    use std::path::Path;
    use std::sync::Arc;

    /// Copies a shipped model.
    fn copy(name: &str, to: &Path) {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name);
        std::fs::create_dir(to).unwrap();
        for file in ["model.json", "weights.safetensors"] {
            std::fs::copy(from.join(file), to.join(file)).unwrap();
        }
    }

    #[test]
    fn other_models_keep_what_fits_them_and_undo_brings_the_former_back() {
        let mut harness = harness([1280.0, 800.0]);
        let session = &mut harness.state_mut().0.scope.session;
        (session.centre, session.width, session.seed) = ([1.0, -2.0], 5.0, 9);
        session.pins = [Some(Pin::Latent([1.5, -2.5])), Some(Pin::Data(3))];
        session.panes[0].members = vec![2, 4];
        session.training.name = "mine".to_owned();
        harness.run_steps(3);
        let (before, set) = (scope(&harness).session.clone(), Arc::clone(&scope(&harness).set));
        let home = tempfile::tempdir().unwrap();
        for name in ["vae", "classifier-1", "classifier-2"] {
            copy(name, &home.path().join(name));
        }
        let folder = home.path().to_owned();
        harness.state_mut().0.scope.ask(Event::Open(Opening::Models(Some(folder.clone()))));
        wait(&mut harness, "the models", |scope| scope.session.models.is_some());
        harness.run_steps(3);
        let opened = &scope(&harness).session;
        assert_eq!((opened.centre, opened.width, opened.grid, opened.samples), (before.centre, before.width, before.grid, before.samples));
        assert_eq!((opened.seed, &opened.training), (before.seed, &before.training));
        assert_eq!(opened.pins, before.pins);
        assert_eq!((&opened.panes[0].members[..], &opened.panes[2].members[..]), (&[0][..], &[0, 1][..]), "all of ten are all of two");
        opened.check(&scope(&harness).set).unwrap();

        harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
        harness.run_steps(3);
        assert_eq!(scope(&harness).session, before);
        assert!(Arc::ptr_eq(&scope(&harness).set, &set), "the former models are at hand without reading them");
        harness.key_press_modifiers(Modifiers::COMMAND, Key::Y);
        harness.run_steps(3);
        assert_eq!(scope(&harness).session.models.as_deref(), Some(folder.as_path()));
    }

    #[test]
    fn a_model_that_is_added_twice_is_named_as_a_member_already() {
        let mut harness = harness([1280.0, 800.0]);
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("mine");
        copy("classifier-1", &folder);
        for count in [11, 11] {
            harness.state_mut().0.scope.ask(Event::Open(Opening::Members(folder.clone())));
            wait(&mut harness, "the member", |scope| scope.set.ensemble().members().len() == count);
        }
        until(&mut harness, "the toast", |harness| harness.query_by_label("mine is a member of the ensemble already.").is_some());
        assert_eq!(scope(&harness).session.additions.members.len(), 1);
    }
}
