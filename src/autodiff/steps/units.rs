//! Steps whose elements follow from those at the same place, or from a few numbers of their unit, group or place. A *unit* is a run of
//! elements that share a constant.

use super::{PIECE, Value};
use crate::autodiff::operations::Element;
use crate::nets::Function;
use rayon::prelude::*;

/// The functions in turn, in f64 so that both precisions share one definition.
pub fn value<T: Element>(functions: &[Function], x: T) -> T {
    T::from_f64(functions.iter().fold(x.to_f64(), |x, function| function.value(x)))
}

/// The gradient in `x` for that in the functions' value.
pub fn back<T: Element>(functions: &[Function], x: T, gradient: T) -> T {
    let (mut x, mut gradient) = (x.to_f64(), gradient.to_f64());
    for (place, function) in functions.iter().enumerate() {
        gradient *= function.derivative(x);
        if place + 1 < functions.len() {
            x = function.value(x);
        }
    }
    T::from_f64(gradient)
}

/// The bounds between which the functions change nothing, where cutting off beyond them is all that they do.
pub fn bounds<T: Element>(functions: &[Function]) -> Option<[T; 2]> {
    let [low, high] = match functions {
        [Function::Relu {}] => [0.0, f64::INFINITY],
        [Function::Clip { low, high }] => [*low, *high],
        _ => return None,
    };
    Some([low, high].map(T::from_f64))
}

/// Cuts off what is beyond the bounds. NaN stays.
pub fn cut<T: Element>(values: &mut [T], [low, high]: [T; 2]) {
    values.par_chunks_mut(PIECE).for_each(|piece| {
        for value in piece {
            *value = match *value {
                below if below < low => low,
                above if above > high => high,
                within => within,
            };
        }
    });
}

/// The gradient before [`cut`], for that behind it and what came out.
pub fn back_through_cut<T: Element>(cut: &[T], gradient: &mut [T], [low, high]: [T; 2]) {
    gradient.par_chunks_mut(PIECE).zip(cut.par_chunks(PIECE)).for_each(|(gradient, cut)| {
        for (gradient, &cut) in gradient.iter_mut().zip(cut) {
            *gradient = if cut <= low || cut >= high { T::ZERO } else { *gradient };
        }
    });
}

/// Multiplies each unit by its factor, in each image of that length.
pub fn scale<T: Element>(values: &mut [T], factors: &[T], length: usize) {
    let size = length / factors.len();
    values.par_chunks_mut(length).for_each(|image| {
        for (unit, &factor) in image.chunks_mut(size).zip(factors) {
            for value in unit.iter_mut() {
                *value *= factor;
            }
        }
    });
}

/// The same, and adds the unit's offset.
pub fn scale_and_shift<T: Element>(values: &mut [T], factors: &[T], offsets: &[T], length: usize) {
    let size = length / factors.len();
    values.par_chunks_mut(length).for_each(|image| {
        for ((unit, &factor), &offset) in image.chunks_mut(size).zip(factors).zip(offsets) {
            for value in unit.iter_mut() {
                *value = *value * factor + offset;
            }
        }
    });
}

/// Brings each element of `other` to the elements of its unit of `size`.
pub fn combine<T: Element>(values: &mut [T], other: &[T], size: usize, combine: impl Fn(&mut T, T) + Sync) {
    if size == 1 {
        values.par_iter_mut().with_min_len(PIECE).zip(other).for_each(|(value, &other)| combine(value, other));
    } else {
        let units = values.par_chunks_mut(size).with_min_len(PIECE.div_ceil(size));
        units.zip(other).for_each(|(unit, &other)| unit.iter_mut().for_each(|value| combine(value, other)));
    }
}

/// The sums of units of `size`.
pub fn sum_of_units<T: Element>(values: Vec<T>, size: usize) -> Vec<T> {
    if size == 1 {
        return values;
    }
    values.par_chunks(size).with_min_len(PIECE.div_ceil(size)).map(|unit| unit.iter().copied().sum()).collect()
}

/// The values of each image one after the other, for their lengths for one image.
pub fn concatenate<T: Element>(values: &[Value<T>], lengths: &[usize]) -> Vec<T> {
    let mut joined = Vec::with_capacity(values.iter().map(|value| value.len()).sum());
    for image in 0..values[0].len() / lengths[0] {
        for (value, &length) in values.iter().zip(lengths) {
            joined.extend_from_slice(&value[image * length..][..length]);
        }
    }
    joined
}

