//! The density of the aggregated posterior, `q(z) = 1/N Σ_i q(z|x_i)`, as a kernel density estimate over the encodings.

use super::{Encodings, View};
use rayon::prelude::*;
use std::collections::HashMap;
use std::f64::consts::TAU;

/// Beyond so many bandwidths a kernel counts as 0: it is e^−18 = 2 · 10⁻⁸ of its height there, a thousandth for 60,000 of them.
const REACH: f64 = 6.0;
/// A kernel that is smaller than the largest by a factor of e to this power adds nothing in double precision.
const NEGLIGIBLE: f64 = 60.0;
/// Nodes of the table per bandwidth: between them, cubic interpolation is within a hundredth of the density, or of one kernel's height where that is more (on the data, within 10⁻³).
const NODES: f64 = 4.0;
/// The steps between nodes along a side of a tile of the table: a tile is 16 bandwidths wide, so that a kernel touches four at most.
const SIDE: usize = 64;
/// The nodes along a side of a tile: cubic interpolation needs one before and one behind.
const STORED: usize = SIDE + 3;
/// How many encodings are asked which bandwidth foretells them best.
const ASKED: usize = 500;
/// How many bandwidths there are to choose from: Scott's, and each narrower than the one before by √2.
const BANDWIDTHS: usize = 7;
/// The share of the asked encodings that do not vote: those farthest from any other.
const NOT_HEARD: f64 = 0.01;
/// Bandwidths within so many nats an encoding of the best one foretell the data as well.
const AS_GOOD: f64 = 0.01;

/// The density of encodings on the latent plane, per unit of z²: Gaussian kernels of one bandwidth around every encoding's
/// mean (the variances of q(z|x) are not shipped with the encodings). It is tabulated once where there are data, and 0 beyond
/// six bandwidths from all of them.
///
/// **The bandwidth.** A rule for one Gaussian (Scott 1992: σ N^(−1/6)) blurs the classes' compact clusters and the gaps
/// between them. So the encodings choose: of seven bandwidths from Scott's to an eighth of it (σ from the quartiles, which
/// outliers do not move), in steps of √2, it is the widest whose mean leave-one-out log-likelihood (Habbema et al. 1974; Duin 1976)
/// is within 0.01 nats of the best, taken over 500 encodings spread evenly through the data set. One in a hundred,
/// those with the farthest nearest neighbours, is not heard, for an outlier asks for a width that suits nobody else: the known
/// weakness of that likelihood. For the 60,000 training encodings of the shipped models this gives half of Scott's, 0.09; the
/// likelihood of the test encodings, which had no say, is highest at 0.06, and 0.005 nats lower at this.
#[derive(Clone, Debug, PartialEq)]
pub struct Density {
    bandwidth: f64,
    points: Vec<[f64; 2]>,
    tiles: HashMap<[i64; 2], Vec<f64>>,
    /// At each encoding, what the others make of it, in ascending order.
    left_out: Vec<f64>,
}

impl Density {
    /// The density of the encodings, with the bandwidth they choose.
    pub fn new(encodings: &Encodings) -> Self {
        let points = doubles(encodings);
        let bandwidth = choose_bandwidth(&points);
        Self::with_bandwidth_of(&points, bandwidth)
    }

    /// The density of the encodings with kernels of a given standard deviation, in units of z.
    ///
    /// # Panics
    /// When the bandwidth is not positive.
    pub fn with_bandwidth(encodings: &Encodings, bandwidth: f64) -> Self {
        Self::with_bandwidth_of(&doubles(encodings), bandwidth)
    }

