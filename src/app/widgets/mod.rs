//! What panels are built from: colours, plots, pictures.

pub mod class_dot;
pub mod colour_bar;
pub mod fields;
pub mod images;
pub mod menus;
pub mod plane;
pub mod standing;
pub mod style;
pub mod toasts;
