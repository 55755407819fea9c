//! What the draws say together: statistics that add up, and the measures of uncertainty that are functions of them.

mod statistics;

pub use statistics::{CellStatistics, StatisticsGrid};
