//! The operations on the CPU's kernels against the same made of candle's own, values and gradients.

use crate::autodiff::{composed, operations};
use crate::kernels::{Convolution, ConvolutionBlock, TransposedConvolution};
use crate::nets::lowering::{Plane, PlaneMap};
use crate::nets::{FUNCTIONS, Function, Interpolation};
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

#[test]
fn functions_are_their_twins() -> Result<()> {
    // Corners, 0, and where exponentials overflow.
    let places = [-800.0, -3.0, -1.5, -0.5, 0.0, 1e-9, 1.5, 2.0, 3.0, 6.0, 800.0];
    for function in FUNCTIONS {
        let allowed = |x: f64| match function {
            Function::Ln {} => x > 0.0,
            Function::Exp {} => x < 700.0,
            _ => true,
        };
        let x = Tensor::new(places.into_iter().filter(|&x| allowed(x)).collect::<Vec<_>>(), &Device::Cpu)?;
        let name = format!("{function:?}");
        assert_twins(&name, &[x], |i| operations::apply(&i[0], function), |i| composed::apply(&i[0], function))?;
    }
    let unbounded = Function::Clip { low: f64::NEG_INFINITY, high: 0.5 };
    assert_twins("clip", &[random(1, &[3, 7])], |i| operations::apply(&i[0], unbounded), |i| composed::apply(&i[0], unbounded))
}

#[test]
fn the_bernoulli_error_is_its_twin() -> Result<()> {
    let inputs = [(random(1, &[3, 7]) * 30.0)?, random(2, &[3, 7])];
    assert_twins("bernoulli", &inputs, |i| operations::bernoulli(&i[0], &i[1]), |i| composed::bernoulli(&i[0], &i[1]))
}

#[test]
fn dense_layers_are_their_twins() -> Result<()> {
    let inputs = [random(1, &[5, 7]), random(2, &[3, 7]), random(3, &[3])];
    for function in [None, Some(Function::Elu { alpha: 0.7 })] {
        for inputs in [&inputs[..], &inputs[..2]] {
            assert_twins(
                "dense",
                inputs,
                |i| operations::dense(&i[0], &i[1], i.get(2), function),
                |i| composed::dense(&i[0], &i[1], i.get(2), function),
            )?;
        }
    }
    assert!(operations::dense(&random(1, &[5, 6]), &random(2, &[3, 7]), None, None).is_err());
    Ok(())
}

#[test]
fn batch_norms_are_their_twins() -> Result<()> {
    for shape in [&[4, 3, 5, 2][..], &[6, 5]] {
        let inputs = [random(1, shape), random(2, &[2, shape[1]]), random(3, shape)];
        for relu in [false, true] {
            for inputs in [&inputs[..], &inputs[..2]] {
                assert_twins(
                    "batch norm",
                    inputs,
                    |i| Ok(operations::batch_norm(&i[0], &i[1], i.get(2), 1e-3, relu)?.0),
                    |i| Ok(composed::batch_norm(&i[0], &i[1], i.get(2), 1e-3, relu)?.0),
                )?;
            }
        }
        let [fused, twin] = [
            operations::batch_norm(&inputs[0], &inputs[1], None, 1e-3, false)?.1,
            composed::batch_norm(&inputs[0], &inputs[1], None, 1e-3, false)?.1,
        ];
        assert_eq!(fused.count, twin.count);
        let both = [&fused.mean, &fused.variance].into_iter().flatten().zip([&twin.mean, &twin.variance].into_iter().flatten());
        assert!(both.clone().count() == 2 * shape[1] && both.into_iter().all(|(a, b)| (a - b).abs() <= 1e-14));
        let one_too_many = random(2, &[2, shape[1] + 1]);
        assert!(operations::batch_norm(&inputs[0], &one_too_many, None, 1e-3, false).is_err());
    }
    Ok(())
}

#[test]
fn maps_of_planes_are_their_twins() -> Result<()> {
    let map = |to, map| Plane { from: [5, 7], to, map };
    let (kernel, stride) = ([3, 2], [2, 3]);
    let resize = |mode, align_corners| PlaneMap::Resize { mode, align_corners };
    let planes = [
        map([2, 2], PlaneMap::Maximum { kernel, stride, padding: [0, 0] }),
        map([3, 3], PlaneMap::Maximum { kernel, stride, padding: [1, 1] }),
        map([2, 2], PlaneMap::Mean { kernel, stride, padding: [0, 0], count_padding: true }),
        map([3, 3], PlaneMap::Mean { kernel, stride, padding: [1, 1], count_padding: true }),
        map([3, 3], PlaneMap::Mean { kernel, stride, padding: [1, 1], count_padding: false }),
        // The last windows reach over the border (ceil mode).
        map([3, 3], PlaneMap::Mean { kernel: [2, 3], stride: [2, 3], padding: [0, 0], count_padding: false }),
        map([3, 3], PlaneMap::Maximum { kernel: [2, 3], stride: [2, 3], padding: [0, 0] }),
        map([9, 8], PlaneMap::Pad { at: [3, 1] }),
        map([8, 3], resize(Interpolation::Nearest, false)),
        map([8, 3], resize(Interpolation::Bilinear, false)),
        map([9, 4], resize(Interpolation::Bilinear, true)),
    ];
    for plane in planes {
        let name = format!("{plane:?}");
        assert_twins(&name, &[random(1, &[3, 2, 5, 7])], |i| operations::plane(&i[0], &plane), |i| composed::plane(&i[0], &plane))?;
        assert!(operations::plane(&random(1, &[3, 2, 5, 8]), &plane).is_err());
    }
    Ok(())
}
