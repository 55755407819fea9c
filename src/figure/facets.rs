//! Several maps of one part of the latent plane in rows and columns, each with colours of its own, as on the screen.

use super::axes::{self, LEADING, Legend, Ticks};
use super::canvas::{Anchor, Area, Canvas, Shape};
use super::caption::wrapped;
use super::heat_map::{self, MapData, NARROWEST, Scatter, WIDEST};
use super::layers::Layers;
use super::scale::Scale;
use super::text::{CAPITAL, Face, Run, elide};
use super::venue::Style;
use crate::error::{Error, Result};
use crate::latent::View;

/// The tallest stack of panels in points, so that a figure fits on a page.
const TALLEST: f64 = 560.0;
/// What a value that is still to come looks like: paper.
const PAPER: [u8; 3] = [255; 3];

/// One of the maps.
#[derive(Clone, Debug)]
pub struct Facet<'a> {
    /// What stands above it: a line, and a smaller one below; each takes more lines where the map is narrow.
    pub title: Option<[String; 2]>,
    /// The values; NaN where they are still to come.
    pub map: &'a MapData,
    /// What the colours stand for.
    pub scale: Scale,
    /// Decoded images over the values.
    pub images: Option<&'a ImageGrid>,
    /// Encodings over these.
    pub scatter: Option<Scatter<'a>>,
    /// The classes whose encodings are left out.
    pub hidden: &'a [usize],
    /// What lies over all of it.
    pub layers: Layers,
}

/// Images decoded at the points of a view.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageGrid {
    /// Where; each image lies around its point.
    pub view: View,
    /// [channels, height, width] of each.
    pub shape: [usize; 3],
    /// Pixels in 0..=1, a point after the other, \[N, C, H, W\].
    pub pixels: Vec<f32>,
}

impl ImageGrid {
    /// All images as one of red, green, blue and opacity, the uppermost row first: ink is opaque and paper is clear, so that what
    /// lies under it shows through.
    pub fn ink(&self) -> Vec<[u8; 4]> {
        let [channels, height, width] = self.shape;
        let (length, plane) = (channels * height * width, height * width);
        let byte = |value: f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
        let columns = self.view.columns * width;
        let mut whole = vec![[0; 4]; columns * self.view.rows * height];
        for (number, image) in self.pixels.chunks(length).enumerate() {
            let (left, top) = (number % self.view.columns * width, (self.view.rows - 1 - number / self.view.columns) * height);
            for at in 0..plane {
                let [red, green, blue] =
                    if channels == 3 { [0, 1, 2].map(|channel| byte(image[channel * plane + at])) } else { [byte(image[at]); 3] };
                whole[(top + at / width) * columns + left + at % width] = [red, green, blue, red.max(green).max(blue)];
            }
        }
        whole
    }

    /// The part of the plane that the images cover, each reaching half of the way to its neighbours: [z₁, z₂].
    pub fn extent(&self) -> [[f64; 2]; 2] {
        let View { z1, z2, columns, rows } = self.view;
        [(z1, columns), (z2, rows)].map(|([first, last], count)| {
            let half = (last - first) / (count.max(2) - 1) as f64 / 2.0;
            [first - half, last + half]
        })
    }
}

/// Draws maps in rows of so many columns. Maps of one scale share a colour bar where the arrangement allows: all of them, those of
/// a row, or those of a column; else each has its own. The axes are labelled at the left and below.
///
/// # Errors
/// When the maps with their labels do not fit into the figure's width.
///
/// # Panics
/// Without a map or a column; when the maps do not show one part of the plane with a value for each point.
pub fn facets(facets: &[Facet<'_>], columns: usize, style: &Style, title: Option<&str>) -> Result<Canvas> {
    for facet in facets {
        assert_eq!(facet.map.values.len(), facet.map.view.len(), "a map has a value for each point of its view");
        assert_eq!(facet.map.view, facets[0].map.view, "all show one part of the plane");
    }
    let layout = Layout::new(facets, columns, style, title)?;
    let mut canvas = Canvas { width: layout.width, height: layout.height, shapes: Vec::new() };
    layout.draw(&mut canvas, facets, title);
    Ok(canvas)
}

/// A colour bar: where, and of which map.
struct Bar {
    area: Area,
    of: usize,
    ticks: Ticks,
    label: String,
}

/// Which maps a colour bar is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharing {
    All,
    Row,
    Column,
    Nobody,
}

