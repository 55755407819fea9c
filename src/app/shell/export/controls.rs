//! The settings below the preview, and the buttons.

use crate::app::shell::export::dialog::{Doing, Exports};
use crate::app::shell::export::subject::Export;
use crate::app::shell::export::work::{FileFormat, Task};
use crate::app::state::event::Event;
use crate::app::state::scope::Scope;
use crate::app::widgets::{menus, style};
use crate::figure::{VENUES, Width};
use eframe::egui::{Button, ComboBox, DragValue, Key, Response, RichText, TextEdit, Ui, WidgetText};
use std::path::Path;

impl Exports {
    /// Draws them.
    pub(super) fn controls(&mut self, ui: &mut Ui, scope: &mut Scope) {
        ui.add_space(6.0);
        let busy = self.is_busy();
        ui.add_enabled_ui(!busy, |ui| {
            ui.horizontal_wrapped(|ui| self.format(ui));
            self.path(ui, scope);
        });
        ui.add_space(4.0);
        self.buttons(ui, scope);
        if !self.note.is_empty() {
            ui.label(style::note(&self.note));
        }
        self.open_folder(ui, scope);
    }

    /// The button that opens the folder of the file that was saved last.
    fn open_folder(&self, ui: &mut Ui, scope: &mut Scope) {
        let Some(folder) = self.saved.as_deref().and_then(Path::parent) else { return };
        let opener = scope.sources.open_folder.clone();
        let button = ui.add_enabled(opener.is_some(), Button::new("Open the folder"));
        let clicked = button.on_disabled_hover_text("This system has no program that opens folders").clicked();
        if clicked
            && let Some(open) = opener
            && let Err(error) = open(folder)
        {
            scope.ask(Event::Complain(error.to_string()));
        }
    }

    fn format(&mut self, ui: &mut Ui) {
        let before = self.file_format();
        let mut format = before;
        let mut formats = |ui: &mut Ui| {
            for choice in FileFormat::of(self.what) {
                ui.selectable_value(&mut format, choice, choice.extension());
            }
        };
        let menu = choose(ui, "Format", before.extension(), &mut formats);
        menus::arrows(ui, &menu, &mut format, FileFormat::of(self.what));
        if format != before {
            match format {
                FileFormat::Figure(format) => self.format = format,
                FileFormat::Raw(format) => self.raw = format,
            }
            self.change_extension();
        }
        if self.what == Export::Data {
            return;
        }
        let menu = choose(ui, "Venue", self.venue.label, &mut |ui| {
            for venue in &VENUES {
                ui.selectable_value(&mut self.venue, venue, venue.label);
            }
        });
        menus::arrows(ui, &menu, &mut self.venue, &VENUES);
        let inches = |width: Width| format!("{} ({} in)", name(width), self.venue.style(width).width_in);
        let labels = Width::ALL.map(|width| (width, inches(width)));
        let before = self.width;
        let menu = choose(ui, "Width", inches(self.width), &mut |ui| {
            for (width, label) in &labels {
                ui.selectable_value(&mut self.width, *width, label);
            }
        });
        menus::arrows(ui, &menu, &mut self.width, Width::ALL);
        self.has_own_width |= self.width != before;
        let label = ui.label("dpi");
        let dpi = DragValue::new(&mut self.dpi).range(36.0..=1200.0).speed(2.0).fixed_decimals(0);
        ui.add(dpi).labelled_by(label.id).on_hover_text("Pixels per inch of png, of the copied image, and of dense layers in pdf and svg");
        ui.checkbox(&mut self.title, "Title").on_hover_text("A title above the figure; in papers the caption says it");
    }

    fn path(&mut self, ui: &mut Ui, scope: &Scope) {
        ui.horizontal(|ui| {
            let label = ui.label("Save as");
            let width = (ui.available_width() - 84.0).max(60.0);
            let edit = ui.add(TextEdit::singleline(&mut self.path).desired_width(width)).labelled_by(label.id);
            if edit.changed() {
                self.question = None;
                self.follow_extension();
            }
            let entered = edit.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
            if entered && !self.path.trim().is_empty() && self.what.refusal(scope).is_none() {
                self.save(scope);
            }
            if ui.button("Browse…").on_hover_text("The system's file dialog, where there is one").clicked() {
                self.chooser.request(self.path.trim().into());
            }
        });
    }

    fn buttons(&mut self, ui: &mut Ui, scope: &mut Scope) {
        for sentence in self.question.iter().flat_map(|question| &question.sentences) {
            ui.colored_label(ui.visuals().warn_fg_color, sentence);
        }
        ui.horizontal(|ui| {
            if self.is_busy() {
                ui.label(style::note(if self.doing == Doing::Save { "Saving" } else { "Drawing the image" }));
                if let Some(share) = self.share() {
                    style::bar(ui, share, 160.0);
                }
                if ui.button("Cancel").clicked() {
                    self.worker.cancel();
                    self.doing = Doing::Nothing;
                    "Cancelled; nothing was written.".clone_into(&mut self.note);
                }
                return;
            }
            let save = self.question.as_ref().map_or("Save", |question| question.button);
            let primary = Button::new(RichText::new(save).strong()).fill(style::ACCENT.gamma_multiply(0.55));
            let refusal = self.what.refusal(scope);
            let has_path = !self.path.trim().is_empty();
            let saved = ui.add_enabled(has_path && refusal.is_none(), primary);
            if saved.on_disabled_hover_text(refusal.unwrap_or("Name a file first.")).clicked() {
                self.save(scope);
            }
            let figure = self.what != Export::Data;
            let copy = figure.then(|| ui.add_enabled(refusal.is_none(), Button::new("Copy image")));
            let text = "The picture, at this resolution, to the clipboard";
            let copy = copy.map(|copy| copy.on_hover_text(text).on_disabled_hover_text(refusal.unwrap_or_default()));
            if copy.is_some_and(|copy| copy.clicked()) {
                self.start(Doing::Copy, scope, Task::Copy { dpi: self.dpi });
            }
            if ui.button("Close").clicked() {
                self.close(scope);
            }
        });
    }
}

fn name(width: Width) -> &'static str {
    match width {
        Width::Column => "one column",
        Width::Full => "full width",
    }
}

/// A menu with a name.
fn choose(ui: &mut Ui, name: &str, chosen: impl Into<WidgetText>, content: &mut dyn FnMut(&mut Ui)) -> Response {
    let label = ui.label(name);
    ComboBox::from_id_salt(("export", name)).selected_text(chosen).show_ui(ui, |ui| content(ui)).response.labelled_by(label.id)
}
