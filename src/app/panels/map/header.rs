//! The line above a map: what it shows, and of which members.

use crate::app::panels::map::underway::{self, measure_of, model};
use crate::app::state::scope::Scope;
use crate::app::state::session::Pane;
use crate::app::widgets::{menus, style};
use crate::jobs::training::Frame;
use crate::uncertainty::Measure;
use eframe::egui::{Button, ComboBox, Response, Role, Slider, Ui};

/// Draws the line.
pub fn show(ui: &mut Ui, scope: &mut Scope, place: usize) {
    let count = scope.set.ensemble().members().len();
    let several = scope.session.layout.count() > 1;
    // A second line rather than a menu beyond the map's cell.
    ui.horizontal_wrapped(|ui| {
        if several {
            let is_active = scope.session.active == place;
            let number = ui.selectable_label(is_active, format!("{}", place + 1));
            if number.on_hover_text("The keys change this map").clicked() {
                scope.session.active = place;
            }
        }
        if let Some(frame) = scope.results.underway.clone() {
            return preview(ui, scope, place, &frame);
        }
        measure_menu(ui, scope, place);
        if count > 1 {
            member_menu(ui, scope, place, count);
        }
        difference(ui, scope, place);
    });
}

/// What is shown of a model under training: its own choice of measures, and its name in place of the members.
fn preview(ui: &mut Ui, scope: &mut Scope, place: usize, frame: &Frame) {
    let pane = &mut scope.session.panes[place];
    match measure_of(frame, pane.measure) {
        Some(shown) => {
            let menu = ComboBox::from_id_salt(("preview", place)).selected_text(shown.label()).width(164.0).show_ui(ui, |ui| {
                for measure in [Measure::PredictiveEntropy, Measure::MutualInformation] {
                    if describe(ui.selectable_label(shown == measure, measure.label()), measure).clicked() {
                        pane.measure = measure;
                    }
                }
            });
            describe(style::named(menu.response, Role::ComboBox, &format!("Measure of map {}", place + 1)), shown);
        }
        None => {
            ui.strong("Encodings of test images");
        }
    }
    ui.label(model(frame)).on_hover_text("“On the map” in the tab Training shows the maps of the models at hand again");
}

fn measure_menu(ui: &mut Ui, scope: &mut Scope, place: usize) {
    let pane = &mut scope.session.panes[place];
    let before = pane.measure;
    let menu = ComboBox::from_id_salt(("measure", place)).selected_text(before.label()).width(164.0).show_ui(ui, |ui| {
        for (number, measure) in Measure::ALL.into_iter().enumerate() {
            let label = format!("{}  {}", number + 1, measure.label());
            describe(ui.selectable_value(&mut pane.measure, measure, label), measure);
        }
    });
    menus::arrows(ui, &menu.response, &mut pane.measure, Measure::ALL);
    describe(style::named(menu.response, Role::ComboBox, &format!("Measure of map {}", place + 1)), before);
    if scope.session.panes[place].measure != before {
        scope.session.active = place;
    }
}

/// The buttons for the difference from another map; a menu of them if there are several.
fn difference(ui: &mut Ui, scope: &mut Scope, place: usize) {
    let others: Vec<usize> = (0..scope.session.layout.count()).filter(|&other| other != place).collect();
    if let [other] = others[..] {
        difference_button(ui, scope, place, other);
    } else if !others.is_empty() {
        let label = scope.session.panes[place].minus.map(|other| scope.session.difference_label(place, other));
        let menu = ui.menu_button(label.unwrap_or_else(|| "Difference".to_owned()), |ui| {
            for other in others {
                difference_button(ui, scope, place, other);
            }
        });
        style::named(menu.response, Role::Button, &format!("Difference of map {}", place + 1))
            .on_hover_text("The difference from another map");
    }
}

fn difference_button(ui: &mut Ui, scope: &mut Scope, place: usize, other: usize) {
    let session = &mut scope.session;
    let is_on = session.panes[place].minus == Some(other);
    let (label, problem) = (session.difference_label(place, other), session.difference_problem(place, other));
    let button = ui.add_enabled(problem.is_none(), Button::selectable(is_on, label));
    let of = |place: usize| {
        let pane = &session.panes[place];
        format!("{} of {} (map {})", pane.measure.symbol(), members(pane), place + 1)
    };
    let unit = session.panes[place].measure.unit();
    let unit = if unit.is_empty() { String::new() } else { format!(", in {unit}") };
    let text = format!("Δ = {} − {}{unit}. Blue is below 0, light grey is 0, red is above 0.", of(place), of(other));
    if button.on_hover_text(text).on_disabled_hover_text(problem.unwrap_or_default()).clicked() {
        session.panes[place].minus = if is_on { None } else { Some(other) };
        session.active = place;
    }
}

/// Tells what a measure is: its symbol, its equation, its unit.
pub fn describe(response: Response, measure: Measure) -> Response {
    response.on_hover_ui(|ui| {
        ui.strong(format!("{}  {}", measure.label(), measure.symbol()));
        ui.monospace(measure.formula());
        ui.label(explanation(measure));
        ui.label(style::note(NOTATION));
        if !measure.unit().is_empty() {
            ui.label(style::note(format!("in {}; Smith & Gal (2018), section 3", measure.unit())));
        }
    })
}

