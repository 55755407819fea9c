//! The dialog of exports: what, how, and where to.

use crate::app::shell::export::contents;
use crate::app::shell::export::subject::{Export, Subject, exports};
use crate::app::shell::export::work::{FileFormat, Reply, Request, Task, worker};
use crate::app::shell::questions::Question;
use crate::app::shell::reading::absolute;
use crate::app::state::event::Event;
use crate::app::state::scope::Scope;
use crate::app::widgets::style;
use crate::error::Result;
use crate::figure::{Format, PRINT_DPI, VENUES, Venue, Width};
use crate::jobs::{RawFormat, Status, Wake, Worker};
use eframe::egui::{
    Context, Frame, Id, Label, Modal, ProgressBar, Rect, RichText, ScrollArea, Sense, TextureHandle, TextureOptions, Ui, Vec2, vec2,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A growing map is drawn anew so often.
const REFRESH: Duration = Duration::from_millis(600);
/// The dialog's largest size in points.
const SIZE: [f32; 2] = [880.0, 620.0];
/// The space around what it holds, in points.
const MARGIN: f32 = 14.0;
/// The list's width in points.
const LIST: f32 = 168.0;
/// What stands below the preview takes so much height, in points.
const BELOW: f32 = 124.0;

/// What the worker is at for the dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    Nothing,
    Preview,
    Save,
    Copy,
}

/// The dialog's state; what was chosen stays for the next time.
pub struct Exports {
    pub(super) open: bool,
    pub(super) what: Export,
    pub(super) format: Format,
    pub(super) raw: RawFormat,
    pub(super) venue: &'static Venue,
    pub(super) width: Width,
    /// Whether the width was chosen, rather than by the number of maps.
    pub(super) has_own_width: bool,
    pub(super) dpi: f64,
    pub(super) title: bool,
    pub(super) path: String,
    pub(super) worker: Worker<Request, Reply>,
    pub(super) chooser: Worker<PathBuf, PathBuf>,
    pub(super) doing: Doing,
    /// What the preview was asked for, how many pixels across, and when.
    pub(super) asked: Option<(Subject, f64, Instant)>,
    pub(super) preview: Option<(Export, TextureHandle)>,
    /// What must be there before the preview can be drawn.
    pub(super) waits_for: Option<&'static str>,
    pub(super) failure: Option<String>,
    /// What is asked before the file is written.
    pub(super) question: Option<Question>,
    /// The file that was saved last.
    pub(super) saved: Option<PathBuf>,
    pub(super) note: String,
}

