//! The window's state, and one frame of it.

use crate::app::panels::panel::{Panel, Place};
use crate::app::panels::panels;
use crate::app::shell::dialogs::Dialogs;
use crate::app::shell::encoded::Encoded;
use crate::app::shell::library::Library;
use crate::app::shell::reading::{self, AtHand, Ready, absolute};
use crate::app::shell::run::Start;
use crate::app::shell::{keys, menu, status, tabs, toolbar};
use crate::app::state::event::{Event, Opening};
use crate::app::state::history::History;
use crate::app::state::scope::{Scope, Sources};
use crate::app::state::session::Session;
use crate::app::state::storage::{Opened, Preferences, Storage};
use crate::app::widgets::style;
use crate::data::{DataIdentity, Dataset, SHIPPED_DIGITS};
use crate::error::Result;
use crate::jobs::{LiveMap, MapSettings, ModelSet, SharedEngine, Status, Urgency, Wake, Worker, fill};
use crate::nets::Ensemble;
use eframe::egui::{CentralPanel, Context, Panel as Side, ScrollArea, Ui, vec2};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the map's worker is asked for.
type MapRequest = (Arc<ModelSet>, Arc<SharedEngine>, MapSettings, Session);
/// Loads the images that ends and pins are chosen from: those that the classifiers are about.
pub type LoadData = Arc<dyn Fn(&Ensemble) -> Result<Dataset> + Send + Sync>;

/// A view that is being moved asks for a new map at most so often.
const UNHURRIED: Duration = Duration::from_millis(80);

/// The window: everything that outlives a frame.
pub struct Window {
    /// What panels see.
    pub(in crate::app) scope: Scope,
    pub(in crate::app) panels: Vec<Box<dyn Panel>>,
    pub(in crate::app) preferences: Preferences,
    pub(in crate::app) history: History,
    dialogs: Dialogs,
    pub(in crate::app) storage: Storage,
    maps: Worker<MapRequest, Arc<LiveMap>>,
    pub(in crate::app) asked: Option<(MapSettings, Instant)>,
    pub(in crate::app) data: Worker<Arc<ModelSet>, (Arc<Dataset>, Option<DataIdentity>)>,
    encoded: Encoded,
    pub(in crate::app) library: Library,
    /// What is to be opened; the first of them is being read.
    pub(in crate::app) openings: VecDeque<Opening>,
    pub(in crate::app) reader: Worker<(Opening, AtHand), Ready>,
    pub(in crate::app) since_opening: Instant,
    /// The session that was opened, until its images have been compared with those at hand.
    pub(in crate::app) opened: Option<Opened>,
    /// When the map at hand was asked for, for the status line.
    since: Instant,
    pub(in crate::app) said: Said,
}

/// What the status line and the bar of complaints say.
#[derive(Default)]
pub(in crate::app) struct Said {
    pub note: String,
    pub complaints: Vec<String>,
}

impl Window {
    /// A window over a set of models; it goes on with the last session where the storage has one that fits.
    ///
    /// # Errors
    /// When the engine or a thread cannot be started, or the session file that was named cannot be used.
    pub fn open(ctx: &Context, start: Start) -> Result<Self> {
        let Start {
            set,
            folder,
            additions,
            engine,
            session,
            storage,
            load,
            load_named,
            attack_cache,
            load_training,
            estimate_training,
            library,
            cats_dogs,
        } = start;
        style::install(ctx);
        let waker = ctx.clone();
        let wake: Wake = Arc::new(move |urgency| match urgency {
            Urgency::Now => waker.request_repaint(),
            Urgency::Soon => waker.request_repaint_after(style::PROGRESS),
        });
        let maps = Worker::spawn("map", Arc::clone(&wake), |(set, engine, settings, session): MapRequest, desk| {
            let live = Arc::new(LiveMap::new(&set, &settings)?);
            live.look_at(looked_at(&session));
            desk.publish(Arc::clone(&live));
            fill(&live, &mut engine.background().until(desk.stop()), &mut |progress| desk.tell(progress))
        })?;
        let data = Worker::spawn("data", Arc::clone(&wake), move |set: Arc<ModelSet>, desk| {
            let data = Arc::new(load(set.ensemble())?);
            desk.publish((Arc::clone(&data), None));
            let identity = DataIdentity::of(&data);
            set.check_encoded(&data, || identity.sha256.clone())?;
            desk.publish((data, Some(identity)));
            Ok(())
        })?;
        let (set, folder) = (Arc::new(set), folder.map(absolute));
        data.request(Arc::clone(&set));
        let first = Session { models: folder, additions, engine: engine.clone(), ..Session::new(&set) };
        let engine = SharedEngine::open(&engine, &set)?;
        let mut window = Self {
            scope: Scope {
                sources: Sources { load_named, attack_cache, load_training, estimate_training, library, cats_dogs },
                events: vec![Event::LibraryChanged],
                ..Scope::new(first, set, engine)
            },
            panels: panels(&wake)?,
            preferences: Preferences::default(),
            history: History::default(),
            dialogs: Dialogs::new(&wake)?,
            storage,
            maps,
            asked: None,
            data,
            encoded: Encoded::new(&wake)?,
            library: Library::new(&wake)?,
            openings: VecDeque::new(),
            reader: reading::worker(&wake)?,
            since_opening: Instant::now(),
            opened: None,
            since: Instant::now(),
            said: Said::default(),
        };
        window.said.complaints.extend(window.storage.claim());
        window.restore_preferences();
        match session {
            Some(path) => window.open_now(Opening::Session(path))?,
            None => window.restore(),
        }
        style::apply(window.preferences.appearance, ctx);
        Ok(window)
    }

