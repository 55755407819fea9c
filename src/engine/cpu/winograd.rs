//! 3×3 convolutions of stride 1 by the minimal filtering F(2×2, 3×3) of Winograd (Lavin & Gray 2016, *Fast algorithms for
//! convolutional neural networks*, section 4.1): 16 multiplications for four outputs, where the plain sum takes 36. The four
//! outputs of a tile are one window of the usual 2×2 max pool, which is taken while they are in registers.

use super::kernel::{LANES, Row, block_product, even_parts, most_outputs};
use crate::nets::lowering::Product;
use pulp::{Arch, Simd, WithSimd};
use std::ops::Range;

/// A convolution, its ReLU and its 2×2 max pool if they follow it.
#[derive(Debug)]
pub struct Winograd {
    groups: Vec<Group>,
    bias: Vec<f32>,
    rows: Vec<u32>,
    tiles: [usize; 2],
    /// Height and width of the image that it reads: the input with its padding, and one more line of zeros where the tiles
    /// reach beyond it.
    input: [usize; 2],
    /// Height and width of the output, after the pool.
    output: [usize; 2],
    relu: bool,
    pool: bool,
}

/// Output channels that are summed up together.
#[derive(Debug)]
struct Group {
    channels: Range<usize>,
    /// The transformed filters, \[16, input channels, channels\].
    filters: Vec<f32>,
}

/// G of the filter's transform G g Gᵀ.
const G: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];

impl Winograd {
    /// Of a dense 3×3 convolution.
    pub fn new(product: &Product, relu: bool, pool: bool) -> Self {
        let (weight, output) = (&product.phases[0].weight, product.output);
        let channels = product.input[0];
        let bias = product.bias.iter().map(|&bias| bias as f32).collect();
        let transformed = |at: usize, i: usize, o: usize| {
            let g = &weight[(o * channels + i) * 9..][..9];
            let (left, right) = (G[at / 4], G[at % 4]);
            (0..9).map(|k| left[k / 3] * g[k] * right[k % 3]).sum::<f64>() as f32
        };
        let group = |group: Range<usize>| {
            let filters = (0..16 * channels).flat_map(|k| group.clone().map(move |o| transformed(k / channels, k % channels, o)));
            Group { filters: filters.collect(), channels: group.clone() }
        };
        let groups = even_parts(output[0], most_outputs()).map(group).collect();
        let tiles = [1, 2].map(|axis| if pool { output[axis] / 2 } else { output[axis].div_ceil(2) });
        let input = [0, 1].map(|axis| output[1 + axis].max(2 * tiles[axis]) + 2);
        let output = if pool { tiles } else { [output[1], output[2]] };
        Self { groups, bias, rows: (0..channels as u32).collect(), tiles, input, output, relu, pool }
    }

    /// Height and width of the image that it reads.
    pub fn input_size(&self) -> [usize; 2] {
        self.input
    }

    /// The number of rows of tiles, each two lines of the convolution's output.
    pub fn tile_rows(&self) -> usize {
        self.tiles[0]
    }

    /// The channels of the output, in `out`.
    pub fn channels<'a>(&self, out: &'a mut Vec<Row>) -> Vec<&'a mut [Row]> {
        let plane = self.output[0] * self.output[1];
        out.resize(self.bias.len() * plane, Row::splat(0.0));
        out.chunks_exact_mut(plane).collect()
    }

    /// Where the output of a row of tiles begins in a channel.
    pub fn place(&self, tile_row: usize) -> usize {
        let line = if self.pool { tile_row } else { 2 * tile_row };
        line.min(self.output[0]) * self.output[1]
    }

    /// One row of tiles from `x` into the `channels` of the output, of which the first `first` places are left out; `work` is a buffer. A channel of
    /// `x` has `plane` rows, line after line of the image, which start over when they are full: the four lines under the tiles must be there.
    pub fn run(&self, tile_row: usize, x: &[Row], plane: usize, work: &mut Vec<Row>, first: usize, channels: &mut [&mut [Row]]) {
        work.resize(16 * (self.rows.len() + most_outputs()), Row::splat(0.0));
        Arch::new().dispatch(Run { winograd: self, tile_row, x, plane, work, first, channels });
    }
}

