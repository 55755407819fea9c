//! The room of the window: tiles that are dragged, sizes from small to 4K, the tour of a first start.

use crate::app::panels::panel::Place;
use crate::app::shell::run::Program;
use crate::app::shell::tiles::{RESET, open_panels};
use crate::app::shell::window::Window;
use crate::app::state::session::{Layout, Pin};
use crate::app::tests::{UnderTest as _, drag, harness, map_rect, scope, start, until};
use crate::jobs::{Progress, Status};
use eframe::egui::accesskit::Role;
use eframe::egui::{LayerId, Rect, Shape, ViewportId, pos2, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use egui_tiles::{Tile, TileId};

/// Panels with a row of columns that scrolls sideways where it is wider than its tile.
const SIDEWAYS: [&str; 3] = ["Attack", "Detection", "Training"];
/// What a user clicks, drags or types into.
const CONTROLS: [Role; 7] =
    [Role::Button, Role::CheckBox, Role::RadioButton, Role::ComboBox, Role::SpinButton, Role::Slider, Role::TextInput];

type Harnessed = Harness<'static, Program>;

fn tile_of(harness: &Harnessed, name: &str) -> TileId {
    let tiles = &harness.state().0.preferences.tiles.tiles;
    *tiles.iter().find(|(_, tile)| matches!(tile, Tile::Pane(pane) if pane == name)).unwrap().0
}

/// Where a panel or, for a hidden one, nothing is drawn.
fn room_of(harness: &Harnessed, name: &str) -> Option<Rect> {
    harness.state().0.preferences.tiles.tiles.rect(tile_of(harness, name))
}

/// Texts of the last frame that are elided, or cut at the side. What is cut above or below can be scrolled to.
fn cut_texts(harness: &Harnessed, may_be_cut: Option<Rect>) -> Vec<String> {
    fn walk(shape: &Shape, clip: Rect, may_be_cut: Option<Rect>, cut: &mut Vec<String>) {
        match shape {
            Shape::Vec(shapes) => shapes.iter().for_each(|shape| walk(shape, clip, may_be_cut, cut)),
            Shape::Text(text) => {
                let rect = text.visual_bounding_rect();
                let is_seen = clip.shrink(1.0).intersects(rect);
                let is_cut = rect.left() < clip.left() - 1.0 || rect.right() > clip.right() + 1.0;
                let is_allowed = may_be_cut.is_some_and(|room| room.contains(clip.intersect(rect).center()));
                if is_seen && (text.galley.elided || is_cut && !is_allowed) {
                    cut.push(format!("'{}' at {rect:?} in {clip:?}", text.galley.text()));
                }
            }
            _ => {}
        }
    }
    let mut cut = Vec::new();
    for clipped in &harness.output().shapes {
        walk(&clipped.shape, clipped.clip_rect, may_be_cut, &mut cut);
    }
    cut
}

/// Pairs of controls of which one lies over the other, by their labels.
fn overlaps(harness: &Harnessed) -> Vec<String> {
    let widgets: Vec<(LayerId, Rect, Rect)> = harness.ctx.viewport(|viewport| {
        let layers = viewport.prev_pass.widgets.layers();
        layers.flat_map(|(layer, widgets)| widgets.iter().map(|widget| (*layer, widget.rect, widget.interact_rect))).collect()
    });
    let is_same = |a: Rect, b: Rect| (a.min - b.min).length() < 0.5 && (a.max - b.max).length() < 0.5;
    let controls: Vec<(String, LayerId, Rect)> = harness
        .query_all_by(|node| CONTROLS.contains(&node.role()))
        .filter_map(|node| {
            // What scrolling hides is in nobody's way.
            let (layer, _, seen) = widgets.iter().find(|(_, rect, _)| is_same(*rect, node.rect()))?;
            let label = node.accesskit_node().label().unwrap_or_default();
            seen.shrink(1.0).is_positive().then_some((label, *layer, seen.shrink(1.0)))
        })
        .collect();
    let pairs = controls.iter().enumerate().flat_map(|(number, a)| controls[number + 1..].iter().map(move |b| (a, b)));
    let over = pairs.filter(|(a, b)| a.1 == b.1 && a.2.intersect(b.2).is_positive());
    over.map(|(a, b)| format!("'{}' at {:?} and '{}' at {:?}", a.0, a.2, b.0, b.2)).collect()
}

fn assert_clear(harness: &Harnessed, what: &str, tab: &str) {
    let sideways = SIDEWAYS.contains(&tab).then(|| room_of(harness, tab)).flatten();
    let (cut, overlaps) = (cut_texts(harness, sideways), overlaps(harness));
    assert!(cut.is_empty(), "{what}: cut off: {cut:#?}");
    assert!(overlaps.is_empty(), "{what}: over each other: {overlaps:#?}");
}

fn tabs(harness: &Harnessed) -> Vec<&'static str> {
    harness.state().0.panels.iter().filter(|panel| panel.place() == Place::Tab).map(|panel| panel.name()).collect()
}

