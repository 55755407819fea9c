//! Architectures of the field as graphs.

use super::graph::{INPUT, Node};
use super::{Function, Graph, Op, VaeGraphs, VaePart};
use crate::error::{Error, Result};

const RELU: Op = Op::Apply(Function::Relu {});
const RELU6: Op = Op::Apply(Function::Clip { low: 0.0, high: 6.0 });

/// Builds a graph node by node. A node takes the output of the node before it unless its inputs are given.
#[derive(Debug, Default)]
pub struct Builder {
    nodes: Vec<Node>,
    streams: u32,
}

impl Builder {
    /// Appends a node that takes the one before it, and gives its name.
    pub fn then(&mut self, name: &str, op: Op) -> String {
        self.of(name, &[], op)
    }

    /// Appends a node that takes these, and gives its name.
    pub fn of(&mut self, name: &str, inputs: &[&str], op: Op) -> String {
        self.nodes.push(Node { name: name.to_owned(), inputs: inputs.iter().map(|&input| input.to_owned()).collect(), op });
        name.to_owned()
    }

    /// Appends dropout with a mask stream of its own; nothing at rate 0.
    pub fn dropout(&mut self, name: &str, rate: f64, of_channels: bool) {
        if rate > 0.0 {
            let stream = self.streams;
            self.streams += 1;
            self.then(name, if of_channels { Op::Dropout2d { rate, stream } } else { Op::Dropout { rate, stream } });
        }
    }

    /// The name of the last node; that of the input before there is one.
    pub fn last(&self) -> String {
        self.nodes.last().map_or_else(|| INPUT.to_owned(), |node| node.name.clone())
    }

    /// The graph.
    ///
    /// # Errors
    /// As [`Graph::new`].
    pub fn graph(self, input_shape: &[usize]) -> Result<Graph> {
        Graph::new(input_shape, self.nodes)
    }

    /// A convolution without bias that keeps the size at stride 1, of an odd kernel, and its batch normalisation.
    fn convolution(&mut self, name: &str, inputs: &[&str], channels: [usize; 2], kernel: usize, stride: usize, groups: usize) -> String {
        self.of(name, inputs, convolution(channels, kernel, stride, groups));
        self.then(&format!("{name}.bn"), Op::BatchNorm { channels: channels[1], epsilon: 1e-5 })
    }
}

fn convolution([in_channels, out_channels]: [usize; 2], kernel: usize, stride: usize, groups: usize) -> Op {
    let padding = [kernel / 2; 2];
    let (kernel, stride, dilation) = ([kernel; 2], [stride; 2], [1, 1]);
    Op::Conv2d { in_channels, out_channels, kernel, stride, padding, dilation, groups, bias: false }
}

/// Linear layers of these widths with ReLU, and a last one. `rates` are the dropout rates of the pixels and after every hidden layer.
///
/// # Errors
/// When a number makes no sense.
pub fn mlp(input_shape: [usize; 3], classes: usize, widths: &[usize], rates: [f64; 2]) -> Result<Graph> {
    let mut builder = Builder::default();
    builder.then("flatten", Op::Flatten {});
    builder.dropout("dropout0", rates[0], false);
    let mut inputs = input_shape.iter().product();
    for (number, &outputs) in (1..).zip(widths) {
        builder.then(&format!("fc{number}"), Op::Linear { inputs, outputs, bias: true });
        builder.then(&format!("relu{number}"), RELU);
        builder.dropout(&format!("dropout{number}"), rates[1], false);
        inputs = outputs;
    }
    builder.then(&format!("fc{}", widths.len() + 1), Op::Linear { inputs, outputs: classes, bias: true });
    builder.graph(&input_shape)
}

