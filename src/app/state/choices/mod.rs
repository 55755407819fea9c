//! What is chosen in each tab, as the session keeps it.

pub mod attack;
pub mod detection;
pub mod holes;
pub mod training;

/// The most points along each axis of a map that the window offers.
pub const MOST_GRID: usize = 512;
