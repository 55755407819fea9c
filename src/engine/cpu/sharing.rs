//! How work is shared among threads: tasks first, and the steps of a task where there are fewer tasks than threads.

use super::kernel::{Packed, Row, add_products, add_some_products};
use rayon::prelude::*;

/// Multiplications for one point from which on a product is worth being shared among threads: some ten microseconds.
pub const LEAST_PRODUCTS: usize = 1 << 14;

/// Rows from which on an elementwise step is worth being shared among threads: some ten microseconds.
const LEAST_SHARED: usize = 1 << 12;

/// How the tasks of a block share the threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// Threads that share each step of a task: more than one where there are fewer tasks than threads.
    pub parts: usize,
    /// Whether the members of a task run at once.
    pub members_at_once: bool,
}

impl Sharing {
    /// Of so many tasks with so many members, of which `at_once` run at once at most.
    pub fn of(tasks: usize, at_once: usize, members: usize) -> Self {
        let threads = rayon::current_num_threads();
        let members_at_once = at_once >= threads;
        let busy = tasks.min(at_once) * if members_at_once { members } else { 1 };
        Self { parts: (threads / busy.max(1)).max(1), members_at_once }
    }
}

/// How many tasks with `rows` rows of activations run at once: one at least.
pub fn tasks_within(bytes: usize, rows: usize, threads: usize) -> usize {
    (bytes / (rows * size_of::<Row>()).max(1)).clamp(1, threads.max(1))
}

/// Calls `work(task, its values)` for each piece of `length` values, with at most `at_once` pieces in parallel.
pub fn in_groups<T: Send>(values: &mut [T], length: usize, at_once: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    let length = length.max(1);
    let all_at_once = at_once >= rayon::current_num_threads();
    let group = if all_at_once { values.len().div_ceil(length).max(1) } else { at_once };
    for (number, values) in values.chunks_mut(length * group).enumerate() {
        values.par_chunks_mut(length).enumerate().for_each(|(task, values)| work(number * group + task, values));
    }
}

/// Calls `work(number of the first unit, rows)` for runs of whole units of `unit` rows, as many at once as there are `parts`.
pub fn in_parts(parts: usize, unit: usize, rows: &mut [Row], work: impl Fn(usize, &mut [Row]) + Sync) {
    if parts == 1 || rows.len() < LEAST_SHARED {
        return work(0, rows);
    }
    let units = (rows.len() / unit).div_ceil(parts).max(1);
    rows.par_chunks_mut(units * unit).enumerate().for_each(|(part, rows)| work(part * units, rows));
}

/// As [`add_products`], the outputs of a single x on as many threads as there are `parts`: equal to the bit.
pub fn add_products_in_parts<'a>(
    parts: usize,
    xs: impl Iterator<Item = &'a [Row]> + Clone + Sync,
    rows: &[u32],
    weights: &Packed,
    out: &mut [Row],
) {
    if parts == 1 || out.len() != weights.outputs() || rows.len() * weights.outputs() < LEAST_PRODUCTS {
        return add_products(xs, rows, weights, out);
    }
    let (mut rest, mut tasks) = (out, Vec::with_capacity(parts));
    for outputs in weights.parts(parts) {
        let (these, others) = std::mem::take(&mut rest).split_at_mut(outputs.len());
        tasks.push((outputs, these));
        rest = others;
    }
    tasks.into_par_iter().for_each(|(outputs, out)| add_some_products(xs.clone(), rows, weights, outputs, out));
}
