//! The values that the maps show: sums over the chosen members, made off the window's thread.

use crate::app::state::session::Pane;
use crate::app::state::values::Values;
use crate::error::Result;
use crate::jobs::{LiveMap, Wake, Worker, fill_gaps};
use std::sync::Arc;

/// What the maps are to show.
#[derive(Clone)]
pub struct Wanted {
    /// Of this map.
    pub live: Arc<LiveMap>,
    /// Each map.
    pub panes: Vec<Pane>,
}

/// Starts the worker.
///
/// # Errors
/// As [`Worker::spawn`].
pub fn worker(wake: Wake) -> Result<Worker<Wanted, Vec<Values>>> {
    Worker::spawn("sums", wake, |wanted: Wanted, desk| {
        desk.publish(wanted.panes.iter().map(|pane| sum(&wanted, pane)).collect());
        Ok(())
    })
}

fn sum(wanted: &Wanted, pane: &Pane) -> Values {
    let map = wanted.live.read();
    let settings = map.settings.clone();
    let seen = pane.seen(&wanted.panes);
    let mut values = map.seen(&seen);
    let known = values.iter().filter(|value| value.is_finite()).count() as f32 / values.len() as f32;
    fill_gaps(&settings.view, &mut values);
    let (draws, complete) = (map.draws_of(&seen)[0], map.is_complete(&seen));
    Values { pane: pane.clone(), settings, numbers: Arc::new(values), known, draws, complete }
}
