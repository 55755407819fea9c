//! The shape that each operation makes of the shapes of its inputs.

use super::Op;

/// No value of one image may have more elements than this: a larger one is a damaged file, not a network.
const MOST_ELEMENTS: usize = 1 << 28;

/// The windows of a convolution or a pool along one axis.
struct Windows {
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
}

impl Op {
    /// The shape of the output.
    ///
    /// # Errors
    /// When the operation cannot take inputs of these shapes or its constants make no sense: what it expects, as the end of a sentence.
    pub fn output_shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        let output = match self {
            Self::Add {} | Self::Multiply {} | Self::Concatenate {} => self.of_several(inputs)?,
            _ => match inputs {
                [input] => self.of_one(input)?,
                _ => return Err(format!("expects one input but has {}", inputs.len())),
            },
        };
        match elements(&output) {
            Some(1..=MOST_ELEMENTS) => Ok(output),
            _ => Err(format!("makes the impossible shape {output:?} of {inputs:?}")),
        }
    }

    fn of_several(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        let [first, others @ ..] = inputs else { return Err("expects two inputs or more but has none".to_owned()) };
        if others.is_empty() {
            return Err("expects two inputs or more but has one".to_owned());
        }
        let mut output = first.to_vec();
        for other in others {
            let fits = if matches!(self, Self::Concatenate {}) {
                first.len() == other.len() && first[1..] == other[1..]
            } else {
                // The same shape, or one value per channel.
                first == other || first.len() == 3 && matches!(other, [c] | [c, 1, 1] if *c == first[0])
            };
            if !fits {
                return Err(format!("cannot combine the shapes {first:?} and {other:?}"));
            }
            if matches!(self, Self::Concatenate {}) {
                output[0] = output[0].saturating_add(other[0]);
            }
        }
        Ok(output)
    }

    fn of_one(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let wrong = |expected: &str| Err(format!("expects {expected} but is given {input:?}"));
        let an_image = "an image [channels, height, width]";
        match self {
            Self::Linear { inputs, outputs, .. } | Self::GaussianLinear { inputs, outputs, .. } => match input {
                [length] if length == inputs => Ok(vec![*outputs]),
                _ => wrong(&format!("a vector of {inputs}")),
            },
            Self::Conv2d { .. } | Self::ConvTranspose2d { .. } | Self::MaxPool2d { .. } | Self::AveragePool2d { .. } => {
                self.of_windows(input)
            }
            Self::GlobalAveragePool {} => match input {
                [channels, _, _] => Ok(vec![*channels, 1, 1]),
                _ => wrong(an_image),
            },
            Self::Flatten {} => Ok(vec![input.iter().product()]),
            Self::Reshape { shape } => {
                if elements(shape) == elements(input) {
                    Ok(shape.clone())
                } else {
                    wrong(&format!("as many elements as {shape:?} has"))
                }
            }
            Self::ZeroPad { padding: [left, right, top, bottom] } => match input {
                &[channels, h, w] => {
                    let sum = |a: usize, b: &usize, c: &usize| a.saturating_add(*b).saturating_add(*c);
                    Ok(vec![channels, sum(h, top, bottom), sum(w, left, right)])
                }
                _ => wrong(an_image),
            },
            Self::Upsample { size, .. } => match input {
                &[channels, _, _] => Ok(vec![channels, size[0], size[1]]),
                _ => wrong(an_image),
            },
            Self::BatchNorm { channels, epsilon } => {
                check_epsilon(*epsilon)?;
                check_channels(input, *channels)
            }
            Self::GroupNorm { groups, channels, epsilon } => {
                check_epsilon(*epsilon)?;
                check_groups(*groups, *channels, *channels)?;
                check_channels(input, *channels)
            }
            Self::LayerNorm { shape, epsilon } => {
                check_epsilon(*epsilon)?;
                if input == shape { Ok(shape.clone()) } else { wrong(&format!("the shape {shape:?}")) }
            }
            Self::Normalise { mean, std } => {
                if mean.len() != std.len() {
                    return Err(format!("has {} means but {} standard deviations", mean.len(), std.len()));
                }
                if let Some(value) =
                    mean.iter().find(|value| !value.is_finite()).or_else(|| std.iter().find(|std| !(**std > 0.0 && std.is_finite())))
                {
                    return Err(format!("has {value}: means must be finite and standard deviations above 0"));
                }
                check_channels(input, mean.len())
            }
            Self::Scale { factor, offset } => {
                if factor.is_finite() && offset.is_finite() {
                    Ok(input.to_vec())
                } else {
                    Err(format!("has the factor {factor} and the offset {offset}: both must be finite"))
                }
            }
            Self::Dropout { rate, .. } | Self::Dropout2d { rate, .. } => {
                if !(0.0..1.0).contains(rate) {
                    return Err(format!("has the rate {rate}, which is not in 0 ≤ rate < 1"));
                }
                if matches!(self, Self::Dropout2d { .. }) && input.len() != 3 { wrong(an_image) } else { Ok(input.to_vec()) }
            }
            Self::Softmax {} | Self::LogSoftmax {} => match input {
                [_] | [_, _, _] => Ok(input.to_vec()),
                _ => wrong("a vector or an image"),
            },
            Self::Apply(function) => function.check().map(|()| input.to_vec()),
            Self::Add {} | Self::Multiply {} | Self::Concatenate {} => unreachable!("these have several inputs"),
        }
    }

    /// The operations that move windows over an image.
    fn of_windows(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        match self {
            &Self::Conv2d { in_channels, out_channels, kernel, stride, padding, dilation, groups, .. } => {
                check_groups(groups, in_channels, out_channels)?;
                let [_, h, w] = of_channels(input, in_channels)?;
                let windows =
                    |axis: usize| Windows { kernel: kernel[axis], stride: stride[axis], padding: padding[axis], dilation: dilation[axis] };
                Ok(vec![out_channels, windows(0).count(h, false)?, windows(1).count(w, false)?])
            }
            &Self::ConvTranspose2d { in_channels, out_channels, kernel, stride, padding, output_padding, dilation, groups, .. } => {
                check_groups(groups, in_channels, out_channels)?;
                let image = of_channels(input, in_channels)?;
                let mut output = vec![out_channels];
                for axis in 0..2 {
                    let [k, s, p, extra, d] = [kernel, stride, padding, output_padding, dilation].map(|pair| pair[axis]);
                    if k == 0 || s == 0 || d == 0 || extra >= s.max(d) {
                        return Err(format!(
                            "has kernel {kernel:?}, stride {stride:?}, dilation {dilation:?} and output padding {output_padding:?}: the first \
                             three must be at least 1 and the last smaller than stride or dilation"
                        ));
                    }
                    let full = (image[axis + 1] - 1)
                        .checked_mul(s)
                        .and_then(|length| length.checked_add(d.checked_mul(k - 1)?.checked_add(extra)?.checked_add(1)?))
                        .and_then(|length| length.checked_sub(p.checked_mul(2)?));
                    output.push(full.ok_or_else(|| format!("has the padding {padding:?}, which leaves nothing of {input:?}"))?);
                }
                Ok(output)
            }
            &Self::MaxPool2d { kernel, stride, padding, ceil_mode } | &Self::AveragePool2d { kernel, stride, padding, ceil_mode, .. } => {
                let &[channels, h, w] = input else {
                    return Err(format!("expects an image [channels, height, width] but is given {input:?}"));
                };
                if (0..2).any(|axis| padding[axis] > kernel[axis] / 2) {
                    return Err(format!("has the padding {padding:?}, which is more than half of its kernel {kernel:?}"));
                }
                let windows = |axis: usize| Windows { kernel: kernel[axis], stride: stride[axis], padding: padding[axis], dilation: 1 };
                Ok(vec![channels, windows(0).count(h, ceil_mode)?, windows(1).count(w, ceil_mode)?])
            }
            _ => unreachable!("it moves windows"),
        }
    }
}

