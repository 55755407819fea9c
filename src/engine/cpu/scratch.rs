//! Buffers and times of the tasks of this engine.

use super::kernel::{LANES, Row};
use std::collections::BTreeMap;
use std::time::Instant;

/// Buffers of one task, kept from one to the next.
#[derive(Debug, Default)]
pub struct Scratch {
    pub buffers: Vec<Vec<Row>>,
    /// As many as threads share a step; at least one.
    pub parts: Vec<Part>,
    /// The time of each step by its name, where it is measured.
    pub times: Option<Times>,
    /// The values of each panel that cross from trunk to head, while the draws run.
    pub trunks: Vec<Vec<Vec<Row>>>,
    /// The part of the first thinned layer that all draws share, panel by panel.
    pub base: Vec<Row>,
    /// The activations of thinned draws.
    pub x: Vec<Row>,
    pub next: Vec<Row>,
}

/// Buffers of one thread of a task.
#[derive(Debug, Default)]
pub struct Part {
    pub work: Vec<Row>,
    pub lines: Vec<Row>,
}

/// What steps took, by their names.
pub type Times = BTreeMap<String, Time>;

/// How often something ran, the seconds of all threads together, and its floating-point operations.
#[derive(Clone, Copy, Debug, Default)]
pub struct Time {
    pub calls: u64,
    pub seconds: f64,
    pub flops: f64,
}

impl Time {
    /// Adds another.
    pub fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.seconds += other.seconds;
        self.flops += other.flops;
    }
}

impl Scratch {
    /// Lets so many threads share each step.
    pub fn share(&mut self, parts: usize) {
        self.parts.resize_with(parts.max(1), Part::default);
    }

    /// Adds the time since `start`, where times are measured, with operations for one point of a panel.
    pub fn clock(&mut self, start: Option<Instant>, name: impl FnOnce() -> String, flops: f64) {
        if let (Some(start), Some(times)) = (start, &mut self.times) {
            let seconds = start.elapsed().as_secs_f64() * self.parts.len() as f64;
            let time = Time { calls: 1, seconds, flops: flops * LANES as f64 };
            times.entry(name()).or_default().add(time);
        }
    }

    /// The time now, where times are measured.
    pub fn start(&self) -> Option<Instant> {
        self.times.as_ref().map(|_| Instant::now())
    }

    /// Puts the values of a panel that cross from trunk to head away, or takes them back.
    pub fn swap_trunk(&mut self, panel: usize, crossing: &[usize]) {
        self.trunks[panel].resize_with(crossing.len(), Vec::new);
        for (value, &buffer) in self.trunks[panel].iter_mut().zip(crossing) {
            std::mem::swap(value, &mut self.buffers[buffer]);
        }
    }
}
