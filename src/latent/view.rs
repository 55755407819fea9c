//! A rectangle of the latent plane and the grid of points in it.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Beyond this a decoder computes only infinities.
const FARTHEST: f64 = 1e6;
/// The most points along one axis.
const FINEST: usize = 8192;

/// A rectangle of the latent plane with a grid of points; the outermost points lie on its border.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// The first and last z₁ (the columns).
    pub z1: [f64; 2],
    /// The first and last z₂ (the rows); row 0 is the lowest.
    pub z2: [f64; 2],
    /// The number of points along z₁.
    pub columns: usize,
    /// The number of points along z₂.
    pub rows: usize,
}

impl View {
    /// A view whose numbers make sense.
    ///
    /// # Errors
    /// When a bound is not finite or too far out, a range is empty, or a count is 0 or too large.
    pub fn new(z1: [f64; 2], z2: [f64; 2], columns: usize, rows: usize) -> Result<Self> {
        for [first, last] in [z1, z2] {
            let usable = |bound: f64| bound.abs() <= FARTHEST;
            if !(usable(first) && usable(last) && first < last) {
                return Err(Error::setting(
                    "--extent",
                    format!("{first},{last} is not a range of the latent plane"),
                    format!("give two numbers, the smaller first, each within ±{FARTHEST:e}, such as --extent=-10,10"),
                ));
            }
        }
        for count in [columns, rows] {
            if !(1..=FINEST).contains(&count) {
                return Err(Error::setting(
                    "--grid",
                    format!("{count} is not a number of points"),
                    format!("give a number from 1 to {FINEST}"),
                ));
            }
        }
        Ok(Self { z1, z2, columns, rows })
    }

    /// A square view with the same range on both axes, as the paper's figures.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn square(extent: [f64; 2], grid: usize) -> Result<Self> {
        Self::new(extent, extent, grid, grid)
    }

    /// The number of points.
    pub fn len(&self) -> usize {
        self.columns * self.rows
    }

    /// Always false: a view has one point at least.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The z₁ of each column.
    pub fn z1_axis(&self) -> Vec<f64> {
        axis(self.z1, self.columns)
    }

    /// The z₂ of each row.
    pub fn z2_axis(&self) -> Vec<f64> {
        axis(self.z2, self.rows)
    }

    /// Every point, row by row from the lowest z₂.
    pub fn points(&self) -> Vec<[f64; 2]> {
        let z1 = self.z1_axis();
        self.z2_axis().into_iter().flat_map(|z2| z1.iter().map(move |&z1| [z1, z2])).collect()
    }
}

/// `count` evenly spaced numbers from the first to the last; the middle for a single one.
fn axis([first, last]: [f64; 2], count: usize) -> Vec<f64> {
    if count == 1 {
        return vec![f64::midpoint(first, last)];
    }
    (0..count).map(|i| first + (last - first) * i as f64 / (count - 1) as f64).collect()
}
