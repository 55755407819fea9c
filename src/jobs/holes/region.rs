//! The region of the latent plane on which holes are found.

use crate::error::Result;
use crate::latent::{Encodings, View};

/// The points along each axis of the region, where none are asked for.
pub const HOLE_GRID: usize = 80;
/// The share of the encodings that the inner square holds.
const HELD: f64 = 0.99;
/// How much wider than that square the region is.
const WIDER: f64 = 3.0;

/// The default region: a square three times as wide as the one that holds 99 % of the encodings, around the same centre (their median),
/// with `grid` points along each axis.
///
/// # Errors
/// As [`View::new`].
pub fn hole_region(encodings: &Encodings, grid: usize) -> Result<View> {
    let sorted = |mut values: Vec<f64>| {
        values.sort_unstable_by(f64::total_cmp);
        values
    };
    let centre = [0, 1].map(|axis| {
        let along = sorted(encodings.points.iter().map(|point| f64::from(point[axis])).collect());
        f64::midpoint(along[(along.len() - 1) / 2], along[along.len() / 2])
    });
    let away = |point: &[f32; 2]| [0, 1].map(|axis| (f64::from(point[axis]) - centre[axis]).abs()).into_iter().fold(0.0, f64::max);
    let away = sorted(encodings.points.iter().map(away).collect());
    let inside = (HELD * away.len() as f64 - 1e-9).ceil() as usize;
    // Encodings in one point have a square of their own.
    let half = Some(away[inside.max(1) - 1]).filter(|half| *half > 0.0).unwrap_or(1.0);
    let along = centre.map(|middle| [middle - WIDER * half, middle + WIDER * half]);
    View::new(along[0], along[1], grid, grid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_is_three_times_the_square_of_99_percent() {
        // 100 encodings around (2, −1): one far away, the others at most 1 from there along an axis.
        let mut points: Vec<[f32; 2]> = (0..99).map(|i| [2.0 + (i - 49) as f32 / 49.0, -1.0]).collect();
        points.push([900.0, -1.0]);
        let encodings = Encodings::new(points, vec![0; 100], vec!["only".into()]).unwrap();
        let region = hole_region(&encodings, 40).unwrap();
        assert_eq!((region.columns, region.rows), (40, 40));
        assert!((region.z1[0] + region.z1[1] - 4.0).abs() < 0.05 && (region.z2[0] + region.z2[1] + 2.0).abs() < 1e-9);
        let widths = [region.z1, region.z2].map(|[first, last]| last - first);
        assert!(widths.iter().all(|width| (width - 6.0).abs() < 0.1), "{widths:?}");
        let same = Encodings::new(vec![[1.0, 1.0]; 3], vec![0; 3], vec!["only".into()]).unwrap();
        assert_eq!(hole_region(&same, 5).unwrap().z1, [-2.0, 4.0]);
    }
}
