//! What the draws say together: statistics that add up, and the measures of uncertainty that are functions of them.

pub mod measure;
mod standard_error;
mod statistics;

pub use measure::{Measure, Passes};
pub use standard_error::mutual_information_standard_error;
pub use statistics::{CellStatistics, StatisticsGrid, add_draw, sums_len};
