//! The operations of this room made of candle's own, for tensors on a graphics processor, where the kernels of the CPU do not reach. Values
//! and gradients are theirs: at 0 the slope of max(x, 0) is 0, and of equal elements of a window the first is the largest.

use super::operations::Activation;
use crate::kernels::{Convolution, ConvolutionBlock, Pooling, TransposedConvolution};
use candle_core::{Result, Tensor};
use candle_nn::ops;

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
    let y = with_bias(picked, bias)?;
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
    let y = with_bias(dilated(&x, &weight, dilation, groups)?, bias)?;
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

fn with_bias(y: Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
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
pub(super) fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Relu => relu(x),
        Activation::Elu => {
            let above = relu(x)?;
            (&above + (x - &above)?.exp()?)? - 1.0
        }
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => ops::sigmoid(x),
        Activation::Softplus => {
            let above = relu(x)?;
            // x − 2 max(x, 0) is −|x|.
            &above + ((x - (&above * 2.0)?)?.exp()? + 1.0)?.log()?
        }
    }
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
