//! The operations of a network: their constants, the weights that they name, and the shapes that they make.

use super::Function;
use super::shapes::{
    Windows, check_channels, check_constant, check_epsilon, check_groups, combined, concatenated, elements, is_possible, of_channels,
    of_image, transposed,
};
use serde::{Deserialize, Serialize};

/// An operation of a [`Node`](super::Node). Shapes are those of one image, without the batch axis; weights have PyTorch's layout and
/// stand under `NODE.weight` and so on. Pairs are (height, width).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// y = W x + b of a vector; `weight` \[outputs, inputs\], `bias` \[outputs\].
    Linear {
        #[serde(rename = "in_features")]
        inputs: usize,
        #[serde(rename = "out_features")]
        outputs: usize,
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        bias: bool,
    },
    /// A linear layer with a Gaussian over its weights, as a Laplace approximation makes it (Ritter et al. 2018; Daxberger et
    /// al. 2021). With the bias as the last column of W, a draw is, for E of standard normal numbers, W + `B_out` (S ∘ E) `B_in`ᵀ
    /// where the covariance has Kronecker factors, and W + F E, row by row, where it is full; a deterministic pass has W, the mean.
    /// `weight` and `bias` as of a linear layer; `basis_in` \[inputs + 1, inputs + 1\], `basis_out` \[outputs, outputs\] and
    /// `deviation` \[outputs, inputs + 1\], which is S; or `factor` \[n, n\] with n = outputs · (inputs + 1), which is F.
    GaussianLinear {
        #[serde(rename = "in_features")]
        inputs: usize,
        #[serde(rename = "out_features")]
        outputs: usize,
        #[serde(default)]
        covariance: Covariance,
        /// The stream of its random numbers.
        stream: u32,
    },
    /// Cross-correlation with zero padding, as PyTorch's `Conv2d`; `weight` \[out, in / groups, kh, kw\], `bias` \[out\].
    Conv2d {
        in_channels: usize,
        out_channels: usize,
        kernel: [usize; 2],
        #[serde(default = "ones")]
        stride: [usize; 2],
        #[serde(default)]
        padding: [usize; 2],
        #[serde(default = "ones")]
        dilation: [usize; 2],
        #[serde(default = "one")]
        groups: usize,
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        bias: bool,
    },
    /// As PyTorch's `ConvTranspose2d`; `weight` \[in, out / groups, kh, kw\], `bias` \[out\].
    ConvTranspose2d {
        in_channels: usize,
        out_channels: usize,
        kernel: [usize; 2],
        #[serde(default = "ones")]
        stride: [usize; 2],
        #[serde(default)]
        padding: [usize; 2],
        #[serde(default)]
        output_padding: [usize; 2],
        #[serde(default = "ones")]
        dilation: [usize; 2],
        #[serde(default = "one")]
        groups: usize,
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        bias: bool,
    },
    /// The maximum over windows; the padding never wins.
    MaxPool2d {
        kernel: [usize; 2],
        stride: [usize; 2],
        #[serde(default)]
        padding: [usize; 2],
        #[serde(default)]
        ceil_mode: bool,
    },
    /// The mean over windows; `count_include_pad`: the zeros of the padding count.
    AveragePool2d {
        kernel: [usize; 2],
        stride: [usize; 2],
        #[serde(default)]
        padding: [usize; 2],
        #[serde(default)]
        ceil_mode: bool,
        #[serde(default = "yes")]
        count_include_pad: bool,
    },
    /// The mean of each channel: \[C, H, W\] into \[C, 1, 1\].
    GlobalAveragePool {},
    /// An elementwise function.
    Apply(Function),
    /// exp(x) / Σ exp(x) of a vector, or over the channels at each pixel.
    Softmax {},
    /// The logarithm of the softmax.
    LogSoftmax {},
    /// The sum of two values or more. A later one may be \[C\] or \[C, 1, 1\] where the first is \[C, H, W\].
    Add {},
    /// The product, under the same rule: a gate per channel may come second.
    Multiply {},
    /// factor · x + offset.
    Scale {
        #[serde(default = "unit")]
        factor: f64,
        #[serde(default)]
        offset: f64,
    },
    /// Values one after the other along the first axis: channels, or elements of vectors.
    Concatenate {},
    /// Into a vector, row-major.
    Flatten {},
    /// Into another shape of as many elements, row-major.
    Reshape { shape: Vec<usize> },
    /// Zeros around an image: \[left, right, top, bottom\], PyTorch's order.
    ZeroPad { padding: [usize; 4] },
    /// An image of another size (height, width), as PyTorch's `interpolate` with `size`.
    Upsample {
        size: [usize; 2],
        mode: Interpolation,
        /// Of bilinear interpolation: whether the corner pixels' centres stay where they are.
        #[serde(default)]
        align_corners: bool,
    },
    /// (x − `running_mean`) / √(`running_var` + epsilon) · `weight` + `bias`, each \[channels\]: batch normalisation at inference.
    BatchNorm { channels: usize, epsilon: f64 },
    /// (x − mean) / √(variance + epsilon) · `weight` + `bias` with the moments of groups of channels; weights \[channels\].
    GroupNorm { groups: usize, channels: usize, epsilon: f64 },
    /// The same with the moments of the whole value; weights of its `shape`.
    LayerNorm { shape: Vec<usize>, epsilon: f64 },
    /// (x − mean) / std per channel: the normalisation of the input, as torchvision's `Normalize`.
    Normalise { mean: Vec<f64>, std: Vec<f64> },
    /// Inverted dropout of single elements: dropped with probability `rate`, the kept ones scaled by 1 / (1 − rate).
    Dropout {
        rate: f64,
        /// The stream of its masks.
        stream: u32,
    },
    /// Inverted dropout of whole channels of a \[C, H, W\] value.
    Dropout2d {
        rate: f64,
        /// The stream of its masks.
        stream: u32,
    },
}

