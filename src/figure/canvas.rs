//! A drawing in points (1/72 in), y downwards, and its SVG text. Every file format is made from that one text.

use super::colour::{DOT_OUTLINE, Rgb, class_colour};
use super::dot_shape::DotShape;
use super::text::{FAMILY, Face, Run, SCRIPT, script};
use base64::Engine as _;
use resvg::tiny_skia;
use std::fmt::Write as _;

/// Up to this many dots are drawn as vectors. More become one transparent image at the output's resolution: as vectors,
/// the 60,000 encodings of a training set would make a file of several megabytes that opens slowly and looks the same.
const MOST_VECTOR_DOTS: usize = 2000;

/// An upright rectangle, in points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// The left edge.
    pub x: f64,
    /// The upper edge.
    pub y: f64,
    /// From the left edge to the right.
    pub width: f64,
    /// From the upper edge to the lower.
    pub height: f64,
}

impl Area {
    /// The right edge.
    pub fn right(self) -> f64 {
        self.x + self.width
    }

    /// The lower edge.
    pub fn bottom(self) -> f64 {
        self.y + self.height
    }

    /// The smallest area of whole pixels around this one.
    fn on_pixels(self, dpi: f64) -> Self {
        let (down, up) = (|a: f64| (a * dpi / 72.0).floor() * 72.0 / dpi, |a: f64| (a * dpi / 72.0).ceil() * 72.0 / dpi);
        let (x, y) = (down(self.x), down(self.y));
        Self { x, y, width: up(self.right()) - x, height: up(self.bottom()) - y }
    }
}

/// Where a text lies beside its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// It is centred there.
    Middle,
    /// It ends there.
    End,
}

/// A line's colour and thickness in points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stroke {
    /// The colour.
    pub colour: Rgb,
    /// The thickness in points.
    pub width: f64,
}

/// One thing on a canvas; positions are [x, y] in points.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A straight line.
    Line { from: [f64; 2], to: [f64; 2], stroke: Stroke },
    /// A rectangle.
    Rectangle { area: Area, fill: Option<Rgb>, stroke: Option<Stroke> },
    /// A circle.
    Circle { centre: [f64; 2], radius: f64, fill: Rgb, stroke: Option<Stroke> },
    /// A line of black text with its baseline's `anchor` at a position; `upwards` turns it by 90° to read from below.
    Text { at: [f64; 2], anchor: Anchor, upwards: bool, size: f64, runs: Vec<Run> },
    /// An image of `columns` colours a row, the uppermost row first, stretched over an area without smoothing.
    Raster { area: Area, clip: Area, columns: usize, pixels: Vec<Rgb> },
    /// As a raster, but with the opacity of each pixel as a fourth number.
    Overlay { area: Area, clip: Area, columns: usize, pixels: Vec<[u8; 4]> },
    /// A dot in the colour and shape of a class.
    ClassDot { centre: [f64; 2], radius: f64, class: usize },
    /// Such dots in the order of their drawing: where each lies, and its class.
    ClassDots { clip: Area, radius: f64, dots: Vec<([f64; 2], usize)> },
    /// A line through points; `dashes` are the lengths of dashes and gaps in turn, in points, none for an unbroken line.
    Polyline { clip: Area, points: Vec<[f64; 2]>, stroke: Stroke, dashes: Vec<f64> },
    /// A filled polygon without an outline; `opacity` from 0 to 1.
    Polygon { clip: Area, points: Vec<[f64; 2]>, fill: Rgb, opacity: f64 },
}

/// A drawing.
#[derive(Clone, Debug, PartialEq)]
pub struct Canvas {
    /// In points.
    pub width: f64,
    /// In points.
    pub height: f64,
    /// From the first drawn to the last.
    pub shapes: Vec<Shape>,
}

impl Canvas {
    /// Puts something on top.
    pub fn add(&mut self, shape: Shape) {
        self.shapes.push(shape);
    }

    /// The drawing as an SVG document. `dpi` is the resolution of layers that become images; `title` and `metadata` are plain
    /// text for the elements of these names.
    pub fn svg(&self, dpi: f64, title: &str, metadata: &str) -> String {
        let (width, height) = (number(self.width), number(self.height));
        let mut svg = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" \
             width=\"{width}pt\" height=\"{height}pt\" viewBox=\"0 0 {width} {height}\" font-family=\"{FAMILY}\">\n\
             <title>{}</title>\n<metadata>{}</metadata>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n",
            escape(title),
            escape(metadata)
        );
        for (index, shape) in self.shapes.iter().enumerate() {
            shape.write(&mut svg, index, dpi);
        }
        svg.push_str("</svg>\n");
        svg
    }
}

