//! The architectures of a VAE and of classifiers, each with the fields that it has.

use crate::app::widgets::fields::NumberList;
use crate::app::widgets::style;
use crate::jobs::training::{ClassifierArchitecture, ClassifierPlan, Draw, LikelihoodPlan, TrainingPlan, VaeArchitecture, VaePlan, What};
use eframe::egui::{ComboBox, DragValue, Response, Role, TextEdit, Ui};
use std::path::PathBuf;

/// The fields that hold lists of widths or channels.
#[derive(Default)]
pub struct Widths {
    vae: NumberList,
    channels: NumberList,
    classifier: NumberList,
}

impl Widths {
    /// What is wrong with a field of the plan.
    pub fn problem(&self, plan: &TrainingPlan) -> Option<&str> {
        let of_vae = match plan.vae.architecture {
            VaeArchitecture::Mlp => self.vae.problem(),
            VaeArchitecture::ConvVae => self.channels.problem(),
            VaeArchitecture::File(_) => None,
        };
        let has_widths = matches!(plan.classifier.architecture, ClassifierArchitecture::Mlp | ClassifierArchitecture::Resnet);
        let of_classifier = self.classifier.problem().filter(|_| has_widths);
        match plan.what {
            What::Vae => of_vae,
            What::Set => of_vae.or(of_classifier),
            What::Classifier | What::Ensemble => of_classifier,
        }
    }
}

/// What is wrong with the width of a layer.
fn wrong_width(width: usize) -> Option<String> {
    (width == 0).then(|| "0: a layer has 1 unit at least".to_owned())
}

/// The rows of a VAE.
pub fn vae(ui: &mut Ui, plan: &mut VaePlan, widths: &mut Widths) {
    let label = |architecture: &VaeArchitecture| match architecture {
        VaeArchitecture::Mlp => "linear layers",
        VaeArchitecture::ConvVae => "convolutions",
        VaeArchitecture::File(_) => "a model.json…",
    };
    ui.horizontal(|ui| {
        ui.label("VAE");
        let own = VaeArchitecture::File(PathBuf::new());
        let menu = ComboBox::from_id_salt("vae architecture").selected_text(label(&plan.architecture)).width(104.0).show_ui(ui, |ui| {
            for architecture in [VaeArchitecture::Mlp, VaeArchitecture::ConvVae, own] {
                let chosen = label(&architecture) == label(&plan.architecture);
                if ui.selectable_label(chosen, label(&architecture)).clicked() && !chosen {
                    plan.architecture = architecture;
                }
            }
        });
        style::named(menu.response, Role::ComboBox, &format!("Architecture of the VAE: {}", label(&plan.architecture))).on_hover_text(
            "Linear layers as the paper's, convolutions of stride 2 and back, or the graphs of a model.json without weights",
        );
        if plan.architecture == VaeArchitecture::ConvVae {
            style::named(
                widths.channels.show(ui, &mut plan.widths, wrong_width, "32,64,…", 76.0),
                Role::TextInput,
                "Channels of the VAE's convolutions",
            )
            .on_hover_text("Channels of the convolutions, each of which halves the image; the decoder mirrors them");
        } else if plan.architecture == VaeArchitecture::Mlp {
            style::named(
                widths.vae.show(ui, &mut plan.hidden, wrong_width, "400,256", 76.0),
                Role::TextInput,
                "Widths of the VAE's hidden layers",
            )
            .on_hover_text("Widths of the encoder's hidden layers; the decoder mirrors them");
        }
    });
    match &mut plan.architecture {
        VaeArchitecture::File(path) => file(ui, path, "Architecture file of the VAE"),
        VaeArchitecture::ConvVae => widths.channels.remark(ui, "channels of each convolution of the encoder"),
        VaeArchitecture::Mlp => widths.vae.remark(ui, "widths of the hidden layers of the encoder"),
    }
    ui.horizontal(|ui| {
        if !matches!(plan.architecture, VaeArchitecture::File(_)) {
            let label = ui.label("latent");
            let text = "Dimensions of the latent space; the map needs 2";
            ui.add(DragValue::new(&mut plan.latent).range(1..=64).speed(0.05)).labelled_by(label.id).on_hover_text(text);
            likelihood(ui, plan);
        }
        let text = "z = μ + ½ σ ε, as the paper's code did; the loss is then no ELBO";
        ui.toggle_value(&mut plan.as_published, "½ σ").on_hover_text(text);
    });
}

