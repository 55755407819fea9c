//! What the window knows: the session, results, where the pointer is, and what is to happen. Nothing here draws.

pub mod answer;
pub mod choices;
pub mod difference;
pub mod event;
pub mod history;
pub mod repair;
pub mod scope;
pub mod session;
pub mod storage;
pub mod threads;
pub mod values;
pub mod views;
pub mod wording;
