//! Negative controls of operations: networks in which one thing of an operation is another, with the same shapes and the same other weights.

use epistemap::nets::{Function, Graph, Interpolation, Network, Node, Op};

/// What a weight is changed by: a clear part of every value that it goes into.
const STEP: f64 = 2.0;

/// The nodes of a graph with their inputs by name.
pub fn named_nodes(graph: &Graph) -> Vec<Node> {
    let name = |&value: &usize| if value == 0 { "input".to_owned() } else { graph.nodes()[value - 1].name.clone() };
    let named = |(at, node): (usize, &Node)| Node { inputs: graph.sources(at).iter().map(name).collect(), ..node.clone() };
    graph.nodes().iter().enumerate().map(named).collect()
}

/// The network with each weight and each constant of a node changed in turn, and what was changed.
pub fn controls(network: &Network, node: &str) -> Vec<(String, Network)> {
    let graph = network.graph();
    let at = graph.nodes().iter().position(|other| other.name == node).unwrap();
    let (op, input) = (&graph.nodes()[at].op, graph.shape(graph.sources(at)[0]));
    let mut controls = Vec::new();
    for (name, _) in op.weights(node) {
        let mut weights = network.weights().clone();
        weights.get_mut(&name).unwrap().values[0] += STEP;
        controls.push((format!("another {name}"), Network::of(graph.clone(), &weights).unwrap()));
    }
    for other in altered(op, input) {
        let mut nodes = named_nodes(graph);
        nodes[at].op = other.clone();
        let graph = Graph::new(graph.input_shape(), nodes).unwrap();
        controls.push((format!("{other:?}"), Network::of(graph, network.weights()).unwrap()));
    }
    match op {
        Op::Concatenate {} => {
            let mut nodes = named_nodes(graph);
            nodes[at].inputs.rotate_left(1);
            let graph = Graph::new(graph.input_shape(), nodes).unwrap();
            controls.push(("another order of values".to_owned(), Network::of(graph, network.weights()).unwrap()));
        }
        // No operation moves elements: the same as moved ones are other columns of the linear layer at the end.
        Op::Flatten {} | Op::Reshape { .. } => {
            let mut weights = network.weights().clone();
            weights.get_mut("end.fc.weight").unwrap().values.swap(1, 9);
            controls.push(("another order of elements".to_owned(), Network::of(graph.clone(), &weights).unwrap()));
        }
        _ => {}
    }
    controls
}

