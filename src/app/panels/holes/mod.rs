//! The tab of the holes: where the networks are confident outside the region of the data, and the area of these holes by members (the paper's
//! Figures 5 and 6).

mod controls;
mod table;
#[cfg(test)]
mod tests;
mod workers;

use crate::app::panels::panel::{Panel, Place};
use crate::app::state::answer::{Answer, Standing};
use crate::app::state::scope::Scope;
use crate::app::widgets::{standing, style};
use crate::error::Result;
use crate::jobs::{CurvePoint, Garbage, HoleCurve, HoleInterval, Status, Task, Wake};
use crate::numbers::{counted, fixed};
use eframe::egui::{Context, Image, Ui, vec2};
use egui_plot::{FilledArea, PlotPoints, Points};
use std::sync::Arc;
use table::HoleOrder;
use workers::{FoundAnswer, HoleRequest, Workers};

/// The tab.
pub struct HolePanel {
    workers: Workers,
    /// What the present settings ask for, while holes are looked at.
    wanted: Option<HoleRequest>,
    asked: Option<HoleRequest>,
    found: Option<Arc<FoundAnswer>>,
    thumbnails: crate::app::widgets::images::Texture,
    /// The place of the map whose holes they show.
    thumbnails_of: usize,
    order: HoleOrder,
    garbage: Option<Answer<HoleRequest, Garbage>>,
    garbage_image: crate::app::widgets::images::Texture,
    interval: Option<Answer<HoleRequest, HoleInterval>>,
    curve: Option<Answer<HoleRequest, HoleCurve>>,
}

