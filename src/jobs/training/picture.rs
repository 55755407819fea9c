//! Films as pictures: an animated GIF, or a series of PNGs.

use super::look::{Frame, Look};
use crate::autodiff::train::Scores;
use crate::error::{Error, Result};
use crate::figure::{Anchor, Area, Canvas, ColourMap, Document, Format, Pixels, Rgb, Run, Shape};
use crate::files;
use serde_json::json;
use std::path::Path;

/// Pixels an inch; with the sizes below, which are in points, a picture is about 400 pixels wide.
const DPI: f64 = 144.0;
/// The side of the plane.
const SIDE: f64 = 190.0;
const MARGIN: f64 = 5.0;
/// The height of one of the caption's two lines, and its font size.
const LINE: f64 = 11.0;
const FONT: f64 = 8.0;
/// The radius of a test image's dot.
const DOT: f64 = 1.3;
/// Behind the dots, whose colours are light: viridis's dark end.
const DARK: Rgb = [68, 1, 84];
/// How long a GIF shows an epoch, and the last, in hundredths of a second.
const DELAY: u16 = 40;
const LAST_DELAY: u16 = 200;

/// What a film of a classifier shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FilmMeasure {
    #[default]
    MutualInformation,
    PredictiveEntropy,
}

impl FilmMeasure {
    fn label(self) -> &'static str {
        match self {
            Self::MutualInformation => "mutual information",
            Self::PredictiveEntropy => "predictive entropy",
        }
    }

    fn values(self, look: &Look) -> &[f32] {
        match (look, self) {
            (Look::Map { mutual_information, .. }, Self::MutualInformation) => mutual_information,
            (Look::Map { predictive_entropy, .. }, Self::PredictiveEntropy) => predictive_entropy,
            _ => &[],
        }
    }
}

/// What the pictures of a film share, so that they can be compared: the largest value and the part of the plane.
struct Shared {
    measure: FilmMeasure,
    most: f64,
    /// The first and last z₁, the first and last z₂.
    plane: [[f64; 2]; 2],
}

/// Writes a film as an animated GIF, where the path ends in `.gif`, or as `epoch-001.png` … into a folder. Maps are in viridis over a range
/// that the whole film shares; dots are in class colours, over the reconstructions of some images (the originals above them).
///
/// # Errors
/// When there is no frame, or a file cannot be written.
pub fn save_film(frames: &[Frame], measure: FilmMeasure, path: &Path) -> Result<()> {
    if frames.is_empty() {
        return Err(Error::setting("the film", "it has no picture", "train for an epoch at least, with looks at the model"));
    }
    let shared = Shared::of(frames, measure);
    let documents = frames.iter().map(|frame| shared.document(frame));
    let is_gif = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gif"));
    if is_gif {
        return files::write_through(path, &gif_of(&documents.collect::<Vec<_>>(), path)?);
    }
    files::create_folder(path)?;
    for (frame, document) in frames.iter().zip(documents) {
        files::write_atomically(&path.join(format!("epoch-{:03}.png", frame.epoch)), &document.encode(Format::Png, DPI)?)?;
    }
    Ok(())
}

fn gif_of(documents: &[Document], path: &Path) -> Result<Vec<u8>> {
    let refused = |error: gif::EncodingError| Error::file(path, error.to_string(), "write it as PNGs into a folder instead");
    let pictures: Vec<Pixels> = documents.iter().map(|document| document.pixels(DPI)).collect::<Result<_>>()?;
    // A few hundred pixels each.
    let sides = |picture: &Pixels| [picture.width as u16, picture.height as u16];
    let size = pictures.iter().map(sides).fold([0; 2], |most: [u16; 2], sides| [most[0].max(sides[0]), most[1].max(sides[1])]);
    let mut file = Vec::new();
    let mut encoder = gif::Encoder::new(&mut file, size[0], size[1], &[]).map_err(refused)?;
    encoder.set_repeat(gif::Repeat::Infinite).map_err(refused)?;
    for (number, picture) in pictures.iter().enumerate() {
        let [width, height] = sides(picture);
        let mut frame = gif::Frame::from_rgb_speed(width, height, &picture.rgb, 10);
        frame.delay = if number + 1 == pictures.len() { LAST_DELAY } else { DELAY };
        encoder.write_frame(&frame).map_err(refused)?;
    }
    drop(encoder);
    Ok(file)
}

