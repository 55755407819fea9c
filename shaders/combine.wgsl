// The sum or the product of two values. The second may be shorter: then it has one number for each unit of rows of the first.

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> y: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let place = at.y * groups.x * THREADS + at.x;
    if place >= parameters.count {
        return;
    }
    let draw = place / parameters.part;
    let rest = place % parameters.part;
    let unit = rest / parameters.quads / parameters.unit;
    let a = x[draw * parameters.x_draw + rest];
    let b = y[draw * parameters.y_draw + unit * parameters.quads + rest % parameters.quads];
    out[place] = activated(select(a + b, a * b, parameters.multiply != 0u));
}