    /// Says, once both are known, whether a session was made with other images than those at hand.
    pub(in crate::app) fn compare_data(&mut self) {
        if let Some(at_hand) = &self.scope.data_identity
            && let Some(opened) = self.opened.take()
        {
            self.said.complaints.extend(opened.strange_data(at_hand));
        }
    }

    /// One frame: results in, panels, commands.
    pub fn frame(&mut self, ui: &mut Ui) {
        let ctx = ui.ctx().clone();
        self.logic(&ctx);
        keys::listen(&ctx, &mut self.scope);
        self.drops(&ctx);
        self.show(ui);
        self.dialogs.show(&ctx, &mut self.scope);
        self.library.show(&ctx, &mut self.scope);
        for event in std::mem::take(&mut self.scope.events) {
            if let Err(error) = self.handle(&ctx, event) {
                self.said.complaints.push(error.to_string());
            }
        }
        let busy = ctx.input(|input| input.pointer.any_down()) || ctx.text_edit_focused();
        self.history.observe(&self.scope.session, busy);
        self.scope.views.observe(&self.scope.session, busy);
        self.remember_size(&ctx);
        self.storage.keep(&self.scope.session, &self.preferences, self.scope.data_identity.as_ref());
    }

    /// A window that is neither tiny nor as large as the screen comes back in its size.
    fn remember_size(&mut self, ctx: &Context) {
        let (inner, special) = ctx.input(|input| {
            let viewport = input.viewport();
            let special = [viewport.maximized, viewport.fullscreen, viewport.minimized].contains(&Some(true));
            (viewport.inner_rect, special)
        });
        let size = inner.map_or(ctx.content_rect().size(), |rect| rect.size()) * ctx.zoom_factor();
        if !special && size.x >= 320.0 && size.y >= 240.0 {
            self.preferences.window = [size.x.round(), size.y.round()];
        }
    }

    fn logic(&mut self, ctx: &Context) {
        if let Some(live) = self.maps.take() {
            self.scope.results.live = Some(live);
        }
        self.scope.results.map_status = self.maps.status();
        if let Some((data, identity)) = self.data.take() {
            if data.name == SHIPPED_DIGITS {
                "MNIST is not on this machine: 1,000 of its 10,000 test images are used.".clone_into(&mut self.said.note);
            }
            self.scope.data = Some(data);
            self.scope.data_identity = identity;
            self.compare_data();
        }
        if let Status::Failed(sentence) = self.data.status() {
            self.said.complaints.push(sentence);
            self.data.cancel();
        }
        self.encoded.logic(&mut self.scope);
        self.library.logic(&mut self.scope);
        self.open_what_is_wanted(ctx);
        self.ask_for_map(ctx);
        if let Some(live) = &self.scope.results.live {
            live.look_at(looked_at(&self.scope.session));
        }
        self.scope.open_tab.clone_from(&self.preferences.tab);
        for panel in &mut self.panels {
            panel.logic(ctx, &mut self.scope);
        }
    }

    /// Asks for a new map where the settings have changed. While a view is moved, each map gets a moment for its coarse picture.
    fn ask_for_map(&mut self, ctx: &Context) {
        let settings = match self.scope.session.map_settings(&self.scope.set) {
            Ok(settings) => settings,
            Err(error) => return self.said.note = error.to_string(),
        };
        if let Some((asked, when)) = &self.asked {
            if *asked == settings {
                return;
            }
            let waited = when.elapsed();
            if waited < UNHURRIED {
                return ctx.request_repaint_after(UNHURRIED.saturating_sub(waited));
            }
            let same_but_the_view = MapSettings { view: settings.view, ..asked.clone() } == settings;
            self.scope.results.settings_changed = !same_but_the_view || asked.view.columns != settings.view.columns;
        }
        self.since = Instant::now();
        self.asked = Some((settings.clone(), self.since));
        self.maps.request((Arc::clone(&self.scope.set), Arc::clone(&self.scope.engine), settings, self.scope.session.clone()));
    }

