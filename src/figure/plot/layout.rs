//! Where everything stands.

use super::{Axis, Plot, Series, Strip};
use crate::error::{Error, Result};
use crate::figure::axes::{self, LEADING, Legend, Ticks};
use crate::figure::canvas::Area;
use crate::figure::heat_map::Options;
use crate::figure::text::{CAPITAL, Run};
use crate::figure::venue::Style;

/// Plots stand side by side where each is so wide, in points.
const NARROWEST_BESIDE: f64 = 130.0;
/// The narrowest plot in points.
const NARROWEST: f64 = 40.0;
/// The widest plot in points that has no strip above it; a wider figure centres it.
const WIDEST: f64 = 324.0;
/// The tallest plot in points.
const TALLEST: f64 = 200.0;
/// The height over the width of plots one below the other, and of others (the golden ratio).
const PROPORTIONS: [f64; 2] = [0.36, 0.618];
/// The length of a key in the legend as a part of the font size, and that with the space after it.
pub(super) const KEY: [f64; 2] = [2.8, 3.3];

/// Where a plot stands and what is written at it.
pub(super) struct Place {
    pub area: Area,
    pub x_ticks: Ticks,
    pub y_ticks: Ticks,
    /// Whether the x axis is labelled here; else the plot below has the same.
    pub x_labelled: bool,
    /// Whether the y axis is labelled here; else the plot at the left has the same.
    pub y_labelled: bool,
    /// The width of the widest label of the y axes in this column, so that what they show stands in one line.
    pub widest: f64,
}

/// Where everything stands, in points.
pub(super) struct Layout {
    pub width: f64,
    pub height: f64,
    pub legend: Option<(Legend, Vec<Series>)>,
    /// The edges that title and legend stand between.
    pub edges: [f64; 2],
    pub strips: Vec<Area>,
    pub plots: Vec<Place>,
}

impl Layout {
    pub fn new(strips: &[Strip], plots: &[Plot], options: &Options) -> Result<Self> {
        let style = &options.style;
        let (width, margin, line) = (72.0 * style.width_in, 0.25 * style.tick_pt, LEADING * style.label_pt);
        let most = if strips.is_empty() { plots.len().max(1) } else { 1 };
        // The columns that fit; at one the loop ends, whatever the width.
        let (mut columns, mut sides) = (most, sides(strips, plots, most, style));
        while columns > 1 && sides.plot < NARROWEST_BESIDE {
            // Five plots of which four fit stand in rows of three.
            columns = plots.len().div_ceil(plots.len().div_ceil(columns - 1)).min(columns - 1);
            sides = self::sides(strips, plots, columns, style);
        }
        let room = sides.plot;
        if room < NARROWEST {
            return Err(Error::setting(
                "the figure's width",
                format!("a plot with its labels does not fit into {} in", style.width_in),
                "choose a wider venue",
            ));
        }
        let side = if strips.is_empty() { room.min(WIDEST) } else { room };
        let slack = (room - side) * columns as f64 / 2.0;
        let mut lefts = Vec::new();
        let mut x = margin + slack;
        for left in &sides.lefts {
            lefts.push(x + left);
            x += left + side + sides.between;
        }
        let edges = [lefts[0], lefts[columns - 1] + side];

        let keys = keys(plots);
        let names: Vec<String> = keys.iter().map(|key| key.label.clone()).collect();
        let legend = (keys.len() > 1).then(|| Legend::new(&names, KEY[1] * style.tick_pt, edges[1] - edges[0], style));
        let mut y =
            margin.max(0.5 * style.tick_pt) + options.title.as_ref().map_or(0.0, |_| line) + legend.as_ref().map_or(0.0, Legend::height);
        let mut strip_areas = Vec::new();
        for strip in strips {
            let [_, rows, across] = strip.image_shape;
            let height = side / strip.len() as f64 * rows as f64 / across as f64;
            strip_areas.push(Area { x: lefts[0], y, width: side, height });
            y += height + 0.25 * style.tick_pt;
        }
        y += if strips.is_empty() { 0.0 } else { 0.5 * style.tick_pt };

        let mut places = Vec::new();
        let proportion = PROPORTIONS[usize::from(plots.len() <= columns && strips.is_empty())];
        for (row, in_row) in plots.chunks(columns).enumerate() {
            let named = |plot: &Plot| Run::regular(plot.y.text()).width(style.label_pt) + 2.0 * margin;
            let longest = in_row.iter().map(named).fold(0.0, f64::max);
            let height = (proportion * side).max(longest).min(TALLEST);
            y += if in_row.iter().any(|plot| plot.title.is_some()) { line } else { 0.0 };
            for (column, plot) in in_row.iter().enumerate() {
                let index = row * columns + column;
                let below = plots.get(index + columns);
                places.push(Place {
                    area: Area { x: lefts[column], y, width: side, height },
                    x_ticks: x_ticks(&plot.x, side, style),
                    y_ticks: y_ticks(&plot.y, height, style),
                    x_labelled: below.is_none_or(|below| below.x != plot.x),
                    y_labelled: y_labelled(plots, index, columns),
                    widest: 0.0,
                });
            }
            let labelled = places[row * columns..].iter().any(|place| place.x_labelled);
            y += height + if labelled { axes::depth(CAPITAL * style.tick_pt, style) } else { 1.1 * style.tick_pt };
            // The next plot's uppermost label of the y axis, or its title, stands clear of what is written here.
            y += if (row + 1) * columns < plots.len() { 0.6 * style.tick_pt } else { 0.0 };
        }
        for column in 0..columns.min(places.len()) {
            let labelled = places.iter().skip(column).step_by(columns).filter(|place| place.y_labelled);
            let widest = labelled.map(|place| place.y_ticks.width(style.tick_pt)).fold(0.0, f64::max);
            places.iter_mut().skip(column).step_by(columns).for_each(|place| place.widest = widest);
        }
        Ok(Self { width, height: y + margin, legend: legend.map(|legend| (legend, keys)), edges, strips: strip_areas, plots: places })
    }
}

