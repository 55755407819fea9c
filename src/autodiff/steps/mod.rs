//! A lowered network as steps over a batch, forward and back to its input: what an attack asks of it, on the CPU. Training goes over
//! candle's tape; an attack wants no gradient of any weight, and the products that its draws share done once.

mod build;
mod plane;
mod product;
#[cfg(test)]
mod tests;
mod units;

use super::operations::Element;
use crate::kernels::ConvolutionBlock;
use crate::nets::{Function, Gaussian};
pub(super) use plane::Map;
use product::Phased;
use rayon::prelude::*;
use std::sync::Arc;

/// Values per task of an elementwise step.
const PIECE: usize = 4096;

/// A value of a batch \[N, length\], row-major.
pub(super) type Value<T> = Arc<Vec<T>>;

/// Values by their numbers; those that are not there, or no longer needed, are `None`.
type Values<T> = Vec<Option<Value<T>>>;

/// What is drawn, one for each [`Kind::Mask`] and [`Kind::Drawn`] of a head in turn: per unit 0 or 1 / (1 − rate); weights, and behind
/// them the bias.
pub(super) type DrawMasks<T> = Vec<Vec<T>>;

/// Some instructions of a program in one precision.
pub(super) struct Part<T> {
    pub steps: Vec<Step<T>>,
    /// How many numbers of values there are.
    values: usize,
    /// The values that it takes from outside, and those that it is run for.
    pub takes: Vec<usize>,
    pub gives: Vec<usize>,
}

/// One step: an instruction, or the functions or the pool behind one.
pub(super) struct Step<T> {
    pub kind: Kind<T>,
    pub inputs: Vec<usize>,
    pub output: usize,
    /// The inputs' lengths for one image.
    lengths: Vec<usize>,
    /// The inputs that nothing needs after it.
    frees: Vec<usize>,
}

/// The kinds of steps.
pub(super) enum Kind<T> {
    /// y = W x + b; weight \[outputs, inputs\].
    Linear { weight: Vec<T>, bias: Vec<T> },
    /// The same, of weights that are drawn; in a deterministic pass their means.
    Drawn { slot: usize, weight: Vec<T>, bias: Vec<T>, gaussian: Gaussian },
    /// A convolution without gaps between its taps, and the ReLU and the pool that follow it.
    Convolve { block: ConvolutionBlock, weight: Vec<T>, bias: Vec<T> },
    /// Any other product.
    Phased(Phased<T>),
    /// A pool, a padding or another size.
    Plane(Map<T>),
    /// Elementwise functions in turn.
    Apply(Vec<Function>),
    /// Dropout of `units` units of `size` values each.
    Mask { slot: usize, stream: u32, rate: f64, units: usize, size: usize },
    /// scale · x + offset, one of each per unit.
    Affine { scale: Vec<T>, offset: Vec<T> },
    /// (x − mean) / √(variance + epsilon) · scale + offset, with the moments of each of `groups` runs.
    Normalise { groups: usize, epsilon: f64, scale: Vec<T>, offset: Vec<T> },
    /// The sum of all inputs; a shorter one has one value per unit.
    Add,
    /// The product of all inputs, likewise.
    Multiply,
    /// All inputs one after the other.
    Concatenate,
    /// The softmax over the channels at each of `size` places, or its logarithm.
    Softmax { size: usize, log: bool },
}

/// What a step keeps on the way forward for the way back.
pub(super) enum Saved<T> {
    Nothing,
    /// Its inputs; of what cuts off and of a softmax, its output.
    Values(Vec<Value<T>>),
    /// What came out of a convolution's block, and which elements of the windows they are.
    Block(Value<T>, Vec<u16>),
    /// The pixels that were the largest of their windows.
    Chosen(Vec<u32>),
    /// What a normalisation made before its scale, and what it multiplied each group with.
    Moments(Vec<T>, Vec<f64>),
}

impl<T: Element> Part<T> {
    /// Runs the steps from `from` on over `count` images, for the values that they take: the values that the part gives, and what the way
    /// back needs if `keep` says that anyone will go it. Without masks nothing is drawn.
    pub fn forward(
        &self,
        from: usize,
        taken: impl IntoIterator<Item = (usize, Value<T>)>,
        count: usize,
        masks: Option<&DrawMasks<T>>,
        keep: bool,
    ) -> (Vec<Value<T>>, Vec<Saved<T>>) {
        let mut values: Values<T> = vec![None; self.values];
        for (value, of_batch) in taken {
            values[value] = Some(of_batch);
        }
        let mut trace = Vec::with_capacity(self.steps.len());
        for step in &self.steps[from..] {
            let (output, saved) = step.forward(&mut values, count, masks, keep);
            for &value in &step.frees {
                values[value] = None;
            }
            values[step.output] = Some(output);
            trace.push(saved);
        }
        (self.gives.iter().map(|&value| Arc::clone(there(&values, value))).collect(), trace)
    }

