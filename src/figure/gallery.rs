//! A heat map with images from it: beside it where there is room, else below.

use super::axes::{self, LEADING};
use super::canvas::{Anchor, Area, Canvas, Shape};
use super::heat_map::{Options, Panel, heat_map};
use super::layers::{pin, pin_radius};
use super::plot::pixel_colour;
use super::text::{CAPITAL, Face, Run, elide};
use super::venue::Style;
use crate::error::{Error, Result};

/// A figure is so wide, in points, where images stand beside the map.
const BESIDE: f64 = 380.0;
/// The part of the width that the map then has.
const MAP: f64 = 0.56;
/// The narrowest and the widest image, as multiples of the font size of ticks.
const SIDES: [f64; 2] = [5.5, 11.0];

/// An image with what is said about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// What its pin on the map says.
    pub label: String,
    /// Pixels in 0..=1, [C, H, W] row-major.
    pub image: Vec<f32>,
    /// Lines of text below it.
    pub lines: Vec<String>,
}

/// Draws a heat map whose pins bear the labels of cards, and the cards, in rows of equal images.
///
/// # Errors
/// As [`heat_map`], and when no image fits beside the map.
///
/// # Panics
/// As [`heat_map`], and when an image is not of the shape.
pub fn gallery(panel: &Panel<'_>, cards: &[Card], image_shape: [usize; 3], options: &Options) -> Result<Canvas> {
    assert!(cards.iter().all(|card| card.image.len() == image_shape.iter().product::<usize>()), "images of one shape");
    let style = &options.style;
    let width = 72.0 * style.width_in;
    let beside = width >= BESIDE && !cards.is_empty();
    let map_style = Style { width_in: if beside { MAP * style.width_in } else { style.width_in }, ..*style };
    let mut canvas = heat_map(std::slice::from_ref(panel), &Options { style: map_style, ..options.clone() })?;
    canvas.width = width;
    if cards.is_empty() {
        return Ok(canvas);
    }
    let gap = 0.8 * style.tick_pt;
    let lines = cards.iter().map(|card| card.lines.len()).max().unwrap_or(0) as f64 * LEADING * style.tick_pt;
    let proportion = image_shape[1] as f64 / image_shape[2] as f64;
    // Pins stand out at the upper left corners.
    let room = if beside {
        let x = MAP * width + 2.0 * gap;
        Area { x, y: style.tick_pt, width: width - x - 0.5 * gap, height: canvas.height - style.tick_pt }
    } else {
        Area { x: gap, y: canvas.height + gap, width: width - 2.0 * gap, height: f64::INFINITY }
    };
    let [narrowest, widest] = SIDES.map(|side| side * style.tick_pt);
    // Images are as wide as the text below them, but for a very long one.
    let longest = cards.iter().flat_map(|card| &card.lines).map(|line| Run::regular(line).width(style.tick_pt)).fold(0.0, f64::max);
    let narrowest = (longest + 0.1 * style.tick_pt).clamp(narrowest, widest);
    // The most columns that fit; beside the map, the fewest whose rows fit its height, so that images are as large as can be.
    let most = (((room.width + gap) / (narrowest + gap)) as usize).min(cards.len());
    let side = |columns: usize| ((room.width + gap) / columns as f64 - gap).min(widest);
    let height = |columns: usize| cards.len().div_ceil(columns) as f64 * (side(columns) * proportion + lines + gap);
    let columns = (1..=most).find(|&columns| height(columns) <= room.height).unwrap_or(most);
    if columns == 0 {
        let problem = format!("no image fits beside a map in {} in", style.width_in);
        return Err(Error::setting("the figure's width", problem, "choose a wider venue"));
    }
    // Below, rows as even as can be.
    let columns = if beside { columns } else { cards.len().div_ceil(cards.len().div_ceil(most)) };
    let (side, row) = (side(columns), side(columns) * proportion + lines + gap);
    let used = columns as f64 * (side + gap) - gap;
    let left = if beside { room.x } else { room.x + (room.width - used) / 2.0 };
    for (number, card) in cards.iter().enumerate() {
        let (x, y) = (left + (number % columns) as f64 * (side + gap), room.y + (number / columns) as f64 * row);
        draw(&mut canvas, card, image_shape, Area { x, y, width: side, height: side * proportion }, style);
    }
    canvas.height = canvas.height.max(room.y + cards.len().div_ceil(columns) as f64 * row);
    Ok(canvas)
}

