use super::super::{Draw, forward};
use crate::nets::{Covariance, Layer, Network, Tensor, Weights};

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
    let layer = Layer::Conv2d { name: "c".to_owned(), in_channels: 2, out_channels: 1, kernel: [1, 3], stride: [2, 1], padding: [0, 1] };
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
