//! Random graphs of every operation, for trials of what computes.

use super::graph::{INPUT, Node};
use super::{Covariance, FUNCTIONS, Function, Graph, Interpolation, Op};
use crate::error::{Error, Result};
use crate::random::{Purpose, Stream};

/// The number of operations: a random graph of as many nodes or more has each that it may have.
pub const OPERATIONS: usize = 24;

/// A value that an operation enlarges has at most so many elements before.
const MOST_ENLARGED: usize = 300;
/// The longest vector that weights are drawn for: a square root of a wider layer's covariance would be large.
const MOST_GAUSSIAN: usize = 7;

/// A valid graph with `nodes` operations in random order, of random constants, on random values before them, and `outputs` elements at its end;
/// determined by the seed. What an operation needs comes on top: a vector is reshaped into an image, the operand of a logarithm is made positive, and
/// all ends are joined by a linear layer. Values stay of the size of the input's, if these are about 1. `allows` says whether an operation may
/// be among them; flatten, reshape, concatenate, add, scale, linear layers, global pools and functions always are.
///
/// # Errors
/// When the input shape or the number of outputs makes no graph.
pub fn random_graph(input_shape: &[usize], outputs: usize, nodes: usize, seed: u32, allows: impl Fn(&Op) -> bool) -> Result<Graph> {
    let stream = Stream::new(seed, Purpose::Choice);
    let mut draft = Draft { stream, rolls: 0, nodes: Vec::new(), shapes: vec![input_shape.to_vec()], is_taken: vec![false], functions: 0 };
    draft.functions = draft.whole(0, FUNCTIONS.len());
    let order = stream.permutation([1, 0, 0], OPERATIONS);
    for number in 0..nodes {
        let (inputs, op) = draft.operation(order[number % OPERATIONS])?;
        if allows(&op) {
            draft.push(&inputs, op)?;
        }
    }
    draft.join(outputs)?;
    Graph::new(input_shape, draft.nodes)
}

/// A graph in the making. Values are numbered as in a [`Graph`].
struct Draft {
    stream: Stream,
    rolls: u32,
    nodes: Vec<Node>,
    shapes: Vec<Vec<usize>>,
    is_taken: Vec<bool>,
    /// Functions so far, and where they began.
    functions: usize,
}

impl Draft {
    fn real(&mut self, low: f64, high: f64) -> f64 {
        self.rolls += 1;
        low + (high - low) * self.stream.uniform([0; 3], self.rolls)
    }

    /// From `low` to `high`, both included.
    fn whole(&mut self, low: usize, high: usize) -> usize {
        self.real(low as f64, high as f64 + 1.0) as usize
    }

    fn pair(&mut self, low: usize, high: usize) -> [usize; 2] {
        [self.whole(low, high), self.whole(low, high)]
    }

    fn coin(&mut self) -> bool {
        self.whole(0, 1) == 1
    }

    /// A number that divides `number`.
    fn divisor(&mut self, number: usize) -> usize {
        let divisors: Vec<usize> = (1..=number).filter(|&divisor| number.is_multiple_of(divisor)).collect();
        divisors[self.whole(0, divisors.len() - 1)]
    }

    fn length(&self, value: usize) -> usize {
        self.shapes[value].iter().product()
    }

    fn image_shape(&self, value: usize) -> [usize; 3] {
        std::array::from_fn(|axis| self.shapes[value][axis])
    }

    /// Appends a node, and gives the number of its value.
    fn push(&mut self, inputs: &[usize], op: Op) -> Result<usize> {
        let shapes: Vec<&[usize]> = inputs.iter().map(|&value| self.shapes[value].as_slice()).collect();
        let shape = op.output_shape(&shapes).map_err(|problem| Error::Network(format!("a random {} {problem}", op.label())))?;
        let name = |&value: &usize| if value == 0 { INPUT.to_owned() } else { self.nodes[value - 1].name.clone() };
        let inputs_by_name = inputs.iter().map(name).collect();
        for &value in inputs {
            self.is_taken[value] = true;
        }
        self.nodes.push(Node { name: format!("node{}", self.nodes.len()), inputs: inputs_by_name, op });
        self.shapes.push(shape);
        self.is_taken.push(false);
        Ok(self.nodes.len())
    }

    /// Often the last value, else any.
    fn any(&mut self) -> usize {
        let last = self.nodes.len();
        if self.coin() { last } else { self.whole(0, last) }
    }

