//! The window's state, and one frame of it.

use crate::app::panels::panel::Panel;
use crate::app::panels::panels;
use crate::app::shell::dialogs::Dialogs;
use crate::app::shell::encoded::Encoded;
use crate::app::shell::file_manager::file_manager;
use crate::app::shell::library::Library;
use crate::app::shell::map_requests::{MapRequests, looked_at};
use crate::app::shell::reading::{self, AtHand, Ready, absolute};
use crate::app::shell::start::{DataRequest, Start};
use crate::app::shell::{keys, menu, status, tiles, toolbar, tour};
use crate::app::state::event::{Event, Opening};
use crate::app::state::history::History;
use crate::app::state::scope::{Scope, Sources};
use crate::app::state::session::Session;
use crate::app::state::storage::{Opened, Preferences, Storage};
use crate::app::widgets::style;
use crate::app::widgets::toasts::Toasts;
use crate::data::{DataIdentity, Dataset, SHIPPED_DIGITS};
use crate::engine;
use crate::error::Result;
use crate::jobs::{SharedEngine, Status, Urgency, Wake, Worker};
use eframe::egui::scroll_area::ScrollSource;
use eframe::egui::{Align, CentralPanel, Context, Layout as Flow, Pos2, ScrollArea, Ui, Vec2, ViewportCommand, vec2};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// The smallest window in logical points that shows everything at once.
const LEAST_SIZE: Vec2 = vec2(1024.0, 700.0);

/// The window: everything that outlives a frame.
pub struct Window {
    /// What panels see.
    pub(in crate::app) scope: Scope,
    pub(in crate::app) panels: Vec<Box<dyn Panel>>,
    pub(in crate::app) preferences: Preferences,
    pub(in crate::app) history: History,
    dialogs: Dialogs,
    pub(in crate::app) storage: Storage,
    pub(in crate::app) maps: MapRequests,
    data: Worker<DataRequest, (Arc<Dataset>, Option<DataIdentity>)>,
    encoded: Encoded,
    pub(in crate::app) library: Library,
    /// Asks the graphics drivers which engines can work here, which may take half a second.
    engines: Worker<(), Vec<(&'static str, String)>>,
    /// What is to be opened; the first of them is being read.
    pub(in crate::app) openings: VecDeque<Opening>,
    pub(in crate::app) reader: Worker<(Opening, AtHand), Ready>,
    pub(in crate::app) since_opening: Instant,
    /// The session that was opened, until its images have been compared with those at hand.
    pub(in crate::app) opened: Option<Opened>,
    /// The step of the tour.
    tour: usize,
    /// Whether the window has been compared with its screen.
    is_fitted: bool,
    pub(in crate::app) said: Said,
}

/// What the status line, the toasts and the bar of complaints say.
#[derive(Default)]
pub(in crate::app) struct Said {
    pub note: String,
    pub toasts: Toasts,
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
        let data = Worker::spawn("data", Arc::clone(&wake), move |request: DataRequest, desk| {
            let data = Arc::new(load(&request)?);
            let set = &request.set;
            set.check_data(&data)?;
            desk.publish((Arc::clone(&data), None));
            let identity = DataIdentity::of(&data);
            set.check_encoded(&data, || identity.sha256.clone())?;
            desk.publish((data, Some(identity)));
            Ok(())
        })?;
        let (set, folder) = (Arc::new(set), folder.map(absolute));
        data.request(DataRequest { set: Arc::clone(&set), folder: folder.clone(), name: None });
        let first = Session { models: folder, additions, engine: engine.clone(), ..Session::new(&set) };
        let engine = SharedEngine::open(&engine, &set)?;
        let mut window = Self {
            scope: Scope {
                sources: Sources {
                    load_named,
                    attack_cache,
                    load_training,
                    estimate_training,
                    library,
                    cats_dogs,
                    open_folder: file_manager(),
                },
                events: vec![Event::LibraryChanged],
                ..Scope::new(first, set, engine)
            },
            panels: panels(&wake)?,
            preferences: Preferences::default(),
            history: History::default(),
            dialogs: Dialogs::new(&wake)?,
            storage,
            maps: MapRequests::new(&wake)?,
            data,
            encoded: Encoded::new(&wake)?,
            library: Library::new(&wake)?,
            engines: Worker::spawn("engines", Arc::clone(&wake), |(), desk| {
                desk.publish(engine::problems().to_vec());
                Ok(())
            })?,
            openings: VecDeque::new(),
            reader: reading::worker(&wake)?,
            since_opening: Instant::now(),
            opened: None,
            tour: 0,
            is_fitted: false,
            said: Said::default(),
        };
        window.said.complaints.extend(window.storage.claim());
        window.engines.request(());
        window.restore_preferences();
        tiles::restore(&mut window.preferences.tiles, &window.panels);
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

