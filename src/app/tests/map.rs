//! The controls of the map: difference, colour bar, views, menus, line, keyboard.

use crate::app::shell::keys::SHORTCUTS;
use crate::app::shell::run::Program;
use crate::app::state::session::{Layout, Pin, Session};
use crate::app::tests::{click_at, drag, harness, map_rect, on_map, press, scope, settle, wait};
use crate::figure::ColourRange;
use crate::uncertainty::Measure;
use eframe::egui::accesskit::Role;
use eframe::egui::{Event as Input, Key, Modifiers, OutputCommand, PointerButton, Pos2, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};

/// A click on the button or menu entry of that name.
fn choose(harness: &mut Harness<'static, Program>, label: &str) {
    harness.get_by_label(label).click();
    harness.run_steps(3);
}

/// A click of the right mouse button.
fn right_click(harness: &mut Harness<'static, Program>, at: Pos2) {
    harness.hover_at(at);
    for pressed in [true, false] {
        harness.event(Input::PointerButton { pos: at, button: PointerButton::Secondary, pressed, modifiers: Modifiers::NONE });
    }
    harness.run_steps(3);
}

/// What a click on the entry of that name copies.
fn copied(harness: &mut Harness<'static, Program>, label: &str) -> String {
    let at = harness.get_by_label(label).rect().center();
    harness.hover_at(at);
    harness.step();
    harness.drag_at(at);
    harness.step();
    // The release alone, so that the next frame is the one that copies.
    harness.event(Input::PointerButton { pos: at, button: PointerButton::Primary, pressed: false, modifiers: Modifiers::NONE });
    harness.step();
    let commands = &harness.output().platform_output.commands;
    let text = commands.iter().find_map(|command| if let OutputCommand::CopyText(text) = command { Some(text.clone()) } else { None });
    harness.run_steps(3);
    text.unwrap()
}

/// Where a latent point lies on the first map, which shows the whole plane.
fn at(harness: &Harness<'static, Program>, z: [f64; 2]) -> Pos2 {
    on_map(harness, 0, z.map(|z| ((z + 10.0) / 20.0) as f32))
}

fn is_near(a: [f64; 2], b: [f64; 2], most: f64) -> bool {
    (0..2).all(|axis| (a[axis] - b[axis]).abs() <= most)
}

fn latent(pin: Option<&Pin>) -> [f64; 2] {
    let Some(Pin::Latent(z)) = pin else { panic!("{pin:?}") };
    *z
}

#[test]
fn difference_names_both_operands_and_ends_with_its_partner() {
    let mut harness = harness([1280.0, 800.0]);
    harness.state_mut().0.scope.session.layout = Layout::Two;
    settle(&mut harness);
    choose(&mut harness, "I(y; ω) − H[E p]");
    settle(&mut harness);
    assert_eq!(scope(&harness).session.panes[0].minus, Some(1));
    // Mutual information is never above the predictive entropy that it is a part of.
    assert!(scope(&harness).results.values[0].numbers.iter().all(|&value| value <= 1e-5));
    choose(&mut harness, "I(y; ω) − H[E p]");
    assert_eq!(scope(&harness).session.panes[0].minus, None, "a second click ends it");

    choose(&mut harness, "I(y; ω) − H[E p]");
    press(&mut harness, Key::M, Modifiers::NONE);
    assert_eq!((scope(&harness).session.layout, scope(&harness).session.panes[0].minus), (Layout::Four, Some(1)));
    press(&mut harness, Key::M, Modifiers::NONE);
    assert_eq!((scope(&harness).session.layout, scope(&harness).session.panes[0].minus), (Layout::One, None));
    press(&mut harness, Key::Z, Modifiers::COMMAND);
    let session = &scope(&harness).session;
    assert_eq!((session.layout, session.panes[0].minus), (Layout::Four, Some(1)), "both changes are one step");
}

#[test]
fn difference_of_unlike_units_is_refused() {
    let mut harness = harness([1280.0, 800.0]);
    let session = &mut harness.state_mut().0.scope.session;
    session.layout = Layout::Two;
    session.panes[0].minus = Some(1);
    session.panes[1].measure = Measure::SoftmaxVariance;
    harness.run_steps(3);
    assert_eq!(scope(&harness).session.panes[0].minus, None);
    assert!(harness.get_by_label("I(y; ω) − Var p").accesskit_node().is_disabled());
    choose(&mut harness, "I(y; ω) − Var p");
    assert_eq!(scope(&harness).session.panes[0].minus, None);
}