    /// A value that may grow: the input, if there is no other.
    fn small(&mut self) -> usize {
        let small: Vec<usize> = (0..self.shapes.len()).filter(|&value| self.length(value) <= MOST_ENLARGED).collect();
        let Some(&last) = small.last() else { return 0 };
        if self.coin() { last } else { small[self.whole(0, small.len() - 1)] }
    }

    /// The value as a vector.
    fn vector(&mut self, value: usize) -> Result<usize> {
        if self.shapes[value].len() == 1 { Ok(value) } else { self.push(&[value], Op::Flatten {}) }
    }

    /// The value as an image.
    fn image(&mut self, value: usize) -> Result<usize> {
        if self.shapes[value].len() == 3 {
            return Ok(value);
        }
        let length = self.length(value);
        let channels = self.divisor(length);
        let height = self.divisor(length / channels);
        self.push(&[value], Op::Reshape { shape: vec![channels, height, length / channels / height] })
    }

    /// The value as a vector or an image.
    fn of_channels(&mut self, value: usize) -> Result<usize> {
        if self.shapes[value].len() == 1 { Ok(value) } else { self.image(value) }
    }

    /// A stream of its own.
    fn mask_stream(&mut self) -> u32 {
        (self.nodes.len() * 10_000 + self.whole(0, 9_999)) as u32
    }

    /// The operation of that number with its inputs.
    fn operation(&mut self, number: usize) -> Result<(Vec<usize>, Op)> {
        let bias = self.coin();
        let (input, op) = match number {
            0 => {
                let any = self.any();
                let input = self.vector(any)?;
                (input, Op::Linear { inputs: self.length(input), outputs: self.whole(1, 17), bias })
            }
            1 => return self.gaussian(),
            2 => return self.convolution(bias),
            3 => return self.transposed_convolution(bias),
            4 | 5 => return self.pool(number == 4),
            6 => {
                let any = self.any();
                (self.image(any)?, Op::GlobalAveragePool {})
            }
            7 => return self.function(),
            8 | 9 => {
                let any = self.any();
                (self.of_channels(any)?, if number == 8 { Op::Softmax {} } else { Op::LogSoftmax {} })
            }
            10 | 11 => return self.combination(number == 10),
            12 => (self.any(), Op::Scale { factor: self.real(-1.5, 1.5), offset: self.real(-0.5, 0.5) }),
            13 => {
                let first = self.small();
                let fits = |shape: &[usize]| shape.len() == self.shapes[first].len() && shape[1..] == self.shapes[first][1..];
                let others: Vec<usize> = (0..=self.nodes.len()).filter(|&value| fits(&self.shapes[value])).collect();
                let inputs = [first, others[self.whole(0, others.len() - 1)], others[self.whole(0, others.len() - 1)]];
                return Ok((inputs[..self.whole(2, 3)].to_vec(), Op::Concatenate {}));
            }
            14 => (self.any(), Op::Flatten {}),
            15 => {
                let input = self.any();
                let length = self.length(input);
                let first = self.divisor(length);
                let second = self.divisor(length / first);
                let shape = if self.coin() { vec![first, second, length / first / second] } else { vec![first, length / first] };
                (input, Op::Reshape { shape })
            }
            16 => {
                let small = self.small();
                (self.image(small)?, Op::ZeroPad { padding: std::array::from_fn(|_| self.whole(0, 2)) })
            }
            17 => {
                let small = self.small();
                let (input, mode) = (self.image(small)?, if self.coin() { Interpolation::Nearest } else { Interpolation::Bilinear });
                let [_, h, w] = self.image_shape(input);
                let size = [h, w].map(|length| self.whole(1, (2 * length).min(length + 4)));
                (input, Op::Upsample { size, mode, align_corners: mode == Interpolation::Bilinear && self.coin() })
            }
            18 | 19 => {
                let any = self.any();
                let input = self.of_channels(any)?;
                let (channels, epsilon) = (self.shapes[input][0], self.real(0.01, 0.1));
                let op = if number == 18 {
                    Op::BatchNorm { channels, epsilon }
                } else {
                    Op::GroupNorm { groups: self.divisor(channels), channels, epsilon }
                };
                (input, op)
            }
            20 => {
                let input = self.any();
                (input, Op::LayerNorm { shape: self.shapes[input].clone(), epsilon: self.real(0.01, 0.1) })
            }
            21 => {
                let any = self.any();
                let input = self.of_channels(any)?;
                let mut of_channels = |low, high| (0..self.shapes[input][0]).map(|_| self.real(low, high)).collect();
                (input, Op::Normalise { mean: of_channels(-0.5, 0.5), std: of_channels(0.5, 2.0) })
            }
            22 => (self.any(), Op::Dropout { rate: self.real(0.1, 0.7), stream: self.mask_stream() }),
            _ => {
                let any = self.any();
                (self.image(any)?, Op::Dropout2d { rate: self.real(0.1, 0.7), stream: self.mask_stream() })
            }
        };
        Ok((vec![input], op))
    }

