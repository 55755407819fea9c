//! Previews, files and images for the clipboard, made on a thread of their own.

use crate::app::shell::export::subject::{Export, Subject};
use crate::app::shell::questions::Question;
use crate::error::{Error, Result};
use crate::figure::{Document, Format};
use crate::files;
use crate::jobs::{Computed, Desk, RawFormat, Wake, Worker};
use eframe::egui::ColorImage;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The resolutions of previews, in pixels an inch.
const PREVIEW_DPI: [f64; 2] = [36.0, 600.0];

/// A file format of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Of a figure.
    Figure(Format),
    /// Of data.
    Raw(RawFormat),
}

impl FileFormat {
    /// The formats that something can be exported in.
    pub fn of(what: Export) -> Vec<Self> {
        match what {
            Export::Data => RawFormat::ALL.map(Self::Raw).to_vec(),
            _ => Format::ALL.map(Self::Figure).to_vec(),
        }
    }

    /// The file name's extension.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Figure(format) => format.extension(),
            Self::Raw(format) => format.extension(),
        }
    }
}

/// What is to be made of a subject.
#[derive(Clone)]
pub enum Task {
    /// A picture of so many pixels across.
    Preview(f64),
    /// A file; `is_confirmed` where the question about it has been answered.
    Save { path: PathBuf, format: FileFormat, dpi: f64, is_confirmed: bool },
    /// An image for the clipboard.
    Copy { dpi: f64 },
}

/// What has been made.
pub enum Reply {
    /// Of a preview.
    Preview(ColorImage),
    /// For the clipboard.
    Image(ColorImage),
    /// The file is written.
    Saved(PathBuf),
    /// The file is not written before this is answered.
    Asks(Question),
}

/// What the worker is asked for.
pub enum Request {
    /// To make something.
    Make(Box<Subject>, Task),
    /// To forget what it keeps: the dialog is closed.
    Forget,
}

/// What figures are drawn from, and whose: it may have taken minutes, and draws other figures and sizes as well.
type Kept = Option<(Box<Subject>, Computed)>;

/// Starts the worker.
///
/// # Errors
/// As [`Worker::spawn`].
pub fn worker(wake: Wake) -> Result<Worker<Request, Reply>> {
    let mut kept: Kept = None;
    Worker::spawn("export", wake, move |request: Request, desk| {
        let Request::Make(subject, task) = request else {
            kept = None;
            return Ok(());
        };
        if let Task::Save { path, format: FileFormat::Raw(format), is_confirmed, .. } = &task {
            let (raw, provenance) = subject.raw()?;
            if asks(desk, path, *is_confirmed, &provenance) {
                return Ok(());
            }
            return write(desk, path, &raw.encode(*format, path, &provenance)?);
        }
        let mut computed = kept.take().filter(|(of, _)| of.has_ground_of(&subject)).map(|(_, computed)| computed).unwrap_or_default();
        let document = subject.document(&mut computed, &mut |progress| desk.tell(progress));
        let outcome = document.and_then(|document| make(desk, &document, &subject, &task));
        kept = Some((subject, computed));
        outcome
    })
}

fn make(desk: &Desk<'_, Request, Reply>, document: &Document, subject: &Subject, task: &Task) -> Result<()> {
    match task {
        Task::Preview(pixels) => {
            let dpi = (pixels / subject.style.width_in).clamp(PREVIEW_DPI[0], PREVIEW_DPI[1]);
            desk.publish(Reply::Preview(image(document, dpi)?));
            Ok(())
        }
        Task::Copy { dpi } => {
            desk.publish(Reply::Image(image(document, *dpi)?));
            Ok(())
        }
        Task::Save { path, format: FileFormat::Figure(format), dpi, is_confirmed } => {
            if asks(desk, path, *is_confirmed, &document.provenance) {
                return Ok(());
            }
            write(desk, path, &document.encode(*format, *dpi)?)
        }
        Task::Save { path, .. } => Err(Error::file(path, "a figure has no numbers", "choose png, pdf or svg")),
    }
}

/// Asks before a file is written that would replace another one, needs a new folder, or holds an unfinished map. Returns whether it did.
fn asks(desk: &Desk<'_, Request, Reply>, path: &Path, is_confirmed: bool, provenance: &Value) -> bool {
    let question = if is_confirmed { None } else { Question::about(path, provenance["complete"] != false) };
    let asks = question.is_some();
    if let Some(question) = question {
        desk.publish(Reply::Asks(question));
    }
    asks
}

fn write(desk: &Desk<'_, Request, Reply>, path: &Path, bytes: &[u8]) -> Result<()> {
    if desk.is_cancelled() {
        return Err(Error::Cancelled);
    }
    files::write_through(path, bytes)?;
    desk.publish(Reply::Saved(path.to_owned()));
    Ok(())
}

/// The document's pixels: what is seen here is what the file holds.
fn image(document: &Document, dpi: f64) -> Result<ColorImage> {
    let png = document.encode(Format::Png, dpi)?;
    let pixels = image::load_from_memory_with_format(&png, image::ImageFormat::Png)
        .map_err(|error| Error::setting("the picture", error.to_string(), "choose a lower resolution"))?
        .to_rgb8();
    Ok(ColorImage::from_rgb([pixels.width() as usize, pixels.height() as usize], pixels.as_raw()))
}
