//! Graphs of operations, checked once: after [`Graph::new`] every name, shape and order is right.

use super::shapes::is_possible;
use super::{Layer, Op};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The name of a graph's input among the inputs of its nodes.
pub const INPUT: &str = "input";

/// The most nodes of a graph: a larger one is a damaged file, not a network.
const MOST_NODES: usize = 20_000;

/// An operation in its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its name, unique in the graph: that of its output, and of its weights up to the dot.
    pub name: String,
    /// The nodes whose outputs it takes, `input` for the graph's own; empty for the node before it in the list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
    /// What it computes.
    #[serde(flatten)]
    pub op: Op,
}

/// A feed-forward network without its weights: one input, one output, no cycle. Values are numbered: 0 is the input, i + 1 the output of
/// node i; a node takes values of smaller numbers only, and the last value is the output.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    nodes: Vec<Node>,
    sources: Vec<Vec<usize>>,
    shapes: Vec<Vec<usize>>,
}

fn wrong(node: &Node, problem: &str) -> Error {
    Error::Network(format!("node '{}' ({}) {problem}", node.name, node.op.label()))
}

impl Graph {
    /// Checks nodes, in any order, that take a value of `input_shape` (without the batch axis). The output is that of the one node that
    /// no other takes.
    ///
    /// # Errors
    /// When a name is taken twice, empty or unknown, there is a cycle, the number of outputs is not one, an operation cannot take the
    /// shapes of its inputs, or two nodes draw from one stream. Names the node.
    pub fn new(input_shape: &[usize], nodes: Vec<Node>) -> Result<Self> {
        if !is_possible(input_shape) {
            return Err(Error::Network(format!("the input shape {input_shape:?} has no axis, no elements, or too many")));
        }
        if nodes.len() > MOST_NODES {
            return Err(Error::Network(format!("it has {} nodes, more than {MOST_NODES}", nodes.len())));
        }
        let (nodes, sources) = ordered(nodes)?;
        let mut shapes = vec![input_shape.to_vec()];
        let mut streams: BTreeMap<u32, &str> = BTreeMap::new();
        for (node, sources) in nodes.iter().zip(&sources) {
            let inputs: Vec<&[usize]> = sources.iter().map(|&value| shapes[value].as_slice()).collect();
            shapes.push(node.op.output_shape(&inputs).map_err(|problem| wrong(node, &problem))?);
            if let Some(other) = node.op.stream().and_then(|stream| streams.insert(stream, &node.name)) {
                return Err(wrong(node, &format!("draws from the same stream as '{other}': give each its own number")));
            }
        }
        let mut graph = Self { nodes, sources, shapes };
        // Graphs are the same however their inputs were written.
        graph.nodes = graph.named_nodes();
        for (index, node) in graph.nodes.iter_mut().enumerate() {
            if graph.sources[index] == [index] {
                node.inputs.clear();
            }
        }
        Ok(graph)
    }