    /// The gradients in the values that the steps from `from` on took, by the values' numbers, for those in values that they gave; `None`
    /// where no step leads from one to the other.
    pub fn backward(
        &self,
        (from, trace): (usize, &[Saved<T>]),
        of_given: impl IntoIterator<Item = (usize, Vec<T>)>,
        count: usize,
        masks: Option<&DrawMasks<T>>,
    ) -> Vec<Option<Vec<T>>> {
        let mut gradients: Vec<Option<Vec<T>>> = vec![None; self.values];
        for (value, gradient) in of_given {
            add(&mut gradients[value], gradient);
        }
        for (step, saved) in self.steps[from..].iter().zip(trace).rev() {
            if let Some(gradient) = gradients[step.output].take() {
                step.backward(saved, gradient, count, masks, |place, part| add(&mut gradients[step.inputs[place]], part));
            }
        }
        gradients
    }
}

/// Adds a part of a gradient to what is there already: a value may be read by several steps.
pub(super) fn add<T: Element>(sum: &mut Option<Vec<T>>, part: Vec<T>) {
    match sum {
        None => *sum = Some(part),
        Some(sum) => sum.par_iter_mut().with_min_len(PIECE).zip(part).for_each(|(sum, part)| *sum += part),
    }
}

fn there<T>(values: &[Option<Value<T>>], value: usize) -> &Value<T> {
    match &values[value] {
        Some(of_batch) => of_batch,
        None => unreachable!("a value is written before it is read, and freed by its last reader"),
    }
}

impl<T: Element> Step<T> {
    /// The first input, to be written over: without a copy where nothing else needs it.
    fn own(&self, values: &mut [Option<Value<T>>]) -> Vec<T> {
        let first = self.inputs[0];
        let last_reader = self.frees.contains(&first) && !self.inputs[1..].contains(&first);
        let taken = if last_reader { values[first].take() } else { None };
        taken.map_or_else(|| there(values, first).to_vec(), Arc::unwrap_or_clone)
    }

    fn forward(&self, values: &mut [Option<Value<T>>], count: usize, masks: Option<&DrawMasks<T>>, keep: bool) -> (Value<T>, Saved<T>) {
        let shared = |values: &[Option<Value<T>>]| self.inputs.iter().map(|&value| Arc::clone(there(values, value))).collect::<Vec<_>>();
        let length = self.lengths[0];
        let only = |output: Vec<T>| (Arc::new(output), Saved::Nothing);
        match &self.kind {
            Kind::Linear { weight, bias } => only(product::linear(there(values, self.inputs[0]), weight, bias, count)),
            Kind::Drawn { slot, weight, bias, .. } => {
                let (weight, bias) = masks.map_or((&weight[..], &bias[..]), |masks| masks[*slot].split_at(weight.len()));
                only(product::linear(there(values, self.inputs[0]), weight, bias, count))
            }
            Kind::Convolve { block, weight, bias } => {
                let (output, chosen) = block.forward(there(values, self.inputs[0]), weight, bias);
                let output = Arc::new(output);
                let saved = if keep { Saved::Block(Arc::clone(&output), chosen) } else { Saved::Nothing };
                (output, saved)
            }
            Kind::Phased(phased) => only(phased.forward(there(values, self.inputs[0]))),
            Kind::Plane(map) => {
                let (output, chosen) = map.forward(there(values, self.inputs[0]));
                (Arc::new(output), if keep { Saved::Chosen(chosen) } else { Saved::Nothing })
            }
            Kind::Apply(functions) if keep => {
                if let Some(bounds) = units::bounds(functions) {
                    let mut x = self.own(values);
                    units::cut(&mut x, bounds);
                    let output = Arc::new(x);
                    return (Arc::clone(&output), Saved::Values(vec![output]));
                }
                let saved = shared(values);
                let output = saved[0].par_iter().with_min_len(PIECE).map(|&x| units::value(functions, x)).collect();
                (Arc::new(output), Saved::Values(saved))
            }
            Kind::Apply(functions) => {
                let mut x = self.own(values);
                match units::bounds(functions) {
                    Some(bounds) => units::cut(&mut x, bounds),
                    None => x.par_iter_mut().with_min_len(PIECE).for_each(|x| *x = units::value(functions, *x)),
                }
                only(x)
            }
            Kind::Mask { slot, .. } => match masks {
                None => (Arc::clone(there(values, self.inputs[0])), Saved::Nothing),
                Some(masks) => {
                    let mut x = self.own(values);
                    units::scale(&mut x, &masks[*slot], length);
                    only(x)
                }
            },
            Kind::Affine { scale, offset } => {
                let mut x = self.own(values);
                units::scale_and_shift(&mut x, scale, offset, length);
                only(x)
            }
            Kind::Normalise { groups, epsilon, scale, offset } => {
                let (mut x, reciprocals) = units::normalise(there(values, self.inputs[0]), length / groups, *epsilon);
                let saved = if keep { Saved::Moments(x.clone(), reciprocals) } else { Saved::Nothing };
                units::scale_and_shift(&mut x, scale, offset, length);
                (Arc::new(x), saved)
            }
            Kind::Add => {
                let mut sum = self.own(values);
                for (&other, &units) in self.inputs.iter().zip(&self.lengths).skip(1) {
                    units::combine(&mut sum, there(values, other), length / units, |sum, x| *sum += x);
                }
                only(sum)
            }
            Kind::Multiply => {
                let saved = shared(values);
                let mut product = saved[0].to_vec();
                for (other, &units) in saved.iter().zip(&self.lengths).skip(1) {
                    units::combine(&mut product, other, length / units, |product, x| *product *= x);
                }
                (Arc::new(product), if keep { Saved::Values(saved) } else { Saved::Nothing })
            }
            Kind::Concatenate => only(units::concatenate(&shared(values), &self.lengths)),
            Kind::Softmax { size, log } => {
                let output = Arc::new(units::softmax(there(values, self.inputs[0]), *size, length, *log));
                let saved = if keep { Saved::Values(vec![Arc::clone(&output)]) } else { Saved::Nothing };
                (output, saved)
            }
        }
    }

