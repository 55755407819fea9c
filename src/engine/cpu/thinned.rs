//! Draws as thinned networks. A mask that all points share makes a draw a smaller network: a dropped hidden unit needs no
//! weights, and of the first layer, whose input all draws share, the dropped inputs are subtracted from the full product,
//! or only the kept ones are multiplied, whichever are fewer. A layer whose weights are drawn has those of its draw. This is exact.

use super::functions;
use super::kernel::{Packed, Row};
use super::scratch::Scratch;
use super::sharing::add_products_in_parts;
use crate::engine::thinning::{self, ThinLayer};
use crate::nets::lowering::{Instruction, Kind, Program};
use crate::random::keep_mask;
use std::borrow::Cow;

/// The layers from the first dropout on, where they are linear layers with dropout or elementwise functions between them.
#[derive(Debug)]
pub struct Thinnable {
    layers: Vec<ThinLayer>,
    /// Their nodes.
    nodes: Vec<String>,
    /// The full product of the first layer, if the dropped inputs are subtracted from it.
    full: Option<Packed>,
}

/// One draw's network.
#[derive(Debug)]
pub struct Thinned {
    layers: Vec<ThinnedLayer>,
}

#[derive(Debug)]
struct ThinnedLayer {
    /// The rows of the layer's input that are multiplied.
    rows: Vec<u32>,
    /// The outputs that are needed, and their bias.
    outputs: Vec<u32>,
    bias: Vec<f32>,
    weights: Packed,
}

impl Thinnable {
    /// The head of a program, if it has that form.
    pub fn new(program: &Program) -> Option<Self> {
        let shapes = thinning::thinnable(program)?;
        let layers: Vec<ThinLayer> = shapes.iter().map(|shape| shape.layer(program)).collect();
        let first = &layers[0];
        let full = thinning::subtracts(&shapes)
            .then(|| Packed::new(first.outputs, first.inputs, |i| move |o| first.weights[i * first.outputs + o]));
        let has_weights = |instruction: &&Instruction| matches!(instruction.kind, Kind::Product(_) | Kind::Gaussian(_));
        let nodes = program.head().iter().filter(has_weights).map(|instruction| instruction.node.clone()).collect();
        Some(Self { layers, nodes, full })
    }

    /// About how many bytes a thinned draw takes.
    pub fn bytes_per_draw(&self) -> usize {
        let kept = |dropout: Option<(u32, f64)>| dropout.map_or(1.0, |(_, rate)| 1.0 - rate);
        let weights = self.layers.iter().enumerate().map(|(index, layer)| {
            let outputs = kept(self.layers.get(index + 1).and_then(|next| next.dropout)) * layer.outputs as f64;
            let share = kept(layer.dropout);
            layer.inputs as f64 * if index == 0 && self.full.is_some() { 1.0 - share } else { share } * outputs
        });
        4 * weights.sum::<f64>().ceil() as usize
    }

    /// The thinned network of one draw.
    pub fn thin(&self, seed: u32, member: u32, draw: u32) -> Thinned {
        let kept = |layer: &ThinLayer| match layer.dropout {
            Some((stream, rate)) => keep_mask(seed, member, draw, stream, 0, rate, layer.inputs),
            None => vec![true; layer.inputs],
        };
        let mut inputs = kept(&self.layers[0]);
        let subtract = self.full.is_some();
        if subtract {
            for keep in &mut inputs {
                *keep = !*keep;
            }
        }
        let mut layers = Vec::with_capacity(self.layers.len());
        for (index, layer) in self.layers.iter().enumerate() {
            let layer = layer.drawn(seed, member, draw).map_or(Cow::Borrowed(layer), Cow::Owned);
            let next = self.layers.get(index + 1).map(kept);
            let rows = places(&inputs);
            let outputs = next.as_ref().map_or_else(|| (0..layer.outputs as u32).collect(), |next| places(next));
            let sign = if index == 0 && subtract { -1.0 } else { 1.0 };
            layers.push(ThinnedLayer {
                weights: Packed::new(outputs.len(), rows.len(), |i| {
                    let (weights, outputs) = (&layer.weights[rows[i] as usize * layer.outputs..][..layer.outputs], &outputs);
                    move |o| sign * weights[outputs[o] as usize]
                }),
                bias: outputs.iter().map(|&output| layer.bias[output as usize]).collect(),
                // After the first layer only the kept units are there.
                rows: if index == 0 { rows } else { (0..rows.len() as u32).collect() },
                outputs,
            });
            inputs = next.unwrap_or_default();
        }
        Thinned { layers }
    }

    /// What all draws share: the full product of the first layer on `scratch.trunks`, if dropped inputs are subtracted.
    pub fn prepare(&self, scratch: &mut Scratch) {
        let start = scratch.start();
        let Scratch { trunks, base, parts, .. } = scratch;
        base.clear();
        if let Some(full) = &self.full {
            base.resize(trunks.len() * full.outputs(), Row::splat(0.0));
            let rows: Vec<u32> = (0..self.layers[0].inputs as u32).collect();
            add_products_in_parts(parts.len(), trunks.iter().map(|crossing| crossing[0].as_slice()), &rows, full, base);
            let flops = 2.0 * (rows.len() * full.outputs() * trunks.len()) as f64;
            scratch.clock(start, || format!("full product of {}", self.nodes[0]), flops);
        }
    }

    /// The logits of a draw into `scratch.x`, panel by panel, of `scratch.trunks` and what `prepare` left. The weights of a
    /// draw come from afar, so all panels of the task take them together.
    pub fn run(&self, draw: &Thinned, scratch: &mut Scratch) {
        for (index, (layer, plan)) in draw.layers.iter().zip(&self.layers).enumerate() {
            let start = scratch.start();
            let Scratch { x, next, trunks, base, parts, .. } = &mut *scratch;
            next.clear();
            next.extend(trunks.iter().flat_map(|_| &layer.bias).map(|&bias| Row::splat(bias)));
            if index == 0 {
                let panels = next.chunks_exact_mut(layer.bias.len().max(1)).zip(base.chunks_exact(plan.outputs));
                for (sums, base) in panels {
                    for (sum, &output) in sums.iter_mut().zip(&layer.outputs) {
                        sum.0.iter_mut().zip(&base[output as usize].0).for_each(|(sum, base)| *sum += base);
                    }
                }
                let xs = trunks.iter().map(|crossing| crossing[0].as_slice());
                add_products_in_parts(parts.len(), xs, &layer.rows, &layer.weights, next);
            } else {
                let length = layer.rows.len();
                let xs = (0..trunks.len()).map(|panel| &x[panel * length..]);
                add_products_in_parts(parts.len(), xs, &layer.rows, &layer.weights, next);
            }
            functions::apply(&plan.then, next);
            std::mem::swap(x, next);
            let flops = 2.0 * (layer.rows.len() * layer.outputs.len() * trunks.len()) as f64;
            scratch.clock(start, || format!("thinned draws of {}", self.nodes[index]), flops);
        }
    }
}

/// The places of the true ones.
fn places(mask: &[bool]) -> Vec<u32> {
    (0..mask.len() as u32).filter(|&at| mask[at as usize]).collect()
}
