//! A pin's card: what it is, its images, and what is predicted.

use crate::app::panels::inspector::bars;
use crate::app::panels::inspector::probe::{Probe, Shown};
use crate::app::panels::map::badge;
use crate::app::state::scope::Scope;
use crate::app::state::session::{PIN_NAMES, Pin};
use crate::app::widgets::class_dot::class_dot;
use crate::app::widgets::images::Texture;
use crate::app::widgets::style;
use crate::jobs::library::name_of;
use crate::numbers::{counted, fixed};
use eframe::egui::{Align, Button, Image, Label, Layout, RichText, Sense, Stroke, StrokeKind, Ui, vec2};

/// The widest that an image is shown.
const WIDEST: f32 = 190.0;

/// Draws the card over the whole width.
pub fn show(ui: &mut Ui, scope: &mut Scope, probe: &mut Probe, which: usize) {
    let late = probe.is_late();
    let Some(pin) = scope.session.pins[which].clone() else { return };
    if header(ui, &pin, which, late) {
        scope.session.pins[which] = None;
    }
    if probe.shown().is_none() && !style::status_line(ui, "The networks are being asked", probe.status()) {
        ui.add(Label::new(style::note(scope.without_data())).wrap());
    }
    let Some(shown) = probe.shown_mut() else { return };
    ui.scope(|ui| {
        if late && shown.pin != pin {
            ui.multiply_opacity(0.5);
        }
        place(ui, shown);
        images(ui, shown, which);
        prediction(ui, scope, shown);
        bars::show(ui, scope.classes(), &shown.inspection, &mut shown.digest);
    });
}

/// Badge, name and the button that removes the pin; answers whether it was clicked.
fn header(ui: &mut Ui, pin: &Pin, which: usize, late: bool) -> bool {
    let name = PIN_NAMES[which];
    let title = match pin {
        Pin::Latent(_) => "Latent point".to_owned(),
        Pin::Data(number) => format!("Image {number}"),
        Pin::File(path) => name_of(path),
    };
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 5.0;
        let (disc, _) = ui.allocate_exact_size(vec2(19.0, 19.0), Sense::hover());
        badge(ui.painter(), disc.center(), name, style::PINS[which]);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let remove = ui.add(Button::new("×").small().frame(false)).on_hover_text(format!("Remove pin {name}"));
            remove.widget_info(|| eframe::egui::WidgetInfo::labeled(eframe::egui::Role::Button, true, format!("Remove pin {name}")));
            if late {
                ui.label(style::note("…")).on_hover_text("The networks are being asked.");
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                ui.add(Label::new(RichText::new(&title).strong()).truncate());
            });
            remove.clicked()
        })
        .inner
    })
    .inner
}

/// Where it lies, and where it comes from.
fn place(ui: &mut Ui, shown: &Shown) {
    let [z1, z2] = shown.inspection.z;
    let what = if matches!(shown.pin, Pin::Latent(_)) {
        "The point whose decoded image this is"
    } else {
        "The image's encoding, the mean of q(z|x)"
    };
    ui.label(style::signed(format!("z = ({}, {})", fixed(z1, 2), fixed(z2, 2)))).on_hover_text(what);
    if !shown.notes.is_empty() {
        ui.add(Label::new(style::note(shown.notes.join("; "))).truncate());
    }
}

/// The image, and the one that is left of it after the encoder and the decoder.
fn images(ui: &mut Ui, shown: &Shown, which: usize) {
    let gap = 6.0;
    let whole = ui.available_width();
    let side = ((whole - gap) * 0.62).min(WIDEST).floor();
    let small = (whole - gap - side).min(side * 0.62).floor();
    let inspection = &shown.inspection;
    let [z1, z2] = inspection.encoding;
    let moved = (z1 - inspection.z[0]).hypot(z2 - inspection.z[1]);
    let name = PIN_NAMES[which];
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = gap;
        picture(ui, &shown.image, side, &format!("Image of pin {name}"), "What the networks see");
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            let text = format!("The image encoded, at z = ({}, {}), and decoded again", fixed(z1, 3), fixed(z2, 3));
            picture(ui, &shown.reconstruction, small, &format!("Reconstruction of pin {name}"), &style::signed(text));
            ui.add(Label::new(style::note("encoded, decoded")).wrap());
            if matches!(shown.pin, Pin::Latent(_)) {
                ui.add(Label::new(style::note(format!("|Δz| {moved:.2}"))).truncate())
                    .on_hover_text("How far the image's encoding lies from the point that it was decoded at");
            }
        });
    });
}

/// An image with its frame, without smoothing.
pub fn picture(ui: &mut Ui, texture: &Texture, side: f32, name: &str, hover: &str) {
    let Some(handle) = texture.handle() else { return };
    let image = Image::new(handle).fit_to_exact_size(vec2(side, side)).alt_text(name);
    let response = ui.add(image).on_hover_text(hover);
    let frame = ui.visuals().weak_text_color().gamma_multiply(0.5);
    ui.painter().rect_stroke(response.rect, 0.0, Stroke::new(1.0, frame), StrokeKind::Inside);
}

/// The class that is predicted, and the data's where it is another.
fn prediction(ui: &mut Ui, scope: &Scope, shown: &Shown) {
    let (class, p) = shown.digest.prediction();
    let classes = scope.classes();
    let members = match shown.digest.members.as_slice() {
        [one] => format!("of member {one}"),
        several => format!("of {} members", several.len()),
    };
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 5.0;
        ui.label(RichText::new(&classes[class]).heading().strong());
        let text = format!("The mean prediction {members}, those of the map that keys change");
        ui.label(format!("p = {p:.3}")).on_hover_text(text);
        ui.label(style::note(format!("mean of {} {members}", counted(shown.inspection.settings.samples, "draw"))));
        if let Some(label) = shown.label.map(usize::from) {
            let colour = if label == class { ui.visuals().weak_text_color() } else { ui.visuals().warn_fg_color };
            let name = classes.get(label).map_or("?", String::as_str);
            ui.label(RichText::new(format!("label {name}")).color(colour)).on_hover_text("The class that the data give it");
        }
    });
}

/// The dot of a class before its name.
pub fn dot(ui: &mut Ui, class: usize) {
    let (rect, _) = ui.allocate_exact_size(vec2(8.0, 11.0), Sense::hover());
    class_dot(ui.painter(), class, rect.center(), 3.5, 1.0);
}
