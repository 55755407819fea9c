//! Lowering: from a graph to the few instructions that backends run. Batch normalisation is folded into the product before it, functions
//! and pools of maxima are fused with it, reshaping vanishes, and instructions are sorted into trunk and head.

mod plane;
mod product;
mod program;
mod rewrite;

pub use plane::{Plane, PlaneMap, Taps};
pub use product::{Phase, Product};
pub use program::{Instruction, Kind, Program, Value};

use super::{Ending, Function, Gaussian, Network, Node, Op};
use product::{Convolution, Transposed};

/// Lowers a network. With an `ending`, the output becomes logits up to a constant that all classes share: a softmax at the end vanishes,
/// other probabilities go through their logarithm; that of 0 is a large negative number.
pub fn lower(network: &Network, ending: Ending) -> Program {
    let graph = network.graph();
    let mut lowering = Lowering { network, instructions: Vec::new(), lengths: vec![graph.input_shape().iter().product()], values: vec![0] };
    for (index, node) in graph.nodes().iter().enumerate() {
        let inputs: Vec<usize> = graph.sources(index).iter().map(|&value| lowering.values[value]).collect();
        let output = lowering.node(index, node, inputs);
        lowering.values.push(output);
    }
    let output = lowering.values[graph.nodes().len()];
    let Lowering { instructions, lengths, .. } = lowering;
    let mut draft = rewrite::Draft { instructions, lengths, output };
    draft.end_in_logits(ending);
    draft.fuse();
    draft.program(graph.input_shape(), graph.output_shape())
}

struct Lowering<'a> {
    network: &'a Network,
    instructions: Vec<Instruction>,
    /// The length of each value of the program.
    lengths: Vec<usize>,
    /// The program's value for each value of the graph.
    values: Vec<usize>,
}

