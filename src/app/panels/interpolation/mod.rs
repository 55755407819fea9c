//! The tab of the interpolation: strips of images along the line, and what the networks say of them (the paper's Figure 2).

mod controls;
mod strips;

use crate::app::panels::panel::{Panel, Place};
use crate::app::state::answer::{Answer, Standing};
use crate::app::state::scope::Scope;
use crate::app::widgets::{standing, style};
use crate::error::Result;
use crate::jobs::{End, Interpolation, InterpolationSettings, ModelSet, Path, SharedEngine, Status, Task, Wake, Worker, interpolate};
use crate::uncertainty::Measure;
use eframe::egui::{Context, Rect, Stroke, Ui, pos2, vec2};
use egui_plot::{LineStyle, PlotPoints, VLine};
use std::sync::Arc;
use strips::Strips;

/// What the worker is asked for.
#[derive(Clone)]
struct InterpolationRequest {
    set: Arc<ModelSet>,
    engine: Arc<SharedEngine>,
    settings: InterpolationSettings,
}

impl PartialEq for InterpolationRequest {
    /// Whether both give the same, on whatever engine.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.set, &other.set) && self.settings == other.settings
    }
}

/// The tab.
pub struct Interpolations {
    worker: Worker<InterpolationRequest, Answer<InterpolationRequest, Interpolation>>,
    asked: Option<InterpolationRequest>,
    shown: Option<Answer<InterpolationRequest, Interpolation>>,
    /// What the interpolation on the screen is to the present settings.
    standing: Standing,
    strips: Strips,
}

impl Interpolations {
    /// The tab; its worker wakes the window.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn new(wake: &Wake) -> Result<Self> {
        let worker = Worker::spawn("interpolation", Arc::clone(wake), |request: InterpolationRequest, desk| {
            let mut engine = request.engine.foreground().until(desk.stop());
            let result = interpolate(&request.set, &mut engine, &request.settings, &mut |progress| desk.tell(progress))?;
            desk.publish(Answer { request, result, complete: true });
            Ok(())
        })?;
        Ok(Self { worker, asked: None, shown: None, standing: Standing::Former, strips: Strips::default() })
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
        if let Some(answer) = self.worker.take() {
            self.strips.set(ctx, scope.image_shape(), &answer.result);
            self.shown = Some(answer);
        }
        let status = self.worker.status();
        if matches!(status, Status::Failed(_)) {
            self.shown = None;
        }
        let (set, engine) = (Arc::clone(&scope.set), Arc::clone(&scope.engine));
        let wanted = InterpolationRequest { set, engine, settings: Self::wanted(scope) };
        self.standing = self.shown.as_ref().map_or(Standing::Former, |shown| shown.standing(Some(&wanted)));
        // The geodesic of other ends, or of another decoder, is none of this line.
        let ends = |request: &InterpolationRequest| request.settings.ends.each_ref().map(|end| end.z);
        let is_of_line = |shown: &&Answer<InterpolationRequest, Interpolation>| {
            scope.session.line.geodesic && Arc::ptr_eq(&shown.request.set, &wanted.set) && ends(&shown.request) == ends(&wanted)
        };
        scope.results.geodesic = self.shown.as_ref().filter(is_of_line).and_then(|shown| {
            let geodesic = shown.result.curves.iter().find(|curve| curve.path == Path::Geodesic)?;
            geodesic.z.clone()
        });
        // While an end is dragged each request is worth finishing: the curves follow the hand.
        if self.asked.as_ref() != Some(&wanted) && !matches!(status, Status::Working(_)) {
            self.asked = Some(wanted.clone());
            self.worker.request(wanted);
        }
    }

    fn tasks(&self) -> Vec<(&'static str, &dyn Task)> {
        vec![("interpolation", &self.worker)]
    }

    fn ui(&mut self, ui: &mut Ui, scope: &mut Scope) {
        let status = self.worker.status();
        ui.horizontal_top(|ui| {
            ui.allocate_ui(vec2(214.0_f32.min(ui.available_width() * 0.5), ui.available_height()), |ui| {
                ui.vertical(|ui| {
                    controls::show(ui, scope);
                    if self.shown.is_some() {
                        standing::label(ui, self.standing, "");
                    }
                });
            });
            ui.vertical(|ui| {
                if let Status::Failed(_) = status {
                    style::status_line(ui, "", &status);
                    return;
                }
                match &self.shown {
                    Some(shown) if ui.available_size().min_elem() > 40.0 => {
                        standing::drawn(ui, self.standing, |ui| curves(ui, scope, &shown.result, &self.strips));
                    }
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
        let [first, last] = &shown.settings.ends;
        scope.pointer.mark = Some([0, 1].map(|axis| first.z[axis] + t * (last.z[axis] - first.z[axis])));
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