impl HolePanel {
    /// The tab; its workers wake the window.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn new(wake: &Wake) -> Result<Self> {
        Ok(Self {
            workers: Workers::new(wake)?,
            wanted: None,
            asked: None,
            found: None,
            thumbnails: crate::app::widgets::images::Texture::default(),
            thumbnails_of: 0,
            order: HoleOrder::default(),
            garbage: None,
            garbage_image: crate::app::widgets::images::Texture::default(),
            interval: None,
            curve: None,
        })
    }

    /// Results about other models name members and classes that may not be there any more.
    fn forget_other_models(&mut self, scope: &Scope) {
        let is_about = |request: &HoleRequest| request.is_about(&scope.set);
        if self.found.take_if(|found| !is_about(&found.request)).is_some() {
            self.asked = None;
        }
        self.garbage.take_if(|garbage| !is_about(&garbage.request));
        self.interval.take_if(|interval| !is_about(&interval.request));
        self.curve.take_if(|curve| !is_about(&curve.request));
    }

    /// What the present settings ask for about one map.
    fn wanted_of(&self, place: usize) -> Option<HoleRequest> {
        self.wanted.as_ref()?.alone(place)
    }

    fn show_found(&mut self, ui: &mut Ui, scope: &mut Scope, found: &FoundAnswer) {
        let active = scope.session.active.min(found.result.holes.len().saturating_sub(1));
        let Some(holes) = found.result.holes.get(active) else { return };
        let is_current = found.request.alone(active) == self.wanted_of(scope.session.active);
        let standing = if is_current { Standing::Current } else { Standing::Former };
        let height = ui.available_height();
        ui.horizontal_top(|ui| {
            style::column(ui, "hole criterion", 260.0, height, |ui| {
                standing::label(ui, standing, "");
                style::status_line(ui, "looking for holes", &self.workers.found.status());
                standing::drawn(ui, standing, |ui| ui.label(holes.describe()));
                self.show_interval(ui, active);
                controls::show(ui, scope);
                let (images, count) = &holes.reference;
                let text = format!(
                    "{}: {}; reference: {} of {images}",
                    counted(holes.places.len() as u64, "member"),
                    holes.thresholds.describe(),
                    counted(*count as u64, "image"),
                );
                standing::drawn(ui, standing, |ui| ui.label(style::note(text)));
            });
            ui.allocate_ui(vec2((ui.available_width() - 420.0).clamp(200.0, 460.0), height), |ui| {
                let thumbnails = self.thumbnails.handle();
                let order = &mut self.order;
                let list = |ui: &mut Ui| ui.vertical(|ui| table::show(ui, scope, holes, thumbnails, order)).inner;
                let search = standing::drawn(ui, standing, list);
                if let Some(hole) = search {
                    self.workers.garbage(found, active, hole);
                }
            });
            ui.allocate_ui(vec2(150.0, height), |ui| ui.vertical(|ui| self.show_garbage(ui, scope)));
            ui.vertical(|ui| self.show_curve(ui, active));
        });
    }

    fn show_interval(&self, ui: &mut Ui, active: usize) {
        let (status, wanted) = (self.workers.interval.status(), self.wanted_of(active));
        ui.horizontal(|ui| {
            let working = matches!(status, Status::Working(_));
            let text = "Area and number over 20 mask seeds and resampled reference images, as a 95 % interval";
            if ui.button(if working { "Stop" } else { "Interval" }).on_hover_text(text).clicked() {
                match wanted.clone().filter(|_| !working) {
                    Some(wanted) => self.workers.interval.request(wanted),
                    None => self.workers.interval.cancel(),
                }
            }
            style::status_line(ui, "seeds", &status);
        });
        if let Some(interval) = &self.interval {
            let standing = interval.standing(wanted.as_ref());
            standing::label(ui, standing, "");
            standing::drawn(ui, standing, |ui| ui.label(style::note(interval.result.describe())));
        }
    }

    fn show_garbage(&self, ui: &mut Ui, scope: &mut Scope) {
        let status = self.workers.garbage.status();
        if style::status_line(ui, "searching", &status) {
            return;
        }
        let (Some(garbage), Some(texture)) = (&self.garbage, self.garbage_image.handle()) else {
            ui.label(style::note("“Garbage” searches a hole for the most confident point farthest from the training encodings."));
            return;
        };
        let side = (ui.available_height() * 0.45).clamp(72.0, 140.0);
        standing::label(ui, garbage.standing(self.wanted_of(scope.session.active).as_ref()), "");
        let garbage = &garbage.result;
        ui.add(Image::new(texture).fit_to_exact_size(vec2(side, side)));
        ui.label(format!("class {}, p = {:.3}", scope.classes()[garbage.class], garbage.confidence));
        ui.label(style::note(format!(
            "z = ({}, {}), {:.2} from the nearest training encoding",
            fixed(garbage.z[0], 2),
            fixed(garbage.z[1], 2),
            garbage.distance
        )));
        if ui.small_button("Pin").on_hover_text("Show it in the inspector").clicked() {
            scope.session.pins[0] = Some(crate::app::state::session::Pin::Latent(garbage.z));
        }
    }

    fn show_curve(&self, ui: &mut Ui, active: usize) {
        let status = self.workers.curve.status();
        let wanted = self.wanted.as_ref().and_then(|wanted| wanted.of_all_members(active));
        ui.horizontal(|ui| {
            let working = matches!(status, Status::Working(_));
            let label = if working { "Stop" } else { "Area by members" };
            let text = "The area of the holes against the number of ensemble members, over 20 mask seeds: mean and 95 % prediction band over random subsets and seeds, every single member, and equal draws in all as a control";
            if ui.button(label).on_hover_text(text).clicked() {
                match wanted.clone().filter(|_| !working) {
                    Some(wanted) => self.workers.curve.request(wanted),
                    None => self.workers.curve.cancel(),
                }
            }
            style::status_line(ui, "seeds", &status);
        });
        let Some(answer) = &self.curve else { return };
        let standing = answer.standing(wanted.as_ref());
        standing::label(ui, standing, "");
        standing::drawn(ui, standing, |ui| draw_curve(ui, &answer.result));
    }
}

/// The area of the holes against the number of members.
fn draw_curve(ui: &mut Ui, curve: &HoleCurve) {
    let colour = style::of_curve(0, ui.visuals().dark_mode);
    ui.label(style::note(curve.finding.as_str()));
    let of = |value: fn(&CurvePoint) -> f64| curve.points.iter().map(value).collect::<Vec<f64>>();
    let x = of(|point| point.members as f64);
    let line = |values: Vec<f64>| -> PlotPoints<'_> { x.iter().zip(values).map(|(&x, y)| [x, y]).collect() };
    let singles: PlotPoints<'_> = curve.singles.iter().map(|single| [1.0, single.mean]).collect();
    let control = style::of_curve(1, ui.visuals().dark_mode);
    style::still_plot(ui, "hole curve")
        .include_y(0.0)
        .x_axis_label("members")
        .y_axis_label("area of the holes (z²)")
        .x_grid_spacer(egui_plot::uniform_grid_spacer(|_| [1.0, 1.0, 5.0]))
        .show(ui, |plot| {
            plot.add(
                FilledArea::new("95 % prediction interval", &x, &of(|point| point.interval[0]), &of(|point| point.interval[1]))
                    .fill_color(colour.gamma_multiply(0.3)),
            );
            plot.line(style::line("equal draws of each member", line(of(|point| point.mean))).color(colour).width(2.0));
            plot.line(style::line("equal draws in all", line(of(|point| point.equal_total))).color(control).width(1.5));
            plot.points(Points::new("single members", singles).color(colour).radius(3.0));
        });
}

