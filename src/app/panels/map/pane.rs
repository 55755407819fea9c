//! One map: its picture, what lies over it, and what the hand does to it.

use crate::app::panels::map::dots::WHOLE;
use crate::app::panels::map::drawing::Drawing;
use crate::app::panels::map::header::title;
use crate::app::state::event::Event;
use crate::app::state::scope::Scope;
use crate::app::state::session::{PIN_NAMES, Pin};
use crate::app::state::values::Values;
use crate::app::state::wording::in_window;
use crate::app::widgets::colour_bar::{BAR, bar_mark, colour_bar};
use crate::app::widgets::plane::{AXES, Plane, axes};
use crate::app::widgets::{standing, style};
use crate::jobs::Status;
use crate::uncertainty::{Measure, Passes};
use eframe::egui::{
    Align2, Color32, CursorIcon, FontId, Key, Painter, Pos2, Rect, Response, Role, Sense, Shape, Stroke, Ui, WidgetInfo, pos2, vec2,
};

/// A wheel's notch of 50 points zooms by about a fifth.
const WHEEL: f32 = 0.004;
/// What a click on a training preview is told.
const NO_PINS: &str = "Pins are about the models at hand, not about a training preview: switch “On the map” off in the tab Training.";
/// The radius in which a handle is taken hold of.
const HANDLE: f32 = 11.0;

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
    let response = ui.interact(rect, ui.scope_id().with("map"), Sense::click_and_drag());
    let name = title(scope, place);
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &name));
    gestures(ui, &response, &plane, scope, place);
    let plane = Plane { rect, extent: scope.session.extent() };

    let outside = ui.painter().clone();
    let painter = ui.painter().with_clip_rect(rect.intersect(ui.clip_rect()));
    painter.rect_filled(rect, 0.0, ui.visuals().extreme_bg_color);
    if let Some(frame) = frame {
        let name_of = frame.model.clone();
        let measure = scope.session.panes[place].measure;
        let shown = drawing.underway[place].draw(ui.ctx(), &painter, &plane, scope, &frame, measure);
        axes(ui, &outside, &plane);
        if let Some((scale, measure)) = shown {
            colour_bar(ui, &outside, rect, &scale, &format!("{}, {}", label_of(measure, false), name_of), None);
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
        line(ui, &painter, &plane, scope);
    }
    if let Some(path) = &scope.results.attack_path {
        attack_path(&painter, &plane, path);
    }
    pins(&painter, &plane, scope);
    marks(&painter, &plane, scope, place);
    if let Some(values) = drawing.painted(place) {
        standing_label(ui, &painter, rect, scope, values);
    }
    axes(ui, &outside, &plane);
    let Some(values) = scope.results.values.get(place) else { return };
    let threshold = scope.results.holes.get(place).filter(|_| scope.session.overlays.holes && values.pane.minus.is_none());
    let threshold = threshold.and_then(|holes| holes.thresholds.uncertainty);
    let hovered = scope.pointer.cursor.and_then(|z| values.point_at(z)).map(|point| values.numbers[point]);
    colour_bar(ui, &outside, rect, &scale, &label_of(values.pane.measure, values.pane.minus.is_some()), hovered);
    if let Some(threshold) = threshold {
        bar_mark(&outside, rect, &scale, threshold, ui.visuals().text_color());
    }
}

/// The words at a colour bar.
fn label_of(measure: Measure, is_difference: bool) -> String {
    let difference = if is_difference { "difference of " } else { "" };
    let unit = if measure.unit().is_empty() { String::new() } else { format!(" ({})", measure.unit()) };
    format!("{difference}{}{unit}", measure.label())
}

fn gestures(ui: &Ui, response: &Response, plane: &Plane, scope: &mut Scope, place: usize) {
    if response.dragged() {
        let [z1, z2] = plane.moved(response.drag_delta());
        scope.session.pan([-z1, -z2]);
        ui.ctx().set_cursor_icon(CursorIcon::Grabbing);
    }
    if let Some(at) = response.hover_pos() {
        let z = plane.to_latent(at);
        scope.pointer.cursor = Some(z);
        scope.pointer.map = Some(place);
        let (wheel, pinch) = ui.input(|input| (input.smooth_scroll_delta.y, input.zoom_delta()));
        let factor = (wheel * WHEEL).exp() * pinch;
        if factor != 1.0 {
            scope.session.zoom(factor.into(), z);
        }
    }
    if response.double_clicked() {
        scope.session.reset_view();
    } else if response.clicked()
        && let Some(at) = response.interact_pointer_pos()
    {
        let which = usize::from(ui.input(|input| input.modifiers.shift));
        pin(scope, which, plane.to_latent(at));
        scope.session.active = place;
        response.request_focus();
    }
    if response.has_focus() {
        ui.memory_mut(|memory| {
            let arrows = eframe::egui::EventFilter { horizontal_arrows: true, vertical_arrows: true, ..Default::default() };
            memory.set_focus_lock_filter(response.id, arrows);
        });
        let pressed = |key| ui.input(|input| input.key_pressed(key));
        let step = scope.session.width / 10.0;
        for (key, by) in
            [(Key::ArrowLeft, [-step, 0.0]), (Key::ArrowRight, [step, 0.0]), (Key::ArrowUp, [0.0, step]), (Key::ArrowDown, [0.0, -step])]
        {
            if pressed(key) {
                scope.session.pan(by);
            }
        }
        if pressed(Key::Enter) {
            pin(scope, 0, scope.session.centre);
        }
    }
}

