//! A network as steps over a batch, forward and back to its input: what an attack asks of it. Training goes over candle's tape;
//! an attack wants no gradient of any weight, and the products that its draws share done once, so it has steps of its own.

use super::operations::{Activation, Element};
use crate::kernels::{Convolution, ConvolutionBlock, Pooling};
use crate::nets::{Gaussian, Layer, Network};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;
use std::ops::Range;

/// Images per task of a dense product.
const GROUP: usize = 32;
/// Values per task of an elementwise step.
const PIECE: usize = 4096;

/// Some layers of a network in one precision. Activations are \[N, …\] row-major.
pub(super) enum Step<T> {
    /// y = W x + b; weight \[outputs, inputs\].
    Linear { weight: Vec<T>, bias: Vec<T> },
    /// The same, of weights that are drawn; in a deterministic pass their means.
    Drawn { weight: Vec<T>, bias: Vec<T>, gaussian: Gaussian },
    /// A convolution, and the ReLU and the pooling that follow it.
    Convolve { block: ConvolutionBlock, weight: Vec<T>, bias: Vec<T> },
    /// Pooling that follows no convolution.
    Pool(Pooling),
    /// An elementwise function.
    Activate(Activation),
    /// Dropout of `units` units of `size` values each.
    Mask { layer: usize, rate: f64, units: usize, size: usize },
    /// x · scale + offset, one of each for `size` values in a row.
    Affine { scale: Vec<T>, offset: Vec<T>, size: usize },
}

/// What a step keeps on the way forward for the way back.
pub(super) enum Saved<T> {
    Nothing,
    /// What went into an activation or a pooling.
    Input(Vec<T>),
    /// What came out of a convolution's block, and which elements of the windows they are.
    Block(Vec<T>, Vec<u16>),
}

/// What is drawn, one for each [`Step::Mask`] and [`Step::Drawn`] in turn: per unit 0 or 1 / (1 − rate); weights, and behind them the bias.
pub(super) type DrawMasks<T> = Vec<Vec<T>>;

/// The steps of the layers of `range`. Those that only reshape need none.
pub(super) fn steps<T: Element>(network: &Network, range: Range<usize>) -> Vec<Step<T>> {
    let layers = &network.layers()[..range.end];
    let values = |name: &str, part: &str| network.weight(name, part).values.iter().map(|&value| T::from_f64(value)).collect::<Vec<T>>();
    let mut steps = Vec::new();
    let mut index = range.start;
    while let Some(layer) = layers.get(index) {
        let (input, output) = (network.shape_at(index), network.shape_at(index + 1));
        let pooling = |index: usize, kernel: [usize; 2], stride: [usize; 2], maximum: bool| {
            let [input, output] = [index, index + 1].map(|at| image(network.shape_at(at)));
            Pooling { input, output, kernel, stride, maximum }
        };
        match layer {
            Layer::Linear { name, .. } => steps.push(Step::Linear { weight: values(name, "weight"), bias: values(name, "bias") }),
            Layer::GaussianLinear { name, .. } => steps.extend(Gaussian::of(network, index).map(|gaussian| Step::Drawn {
                weight: values(name, "weight"),
                bias: values(name, "bias"),
                gaussian,
            })),
            Layer::Conv2d { name, kernel, stride, padding, .. } => {
                let convolution =
                    Convolution { input: image(input), output: image(output), kernel: *kernel, stride: *stride, padding: *padding };
                let relu = layers.get(index + 1) == Some(&Layer::Relu);
                index += usize::from(relu);
                let then = match layers.get(index + 1) {
                    Some(&Layer::MaxPool2d { kernel, stride }) => {
                        index += 1;
                        Some(pooling(index, kernel, stride, true))
                    }
                    _ => None,
                };
                let block = ConvolutionBlock { convolution, relu, pooling: then };
                steps.push(Step::Convolve { block, weight: values(name, "weight"), bias: values(name, "bias") });
            }
            Layer::MaxPool2d { kernel, stride } => steps.push(Step::Pool(pooling(index, *kernel, *stride, true))),
            Layer::AveragePool2d { kernel, stride } => steps.push(Step::Pool(pooling(index, *kernel, *stride, false))),
            Layer::Flatten | Layer::Reshape { .. } => {}
            Layer::Relu => steps.push(Step::Activate(Activation::Relu)),
            Layer::Elu => steps.push(Step::Activate(Activation::Elu)),
            Layer::Tanh => steps.push(Step::Activate(Activation::Tanh)),
            Layer::Sigmoid => steps.push(Step::Activate(Activation::Sigmoid)),
            Layer::Softplus => steps.push(Step::Activate(Activation::Softplus)),
            Layer::Dropout { rate } => steps.push(Step::Mask { layer: index, rate: *rate, units: input.iter().product(), size: 1 }),
            Layer::Dropout2d { rate } => {
                steps.push(Step::Mask { layer: index, rate: *rate, units: input[0], size: input[1..].iter().product() });
            }
            Layer::BatchNorm { name, epsilon, .. } => {
                let part = |part| network.weight(name, part).values.iter();
                let scale: Vec<f64> = part("weight").zip(part("running_var")).map(|(w, v)| w / (v + epsilon).sqrt()).collect();
                let offset = part("bias").zip(part("running_mean")).zip(&scale).map(|((b, m), s)| T::from_f64(b - m * s)).collect();
                let scale = scale.iter().map(|&s| T::from_f64(s)).collect();
                steps.push(Step::Affine { scale, offset, size: input[1..].iter().product() });
            }
        }
        index += 1;
    }
    steps
}

