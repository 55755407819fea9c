//! The curves of the measures, and the histogram of one.

use crate::app::panels::detection::view::{BINS, Curve, View};
use crate::app::widgets::style;
use crate::jobs::Detector;
use eframe::egui::{Color32, Role, Ui, WidgetInfo};
use egui_plot::{LineStyle, PlotPoints, Points, Polygon, VLine};

/// The two curves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Roc,
    PrecisionRecall,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Roc, Self::PrecisionRecall];

    /// Its name for a person.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Roc => "ROC curve",
            Self::PrecisionRecall => "Precision–recall curve",
        }
    }

    const fn axes(self) -> [&'static str; 2] {
        match self {
            Self::Roc => ["false positive rate", "true positive rate"],
            Self::PrecisionRecall => ["recall", "precision"],
        }
    }

    fn points(self, curve: &Curve) -> &[[f64; 2]] {
        match self {
            Self::Roc => &curve.roc,
            Self::PrecisionRecall => &curve.precision_recall,
        }
    }

    fn mark(self, [fpr, tpr, precision]: [f64; 3]) -> [f64; 2] {
        match self {
            Self::Roc => [fpr, tpr],
            Self::PrecisionRecall => [tpr, precision],
        }
    }
}

/// The colour of a detector, in the table and in the curves.
fn colour(detector: Detector, dark: bool) -> Color32 {
    style::of_member(Detector::all(true).iter().position(|other| *other == detector).unwrap_or(0), dark)
}

/// Draws the curves of one kind, with a mark at the threshold of `detector`.
pub fn curves(ui: &mut Ui, view: &View, kind: Kind, detector: Detector, threshold: f64) {
    let dark = ui.visuals().dark_mode;
    let [x, y] = kind.axes();
    let mark = view.rates(detector, threshold).map(|rates| kind.mark(rates));
    let shown = style::still_plot(ui, kind.name())
        .include_x(0.0)
        .include_x(1.0)
        .include_y(0.0)
        .include_y(1.0)
        .x_axis_label(x)
        .y_axis_label(y)
        .show(ui, |plot| {
            if kind == Kind::Roc {
                let chance: PlotPoints<'_> = vec![[0.0, 0.0], [1.0, 1.0]].into();
                plot.line(
                    style::line("chance", chance).color(Color32::GRAY).width(1.0).style(LineStyle::dashed_dense()).allow_hover(false),
                );
            }
            for curve in &view.curves {
                let points: PlotPoints<'_> = kind.points(curve).iter().copied().collect();
                plot.line(style::line(curve.detector.label(), points).color(colour(curve.detector, dark)).width(1.8));
            }
            if let Some(mark) = mark {
                plot.points(Points::new("threshold", vec![mark]).radius(5.0).filled(false).color(colour(detector, dark)));
            }
        });
    shown.response.widget_info(|| {
        let at = mark.map_or(String::new(), |[x, y]| format!(", threshold at ({x:.3}, {y:.3})"));
        WidgetInfo::labeled(Role::Image, true, format!("{}{at}", kind.name()))
    });
}

/// Draws both histograms; answers the bin that was clicked.
pub fn histogram(ui: &mut Ui, view: &View, detector: Detector, threshold: f64, picked: Option<usize>) -> Option<usize> {
    let dark = ui.visuals().dark_mode;
    let top = view.sides.iter().flat_map(|side| side.bins).fold(0.0, f64::max);
    let unit = if detector.unit().is_empty() { String::new() } else { format!(" ({})", detector.unit()) };
    let shown = style::still_plot(ui, "histogram")
        .include_y(0.0)
        .x_axis_label(format!("{}{unit}", detector.label()))
        .y_axis_label("share of images")
        .legend(style::legend())
        .show(ui, |plot| {
            if let Some(bin) = picked {
                let [from, to] = [view.edge(bin), view.edge(bin + 1)];
                let corners: PlotPoints<'_> = vec![[from, 0.0], [to, 0.0], [to, top], [from, top]].into();
                let fill = Color32::GRAY.gamma_multiply(0.25);
                plot.polygon(Polygon::new("chosen", corners).fill_color(fill).stroke((0.0, fill)).allow_hover(false));
            }
            for (number, side) in view.sides.iter().enumerate() {
                let steps = (0..BINS).flat_map(|bin| [[view.edge(bin), side.bins[bin]], [view.edge(bin + 1), side.bins[bin]]]);
                let ends = [view.edge(0), view.edge(BINS)].map(|edge| [edge, 0.0]);
                let outline: PlotPoints<'_> = std::iter::once(ends[0]).chain(steps).chain([ends[1]]).collect();
                plot.line(style::line(side.name.clone(), outline).fill(0.0).width(1.5).color(style::of_curve(number, dark)));
            }
            plot.vline(VLine::new("threshold", threshold).color(style::ATTACK).width(1.5).allow_hover(false));
        });
    let response = shown.response.on_hover_text("A click shows the images of that bin");
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, format!("Histogram of the scores, threshold at {threshold:.4}")));
    let at = response.interact_pointer_pos().filter(|_| response.clicked())?;
    let value = shown.transform.value_from_position(at).x;
    (view.range[0]..=view.range[1]).contains(&value).then(|| view.bin(value))
}
