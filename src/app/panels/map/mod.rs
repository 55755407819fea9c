//! The maps: one, two or four, with linked views, cursors and ranges.

mod class_names;
mod dots;
mod drawing;
mod gestures;
mod header;
mod hover;
mod layers;
mod line;
mod marks;
mod menu;
mod pane;
mod picture;
mod pins;
mod sums;
mod underway;

pub use header::{describe, title};
pub use layers::{NUMBERED, density_contours, density_view};
pub use marks::badge;

use crate::app::panels::panel::{Panel, Place};
use crate::app::state::scope::Scope;
use crate::app::state::session::Layout;
use crate::app::state::values::Values;
use crate::app::widgets::style;
use crate::error::Result;
use crate::jobs::{LiveMap, Status, Task, Wake, Worker};
use drawing::Drawing;
use eframe::egui::{Rect, Ui, UiBuilder, pos2, vec2};
use hover::Hover;
use std::sync::Arc;
use std::time::{Duration, Instant};
use sums::Wanted;

/// The panel of the maps.
pub struct Maps {
    sums: Worker<Wanted, Vec<Values>>,
    /// What the sums on the screen were asked for, when, and whether the map was still growing then.
    asked: Option<(Wanted, Instant, bool)>,
    drawing: Drawing,
    hover: Hover,
}

/// The time between two sums of a map that has no picture yet; later ones are as far apart as updates of the progress.
const FIRST: Duration = Duration::from_millis(60);

impl Maps {
    /// The panel; its workers wake the window.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn new(wake: &Wake) -> Result<Self> {
        Ok(Self { sums: sums::worker(Arc::clone(wake))?, asked: None, drawing: Drawing::new(wake)?, hover: Hover::new(wake)? })
    }

    /// Asks for the sums of what is wanted now, unless they are already there or being made.
    fn ask_for_sums(&mut self, scope: &Scope, live: &Arc<LiveMap>) -> Option<Duration> {
        let panes = scope.session.panes.clone();
        let values = &scope.results.values;
        let count = scope.session.layout.count();
        let growing = matches!(scope.results.map_status, Status::Working(_));
        if matches!(self.sums.status(), Status::Working(_)) {
            return None;
        }
        if let Some((asked, when, was_growing)) = &self.asked
            && Arc::ptr_eq(&asked.live, live)
            && asked.panes == panes
            && values.len() >= count
        {
            // What is computed besides is of other members.
            if values[..count].iter().all(|values| values.complete) {
                return None;
            }
            if !growing && !was_growing {
                // The job has ended without filling the map: nothing more will come.
                return None;
            }
            let (waited, is_seen) = (when.elapsed(), values[..count].iter().all(|values| values.known > 0.0));
            let pause = if is_seen { style::PROGRESS } else { FIRST };
            if waited < pause {
                return Some(pause.saturating_sub(waited));
            }
        }
        let wanted = Wanted { live: Arc::clone(live), panes };
        self.sums.request(wanted.clone());
        self.asked = Some((wanted, Instant::now(), growing));
        None
    }
}

impl Panel for Maps {
    fn name(&self) -> &'static str {
        "Map"
    }

    fn place(&self) -> Place {
        Place::Centre
    }

    fn logic(&mut self, ctx: &eframe::egui::Context, scope: &mut Scope) {
        if let Some(values) = self.sums.take() {
            scope.results.values = values;
        }
        if let Some(live) = scope.results.live.clone() {
            if let Some(later) = self.ask_for_sums(scope, &live) {
                ctx.request_repaint_after(later);
            }
        } else {
            scope.results.values.clear();
        }
        self.hover.logic(ctx, scope);
        self.drawing.layers.logic(ctx, scope);
    }

    fn tasks(&self) -> Vec<(&'static str, &dyn Task)> {
        let [density, images] = self.drawing.layers.tasks();
        vec![("values of the maps", &self.sums), ("density", density), ("grid of images", images)]
    }

    fn ui(&mut self, ui: &mut Ui, scope: &mut Scope) {
        scope.pointer.cursor = None;
        scope.session.end_differences();
        let layout = scope.session.layout;
        let area = ui.available_rect_before_wrap();
        for place in 0..layout.count() {
            let cell = cell(area, layout, place);
            ui.scope_builder(UiBuilder::new().max_rect(cell).id_salt(("map", place)), |ui| {
                ui.set_clip_rect(cell.intersect(ui.clip_rect()));
                header::show(ui, scope, place);
                pane::show(&mut self.drawing, ui, scope, place);
            });
        }
        ui.advance_cursor_after_rect(area);
        self.drawing.layers.fit_images(ui.ctx(), scope);
        // The headers may have changed a measure: what that ends belongs to the same step of undo.
        scope.session.end_differences();
        self.hover.show(ui, scope);
    }
}

/// The rectangle of a map among all.
fn cell(area: Rect, layout: Layout, place: usize) -> Rect {
    let (columns, rows) = match layout {
        Layout::One => (1, 1),
        Layout::Two => (2, 1),
        Layout::Four => (2, 2),
    };
    let gap = 6.0;
    let size = vec2((area.width() - gap * (columns - 1) as f32) / columns as f32, (area.height() - gap * (rows - 1) as f32) / rows as f32);
    let corner = pos2(area.left() + (place % columns) as f32 * (size.x + gap), area.top() + (place / columns) as f32 * (size.y + gap));
    Rect::from_min_size(corner, size.max(vec2(1.0, 1.0)))
}
