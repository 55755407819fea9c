//! What the interpolation goes from and to, and which curves it shows.

use crate::app::panels::map::describe;
use crate::app::state::event::Event;
use crate::app::state::scope::Scope;
use crate::app::state::session::END_NAMES;
use crate::app::widgets::style;
use crate::jobs::image_end;
use crate::numbers::fixed;
use crate::uncertainty::Measure;
use eframe::egui::{Checkbox, ComboBox, DragValue, RichText, Role, Sense, Shape, Stroke, Ui, vec2};
use std::sync::Arc;

/// Draws the controls.
pub fn show(ui: &mut Ui, scope: &mut Scope) {
    for end in 0..2 {
        this_end(ui, scope, end);
    }
    ui.horizontal(|ui| {
        let label = ui.label("images");
        ui.add(DragValue::new(&mut scope.session.line.steps).range(2..=201).speed(0.3)).labelled_by(label.id);
        ui.checkbox(&mut scope.session.line.geodesic, "Geodesic").on_hover_text(
            "The shortest path from start to end by the distances between the decoded images: the geodesic of the decoder's pull-back metric \
             (Arvanitidis et al. 2018)",
        );
    });
    let dark = ui.visuals().dark_mode;
    let measures = &mut scope.session.line.measures;
    for (number, measure) in measures.clone().into_iter().enumerate() {
        ui.horizontal(|ui| {
            let (rect, _) = ui.allocate_exact_size(vec2(18.0, 3.0), Sense::hover());
            ui.painter().rect_filled(rect, 1.0, style::of_curve(number, dark));
            describe(ui.label(measure.label()), measure);
        });
    }
    ui.horizontal(|ui| {
        ui.menu_button("Measures", |ui| {
            for measure in Measure::ALL {
                let mut chosen = measures.contains(&measure);
                let last = chosen && measures.len() == 1;
                let response = ui.add_enabled(!last, Checkbox::new(&mut chosen, measure.label()));
                if describe(response, measure).changed() {
                    measures.retain(|&other| other != measure);
                    if chosen {
                        measures.push(measure);
                        measures.sort_by_key(|measure| Measure::ALL.iter().position(|other| other == measure));
                    }
                }
            }
        });
    });
    for (name, dash) in [("latent", &[18.0][..]), ("pixels", &[5.0, 2.0]), ("geodesic", &[1.5, 2.5])] {
        if name != "geodesic" || scope.session.line.geodesic {
            ui.horizontal(|ui| {
                let (rect, _) = ui.allocate_exact_size(vec2(18.0, 3.0), Sense::hover());
                let (stroke, ends) = (Stroke::new(2.0, ui.visuals().weak_text_color()), [rect.left_center(), rect.right_center()]);
                let gap = dash.get(1).copied().unwrap_or(0.0);
                ui.painter().extend(Shape::dashed_line(&ends, stroke, dash[0], gap));
                ui.label(style::note(name));
            });
        }
    }
}

/// An end: where it is, and images of the data to put it on.
fn this_end(ui: &mut Ui, scope: &mut Scope, end: usize) {
    ui.horizontal(|ui| {
        ui.label(RichText::new(END_NAMES[end]).strong());
        let [z1, z2] = scope.session.line.ends[end];
        let classes = scope.classes().to_vec();
        let data = scope.data.clone();
        let number = scope.session.line.images[end]
            .zip(data.as_ref())
            .filter(|(number, data)| *number < data.len())
            .map(|(number, data)| (number, Arc::clone(data)));
        let label =
            number.as_ref().map_or_else(|| "choose".to_owned(), |(number, data)| classes[usize::from(data.labels[*number])].clone());
        let mut class = None;
        ui.add_enabled_ui(data.is_some(), |ui| {
            let menu = ComboBox::from_id_salt(("class", end)).selected_text(label).width(58.0).show_ui(ui, |ui| {
                for (number, name) in classes.iter().enumerate() {
                    if ui.selectable_label(false, name).clicked() {
                        class = Some(number);
                    }
                }
            });
            let text = format!("An image of this class from the test data as the line's {}", END_NAMES[end]);
            style::named(menu.response, Role::ComboBox, &format!("Class of the {}", END_NAMES[end])).on_hover_text(text);
            let next = ui.add_enabled(number.is_some(), eframe::egui::Button::new("next"));
            if next.on_hover_text("The next image of the class").clicked()
                && let Some((number, data)) = &number
            {
                class = Some(usize::from(data.labels[*number]));
            }
        });
        ui.label(style::note(format!("({}, {})", fixed(z1, 1), fixed(z2, 1))));
        if let (Some(class), Some(data)) = (class, &data) {
            // From the image at hand on, around the end.
            let from = number.map_or(0, |(number, _)| number + 1);
            let found = (0..data.len()).map(|step| (from + step) % data.len()).find(|&image| usize::from(data.labels[image]) == class);
            match found.map(|image| (image, image_end(&scope.set, data, image))) {
                Some((image, Ok((there, _)))) => {
                    scope.session.line.ends[end] = there.z;
                    scope.session.line.images[end] = Some(image);
                }
                Some((_, Err(error))) => scope.ask(Event::Complain(error.to_string())),
                None => scope.ask(Event::Say(format!("The data have no image of class {}.", classes[class]))),
            }
        }
    });
}
