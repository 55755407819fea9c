//! Loss and test scores as curves over epochs.

use crate::app::panels::training::run::Run;
use crate::app::widgets::style;
use crate::jobs::training::{Epoch, Scores};
use eframe::egui::{Color32, Role, Ui, WidgetInfo};
use egui_plot::{LineStyle, PlotPoints, Points, VLine};

/// So few points are dots as well: a line of one could not be seen.
const DOTTED: usize = 20;

/// A curve: its name, and its points over epochs.
type Curve = (&'static str, Vec<[f64; 2]>);

/// The losses: that of training, and that on the test images.
pub fn losses(ui: &mut Ui, run: &Run, epoch: Option<usize>) {
    let test = tests(run, |scores| Some(scores.loss()));
    plot(ui, "training loss", "loss (nats)", vec![("training", run.losses.clone()), ("test", test)], run, epoch);
}

/// What else the test images say.
pub fn scores(ui: &mut Ui, run: &Run, epoch: Option<usize>) {
    let part = |part: fn(&Scores) -> Option<f64>| tests(run, part);
    if matches!(run.done.last().map(|epoch| epoch.test), Some(Scores::Vae { .. })) {
        let curves = vec![
            ("reconstruction", part(|scores| if let Scores::Vae { reconstruction, .. } = scores { Some(*reconstruction) } else { None })),
            ("KL", part(|scores| if let Scores::Vae { kl, .. } = scores { Some(*kl) } else { None })),
        ];
        plot(ui, "test scores", "test (nats)", curves, run, epoch);
    } else {
        let error = part(|scores| if let Scores::Classifier { accuracy, .. } = scores { Some(100.0 * (1.0 - accuracy)) } else { None });
        plot(ui, "test scores", "test error (%)", vec![("wrong answers", error)], run, epoch);
    }
}

fn tests(run: &Run, value: impl Fn(&Scores) -> Option<f64>) -> Vec<[f64; 2]> {
    run.done.iter().filter_map(|Epoch { epoch, test, .. }| Some([*epoch as f64, value(test)?])).collect()
}

/// Draws curves over epochs, with a mark at the epoch that is looked at.
fn plot(ui: &mut Ui, name: &'static str, unit: &str, curves: Vec<Curve>, run: &Run, epoch: Option<usize>) {
    let dark = ui.visuals().dark_mode;
    // What is drawn is what the curves were after the first steps: those of the untrained network would flatten all that follows.
    let settled = |curve: &[[f64; 2]]| curve.iter().skip(curve.len() / 20).map(|point| point[1]).fold(0.0, f64::max);
    let highest = curves.iter().map(|(_, curve)| settled(curve)).fold(0.0, f64::max);
    let plot =
        style::still_plot(ui, name).include_x(0.0).include_x(run.epochs.max(1) as f64).x_axis_label("epoch").y_axis_label(unit.to_owned());
    // A legend of nothing would lie over the axes.
    let plot = if curves.iter().any(|(_, curve)| !curve.is_empty()) { plot.legend(style::legend()) } else { plot };
    let response = plot.show(ui, |plot| {
        if let Some(epoch) = epoch {
            let mark = VLine::new("epoch at hand", epoch as f64).color(Color32::GRAY).width(1.0).style(LineStyle::dashed_dense());
            plot.vline(mark.allow_hover(false));
        }
        let lowest = curves.iter().flat_map(|(_, curve)| curve).map(|point| point[1]).fold(f64::INFINITY, f64::min);
        for (number, (name, curve)) in curves.into_iter().enumerate() {
            let points: PlotPoints<'_> = curve.into_iter().filter(|point| point[1] <= highest).collect();
            let colour = style::of_curve(number, dark);
            if points.points().len() <= DOTTED {
                plot.points(Points::new(name, points.points().iter().map(|at| [at.x, at.y]).collect::<Vec<_>>()).color(colour).radius(3.0));
            }
            plot.line(style::line(name, points).color(colour).width(2.0));
        }
        if lowest.is_finite() && highest > lowest {
            plot.set_plot_bounds_y(lowest.min(0.95 * lowest)..=1.05 * highest);
        }
    });
    response.response.widget_info(|| WidgetInfo::labeled(Role::Image, true, format!("Curves over epochs: {unit}")));
}