impl Shape {
    /// Appends the SVG element; `index` names its clip path.
    fn write(&self, svg: &mut String, index: usize, dpi: f64) {
        match self {
            Self::Line { from, to, stroke } => {
                let [[x1, y1], [x2, y2]] = [from, to].map(|end| end.map(number));
                put(svg, format_args!("<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"{}/>\n", outlined(Some(*stroke))));
            }
            Self::Rectangle { area, fill, stroke } => {
                let fill = fill.map_or("none".to_owned(), hex);
                put(svg, format_args!("<rect{} fill=\"{fill}\"{}/>\n", placed(*area), outlined(*stroke)));
            }
            Self::Circle { centre, radius, fill, stroke } => circle(svg, *centre, *radius, *fill, *stroke),
            Self::Text { at, anchor, upwards, size, runs } => {
                let [x, y] = at.map(number);
                let position =
                    if *upwards { format!("transform=\"translate({x} {y}) rotate(-90)\"") } else { format!("x=\"{x}\" y=\"{y}\"") };
                let anchor = match anchor {
                    Anchor::Start => "start",
                    Anchor::Middle => "middle",
                    Anchor::End => "end",
                };
                put(svg, format_args!("<text {position} font-size=\"{}\" text-anchor=\"{anchor}\">", number(*size)));
                spans(svg, runs, *size);
                svg.push_str("</text>\n");
            }
            Self::Raster { area, clip, columns, pixels } => clipped(svg, index, *clip, |svg| {
                image(svg, *area, png_of(*columns, pixels.as_flattened(), png::ColorType::Rgb));
            }),
            Self::Overlay { area, clip, columns, pixels } => clipped(svg, index, *clip, |svg| {
                image(svg, *area, png_of(*columns, pixels.as_flattened(), png::ColorType::Rgba));
            }),
            Self::ClassDot { centre, radius, class } => class_dot(svg, *centre, *radius, *class),
            Self::ClassDots { clip, radius, dots } => clipped(svg, index, *clip, |svg| {
                if dots.len() <= MOST_VECTOR_DOTS {
                    for &(centre, class) in dots {
                        class_dot(svg, centre, *radius, class);
                    }
                } else if let Some((area, columns, pixels)) = dots_as_pixels(*clip, *radius, dots, dpi) {
                    image(svg, area, png_of(columns, &pixels, png::ColorType::Rgba));
                }
            }),
            Self::Polyline { clip, points, stroke, dashes } => clipped(svg, index, *clip, |svg| {
                let dashes: Vec<String> = dashes.iter().copied().map(number).collect();
                let dashes = if dashes.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{}\"", dashes.join(" ")) };
                let (points, stroke) = (corners(points), outlined(Some(*stroke)));
                put(svg, format_args!("<polyline points=\"{points}\" fill=\"none\" stroke-linejoin=\"round\"{stroke}{dashes}/>\n"));
            }),
            Self::Polygon { clip, points, fill, opacity } => clipped(svg, index, *clip, |svg| {
                let (points, fill, opacity) = (corners(points), hex(*fill), number(*opacity));
                put(svg, format_args!("<polygon points=\"{points}\" fill=\"{fill}\" fill-opacity=\"{opacity}\"/>\n"));
            }),
        }
    }
}

fn put(svg: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = svg.write_fmt(text);
}

/// The runs as `tspan`s, one for each stretch on one level. A `dy` holds for all that follows, so each level undoes the one before.
fn spans(svg: &mut String, runs: &[Run], size: f64) {
    let mut level = 0.0;
    for run in runs {
        let face = match run.face {
            Face::Regular => "",
            Face::Bold => " font-weight=\"bold\"",
            Face::Italic => " font-style=\"italic\"",
        };
        let characters: Vec<(char, f64)> = run.text.chars().map(|character| script(character).unwrap_or((character, 0.0))).collect();
        for stretch in characters.chunk_by(|a, b| a.1 == b.1) {
            let raised = stretch[0].1;
            let text: String = stretch.iter().map(|&(character, _)| character).collect();
            put(svg, format_args!("<tspan{face}"));
            if raised != level {
                put(svg, format_args!(" dy=\"{}\"", number((level - raised) * size)));
            }
            if raised != 0.0 {
                put(svg, format_args!(" font-size=\"{}\"", number(SCRIPT * size)));
            }
            put(svg, format_args!(">{}</tspan>", escape(&text)));
            level = raised;
        }
    }
}

fn circle(svg: &mut String, centre: [f64; 2], radius: f64, fill: Rgb, stroke: Option<Stroke>) {
    let [x, y] = centre.map(number);
    let (radius, fill) = (number(radius), hex(fill));
    put(svg, format_args!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill=\"{fill}\"{}/>\n", outlined(stroke)));
}

fn clipped(svg: &mut String, index: usize, clip: Area, content: impl FnOnce(&mut String)) {
    put(svg, format_args!("<clipPath id=\"clip-{index}\"><rect{}/></clipPath>\n<g clip-path=\"url(#clip-{index})\">\n", placed(clip)));
    content(svg);
    svg.push_str("</g>\n");
}

