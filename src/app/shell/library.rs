//! The menu of models: the shipped ones, and those that were trained here, each with its card.

use crate::app::state::event::{Event, Opening, PathFor};
use crate::app::state::scope::Scope;
use crate::app::state::session::Session;
use crate::app::widgets::style;
use crate::data::sources::{self, Layout, Source, has_classes};
use crate::error::Result;
use crate::jobs::library::{CATS_DOGS_MISSING, Entry, EntryKind, delete, entries, name_of};
use crate::jobs::training::{DECODED, is_resumable};
use crate::jobs::{Status, Wake, Worker};
use eframe::egui::{Button, Context, Grid, Id, Label, Modal, Ui};
use std::path::PathBuf;
use std::sync::Arc;

/// What the thread is asked for.
enum Request {
    Read(PathBuf),
    Delete(PathBuf, PathBuf),
}

/// An entry, and whether its training was stopped before its end.
struct Listed {
    entry: Entry,
    is_resumable: bool,
}

/// The models that were trained here.
pub struct Library {
    worker: Worker<Request, Vec<Listed>>,
    entries: Vec<Listed>,
    /// The one that is to be deleted once somebody has said yes.
    condemned: Option<Entry>,
}

impl Library {
    /// Starts the thread that reads the folder.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn new(wake: &Wake) -> Result<Self> {
        let worker = Worker::spawn("library", Arc::clone(wake), |request, desk| {
            let (folder, deleted) = match request {
                Request::Read(folder) => (folder, Ok(())),
                Request::Delete(folder, model) => {
                    let deleted = delete(&folder, &model);
                    (folder, deleted)
                }
            };
            let listed = |entry: Entry| Listed { is_resumable: is_resumable(&entry.folder), entry };
            desk.publish(entries(&folder).into_iter().map(listed).collect());
            deleted
        })?;
        Ok(Self { worker, entries: Vec::new(), condemned: None })
    }

    /// Takes what was read.
    pub fn logic(&mut self, scope: &mut Scope) {
        if let Some(entries) = self.worker.take() {
            self.entries = entries;
        }
        if let Status::Failed(sentence) = self.worker.status() {
            scope.ask(Event::Complain(sentence));
            self.worker.cancel();
        }
    }

    /// Reads a folder of trained models anew.
    pub fn read(&self, folder: PathBuf) {
        self.worker.request(Request::Read(folder));
    }

    /// The menu.
    pub fn menu(&mut self, ui: &mut Ui, scope: &mut Scope) {
        let session = &scope.session;
        let (shipped, pure) = (session.models.is_none(), session.additions.is_empty());
        if ui.add_enabled(!(shipped && pure), Button::new("The shipped models")).clicked() {
            scope.ask(Event::Open(Opening::Models(None)));
        }
        let cats_dogs = Button::new("Cats and dogs");
        if ui.add_enabled(scope.sources.cats_dogs.is_some(), cats_dogs).on_disabled_hover_text(CATS_DOGS_MISSING).clicked() {
            scope.ask(Event::Open(Opening::Models(scope.sources.cats_dogs.clone())));
        }
        if !pure && ui.button("Without what was added").clicked() {
            scope.ask(Event::Open(Opening::Originals));
        }
        ui.menu_button("Data", |ui| data(ui, scope));
        ui.separator();
        if self.entries.is_empty() {
            ui.label(style::note("Models that you train in the tab Training stand here."));
        }
        for listed in &self.entries {
            ui.menu_button(&listed.entry.name, |ui| {
                if self.condemned.is_none() && card(ui, listed, scope) {
                    self.condemned = Some(listed.entry.clone());
                }
            });
        }
    }

    /// Deletes a model of the library in a folder.
    pub fn delete(&self, library: PathBuf, model: PathBuf) {
        self.worker.request(Request::Delete(library, model));
    }

    /// Asks before a model is deleted.
    pub fn show(&mut self, ctx: &Context, scope: &mut Scope) {
        let Some(entry) = &self.condemned else { return };
        let mut deleted = false;
        let response = Modal::new(Id::unique("delete a model")).show(ctx, |ui| {
            ui.set_max_width(420.0);
            ui.heading(format!("Delete “{}”?", entry.name));
            ui.add(Label::new(format!("Its weights and its film in {} cannot be brought back.", entry.folder.display())).wrap());
            ui.horizontal(|ui| {
                deleted = ui.button("Delete").clicked();
                if ui.button("Keep").clicked() {
                    ui.close();
                }
            });
        });
        if deleted {
            scope.ask(Event::Open(Opening::Without(entry.folder.clone())));
        }
        if deleted || response.should_close() {
            self.condemned = None;
        }
    }
}

