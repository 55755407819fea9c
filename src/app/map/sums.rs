//! The values that the maps show: sums over the chosen members, made off the window's thread.

use crate::app::session::Pane;
use crate::error::Result;
use crate::figure::{Scaled, range_of};
use crate::jobs::{LiveMap, Wake, Worker, fill_gaps};
use crate::latent::View;
use std::sync::Arc;

/// What the maps are to show.
#[derive(Clone)]
pub struct Wanted {
    /// Of this map.
    pub live: Arc<LiveMap>,
    /// Each map.
    pub panes: Vec<Pane>,
}

/// The values of one map.
#[derive(Clone, Debug)]
pub struct Values {
    /// What they are of.
    pub pane: Pane,
    /// The points.
    pub view: View,
    /// \[rows, columns\], row 0 the lowest; a point that is still to come shows its coarser neighbour; NaN where there is none.
    pub numbers: Arc<Vec<f32>>,
    /// The share of the points that have been computed.
    pub known: f32,
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
    let view = map.settings.view;
    let mut values = map.seen(&pane.seen(&wanted.panes));
    let known = values.iter().filter(|value| value.is_finite()).count() as f32 / values.len() as f32;
    fill_gaps(&view, &mut values);
    Values { pane: pane.clone(), view, numbers: Arc::new(values), known }
}

impl Values {
    /// The number of the grid's point nearest to a latent point; `None` outside the view.
    pub fn point_at(&self, [z1, z2]: [f64; 2]) -> Option<usize> {
        let index = |z: f64, [first, last]: [f64; 2], count: usize| {
            let at = ((z - first) / (last - first) * (count - 1) as f64).round();
            (at >= 0.0 && at < count as f64).then_some(at as usize)
        };
        let (column, row) = (index(z1, self.view.z1, self.view.columns)?, index(z2, self.view.z2, self.view.rows)?);
        Some(row * self.view.columns + column)
    }

    /// What a scale of them is chosen by.
    pub fn scaled(&self) -> Scaled {
        Scaled { measure: self.pane.measure, is_difference: self.pane.minus.is_some(), range: range_of(&self.numbers) }
    }
}
