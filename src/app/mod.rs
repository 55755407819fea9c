//! The window: maps, inspector and tabs over one session. It asks jobs and shows what they answer; it never computes, never waits.
//!
//! Its rooms use only those to their left: `state` → `widgets` → `panels` → `shell`.

mod panels;
mod shell;
mod state;
#[cfg(test)]
mod tests;
mod widgets;

pub use shell::headless;
pub use shell::run::open;
pub use shell::start::Start;
pub use shell::window::Window;
pub use state::scope::{EstimateTraining, LoadTraining};
pub use state::session::Session;
pub use state::storage::Storage;
pub use state::threads::leave_the_window_its_time;
