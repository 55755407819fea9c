// x · scale + offset per unit.

@group(0) @binding(0) var<uniform> parameters: Parameters;
// Scale and offset of each unit in turn.
@group(0) @binding(1) var<storage, read> coefficients: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let place = at.y * groups.x * THREADS + at.x;
    if place >= parameters.count {
        return;
    }
    let unit = coefficients[place / parameters.unit_quads % parameters.units];
    out[place] = activated(x[place] * unit.x + unit.y);
}
