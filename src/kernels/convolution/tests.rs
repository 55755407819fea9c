use super::{Convolution, ConvolutionBlock, TransposedConvolution};
use crate::kernels::Pooling;
use crate::kernels::test_support::{assert_is_slope, difference, numbers, single_difference, singles, weighted_sum, with_threads};

fn convolution(
    input: [usize; 3],
    channels: usize,
    kernel: [usize; 2],
    [stride, padding, dilation]: [[usize; 2]; 3],
    groups: usize,
) -> Convolution {
    let size = |axis: usize| (input[axis + 1] + 2 * padding[axis] - dilation[axis] * (kernel[axis] - 1) - 1) / stride[axis] + 1;
    Convolution { input, output: [channels, size(0), size(1)], kernel, stride, padding, dilation, groups }
}

/// Odd and unequal sizes: bands, images side by side, rows without padding, points, groups, single channels.
fn geometries() -> Vec<Convolution> {
    let plain = [[1, 1], [0, 0], [1, 1]];
    vec![
        convolution([2, 5, 7], 3, [3, 2], plain, 1),
        convolution([10, 23, 31], 5, [3, 3], [[1, 1], [1, 1], [1, 1]], 1),
        convolution([3, 9, 8], 4, [4, 3], [[2, 2], [1, 2], [1, 1]], 1),
        convolution([2, 11, 13], 3, [2, 3], [[3, 2], [2, 1], [2, 3]], 1),
        convolution([4, 7, 19], 6, [3, 2], [[1, 3], [1, 0], [1, 2]], 2),
        convolution([6, 6, 5], 4, [1, 1], plain, 2),
        convolution([3, 6, 21], 2, [1, 1], [[2, 3], [0, 0], [1, 1]], 1),
        convolution([3, 7, 18], 3, [3, 5], [[1, 1], [1, 2], [1, 1]], 3),
        convolution([2, 9, 7], 2, [3, 2], [[2, 2], [1, 1], [2, 1]], 2),
        // More padding than image: some taps read nothing but zeros.
        convolution([1, 2, 3], 2, [5, 7], [[1, 1], [4, 5], [1, 1]], 1),
    ]
}

/// The definition.
fn by_definition(c: &Convolution, images: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let ([channels, height, width], [outputs, rows, columns]) = (c.input, c.output);
    let (inputs, per_group) = (channels / c.groups, outputs / c.groups);
    let mut result = Vec::new();
    for image in images.chunks(c.input_len()) {
        for (o, y, x) in (0..outputs * rows * columns).map(|at| (at / (rows * columns), at / columns % rows, at % columns)) {
            let mut sum = bias.get(o).copied().unwrap_or(0.0);
            for (i, ky, kx) in (0..c.taps()).map(|at| (at / (c.kernel[0] * c.kernel[1]), at / c.kernel[1] % c.kernel[0], at % c.kernel[1]))
            {
                let v = (y * c.stride[0] + ky * c.dilation[0]).wrapping_sub(c.padding[0]);
                let u = (x * c.stride[1] + kx * c.dilation[1]).wrapping_sub(c.padding[1]);
                if v < height && u < width {
                    let channel = o / per_group * inputs + i;
                    sum += weight[(o * inputs + i) * c.kernel[0] * c.kernel[1] + ky * c.kernel[1] + kx]
                        * image[(channel * height + v) * width + u];
                }
            }
            result.push(sum);
        }
    }
    result
}

fn blocks() -> Vec<ConvolutionBlock> {
    let mut blocks: Vec<ConvolutionBlock> = geometries()
        .into_iter()
        .enumerate()
        .map(|(number, convolution)| ConvolutionBlock { convolution, relu: number % 2 == 1, pooling: None })
        .collect();
    for (relu, place) in [(true, 0), (false, 1)] {
        let convolution = geometries()[place];
        let [channels, height, width] = convolution.output;
        let output = [channels, (height - 2) / 2 + 1, (width - 3) / 2 + 1];
        let pooling = Pooling { input: convolution.output, output, kernel: [2, 3], stride: [2, 2], maximum: true };
        blocks.push(ConvolutionBlock { convolution, relu, pooling: Some(pooling) });
    }
    blocks
}

#[test]
fn convolutions_compute_their_definition() {
    for (number, convolution) in geometries().into_iter().enumerate() {
        // Seven images fill lanes and leave one empty; one fills none.
        for count in [1, 7, 11] {
            let images = numbers(number as u64, count * convolution.input_len());
            let (weight, bias) = (numbers(51, convolution.weight_len()), numbers(52, convolution.output[0]));
            let block = ConvolutionBlock { convolution, relu: false, pooling: None };
            for bias in [&bias[..], &[]] {
                let expected = by_definition(&convolution, &images, &weight, bias);
                let (got, _) = block.forward(&images, &weight, bias);
                assert!(difference(&got, &expected) <= 1e-12, "{convolution:?}, {count} images");
                let (single, _) = block.forward(&singles(&images), &singles(&weight), &singles(bias));
                assert!(single_difference(&single, &expected) <= 1e-5, "{convolution:?}, {count} images");
            }
            let other = by_definition(&convolution, &images, &numbers(53, weight.len()), &bias);
            assert!(difference(&block.forward(&images, &weight, &bias).0, &other) > 1e-2, "the negative control");
        }
    }
}