#[test]
fn ends_of_the_colour_bar_are_dragged_and_fitted() {
    let mut harness = harness([1280.0, 800.0]);
    let before = scope(&harness).session.clone();
    let name = "Upper end of the colours of map 1";
    let top = harness.get_by_label(name).rect().center_top() + vec2(0.0, 5.0);
    drag(&mut harness, top, top + vec2(0.0, 60.0));
    let session = &scope(&harness).session;
    let [manual] = session.manual_ranges[..] else { panic!("{:?}", session.manual_ranges) };
    let all = scope(&harness).results.values[0].scaled().range.unwrap().map(f64::from);
    assert_eq!((manual.measure, manual.is_difference), (Measure::MutualInformation, false));
    assert!(manual.range[0] == all[0] && manual.range[1] < all[1], "{manual:?} of {all:?}");
    assert_eq!(Session { manual_ranges: Vec::new(), ..session.clone() }, before, "only the colours have changed");
    press(&mut harness, Key::Z, Modifiers::COMMAND);
    assert_eq!(scope(&harness).session, before, "a drag is one step");
    press(&mut harness, Key::Y, Modifiers::COMMAND);
    assert_eq!(scope(&harness).session.manual_ranges, [manual]);

    click_at(&mut harness, top);
    click_at(&mut harness, top);
    assert_eq!(scope(&harness).session, before, "a double click fits the colours to the map");

    right_click(&mut harness, top);
    choose(&mut harness, "magma");
    right_click(&mut harness, top);
    choose(&mut harness, "All that the measure can be");
    let session = &scope(&harness).session;
    assert_eq!((session.colours.label(), session.range), ("magma", ColourRange::Natural));
    right_click(&mut harness, top);
    assert_eq!(copied(&mut harness, "Copy the range"), format!("0, {}", 10_f64.ln()));
}

#[test]
fn ranges_by_hand_are_checked_and_older_sessions_have_none() {
    let harness = harness([1280.0, 800.0]);
    let mut json = serde_json::to_value(&scope(&harness).session).unwrap();
    json.as_object_mut().unwrap().remove("manual_ranges").unwrap();
    let older: Session = serde_json::from_value(json.clone()).unwrap();
    assert!(older == scope(&harness).session && older.check(&scope(&harness).set).is_ok());
    json["manual_ranges"] = serde_json::json!([{ "measure": json["panes"][0]["measure"], "is_difference": false, "range": [2.0, 1.0] }]);
    let wrong: Session = serde_json::from_value(json).unwrap();
    let error = wrong.check(&scope(&harness).set).unwrap_err().to_string();
    assert!(error.contains("manual_ranges") && error.contains("from 2 to 1"), "{error}");
}

#[test]
fn a_box_is_zoomed_into_and_views_go_back_and_forward() {
    let mut harness = harness([1280.0, 800.0]);
    let (from, to) = (at(&harness, [1.0, 8.0]), at(&harness, [5.0, 4.0]));
    harness.event(Input::ModifiersChanged(Modifiers::SHIFT));
    drag(&mut harness, from, to);
    let near = [scope(&harness).session.centre, [scope(&harness).session.width; 2]];
    assert!(is_near(near[0], [3.0, 6.0], 0.15) && is_near(near[1], [4.0; 2], 0.15), "{near:?}");
    assert_eq!(scope(&harness).session.pins, [None, None], "a drag pins nothing");
    let middle = map_rect(&harness, 0).center();
    click_at(&mut harness, middle);
    harness.event(Input::ModifiersChanged(Modifiers::NONE));
    harness.run_steps(2);
    let session = &scope(&harness).session;
    assert!(session.pins[0].is_none() && is_near(latent(session.pins[1].as_ref()), [3.0, 6.0], 0.2), "a click with shift pins B");

    let view = |harness: &Harness<'static, Program>| (scope(harness).session.centre, scope(harness).session.width);
    let (near, whole) = (view(&harness), ([0.0; 2], 20.0));
    press(&mut harness, Key::ArrowLeft, Modifiers::ALT);
    assert_eq!(view(&harness), whole);
    press(&mut harness, Key::ArrowRight, Modifiers::ALT);
    assert_eq!(view(&harness), near);
    choose(&mut harness, "Back to the view before");
    assert_eq!(view(&harness), whole);
    choose(&mut harness, "Forward to the next view");
    assert_eq!(view(&harness), near);
    choose(&mut harness, "Fit data");
    let scope_now = scope(&harness);
    let ([z1, z2], train) = (scope_now.session.extent(), &scope_now.set.encodings.as_ref().unwrap().train.points);
    let holds = |[first, last]: [f64; 2], z: f32| first < f64::from(z) && f64::from(z) < last;
    assert!(train.iter().all(|&[x, y]| holds(z1, x) && holds(z2, y)), "{z1:?}, {z2:?}");
    let widest = (0..2).map(|axis| {
        let along = || train.iter().map(|point| f64::from(point[axis]));
        along().fold(f64::NEG_INFINITY, f64::max) - along().fold(f64::INFINITY, f64::min)
    });
    let widest = widest.fold(0.0, f64::max);
    assert!(scope_now.session.width < 1.1 * widest, "{} around {widest}", scope_now.session.width);
    choose(&mut harness, "Fit all");
    assert_eq!(view(&harness), whole);
}