/// Operations that differ from this one in a constant, or, where it has none, in what they compute; of the same shapes and weights.
fn altered(op: &Op, input: &[usize]) -> Vec<Op> {
    match op.clone() {
        // They are what their weights, or the order of their values, make of them.
        Op::Linear { .. } | Op::Concatenate {} | Op::Flatten {} | Op::Reshape { .. } => Vec::new(),
        Op::GaussianLinear { inputs, outputs, covariance, stream } => {
            vec![Op::GaussianLinear { inputs, outputs, covariance, stream: stream + 1 }]
        }
        Op::Conv2d { kernel, .. } | Op::ConvTranspose2d { kernel, .. } | Op::MaxPool2d { kernel, .. } => other_windows(op, kernel, input),
        Op::AveragePool2d { kernel, stride, padding, ceil_mode, count_include_pad } => {
            let flipped = Op::AveragePool2d { kernel, stride, padding, ceil_mode, count_include_pad: !count_include_pad };
            other_windows(op, kernel, input).into_iter().chain([flipped]).collect()
        }
        Op::GlobalAveragePool {} => {
            vec![Op::MaxPool2d { kernel: [input[1], input[2]], stride: [1, 1], padding: [0, 0], ceil_mode: false }]
        }
        Op::Apply(Function::Tanh {}) => vec![Op::Apply(Function::Sigmoid {})],
        Op::Apply(_) => vec![Op::Apply(Function::Tanh {})],
        Op::Softmax {} => vec![Op::LogSoftmax {}],
        Op::LogSoftmax {} => vec![Op::Softmax {}],
        Op::Add {} => vec![Op::Multiply {}],
        Op::Multiply {} => vec![Op::Add {}],
        Op::Scale { factor, offset } => vec![Op::Scale { factor: factor + 0.5, offset }, Op::Scale { factor, offset: offset + 0.5 }],
        Op::ZeroPad { padding: [left, right, top, bottom] } => {
            vec![Op::ZeroPad { padding: [right, left, top, bottom] }, Op::ZeroPad { padding: [left, right, bottom, top] }]
        }
        Op::Upsample { size, mode: Interpolation::Nearest, .. } => {
            vec![Op::Upsample { size, mode: Interpolation::Bilinear, align_corners: false }]
        }
        Op::Upsample { size, mode, align_corners } => vec![
            Op::Upsample { size, mode: Interpolation::Nearest, align_corners: false },
            Op::Upsample { size, mode, align_corners: !align_corners },
        ],
        Op::BatchNorm { channels, .. } => vec![Op::BatchNorm { channels, epsilon: 1.0 }],
        Op::GroupNorm { groups, channels, epsilon } => {
            vec![
                Op::GroupNorm { groups, channels, epsilon: 1.0 },
                Op::GroupNorm { groups: if groups == 1 { channels } else { 1 }, channels, epsilon },
            ]
        }
        Op::LayerNorm { shape, .. } => vec![Op::LayerNorm { shape, epsilon: 1.0 }],
        Op::Normalise { mean, std } => {
            let with_first = |values: &[f64], first: f64| [&[first], &values[1..]].concat();
            let (other_mean, other_std) = (with_first(&mean, mean[0] + 0.5), with_first(&std, 2.0 * std[0]));
            vec![Op::Normalise { mean: other_mean, std: std.clone() }, Op::Normalise { mean, std: other_std }]
        }
        Op::Dropout { rate, stream } => {
            vec![Op::Dropout { rate: 0.5 * rate, stream }, Op::Dropout { rate, stream: stream + 1 }, Op::Dropout2d { rate, stream }]
        }
        Op::Dropout2d { rate, stream } => {
            vec![Op::Dropout2d { rate: 0.5 * rate, stream }, Op::Dropout2d { rate, stream: stream + 1 }, Op::Dropout { rate, stream }]
        }
    }
}

/// The operation with another kernel (of a pool), stride, padding or dilation along each axis, and as much padding more or less as keeps the
/// shape of the output. What has no such form, or does not matter, is left out.
fn other_windows(op: &Op, kernel: [usize; 2], input: &[usize]) -> Vec<Op> {
    let output = op.output_shape(&[input]).unwrap();
    let changed = |axis: usize, changes: [isize; 4]| {
        let mut other = op.clone();
        let is_one = change_window(&mut other, axis, changes) && other != *op;
        (is_one && other.output_shape(&[input]).is_ok_and(|shape| shape == output)).then_some(other)
    };
    let mut others = Vec::new();
    for (axis, constant) in (0..2).flat_map(|axis| (0..4).map(move |constant| (axis, constant))) {
        let matters = match constant {
            1 => output[1 + axis] > 1,
            3 => kernel[axis] > 1,
            _ => true,
        };
        let steps = [1, -1, 2, -2].into_iter().flat_map(|step| (-8..=8).map(move |padding| (step, padding)));
        let other = steps.filter(|_| matters).find_map(|(step, padding)| {
            let mut changes = [0, 0, padding, 0];
            changes[constant] = step;
            changed(axis, changes)
        });
        others.extend(other);
    }
    others
}

/// Adds to the kernel, stride, padding and dilation along an axis; whether the operation has what changes.
fn change_window(op: &mut Op, axis: usize, changes: [isize; 4]) -> bool {
    let add = |pair: &mut [usize; 2], change: usize| pair[axis] = pair[axis].saturating_add_signed(changes[change]);
    match op {
        Op::Conv2d { stride, padding, dilation, .. } | Op::ConvTranspose2d { stride, padding, dilation, .. } => {
            add(stride, 1);
            add(padding, 2);
            add(dilation, 3);
            changes[0] == 0
        }
        Op::MaxPool2d { kernel, stride, padding, .. } | Op::AveragePool2d { kernel, stride, padding, .. } => {
            add(kernel, 0);
            add(stride, 1);
            add(padding, 2);
            changes[3] == 0
        }
        _ => false,
    }
}