/// Pins a point, unless a training preview is shown: the inspector answers for the models at hand.
fn pin(scope: &mut Scope, which: usize, z: [f64; 2]) {
    if scope.results.underway.is_some() {
        return scope.ask(Event::Say(NO_PINS.to_owned()));
    }
    scope.session.pins[which] = Some(Pin::Latent(z));
}

/// A line that can be seen on light and dark: a dark one under a light one.
pub fn cased(painter: &Painter, points: [Pos2; 2], colour: Color32, width: f32) {
    painter.line_segment(points, Stroke::new(width + 2.0, Color32::from_black_alpha(160)));
    painter.line_segment(points, Stroke::new(width, colour));
}

/// A disc with a letter, for pins.
pub fn badge(painter: &Painter, at: Pos2, letter: &str, colour: Color32) {
    painter.circle(at, 8.0, colour, Stroke::new(1.5, Color32::BLACK));
    painter.text(at, Align2::CENTER_CENTER, letter, FontId::proportional(11.0), Color32::BLACK);
}

/// The interpolation line with its two handles.
fn line(ui: &Ui, painter: &Painter, plane: &Plane, scope: &mut Scope) {
    let ends = scope.session.line.ends.map(|end| plane.to_screen(end));
    cased(painter, ends, Color32::WHITE, 1.5);
    if let Some(geodesic) = &scope.results.geodesic {
        for pair in geodesic.windows(2) {
            cased(painter, [plane.to_screen(pair[0]), plane.to_screen(pair[1])], Color32::from_rgb(0xff, 0xd1, 0x66), 1.2);
        }
    }
    for (end, &at) in ends.iter().enumerate() {
        if plane.rect.contains(at) {
            let handle =
                ui.interact(Rect::from_center_size(at, vec2(2.0, 2.0) * HANDLE), ui.scope_id().with(("handle", end)), Sense::drag());
            handle.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("End {} of the line", PIN_NAMES[end])));
            if handle.dragged()
                && let Some(pointer) = handle.interact_pointer_pos()
            {
                scope.session.line.ends[end] = plane.to_latent(pointer.clamp(plane.rect.min, plane.rect.max));
                scope.session.line.images[end] = None;
            }
            if handle.hovered() || handle.dragged() {
                ui.ctx().set_cursor_icon(CursorIcon::Grab);
            }
        }
        let (fill, rim) = if end == 0 { (Color32::WHITE, Color32::BLACK) } else { (Color32::BLACK, Color32::WHITE) };
        painter.circle(at, 6.0, fill, Stroke::new(2.0, rim));
    }
}

/// The way of an attack: from a ring over a dot for each step to a cross.
fn attack_path(painter: &Painter, plane: &Plane, path: &[[f64; 2]]) {
    let points: Vec<Pos2> = path.iter().map(|&z| plane.to_screen(z)).collect();
    for pair in points.windows(2) {
        cased(painter, [pair[0], pair[1]], style::ATTACK, 1.5);
    }
    for &at in &points {
        painter.circle(at, 2.2, style::ATTACK, Stroke::new(0.8, Color32::BLACK));
    }
    if let [first, .., last] = points.as_slice() {
        painter.add(Shape::circle_stroke(*first, 6.0, Stroke::new(4.0, Color32::BLACK)));
        painter.add(Shape::circle_stroke(*first, 6.0, Stroke::new(2.0, style::ATTACK)));
        for arm in [vec2(5.0, 5.0), vec2(5.0, -5.0)] {
            cased(painter, [*last - arm, *last + arm], style::ATTACK, 2.0);
        }
    }
}

fn pins(painter: &Painter, plane: &Plane, scope: &Scope) {
    for (which, z) in scope.results.pinned.iter().enumerate() {
        if let Some(z) = z {
            badge(painter, plane.to_screen(*z), PIN_NAMES[which], style::PINS[which]);
        }
    }
}

/// The pointer of another map, and the cursor of a curve.
fn marks(painter: &Painter, plane: &Plane, scope: &Scope, place: usize) {
    if let Some(z) = scope.pointer.cursor.filter(|_| scope.pointer.map != Some(place)) {
        let at = plane.to_screen(z);
        for (x, y) in [(7.0, 0.0), (0.0, 7.0)] {
            cased(painter, [at - vec2(x, y), at + vec2(x, y)], Color32::WHITE, 1.0);
        }
    }
    if let Some(z) = scope.pointer.mark {
        let at = plane.to_screen(z);
        painter.add(Shape::circle_stroke(at, 7.0, Stroke::new(3.5, Color32::BLACK)));
        painter.add(Shape::circle_stroke(at, 7.0, Stroke::new(1.5, Color32::WHITE)));
    }
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
