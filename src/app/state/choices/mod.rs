//! What is chosen in each tab, as the session keeps it.

pub mod attack;
pub mod detection;
pub mod holes;
pub mod training;
