//! A head that begins with a dropout and a dense layer: the layer of each draw with the masks in it, which all steps of an attack share.

use super::operations::Element;
use super::steps::{Kind, Part};
use crate::nets::Function;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Columns of a task of the product that goes back through all draws.
const COLUMNS: usize = 256;

/// A head that begins with a dropout of a value that crosses the cut, and a dense layer.
#[derive(Clone, Copy)]
pub(super) struct Thinning {
    /// What is dropped, and how many elements a unit of it has.
    pub dropped: usize,
    pub size: usize,
    /// The dense layer's value, and the numbers of its inputs and outputs.
    pub dense: usize,
    pub inputs: usize,
    pub outputs: usize,
    /// The slot and the rate of the dropout that the outputs go through next.
    pub next: Option<(usize, f64)>,
}

/// The steps that a [`Thinning`] takes the place of.
pub(super) const THINNED: usize = 2;

/// The weight and the bias of the dense layer of a [`Thinning`].
pub(super) fn dense<T>(head: &Part<T>) -> Option<(&[T], &[T])> {
    match head.steps.get(1).map(|step| &step.kind) {
        Some(Kind::Linear { weight, bias }) => Some((weight, bias)),
        _ => None,
    }
}

impl Thinning {
    pub fn of<T: Element>(head: &Part<T>) -> Option<Self> {
        let [mask, dense, rest @ ..] = &head.steps[..] else { return None };
        let (&Kind::Mask { slot: 0, size, .. }, Kind::Linear { weight, bias }) = (&mask.kind, &dense.kind) else { return None };
        if dense.inputs != [mask.output] || head.readers(mask.output) != 1 {
            return None;
        }
        let [inputs, outputs] = [weight.len() / bias.len(), bias.len()];
        let mut thinning = Self { dropped: mask.inputs[0], size, dense: dense.output, inputs, outputs, next: None };
        let mut value = dense.output;
        // What will be dropped is 0 until then: no function may make more of it than a number.
        let mut zero = 0.0;
        while let Some(step) = rest.iter().find(|step| step.inputs == [value] && head.readers(value) == 1) {
            match &step.kind {
                Kind::Apply(functions) => {
                    let slopes = |(x, finite): (f64, bool), function: &Function| {
                        let finite = finite && function.value(x).is_finite() && function.derivative(x).is_finite();
                        (function.value(x), finite)
                    };
                    let finite;
                    (zero, finite) = functions.iter().fold((zero, true), slopes);
                    if !finite {
                        return Some(thinning);
                    }
                }
                Kind::Mask { slot, rate, size: 1, .. } => {
                    thinning.next = Some((*slot, *rate));
                    return Some(thinning);
                }
                _ => return Some(thinning),
            }
            value = step.output;
        }
        Some(thinning)
    }
}

/// The dense layer of one draw after a dropout: dropped inputs have zeros for weights, and of the outputs only those are computed
/// that the next dropout keeps.
pub(super) struct Thinned<T> {
    /// \[kept outputs, inputs\].
    pub weight: Vec<T>,
    bias: Vec<T>,
    kept: Vec<u32>,
}

/// Takes the masks into a dense layer: that of the inputs, whose units are so many values, and that of the outputs, if any.
pub(super) fn thin<T: Element>(weight: &[T], bias: &[T], (inputs, size): (&[T], usize), outputs: Option<&[T]>) -> Thinned<T> {
    let kept: Vec<u32> = (0..bias.len() as u32).filter(|&at| outputs.is_none_or(|mask| mask[at as usize] > T::ZERO)).collect();
    let length = weight.len() / bias.len();
    let mut masked = Vec::with_capacity(kept.len() * length);
    for &output in &kept {
        let row = &weight[output as usize * length..][..length];
        if size == 1 {
            masked.extend(row.iter().zip(inputs).map(|(&weight, &mask)| weight * mask));
        } else {
            masked.extend(row.chunks(size).zip(inputs).flat_map(|(unit, &mask)| unit.iter().map(move |&weight| weight * mask)));
        }
    }
    Thinned { weight: masked, bias: kept.iter().map(|&output| bias[output as usize]).collect(), kept }
}

impl<T: Element> Thinned<T> {
    /// The layer's outputs \[count, outputs\], 0 where they will be dropped.
    pub fn forward(&self, x: &[T], count: usize, outputs: usize) -> Vec<T> {
        let (kept, inputs) = (self.kept.len(), x.len() / count);
        let mut all = vec![T::ZERO; count * outputs];
        if kept == 0 {
            return all;
        }
        let mut y: Vec<T> = (0..count).flat_map(|_| &self.bias).copied().collect();
        let [x, weight] = [(x, count), (&self.weight[..], kept)].map(|(values, rows)| MatRef::from_row_major_slice(values, rows, inputs));
        matmul(MatMut::from_row_major_slice_mut(&mut y, count, kept), Accum::Add, x, weight.transpose(), T::one_impl(), Par::Seq);
        for (all, y) in all.chunks_exact_mut(outputs).zip(y.chunks_exact(kept)) {
            self.kept.iter().zip(y).for_each(|(&output, &y)| all[output as usize] = y);
        }
        all
    }

    /// Of a gradient \[N, outputs\] what belongs to the kept outputs.
    pub fn gather(&self, gradient: &[T], outputs: usize) -> Vec<T> {
        gradient.chunks_exact(outputs).flat_map(|row| self.kept.iter().map(|&output| row[output as usize])).collect()
    }
}

/// Adds `Σ_draws` G W onto the gradient \[count, inputs\] of what all draws begin with; each task does its columns for all draws in turn, so
/// that no sum depends on the number of threads.
pub(super) fn add_products<T: Element>(sum: &mut [T], gradients: &[Vec<T>], draws: &[Thinned<T>], count: usize) {
    let inputs = sum.len() / count;
    let sum = MatMut::from_row_major_slice_mut(sum, count, inputs);
    sum.par_col_chunks_mut(COLUMNS).enumerate().for_each(|(chunk, mut sum)| {
        for (gradient, draw) in gradients.iter().zip(draws).filter(|(_, draw)| !draw.kept.is_empty()) {
            let gradient = MatRef::from_row_major_slice(gradient, count, draw.kept.len());
            let weight = MatRef::from_row_major_slice(&draw.weight, draw.kept.len(), inputs).subcols(chunk * COLUMNS, sum.ncols());
            matmul(sum.as_mut(), Accum::Add, gradient, weight, T::one_impl(), Par::Seq);
        }
    });
}
