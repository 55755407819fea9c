//! Shortest curves of the latent plane as the decoder g sees it: under its pull-back metric G(z) = J(z)ᵀ J(z), where J is the
//! Jacobian of g, the length of a curve is that of its images' path in pixel space (Arvanitidis, Hansen & Hauberg 2018, *Latent
//! space oddity*; Shao, Kumar & Fletcher 2018, *The Riemannian geometry of deep generative models*).
//!
//! The discrete energy Σ ‖g(zᵢ₊₁) − g(zᵢ)‖² has local minima, so a descent from the straight line is not enough: of 60 pairs of
//! MNIST's test digits it ended above the curve below for 16, by 1 % and more, and below it for none. The shortest path on a
//! coarse grid (Dijkstra 1959), which is global, is the start, and Gauss–Newton with Levenberg's damping refines it: the
//! residuals g(zᵢ₊₁) − g(zᵢ) couple neighbours only, so a step solves a block-tridiagonal system, in less time than it takes to
//! decode a point. About 40 ms of one core with the paper's VAE, most of them for the images of the grid.

use crate::error::{Error, Result};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The pieces of the curve while it is sought: so many as make the fifteen images of the paper's figure 2 every other point.
const PIECES: usize = 28;
/// The grid: so many steps from one end to the other, and so many beyond an end and to either side.
const BETWEEN: usize = 24;
const BEYOND: usize = 8;
const BESIDE: usize = 16;
/// The moves on the grid: to the eight neighbours, and those of a knight, for more directions.
const MOVES: [[isize; 2]; 16] = [
    [1, 0],
    [-1, 0],
    [0, 1],
    [0, -1],
    [1, 1],
    [1, -1],
    [-1, 1],
    [-1, -1],
    [1, 2],
    [1, -2],
    [-1, 2],
    [-1, -2],
    [2, 1],
    [2, -1],
    [-2, 1],
    [-2, -1],
];
/// The step of the finite differences: small beside the unit scale of the prior, large beside the rounding of f32.
const STEP: f64 = 1e-3;
/// The most damped steps of the refinement.
const MOST_STEPS: usize = 25;
/// The refinement ends when a step gains less than this part of the energy.
const LEAST_GAIN: f64 = 1e-4;

/// Makes images \[N, pixels\] of latent points \[N, 2\], as an engine's `decode` does.
type Decode<'a> = &'a mut dyn FnMut(&[f64]) -> Result<Vec<f32>>;

/// `count` points at equal distances on the straight line between two, both of them included.
pub fn straight_line([from, to]: [[f64; 2]; 2], count: usize) -> Vec<[f64; 2]> {
    let at = |i: usize| if i + 1 == count { to } else { between(from, to, i as f64 / (count - 1) as f64) };
    (0..count).map(at).collect()
}

fn between(from: [f64; 2], to: [f64; 2], t: f64) -> [f64; 2] {
    [0, 1].map(|axis| from[axis] + t * (to[axis] - from[axis]))
}

/// The discrete energy Σ ‖g(zᵢ₊₁) − g(zᵢ)‖² of a curve through `points`.
///
/// # Errors
/// When `decode` fails.
pub fn curve_energy(points: &[[f64; 2]], decode: Decode<'_>) -> Result<f64> {
    Ok(Images::new(points, decode)?.energy())
}

/// A shortest curve between two latent points: `steps` points (2 at least), the ends included, at equal distances along the path of
/// their images. Its energy is never larger than that of as many points on the straight line.
///
/// # Errors
/// When an end is not finite, there are fewer than two steps, or `decode` fails.
pub fn geodesic(ends: [[f64; 2]; 2], steps: usize, decode: Decode<'_>) -> Result<Vec<[f64; 2]>> {
    if steps < 2 || !ends.as_flattened().iter().all(|z| z.is_finite()) {
        let problem = format!("{steps} points from {:?} to {:?} are no curve", ends[0], ends[1]);
        return Err(Error::setting("the geodesic", problem, "give finite ends and two points at least"));
    }
    let straight = straight_line(ends, steps);
    if ends[0] == ends[1] {
        return Ok(straight);
    }
    let start = resampled(&on_grid(ends, decode)?, PIECES + 1, decode)?;
    let curve = resampled(&refined(start, decode)?, steps, decode)?;
    // Few points leap over what more of them would go around. And where the decoder makes no numbers, the energy is NaN, which is
    // not below anything.
    let better = curve_energy(&curve, decode)? < curve_energy(&straight, decode)?;
    Ok(if better { curve } else { straight })
}

