//! Combo boxes by keyboard.

use eframe::egui::{EventFilter, Key, Modifiers, Response, Ui};

/// Lets the up and down keys change the selection of a combo box that has the focus; `egui` would move the focus instead.
pub fn arrows<T: PartialEq>(ui: &Ui, combo_box: &Response, chosen: &mut T, choices: impl IntoIterator<Item = T>) {
    if !combo_box.has_focus() {
        return;
    }
    let filter = EventFilter { vertical_arrows: true, ..EventFilter::default() };
    ui.memory_mut(|memory| memory.set_focus_lock_filter(combo_box.id, filter));
    let pressed = |key| ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
    let by = isize::from(pressed(Key::ArrowDown)) - isize::from(pressed(Key::ArrowUp));
    let mut choices: Vec<T> = choices.into_iter().collect();
    if by != 0
        && let Some(at) = choices.iter().position(|choice| choice == chosen)
        && let Some(next) = at.checked_add_signed(by).filter(|&next| next < choices.len())
    {
        *chosen = choices.swap_remove(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eframe::egui::ComboBox;
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;

    #[test]
    fn arrow_keys_change_the_selection_of_a_focused_combo_box_and_stop_at_its_ends() {
        let mut harness = Harness::builder().build_ui_state(
            |ui, chosen: &mut u32| {
                let label = ui.label("Number");
                let combo_box = ComboBox::from_id_salt("number").selected_text(chosen.to_string()).show_ui(ui, |_| ());
                arrows(ui, &combo_box.response.labelled_by(label.id), chosen, [3, 5, 7]);
                let _ = ui.button("other");
            },
            3,
        );
        harness.key_press(Key::ArrowDown);
        harness.run_steps(2);
        assert_eq!(*harness.state(), 3, "without the focus");
        harness.get_by(|node| node.role() == eframe::egui::accesskit::Role::ComboBox).focus();
        harness.run_steps(3);
        for (key, expected) in [(Key::ArrowDown, 5), (Key::ArrowDown, 7), (Key::ArrowDown, 7), (Key::ArrowUp, 5)] {
            harness.key_press(key);
            harness.run_steps(2);
            assert_eq!(*harness.state(), expected);
        }
    }
}
