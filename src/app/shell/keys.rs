//! Every shortcut, in one list that the help shows as well.

use crate::app::state::event::Event;
use crate::app::state::scope::Scope;
use crate::app::state::session::{Layout, Overlays, Session};
use crate::figure::{ColourMap, ColourRange};
use crate::uncertainty::Measure;
use eframe::egui::{Context, Key, KeyboardShortcut, LayerId, Modifiers};

/// What a shortcut does.
type Act = fn(&mut Scope);

/// A shortcut.
pub struct Shortcut {
    /// The keys.
    pub keys: KeyboardShortcut,
    /// What they do, for the help.
    pub does: &'static str,
    act: Act,
}

const fn plain(key: Key, does: &'static str, act: Act) -> Shortcut {
    Shortcut { keys: KeyboardShortcut::new(Modifiers::NONE, key), does, act }
}

const fn alt(key: Key, does: &'static str, act: Act) -> Shortcut {
    Shortcut { keys: KeyboardShortcut::new(Modifiers::ALT, key), does, act }
}

const fn command(key: Key, does: &'static str, act: Act) -> Shortcut {
    Shortcut { keys: KeyboardShortcut::new(Modifiers::COMMAND, key), does, act }
}

/// Every shortcut; the numbers of the measures come on top.
pub const SHORTCUTS: [Shortcut; 25] = [
    Shortcut {
        keys: KeyboardShortcut::new(Modifiers::COMMAND.plus(Modifiers::SHIFT), Key::Z),
        does: "Redo",
        act: |scope| scope.ask(Event::Redo),
    },
    command(Key::Z, "Undo", |scope| scope.ask(Event::Undo)),
    command(Key::Y, "Redo", |scope| scope.ask(Event::Redo)),
    command(Key::E, "Export a figure or data", |scope| scope.ask(Event::Export)),
    command(Key::Q, "Close the window", |scope| scope.ask(Event::Quit)),
    plain(Key::OpenBracket, "One ensemble member less", |scope| resize(scope, -1)),
    plain(Key::CloseBracket, "One ensemble member more", |scope| resize(scope, 1)),
    plain(Key::M, "One, two or four maps", |scope| {
        scope.session.layout = next(&Layout::ALL, scope.session.layout);
    }),
    plain(Key::N, "The next map is the one that keys change", |scope| {
        scope.session.active = (scope.session.active + 1) % scope.session.layout.count();
    }),
    plain(Key::C, "The next colour map", |scope| scope.session.colours = next(&ColourMap::ALL, scope.session.colours)),
    plain(Key::R, "Fixed or fitted range of the colours", |scope| {
        let range = next(&[ColourRange::Natural, ColourRange::Data], scope.session.range);
        scope.session.set_range(range);
    }),
    plain(Key::E, "Encodings of the training data", |scope| flip(scope, |overlays| &mut overlays.encodings)),
    plain(Key::D, "Density of the encodings", |scope| flip(scope, |overlays| &mut overlays.density)),
    plain(Key::H, "Holes", |scope| flip(scope, |overlays| &mut overlays.holes)),
    plain(Key::G, "Grid of decoded images", |scope| flip(scope, |overlays| &mut overlays.digits)),
    plain(Key::L, "Interpolation line", |scope| flip(scope, |overlays| &mut overlays.line)),
    alt(Key::ArrowLeft, "Back to the view before", |scope| scope.views.back(&mut scope.session)),
    alt(Key::ArrowRight, "Forward to the next view", |scope| scope.views.forward(&mut scope.session)),
    plain(Key::F, "Fit the view to the training encodings", Scope::fit_data),
    plain(Key::Num0, "Back to the whole plane", |scope| scope.session.reset_view()),
    plain(Key::Plus, "Closer", |scope| zoom(&mut scope.session, 1.25)),
    plain(Key::Equals, "Closer", |scope| zoom(&mut scope.session, 1.25)),
    plain(Key::Minus, "Farther", |scope| zoom(&mut scope.session, 0.8)),
    plain(Key::F1, "This list", |scope| scope.ask(Event::Help)),
    plain(Key::Questionmark, "This list", |scope| scope.ask(Event::Help)),
];

/// The number keys of the measures.
const NUMBERS: [Key; 8] = [Key::Num1, Key::Num2, Key::Num3, Key::Num4, Key::Num5, Key::Num6, Key::Num7, Key::Num8];

/// The tabs that keys open together with the command key.
const TABS: [(Key, &str); 6] = [
    (Key::Num1, "Interpolation"),
    (Key::Num2, "Population"),
    (Key::Num3, "Holes"),
    (Key::Num4, "Attack"),
    (Key::Num5, "Detection"),
    (Key::Num6, "Training"),
];

/// Does what the keys say, unless somebody is typing.
pub fn listen(ctx: &Context, scope: &mut Scope) {
    if ctx.text_edit_focused() {
        return;
    }
    // Under a dialog, only those hold that no text and no button could mean.
    let covered = !ctx.memory(|memory| memory.allows_interaction(LayerId::background()));
    let holds = |keys: &KeyboardShortcut| !covered || !keys.modifiers.is_none() && [Key::E, Key::Q].contains(&keys.logical_key);
    for shortcut in SHORTCUTS.iter().filter(|shortcut| holds(&shortcut.keys)) {
        // A question mark needs the shift key on most keyboards.
        let shifted = shortcut.keys.logical_key == Key::Questionmark && ctx.input(|input| input.key_pressed(Key::Questionmark));
        if shifted || ctx.input_mut(|input| input.consume_shortcut(&shortcut.keys)) {
            (shortcut.act)(scope);
        }
    }
    for (key, tab) in TABS.into_iter().filter(|_| !covered) {
        if ctx.input_mut(|input| input.consume_key(Modifiers::COMMAND, key)) {
            scope.ask(Event::OpenPanel(tab));
        }
    }
    for (key, measure) in NUMBERS.into_iter().zip(Measure::ALL).filter(|_| !covered) {
        if ctx.input_mut(|input| input.consume_key(Modifiers::NONE, key)) {
            let active = scope.session.active;
            scope.session.panes[active].measure = measure;
        }
    }
    scope.session.active = scope.session.active.min(scope.session.layout.count() - 1);
}

fn resize(scope: &mut Scope, by: isize) {
    let most = scope.set.ensemble().members().len();
    let pane = &mut scope.session.panes[scope.session.active];
    let size = pane.members.len().saturating_add_signed(by).clamp(1, most);
    pane.members = (0..size).collect();
}

fn zoom(session: &mut Session, factor: f64) {
    session.zoom(factor, session.centre);
}

/// Switches an overlay, unless the maps show a training preview: overlays belong to the models at hand.
fn flip(scope: &mut Scope, overlay: fn(&mut Overlays) -> &mut bool) {
    if scope.results.underway.is_none() {
        let switch = overlay(&mut scope.session.overlays);
        *switch = !*switch;
    }
}

/// The one after, and after the last the first.
fn next<T: Copy + PartialEq>(all: &[T], present: T) -> T {
    let at = all.iter().position(|&one| one == present).map_or(0, |at| at + 1);
    all[at % all.len()]
}