#[test]
fn gradients_of_convolutions_are_the_slopes() {
    for block in blocks() {
        let convolution = block.convolution;
        for count in [2, 6] {
            let images = numbers(3, count * convolution.input_len());
            let (weight, bias) = (numbers(51, convolution.weight_len()), numbers(52, convolution.output[0]));
            let (output, chosen) = block.forward(&images, &weight, &bias);
            let gradient = numbers(99, output.len());
            let got = block.backward(&images, &weight, (&output, &chosen), &gradient, true);
            let loss = |images: &[f64], weight: &[f64], bias: &[f64]| weighted_sum(&block.forward(images, weight, bias).0);
            assert_is_slope(&format!("{block:?} images"), &images, &got.images, |images| loss(images, &weight, &bias));
            assert_is_slope(&format!("{block:?} weight"), &weight, &got.weight, |weight| loss(&images, weight, &bias));
            assert_is_slope(&format!("{block:?} bias"), &bias, &got.bias, |bias| loss(&images, &weight, bias));
            assert!(difference(&block.backward_to_images(&weight, (&output, &chosen), &gradient), &got.images) <= 1e-12);
            let alone = block.backward(&images, &weight, (&output, &chosen), &gradient, false);
            assert!(alone.images.is_empty() && alone.weight == got.weight && alone.bias == got.bias);
        }
    }
}

#[test]
fn gradients_of_transposed_convolutions_are_the_slopes() {
    for (number, adjoint) in geometries().into_iter().enumerate() {
        let block = TransposedConvolution { adjoint, relu: number % 2 == 0 };
        for count in [2, 6] {
            let images = numbers(3, count * adjoint.output_len());
            let (weight, bias) = (numbers(51, adjoint.weight_len()), numbers(52, adjoint.input[0]));
            let output = block.forward(&images, &weight, &bias);
            let got = block.backward(&images, &weight, &output, &numbers(99, output.len()), true);
            let loss = |images: &[f64], weight: &[f64], bias: &[f64]| weighted_sum(&block.forward(images, weight, bias));
            assert_is_slope(&format!("{block:?} images"), &images, &got.images, |images| loss(images, &weight, &bias));
            assert_is_slope(&format!("{block:?} weight"), &weight, &got.weight, |weight| loss(&images, weight, &bias));
            assert_is_slope(&format!("{block:?} bias"), &bias, &got.bias, |bias| loss(&images, &weight, bias));
        }
    }
}

#[test]
fn a_transposed_convolution_is_the_adjoint() {
    for adjoint in geometries() {
        let weight = numbers(51, adjoint.weight_len());
        let (x, y) = (numbers(1, 7 * adjoint.input_len()), numbers(2, 7 * adjoint.output_len()));
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let forward = by_definition(&adjoint, &x, &weight, &[]);
        let back = TransposedConvolution { adjoint, relu: false }.forward(&y, &weight, &[]);
        assert!((product(&forward, &y) - product(&x, &back)).abs() <= 1e-9, "{adjoint:?}");
        assert!((product(&forward, &y) - product(&x, &numbers(4, x.len()))).abs() > 1e-3, "the negative control");
    }
}

#[test]
fn convolutions_are_bit_equal_for_any_number_of_threads() {
    let run = |threads: usize, changed: f32| {
        with_threads(threads, || {
            let mut bits = Vec::new();
            for block in blocks() {
                let convolution = block.convolution;
                let mut images = singles(&numbers(3, 37 * convolution.input_len()));
                images[5] += changed;
                let (weight, bias) = (singles(&numbers(51, convolution.weight_len())), singles(&numbers(52, convolution.output[0])));
                let (output, chosen) = block.forward(&images, &weight, &bias);
                let gradients = block.backward(&images, &weight, (&output, &chosen), &output, true);
                let transposed = TransposedConvolution { adjoint: convolution, relu: true };
                let inputs = singles(&numbers(4, 37 * convolution.output_len()));
                let back = transposed.forward(&inputs, &weight, &[]);
                let of_transposed = transposed.backward(&inputs, &weight, &back, &images, true);
                for values in [output, gradients.images, gradients.weight, gradients.bias, back, of_transposed.images, of_transposed.weight]
                {
                    bits.extend(values.into_iter().map(f32::to_bits));
                }
            }
            bits
        })
    };
    assert!(run(1, 0.0) == run(2, 0.0) && run(1, 0.0) == run(5, 0.0));
    assert!(run(1, 0.0) != run(2, 1e-3), "the negative control");
}