#[test]
fn menu_of_a_point_pins_copies_and_moves_the_line() {
    let mut harness = harness([1280.0, 800.0]);
    let start = scope(&harness).session.line.ends[0];
    let point = at(&harness, [5.0, -5.0]);
    right_click(&mut harness, point);
    choose(&mut harness, "Pin B here");
    assert!(is_near(latent(scope(&harness).session.pins[1].as_ref()), [5.0, -5.0], 0.05));
    right_click(&mut harness, point);
    choose(&mut harness, "Line to here");
    let line = &scope(&harness).session.line;
    assert!(is_near(line.ends[1], [5.0, -5.0], 0.05) && line.ends[0] == start);

    // The end of the line covers the first point now.
    let point = at(&harness, [5.0, 5.0]);
    right_click(&mut harness, point);
    let text = copied(&mut harness, "Copy z");
    let numbers: Vec<f64> = text.split(", ").map(|number| number.parse().unwrap()).collect();
    let z = [numbers[0], numbers[1]];
    assert!(is_near(z, [5.0, 5.0], 0.05), "{text}");
    right_click(&mut harness, point);
    let text = copied(&mut harness, "Copy values");
    let (head, line) = text.split_once('\n').unwrap();
    assert_eq!(head, "z1\tz2\tclass\tp\tMap 1: Mutual information of member 0 (nats)");
    assert_eq!(line.split('\t').count(), 5, "{line}");
    let values = &scope(&harness).results.values[0];
    let value = values.numbers[values.point_at(z).unwrap()];
    assert!((line.rsplit('\t').next().unwrap().parse::<f32>().unwrap() - value).abs() < 1e-5, "{line} and {value}");

    right_click(&mut harness, point);
    choose(&mut harness, "Find the nearest image");
    let found = latent(scope(&harness).session.pins[0].as_ref());
    let encodings = scope(&harness).set.encodings.as_ref().unwrap();
    let distance = |point: &[f32; 2]| (f64::from(point[0]) - z[0]).hypot(f64::from(point[1]) - z[1]);
    let least = encodings.train.points.iter().map(distance).fold(f64::INFINITY, f64::min);
    assert!(((found[0] - z[0]).hypot(found[1] - z[1]) - least).abs() < 1e-4, "{found:?}, {least}");
    right_click(&mut harness, point);
    choose(&mut harness, "Attack this");
    assert!(is_near(latent(scope(&harness).session.pins[0].as_ref()), [5.0, 5.0], 0.05));
    harness.run_steps(2);
    assert!(scope(&harness).is_open("Attack"));
}

