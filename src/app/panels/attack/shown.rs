//! An attack on the screen: the images, the answers, the measures.

use crate::app::panels::attack::workers::Question;
use crate::app::panels::inspector::{Digest, bars, numbers, picture};
use crate::app::panels::map::describe;
use crate::app::widgets::images::{Texture, pixels};
use crate::app::widgets::style;
use crate::attack::Norm;
use crate::figure::difference_colour;
use crate::jobs::{AttackEnd, AttackSettings, Inspection, On, WatchedAttack, attacked_answer};
use crate::numbers::counted;
use crate::uncertainty::Measure;
use eframe::egui::{Align2, Color32, ColorImage, Context, FontId, Grid, Label, Mesh, Rect, RichText, Sense, Ui, pos2, vec2};

/// Steps of the colours of the difference's scale.
const SCALE: usize = 32;

/// The textures of the three images.
#[derive(Default)]
pub struct Pictures {
    original: Texture,
    changed: Texture,
    difference: Texture,
}

/// An attack, summed up once.
pub struct Shown {
    pub question: Question,
    pub attack: WatchedAttack,
    pictures: Pictures,
    /// The largest change of a value: the end of the difference's colours.
    amplitude: f32,
    before: Option<Digest>,
    after: Option<Digest>,
}

impl Shown {
    /// Takes the pictures of an older one over.
    pub fn new(ctx: &Context, question: Question, attack: WatchedAttack, mut pictures: Pictures) -> Self {
        let (shape, original) = (attack.before.image_shape, &attack.before.image);
        let change: Vec<f32> = attack.image.iter().zip(original).map(|(after, before)| after - before).collect();
        let amplitude = change.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
        pictures.original.set(ctx, "attacked original", pixels(shape, original));
        pictures.changed.set(ctx, "attacked image", pixels(shape, &attack.image));
        pictures.difference.set(ctx, "attack difference", difference(shape, &change, amplitude));
        let digest = |inspection: &Inspection| {
            let mut digest = Digest::new(inspection, &inspection.settings.members)?;
            if attack.settings.on == On::Deterministic {
                // The bars are those of the answer that is attacked; the draws stay as they are.
                digest.mean = attacked_answer(inspection, On::Deterministic);
                digest.of_members = vec![digest.mean.clone(); digest.members.len()];
            }
            Some(digest)
        };
        let before = digest(&attack.before);
        let after = attack.end.as_ref().and_then(|end| digest(&end.after));
        Self { question, attack, pictures, amplitude, before, after }
    }

    /// The textures, to be used again.
    pub fn into_pictures(self) -> Pictures {
        self.pictures
    }

    /// The three images, and under them what came of it in words.
    pub fn images(&self, ui: &mut Ui, classes: &[String]) {
        let gap = 6.0;
        let side = ((ui.available_width() - 2.0 * gap) / 3.0).floor();
        ui.spacing_mut().item_spacing = vec2(gap, 3.0);
        ui.horizontal_top(|ui| {
            let Pictures { original, changed, difference } = &self.pictures;
            for (texture, name, hover) in [
                (original, "original", "The image before the attack"),
                (changed, "attacked", "The image after the newest step"),
                (difference, "difference", "Attacked minus original; red pixels were made lighter, blue ones darker"),
            ] {
                ui.vertical(|ui| {
                    ui.set_width(side);
                    ui.add(Label::new(style::note(name)).truncate());
                    picture(ui, texture, side, &format!("Attack: {name}"), hover);
                    if name == "difference" {
                        self.scale(ui, side);
                    }
                });
            }
        });
        match &self.attack.end {
            Some(end) => {
                let colour = if end.success == Some(true) { ui.visuals().error_fg_color } else { ui.visuals().text_color() };
                ui.add(Label::new(RichText::new(verdict(&self.attack, end, classes)).strong().color(colour)).wrap());
                let norms = Norm::ALL.iter().zip(end.norms).map(|(norm, length)| format!("{} {length:.4}", norm.symbol()));
                ui.label(style::note(format!("change: {}", norms.collect::<Vec<_>>().join(" · "))));
            }
            None => {
                ui.label(style::note("The attack has not come to its end."));
            }
        }
    }

    /// The colours of the difference, with the change that they stand for.
    fn scale(&self, ui: &mut Ui, width: f32) {
        let (rect, response) = ui.allocate_exact_size(vec2(width, 19.0), Sense::hover());
        let bar = Rect::from_min_size(rect.min, vec2(rect.width(), 6.0));
        let mut mesh = Mesh::default();
        for step in 0..SCALE {
            let x = |step: usize| bar.left() + bar.width() * step as f32 / SCALE as f32;
            let part = Rect::from_min_max(pos2(x(step), bar.top()), pos2(x(step + 1), bar.bottom()));
            mesh.add_colored_rect(part, style::colour(difference_colour((step as f64 + 0.5) / SCALE as f64)));
        }
        let (painter, ink, font) = (ui.painter(), ui.visuals().weak_text_color(), FontId::proportional(10.0));
        painter.add(mesh);
        let most = self.amplitude;
        painter.text(rect.left_bottom(), Align2::LEFT_BOTTOM, format!("−{most:.2}"), font.clone(), ink);
        painter.text(rect.center_bottom(), Align2::CENTER_BOTTOM, "0", font.clone(), ink);
        painter.text(rect.right_bottom(), Align2::RIGHT_BOTTOM, format!("+{most:.2}"), font, ink);
        let text = if most > 0.0 {
            format!("Amplified {:.1} times: the colours end at the largest change, ±{most:.4} of the range 0 … 1", 1.0 / most)
        } else {
            "Nothing is changed".to_owned()
        };
        response.on_hover_text(text);
    }