/// A shape that the network has found to be [channels, height, width].
fn image(shape: &[usize]) -> [usize; 3] {
    [shape[0], shape[1], shape[2]]
}

/// Runs steps over `count` images; without masks dropout is off. `keep` says whether anyone will go back.
pub(super) fn forward<T: Element>(
    steps: &[Step<T>],
    mut x: Vec<T>,
    count: usize,
    masks: Option<&DrawMasks<T>>,
    keep: bool,
) -> (Vec<T>, Vec<Saved<T>>) {
    let mut trace = Vec::new();
    let mut masks = masks.into_iter().flatten();
    for step in steps {
        let mut saved = Saved::Nothing;
        match step {
            Step::Linear { weight, bias } => x = linear(&x, weight, bias, count),
            Step::Drawn { weight, bias, .. } => {
                let (weight, bias) = masks.next().map_or((&weight[..], &bias[..]), |drawn| drawn.split_at(weight.len()));
                x = linear(&x, weight, bias, count);
            }
            Step::Convolve { block, weight, bias } => {
                let (output, chosen) = block.forward(&x, weight, bias);
                saved = if keep { Saved::Block(output.clone(), chosen) } else { Saved::Nothing };
                x = output;
            }
            Step::Pool(pooling) => {
                let pooled = pooling.forward(&x);
                saved = Saved::Input(std::mem::replace(&mut x, pooled));
            }
            Step::Activate(activation) => {
                let output = x.par_iter().with_min_len(PIECE).map(|&x| T::from_f64(activation.value(x.to_f64()))).collect();
                saved = Saved::Input(std::mem::replace(&mut x, output));
            }
            Step::Mask { size, .. } => {
                if let Some(mask) = masks.next() {
                    by_unit(&mut x, mask, *size);
                }
            }
            Step::Affine { scale, offset, size } => {
                x.par_chunks_mut(scale.len() * size).for_each(|image| {
                    for ((unit, &scale), &offset) in image.chunks_mut(*size).zip(scale).zip(offset) {
                        for value in unit.iter_mut() {
                            *value = *value * scale + offset;
                        }
                    }
                });
            }
        }
        trace.push(if keep { saved } else { Saved::Nothing });
    }
    (x, trace)
}

