//! Heat maps of the latent plane: one or several panels side by side with one colour bar, and encodings on top.

use super::axes::{self, LEADING, Legend, Ticks, nice_ticks};
use super::canvas::{Anchor, Area, Canvas, Shape};
use super::colour::{ColourMap, Rgb};
use super::layers::Layers;
use super::scale::Scale;
use super::text::{CAPITAL, Face, Run, elide};
use super::venue::Style;
use crate::error::{Error, Result};
use crate::latent::View;
use crate::random::{Purpose, Stream};

/// The widest panel in points; a wider figure centres its panels.
pub(super) const WIDEST: f64 = 324.0;
/// The tallest panel in points, so that a figure fits on a page.
const TALLEST: f64 = 500.0;
/// The narrowest panel in points.
pub(super) const NARROWEST: f64 = 24.0;

/// A measure over a view of the latent plane.
#[derive(Clone, Debug, PartialEq)]
pub struct MapData {
    /// Which points.
    pub view: View,
    /// The measure at each point, row by row from the lowest z₂: [rows, columns].
    pub values: Vec<f32>,
    /// What is measured, such as "Mutual information".
    pub label: String,
    /// Its unit, such as "nats"; empty for a pure number.
    pub unit: String,
    /// The values that it can take: 0 … ln C for entropies and mutual information.
    pub natural: [f64; 2],
}

/// Encodings of data with their classes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scatter<'a> {
    /// [N, 2] points of the latent plane.
    pub points: &'a [[f32; 2]],
    /// [N] classes.
    pub labels: &'a [u16],
    /// The name of each class.
    pub classes: &'a [String],
}

/// One heat map of a figure.
#[derive(Clone, Debug)]
pub struct Panel<'a> {
    /// What stands above it.
    pub title: Option<&'a str>,
    /// The values.
    pub map: &'a MapData,
    /// What lies over them. The legend is that of the first panel that has one.
    pub scatter: Option<Scatter<'a>>,
    /// What else lies over them.
    pub layers: Layers,
}

/// Which values the ends of the colour map stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColourRange {
    /// All that the measure can take, so that two pictures can be compared.
    #[default]
    Natural,
    /// From the smallest to the largest finite value in the figure, or in all figures of the measure that are drawn together.
    Data,
}

/// How a figure is drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Sizes.
    pub style: Style,
    /// The colours of the values.
    pub colours: ColourMap,
    /// What the colours stand for.
    pub range: ColourRange,
    /// The ends of a fitted range ([`ColourRange::Data`]) that several figures share; those of this figure's values for `None`.
    pub shared: Option<[f32; 2]>,
    /// A title above everything. Papers have none: there the caption says it.
    pub title: Option<String>,
}

