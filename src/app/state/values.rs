//! The values that a map shows.

use crate::app::state::answer::Standing;
use crate::app::state::session::Pane;
use crate::figure::{Scaled, range_of};
use crate::jobs::MapSettings;
use crate::latent::View;
use std::sync::Arc;

/// The values of one map.
#[derive(Clone, Debug)]
pub struct Values {
    /// What they are of.
    pub pane: Pane,
    /// Those of the map that they are of.
    pub settings: MapSettings,
    /// \[rows, columns\], row 0 the lowest; a point that is still to come shows its coarser neighbour; NaN where there is none.
    pub numbers: Arc<Vec<f32>>,
    /// The share of the points that have been computed.
    pub known: f32,
    /// The fewest draws of a member at any point, where the measure is a function of draws.
    pub draws: u32,
    /// Whether every point has all draws.
    pub complete: bool,
}

impl Values {
    /// The number of the grid's point nearest to a latent point; `None` outside the view.
    pub fn point_at(&self, z: [f64; 2]) -> Option<usize> {
        point_of(&self.settings.view, z)
    }

    /// What they are to the settings of the map that is wanted. Another part of the plane is no other map: its values stay right.
    pub fn standing(&self, wanted: Option<&MapSettings>) -> Standing {
        let is_wanted = wanted.is_some_and(|wanted| MapSettings { view: wanted.view, ..self.settings.clone() } == *wanted);
        match (is_wanted, self.complete) {
            (true, true) => Standing::Current,
            (true, false) => Standing::Provisional,
            (false, _) => Standing::Former,
        }
    }

    /// What a scale of them is chosen by.
    pub fn scaled(&self) -> Scaled {
        Scaled { measure: self.pane.measure, is_difference: self.pane.minus.is_some(), range: range_of(&self.numbers) }
    }
}

/// The number of the point of a view nearest to a latent point; `None` outside the view.
pub fn point_of(view: &View, [z1, z2]: [f64; 2]) -> Option<usize> {
    let index = |z: f64, [first, last]: [f64; 2], count: usize| {
        let at = ((z - first) / (last - first) * (count - 1) as f64).round();
        (at >= 0.0 && at < count as f64).then_some(at as usize)
    };
    let (column, row) = (index(z1, view.z1, view.columns)?, index(z2, view.z2, view.rows)?);
    Some(row * view.columns + column)
}