impl Shared {
    fn of(frames: &[Frame], measure: FilmMeasure) -> Self {
        let values = frames.iter().flat_map(|frame| measure.values(&frame.look)).copied().filter(|value| value.is_finite());
        let most = f64::from(values.fold(0.0, f32::max));
        let mut plane = [[f64::INFINITY, f64::NEG_INFINITY]; 2];
        for frame in frames {
            match &frame.look {
                Look::Plane { points, .. } => {
                    for point in points {
                        for (range, &z) in plane.iter_mut().zip(point) {
                            *range = [range[0].min(z.into()), range[1].max(z.into())];
                        }
                    }
                }
                Look::Map { view, .. } => plane = [view.z1, view.z2],
                Look::Nothing => {}
            }
        }
        // A margin around the outermost dots, and some plane where there is none.
        let usable = |[first, last]: [f64; 2]| first.is_finite() && last.is_finite();
        let plane = plane.map(|range| if usable(range) { [range[0] - 0.5, range[1] + 0.5] } else { [-1.0, 1.0] });
        Self { measure, most: if most > 0.0 { most } else { 1.0 }, plane }
    }

    fn document(&self, frame: &Frame) -> Document {
        let plane = Area { x: MARGIN, y: MARGIN + 2.0 * LINE, width: SIDE, height: SIDE };
        let mut canvas = Canvas { width: SIDE + 2.0 * MARGIN, height: plane.bottom() + MARGIN, shapes: Vec::new() };
        let mut caption = vec![caption(frame)];
        match &frame.look {
            Look::Map { view, .. } => {
                caption.push(format!("{}, 0 to {:.2} nats", self.measure.label(), self.most));
                let colour = |&value: &f32| ColourMap::Viridis.sample(f64::from(value) / self.most);
                // The lowest z₂ comes first, and a picture begins at the top.
                let rows = self.measure.values(&frame.look).chunks(view.columns).rev();
                let pixels = rows.flatten().map(colour).collect();
                canvas.add(Shape::Raster { area: plane, clip: plane, columns: view.columns, pixels });
            }
            Look::Plane { points, labels, originals, reconstructions, shape } => {
                caption.push(format!("{} test images, and what becomes of the first", points.len()));
                canvas.add(Shape::Rectangle { area: plane, fill: Some(DARK), stroke: None });
                let dots = points.iter().zip(labels).map(|(&point, &label)| (self.place(point, plane), usize::from(label)));
                canvas.add(Shape::ClassDots { clip: plane, radius: DOT, dots: dots.collect() });
                let side = SIDE / 10.0;
                for (row, images) in [originals, reconstructions].into_iter().enumerate() {
                    for (column, image) in images.chunks_exact(shape.iter().product()).enumerate() {
                        let (x, y) = (MARGIN + column as f64 * side, plane.bottom() + MARGIN + row as f64 * side);
                        let area = Area { x, y, width: side, height: side };
                        canvas.add(Shape::Raster { area, clip: area, columns: shape[2], pixels: colours(image, *shape) });
                    }
                }
                canvas.height += 2.0 * side + MARGIN;
            }
            Look::Nothing => {
                canvas.height = plane.y + MARGIN;
            }
        }
        for (number, line) in caption.into_iter().enumerate() {
            let at = [MARGIN, MARGIN + FONT + number as f64 * LINE];
            canvas.add(Shape::Text { at, anchor: Anchor::Start, upwards: false, size: FONT, runs: vec![Run::regular(line)] });
        }
        Document { title: format!("{}, epoch {}", frame.model, frame.epoch), canvas, provenance: facts(frame) }
    }

    /// Where a latent point lies on the canvas.
    fn place(&self, point: [f32; 2], area: Area) -> [f64; 2] {
        let share = |axis: usize| (f64::from(point[axis]) - self.plane[axis][0]) / (self.plane[axis][1] - self.plane[axis][0]);
        [area.x + area.width * share(0), area.bottom() - area.height * share(1)]
    }
}

fn caption(frame: &Frame) -> String {
    let test = match frame.test {
        Some(Scores::Classifier { accuracy, .. }) => format!(" · accuracy {:.1} %", 100.0 * accuracy),
        Some(Scores::Vae { negative_elbo, .. }) => format!(" · −ELBO {negative_elbo:.1} nats"),
        None => String::new(),
    };
    format!("epoch {}{test}", frame.epoch)
}

fn facts(frame: &Frame) -> serde_json::Value {
    json!({ "model": frame.model, "epoch": frame.epoch, "step": frame.step, "loss": frame.loss, "test": frame.test })
}

/// The colours of an image [C, H, W]: grey for one channel, the first three else.
fn colours(image: &[f32], [channels, height, width]: [usize; 3]) -> Vec<Rgb> {
    let byte = |value: f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
    let plane = height * width;
    (0..plane).map(|at| std::array::from_fn(|channel| byte(image[if channels >= 3 { channel } else { 0 } * plane + at]))).collect()
}
