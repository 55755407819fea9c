//! The toolbar: what fixes the maps, and what lies over them.

use crate::app::state::scope::Scope;
use crate::app::state::session::{Layout, MOST_SAMPLES, Session};
use crate::app::state::views::ViewHistory;
use crate::app::widgets::class_dot::class_dot;
use crate::app::widgets::plane::map_id;
use crate::app::widgets::{menus, style};
use crate::engine::{self, Masks};
use crate::figure::{ColourMap, ColourRange};
use crate::jobs::training::Look;
use eframe::egui::{Button, ComboBox, DragValue, Panel as Side, RichText, Role, Sense, Ui, vec2};

/// What fixes the maps, and what lies over them.
pub fn toolbar(ui: &mut Ui, scope: &mut Scope) {
    Side::top("toolbar").show(ui, |ui| {
        ui.horizontal_wrapped(|ui| {
            layout(ui, scope);
            ui.separator();
            views(ui, scope);
            ui.separator();
            overlays(ui, scope);
            ui.separator();
            colours(ui, scope);
            ui.separator();
            computation(ui, scope);
        });
        first_stop(ui, scope);
    });
}

/// Makes the maps the next stop of the Tab key, although panels beside and below are drawn before them.
fn first_stop(ui: &Ui, scope: &Scope) {
    let layer = ui.layer_id();
    for id in (0..scope.session.layout.count()).map(map_id) {
        // What is not drawn cannot take the focus.
        if ui.ctx().read_response(id).is_some() {
            ui.memory_mut(|memory| memory.interested_in_focus(id, layer));
        }
    }
}

/// Back and forward through the views of the plane, and the views of all data and of the whole plane.
fn views(ui: &mut Ui, scope: &mut Scope) {
    for (label, name, text, can, go) in [
        (
            "‹",
            "Back to the view before",
            "Back to the view before (Alt and the left arrow)",
            scope.views.can_go_back(),
            ViewHistory::back as Go,
        ),
        (
            "›",
            "Forward to the next view",
            "Forward to the next view (Alt and the right arrow)",
            scope.views.can_go_forward(),
            ViewHistory::forward,
        ),
    ] {
        let button = style::named(ui.add_enabled(can, Button::new(label)), Role::Button, name);
        if button.on_hover_text(text).on_disabled_hover_text("There is no such view").clicked() {
            go(&mut scope.views, &mut scope.session);
        }
    }
    let fit = ui.add_enabled(scope.set.encodings.is_some(), Button::new("Fit data"));
    let fit = fit.on_hover_text("The view of all training encodings (F)");
    if fit.on_disabled_hover_text("These models have no encodings").clicked() {
        scope.fit_data();
    }
    if ui.button("Fit all").on_hover_text("The whole plane, as at the first start (0)").clicked() {
        scope.session.reset_view();
    }
}

/// What a button does with the views.
type Go = fn(&mut ViewHistory, &mut Session);

fn layout(ui: &mut Ui, scope: &mut Scope) {
    ui.spacing_mut().item_spacing.x = 4.0;
    for (layout, label) in Layout::ALL.into_iter().zip(["1", "2", "4"]) {
        let text = if layout == Layout::One { "One map" } else { "Maps side by side, with linked views" };
        let button = ui.selectable_label(scope.session.layout == layout, label).on_hover_text(text);
        if style::named(button, Role::Button, &format!("{label} maps")).clicked() {
            scope.session.layout = layout;
            scope.session.active = scope.session.active.min(layout.count() - 1);
        }
    }
}

fn overlays(ui: &mut Ui, scope: &mut Scope) {
    let is_preview = scope.results.underway.is_some();
    let overlays = &mut scope.session.overlays;
    for (switch, label, text) in [
        (&mut overlays.encodings, "Encodings", "The training data where the VAE puts them, in class colours (E)"),
        (&mut overlays.density, "Density", "Contours of the encodings' density, the aggregated posterior (D)"),
        (&mut overlays.holes, "Holes", "Outlines of what is confident outside the region that holds 99 % of the training encodings (H)"),
        (&mut overlays.digits, "Images", "A grid of decoded images over the plane (G)"),
        (&mut overlays.line, "Line", "The interpolation line: drag its start and its end (L)"),
    ] {
        let toggle = ui.add_enabled_ui(!is_preview, |ui| ui.toggle_value(switch, label)).inner;
        toggle.on_hover_text(text).on_disabled_hover_text("Not over the preview of a training: these belong to the models at hand");
    }
}

fn colours(ui: &mut Ui, scope: &mut Scope) {
    let session = &mut scope.session;
    let menu = ComboBox::from_id_salt("colours").selected_text(session.colours.label()).width(72.0).show_ui(ui, |ui| {
        for map in ColourMap::ALL {
            ui.selectable_value(&mut session.colours, map, map.label());
        }
    });
    menus::arrows(ui, &menu.response, &mut session.colours, ColourMap::ALL);
    style::named(menu.response, Role::ComboBox, "Colour map");
    let mut fixed = session.range == ColourRange::Natural;
    let text = "Colours for all that the measure can take (0 … ln C nats for entropies), rather than for what is on the screen (R)";
    if ui.toggle_value(&mut fixed, "Fixed range").on_hover_text(text).changed() {
        session.set_range(if fixed { ColourRange::Natural } else { ColourRange::Data });
    }
}

