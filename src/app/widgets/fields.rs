//! Fields that one types into.

use eframe::egui::{Id, Response, TextEdit, Ui};

/// A list of numbers as a text, such as 400,256. What is no such list changes nothing.
pub fn numbers(ui: &mut Ui, name: &str, values: &mut Vec<usize>, hint: &str, width: f32) -> Response {
    let id = Id::unique(("numbers", name));
    let shown = values.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    // While it is typed in, the text is what has been typed.
    let mut text = ui.data(|data| data.get_temp::<String>(id)).unwrap_or_else(|| shown.clone());
    let parsed = |text: &str| {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(str::parse::<usize>).collect::<Result<Vec<_>, _>>()
    };
    let valid = parsed(&text).is_ok();
    let colour = if valid { ui.visuals().text_color() } else { ui.visuals().warn_fg_color };
    let response = ui.add(TextEdit::singleline(&mut text).hint_text(hint).desired_width(width).text_color(colour));
    if response.changed()
        && let Ok(numbers) = parsed(&text)
    {
        *values = numbers;
    }
    let typing = response.has_focus();
    ui.data_mut(|data| {
        if typing {
            data.insert_temp(id, text);
        } else {
            data.remove::<String>(id);
        }
    });
    response
}
