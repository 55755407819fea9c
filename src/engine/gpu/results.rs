//! What comes back in single precision, added up to statistics in double precision.

use super::chunks::{Received, What};
use crate::engine::Block;
use crate::uncertainty::{GroupSums, StatisticsGrid, sums_len};
use rayon::prelude::*;

/// The statistics of a block, as far as they have come back.
pub(super) struct Results<'a> {
    block: &'a Block<'a>,
    /// Which members say the same in every draw: one pass of these stands for all.
    alike: Vec<bool>,
    /// Rows of a member: one for each group of draws, or one.
    rows: usize,
    /// The statistics of all members.
    pub(super) grid: StatisticsGrid,
    /// Of the members of which draws differ; those of no points where they do not come back.
    sums: GroupSums,
}

impl<'a> Results<'a> {
    /// With statistics of each group of each member.
    pub(super) fn in_groups(block: &'a Block<'a>, alike: Vec<bool>, classes: usize) -> Self {
        let (points, rows) = (block.point_numbers.len(), block.groups);
        let grid = StatisticsGrid::new(points, block.members.len() * rows, classes);
        Self { block, alike, rows, grid, sums: GroupSums::new(0, rows, classes) }
    }

    /// With statistics of each member, and sums of each group over all members.
    pub(super) fn pooled(block: &'a Block<'a>, alike: Vec<bool>, classes: usize) -> Self {
        let (points, groups) = (block.point_numbers.len(), block.groups);
        let grid = StatisticsGrid::new(points, block.members.len(), classes);
        Self { block, alike, rows: 1, grid, sums: GroupSums::new(points, groups, classes) }
    }

    /// Takes what came back: the rows of a member and, with the last member, the groups' sums over members. The first passes of a member
    /// replace what stands there, for a chunk that ran short of memory comes once more.
    pub(super) fn take(&mut self, received: &Received) {
        let What { points, place, passes } = &received.what;
        let is_alike = self.alike[*place];
        let (is_first, classes) = (passes.start == 0, self.grid.classes());
        let passes = if is_alike { 0..self.block.passes() } else { passes.clone() };
        let of_row = |row: usize| passes.clone().filter(|&pass| self.rows == 1 || self.block.group(pass) == row).count() as f64;
        let draws: Vec<f64> = (0..self.rows).map(of_row).collect();
        let length = sums_len(classes);
        let rows: Vec<&[f32]> = received.rows().collect();
        let of_point = self.block.members.len() * self.rows * length;
        let cells = &mut self.grid.rows_mut()[points.start * of_point..points.end * of_point];
        let first = place * self.rows * length;
        cells.par_chunks_exact_mut(of_point).enumerate().for_each(|(at, cells)| {
            for ((row, sums), &draws) in cells[first..].chunks_exact_mut(length).enumerate().zip(&draws) {
                if is_first {
                    sums.fill(0.0);
                }
                let (from, times) = if is_alike { (&rows[..], draws) } else { (&rows[row * (length - 1)..], 1.0) };
                sums[..length - 1].iter_mut().zip(from).for_each(|(sum, from)| *sum += times * f64::from(from[at]));
                sums[length - 1] += draws;
            }
        });
        let of_member = (length - 1) * if is_alike { 1 } else { self.rows };
        if rows.len() > of_member {
            let rows = &rows[of_member..];
            let of_point = self.block.groups * GroupSums::length(classes);
            self.sums.rows_mut(points.clone()).par_chunks_exact_mut(of_point).enumerate().for_each(|(at, sums)| {
                for (sums, rows) in sums.chunks_exact_mut(GroupSums::length(classes)).zip(rows.chunks_exact(classes + 1)) {
                    sums.iter_mut().zip(rows).for_each(|(sum, row)| *sum = f64::from(row[at]));
                }
            });
        }
    }

    /// All statistics of [`pooled`](Self::pooled) results, and the groups' sums with those of the members of which all draws are alike.
    pub(super) fn finish(mut self) -> (StatisticsGrid, GroupSums) {
        let (passes, groups, classes) = (self.block.passes(), self.block.groups, self.grid.classes());
        let in_group: Vec<f64> =
            (0..groups).map(|group| (0..passes).filter(|&pass| self.block.group(pass) == group).count() as f64).collect();
        let members = self.alike.len();
        let alike: Vec<usize> = (0..members).filter(|&place| self.alike[place]).collect();
        let length = GroupSums::length(classes);
        self.sums.rows_mut(0..self.grid.points()).par_chunks_exact_mut(groups * length).enumerate().for_each(|(point, sums)| {
            for (sums, &draws) in sums.chunks_exact_mut(length).zip(&in_group) {
                for &place in &alike {
                    let of_member = self.grid.sums(point, place);
                    let taken = of_member[..classes].iter().chain(&of_member[3 * classes..=3 * classes]);
                    sums.iter_mut().zip(taken).for_each(|(sum, all)| *sum += draws / passes as f64 * all);
                }
                sums[length - 1] = draws * members as f64;
            }
        });
        (self.grid, self.sums)
    }
}