/// The letters of symbols and equations.
const NOTATION: &str = "p: the class probabilities of a draw ω of the weights; E and Var: mean and variance over the T draws of each of the members; \
                        H: entropy";

/// What a measure tells, in a sentence.
fn explanation(measure: Measure) -> &'static str {
    match measure {
        Measure::PredictiveEntropy => "What the mean prediction does not know, for whatever reason.",
        Measure::ExpectedEntropy => "What each draw does not know, on average: ambiguity that more data would not take away.",
        Measure::MutualInformation => {
            "How far the draws disagree: what more data would teach (BALD). The plug-in estimate is too low by about 1.5 I/T nats with T \
             draws. The members count as fixed: neither that bias nor the standard error is about other members."
        }
        Measure::SoftmaxVariance => {
            "The variance of the probabilities over the draws, as a mean over the classes; a monotone proxy of mutual information."
        }
        Measure::VariationRatio => "The share of draws that vote against the winner.",
        Measure::MaximumProbability => "The confidence of the mean prediction: high where the other measures are low.",
        Measure::MutualInformationCorrected => {
            "Mutual information less most of the bias of its plug-in estimate, which is too low by about 1.5 I/T nats with T draws. The \
             members count as fixed: the correction is for the draws of each."
        }
        Measure::DeterministicEntropy => "What a network without dropout does not know: the usual softmax entropy.",
    }
}

fn member_menu(ui: &mut Ui, scope: &mut Scope, place: usize, count: usize) {
    let pane = &mut scope.session.panes[place];
    let names: Vec<&str> = scope.set.ensemble().members().iter().map(|member| member.name.as_str()).collect();
    let mut size = pane.members.len();
    let first = pane.members.iter().enumerate().all(|(at, &member)| at == member);
    let slider = ui.add(Slider::new(&mut size, 1..=count).show_value(false));
    let slider = slider.on_hover_text("Ensemble size: how many members are asked, the first ones. Keys [ and ].");
    slider.widget_info(|| eframe::egui::WidgetInfo::slider(true, size as f64, format!("Ensemble size of map {}", place + 1)));
    if slider.changed() {
        pane.members = (0..size).collect();
    }
    let text = match (size, first) {
        (1, _) => format!("{} of {count}", names[pane.members[0]]),
        (_, true) => format!("{size} of {count} members"),
        (_, false) => format!("{size} chosen of {count}"),
    };
    ui.menu_button(text, |ui| {
        for (member, name) in names.iter().enumerate() {
            let mut chosen = pane.members.contains(&member);
            // The last one stays: a map of nobody is no map.
            let last = chosen && pane.members.len() == 1;
            ui.horizontal(|ui| {
                if ui.add_enabled(!last, eframe::egui::Checkbox::new(&mut chosen, *name)).changed() {
                    pane.members.retain(|&other| other != member);
                    if chosen {
                        pane.members.push(member);
                        pane.members.sort_unstable();
                    }
                }
                let only = ui.small_button("only").on_hover_text("This member alone");
                if style::named(only, Role::Button, &format!("Only {name}")).clicked() {
                    pane.members = vec![member];
                }
            });
        }
        ui.separator();
        ui.horizontal(|ui| {
            if ui.button("All").clicked() {
                pane.members = (0..count).collect();
            }
            if ui.button("None").on_hover_text("None but the first: a map needs a member").clicked() {
                pane.members = vec![0];
            }
        });
    })
    .response
    .on_hover_text(title(scope, place));
}

/// What a map is called for screen readers and in menus.
pub fn title(scope: &Scope, place: usize) -> String {
    let pane = &scope.session.panes[place];
    if let Some(frame) = &scope.results.underway {
        return format!("Map {}: {}", place + 1, underway::caption(frame, pane.measure));
    }
    let members = members(pane);
    let minus = pane.minus.map_or(String::new(), |other| format!(" minus map {}", other + 1));
    format!("Map {}: {} of {members}{minus}", place + 1, pane.measure.label())
}

/// The members of a map: "member 0", or how many.
fn members(pane: &Pane) -> String {
    match pane.members[..] {
        [member] => format!("member {member}"),
        _ => format!("{} members", pane.members.len()),
    }
}

#[cfg(test)]
mod tests {
    use crate::app::tests::{harness, scope};
    use egui_kittest::kittest::Queryable as _;

    #[test]
    fn the_member_menu_chooses_all_none_or_only_one() {
        let mut harness = harness([1280.0, 800.0]);
        let names: Vec<String> = scope(&harness).set.ensemble().members().iter().map(|member| member.name.clone()).collect();
        let [first, third] = [0, 2].map(|member: usize| format!("{} of {}", names[member], names.len()));
        let all = format!("{0} of {0} members", names.len());
        let members: Vec<usize> = (0..names.len()).collect();
        for (menu, entry, expected) in
            [(&first, format!("Only {}", names[2]), &[2][..]), (&third, "All".to_owned(), &members), (&all, "None".to_owned(), &[0])]
        {
            if harness.query_by_label(&entry).is_none() {
                harness.get_by_label(menu).click();
                harness.run_steps(4);
            }
            harness.get_by_label(&entry).click();
            harness.run_steps(4);
            assert_eq!(scope(&harness).session.panes[0].members, expected, "{entry}");
        }
    }
}