impl Sharing {
    /// The widest sharing that the scales allow.
    fn of(facets: &[Facet<'_>], columns: usize) -> Self {
        let alike = |a: usize, b: usize| facets[a].scale == facets[b].scale && facets[a].map.unit == facets[b].map.unit;
        let all = |key: &dyn Fn(usize) -> usize| {
            let first = |at: usize| (0..facets.len()).find(|&other| key(other) == key(at)).unwrap_or(at);
            (0..facets.len()).all(|at| alike(first(at), at))
        };
        if all(&|_| 0) {
            Self::All
        } else if all(&|at| at / columns) {
            Self::Row
        } else if all(&|at| at % columns) {
            Self::Column
        } else {
            Self::Nobody
        }
    }
}

/// Where everything stands, in points.
struct Layout {
    width: f64,
    height: f64,
    style: Style,
    columns: usize,
    areas: Vec<Area>,
    /// The lines above each map: those of its title, and those of the smaller one.
    titles: Vec<[Vec<String>; 2]>,
    ticks: (Ticks, Ticks),
    bars: Vec<Bar>,
    legend: Option<(Legend, Vec<usize>)>,
}

impl Layout {
    fn new(facets: &[Facet<'_>], columns: usize, style: &Style, title: Option<&str>) -> Result<Self> {
        let columns = columns.min(facets.len());
        let rows = facets.len().div_ceil(columns);
        let (width, margin) = (72.0 * style.width_in, 0.25 * style.tick_pt);
        let view = &facets[0].map.view;
        let proportion = heat_map::proportion(view);
        let sharing = Sharing::of(facets, columns);
        // The number of ticks follows from the panels' sides, and these from the room of the ticks' labels: begin with an estimate.
        let estimate = (0.75 * width / columns as f64).min(WIDEST).min(TALLEST / (rows as f64 * proportion));
        let z1 = axes::lower_ticks(view.z1, estimate, style);
        let z2 = axes::nice_ticks(view.z2, axes::most_ticks(estimate * proportion, style));
        let tall = |rows: usize| estimate * proportion * rows as f64;
        let bar_rows = if matches!(sharing, Sharing::All | Sharing::Column) { rows } else { 1 };
        let ticks_of = |of: usize| axes::bar_ticks(facets[of].scale.range, &facets[of].map.unit, tall(bar_rows), style);
        let (bar_gap, bar_width) = (style.tick_pt, 1.1 * style.tick_pt);
        let widest = (0..facets.len()).map(|of| ticks_of(of).width(style.tick_pt)).fold(0.0, f64::max);
        let bar_room = bar_gap + bar_width + axes::depth(widest, style);
        let inner_bars = matches!(sharing, Sharing::Column | Sharing::Nobody);
        let left = axes::depth(z2.width(style.tick_pt), style);
        let between = z1.width(style.tick_pt) + 0.8 * style.tick_pt + if inner_bars { bar_room } else { 0.0 };
        let room = width - 2.0 * margin - left - between * (columns - 1) as f64 - bar_room;
        let side = (room / columns as f64).min(WIDEST).min(TALLEST / (rows as f64 * proportion));
        if side < NARROWEST {
            let problem = format!("{} maps with their labels do not fit into {} in", facets.len(), style.width_in);
            return Err(Error::setting("the figure's width", problem, "choose a wider venue, or fewer maps"));
        }
        let slack = (room - side * columns as f64) / 2.0;
        let x_of = |column: usize| margin + slack + left + column as f64 * (side + between);
        let legend = facets.iter().find_map(|facet| Some((facet.scatter?, facet.hidden))).and_then(|(scatter, hidden)| {
            let shown: Vec<usize> = (0..scatter.classes.len()).filter(|class| !hidden.contains(class)).collect();
            let names: Vec<String> = shown.iter().map(|&class| scatter.classes[class].clone()).collect();
            let inner = x_of(columns - 1) + side - x_of(0);
            (!shown.is_empty()).then(|| (Legend::of_classes(&names, inner, style), shown))
        });
        let top = margin.max(0.5 * style.tick_pt)
            + title.map_or(0.0, |_| LEADING * style.label_pt)
            + legend.as_ref().map_or(0.0, |(legend, _)| legend.height());
        let titles: Vec<[Vec<String>; 2]> = facets.iter().map(|facet| title_lines(facet, side, style)).collect();
        let [above, below] = [0, 1].map(|part| titles.iter().map(|title| title[part].len()).max().unwrap_or(0) as f64);
        let heading = LEADING * (above * style.label_pt + below * style.tick_pt);
        let pitch = heading + side * proportion + 1.1 * style.tick_pt;
        let areas: Vec<Area> = (0..facets.len())
            .map(|at| Area {
                x: x_of(at % columns),
                y: top + heading + (at / columns) as f64 * pitch,
                width: side,
                height: side * proportion,
            })
            .collect();
        let height = areas[facets.len() - 1].bottom() + axes::depth(CAPITAL * style.tick_pt, style) + margin;
        let bars = bars(facets, &areas, columns, sharing).into_iter().map(|(of, first, last, members)| {
            let label = bar_label(facets, &members);
            let area = Area { x: last.right() + bar_gap, y: first.y, width: bar_width, height: last.bottom() - first.y };
            Bar { area, of, ticks: axes::bar_ticks(facets[of].scale.range, &facets[of].map.unit, area.height, style), label }
        });
        let bars = bars.collect();
        Ok(Self { width, height, style: *style, columns, areas, titles, ticks: (z1, z2), bars, legend })
    }

    fn draw(&self, canvas: &mut Canvas, facets: &[Facet<'_>], title: Option<&str>) {
        let Self { style, areas, ticks: (z1, z2), .. } = self;
        let edges = [areas[0].x, areas[self.columns - 1].right()];
        let mut y = 0.25 * style.tick_pt;
        if let Some(title) = title {
            let middle = f64::midpoint(edges[0], edges[1]);
            let run = Run::new(elide(title, Face::Bold, style.label_pt, 2.0 * middle.min(self.width - middle)), Face::Bold);
            canvas.add(axes::text([middle, y + CAPITAL * style.label_pt], Anchor::Middle, style.label_pt, run));
            y += LEADING * style.label_pt;
        }
        if let Some((legend, classes)) = &self.legend {
            legend.draw(canvas, edges, y, |canvas, number, at| axes::class_dot(canvas, classes[number], at, style));
        }
        for (at, (facet, &area)) in facets.iter().zip(areas).enumerate() {
            let view = &facet.map.view;
            // From the map upwards: the last line of the smaller title lies next to it.
            let [above, below] = &self.titles[at];
            let mut y = area.y - 0.45 * style.tick_pt;
            let upwards = below.iter().rev().map(|line| (line, style.tick_pt)).chain(above.iter().rev().map(|line| (line, style.label_pt)));
            for (line, size) in upwards {
                canvas.add(axes::text([area.x + area.width / 2.0, y], Anchor::Middle, size, Run::regular(line)));
                y -= LEADING * size;
            }
            canvas.add(heat_map::cells(facet.map, area, |value| if value.is_nan() { PAPER } else { facet.scale.colour(value) }));
            if let Some(images) = facet.images {
                canvas.add(overlay(images, view, area));
            }
            if let Some(scatter) = facet.scatter {
                canvas.add(heat_map::dots(scatter, facet.hidden, view, area));
            }
            facet.layers.draw(canvas, view, area, style);
            axes::frame(canvas, area, style);
            let lowest = at + self.columns >= facets.len();
            axes::lower_axis(canvas, area, view.z1, z1, lowest.then(|| axes::latent('₁')), style);
            let leftmost = at % self.columns == 0;
            axes::left_axis(canvas, area, view.z2, z2, leftmost.then(|| (axes::latent('₂'), z2.width(style.tick_pt))), style);
        }
        for bar in &self.bars {
            axes::colour_bar(canvas, bar.area, &facets[bar.of].scale, &bar.ticks, &bar.label, style);
        }
    }
}

/// The lines of the titles above a map. Beyond its map a title may reach as far as there is nothing else.
fn title_lines(facet: &Facet<'_>, side: f64, style: &Style) -> [Vec<String>; 2] {
    let lines = |text: &String, size: f64| wrapped(text, size, 1.1 * side);
    facet.title.as_ref().map_or_else(Default::default, |[above, below]| [lines(above, style.label_pt), lines(below, style.tick_pt)])
}

/// Each colour bar: the map whose scale it is, the first and the last panel beside it, and every map that it is of.
fn bars(facets: &[Facet<'_>], areas: &[Area], columns: usize, sharing: Sharing) -> Vec<(usize, Area, Area, Vec<usize>)> {
    let key = |at: usize| match sharing {
        Sharing::All => 0,
        Sharing::Row => at / columns,
        Sharing::Column => at % columns,
        Sharing::Nobody => at,
    };
    let firsts = (0..facets.len()).filter(|&at| (0..at).all(|other| key(other) != key(at)));
    firsts
        .map(|first| {
            let members: Vec<usize> = (0..facets.len()).filter(|&at| key(at) == key(first)).collect();
            let right = members.iter().map(|&at| areas[at]).fold(areas[first], |a, b| Area { width: a.width.max(b.right() - a.x), ..a });
            let last = areas[members[members.len() - 1]];
            (first, areas[first], Area { y: last.y, height: last.height, ..right }, members)
        })
        .collect()
}

/// The name of the measure; the unit alone where there are several.
fn bar_label(facets: &[Facet<'_>], members: &[usize]) -> String {
    let first = facets[members[0]].map;
    let same = members.iter().all(|&at| facets[at].map.label == first.label);
    match (same, first.unit.as_str()) {
        (true, "") => first.label.clone(),
        (true, unit) => format!("{} ({unit})", first.label),
        (false, unit) => unit.to_owned(),
    }
}

fn overlay(images: &ImageGrid, view: &View, area: Area) -> Shape {
    let [z1, z2] = images.extent();
    let x = |z: f64| area.x + (z - view.z1[0]) / (view.z1[1] - view.z1[0]) * area.width;
    let y = |z: f64| area.bottom() - (z - view.z2[0]) / (view.z2[1] - view.z2[0]) * area.height;
    let whole = Area { x: x(z1[0]), y: y(z2[1]), width: x(z1[1]) - x(z1[0]), height: y(z2[0]) - y(z2[1]) };
    Shape::Overlay { area: whole, clip: area, columns: images.view.columns * images.shape[2], pixels: images.ink() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::tests::text_boxes;
    use crate::figure::{ColourMap, VENUES, Width};

    #[test]
    fn titles_of_maps_side_by_side_are_whole_and_apart() {
        let view = View::square([-10.0, 10.0], 2).unwrap();
        let map = MapData { view, values: vec![0.0; 4], label: "Mutual information".into(), unit: "nats".into(), natural: [0.0, 2.3] };
        let words = ["Corrected mutual information", "10 of 10 members, 50 draws each"];
        let scale = Scale { range: [0.0, 2.3], colours: Some(ColourMap::Viridis) };
        let facet = || Facet {
            title: Some(words.map(str::to_owned)),
            map: &map,
            scale: scale.clone(),
            images: None,
            scatter: None,
            hidden: &[],
            layers: Layers::default(),
        };
        for (venue, width) in VENUES.iter().flat_map(|venue| Width::ALL.map(|width| (venue, width))) {
            let canvas = facets(&[facet(), facet(), facet(), facet()], 2, &venue.style(width), None).unwrap();
            let boxes = text_boxes(&canvas);
            assert!(boxes.iter().all(|(_, text)| !text.contains('…')), "{}: {boxes:?}", venue.label);
            for word in words.iter().flat_map(|line| line.split(' ')) {
                let times = boxes.iter().filter(|(_, text)| text.split(' ').any(|part| part == word)).count();
                assert!(times >= 4, "{}: {word} stands {times} times", venue.label);
            }
            let apart = |a: &[f64; 4], b: &[f64; 4]| a[1] <= b[0] || b[1] <= a[0] || a[3] <= b[2] || b[3] <= a[2];
            for (number, (of, text)) in boxes.iter().enumerate() {
                assert!(of[0] >= -0.5 && of[1] <= canvas.width + 0.5 && of[2] >= 0.0, "{}: '{text}' leaves the figure", venue.label);
                let other = boxes[..number].iter().find(|(other, _)| !apart(of, other));
                assert!(other.is_none(), "{}: '{text}' lies over {other:?}", venue.label);
            }
        }
    }
}