/// How wide a plot of so many columns may be, and what stands beside.
struct Sides {
    /// Of each column, the room for the y axis and the strips' names.
    lefts: Vec<f64>,
    between: f64,
    plot: f64,
}

fn sides(strips: &[Strip], plots: &[Plot], columns: usize, style: &Style) -> Sides {
    let margin = 0.25 * style.tick_pt;
    let axis = |(index, plot): (usize, &Plot)| {
        // The height is not known yet: with more room there may be more ticks, but hardly longer labels.
        let widest = y_ticks(&plot.y, TALLEST, style).width(style.tick_pt);
        if y_labelled(plots, index, columns) { axes::depth(widest, style) } else { 0.0 }
    };
    let of_column = |column: usize| plots.iter().enumerate().skip(column).step_by(columns).map(axis).fold(0.0, f64::max);
    let mut lefts: Vec<f64> = (0..columns).map(of_column).collect();
    let name = |strip: &Strip| Run::regular(&strip.label).width(style.tick_pt) + 0.8 * style.tick_pt;
    lefts[0] = strips.iter().map(name).fold(lefts[0], f64::max).min(0.3 * 72.0 * style.width_in);
    let widest_x = |plot: &Plot| x_ticks(&plot.x, NARROWEST_BESIDE, style).width(style.tick_pt);
    let widest = plots.iter().map(widest_x).fold(0.0, f64::max);
    // A label at the end of an x axis reaches half of its width beyond it.
    let (between, right) = (widest + 0.8 * style.tick_pt, widest / 2.0);
    let room = 72.0 * style.width_in - 2.0 * margin - lefts.iter().sum::<f64>() - between * (columns - 1) as f64 - right;
    Sides { plot: room / columns as f64, lefts, between }
}

fn x_ticks(axis: &Axis, width: f64, style: &Style) -> Ticks {
    whole(axis, axes::lower_ticks(axis.usable_range(), width, style))
}

fn y_ticks(axis: &Axis, height: f64, style: &Style) -> Ticks {
    whole(axis, axes::bar_ticks(axis.usable_range(), &axis.unit, height, style))
}

/// The ticks of an axis, at whole numbers alone where it counts.
fn whole(axis: &Axis, ticks: Ticks) -> Ticks {
    if axis.is_count { axes::whole_ticks(&ticks) } else { ticks }
}

/// Whether a plot's y axis is labelled: not where the plot at its left has the same.
fn y_labelled(plots: &[Plot], index: usize, columns: usize) -> bool {
    index.is_multiple_of(columns) || plots[index - 1].y != plots[index].y
}

/// One series of each name and look, in the order of their first use, without their points.
fn keys(plots: &[Plot]) -> Vec<Series> {
    let mut keys: Vec<Series> = Vec::new();
    for series in plots.iter().flat_map(|plot| &plot.series) {
        if !keys.iter().any(|key| key.label == series.label && key.look == series.look) {
            let band = series.band.as_ref().map(|_| Vec::new());
            keys.push(Series {
                label: series.label.clone(),
                look: series.look,
                points: Vec::new(),
                band,
                filled: series.filled,
                dots: series.dots,
            });
        }
    }
    keys
}
