//! The window: maps, inspector and tabs over one session. It asks jobs and shows what they answer; it never computes, never waits.

mod attack;
mod chrome;
mod detection;
mod dialogs;
mod encoded;
mod export;
pub mod headless;
mod history;
mod holes;
mod images;
mod inspector;
mod interpolation;
mod keys;
mod library;
mod map;
mod opening;
mod population;
mod reading;
mod run;
mod scope;
mod session;
mod session_repair;
mod storage;
mod style;
mod training;
mod window;

#[cfg(test)]
mod colour_tests;
#[cfg(test)]
mod snapshots;
#[cfg(test)]
mod tests;

pub use run::{Start, leave_the_window_its_time, open};
pub use session::Session;
pub use storage::Storage;
pub use training::{EstimateTraining, LoadTraining};
pub use window::Window;

use crate::error::Result;
use crate::jobs::Wake;
use eframe::egui::{Context, Ui};
use scope::Scope;

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

    /// Draws it.
    fn ui(&mut self, ui: &mut Ui, scope: &mut Scope);

    /// Whether what it shows is still to change.
    #[cfg(test)]
    fn is_busy(&self) -> bool;

    /// Puts its workers into a state, to see how it looks in it.
    #[cfg(test)]
    fn pretend(&mut self, status: crate::jobs::Status);
}

/// Every panel. A new one is a file and a line here.
///
/// # Errors
/// When the system has no thread left for their workers.
pub fn panels(wake: &Wake) -> Result<Vec<Box<dyn Panel>>> {
    Ok(vec![
        Box::new(map::Maps::new(wake)?),
        Box::new(inspector::Inspector::new(wake)?),
        Box::new(interpolation::Interpolations::new(wake)?),
        Box::new(population::Populations::new(wake)?),
        Box::new(holes::HolePanel::new(wake)?),
        Box::new(attack::AttackPanel::new(wake)?),
        Box::new(detection::DetectionPanel::new(wake)?),
        Box::new(training::TrainingPanel::new(wake)?),
    ])
}
