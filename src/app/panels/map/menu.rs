//! The menus of the right mouse button on a map and on a pin.

use crate::app::panels::map::gestures::Hand;
use crate::app::panels::map::header::title;
use crate::app::panels::map::hover::prediction;
use crate::app::state::choices::attack::AttackedImage;
use crate::app::state::event::Event;
use crate::app::state::scope::Scope;
use crate::app::state::session::{END_NAMES, PIN_NAMES, Pin};
use crate::app::widgets::plane::Plane;
use crate::numbers::fixed;
use eframe::egui::{Button, Response, Ui};

/// The menu of the point of a map that was clicked.
pub fn map(response: &Response, plane: &Plane, scope: &mut Scope, hand: &mut Hand, place: usize) {
    if response.secondary_clicked() {
        hand.menu_at = response.interact_pointer_pos().map(|at| plane.to_latent(at));
    }
    let Some(z) = hand.menu_at else { return };
    response.context_menu(|ui| {
        copy_z(ui, z);
        if ui.button("Copy values").on_hover_text("The prediction and the value of each map here, as a table with tabs").clicked() {
            ui.copy_text(values(scope, place, z));
        }
        ui.separator();
        for (which, name) in PIN_NAMES.into_iter().enumerate() {
            if ui.button(format!("Pin {name} here")).clicked() {
                scope.session.pins[which] = Some(Pin::Latent(z));
            }
        }
        line_entries(ui, scope, z, None);
        ui.separator();
        if ui.button("Attack this").on_hover_text("Pins the image here as A, and chooses it in the tab Attack").clicked() {
            scope.session.pins[0] = Some(Pin::Latent(z));
            scope.session.attack.image = AttackedImage::Pin(0);
            scope.ask(Event::OpenPanel("Attack"));
        }
        let find = ui.add_enabled(scope.surroundings.is_some(), Button::new("Find the nearest image"));
        let find = find.on_hover_text("Pins the nearest encoding of a training image as A");
        if find.on_disabled_hover_text("These models have no encodings of training images").clicked() {
            find_nearest(scope, z);
        }
    });
}

/// The menu of a pin at a latent point.
pub fn pin(response: &Response, scope: &mut Scope, which: usize, z: [f64; 2]) {
    response.context_menu(|ui| {
        copy_z(ui, z);
        let image = if let Some(Pin::Data(number)) = scope.session.pins[which] { Some(number) } else { None };
        line_entries(ui, scope, z, image);
        ui.separator();
        if ui.button(format!("Remove pin {}", PIN_NAMES[which])).clicked() {
            scope.session.pins[which] = None;
        }
    });
}

fn copy_z(ui: &mut Ui, z: [f64; 2]) {
    if ui.button("Copy z").on_hover_text("The latent point as two numbers").clicked() {
        ui.copy_text(z.map(|z| fixed(z, 6)).join(", "));
    }
}

/// Puts an end of the line on a latent point, which may be that of an image of the data.
fn line_entries(ui: &mut Ui, scope: &mut Scope, z: [f64; 2], image: Option<usize>) {
    for (end, (label, name)) in ["Line from here", "Line to here"].into_iter().zip(END_NAMES).enumerate() {
        if ui.button(label).on_hover_text(format!("The line's {name}")).clicked() {
            scope.session.line.ends[end] = z;
            scope.session.line.images[end] = image;
            scope.session.overlays.line = true;
        }
    }
}

/// Pins the training encoding that is nearest to a latent point as A, and says which image it is.
fn find_nearest(scope: &mut Scope, z: [f64; 2]) {
    let (Some(surroundings), Some(encodings)) = (&scope.surroundings, &scope.set.encodings) else { return };
    let Some(&(number, distance)) = surroundings.nearest.nearest(z, 1).first() else { return };
    let train = &encodings.train;
    let (point, class) = (train.points[number].map(f64::from), train.classes[usize::from(train.labels[number])].clone());
    scope.session.pins[0] = Some(Pin::Latent(point));
    scope.ask(Event::Say(format!(
        "The nearest training image is number {number}, class {class}, {distance:.3} away: its encoding is pin A."
    )));
}

/// A head line and a line of numbers, with tabs: the point, the prediction of a map's members, and the value of each map that is shown.
fn values(scope: &Scope, place: usize, z: [f64; 2]) -> String {
    let (mut names, mut numbers) = (vec!["z1".to_owned(), "z2".to_owned()], z.map(|z| fixed(z, 6)).to_vec());
    let mut add = |name: String, number: String| {
        names.push(name);
        numbers.push(number);
    };
    let here = scope.results.values.get(place).and_then(|values| Some((values, values.point_at(z)?)));
    if let Some((class, p)) = here.and_then(|(values, point)| prediction(scope, values, point)) {
        add("class".to_owned(), scope.classes()[class].clone());
        add("p".to_owned(), fixed(p, 6));
    }
    for (place, values) in scope.results.values.iter().enumerate().take(scope.session.layout.count()) {
        if let Some(point) = values.point_at(z) {
            let unit = values.pane.measure.unit();
            let unit = if unit.is_empty() { String::new() } else { format!(" ({unit})") };
            add(format!("{}{unit}", title(scope, place)), fixed(values.numbers[point].into(), 6));
        }
    }
    format!("{}\n{}", names.join("\t"), numbers.join("\t"))
}
