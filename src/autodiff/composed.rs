//! The operations of this room made of candle's own, for tensors on a graphics processor, where the kernels of the CPU do not reach. Values
//! and gradients are theirs: at 0 the slope of max(x, 0) is 0, and of equal elements of a window the first is the largest.

use super::operations::Activation;
use crate::kernels::{Convolution, ConvolutionBlock, Pooling};
use candle_core::{Result, Tensor};
use candle_nn::ops;

/// A convolution with what follows it. Steps are taken of its output, for candle's own way back knows square images only.
pub(super) fn convolve(x: &Tensor, weight: &Tensor, bias: &Tensor, block: &ConvolutionBlock) -> Result<Tensor> {
    let Convolution { output: [_, height, width], stride, padding, .. } = block.convolution;
    let padded = x.pad_with_zeros(2, padding[0], padding[0])?.pad_with_zeros(3, padding[1], padding[1])?;
    let all = padded.contiguous()?.conv2d(&weight.contiguous()?, 0, 1, 1, 1)?;
    let picked = every(&every(&all, 2, 0, stride[0], height)?, 3, 0, stride[1], width)?;
    let y = picked.broadcast_add(&bias.reshape((1, bias.elem_count(), 1, 1))?)?;
    let y = if block.relu { relu(&y)? } else { y };
    block.pooling.as_ref().map_or(Ok(y.clone()), |pooling| pool(&y, pooling))
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
