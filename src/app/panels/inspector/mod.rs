//! The inspector: what the networks say of the pinned points, draw by draw.

mod bars;
mod card;
mod neighbours;
mod pick;
mod probe;
mod table;

#[cfg(test)]
mod tests;

pub use bars::show as bars;
pub use card::picture;
pub use probe::{Digest, subject};
pub use table::numbers;

use crate::app::panels::panel::{Panel, Place};
use crate::app::state::scope::Scope;
use crate::app::widgets::style;
use crate::error::Result;
use crate::jobs::{Task, Wake};
use eframe::egui::{Context, Label, Ui};
use pick::Pick;
use probe::Probe;

/// The panel.
pub struct Inspector {
    /// Of the pins A and B.
    probes: [Probe; 2],
    pick: Pick,
}

impl Inspector {
    /// The panel; its workers wake the window.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn new(wake: &Wake) -> Result<Self> {
        Ok(Self { probes: [Probe::new(wake)?, Probe::new(wake)?], pick: Pick::default() })
    }
}

impl Panel for Inspector {
    fn name(&self) -> &'static str {
        "Inspector"
    }

    fn place(&self) -> Place {
        Place::Side
    }

    fn logic(&mut self, ctx: &Context, scope: &mut Scope) {
        for (which, probe) in self.probes.iter_mut().enumerate() {
            probe.logic(ctx, scope, which);
        }
    }

    fn tasks(&self) -> Vec<(&'static str, &dyn Task)> {
        let [a, b] = &self.probes;
        vec![("pin A", a.task()), ("pin B", b.task())]
    }

    fn ui(&mut self, ui: &mut Ui, scope: &mut Scope) {
        ui.add_space(4.0);
        self.pick.ui(ui, scope);
        ui.separator();
        let pinned: Vec<usize> = (0..2).filter(|&which| scope.session.pins[which].is_some()).collect();
        if ui.input(|input| !input.raw.hovered_files.is_empty()) {
            ui.colored_label(ui.visuals().hyperlink_color, "Drop an image to pin it.");
        }
        if scope.results.underway.is_some() && !pinned.is_empty() {
            ui.add(Label::new(style::note("The pins are about the models at hand, not about the training preview on the map.")).wrap());
        }
        match pinned.as_slice() {
            [] => style::empty(
                ui,
                "Nothing is pinned",
                "Click a point of the map for A, shift-click another for B. Or drop an image file here, or pick an image of the data above.",
            ),
            [which] => card::show(ui, scope, &mut self.probes[*which], *which),
            _ => ui.columns(2, |columns| {
                for ((ui, probe), which) in columns.iter_mut().zip(&mut self.probes).zip(0..) {
                    card::show(ui, scope, probe, which);
                }
            }),
        }
        let shown = [0, 1].map(|which| self.probes[which].shown());
        if shown.iter().any(Option::is_some) {
            ui.add_space(6.0);
            ui.scope(|ui| table::show(ui, scope, shown));
            ui.add_space(6.0);
            neighbours::show(ui, scope, &mut self.probes);
            ui.add_space(8.0);
        }
    }
}