    fn drops(&mut self, ctx: &Context) {
        for file in ctx.input(|input| input.raw.dropped_files.clone()) {
            self.scope.ask(Event::Open(Opening::File(file.path().to_owned())));
        }
    }

    fn show(&mut self, ui: &mut Ui) {
        self.scope.pointer.mark = None;
        let size = ui.available_size();
        menu::menu(ui, &mut self.scope, &mut self.preferences, &self.history, &mut self.library);
        status::complaints(ui, &mut self.said.complaints);
        if let Some(opening) = self.is_opening()
            && status::opening(ui, &opening.what())
        {
            self.give_up_opening();
        }
        toolbar::toolbar(ui, &mut self.scope);
        status::status(ui, &self.scope, &self.said.note, self.since.elapsed());
        let Self { panels, scope, preferences, .. } = self;
        // What does not fit is left out, the map last.
        if size.y >= 420.0 && panels.iter().any(|panel| panel.place() == Place::Tab) {
            Side::bottom("tabs").resizable(true).default_size(252.0).size_range(90.0..=size.y * 0.6).show(ui, |ui| {
                tabs::tabs(ui, panels, scope, preferences);
            });
        }
        if size.x >= 640.0 {
            Side::right("side").resizable(true).default_size(296.0).size_range(220.0..=size.x * 0.5).show(ui, |ui| {
                for panel in panels.iter_mut().filter(|panel| panel.place() == Place::Side) {
                    ScrollArea::vertical().id_salt(panel.name()).auto_shrink(false).show(ui, |ui| panel.ui(ui, scope));
                }
            });
        }
        CentralPanel::default().show(ui, |ui| {
            if ui.available_size().min_elem() < 40.0 {
                return;
            }
            toolbar::legend(ui, scope);
            for panel in panels.iter_mut().filter(|panel| panel.place() == Place::Centre) {
                panel.ui(ui, scope);
            }
        });
        tabs::hints(ui, preferences, vec2(size.x, size.y));
    }

    fn handle(&mut self, ctx: &Context, event: Event) -> Result<()> {
        match event {
            Event::Undo => self.history.undo(&mut self.scope.session),
            Event::Redo => self.history.redo(&mut self.scope.session),
            Event::Open(opening) => self.openings.push_back(opening),
            Event::SaveSession(path) => {
                Storage::save(&path, &self.scope.session, self.scope.data_identity.as_ref())?;
                self.said.note = format!("The session is saved in {}.", path.display());
            }
            Event::Export => self.dialogs.toggle_export(&mut self.scope),
            Event::Help => self.dialogs.toggle_help(),
            Event::Say(sentence) => self.said.note = sentence,
            Event::Complain(sentence) => self.said.complaints.push(sentence),
            Event::OpenPanel(name) => name.clone_into(&mut self.preferences.tab),
            Event::AskPath(wanted) => self.dialogs.ask_path(wanted),
            Event::LibraryChanged => {
                if let Some(folder) = &self.scope.sources.library {
                    self.library.read(folder.clone());
                }
            }
            Event::StartTraining | Event::ShowTraining(_) | Event::SaveFilm(_) => {
                for panel in &mut self.panels {
                    panel.event(&event, &mut self.scope);
                }
            }
            Event::Quit => ctx.send_viewport_cmd(eframe::egui::ViewportCommand::Close),
        }
        Ok(())
    }

    /// How many maps have been asked for so far.
    #[cfg(test)]
    pub fn map_jobs(&self) -> u64 {
        self.maps.requests()
    }

    /// What went wrong and has not been read yet.
    #[cfg(test)]
    pub fn complaints(&self) -> &[String] {
        &self.said.complaints
    }

    /// Writes down where the next start goes on.
    pub fn finish(&mut self) {
        self.storage.finish(&self.scope.session, &self.preferences, self.scope.data_identity.as_ref());
    }
}

/// What the maps on the screen show, and what they are differences from.
fn looked_at(session: &Session) -> Vec<(crate::uncertainty::Measure, &[usize])> {
    let shown = session.shown();
    let others = shown.iter().filter_map(|pane| session.panes.get(pane.minus?));
    shown.iter().chain(others).map(|pane| (pane.measure, pane.members.as_slice())).collect()
}
