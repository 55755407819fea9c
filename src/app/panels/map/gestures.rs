//! What pointer and keys do on a map: move, zoom, mark a box to zoom into, pin.

use crate::app::panels::map::marks::cased;
use crate::app::state::event::Event;
use crate::app::state::scope::Scope;
use crate::app::state::session::Pin;
use crate::app::widgets::plane::Plane;
use crate::app::widgets::style;
use eframe::egui::{
    Color32, CursorIcon, EventFilter, Id, Key, Modifiers, Painter, PointerButton, Pos2, Rect, Response, Stroke, StrokeKind, Ui, vec2,
};

/// A wheel's notch of 50 points zooms by about a fifth.
const WHEEL: f32 = 0.004;
/// The radius in which a handle is taken hold of, and in which the end of a line snaps to a pin.
pub const HANDLE: f32 = 11.0;
/// The smallest box that is zoomed into, in points: a smaller one is a click with a trembling hand.
const SMALLEST_BOX: f32 = 6.0;

/// What who pins over a training preview is told.
const NO_PINS: &str = "Pins are about the models at hand, not about a training preview: switch “On the map” off in the tab Training.";

/// What a gesture keeps from frame to frame.
#[derive(Default)]
pub struct Hand {
    /// Where the box to zoom into begins, and where the pointer is now.
    dragged: Option<[Pos2; 2]>,
    /// Whether the map has the focus from the keyboard, so that it shows where Enter pins.
    by_keys: bool,
    /// The latent point whose menu is open.
    pub menu_at: Option<[f64; 2]>,
}

impl Hand {
    /// The square that is marked on the screen: views are squares.
    fn square(&self) -> Option<Rect> {
        let [from, to] = self.dragged?;
        let by = to - from;
        let side = by.x.abs().max(by.y.abs());
        Some(Rect::from_two_pos(from, from + vec2(side.copysign(by.x), side.copysign(by.y))))
    }
}

/// Does what pointer and keys ask of a map.
pub fn listen(ui: &Ui, response: &Response, plane: &Plane, scope: &mut Scope, hand: &mut Hand, place: usize) {
    drag(ui, response, plane, scope, hand);
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
    } else if response.clicked_by(PointerButton::Primary)
        && let Some(at) = response.interact_pointer_pos()
    {
        let which = usize::from(ui.input(|input| input.modifiers.shift));
        pin(scope, which, plane.to_latent(at));
        scope.session.active = place;
        response.request_focus();
        hand.by_keys = false;
    }
    keys(ui, response, scope, hand);
}

/// Pins a point, unless a training preview is shown: the inspector answers for the models at hand.
pub fn pin(scope: &mut Scope, which: usize, z: [f64; 2]) {
    if scope.results.underway.is_some() {
        return scope.ask(Event::Say(NO_PINS.to_owned()));
    }
    scope.session.pins[which] = Some(Pin::Latent(z));
}

/// Dragging moves the view, or marks a box where it began with the shift key.
fn drag(ui: &Ui, response: &Response, plane: &Plane, scope: &mut Scope, hand: &mut Hand) {
    let (shift, origin) = ui.input(|input| (input.modifiers.shift, input.pointer.press_origin()));
    if response.drag_started_by(PointerButton::Primary) && shift {
        hand.dragged = origin.map(|origin| [origin, origin]);
    }
    if response.dragged() {
        if let (Some([_, to]), Some(at)) = (&mut hand.dragged, response.interact_pointer_pos()) {
            *to = at.clamp(plane.rect.min, plane.rect.max);
        } else {
            let [z1, z2] = plane.moved(response.drag_delta());
            scope.session.pan([-z1, -z2]);
            ui.ctx().set_cursor_icon(CursorIcon::Grabbing);
        }
    } else if response.drag_stopped()
        && let Some(square) = hand.square()
    {
        hand.dragged = None;
        if square.width() >= SMALLEST_BOX {
            let [first, last] = [square.left_bottom(), square.right_top()].map(|corner| plane.to_latent(corner));
            scope.session.show_extent([0, 1].map(|axis| [first[axis], last[axis]]));
        }
    }
}

/// The arrows move the map that has the focus; Enter pins its middle as A, and with the shift key as B.
fn keys(ui: &Ui, response: &Response, scope: &mut Scope, hand: &mut Hand) {
    if !response.has_focus() {
        return;
    }
    let by = arrows(ui, response.id);
    if by != [0.0; 2] || response.gained_focus() {
        hand.by_keys = true;
    }
    let step = scope.session.width / 10.0;
    scope.session.pan(by.map(|by| by * step));
    for (modifiers, which) in [(Modifiers::NONE, 0), (Modifiers::SHIFT, 1)] {
        if ui.input(|input| input.key_pressed(Key::Enter) && input.modifiers.matches_exact(modifiers)) {
            pin(scope, which, scope.session.centre);
            hand.by_keys = true;
        }
    }
}

/// The arrow keys that were pressed, as a step along z₁ and z₂, while something has the focus; they do not move the focus then.
pub fn arrows(ui: &Ui, id: Id) -> [f64; 2] {
    let filter = EventFilter { horizontal_arrows: true, vertical_arrows: true, ..EventFilter::default() };
    ui.memory_mut(|memory| memory.set_focus_lock_filter(id, filter));
    let pressed = |key| ui.input(|input| input.modifiers.is_none() && input.key_pressed(key));
    let along = |less, more| f64::from(i8::from(pressed(more)) - i8::from(pressed(less)));
    [along(Key::ArrowLeft, Key::ArrowRight), along(Key::ArrowDown, Key::ArrowUp)]
}

/// Draws the box to zoom into; and around the map that has the focus a ring, with a cross where Enter pins.
pub fn draw(painter: &Painter, outside: &Painter, response: &Response, hand: &Hand) {
    if let Some(square) = hand.square().filter(|_| response.dragged()) {
        painter.rect(square, 0.0, Color32::from_white_alpha(24), Stroke::new(3.0, Color32::from_black_alpha(160)), StrokeKind::Outside);
        painter.rect_stroke(square, 0.0, Stroke::new(1.0, Color32::WHITE), StrokeKind::Outside);
    }
    if response.has_focus() {
        outside.rect_stroke(response.rect.expand(1.0), 1.0, Stroke::new(2.0, style::ACCENT), StrokeKind::Outside);
        if hand.by_keys {
            let middle = response.rect.center();
            for arm in [vec2(9.0, 0.0), vec2(0.0, 9.0)] {
                cased(painter, [middle - arm, middle + arm], Color32::WHITE, 1.5);
            }
        }
    }
}
