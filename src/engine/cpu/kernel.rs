//! The one inner loop of this engine: a matrix product whose right-hand rows are picked by a list. The list makes a dense
//! layer, a convolution (the rows under its kernel) and a thinned layer (the dropped rows) the same loop, without copies.

use pulp::{Arch, Simd, WithSimd};
use std::ops::Range;

/// How many points a panel holds: two registers of AVX-512, four of AVX2.
pub const LANES: usize = 32;

/// The values of one unit at every point of a panel. An activation is a list of rows, in the row-major order of its shape.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub struct Row(pub [f32; LANES]);

impl Row {
    /// The same value at every point.
    pub const fn splat(value: f32) -> Self {
        Self([value; LANES])
    }
}

/// Inputs that are multiplied in one go: so many rows stay in the innermost cache while all outputs pass over them.
const DEPTH: usize = 256;

/// The most outputs that the kernel sums up at once on this machine: two registers each, four are left for operands.
pub fn most_outputs() -> usize {
    struct Registers;
    impl WithSimd for Registers {
        type Output = usize;
        fn with_simd<S: Simd>(self, _: S) -> usize {
            (S::REGISTER_COUNT.saturating_sub(4) / 2).clamp(1, 14)
        }
    }
    Arch::new().dispatch(Registers)
}

/// 0..`length` in as few parts of at most `most` as possible, which differ by one at most.
pub fn even_parts(length: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let parts = length.div_ceil(most);
    (0..parts).map(move |part| part * length / parts..(part + 1) * length / parts)
}

/// A weight matrix \[outputs, inputs\] in the order in which the kernel reads it: blocks of inputs, within them blocks of
/// outputs, within them input by input.
#[derive(Clone, Debug)]
pub struct Packed {
    inputs: usize,
    outputs: usize,
    most: usize,
    values: Vec<f32>,
}

impl Packed {
    /// Packs the matrix whose element (output, input) is `of_input(input)(output)`.
    pub fn new<F: Fn(usize) -> f32>(outputs: usize, inputs: usize, of_input: impl Fn(usize) -> F) -> Self {
        let most = most_outputs();
        let mut values = Vec::with_capacity(outputs * inputs);
        for depth in even_parts(inputs, DEPTH) {
            for block in even_parts(outputs, most) {
                for input in depth.clone() {
                    values.extend(block.clone().map(of_input(input)));
                }
            }
        }
        Self { inputs, outputs, most, values }
    }

    /// The number of outputs.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The outputs in at most `parts` ranges that [`add_some_products`] takes.
    pub fn parts(&self, parts: usize) -> Vec<Range<usize>> {
        let blocks: Vec<Range<usize>> = even_parts(self.outputs, self.most).collect();
        even_parts(blocks.len(), blocks.len().div_ceil(parts)).map(|part| blocks[part.start].start..blocks[part.end - 1].end).collect()
    }
}

/// For each x of `xs`: out\[o\] += Σᵢ weights\[o, i\] · x\[rows\[i\]\], the outputs of one x after those of the other. The
/// order of the sum depends on the shape of `weights` alone.
pub fn add_products<'a>(xs: impl Iterator<Item = &'a [Row]> + Clone, rows: &[u32], weights: &Packed, out: &mut [Row]) {
    add_some_products(xs, rows, weights, 0..weights.outputs, out);
}

/// The same for a range of outputs, of [`Packed::parts`]: equal to the bit.
pub fn add_some_products<'a>(
    xs: impl Iterator<Item = &'a [Row]> + Clone,
    rows: &[u32],
    weights: &Packed,
    outputs: Range<usize>,
    out: &mut [Row],
) {
    Arch::new().dispatch(AddProducts { xs, rows, weights, some: outputs, out });
}

struct AddProducts<'a, Xs> {
    xs: Xs,
    rows: &'a [u32],
    weights: &'a Packed,
    /// The outputs that are computed: whole blocks.
    some: Range<usize>,
    out: &'a mut [Row],
}

impl<'a, Xs: Iterator<Item = &'a [Row]> + Clone> WithSimd for AddProducts<'_, Xs> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Packed { inputs, outputs, most, ref values } = *self.weights;
        assert_eq!(inputs, self.rows.len(), "a product of the matrix's shape");
        for depth in even_parts(inputs, DEPTH) {
            let of_depth = &values[depth.start * outputs..depth.end * outputs];
            for (x, out) in self.xs.clone().zip(self.out.chunks_exact_mut(self.some.len().max(1))) {
                for block in even_parts(outputs, most).filter(|block| self.some.contains(&block.start)) {
                    let weights = &of_depth[block.start * depth.len()..block.end * depth.len()];
                    let out = &mut out[block.start - self.some.start..block.end - self.some.start];
                    block_product::<S, true>(simd, x, &self.rows[depth.clone()], weights, out);
                }
            }
        }
    }
}

