//! The tab of the interpolation: strips of images along the line, and what the networks say of them (the paper's Figure 2).

mod controls;
mod strips;

use crate::app::panels::panel::{Panel, Place};
use crate::app::state::scope::Scope;
use crate::app::widgets::style;
use crate::error::Result;
use crate::jobs::{End, Interpolation, InterpolationSettings, ModelSet, Path, SharedEngine, Status, Wake, Worker, interpolate};
use crate::uncertainty::Measure;
use eframe::egui::{Context, Rect, Stroke, Ui, pos2, vec2};
use egui_plot::{LineStyle, PlotPoints, VLine};
use std::sync::Arc;
use strips::Strips;

/// What the worker is asked for.
type Request = (Arc<ModelSet>, Arc<SharedEngine>, InterpolationSettings);

/// The tab.
pub struct Interpolations {
    worker: Worker<Request, Interpolation>,
    asked: Option<InterpolationSettings>,
    of: Option<Arc<ModelSet>>,
    shown: Option<Interpolation>,
    strips: Strips,
}

impl Interpolations {
    /// The tab; its worker wakes the window.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn new(wake: &Wake) -> Result<Self> {
        let worker = Worker::spawn("interpolation", Arc::clone(wake), |(set, engine, settings): Request, desk| {
            let done = interpolate(&set, &mut engine.foreground().until(desk.stop()), &settings, &mut |progress| desk.tell(progress))?;
            desk.publish(done);
            Ok(())
        })?;
        Ok(Self { worker, asked: None, of: None, shown: None, strips: Strips::default() })
    }

    /// What the session wants to see.
    pub fn wanted(scope: &Scope) -> InterpolationSettings {
        let session = &scope.session;
        let image = |end: usize| {
            let (number, data) = (session.line.images[end]?, scope.data.as_ref()?);
            (number < data.len()).then(|| data.image(number).to_vec())
        };
        let mut paths = vec![Path::Latent, Path::Pixel];
        paths.extend(session.line.geodesic.then_some(Path::Geodesic));
        InterpolationSettings {
            ends: [0, 1].map(|end| End { z: session.line.ends[end], image: image(end) }),
            steps: session.line.steps,
            samples: session.samples,
            members: session.panes[session.active].members.clone(),
            seed: session.seed,
            masks: session.masks,
            paths,
        }
    }
}

impl Panel for Interpolations {
    fn name(&self) -> &'static str {
        "Interpolation"
    }

    fn place(&self) -> Place {
        Place::Tab
    }

    fn logic(&mut self, ctx: &Context, scope: &mut Scope) {
        if let Some(interpolation) = self.worker.take() {
            self.strips.set(ctx, scope.image_shape(), &interpolation);
            self.shown = Some(interpolation);
        }
        // What an earlier request gave is no answer to one that failed.
        if matches!(self.worker.status(), Status::Failed(_)) {
            self.shown = None;
        }
        scope.results.geodesic = self
            .shown
            .as_ref()
            .filter(|_| scope.session.line.geodesic)
            .and_then(|shown| shown.curves.iter().find(|curve| curve.path == Path::Geodesic).and_then(|curve| curve.z.clone()));
        let working = matches!(self.worker.status(), Status::Working(_));
        let wanted = Self::wanted(scope);
        let is_new = self.asked.as_ref() != Some(&wanted) || !self.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, &scope.set));
        // While an end is dragged each request is worth finishing: the curves follow the hand.
        if is_new && !working {
            self.asked = Some(wanted.clone());
            self.of = Some(Arc::clone(&scope.set));
            self.worker.request((Arc::clone(&scope.set), Arc::clone(&scope.engine), wanted));
        }
    }

    #[cfg(test)]
    fn is_busy(&self) -> bool {
        matches!(self.worker.status(), Status::Working(_)) || (self.shown.is_none() && !matches!(self.worker.status(), Status::Failed(_)))
    }

    #[cfg(test)]
    fn pretend(&mut self, status: Status) {
        self.worker.pretend(status);
    }

    fn ui(&mut self, ui: &mut Ui, scope: &mut Scope) {
        let status = self.worker.status();
        ui.horizontal_top(|ui| {
            ui.allocate_ui(vec2(214.0_f32.min(ui.available_width() * 0.5), ui.available_height()), |ui| {
                ui.vertical(|ui| controls::show(ui, scope));
            });
            ui.vertical(|ui| {
                if let Status::Failed(_) = status {
                    style::status_line(ui, "", &status);
                    return;
                }
                match &self.shown {
                    Some(shown) if ui.available_size().min_elem() > 40.0 => curves(ui, scope, shown, &self.strips),
                    Some(_) => {}
                    None => style::empty(ui, "The curves are on their way", "They follow the line on the map."),
                }
            });
        });
    }
}

