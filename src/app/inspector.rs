//! The inspector: what the networks say of the pinned points, draw by draw.

use super::scope::Scope;
use super::session::Pin;
use super::{Panel, Place, style};
use crate::error::Result;
use crate::jobs::Wake;
use eframe::egui::{Context, Ui};

/// The panel.
pub struct Inspector;

impl Inspector {
    /// The panel; its worker wakes the window.
    pub fn new(_wake: &Wake) -> Result<Self> {
        Ok(Self)
    }
}

impl Panel for Inspector {
    fn name(&self) -> &'static str {
        "Inspector"
    }

    fn place(&self) -> Place {
        Place::Side
    }

    fn logic(&mut self, _ctx: &Context, scope: &mut Scope) {
        for which in 0..2 {
            scope.pinned[which] = match &scope.session.pins[which] {
                Some(Pin::Latent(z)) => Some(*z),
                _ => None,
            };
        }
    }

    #[cfg(test)]
    fn pretend(&mut self, _status: crate::jobs::Status) {}

    fn ui(&mut self, ui: &mut Ui, scope: &mut Scope) {
        if scope.session.pins.iter().all(Option::is_none) {
            style::empty(ui, "Nothing is pinned", "Click a point of the map.");
        }
    }
}
