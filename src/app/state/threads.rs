//! Threads that leave the window its time.

use thread_priority::{ThreadPriority, set_current_thread_priority};

/// Of 99: enough below the window's 50 or so that it comes first, and not so low that other programs starve the engine.
const ENGINE_PRIORITY: u8 = 30;

/// The engine's threads give way to the window's, so that it never stutters, even on two cores.
pub fn leave_the_window_its_time() {
    // The pool exists already: the program starts it first of all.
    rayon::broadcast(|_| lower_priority());
}

/// Threads of that name with the engine's priority.
pub fn unhurried(name: &'static str) -> rayon::ThreadPoolBuilder {
    rayon::ThreadPoolBuilder::new().thread_name(move |number| format!("{name} {number}")).start_handler(|_| lower_priority())
}

/// Gives this thread the engine's priority. Where the system refuses, the window shares its time evenly.
fn lower_priority() {
    if let Ok(value) = ENGINE_PRIORITY.try_into() {
        set_current_thread_priority(ThreadPriority::Crossplatform(value)).ok();
    }
}