/// How the covariance of an [`Op::GaussianLinear`] is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Covariance {
    /// By the eigenvectors of its two Kronecker factors.
    #[default]
    Kronecker,
    /// By a square root of the whole matrix.
    Full,
}

impl Covariance {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
    pub(super) fn is_kronecker(&self) -> bool {
        *self == Self::Kronecker
    }
}

/// How an image between pixels is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// PyTorch's `nearest`: the pixel at ⌊place · input / output⌋.
    Nearest,
    /// Linear in both directions.
    Bilinear,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_yes(value: &bool) -> bool {
    *value
}

fn one() -> usize {
    1
}

pub(super) fn ones() -> [usize; 2] {
    [1, 1]
}

fn unit() -> f64 {
    1.0
}

impl Op {
    /// What the operation is called in `model.json`.
    pub fn label(&self) -> String {
        let key = |key: &str| serde_json::to_value(self).ok().and_then(|value| value.get(key)?.as_str().map(str::to_owned));
        key("function").or_else(|| key("op")).unwrap_or_default()
    }

    /// The mask stream and the rate of a dropout.
    pub fn dropout(&self) -> Option<(u32, f64)> {
        match *self {
            Self::Dropout { rate, stream } | Self::Dropout2d { rate, stream } => Some((stream, rate)),
            _ => None,
        }
    }

    /// The stream of random numbers, of an operation that draws.
    pub fn stream(&self) -> Option<u32> {
        match self {
            Self::GaussianLinear { stream, .. } => Some(*stream),
            _ => self.dropout().map(|(stream, _)| stream),
        }
    }

    /// Whether two draws of it can differ: a Gaussian linear layer, or dropout at a rate above 0.
    pub fn draws(&self) -> bool {
        self.stream().is_some() && self.dropout().is_none_or(|(_, rate)| rate > 0.0)
    }

    /// The weights of a batch normalisation that training estimates rather than differentiates: mean and variance.
    pub const RUNNING: [&str; 2] = ["running_mean", "running_var"];

    /// Whether a weight of this name is a running statistic.
    pub fn is_statistic(weight: &str) -> bool {
        Self::RUNNING.iter().any(|part| weight.strip_suffix(part).is_some_and(|node| node.ends_with('.')))
    }

