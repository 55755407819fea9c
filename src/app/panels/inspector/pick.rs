//! Picking an image of the data for a pin.

use crate::app::state::scope::Scope;
use crate::app::state::session::{PIN_NAMES, Pin};
use crate::app::widgets::style;
use crate::data::Dataset;
use crate::random::{Purpose, Stream};
use eframe::egui::{Button, ComboBox, DragValue, Label, Response, Role, Ui, WidgetInfo};

/// The controls.
#[derive(Default)]
pub struct Pick {
    /// The pin that is chosen for.
    which: usize,
    /// Only images of this class.
    class: Option<u16>,
    /// How often chance was asked.
    drawn: u32,
}

impl Pick {
    /// Draws them.
    pub fn ui(&mut self, ui: &mut Ui, scope: &mut Scope) {
        let Some(data) = scope.data.clone() else {
            ui.add(Label::new(style::note(scope.without_data())).wrap());
            return;
        };
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            ui.label("An image of the data for").on_hover_text(&data.name);
            for (which, name) in PIN_NAMES.into_iter().enumerate() {
                let button = ui.selectable_label(self.which == which, name).on_hover_text(format!("Pick an image for pin {name}"));
                named(&button, &format!("Pick for {name}"));
                if button.clicked() {
                    self.which = which;
                }
            }
        });
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            let here = match scope.session.pins[self.which] {
                Some(Pin::Data(number)) => Some(number),
                _ => None,
            };
            let mut chosen = self.filter(ui, &data, here);
            let arrow = |ui: &mut Ui, text: &str, name: &str| {
                let button = ui.add(Button::new(text).min_size(eframe::egui::vec2(22.0, 0.0))).on_hover_text(name);
                named(&button, name);
                button.clicked()
            };
            if arrow(ui, "‹", "Previous image") {
                chosen = next(&data, self.class, here, false);
            }
            let mut number = here.unwrap_or(0);
            let known = here.is_some();
            let drag = DragValue::new(&mut number).range(0..=data.len() - 1).speed(0.2);
            let drag = ui.add(drag.custom_formatter(move |number, _| if known { format!("{number:.0}") } else { "–".to_owned() }));
            drag.widget_info(|| WidgetInfo {
                label: Some("Number of the image".to_owned()),
                ..WidgetInfo::drag_value(true, number as f64)
            });
            if drag.on_hover_text("The number of the image").changed() {
                chosen = Some(number);
            }
            if arrow(ui, "›", "Next image") {
                chosen = next(&data, self.class, here, true);
            }
            if arrow(ui, "random", "Random image") {
                chosen = self.random(&data, here);
            }
            if let Some(number) = chosen {
                scope.session.pins[self.which] = Some(Pin::Data(number));
            }
        });
    }

    /// The choice of a class; answers with an image where that at hand is of another one.
    fn filter(&mut self, ui: &mut Ui, data: &Dataset, here: Option<usize>) -> Option<usize> {
        let before = self.class;
        let text = self.class.and_then(|class| data.classes.get(usize::from(class))).map_or("any class", String::as_str);
        let menu = ComboBox::from_id_salt("class of the image").selected_text(text).width(64.0).show_ui(ui, |ui| {
            ui.selectable_value(&mut self.class, None, "any class");
            for (class, name) in (0..=u16::MAX).zip(&data.classes) {
                ui.selectable_value(&mut self.class, Some(class), name);
            }
        });
        menu.response.widget_info(|| WidgetInfo::labeled(Role::ComboBox, true, format!("Class of the image: {text}")));
        let class = self.class.filter(|_| self.class != before)?;
        let fits = here.is_some_and(|number| data.labels.get(number) == Some(&class));
        if fits { None } else { next(data, self.class, here, true) }
    }

    /// Any image of the class but the one at hand, as far as there is another.
    fn random(&mut self, data: &Dataset, here: Option<usize>) -> Option<usize> {
        let fits = |number: &usize| Some(*number) != here && self.class.is_none_or(|class| data.labels[*number] == class);
        let all: Vec<usize> = (0..data.len()).filter(fits).collect();
        self.drawn += 1;
        let word = Stream::new(0, Purpose::Choice).word([0; 3], self.drawn);
        all.get(word as usize % all.len().max(1)).copied()
    }
}

/// The next image of a class, after the last one the first; the first, or the last, where none is at hand.
fn next(data: &Dataset, class: Option<u16>, here: Option<usize>, forward: bool) -> Option<usize> {
    let count = data.len();
    let from = here.map_or(if forward { count - 1 } else { 0 }, |here| here.min(count - 1));
    let mut others = (1..=count).map(|steps| if forward { (from + steps) % count } else { (from + count - steps) % count });
    others.find(|&number| class.is_none_or(|class| data.labels[number] == class))
}

fn named(response: &Response, name: &str) {
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, name));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> Dataset {
        let classes = ["a", "b", "c"].map(String::from).to_vec();
        Dataset::new("test", [1, 1, 1], vec![0.0; 5], vec![0, 1, 0, 1, 0], classes).unwrap()
    }

    #[test]
    fn the_next_image_is_of_the_class_and_after_the_last_comes_the_first() {
        let data = data();
        assert_eq!([None, Some(0), Some(4)].map(|here| next(&data, None, here, true)), [Some(0), Some(1), Some(0)]);
        assert_eq!([None, Some(0), Some(3)].map(|here| next(&data, None, here, false)), [Some(4), Some(4), Some(2)]);
        assert_eq!([Some(1), Some(3), Some(0)].map(|here| next(&data, Some(1), here, true)), [Some(3), Some(1), Some(1)]);
        assert_eq!(next(&data, Some(2), Some(0), true), None, "no image is of this class");
    }

    #[test]
    fn chance_finds_every_image_of_the_class_and_not_the_one_at_hand() {
        let (data, mut pick) = (data(), Pick { class: Some(0), ..Pick::default() });
        let found: std::collections::BTreeSet<usize> = (0..50).filter_map(|_| pick.random(&data, Some(2))).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [0, 4]);
        assert_eq!(Pick { class: Some(2), ..Pick::default() }.random(&data, None), None);
    }
}