/// The images of points.
struct Images {
    count: usize,
    pixels: Vec<f32>,
}

impl Images {
    fn new(points: &[[f64; 2]], decode: Decode<'_>) -> Result<Self> {
        Ok(Self { count: points.len(), pixels: decode(points.as_flattened())? })
    }

    fn image(&self, index: usize) -> &[f32] {
        let length = self.pixels.len() / self.count;
        &self.pixels[index * length..][..length]
    }

    fn distance(&self, a: usize, b: usize) -> f64 {
        self.image(a).iter().zip(self.image(b)).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
    }

    fn energy(&self) -> f64 {
        (1..self.count).map(|i| self.distance(i - 1, i).powi(2)).sum()
    }
}

/// `count` points on the polygon through `points`, at equal distances along the path of the images.
fn resampled(points: &[[f64; 2]], count: usize, decode: Decode<'_>) -> Result<Vec<[f64; 2]>> {
    let images = Images::new(points, decode)?;
    let mut lengths = vec![0.0];
    for i in 1..points.len() {
        lengths.push(lengths[i - 1] + images.distance(i - 1, i));
    }
    let last = points.len() - 1;
    let at = |i: usize| {
        let wanted = lengths[last] * i as f64 / (count - 1) as f64;
        let piece = lengths.partition_point(|&length| length < wanted).clamp(1, last);
        let [start, end] = [lengths[piece - 1], lengths[piece]];
        let part = if end > start { ((wanted - start) / (end - start)).clamp(0.0, 1.0) } else { 0.0 };
        between(points[piece - 1], points[piece], part)
    };
    let mut resampled: Vec<[f64; 2]> = (0..count).map(at).collect();
    (resampled[0], resampled[count - 1]) = (points[0], points[last]);
    Ok(resampled)
}

/// The shortest path on a grid along the straight line, the lengths of its edges measured between images (Dijkstra 1959).
fn on_grid([from, to]: [[f64; 2]; 2], decode: Decode<'_>) -> Result<Vec<[f64; 2]>> {
    const COLUMNS: usize = BETWEEN + 2 * BEYOND + 1;
    const ROWS: usize = 2 * BESIDE + 1;
    let along = [0, 1].map(|axis| (to[axis] - from[axis]) / BETWEEN as f64);
    let place = |node: usize| {
        let (u, v) = ((node % COLUMNS) as f64 - BEYOND as f64, (node / COLUMNS) as f64 - BESIDE as f64);
        [from[0] + u * along[0] - v * along[1], from[1] + u * along[1] + v * along[0]]
    };
    let points: Vec<[f64; 2]> = (0..COLUMNS * ROWS).map(place).collect();
    let images = Images::new(&points, decode)?;
    let (start, goal) = (BESIDE * COLUMNS + BEYOND, BESIDE * COLUMNS + BEYOND + BETWEEN);

    let mut lengths = vec![f64::INFINITY; points.len()];
    let mut before = vec![start; points.len()];
    lengths[start] = 0.0;
    // Lengths are not negative, so their bits are in their order.
    let mut open = BinaryHeap::from([Reverse((0_u64, start))]);
    while let Some(Reverse((bits, node))) = open.pop() {
        if node == goal {
            break;
        }
        if f64::from_bits(bits) > lengths[node] {
            continue;
        }
        for [du, dv] in MOVES {
            let column = (node % COLUMNS).checked_add_signed(du).filter(|&column| column < COLUMNS);
            let row = (node / COLUMNS).checked_add_signed(dv).filter(|&row| row < ROWS);
            let (Some(column), Some(row)) = (column, row) else { continue };
            let next = row * COLUMNS + column;
            let length = lengths[node] + images.distance(node, next);
            if length < lengths[next] {
                (lengths[next], before[next]) = (length, node);
                open.push(Reverse((length.to_bits(), next)));
            }
        }
    }
    let mut path = vec![goal];
    while path[path.len() - 1] != start {
        path.push(before[path[path.len() - 1]]);
    }
    let mut path: Vec<[f64; 2]> = path.into_iter().rev().map(|node| points[node]).collect();
    let last = path.len() - 1;
    (path[0], path[last]) = (from, to);
    Ok(path)
}