    /// The shape of the output.
    ///
    /// # Errors
    /// When the operation cannot take inputs of these shapes or its constants make no sense: what it expects, as the end of a sentence.
    pub fn output_shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        let output = match (self, inputs) {
            (Self::Add {} | Self::Multiply {}, _) => combined(inputs)?,
            (Self::Concatenate {}, _) => concatenated(inputs)?,
            (_, [input]) => self.of_one(input)?,
            _ => return Err(format!("expects one input but has {}", inputs.len())),
        };
        if is_possible(&output) { Ok(output) } else { Err(format!("makes the impossible shape {output:?} of {inputs:?}")) }
    }

    fn of_one(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let wrong = |expected: &str| Err(format!("expects {expected} but is given {input:?}"));
        match self {
            Self::Linear { inputs, outputs, .. } | Self::GaussianLinear { inputs, outputs, .. } => match input {
                [length] if length == inputs => Ok(vec![*outputs]),
                _ => wrong(&format!("a vector of {inputs}")),
            },
            &Self::Conv2d { in_channels, out_channels, kernel, stride, padding, dilation, groups, .. } => {
                check_groups(groups, in_channels, out_channels)?;
                let [_, h, w] = of_channels(input, in_channels)?;
                Windows { kernel, stride, padding, dilation }.over(out_channels, [h, w], false)
            }
            &Self::ConvTranspose2d { in_channels, out_channels, kernel, stride, padding, output_padding, dilation, groups, .. } => {
                check_groups(groups, in_channels, out_channels)?;
                let [_, h, w] = of_channels(input, in_channels)?;
                transposed(out_channels, [h, w], &Windows { kernel, stride, padding, dilation }, output_padding)
            }
            &Self::MaxPool2d { kernel, stride, padding, ceil_mode } | &Self::AveragePool2d { kernel, stride, padding, ceil_mode, .. } => {
                let [channels, h, w] = of_image(input)?;
                if (0..2).any(|axis| padding[axis] > kernel[axis] / 2) {
                    return Err(format!("has the padding {padding:?}, which is more than half of its kernel {kernel:?}"));
                }
                Windows { kernel, stride, padding, dilation: ones() }.over(channels, [h, w], ceil_mode)
            }
            Self::GlobalAveragePool {} => of_image(input).map(|[channels, _, _]| vec![channels, 1, 1]),
            Self::Flatten {} => Ok(vec![input.iter().product()]),
            Self::Reshape { shape } if elements(shape) == elements(input) => Ok(shape.clone()),
            Self::Reshape { shape } => wrong(&format!("as many elements as {shape:?} has")),
            &Self::ZeroPad { padding: [left, right, top, bottom] } => {
                let [channels, h, w] = of_image(input)?;
                Ok(vec![channels, h.saturating_add(top).saturating_add(bottom), w.saturating_add(left).saturating_add(right)])
            }
            Self::Upsample { size, .. } => of_image(input).map(|[channels, _, _]| vec![channels, size[0], size[1]]),
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
                if let Some(std) = std.iter().find(|std| !(f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX)).contains(*std)) {
                    return Err(format!("has the standard deviation {std:?}, which is no positive number of single precision"));
                }
                mean.iter()
                    .zip(std)
                    .try_for_each(|(mean, std)| check_constant("mean", *mean).and(check_constant("mean / std", mean / std)))?;
                check_channels(input, mean.len())
            }
            Self::Scale { factor, offset } => {
                check_constant("factor", *factor).and(check_constant("offset", *offset)).map(|()| input.to_vec())
            }
            Self::Dropout { rate, .. } | Self::Dropout2d { rate, .. } if !(0.0..1.0).contains(rate) => {
                Err(format!("has the rate {rate}, which is not in 0 ≤ rate < 1"))
            }
            Self::Dropout { .. } => Ok(input.to_vec()),
            Self::Dropout2d { .. } => of_image(input).map(|image| image.to_vec()),
            Self::Softmax {} | Self::LogSoftmax {} => match input {
                [_] | [_, _, _] => Ok(input.to_vec()),
                _ => wrong("a vector or an image"),
            },
            Self::Apply(function) => function.check().map(|()| input.to_vec()),
            Self::Add {} | Self::Multiply {} | Self::Concatenate {} => unreachable!("these have several inputs"),
        }
    }

    /// The names and shapes of its weights, in a node of that name.
    pub fn weights(&self, node: &str) -> Vec<(String, Vec<usize>)> {
        let with_bias = |weight: Vec<usize>, outputs: usize, bias: bool| {
            let mut parts = vec![("weight", weight)];
            parts.extend(bias.then(|| ("bias", vec![outputs])));
            parts
        };
        let parts = match self {
            Self::Linear { inputs, outputs, bias } => with_bias(vec![*outputs, *inputs], *outputs, *bias),
            Self::GaussianLinear { inputs, outputs, covariance, .. } => {
                let width = inputs.saturating_add(1);
                let mut parts = with_bias(vec![*outputs, *inputs], *outputs, true);
                match covariance {
                    Covariance::Kronecker => parts.extend([
                        ("basis_in", vec![width, width]),
                        ("basis_out", vec![*outputs, *outputs]),
                        ("deviation", vec![*outputs, width]),
                    ]),
                    Covariance::Full => parts.push(("factor", vec![outputs.saturating_mul(width); 2])),
                }
                parts
            }
            Self::Conv2d { in_channels, out_channels, kernel: [h, w], groups, bias, .. } => {
                with_bias(vec![*out_channels, in_channels / (*groups).max(1), *h, *w], *out_channels, *bias)
            }
            Self::ConvTranspose2d { in_channels, out_channels, kernel: [h, w], groups, bias, .. } => {
                with_bias(vec![*in_channels, out_channels / (*groups).max(1), *h, *w], *out_channels, *bias)
            }
            Self::BatchNorm { channels, .. } => {
                ["weight", "bias", Self::RUNNING[0], Self::RUNNING[1]].map(|part| (part, vec![*channels])).to_vec()
            }
            Self::GroupNorm { channels, .. } => ["weight", "bias"].map(|part| (part, vec![*channels])).to_vec(),
            Self::LayerNorm { shape, .. } => ["weight", "bias"].map(|part| (part, shape.clone())).to_vec(),
            _ => Vec::new(),
        };
        parts.into_iter().map(|(part, shape)| (format!("{node}.{part}"), shape)).collect()
    }
}
