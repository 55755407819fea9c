//! Every kind of layer as its definition says it, for one image in f64. NaN is never swallowed: it reaches the output.

use super::Draw;
use crate::nets::{Covariance, Layer, Network};

/// The output of layer `index` of the network.
pub(super) fn apply(network: &Network, index: usize, input: Vec<f64>, draw: Option<Draw<'_>>) -> Vec<f64> {
    let shape = network.shape_at(index);
    let output_shape = network.shape_at(index + 1);
    let weight = |name: &str, part: &str| network.weight(name, part).values.as_slice();
    match &network.layers()[index] {
        Layer::Linear { name, inputs, .. } => {
            let rows = weight(name, "weight").chunks_exact(*inputs).zip(weight(name, "bias"));
            rows.map(|(row, bias)| row.iter().zip(&input).fold(*bias, |sum, (w, x)| sum + w * x)).collect()
        }
        Layer::GaussianLinear { name, inputs, outputs, covariance } => {
            let width = inputs + 1;
            let with_one: Vec<f64> = input.into_iter().chain([1.0]).collect();
            let noise = draw.map_or_else(|| vec![0.0; outputs * width], |draw| (draw.noise)(index, outputs * width));
            assert_eq!(noise.len(), outputs * width, "the noise of layer {index}");
            let [mean, bias] = ["weight", "bias"].map(|part| weight(name, part));
            // How much a number of the noise moves an element of W.
            let root: Box<dyn Fn(usize, usize, usize, usize) -> f64> = match covariance {
                Covariance::Kronecker => {
                    let [basis_in, basis_out, deviation] = ["basis_in", "basis_out", "deviation"].map(|part| weight(name, part));
                    Box::new(move |output, input, o, i| {
                        basis_out[output * outputs + o] * deviation[o * width + i] * basis_in[input * width + i]
                    })
                }
                Covariance::Full => {
                    let factor = weight(name, "factor");
                    Box::new(move |output, input, o, i| factor[(output * width + input) * outputs * width + o * width + i])
                }
            };
            let element = |output: usize, input: usize| {
                let mut element = if input == *inputs { bias[output] } else { mean[output * inputs + input] };
                for (o, i) in (0..*outputs).flat_map(|o| (0..width).map(move |i| (o, i))) {
                    element += root(output, input, o, i) * noise[o * width + i];
                }
                element
            };
            (0..*outputs).map(|output| with_one.iter().enumerate().map(|(input, x)| element(output, input) * x).sum()).collect()
        }
        Layer::Conv2d { name, kernel, stride, padding, .. } => {
            let geometry = Convolution { input: shape, output: output_shape, kernel: *kernel, stride: *stride, padding: *padding };
            geometry.apply(&input, weight(name, "weight"), weight(name, "bias"))
        }
        Layer::MaxPool2d { kernel, stride } => {
            windows(&input, shape, output_shape, *kernel, *stride, |window| window.reduce(|a, b| if a >= b || a.is_nan() { a } else { b }))
        }
        Layer::AveragePool2d { kernel, stride } => windows(&input, shape, output_shape, *kernel, *stride, |window| {
            window.reduce(|a, b| a + b).map(|sum| sum / (kernel[0] * kernel[1]) as f64)
        }),
        Layer::Flatten | Layer::Reshape { .. } => input,
        Layer::Relu => elementwise(input, |x| if x < 0.0 { 0.0 } else { x }),
        Layer::Elu => elementwise(input, |x| if x > 0.0 { x } else { x.exp_m1() }),
        Layer::Tanh => elementwise(input, f64::tanh),
        Layer::Sigmoid => elementwise(input, |x| 1.0 / (1.0 + (-x).exp())),
        Layer::Softplus => elementwise(input, softplus),
        Layer::Dropout { rate } => dropout(input, *rate, 1, index, draw),
        Layer::Dropout2d { rate } => {
            let plane = shape[1..].iter().product();
            dropout(input, *rate, plane, index, draw)
        }
        Layer::BatchNorm { name, epsilon, .. } => {
            let plane: usize = shape[1..].iter().product();
            let [mean, variance] = ["running_mean", "running_var"].map(|part| weight(name, part));
            let [scale, bias] = ["weight", "bias"].map(|part| weight(name, part));
            let normalised = |(i, x): (usize, f64)| {
                let c = i / plane;
                (x - mean[c]) / (variance[c] + epsilon).sqrt() * scale[c] + bias[c]
            };
            input.into_iter().enumerate().map(normalised).collect()
        }
    }
}

