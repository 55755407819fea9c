//! Lines, bands, histograms and strips on a canvas.

use super::layout::{KEY, Layout, Place};
use super::{Plot, Series, Strip};
use crate::figure::axes::{self, LEADING};
use crate::figure::canvas::{Anchor, Area, Canvas, Shape, Stroke};
use crate::figure::colour::{Rgb, line_colour};
use crate::figure::heat_map::Options;
use crate::figure::text::{CAPITAL, Face, Run, elide};
use crate::figure::venue::Style;

/// The thickness of a curve over that of a frame.
const THICK: f64 = 2.0;
/// The radius of a dot among many over the thickness of a frame; one of few is as large as its key.
const DOT: f64 = 1.0;
/// The most dots that are few.
const FEW: usize = 50;
/// How opaque bands and the areas of histograms are.
const SHADE: f64 = 0.22;
/// Dashes and gaps by look, over the thickness of the curve, so that curves are told apart in grey print as well.
const DASHES: [&[f64]; 6] = [&[], &[4.0, 2.0], &[1.2, 1.2], &[6.0, 1.6, 1.2, 1.6], &[8.0, 3.0], &[2.4, 1.2]];
/// No point is drawn further from the page than this, in points.
const FAR: f64 = 1e4;

/// Draws everything where the layout puts it.
pub(super) fn all(canvas: &mut Canvas, layout: &Layout, strips: &[Strip], plots: &[Plot], options: &Options) {
    let style = &options.style;
    let mut y = 0.25 * style.tick_pt;
    if let Some(title) = &options.title {
        let middle = f64::midpoint(layout.edges[0], layout.edges[1]);
        let room = 2.0 * middle.min(layout.width - middle);
        let run = Run::new(elide(title, Face::Bold, style.label_pt, room), Face::Bold);
        canvas.add(axes::text([middle, y + CAPITAL * style.label_pt], Anchor::Middle, style.label_pt, run));
        y += LEADING * style.label_pt;
    }
    if let Some((legend, keys)) = &layout.legend {
        legend.draw(canvas, layout.edges, y, |canvas, number, at| key(canvas, &keys[number], at, style));
    }
    for (strip, &area) in strips.iter().zip(&layout.strips) {
        draw_strip(canvas, strip, area, style);
    }
    for (plot, place) in plots.iter().zip(&layout.plots) {
        draw_plot(canvas, plot, place, style);
    }
}

fn draw_plot(canvas: &mut Canvas, plot: &Plot, place: &Place, style: &Style) {
    let area = place.area;
    let ([x0, x1], [y0, y1]) = (plot.x.ends(), plot.y.ends());
    let at = |[x, y]: [f64; 2]| {
        let place = [area.x + area.width * (x - x0) / (x1 - x0), area.bottom() - area.height * (y - y0) / (y1 - y0)];
        place.map(|length| length.clamp(-FAR, FAR))
    };
    if let Some(title) = &plot.title {
        let run = Run::regular(elide(title, Face::Regular, style.label_pt, area.width));
        canvas.add(axes::text([area.x + area.width / 2.0, area.y - 0.4 * style.label_pt], Anchor::Middle, style.label_pt, run));
    }
    // All shades first, so that none dims a line.
    for series in &plot.series {
        for points in stretches(series) {
            let ends: Option<Vec<([f64; 2], [f64; 2])>> = match &series.band {
                Some(band) => Some(points.iter().map(|&(index, [x, _])| (at([x, band[index][0]]), at([x, band[index][1]]))).collect()),
                None if series.filled => Some(points.iter().map(|&(_, [x, y])| (at([x, y0]), at([x, y]))).collect()),
                None => None,
            };
            if let Some(ends) = ends {
                let around = ends.iter().map(|end| end.0).chain(ends.iter().rev().map(|end| end.1)).collect();
                canvas.add(Shape::Polygon { clip: area, points: around, fill: line_colour(series.look), opacity: SHADE });
            }
        }
    }
    for series in plot.series.iter().filter(|series| series.dots) {
        let seen = |&&[x, y]: &&[f64; 2]| (x0..=x1).contains(&x) && (y0..=y1).contains(&y);
        let radius = if series.points.len() <= FEW { THICK } else { DOT } * style.line_pt;
        for &point in series.points.iter().filter(seen) {
            let fill = line_colour(series.look);
            canvas.add(Shape::Circle { centre: at(point), radius, fill, stroke: None });
        }
    }
    for series in plot.series.iter().filter(|series| !series.dots) {
        for points in stretches(series) {
            let points: Vec<[f64; 2]> = points.into_iter().map(|(_, point)| at(point)).collect();
            canvas.add(line(area, points, series.look, style));
        }
    }
    axes::frame(canvas, area, style);
    let named = |label: String, room: f64| vec![Run::regular(elide(&label, Face::Regular, style.label_pt, room))];
    let x_label = place.x_labelled.then(|| named(plot.x.text(), area.width));
    axes::lower_axis(canvas, area, plot.x.ends(), &place.x_ticks, x_label, style);
    let y_label = place.y_labelled.then(|| (named(plot.y.text(), area.height), place.widest));
    axes::left_axis(canvas, area, plot.y.ends(), &place.y_ticks, y_label, style);
}

