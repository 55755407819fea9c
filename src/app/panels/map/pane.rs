//! One map: its picture, what lies over it, and what the hand does to it.

use crate::app::panels::map::dots::WHOLE;
use crate::app::panels::map::drawing::Drawing;
use crate::app::panels::map::header::title;
use crate::app::panels::map::{gestures, line, marks, menu, pins};
use crate::app::state::scope::Scope;
use crate::app::state::values::Values;
use crate::app::state::wording::in_window;
use crate::app::widgets::colour_bar::{BAR, bar_control, bar_mark, colour_bar};
use crate::app::widgets::plane::{AXES, Plane, axes, map_id};
use crate::app::widgets::{standing, style};
use crate::jobs::Status;
use crate::uncertainty::{Measure, Passes};
use eframe::egui::{Align2, Color32, FontId, Painter, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};

/// Draws the map in what is left of the cell.
pub fn show(drawing: &mut Drawing, ui: &mut Ui, scope: &mut Scope, place: usize) {
    let cell = ui.available_rect_before_wrap();
    let frame = scope.results.underway.clone();
    if frame.is_none()
        && (scope.results.live.is_none()
            || (!drawing.has_picture(place) && scope.results.values.get(place).is_none_or(|values| values.known == 0.0)))
    {
        return waiting(ui, scope);
    }
    let side = (cell.width() - AXES.x - BAR).min(cell.height() - AXES.y - 6.0).floor();
    if side < 24.0 {
        return;
    }
    let left = cell.left() + AXES.x + ((cell.width() - AXES.x - BAR - side) / 2.0).floor();
    let rect = Rect::from_min_size(pos2(left, cell.top() + 6.0), vec2(side, side));
    let plane = Plane { rect, extent: scope.session.extent() };
    let response = ui.interact(rect, map_id(place), Sense::click_and_drag());
    let name = title(scope, place);
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &name));
    if frame.is_none() {
        menu::map(&response, &plane, scope, &mut drawing.hand, place);
    }
    gestures::listen(ui, &response, &plane, scope, &mut drawing.hand, place);
    let plane = Plane { rect, extent: scope.session.extent() };

    let outside = ui.painter().clone();
    let painter = ui.painter().with_clip_rect(rect.intersect(ui.clip_rect()));
    painter.rect_filled(rect, 0.0, ui.visuals().extreme_bg_color);
    if let Some(frame) = frame {
        let name_of = frame.model.clone();
        let measure = scope.session.panes[place].measure;
        let shown = drawing.underway[place].draw(ui.ctx(), &painter, &plane, scope, &frame, measure);
        axes(ui, &outside, &plane);
        gestures::draw(&painter, &outside, &response, &drawing.hand);
        if let Some((scale, measure)) = shown {
            colour_bar(ui, &outside, rect, &scale, &format!("{}, {}", with_unit(measure.label(), measure), name_of), None);
        }
        return;
    }
    let Some(scale) = drawing.paint(ui, &painter, &plane, scope, place) else { return };
    drawing.layers.under(&painter, &plane);
    if scope.session.overlays.encodings
        && let Some(encodings) = &scope.set.encodings
    {
        let texture = drawing.dots.texture(ui.ctx(), &encodings.train, &plane, &scope.session.overlays.hidden);
        painter.image(texture.id(), rect, WHOLE, Color32::WHITE);
    }
    drawing.layers.over(&painter, &plane, scope, place);
    if scope.session.overlays.line {
        line::show(ui, &painter, &plane, scope, place);
    }
    if let Some(path) = &scope.results.attack_path {
        marks::attack_path(&painter, &plane, path);
    }
    pins::show(ui, &painter, &plane, scope, place);
    marks::show(&painter, &plane, scope, place);
    if let Some(values) = drawing.painted(place) {
        standing_label(ui, &painter, rect, scope, values);
    }
    gestures::draw(&painter, &outside, &response, &drawing.hand);
    axes(ui, &outside, &plane);
    let Some(values) = scope.results.values.get(place) else { return };
    let threshold = scope.results.holes.get(place).filter(|_| scope.session.overlays.holes && values.pane.minus.is_none());
    let threshold = threshold.and_then(|holes| holes.thresholds.uncertainty);
    let hovered = scope.pointer.cursor.and_then(|z| values.point_at(z)).map(|point| values.numbers[point]);
    let measure = values.pane.measure;
    let label = values.pane.minus.map_or_else(|| measure.label().to_owned(), |other| scope.session.difference_label(place, other));
    colour_bar(ui, &outside, rect, &scale, &with_unit(&label, measure), hovered);
    if let Some(threshold) = threshold {
        bar_mark(&outside, rect, &scale, threshold, ui.visuals().text_color());
    }
    let is_difference = values.pane.minus.is_some();
    bar_control(ui, rect, &scale, &mut scope.session, (measure, is_difference), place);
}

/// The words at a colour bar.
fn with_unit(label: &str, measure: Measure) -> String {
    if measure.unit().is_empty() { label.to_owned() } else { format!("{label} ({})", measure.unit()) }
}

/// Says in the corner of a map that its values are provisional or of former settings.
fn standing_label(ui: &Ui, painter: &Painter, rect: Rect, scope: &Scope, values: &Values) {
    let so_far = if values.known < 1.0 || values.pane.measure.passes() == Passes::Deterministic {
        format!("{:.0} % of the points", 100.0 * values.known)
    } else {
        format!("{} of {} draws", values.draws, values.settings.samples)
    };
    let wanted = scope.session.map_settings(&scope.set).ok();
    let Some(words) = standing::words(values.standing(wanted.as_ref()), &so_far) else { return };
    let galley = painter.layout_no_wrap(words.clone(), FontId::proportional(11.0), Color32::WHITE);
    let area = Align2::LEFT_BOTTOM.anchor_size(rect.left_bottom() + vec2(8.0, -8.0), galley.size());
    painter.rect_filled(area.expand(3.0), 3.0, Color32::from_black_alpha(170));
    painter.galley(area.min, galley, Color32::WHITE);
    let response = ui.interact(area, ui.scope_id().with("standing"), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &words));
}

/// Words for the state before the first picture.
fn waiting(ui: &mut Ui, scope: &Scope) {
    match &scope.results.map_status {
        Status::Failed(sentence) => style::empty(ui, "The map cannot be computed", &in_window(sentence)),
        _ => style::empty(ui, "The first picture is on its way", "It grows from coarse to fine."),
    }
}
