//! Ticks, axes, the colour bar and the legend of the classes.

use super::canvas::{Anchor, Area, Canvas, Shape, Stroke};
use super::colour::Rgb;
use super::scale::Scale;
use super::text::{CAPITAL, Face, Run, elide};
use super::venue::Style;
use crate::numbers::{fixed, typeset};

const BLACK: Rgb = [0; 3];
/// The length of a tick, outwards, in points.
const TICK: f64 = 2.5;
/// The space between a tick and its label, in points.
const PAD: f64 = 1.5;
/// The radius of a dot in a legend, as a part of the font size.
const DOT: f64 = 0.32;
/// From one line of text to the next, as a part of the font size.
pub(super) const LEADING: f64 = 1.3;

/// Where an axis has marks, and what stands there.
#[derive(Clone, Debug, PartialEq)]
pub struct Ticks {
    /// The values, in ascending order, within the axis' range.
    pub at: Vec<f64>,
    /// What stands at each.
    pub labels: Vec<String>,
}

/// Ticks at the multiples of 1, 2 or 5 · 10ᵏ within a range: as many as possible, `most` at the most. A range that is empty or
/// not finite has none.
pub fn nice_ticks([first, last]: [f64; 2], most: usize) -> Ticks {
    if !(first < last && (last - first).is_finite()) {
        return Ticks { at: Vec::new(), labels: Vec::new() };
    }
    let mut exponent = ((last - first) / most.max(1) as f64).log10().floor() as i32 - 1;
    let mut mantissa = 1.0;
    // How many steps there are to the first and to the last tick; ends that a rounding error has moved still count.
    let bounds = |mantissa: f64, exponent: i32| {
        let steps = |value: f64| value / (mantissa * 10_f64.powi(exponent));
        ((steps(first) - 1e-9).ceil(), (steps(last) + 1e-9).floor())
    };
    let mut ends = bounds(mantissa, exponent);
    while ends.1 - ends.0 >= most.max(1) as f64 {
        (mantissa, exponent) = match mantissa {
            1.0 => (2.0, exponent),
            2.0 => (5.0, exponent),
            _ => (1.0, exponent + 1),
        };
        ends = bounds(mantissa, exponent);
    }
    // Dividing by a power of ten, rather than multiplying by its inverse, gives 0.3 and not 0.30000000000000004.
    let value =
        |steps: f64| if exponent < 0 { steps * mantissa / 10_f64.powi(-exponent) } else { steps * mantissa * 10_f64.powi(exponent) };
    let count = (ends.1 - ends.0 + 1.0).max(0.0) as usize;
    let mut at: Vec<f64> = (0..count).map(|i| value(ends.0 + i as f64).clamp(first, last)).collect();
    // Where the range is a rounding error wide, neighbours fall together.
    at.dedup();
    let labels = labels(&at, exponent);
    Ticks { at, labels }
}

/// The ticks at whole numbers alone, for an axis of counts: a multiple of 1, 2 or 5 · 10⁻ᵏ hits each of them.
pub(super) fn whole_ticks(ticks: &Ticks) -> Ticks {
    let at: Vec<f64> = ticks.at.iter().copied().filter(|tick| (tick - tick.round()).abs() < 1e-9).map(f64::round).collect();
    let labels = labels(&at, 0);
    Ticks { at, labels }
}

/// The labels of ticks that are multiples of 10^`exponent`: plain decimals, or, where those would be long, a power of ten.
fn labels(ticks: &[f64], exponent: i32) -> Vec<String> {
    let largest = ticks.iter().fold(0.0_f64, |largest, tick| largest.max(tick.abs()));
    let magnitude = if largest > 0.0 { (largest.log10() + 1e-9).floor() as i32 } else { 0 };
    let plain = (-3..=4).contains(&magnitude);
    let power = if plain { 0 } else { magnitude };
    let decimals = (power - exponent).clamp(0, 12) as usize;
    let label = |&tick: &f64| match tick {
        0.0 => "0".to_owned(),
        _ if plain => typeset(&fixed(tick, decimals)),
        _ => format!("{}×10{}", typeset(&fixed(tick / 10_f64.powi(power), decimals)), superscript(power)),
    };
    ticks.iter().map(label).collect()
}

fn superscript(number: i32) -> String {
    let raised = |character| match character {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32(u32::from('⁰') + u32::from(digit) - u32::from('0')).unwrap_or(digit),
    };
    number.to_string().chars().map(raised).collect()
}

/// The ticks of a lower axis `length` points long, as many as their labels leave room for.
pub(super) fn lower_ticks(range: [f64; 2], length: f64, style: &Style) -> Ticks {
    let mut ticks = nice_ticks(range, most_ticks(length, style));
    while ticks.at.len() > 1 && 1.4 * ticks.width(style.tick_pt) * ticks.at.len() as f64 > length {
        ticks = nice_ticks(range, ticks.at.len() - 1);
    }
    ticks
}

