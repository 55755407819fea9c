//! The operations of this room made of candle's own, for tensors on a graphics processor, where the kernels of the CPU do not reach. Values
//! and gradients are theirs: at 0 the slope of max(x, 0) is 0, and of equal elements of a window the first is the largest.

use crate::kernels::{BatchMoments, Convolution, ConvolutionBlock, Pooling, TransposedConvolution};
use crate::nets::lowering::Plane;
use crate::nets::{Function, GELU_CUBIC, ROOT_2_OVER_PI};
use candle_core::{DType, Device, Result, Tensor};
use candle_nn::ops;
use std::f64::consts::FRAC_1_SQRT_2;
use std::ops::Range;
use std::sync::Arc;

/// A convolution with what follows it. Steps are taken of its output, for candle's own way back knows square images only.
pub(super) fn convolve(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, block: &ConvolutionBlock) -> Result<Tensor> {
    let Convolution { input, output, kernel, stride, padding, dilation, groups } = block.convolution;
    let mut x = x.clone();
    for axis in 0..2 {
        let read = (output[axis + 1] - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + 1;
        x = x.pad_with_zeros(axis + 2, padding[axis], read.saturating_sub(padding[axis] + input[axis + 1]))?;
    }
    let all = dilated(&x, weight, dilation, groups)?;
    let picked = every(&every(&all, 2, 0, stride[0], output[1])?, 3, 0, stride[1], output[2])?;
    let y = with_bias(&picked, bias)?;
    let y = if block.relu { relu(&y)? } else { y };
    block.pooling.as_ref().map_or(Ok(y.clone()), |pooling| pool(&y, pooling))
}

/// A transposed convolution and the ReLU that follows it: the convolution of the image with zeros between its pixels, by the turned kernel.
pub(super) fn convolve_transposed(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    TransposedConvolution { adjoint, relu: cut }: &TransposedConvolution,
) -> Result<Tensor> {
    let Convolution { input: made, output: [inputs, height, width], kernel, stride, padding, dilation, groups } = *adjoint;
    let batch = x.dim(0)?;
    let x = x.reshape((batch, inputs, height, 1, width, 1))?.pad_with_zeros(3, 0, stride[0] - 1)?.pad_with_zeros(5, 0, stride[1] - 1)?;
    let mut x = x.reshape((batch, inputs, height * stride[0], width * stride[1]))?;
    for (axis, pixels) in [height, width].into_iter().enumerate() {
        let reach = dilation[axis] * (kernel[axis] - 1);
        // What the result takes begins `padding` pixels behind the first tap's reach, and is as long as the image.
        let length = made[axis + 1] + reach;
        x = x.narrow(axis + 2, 0, (pixels - 1) * stride[axis] + 1)?.pad_with_zeros(axis + 2, reach, length)?;
        x = x.narrow(axis + 2, padding[axis], length)?;
    }
    let turned = |weight: &Tensor, axis: usize| {
        let backwards: Vec<u32> = (0..kernel[axis - 2] as u32).rev().collect();
        weight.contiguous()?.index_select(&Tensor::new(backwards, weight.device())?, axis)
    };
    let weight = turned(&turned(weight, 2)?, 3)?.reshape((groups, inputs / groups, made[0] / groups, kernel[0] * kernel[1]))?;
    let weight = weight.transpose(1, 2)?.reshape((made[0], inputs / groups, kernel[0], kernel[1]))?;
    let y = with_bias(&dilated(&x, &weight, dilation, groups)?, bias)?;
    if *cut { relu(&y) } else { Ok(y) }
}

/// A convolution without padding or steps. candle has one dilation for both axes: where they differ, the kernel is widened by zeros.
fn dilated(x: &Tensor, weight: &Tensor, dilation: [usize; 2], groups: usize) -> Result<Tensor> {
    let (outputs, inputs, height, width) = weight.dims4()?;
    let common = if dilation[0] == dilation[1] { dilation[0] } else { 1 };
    let mut weight = weight.clone();
    if common != dilation[0] || common != dilation[1] {
        let wide = weight.reshape((outputs, inputs, height, 1, width, 1))?;
        let wide = wide.pad_with_zeros(3, 0, dilation[0] - 1)?.pad_with_zeros(5, 0, dilation[1] - 1)?;
        let wide = wide.reshape((outputs, inputs, height * dilation[0], width * dilation[1]))?;
        weight = wide.narrow(2, 0, (height - 1) * dilation[0] + 1)?.narrow(3, 0, (width - 1) * dilation[1] + 1)?;
    }
    x.contiguous()?.conv2d(&weight.contiguous()?, 0, 1, common, groups)
}

fn with_bias(y: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    bias.map_or(Ok(y.clone()), |bias| y.broadcast_add(&bias.reshape((1, bias.elem_count(), 1, 1))?))
}

/// The maximum or the mean over windows.
pub(super) fn pool(x: &Tensor, pooling: &Pooling) -> Result<Tensor> {
    let Pooling { output: [_, height, width], kernel, stride, maximum, .. } = *pooling;
    let element = |(ky, kx): (usize, usize)| every(&every(x, 2, ky, stride[0], height)?, 3, kx, stride[1], width);
    let elements = (0..kernel[0]).flat_map(|ky| (0..kernel[1]).map(move |kx| (ky, kx))).map(element);
    let windows = Tensor::stack(&elements.collect::<Result<Vec<_>>>()?, 4)?.contiguous()?;
    if maximum { windows.gather(&windows.detach().argmax_keepdim(4)?, 4)?.squeeze(4) } else { windows.mean(4) }
}

/// An elementwise function. Each is written so that neither its value nor its gradient overflows.
pub(super) fn apply(x: &Tensor, function: Function) -> Result<Tensor> {
    match function {
        Function::Relu {} => relu(x),
        Function::LeakyRelu { slope } => {
            let above = relu(x)?;
            &above + ((x - &above)? * slope)?
        }
        Function::Elu { alpha } => {
            let above = relu(x)?;
            &above + (((x - &above)?.exp()? - 1.0)? * alpha)?
        }
        Function::Gelu { tanh: false } => x * (((x * FRAC_1_SQRT_2)?.erf()? + 1.0)? * 0.5)?,
        Function::Gelu { tanh: true } => {
            let inner = ((x + (x.sqr()? * x)? * GELU_CUBIC)? * ROOT_2_OVER_PI)?;
            x * ((inner.tanh()? + 1.0)? * 0.5)?
        }
        Function::Silu {} => x * ops::sigmoid(x)?,
        Function::Clip { low, high } => clip(x, low, high),
        Function::HardSigmoid {} => clip(&(x + 3.0)?, 0.0, 6.0)? / 6.0,
        Function::HardSwish {} => x * (clip(&(x + 3.0)?, 0.0, 6.0)? / 6.0)?,
        Function::Tanh {} => x.tanh(),
        Function::Sigmoid {} => ops::sigmoid(x),
        Function::Softplus {} => {
            let above = relu(x)?;
            // x − 2 max(x, 0) is −|x|.
            &above + ((x - (&above * 2.0)?)?.exp()? + 1.0)?.log()?
        }
        Function::Exp {} => x.exp(),
        Function::Ln {} => x.log(),
    }
}

/// A pool, a padding or another size of images \[N, C, H, W\]: of each output, its pixels are gathered.
pub(super) fn plane(x: &Tensor, plane: &Plane) -> Result<Tensor> {
    let (count, channels, ..) = x.dims4()?;
    let (taps, outputs) = (plane.taps(), plane.to[0] * plane.to[1]);
    let windows: Vec<Range<usize>> = taps.starts.windows(2).map(|ends| ends[0] as usize..ends[1] as usize).collect();
    let most = windows.iter().map(Range::len).max().unwrap_or(0).max(1);
    // Shorter windows take their first pixel again, which of a maximum changes nothing, and of a sum has no share.
    let (mut places, mut shares) = (Vec::with_capacity(outputs * most), Vec::with_capacity(outputs * most));
    for window in windows {
        let first = taps.places.get(window.start).copied().filter(|_| !window.is_empty());
        for tap in window.start..window.start + most {
            let inside = tap < window.end;
            places.push(if inside { taps.places[tap] } else { first.unwrap_or(0) });
            let share = if inside { taps.shares[tap] } else { 0.0 };
            // Of a maximum only a window without pixels, which is 0, has no share.
            shares.push(if taps.maximum { f64::from(u8::from(first.is_some())) } else { share });
        }
    }
    let places = Tensor::from_vec(places, outputs * most, x.device())?;
    let shares = Tensor::from_vec(shares, (outputs, most), &Device::Cpu)?.to_dtype(x.dtype())?.to_device(x.device())?;
    let pixels = x.reshape((count * channels, ()))?.contiguous()?.index_select(&places, 1)?;
    let pixels = pixels.reshape((count * channels, outputs, most))?.broadcast_mul(&shares)?;
    let y = if taps.maximum { pixels.gather(&pixels.detach().argmax_keepdim(2)?, 2)?.squeeze(2)? } else { pixels.sum(2)? };
    y.reshape((count, channels, plane.to[0], plane.to[1]))
}

/// function(x Wᵀ + b) of x \[N, inputs\], weight \[outputs, inputs\] and bias \[outputs\].
pub(super) fn dense(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, function: Option<Function>) -> Result<Tensor> {
    let mut y = x.contiguous()?.matmul(&weight.t()?)?;
    if let Some(bias) = bias {
        y = y.broadcast_add(bias)?;
    }
    function.map_or(Ok(y.clone()), |function| apply(&y, function))
}

/// Batch normalisation in training, and the moments of the batch.
pub(super) fn batch_norm(
    x: &Tensor,
    parameters: &Tensor,
    residual: Option<&Tensor>,
    epsilon: f64,
    relu_follows: bool,
) -> Result<(Tensor, Arc<BatchMoments>)> {
    let (images, channels) = (x.dim(0)?, x.dim(1)?);
    let rows = x.reshape((images, channels, ()))?;
    let mean_of = |x: &Tensor| x.mean_keepdim(2)?.mean_keepdim(0);
    let mean = mean_of(&rows)?;
    let apart = rows.broadcast_sub(&mean)?;
    let variance = mean_of(&apart.sqr()?)?;
    let part = |place: usize| parameters.get(place)?.reshape((1, channels, 1));
    let scale = (part(0)? / (&variance + epsilon)?.sqrt()?)?;
    let y = apart.broadcast_mul(&scale)?.broadcast_add(&part(1)?)?.reshape(x.shape())?;
    let y = residual.map_or(Ok(y.clone()), |residual| y + residual)?;
    let y = if relu_follows { relu(&y)? } else { y };
    let values = |moment: &Tensor| moment.detach().flatten_all()?.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.to_vec1();
    let moments = BatchMoments { mean: values(&mean)?, variance: values(&variance)?, count: x.elem_count() / channels };
    Ok((y, Arc::new(moments)))
}

/// The reconstruction error of each image with Bernoulli pixels: Σ ln(1 + exp(l)) − x l over logits and images \[N, D\].
pub(super) fn bernoulli(logits: &Tensor, images: &Tensor) -> Result<Tensor> {
    (apply(logits, Function::Softplus {})? - (images * logits)?)?.sum(1)
}

fn clip(x: &Tensor, low: f64, high: f64) -> Result<Tensor> {
    let mask = |mask: Tensor| mask.to_dtype(x.dtype());
    let (below, above) = (mask(x.detach().le(low)?)?, mask(x.detach().ge(high)?)?);
    let mut y = (x * (&below + &above)?.affine(-1.0, 1.0)?)?;
    // What no number lies beyond must not be multiplied by 0.
    for (bound, mask) in [(low, below), (high, above)] {
        if bound.is_finite() {
            y = (y + (mask * bound)?)?;
        }
    }
    Ok(y)
}

fn relu(x: &Tensor) -> Result<Tensor> {
    x * x.detach().gt(0.0)?.to_dtype(x.dtype())?
}

/// `count` places of an axis, every `step`-th from `first` on.
fn every(x: &Tensor, axis: usize, first: usize, step: usize, count: usize) -> Result<Tensor> {
    if step == 1 {
        return x.narrow(axis, first, count)?.contiguous();
    }
    let places: Vec<u32> = (0..count).map(|place| (first + place * step) as u32).collect();
    x.contiguous()?.index_select(&Tensor::from_vec(places, count, x.device())?, axis)
}