    fn gaussian(&mut self) -> Result<(Vec<usize>, Op)> {
        let any = self.any();
        let mut input = self.vector(any)?;
        if self.length(input) > MOST_GAUSSIAN {
            input = self.push(&[input], Op::Linear { inputs: self.length(input), outputs: MOST_GAUSSIAN, bias: false })?;
        }
        let covariance = if self.coin() { Covariance::Kronecker } else { Covariance::Full };
        let (inputs, outputs, stream) = (self.length(input), self.whole(1, MOST_GAUSSIAN), self.mask_stream());
        Ok((vec![input], Op::GaussianLinear { inputs, outputs, covariance, stream }))
    }

    /// Groups that divide `in_channels`, and the number of output channels.
    fn channels(&mut self, in_channels: usize, plane: usize) -> [usize; 2] {
        if self.coin() {
            return [1, self.whole(1, 17)];
        }
        let groups = self.divisor(in_channels);
        [groups, groups * if groups * plane > MOST_ENLARGED { 1 } else { self.whole(1, 2) }]
    }

    fn convolution(&mut self, bias: bool) -> Result<(Vec<usize>, Op)> {
        let small = self.small();
        let input = self.image(small)?;
        let [in_channels, h, w] = self.image_shape(input);
        let [groups, out_channels] = self.channels(in_channels, h * w);
        // Often the form that engines have fast ways for.
        if self.coin() && h.min(w) >= 3 {
            let one = [1, 1];
            let op = Op::Conv2d {
                in_channels,
                out_channels,
                kernel: [3, 3],
                stride: one,
                padding: self.pair(0, 1),
                dilation: one,
                groups,
                bias,
            };
            return Ok((vec![input], op));
        }
        let kernel = [h, w].map(|length| self.whole(1, length.min(4)));
        let most = |axis: usize, length: usize| if kernel[axis] > 1 { (length - 1) / (kernel[axis] - 1) } else { 2 };
        let dilation = [(0, h), (1, w)].map(|(axis, length)| self.whole(1, most(axis, length).min(3)));
        let padding = kernel.map(|length| self.whole(0, length - 1));
        Ok((vec![input], Op::Conv2d { in_channels, out_channels, kernel, stride: self.pair(1, 3), padding, dilation, groups, bias }))
    }