impl Lowering<'_> {
    fn shape(&self, value: usize) -> &[usize] {
        self.network.graph().shape(value)
    }

    /// A weight, or zeros where the node has none of that name.
    fn weight(&self, node: &Node, part: &str, length: usize) -> Vec<f64> {
        self.network.weights().get(&format!("{}.{part}", node.name)).map_or_else(|| vec![0.0; length], |tensor| tensor.values.clone())
    }

    /// Appends an instruction, and gives the number of its value.
    fn push(&mut self, node: &Node, kind: Kind, inputs: Vec<usize>, length: usize) -> usize {
        let output = self.lengths.len();
        self.lengths.push(length);
        self.instructions.push(Instruction { node: node.name.clone(), kind, inputs, output, then: Vec::new(), pool: None });
        output
    }

    /// Appends a function of a value.
    fn apply(&mut self, node: &Node, function: Function, input: usize) -> usize {
        let output = self.push(node, Kind::Identity, vec![input], self.lengths[input]);
        if let Some(instruction) = self.instructions.last_mut() {
            instruction.then.push(function);
        }
        output
    }

    /// Appends the padding of an image \[channels, height, width\], [before, after] along each axis, where there is any.
    fn pad(&mut self, node: &Node, input: usize, [channels, h, w]: [usize; 3], [rows, columns]: [[usize; 2]; 2]) -> usize {
        let to = [h + rows[0] + rows[1], w + columns[0] + columns[1]];
        if to == [h, w] {
            return input;
        }
        let plane = Plane { from: [h, w], to, map: PlaneMap::Pad { at: [rows[0], columns[0]] } };
        self.push(node, Kind::Plane(plane), vec![input], channels * to[0] * to[1])
    }

    /// The instructions of a node, and the value that it comes to.
    fn node(&mut self, index: usize, node: &Node, inputs: Vec<usize>) -> usize {
        let input = inputs[0];
        let shape = self.shape(self.network.graph().sources(index)[0]).to_vec();
        let output_shape = self.shape(index + 1).to_vec();
        let length = output_shape.iter().product();
        let plane_size: usize = shape[1..].iter().product();
        let kind = match &node.op {
            Op::Flatten {} | Op::Reshape { .. } => return input,
            &Op::Dropout { rate, .. } | &Op::Dropout2d { rate, .. } if rate == 0.0 => return input,
            &Op::Dropout { rate, stream } => Kind::Mask { stream, rate, size: 1 },
            &Op::Dropout2d { rate, stream } => Kind::Mask { stream, rate, size: plane_size },
            &Op::Linear { inputs: width, outputs, .. } => {
                let (weight, bias) = (self.weight(node, "weight", 0), self.weight(node, "bias", outputs));
                Kind::Product(Product::linear(width, outputs, &weight, bias))
            }
            Op::GaussianLinear { .. } => match Gaussian::of(self.network, index) {
                Some(gaussian) => Kind::Gaussian(gaussian),
                None => unreachable!("the node is Gaussian"),
            },
            &Op::Conv2d { kernel, stride, padding, dilation, groups, out_channels, .. } => {
                let padded = self.pad(node, input, image(&shape), [[padding[0]; 2], [padding[1]; 2]]);
                let (weight, bias) = (self.weight(node, "weight", 0), self.weight(node, "bias", out_channels));
                let input = [shape[0], shape[1] + 2 * padding[0], shape[2] + 2 * padding[1]];
                let convolution =
                    Convolution { input, output: image(&output_shape), groups, kernel, stride, dilation, weight: &weight, bias };
                return self.push(node, Kind::Product(convolution.product()), vec![padded], length);
            }
            &Op::ConvTranspose2d { kernel, stride, padding, dilation, groups, out_channels, .. } => {
                let (weight, bias) = (self.weight(node, "weight", 0), self.weight(node, "bias", out_channels));
                let (input_shape, output) = (image(&shape), image(&output_shape));
                let transposed =
                    Transposed { input: input_shape, output, groups, kernel, stride, padding, dilation, weight: &weight, bias };
                let (margins, product) = transposed.product();
                let padded = self.pad(node, input, input_shape, margins);
                return self.push(node, Kind::Product(product), vec![padded], length);
            }
            Op::ZeroPad { padding: [left, right, top, bottom] } => {
                return self.pad(node, input, image(&shape), [[*top, *bottom], [*left, *right]]);
            }
            Op::MaxPool2d { .. } | Op::AveragePool2d { .. } | Op::GlobalAveragePool {} | Op::Upsample { .. } => {
                match Plane::of(&node.op, &shape, &output_shape) {
                    Some(plane) => Kind::Plane(plane),
                    None => unreachable!("each of these is a map of channels"),
                }
            }
            Op::Apply(function) => return self.apply(node, *function, input),
            Op::Softmax {} => Kind::Softmax { size: plane_size, log: false },
            Op::LogSoftmax {} => Kind::Softmax { size: plane_size, log: true },
            Op::Add {} => Kind::Add,
            Op::Multiply {} => Kind::Multiply,
            &Op::Scale { factor, offset } => Kind::Affine { scale: vec![factor], offset: vec![offset] },
            Op::Concatenate {} => Kind::Concatenate,
            &Op::BatchNorm { channels, epsilon } => {
                let [weight, bias, mean, variance] =
                    ["weight", "bias", "running_mean", "running_var"].map(|part| self.weight(node, part, channels));
                let scale: Vec<f64> = weight.iter().zip(&variance).map(|(w, v)| w / (v + epsilon).sqrt()).collect();
                let offset = bias.iter().zip(&mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
                Kind::Affine { scale, offset }
            }
            Op::Normalise { mean, std } => {
                let scale = std.iter().map(|std| 1.0 / std).collect();
                Kind::Affine { scale, offset: mean.iter().zip(std).map(|(mean, std)| -mean / std).collect() }
            }
            &Op::GroupNorm { groups, channels, epsilon } => {
                let [scale, offset] = ["weight", "bias"].map(|part| self.weight(node, part, channels));
                Kind::Normalise { groups, epsilon, scale, offset }
            }
            &Op::LayerNorm { epsilon, .. } => {
                let [scale, offset] = ["weight", "bias"].map(|part| self.weight(node, part, length));
                Kind::Normalise { groups: 1, epsilon, scale, offset }
            }
        };
        self.push(node, kind, inputs, length)
    }
}

/// A shape that the graph has found to be [channels, height, width].
fn image(shape: &[usize]) -> [usize; 3] {
    [shape[0], shape[1], shape[2]]
}