/// As [`add_products`], within vectorised code, for the weights of one block of inputs and outputs; with `ADD` false the
/// product replaces what stood in `out`.
#[inline(always)]
pub fn block_product<S: Simd, const ADD: bool>(simd: S, x: &[Row], rows: &[u32], weights: &[f32], out: &mut [Row]) {
    macro_rules! of_width {
        ($($width:literal)*) => {
            match out.len() {
                $($width => kernel::<S, ADD, $width>(simd, x, rows, weights, out),)*
                _ => unreachable!("a block has at most 14 outputs"),
            }
        };
    }
    of_width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
}

/// `OUTPUTS` rows of the product, two registers of points at a time: the sums stay in registers.
#[inline(always)]
fn kernel<S: Simd, const ADD: bool, const OUTPUTS: usize>(simd: S, x: &[Row], rows: &[u32], weights: &[f32], out: &mut [Row]) {
    for part in (0..LANES / S::F32_LANES).step_by(2) {
        let mut sums = [[simd.splat_f32s(0.0); 2]; OUTPUTS];
        for (weights, &row) in weights.as_chunks::<OUTPUTS>().0.iter().zip(rows) {
            let x = S::as_simd_f32s(&x[row as usize].0).0;
            let x = [x[part], x[part + 1]];
            for (sums, &weight) in sums.iter_mut().zip(weights) {
                let weight = simd.splat_f32s(weight);
                *sums = [simd.mul_add_e_f32s(weight, x[0], sums[0]), simd.mul_add_e_f32s(weight, x[1], sums[1])];
            }
        }
        for (out, sums) in out.iter_mut().zip(sums) {
            let out = S::as_mut_simd_f32s(&mut out.0).0;
            for (out, sum) in out[part..part + 2].iter_mut().zip(sums) {
                *out = if ADD { simd.add_f32s(*out, sum) } else { sum };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds the products with these vectors against those with the widest.
    fn compare<S: Simd>(simd: S) {
        let value = |at: usize| ((at * 37 % 101) as f32 - 50.0) / 25.0;
        for (inputs, outputs) in [(1, 1), (7, 3), (300, 17), (513, 29)] {
            let x: Vec<Row> = (0..inputs).map(|input| Row(std::array::from_fn(|lane| value(input * LANES + lane)))).collect();
            let rows: Vec<u32> = (0..inputs as u32).rev().collect();
            let weights = Packed::new(outputs, inputs, |input| move |output| value(output * inputs + input + 5));
            let [mut widest, mut narrow] = [(); 2].map(|()| vec![Row::splat(0.5); outputs]);
            add_products(std::iter::once(x.as_slice()), &rows, &weights, &mut widest);
            let xs = std::iter::once(x.as_slice());
            simd.vectorize(AddProducts { xs, rows: &rows, weights: &weights, some: 0..outputs, out: &mut narrow });
            let sizes = (0..inputs * outputs).map(|at| value(at + 5).abs()).fold(0.0, f32::max) * 2.0 * inputs as f32;
            let differ = widest.iter().zip(&narrow).flat_map(|(a, b)| a.0.iter().zip(&b.0)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(differ <= 1e-6 * sizes && narrow[0] != Row::splat(0.5), "{inputs} × {outputs}: {differ}");
        }
    }

    /// Products as a processor with AVX2 alone computes them, on one that has more.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn products_with_avx2_are_those_of_the_widest_vectors() {
        if let Some(avx2) = pulp::x86::V3::try_new() {
            compare(avx2);
        }
    }

    #[test]
    #[cfg_attr(not(target_arch = "aarch64"), ignore = "NEON has never been run: it needs an ARM processor")]
    fn products_with_neon_are_those_of_single_numbers() {
        compare(pulp::Scalar::new());
    }

    #[test]
    fn parts_of_the_outputs_are_the_whole_to_the_bit() {
        let value = |at: usize| ((at * 37 % 101) as f32 - 50.0) / 25.0;
        let x: Vec<Row> = (0..300).map(|input| Row(std::array::from_fn(|lane| value(input * LANES + lane)))).collect();
        let rows: Vec<u32> = (0..300).collect();
        for outputs in [1, 29, 64] {
            let weights = Packed::new(outputs, 300, |input| move |output| value(output * 300 + input));
            let mut whole = vec![Row::splat(0.5); outputs];
            add_products(std::iter::once(x.as_slice()), &rows, &weights, &mut whole);
            for parts in [1, 2, 3, 100] {
                let mut joined = Vec::new();
                for part in weights.parts(parts) {
                    let mut out = vec![Row::splat(0.5); part.len()];
                    add_some_products(std::iter::once(x.as_slice()), &rows, &weights, part, &mut out);
                    joined.extend(out);
                }
                assert!(joined == whole, "{outputs} outputs in {parts} parts");
            }
        }
    }
}
