//! The label of a result that is provisional or of former settings.

use crate::app::state::answer::Standing;
use crate::app::widgets::style;
use eframe::egui::Ui;

/// The label of a result of former settings.
pub const FORMER: &str = "of the former settings";
/// How strongly a result of former settings is drawn.
const FORMER_OPACITY: f32 = 0.5;

/// The words for a result; `so_far` says how much of a provisional one there is, such as "20 of 50 draws". Nothing for a current one.
pub fn words(standing: Standing, so_far: &str) -> Option<String> {
    match standing {
        Standing::Current => None,
        Standing::Provisional => Some(format!("provisional, {so_far}")),
        Standing::Former => Some(FORMER.to_owned()),
    }
}

/// Draws these words as a label.
pub fn label(ui: &mut Ui, standing: Standing, so_far: &str) {
    if let Some(words) = words(standing, so_far) {
        ui.label(style::note(words));
    }
}

/// Draws a result: weak where it is of former settings.
pub fn drawn<T>(ui: &mut Ui, standing: Standing, add: impl FnOnce(&mut Ui) -> T) -> T {
    ui.scope(|ui| {
        if standing == Standing::Former {
            ui.multiply_opacity(FORMER_OPACITY);
        }
        add(ui)
    })
    .inner
}
