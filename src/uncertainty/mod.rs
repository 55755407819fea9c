//! What the draws say together: statistics that add up, and the measures of uncertainty that are functions of them.

/// Why a measure that [needs draws](Measure::needs_draws) ranks and bounds nothing where one member has no random layer.
pub const UNDEFINED_WITHOUT_DRAWS: &str = "undefined: this model has no draws";
/// The same for a random model of which one draw was taken.
pub const UNDEFINED_FOR_ONE_DRAW: &str = "undefined: one draw; take at least 2";

pub mod measure;
mod standard_error;
mod statistics;

pub use measure::{Measure, Passes};
pub use standard_error::{GroupSums, NO_STANDARD_ERROR};
pub use statistics::{CellStatistics, StatisticsGrid, add_draw, equalize_draws, sums_len};
