//! What files of data hold.

use crate::app::state::scope::Scope;
use crate::app::widgets::style;
use crate::jobs::Status;
use crate::uncertainty::Measure;
use eframe::egui::{Grid, Ui};

/// Draws the list.
pub fn show(ui: &mut Ui, scope: &Scope) {
    let (grid, classes) = (scope.session.grid, scope.classes().len());
    Grid::new("contents").num_columns(3).spacing([18.0, 3.0]).striped(true).show(ui, |ui| {
        let mut line = |array: &str, shape: String, what: &str| {
            ui.monospace(array);
            ui.monospace(shape);
            ui.label(what);
            ui.end_row();
        };
        line("z1, z2", format!("{grid}"), "The axes");
        for measure in Measure::ALL {
            line(measure.key(), format!("{grid} × {grid}"), &format!("{}, all members", measure.label()));
        }
        line("mutual_information_standard_error", format!("{grid} × {grid}"), "Whether T is enough, all members");
        for (place, pane) in scope.session.shown().iter().enumerate() {
            let minus = pane.minus.map_or(String::new(), |other| format!(" − map {}", other + 1));
            line(&format!("map_{}", place + 1), format!("{grid} × {grid}"), &format!("{}{minus}, as shown", pane.measure.label()));
        }
        line("mean_probabilities", format!("{grid} × {grid} × {classes}"), "npz alone");
    });
    let growing = matches!(scope.results.map_status, Status::Working(_));
    let text = if growing { "The map is still growing: what is saved now says how many draws it has." } else { "The map is complete." };
    ui.label(style::note(text));
}