    /// Asks for the images of a name, or of the models; nothing is shown in their place until they are there.
    pub(in crate::app) fn load_data(&mut self, name: Option<String>) {
        (self.scope.data, self.scope.data_identity, self.scope.data_problem) = (None, None, None);
        self.data.request(DataRequest { set: Arc::clone(&self.scope.set), folder: self.scope.session.models.clone(), name });
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
        self.said.toasts.show(&ctx);
        for event in std::mem::take(&mut self.scope.events) {
            if let Err(error) = self.handle(&ctx, event) {
                self.said.complaints.push(error.to_string());
            }
        }
        let busy = ctx.input(|input| input.pointer.any_down()) || ctx.text_edit_focused();
        self.history.observe(&self.scope, busy);
        self.scope.views.observe(&self.scope.session, busy);
        self.fit_screen(&ctx);
        self.remember_size(&ctx);
        self.storage.keep(&self.scope.session, &self.preferences, self.scope.data_identity.as_ref());
    }

    /// Makes a window that was saved on a larger screen as large as this one, once.
    fn fit_screen(&mut self, ctx: &Context) {
        let (inner, screen) = ctx.input(|input| (input.viewport().inner_rect, input.viewport().monitor_size));
        if let (Some(inner), Some(screen), false) = (inner, screen, self.is_fitted) {
            self.is_fitted = true;
            if inner.width() > screen.x || inner.height() > screen.y {
                ctx.send_viewport_cmd(ViewportCommand::InnerSize(inner.size().min(screen)));
                ctx.send_viewport_cmd(ViewportCommand::OuterPosition(Pos2::ZERO));
            }
        }
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
        self.maps.take(&mut self.scope);
        if let Some((data, identity)) = self.data.take() {
            if data.name == SHIPPED_DIGITS {
                "MNIST is not on this machine: 1,000 of its 10,000 test images are used.".clone_into(&mut self.said.note);
            }
            self.scope.data = Some(data);
            self.scope.data_problem = None;
            self.scope.data_identity = identity;
            self.compare_data();
        }
        if let Status::Failed(sentence) = self.data.status() {
            (self.scope.data, self.scope.data_identity) = (None, None);
            self.scope.data_problem = Some(sentence.clone());
            self.said.complaints.push(sentence);
            self.data.cancel();
        }
        if let Some(problems) = self.engines.take() {
            self.scope.results.engine_problems = problems;
        }
        self.encoded.logic(&mut self.scope);
        self.library.logic(&mut self.scope);
        self.open_what_is_wanted(ctx);
        if let Err(error) = self.maps.ask(ctx, &mut self.scope) {
            self.said.note = error.to_string();
        }
        if let Some(live) = &self.scope.results.live {
            live.look_at(looked_at(&self.scope.session));
        }
        self.scope.open_panels = tiles::open_panels(&self.preferences.tiles);
        for panel in &mut self.panels {
            panel.logic(ctx, &mut self.scope);
        }
    }

