//! How many loop iterations the kernels take for a network. Some drivers stop loops, and the sums in them, at a limit.

use super::device::Device;
use super::kernel::{PART, THREADS};
use super::steps::MOMENTS_LANES;
use super::weights::has_small_groups;
use crate::engine::Models;
use crate::error::{Error, Result};
use crate::nets::Ending;
use crate::nets::lowering::{Instruction, Kind, Plane, Program, lower};

/// Refuses models of which a kernel takes more loop iterations than the driver allows.
///
/// # Errors
/// Names the node and the model.
pub fn check(device: &Device, models: &Models) -> Result<()> {
    let Some(most) = device.max_loop_iterations else { return Ok(()) };
    let depth = device.tuning.tile.depth as usize;
    let allows = |program: &Program, output: usize, name: &str| {
        let of_nodes = program.instructions.iter().map(|instruction| (instruction.node.as_str(), iterations(instruction, program, depth)));
        let longest = of_nodes.chain([("the output", output)]).max_by_key(|&(_, iterations)| iterations);
        let Some((node, iterations)) = longest.filter(|&(_, iterations)| iterations > most) else { return Ok(()) };
        Err(Error::Engine(format!(
            "'{node}' of '{name}' takes loops of {iterations} iterations, and the driver of {} ends loops after {most}",
            device.name
        )))
    };
    for member in models.ensemble.members() {
        let program = member.program();
        // Two loops of the softmax of the logits.
        allows(&program, 2 * (program.values[program.output].length + 1), &member.name)?;
    }
    models.decoder.as_ref().map_or(Ok(()), |network| allows(&lower(network, Ending::Logits), 0, "the decoder"))
}

/// The iterations of all loops of the kernel of an instruction in one invocation, with products in tiles of that depth.
fn iterations(instruction: &Instruction, program: &Program, depth: usize) -> usize {
    let length = program.values[instruction.inputs[0]].length;
    // Of products the inputs of a tile, one iteration around them, and one more test that finds the end.
    let tiled = |inputs: usize| inputs.div_ceil(depth) * (depth + 2);
    let of_kind = match &instruction.kind {
        Kind::Product(product) => {
            let outputs = product.output[0].max(1);
            let inputs = product.phases.iter().map(|phase| phase.weight.len() / outputs).max().unwrap_or(0);
            if has_small_groups(product) { inputs } else { tiled(inputs) }
        }
        Kind::Gaussian(gaussian) => tiled(gaussian.inputs),
        Kind::Plane(plane) => taps(plane),
        // Every eighth row, twice.
        Kind::Normalise { groups, .. } => 2 * in_parts(length / groups / (THREADS / MOMENTS_LANES) as usize) + 32,
        Kind::Softmax { size, .. } => 3 * (length / size + 1),
        // Four units in turn, of which the words are drawn before.
        Kind::Mask { size, .. } => 4 * size + 48,
        Kind::Identity | Kind::Affine { .. } | Kind::Add | Kind::Multiply | Kind::Concatenate => 0,
    };
    of_kind.max(instruction.pool.as_ref().map_or(0, taps))
}

/// The iterations of the largest window.
fn taps(plane: &Plane) -> usize {
    plane.taps().starts.windows(2).map(|window| window[1] - window[0]).max().map_or(0, |taps| in_parts(taps as usize))
}

/// The iterations of a sum in blocks of [`PART`]: each block also costs the test that ends its own loop.
fn in_parts(count: usize) -> usize {
    count + 2 * count.div_ceil(PART as usize) + 1
}