/// ln(1 + exp(x)) without overflow.
fn softplus(x: f64) -> f64 {
    if x > 0.0 { x + (-x).exp().ln_1p() } else { x.exp().ln_1p() }
}

fn elementwise(values: Vec<f64>, function: impl Fn(f64) -> f64) -> Vec<f64> {
    values.into_iter().map(function).collect()
}

/// Inverted dropout of units of `elements` values each.
fn dropout(mut values: Vec<f64>, rate: f64, elements: usize, layer: usize, draw: Option<Draw<'_>>) -> Vec<f64> {
    let Some(Draw { keep, .. }) = draw else { return values };
    let units = values.len() / elements;
    let mask = keep(layer, rate, units);
    assert_eq!(mask.len(), units, "a mask of layer {layer}");
    for (unit, kept) in values.chunks_exact_mut(elements).zip(mask) {
        for value in unit {
            *value = if kept { *value / (1.0 - rate) } else { 0.0 };
        }
    }
    values
}

/// A cross-correlation from \[C, H, W\] to \[C', H', W'\] with zero padding.
struct Convolution<'a> {
    input: &'a [usize],
    output: &'a [usize],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
}

impl Convolution<'_> {
    fn apply(&self, input: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
        let &[channels, height, width] = self.input else { unreachable!("the network checked the shape") };
        let &[_, rows, columns] = self.output else { unreachable!("the network checked the shape") };
        let [kernel_height, kernel_width] = self.kernel;
        let taps = channels * kernel_height * kernel_width;
        let mut output: Vec<f64> = bias.iter().flat_map(|&bias| vec![bias; rows * columns]).collect();
        for (filter, plane) in output.chunks_exact_mut(rows * columns).enumerate() {
            for (tap, w) in weight[filter * taps..][..taps].iter().enumerate() {
                let (channel, ky, kx) = (tap / (kernel_height * kernel_width), tap / kernel_width % kernel_height, tap % kernel_width);
                for (at, sum) in plane.iter_mut().enumerate() {
                    // An index before the first row or column wraps, and so lies outside as one behind the last does.
                    let y = (at / columns * self.stride[0] + ky).wrapping_sub(self.padding[0]);
                    let x = (at % columns * self.stride[1] + kx).wrapping_sub(self.padding[1]);
                    if y < height && x < width {
                        *sum += w * input[(channel * height + y) * width + x];
                    }
                }
            }
        }
        output
    }
}

/// One number of each window of each channel. A window has one element at least.
fn windows(
    values: &[f64],
    input: &[usize],
    output: &[usize],
    kernel: [usize; 2],
    stride: [usize; 2],
    reduce: impl Fn(&mut dyn Iterator<Item = f64>) -> Option<f64>,
) -> Vec<f64> {
    let &[_, height, width] = input else { unreachable!("the network checked the shape") };
    let &[channels, rows, columns] = output else { unreachable!("the network checked the shape") };
    let mut pooled = Vec::with_capacity(channels * rows * columns);
    for channel in 0..channels {
        for row in 0..rows {
            for column in 0..columns {
                let element = |k: usize| {
                    let [y, x] = [row * stride[0] + k / kernel[1], column * stride[1] + k % kernel[1]];
                    values[(channel * height + y) * width + x]
                };
                pooled.extend(reduce(&mut (0..kernel[0] * kernel[1]).map(element)));
            }
        }
    }
    pooled
}

#[cfg(test)]
mod tests {
    use super::super::forward;
    use super::*;
    use crate::nets::{Tensor, Weights};

    fn run(layer: Layer, shape: &[usize], weights: &[(&str, &[f64])], input: &[f64]) -> Vec<f64> {
        let shapes: std::collections::BTreeMap<_, _> = layer.weights().into_iter().collect();
        let weights: Weights =
            weights.iter().map(|&(name, values)| (name.to_owned(), Tensor::new(shapes[name].clone(), values.to_vec()))).collect();
        forward(&Network::new(shape, vec![layer], &weights).unwrap(), input, None)
    }