/// An image element of a PNG file. `optimizeSpeed` is SVG 1.1's word for square pixels, `pixelated` that of today's browsers.
fn image(svg: &mut String, area: Area, png: Vec<u8>) {
    let data = base64::engine::general_purpose::STANDARD.encode(png);
    put(
        svg,
        format_args!(
            "<image{} preserveAspectRatio=\"none\" image-rendering=\"optimizeSpeed\" style=\"image-rendering:pixelated\" \
             xlink:href=\"data:image/png;base64,{data}\"/>\n",
            placed(area)
        ),
    );
}

/// The width of a dot's outline as a part of its radius.
const DOT_OUTLINE_WIDTH: f64 = 0.3;

/// A dot of a class with its outline, which is drawn around the fill.
fn class_dot(svg: &mut String, centre: [f64; 2], radius: f64, class: usize) {
    let (shape, width) = (DotShape::of_class(class), DOT_OUTLINE_WIDTH * radius);
    let stroke = Some(Stroke { colour: DOT_OUTLINE, width });
    if shape == DotShape::Circle {
        return circle(svg, centre, radius + width / 2.0, class_colour(class), stroke);
    }
    let points: Vec<[f64; 2]> = shape.corners().iter().map(|corner| [0, 1].map(|axis| centre[axis] + radius * corner[axis])).collect();
    put(svg, format_args!("<polygon points=\"{}\" fill=\"{}\"{}/>\n", corners(&points), hex(class_colour(class)), outlined(stroke)));
}

/// The outline of a shape around the origin.
fn dot_path(shape: DotShape, radius: f64) -> Option<tiny_skia::Path> {
    let mut path = tiny_skia::PathBuilder::new();
    match shape.corners() {
        [] => path.push_circle(0.0, 0.0, radius as f32),
        [first, others @ ..] => {
            path.move_to((radius * first[0]) as f32, (radius * first[1]) as f32);
            for corner in others {
                path.line_to((radius * corner[0]) as f32, (radius * corner[1]) as f32);
            }
            path.close();
        }
    }
    path.finish()
}

/// Dots painted on a transparent image over the whole pixels of an area: the image's area, its columns, and its RGBA bytes.
fn dots_as_pixels(clip: Area, radius: f64, dots: &[([f64; 2], usize)], dpi: f64) -> Option<(Area, usize, Vec<u8>)> {
    let area = clip.on_pixels(dpi);
    let scale = dpi / 72.0;
    let mut pixels = tiny_skia::Pixmap::new((area.width * scale).round() as u32, (area.height * scale).round() as u32)?;
    // All outlines lie under all fills: where dots are dense, one sees their colours.
    for (radius, is_outline) in [(radius * (1.0 + DOT_OUTLINE_WIDTH), true), (radius, false)] {
        let paths = DotShape::ALL.map(|shape| dot_path(shape, radius * scale));
        for &([x, y], class) in dots {
            let [red, green, blue] = if is_outline { DOT_OUTLINE } else { class_colour(class) };
            let mut paint = tiny_skia::Paint::default();
            paint.set_color_rgba8(red, green, blue, 255);
            let there = tiny_skia::Transform::from_translate(((x - area.x) * scale) as f32, ((y - area.y) * scale) as f32);
            pixels.fill_path(paths[DotShape::of_class(class) as usize].as_ref()?, &paint, tiny_skia::FillRule::Winding, there, None);
        }
    }
    let columns = pixels.width() as usize;
    let plain = pixels.pixels().iter().map(tiny_skia::PremultipliedColorU8::demultiply);
    let bytes = plain.flat_map(|colour| [colour.red(), colour.green(), colour.blue(), colour.alpha()]).collect();
    Some((area, columns, bytes))
}

/// A PNG file of 8-bit samples.
fn png_of(columns: usize, samples: &[u8], colour: png::ColorType) -> Vec<u8> {
    let rows = samples.len() / (columns * colour.samples());
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, columns as u32, rows as u32);
    encoder.set_color(colour);
    // Writing to memory cannot fail.
    let _ = encoder.write_header().and_then(|mut writer| writer.write_image_data(samples));
    file
}

fn corners(points: &[[f64; 2]]) -> String {
    let pairs: Vec<String> = points.iter().map(|&[x, y]| format!("{},{}", number(x), number(y))).collect();
    pairs.join(" ")
}

fn placed(area: Area) -> String {
    let [x, y, width, height] = [area.x, area.y, area.width, area.height].map(number);
    format!(" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"")
}

fn outlined(stroke: Option<Stroke>) -> String {
    stroke.map_or(String::new(), |stroke| format!(" stroke=\"{}\" stroke-width=\"{}\"", hex(stroke.colour), number(stroke.width)))
}

fn hex([red, green, blue]: Rgb) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Four decimals, a thousandth of a pixel at 600 dpi, without trailing zeros.
fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// XML's own characters as entities; characters that XML forbids become U+FFFD.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(character),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(character),
        }
    }
    escaped
}
