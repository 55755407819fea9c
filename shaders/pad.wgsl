// Images into the middle of larger ones of zeros.

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let place = at.y * groups.x * THREADS + at.x;
    if place >= parameters.count {
        return;
    }
    let quad = place % parameters.quads;
    let pixel = place / parameters.quads;
    // Left of the image or above it the difference wraps around, beyond its size.
    let column = pixel % parameters.to_width - parameters.left;
    let row = pixel / parameters.to_width % parameters.to_height - parameters.top;
    let channel = pixel / (parameters.to_width * parameters.to_height);
    var value = vec4<f32>(0.0);
    if column < parameters.width && row < parameters.height {
        value = x[((channel * parameters.height + row) * parameters.width + column) * parameters.quads + quad];
    }
    out[place] = value;
}
