//! A figure's files: SVG, PNG and PDF, all made from the same SVG text, each carrying the provenance.

use super::canvas::Canvas;
use super::provenance;
use super::text::fonts_for;
use crate::error::{Error, Result};
use krilla::metadata::Metadata;
use krilla_svg::{SurfaceExt as _, SvgSettings};
use resvg::{tiny_skia, usvg};
use serde_json::Value;
use std::path::Path;

/// The usual resolution of print, in pixels an inch.
pub const PRINT_DPI: f64 = 300.0;
/// The most pixels of a PNG file, a page at the highest resolution: half a gigabyte while it is drawn.
const MOST_PIXELS: u64 = 1 << 27;
/// The resolutions that make sense.
const DPI: std::ops::RangeInclusive<f64> = 36.0..=1200.0;

/// A finished figure: what is drawn, and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The title in the file's metadata.
    pub title: String,
    /// The drawing.
    pub canvas: Canvas,
    /// Everything that made it (settings, seed, draws, members, model hashes, version).
    pub provenance: Value,
}

/// A file format of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Pixels, at any resolution.
    Png,
    /// Vectors; the text names its font.
    Svg,
    /// Vectors; the font is embedded.
    Pdf,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Png, Self::Svg, Self::Pdf];

    /// The file name's extension, which is also the format's name on the command line.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Svg => "svg",
            Self::Pdf => "pdf",
        }
    }

    /// The format of that name or extension, in any case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.extension().eq_ignore_ascii_case(name))
    }

    /// The format that a path's extension says.
    ///
    /// # Errors
    /// When the extension is none of a figure's.
    pub fn of(path: &Path) -> Result<Self> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        Self::named(extension)
            .ok_or_else(|| Error::file(path, format!("'.{extension}' is no format of figures"), "end the name in .png, .svg or .pdf"))
    }
}

impl Document {
    /// The bytes of the figure's file. The same document gives the same bytes: no date and no random number enters.
    ///
    /// # Errors
    /// When `dpi` (PNG's resolution, and that of layers of many markers in SVG and PDF) is out of range.
    pub fn encode(&self, format: Format, dpi: f64) -> Result<Vec<u8>> {
        check_dpi(dpi)?;
        let svg = |payload: &str| self.canvas.svg(dpi, &self.title, payload);
        match format {
            Format::Svg => Ok(svg(&provenance::payload(&self.provenance)).into_bytes()),
            Format::Png => png_file(&tree(&svg(""))?, dpi, &self.title, &self.provenance),
            Format::Pdf => pdf_file(&tree(&svg(""))?, &self.title, &self.provenance),
        }
    }

    /// The figure's pixels, without metadata.
    ///
    /// # Errors
    /// When `dpi` is out of range.
    pub fn pixels(&self, dpi: f64) -> Result<Pixels> {
        check_dpi(dpi)?;
        render(&tree(&self.canvas.svg(dpi, &self.title, ""))?, dpi)
    }

    /// Writes the figure's file at a path that a person typed, whole or not at all.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), and when the file cannot be written.
    pub fn write(&self, path: &Path, format: Format, dpi: f64) -> Result<()> {
        crate::files::write_through(path, &self.encode(format, dpi)?)
    }
}

/// Checks a resolution in pixels an inch.
///
/// # Errors
/// When it is no resolution of a figure.
pub fn check_dpi(dpi: f64) -> Result<()> {
    if DPI.contains(&dpi) {
        return Ok(());
    }
    let problem = format!("{dpi} pixels an inch is no resolution of a figure");
    Err(Error::setting("--dpi", problem, format!("give a number from {} to {}", DPI.start(), DPI.end())))
}

/// The SVG as resvg and krilla understand it, one unit a point.
fn tree(svg: &str) -> Result<usvg::Tree> {
    let (fontdb, svg) = fonts_for(svg);
    let options = usvg::Options { dpi: 72.0, fontdb, ..usvg::Options::default() };
    usvg::Tree::from_str(&svg, &options).map_err(|error| cannot_draw(&error))
}

/// Our own SVG is well-formed and of a sensible size; a renderer that refuses it has met one of its limits.
fn cannot_draw(why: &dyn std::fmt::Display) -> Error {
    Error::setting("the figure", format!("it cannot be drawn ({why})"), "choose a smaller grid, width or resolution")
}

/// A figure as pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    /// The number of columns.
    pub width: u32,
    /// The number of rows.
    pub height: u32,
    /// Red, green and blue of each, row-major from the top.
    pub rgb: Vec<u8>,
}

fn render(tree: &usvg::Tree, dpi: f64) -> Result<Pixels> {
    let scale = dpi / 72.0;
    let [width, height] = [tree.size().width(), tree.size().height()].map(|points| (f64::from(points) * scale).round() as u32);
    let fitting = (u64::from(width) * u64::from(height) <= MOST_PIXELS).then(|| tiny_skia::Pixmap::new(width, height));
    let mut pixels = fitting.flatten().ok_or_else(|| cannot_draw(&format!("{width} × {height} pixels are too many")))?;
    pixels.fill(tiny_skia::Color::WHITE);
    resvg::render(tree, tiny_skia::Transform::from_scale(scale as f32, scale as f32), &mut pixels.as_mut());
    Ok(Pixels { width, height, rgb: pixels.pixels().iter().flat_map(|pixel| [pixel.red(), pixel.green(), pixel.blue()]).collect() })
}

fn png_file(tree: &usvg::Tree, dpi: f64, title: &str, provenance: &Value) -> Result<Vec<u8>> {
    let Pixels { width, height, rgb } = render(tree, dpi)?;
    let per_metre = (dpi / 0.0254).round() as u32;
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_pixel_dims(Some(png::PixelDimensions { xppu: per_metre, yppu: per_metre, unit: png::Unit::Meter }));
    encoder
        .add_itxt_chunk("Title".to_owned(), title.to_owned())
        .and_then(|()| encoder.add_itxt_chunk(provenance::KEYWORD.to_owned(), provenance.to_string()))
        .and_then(|()| encoder.write_header())
        .and_then(|mut writer| writer.write_image_data(&rgb))
        .map_err(|error| cannot_draw(&error))?;
    Ok(file)
}

fn pdf_file(tree: &usvg::Tree, title: &str, provenance: &Value) -> Result<Vec<u8>> {
    let size = krilla::geom::Size::from_wh(tree.size().width(), tree.size().height()).ok_or_else(|| cannot_draw(&"an empty page"))?;
    let mut document = krilla::Document::new();
    document.set_metadata(
        Metadata::new()
            .title(title.to_owned())
            .creator(format!("Epistemap {}", env!("CARGO_PKG_VERSION")))
            .description(provenance::payload(provenance)),
    );
    let mut page = document.start_page_with(krilla::page::PageSettings::new(size));
    let mut surface = page.surface();
    surface.draw_svg(tree, size, SvgSettings::default()).ok_or_else(|| cannot_draw(&"the page refuses it"))?;
    surface.finish();
    page.finish();
    document.finish().map_err(|error| cannot_draw(&format!("{error:?}")))
}
