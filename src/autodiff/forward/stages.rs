//! Fuses a product or a batch normalisation with the function, the addition and the pool that follow it. Each pass over a value
//! of a batch costs about as much as it takes to write it.

use crate::kernels::Pooling;
use crate::nets::lowering::Plane;
use crate::nets::{Function, Graph, Op};

/// A node, and those behind it that run with it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stage {
    /// The first node.
    pub node: usize,
    /// The values that it takes: those of the node, and behind them the one that a batch normalisation adds.
    pub inputs: Vec<usize>,
    /// The function of what comes out.
    pub function: Option<Function>,
    /// The maximum pool behind the function.
    pub pooling: Option<Pooling>,
    /// The value that it makes.
    pub output: usize,
    /// The values that no later stage takes.
    pub frees: Vec<usize>,
    /// Whether draws change what comes out.
    pub is_random: bool,
}

/// The stages of a graph in their order.
pub(super) fn stages(graph: &Graph) -> Vec<Stage> {
    let count = graph.nodes().len();
    let mut readers = vec![Vec::new(); count + 1];
    for node in 0..count {
        graph.sources(node).iter().for_each(|&value| readers[value].push(node));
    }
    let mut is_taken = vec![false; count];
    let mut stages = Vec::new();
    for node in 0..count {
        if !is_taken[node] {
            stages.push(stage(graph, &readers, &mut is_taken, node));
        }
    }
    stages.sort_by_key(|stage| stage.output);
    let mut is_random = vec![false; count + 1];
    for stage in &mut stages {
        let own = graph.nodes()[stage.node].op.stream().is_some();
        stage.is_random = own || stage.inputs.iter().any(|&value| is_random[value]);
        is_random[stage.output] = stage.is_random;
    }
    // What crosses from the trunk into the head is kept: the head runs again and again.
    let crosses: Vec<bool> =
        (0..=count).map(|value| !is_random[value] && stages.iter().any(|stage| stage.is_random && stage.inputs.contains(&value))).collect();
    let mut is_needed = crosses;
    is_needed[count] = true;
    for stage in stages.iter_mut().rev() {
        for &value in &stage.inputs {
            if !std::mem::replace(&mut is_needed[value], true) {
                stage.frees.push(value);
            }
        }
    }
    stages
}

/// The stage that begins with a node.
fn stage(graph: &Graph, readers: &[Vec<usize>], is_taken: &mut [bool], node: usize) -> Stage {
    let op = |node: usize| &graph.nodes()[node].op;
    // The node that alone takes a value, if it is not part of another stage.
    let only_reader = |value: usize, is_taken: &[bool]| match readers[value][..] {
        [reader] if !is_taken[reader] => Some(reader),
        _ => None,
    };
    let mut stage = Stage {
        node,
        inputs: graph.sources(node).to_vec(),
        function: None,
        pooling: None,
        output: node + 1,
        frees: Vec::new(),
        is_random: false,
    };
    if let (Op::BatchNorm { .. }, Some(next)) = (op(node), only_reader(stage.output, is_taken))
        && let (Op::Add {}, &[first, second]) = (op(next), graph.sources(next))
    {
        let other = if first == stage.output { second } else { first };
        if graph.shape(other) == graph.shape(stage.output) {
            stage.inputs.push(other);
            is_taken[next] = true;
            stage.output = next + 1;
        }
    }
    if let Some(next) = only_reader(stage.output, is_taken) {
        match (op(node), op(next)) {
            (Op::Linear { .. } | Op::GaussianLinear { .. }, &Op::Apply(function)) => stage.function = Some(function),
            (Op::Conv2d { .. } | Op::ConvTranspose2d { .. } | Op::BatchNorm { .. }, Op::Apply(Function::Relu {})) => {
                stage.function = Some(Function::Relu {});
            }
            _ => {}
        }
        if stage.function.is_some() {
            is_taken[next] = true;
            stage.output = next + 1;
        }
    }
    if let (Op::Conv2d { .. }, Some(next)) = (op(node), only_reader(stage.output, is_taken))
        && let Some(plane) = Plane::of(op(next), graph.shape(stage.output), graph.shape(next + 1))
        && let Some(pooling) = Pooling::of(graph.shape(next + 1)[0], &plane).filter(|pooling| pooling.maximum)
    {
        stage.pooling = Some(pooling);
        is_taken[next] = true;
        stage.output = next + 1;
    }
    stage
}

/// A shape that the graph has found to be [channels, height, width].
pub(super) fn image(shape: &[usize]) -> [usize; 3] {
    [shape[0], shape[1], shape[2]]
}
