//! Fields that one types into.

use crate::app::widgets::style;
use eframe::egui::{Label, Response, TextEdit, Ui};

/// A field for a list of numbers, such as 400,256. A text that is no such list stays as it was typed, marked, and changes no value.
#[derive(Default)]
pub struct NumberList {
    text: String,
    /// The numbers that the text stands for, as far as it was right.
    read: Vec<usize>,
    problem: Option<String>,
}

impl NumberList {
    /// Draws the field. `wrong` says what is wrong with a number that is one.
    pub fn show(
        &mut self,
        ui: &mut Ui,
        values: &mut Vec<usize>,
        wrong: impl Fn(usize) -> Option<String>,
        hint: &str,
        width: f32,
    ) -> Response {
        if self.read != *values {
            self.text = values.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
            self.read.clone_from(values);
        }
        let colour = if self.problem.is_none() { ui.visuals().text_color() } else { ui.visuals().warn_fg_color };
        let response = ui.add(TextEdit::singleline(&mut self.text).hint_text(hint).desired_width(width).text_color(colour));
        match numbers(&self.text, wrong) {
            Ok(numbers) => {
                self.problem = None;
                self.read.clone_from(&numbers);
                if *values != numbers {
                    *values = numbers;
                }
            }
            Err(problem) => self.problem = Some(problem),
        }
        response
    }

    /// What is wrong with the text.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// The row under the field: what it is usually about, or what is wrong with its text. It is always there, so that no field moves while
    /// one types.
    pub fn remark(&self, ui: &mut Ui, usual: &str) {
        let text = match &self.problem {
            Some(problem) => style::note(problem).color(ui.visuals().warn_fg_color),
            None => style::note(usual),
        };
        ui.add(Label::new(text).truncate());
    }
}

/// The numbers of a text with commas between them.
fn numbers(text: &str, wrong: impl Fn(usize) -> Option<String>) -> Result<Vec<usize>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let number = |part: &str| {
        let number = part.parse().map_err(|_| format!("{part} is no number"))?;
        wrong(number).map_or(Ok(number), Err)
    };
    parts.map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_numbers_are_read_and_the_first_mistake_is_named() {
        let wrong = |class: usize| (class > 9).then(|| format!("{class}: there are only 10 classes"));
        assert_eq!(numbers(" 0, 3,9,", wrong), Ok(vec![0, 3, 9]));
        assert_eq!(numbers("", wrong), Ok(Vec::new()));
        assert_eq!(numbers("0,x,99", wrong), Err("x is no number".to_owned()));
        assert_eq!(numbers("0,99", wrong), Err("99: there are only 10 classes".to_owned()));
        assert_eq!(numbers("-1", wrong), Err("-1 is no number".to_owned()));
    }
}
