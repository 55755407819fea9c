//! What opens over the window: paths, exports, the list of shortcuts.

use crate::app::shell::export::Exports;
use crate::app::shell::help;
use crate::app::shell::keys::SHORTCUTS;
use crate::app::shell::questions::Question;
use crate::app::shell::reading::absolute;
use crate::app::state::event::{Event, HelpPage, Opening, PathFor};
use crate::app::state::scope::Scope;
use crate::app::state::session::Pin;
use crate::app::widgets::style;
use crate::error::Result;
use crate::jobs::{Wake, Worker};
use crate::uncertainty::Measure;
use eframe::egui::{Context, Grid, Id, Key, KeyboardShortcut, Modal, Modifiers, ScrollArea, TextEdit};
use std::path::PathBuf;
use std::sync::Arc;

/// The dialogs of paths with their menu entries.
pub const FILES: [(&str, PathFor); 4] = [
    ("Open models…", PathFor::Models),
    ("Open an image…", PathFor::Image),
    ("Open a session…", PathFor::Session),
    ("Save the session…", PathFor::SaveSession),
];

/// The dialogs' state.
pub struct Dialogs {
    path: Option<PathDialog>,
    chooser: Worker<PathFor, PathBuf>,
    help: bool,
    page: Option<HelpPage>,
    export: Exports,
}

struct PathDialog {
    wanted: PathFor,
    text: String,
    /// Whether the field still has to take the focus.
    is_new: bool,
    /// What is asked before the path is written to.
    question: Option<Question>,
}

impl PathDialog {
    /// The path, if it may be used. Saving asks first where it would replace or create something; the second click is the answer.
    fn confirmed(&mut self) -> Option<PathBuf> {
        let path = absolute(PathBuf::from(self.text.trim()));
        let saves = matches!(self.wanted, PathFor::SaveSession | PathFor::SaveFilm);
        let answered = self.question.take().is_some_and(|question| question.path == path);
        if saves && !answered {
            self.question = Question::about(&path, true);
        }
        self.question.is_none().then_some(path)
    }
}

impl Dialogs {
    /// No dialog is open. The system's own file dialog runs on a thread of its own.
    pub fn new(wake: &Wake) -> Result<Self> {
        let chooser = Worker::spawn("file dialog", Arc::clone(wake), |wanted: PathFor, desk| {
            let dialog = rfd::FileDialog::new();
            let chosen = match wanted {
                PathFor::Models => dialog.set_title("A folder of models").pick_folder(),
                PathFor::Session => dialog.set_title("A session, or an exported figure").pick_file(),
                PathFor::SaveSession => dialog.set_title("Save the session").set_file_name("session.json").save_file(),
                PathFor::SaveFilm => dialog.set_title("Save the film").set_file_name("training.gif").save_file(),
                PathFor::Data => dialog.set_title("A folder of images").pick_folder(),
                PathFor::Image => dialog
                    .set_title("An image")
                    .add_filter("images", &["png", "jpg", "jpeg", "bmp", "gif", "tif", "tiff", "webp"])
                    .pick_file(),
            };
            if let Some(path) = chosen {
                desk.publish(path);
            }
            Ok(())
        })?;
        Ok(Self { path: None, chooser, help: false, page: None, export: Exports::new(wake)? })
    }

    /// Opens the dialog of a path.
    pub fn ask_path(&mut self, wanted: PathFor) {
        let text = match wanted {
            PathFor::SaveSession => "session.json".to_owned(),
            PathFor::SaveFilm => "training.gif".to_owned(),
            PathFor::Models | PathFor::Session | PathFor::Data | PathFor::Image => String::new(),
        };
        self.path = Some(PathDialog { wanted, text, is_new: true, question: None });
    }

    /// Shows or hides the list of shortcuts.
    pub fn toggle_help(&mut self) {
        self.help = !self.help;
    }

    /// Shows a page of the help.
    pub fn show_help(&mut self, page: HelpPage) {
        self.page = Some(page);
    }