/// The opposite of [`concatenate`].
pub fn split<T: Element>(joined: &[T], lengths: &[usize]) -> Vec<Vec<T>> {
    let whole: usize = lengths.iter().sum();
    let mut first = 0;
    let part = |&length: &usize| {
        let part = joined.chunks_exact(whole).flat_map(|image| &image[first..first + length]).copied().collect();
        first += length;
        part
    };
    lengths.iter().map(part).collect()
}

/// (x − mean) / √(variance + epsilon) with the moments of each group of so many elements, and 1 / √(variance + epsilon) of each.
pub fn normalise<T: Element>(x: &[T], length: usize, epsilon: f64) -> (Vec<T>, Vec<f64>) {
    let mut made = vec![T::ZERO; x.len()];
    let of_group = |(made, x): (&mut [T], &[T])| {
        // By the distances from the first: those of a constant group are 0, and its variance is exactly 0.
        let first = x[0].to_f64();
        let mean = first + x.iter().map(|x| x.to_f64() - first).sum::<f64>() / length as f64;
        let variance = x.iter().map(|x| (x.to_f64() - mean).powi(2)).sum::<f64>() / length as f64;
        let reciprocal = (variance + epsilon).sqrt().recip();
        made.iter_mut().zip(x).for_each(|(made, x)| *made = T::from_f64((x.to_f64() - mean) * reciprocal));
        reciprocal
    };
    let reciprocals = made.par_chunks_mut(length).zip(x.par_chunks(length)).map(of_group).collect();
    (made, reciprocals)
}

/// Turns the gradient in what [`normalise`] made into that in x, through mean and variance as well.
pub fn back_through_moments<T: Element>(made: &[T], reciprocals: &[f64], gradient: &mut [T], length: usize) {
    let each = gradient.par_chunks_mut(length).zip(made.par_chunks(length)).zip(reciprocals);
    each.for_each(|((gradient, made), reciprocal)| {
        let mean = gradient.iter().map(|g| g.to_f64()).sum::<f64>() / length as f64;
        let along = gradient.iter().zip(made).map(|(g, made)| g.to_f64() * made.to_f64()).sum::<f64>() / length as f64;
        for (gradient, made) in gradient.iter_mut().zip(made) {
            *gradient = T::from_f64((gradient.to_f64() - mean - made.to_f64() * along) * reciprocal);
        }
    });
}

/// exp(x) / Σ exp(x) over the channels at each of `size` places of each image of that length; with `log` its logarithm.
pub fn softmax<T: Element>(x: &[T], size: usize, length: usize, log: bool) -> Vec<T> {
    let mut output = vec![T::ZERO; x.len()];
    output.par_chunks_mut(length).zip(x.par_chunks(length)).for_each(|(output, x)| {
        for place in 0..size {
            let channels = || x[place..].iter().step_by(size).map(|x| x.to_f64());
            let largest = channels().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = channels().map(|x| (x - largest).exp()).sum();
            let logarithm = sum.ln();
            let value = |x: f64| if log { x - largest - logarithm } else { (x - largest).exp() / sum };
            let of_place = output[place..].iter_mut().step_by(size);
            of_place.zip(channels()).for_each(|(output, x)| *output = T::from_f64(value(x)));
        }
    });
    output
}

/// Turns the gradient in probabilities into that in what they are the softmax of.
pub fn back_through_softmax<T: Element>(probabilities: &[T], gradient: &mut [T], size: usize, length: usize) {
    gradient.par_chunks_mut(length).zip(probabilities.par_chunks(length)).for_each(|(gradient, probabilities)| {
        for place in 0..size {
            let channels = probabilities[place..].iter().step_by(size).map(|p| p.to_f64());
            let mean: f64 = gradient[place..].iter().step_by(size).zip(channels.clone()).map(|(g, p)| g.to_f64() * p).sum();
            let of_place = gradient[place..].iter_mut().step_by(size);
            of_place.zip(channels).for_each(|(gradient, p)| *gradient = T::from_f64(p * (gradient.to_f64() - mean)));
        }
    });
}

/// Turns the gradient in logarithms of probabilities into that in what they are the log-softmax of.
pub fn back_through_log_softmax<T: Element>(logarithms: &[T], gradient: &mut [T], size: usize, length: usize) {
    gradient.par_chunks_mut(length).zip(logarithms.par_chunks(length)).for_each(|(gradient, logarithms)| {
        for place in 0..size {
            let sum: f64 = gradient[place..].iter().step_by(size).map(|g| g.to_f64()).sum();
            let of_place = gradient[place..].iter_mut().step_by(size);
            let logarithms = logarithms[place..].iter().step_by(size).map(|l| l.to_f64());
            of_place.zip(logarithms).for_each(|(gradient, l)| *gradient = T::from_f64(gradient.to_f64() - l.exp() * sum));
        }
    });
}
