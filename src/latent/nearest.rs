//! The nearest encodings of any point of the plane.

use super::{Density, Encodings};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Encodings in a k-d tree (Bentley 1975): the median along one axis stands in the middle of its slice, what is smaller before
/// it, what is larger behind it, and the axes take turns. Points may coincide, and a point far away costs nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Nearest {
    /// The points in the tree's order, each with its number in the encodings.
    tree: Vec<([f64; 2], u32)>,
}

/// What lies around a point of the plane: how dense the encodings are there, and which are the nearest.
#[derive(Clone, Debug, PartialEq)]
pub struct Surroundings {
    /// The density of the encodings.
    pub density: Density,
    /// The nearest of them.
    pub nearest: Nearest,
}

impl Surroundings {
    /// Takes in the encodings.
    pub fn new(encodings: &Encodings) -> Self {
        Self { density: Density::new(encodings), nearest: Nearest::new(encodings) }
    }
}

/// An encoding at a squared distance, ordered by it; equal ones by their numbers, so that the answer is one answer.
#[derive(PartialEq)]
struct Candidate {
    squared: f64,
    number: u32,
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.squared.total_cmp(&other.squared).then(self.number.cmp(&other.number))
    }
}

impl Nearest {
    /// Takes in the encodings.
    pub fn new(encodings: &Encodings) -> Self {
        let points = encodings.points.iter().zip(0..);
        let mut tree: Vec<_> = points.map(|(point, number)| (point.map(f64::from), number)).collect();
        arrange(&mut tree, 0);
        Self { tree }
    }

    /// The `k` encodings nearest to z (all, where there are fewer), the nearest first: the number of each and its Euclidean
    /// distance in units of z. Of those at one distance, the lower numbers.
    pub fn nearest(&self, z: [f64; 2], k: usize) -> Vec<(usize, f64)> {
        let mut best = BinaryHeap::with_capacity(k.min(self.tree.len()) + 1);
        if k > 0 {
            search(&self.tree, 0, z, k, &mut best);
        }
        best.into_sorted_vec().into_iter().map(|Candidate { squared, number }| (number as usize, squared.sqrt())).collect()
    }

    /// The distance to the nearest encoding in units of z.
    pub fn distance(&self, z: [f64; 2]) -> f64 {
        self.nearest(z, 1).first().map_or(f64::INFINITY, |&(_, distance)| distance)
    }
}

fn arrange(slice: &mut [([f64; 2], u32)], axis: usize) {
    if slice.len() > 1 {
        let middle = slice.len() / 2;
        slice.select_nth_unstable_by(middle, |a, b| a.0[axis].total_cmp(&b.0[axis]));
        let (before, behind) = slice.split_at_mut(middle);
        arrange(before, 1 - axis);
        arrange(&mut behind[1..], 1 - axis);
    }
}

fn search(slice: &[([f64; 2], u32)], axis: usize, z: [f64; 2], k: usize, best: &mut BinaryHeap<Candidate>) {
    let middle = slice.len() / 2;
    let Some(&(point, number)) = slice.get(middle) else { return };
    best.push(Candidate { squared: (point[0] - z[0]).powi(2) + (point[1] - z[1]).powi(2), number });
    if best.len() > k {
        best.pop();
    }
    let beyond = z[axis] - point[axis];
    let (before, behind) = (&slice[..middle], &slice[middle + 1..]);
    let (near, far) = if beyond < 0.0 { (before, behind) } else { (behind, before) };
    search(near, 1 - axis, z, k, best);
    // What is as far as the farthest may still have a lower number.
    if best.len() < k || best.peek().is_some_and(|worst| beyond * beyond <= worst.squared) {
        search(far, 1 - axis, z, k, best);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    /// Points on a coarse lattice, so that many distances are equal and many points coincide, and one far away.
    fn encodings(count: u32) -> Encodings {
        let stream = Stream::new(4, Purpose::Choice);
        let coordinate = |i, axis| (8.0 * stream.uniform([axis, 0, 0], i)).floor() as f32 / 2.0 - 2.0;
        let mut points: Vec<[f32; 2]> = (0..count).map(|i| [coordinate(i, 0), coordinate(i, 1)]).collect();
        points[0] = [1e6, -3.0];
        Encodings::new(points, vec![0; count as usize], vec!["only".into()]).unwrap()
    }

    fn brute_force(encodings: &Encodings, z: [f64; 2], k: usize) -> Vec<(usize, f64)> {
        let distance = |point: &[f32; 2]| ((f64::from(point[0]) - z[0]).powi(2) + (f64::from(point[1]) - z[1]).powi(2)).sqrt();
        let mut all: Vec<(usize, f64)> = encodings.points.iter().map(distance).enumerate().collect();
        // The sort is stable: lower numbers first.
        all.sort_by(|a, b| a.1.total_cmp(&b.1));
        all.truncate(k);
        all
    }

    #[test]
    fn it_finds_what_a_search_through_all_finds() {
        for count in [1, 2, 7, 300] {
            let encodings = encodings(count);
            let nearest = Nearest::new(&encodings);
            for z in [[0.0, 0.0], [0.5, -1.0], [-2.0, 1.5], [0.125, 0.75], [9.0, -30.0], [9e5, 1.0]] {
                for k in [0, 1, 2, 13, 400] {
                    let (found, expected) = (nearest.nearest(z, k), brute_force(&encodings, z, k));
                    let numbers = |of: &[(usize, f64)]| of.iter().map(|(number, _)| *number).collect::<Vec<_>>();
                    assert_eq!(numbers(&found), numbers(&expected), "{count} points, {k} nearest to {z:?}");
                    let off = |(a, b): (&(usize, f64), &(usize, f64))| (a.1 - b.1).abs() > 1e-9 * b.1.max(1.0);
                    assert!(!found.iter().zip(&expected).any(off));
                }
                assert!((nearest.distance(z) - brute_force(&encodings, z, 1)[0].1).abs() <= 1e-9 * 1e6);
            }
        }
    }
}
