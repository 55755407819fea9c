//! The tab of detection: attack many images, and see whether uncertainty tells them from clean and noisy ones.

mod controls;
mod plots;
mod table;
#[cfg(test)]
mod tests;
mod thumbnails;
mod view;
mod workers;

use crate::app::panels::panel::{Panel, Place};
use crate::app::state::scope::Scope;
use crate::app::widgets::style;
use crate::error::Result;
use crate::jobs::{Status, Task, Wake, Worker};
use controls::Wish;
use eframe::egui::{Context, ScrollArea, Ui};
use std::sync::Arc;
use thumbnails::Thumbnails;
use view::View;
use workers::{Found, Question, worker};

/// The width of the controls.
const CONTROLS: f32 = 226.0;
/// The widths of table, a curve, histogram and thumbnails where there is room for all.
const WIDE: [f32; 4] = [560.0, 220.0, 260.0, 176.0];
/// Those where there is not.
const NARROW: [f32; 4] = [420.0, 165.0, 215.0, 136.0];
/// The gaps between the columns, and the scroll bar.
const GAPS: f32 = 44.0;
/// No plot is drawn lower than this.
const LOWEST: f32 = 50.0;

/// The tab.
pub struct DetectionPanel {
    worker: Worker<Question, Arc<Found>>,
    view: Option<View>,
    /// The bin whose images are shown.
    bin: Option<usize>,
    thumbnails: Thumbnails,
}

impl DetectionPanel {
    /// The tab; its worker wakes the window.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn new(wake: &Wake) -> Result<Self> {
        Ok(Self { worker: worker(wake)?, view: None, bin: None, thumbnails: Thumbnails::default() })
    }

    fn pick(&mut self, ctx: &Context, bin: Option<usize>) {
        self.bin = bin;
        if let (Some(view), Some(bin)) = (&self.view, bin) {
            self.thumbnails.set(ctx, view, bin);
        }
    }

    fn show(&mut self, ui: &mut Ui, scope: &mut Scope, height: f32, width: f32) {
        let Some(view) = &self.view else { return };
        let sum = |[table, curve, histogram, images]: [f32; 4]| CONTROLS + table + 2.0 * curve + histogram + images + GAPS;
        let is_narrow = width < sum(WIDE);
        let [for_table, for_curve, for_histogram, for_images] = if is_narrow { NARROW } else { WIDE };
        // In a narrow window the images take their room once a bin is chosen.
        let has_images = self.bin.is_some() || width >= sum(NARROW);
        style::column(ui, "table", for_table, height, |ui| table::show(ui, scope, view, is_narrow));
        let choice = &mut scope.session.detection;
        let threshold = view.threshold(choice);
        for kind in plots::Kind::ALL {
            style::column(ui, kind.name(), for_curve, height, |ui| {
                if ui.available_height() > LOWEST {
                    plots::curves(ui, view, kind, choice.detector, threshold);
                }
            });
        }
        let beside = if has_images { for_images + 12.0 } else { 0.0 };
        let rest = (ui.available_width() - beside).max(for_histogram);
        let picked = style::column(ui, "histogram", rest, height, |ui| {
            controls::threshold(ui, choice, view);
            if ui.available_height() > LOWEST { plots::histogram(ui, view, choice.detector, threshold, self.bin) } else { None }
        });
        if has_images {
            style::column(ui, "images of a bin", for_images, height, |ui| self.thumbnails.show(ui, view, scope, self.bin));
        }
        if picked.is_some() {
            self.pick(&ui.ctx().clone(), picked);
        }
    }
}

impl Panel for DetectionPanel {
    fn name(&self) -> &'static str {
        "Detection"
    }

    fn place(&self) -> Place {
        Place::Tab
    }

    fn logic(&mut self, _ctx: &Context, scope: &mut Scope) {
        let choice = &scope.session.detection;
        // What an earlier request gave is no answer to one that failed.
        if matches!(self.worker.status(), Status::Failed(_)) {
            self.worker.take();
            (self.view, self.bin) = (None, None);
            return;
        }
        // What other models said is gone with them.
        let found = self.worker.take().or_else(|| self.view.as_ref().map(|view| Arc::clone(&view.found)));
        let Some(found) = found.filter(|found| Arc::ptr_eq(&found.question.set, &scope.set)) else {
            (self.view, self.bin) = (None, None);
            return;
        };
        if self.view.as_ref().is_none_or(|view| !Arc::ptr_eq(&view.found, &found) || !view.fits(choice)) {
            self.view = Some(View::new(found, choice));
            self.bin = None;
        }
    }

    fn tasks(&self) -> Vec<(&'static str, &dyn Task)> {
        vec![("detection", &self.worker)]
    }

    fn ui(&mut self, ui: &mut Ui, scope: &mut Scope) {
        let status: Status = self.worker.status();
        let wanted = Question::new(scope);
        let width = ui.available_width();
        ScrollArea::horizontal().id_salt("detection").show(ui, |ui| {
            // What a scroll bar leaves: columns of more would make the tab higher in every frame.
            let height = ui.available_height();
            ui.horizontal_top(|ui| {
                let wish = style::column(ui, "controls", CONTROLS, height, |ui| controls::show(ui, scope, wanted.is_some(), &status));
                if self.view.is_some() {
                    self.show(ui, scope, height, width);
                } else {
                    style::column(ui, "nothing", ui.available_width().max(WIDE[2]), height, |ui| {
                        style::empty(
                            ui,
                            "Does uncertainty notice?",
                            "“Detect” attacks many images, and shows how well each measure tells them from clean and noisy ones.",
                        );
                    });
                }
                match (wish, wanted) {
                    (Some(Wish::Detect), Some(question)) => self.worker.request(question),
                    (Some(Wish::Stop), _) => self.worker.cancel(),
                    _ => {}
                }
            });
        });
    }
}
