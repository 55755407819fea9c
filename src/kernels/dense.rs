//! Dense layers over a batch, forward and backward.

use super::{Real, functions, vectorised};
use crate::nets::Function;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Rows and columns of a task of a product at most. Tasks do not depend on the number of threads, so their bits do not.
const TASK: [usize; 2] = [256, 128];

/// The gradients of a dense layer.
pub struct DenseGradients<T> {
    /// \[N, inputs\]; empty where it was not asked for.
    pub x: Vec<T>,
    /// \[outputs, inputs\].
    pub weight: Vec<T>,
    /// \[outputs\].
    pub bias: Vec<T>,
}

/// y = function(W x + b), with weight \[outputs, inputs\].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dense {
    /// Elements of x.
    pub inputs: usize,
    /// Elements of y.
    pub outputs: usize,
    /// The elementwise function that follows, if any.
    pub function: Option<Function>,
}

impl Dense {
    /// x \[N, inputs\], weight \[outputs, inputs\] and bias \[outputs\] (empty where there is none) into y \[N, outputs\]; and W x + b, which the way
    /// back needs, where a function follows.
    pub fn forward<T: Real>(&self, x: &[T], weight: &[T], bias: &[T]) -> (Vec<T>, Vec<T>) {
        let Self { inputs, outputs, function } = *self;
        let count = x.len() / inputs;
        let x = MatRef::from_row_major_slice(x, count, inputs);
        let mut sums = product(x, MatRef::from_row_major_slice(weight, outputs, inputs).transpose());
        if !bias.is_empty() {
            vectorised(
                #[inline(always)]
                || sums.chunks_exact_mut(outputs).for_each(|row| row.iter_mut().zip(bias).for_each(|(sum, &bias)| *sum += bias)),
            );
        }
        match function {
            None => (sums, Vec::new()),
            Some(function) => (functions::map(function, &sums), sums),
        }
    }

    /// The gradients for that of y, given the sums that [`forward`](Self::forward) returned. `of_x`: whether the gradient of x is wanted.
    pub fn backward<T: Real>(&self, x: &[T], weight: &[T], sums: &[T], gradient: &[T], of_x: bool) -> DenseGradients<T> {
        let Self { inputs, outputs, function } = *self;
        let count = x.len() / inputs;
        let through = function.map(|function| functions::gradient(function, sums, gradient));
        let gradient = through.as_deref().unwrap_or(gradient);
        let mut bias = vec![T::ZERO; outputs];
        vectorised(
            #[inline(always)]
            || gradient.chunks_exact(outputs).for_each(|row| bias.iter_mut().zip(row).for_each(|(sum, &part)| *sum += part)),
        );
        let gradient = MatRef::from_row_major_slice(gradient, count, outputs);
        let weight = MatRef::from_row_major_slice(weight, outputs, inputs);
        DenseGradients {
            x: if of_x { product(gradient, weight) } else { Vec::new() },
            weight: product(gradient.transpose(), MatRef::from_row_major_slice(x, count, inputs)),
            bias,
        }
    }
}

/// A B, row-major, in tasks.
fn product<T: Real>(a: MatRef<'_, T>, b: MatRef<'_, T>) -> Vec<T> {
    let (rows, columns) = (a.nrows(), b.ncols());
    let mut result = vec![T::ZERO; rows * columns];
    // Of almost equal size.
    let [height, width] = [(rows, TASK[0]), (columns, TASK[1])].map(|(all, most)| all.div_ceil(all.div_ceil(most).max(1)).max(1));
    result.par_chunks_mut(height * columns).enumerate().for_each(|(number, part)| {
        let part_rows = part.len() / columns;
        let a = a.subrows(number * height, part_rows);
        MatMut::from_row_major_slice_mut(part, part_rows, columns).par_col_chunks_mut(width).enumerate().for_each(|(number, part)| {
            let b = b.subcols(number * width, part.ncols());
            matmul(part, Accum::Replace, a, b, T::one_impl(), Par::Seq);
        });
    });
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_support::{assert_is_slope, difference, numbers, single_difference, singles, weighted_sum, with_threads};

    fn layers() -> [(usize, Dense); 4] {
        let layer = |inputs, outputs, function| Dense { inputs, outputs, function };
        [
            (3, layer(5, 7, None)),
            (1, layer(13, 3, Some(Function::Elu { alpha: 0.7 }))),
            (291, layer(3, 137, Some(Function::Tanh {}))),
            (7, layer(301, 1, Some(Function::Gelu { tanh: false }))),
        ]
    }

    #[test]
    fn dense_layers_compute_their_definition() {
        for (count, layer) in layers() {
            let [x, weight, bias] =
                [(1, count * layer.inputs), (2, layer.inputs * layer.outputs), (3, layer.outputs)].map(|(seed, n)| numbers(seed, n));
            for bias in [&bias[..], &[]] {
                let element = |at: usize| {
                    let (row, output) = (at / layer.outputs, at % layer.outputs);
                    let both = x[row * layer.inputs..].iter().zip(&weight[output * layer.inputs..]).take(layer.inputs);
                    let sum = both.map(|(x, w)| x * w).sum::<f64>() + bias.get(output).unwrap_or(&0.0);
                    layer.function.map_or(sum, |function| function.value(sum))
                };
                let expected: Vec<f64> = (0..count * layer.outputs).map(element).collect();
                assert!(difference(&layer.forward(&x, &weight, bias).0, &expected) <= 1e-12, "{layer:?}");
                let single = layer.forward(&singles(&x), &singles(&weight), &singles(bias)).0;
                assert!(single_difference(&single, &expected) <= 1e-5, "{layer:?}");
                assert!(difference(&layer.forward(&x, &weight, &numbers(9, layer.outputs)).0, &expected) > 1e-3, "the negative control");
            }
        }
    }

    #[test]
    fn gradients_of_dense_layers_are_the_slopes() {
        for (count, layer) in layers() {
            let [x, weight, bias] =
                [(1, count * layer.inputs), (2, layer.inputs * layer.outputs), (3, layer.outputs)].map(|(seed, n)| numbers(seed, n));
            let (y, sums) = layer.forward(&x, &weight, &bias);
            let got = layer.backward(&x, &weight, &sums, &numbers(99, y.len()), true);
            let loss = |x: &[f64], weight: &[f64], bias: &[f64]| weighted_sum(&layer.forward(x, weight, bias).0);
            assert_is_slope("x", &x, &got.x, |x| loss(x, &weight, &bias));
            assert_is_slope("weight", &weight, &got.weight, |weight| loss(&x, weight, &bias));
            assert_is_slope("bias", &bias, &got.bias, |bias| loss(&x, &weight, bias));
            assert!(layer.backward(&x, &weight, &sums, &y, false).x.is_empty());
        }
    }

    #[test]
    fn dense_layers_are_bit_equal_for_any_number_of_threads() {
        let run = |threads: usize, seed: u64| {
            let layer = Dense { inputs: 277, outputs: 291, function: Some(Function::Silu {}) };
            let [x, weight, bias] = [301 * 277, 291 * 277, 291].map(|count| singles(&numbers(seed, count)));
            with_threads(threads, || {
                let (y, sums) = layer.forward(&x, &weight, &bias);
                let gradients = layer.backward(&x, &weight, &sums, &y, true);
                [y, gradients.x, gradients.weight, gradients.bias].concat().into_iter().map(f32::to_bits).collect::<Vec<_>>()
            })
        };
        assert!(run(1, 1) == run(2, 1));
        assert!(run(1, 1) != run(2, 2), "the negative control");
    }
}