    /// Both predictions as bars, with every draw.
    pub fn answers(&mut self, ui: &mut Ui, classes: &[String]) {
        let gap = ui.spacing().item_spacing.x;
        let width = ((ui.available_width() - gap) / 2.0).floor();
        let end = self.attack.end.clone();
        let sides =
            [("before", Some(&*self.attack.before), &mut self.before), ("after", end.as_deref().map(|end| &end.after), &mut self.after)];
        ui.horizontal_top(|ui| {
            for (name, inspection, digest) in sides {
                ui.push_id(name, |ui| {
                    ui.vertical(|ui| {
                        ui.set_width(width);
                        let (Some(inspection), Some(digest)) = (inspection, digest) else {
                            ui.label(style::note(format!("{name}: not yet")));
                            return;
                        };
                        let (class, p) = digest.prediction();
                        ui.add(Label::new(format!("{name}: {}, p = {p:.3}", classes[class])).truncate());
                        bars(ui, classes, inspection, digest);
                    });
                });
            }
        });
        let draws = counted(self.attack.settings.samples, "draw");
        let text = match self.attack.settings.on {
            On::Deterministic => format!("bars: dropout off, which is attacked; ticks: {draws}"),
            On::Mc => format!("bars: the mean of {draws}; ticks: each"),
            On::Ensemble => format!("bars: the mean of all; ticks: {draws} of each member"),
        };
        ui.add(Label::new(style::note(text)).truncate());
    }

    /// Every measure before and after.
    pub fn measures(&self, ui: &mut Ui) {
        Grid::new("attack measures").num_columns(4).striped(true).spacing([8.0, 4.0]).show(ui, |ui| {
            for title in ["", "before", "after", "change"] {
                ui.label(style::note(title));
            }
            ui.end_row();
            for (at, measure) in Measure::ALL.into_iter().enumerate() {
                describe(ui.label(measure.symbol()), measure);
                let value = |digest: &Option<Digest>| digest.as_ref().map(|digest| digest.measures[at]);
                for text in numbers([value(&self.before), value(&self.after)]) {
                    ui.label(text);
                }
                ui.end_row();
            }
        });
        let AttackSettings { samples, members, .. } = &self.attack.settings;
        let draws = counted(*samples, "draw");
        let draws = if members.len() > 1 { format!("{draws} of each of {} members", members.len()) } else { draws };
        ui.add(Label::new(style::note(format!("mean of {draws}; entropies and I in nats"))).wrap());
    }
}

/// What came of an attack, in a sentence.
pub fn verdict(attack: &WatchedAttack, end: &AttackEnd, classes: &[String]) -> String {
    let name = |class: usize| classes.get(class).map_or("?", String::as_str);
    let [before, after] = end.answers.map(name);
    match (end.success, attack.target.map(name)) {
        (Some(true), None) => format!("It worked: {before} has become {after}."),
        (Some(true), Some(_)) => format!("It worked: {before} has become {after}, as it should."),
        (Some(false), None) => format!("It failed: the answer is still {after}."),
        (Some(false), Some(target)) => format!("It failed: the answer is {after}, not {target}."),
        (None, None) => {
            format!("Nothing was left to do: the answer was {before} before, but the image is {}; now it is {after}.", name(attack.class))
        }
        (None, Some(target)) => format!("Nothing was left to do: the answer was {target} before; now it is {after}."),
    }
}

/// A change as a picture: of several channels, the one that changed most.
fn difference([channels, height, width]: [usize; 3], change: &[f32], amplitude: f32) -> ColorImage {
    let plane = height * width;
    let colour = |at: usize| {
        let most = (0..channels).map(|channel| change[channel * plane + at]).fold(0.0, |a: f32, b| if b.abs() > a.abs() { b } else { a });
        let share = if amplitude > 0.0 { f64::from(most / amplitude) } else { 0.0 };
        let [red, green, blue] = difference_colour(0.5 + 0.5 * share);
        Color32::from_rgb(red, green, blue)
    };
    ColorImage::new([width, height], (0..plane).map(colour).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_grey_where_nothing_changed_and_full_where_most_did() {
        let colours = |change: &[f32]| -> Vec<[u8; 3]> {
            let image = difference([1, 1, 3], change, change.iter().fold(0.0, |most: f32, value| most.max(value.abs())));
            image.pixels.iter().map(|pixel| [pixel.r(), pixel.g(), pixel.b()]).collect()
        };
        assert_eq!(colours(&[-0.1, 0.0, 0.1]), [0.0, 0.5, 1.0].map(difference_colour));
        assert_eq!(colours(&[-0.4, 0.0, 0.4]), colours(&[-0.1, 0.0, 0.1]), "it is amplified");
        assert_eq!(colours(&[0.0; 3]), [difference_colour(0.5); 3]);
        assert_ne!(colours(&[0.05, 0.0, 0.1])[0], difference_colour(1.0));
        let of_channels = difference([2, 1, 1], &[0.1, -0.2], 0.2).pixels[0];
        assert_eq!([of_channels.r(), of_channels.g(), of_channels.b()], difference_colour(0.0));
    }
}