#[test]
fn no_text_is_cut_and_no_controls_overlap_in_any_state() {
    let states = [Status::Idle, Status::Working(Progress { done: 1, total: 3 }), Status::Failed("x: y; z.".to_owned()), Status::Done];
    for size in [[1024.0, 700.0], [1280.0, 800.0], [1920.0, 1080.0]] {
        let mut harness = harness(size);
        for (number, name) in tabs(&harness).into_iter().enumerate() {
            for state in &states {
                let window = &mut harness.state_mut().0;
                window.open_panel(name);
                window.scope.session.layout = Layout::ALL[number % 3];
                window.scope.session.pins = [Some(Pin::Latent([0.5, 0.5])), None];
                // Ends that lie apart on the smallest map too.
                window.scope.session.line.ends = [[-6.0, -6.0], [6.0, 6.0]];
                window.panels.iter().for_each(|panel| panel.pretend(state));
                harness.run_steps(3);
                assert_clear(&harness, &format!("{name}, {state:?}, {size:?}"), name);
            }
        }
    }
}

#[test]
fn no_text_is_cut_on_4k_and_at_other_scales() {
    // Pixels and their scale: 4K at scales 1 and 2, the smallest window at scale 1.5.
    for (size, scale) in [([3840.0, 2160.0], 1.0), ([3840.0, 2160.0], 2.0), ([1536.0, 1050.0], 1.5)] {
        let mut harness = harness(size);
        harness.set_pixels_per_point(scale);
        harness.run_steps(3);
        for name in tabs(&harness) {
            harness.state_mut().0.open_panel(name);
            harness.run_steps(3);
            assert_clear(&harness, &format!("{name}, {size:?} at {scale}"), name);
        }
    }
}

#[test]
fn the_map_takes_all_the_height_of_its_tile() {
    for size in [[1024.0, 700.0], [1280.0, 800.0], [1920.0, 1080.0]] {
        let harness = harness(size);
        let (room, map) = (room_of(&harness, "Map").unwrap(), map_rect(&harness, 0));
        assert!(room.contains_rect(map), "{size:?}: {map:?} leaves {room:?}");
        assert!(map.height() > room.height() - 110.0, "{size:?}: {map:?} in {room:?}");
    }
}

#[test]
fn a_small_window_scrolls_and_leaves_nothing_out() {
    let harness = harness([640.0, 400.0]);
    for name in ["Map", "Inspector", "Interpolation"] {
        let room = room_of(&harness, name).unwrap();
        assert!(room.width() > 200.0 && room.height() > 100.0, "{name}: {room:?}");
    }
    let all = room_of(&harness, "Map").unwrap().union(room_of(&harness, "Inspector").unwrap());
    assert!(all.width() > 1000.0, "{all:?} is as wide as in the smallest window");
    assert!(map_rect(&harness, 0).width() > 150.0);
}

