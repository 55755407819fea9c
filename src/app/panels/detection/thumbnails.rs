//! The images of a bin.

use crate::app::panels::detection::view::{Shown, View};
use crate::app::state::scope::Scope;
use crate::app::widgets::images::{Texture, part_of_row, row};
use crate::app::widgets::style;
use crate::jobs::Kind;
use eframe::egui::{Context, Image, Ui, vec2};

/// The most images that are shown.
const MOST: usize = 60;
/// The side of one in points.
const SIDE: f32 = 38.0;

/// The images side by side in one texture.
#[derive(Default)]
pub struct Thumbnails {
    texture: Texture,
    shown: Vec<Shown>,
    /// How many there are in all.
    all: usize,
}

impl Thumbnails {
    /// Takes those of another bin.
    pub fn set(&mut self, ctx: &Context, view: &View, bin: usize) {
        let mut images = view.images_of(bin);
        self.all = images.len();
        images.truncate(MOST);
        let pixels: Vec<f32> = images.iter().filter_map(|image| view.pixels(*image)).flat_map(std::borrow::Cow::into_owned).collect();
        let shape = view.found.question.shape();
        self.texture.set(ctx, "images of a bin", row(shape, &pixels));
        self.shown = images;
    }

    /// Draws them.
    pub fn show(&self, ui: &mut Ui, view: &View, scope: &Scope, bin: Option<usize>) {
        let Some(bin) = bin else {
            ui.label(style::note("A click on the histogram shows the images there."));
            return;
        };
        ui.label(style::note(format!(
            "{} image{} from {:.3} to {:.3}{}",
            self.all,
            if self.all == 1 { "" } else { "s" },
            view.edge(bin),
            view.edge(bin + 1),
            if self.all > MOST { format!("; the first {MOST}") } else { String::new() }
        )));
        let Some(texture) = self.texture.handle() else { return };
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = vec2(2.0, 2.0);
            for (place, image) in self.shown.iter().enumerate() {
                let name = Self::name(view, scope, *image);
                let part = Image::new(texture)
                    .uv(part_of_row(place, self.shown.len()))
                    .maintain_aspect_ratio(false)
                    .fit_to_exact_size(vec2(SIDE, SIDE))
                    .alt_text(&name);
                ui.add(part).on_hover_text(name);
            }
        });
    }

    /// What an image is, in words.
    fn name(view: &View, scope: &Scope, image: Shown) -> String {
        let label = |number: usize| {
            let class = view.row().and_then(|row| row.attacked.labels.get(number));
            class.and_then(|class| scope.classes().get(*class)).map_or("?", String::as_str)
        };
        match image {
            Shown::Of(Kind::Clean, number) => format!("Image {number}, clean: {}", label(number)),
            Shown::Of(Kind::Noisy, number) => format!("Image {number}, with noise: {}", label(number)),
            Shown::Of(Kind::Attacked, number) => format!("Image {number}, attacked: {}", label(number)),
            Shown::Other(number) => format!("Image {number} of other data"),
        }
    }
}