    fn transposed_convolution(&mut self, bias: bool) -> Result<(Vec<usize>, Op)> {
        let small = self.small();
        let input = self.image(small)?;
        let [in_channels, h, w] = self.image_shape(input);
        let [groups, out_channels] = self.channels(in_channels, 4 * h * w);
        let (kernel, stride, dilation) = (self.pair(1, 3), self.pair(1, 2), self.pair(1, 2));
        let output_padding = [0, 1].map(|axis| self.whole(0, stride[axis].max(dilation[axis]) - 1));
        let full = |axis: usize, length: usize| (length - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + output_padding[axis];
        let padding = [(0, h), (1, w)].map(|(axis, length)| self.whole(0, (full(axis, length) / 2).min(2)));
        let op = Op::ConvTranspose2d { in_channels, out_channels, kernel, stride, padding, output_padding, dilation, groups, bias };
        Ok((vec![input], op))
    }

    fn pool(&mut self, maximum: bool) -> Result<(Vec<usize>, Op)> {
        let any = self.any();
        let input = self.image(any)?;
        let [_, h, w] = self.image_shape(input);
        let kernel = [h, w].map(|length| self.whole(1, length.min(3)));
        let (stride, padding, ceil_mode) = (self.pair(1, 3), kernel.map(|length| self.whole(0, length / 2)), self.coin());
        let op = if maximum {
            Op::MaxPool2d { kernel, stride, padding, ceil_mode }
        } else {
            Op::AveragePool2d { kernel, stride, padding, ceil_mode, count_include_pad: self.coin() }
        };
        Ok((vec![input], op))
    }

    /// One function after the other. An exponential grows and a logarithm falls without end: they are given what a function bounds.
    fn function(&mut self) -> Result<(Vec<usize>, Op)> {
        let mut input = self.any();
        self.functions += 1;
        let function = FUNCTIONS[self.functions % FUNCTIONS.len()];
        if matches!(function, Function::Exp {} | Function::Ln {}) {
            input = self.push(&[input], Op::Apply(Function::Sigmoid {}))?;
            input = self.push(&[input], Op::Scale { factor: 1.0, offset: 0.1 })?;
        }
        Ok((vec![input], Op::Apply(function)))
    }

    /// A sum or product of values of one shape, or of an image and gates of its channels. The later factors of a product are bounded.
    fn combination(&mut self, is_sum: bool) -> Result<(Vec<usize>, Op)> {
        let first = self.any();
        let same: Vec<usize> = (0..=self.nodes.len()).filter(|&value| self.shapes[value] == self.shapes[first]).collect();
        let mut other = same[self.whole(0, same.len() - 1)];
        if self.shapes[first].len() == 3 && self.coin() {
            other = self.push(&[first], Op::GlobalAveragePool {})?;
            other = if self.coin() { self.push(&[other], Op::Flatten {})? } else { other };
        }
        if is_sum {
            let inputs = [first, other, same[self.whole(0, same.len() - 1)]];
            return Ok((inputs[..self.whole(2, 3)].to_vec(), Op::Add {}));
        }
        Ok((vec![first, self.push(&[other], Op::Apply(Function::Tanh {}))?], Op::Multiply {}))
    }

    /// Brings all values that nothing takes to one output.
    fn join(&mut self, outputs: usize) -> Result<usize> {
        let ends: Vec<usize> = (0..=self.nodes.len()).filter(|&value| !self.is_taken[value]).collect();
        let mut vectors = ends.into_iter().map(|end| self.vector(end)).collect::<Result<Vec<usize>>>()?;
        if vectors.len() > 1 {
            vectors = vec![self.push(&vectors, Op::Concatenate {})?];
        }
        let op = Op::Linear { inputs: self.length(vectors[0]), outputs, bias: true };
        self.push(&vectors, op)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::DeserializeOwned;
    use std::collections::BTreeSet;

    /// The names that serde knows, from what it says of one that it does not.
    fn names<T: DeserializeOwned>(tag: &str) -> BTreeSet<String> {
        let error = serde_json::from_value::<T>(serde_json::json!({ tag: "?" })).map(|_| ()).unwrap_err().to_string();
        error.split('`').skip(1).step_by(2).filter(|name| *name != "?").map(str::to_owned).collect()
    }

    fn tags(graphs: &[Graph], tag: &str) -> BTreeSet<String> {
        let ops = graphs.iter().flat_map(Graph::nodes).map(|node| serde_json::to_value(&node.op).unwrap());
        ops.filter_map(|op| Some(op[tag].as_str()?.to_owned())).collect()
    }

    #[test]
    fn every_operation_and_function_is_chosen() {
        let graphs: Vec<Graph> = (0..80).map(|seed| random_graph(&[2, 7, 9], 4, OPERATIONS, seed, |_| true).unwrap()).collect();
        for graph in &graphs {
            let chosen = tags(std::slice::from_ref(graph), "op");
            assert_eq!(chosen, names::<Op>("op"), "an operation is missing in random_graph: give it a number there");
        }
        assert_eq!(names::<Op>("op").len(), OPERATIONS);
        assert_eq!(tags(&graphs, "function"), names::<Function>("function"));
        assert!(graphs.iter().flat_map(Graph::nodes).any(|node| node.inputs.len() == 3), "nothing branches");
    }

    #[test]
    fn graphs_are_valid_small_and_of_what_is_allowed() {
        for seed in 0..2000 {
            let shape = [&[2, 7, 9][..], &[5], &[1, 1, 1], &[3, 2]][seed as usize % 4];
            let graph = random_graph(shape, 3, seed as usize % 40, seed, |op| !op.draws()).unwrap();
            assert_eq!((graph.output_shape(), graph.draws()), (&[3][..], false));
            let largest = graph.shapes().iter().map(|shape| shape.iter().product::<usize>()).max().unwrap();
            assert!(largest <= 40_000, "seed {seed}: {largest}");
        }
        let [first, again, other] = [1, 1, 2].map(|seed| random_graph(&[5], 2, 9, seed, |_| true).unwrap());
        assert!(first == again && first != other);
    }
}
