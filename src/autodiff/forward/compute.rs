//! What each operation is on candle tensors. On the CPU the kernels of this program run where they are faster than candle's own
//! operations, or where candle has no gradient.

use super::stages::{self, image};
use super::{Moments, Parameters, Pass};
use crate::autodiff::composed;
use crate::autodiff::operations::{Activation, Convolve, Pool};
use crate::kernels::{Convolution, ConvolutionBlock};
use crate::nets::{Function, Graph, Op};
use candle_core::{D, Result, Tensor, bail};
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
            Op::Conv2d { .. } => self.convolution(),
            Op::ConvTranspose2d { .. } => bail!("has no gradient"),
            Op::MaxPool2d { .. } | Op::AveragePool2d { .. } | Op::ZeroPad { .. } | Op::Upsample { .. } => {
                self.plane(input_shape, output_shape)
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
                    let constant = Tensor::new(values, x.device())?.to_dtype(x.dtype())?;
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
        let activation = match function {
            Function::Relu {} => Activation::Relu,
            Function::Elu { .. } => Activation::Elu,
            Function::Tanh {} => Activation::Tanh,
            Function::Sigmoid {} => Activation::Sigmoid,
            Function::Softplus {} => Activation::Softplus,
            _ => bail!("has no gradient"),
        };
        if self.parameters.fused { activation.of(x) } else { composed::activate(x, activation) }
    }

    fn linear(&self, bias: bool) -> Result<Tensor> {
        let product = self.inputs[0].contiguous()?.matmul(&self.weight("weight")?.t()?)?;
        let y = if bias { product.broadcast_add(self.weight("bias")?)? } else { product };
        self.parts.function.map_or(Ok(y.clone()), |function| self.function(&y, function))
    }
}

impl Stage<'_> {
    fn convolution(&self) -> Result<Tensor> {
        let node = self.parts.node;
        let Op::Conv2d { kernel, stride, padding, dilation, groups, bias, .. } = self.graph.nodes()[node].op else {
            bail!("is no convolution")
        };
        let [input, output] = [self.graph.sources(node)[0], node + 1].map(|value| image(self.graph.shape(value)));
        if dilation != [1, 1] || groups != 1 || !bias {
            bail!("has no gradient");
        }
        let convolution = Convolution { input, output, kernel, stride, padding };
        let block = ConvolutionBlock { convolution, relu: self.parts.function.is_some(), pooling: self.parts.pooling };
        let (x, weight, bias) = (&self.inputs[0], self.weight("weight")?, self.weight("bias")?);
        if self.parameters.fused {
            x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, Convolve::new(block))
        } else {
            composed::convolve(x, weight, bias, &block)
        }
    }

    fn plane(&self, input: &[usize], output: &[usize]) -> Result<Tensor> {
        let (maximum, kernel, stride) = match self.graph.nodes()[self.parts.node].op {
            Op::MaxPool2d { kernel, stride, padding: [0, 0], ceil_mode: false } => (true, kernel, stride),
            Op::AveragePool2d { kernel, stride, padding: [0, 0], ceil_mode: false, .. } => (false, kernel, stride),
            _ => bail!("has no gradient"),
        };
        let pooling = crate::kernels::Pooling { input: image(input), output: image(output), kernel, stride, maximum };
        let x = &self.inputs[0];
        if self.parameters.fused { x.contiguous()?.apply_op1(Pool(pooling)) } else { composed::pool(x, &pooling) }
    }

    /// Batch normalisation by the moments of the batch, which are left in `moments`, or by the running ones; then the addition and the
    /// function of the stage.
    fn batch_norm(&self, epsilon: f64, moments: Option<&mut Moments>) -> Result<Tensor> {
        let x = &self.inputs[0];
        let [mean, variance] = match moments {
            None => [self.weight("running_mean")?.clone(), self.weight("running_var")?.clone()],
            Some(moments) => {
                let rows = x.transpose(0, 1)?.flatten_from(1)?;
                let count = rows.dims()[1];
                if count < 2 {
                    bail!("normalises by the moments of a batch, which here is one value per channel: leave no batch of a single image");
                }
                let mean = rows.mean(1)?;
                let variance = rows.broadcast_sub(&mean.unsqueeze(1)?)?.sqr()?.mean(1)?;
                let unbiased = (variance.detach() * (count as f64 / (count - 1) as f64))?;
                moments.insert(self.graph.nodes()[self.parts.node].name.clone(), [mean.detach(), unbiased]);
                [mean, variance]
            }
        };
        let scale = (self.weight("weight")? / (variance + epsilon)?.sqrt()?)?;
        let offset = (self.weight("bias")? - (mean * &scale)?)?;
        let [scale, offset] = [along_channels(&scale, x.rank())?, along_channels(&offset, x.rank())?];
        let mut y = x.broadcast_mul(&scale)?.broadcast_add(&offset)?;
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