/// How many ticks an axis `length` points long should have at the most.
pub(super) fn most_ticks(length: f64, style: &Style) -> usize {
    ((length / (3.5 * style.tick_pt)) as usize).clamp(3, 9)
}

impl Ticks {
    /// The width of the widest label in points.
    pub fn width(&self, size: f64) -> f64 {
        self.labels.iter().map(|label| Run::regular(label).width(size)).fold(0.0, f64::max)
    }
}

/// How much room an axis or colour bar takes beyond its frame: the ticks, their labels and the axis' label.
pub(super) fn depth(labels: f64, style: &Style) -> f64 {
    TICK + 2.0 * PAD + labels + LEADING * style.label_pt
}

fn line(style: &Style) -> Stroke {
    Stroke { colour: BLACK, width: style.line_pt }
}

/// A line of text in one face.
pub(super) fn text(at: [f64; 2], anchor: Anchor, size: f64, run: Run) -> Shape {
    Shape::Text { at, anchor, upwards: false, size, runs: vec![run] }
}

/// The frame of a panel.
pub(super) fn frame(canvas: &mut Canvas, area: Area, style: &Style) {
    canvas.add(Shape::Rectangle { area, fill: None, stroke: Some(line(style)) });
}

/// A latent dimension as an axis label: an italic z and its number.
pub(super) fn latent(dimension: char) -> Vec<Run> {
    vec![Run::new("z", Face::Italic), Run::regular(dimension)]
}

/// The lower axis over `range`, with ticks outwards; the ticks alone, without what is written at an axis, where there is no label.
pub(super) fn lower_axis(canvas: &mut Canvas, area: Area, range: [f64; 2], ticks: &Ticks, label: Option<Vec<Run>>, style: &Style) {
    let y = area.bottom() + TICK + PAD + CAPITAL * style.tick_pt;
    for (&tick, text_there) in ticks.at.iter().zip(&ticks.labels) {
        let x = area.x + area.width * (tick - range[0]) / (range[1] - range[0]);
        canvas.add(Shape::Line { from: [x, area.bottom()], to: [x, area.bottom() + TICK], stroke: line(style) });
        if label.is_some() {
            canvas.add(text([x, y], Anchor::Middle, style.tick_pt, Run::regular(text_there)));
        }
    }
    if let Some(runs) = label {
        let at = [area.x + area.width / 2.0, y + PAD + style.label_pt];
        canvas.add(Shape::Text { at, anchor: Anchor::Middle, upwards: false, size: style.label_pt, runs });
    }
}

/// The left axis over `range`. `label`: what stands beside it and the width of the widest tick label, where anything is to be
/// written there at all.
pub(super) fn left_axis(canvas: &mut Canvas, area: Area, range: [f64; 2], ticks: &Ticks, label: Option<(Vec<Run>, f64)>, style: &Style) {
    for (&tick, text_there) in ticks.at.iter().zip(&ticks.labels) {
        let y = area.bottom() - area.height * (tick - range[0]) / (range[1] - range[0]);
        canvas.add(Shape::Line { from: [area.x - TICK, y], to: [area.x, y], stroke: line(style) });
        if label.is_some() {
            let at = [area.x - TICK - PAD, y + CAPITAL / 2.0 * style.tick_pt];
            canvas.add(text(at, Anchor::End, style.tick_pt, Run::regular(text_there)));
        }
    }
    if let Some((runs, widest)) = label {
        let at = [area.x - TICK - 2.0 * PAD - widest - 0.3 * style.label_pt, area.y + area.height / 2.0];
        canvas.add(Shape::Text { at, anchor: Anchor::Middle, upwards: true, size: style.label_pt, runs });
    }
}

/// The ticks of a scale `height` points tall, of a colour bar or of an axis: nice ones, and the upper end of a range from 0 to ln C in nats, named so,
/// in place of those too near to it.
pub(super) fn bar_ticks(range: [f64; 2], unit: &str, height: f64, style: &Style) -> Ticks {
    let room = (height / (2.5 * style.tick_pt)) as usize;
    let mut ticks = nice_ticks(range, room.clamp(3, 9));
    let classes = range[1].exp();
    if unit == "nats" && range[0] == 0.0 && (1.5..1e6).contains(&classes) && (classes - classes.round()).abs() < 1e-5 * classes {
        let nearest = range[1] * (1.0 - LEADING * style.tick_pt / height);
        let kept = ticks.at.partition_point(|&tick| tick <= nearest);
        ticks.at.truncate(kept);
        ticks.labels.truncate(kept);
        ticks.at.push(range[1]);
        ticks.labels.push(format!("ln\u{2009}{classes:.0}"));
    }
    ticks
}