struct Run<'a, 'b> {
    winograd: &'a Winograd,
    tile_row: usize,
    x: &'a [Row],
    plane: usize,
    work: &'a mut [Row],
    first: usize,
    channels: &'a mut [&'b mut [Row]],
}

impl WithSimd for Run<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { winograd, tile_row, x, plane, work, first, channels: to } = self;
        let channels = winograd.rows.len();
        let (input, sums) = work.split_at_mut(16 * channels);
        let lines = [0, 1, 2, 3].map(|line| (2 * tile_row + line) * winograd.input[1] % plane);
        for tile in 0..winograd.tiles[1] {
            for channel in 0..channels {
                transform_input(simd, &x[channel * plane + 2 * tile..], lines, &mut input[channel..], channels);
            }
            for group in &winograd.groups {
                let outputs = group.channels.len();
                for (at, weights) in group.filters.chunks_exact(outputs * channels).enumerate() {
                    let x = &input[at * channels..];
                    block_product::<S, false>(simd, x, &winograd.rows, weights, &mut sums[at * outputs..][..outputs]);
                }
                for (output, channel) in group.channels.clone().enumerate() {
                    winograd.transform_output(simd, &sums[output..], outputs, channel, [tile_row, tile], first, to[channel]);
                }
            }
        }
    }
}

/// Four rows of four registers.
type Tile<S> = [[<S as Simd>::f32s; 4]; 4];

/// One register of 16 rows: those of a line are `stride` apart.
#[inline(always)]
fn gather<S: Simd>(rows: &[Row], lines: [usize; 4], stride: usize, part: usize) -> Tile<S> {
    let at = |y: usize, x: usize| S::as_simd_f32s(&rows[lines[y] + x * stride].0).0[part];
    let line = |y: usize| [at(y, 0), at(y, 1), at(y, 2), at(y, 3)];
    [line(0), line(1), line(2), line(3)]
}

#[inline(always)]
fn transposed<S: Simd>(t: Tile<S>) -> Tile<S> {
    let column = |x: usize| [t[0][x], t[1][x], t[2][x], t[3][x]];
    [column(0), column(1), column(2), column(3)]
}

/// Bᵀ d.
#[inline(always)]
fn input_side<S: Simd>(simd: S, d: Tile<S>) -> Tile<S> {
    let mut t = d;
    for x in 0..4 {
        t[0][x] = simd.sub_f32s(d[0][x], d[2][x]);
        t[1][x] = simd.add_f32s(d[1][x], d[2][x]);
        t[2][x] = simd.sub_f32s(d[2][x], d[1][x]);
        t[3][x] = simd.sub_f32s(d[1][x], d[3][x]);
    }
    t
}

/// Aᵀ m; the last two lines are left over.
#[inline(always)]
fn output_side<S: Simd>(simd: S, m: Tile<S>) -> Tile<S> {
    let mut t = m;
    for x in 0..4 {
        t[0][x] = simd.add_f32s(m[0][x], simd.add_f32s(m[1][x], m[2][x]));
        t[1][x] = simd.sub_f32s(simd.sub_f32s(m[1][x], m[2][x]), m[3][x]);
    }
    t
}

/// Bᵀ d B of one channel of a tile: from 4×4 values to 16 rows that are `stride` apart.
#[inline(always)]
fn transform_input<S: Simd>(simd: S, image: &[Row], lines: [usize; 4], to: &mut [Row], stride: usize) {
    for part in 0..LANES / S::F32_LANES {
        let d = gather::<S>(image, lines, 1, part);
        let t = transposed::<S>(input_side(simd, transposed::<S>(input_side(simd, d))));
        for y in 0..4 {
            for x in 0..4 {
                S::as_mut_simd_f32s(&mut to[(4 * y + x) * stride].0).0[part] = t[y][x];
            }
        }
    }
}