fn likelihood(ui: &mut Ui, plan: &mut VaePlan) {
    const LIKELIHOODS: [LikelihoodPlan; 3] = [LikelihoodPlan::Bernoulli, LikelihoodPlan::Gaussian, LikelihoodPlan::LearnedGaussian];
    let label = |likelihood| match likelihood {
        LikelihoodPlan::Bernoulli => "Bernoulli",
        LikelihoodPlan::Gaussian => "Gaussian",
        LikelihoodPlan::LearnedGaussian => "Gaussian, learned",
    };
    let menu = ComboBox::from_id_salt("likelihood").selected_text(label(plan.likelihood)).width(76.0).show_ui(ui, |ui| {
        for likelihood in LIKELIHOODS {
            ui.selectable_value(&mut plan.likelihood, likelihood, label(likelihood));
        }
    });
    style::named(menu.response, Role::ComboBox, &format!("Likelihood: {}", label(plan.likelihood)))
        .on_hover_text("p(x|z): Bernoulli pixels; Gaussian ones of this variance; or of one variance for all pixels, which is learned");
    if plan.likelihood != LikelihoodPlan::Bernoulli {
        let drag = DragValue::new(&mut plan.variance).range(1e-6..=10.0).speed(1e-3).max_decimals(6);
        named(ui.add(drag), "Variance of the likelihood").on_hover_text("The variance of a pixel in 0 to 1; a learned one starts there");
    }
}

/// The rows of classifiers.
pub fn classifier(ui: &mut Ui, plan: &mut TrainingPlan, widths: &mut Widths) {
    let several = matches!(plan.what, What::Ensemble | What::Set);
    let network = &mut plan.classifier;
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        ui.label("network");
        architecture(ui, network);
        sizes(ui, network, &mut widths.classifier);
    });
    match network.architecture {
        ClassifierArchitecture::Mlp => widths.classifier.remark(ui, "widths of the hidden layers"),
        ClassifierArchitecture::Resnet => widths.classifier.remark(ui, "channels of the stages, and blocks of each"),
        _ => {}
    }
    if let ClassifierArchitecture::File(path) = &mut network.architecture {
        file(ui, path, "Architecture file of the classifier");
    }
    if let ClassifierArchitecture::Backbone(path) = &mut network.architecture {
        file(ui, path, "Folder of the trained network");
    }
    ui.horizontal(|ui| {
        ui.label("a draw");
        let menu = ComboBox::from_id_salt("draw").selected_text(label_of_draw(network.draw)).width(112.0).show_ui(ui, |ui| {
            for draw in [Draw::Dropout, Draw::ConcreteDropout, Draw::LastLayerLaplace, Draw::Deterministic] {
                ui.selectable_value(&mut network.draw, draw, label_of_draw(draw)).on_hover_text(summary_of_draw(draw));
            }
        });
        style::named(menu.response, Role::ComboBox, &format!("A draw: {}", label_of_draw(network.draw)))
            .on_hover_text(summary_of_draw(network.draw));
        if several {
            let label = ui.label("members");
            ui.add(DragValue::new(&mut plan.members).range(1..=50).speed(0.05)).labelled_by(label.id);
        }
    });
    if let Some(places) = places_of_dropout(&network.architecture).filter(|_| network.draw != Draw::Deterministic) {
        ui.horizontal(|ui| {
            ui.label("rates");
            for (at, rate) in network.dropout.iter_mut().enumerate().filter(|(at, _)| !places[*at].is_empty()) {
                let response = ui.add(DragValue::new(rate).range(0.0..=0.95).speed(0.005).max_decimals(2));
                named(response, &format!("Dropout rate {}", at + 1)).on_hover_text(places[at]);
            }
        });
    }
}

