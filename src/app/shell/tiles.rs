//! Tiles: where each panel stands, as a tree of rows, columns and tabs that the user drags.

use crate::app::panels::panel::{Panel, Place};
use crate::app::shell::toolbar;
use crate::app::state::scope::Scope;
use crate::app::state::storage::{PanelTree, no_tiles};
use eframe::egui::scroll_area::ScrollSource;
use eframe::egui::{Align, Frame, Layout as Flow, Response, ScrollArea, Ui, Vec2, WidgetText, vec2};
use egui_tiles::{Behavior, Container, Linear, LinearDir, SimplificationOptions, Tile, TileId, Tiles, Tree, UiResponse};
use std::collections::BTreeSet;

/// Share of the width that the maps have beside the inspector.
const MAPS_WIDTH: f32 = 0.73;
/// Share of the height that the maps have above the tabs.
const MAPS_HEIGHT: f32 = 0.62;
/// More tiles than any arrangement of the panels has: a larger tree comes from a damaged file.
const MOST_TILES: usize = 64;

/// The smallest size in points at which a panel is whole; it scrolls in a smaller tile.
const fn least_size(place: Place) -> Vec2 {
    match place {
        Place::Centre => vec2(240.0, 200.0),
        Place::Side => vec2(240.0, 120.0),
        Place::Tab => vec2(640.0, 120.0),
    }
}

/// The tiles of a first start: the maps, the inspector at their side, the other panels as tabs below.
fn first_tiles(panels: &[Box<dyn Panel>]) -> PanelTree {
    let mut tiles = Tiles::default();
    let [maps, side, below] = [Place::Centre, Place::Side, Place::Tab].map(|place| {
        let names = panels.iter().filter(|panel| panel.place() == place).map(|panel| panel.name().to_owned());
        let children = names.map(|name| tiles.insert_pane(name)).collect();
        tiles.insert_tab_tile(children)
    });
    let above = tiles.insert_container(Linear::new_binary(LinearDir::Horizontal, [maps, side], MAPS_WIDTH));
    let root = tiles.insert_container(Linear::new_binary(LinearDir::Vertical, [above, below], MAPS_HEIGHT));
    Tree::new(no_tiles().id(), root, tiles)
}

/// Keeps a remembered tree that shows every panel once and nothing else, and replaces one of an older version or a damaged file.
pub fn restore(tree: &mut PanelTree, panels: &[Box<dyn Panel>]) {
    if is_complete(tree, panels) {
        tree.tiles.recompute_next_tile_id();
    } else {
        *tree = first_tiles(panels);
    }
}

fn is_complete(tree: &PanelTree, panels: &[Box<dyn Panel>]) -> bool {
    let mut names: BTreeSet<&str> = panels.iter().map(|panel| panel.name()).collect();
    let mut seen = BTreeSet::new();
    // Larger numbers could not be counted on.
    if tree.tiles.tile_ids().any(|tile| tile.0 > u64::from(u32::MAX)) {
        return false;
    }
    let mut open: Vec<TileId> = tree.root.into_iter().collect();
    while let Some(tile) = open.pop() {
        let is_new = seen.insert(tile.0) && seen.len() <= MOST_TILES;
        let is_known = match tree.tiles.get(tile) {
            Some(Tile::Pane(name)) => names.remove(name.as_str()),
            Some(Tile::Container(Container::Linear(linear))) => {
                open.extend(&linear.children);
                linear.shares.iter().all(|(_, share)| share.is_finite() && *share > 0.0)
            }
            Some(Tile::Container(Container::Tabs(tabs))) => {
                open.extend(&tabs.children);
                true
            }
            // The window makes no grid.
            Some(Tile::Container(Container::Grid(_))) | None => false,
        };
        if !is_new || !is_known || !tree.is_visible(tile) {
            return false;
        }
    }
    names.is_empty()
}

/// The panels that no other tab covers, by name.
pub fn open_panels(tree: &PanelTree) -> BTreeSet<String> {
    tree.active_tiles().iter().filter_map(|tile| tree.tiles.get_pane(tile)).cloned().collect()
}

/// Shows the panel of a name in front of the tabs that cover it.
pub fn bring_to_front(tree: &mut PanelTree, name: &str) {
    tree.make_active(|_, tile| matches!(tile, Tile::Pane(pane) if pane == name));
}

/// Draws every open panel in its tile; without tiles, in those of a first start.
pub fn show(ui: &mut Ui, tree: &mut PanelTree, panels: &mut [Box<dyn Panel>], scope: &mut Scope) {
    if tree.is_empty() {
        *tree = first_tiles(panels);
    }
    let mut drawn = Drawn { panels, scope, is_reset: false };
    tree.ui(&mut drawn, ui);
    if drawn.is_reset {
        *tree = no_tiles();
    }
}

/// What the tree needs to draw its tiles.
struct Drawn<'a> {
    panels: &'a mut [Box<dyn Panel>],
    scope: &'a mut Scope,
    /// Whether the user wants the tiles of a first start.
    is_reset: bool,
}

