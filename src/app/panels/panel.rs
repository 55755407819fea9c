//! What a panel is.

use crate::app::state::event::Event;
use crate::app::state::scope::Scope;
use crate::jobs::Task;
use eframe::egui::{Context, Ui};

/// Where a panel stands on a first start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the middle.
    Centre,
    /// Beside it.
    Side,
    /// Below, as one of the tabs.
    Tab,
}

/// A part of the window with a purpose of its own.
pub trait Panel {
    /// Its name, which is also the title of its tab.
    fn name(&self) -> &'static str;

    /// Where it stands on a first start.
    fn place(&self) -> Place;

    /// Before anything is drawn: takes results, and asks for what the session now wants. Also called while the panel is hidden.
    fn logic(&mut self, ctx: &Context, scope: &mut Scope);

    /// Does what an event asks of it.
    fn event(&mut self, _event: &Event, _scope: &mut Scope) {}

    /// Draws it.
    fn ui(&mut self, ui: &mut Ui, scope: &mut Scope);

    /// Its workers, each with the name of what it does.
    fn tasks(&self) -> Vec<(&'static str, &dyn Task)>;
}