/// The strips, and under them the curves on the same axis.
fn curves(ui: &mut Ui, scope: &mut Scope, shown: &Interpolation, strips: &Strips) {
    let available = ui.available_rect_before_wrap();
    let strip_height = strips.height(available.size());
    let (above, _) = ui.allocate_exact_size(vec2(available.width(), strip_height), eframe::egui::Sense::hover());
    let places: Vec<usize> = (0..shown.settings.members.len()).collect();
    let positions = shown.positions();
    let dark = ui.visuals().dark_mode;
    let plot = style::still_plot(ui, "curves")
        .show_x(false)
        .set_margin_fraction(vec2(0.0, 0.06))
        .include_x(-0.5 / (positions.len() - 1) as f64)
        .include_x(1.0 + 0.5 / (positions.len() - 1) as f64)
        .include_y(0.0)
        .y_axis_min_width(46.0)
        .y_axis_label(unit(&scope.session.line.measures));
    let measures = scope.session.line.measures.clone();
    let response = plot.show(ui, |plot| {
        for curve in &shown.curves {
            for (number, &measure) in measures.iter().enumerate() {
                let values = curve.measure(measure, &places);
                let points: PlotPoints<'_> = positions.iter().zip(values).map(|(&t, value)| [t, value.into()]).collect();
                let line = match curve.path {
                    Path::Latent => LineStyle::Solid,
                    Path::Pixel => LineStyle::dashed_dense(),
                    Path::Geodesic => LineStyle::dotted_dense(),
                };
                let name = format!("{}, {}", measure.label(), curve.path.label().to_lowercase());
                plot.line(style::line(name, points).style(line).width(2.0).color(style::of_curve(number, dark)));
            }
        }
        let at = plot.pointer_coordinate().filter(|_| plot.response().hovered()).map(|point| point.x.clamp(0.0, 1.0));
        if let Some(t) = at {
            plot.vline(VLine::new("here", t).color(eframe::egui::Color32::GRAY).width(1.0).allow_hover(false));
        }
        at
    });
    let x_of = |t: f64| response.transform.position_from_point_x(t);
    strips.draw(ui, Rect::from_min_max(pos2(above.left(), above.top()), above.max), &x_of, positions.len());
    if let Some(t) = response.inner {
        let step = (t * (positions.len() - 1) as f64).round() as usize;
        let line = &scope.session.line.ends;
        scope.pointer.mark = Some([0, 1].map(|axis| line[0][axis] + t * (line[1][axis] - line[0][axis])));
        let x = x_of(step as f64 / (positions.len() - 1) as f64);
        ui.painter().vline(x, above.y_range(), Stroke::new(1.0, style::ACCENT));
    }
    response.response.widget_info(|| {
        eframe::egui::WidgetInfo::labeled(eframe::egui::Role::Image, true, "Curves of the measures along the interpolation")
    });
}

/// The unit of the axis: that of all measures, where they have one.
fn unit(measures: &[Measure]) -> &'static str {
    match measures {
        [first, rest @ ..] if rest.iter().all(|measure| measure.unit() == first.unit()) => first.unit(),
        _ => "",
    }
}