impl super::Function {
    /// Refuses constants that make no function.
    fn check(self) -> Result<(), String> {
        match self {
            Self::LeakyRelu { slope: constant } | Self::Elu { alpha: constant } if !constant.is_finite() => {
                Err(format!("has the constant {constant}, which is not finite"))
            }
            // Infinite bounds are none.
            Self::Clip { low, high } if low.is_nan() || high.is_nan() || low > high => {
                Err(format!("has the bounds {low} and {high}: the first must not be above the second"))
            }
            _ => Ok(()),
        }
    }
}

impl Windows {
    /// How many there are on `length` pixels, as PyTorch counts them.
    fn count(&self, length: usize, ceil: bool) -> Result<usize, String> {
        let Self { kernel, stride, padding, dilation } = *self;
        let reach = kernel.checked_sub(1).and_then(|steps| steps.checked_mul(dilation)?.checked_add(1));
        let padded = padding.checked_mul(2).and_then(|both| both.checked_add(length));
        match (reach, padded) {
            (Some(reach), Some(padded)) if reach <= padded && stride > 0 && dilation > 0 => {
                let steps = padded - reach;
                let mut count = if ceil { steps.div_ceil(stride) } else { steps / stride } + 1;
                // A window must begin in the image or before it.
                if ceil && (count - 1) * stride >= length + padding {
                    count -= 1;
                }
                Ok(count)
            }
            _ => Err(format!(
                "has a kernel of {kernel}, a stride of {stride}, a dilation of {dilation} and a padding of {padding}, which do not fit {length} pixels"
            )),
        }
    }
}

fn of_channels(input: &[usize], channels: usize) -> Result<[usize; 3], String> {
    match *input {
        [c, h, w] if c == channels => Ok([c, h, w]),
        _ => Err(format!("expects an image of {channels} channels but is given {input:?}")),
    }
}

fn check_channels(input: &[usize], channels: usize) -> Result<Vec<usize>, String> {
    match input {
        [c] | [c, _, _] if *c == channels => Ok(input.to_vec()),
        _ => Err(format!("expects {channels} channels but is given {input:?}")),
    }
}

fn check_groups(groups: usize, inputs: usize, outputs: usize) -> Result<(), String> {
    if groups == 0 || inputs == 0 || outputs == 0 || !inputs.is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
        return Err(format!("has {groups} groups, which do not divide its {inputs} and {outputs} channels"));
    }
    Ok(())
}

fn check_epsilon(epsilon: f64) -> Result<(), String> {
    if epsilon >= 0.0 && epsilon.is_finite() { Ok(()) } else { Err(format!("has the epsilon {epsilon}, which is not a number ≥ 0")) }
}

/// The number of elements of a shape, `None` where it overflows.
pub(super) fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, &axis| product.checked_mul(axis))
}
