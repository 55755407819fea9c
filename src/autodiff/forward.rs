//! A [`Network`](crate::nets::Network)'s layers on candle tensors, batched, with gradients.

use super::composed;
use super::operations::{Activation, Pool, convolve};
use crate::kernels::{Convolution, ConvolutionBlock, Pooling};
use crate::nets::{Graph, Layer, Weights};
use candle_core::{DType, Device, Result, Tensor, Var, bail};
use std::collections::BTreeMap;

/// The weights of a network as tensors, or as variables where they are trained.
#[derive(Clone)]
pub struct Parameters {
    tensors: BTreeMap<String, Tensor>,
    /// Whether the kernels of the CPU run, or candle's own operations.
    fused: bool,
}

impl Parameters {
    /// Weights on the CPU that stay as they are: gradients flow through them to the input only.
    ///
    /// # Errors
    /// When candle refuses.
    pub fn fixed(weights: &Weights, dtype: DType) -> Result<Self> {
        Self::on(weights, dtype, &Device::Cpu)
    }

    /// The same on a device.
    ///
    /// # Errors
    /// When candle refuses, or the device has no room for them.
    pub fn on(weights: &Weights, dtype: DType, device: &Device) -> Result<Self> {
        let tensors = weights.iter().map(|(name, weight)| {
            let tensor = Tensor::from_slice(&weight.values, weight.shape.as_slice(), &Device::Cpu)?.to_dtype(dtype)?;
            Ok((name.clone(), tensor.to_device(device)?))
        });
        Ok(Self { tensors: tensors.collect::<Result<_>>()?, fused: device.is_cpu() })
    }

    /// The tensors of variables that are trained.
    pub fn trained(variables: &BTreeMap<String, Var>) -> Self {
        let tensors = variables.iter().map(|(name, variable)| (name.clone(), variable.as_tensor().clone())).collect();
        Self { tensors, fused: variables.values().all(|variable| variable.device().is_cpu()) }
    }

    /// Puts a tensor in a weight's place.
    pub(super) fn set(&mut self, name: String, tensor: Tensor) {
        self.tensors.insert(name, tensor);
    }

    /// The same, so that candle's own operations run on the CPU as well.
    #[cfg(test)]
    pub(super) fn composed(self) -> Self {
        Self { fused: false, ..self }
    }

    fn get(&self, layer: &str, part: &str) -> Result<&Tensor> {
        self.named(&format!("{layer}.{part}"))
    }

    /// The tensor of that name.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn named(&self, name: &str) -> Result<&Tensor> {
        self.tensors.get(name).ok_or_else(|| candle_core::Error::CannotFindTensor { path: name.to_owned() })
    }
}

/// Makes the mask of a dropout layer: its index, its rate, the shape of the mask \[N, …\] without the axes that one unit
/// spans. Kept units hold 1 / (1 − rate), dropped ones 0.
pub type Masks<'a> = &'a mut dyn FnMut(usize, f64, &[usize]) -> Result<Tensor>;

