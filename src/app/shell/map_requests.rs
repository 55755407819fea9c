//! Which map is computed: requests for new ones, the question before a long one, and stopping.

use crate::app::shell::map_costs::MapCosts;
use crate::app::state::scope::Scope;
use crate::app::state::session::Session;
use crate::error::Result;
use crate::jobs::{LiveMap, MapCache, MapSettings, ModelSet, Progress, SharedEngine, Status, Wake, Worker, fill};
use crate::uncertainty::Measure;
use eframe::egui::Context;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A view that is being moved asks for a new map at most so often.
const UNHURRIED: Duration = Duration::from_millis(80);

/// What the map's worker is asked for.
type MapRequest = (Arc<ModelSet>, Arc<SharedEngine>, MapSettings, Session);

/// The map's worker, and what was asked of it.
pub struct MapRequests {
    worker: Worker<MapRequest, Arc<LiveMap>>,
    /// The newest request. `None` asks anew in the next frame.
    pub(in crate::app) asked: Option<(MapSettings, Instant)>,
    pub(in crate::app) costs: MapCosts,
    /// The estimated time of the map of the present settings, which waits for the user's answer.
    question: Option<Duration>,
    /// Whether the user has stopped the newest request.
    is_stopped: bool,
}

/// What the user wants of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapAction {
    /// Compute a map that takes long.
    Compute,
    /// Go back to the grid and the number of draws of the map at hand.
    KeepFormer,
    /// Compute no more of the map.
    Stop,
    /// Go on with a map that was stopped.
    GoOn,
}

impl MapRequests {
    /// Starts the worker.
    ///
    /// # Errors
    /// As [`Worker::spawn`].
    pub fn new(wake: &Wake) -> Result<Self> {
        let mut cache = MapCache::default();
        let worker = Worker::spawn("map", Arc::clone(wake), move |(set, engine, settings, session): MapRequest, desk| {
            let live = cache.live(&set, engine.asked(), &settings)?;
            live.look_at(looked_at(&session));
            desk.publish(Arc::clone(&live));
            fill(&live, &mut engine.background().until(desk.stop()), &mut |progress| desk.tell(progress))
        })?;
        Ok(Self { worker, asked: None, costs: MapCosts::default(), question: None, is_stopped: false })
    }

    /// The estimated time of a map that waits for the user's answer.
    pub fn question(&self) -> Option<Duration> {
        self.question
    }

    /// Whether the user has stopped the newest request.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// The time since the newest request.
    pub fn elapsed(&self) -> Duration {
        self.asked.as_ref().map_or(Duration::ZERO, |(_, when)| when.elapsed())
    }

    /// Takes what has come of the map.
    pub fn take(&mut self, scope: &mut Scope) {
        if let Some(live) = self.worker.take() {
            scope.results.live = Some(live);
        }
        let before = std::mem::replace(&mut scope.results.map_status, self.worker.status());
        if let (Status::Working(Progress { total, .. }), Status::Done) = (before, &scope.results.map_status) {
            self.costs.finished(scope.engine.name(), total, self.elapsed());
        }
    }

    /// Asks for a new map where the settings have changed. While a view is moved, each map gets a moment for its coarse picture.
    ///
    /// # Errors
    /// When the view is none.
    pub fn ask(&mut self, ctx: &Context, scope: &mut Scope) -> Result<()> {
        self.question = None;
        let settings = scope.session.map_settings(&scope.set)?;
        if let Some((asked, when)) = &self.asked {
            if *asked == settings {
                return Ok(());
            }
            let waited = when.elapsed();
            if waited < UNHURRIED {
                ctx.request_repaint_after(UNHURRIED.saturating_sub(waited));
                return Ok(());
            }
            self.question = self.costs.to_confirm(scope.engine.name(), &settings);
            if self.question.is_some() {
                return Ok(());
            }
        }
        self.costs.requested(&settings);
        self.asked = Some((settings.clone(), Instant::now()));
        self.is_stopped = false;
        self.worker.request((Arc::clone(&scope.set), Arc::clone(&scope.engine), settings, scope.session.clone()));
        // The progress of the request before says nothing about the time of this one.
        scope.results.map_status = self.worker.status();
        Ok(())
    }

    /// Does what the user wants of the map.
    pub fn act(&mut self, action: MapAction, scope: &mut Scope) {
        match action {
            MapAction::Compute => {
                if let Ok(settings) = scope.session.map_settings(&scope.set) {
                    self.costs.requested(&settings);
                }
            }
            MapAction::KeepFormer => {
                if let Some((asked, _)) = &self.asked {
                    (scope.session.grid, scope.session.samples) = (asked.view.columns, asked.samples);
                }
            }
            MapAction::Stop => {
                self.worker.cancel();
                self.is_stopped = true;
            }
            // The draws that are there are kept.
            MapAction::GoOn => self.asked = None,
        }
    }

    /// How many maps have been asked for so far.
    #[cfg(test)]
    pub fn count(&self) -> u64 {
        self.worker.requests()
    }
}

/// What the maps on the screen show, and what they are differences from.
pub fn looked_at(session: &Session) -> Vec<(Measure, &[usize])> {
    let shown = session.shown();
    let others = shown.iter().filter_map(|pane| session.panes.get(pane.minus?));
    shown.iter().chain(others).map(|pane| (pane.measure, pane.members.as_slice())).collect()
}