    fn with_bandwidth_of(points: &[[f64; 2]], bandwidth: f64) -> Self {
        assert!(bandwidth > 0.0 && bandwidth.is_finite(), "a bandwidth is positive");
        let mut touching: HashMap<[i64; 2], Vec<[f64; 2]>> = HashMap::new();
        let step = bandwidth / NODES;
        for &point in points {
            // One node of margin on each side belongs to the tile as well.
            let reach = REACH * bandwidth + 2.0 * step;
            let [first, last] = [-reach, reach].map(|reach| point.map(|z| tile_of(z + reach, step)));
            for t2 in first[1]..=last[1] {
                for t1 in first[0]..=last[0] {
                    touching.entry([t1, t2]).or_default().push(point);
                }
            }
        }
        let height = 1.0 / (points.len() as f64 * TAU * bandwidth * bandwidth);
        let tiles = touching.into_par_iter().map(|(tile, points)| (tile, tabulate(tile, &points, bandwidth, height))).collect();
        let mut density = Self { bandwidth, points: points.to_vec(), tiles, left_out: Vec::new() };
        let (all, others) = (points.len() as f64, (points.len() - 1).max(1) as f64);
        density.left_out = points.par_iter().map(|&z| ((density.at(z) - height) * all / others).max(0.0)).collect();
        density.left_out.par_sort_unstable_by(f64::total_cmp);
        density
    }

    /// The standard deviation of the kernels in units of z.
    pub fn bandwidth(&self) -> f64 {
        self.bandwidth
    }

    /// The density at z, per unit of z².
    pub fn at(&self, z: [f64; 2]) -> f64 {
        let step = self.bandwidth / NODES;
        let tile = z.map(|z| tile_of(z, step));
        let Some(values) = self.tiles.get(&tile) else { return 0.0 };
        let place = |axis: usize| {
            let steps = z[axis] / step - (tile[axis] * SIDE as i64) as f64;
            let node = (steps.floor().max(0.0) as usize).min(SIDE - 1);
            (node, cubic(steps - node as f64))
        };
        let ((column, across), (row, up)) = (place(0), place(1));
        let of_row = |i: usize| -> f64 { across.iter().zip(&values[(row + i) * STORED + column..]).map(|(a, b)| a * b).sum() };
        // The interpolation may swing below 0 where a kernel ends.
        up.iter().enumerate().map(|(i, weight)| weight * of_row(i)).sum::<f64>().max(0.0)
    }

    /// The natural logarithm of the density at z, from all kernels and in log space (log-sum-exp): finite however far z is from the
    /// data, where [`at`](Self::at) is 0.
    pub fn log_at(&self, z: [f64; 2]) -> f64 {
        let exponents = || {
            self.points.iter().map(|point| {
                let squared = (point[0] - z[0]).powi(2) + (point[1] - z[1]).powi(2);
                -squared / (2.0 * self.bandwidth * self.bandwidth)
            })
        };
        let largest = exponents().fold(f64::NEG_INFINITY, f64::max);
        // The others, all together, change no digit.
        let sum: f64 = exponents().filter(|exponent| largest - exponent < NEGLIGIBLE).map(|exponent| (exponent - largest).exp()).sum();
        largest + sum.ln() - (self.points.len() as f64 * TAU * self.bandwidth * self.bandwidth).ln()
    }

    /// The density at every point of a view, row by row from the lowest z₂.
    pub fn grid(&self, view: &View) -> Vec<f64> {
        view.points().into_par_iter().map(|z| self.at(z)).collect()
    }

    /// The density that such a share of the encodings exceed, each judged by the others (leave-one-out): 0.99 is the edge of
    /// the data, outside of which only one encoding in a hundred would lie if it were new.
    ///
    /// # Panics
    /// When the share is not within 0..=1.
    pub fn covering(&self, share: f64) -> f64 {
        assert!((0.0..=1.0).contains(&share), "a share is within 0..=1");
        let outside = ((1.0 - share) * self.left_out.len() as f64 + 1e-9).floor() as usize;
        self.left_out[outside.min(self.left_out.len() - 1)]
    }
}

fn doubles(encodings: &Encodings) -> Vec<[f64; 2]> {
    encodings.points.iter().map(|point| point.map(f64::from)).collect()
}

/// The number of the tile that a coordinate lies in. Beyond what whole numbers tell apart, all lies in one.
fn tile_of(z: f64, step: f64) -> i64 {
    (z / (step * SIDE as f64)).floor().clamp(-1e12, 1e12) as i64
}

