//! How many rounds the loops of the kernels take for a network. Some drivers end loops, and the sums in them, after so many.

use super::device::Device;
use super::kernel::THREADS;
use super::weights::has_small_groups;
use crate::error::{Error, Result};
use crate::nets::lowering::{Instruction, Kind, Plane, Program};

/// Refuses a network of which a kernel takes more rounds than the driver allows; `name` is that of the model.
///
/// # Errors
/// Names the node.
pub fn check(device: &Device, program: &Program, name: &str) -> Result<()> {
    let Some(most) = device.most_rounds else { return Ok(()) };
    let output = program.values[program.output].length;
    let of_nodes = program.instructions.iter().map(|instruction| (instruction.node.as_str(), rounds(instruction, program)));
    // Of the softmax of the logits two loops.
    match of_nodes.chain([("the output", 2 * (output + 1))]).max_by_key(|&(_, rounds)| rounds) {
        Some((node, rounds)) if rounds > most => Err(Error::Engine(format!(
            "'{node}' of '{name}' takes loops of {rounds} rounds, and the driver of {} ends loops after {most}",
            device.name
        ))),
        _ => Ok(()),
    }
}

/// The rounds of all loops of the kernel of an instruction in one invocation.
fn rounds(instruction: &Instruction, program: &Program) -> usize {
    let length = program.values[instruction.inputs[0]].length;
    // Products take 16 inputs in 17 rounds, and one that finds the end.
    let tiled = |inputs: usize| inputs.div_ceil(16) * 18;
    let of_kind = match &instruction.kind {
        Kind::Product(product) => {
            let outputs = product.output[0].max(1);
            let inputs = product.phases.iter().map(|phase| phase.weight.len() / outputs).max().unwrap_or(0);
            if has_small_groups(product) { inputs } else { tiled(inputs) }
        }
        Kind::Gaussian(gaussian) => tiled(gaussian.inputs),
        Kind::Plane(plane) => taps(plane),
        // Every eighth row, twice.
        Kind::Normalise { groups, .. } => 2 * in_parts(length / groups / (THREADS as usize / 16)) + 32,
        Kind::Softmax { size, .. } => 3 * (length / size + 1),
        // Four units in turn, of which the words are drawn before.
        Kind::Mask { size, .. } => 4 * size + 48,
        Kind::Identity | Kind::Affine { .. } | Kind::Add | Kind::Multiply | Kind::Concatenate => 0,
    };
    of_kind.max(instruction.pool.as_ref().map_or(0, taps))
}

/// The rounds of the largest window.
fn taps(plane: &Plane) -> usize {
    plane.taps().starts.windows(2).map(|window| window[1] - window[0]).max().map_or(0, |taps| in_parts(taps as usize))
}

/// Those of a sum of sums of 128: what finds an end of a loop is a round as well.
fn in_parts(count: usize) -> usize {
    count + 2 * count.div_ceil(128) + 1
}
