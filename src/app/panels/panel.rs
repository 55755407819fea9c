//! What a panel is.

use crate::app::state::event::Event;
use crate::app::state::scope::Scope;
use eframe::egui::{Context, Ui};

/// Where a panel stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the middle.
    Centre,
    /// To the right.
    Side,
    /// Below, one at a time.
    Tab,
}

/// A part of the window with a purpose of its own.
pub trait Panel {
    /// Its name, which is also what its tab is called.
    fn name(&self) -> &'static str;

    /// Where it stands.
    fn place(&self) -> Place;

    /// Before anything is drawn: takes results, and asks for what the session now wants. Also called while the panel is hidden.
    fn logic(&mut self, ctx: &Context, scope: &mut Scope);

    /// Does what an event asks of it.
    fn event(&mut self, _event: &Event, _scope: &mut Scope) {}

    /// Draws it.
    fn ui(&mut self, ui: &mut Ui, scope: &mut Scope);

    /// Whether what it shows is still to change.
    #[cfg(test)]
    fn is_busy(&self) -> bool;

    /// Puts its workers into a state, to see how it looks in it.
    #[cfg(test)]
    fn pretend(&mut self, status: crate::jobs::Status);
}
