//! The tab of the holes: where the networks are sure without data, and how that shrinks as the ensemble grows (the paper's
//! Figures 5 and 6).

mod table;
mod workers;

use super::scope::Scope;
use super::{Panel, Place, style};
use crate::error::Result;
use crate::jobs::{CurvePoint, Garbage, HoleSettings, Status, Wake};
use eframe::egui::{Context, DragValue, Image, Ui, vec2};
use egui_plot::{FilledArea, Line, PlotPoints, Points};
use std::sync::Arc;
use workers::{Asked, Found, Workers};

/// How many encodings of test images the threshold is taken from.
const REFERENCE: usize = 1000;

/// The tab.
pub struct HolePanel {
    workers: Workers,
    asked: Option<Asked>,
    found: Option<Arc<Found>>,
    thumbnails: super::images::Texture,
    /// The place of the map whose holes they show.
    thumbnails_of: usize,
    garbage: Option<Garbage>,
    garbage_image: super::images::Texture,
    curve: Option<Vec<CurvePoint>>,
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
            thumbnails: super::images::Texture::default(),
            thumbnails_of: 0,
            garbage: None,
            garbage_image: super::images::Texture::default(),
            curve: None,
        })
    }

    /// What the session wants: the holes of every map that is shown.
    fn wanted(scope: &Scope) -> Option<Asked> {
        let surroundings = scope.surroundings.clone()?;
        let live = scope.live.clone()?;
        let choice = &scope.session.holes;
        let of = |pane: &super::session::Pane| {
            let settings =
                HoleSettings { measure: pane.measure, confident: choice.confident, covered: choice.covered, reference: REFERENCE };
            (settings, pane.members.clone())
        };
        Some(Asked {
            set: Arc::clone(&scope.set),
            engine: Arc::clone(&scope.engine),
            live,
            surroundings,
            panes: scope.session.shown().iter().map(of).collect(),
        })
    }

    fn show_found(&mut self, ui: &mut Ui, scope: &mut Scope, found: &Found) {
        let active = scope.session.active.min(found.holes.len().saturating_sub(1));
        let Some(holes) = found.holes.get(active) else { return };
        let height = ui.available_height();
        ui.horizontal_top(|ui| {
            ui.allocate_ui(vec2(250.0, height), |ui| {
                ui.vertical(|ui| {
                    Self::controls(ui, scope);
                    let members = holes.places.len();
                    let measure = holes.settings.measure;
                    ui.label(format!("{} holes, {:.1} z², {:.1} % of the view", holes.list.len(), holes.area, 100.0 * holes.share));
                    ui.label(style::note(format!(
                        "{} of {members} member{}: sure up to {:.3} {}; no data below a density of {:.2e} per z²",
                        measure.label(),
                        if members == 1 { "" } else { "s" },
                        holes.thresholds.uncertainty,
                        measure.unit(),
                        holes.thresholds.density
                    )));
                });
            });
            ui.allocate_ui(vec2((ui.available_width() - 420.0).clamp(200.0, 460.0), height), |ui| {
                if let Some(hole) = table::show(ui, scope, holes, self.thumbnails.handle()) {
                    self.workers.garbage(found, active, hole);
                }
            });
            ui.allocate_ui(vec2(150.0, height), |ui| ui.vertical(|ui| self.show_garbage(ui, scope)));
            ui.vertical(|ui| self.show_curve(ui, scope, found, active));
        });
    }

    fn controls(ui: &mut Ui, scope: &mut Scope) {
        let choice = &mut scope.session.holes;
        for (share, name, text) in [
            (
                &mut choice.confident,
                "sure as",
                "A point is sure where the measure is as low as at this share of the test data: at 95 % an alarm would go off at one image of the data in twenty",
            ),
            (
                &mut choice.covered,
                "data hold",
                "The region of the data holds this share of the training encodings, by their density; outside of it there are no data",
            ),
        ] {
            ui.horizontal(|ui| {
                let label = ui.label(name);
                let mut percent = *share * 100.0;
                let value = DragValue::new(&mut percent).range(1.0..=100.0).speed(0.1).max_decimals(2).suffix(" %");
                if ui.add(value).labelled_by(label.id).on_hover_text(text).changed() {
                    *share = percent / 100.0;
                }
                ui.label(style::note("of the data"));
            });
        }
        ui.toggle_value(&mut scope.session.overlays.holes, "Outline them on the map");
    }

    fn show_garbage(&self, ui: &mut Ui, scope: &mut Scope) {
        let status = self.workers.garbage.status();
        if style::status_line(ui, "searching", &status) {
            return;
        }
        let (Some(garbage), Some(texture)) = (&self.garbage, self.garbage_image.handle()) else {
            ui.label(style::note("“Garbage” searches a hole for the most confident point farthest from the data."));
            return;
        };
        ui.add(Image::new(texture).fit_to_exact_size(vec2(84.0, 84.0)));
        ui.label(format!("class {}, p = {:.3}", scope.classes()[garbage.class], garbage.confidence));
        ui.label(style::note(format!("z = ({:.2}, {:.2}), {:.2} from the data", garbage.z[0], garbage.z[1], garbage.distance)));
        if ui.small_button("Pin").on_hover_text("Show it in the inspector").clicked() {
            scope.session.pins[0] = Some(super::session::Pin::Latent(garbage.z));
        }
    }

    fn show_curve(&mut self, ui: &mut Ui, scope: &Scope, found: &Found, active: usize) {
        let status = self.workers.curve.status();
        ui.horizontal(|ui| {
            let working = matches!(status, Status::Working(_));
            let label = if working { "Stop" } else { "Area by members" };
            let text = "The area of the holes against the number of ensemble members: mean and 10–90 % band over random subsets";
            if ui.button(label).on_hover_text(text).clicked() {
                if working { self.workers.curve.cancel() } else { self.workers.curve_of(scope, found, active) }
            }
            style::status_line(ui, "subsets", &status);
        });
        let Some(curve) = &self.curve else { return };
        let colour = style::of_curve(0, ui.visuals().dark_mode);
        let x: Vec<f64> = curve.iter().map(|point| point.members as f64).collect();
        let of = |value: fn(&CurvePoint) -> f64| curve.iter().map(value).collect::<Vec<f64>>();
        let mean: PlotPoints<'_> = x.iter().zip(of(|point| point.mean)).map(|(&x, y)| [x, y]).collect();
        let dots: PlotPoints<'_> = x.iter().zip(of(|point| point.mean)).map(|(&x, y)| [x, y]).collect();
        style::still_plot(ui, "hole curve").include_y(0.0).x_axis_label("members").y_axis_label("area of the holes (z²)").show(
            ui,
            |plot| {
                plot.add(
                    FilledArea::new("10–90 % of subsets", &x, &of(|point| point.low), &of(|point| point.high))
                        .fill_color(colour.gamma_multiply(0.3)),
                );
                plot.line(Line::new("mean", mean).color(colour).width(2.0));
                plot.points(Points::new("mean", dots).color(colour).radius(3.0));
            },
        );
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
        self.found = news.map(Arc::new).or(self.found.take());
        if let Some(found) = &self.found {
            let active = scope.session.active.min(found.holes.len().saturating_sub(1));
            // The list is that of the active map: its thumbnails change with it.
            if is_new || self.thumbnails_of != active {
                self.thumbnails_of = active;
                let images = found.thumbnails.get(active).map_or(&[][..], Vec::as_slice);
                self.thumbnails.set(ctx, "holes", super::images::row(scope.image_shape(), images));
            }
        }
        if let Some(garbage) = self.workers.garbage.take() {
            self.garbage_image.set(ctx, "garbage", super::images::pixels(scope.image_shape(), &garbage.image));
            scope.session.fly_to(garbage.z);
            self.garbage = Some(garbage);
        }
        if let Some(curve) = self.workers.curve.take() {
            self.curve = Some(curve);
        }
        let visible = scope.session.overlays.holes || scope.open_tab == self.name();
        scope.holes = self.found.clone().filter(|_| visible).map_or_else(Vec::new, |found| found.holes.clone());
        if visible && let Some(wanted) = Self::wanted(scope) {
            self.workers.ask(ctx, wanted, &mut self.asked, &scope.map_status);
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
                "Holes are where there are no data: make them with `epistemap pack`.",
            );
        }
        let status = self.workers.found.status();
        if let Status::Failed(_) = status {
            style::status_line(ui, "", &status);
        }
        match self.found.clone() {
            Some(found) => self.show_found(ui, scope, &found),
            None => style::empty(
                ui,
                "Looking for holes",
                "First the networks are asked about a thousand test images, to know how sure they are of data.",
            ),
        }
    }
}
