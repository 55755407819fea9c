//! Every kind of instruction as its definition says it, for one image in f64. NaN is never swallowed: it reaches the output.

use super::Draw;
use crate::nets::lowering::{Instruction, Kind, Plane, Product};
use crate::nets::{Gaussian, Spread};

/// The output of an instruction for its inputs.
pub(super) fn apply(instruction: &Instruction, inputs: &[&[f64]], draw: Option<Draw<'_>>) -> Vec<f64> {
    let input = inputs[0];
    let mut output = match &instruction.kind {
        Kind::Product(product) => multiplied(product, input),
        Kind::Gaussian(gaussian) => drawn(gaussian, input, draw),
        Kind::Plane(plane) => mapped(plane, input),
        Kind::Identity => input.to_vec(),
        Kind::Affine { scale, offset } => {
            let unit = input.len() / scale.len();
            input.iter().enumerate().map(|(at, x)| scale[at / unit] * x + offset[at / unit]).collect()
        }
        Kind::Normalise { groups, epsilon, scale, offset } => normalised(input, *groups, *epsilon, scale, offset),
        Kind::Add => combined(inputs, |sum, x| sum + x),
        Kind::Multiply => combined(inputs, |product, x| product * x),
        Kind::Concatenate => inputs.concat(),
        Kind::Softmax { size, log } => softmax_at_each_place(input, *size, if *log { log_softmax } else { super::softmax }),
        Kind::Mask { stream, rate, size } => masked(input, *stream, *rate, *size, draw),
    };
    for value in &mut output {
        *value = instruction.then.iter().fold(*value, |value, function| function.value(value));
    }
    match &instruction.pool {
        Some(pool) => mapped(pool, &output),
        None => output,
    }
}

fn multiplied(product: &Product, input: &[f64]) -> Vec<f64> {
    let ([channels, height, width], [outputs, rows, columns]) = (product.input, product.output);
    let mut output: Vec<f64> = product.bias.iter().flat_map(|&bias| vec![bias; rows * columns]).collect();
    let of_group = channels / product.groups;
    for phase in &product.phases {
        let taps = phase.taps(of_group, [height, width]);
        let positions: Vec<(u32, u32)> = phase.corners(width).into_iter().zip(phase.places(columns)).collect();
        for (channel, plane) in output.chunks_exact_mut(rows * columns).enumerate() {
            let group = channel / (outputs / product.groups);
            let input = &input[group * of_group * height * width..];
            for (tap, weight) in taps.iter().zip(&phase.weight[channel * taps.len()..]) {
                for (corner, place) in &positions {
                    plane[*place as usize] += weight * input[(corner + tap) as usize];
                }
            }
        }
    }
    output
}

fn drawn(gaussian: &Gaussian, input: &[f64], draw: Option<Draw<'_>>) -> Vec<f64> {
    let (width, outputs) = (gaussian.inputs + 1, gaussian.outputs);
    let with_one: Vec<f64> = input.iter().copied().chain([1.0]).collect();
    let noise = draw.map_or_else(|| vec![0.0; outputs * width], |draw| (draw.noise)(gaussian.stream as usize, outputs * width));
    assert_eq!(noise.len(), outputs * width, "the noise of stream {}", gaussian.stream);
    // How much a number of the noise moves an element of W.
    let root = |output: usize, input: usize, o: usize, i: usize| match &gaussian.spread {
        Spread::Kronecker { basis_in, basis_out, deviation } => {
            basis_out[output * outputs + o] * deviation[o * width + i] * basis_in[input * width + i]
        }
        Spread::Full { factor } => factor[(output * width + input) * outputs * width + o * width + i],
    };
    let element = |output: usize, input: usize| {
        let mut element = gaussian.mean[output * width + input];
        for (o, i) in (0..outputs).flat_map(|o| (0..width).map(move |i| (o, i))) {
            element += root(output, input, o, i) * noise[o * width + i];
        }
        element
    };
    (0..outputs).map(|output| with_one.iter().enumerate().map(|(input, x)| element(output, input) * x).sum()).collect()
}

fn mapped(plane: &Plane, input: &[f64]) -> Vec<f64> {
    let taps = plane.taps();
    let mut output = Vec::new();
    for channel in input.chunks_exact(plane.from[0] * plane.from[1]) {
        for window in taps.starts.windows(2) {
            let window = window[0] as usize..window[1] as usize;
            let pixels = taps.places[window.clone()].iter().map(|&place| channel[place as usize]);
            output.push(if taps.maximum {
                pixels.reduce(|a, b| if a >= b || a.is_nan() { a } else { b }).unwrap_or(0.0)
            } else {
                pixels.zip(&taps.shares[window]).map(|(pixel, share)| pixel * share).sum()
            });
        }
    }
    output
}

fn normalised(input: &[f64], groups: usize, epsilon: f64, scale: &[f64], offset: &[f64]) -> Vec<f64> {
    let (unit, length) = (input.len() / scale.len(), input.len() / groups);
    let mut output = Vec::with_capacity(input.len());
    for group in input.chunks_exact(length) {
        // By the distances from the first: those of a constant group are 0, and its variance is exactly 0.
        let mean = group[0] + group.iter().map(|x| x - group[0]).sum::<f64>() / length as f64;
        let variance = group.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / length as f64;
        for x in group {
            let at = output.len() / unit;
            output.push((x - mean) / (variance + epsilon).sqrt() * scale[at] + offset[at]);
        }
    }
    output
}

fn combined(inputs: &[&[f64]], combine: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let mut output = inputs[0].to_vec();
    for other in &inputs[1..] {
        let unit = output.len() / other.len();
        for (at, value) in output.iter_mut().enumerate() {
            *value = combine(*value, other[at / unit]);
        }
    }
    output
}

fn softmax_at_each_place(input: &[f64], size: usize, softmax: fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let mut output = vec![0.0; input.len()];
    for place in 0..size {
        let of_place: Vec<f64> = input.iter().skip(place).step_by(size).copied().collect();
        output.iter_mut().skip(place).step_by(size).zip(softmax(&of_place)).for_each(|(to, p)| *to = p);
    }
    output
}

/// x − max − ln Σ exp(x − max).
fn log_softmax(logits: &[f64]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let logarithm = logits.iter().map(|logit| (logit - largest).exp()).sum::<f64>().ln();
    logits.iter().map(|logit| logit - largest - logarithm).collect()
}

/// Inverted dropout of units of `size` values each.
fn masked(input: &[f64], stream: u32, rate: f64, size: usize, draw: Option<Draw<'_>>) -> Vec<f64> {
    let mut values = input.to_vec();
    let Some(Draw { keep, .. }) = draw else { return values };
    let units = values.len() / size;
    let mask = keep(stream as usize, rate, units);
    assert_eq!(mask.len(), units, "a mask of stream {stream}");
    for (unit, kept) in values.chunks_exact_mut(size).zip(mask) {
        for value in unit {
            *value = if kept { *value / (1.0 - rate) } else { 0.0 };
        }
    }
    values
}

#[cfg(test)]
mod tests;
