//! The pages of the menu Help besides the list of shortcuts.

use crate::app::state::event::HelpPage;
use crate::app::widgets::style;
use crate::uncertainty::Measure;
use eframe::egui::{Context, Grid, Id, Label, Modal, ScrollArea, Ui};

/// The terms of the window, a line each.
const GLOSSARY: [(&str, &str); 20] = [
    ("draw, T", "One sample ω of the weights: one dropout mask set, or one Laplace sample. T is the number of draws of each member"),
    ("seed", "Fixes the draws: the same seed and settings give the same map"),
    ("member", "One network of an ensemble"),
    ("model set", "A VAE and an ensemble that fit each other"),
    ("latent point z", "A point from which the VAE decodes an image"),
    ("latent plane, view", "The plane of the two latents; the view is the part of it that the maps show"),
    ("grid", "The points of the view along each axis, at which the measures are computed"),
    ("encoding", "The mean of q(z|x) of a data image: where the VAE puts it"),
    ("density", "The kernel density of the training encodings, an estimate of the aggregated posterior"),
    ("measure", "A number that says how uncertain a prediction is; “The paper” has the equations"),
    ("hole", "A region of low uncertainty and no data"),
    ("rubbish image", "A confidently classified image without meaning; the literature also says fooling image"),
    ("adversarial attack", "A small change of an image that makes the prediction wrong"),
    ("ε budget", "The largest change that an attack may make, in the norm beside it"),
    ("OOD data", "Out-of-distribution data: other than those that the models were trained for"),
    ("AUROC", "The probability that a positive has a higher value than a negative: 0.5 tells nothing apart, 1 everything"),
    ("pin", "A latent point or an image that the inspector keeps: A or B"),
    ("training preview", "A picture of a model during training"),
    ("checkpoint, resume", "The state of a stopped training, and going on from it"),
    ("fallback", "Another engine takes over where the chosen one fails"),
];

impl HelpPage {
    /// The entries of the menu.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Glossary, "Glossary"),
        (Self::Paper, "The paper and its equations"),
        (Self::About, "About Epistemap"),
        (Self::Licences, "Licences"),
    ];
}

/// Draws a page over the window. Returns whether it was closed.
pub fn show(ctx: &Context, page: HelpPage) -> bool {
    let title = HelpPage::ALL.iter().find(|(other, _)| *other == page).map_or("", |(_, title)| title);
    let response = Modal::new(Id::unique("help")).show(ctx, |ui| {
        ui.set_width(560.0_f32.min(ctx.content_rect().width() - 40.0));
        ui.heading(title);
        ui.add_space(4.0);
        ScrollArea::vertical().max_height(ctx.content_rect().height() * 0.7).show(ui, |ui| match page {
            HelpPage::Glossary => glossary(ui),
            HelpPage::Paper => paper(ui),
            HelpPage::About => about(ui),
            HelpPage::Licences => licences(ui),
        });
        ui.add_space(4.0);
        if ui.button("Close").clicked() {
            ui.close();
        }
    });
    response.should_close()
}

fn glossary(ui: &mut Ui) {
    Grid::new("glossary").num_columns(2).spacing([18.0, 4.0]).show(ui, |ui| {
        for (term, meaning) in GLOSSARY {
            ui.strong(term);
            ui.add(Label::new(meaning).wrap());
            ui.end_row();
        }
    });
}

fn paper(ui: &mut Ui) {
    ui.label("L. Smith and Y. Gal: Understanding Measures of Uncertainty for Adversarial Example Detection. UAI 2018.");
    ui.hyperlink_to("arXiv:1803.08533", "https://arxiv.org/abs/1803.08533");
    ui.add_space(6.0);
    ui.label(
        "A draw ω of the weights predicts the class probabilities p. E is the mean over the T draws of each of the members, and H the \
         entropy. Predictive entropy is the sum of expected entropy (ambiguity of the data) and mutual information (what the draws \
         disagree about): H[E p] = E H[p] + I(y; ω).",
    );
    ui.add_space(6.0);
    for measure in Measure::ALL {
        let unit = if measure.unit().is_empty() { String::new() } else { format!(", in {}", measure.unit()) };
        ui.strong(measure.label());
        ui.monospace(format!("{} = {}", measure.symbol(), measure.formula()));
        ui.label(style::note(format!("from {} to {} for ten classes{unit}", ends(measure)[0], ends(measure)[1])));
        ui.add_space(4.0);
    }
}

/// The least and the largest value of a measure over ten classes.
fn ends(measure: Measure) -> [String; 2] {
    measure.natural_range(10).map(|end| crate::numbers::fixed(end, 2))
}

fn about(ui: &mut Ui) {
    ui.label(format!("Epistemap {}", env!("CARGO_PKG_VERSION")));
    ui.label(env!("CARGO_PKG_DESCRIPTION"));
    ui.label(format!("Licence: {}", env!("CARGO_PKG_LICENSE")));
    ui.hyperlink_to("The paper that it is about", "https://arxiv.org/abs/1803.08533");
}

fn licences(ui: &mut Ui) {
    ui.label("Epistemap: MIT or Apache-2.0, at your choice (the files LICENSE-MIT and LICENSE-APACHE of the source).");
    ui.label("MNIST digits: assets/mnist/NOTICE.md. EfficientNet-Lite0: Apache-2.0, models/cats-dogs/LICENSE-EFFICIENTNET.");
    ui.label("Libraries: Cargo.lock names each with its version; the page of each on crates.io names its licence and holds its text.");
    ui.hyperlink_to("crates.io", "https://crates.io");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::state::event::Event;
    use crate::app::tests::harness;
    use eframe::egui::Key;
    use egui_kittest::kittest::Queryable as _;

    #[test]
    fn each_page_of_the_help_opens_and_closes() {
        let mut harness = harness([1280.0, 800.0]);
        for (page, text) in [
            (HelpPage::Glossary, "rubbish image"),
            (HelpPage::Paper, "I(y; ω) = H[E p] − E H[p]"),
            (HelpPage::About, "Licence: MIT OR Apache-2.0"),
            (HelpPage::Licences, "crates.io"),
        ] {
            harness.state_mut().0.scope.ask(Event::ShowHelp(page));
            harness.run_steps(4);
            assert!(harness.query_by_label(text).is_some(), "{text}");
            harness.key_press(Key::Escape);
            harness.run_steps(3);
            assert!(harness.query_by_label(text).is_none(), "{text}");
        }
    }
}