/// The gradient of what went into the steps, for that of what came out, given what [`forward`] kept.
pub(super) fn backward<T: Element>(
    steps: &[Step<T>],
    trace: &[Saved<T>],
    mut gradient: Vec<T>,
    count: usize,
    masks: Option<&DrawMasks<T>>,
) -> Vec<T> {
    let mut masks = masks.into_iter().flatten().rev();
    for (step, saved) in steps.iter().zip(trace).rev() {
        match (step, saved) {
            (Step::Linear { weight, bias }, _) => gradient = product(&gradient, weight, [count, bias.len(), weight.len() / bias.len()]),
            (Step::Drawn { weight, bias, .. }, _) => {
                let drawn = masks.next().map_or(&weight[..], |drawn| &drawn[..weight.len()]);
                gradient = product(&gradient, drawn, [count, bias.len(), weight.len() / bias.len()]);
            }
            (Step::Convolve { block, weight, .. }, Saved::Block(output, chosen)) => {
                gradient = block.backward_to_images(weight, (output, chosen), &gradient);
            }
            (Step::Pool(pooling), Saved::Input(input)) => gradient = pooling.backward(input, &gradient),
            (Step::Activate(activation), Saved::Input(input)) => {
                gradient.par_iter_mut().with_min_len(PIECE).zip(input).for_each(|(gradient, &x)| {
                    *gradient = T::from_f64(activation.derivative(x.to_f64()) * gradient.to_f64());
                });
            }
            (Step::Mask { size, .. }, _) => {
                if let Some(mask) = masks.next() {
                    by_unit(&mut gradient, mask, *size);
                }
            }
            (Step::Affine { scale, size, .. }, _) => by_unit(&mut gradient, scale, *size),
            _ => unreachable!("the trace is that of these steps"),
        }
    }
    gradient
}

/// Multiplies each unit of `size` values by its factor, image by image.
fn by_unit<T: Element>(values: &mut [T], factors: &[T], size: usize) {
    values.par_chunks_mut(factors.len() * size).for_each(|image| {
        for (unit, &factor) in image.chunks_mut(size).zip(factors) {
            for value in unit.iter_mut() {
                *value *= factor;
            }
        }
    });
}

/// X Wᵀ + b for X \[count, inputs\] and W \[outputs, inputs\].
fn linear<T: Element>(x: &[T], weight: &[T], bias: &[T], count: usize) -> Vec<T> {
    let (outputs, inputs) = (bias.len(), weight.len() / bias.len());
    let mut y: Vec<T> = (0..count).flat_map(|_| bias).copied().collect();
    y.par_chunks_mut(GROUP * outputs).zip(x.par_chunks(GROUP * inputs)).for_each(|(y, x)| {
        let rows = x.len() / inputs;
        let [x, weight] = [(x, rows), (weight, outputs)].map(|(values, rows)| MatRef::from_row_major_slice(values, rows, inputs));
        matmul(MatMut::from_row_major_slice_mut(y, rows, outputs), Accum::Add, x, weight.transpose(), T::one_impl(), Par::Seq);
    });
    y
}

/// G W for G \[count, outputs\] and W \[outputs, inputs\].
fn product<T: Element>(gradient: &[T], weight: &[T], [count, outputs, inputs]: [usize; 3]) -> Vec<T> {
    let mut result = vec![T::ZERO; count * inputs];
    let weight = MatRef::from_row_major_slice(weight, outputs, inputs);
    result.par_chunks_mut(GROUP * inputs).zip(gradient.par_chunks(GROUP * outputs)).for_each(|(result, gradient)| {
        let rows = gradient.len() / outputs;
        let gradient = MatRef::from_row_major_slice(gradient, rows, outputs);
        matmul(MatMut::from_row_major_slice_mut(result, rows, inputs), Accum::Replace, gradient, weight, T::one_impl(), Par::Seq);
    });
    result
}