impl Panel for HolePanel {
    fn name(&self) -> &'static str {
        "Holes"
    }

    fn place(&self) -> Place {
        Place::Tab
    }

    fn logic(&mut self, ctx: &Context, scope: &mut Scope) {
        let news = self.workers.found.take();
        let is_new = news.is_some();
        self.found = news.map(Arc::new).or(self.found.take());
        self.interval = self.workers.interval.take().or(self.interval.take());
        self.curve = self.workers.curve.take().or(self.curve.take());
        let garbage = self.workers.garbage.take();
        let is_searched = garbage.is_some();
        self.garbage = garbage.or(self.garbage.take());
        self.forget_other_models(scope);
        if let Some(found) = &self.found {
            let found = &found.result;
            let active = scope.session.active.min(found.holes.len().saturating_sub(1));
            // The list is that of the active map: its thumbnails change with it.
            if is_new || self.thumbnails_of != active {
                self.thumbnails_of = active;
                let images = found.thumbnails.get(active).map_or(&[][..], Vec::as_slice);
                self.thumbnails.set(ctx, "holes", crate::app::widgets::images::row(scope.image_shape(), images));
            }
        }
        if let Some(garbage) = self.garbage.as_ref().filter(|_| is_searched) {
            self.garbage_image.set(ctx, "garbage", crate::app::widgets::images::pixels(scope.image_shape(), &garbage.result.image));
            scope.fly_to(garbage.result.z);
        }
        if matches!(self.workers.found.status(), Status::Failed(_)) {
            self.found = None;
        }
        // What earlier requests gave is no answer to those that failed.
        let has_failed = |status| matches!(status, Status::Failed(_));
        if has_failed(self.workers.garbage.status()) {
            self.garbage = None;
        }
        if has_failed(self.workers.interval.status()) {
            self.interval = None;
        }
        if has_failed(self.workers.curve.status()) {
            self.curve = None;
        }
        let visible = scope.session.overlays.holes || scope.is_open(self.name());
        self.wanted = if visible { HoleRequest::wanted(scope) } else { None };
        scope.results.holes.clear();
        let Some(wanted) = &self.wanted else { return };
        self.workers.ask(wanted, &mut self.asked);
        if let Some(found) = &self.found {
            // The maps, their colour bars and figures show holes of the present settings alone.
            let is_current = |place: &usize| wanted.alone(*place).is_some_and(|wanted| found.request.alone(*place) == Some(wanted));
            let current = (0..found.result.holes.len()).take_while(is_current);
            scope.results.holes.extend(current.map(|place| Arc::clone(&found.result.holes[place])));
        }
    }

    fn tasks(&self) -> Vec<(&'static str, &dyn Task)> {
        let Workers { found, garbage, interval, curve, .. } = &self.workers;
        vec![("holes", found), ("search of a hole", garbage), ("interval of the holes", interval), ("area by members", curve)]
    }

    fn ui(&mut self, ui: &mut Ui, scope: &mut Scope) {
        if scope.set.encodings.is_none() {
            return style::empty(
                ui,
                "These models have no encodings",
                "Holes are where the networks are sure outside the region of the training encodings: make these with `epistemap encode`.",
            );
        }
        let status = self.workers.found.status();
        if let Status::Failed(_) = status {
            style::status_line(ui, "", &status);
            return controls::show(ui, scope);
        }
        match self.found.clone() {
            Some(found) => self.show_found(ui, scope, &found),
            None => style::empty(
                ui,
                "Looking for holes",
                "The networks predict the images of a fixed region of the plane, and a thousand test images, to know how sure they are of data.",
            ),
        }
    }
}