#[test]
fn badge_of_a_pin_leaves_its_point_free_and_has_a_menu() {
    let mut harness = harness([1280.0, 800.0]);
    for z in [[3.0, 3.0], [3.0, 9.9]] {
        harness.state_mut().0.scope.session.pins[0] = Some(Pin::Latent(z));
        wait(&mut harness, "the pin", |scope| scope.results.pinned[0] == Some(z));
        harness.run_steps(2);
        let badge = harness.get_by_label("Pin A on map 1").rect();
        // The plate with the number of a hole is 17 points high.
        assert!(map_rect(&harness, 0).contains_rect(badge) && !badge.expand(8.5).contains(at(&harness, z)), "{badge:?}");
    }
    let badge = harness.get_by_label("Pin A on map 1").rect().center();
    right_click(&mut harness, badge);
    choose(&mut harness, "Line from here");
    assert_eq!(scope(&harness).session.line.ends[0], [3.0, 9.9]);
    right_click(&mut harness, badge);
    // The inspector has a button of that name too; the menu lies above it.
    harness.query_all_by_label("Remove pin A").last().unwrap().click();
    harness.run_steps(3);
    assert_eq!(scope(&harness).session.pins[0], None);
}

#[test]
fn ends_of_the_line_snap_to_pins_and_move_with_arrows() {
    let mut harness = harness([1280.0, 800.0]);
    harness.state_mut().0.scope.session.pins = [Some(Pin::Latent([3.0, 6.0])), Some(Pin::Data(3))];
    wait(&mut harness, "the pins", |scope| scope.results.pinned.iter().all(Option::is_some));
    harness.run_steps(2);
    let from = harness.get_by_label("The line's start on map 1").rect().center();
    let to = at(&harness, [3.0, 6.0]) + vec2(5.0, 4.0);
    drag(&mut harness, from, to);
    assert_eq!(scope(&harness).session.line.ends[0], [3.0, 6.0], "five points beside the pin are on it");
    let image = scope(&harness).results.pinned[1].unwrap();
    let from = harness.get_by_label("The line's end on map 1").rect().center();
    let to = at(&harness, image);
    drag(&mut harness, from, to);
    let line = &scope(&harness).session.line;
    assert_eq!((line.ends[1], line.images), (image, [None, Some(3)]), "the end is the image of the data");

    harness.get_by_label("The line's end on map 1").focus();
    harness.run_steps(2);
    press(&mut harness, Key::ArrowRight, Modifiers::NONE);
    press(&mut harness, Key::ArrowDown, Modifiers::NONE);
    let line = &scope(&harness).session.line;
    assert!(is_near(line.ends[1], [image[0] + 0.4, image[1] - 0.4], 1e-9), "{image:?} {:?}", line.ends[1]);
    assert_eq!(line.images, [None, None]);
    assert!(harness.get_by_label("The line's end on map 1").is_focused());
    assert_eq!(scope(&harness).session.centre, [0.0; 2], "the map stays");
}

#[test]
fn map_is_the_first_stop_after_the_toolbar_and_enter_pins() {
    let mut harness = harness([1280.0, 800.0]);
    let engine = harness.get_by_role_and_label(Role::ComboBox, "Engine").rect();
    let mut stops = 0;
    loop {
        press(&mut harness, Key::Tab, Modifiers::NONE);
        let focused =
            harness.query_by(|node| node.is_focused() && !node.is_hidden()).map(|node| (node.rect().top(), node.accesskit_node().label()));
        if let Some((_, name)) = focused.filter(|(top, _)| *top > engine.bottom()) {
            assert!(name.as_deref().is_some_and(|name| name.starts_with("Map 1:")), "{name:?} comes first");
            break;
        }
        stops += 1;
        assert!(stops < 100, "no stop below the toolbar");
    }
    press(&mut harness, Key::Enter, Modifiers::NONE);
    assert_eq!(scope(&harness).session.pins, [Some(Pin::Latent([0.0; 2])), None]);
    press(&mut harness, Key::ArrowRight, Modifiers::NONE);
    press(&mut harness, Key::Enter, Modifiers::SHIFT);
    assert_eq!(scope(&harness).session.pins, [Some(Pin::Latent([0.0; 2])), Some(Pin::Latent([2.0, 0.0]))]);
}

#[test]
fn question_mark_lists_every_key() {
    let mut harness = harness([1280.0, 800.0]);
    press(&mut harness, Key::Questionmark, Modifiers::SHIFT);
    harness.run_steps(3);
    for shortcut in &SHORTCUTS {
        assert!(harness.query_all_by_label(shortcut.does).next().is_some(), "{}", shortcut.does);
    }
    for keys in ["shift + drag", "right click", "double click", "Tab", "arrows", "Enter"] {
        assert!(harness.query_by_label(keys).is_some(), "{keys}");
    }
}