    /// Calls `add(place of an input, a part of its gradient)` for the gradient of the output.
    fn backward(
        &self,
        saved: &Saved<T>,
        mut gradient: Vec<T>,
        count: usize,
        masks: Option<&DrawMasks<T>>,
        mut add: impl FnMut(usize, Vec<T>),
    ) {
        let length = self.lengths[0];
        match (&self.kind, saved) {
            (Kind::Linear { weight, bias }, _) => add(0, product::back_through_linear(&gradient, weight, bias.len(), count)),
            (Kind::Drawn { slot, weight, bias, .. }, _) => {
                let drawn = masks.map_or(&weight[..], |masks| &masks[*slot][..weight.len()]);
                add(0, product::back_through_linear(&gradient, drawn, bias.len(), count));
            }
            (Kind::Convolve { block, weight, .. }, Saved::Block(output, chosen)) => {
                add(0, block.backward_to_images(weight, (&output[..], &chosen[..]), &gradient));
            }
            (Kind::Phased(phased), _) => add(0, phased.backward(&gradient)),
            (Kind::Plane(map), Saved::Chosen(chosen)) => add(0, map.backward(chosen, &gradient)),
            (Kind::Apply(functions), Saved::Values(values)) => {
                if let Some(bounds) = units::bounds(functions) {
                    units::back_through_cut(&values[0], &mut gradient, bounds);
                } else {
                    let both = gradient.par_iter_mut().with_min_len(PIECE).zip(values[0].par_iter());
                    both.for_each(|(gradient, &x)| *gradient = units::back(functions, x, *gradient));
                }
                add(0, gradient);
            }
            (Kind::Mask { slot, .. }, _) => {
                if let Some(masks) = masks {
                    units::scale(&mut gradient, &masks[*slot], length);
                }
                add(0, gradient);
            }
            (Kind::Affine { scale, .. }, _) => {
                units::scale(&mut gradient, scale, length);
                add(0, gradient);
            }
            (Kind::Normalise { groups, scale, .. }, Saved::Moments(made, reciprocals)) => {
                units::scale(&mut gradient, scale, length);
                units::back_through_moments(made, reciprocals, &mut gradient, length / groups);
                add(0, gradient);
            }
            (Kind::Add, _) => {
                for (place, units) in self.lengths.iter().enumerate().skip(1) {
                    add(place, units::sum_of_units(gradient.clone(), length / units));
                }
                add(0, gradient);
            }
            (Kind::Concatenate, _) => {
                let parts = units::split(&gradient, &self.lengths);
                parts.into_iter().enumerate().for_each(|(place, part)| add(place, part));
            }
            (Kind::Multiply, Saved::Values(values)) => {
                let sizes: Vec<usize> = self.lengths.iter().map(|units| length / units).collect();
                for (place, &size) in sizes.iter().enumerate() {
                    let mut part = gradient.clone();
                    for (_, (other, &size)) in values.iter().zip(&sizes).enumerate().filter(|(other, _)| *other != place) {
                        units::combine(&mut part, other, size, |part, x| *part *= x);
                    }
                    add(place, units::sum_of_units(part, size));
                }
            }
            (Kind::Softmax { size, log }, Saved::Values(values)) => {
                let back = if *log { units::back_through_log_softmax } else { units::back_through_softmax };
                back(&values[0], &mut gradient, *size, length);
                add(0, gradient);
            }
            _ => unreachable!("the trace is that of these steps"),
        }
    }
}
