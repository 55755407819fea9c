//! Opening the window, and saying why it does not open.

use crate::app::shell::start::Start;
use crate::app::shell::window::Window;
use crate::app::state::threads::leave_the_window_its_time;
use crate::error::{Error, Result};
use eframe::egui::{Ui, ViewportBuilder};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The packages that a window needs on Debian and Ubuntu; elsewhere they have similar names.
const PACKAGES: &str = "libxcursor1 libxi6 libxkbcommon-x11-0 mesa-vulkan-drivers";

/// The program in its window.
pub(in crate::app) struct Program(pub Window);

impl eframe::App for Program {
    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        self.0.frame(ui);
    }

    fn on_exit(&mut self) {
        self.0.finish();
    }
}

/// Opens the window and stays until it is closed.
///
/// # Errors
/// When there is no display, no graphics driver, or a library is missing; says what to install. Nothing has been shown then.
pub fn open(start: Start) -> Result<()> {
    let has_display = ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"].iter().any(|name| std::env::var_os(name).is_some());
    if cfg!(target_os = "linux") && !has_display {
        return Err(no_window("there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)", "start it in a graphical session"));
    }
    leave_the_window_its_time();
    let size = start.storage.preferences().unwrap_or_default().window;
    let viewport = ViewportBuilder::default()
        .with_title("Epistemap")
        .with_app_id("epistemap")
        .with_inner_size(size)
        .with_clamp_size_to_monitor_size(true);
    let options = eframe::NativeOptions { viewport: viewport.with_min_inner_size([320.0, 240.0]), ..Default::default() };
    let mut refused = None;
    // A missing library of the keyboard panics within the window system's crates.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        eframe::run_native(
            "epistemap",
            options,
            Box::new(|creation| {
                let window = Window::open(&creation.egui_ctx, start);
                Ok(Box::new(Program(window.inspect_err(|error| refused = Some(error.to_string()))?)))
            }),
        )
    }));
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) if refused.is_some() => Err(not_opened(&refused.unwrap_or_default())),
        Ok(Err(error)) => Err(no_window(&error.to_string(), &format!("on Debian or Ubuntu: apt-get install {PACKAGES}"))),
        Err(_) => Err(no_window("a library of the window system is missing", &format!("on Debian or Ubuntu: apt-get install {PACKAGES}"))),
    }
}

/// The error of a window that could not open, from the sentence that says why, which may already end in a remedy.
fn not_opened(refused: &str) -> Error {
    let sentence = refused.trim_end_matches('.');
    // At the start there is no former state that could have changed.
    let sentence = sentence.strip_suffix("; nothing was changed").unwrap_or(sentence);
    let (problem, remedy) = sentence.rsplit_once("; ").unwrap_or((sentence, "mend that first"));
    Error::setting("the window", problem, remedy)
}

fn no_window(problem: &str, mend: &str) -> Error {
    Error::setting("the window cannot open", problem, mend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::shell::reading::unchanged;
    use std::path::Path;

    #[test]
    fn refusals_of_the_window_end_with_one_mend() {
        let of_session = Error::setting("'panes' of the session", "there are 3 where four are expected", "choose another session file");
        let refused = not_opened(&unchanged(Path::new("s.json"), &of_session).to_string()).to_string();
        let expected = "the window: s.json: 'panes' of the session: there are 3 where four are expected; choose another session file.";
        assert_eq!(refused, expected);
        assert_eq!(not_opened("the adapter is lost.").to_string(), "the window: the adapter is lost; mend that first.");
    }
}