impl Winograd {
    /// Aᵀ m A of one channel of a tile, with bias, ReLU and pool: from 16 rows that are `stride` apart into the image `out`, which begins at its
    /// place `first`.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "in one place, of an inner loop")]
    fn transform_output<S: Simd>(
        &self,
        simd: S,
        from: &[Row],
        stride: usize,
        channel: usize,
        tile: [usize; 2],
        first: usize,
        out: &mut [Row],
    ) {
        let [height, width] = self.output;
        let bias = simd.splat_f32s(self.bias[channel]);
        let least = simd.splat_f32s(if self.relu { 0.0 } else { f32::NEG_INFINITY });
        for part in 0..LANES / S::F32_LANES {
            let m = gather::<S>(from, [0, 4, 8, 12].map(|place| place * stride), stride, part);
            let t = output_side(simd, transposed::<S>(output_side(simd, m)));
            if self.pool {
                let pooled = simd.max_f32s(simd.max_f32s(t[0][0], t[0][1]), simd.max_f32s(t[1][0], t[1][1]));
                let to = S::as_mut_simd_f32s(&mut out[tile[0] * width + tile[1] - first].0).0;
                to[part] = simd.max_f32s(simd.add_f32s(pooled, bias), least);
                continue;
            }
            for (y, x) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let [out_y, out_x] = [2 * tile[0] + y, 2 * tile[1] + x];
                if out_y < height && out_x < width {
                    let to = S::as_mut_simd_f32s(&mut out[out_y * width + out_x - first].0).0;
                    to[part] = simd.max_f32s(simd.add_f32s(t[x][y], bias), least);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::lowering::Phase;

    /// The tiles as a processor with AVX2 alone computes them, on one that has more. NEON has never been run.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn tiles_with_avx2_are_those_of_the_widest_vectors() {
        let Some(avx2) = pulp::x86::V3::try_new() else { return };
        let value = |at: usize| ((at * 37 % 101) as f32 - 50.0) / 50.0;
        let (input, output) = ([9, 8, 10], [17, 6, 8]);
        let weight = (0..17 * 9 * 9).map(|at| f64::from(value(at))).collect();
        let (kernel, one, none) = ([3, 3], [1, 1], [0, 0]);
        let phase = Phase { weight, kernel, dilation: one, grid: [6, 8], corner: none, stride: one, place: none, step: one };
        let product = Product { input, output, groups: 1, bias: vec![0.25; 17], phases: vec![phase] };
        let winograd = Winograd::new(&product, true, true);
        assert_eq!(winograd.input_size(), [8, 10]);
        let x: Vec<Row> = (0..9 * 80).map(|row| Row(std::array::from_fn(|lane| value(row * LANES + lane)))).collect();
        let [mut widest, mut narrow] = [(); 2].map(|()| Vec::new());
        let mut work = Vec::new();
        for tile_row in 0..winograd.tile_rows() {
            winograd.run(tile_row, &x, 80, &mut work, 0, &mut winograd.channels(&mut widest));
            let channels = &mut winograd.channels(&mut narrow);
            Simd::vectorize(avx2, Run { winograd: &winograd, tile_row, x: &x, plane: 80, work: &mut work, first: 0, channels });
        }
        let differences = widest.iter().zip(&narrow).flat_map(|(a, b)| a.0.iter().zip(&b.0)).map(|(a, b)| (a - b).abs());
        let largest = narrow.iter().flat_map(|row| row.0).fold(0.0, f32::max);
        assert!(largest > 1.0 && differences.fold(0.0, f32::max) <= 1e-5 * largest);
    }
}