    /// Shows or hides the dialog of exports.
    pub fn toggle_export(&mut self, scope: &mut Scope) {
        self.export.toggle(scope);
    }

    /// Draws what is open.
    pub fn show(&mut self, ctx: &Context, scope: &mut Scope) {
        self.path(ctx, scope);
        self.help(ctx);
        self.page = self.page.filter(|&page| !help::show(ctx, page));
        self.export.show(ctx, scope);
    }

    fn path(&mut self, ctx: &Context, scope: &mut Scope) {
        let Some(dialog) = &mut self.path else { return };
        if let Some(path) = self.chooser.take() {
            dialog.text = path.display().to_string();
            dialog.question = None;
        }
        let (title, go) = match dialog.wanted {
            PathFor::Models => ("A folder that holds model folders: one VAE, and the classifiers", "Open"),
            PathFor::Session => ("A session file, or a figure that the window exported", "Open"),
            PathFor::SaveSession => ("Where to save the session", "Save"),
            PathFor::SaveFilm => ("An animated GIF, or, without .gif, a folder for a PNG of each epoch", "Save"),
            PathFor::Data => ("A folder of images for each class, or of IDX files, or an npz file", "Load"),
            PathFor::Image => ("An image file: it is encoded and marked as pin A", "Open"),
        };
        let mut done = false;
        let response = Modal::new(Id::unique("path dialog")).show(ctx, |ui| {
            ui.set_width(460.0_f32.min(ctx.content_rect().width() - 40.0));
            let label = ui.label(title);
            let edit = ui.horizontal(|ui| {
                let edit = ui.add(TextEdit::singleline(&mut dialog.text).desired_width(ui.available_width() - 84.0)).labelled_by(label.id);
                if ui.button("Browse…").on_hover_text("The system's file dialog, where there is one").clicked() {
                    self.chooser.request(dialog.wanted);
                }
                edit
            });
            let edit = edit.inner;
            if std::mem::take(&mut dialog.is_new) {
                edit.request_focus();
            }
            if edit.changed() {
                dialog.question = None;
            }
            for sentence in dialog.question.iter().flat_map(|question| &question.sentences) {
                ui.colored_label(ui.visuals().warn_fg_color, sentence);
            }
            let go = dialog.question.as_ref().map_or(go, |question| question.button);
            if edit.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter)) {
                done = true;
            }
            ui.horizontal(|ui| {
                done |= ui.add_enabled(!dialog.text.trim().is_empty(), eframe::egui::Button::new(go)).clicked();
                if ui.button("Cancel").clicked() {
                    ui.close();
                }
            });
        });
        let path = if done && !dialog.text.trim().is_empty() { dialog.confirmed() } else { None };
        if path.is_some() || response.should_close() {
            let wanted = dialog.wanted;
            self.path = None;
            if let Some(path) = path {
                use_path(scope, wanted, path);
            }
        }
    }

    fn help(&mut self, ctx: &Context) {
        if !self.help {
            return;
        }
        let response = Modal::new(Id::unique("shortcuts")).show(ctx, |ui| {
            ui.heading("Shortcuts");
            ScrollArea::vertical().max_height(ctx.content_rect().height() * 0.7).show(ui, |ui| {
                Grid::new("shortcuts").num_columns(2).spacing([24.0, 4.0]).show(ui, |ui| {
                    let mut line = |keys: String, does: &str| {
                        ui.monospace(keys);
                        ui.label(does);
                        ui.end_row();
                    };
                    line("click".into(), "Pin the point as A; with the shift key as B");
                    line("drag".into(), "Move the map, an end of the line, or an end of the colour bar");
                    line("shift + drag".into(), "Zoom into a box");
                    line("right click".into(), "What one can do with a point of the map, a pin or the colour bar");
                    line("wheel".into(), "Closer or farther, towards the pointer");
                    line("double click".into(), "The whole plane; on the colour bar: colours that fit the map");
                    line("1 … 8".into(), &format!("The measures, from {} on", Measure::ALL[0].label().to_lowercase()));
                    line(
                        format!("{} … 6", ctx.format_shortcut(&KeyboardShortcut::new(Modifiers::COMMAND, Key::Num1))),
                        "The tabs below the maps",
                    );
                    line("Tab".into(), "The next control: after the toolbar the map");
                    line("arrows".into(), "Move the map, or the end of the line, that has the focus");
                    line("Enter".into(), "Pin the cross in the middle of the map as A; with the shift key as B");
                    for shortcut in &SHORTCUTS {
                        let KeyboardShortcut { modifiers, logical_key } = shortcut.keys;
                        let keys =
                            if modifiers.is_none() { logical_key.symbol_or_name().to_owned() } else { ctx.format_shortcut(&shortcut.keys) };
                        line(keys, shortcut.does);
                    }
                });
            });
            ui.add_space(4.0);
            if ui.button("Close").clicked() {
                ui.close();
            }
            ui.label(style::note("Files dropped on the window open: images as pin A, sessions, folders of models."));
        });
        if response.should_close() {
            self.help = false;
        }
    }
}