/// The weights of four neighbouring nodes for a place `t` behind the second (Lagrange's cubic).
fn cubic(t: f64) -> [f64; 4] {
    [
        -t * (t - 1.0) * (t - 2.0) / 6.0,
        (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0,
        -(t + 1.0) * t * (t - 2.0) / 2.0,
        (t + 1.0) * t * (t - 1.0) / 6.0,
    ]
}

/// The sum of the kernels of some points at the nodes of a tile; each kernel is the product of what it is along each axis.
fn tabulate(tile: [i64; 2], points: &[[f64; 2]], bandwidth: f64, height: f64) -> Vec<f64> {
    let step = bandwidth / NODES;
    // The place of a point in steps from the first node.
    let place = |z: f64, axis: usize| z / step - (tile[axis] * SIDE as i64) as f64 + 1.0;
    let mut values = vec![0.0; STORED * STORED];
    let mut across = [0.0; STORED];
    let mut up = [0.0; STORED];
    for &point in points {
        let columns = kernel(place(point[0], 0), &mut across);
        let rows = kernel(place(point[1], 1), &mut up);
        for row in rows {
            let weight = height * up[row];
            let cells = &mut values[row * STORED..][columns.clone()];
            cells.iter_mut().zip(&across[columns.clone()]).for_each(|(cell, along)| *cell += weight * along);
        }
    }
    values
}

/// Fills in a kernel of height 1 at the nodes that it reaches, and returns these. Neighbouring values differ by a factor that
/// itself changes by a constant one, so that two exponentials make them all.
fn kernel(centre: f64, values: &mut [f64; STORED]) -> std::ops::Range<usize> {
    let reach = REACH * NODES;
    let first = (centre - reach).ceil().max(0.0) as usize;
    let end = ((centre + reach).floor() + 1.0).clamp(0.0, STORED as f64) as usize;
    if first >= end {
        return 0..0;
    }
    let squared = NODES * NODES;
    let away = first as f64 - centre;
    let mut value = (-away * away / (2.0 * squared)).exp();
    let mut ratio = (-(2.0 * away + 1.0) / (2.0 * squared)).exp();
    let change = (-1.0 / squared).exp();
    for slot in &mut values[first..end] {
        *slot = value;
        value *= ratio;
        ratio *= change;
    }
    first..end
}

/// As [`Density`] says.
fn choose_bandwidth(points: &[[f64; 2]]) -> f64 {
    let widest = scott(points);
    let asked = points.len().min(ASKED);
    // The squared distance to the nearest other, and the log-likelihoods by bandwidth up to what is the same for all encodings.
    let mut votes: Vec<(f64, [f64; BANDWIDTHS])> =
        (0..asked).into_par_iter().map(|i| left_out_likelihoods(points, i * points.len() / asked, widest)).collect();
    votes.sort_by(|a, b| a.0.total_cmp(&b.0));
    votes.truncate(asked - (NOT_HEARD * asked as f64) as usize);
    let mean: [f64; BANDWIDTHS] = std::array::from_fn(|k| {
        votes.iter().map(|(_, votes)| votes[k]).sum::<f64>() / votes.len() as f64 - 2.0 * bandwidth(widest, k).ln()
    });
    let best = mean.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // A single encoding says nothing: Scott's.
    let chosen = mean.iter().position(|&of| of >= best - AS_GOOD).filter(|_| best.is_finite());
    bandwidth(widest, chosen.unwrap_or(0))
}

fn bandwidth(widest: f64, number: usize) -> f64 {
    widest * 0.5f64.powf(number as f64 / 2.0)
}

/// For each bandwidth the logarithm of the sum of the kernels of all points but one at that one. Each bandwidth's kernel is
/// the square of the one before, as its variance is half as large.
fn left_out_likelihoods(points: &[[f64; 2]], left_out: usize, widest: f64) -> (f64, [f64; BANDWIDTHS]) {
    let mut sums = [0.0; BANDWIDTHS];
    let mut nearest = f64::INFINITY;
    let [z1, z2] = points[left_out];
    for (i, point) in points.iter().enumerate() {
        let squared = (point[0] - z1).powi(2) + (point[1] - z2).powi(2);
        if i == left_out || squared > (REACH * widest).powi(2) && nearest < squared {
            continue;
        }
        nearest = nearest.min(squared);
        let mut kernel = (-squared / (2.0 * widest * widest)).exp();
        for sum in &mut sums {
            *sum += kernel;
            kernel *= kernel;
            // What is next to nothing is only slow to compute with.
            if kernel < 1e-40 {
                break;
            }
        }
    }
    // Where all kernels are too small for a double, the nearest one outweighs the others.
    let least = |k: usize| -nearest / (2.0 * bandwidth(widest, k).powi(2));
    (nearest, std::array::from_fn(|k| sums[k].ln().max(least(k))))
}

/// Scott's bandwidth for two dimensions, σ N^(−1/6), with the geometric mean of both axes' σ, each from the quartiles; the prior's
/// σ = 1 where the encodings do not spread.
fn scott(points: &[[f64; 2]]) -> f64 {
    let sigma = |axis: usize| {
        let mut along: Vec<f64> = points.iter().map(|point| point[axis]).collect();
        along.sort_unstable_by(f64::total_cmp);
        // The quartiles of a Gaussian are 1.349 σ apart.
        (along[(3 * along.len() / 4).min(along.len() - 1)] - along[along.len() / 4]) / 1.349
    };
    let sigma = (sigma(0) * sigma(1)).sqrt();
    let sigma = if sigma > 0.0 && sigma.is_finite() { sigma } else { 1.0 };
    sigma * (points.len() as f64).powf(-1.0 / 6.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    fn encodings(points: Vec<[f32; 2]>) -> Encodings {
        let labels = vec![0; points.len()];
        Encodings::new(points, labels, vec!["only".into()]).unwrap()
    }

    /// Two round clusters of standard deviation 0.3 and 0.6, five apart, and one encoding far from both.
    fn clusters(count: u32) -> Encodings {
        let stream = Stream::new(9, Purpose::Choice);
        let mut points: Vec<[f32; 2]> = (0..count)
            .map(|i| {
                let [a, b] = [0, 1].map(|axis| stream.normal([axis, 0, 0], i));
                if i % 2 == 0 { [0.3 * a - 2.0, 0.3 * b + 1.0] } else { [0.6 * a + 2.0, 0.6 * b - 2.0] }.map(|z| z as f32)
            })
            .collect();
        points.push([900.0, -1e5]);
        encodings(points)
    }

    fn direct(points: &[[f32; 2]], bandwidth: f64, z: [f64; 2]) -> f64 {
        let kernel = |point: &[f32; 2]| {
            let squared = (f64::from(point[0]) - z[0]).powi(2) + (f64::from(point[1]) - z[1]).powi(2);
            (-squared / (2.0 * bandwidth * bandwidth)).exp()
        };
        points.iter().map(kernel).sum::<f64>() / (points.len() as f64 * TAU * bandwidth * bandwidth)
    }

    #[test]
    fn it_is_the_sum_of_the_kernels() {
        let encodings = clusters(400);
        for bandwidth in [0.07, 0.5] {
            let density = Density::with_bandwidth(&encodings, bandwidth);
            let height = 1.0 / (401.0 * TAU * bandwidth * bandwidth);
            let view = View::new([-4.0, 4.5], [-5.0, 3.0], 61, 47).unwrap();
            let (grid, points) = (density.grid(&view), view.points());
            let mut far = 0;
            for (&value, &z) in grid.iter().zip(&points) {
                let expected = direct(&encodings.points, bandwidth, z);
                assert!((value - expected).abs() <= 1e-2 * expected.max(height), "{value} for {expected} at {z:?}");
                assert_eq!(value, density.at(z));
                far += usize::from((direct(&encodings.points, 1.3 * bandwidth, z) - expected).abs() > 1e-2 * expected.max(height));
            }
            assert!(far > 50, "another bandwidth can be told apart");
            let lonely = [900.0, -1e5];
            assert!((density.at(lonely) - height).abs() <= 1e-3 * height);
            assert_eq!(density.at([1e6, 1e6]), 0.0);
        }
    }

    #[test]
    fn its_logarithm_is_finite_where_it_is_zero() {
        let encodings = clusters(400);
        let density = Density::with_bandwidth(&encodings, 0.09);
        let log_direct = |z: [f64; 2]| {
            let squared = |point: &[f32; 2]| (f64::from(point[0]) - z[0]).powi(2) + (f64::from(point[1]) - z[1]).powi(2);
            let mut exponents: Vec<f64> = encodings.points.iter().map(|point| -squared(point) / (2.0 * 0.09 * 0.09)).collect();
            exponents.sort_by(f64::total_cmp);
            // Pair by pair from the smallest on: another way to the same sum.
            let add = |sum: f64, next: f64| next + (sum - next).exp().ln_1p();
            exponents.into_iter().fold(f64::NEG_INFINITY, add) - (401.0 * TAU * 0.09 * 0.09).ln()
        };
        let mut beyond = 0;
        for z in [[-2.0, 1.0], [0.0, 0.0], [3.0, 1.5], [-2.0, 3.2], [40.0, -7.0], [1e6, 1e6]] {
            let (got, expected) = (density.log_at(z), log_direct(z));
            assert!(got.is_finite() && (got - expected).abs() <= 1e-9 * expected.abs(), "{got} for {expected} at {z:?}");
            beyond += usize::from(density.at(z) == 0.0);
        }
        assert!(beyond >= 3, "beyond all kernels the logarithm of the density itself is −∞");
        // Near data it is that of the tabulated density.
        assert!((density.log_at([-2.0, 1.0]) - density.at([-2.0, 1.0]).ln()).abs() <= 1e-3);
    }

    #[test]
    fn it_integrates_to_one() {
        let mut encodings = clusters(300);
        encodings.points.truncate(300);
        encodings.labels.truncate(300);
        let density = Density::with_bandwidth(&encodings, 0.2);
        let view = View::square([-8.0, 8.0], 321).unwrap();
        // All of it lies within, so that the sum over the lattice is the integral.
        let total = density.grid(&view).iter().sum::<f64>() * 0.05 * 0.05;
        assert!((total - 1.0).abs() <= 1e-4, "{total}");
    }

    #[test]
    fn the_encodings_choose_a_bandwidth_near_the_likeliest_whatever_an_outlier_does() {
        let (with, mut without) = (clusters(600), clusters(600));
        without.points.truncate(600);
        without.labels.truncate(600);
        let likelihood = |bandwidth: f64| -> f64 {
            let of = |i: usize| {
                let all = direct(&without.points, bandwidth, without.points[i].map(f64::from));
                ((all * 600.0 * TAU * bandwidth * bandwidth - 1.0) / (599.0 * TAU * bandwidth * bandwidth)).ln()
            };
            (0..600).map(of).sum::<f64>() / 600.0
        };
        let chosen = [&with, &without].map(|encodings| Density::new(encodings).bandwidth());
        let best = (0..40).map(|i| likelihood(0.05 * 1.1f64.powi(i))).fold(f64::NEG_INFINITY, f64::max);
        for bandwidth in chosen {
            assert!(likelihood(bandwidth) >= best - 0.03, "{bandwidth}");
        }
        let of_one_gaussian = scott(&doubles(&without));
        assert!(likelihood(of_one_gaussian) < best - 0.1, "Scott's rule, {of_one_gaussian}, blurs these");
    }

    #[test]
    fn the_covered_share_lies_above_the_threshold_and_an_encoding_does_not_count_for_itself() {
        let encodings = clusters(500);
        let density = Density::with_bandwidth(&encodings, 0.15);
        let left_out: Vec<f64> = (0..encodings.points.len())
            .map(|i| {
                let mut others = encodings.points.clone();
                let z = others.remove(i).map(f64::from);
                direct(&others, 0.15, z)
            })
            .collect();
        for share in [0.0, 0.5, 0.9, 0.99] {
            let threshold = density.covering(share);
            let above = left_out.iter().filter(|&&of| of > threshold * (1.0 - 1e-3)).count();
            // Of 501: those above, and the one that the threshold is the density of.
            let expected = 501 - ((1.0 - share) * 501.0f64).floor().min(500.0) as usize;
            assert!(above.abs_diff(expected) <= 1, "{above} of {expected} above {threshold}");
        }
        assert_eq!(density.covering(1.0), 0.0, "the lonely one has nobody near");
    }

    #[test]
    fn encodings_that_do_not_spread_have_a_density() {
        for points in [vec![[1.0, 2.0]], vec![[1.0, 2.0]; 5], vec![[0.0, 1.0], [3e38, -3e38]]] {
            let (z, encodings) = (points[0].map(f64::from), encodings(points));
            let density = Density::new(&encodings);
            assert!(density.at(z) > 0.0 && density.at(z).is_finite() && density.covering(0.99).is_finite());
        }
    }
}