/// Runs `layers` over a batch \[N, …\]. `masks`: `None` switches dropout off.
///
/// # Errors
/// When the shapes do not fit or candle refuses.
pub fn forward(layers: &[Layer], parameters: &Parameters, input: &Tensor, mut masks: Option<Masks<'_>>) -> Result<Tensor> {
    let batch = input.dims()[0];
    let graph = Graph::chain(&input.dims()[1..], layers).map_err(candle_core::Error::wrap)?;
    let shapes = graph.shapes();
    let with_batch = |shape: &[usize]| [&[batch], shape].concat();
    let mut x = input.clone();
    let mut index = 0;
    while index < layers.len() {
        let layer = &layers[index];
        let (before, after) = (&shapes[index], &shapes[index + 1]);
        x = match layer {
            Layer::Linear { name, .. } => linear(&x, parameters, name)?,
            Layer::GaussianLinear { name, .. } => {
                if masks.is_some() {
                    bail!("the weights of layer {} are fitted, not trained: train a network of linear layers", layer.label());
                }
                linear(&x, parameters, name)?
            }
            Layer::Conv2d { name, kernel, stride, padding, .. } => {
                let convolution = Convolution {
                    input: image(before),
                    output: image(after),
                    kernel: *kernel,
                    stride: *stride,
                    padding: *padding,
                    dilation: [1, 1],
                    groups: 1,
                };
                let relu = layers.get(index + 1) == Some(&Layer::Relu);
                index += usize::from(relu);
                let pooling = match layers.get(index + 1) {
                    Some(Layer::MaxPool2d { kernel, stride }) => {
                        index += 1;
                        Some(Pooling {
                            input: image(after),
                            output: image(&shapes[index + 1]),
                            kernel: *kernel,
                            stride: *stride,
                            maximum: true,
                        })
                    }
                    _ => None,
                };
                let (weight, bias) = (parameters.get(name, "weight")?, parameters.get(name, "bias")?);
                let block = ConvolutionBlock { convolution, relu, pooling };
                if parameters.fused {
                    convolve(&x, weight, Some(bias), block)?
                } else {
                    composed::convolve(&x, weight, Some(bias), &block)?
                }
            }
            Layer::MaxPool2d { kernel, stride } | Layer::AveragePool2d { kernel, stride } => {
                let maximum = matches!(layer, Layer::MaxPool2d { .. });
                let pooling = Pooling { input: image(before), output: image(after), kernel: *kernel, stride: *stride, maximum };
                if parameters.fused { x.contiguous()?.apply_op1(Pool(pooling))? } else { composed::pool(&x, &pooling)? }
            }
            Layer::Flatten | Layer::Reshape { .. } => x.reshape(with_batch(after))?,
            Layer::Relu => activate(&x, Activation::Relu, parameters.fused)?,
            Layer::Elu => activate(&x, Activation::Elu, parameters.fused)?,
            Layer::Tanh => activate(&x, Activation::Tanh, parameters.fused)?,
            Layer::Sigmoid => activate(&x, Activation::Sigmoid, parameters.fused)?,
            Layer::Softplus => activate(&x, Activation::Softplus, parameters.fused)?,
            Layer::Dropout { rate } => match &mut masks {
                Some(mask) => {
                    let mask = mask(index, *rate, &with_batch(before))?.to_device(x.device())?;
                    (x * mask)?
                }
                None => x,
            },
            Layer::Dropout2d { rate } => match &mut masks {
                Some(mask) => {
                    let mask = mask(index, *rate, &[batch, before[0]])?.to_device(x.device())?;
                    x.broadcast_mul(&mask.reshape((batch, before[0], 1, 1))?)?
                }
                None => x,
            },
            Layer::BatchNorm { name, channels, epsilon } => {
                let mut shape = vec![1; before.len() + 1];
                shape[1] = *channels;
                let get = |part| parameters.get(name, part)?.reshape(shape.as_slice());
                let scale = (get("weight")? / (get("running_var")? + *epsilon)?.sqrt()?)?;
                x.broadcast_sub(&get("running_mean")?)?.broadcast_mul(&scale)?.broadcast_add(&get("bias")?)?
            }
        };
        index += 1;
    }
    Ok(x)
}

fn linear(x: &Tensor, parameters: &Parameters, name: &str) -> Result<Tensor> {
    x.contiguous()?.matmul(&parameters.get(name, "weight")?.t()?)?.broadcast_add(parameters.get(name, "bias")?)
}

fn activate(x: &Tensor, activation: Activation, fused: bool) -> Result<Tensor> {
    if fused { activation.of(x) } else { composed::activate(x, activation) }
}

/// A shape that `shapes` has found to be [channels, height, width].
fn image(shape: &[usize]) -> [usize; 3] {
    [shape[0], shape[1], shape[2]]
}
