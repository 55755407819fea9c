//! Groups of draws for the standard error of a map whose draws come bit by bit.

use crate::uncertainty::GroupSums;
use std::ops::Range;

/// The groups of draws that the standard error is estimated from.
const GROUPS: usize = 10;

/// Into how many groups draws are cut.
pub fn group_count(samples: u32) -> usize {
    GROUPS.min(samples as usize)
}

/// The sums of groups of consecutive draws over all members, point by point.
#[derive(Clone, Debug)]
pub struct DrawGroups {
    /// The number of the draw after each group, in ascending order; the last is the number of all draws.
    ends: Vec<u32>,
    sums: GroupSums,
}

impl DrawGroups {
    /// Groups of no draws yet, of equal size where that goes.
    pub fn new(points: usize, samples: u32, classes: usize) -> Self {
        let ends = equal_ends(samples);
        Self { sums: GroupSums::new(points, ends.len(), classes), ends }
    }

    /// The bytes of a point.
    pub fn bytes_per_point(samples: u32, classes: usize) -> usize {
        group_count(samples) * GroupSums::length(classes) * size_of::<f64>()
    }

    /// The same sums in the groups of more draws. Each group here becomes part of one group there, so these are of unequal size where
    /// equal ones would cut a group.
    #[must_use]
    pub fn continued(&self, samples: u32, classes: usize) -> Self {
        let taken = self.ends.last().copied().unwrap_or(0);
        let nearest = |end: u32| self.ends.iter().copied().min_by_key(|own| own.abs_diff(end)).unwrap_or(end);
        let mut ends: Vec<u32> = equal_ends(samples).into_iter().map(|end| if end < taken { nearest(end) } else { end }).collect();
        ends.dedup();
        let (length, points) = (GroupSums::length(classes), self.sums.points());
        let mut continued = Self { sums: GroupSums::new(points, ends.len(), classes), ends };
        let starts: Vec<u32> = std::iter::once(0).chain(self.ends.iter().copied()).collect();
        for point in 0..points {
            for (row, &start) in self.sums.rows(point).chunks_exact(length).zip(&starts) {
                continued.add_row(point, start, row);
            }
        }
        continued
    }

    /// The fewest groups that an engine can cut these draws into without mixing draws of two groups of the map.
    pub fn within(&self, draws: &Range<u32>) -> usize {
        let passes = draws.len();
        let group = |pass: usize| self.group(draws.start + pass as u32);
        let fits =
            |count: usize| (1..passes).all(|pass| pass * count / passes != (pass - 1) * count / passes || group(pass) == group(pass - 1));
        (1..=passes).find(|&count| fits(count)).unwrap_or(1)
    }

    /// Adds the sums of an answer's groups of draws, those of its point `at`, to a point of the map.
    pub fn add(&mut self, point: usize, draws: &Range<u32>, (sums, at): (&GroupSums, usize)) {
        let (passes, count, length) = (draws.len(), sums.groups(), sums.rows(at).len() / sums.groups());
        for (group, row) in sums.rows(at).chunks_exact(length).enumerate() {
            // All draws of the answer's group are of one group of the map: that of the first.
            self.add_row(point, draws.start + (group * passes).div_ceil(count) as u32, row);
        }
    }

    /// As [`GroupSums::mutual_information_standard_error`].
    pub fn standard_error(&self, point: usize, members: usize) -> f64 {
        self.sums.mutual_information_standard_error(point, members)
    }

    /// The group of a draw.
    fn group(&self, draw: u32) -> usize {
        self.ends.partition_point(|&end| end <= draw)
    }

    /// Adds the sums of draws of one group, of which `draw` is one.
    fn add_row(&mut self, point: usize, draw: u32, row: &[f64]) {
        let to = self.group(draw) * row.len();
        let of_point = self.sums.rows_mut(point..point + 1);
        of_point[to..][..row.len()].iter_mut().zip(row).for_each(|(sum, other)| *sum += other);
    }
}

/// The ends of groups of equal size, as an engine cuts draws.
fn equal_ends(samples: u32) -> Vec<u32> {
    let count = group_count(samples);
    (1..=count).map(|group| (group * samples as usize).div_ceil(count) as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_an_answer_never_mix_groups_of_the_map() {
        // Groups of five draws; of one or two; all draws in the first group of a hundred.
        for (samples, draws, expected) in [(50, 0..10, 2), (50, 10..50, 8), (4, 0..4, 4), (12, 10..12, 2), (1000, 0..50, 1)] {
            assert_eq!(DrawGroups::new(1, samples, 2).within(&draws), expected, "{draws:?} of {samples}");
        }
    }

    #[test]
    fn continued_groups_cut_no_group_and_lose_no_draw() {
        for (before, after, ends) in [
            (20, 50, &[4, 10, 14, 20, 25, 30, 35, 40, 45, 50][..]),
            (50, 100, &[10, 20, 30, 40, 50, 60, 70, 80, 90, 100]),
            (4, 20, &[2, 4, 6, 8, 10, 12, 14, 16, 18, 20]),
            (7, 7, &[1, 2, 3, 4, 5, 6, 7]),
        ] {
            let mut groups = DrawGroups::new(1, before, 2);
            for draw in 0..before {
                groups.add_row(0, draw, &[f64::from(draw), 0.0, 0.0, 1.0]);
            }
            let continued = groups.continued(after, 2);
            assert_eq!(continued.ends, ends, "{before} to {after}");
            let rows: Vec<[f64; 2]> = continued.sums.rows(0).chunks_exact(4).map(|row| [row[0], row[3]]).collect();
            let mut start = 0;
            for (row, &end) in rows.iter().zip(ends) {
                let draws = start..end.min(before).max(start);
                assert_eq!(*row, [draws.clone().map(f64::from).sum(), draws.len() as f64], "{before} to {after}, {draws:?}");
                start = end;
            }
        }
    }
}
