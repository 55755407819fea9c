//! Which session and which models the window shows: at its start, when a file is opened, and when models are added, exchanged or deleted.

use super::session::Session;
use super::storage::{Opened, Storage};
use super::window::Window;
use crate::data::DataIdentity;
use crate::error::{Error, Result};
use crate::jobs::{Additions, ModelSet, RecoveredModels, SharedEngine, renumbered};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl Window {
    /// Takes the preferences of former starts. What cannot be read is said, kept beside, and replaced by the usual ones.
    pub(super) fn restore_preferences(&mut self) {
        match self.storage.preferences() {
            Ok(preferences) => self.preferences = preferences,
            Err(error) => {
                let aside = whereabouts(self.storage.set_preferences_aside());
                self.said.complaints.push(format!("{error} {aside} The preferences are the usual ones."));
            }
        }
    }

    /// Goes on where the last session ended. What cannot be read is said, kept beside, and replaced by a new session.
    pub(super) fn restore(&mut self) {
        let (models, additions) = (self.scope.session.models.clone(), self.scope.session.additions.clone());
        let restored = self.storage.last_session().and_then(|last| match last {
            // Who names other models wants a new session.
            Some(last)
                if models.is_none() && additions.is_empty() || last.session.models == models && last.session.additions == additions =>
            {
                self.adopt(last)
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

    /// Takes a session over, with its models where these are others; returns what of it had to be left out, a sentence each.
    fn adopt(&mut self, opened: Opened) -> Result<Vec<String>> {
        let Opened { mut session, data } = opened;
        let (mut missing, mut told) = (Vec::new(), session.missing_files());
        let models = |session: &Session| (session.models.clone(), session.additions.clone());
        let (set, recovered) = if models(&session) == models(&self.scope.session) {
            (Arc::clone(&self.scope.set), None)
        } else {
            let recovered = RecoveredModels::open(session.models.as_deref(), &session.additions)?;
            missing.extend(recovered.missing.iter().map(|error| format!("{error} The session goes on without it.")));
            (session.models, session.additions) = (recovered.folder.clone(), recovered.additions.clone());
            (Arc::new(recovered.set.clone()), Some(recovered))
        };
        if session.hashes != set.hashes {
            let (now, before) = (set.ensemble().members().len(), session.hashes.len().checked_sub(1));
            session.renumber_members(|member| match &recovered {
                Some(recovered) => recovered.number_of(member, before),
                None => Some(member).filter(|member| *member < now),
            });
            if missing.is_empty() && !session.hashes.is_empty() {
                let gone: Vec<&str> = session.hashes.keys().filter(|name| !set.hashes.contains_key(*name)).map(String::as_str).collect();
                told.push(if gone.is_empty() {
                    "The models are not those that this session was made with: its picture will differ.".to_owned()
                } else {
                    format!("Models of this session are gone ({}): its picture will differ.", gone.join(", "))
                });
            }
            missing.extend(session.fit_to(&set));
        }
        self.take_over(set, session, data)?;
        self.said.complaints.extend(told);
        Ok(missing)
    }

    /// Shows a session with these models. `data` are the images that it was made with, where they are known.
    pub(super) fn take_over(&mut self, set: Arc<ModelSet>, session: Session, data: Option<DataIdentity>) -> Result<()> {
        session.check(&set)?;
        let is_other = !Arc::ptr_eq(&set, &self.scope.set);
        if is_other || session.engine != self.scope.engine.asked() {
            self.scope.engine = SharedEngine::open(&session.engine, &set)?;
        }
        let kind = |set: &ModelSet| (set.ensemble().image_shape().to_vec(), set.ensemble().classes().to_vec());
        if kind(&set) != kind(&self.scope.set) {
            (self.scope.data, self.scope.data_identity) = (None, None);
            self.data.request(Arc::clone(&set));
        }
        self.scope.session = Session { hashes: set.hashes.clone(), ..session };
        self.scope.set = set;
        if is_other {
            self.scope.live = None;
            self.asked = None;
            self.history.clear();
        }
        self.opened = Some(Opened { session: self.scope.session.clone(), data });
        self.compare_data();
        Ok(())
    }

    /// The same session with other models or additions; members that are not there any more are left out of the maps.
    pub(super) fn change_models(&mut self, models: Option<PathBuf>, additions: Additions) -> Result<()> {
        let set = Arc::new(ModelSet::open_with(models.as_deref(), &additions)?);
        let mut session = Session { models, additions, hashes: BTreeMap::new(), ..self.scope.session.clone() };
        let before = self.scope.set.ensemble().members().len();
        let numbers = renumbered(&self.scope.set, &set);
        session.renumber_members(|member| numbers.get(member).copied().flatten());
        let lost = session.fit_to(&set);
        self.take_over(set, session, None)?;
        self.said.complaints.extend(lost);
        let members = self.scope.set.ensemble().members();
        self.said.note = match members.last() {
            Some(last) if members.len() > before => format!("{} is now member {} of the ensemble.", last.name, members.len() - 1),
            _ => "The models are others now.".to_owned(),
        };
        Ok(())
    }

    /// Stops using the models in a folder, which are about to be deleted.
    pub(super) fn release(&mut self, folder: &Path) -> Result<()> {
        let (models, additions) = (&self.scope.session.models, &self.scope.session.additions);
        let stays = |path: &PathBuf| !path.starts_with(folder);
        let left = Additions {
            vae: additions.vae.clone().filter(stays),
            members: additions.members.iter().filter(|path| stays(path)).cloned().collect(),
        };
        let left_models = models.clone().filter(stays);
        if left == *additions && left_models == *models { Ok(()) } else { self.change_models(left_models, left) }
    }

    /// Opens a session file or an exported figure.
    pub(super) fn open_session(&mut self, path: &Path) -> Result<()> {
        let opened = Storage::open(path)?;
        let missing =
            self.adopt(opened).map_err(|error| Error::file(path, error.to_string().trim_end_matches('.'), "nothing was changed"))?;
        self.said.complaints.extend(missing);
        Ok(())
    }
}

/// Where a file was put that could not be used, or not as a whole.
fn whereabouts(path: Option<PathBuf>) -> String {
    path.map_or("The former file could not be set aside.".to_owned(), |path| {
        format!("The former file was set aside as {}.", path.display())
    })
}