fn draw(canvas: &mut Canvas, card: &Card, [channels, rows, columns]: [usize; 3], area: Area, style: &Style) {
    let pixels = (0..rows * columns).map(|pixel| pixel_colour(&card.image, pixel, channels)).collect();
    canvas.add(Shape::Raster { area, clip: area, columns, pixels });
    axes::frame(canvas, area, style);
    let overhang = 0.3 * pin_radius(&card.label, style);
    pin(canvas, &card.label, [area.x + overhang, area.y + overhang], style);
    for (number, line) in card.lines.iter().enumerate() {
        let y = area.bottom() + (0.35 + CAPITAL + number as f64 * LEADING) * style.tick_pt;
        let run = Run::regular(elide(line, Face::Regular, style.tick_pt, area.width));
        canvas.add(axes::text([area.x + area.width / 2.0, y], Anchor::Middle, style.tick_pt, run));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::tests::text_boxes;
    use crate::figure::{Layers, MapData, VENUES, Width};
    use crate::latent::View;

    #[test]
    fn a_gallery_fits_every_page_and_no_text_lies_over_another() {
        let view = View::new([-10.0, 10.0], [-10.0, 10.0], 3, 5).unwrap();
        let map =
            MapData { view, values: vec![0.5; 15], label: "Mutual information".into(), unit: "nats".into(), natural: [0.0, 10_f64.ln()] };
        for count in [0_usize, 1, 5, 6, 23] {
            let cards: Vec<Card> = (1..=count)
                .map(|number| Card {
                    label: number.to_string(),
                    image: vec![0.3; 18],
                    lines: vec!["a class with a long name: 99.9 %".to_owned(), "I(y; ω) 0.0123".to_owned()],
                })
                .collect();
            for (venue, width) in VENUES.iter().flat_map(|venue| Width::ALL.map(|width| (venue, width))) {
                let options = Options { style: venue.style(width), title: Some("A title ".repeat(40)), ..Options::default() };
                let panel = Panel { title: None, map: &map, scatter: None, layers: Layers::default() };
                let canvas = gallery(&panel, &cards, [3, 2, 3], &options).unwrap();
                assert!((canvas.width - 72.0 * options.style.width_in).abs() < 1e-9);
                let boxes = text_boxes(&canvas);
                assert_eq!(boxes.iter().filter(|(_, text)| text.starts_with('I') || text.starts_with('a')).count(), 2 * count);
                for (i, ([left, right, top, bottom], text)) in boxes.iter().enumerate() {
                    let inside = *left >= 0.0 && *right <= canvas.width && *top >= 0.0 && *bottom <= canvas.height;
                    assert!(inside, "{text:?} is clipped: {count} {} {width:?}", venue.label);
                    for ([l, r, t, b], other) in &boxes[..i] {
                        let apart = left >= r || right <= l || top >= b || bottom <= t;
                        assert!(apart, "{text:?} lies over {other:?}: {count} {} {width:?}", venue.label);
                    }
                }
                let images = canvas.shapes.iter().filter_map(|shape| match shape {
                    Shape::Raster { area, columns: 3, pixels, .. } if pixels.len() == 6 => Some(*area),
                    _ => None,
                });
                assert!(
                    images
                        .clone()
                        .all(|area| area.x >= 0.0 && area.right() <= canvas.width && (area.width / area.height - 1.5).abs() < 1e-9)
                );
                assert_eq!(images.count(), count);
            }
        }
    }
}
