//! What frames the panels: the window, its menus and dialogs, and how it is started.

pub mod dialogs;
pub mod encoded;
pub mod export;
pub mod file_manager;
pub mod headless;
pub mod help;
pub mod keys;
pub mod library;
pub mod map_costs;
pub mod map_requests;
pub mod menu;
pub mod opening;
pub mod questions;
pub mod reading;
pub mod run;
pub mod software_painter;
pub mod start;
pub mod status;
pub mod tiles;
pub mod toolbar;
pub mod tour;
pub mod window;
