//! The fused update of the optimisers on the CPU: one pass over weights, state and gradient, in place.

use super::optimiser::{ADAM_EPSILON, BETAS, Optimiser, UpdateRule};
use crate::autodiff::operations::slice;
use crate::kernels::vectorised;
use candle_core::{CpuStorage, InplaceOp2, Layout, Result, bail};
use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Weights per piece of work.
const PIECE: usize = 1 << 14;

/// An update of one variable, as a custom operation of weights and gradient.
pub(super) struct FusedUpdate<'a> {
    rule: UpdateRule,
    /// candle hands out the operation by a shared reference.
    memory: Mutex<&'a mut [Vec<f32>; 2]>,
}

impl<'a> FusedUpdate<'a> {
    /// The update by a rule of a variable with that state.
    pub fn new(rule: UpdateRule, memory: &'a mut [Vec<f32>; 2]) -> Self {
        Self { rule, memory: Mutex::new(memory) }
    }
}

impl InplaceOp2 for FusedUpdate<'_> {
    fn name(&self) -> &'static str {
        "optimiser update"
    }

    fn cpu_fwd(&self, weights: &mut CpuStorage, weight_layout: &Layout, gradient: &CpuStorage, gradient_layout: &Layout) -> Result<()> {
        let CpuStorage::F32(weights) = weights else { bail!("the optimisers' fused update takes weights in f32") };
        let Some((start, end)) = weight_layout.contiguous_offsets() else {
            bail!("an optimiser was given weights that are not contiguous: {weight_layout:?}")
        };
        let weights = &mut weights[start..end];
        let gradient: &[f32] = slice(gradient, gradient_layout)?;
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let [first, second] = &mut **memory;
        if [gradient.len(), first.len(), second.len()] != [weights.len(); 3] {
            bail!("{} weights have {} gradients and {} numbers of state", weights.len(), gradient.len(), first.len());
        }
        let state = first.par_chunks_mut(PIECE).zip(second.par_chunks_mut(PIECE));
        let pieces = weights.par_chunks_mut(PIECE).zip(state).zip(gradient.par_chunks(PIECE));
        pieces.for_each(|((weights, (first, second)), gradient)| update(&self.rule, Piece { weights, first, second, gradient }));
        Ok(())
    }
}

/// Some weights of a variable, with their state and gradient.
struct Piece<'a> {
    weights: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    gradient: &'a [f32],
}

/// One loop for each optimiser, so that each is vectorised.
fn update(rule: &UpdateRule, piece: Piece<'_>) {
    let [rate, l2, shrinkage] = [rule.learning_rate, rule.l2, rule.shrinkage].map(|number| number as f32);
    match rule.optimiser {
        Optimiser::Adam { .. } | Optimiser::AdamW { .. } => {
            let [first_share, second_share] = BETAS.map(|beta| (beta as f32, (1.0 - beta) as f32));
            // One division and one root for each weight: the bias corrections become factors.
            let (rate, correction) = ((rule.learning_rate / rule.corrections[0]) as f32, (1.0 / rule.corrections[1].sqrt()) as f32);
            let epsilon = ADAM_EPSILON as f32;
            each(piece, |weight, first, second, gradient| {
                let gradient = gradient + l2 * *weight;
                *first = first_share.0 * *first + first_share.1 * gradient;
                *second = second_share.0 * *second + second_share.1 * gradient * gradient;
                *weight = shrinkage * *weight - rate * *first / (second.sqrt() * correction + epsilon);
            });
        }
        Optimiser::Adadelta { rho, epsilon, .. } => {
            let (old, new, epsilon) = (rho as f32, (1.0 - rho) as f32, epsilon as f32);
            each(piece, |weight, first, second, gradient| {
                let gradient = gradient + l2 * *weight;
                *first = old * *first + new * gradient * gradient;
                let change = gradient * (*second + epsilon).sqrt() / (*first + epsilon).sqrt();
                *second = old * *second + new * change * change;
                *weight -= rate * change;
            });
        }
        Optimiser::Sgd { momentum, .. } => {
            let momentum = momentum as f32;
            each(piece, |weight, first, _, gradient| {
                *first = momentum * *first + (gradient + l2 * *weight);
                *weight -= rate * *first;
            });
        }
    }
}

/// Applies an update to every weight. A plain loop over slices: those over rayon's own iterators are not vectorised.
#[allow(clippy::inline_always, reason = "the loop is compiled for the widest vectors only where it is inlined")]
#[inline(always)]
fn each(piece: Piece<'_>, update: impl Fn(&mut f32, &mut f32, &mut f32, f32)) {
    let Piece { weights, first, second, gradient } = piece;
    vectorised(
        #[inline(always)]
        || {
            let state = first.iter_mut().zip(second.iter_mut());
            for ((weight, (first, second)), &gradient) in weights.iter_mut().zip(state).zip(gradient) {
                update(weight, first, second, gradient);
            }
        },
    );
}
