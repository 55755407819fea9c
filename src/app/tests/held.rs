//! An engine that waits, so that a test sees what stands on the screen meanwhile.

use crate::app::state::scope::Scope;
use crate::engine::test_engine::TestEngine;
use crate::engine::{AUTO, Block, Draws, cpu};
use crate::jobs::SharedEngine;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

/// Gives a window an engine that answers nothing until what is returned is dropped.
pub fn hold(scope: &mut Scope) -> Sender<()> {
    hold_where(scope, |_| true)
}

/// As [`hold`], but only blocks of draws from that number on wait.
pub fn hold_from(scope: &mut Scope, draw: u32) -> Sender<()> {
    hold_where(scope, move |block| block.is_some_and(|block| matches!(&block.draws, Draws::Sampled(draws) if draws.start >= draw)))
}

/// As [`hold`], but only some calls wait; those for other things than draws have no block.
pub fn hold_where(scope: &mut Scope, waits: impl Fn(Option<&Block<'_>>) -> bool + Send + 'static) -> Sender<()> {
    let (release, gate) = channel();
    let wait = move |_, block: Option<&mut Block<'_>>| {
        if waits(block.as_deref()) {
            // Nothing is ever sent: this ends with the sender.
            let _ = gate.recv();
        }
        Ok(())
    };
    let engine = cpu::open(Arc::clone(&scope.set.models)).unwrap();
    scope.engine = SharedEngine::of(AUTO, TestEngine::over(engine, wait));
    release
}
