//! One layer: what it is, which weights it names, and what it makes of a shape.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// A kind of layer with its constants. Its weights stand in the [`Network`](super::Network) under `NAME.weight` and so on,
/// in PyTorch's layout. The interpreters (`engine`, `autodiff`) match on it exhaustively, so that a new kind is a list
/// of compiler errors. Shapes are those of one image, without the batch axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Layer {
    /// y = W x + b on the last axis of a vector; `NAME.weight` \[outputs, inputs\], `NAME.bias` \[outputs\].
    Linear { name: String, inputs: usize, outputs: usize },
    /// A linear layer with a Gaussian over its weights, as a Laplace approximation makes it (Ritter et al. 2018; Daxberger et
    /// al. 2021). With the bias as the last column of W, a draw is, for E of standard normal numbers, W + `B_out` (S ∘ E) `B_in`ᵀ
    /// where the covariance has Kronecker factors, and W + F E, row by row, where it is full; where nothing is drawn, it is W, the mean.
    /// `NAME.weight` and `NAME.bias` as of a linear layer; `NAME.basis_in` \[inputs + 1, inputs + 1\], `NAME.basis_out`
    /// \[outputs, outputs\] and `NAME.deviation` \[outputs, inputs + 1\], which is S; or `NAME.factor` \[n, n\] with
    /// n = outputs · (inputs + 1), which is F. Programs before `covariance` refuse a full one by that name.
    GaussianLinear {
        name: String,
        inputs: usize,
        outputs: usize,
        #[serde(default, skip_serializing_if = "Covariance::is_kronecker")]
        covariance: Covariance,
    },
    /// Cross-correlation with zero padding, as PyTorch's `Conv2d`; `NAME.weight` \[out, in, kh, kw\], `NAME.bias` \[out\].
    Conv2d {
        name: String,
        in_channels: usize,
        out_channels: usize,
        kernel: [usize; 2],
        #[serde(default = "one_by_one")]
        stride: [usize; 2],
        #[serde(default)]
        padding: [usize; 2],
    },
    /// The maximum over windows; rows and columns that do not fill a window are left out (PyTorch's floor mode).
    MaxPool2d { kernel: [usize; 2], stride: [usize; 2] },
    /// The mean over windows, floor mode.
    AveragePool2d { kernel: [usize; 2], stride: [usize; 2] },
    /// Any shape into a vector, row-major.
    Flatten,
    /// Any shape into another of as many elements, row-major.
    Reshape { shape: Vec<usize> },
    /// max(x, 0).
    Relu,
    /// x for x > 0, else exp(x) − 1.
    Elu,
    /// tanh(x).
    Tanh,
    /// 1 / (1 + exp(−x)).
    Sigmoid,
    /// ln(1 + exp(x)).
    Softplus,
    /// Inverted dropout of single elements: dropped with probability `rate`, the kept ones scaled by 1 / (1 − rate).
    Dropout { rate: f64 },
    /// Inverted dropout of whole channels of a \[C, H, W\] activation.
    Dropout2d { rate: f64 },
    /// Batch normalisation at inference, per channel of \[C, H, W\] or per element of a vector:
    /// (x − `running_mean`) / √(`running_var` + epsilon) · weight + bias, each \[channels\].
    BatchNorm { name: String, channels: usize, epsilon: f64 },
}

/// How the covariance of a [`Layer::GaussianLinear`] is stored.
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
    fn is_kronecker(&self) -> bool {
        *self == Self::Kronecker
    }
}

fn one_by_one() -> [usize; 2] {
    [1, 1]
}

/// No activation of one image may have more elements than this: a larger one is a damaged file, not a network.
const MOST_ELEMENTS: usize = 1 << 28;

impl Layer {
    /// The layer's kind as it stands in `model.json`, with its name if it has weights: for messages.
    pub fn label(&self) -> String {
        let (kind, name) = match self {
            Self::Linear { name, .. } => ("linear", Some(name)),
            Self::GaussianLinear { name, .. } => ("gaussian_linear", Some(name)),
            Self::Conv2d { name, .. } => ("conv2d", Some(name)),
            Self::BatchNorm { name, .. } => ("batch_norm", Some(name)),
            Self::MaxPool2d { .. } => ("max_pool2d", None),
            Self::AveragePool2d { .. } => ("average_pool2d", None),
            Self::Flatten => ("flatten", None),
            Self::Reshape { .. } => ("reshape", None),
            Self::Relu => ("relu", None),
            Self::Elu => ("elu", None),
            Self::Tanh => ("tanh", None),
            Self::Sigmoid => ("sigmoid", None),
            Self::Softplus => ("softplus", None),
            Self::Dropout { .. } => ("dropout", None),
            Self::Dropout2d { .. } => ("dropout2d", None),
        };
        name.map_or_else(|| kind.to_owned(), |name| format!("{kind} '{name}'"))
    }

    /// Whether the layer draws a dropout mask.
    pub fn is_dropout(&self) -> bool {
        matches!(self, Self::Dropout { .. } | Self::Dropout2d { .. })
    }

    /// Whether the layer's output differs from draw to draw.
    pub fn is_stochastic(&self) -> bool {
        self.is_dropout() || matches!(self, Self::GaussianLinear { .. })
    }

