//! The dialog that exports figures and data, with a preview.

mod contents;
mod controls;
mod dialog;
pub mod subject;
#[cfg(test)]
pub mod tests;
mod work;

pub use dialog::Exports;