    fn assert_close(got: &[f64], expected: &[f64]) {
        assert_eq!(got.len(), expected.len());
        assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-15 * b.abs().max(1.0)), "{got:?} is not {expected:?}");
    }

    #[test]
    fn activations_are_their_definitions_and_do_not_overflow() {
        let x = [-800.0, -1.0, 0.0, 2.0, 800.0];
        let e = std::f64::consts::E;
        assert_close(&run(Layer::Relu, &[5], &[], &x), &[0.0, 0.0, 0.0, 2.0, 800.0]);
        assert_close(&run(Layer::Elu, &[5], &[], &x), &[-1.0, 1.0 / e - 1.0, 0.0, 2.0, 800.0]);
        let tanh = |x: f64| (x.exp() - (-x).exp()) / (x.exp() + (-x).exp());
        assert_close(&run(Layer::Tanh, &[5], &[], &x), &[-1.0, tanh(-1.0), 0.0, tanh(2.0), 1.0]);
        assert_close(&run(Layer::Sigmoid, &[5], &[], &x), &[0.0, 1.0 / (1.0 + e), 0.5, 1.0 / (1.0 + (-2f64).exp()), 1.0]);
        assert_close(&run(Layer::Softplus, &[5], &[], &x), &[0.0, (1.0 + 1.0 / e).ln(), 2f64.ln(), (1.0 + 2f64.exp()).ln(), 800.0]);
    }

    #[test]
    fn nan_reaches_the_output() {
        for layer in [Layer::Relu, Layer::Elu, Layer::Tanh, Layer::Sigmoid, Layer::Softplus] {
            assert!(run(layer, &[1], &[], &[f64::NAN])[0].is_nan());
        }
        for input in [[f64::NAN, 1.0], [1.0, f64::NAN]] {
            assert!(run(Layer::MaxPool2d { kernel: [1, 2], stride: [1, 1] }, &[1, 1, 2], &[], &input)[0].is_nan());
        }
    }

    #[test]
    fn pools_leave_out_what_does_not_fill_a_window() {
        let input: Vec<f64> = (0..2 * 3 * 5).map(|i| f64::from(i * 7 % 30)).collect();
        // Channel 0 is 0 7 14 21 28 / 5 12 19 26 3 / 10 17 24 1 8, channel 1 the same + 15 modulo 30.
        let (kernel, stride) = ([2, 2], [1, 3]);
        let most = run(Layer::MaxPool2d { kernel, stride }, &[2, 3, 5], &[], &input);
        assert_close(&most, &[12.0, 28.0, 17.0, 26.0, 27.0, 18.0, 27.0, 23.0]);
        let mean = run(Layer::AveragePool2d { kernel, stride }, &[2, 3, 5], &[], &input);
        assert_close(&mean, &[6.0, 19.5, 11.0, 9.5, 21.0, 12.0, 18.5, 17.0]);
    }

    #[test]
    fn convolution_strides_and_pads_each_axis_by_its_own() {
        let layer =
            Layer::Conv2d { name: "c".to_owned(), in_channels: 2, out_channels: 1, kernel: [1, 3], stride: [2, 1], padding: [0, 1] };
        let input = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0];
        let weights: [(&str, &[f64]); 2] = [("c.weight", &[1.0, 2.0, 3.0, 0.0, 1.0, -1.0]), ("c.bias", &[0.5])];
        // Rows 0 and 2 of images 3 × 2: 2·x₀ + 3·x₁ + y₀ − y₁, then x₀ + 2·x₁ + y₁.
        assert_close(&run(layer, &[2, 3, 2], &weights, &input), &[-1.5, 25.5, 18.5, 77.5]);
    }

    #[test]
    fn every_tap_of_a_convolution_reads_its_own_pixel() {
        let (kernel, stride, padding) = ([2, 3], [2, 1], [1, 2]);
        let layer = Layer::Conv2d { name: "c".to_owned(), in_channels: 2, out_channels: 2, kernel, stride, padding };
        let input: Vec<f64> = (1..=2 * 5 * 4).map(f64::from).collect();
        let padded = |channel: usize, y: usize, x: usize| match (y.checked_sub(1), x.checked_sub(2)) {
            (Some(y @ ..5), Some(x @ ..4)) => input[channel * 20 + y * 4 + x],
            _ => 0.0,
        };
        for (channel, ky, kx) in (0..12).map(|tap| (tap / 6, tap % 6 / 3, tap % 3)) {
            let mut weight = [0.0; 24];
            weight[12 + channel * 6 + ky * 3 + kx] = 1.0;
            let output = run(layer.clone(), &[2, 5, 4], &[("c.weight", &weight), ("c.bias", &[0.0, 0.0])], &input);
            let shifted = (0..18).map(|at| padded(channel, at / 6 * 2 + ky, at % 6 + kx));
            assert_close(&output, &[0.0; 18].into_iter().chain(shifted).collect::<Vec<_>>());
        }
    }

    #[test]
    fn batch_norm_is_per_channel_of_images_and_per_element_of_vectors() {
        let layer = Layer::BatchNorm { name: "n".to_owned(), channels: 2, epsilon: 1.0 };
        let weights: [(&str, &[f64]); 4] =
            [("n.weight", &[2.0, -1.0]), ("n.bias", &[0.0, 5.0]), ("n.running_mean", &[1.0, 10.0]), ("n.running_var", &[3.0, 0.0])];
        assert_close(&run(layer.clone(), &[2, 1, 3], &weights, &[1.0, 2.0, 3.0, 10.0, 11.0, 12.0]), &[0.0, 1.0, 2.0, 5.0, 4.0, 3.0]);
        assert_close(&run(layer, &[2], &weights, &[5.0, 5.0]), &[4.0, 10.0]);
    }

    #[test]
    fn a_gaussian_layer_draws_its_weights_and_bias() {
        let layers = vec![Layer::GaussianLinear { name: "g".to_owned(), inputs: 1, outputs: 2, covariance: Covariance::Kronecker }];
        let tensor = |shape: [usize; 2], values: &[f64]| Tensor::new(shape, values.to_vec());
        let weights = Weights::from([
            ("g.weight".to_owned(), tensor([2, 1], &[1.0, 2.0])),
            ("g.bias".to_owned(), Tensor::new([2], vec![0.5, -0.5])),
            ("g.basis_in".to_owned(), tensor([2, 2], &[1.0, 2.0, 3.0, 4.0])),
            ("g.basis_out".to_owned(), tensor([2, 2], &[1.0, -1.0, 0.0, 2.0])),
            ("g.deviation".to_owned(), tensor([2, 2], &[1.0, 0.5, 0.1, 0.0])),
        ]);
        let network = Network::new(&[1], layers, &weights).unwrap();
        assert_close(&forward(&network, &[3.0], None), &[3.5, 5.5]);
        let noise = |layer: usize, count: usize| {
            assert_eq!((layer, count), (0, 4));
            vec![2.0, 4.0, 10.0, 7.0]
        };
        let draw = Draw { keep: &|_, _, _| Vec::new(), noise: &noise };
        // S ∘ E = [2 2; 1 0]; times B_inᵀ = [1 3; 2 4]: [6 14; 1 3]; B_out times that: [5 11; 2 6]. W then is [6 11.5; 4 5.5].
        assert_close(&forward(&network, &[3.0], Some(draw)), &[29.5, 17.5]);
    }

    #[test]
    fn a_gaussian_layer_of_full_covariance_draws_by_its_factor() {
        let layers = vec![Layer::GaussianLinear { name: "g".to_owned(), inputs: 1, outputs: 1, covariance: Covariance::Full }];
        let weights = Weights::from([
            ("g.weight".to_owned(), Tensor::new([1, 1], vec![1.0])),
            ("g.bias".to_owned(), Tensor::new([1], vec![0.5])),
            ("g.factor".to_owned(), Tensor::new([2, 2], vec![2.0, 1.0, 0.0, 3.0])),
        ]);
        let network = Network::new(&[1], layers, &weights).unwrap();
        let draw = Draw { keep: &|_, _, _| Vec::new(), noise: &|_, _| vec![1.0, -1.0] };
        // The weight moves by 2 − 1, the bias by −3.
        assert_close(&forward(&network, &[3.0], Some(draw)), &[2.0 * 3.0 - 2.5]);
        assert_close(&forward(&network, &[3.0], None), &[3.5]);
    }

    #[test]
    fn dropout_masks_elements_and_dropout2d_channels() {
        let layers = vec![Layer::Dropout2d { rate: 0.2 }, Layer::Dropout { rate: 0.5 }];
        let network = Network::new(&[2, 1, 3], layers, &Weights::new()).unwrap();
        let keep = |layer: usize, rate: f64, units: usize| match (layer, rate, units) {
            (0, 0.2, 2) => vec![false, true],
            (1, 0.5, 6) => vec![true, true, true, true, false, true],
            other => panic!("no dropout layer is {other:?}"),
        };
        let draw = Draw { keep: &keep, noise: &|_, _| Vec::new() };
        assert_close(&forward(&network, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], Some(draw)), &[0.0, 0.0, 0.0, 10.0, 0.0, 15.0]);
    }
}
