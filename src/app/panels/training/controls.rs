//! What is trained, on what, and how; and the buttons that begin, rest and end it.

use crate::app::panels::training::architecture::{self, Widths};
use crate::app::panels::training::optimisation::optimisation;
use crate::app::panels::training::workers::Watched;
use crate::app::state::choices::training::{TrainingChoice, one_more};
use crate::app::state::scope::Scope;
use crate::app::widgets::fields::NumberList;
use crate::app::widgets::style;
use crate::data::sources;
use crate::jobs::Status;
use crate::jobs::training::{DataChoice, TrainingPlan, What};
use eframe::egui::{Button, ComboBox, DragValue, Role, TextEdit, Ui};
use std::path::PathBuf;

/// What somebody wants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Start,
    Resume,
    Pause,
    GoOn,
    Stop,
}

/// The fields whose text may be wrong, which is kept until it is mended.
#[derive(Default)]
pub struct Fields {
    classes: NumberList,
    widths: Widths,
}

impl Fields {
    /// What is wrong with a field of the plan.
    pub fn problem(&self, plan: &TrainingPlan) -> Option<&str> {
        self.classes.problem().or_else(|| self.widths.problem(plan))
    }
}

/// The name of the decoded digits as a data set.
const DECODED: &str = "decoded-digits";

/// Begin, rest, end. `resumable` says that the model of that name was stopped before its end, `problem` what is wrong with the plan's fields.
pub fn buttons(ui: &mut Ui, status: &Status, watched: Option<&Watched>, resumable: bool, problem: Option<&str>) -> Option<Wish> {
    let working = matches!(status, Status::Working(_));
    let paused = watched.is_some_and(Watched::is_paused);
    let mut wish = None;
    let mut button = |ui: &mut Ui, text: &str, hover: &str, wanted: Wish| {
        if ui.add(Button::new(text)).on_hover_text(hover).on_disabled_hover_text(problem.unwrap_or_default()).clicked() {
            wish = Some(wanted);
        }
    };
    ui.horizontal(|ui| {
        if !working {
            ui.add_enabled_ui(problem.is_none(), |ui| {
                button(ui, "Start", "Trains a new model; every epoch is kept on the disk", Wish::Start);
            });
            if resumable {
                button(ui, "Resume", "Goes on where the model of this name was stopped, with the settings of then", Wish::Resume);
            }
            return;
        }
        if paused {
            button(ui, "Go on", "Goes on with the step after the pause", Wish::GoOn);
        } else {
            button(ui, "Pause", "Rests after this step; nothing is lost", Wish::Pause);
        }
        button(ui, "Stop", "Ends the training; the running epoch is lost, and “Resume” goes on before it", Wish::Stop);
    });
    wish
}

/// What, on what.
pub fn what(ui: &mut Ui, scope: &mut Scope, choice: &mut TrainingChoice, fields: &mut Fields) {
    let plan = &mut choice.plan;
    ui.horizontal(|ui| {
        let menu = ComboBox::from_id_salt("trained").selected_text(label_of(plan.what)).width(104.0).show_ui(ui, |ui| {
            for what in [What::Vae, What::Classifier, What::Ensemble, What::Set] {
                ui.selectable_value(&mut plan.what, what, label_of(what));
            }
        });
        style::named(menu.response, Role::ComboBox, &format!("Train: {}", label_of(plan.what)))
            .on_hover_text("A VAE gives the plane its images; classifiers are asked about them; a set is both, on the same data");
        ui.menu_button("Presets", |ui| presets(ui, scope, plan)).response.on_hover_text("Settings to begin with");
    });
    ui.horizontal(|ui| {
        let label = ui.label("name");
        let hint = choice.wanted_name().to_owned();
        ui.add(TextEdit::singleline(&mut choice.name).hint_text(hint).desired_width(130.0)).labelled_by(label.id);
    });
    data(ui, &mut choice.plan, &mut fields.classes);
}

const fn label_of(what: What) -> &'static str {
    match what {
        What::Vae => "VAE",
        What::Classifier => "classifier",
        What::Ensemble => "ensemble",
        What::Set => "whole set",
    }
}

fn presets(ui: &mut Ui, scope: &Scope, plan: &mut TrainingPlan) {
    let data = plan.data.clone();
    let paper = |what| TrainingPlan { what, data: data.clone(), ..TrainingPlan::default() };
    let small = |what, epochs| {
        let mut small = TrainingPlan { epochs: Some(epochs), batch: 64, members: 3, ..paper(what) };
        small.data.source = DataChoice::Named(DECODED.to_owned());
        small.data.images = Some(2000);
        (small.classifier.channels, small.classifier.hidden, small.vae.hidden) = ([8, 16], 32, vec![128, 64]);
        small
    };
    let more = one_more(plan, &scope.set.descriptions[1..]);
    let offers = [
        ("The paper's VAE", Some(paper(What::Vae))),
        ("The paper's classifier", Some(paper(What::Classifier))),
        ("One more member like those at hand", more),
        ("A small VAE, in a minute", Some(small(What::Vae, 12))),
        ("A small classifier, in a minute", Some(small(What::Classifier, 6))),
        ("A small set, in minutes", Some(small(What::Set, 8))),
    ];
    for (label, offer) in offers {
        if ui.add_enabled(offer.is_some(), Button::new(label)).clicked() {
            *plan = offer.unwrap_or_default();
            ui.close();
        }
    }
}