/// The points of a series with their numbers, in stretches without a gap.
fn stretches(series: &Series) -> Vec<Vec<(usize, [f64; 2])>> {
    let finite = |index: usize, point: &[f64; 2]| {
        point.iter().all(|x| x.is_finite()) && series.band.as_ref().is_none_or(|band| band[index].iter().all(|end| end.is_finite()))
    };
    let marked: Vec<_> = series.points.iter().enumerate().map(|(index, &point)| (finite(index, &point), (index, point))).collect();
    let whole = marked.chunk_by(|a, b| a.0 == b.0).filter(|stretch| stretch[0].0);
    whole.map(|stretch| stretch.iter().map(|&(_, point)| point).collect()).collect()
}

/// A piece of a curve; a single point is a dot.
fn line(clip: Area, points: Vec<[f64; 2]>, look: usize, style: &Style) -> Shape {
    let (colour, width) = (line_colour(look), THICK * style.line_pt);
    if let [centre] = points[..] {
        return Shape::Circle { centre, radius: width, fill: colour, stroke: None };
    }
    let dashes = DASHES[look % DASHES.len()].iter().map(|length| length * width).collect();
    Shape::Polyline { clip, points, stroke: Stroke { colour, width }, dashes }
}

/// The key of a series in the legend: a piece of its line, before a piece of its shade.
fn key(canvas: &mut Canvas, series: &Series, [left, middle]: [f64; 2], style: &Style) {
    let half = 0.36 * style.tick_pt;
    let area = Area { x: left, y: middle - half, width: KEY[0] * style.tick_pt, height: 2.0 * half };
    let corner = |x: f64, y: f64| [x, middle + y * half];
    if series.filled || series.band.is_some() {
        let points = vec![corner(area.x, -1.0), corner(area.right(), -1.0), corner(area.right(), 1.0), corner(area.x, 1.0)];
        canvas.add(Shape::Polygon { clip: area, points, fill: line_colour(series.look), opacity: SHADE });
    }
    if series.dots {
        let centre = corner(f64::midpoint(area.x, area.right()), 0.0);
        canvas.add(Shape::Circle { centre, radius: THICK * style.line_pt, fill: line_colour(series.look), stroke: None });
        return;
    }
    // The upper edge of a histogram, the middle of a band.
    let y = if series.filled { -1.0 } else { 0.0 };
    let clip = Area { y: area.y - style.line_pt * THICK, height: area.height + 2.0 * style.line_pt * THICK, ..area };
    canvas.add(line(clip, vec![corner(area.x, y), corner(area.right(), y)], series.look, style));
}

fn draw_strip(canvas: &mut Canvas, strip: &Strip, area: Area, style: &Style) {
    /// The part of its place that an image takes; the rest is a white line between it and the next.
    const FILLED: f64 = 0.95;
    let [channels, rows, columns] = strip.image_shape;
    let place = area.width / strip.len() as f64;
    for (number, image) in strip.images.chunks_exact(channels * rows * columns).enumerate() {
        let (x, y) = (area.x + place * (number as f64 + (1.0 - FILLED) / 2.0), area.y + area.height * (1.0 - FILLED) / 2.0);
        let there = Area { x, y, width: FILLED * place, height: FILLED * area.height };
        let pixels = (0..rows * columns).map(|pixel| pixel_colour(image, pixel, channels)).collect();
        canvas.add(Shape::Raster { area: there, clip: there, columns, pixels });
    }
    let at = [area.x - 0.5 * style.tick_pt, area.y + area.height / 2.0 + CAPITAL / 2.0 * style.tick_pt];
    let name = elide(&strip.label, Face::Regular, style.tick_pt, at[0]);
    canvas.add(axes::text(at, Anchor::End, style.tick_pt, Run::regular(name)));
}

/// The colour of a pixel of an image [channels, pixels].
pub(in crate::figure) fn pixel_colour(image: &[f32], pixel: usize, channels: usize) -> Rgb {
    let value = |channel: usize| image[channel * (image.len() / channels) + pixel];
    let byte = |value: f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
    if channels == 3 {
        [0, 1, 2].map(|channel| byte(value(channel)))
    } else {
        [byte((0..channels).map(value).sum::<f32>() / channels as f32); 3]
    }
}
