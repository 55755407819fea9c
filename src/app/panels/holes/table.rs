//! The list of holes.

use crate::app::panels::holes::workers::MOST_THUMBNAILS;
use crate::app::panels::map::title;
use crate::app::state::scope::Scope;
use crate::app::state::session::Pin;
use crate::app::widgets::images::part_of_row;
use crate::app::widgets::style;
use crate::jobs::Holes;
use eframe::egui::{Button, Grid, Image, Role, ScrollArea, Sense, TextureHandle, Ui, vec2};

/// What a hole is said to be that may go on beyond the region.
const BORDER: &str = "Touches the border of the region, and may go on beyond it: the area is that within";

/// The columns that the list can be sorted by, with what they mean. A hole keeps its number in every order.
const COLUMNS: [(HoleOrder, &str, &str); 5] = [
    (HoleOrder::Number, "number", "The number on the map"),
    (HoleOrder::Class, "class", "The most probable class at the hole's peak"),
    (HoleOrder::Confidence, "p", "max E p there: the mean probability of that class over the draws of all members"),
    (HoleOrder::Area, "area (z²)", "Within the region; ≥ where the hole touches its border (and its number has an asterisk)"),
    (HoleOrder::Distance, "distance", "From the peak to the nearest training encoding, in units of z"),
];

/// The smallest and the largest side of a thumbnail in points.
const THUMBNAILS: [f32; 2] = [26.0, 72.0];
/// Between these sizes, so many rows are seen at once.
const ROWS: f32 = 7.0;

/// What the list is sorted by: numbers and classes rise, all else falls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HoleOrder {
    /// The number of the hole.
    #[default]
    Number,
    /// The class at the peak.
    Class,
    /// The probability of that class.
    Confidence,
    /// The area.
    Area,
    /// The distance of the peak from the nearest training encoding.
    Distance,
}

impl HoleOrder {
    /// The holes from 0 to `count` in this order; equal ones by number.
    fn sorted(self, holes: &Holes, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        let hole = |number: usize| &holes.list[number];
        match self {
            Self::Number => {}
            Self::Class => order.sort_by_key(|&number| hole(number).class),
            Self::Confidence => order.sort_by(|&a, &b| hole(b).confidence.total_cmp(&hole(a).confidence)),
            Self::Area => order.sort_by(|&a, &b| hole(b).region.area.total_cmp(&hole(a).region.area)),
            Self::Distance => order.sort_by(|&a, &b| hole(b).distance.total_cmp(&hole(a).distance)),
        }
        order
    }
}

/// Draws the list; answers the hole that is to be searched for garbage.
pub fn show(ui: &mut Ui, scope: &mut Scope, holes: &Holes, thumbnails: Option<&TextureHandle>, order: &mut HoleOrder) -> Option<usize> {
    let mut search = None;
    if scope.session.layout.count() > 1 {
        let map = scope.session.active;
        ui.label(style::note(format!("{}. Each map numbers its own holes.", title(scope, map))));
    }
    if holes.list.is_empty() {
        ui.label(style::note("No hole: nothing on the region meets the criterion."));
        return None;
    }
    let back = ui.add_enabled(scope.views.can_return(&scope.session), Button::new("Back to where I was").small());
    if back.on_hover_text("The view before you flew to a hole").clicked() {
        scope.views.return_from_flight(&mut scope.session);
    }
    let side = (ui.available_height() / ROWS).clamp(THUMBNAILS[0], THUMBNAILS[1]);
    ScrollArea::vertical().id_salt("holes").auto_shrink([false, true]).show(ui, |ui| {
        Grid::new("holes").num_columns(7).striped(true).spacing([12.0, 3.0]).show(ui, |ui| {
            for (column, title, meaning) in COLUMNS {
                let button = ui.selectable_label(*order == column, style::note(title));
                let button = style::named(button, Role::Button, &format!("Sort the holes by {title}"));
                if button.on_hover_text(format!("{meaning}. Click: sort by it.")).clicked() {
                    *order = column;
                }
                if column == HoleOrder::Number {
                    // The images have no title.
                    ui.label("");
                }
            }
            ui.end_row();
            let shown = holes.list.len().min(MOST_THUMBNAILS);
            for number in order.sorted(holes, shown) {
                let hole = &holes.list[number];
                ui.label(holes.label(number));
                let size = vec2(side, side);
                let text = "Fly there, and pin the peak";
                let clicked = if let Some(texture) = thumbnails {
                    let image = Image::new(texture)
                        .uv(part_of_row(number, shown))
                        .maintain_aspect_ratio(false)
                        .fit_to_exact_size(size)
                        .sense(Sense::click());
                    ui.add(image.alt_text(format!("Hole {}", number + 1))).on_hover_text(text).clicked()
                } else {
                    ui.button("go").on_hover_text(text).clicked()
                };
                if clicked {
                    scope.fly_to(hole.region.peak);
                    scope.session.pins[0] = Some(Pin::Latent(hole.region.peak));
                }
                ui.label(&scope.classes()[hole.class]);
                ui.label(format!("{:.3}", hole.confidence));
                if hole.region.touches_border {
                    ui.label(format!("≥ {:.2}", hole.region.area)).on_hover_text(BORDER);
                } else {
                    ui.label(format!("{:.2}", hole.region.area));
                }
                ui.label(format!("{:.2}", hole.distance));
                if ui
                    .small_button("Garbage")
                    .on_hover_text("Search for the most confident point farthest from the training encodings")
                    .clicked()
                {
                    search = Some(number);
                }
                ui.end_row();
            }
        });
    });
    search
}
