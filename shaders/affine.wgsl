// x · scale + offset per channel: batch normalisation.

@group(0) @binding(0) var<uniform> parameters: Parameters;
// Scale and offset of each channel in turn.
@group(0) @binding(1) var<storage, read> coefficients: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let place = at.y * groups.x * THREADS + at.x;
    if place < parameters.count {
        let channel = coefficients[place / parameters.channel_quads % parameters.channels];
        out[place] = x[place] * channel.x + channel.y;
    }
}