fn data(ui: &mut Ui, plan: &mut TrainingPlan, chosen: &mut NumberList) {
    let data = &mut plan.data;
    ui.horizontal(|ui| {
        ui.label("data");
        let name = match &data.source {
            DataChoice::Named(name) => name.clone(),
            DataChoice::Folder(folder) => {
                folder.file_name().map_or_else(|| "folder".to_owned(), |name| name.to_string_lossy().into_owned())
            }
        };
        let own = matches!(data.source, DataChoice::Folder(_));
        let menu = ComboBox::from_id_salt("training data").selected_text(&name).width(116.0).show_ui(ui, |ui| {
            for folder in sources::ALL.iter().map(|source| source.folder).chain([DECODED]) {
                ui.selectable_value(&mut data.source, DataChoice::Named(folder.to_owned()), folder);
            }
            if ui.selectable_label(own, "a folder…").clicked() && !own {
                data.source = DataChoice::Folder(PathBuf::new());
            }
        });
        style::named(menu.response, Role::ComboBox, &format!("Training data: {name}"))
            .on_hover_text("A known data set, or a folder of one's own: IDX files, or a folder of images for each class");
    });
    if let DataChoice::Folder(folder) = &mut data.source {
        let mut text = folder.display().to_string();
        let edit = ui.add(TextEdit::singleline(&mut text).hint_text("/path/to/a/folder").desired_width(f32::INFINITY));
        if style::named(edit, Role::TextInput, "Folder of the training data").changed() {
            *folder = text.into();
        }
    }
    ui.horizontal(|ui| {
        let mut all = data.images.is_none();
        ui.checkbox(&mut all, "all images").on_hover_text("With few images, epistemic uncertainty (mutual information) grows");
        match (all, &mut data.images) {
            (true, images) => *images = None,
            (false, images) => {
                let response = ui.add(DragValue::new(images.get_or_insert(1000)).range(2..=1_000_000).speed(20.0));
                style::named(response, Role::SpinButton, "Training images");
            }
        }
    });
    let known = classes(&data.source);
    ui.horizontal(|ui| {
        let label = ui.label("classes");
        let wrong = |class: usize| known.filter(|&count| class >= count).map(|count| format!("{class}: there are only {count} classes"));
        chosen
            .show(ui, &mut data.classes, wrong, "all, or 0,1,…", 140.0)
            .labelled_by(label.id)
            .on_hover_text("Train on these classes only, by number");
    });
    chosen
        .remark(ui, &known.map_or_else(|| "by number, from 0".to_owned(), |count| format!("by number, 0 to {}", count.saturating_sub(1))));
    ui.horizontal(|ui| {
        let label = ui.label("label noise");
        let mut percent = 100.0 * data.label_noise;
        let drag = DragValue::new(&mut percent).range(0.0..=100.0).suffix(" %").speed(0.5).max_decimals(1);
        let text = "This share of the training labels becomes another class: aleatoric uncertainty grows, epistemic stays";
        if ui.add(drag).labelled_by(label.id).on_hover_text(text).changed() {
            data.label_noise = percent / 100.0;
        }
    });
}

/// How many classes data have, where that is known before they are read.
fn classes(source: &DataChoice) -> Option<usize> {
    match source {
        DataChoice::Named(name) => {
            let of_digits = if name == DECODED { "mnist" } else { name };
            sources::named(of_digits).ok().map(|source| source.classes.len())
        }
        DataChoice::Folder(_) => None,
    }
}

/// The network, and how it is trained.
pub fn how(ui: &mut Ui, plan: &mut TrainingPlan, fields: &mut Fields) {
    if matches!(plan.what, What::Vae | What::Set) {
        architecture::vae(ui, &mut plan.vae, &mut fields.widths);
    }
    if plan.what != What::Vae {
        architecture::classifier(ui, plan, &mut fields.widths);
    }
    optimisation(ui, plan);
    ui.horizontal(|ui| {
        let mut epochs = plan.epochs_of(plan.what == What::Vae);
        let label = ui.label("epochs");
        if ui.add(DragValue::new(&mut epochs).range(1..=10_000).speed(0.1)).labelled_by(label.id).changed() {
            plan.epochs = Some(epochs);
        }
        let label = ui.label("batch");
        ui.add(DragValue::new(&mut plan.batch).range(1..=4096).speed(0.5)).labelled_by(label.id);
        let label = ui.label("seed");
        ui.add(DragValue::new(&mut plan.seed).speed(0.1)).labelled_by(label.id);
    });
}
