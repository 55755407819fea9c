// An elementwise function, or a copy, of the values of each draw to a place within the draw's output.

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let place = at.y * groups.x * THREADS + at.x;
    if place >= parameters.count {
        return;
    }
    let draw = place / parameters.part;
    let rest = place % parameters.part;
    out[draw * parameters.out_draw + parameters.out_start + rest] = activated(x[draw * parameters.x_draw + rest]);
}