/// Draws panels from left to right with one colour bar, named after the first panel's measure. The scales of z₁ and z₂ are
/// equal unless one range is more than four times the other.
///
/// # Errors
/// When the panels are too many, or their tick labels too long, for the figure's width.
///
/// # Panics
/// Without a panel; when the lengths of values, points and labels do not fit; when a label has no class; when a natural range
/// is not finite.
pub fn heat_map(panels: &[Panel<'_>], options: &Options) -> Result<Canvas> {
    for Panel { map, scatter, .. } in panels {
        assert_eq!(map.values.len(), map.view.len(), "a map has a value for each point of its view");
        assert!(map.natural.iter().all(|end| end.is_finite()), "a natural range is finite");
        if let Some(scatter) = scatter {
            assert_eq!(scatter.points.len(), scatter.labels.len(), "each encoding has a label");
            assert!(scatter.labels.iter().all(|&label| usize::from(label) < scatter.classes.len()), "each label has a class");
        }
    }
    let layout = Layout::new(panels, options)?;
    let mut canvas = Canvas { width: layout.width, height: layout.height, shapes: Vec::new() };
    layout.draw(&mut canvas, panels, options);
    Ok(canvas)
}

/// Where everything stands, in points.
struct Layout {
    width: f64,
    height: f64,
    panels: Vec<Area>,
    /// Of each panel: z₁, z₂, and the width of the labels of z₂ where the panel has any.
    ticks: Vec<(Ticks, Ticks, Option<f64>)>,
    bar: Area,
    bar_ticks: Ticks,
    scale: Scale,
    legend: Option<Legend>,
}

impl Layout {
    fn new(panels: &[Panel<'_>], options: &Options) -> Result<Self> {
        let style = &options.style;
        let (width, margin) = (72.0 * style.width_in, 0.25 * style.tick_pt);
        let range = colour_range(panels, options);
        let (bar_gap, bar_width) = (style.tick_pt, 1.1 * style.tick_pt);

        // The ticks' number follows from the panels' sides, and these from the room that the ticks' labels leave: begin with an estimate.
        let count = panels.len() as f64;
        let widest = WIDEST.min(TALLEST / tallest(panels));
        let estimate = (0.7 * width / count).min(widest);
        let ticks: Vec<_> = (0..panels.len()).map(|index| panel_ticks(panels, index, estimate, style)).collect();
        let bar_ticks = axes::bar_ticks(range, &panels[0].map.unit, estimate * tallest(panels), style);
        let lefts: Vec<f64> = ticks.iter().map(|(_, _, labels)| labels.map_or(0.0, |labels| axes::depth(labels, style))).collect();
        // The last label of a lower axis and the first of the next reach half of their width beyond their panels.
        let between = ticks.iter().map(|(z1, ..)| z1.width(style.tick_pt)).fold(0.0, f64::max) + 0.8 * style.tick_pt;
        let right = bar_gap + bar_width + axes::depth(bar_ticks.width(style.tick_pt), style);
        let room = width - 2.0 * margin - lefts.iter().sum::<f64>() - between * (count - 1.0) - right;
        let side = (room / count).min(widest);
        let slack = (room - side * count) / 2.0;
        if side < NARROWEST {
            return Err(Error::setting(
                "the figure's width",
                format!("{} panels with their labels do not fit into {} in", panels.len(), style.width_in),
                "choose a wider venue, fewer panels, or a larger extent",
            ));
        }

        let inner_width = side * count + lefts[1..].iter().sum::<f64>() + between * (count - 1.0);
        let legend = panels.iter().find_map(|panel| panel.scatter).map(|scatter| Legend::of_classes(scatter.classes, inner_width, style));
        let titles = panels.iter().any(|panel| panel.title.is_some());
        let line = LEADING * style.label_pt;
        let top = margin.max(0.5 * style.tick_pt)
            + options.title.as_ref().map_or(0.0, |_| line)
            + legend.as_ref().map_or(0.0, Legend::height)
            + if titles { line } else { 0.0 };

        let mut x = margin + slack;
        let mut areas = Vec::new();
        for (panel, left) in panels.iter().zip(&lefts) {
            areas.push(Area { x: x + left, y: top, width: side, height: side * proportion(&panel.map.view) });
            x += left + side + between;
        }
        let tallest = side * tallest(panels);
        let end = areas.last().map_or(0.0, |area| area.right());
        let bar = Area { x: end + bar_gap, y: top, width: bar_width, height: tallest };
        let height = top + tallest + axes::depth(CAPITAL * style.tick_pt, style) + margin;
        Ok(Self { width, height, panels: areas, ticks, bar, bar_ticks, scale: Scale { range, colours: Some(options.colours) }, legend })
    }

    fn draw(&self, canvas: &mut Canvas, panels: &[Panel<'_>], options: &Options) {
        let style = &options.style;
        let [first, last] = [self.panels[0], self.panels[self.panels.len() - 1]];
        let mut y = 0.25 * style.tick_pt;
        if let Some(title) = &options.title {
            let middle = f64::midpoint(first.x, last.right());
            let room = 2.0 * middle.min(self.width - middle);
            let run = Run::new(elide(title, Face::Bold, style.label_pt, room), Face::Bold);
            canvas.add(axes::text([middle, y + CAPITAL * style.label_pt], Anchor::Middle, style.label_pt, run));
            y += LEADING * style.label_pt;
        }
        if let Some(legend) = &self.legend {
            legend.draw(canvas, [first.x, last.right()], y, |canvas, class, at| axes::class_dot(canvas, class, at, style));
        }
        for ((panel, &area), (z1, z2, labels)) in panels.iter().zip(&self.panels).zip(&self.ticks) {
            let view = &panel.map.view;
            if let Some(title) = panel.title {
                let run = Run::regular(elide(title, Face::Regular, style.label_pt, area.width));
                let at = [area.x + area.width / 2.0, area.y - 0.4 * style.label_pt];
                canvas.add(axes::text(at, Anchor::Middle, style.label_pt, run));
            }
            canvas.add(cells(panel.map, area, |value| self.scale.colour(value)));
            if let Some(scatter) = panel.scatter {
                canvas.add(dots(scatter, &[], view, area));
            }
            panel.layers.draw(canvas, view, area, style);
            axes::frame(canvas, area, style);
            axes::lower_axis(canvas, area, view.z1, z1, Some(axes::latent('₁')), style);
            axes::left_axis(canvas, area, view.z2, z2, labels.map(|widest| (axes::latent('₂'), widest)), style);
        }
        let map = panels[0].map;
        let label = if map.unit.is_empty() { map.label.clone() } else { format!("{} ({})", map.label, map.unit) };
        axes::colour_bar(canvas, self.bar, &self.scale, &self.bar_ticks, &label, style);
        for threshold in panels.iter().filter_map(|panel| panel.layers.threshold) {
            axes::bar_mark(canvas, self.bar, &self.scale, threshold, style);
        }
    }
}

/// The height of a view over its width.
pub(super) fn proportion(view: &View) -> f64 {
    ((view.z2[1] - view.z2[0]) / (view.z1[1] - view.z1[0])).clamp(0.25, 4.0)
}

/// The height of the tallest panel over its width.
fn tallest(panels: &[Panel<'_>]) -> f64 {
    panels.iter().map(|panel| proportion(&panel.map.view)).fold(0.0, f64::max)
}

/// The ticks of a panel `side` points wide. The labels of z₂ are left out where the panel to the left has the same.
fn panel_ticks(panels: &[Panel<'_>], index: usize, side: f64, style: &Style) -> (Ticks, Ticks, Option<f64>) {
    let view = &panels[index].map.view;
    let z1 = axes::lower_ticks(view.z1, side, style);
    let z2 = nice_ticks(view.z2, axes::most_ticks(side * proportion(view), style));
    let repeated = index > 0 && panels[index - 1].map.view.z2 == view.z2;
    let labels = (!repeated).then(|| z2.width(style.tick_pt));
    (z1, z2, labels)
}

/// The values at the ends of the colour map.
pub fn colour_range(panels: &[Panel<'_>], options: &Options) -> [f64; 2] {
    let wider = |[low, high]: [f64; 2], [a, b]: [f64; 2]| [low.min(a), high.max(b)];
    let nothing = [f64::INFINITY, f64::NEG_INFINITY];
    let natural = panels.iter().map(|panel| panel.map.natural).fold(nothing, wider);
    let values = panels.iter().flat_map(|panel| &panel.map.values).copied().map(f64::from).filter(|value| value.is_finite());
    let fitted = options.shared.map_or_else(|| values.map(|value| [value, value]).fold(nothing, wider), |ends| ends.map(f64::from));
    match (options.range, fitted) {
        (ColourRange::Data, [low, high]) if low < high => [low, high],
        // A constant map, or one without a number, says nothing of a range, nor does a single class: its entropy is always 0.
        _ if natural[0] < natural[1] => natural,
        _ => [natural[0], natural[0] + 1.0],
    }
}

/// The heat map: each value fills the cell around its point, so that the outermost cells reach beyond the view and are clipped.
pub(super) fn cells(map: &MapData, area: Area, colour: impl Fn(f64) -> Rgb) -> Shape {
    let View { columns, rows, .. } = map.view;
    let cell = |length: f64, count: usize| if count == 1 { length } else { length / (count - 1) as f64 };
    let (width, height) = (cell(area.width, columns), cell(area.height, rows));
    let whole = Area {
        x: area.x + (area.width - width * columns as f64) / 2.0,
        y: area.y + (area.height - height * rows as f64) / 2.0,
        width: width * columns as f64,
        height: height * rows as f64,
    };
    let upper_row_first = map.values.chunks(columns).rev().flatten();
    let pixels = upper_row_first.map(|&value| colour(value.into())).collect();
    Shape::Raster { area: whole, clip: area, columns, pixels }
}

/// The encodings within the view but for those of hidden classes, in a random order, so that no class lies on top of the others
/// for its number.
pub(super) fn dots(scatter: Scatter<'_>, hidden: &[usize], view: &View, area: Area) -> Shape {
    let place = |z: f32, [first, last]: [f64; 2]| (f64::from(z) - first) / (last - first);
    let dots = Stream::new(0, Purpose::Choice)
        .permutation([0; 3], scatter.points.len())
        .into_iter()
        .filter(|&i| !hidden.contains(&scatter.labels[i].into()))
        .map(|i| (scatter.points[i], usize::from(scatter.labels[i])))
        .map(|([z1, z2], class)| ([place(z1, view.z1), 1.0 - place(z2, view.z2)], class))
        .filter(|([x, y], _)| (0.0..=1.0).contains(x) && (0.0..=1.0).contains(y))
        .map(|([x, y], class)| ([area.x + x * area.width, area.y + y * area.height], class))
        .collect();
    // Shapes need more room than colours.
    let smallest = if scatter.classes.len() > 10 { 0.8 } else { 0.35 };
    let radius = (0.5 * area.width / (scatter.points.len() as f64).sqrt()).clamp(smallest, 1.4);
    Shape::ClassDots { clip: area, radius, dots }
}