impl Exports {
    /// A closed dialog.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn new(wake: &Wake) -> Result<Self> {
        let chooser = Worker::spawn("export file dialog", Arc::clone(wake), |path: PathBuf, desk| {
            let mut dialog = rfd::FileDialog::new().set_title("Save the export as");
            if let Some(folder) = path.parent().filter(|folder| folder.is_dir()) {
                dialog = dialog.set_directory(folder);
            }
            if let Some(name) = path.file_name() {
                dialog = dialog.set_file_name(name.to_string_lossy());
            }
            if let Some(path) = dialog.save_file() {
                desk.publish(path);
            }
            Ok(())
        })?;
        let mut exports = Self {
            open: false,
            what: Export::Screen,
            format: Format::Pdf,
            raw: RawFormat::Npz,
            venue: &VENUES[0],
            width: Width::Column,
            has_own_width: false,
            dpi: PRINT_DPI,
            title: false,
            path: String::new(),
            worker: worker(Arc::clone(wake))?,
            chooser,
            doing: Doing::Nothing,
            asked: None,
            preview: None,
            waits_for: None,
            failure: None,
            question: None,
            saved: None,
            note: String::new(),
        };
        exports.path = home().join(exports.file_name()).display().to_string();
        Ok(exports)
    }

    /// Shows or hides the dialog.
    pub fn toggle(&mut self, scope: &mut Scope) {
        if self.open {
            self.close(scope);
        } else {
            self.open = true;
            if !self.has_own_width {
                // Maps side by side in one column leave no room for their titles.
                self.width = if scope.session.layout.count() > 1 { Width::Full } else { Width::Column };
            }
        }
    }

    /// Gives up what is being made.
    pub(super) fn close(&mut self, scope: &mut Scope) {
        self.open = false;
        if matches!(self.doing, Doing::Save | Doing::Copy) {
            scope.ask(Event::Say("The export was cancelled; nothing was written.".to_owned()));
        }
        self.worker.request(Request::Forget);
        self.doing = Doing::Nothing;
        self.asked = None;
        self.failure = None;
        (self.question, self.saved) = (None, None);
        self.note.clear();
    }

    /// Draws the dialog where it is open.
    pub fn show(&mut self, ctx: &Context, scope: &mut Scope) {
        if !self.open {
            return;
        }
        self.take(ctx, scope);
        let [width, height] = [ctx.content_rect().width() - 48.0, ctx.content_rect().height() - 48.0];
        let size = vec2(width.min(SIZE[0]), height.min(SIZE[1]));
        let frame = Frame::popup(&ctx.global_style()).inner_margin(MARGIN);
        let size = size - 2.0 * Vec2::splat(MARGIN);
        let response = Modal::new(Id::unique("export")).frame(frame).show(ctx, |ui| {
            ui.set_width(size.x);
            ui.heading("Export");
            ui.add_space(2.0);
            ui.horizontal_top(|ui| {
                let height = size.y - 34.0;
                ui.vertical(|ui| {
                    ui.set_width(LIST.min(size.x * 0.4));
                    ui.set_min_height(height.max(0.0));
                    ScrollArea::vertical().id_salt("exports").max_height(height.max(40.0)).show(ui, |ui| self.list(ui));
                });
                ui.separator();
                ui.vertical(|ui| {
                    ScrollArea::vertical().id_salt("export").max_height(height.max(40.0)).auto_shrink(false).show(ui, |ui| {
                        // Each with ids of its own: what the preview shows must not make the menus below others.
                        ui.push_id("preview", |ui| self.preview(ui, scope, height - BELOW));
                        ui.push_id("controls", |ui| self.controls(ui, scope));
                    });
                });
            });
        });
        if self.open && response.should_close() {
            self.close(scope);
        }
    }

    /// What the worker has made.
    fn take(&mut self, ctx: &Context, scope: &mut Scope) {
        if let Some(path) = self.chooser.take() {
            self.path = path.display().to_string();
            self.follow_extension();
            // The system's dialog has asked already.
            self.question = Question::about(&path, true);
        }
        match self.worker.take() {
            Some(Reply::Preview(image)) => {
                let options = TextureOptions::LINEAR;
                match &mut self.preview {
                    Some((what, texture)) => {
                        texture.set(image, options);
                        *what = self.what;
                    }
                    None => self.preview = Some((self.what, ctx.load_texture("export", image, options))),
                }
                self.failure = None;
            }
            Some(Reply::Image(image)) => {
                self.note = format!("An image of {} × {} pixels is on the clipboard.", image.size[0], image.size[1]);
                ctx.copy_image(image);
                self.doing = Doing::Nothing;
            }
            Some(Reply::Saved(path)) => {
                self.note = format!("{} is saved in {}.", self.what.name(), path.display());
                scope.ask(Event::Say(self.note.clone()));
                self.saved = Some(path);
                self.doing = Doing::Nothing;
            }
            Some(Reply::Asks(question)) => {
                self.question = Some(question);
                self.doing = Doing::Nothing;
            }
            None => {}
        }
        match (self.worker.status(), self.doing) {
            (Status::Failed(sentence), Doing::Preview) => {
                self.failure = Some(sentence);
                self.doing = Doing::Nothing;
            }
            (Status::Failed(sentence), Doing::Save | Doing::Copy) => {
                self.note.clone_from(&sentence);
                scope.ask(Event::Complain(sentence));
                self.doing = Doing::Nothing;
            }
            (Status::Done, Doing::Preview) => self.doing = Doing::Nothing,
            _ => {}
        }
    }

    fn list(&mut self, ui: &mut Ui) {
        let mut group = "";
        for export in exports() {
            if export.group() != group {
                group = export.group();
                ui.add_space(4.0);
                ui.label(style::note(group));
            }
            let entry = ui.selectable_label(self.what == export, export.name()).on_hover_text(export.summary());
            if entry.clicked() && self.what != export && !self.is_busy() {
                self.what = export;
                self.failure = None;
                self.note.clear();
                self.rename();
            }
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        matches!(self.doing, Doing::Save | Doing::Copy)
    }

    pub(super) fn subject(&self, scope: &Scope) -> Subject {
        Subject::new(self.what, self.venue.style(self.width), self.title, scope)
    }

    /// The figure as it will be, or what the data will hold.
    fn preview(&mut self, ui: &mut Ui, scope: &Scope, height: f32) {
        ui.label(self.what.summary());
        if let Some(refusal) = self.what.refusal(scope) {
            return style::empty(ui, "This cannot be exported now", refusal);
        }
        if self.what == Export::Data {
            ui.add_space(8.0);
            return contents::show(ui, scope);
        }
        let height = (height - ui.min_rect().height()).max(80.0);
        let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::hover());
        self.ask_for_preview(ui.ctx(), scope, f64::from(rect.width() * ui.ctx().pixels_per_point()));
        ui.painter().rect_filled(rect, 4.0, ui.visuals().extreme_bg_color);
        if let Some(sentence) = &self.failure {
            ui.scope_builder(eframe::egui::UiBuilder::new().max_rect(rect.shrink(16.0)), |ui| {
                style::empty(ui, "There is no picture of this", sentence);
            });
            return;
        }
        let inside = rect.shrink(10.0);
        if let Some((what, texture)) = &self.preview
            && *what == self.what
        {
            let size = texture.size_vec2();
            let scale = (inside.width() / size.x).min(inside.height() / size.y);
            let place = Rect::from_center_size(rect.center(), size * scale);
            let image = eframe::egui::Image::new(texture).alt_text(format!("Preview of: {}", self.what.name()));
            image.paint_at(ui, place);
        } else if self.waits_for.is_some() || self.doing == Doing::Preview {
            let text = self.waits_for.map_or_else(|| self.what.work().to_owned(), |what| format!("Waiting for {what}"));
            let line = Rect::from_center_size(rect.center() - vec2(0.0, 8.0), vec2(rect.width(), 18.0));
            ui.put(line, Label::new(RichText::new(text).weak()));
            if let Some(share) = self.share() {
                let bar = Rect::from_center_size(rect.center() + vec2(0.0, 14.0), vec2(180.0, 5.0));
                ui.put(bar, ProgressBar::new(share).desired_height(5.0));
            }
        }
    }

    /// How far the worker is.
    pub(super) fn share(&self) -> Option<f32> {
        match self.worker.status() {
            Status::Working(progress) if progress.total > 0 => Some(progress.done as f32 / progress.total as f32),
            _ => None,
        }
    }

    /// Asks for a preview where it would show something new: at once when a choice has changed, now and then while the map grows.
    fn ask_for_preview(&mut self, ctx: &Context, scope: &Scope, pixels: f64) {
        if self.is_busy() {
            return;
        }
        let subject = self.subject(scope);
        self.waits_for = subject.waits_for();
        if self.waits_for.is_some() {
            self.asked = None;
            return;
        }
        if let Some((asked, across, when)) = &self.asked
            && asked.is_same(&subject)
            && (across - pixels).abs() < 2.0
        {
            if !asked.has_grown(&subject) {
                return;
            }
            let waited = when.elapsed();
            if self.doing == Doing::Preview || waited < REFRESH {
                return ctx.request_repaint_after(REFRESH.saturating_sub(waited).max(Duration::from_millis(50)));
            }
        }
        self.worker.request(Request::Make(Box::new(subject.clone()), Task::Preview(pixels)));
        self.asked = Some((subject, pixels, Instant::now()));
        self.doing = Doing::Preview;
    }

    /// Asks for the file.
    pub(super) fn save(&mut self, scope: &Scope) {
        let format = self.file_format();
        let mut path = absolute(PathBuf::from(self.path.trim()));
        if !path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(format.extension())) {
            path.as_mut_os_string().push(format!(".{}", format.extension()));
            self.path = path.display().to_string();
        }
        let is_confirmed = self.question.as_ref().is_some_and(|question| question.path == path);
        self.start(Doing::Save, scope, Task::Save { path, format, dpi: self.dpi, is_confirmed });
    }

    pub(super) fn start(&mut self, doing: Doing, scope: &Scope, task: Task) {
        self.note.clear();
        (self.question, self.saved) = (None, None);
        // What the preview had begun is asked for again.
        self.asked = self.asked.take().filter(|_| self.doing != Doing::Preview);
        self.worker.request(Request::Make(Box::new(self.subject(scope)), task));
        self.doing = doing;
    }

    pub(super) fn file_format(&self) -> FileFormat {
        if self.what == Export::Data { FileFormat::Raw(self.raw) } else { FileFormat::Figure(self.format) }
    }

    pub(super) fn file_name(&self) -> String {
        format!("{}.{}", self.what.file_name(), self.file_format().extension())
    }

    /// The path of what is chosen now, in the folder that is there.
    pub(super) fn rename(&mut self) {
        let path = PathBuf::from(self.path.trim());
        self.path = path.with_file_name(self.file_name()).display().to_string();
        self.question = None;
    }

    /// The path with the extension of the format that is chosen now.
    pub(super) fn change_extension(&mut self) {
        self.path = Path::new(self.path.trim()).with_extension(self.file_format().extension()).display().to_string();
        self.question = None;
    }

    /// The format that the path's extension says, where it says one.
    pub(super) fn follow_extension(&mut self) {
        let extension = Path::new(self.path.trim()).extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_owned();
        for format in FileFormat::of(self.what) {
            match format {
                FileFormat::Figure(format) if format.extension().eq_ignore_ascii_case(&extension) => self.format = format,
                FileFormat::Raw(format) if format.extension().eq_ignore_ascii_case(&extension) => self.raw = format,
                _ => {}
            }
        }
    }
}

/// Where a person's files lie; the present folder where that is unknown.
fn home() -> PathBuf {
    let folders = directories::UserDirs::new();
    let folder = folders.map(|folders| folders.document_dir().unwrap_or_else(|| folders.home_dir()).to_owned());
    folder.or_else(|| std::env::current_dir().ok()).unwrap_or_default()
}