fn architecture(ui: &mut Ui, network: &mut ClassifierPlan) {
    let label = |architecture: &ClassifierArchitecture| match architecture {
        ClassifierArchitecture::PaperCnn => "the paper's",
        ClassifierArchitecture::Mlp => "linear layers",
        ClassifierArchitecture::Resnet => "residual",
        ClassifierArchitecture::File(_) => "a model.json…",
        ClassifierArchitecture::Backbone(_) => "a head on…",
    };
    let own = ClassifierArchitecture::File(PathBuf::new());
    let head = ClassifierArchitecture::Backbone(PathBuf::new());
    let chosen = label(&network.architecture);
    let menu = ComboBox::from_id_salt("network").selected_text(chosen).width(92.0).show_ui(ui, |ui| {
        for architecture in [ClassifierArchitecture::PaperCnn, ClassifierArchitecture::Mlp, ClassifierArchitecture::Resnet, own, head] {
            if ui.selectable_label(label(&architecture) == chosen, label(&architecture)).clicked() && label(&architecture) != chosen {
                network.dropout = architecture.usual_dropout();
                network.widths.clear();
                network.architecture = architecture;
            }
        }
    });
    style::named(menu.response, Role::ComboBox, &format!("Architecture of the classifier: {chosen}")).on_hover_text(
        "The paper's two convolutions, linear layers, a residual network, the graph of a model.json without weights, or a new last layer \
         on the features of a trained network that stays as it is",
    );
}

/// The numbers that an architecture has.
fn sizes(ui: &mut Ui, network: &mut ClassifierPlan, widths: &mut NumberList) {
    match &network.architecture {
        ClassifierArchitecture::PaperCnn => {
            for (at, channels) in network.channels.iter_mut().enumerate() {
                let name = format!("Channels of convolution {}", at + 1);
                named(ui.add(DragValue::new(channels).range(1..=512).speed(0.2)), &name).on_hover_text(&name);
            }
            let response = ui.add(DragValue::new(&mut network.hidden).range(1..=4096).speed(0.5));
            named(response, "Width of the hidden layer").on_hover_text("Width of the hidden linear layer");
        }
        architecture @ (ClassifierArchitecture::Mlp | ClassifierArchitecture::Resnet) => {
            let is_residual = *architecture == ClassifierArchitecture::Resnet;
            let hint: Vec<String> = architecture.usual_widths().iter().map(ToString::to_string).collect();
            let text = if is_residual { "Channels of the stages" } else { "Widths of the hidden layers" };
            let field = widths.show(ui, &mut network.widths, wrong_width, &hint.join(","), 60.0);
            style::named(field, Role::TextInput, text).on_hover_text(text);
            if is_residual {
                let response = ui.add(DragValue::new(&mut network.blocks).range(1..=50).speed(0.05));
                named(response, "Blocks of each stage").on_hover_text("Blocks of each stage");
            }
        }
        ClassifierArchitecture::File(_) | ClassifierArchitecture::Backbone(_) => {}
    }
}

/// Where the two dropout rates of an architecture apply; a file has its own.
const fn places_of_dropout(architecture: &ClassifierArchitecture) -> Option<[&'static str; 2]> {
    match architecture {
        ClassifierArchitecture::PaperCnn => Some(["After the pooling", "After the hidden linear layer"]),
        ClassifierArchitecture::Mlp => Some(["Of the pixels", "After each hidden layer"]),
        ClassifierArchitecture::Resnet => Some(["Of channels, after each block", "Before the last layer"]),
        ClassifierArchitecture::Backbone(_) => Some(["", "Of the features"]),
        ClassifierArchitecture::File(_) => None,
    }
}

fn file(ui: &mut Ui, path: &mut PathBuf, name: &str) {
    let mut text = path.display().to_string();
    let edit = ui.add(TextEdit::singleline(&mut text).hint_text("/path/to/model.json").desired_width(f32::INFINITY));
    if style::named(edit, Role::TextInput, name).changed() {
        *path = text.into();
    }
}

fn named(response: Response, name: &str) -> Response {
    style::named(response, Role::SpinButton, name)
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