    /// A chain of layers as version 1 of `model.json` lists them.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn chain(input_shape: &[usize], layers: &[Layer]) -> Result<Self> {
        Self::new(input_shape, super::layer::nodes(layers))
    }

    /// The nodes, each after those that it takes values of; inputs are left out where they are the node before.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The numbers of the values that a node takes.
    pub fn sources(&self, node: usize) -> &[usize] {
        &self.sources[node]
    }

    /// The shape of a value.
    pub fn shape(&self, value: usize) -> &[usize] {
        &self.shapes[value]
    }

    /// The shapes of all values.
    pub fn shapes(&self) -> &[Vec<usize>] {
        &self.shapes
    }

    /// The shape of the input.
    pub fn input_shape(&self) -> &[usize] {
        &self.shapes[0]
    }

    /// The shape of the output.
    pub fn output_shape(&self) -> &[usize] {
        &self.shapes[self.nodes.len()]
    }

    /// The names and shapes of all weights.
    pub fn weights(&self) -> impl Iterator<Item = (String, Vec<usize>)> {
        self.nodes.iter().flat_map(|node| node.op.weights(&node.name))
    }

    /// Whether two draws can differ.
    pub fn draws(&self) -> bool {
        self.nodes.iter().any(|node| node.op.draws())
    }

    /// The operation whose output is the graph's; `None` where the graph has no nodes.
    pub fn last(&self) -> Option<&Node> {
        self.nodes.last()
    }

    /// The graph without its last node.
    ///
    /// # Errors
    /// When it does not end in one node without that.
    pub fn without_last(&self) -> Result<Self> {
        let mut nodes = self.named_nodes();
        nodes.pop();
        Self::new(self.input_shape(), nodes)
    }

    /// The same graph with other dropout rates: `rate(stream, the rate so far)`.
    ///
    /// # Errors
    /// When `rate` fails, or gives no rate.
    pub fn with_rates(&self, mut new_rate: impl FnMut(u32, f64) -> Result<f64>) -> Result<Self> {
        let mut nodes = self.named_nodes();
        for node in &mut nodes {
            if let Op::Dropout { rate, stream } | Op::Dropout2d { rate, stream } = &mut node.op {
                *rate = new_rate(*stream, *rate)?;
            }
        }
        Self::new(self.input_shape(), nodes)
    }

    /// The nodes without the dropouts among them, their inputs by name: what takes a dropout's output takes its input.
    pub fn without_dropout(&self) -> Vec<Node> {
        let mut names = vec![INPUT.to_owned()];
        let mut nodes = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let inputs: Vec<String> = self.sources[index].iter().map(|&value| names[value].clone()).collect();
            if node.op.dropout().is_some() {
                names.push(inputs[0].clone());
            } else {
                names.push(node.name.clone());
                nodes.push(Node { inputs, ..node.clone() });
            }
        }
        nodes
    }

    /// The nodes with their inputs by name.
    pub fn named_nodes(&self) -> Vec<Node> {
        let name = |value: &usize| if *value == 0 { INPUT.to_owned() } else { self.nodes[value - 1].name.clone() };
        let named = |(node, sources): (&Node, &Vec<usize>)| Node { inputs: sources.iter().map(name).collect(), ..node.clone() };
        self.nodes.iter().zip(&self.sources).map(named).collect()
    }
}

impl Serialize for Graph {
    /// The list of nodes.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.nodes.serialize(serializer)
    }
}

