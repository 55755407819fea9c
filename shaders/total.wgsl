// The sum of the parts of a linear layer whose inputs were split, with its bias and function.

@group(0) @binding(0) var<uniform> parameters: Parameters;
// [part][count]
@group(0) @binding(1) var<storage, read> parts: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let place = at.y * groups.x * THREADS + at.x;
    if place >= parameters.count {
        return;
    }
    var sum = vec4<f32>(0.0);
    for (var part = 0u; part < parameters.parts; part++) {
        sum += parts[part * parameters.count + place];
    }
    out[place] = activated(sum + bias[place / parameters.quads]);
}