    fn drops(&mut self, ctx: &Context) {
        for file in ctx.input(|input| input.raw.dropped_files.clone()) {
            self.scope.ask(Event::Open(Opening::File(file.path().to_owned())));
        }
    }

    /// Draws everything. A window below the smallest size scrolls, by its bars alone: the wheel belongs to what is under the pointer.
    fn show(&mut self, ui: &mut Ui) {
        self.scope.pointer.mark = None;
        ScrollArea::both().id_salt("window").auto_shrink(false).scroll_source(ScrollSource::SCROLL_BAR).show(ui, |ui| {
            let size = ui.available_size().max(LEAST_SIZE);
            ui.allocate_ui_with_layout(size, Flow::top_down(Align::Min), |ui| self.parts(ui));
        });
        tour::show(ui, &mut self.scope, &mut self.preferences.hints_seen, &mut self.tour);
    }

    fn parts(&mut self, ui: &mut Ui) {
        menu::menu(ui, &mut self.scope, &mut self.preferences, &self.history, &mut self.library);
        status::complaints(ui, &mut self.said.complaints);
        if let Some(opening) = self.is_opening()
            && status::opening(ui, &opening.what())
        {
            self.give_up_opening();
        }
        toolbar::toolbar(ui, &mut self.scope);
        let asked = self.maps.question().and_then(|time| status::question(ui, time));
        let tasks: Vec<_> = self.panels.iter().flat_map(|panel| panel.tasks()).collect();
        if let Some(action) = status::status(ui, &self.scope, &tasks, &self.said.note, &self.maps).or(asked) {
            self.maps.act(action, &mut self.scope);
        }
        let Self { panels, scope, preferences, .. } = self;
        CentralPanel::no_frame().show(ui, |ui| tiles::show(ui, &mut preferences.tiles, panels, scope));
    }

    /// Shows the panel of a name in front of the tabs that cover it.
    pub(in crate::app) fn open_panel(&mut self, name: &str) {
        tiles::bring_to_front(&mut self.preferences.tiles, name);
    }

    fn handle(&mut self, ctx: &Context, event: Event) -> Result<()> {
        match event {
            Event::Undo => self.history.undo(&self.scope).map_or(Ok(()), |moment| self.go_to(moment))?,
            Event::Redo => self.history.redo(&self.scope).map_or(Ok(()), |moment| self.go_to(moment))?,
            Event::Open(opening) => self.openings.push_back(opening),
            Event::SaveSession(path) => {
                Storage::save(&path, &self.scope.session, self.scope.data_identity.as_ref())?;
                self.said.toasts.say(format!("The session is saved in {}.", path.display()));
            }
            Event::Export => self.dialogs.toggle_export(&mut self.scope),
            Event::Help => self.dialogs.toggle_help(),
            Event::ShowHelp(page) => self.dialogs.show_help(page),
            Event::Say(sentence) => self.said.toasts.say(sentence),
            Event::Complain(sentence) => self.said.complaints.push(sentence),
            Event::AskPath(wanted) => self.dialogs.ask_path(wanted),
            Event::LoadData(name) => self.load_data(name),
            Event::LibraryChanged => {
                if let Some(folder) = &self.scope.sources.library {
                    self.library.read(folder.clone());
                }
            }
            Event::StartTraining | Event::ResumeTraining(_) | Event::ShowTraining(_) | Event::SaveFilm(_) => {
                for panel in &mut self.panels {
                    panel.event(&event, &mut self.scope);
                }
            }
            Event::OpenPanel(name) => self.open_panel(name),
            Event::Tour => (self.preferences.hints_seen, self.tour) = (false, 0),
            Event::Quit => ctx.send_viewport_cmd(ViewportCommand::Close),
        }
        Ok(())
    }

    /// How many maps have been asked for so far.
    #[cfg(test)]
    pub fn map_jobs(&self) -> u64 {
        self.maps.count()
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