#[test]
fn a_tab_dragged_to_the_inspector_stays_there_until_the_layout_is_reset() {
    let mut harness = harness([1280.0, 800.0]);
    let parent = |harness: &Harnessed, name: &str| harness.state().0.preferences.tiles.tiles.parent_of(tile_of(harness, name)).unwrap();
    assert_ne!(parent(&harness, "Holes"), parent(&harness, "Inspector"));
    let first = harness.state().0.preferences.tiles.clone();
    // The tile that takes the tab ends below its bar of 24 points.
    let room = harness.state().0.preferences.tiles.tiles.rect(parent(&harness, "Inspector")).unwrap();
    let tab = harness.query_all_by(|node| node.role() == Role::Button && node.label().as_deref() == Some("Holes"));
    let tab = tab.map(|node| node.rect()).max_by(|a, b| a.top().total_cmp(&b.top())).unwrap().center();
    drag(&mut harness, tab, room.center() + vec2(0.0, 12.0));
    harness.run_steps(3);
    assert_eq!(parent(&harness, "Holes"), parent(&harness, "Inspector"));
    harness.get_by_label("View").click();
    harness.run_steps(3);
    harness.get_by_label(RESET).click();
    harness.run_steps(3);
    assert!(harness.state().0.preferences.tiles == first);
}

#[test]
fn panels_behind_another_tab_are_not_open() {
    let mut harness = harness([1280.0, 800.0]);
    assert!(scope(&harness).is_open("Interpolation") && !scope(&harness).is_open("Holes"));
    harness.state_mut().0.open_panel("Holes");
    harness.run_steps(2);
    assert!(!scope(&harness).is_open("Interpolation") && scope(&harness).is_open("Holes") && scope(&harness).is_open("Map"));
}

#[test]
fn the_tour_opens_what_it_speaks_of_and_can_be_called_again() {
    let mut harness = Harness::builder().with_size(vec2(1280.0, 800.0)).with_step_dt(1.0 / 60.0).build_eframe(|creation| {
        let mut window = Window::open(&creation.egui_ctx, start()).unwrap();
        (window.scope.session.grid, window.scope.session.samples) = (8, 2);
        window.open_panel("Holes");
        Program(window)
    });
    let click = |harness: &mut Harnessed, label: &str| {
        harness.get_by_label(label).click();
        harness.run_steps(3);
    };
    harness.run_steps(3);
    assert!(harness.query_by_label("1 of 5").is_some());
    click(&mut harness, "Next");
    click(&mut harness, "Next");
    assert!(harness.query_by_label("3 of 5").is_some());
    assert!(open_panels(&harness.state().0.preferences.tiles).contains("Interpolation"));
    click(&mut harness, "Back");
    assert!(harness.query_by_label("2 of 5").is_some());
    click(&mut harness, "End the tour");
    assert!(harness.state().0.preferences.hints_seen && harness.query_by_label("2 of 5").is_none());
    click(&mut harness, "Help");
    click(&mut harness, "Tour");
    assert!(harness.query_by_label("1 of 5").is_some());
}

#[test]
fn a_window_of_a_larger_screen_is_fitted_to_this_one() {
    let mut harness = harness([1920.0, 1080.0]);
    let viewport = harness.input_mut().viewports.get_mut(&ViewportId::ROOT).unwrap();
    viewport.inner_rect = Some(Rect::from_min_size(pos2(0.0, 0.0), vec2(1920.0, 1080.0)));
    viewport.monitor_size = Some(vec2(1366.0, 768.0));
    harness.run_steps(2);
    assert_eq!(harness.ctx.content_rect().size(), vec2(1366.0, 768.0));
}

#[test]
fn the_status_line_lists_what_computes_and_cancels_it() {
    let mut harness = harness([1280.0, 800.0]);
    let working = Status::Working(Progress { done: 1, total: 4 });
    until(&mut harness, "rest", |harness| !harness.state().0.panels.iter().any(|panel| panel.is_busy()));
    let panels = &harness.state().0.panels;
    let population = panels.iter().find(|panel| panel.name() == "Population").unwrap();
    population.pretend(&working);
    harness.run_steps(2);
    harness.get_by_label("1 task").click();
    harness.run_steps(3);
    assert!(harness.query_by_label("population 25 %").is_some());
    harness.get_by_label("Cancel: population").click();
    harness.run_steps(3);
    assert!(harness.query_by_label("1 task").is_none());
}