/// Puts nodes into an order in which each stands after its inputs, the output last, and gives the numbers of the values that each takes.
fn ordered(mut nodes: Vec<Node>) -> Result<(Vec<Node>, Vec<Vec<usize>>)> {
    let mut numbers: BTreeMap<String, usize> = BTreeMap::from([(INPUT.to_owned(), 0)]);
    for (index, node) in nodes.iter().enumerate() {
        if node.name.is_empty() || node.name == INPUT {
            return Err(wrong(node, &format!("needs another name: it must not be empty or '{INPUT}'")));
        }
        if numbers.insert(node.name.clone(), index + 1).is_some() {
            return Err(wrong(node, "has the name of another node: names must differ"));
        }
    }
    let mut sources: Vec<Vec<usize>> = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        let of = |input: &String| numbers.get(input).copied().ok_or_else(|| wrong(node, &format!("takes '{input}', which is no node")));
        sources.push(if node.inputs.is_empty() { vec![index] } else { node.inputs.iter().map(of).collect::<Result<_>>()? });
    }
    // Kahn's order; among those that are ready, the first in the list.
    let (mut order, mut ready) = (Vec::with_capacity(nodes.len()), vec![false; nodes.len() + 1]);
    ready[0] = true;
    let mut waiting: BTreeSet<usize> = (0..nodes.len()).collect();
    while let Some(&next) = waiting.iter().find(|&&node| sources[node].iter().all(|&value| ready[value])) {
        waiting.remove(&next);
        ready[next + 1] = true;
        order.push(next);
    }
    if let Some(&node) = waiting.first() {
        return Err(wrong(&nodes[node], "is part of a cycle, or takes a value of one"));
    }
    let taken: BTreeSet<usize> = sources.iter().flatten().copied().collect();
    let ends: Vec<usize> = (0..nodes.len()).filter(|node| !taken.contains(&(node + 1))).collect();
    match ends[..] {
        [] => {}
        [end] => {
            order.retain(|&node| node != end);
            order.push(end);
        }
        [first, second, ..] => {
            let other = &nodes[first].name;
            return Err(wrong(&nodes[second], &format!("and '{other}' both lead to no other node: a network has one output")));
        }
    }
    if !nodes.is_empty() && !taken.contains(&0) {
        return Err(Error::Network(format!("no node takes the network's '{INPUT}'")));
    }
    let mut places = vec![0; nodes.len() + 1];
    order.iter().enumerate().for_each(|(place, &node)| places[node + 1] = place + 1);
    let sources = order.iter().map(|&node| sources[node].iter().map(|&value| places[value]).collect()).collect();
    let mut rest: Vec<Option<Node>> = nodes.drain(..).map(Some).collect();
    let nodes = order.iter().filter_map(|&node| rest[node].take()).collect();
    Ok((nodes, sources))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::Function;

    fn node(name: &str, inputs: &[&str], op: Op) -> Node {
        Node { name: name.to_owned(), inputs: inputs.iter().map(|&input| input.to_owned()).collect(), op }
    }

    fn relu(name: &str, inputs: &[&str]) -> Node {
        node(name, inputs, Op::Apply(Function::Relu {}))
    }

    #[test]
    fn nodes_are_sorted_and_shapes_follow() {
        let nodes = vec![
            node("sum", &["b", "a"], Op::Add {}),
            relu("b", &["a"]),
            node("a", &["input"], Op::Linear { inputs: 3, outputs: 5, bias: false }),
        ];
        let graph = Graph::new(&[3], nodes).unwrap();
        let names: Vec<&str> = graph.nodes().iter().map(|node| node.name.as_str()).collect();
        assert_eq!((names, graph.output_shape()), (vec!["a", "b", "sum"], &[5][..]));
        assert_eq!((graph.sources(0), graph.sources(2)), (&[0][..], &[2, 1][..]));
        assert_eq!(graph.weights().collect::<Vec<_>>(), [("a.weight".to_owned(), vec![5, 3])]);
    }

    #[test]
    fn json_round_trip_keeps_the_graph() {
        let nodes = vec![relu("a", &[]), relu("b", &["input"]), node("sum", &["a", "b"], Op::Add {}), relu("end", &[])];
        let graph = Graph::new(&[2, 4, 4], nodes.clone()).unwrap();
        let mut written_out = nodes;
        written_out[3].inputs = vec!["sum".to_owned()];
        assert_eq!(Graph::new(&[2, 4, 4], written_out).unwrap(), graph);
        let text = serde_json::to_string(&graph).unwrap();
        assert!(text.contains(r#"{"name":"end","op":"apply","function":"relu"}"#), "{text}");
        assert_eq!(Graph::new(&[2, 4, 4], serde_json::from_str(&text).unwrap()).unwrap(), graph);
    }

    #[test]
    fn senseless_graphs_are_refused_by_the_name_of_a_node() {
        let dropout = |name: &str| node(name, &[], Op::Dropout { rate: 0.5, stream: 3 });
        let cases = [
            (vec![relu("a", &["b"]), relu("b", &["a"])], "'a' (relu) is part of a cycle"),
            (vec![relu("a", &["input"]), relu("b", &["input"])], "'b' (relu) and 'a' both lead to no other node"),
            (vec![relu("a", &["x"])], "'a' (relu) takes 'x', which is no node"),
            (vec![relu("a", &[]), relu("a", &[])], "'a' (relu) has the name of another node"),
            (vec![relu("input", &[])], "needs another name"),
            (
                vec![
                    node("fc", &[], Op::Linear { inputs: 4, outputs: 1, bias: true }),
                    node("none", &[], Op::Reshape { shape: vec![] }),
                    node("twice", &["none", "none"], Op::Concatenate {}),
                ],
                "'none' (reshape) makes the impossible shape []",
            ),
            (
                vec![node("fc", &[], Op::Linear { inputs: 7, outputs: 2, bias: true })],
                "'fc' (linear) expects a vector of 7 but is given [4]",
            ),
            (vec![node("sum", &[], Op::Add {})], "'sum' (add) expects two inputs or more but has one"),
            (vec![dropout("a"), dropout("b")], "'b' (dropout) draws from the same stream as 'a'"),
        ];
        for (nodes, text) in cases {
            let error = Graph::new(&[4], nodes).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
        let many = |count: usize| (0..count).map(|number| relu(&number.to_string(), &[])).collect();
        assert!(Graph::new(&[4], many(MOST_NODES + 1)).unwrap_err().to_string().contains("it has 20001 nodes"));
        assert!(Graph::new(&[4], many(1000)).is_ok());
        let unknown = serde_json::from_str::<Vec<Node>>(r#"[{"name": "a", "op": "attention"}]"#).unwrap_err().to_string();
        assert!(unknown.contains("attention"), "{unknown}");
        let extra = serde_json::from_str::<Vec<Node>>(r#"[{"name": "a", "op": "dropout", "rate": 0.5, "stream": 1, "p": 2}]"#);
        assert!(extra.unwrap_err().to_string().contains('p'));
    }
}
