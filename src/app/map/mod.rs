//! The maps: one, two or four, with linked views, cursors and ranges.

mod dots;
mod header;
mod hover;
mod layers;
mod pane;
mod picture;
mod plane;
mod sums;
mod underway;

pub use header::describe;
pub use layers::{NUMBERED, density_contours, density_view};
pub use pane::badge;
pub use plane::Plane;
pub use sums::Values;

use super::scope::Scope;
use super::session::Layout;
use super::{Panel, Place, style};
use crate::error::Result;
use crate::figure::{Scale, Scaled};
use crate::jobs::{LiveMap, Status, Wake, Worker};
use dots::Dots;
use eframe::egui::{Rect, Ui, UiBuilder, pos2, vec2};
use hover::Hover;
use layers::Layers;
use picture::Picture;
use std::sync::Arc;
use std::time::{Duration, Instant};
use sums::Wanted;
use underway::Underway;

/// The panel of the maps.
pub struct Maps {
    sums: Worker<Wanted, Vec<Values>>,
    /// What the sums on the screen were asked for.
    asked: Option<(Wanted, Instant)>,
    /// The values of each map that is shown.
    values: Vec<Values>,
    pictures: Vec<Pictures>,
    dots: Dots,
    hover: Hover,
    layers: Layers,
    underway: Vec<Underway>,
}

/// A map's picture, and the one before it, which fills what the new one has still to compute.
#[derive(Default)]
struct Pictures {
    newest: Option<Picture>,
    older: Option<Picture>,
}

/// The time between two sums of a map that has no picture yet; later ones are as far apart as updates of the progress.
const FIRST: Duration = Duration::from_millis(60);

impl Maps {
    /// The panel; its workers wake the window.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn new(wake: &Wake) -> Result<Self> {
        Ok(Self {
            sums: sums::worker(Arc::clone(wake))?,
            asked: None,
            values: Vec::new(),
            pictures: Vec::new(),
            dots: Dots::default(),
            hover: Hover::new(wake)?,
            layers: Layers::new(wake)?,
            underway: (0..Layout::Four.count()).map(|_| Underway::default()).collect(),
        })
    }

    /// Asks for the sums of what is wanted now, unless they are already there or being made.
    fn ask_for_sums(&mut self, scope: &Scope, live: &Arc<LiveMap>) -> Option<Duration> {
        let panes = scope.session.panes.clone();
        let count = scope.session.layout.count();
        let growing = matches!(scope.map_status, Status::Working(_));
        if matches!(self.sums.status(), Status::Working(_)) {
            return None;
        }
        if let Some((asked, when)) = &self.asked
            && Arc::ptr_eq(&asked.live, live)
            && asked.panes == panes
            && self.values.len() >= count
        {
            let complete = self.values[..count].iter().all(|values| values.known == 1.0);
            if complete && !growing {
                return None;
            }
            let (waited, is_seen) = (when.elapsed(), self.values[..count].iter().all(|values| values.known > 0.0));
            let pause = if is_seen { style::PROGRESS } else { FIRST };
            if waited < pause {
                return Some(pause.saturating_sub(waited));
            }
            if !growing && waited > Duration::from_secs(2) && !complete {
                // The job has ended without filling the map: nothing more will come.
                return None;
            }
        }
        let wanted = Wanted { live: Arc::clone(live), panes };
        self.sums.request(wanted.clone());
        self.asked = Some((wanted, Instant::now()));
        None
    }

    /// The scale of a map's colours.
    fn scale(&self, scope: &Scope, place: usize) -> Scale {
        let shown = &self.values[..scope.session.layout.count().min(self.values.len())];
        let shown: Vec<Scaled> = shown.iter().map(Values::scaled).collect();
        Scale::new(&shown, place, scope.classes().len(), scope.session.colours, scope.session.range)
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
            self.values = values;
        }
        if let Some(live) = scope.live.clone() {
            if let Some(later) = self.ask_for_sums(scope, &live) {
                ctx.request_repaint_after(later);
            }
        } else {
            self.values.clear();
        }
        scope.values = self.values.clone();
        self.hover.logic(ctx, scope);
        self.layers.logic(ctx, scope);
    }

    #[cfg(test)]
    fn is_busy(&self) -> bool {
        matches!(self.sums.status(), Status::Working(_)) || self.layers.is_busy()
    }

    #[cfg(test)]
    fn pretend(&mut self, status: Status) {
        self.sums.pretend(status);
    }

    fn ui(&mut self, ui: &mut Ui, scope: &mut Scope) {
        scope.cursor = None;
        let layout = scope.session.layout;
        let area = ui.available_rect_before_wrap();
        for place in 0..layout.count() {
            let cell = cell(area, layout, place);
            ui.scope_builder(UiBuilder::new().max_rect(cell).id_salt(("map", place)), |ui| {
                ui.set_clip_rect(cell.intersect(ui.clip_rect()));
                header::show(ui, scope, place);
                pane::show(self, ui, scope, place);
            });
        }
        ui.advance_cursor_after_rect(area);
        self.hover.show(ui, scope, &self.values);
    }
}

impl Maps {
    fn has_picture(&self, place: usize) -> bool {
        self.pictures.get(place).is_some_and(|pictures| pictures.newest.is_some())
    }

    /// Draws a map's picture over the older one where that shows more.
    fn paint(&mut self, ui: &Ui, painter: &eframe::egui::Painter, plane: &Plane, scope: &Scope, place: usize) -> Option<Scale> {
        let values = self.values.get(place)?.clone();
        let scale = self.scale(scope, place);
        if self.pictures.len() <= place {
            self.pictures.resize_with(place + 1, Pictures::default);
        }
        let Pictures { newest, older } = &mut self.pictures[place];
        match newest {
            // Nothing has been computed yet: the same measure of another part of the plane stays meanwhile.
            Some(picture) if values.known == 0.0 && picture.pane() == &values.pane => picture.recolour(&scale),
            Some(picture) if picture.extent() == [values.view.z1, values.view.z2] => picture.update(&values, &scale),
            _ => {
                if let Some(picture) =
                    newest.take().filter(|picture| older.as_ref().is_none_or(|older| picture.spacing() <= older.spacing()))
                {
                    *older = Some(picture);
                }
                *newest = Some(Picture::new(ui.ctx(), values, scale.clone()));
            }
        }
        let newest = newest.as_ref()?;
        let keep = scope.map_status != Status::Done && !scope.settings_changed;
        *older = older.take().filter(|older| keep && older.pane() == newest.pane() && older.spacing() < newest.spacing());
        if let Some(older) = older {
            older.recolour(&scale);
        }
        newest.draw(painter, plane);
        if let Some(older) = older {
            older.draw(painter, plane);
        }
        Some(scale)
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

/// What a map is called for screen readers and in menus.
pub fn title(scope: &Scope, place: usize) -> String {
    let pane = &scope.session.panes[place];
    if let Some(frame) = &scope.underway {
        return format!("Map {}: {}", place + 1, underway::caption(frame, pane.measure));
    }
    let members = match pane.members.len() {
        1 => format!("member {}", pane.members[0]),
        count => format!("{count} members"),
    };
    let minus = pane.minus.map_or(String::new(), |other| format!(" minus map {}", other + 1));
    format!("Map {}: {} of {members}{minus}", place + 1, pane.measure.label())
}

/// Words for the state before the first picture.
fn waiting(ui: &mut Ui, scope: &Scope) {
    match &scope.map_status {
        Status::Failed(sentence) => style::empty(ui, "The map cannot be computed", sentence),
        _ => style::empty(ui, "The first picture is on its way", "It grows from coarse to fine."),
    }
}