/// A colour bar with its ticks and label on the right.
pub(super) fn colour_bar(canvas: &mut Canvas, area: Area, scale: &Scale, ticks: &Ticks, label: &str, style: &Style) {
    let range = scale.range;
    let pixels = (0..256).rev().map(|i| scale.colour(range[0] + f64::from(i) / 255.0 * (range[1] - range[0]))).collect();
    canvas.add(Shape::Raster { area, clip: area, columns: 1, pixels });
    frame(canvas, area, style);
    for (&tick, label) in ticks.at.iter().zip(&ticks.labels) {
        let y = area.bottom() - area.height * (tick - range[0]) / (range[1] - range[0]);
        canvas.add(Shape::Line { from: [area.right(), y], to: [area.right() + TICK, y], stroke: line(style) });
        let at = [area.right() + TICK + PAD, y + CAPITAL / 2.0 * style.tick_pt];
        canvas.add(text(at, Anchor::Start, style.tick_pt, Run::regular(label)));
    }
    let at = [area.right() + TICK + 2.0 * PAD + ticks.width(style.tick_pt) + 0.95 * style.label_pt, area.y + area.height / 2.0];
    // Beside a low bar the label may be taller than the bar, but not leave the canvas.
    let room = 2.0 * at[1].min(canvas.height - at[1]);
    let runs = vec![Run::regular(elide(label, Face::Regular, style.label_pt, room))];
    canvas.add(Shape::Text { at, anchor: Anchor::Middle, upwards: true, size: style.label_pt, runs });
}

/// Draws a mark across a colour bar at a value, where the bar holds it.
pub(super) fn bar_mark(canvas: &mut Canvas, area: Area, scale: &Scale, value: f64, style: &Style) {
    let [low, high] = scale.range;
    if (low..=high).contains(&value) {
        let y = area.bottom() - area.height * (value - low) / (high - low);
        canvas.add(Shape::Line { from: [area.x - TICK, y], to: [area.right() + TICK, y], stroke: line(style) });
    }
}

/// Names beside their keys (dots, pieces of lines), in as few rows of equal columns as fit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Legend {
    names: Vec<String>,
    widest: f64,
    columns: usize,
    column_width: f64,
    row_height: f64,
    key: f64,
    size: f64,
}

impl Legend {
    /// The legend of some names over `width` points, where a key with the space after it takes `key` points; names that are
    /// too long end in "…".
    pub fn new(names: &[String], key: f64, width: f64, style: &Style) -> Self {
        let size = style.tick_pt;
        let gap = 1.2 * size;
        let names: Vec<String> = names.iter().map(|name| elide(name, Face::Regular, size, width - key - gap)).collect();
        let widest = names.iter().map(|name| Run::regular(name).width(size)).fold(0.0, f64::max);
        let fitting = (((width + gap) / (widest + key + gap)) as usize).max(1);
        // Ten classes, of which six fit in a row, stand in two rows of five.
        let rows = names.len().div_ceil(fitting).max(1);
        let columns = names.len().div_ceil(rows).max(1);
        // Short names are not torn apart over a wide figure.
        let column_width = (width / columns as f64).min(widest + key + 3.0 * size);
        Self { names, widest, columns, column_width, row_height: 1.45 * size, key, size }
    }

    /// The legend of classes, whose keys are [`class_dot`]s.
    pub fn of_classes(classes: &[String], width: f64, style: &Style) -> Self {
        Self::new(classes, 3.0 * DOT * style.tick_pt, width, style)
    }

    /// The height in points, with the space below.
    pub fn height(&self) -> f64 {
        self.names.len().div_ceil(self.columns) as f64 * self.row_height + 0.4 * self.size
    }

    /// Draws it downwards from `y`, in the middle between two edges; `key` draws the key of a number, given the middle of its
    /// left edge.
    pub fn draw(&self, canvas: &mut Canvas, [left, right]: [f64; 2], y: f64, key: impl Fn(&mut Canvas, usize, [f64; 2])) {
        let gap = self.column_width - self.widest - self.key;
        let x = f64::midpoint(left, right) - (self.columns as f64 * self.column_width - gap) / 2.0;
        for (number, name) in self.names.iter().enumerate() {
            let left = x + (number % self.columns) as f64 * self.column_width;
            let middle = y + ((number / self.columns) as f64 + 0.5) * self.row_height;
            key(canvas, number, [left, middle]);
            let at = [left + self.key, middle + CAPITAL / 2.0 * self.size];
            canvas.add(text(at, Anchor::Start, self.size, Run::regular(name)));
        }
    }
}

/// The key of a class: a dot in its colour and shape.
pub(super) fn class_dot(canvas: &mut Canvas, class: usize, [left, middle]: [f64; 2], style: &Style) {
    let radius = DOT * style.tick_pt;
    canvas.add(Shape::ClassDot { centre: [left + radius, middle], radius, class });
}
