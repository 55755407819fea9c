//! The window without a window: clicks, drags and keys through `egui_kittest`.
