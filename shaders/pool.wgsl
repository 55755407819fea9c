// The maximum or the mean over windows of every channel.

@group(0) @binding(0) var<uniform> parameters: Parameters;
// The rows of a window, and those at which the windows begin, both with their number in front.
@group(0) @binding(1) var<storage, read> window: array<u32>;
@group(0) @binding(2) var<storage, read> positions: array<u32>;
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let place = at.y * groups.x * THREADS + at.x;
    if place >= parameters.count {
        return;
    }
    let quad = place % parameters.quads;
    let row = place / parameters.quads;
    let start = row / positions[0] * parameters.size + positions[1u + row % positions[0]];
    var value = x[(start + window[1]) * parameters.quads + quad];
    for (var number = 1u; number < window[0]; number++) {
        let other = x[(start + window[1u + number]) * parameters.quads + quad];
        // Not max, which may hide NaN.
        let largest = select(value, other, (value < other) | (other != other));
        value = select(largest, value + other, parameters.mean != 0u);
    }
    if parameters.mean != 0u {
        value /= f32(window[0]);
    }
    out[place] = value;
}
