//! What is trained, on what, and how; and the buttons that begin, rest and end it.

use super::choice::{TrainingChoice, one_more};
use super::workers::Watched;
use crate::app::scope::Scope;
use crate::app::style;
use crate::data::sources;
use crate::jobs::Status;
use crate::jobs::training::{DataChoice, Draw, Method, TrainingPlan, What};
use eframe::egui::{Button, ComboBox, DragValue, Id, Role, TextEdit, Ui};
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

/// The name of the decoded digits as a data set.
const DECODED: &str = "decoded-digits";

/// Begin, rest, end. `resumable` says that the model of that name was stopped before its end.
pub fn buttons(ui: &mut Ui, status: &Status, watched: Option<&Watched>, resumable: bool) -> Option<Wish> {
    let working = matches!(status, Status::Working(_));
    let paused = watched.is_some_and(Watched::is_paused);
    let mut wish = None;
    let mut button = |ui: &mut Ui, text: &str, hover: &str, wanted: Wish| {
        if ui.add(Button::new(text)).on_hover_text(hover).clicked() {
            wish = Some(wanted);
        }
    };
    ui.horizontal(|ui| {
        if !working {
            button(ui, "Start", "Trains a new model; every epoch is kept on the disk", Wish::Start);
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
pub fn what(ui: &mut Ui, scope: &mut Scope, choice: &mut TrainingChoice) {
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
    data(ui, scope, &mut choice.plan);
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

fn data(ui: &mut Ui, scope: &Scope, plan: &mut TrainingPlan) {
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
    ui.horizontal(|ui| {
        let label = ui.label("classes");
        let classes = scope.classes().len();
        let hint = format!("all, or 0,1,… (0 to {})", classes.saturating_sub(1));
        numbers(ui, "classes", &mut data.classes, &hint, 110.0)
            .labelled_by(label.id)
            .on_hover_text("Train on these classes only, by number");
    });
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

/// The network, and how it is trained.
pub fn how(ui: &mut Ui, plan: &mut TrainingPlan) {
    if matches!(plan.what, What::Vae | What::Set) {
        vae(ui, plan);
    }
    if plan.what != What::Vae {
        classifier(ui, plan);
    }
    optimiser(ui, plan);
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

fn vae(ui: &mut Ui, plan: &mut TrainingPlan) {
    ui.horizontal(|ui| {
        let label = ui.label("VAE");
        numbers(ui, "vae widths", &mut plan.vae.hidden, "400,256", 70.0)
            .labelled_by(label.id)
            .on_hover_text("Widths of the encoder's hidden layers; the decoder mirrors them");
        let label = ui.label("latent");
        let text = "Dimensions of the latent space; the map needs 2";
        ui.add(DragValue::new(&mut plan.vae.latent).range(1..=64).speed(0.05)).labelled_by(label.id).on_hover_text(text);
        let text = "z = μ + ½ σ ε, as the paper's code did; the loss is then no ELBO";
        ui.toggle_value(&mut plan.vae.as_published, "½ σ").on_hover_text(text);
    });
}

fn classifier(ui: &mut Ui, plan: &mut TrainingPlan) {
    let network = &mut plan.classifier;
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        ui.label("network");
        for (at, channels) in network.channels.iter_mut().enumerate() {
            let response = ui.add(DragValue::new(channels).range(1..=512).speed(0.2));
            style::named(response, Role::SpinButton, &format!("Channels of convolution {}", at + 1))
                .on_hover_text(format!("Channels of convolution {}", at + 1));
        }
        let response = ui.add(DragValue::new(&mut network.hidden).range(1..=4096).speed(0.5));
        style::named(response, Role::SpinButton, "Width of the hidden layer").on_hover_text("Width of the hidden dense layer");
        if matches!(plan.what, What::Ensemble | What::Set) {
            let label = ui.label("members");
            ui.add(DragValue::new(&mut plan.members).range(1..=50).speed(0.05)).labelled_by(label.id);
        }
    });
    ui.horizontal(|ui| {
        ui.label("a draw");
        let menu = ComboBox::from_id_salt("draw").selected_text(label_of_draw(network.draw)).width(112.0).show_ui(ui, |ui| {
            for draw in [Draw::Dropout, Draw::ConcreteDropout, Draw::LastLayerLaplace, Draw::Deterministic] {
                ui.selectable_value(&mut network.draw, draw, label_of_draw(draw)).on_hover_text(summary_of_draw(draw));
            }
        });
        style::named(menu.response, Role::ComboBox, &format!("A draw: {}", label_of_draw(network.draw)))
            .on_hover_text(summary_of_draw(network.draw));
    });
    if network.draw != Draw::Deterministic {
        ui.horizontal(|ui| {
            ui.label("rates");
            for (at, rate) in network.dropout.iter_mut().enumerate() {
                let response = ui.add(DragValue::new(rate).range(0.0..=0.95).speed(0.005).max_decimals(2));
                style::named(response, Role::SpinButton, &format!("Dropout rate {}", at + 1))
                    .on_hover_text(["After the pooling", "After the hidden dense layer"][at]);
            }
        });
    }
}

const fn label_of_draw(draw: Draw) -> &'static str {
    match draw {
        Draw::Dropout => "dropout mask",
        Draw::ConcreteDropout => "concrete dropout",
        Draw::LastLayerLaplace => "last layer (Laplace)",
        Draw::Deterministic => "none",
    }
}

const fn summary_of_draw(draw: Draw) -> &'static str {
    match draw {
        Draw::Dropout => "MC dropout: each draw leaves units out at these rates (Gal & Ghahramani 2016)",
        Draw::ConcreteDropout => "MC dropout at rates that are learned with the weights (Gal, Hron & Kendall 2017)",
        Draw::LastLayerLaplace => {
            "Weights of the last layer, from a Gaussian that is fitted at the end of the training (Daxberger et al. 2021)"
        }
        Draw::Deterministic => "No dropout: only the members of an ensemble differ (Lakshminarayanan et al. 2017)",
    }
}

fn optimiser(ui: &mut Ui, plan: &mut TrainingPlan) {
    let label = |method: Option<Method>| match method {
        None => "the paper's",
        Some(Method::Adam) => "Adam",
        Some(Method::Adadelta) => "Adadelta",
        Some(Method::Sgd) => "SGD",
    };
    ui.horizontal(|ui| {
        let menu = ComboBox::from_id_salt("optimiser").selected_text(label(plan.optimiser)).width(88.0).show_ui(ui, |ui| {
            for method in [None, Some(Method::Adam), Some(Method::Adadelta), Some(Method::Sgd)] {
                if ui.selectable_value(&mut plan.optimiser, method, label(method)).changed() {
                    plan.learning_rate = None;
                }
            }
        });
        style::named(menu.response, Role::ComboBox, &format!("Optimiser: {}", label(plan.optimiser)))
            .on_hover_text("Adam for a VAE, Adadelta for classifiers, as the paper; or another");
        let (_, mut rate) = plan.method_of(plan.what == What::Vae);
        let text = "Learning rate";
        let speed = rate * 0.01;
        let response = ui.add(DragValue::new(&mut rate).range(1e-8..=1e9).clamp_existing_to_range(false).speed(speed).max_decimals(6));
        if style::named(response, Role::SpinButton, text).on_hover_text(text).changed() {
            plan.learning_rate = Some(rate);
        }
        ui.checkbox(&mut plan.anneal, "anneal").on_hover_text("The learning rate falls linearly to 0: the last epochs no longer wander");
    });
}

/// A list of numbers as a text, such as 400,256. What is no such list changes nothing.
fn numbers(ui: &mut Ui, name: &str, values: &mut Vec<usize>, hint: &str, width: f32) -> eframe::egui::Response {
    let id = Id::unique(("numbers", name));
    let shown = values.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    // While it is typed in, the text is what has been typed.
    let mut text = ui.data(|data| data.get_temp::<String>(id)).unwrap_or_else(|| shown.clone());
    let parsed = |text: &str| {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(str::parse::<usize>).collect::<Result<Vec<_>, _>>()
    };
    let valid = parsed(&text).is_ok();
    let colour = if valid { ui.visuals().text_color() } else { ui.visuals().warn_fg_color };
    let response = ui.add(TextEdit::singleline(&mut text).hint_text(hint).desired_width(width).text_color(colour));
    if response.changed()
        && let Ok(numbers) = parsed(&text)
    {
        *values = numbers;
    }
    let typing = response.has_focus();
    ui.data_mut(|data| {
        if typing {
            data.insert_temp(id, text);
        } else {
            data.remove::<String>(id);
        }
    });
    response
}
