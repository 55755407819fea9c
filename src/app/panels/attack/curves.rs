//! The sweep over budgets as curves.

use crate::app::panels::attack::workers::Sweep;
use crate::app::widgets::style;
use crate::jobs::SweepPoint;
use eframe::egui::{Color32, Role, Ui, WidgetInfo};
use egui_plot::{LineStyle, PlotPoints, VLine};

/// Draws them over what is left; `epsilon` is the budget at hand.
pub fn show(ui: &mut Ui, sweep: &Sweep, epsilon: f64, classes: &[String]) {
    let dark = ui.visuals().dark_mode;
    let settings = &sweep.question.settings.attack;
    let curve = |value: &dyn Fn(&SweepPoint) -> f64| -> PlotPoints<'static> {
        sweep.points.iter().map(|point| [point.epsilon, value(point)]).collect()
    };
    let mut lines = vec![
        ("p of the true class".to_owned(), curve(&|point| point.class)),
        ("predictive entropy (nats)".to_owned(), curve(&|point| point.entropy)),
        ("mutual information (nats)".to_owned(), curve(&|point| point.mutual_information)),
    ];
    if let Some(target) = sweep.question.target {
        let name = classes.get(target).map_or("?", String::as_str);
        lines.push((format!("p of {name}"), curve(&|point| point.target.unwrap_or(f64::NAN))));
    }
    let response = style::still_plot(ui, "attack sweep")
        .include_y(0.0)
        .include_y(1.0)
        .x_axis_label(format!("ε ({})", settings.norm.symbol()))
        .y_axis_label("probability; nats")
        .legend(style::legend())
        .show(ui, |plot| {
            plot.vline(
                VLine::new("ε at hand", epsilon).color(Color32::GRAY).width(1.0).style(LineStyle::dashed_dense()).allow_hover(false),
            );
            for (number, (name, points)) in lines.into_iter().enumerate() {
                plot.line(style::line(name, points).color(style::of_curve(number, dark)).width(2.0));
            }
        });
    response.response.widget_info(|| WidgetInfo::labeled(Role::Image, true, "Curves over the budget of the attack"));
}