/// The points along each axis that can be chosen.
const GRIDS: [usize; 5] = [32, 64, 128, 256, 512];

fn computation(ui: &mut Ui, scope: &mut Scope) {
    let session = &mut scope.session;
    ui.label("T").on_hover_text("Dropout draws per member");
    ui.add(DragValue::new(&mut session.samples).range(1..=MOST_SAMPLES).speed(0.5)).on_hover_text("Dropout draws per member, T");
    ui.label("grid");
    let menu = ComboBox::from_id_salt("grid").selected_text(format!("{0}×{0}", session.grid)).width(76.0).show_ui(ui, |ui| {
        for grid in GRIDS {
            ui.selectable_value(&mut session.grid, grid, format!("{grid}×{grid}"));
        }
    });
    menus::arrows(ui, &menu.response, &mut session.grid, GRIDS);
    style::named(menu.response, Role::ComboBox, "Points of the grid");
    ui.label("seed");
    ui.add(DragValue::new(&mut session.seed).speed(0.1)).on_hover_text("The seed of the dropout masks");
    let mut shared = session.masks == Masks::Shared;
    let text = "One draw is one function of the whole plane, so that the map is smooth; without, every point draws its own masks, as the \
                paper's code did";
    if ui.toggle_value(&mut shared, "Shared masks").on_hover_text(text).changed() {
        session.masks = if shared { Masks::Shared } else { Masks::PerPoint };
    }
    let mut engine = session.engine.clone();
    let problems = &scope.results.engine_problems;
    let problem = |name: &str| problems.iter().find(|(of, _)| *of == name).map(|(_, problem)| problem.as_str());
    let menu = ComboBox::from_id_salt("engine").selected_text(&engine).width(64.0).show_ui(ui, |ui| {
        for kind in engine::available() {
            let problem = problem(kind.name);
            let entry = ui.add_enabled(problem.is_none(), Button::selectable(engine == kind.name, kind.name)).on_hover_text(kind.summary);
            if entry.on_disabled_hover_text(problem.unwrap_or_default()).clicked() {
                kind.name.clone_into(&mut engine);
            }
        }
    });
    let usable = engine::available().iter().map(|kind| kind.name).filter(|name| problem(name).is_none());
    menus::arrows(ui, &menu.response, &mut engine, usable.map(str::to_owned));
    style::named(menu.response, Role::ComboBox, "Engine");
    session.engine = engine;
}

/// The classes in their colours; a click hides or shows one.
pub fn legend(ui: &mut Ui, scope: &mut Scope) {
    let has_classes = match &scope.results.underway {
        Some(frame) => matches!(frame.look, Look::Plane { .. }),
        None => scope.session.overlays.encodings,
    };
    if !has_classes {
        return;
    }
    let classes = scope.classes().to_vec();
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 10.0;
        for (class, name) in classes.iter().enumerate() {
            let hidden = &mut scope.session.overlays.hidden;
            let shown = !hidden.contains(&class);
            let text = if shown { RichText::new(name) } else { RichText::new(name).weak().strikethrough() };
            let response = ui
                .horizontal(|ui| {
                    ui.spacing_mut().item_spacing.x = 3.0;
                    let (rect, dot) = ui.allocate_exact_size(vec2(11.0, 11.0), Sense::click());
                    class_dot(ui.painter(), class, rect.center(), 4.0, if shown { 1.0 } else { 0.25 });
                    dot | ui.add(eframe::egui::Label::new(text).sense(Sense::click()))
                })
                .inner
                .on_hover_text("Click: hide or show this class. Double click: this one alone, or all.");
            if response.double_clicked() {
                let alone = hidden.len() + 1 == classes.len() && shown;
                *hidden = if alone { Vec::new() } else { (0..classes.len()).filter(|&other| other != class).collect() };
            } else if response.clicked() {
                if shown {
                    hidden.push(class);
                    hidden.sort_unstable();
                } else {
                    hidden.retain(|&other| other != class);
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::state::session::Session;
    use crate::jobs::{ModelSet, SharedEngine};
    use eframe::egui::accesskit;
    use egui_kittest::Harness;
    use egui_kittest::kittest::{NodeT as _, Queryable as _};
    use std::sync::Arc;

    #[test]
    fn an_engine_that_cannot_work_here_is_disabled() {
        let set = Arc::new(ModelSet::shipped().unwrap());
        let engine = SharedEngine::open("cpu", &set).unwrap();
        let mut scope = Scope::new(Session::new(&set), set, engine);
        scope.results.engine_problems = vec![("gpu", "no graphics adapter was found".to_owned())];
        let mut harness = Harness::builder().with_size([1280.0, 400.0]).build_ui_state(|ui, scope: &mut Scope| toolbar(ui, scope), scope);
        harness.get_by(|node| node.role() == accesskit::Role::ComboBox && node.label().is_some_and(|label| label == "Engine")).click();
        harness.run_steps(4);
        assert!(harness.get_by_label("gpu").accesskit_node().is_disabled());
        assert!(!harness.get_by_label("reference").accesskit_node().is_disabled());
        harness.get_by_label("reference").click();
        harness.run_steps(3);
        assert_eq!(harness.state().session.engine, "reference");
    }
}
