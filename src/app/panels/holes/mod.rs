//! The tab of the holes: where the networks are confident outside the region of the data, and the area of these holes by members (the paper's
//! Figures 5 and 6).

mod controls;
mod table;
#[cfg(test)]
mod tests;
mod workers;

use crate::app::panels::panel::{Panel, Place};
use crate::app::state::scope::Scope;
use crate::app::widgets::style;
use crate::error::Result;
use crate::jobs::{CurvePoint, Garbage, HoleCurve, HoleInterval, Status, Wake};
use crate::numbers::{counted, fixed};
use eframe::egui::{Context, Image, Ui, vec2};
use egui_plot::{FilledArea, PlotPoints, Points};
use std::sync::Arc;
use table::HoleOrder;
use workers::{FoundHoles, HoleRequest, Workers};

/// The tab.
pub struct HolePanel {
    workers: Workers,
    asked: Option<HoleRequest>,
    found: Option<Arc<FoundHoles>>,
    thumbnails: crate::app::widgets::images::Texture,
    /// The place of the map whose holes they show.
    thumbnails_of: usize,
    order: HoleOrder,
    garbage: Option<Garbage>,
    garbage_image: crate::app::widgets::images::Texture,
    interval: Option<HoleInterval>,
    curve: Option<HoleCurve>,
}

impl HolePanel {
    /// The tab; its workers wake the window.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn new(wake: &Wake) -> Result<Self> {
        Ok(Self {
            workers: Workers::new(wake)?,
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

    fn show_found(&mut self, ui: &mut Ui, scope: &mut Scope, found: &FoundHoles) {
        let active = scope.session.active.min(found.holes.len().saturating_sub(1));
        let Some(holes) = found.holes.get(active) else { return };
        let height = ui.available_height();
        ui.horizontal_top(|ui| {
            style::column(ui, "hole criterion", 260.0, height, |ui| {
                ui.label(holes.describe());
                self.show_interval(ui, found, active);
                controls::show(ui, scope);
                let (images, count) = &holes.reference;
                ui.label(style::note(format!(
                    "{}: {}; reference: {} of {images}",
                    counted(holes.places.len() as u64, "member"),
                    holes.thresholds.describe(),
                    counted(*count as u64, "image"),
                )));
            });
            ui.allocate_ui(vec2((ui.available_width() - 420.0).clamp(200.0, 460.0), height), |ui| {
                let search = ui.vertical(|ui| table::show(ui, scope, holes, self.thumbnails.handle(), &mut self.order)).inner;
                if let Some(hole) = search {
                    self.workers.garbage(found, active, hole);
                }
            });
            ui.allocate_ui(vec2(150.0, height), |ui| ui.vertical(|ui| self.show_garbage(ui, scope)));
            ui.vertical(|ui| self.show_curve(ui, found, active));
        });
    }

    fn show_interval(&self, ui: &mut Ui, found: &FoundHoles, active: usize) {
        let status = self.workers.interval.status();
        ui.horizontal(|ui| {
            let working = matches!(status, Status::Working(_));
            let text = "Area and number over 20 mask seeds and resampled reference images, as a 95 % interval";
            if ui.button(if working { "Stop" } else { "Interval" }).on_hover_text(text).clicked() {
                if working { self.workers.interval.cancel() } else { self.workers.interval_of(found, active) }
            }
            style::status_line(ui, "seeds", &status);
        });
        if let Some(interval) = &self.interval {
            ui.label(style::note(interval.describe()));
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
        ui.add(Image::new(texture).fit_to_exact_size(vec2(84.0, 84.0)));
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

    fn show_curve(&mut self, ui: &mut Ui, found: &FoundHoles, active: usize) {
        let status = self.workers.curve.status();
        ui.horizontal(|ui| {
            let working = matches!(status, Status::Working(_));
            let label = if working { "Stop" } else { "Area by members" };
            let text = "The area of the holes against the number of ensemble members, over 20 mask seeds: mean and 95 % prediction band over random subsets and seeds, every single member, and equal draws in all as a control";
            if ui.button(label).on_hover_text(text).clicked() {
                if working { self.workers.curve.cancel() } else { self.workers.curve_of(found, active) }
            }
            style::status_line(ui, "seeds", &status);
        });
        let Some(curve) = &self.curve else { return };
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
        if is_new {
            self.interval = None;
        }
        self.found = news.map(Arc::new).or(self.found.take());
        if let Some(found) = &self.found {
            let active = scope.session.active.min(found.holes.len().saturating_sub(1));
            // The list is that of the active map: its thumbnails change with it.
            if is_new || self.thumbnails_of != active {
                self.thumbnails_of = active;
                let images = found.thumbnails.get(active).map_or(&[][..], Vec::as_slice);
                self.thumbnails.set(ctx, "holes", crate::app::widgets::images::row(scope.image_shape(), images));
            }
        }
        if let Some(garbage) = self.workers.garbage.take() {
            self.garbage_image.set(ctx, "garbage", crate::app::widgets::images::pixels(scope.image_shape(), &garbage.image));
            scope.fly_to(garbage.z);
            self.garbage = Some(garbage);
        }
        if matches!(self.workers.found.status(), Status::Failed(_)) {
            self.found = None;
        }
        self.interval = self.workers.interval.take().or(self.interval);
        if let Some(curve) = self.workers.curve.take() {
            self.curve = Some(curve);
        }
        let visible = scope.session.overlays.holes || scope.open_tab == self.name();
        scope.results.holes = self.found.clone().filter(|_| visible).map_or_else(Vec::new, |found| found.holes.clone());
        if visible && let Some(wanted) = HoleRequest::wanted(scope) {
            self.workers.ask(wanted, &mut self.asked);
        }
    }

    #[cfg(test)]
    fn is_busy(&self) -> bool {
        self.workers.is_busy() || self.found.is_none()
    }

    #[cfg(test)]
    fn pretend(&mut self, status: Status) {
        self.workers.pretend(&status);
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