type Matrix = [[f64; 2]; 2];

/// The curve after damped Gauss–Newton steps on its energy; the ends stay.
fn refined(mut curve: Vec<[f64; 2]>, decode: Decode<'_>) -> Result<Vec<[f64; 2]>> {
    let mut images = Images::new(&curve, decode)?;
    let mut energy = images.energy();
    let mut system = System::new(&curve, &images, decode)?;
    let mut damping = 1e-3;
    for _ in 0..MOST_STEPS {
        let moved = system.step(&curve, damping);
        let there = Images::new(&moved, decode)?;
        let gain = energy - there.energy();
        if gain > 0.0 {
            (curve, images, energy) = (moved, there, energy - gain);
            if gain < LEAST_GAIN * energy {
                break;
            }
            system = System::new(&curve, &images, decode)?;
            damping /= 5.0;
        } else {
            damping *= 10.0;
            if damping > 1e6 {
                break;
            }
        }
    }
    Ok(curve)
}

/// The normal equations of a Gauss–Newton step for the interior points, over 2: 2 Jᵢᵀ Jᵢ on the diagonal, −Jᵢᵀ Jᵢ₊₁ beside it, and
/// on the right −Jᵢᵀ (2 gᵢ − gᵢ₋₁ − gᵢ₊₁).
struct System {
    diagonal: Vec<Matrix>,
    beside: Vec<Matrix>,
    right: Vec<[f64; 2]>,
}

impl System {
    fn new(curve: &[[f64; 2]], images: &Images, decode: Decode<'_>) -> Result<Self> {
        let inside = 1..curve.len() - 1;
        let moved: Vec<[f64; 2]> = curve[inside.clone()].iter().flat_map(|&[a, b]| [[a + STEP, b], [a, b + STEP]]).collect();
        let moved = Images::new(&moved, decode)?;
        let column = |i: usize, axis: usize| -> Vec<f64> {
            let pairs = moved.image(2 * (i - 1) + axis).iter().zip(images.image(i));
            pairs.map(|(moved, here)| f64::from(moved - here) / STEP).collect()
        };
        let jacobians: Vec<[Vec<f64>; 2]> = inside.clone().map(|i| [column(i, 0), column(i, 1)]).collect();
        let product = |a: &[Vec<f64>; 2], b: &[Vec<f64>; 2]| [0, 1].map(|row| [0, 1].map(|column| dot(&a[row], &b[column])));
        let bend = |i: usize| -> Vec<f64> {
            let neighbours = images.image(i - 1).iter().zip(images.image(i + 1)).map(|(a, b)| f64::from(*a) + f64::from(*b));
            images.image(i).iter().zip(neighbours).map(|(here, around)| around - 2.0 * f64::from(*here)).collect()
        };
        Ok(Self {
            diagonal: jacobians.iter().map(|j| product(j, j).map(|row| row.map(|x| 2.0 * x))).collect(),
            beside: jacobians.windows(2).map(|pair| product(&pair[0], &pair[1]).map(|row| row.map(|x| -x))).collect(),
            right: inside.zip(&jacobians).map(|(i, j)| [0, 1].map(|axis| dot(&j[axis], &bend(i)))).collect(),
        })
    }