/// Does with a path what it was asked for.
fn use_path(scope: &mut Scope, wanted: PathFor, path: PathBuf) {
    match wanted {
        PathFor::Models => scope.ask(Event::Open(Opening::Models(Some(path)))),
        PathFor::Session => scope.ask(Event::Open(Opening::Session(path))),
        PathFor::SaveSession => scope.ask(Event::SaveSession(path)),
        PathFor::SaveFilm => scope.ask(Event::SaveFilm(path)),
        PathFor::Data => scope.ask(Event::LoadData(Some(path.display().to_string()))),
        PathFor::Image => scope.session.pins[0] = Some(Pin::File(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::shell::run::Program;
    use crate::app::state::storage::Storage;
    use crate::app::tests::{harness, scope, until};
    use eframe::egui::{Event as Input, Modifiers};
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;
    use std::path::Path;

    /// Opens the dialog of a path, and types one without a click.
    fn type_into(harness: &mut Harness<'static, Program>, wanted: PathFor, path: &Path) {
        harness.state_mut().0.scope.ask(Event::AskPath(wanted));
        harness.run_steps(4);
        harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
        harness.run_steps(2);
        harness.event(Input::Text(path.display().to_string()));
        harness.run_steps(2);
    }

    #[test]
    fn a_session_is_saved_over_a_file_only_after_asking() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.json");
        std::fs::write(&path, "mine").unwrap();
        let mut harness = harness([1280.0, 800.0]);
        type_into(&mut harness, PathFor::SaveSession, &path);
        harness.key_press(Key::Enter);
        harness.run_steps(3);
        assert!(harness.query_all_by_label_contains("is there already").next().is_some());
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        harness.get_by_label("Replace").click_accesskit();
        harness.run_steps(3);
        assert_eq!(Storage::open(&path).unwrap().session, scope(&harness).session);
        assert!(harness.query_by_label("Replace").is_none(), "the dialog is closed");
        assert!(harness.query_all_by_label_contains("The session is saved in ").next().is_some());

        let new = folder.path().join("new/mine.json");
        type_into(&mut harness, PathFor::SaveSession, &new);
        harness.get_by_label("Save").click_accesskit();
        harness.run_steps(3);
        assert!(!new.exists());
        harness.get_by_label("Create the folder").click_accesskit();
        harness.run_steps(3);
        assert!(new.exists() && harness.state().0.complaints().is_empty(), "{:?}", harness.state().0.complaints());
    }

    #[test]
    fn a_bad_session_file_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad.json");
        std::fs::write(&path, "{\"session\": 3}").unwrap();
        let mut harness = harness([1280.0, 800.0]);
        let before = scope(&harness).session.clone();
        type_into(&mut harness, PathFor::Session, &path);
        harness.key_press(Key::Enter);
        until(&mut harness, "the complaint", |harness| !harness.state().0.complaints().is_empty());
        assert!(harness.state().0.complaints()[0].contains("bad.json"));
        assert_eq!(scope(&harness).session, before);
    }
}