/// A residual network of basic blocks (He et al. 2016): a 3×3 convolution, stages of `blocks` blocks with these channels, each but the
/// first halving the image, global average pool, dropout, a linear layer. `rates` are the dropout rates after every block (of channels)
/// and before the linear layer.
///
/// # Errors
/// When an image becomes too small or a number makes no sense.
pub fn resnet(input_shape: [usize; 3], classes: usize, stages: &[usize], blocks: usize, rates: [f64; 2]) -> Result<Graph> {
    let mut builder = Builder::default();
    let mut channels = stages.first().copied().unwrap_or(1);
    builder.convolution("conv1", &[INPUT], [input_shape[0], channels], 3, 1, 1);
    let mut last = builder.then("relu1", RELU);
    for (stage, &width) in stages.iter().enumerate() {
        for block in 0..blocks {
            let name = |part: &str| format!("layer{}.{block}.{part}", stage + 1);
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            builder.convolution(&name("conv1"), &[&last], [channels, width], 3, stride, 1);
            builder.then(&name("relu1"), RELU);
            let straight = builder.convolution(&name("conv2"), &[], [width, width], 3, 1, 1);
            let side = if stride > 1 || channels != width {
                builder.convolution(&name("shortcut"), &[&last], [channels, width], 1, stride, 1)
            } else {
                last
            };
            builder.of(&name("add"), &[&straight, &side], Op::Add {});
            builder.then(&name("relu2"), RELU);
            builder.dropout(&name("dropout"), rates[0], true);
            (last, channels) = (builder.last(), width);
        }
    }
    builder.then("pool", Op::GlobalAveragePool {});
    builder.then("flatten", Op::Flatten {});
    builder.dropout("dropout", rates[1], false);
    builder.then("fc", Op::Linear { inputs: channels, outputs: classes, bias: true });
    builder.graph(&input_shape)
}

/// One stage of a network of inverted residuals.
#[derive(Clone, Copy, Debug)]
pub struct InvertedResidual {
    /// The channels that it makes.
    pub channels: usize,
    /// 2 halves the image.
    pub stride: usize,
}

/// A network of inverted residuals (Sandler et al. 2018): a 3×3 convolution of stride 2, blocks of a 1×1 expansion by `expansion`, a
/// depthwise 3×3 convolution and a 1×1 projection, each with batch normalisation, with `ReLU6`, or with hard swish and a squeeze-and-excitation
/// gate (Howard et al. 2019); a 1×1 convolution to `features`, global average pool, dropout, a linear layer.
///
/// # Errors
/// As [`resnet`].
pub fn mobile_net(
    input_shape: [usize; 3],
    classes: usize,
    stem: usize,
    blocks: &[InvertedResidual],
    (expansion, features): (usize, usize),
    gated: bool,
    rate: f64,
) -> Result<Graph> {
    let mut builder = Builder::default();
    let activation = if gated { Op::Apply(Function::HardSwish {}) } else { RELU6 };
    builder.convolution("stem", &[INPUT], [input_shape[0], stem], 3, 2, 1);
    let mut last = builder.then("stem.act", activation.clone());
    let mut channels = stem;
    for (number, &InvertedResidual { channels: width, stride }) in blocks.iter().enumerate() {
        let name = |part: &str| format!("block{number}.{part}");
        let hidden = expansion * channels;
        builder.convolution(&name("expand"), &[&last], [channels, hidden], 1, 1, 1);
        builder.then(&name("act1"), activation.clone());
        builder.convolution(&name("depthwise"), &[], [hidden, hidden], 3, stride, hidden);
        let open = builder.then(&name("act2"), activation.clone());
        if gated {
            let narrow = (hidden / 4).max(1);
            builder.then(&name("squeeze"), Op::GlobalAveragePool {});
            builder.then(&name("reduce"), convolution([hidden, narrow], 1, 1, 1));
            builder.then(&name("reduce.act"), RELU);
            builder.then(&name("excite"), convolution([narrow, hidden], 1, 1, 1));
            let gate = builder.then(&name("gate"), Op::Apply(Function::HardSigmoid {}));
            builder.of(&name("gated"), &[&open, &gate], Op::Multiply {});
        }
        let straight = builder.convolution(&name("project"), &[], [hidden, width], 1, 1, 1);
        if stride == 1 && channels == width {
            builder.of(&name("add"), &[&straight, &last], Op::Add {});
        }
        (last, channels) = (builder.last(), width);
    }
    builder.convolution("head", &[&last], [channels, features], 1, 1, 1);
    builder.then("head.act", activation);
    builder.then("pool", Op::GlobalAveragePool {});
    builder.then("flatten", Op::Flatten {});
    builder.dropout("dropout", rate, false);
    builder.then("fc", Op::Linear { inputs: features, outputs: classes, bias: true });
    builder.graph(&input_shape)
}