/// The test images: those that the models are about, or others of their shape and classes.
fn data(ui: &mut Ui, scope: &mut Scope) {
    let (classes, shape) = (scope.classes(), scope.image_shape());
    let fits = |source: &&Source| {
        // Photographs are brought to the shape of the models.
        has_classes(source, classes) && (matches!(source.layout, Layout::Images { .. }) || shape == [1, 28, 28])
    };
    let offered: Vec<&Source> = sources::ALL.iter().filter(fits).collect();
    let has_digits = offered.iter().any(|source| source.folder == "mnist");
    let mut wanted = None;
    if ui.button("Those that the models are about").clicked() {
        wanted = Some(Event::LoadData(None));
    }
    let named = offered.iter().map(|source| (source.folder, source.name)).chain(has_digits.then_some((DECODED, "Decoded digits")));
    for (name, label) in named {
        if ui.button(label).clicked() {
            wanted = Some(Event::LoadData(Some(name.to_owned())));
        }
    }
    if ui.button("Others of the same shape and classes…").clicked() {
        wanted = Some(Event::AskPath(PathFor::Data));
    }
    if let Some(event) = wanted {
        scope.ask(event);
        ui.close();
    }
}

/// What a model is, and what can be done with it. Answers whether somebody wants it deleted.
fn card(ui: &mut Ui, Listed { entry, is_resumable }: &Listed, scope: &mut Scope) -> bool {
    ui.set_max_width(340.0);
    if let Some(problem) = &entry.problem {
        ui.colored_label(ui.visuals().warn_fg_color, problem);
    }
    Grid::new(("card", &entry.folder)).num_columns(2).spacing([12.0, 2.0]).show(ui, |ui| {
        for (what, value) in &entry.card {
            ui.label(style::note(what));
            ui.add(Label::new(value).wrap());
            ui.end_row();
        }
    });
    ui.separator();
    let folder = entry.folder.clone();
    let (label, command) = match entry.kind {
        EntryKind::Vae => ("Use this VAE", Event::Open(Opening::Vae(folder.clone()))),
        EntryKind::Classifier | EntryKind::Ensemble => ("Use as ensemble member", Event::Open(Opening::Members(folder.clone()))),
        EntryKind::Set => ("Open these models", Event::Open(Opening::Models(Some(folder.clone())))),
    };
    if ui.add_enabled(entry.problem.is_none(), Button::new(label)).clicked() {
        scope.ask(command);
        ui.close();
    }
    let text = "Goes on where its training was stopped, with the settings of then";
    if *is_resumable && ui.button("Resume").on_hover_text(text).clicked() {
        scope.ask(Event::ResumeTraining(folder.clone()));
        ui.close();
    }
    if ui.button("Show its training").on_hover_text("In the tab Training: its curves and its film").clicked() {
        scope.session.training.name.clone_from(&entry.name);
        scope.ask(Event::ShowTraining(folder));
        ui.close();
    }
    let delete = ui.button("Delete…").clicked();
    if delete {
        ui.close();
    }
    delete
}

/// Which models are at hand, in a few words.
pub fn at_hand(session: &Session) -> String {
    let models = session.models.as_ref().map_or_else(|| "shipped models".to_owned(), |folder| folder.display().to_string());
    let vae = session.additions.vae.iter().map(|folder| format!("with the VAE {}", name_of(folder)));
    let members = session.additions.members.iter().map(|folder| format!("and {}", name_of(folder)));
    std::iter::once(models).chain(vae).chain(members).collect::<Vec<_>>().join(" ")
}