    /// The curve after a step, where `damping` times the mean of the diagonal is added to the diagonal.
    fn step(&self, curve: &[[f64; 2]], damping: f64) -> Vec<[f64; 2]> {
        let count = self.diagonal.len();
        let mean = self.diagonal.iter().map(|block| block[0][0] + block[1][1]).sum::<f64>() / (2 * count) as f64;
        // Elimination of the blocks below the diagonal (Thomas), then back from the last.
        let mut factors: Vec<(Matrix, [f64; 2])> = Vec::with_capacity(count);
        for i in 0..count {
            let mut block = self.diagonal[i];
            let mut right = self.right[i];
            (block[0][0], block[1][1]) = (block[0][0] + damping * mean, block[1][1] + damping * mean);
            if let Some((inverse, before)) = factors.last() {
                let beside = &self.beside[i - 1];
                let transposed = [[beside[0][0], beside[1][0]], [beside[0][1], beside[1][1]]];
                let factor = matrix_product(&transposed, inverse);
                let (fill, moved) = (matrix_product(&factor, beside), times(&factor, before));
                (0..2).for_each(|row| (0..2).for_each(|column| block[row][column] -= fill[row][column]));
                (0..2).for_each(|row| right[row] -= moved[row]);
            }
            factors.push((inverse(&block), right));
        }
        let mut moved = curve.to_vec();
        let mut after = [0.0; 2];
        for i in (0..count).rev() {
            let (inverse, mut right) = factors[i];
            if i + 1 < count {
                let coupled = times(&self.beside[i], &after);
                (0..2).for_each(|row| right[row] -= coupled[row]);
            }
            after = times(&inverse, &right);
            (0..2).for_each(|axis| moved[i + 1][axis] += after[axis]);
        }
        moved
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn times(a: &Matrix, x: &[f64; 2]) -> [f64; 2] {
    [0, 1].map(|row| dot(&a[row], x))
}

fn matrix_product(a: &Matrix, b: &Matrix) -> Matrix {
    [0, 1].map(|row| [0, 1].map(|column| a[row][0] * b[0][column] + a[row][1] * b[1][column]))
}

/// Of a singular matrix not finite: the step is then not taken.
fn inverse([[a, b], [c, d]]: &Matrix) -> Matrix {
    let determinant = a * d - b * c;
    [[d / determinant, -b / determinant], [-c / determinant, a / determinant]]
}

#[cfg(test)]
#[allow(clippy::unnecessary_wraps, reason = "decoders may fail, and these stand in for them")]
mod tests {
    use super::*;

    /// Images of three pixels that are linear in z.
    fn linear(z: &[f64]) -> Result<Vec<f32>> {
        Ok(z.as_chunks().0.iter().flat_map(|&[a, b]| [(a + 2.0 * b) as f32, (3.0 * a - b) as f32, 0.5]).collect())
    }

    /// A hill of height 3 and width 1 at the origin over a flat plane: what is shortest goes around it.
    fn hill(z: &[f64]) -> Result<Vec<f32>> {
        Ok(z.as_chunks().0.iter().flat_map(|&[a, b]| [a as f32, b as f32, (3.0 * (-(a * a + b * b) / 2.0).exp()) as f32]).collect())
    }

    /// The upper half of the unit sphere in the coordinates [azimuth, polar angle]: great circles are shortest.
    fn sphere(z: &[f64]) -> Result<Vec<f32>> {
        let point = |&[azimuth, polar]: &[f64; 2]| [polar.sin() * azimuth.cos(), polar.sin() * azimuth.sin(), polar.cos()];
        Ok(z.as_chunks().0.iter().flat_map(point).map(|x| x as f32).collect())
    }

    #[test]
    fn of_a_linear_decoder_it_is_the_straight_line() {
        for steps in [2, 3, 15, 30] {
            let ends = [[-2.0, 1.0], [3.0, 0.5]];
            let curve = geodesic(ends, steps, &mut linear).unwrap();
            assert_eq!((curve.len(), curve[0], curve[steps - 1]), (steps, ends[0], ends[1]));
            let straight = straight_line(ends, steps);
            let apart = curve.iter().zip(&straight).map(|(a, b)| (a[0] - b[0]).hypot(a[1] - b[1])).fold(0.0, f64::max);
            assert!(apart < 1e-3, "{apart}");
        }
    }

    #[test]
    fn on_the_sphere_it_is_the_great_circle() {
        // A quarter turn at the polar angle 45°: the ends are 60° apart, since cos 60° = cos² 45° + sin² 45° cos 90°.
        let quarter = std::f64::consts::FRAC_PI_4;
        let ends = [[0.0, quarter], [2.0 * quarter, quarter]];
        let curve = geodesic(ends, 31, &mut sphere).unwrap();
        let energy = curve_energy(&curve, &mut sphere).unwrap();
        // Thirty chords of a circle of 60°.
        let chord = 2.0 * (std::f64::consts::PI / 3.0 / 60.0).sin();
        assert!((energy / (30.0 * chord * chord) - 1.0).abs() < 2e-3, "{energy}");
        // In the middle lies the sum of both ends' vectors: sin 45° cos 45° from the axis for each cos 45° of height.
        let middle = (quarter.sin() * quarter.cos()).atan2(quarter.cos());
        assert!((curve[15][0] - quarter).abs() < 1e-2 && (curve[15][1] - middle).abs() < 1e-2, "{:?}", curve[15]);
        let straight = curve_energy(&straight_line(ends, 31), &mut sphere).unwrap();
        assert!(energy < 0.95 * straight, "{energy} of {straight}");
    }

    #[test]
    fn it_goes_around_a_hill() {
        let ends = [[-3.0, 0.0], [3.0, 0.0]];
        let curve = geodesic(ends, 15, &mut hill).unwrap();
        let [curved, straight] = [&curve, &straight_line(ends, 15)].map(|points| curve_energy(points, &mut hill).unwrap());
        assert!(curved < 0.85 * straight, "{curved} of {straight}");
        assert!(curve[7][1].abs() > 1.0, "{:?}", curve[7]);
    }

    #[test]
    fn its_points_lie_at_equal_distances_in_pixel_space() {
        let images = Images::new(&geodesic([[-3.0, 0.1], [2.0, 0.4]], 15, &mut hill).unwrap(), &mut hill).unwrap();
        let distances: Vec<f64> = (1..15).map(|i| images.distance(i - 1, i)).collect();
        let (least, most) = (distances.iter().copied().fold(f64::INFINITY, f64::min), distances.iter().copied().fold(0.0, f64::max));
        assert!(most < 1.1 * least, "{distances:?}");
    }

    #[test]
    fn what_is_no_curve_is_refused_and_what_cannot_be_measured_is_straight() {
        assert!(geodesic([[f64::NAN, 0.0], [1.0, 0.0]], 15, &mut linear).is_err());
        assert!(geodesic([[0.0, 0.0], [1.0, 0.0]], 1, &mut linear).is_err());
        let ends = [[0.1, -0.7], [0.1, -0.7]];
        assert_eq!(geodesic(ends, 5, &mut linear).unwrap(), [ends[0]; 5]);
        for value in [f32::NAN, 0.5] {
            let mut constant = |z: &[f64]| Ok(vec![value; z.len()]);
            assert_eq!(geodesic([[0.0, 0.0], [1.0, 2.0]], 4, &mut constant).unwrap(), straight_line([[0.0, 0.0], [1.0, 2.0]], 4));
        }
        let mut failing = |_: &[f64]| Err(Error::Cancelled);
        assert!(geodesic([[0.0, 0.0], [1.0, 2.0]], 4, &mut failing).is_err());
    }

    proptest::proptest! {
        #[test]
        fn its_energy_is_never_above_that_of_the_straight_line(z in proptest::array::uniform4(-4.0..4.0_f64), steps in 2..20_usize) {
            let ends = [[z[0], z[1]], [z[2], z[3]]];
            for decode in [hill, sphere, linear] {
                let curve = geodesic(ends, steps, &mut { decode }).unwrap();
                let straight = curve_energy(&straight_line(ends, steps), &mut { decode }).unwrap();
                assert!(curve_energy(&curve, &mut { decode }).unwrap() <= straight);
                assert_eq!([curve[0], curve[steps - 1]], ends);
            }
        }
    }
}