/// A convolutional VAE: 4×4 convolutions of stride 2 with ReLU through `widths`, linear heads for the moments of `latent` numbers, and
/// [`convolutional_decoder`].
///
/// # Errors
/// As [`convolutional_decoder`].
pub fn convolutional_vae(image_shape: [usize; 3], widths: &[usize], latent: usize) -> Result<VaeGraphs> {
    check_halvings(image_shape, widths)?;
    VaeGraphs::new(image_shape, |part, shape| match part {
        VaePart::Encoder => {
            let mut builder = Builder::default();
            let mut in_channels = image_shape[0];
            for (number, &out_channels) in widths.iter().enumerate() {
                let (kernel, stride, padding, dilation) = ([4, 4], [2, 2], [1, 1], [1, 1]);
                let op = Op::Conv2d { in_channels, out_channels, kernel, stride, padding, dilation, groups: 1, bias: true };
                builder.then(&format!("down{number}"), op);
                builder.then(&format!("down{number}.relu"), RELU);
                in_channels = out_channels;
            }
            builder.then("features", Op::Flatten {});
            builder.graph(shape)
        }
        VaePart::Mean | VaePart::LogVariance => {
            let mut builder = Builder::default();
            let name = if part == VaePart::Mean { "mean" } else { "log_variance" };
            builder.then(name, Op::Linear { inputs: shape[0], outputs: latent, bias: true });
            builder.graph(shape)
        }
        VaePart::Decoder => convolutional_decoder(image_shape, widths, latent),
    })
}

/// How often both sides of an image can be halved without a remainder.
pub fn halvings([_, height, width]: [usize; 3]) -> usize {
    height.trailing_zeros().min(width.trailing_zeros()) as usize
}

/// Refuses widths that halve an image more often than it can be halved.
fn check_halvings(image_shape: [usize; 3], widths: &[usize]) -> Result<()> {
    let (most, count, [_, height, width]) = (halvings(image_shape), widths.len(), image_shape);
    if (1..=most).contains(&count) {
        return Ok(());
    }
    let mend = if most == 0 { "use linear layers, or resize the images".to_owned() } else { format!("give 1 to {most} widths") };
    Err(Error::Network(format!(
        "a convolutional VAE halves images once for each of its {count} widths, but {height} × {width} pixels can be halved {most} times: {mend}"
    )))
}

/// The decoder of a convolutional VAE: a linear layer from `latent` numbers to the last of `widths` channels, then transposed 4×4
/// convolutions of stride 2 with ReLU back through `widths` to the image, and a sigmoid.
///
/// # Errors
/// When the image is not 2ⁿ times as large as its smallest form for the n `widths`.
pub fn convolutional_decoder(image_shape: [usize; 3], widths: &[usize], latent: usize) -> Result<Graph> {
    check_halvings(image_shape, widths)?;
    let mut builder = Builder::default();
    let small = [1, 2].map(|axis| image_shape[axis] >> widths.len());
    let mut channels = widths.last().copied().unwrap_or(1);
    builder.then("grow", Op::Linear { inputs: latent, outputs: channels * small[0] * small[1], bias: true });
    builder.then("grow.relu", RELU);
    builder.then("image", Op::Reshape { shape: vec![channels, small[0], small[1]] });
    for (number, &out_channels) in widths.iter().rev().skip(1).chain([&image_shape[0]]).enumerate() {
        let (kernel, stride, padding, none) = ([4, 4], [2, 2], [1, 1], [0, 0]);
        let (in_channels, dilation, output_padding) = (channels, [1, 1], none);
        let op =
            Op::ConvTranspose2d { in_channels, out_channels, kernel, stride, padding, output_padding, dilation, groups: 1, bias: true };
        builder.then(&format!("up{number}"), op);
        if number + 1 < widths.len() {
            builder.then(&format!("up{number}.relu"), RELU);
        }
        channels = out_channels;
    }
    builder.then("sigmoid", Op::Apply(Function::Sigmoid {}));
    builder.graph(&[latent])
}