    /// The names and shapes of the layer's weights.
    pub fn weights(&self) -> Vec<(String, Vec<usize>)> {
        match self {
            Self::Linear { name, inputs, outputs } => {
                vec![(format!("{name}.weight"), vec![*outputs, *inputs]), (format!("{name}.bias"), vec![*outputs])]
            }
            Self::GaussianLinear { name, inputs, outputs, covariance } => {
                let with_bias = inputs.saturating_add(1);
                let mut weights = vec![(format!("{name}.weight"), vec![*outputs, *inputs]), (format!("{name}.bias"), vec![*outputs])];
                match covariance {
                    Covariance::Kronecker => weights.extend([
                        (format!("{name}.basis_in"), vec![with_bias, with_bias]),
                        (format!("{name}.basis_out"), vec![*outputs, *outputs]),
                        (format!("{name}.deviation"), vec![*outputs, with_bias]),
                    ]),
                    Covariance::Full => {
                        let all = outputs.saturating_mul(with_bias);
                        weights.push((format!("{name}.factor"), vec![all, all]));
                    }
                }
                weights
            }
            Self::Conv2d { name, in_channels, out_channels, kernel, .. } => vec![
                (format!("{name}.weight"), vec![*out_channels, *in_channels, kernel[0], kernel[1]]),
                (format!("{name}.bias"), vec![*out_channels]),
            ],
            Self::BatchNorm { name, channels, .. } => {
                ["weight", "bias", "running_mean", "running_var"].iter().map(|part| (format!("{name}.{part}"), vec![*channels])).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The shape that the layer makes of an input shape.
    ///
    /// # Errors
    /// When the layer cannot take that shape or its constants make no sense; says what was expected and what stood there.
    pub fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        let wrong = |expected: String| Error::Network(format!("layer {} expects {expected} but is given {input:?}", self.label()));
        let output = match self {
            Self::Linear { inputs, outputs, .. } | Self::GaussianLinear { inputs, outputs, .. } => match input {
                [length] if length == inputs => vec![*outputs],
                _ => return Err(wrong(format!("a vector of {inputs}"))),
            },
            Self::Conv2d { in_channels, out_channels, kernel, stride, padding, .. } => match input {
                [c, h, w] if c == in_channels => {
                    let mut shape = vec![*out_channels];
                    shape.extend(self.windows([*h, *w], *kernel, *stride, *padding)?);
                    shape
                }
                _ => return Err(wrong(format!("an image of {in_channels} channels"))),
            },
            Self::MaxPool2d { kernel, stride } | Self::AveragePool2d { kernel, stride } => match input {
                [c, h, w] => {
                    let mut shape = vec![*c];
                    shape.extend(self.windows([*h, *w], *kernel, *stride, [0, 0])?);
                    shape
                }
                _ => return Err(wrong("an image [channels, height, width]".to_owned())),
            },
            Self::Flatten => vec![input.iter().product()],
            Self::Reshape { shape } => {
                if elements(shape) != elements(input) {
                    return Err(wrong(format!("as many elements as {shape:?} has")));
                }
                shape.clone()
            }
            Self::Relu | Self::Elu | Self::Tanh | Self::Sigmoid | Self::Softplus => input.to_vec(),
            Self::Dropout { rate } | Self::Dropout2d { rate } => {
                if !(0.0..1.0).contains(rate) {
                    return Err(Error::Network(format!("layer {} has the rate {rate}, which is not in 0 ≤ rate < 1", self.label())));
                }
                if matches!(self, Self::Dropout2d { .. }) && input.len() != 3 {
                    return Err(wrong("an image [channels, height, width]".to_owned()));
                }
                input.to_vec()
            }
            Self::BatchNorm { channels, epsilon, .. } => {
                if !(*epsilon >= 0.0 && epsilon.is_finite()) {
                    return Err(Error::Network(format!("layer {} has the epsilon {epsilon}, which is not a number ≥ 0", self.label())));
                }
                match input {
                    [c] | [c, _, _] if c == channels => input.to_vec(),
                    _ => return Err(wrong(format!("{channels} channels"))),
                }
            }
        };
        match elements(&output) {
            Some(1..=MOST_ELEMENTS) => Ok(output),
            _ => Err(Error::Network(format!("layer {} makes the impossible shape {output:?} of {input:?}", self.label()))),
        }
    }

    fn windows(&self, image: [usize; 2], kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2]) -> Result<[usize; 2]> {
        let mut output = [0; 2];
        for axis in 0..2 {
            let padded = padding[axis].checked_mul(2).and_then(|both| both.checked_add(image[axis]));
            output[axis] = match padded {
                Some(padded) if (1..=padded).contains(&kernel[axis]) && stride[axis] > 0 && padding[axis] < kernel[axis] => {
                    (padded - kernel[axis]) / stride[axis] + 1
                }
                _ => {
                    return Err(Error::Network(format!(
                        "layer {} has a kernel of {kernel:?}, a stride of {stride:?} and a padding of {padding:?}, which do not fit an image of {image:?}",
                        self.label()
                    )));
                }
            };
        }
        Ok(output)
    }
}

/// The number of elements of a shape, `None` where it overflows.
pub(super) fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, &axis| product.checked_mul(axis))
}
