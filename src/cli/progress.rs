//! Progress for a person at a terminal; silent bars elsewhere, so that logs stay readable.

use super::shared::say;
use crate::jobs::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use std::ops::ControlFlow;

/// A progress bar on standard error; nothing is drawn where that is no terminal.
pub struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// A bar of `total` of the given unit.
    pub fn new(total: u64, unit: &str) -> Self {
        Self::with_template(total, &format!("{{bar:30}} {{percent:>3}} %  {{per_sec}} {unit}  {{eta}} left  {{msg}}"))
    }

    /// A bar that shows only the share that is done and the time left, for work without a readable unit.
    pub fn without_unit() -> Self {
        Self::with_template(1, "{bar:30} {percent:>3} %  {eta} left  {msg}")
    }

    fn with_template(total: u64, template: &str) -> Self {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self { bar: ProgressBar::new(total).with_style(style) }
    }

    /// Moves to `position` and shows a short message.
    pub fn at(&self, position: u64, message: &str) {
        self.bar.set_position(position);
        self.bar.set_message(message.to_owned());
    }

    /// Moves to `position` of a new total and shows a short message.
    pub fn of(&self, position: u64, total: u64, message: &str) {
        self.bar.set_length(total);
        self.at(position, message);
    }

    /// Follows a job.
    pub fn follow(&self) -> impl FnMut(Progress) -> ControlFlow<()> {
        |Progress { done, total }| {
            self.bar.set_length(total);
            self.bar.set_position(done);
            ControlFlow::Continue(())
        }
    }

    /// Says a line that stays, above the bar; also where there is no terminal.
    pub fn say(&self, line: &str) {
        self.bar.suspend(|| say(line));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
