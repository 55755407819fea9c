//! Computes each operation on candle tensors. On the CPU the kernels of this program run where they are faster than candle's own
//! operations, or where candle has no gradient.

use super::stages::{self, image};
use super::{Moments, Parameters, Pass};
use crate::autodiff::{composed, operations};
use crate::kernels::{Convolution, ConvolutionBlock, TransposedConvolution};
use crate::nets::lowering::Plane;
use crate::nets::{Function, Graph, Op};
use candle_core::{D, Device, Result, Tensor, bail};
use candle_nn::ops;

/// A stage in a pass.
pub(super) struct Stage<'a> {
    pub parts: &'a stages::Stage,
    pub graph: &'a Graph,
    pub parameters: &'a Parameters,
    pub inputs: Vec<Tensor>,
}

impl Stage<'_> {
    /// The output \[N, …\].
    ///
    /// # Errors
    /// When a weight is missing or candle refuses.
    pub fn output(self, pass: &mut Pass<'_>) -> Result<Tensor> {
        let node = &self.graph.nodes()[self.parts.node];
        let sources = self.graph.sources(self.parts.node);
        let (input_shape, output_shape) = (self.graph.shape(sources[0]), self.graph.shape(self.parts.node + 1));
        let x = &self.inputs[0];
        let with_batch = || [&[x.dims()[0]], output_shape].concat();
        match &node.op {
            Op::Linear { bias, .. } => self.linear(*bias),
            Op::GaussianLinear { .. } => self.linear(true),
            &Op::Conv2d { kernel, stride, padding, dilation, groups, bias, .. } => {
                let [input, output] = [input_shape, output_shape].map(image);
                self.convolution(Convolution { input, output, kernel, stride, padding, dilation, groups }, bias)
            }
            &Op::ConvTranspose2d { kernel, stride, padding, dilation, groups, bias, .. } => {
                // From the output of the transposed convolution to its input.
                let [output, input] = [input_shape, output_shape].map(image);
                self.transposed(Convolution { input, output, kernel, stride, padding, dilation, groups }, bias)
            }
            Op::GlobalAveragePool {} => x.flatten_from(2)?.mean_keepdim(2)?.unsqueeze(3),
            Op::Apply(function) => self.function(x, *function),
            Op::Softmax {} => ops::softmax(x, 1),
            Op::LogSoftmax {} => ops::log_softmax(x, 1),
            Op::Add {} => self.fold(Tensor::broadcast_add),
            Op::Multiply {} => self.fold(Tensor::broadcast_mul),
            Op::Scale { factor, offset } => x.affine(*factor, *offset),
            Op::Concatenate {} => Tensor::cat(&self.inputs, 1),
            Op::Flatten {} | Op::Reshape { .. } => x.reshape(with_batch()),
            Op::BatchNorm { epsilon, .. } => self.batch_norm(*epsilon, pass.moments.as_deref_mut()),
            Op::GroupNorm { groups, epsilon, .. } => {
                let normal = normalise(x, *groups, *epsilon)?;
                normal.broadcast_mul(&self.per_channel("weight")?)?.broadcast_add(&self.per_channel("bias")?)
            }
            Op::LayerNorm { epsilon, .. } => {
                normalise(x, 1, *epsilon)?.broadcast_mul(self.weight("weight")?)?.broadcast_add(self.weight("bias")?)
            }
            Op::Normalise { mean, std } => {
                let constant = |values: &[f64]| {
                    // Converted on the CPU: not every device has f64.
                    let constant = Tensor::new(values, &Device::Cpu)?.to_dtype(x.dtype())?.to_device(x.device())?;
                    along_channels(&constant, x.rank())
                };
                x.broadcast_sub(&constant(mean)?)?.broadcast_div(&constant(std)?)
            }
            Op::Dropout { rate, stream } => match &mut pass.masks {
                Some(mask) => x * mask(*stream, *rate, x.dims())?.to_device(x.device())?,
                None => Ok(x.clone()),
            },
            Op::Dropout2d { rate, stream } => match &mut pass.masks {
                Some(mask) => {
                    let units = [x.dims()[0], input_shape[0]];
                    x.broadcast_mul(&mask(*stream, *rate, &units)?.to_device(x.device())?.reshape((units[0], units[1], 1, 1))?)
                }
                None => Ok(x.clone()),
            },
            Op::MaxPool2d { .. } | Op::AveragePool2d { .. } | Op::ZeroPad { .. } | Op::Upsample { .. } => {
                match Plane::of(&node.op, input_shape, output_shape) {
                    Some(plane) => self.plane(&plane),
                    None => bail!("is no map of channels"),
                }
            }
        }
    }

    fn weight(&self, part: &str) -> Result<&Tensor> {
        self.parameters.get(&self.graph.nodes()[self.parts.node].name, part)
    }

    /// A weight \[C\], so that it meets the channels of the input.
    fn per_channel(&self, part: &str) -> Result<Tensor> {
        along_channels(self.weight(part)?, self.inputs[0].rank())
    }

    fn function(&self, x: &Tensor, function: Function) -> Result<Tensor> {
        if self.parameters.fused { operations::apply(x, function) } else { composed::apply(x, function) }
    }

    fn bias(&self, has_bias: bool) -> Result<Option<&Tensor>> {
        if has_bias { self.weight("bias").map(Some) } else { Ok(None) }
    }

    fn linear(&self, has_bias: bool) -> Result<Tensor> {
        let (x, weight, bias, function) = (&self.inputs[0], self.weight("weight")?, self.bias(has_bias)?, self.parts.function);
        if self.parameters.fused { operations::dense(x, weight, bias, function) } else { composed::dense(x, weight, bias, function) }
    }

    fn convolution(&self, convolution: Convolution, has_bias: bool) -> Result<Tensor> {
        let block = ConvolutionBlock { convolution, relu: self.parts.function.is_some(), pooling: self.parts.pooling };
        let (x, weight, bias) = (&self.inputs[0], self.weight("weight")?, self.bias(has_bias)?);
        if self.parameters.fused { operations::convolve(x, weight, bias, block) } else { composed::convolve(x, weight, bias, &block) }
    }

    fn transposed(&self, adjoint: Convolution, has_bias: bool) -> Result<Tensor> {
        let block = TransposedConvolution { adjoint, relu: self.parts.function.is_some() };
        let (x, weight, bias) = (&self.inputs[0], self.weight("weight")?, self.bias(has_bias)?);
        if self.parameters.fused {
            operations::convolve_transposed(x, weight, bias, block)
        } else {
            composed::convolve_transposed(x, weight, bias, &block)
        }
    }

    fn plane(&self, plane: &Plane) -> Result<Tensor> {
        let x = &self.inputs[0];
        if self.parameters.fused { operations::plane(x, plane) } else { composed::plane(x, plane) }
    }

    /// Batch normalisation by the moments of the batch, which are left in `moments`, or by the running ones; then the addition and the
    /// function of the stage.
    fn batch_norm(&self, epsilon: f64, moments: Option<&mut Moments>) -> Result<Tensor> {
        let (x, residual) = (&self.inputs[0], self.inputs.get(1));
        let Some(moments) = moments else { return self.normalised_by_running_moments(epsilon) };
        if x.elem_count() / x.dims()[1] < 2 {
            bail!("needs at least two values per channel in a training batch: choose another --batch");
        }
        let parameters = Tensor::stack(&[self.weight("weight")?, self.weight("bias")?], 0)?;
        let batch_norm = if self.parameters.fused { operations::batch_norm } else { composed::batch_norm };
        let (y, of_batch) = batch_norm(x, &parameters, residual, epsilon, self.parts.function.is_some())?;
        moments.insert(self.graph.nodes()[self.parts.node].name.clone(), of_batch);
        Ok(y)
    }

    fn normalised_by_running_moments(&self, epsilon: f64) -> Result<Tensor> {
        let x = &self.inputs[0];
        let scale = (self.weight("weight")? / (self.weight("running_var")? + epsilon)?.sqrt()?)?;
        let offset = (self.weight("bias")? - (self.weight("running_mean")? * &scale)?)?;
        let mut y = x.broadcast_mul(&along_channels(&scale, x.rank())?)?.broadcast_add(&along_channels(&offset, x.rank())?)?;
        if let Some(other) = self.inputs.get(1) {
            y = (y + other)?;
        }
        self.parts.function.map_or(Ok(y.clone()), |function| self.function(&y, function))
    }

    /// The inputs combined in turn; one of \[N, C\] or \[N, C, 1, 1\] stands for all pixels of its channels.
    fn fold(&self, combine: impl Fn(&Tensor, &Tensor) -> Result<Tensor>) -> Result<Tensor> {
        let (first, others) = (&self.inputs[0], &self.inputs[1..]);
        others.iter().try_fold(first.clone(), |combined, other| {
            let [batch, channels] = [combined.dims()[0], combined.dims()[1]];
            let other = if other.rank() < combined.rank() { other.reshape((batch, channels, 1, 1))? } else { other.clone() };
            combine(&combined, &other)
        })
    }
}

/// A tensor \[C\] as \[1, C, 1, …\] of that many axes.
fn along_channels(of_channels: &Tensor, rank: usize) -> Result<Tensor> {
    let mut shape = vec![1; rank];
    shape[1] = of_channels.elem_count();
    of_channels.reshape(shape)
}

/// (x − mean) / √(variance + ε) with the moments of each image's groups of channels.
fn normalise(x: &Tensor, groups: usize, epsilon: f64) -> Result<Tensor> {
    let rows = x.reshape((x.dims()[0], groups, ()))?;
    let centred = rows.broadcast_sub(&rows.mean_keepdim(D::Minus1)?)?;
    let deviation = (centred.sqr()?.mean_keepdim(D::Minus1)? + epsilon)?.sqrt()?;
    centred.broadcast_div(&deviation)?.reshape(x.shape())
}