impl Behavior<String> for Drawn<'_> {
    fn pane_ui(&mut self, ui: &mut Ui, _tile: TileId, name: &mut String) -> UiResponse {
        let Some(panel) = self.panels.iter_mut().find(|panel| panel.name() == name) else { return UiResponse::None };
        let scope = &mut *self.scope;
        let is_map = panel.place() == Place::Centre;
        Frame::central_panel(ui.style()).show(ui, |ui| {
            // The wheel zooms the maps.
            let source = if is_map { ScrollSource::SCROLL_BAR } else { ScrollSource::default() };
            ScrollArea::both().id_salt(name.as_str()).auto_shrink(false).scroll_source(source).show(ui, |ui| {
                let size = ui.available_size().max(least_size(panel.place()));
                ui.allocate_ui_with_layout(size, Flow::top_down(Align::Min), |ui| {
                    if is_map {
                        toolbar::legend(ui, scope);
                    }
                    panel.ui(ui, scope);
                });
            });
        });
        UiResponse::None
    }

    fn tab_title_for_pane(&mut self, name: &String) -> WidgetText {
        name.as_str().into()
    }

    fn on_tab_button(&mut self, _tiles: &mut Tiles<String>, _tile: TileId, button: Response) -> Response {
        button.context_menu(|ui| {
            if ui.button(RESET).clicked() {
                self.is_reset = true;
            }
        });
        button.on_hover_text("Drag it to another place. Right click: reset the layout.")
    }

    fn min_size(&self) -> f32 {
        120.0
    }

    fn gap_width(&self, _style: &eframe::egui::Style) -> f32 {
        2.0
    }

    fn simplification_options(&self) -> SimplificationOptions {
        // A tile is dragged by its tab.
        SimplificationOptions { all_panes_must_have_tabs: true, ..SimplificationOptions::default() }
    }
}

/// The label of what brings the tiles of a first start back.
pub const RESET: &str = "Reset the layout";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::panels::panels;
    use crate::app::state::storage::Preferences;
    use crate::jobs::Wake;
    use std::sync::Arc;

    fn every_panel() -> Vec<Box<dyn Panel>> {
        panels(&(Arc::new(|_| {}) as Wake)).unwrap()
    }

    #[test]
    fn first_tiles_show_maps_inspector_and_one_tab_and_survive_a_file() {
        let panels = every_panel();
        let mut tree = first_tiles(&panels);
        assert!(is_complete(&tree, &panels));
        let open = |tree: &PanelTree| open_panels(tree).into_iter().collect::<Vec<_>>();
        assert_eq!(open(&tree), ["Inspector", "Interpolation", "Map"]);
        bring_to_front(&mut tree, "Holes");
        assert_eq!(open(&tree), ["Holes", "Inspector", "Map"]);

        let text = serde_json::to_string_pretty(&Preferences { tiles: tree.clone(), ..Preferences::default() }).unwrap();
        let read: Preferences = serde_json::from_str(&text).unwrap();
        assert!(read.tiles == tree && is_complete(&read.tiles, &panels));
    }

    #[test]
    fn trees_with_missing_unknown_or_double_panels_are_not_complete() {
        let panels = every_panel();
        assert!(!is_complete(&no_tiles(), &panels), "no tile");
        let tile_of =
            |tree: &PanelTree, name: &str| *tree.tiles.iter().find(|(_, tile)| matches!(tile, Tile::Pane(pane) if pane == name)).unwrap().0;
        let first = first_tiles(&panels);
        let mut tree = first.clone();
        tree.remove_recursively(tile_of(&tree, "Holes"));
        assert!(!is_complete(&tree, &panels), "a panel is missing");
        for name in ["No such panel", "Map"] {
            let mut tree = first.clone();
            let tile = tile_of(&tree, "Holes");
            tree.tiles.insert(tile, Tile::Pane(name.to_owned()));
            assert!(!is_complete(&tree, &panels), "{name} stands for the holes");
        }
        let mut tree = first.clone();
        let root = tree.root.unwrap();
        let Some(Tile::Container(Container::Linear(linear))) = tree.tiles.get_mut(root) else { panic!("no column") };
        let child = linear.children[0];
        linear.shares.set_share(child, f32::INFINITY);
        assert!(!is_complete(&tree, &panels), "an infinite share");
        let mut tree = first;
        let Some(Tile::Container(Container::Linear(linear))) = tree.tiles.get_mut(root) else { panic!("no column") };
        linear.children.push(root);
        assert!(!is_complete(&tree, &panels), "a circle");
    }

    #[test]
    fn damaged_tiles_cost_no_other_preference() {
        for tiles in ["null", "7", "{}", r#"{"id":1,"root":1,"tiles":{}}"#] {
            let read: Preferences = serde_json::from_str(&format!(r#"{{"hints_seen":true,"tiles":{tiles}}}"#)).unwrap();
            assert!(read.hints_seen && read.tiles.is_empty(), "{tiles}");
        }
    }
}
