// Convolutions of many small groups, depthwise ones first of all: a thread makes one output at one position for four points.

@group(0) @binding(0) var<uniform> parameters: Parameters;
// [outputs, taps]
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
// The rows of a group that are multiplied, relative to a position.
@group(0) @binding(3) var<storage, read> taps: array<u32>;
// Where the positions begin in a channel of the input, then their places in a channel of the output.
@group(0) @binding(4) var<storage, read> positions: array<u32>;
@group(0) @binding(5) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let place = at.y * groups.x * THREADS + at.x;
    if place >= parameters.count {
        return;
    }
    let quad = place % parameters.quads;
    let position = place / parameters.quads % parameters.positions;
    let output = place / (parameters.quads * parameters.positions) % parameters.outputs;
    let draw = place / (parameters.quads * parameters.positions * parameters.outputs);
    let row = output / parameters.group_outputs * parameters.group_rows + positions[position];
    let start = draw * parameters.x_draw + row * parameters.quads + quad;
    let line = output * parameters.taps;
    var sum = vec4<f32>(0.0);
    for (var tap = 0u; tap < parameters.taps; tap++) {
        sum = fma(vec4<f32>(weights[line + tap]), x[start + taps[tap] * parameters.quads], sum);
    }
    let to = output * parameters.out_plane + positions[parameters.positions + position] * parameters.quads + quad;
    out[draw * parameters.out_draw + to] = activated(sum + bias[output]);
}
