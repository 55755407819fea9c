//! The operations on the CPU's kernels against the same made of candle's own, values and gradients.

use crate::autodiff::{composed, operations};
use crate::kernels::{Convolution, ConvolutionBlock, TransposedConvolution};
use crate::random::{Purpose, Stream};
use candle_core::{Device, Result, Tensor, Var};

pub(super) fn random(seed: u32, shape: &[usize]) -> Tensor {
    let stream = Stream::new(5, Purpose::Weights);
    let count = shape.iter().product::<usize>() as u32;
    let values: Vec<f64> = (0..count).map(|place| stream.uniform([seed, 0, 0], place) * 2.0 - 1.0).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// The value of an operation, and the gradients of its inputs for unequal gradients of its output.
pub(super) fn value_and_gradients(inputs: &[Tensor], run: impl Fn(&[Tensor]) -> Result<Tensor>) -> Result<Vec<f64>> {
    let variables = inputs.iter().map(Var::from_tensor).collect::<Result<Vec<_>>>()?;
    let output = run(&variables.iter().map(|variable| variable.as_tensor().clone()).collect::<Vec<_>>())?;
    let gradients = (&output * random(77, output.dims()))?.sum_all()?.backward()?;
    let mut all = output.flatten_all()?.to_vec1()?;
    for variable in &variables {
        let gradient = gradients.get(variable).unwrap();
        assert_eq!(gradient.dims(), variable.dims());
        all.extend(gradient.flatten_all()?.to_vec1::<f64>()?);
    }
    Ok(all)
}

/// Asserts that an operation is its twin, and that the twin is another of other inputs.
pub(super) fn assert_twins(
    name: &str,
    inputs: &[Tensor],
    kernel: impl Fn(&[Tensor]) -> Result<Tensor>,
    twin: impl Fn(&[Tensor]) -> Result<Tensor>,
) -> Result<()> {
    let got = value_and_gradients(inputs, kernel)?;
    let apart = |expected: &[f64]| {
        assert_eq!(got.len(), expected.len(), "{name}");
        got.iter().zip(expected).map(|(a, b)| (a - b).abs() / (b.abs() + 1.0)).fold(0.0, |worst: f64, d| if d <= worst { worst } else { d })
    };
    let distance = apart(&value_and_gradients(inputs, &twin)?);
    assert!(distance <= 1e-9, "{name}: {distance}");
    let altered = inputs.iter().map(|input| input + 1e-3).collect::<Result<Vec<_>>>()?;
    assert!(apart(&value_and_gradients(&altered, &twin)?) > 1e-6, "{name}: the negative control");
    Ok(())
}

fn convolutions() -> [Convolution; 5] {
    let convolution = |input, output, kernel, [stride, padding, dilation]: [[usize; 2]; 3], groups| Convolution {
        input,
        output,
        kernel,
        stride,
        padding,
        dilation,
        groups,
    };
    [
        convolution([2, 5, 7], [3, 3, 6], [3, 2], [[1, 1], [0, 0], [1, 1]], 1),
        convolution([3, 9, 8], [4, 4, 5], [4, 3], [[2, 2], [1, 2], [1, 1]], 1),
        convolution([4, 7, 19], [6, 7, 6], [3, 2], [[1, 3], [1, 0], [1, 2]], 2),
        convolution([3, 7, 8], [3, 4, 8], [3, 5], [[2, 1], [1, 2], [1, 1]], 3),
        // Pixels behind the last step that are not read: an output padding of the adjoint.
        convolution([2, 8, 9], [2, 3, 3], [2, 3], [[3, 3], [0, 1], [1, 1]], 1),
    ]
}

#[test]
fn convolutions_are_their_twins() -> Result<()> {
    for (number, convolution) in convolutions().into_iter().enumerate() {
        let Convolution { input: [c, h, w], output: [channels, rows, columns], kernel: [kh, kw], groups, .. } = convolution;
        let block = ConvolutionBlock { convolution, relu: number % 2 == 0, pooling: None };
        let inputs = [random(1, &[6, c, h, w]), random(2, &[channels, c / groups, kh, kw]), random(3, &[channels])];
        let bias = |inputs: &[Tensor]| inputs.get(2).cloned();
        for inputs in [&inputs[..], &inputs[..2]] {
            assert_twins(
                &format!("{convolution:?}"),
                inputs,
                |i| operations::convolve(&i[0], &i[1], bias(i).as_ref(), block),
                |i| composed::convolve(&i[0], &i[1], bias(i).as_ref(), &block),
            )?;
        }
        let transposed = TransposedConvolution { adjoint: convolution, relu: number % 2 == 1 };
        let inputs = [random(1, &[6, channels, rows, columns]), random(2, &[channels, c / groups, kh, kw]), random(3, &[c])];
        for inputs in [&inputs[..], &inputs[..2]] {
            assert_twins(
                &format!("transposed {convolution:?}"),
                inputs,
                |i| operations::convolve_transposed(&i[0], &i[1], bias(i).as_ref(), transposed),
                |i| composed::convolve_transposed(&i[0], &i[1], bias(i).as_ref(), &transposed),
            )?;
        }
    }
    Ok(())
}
