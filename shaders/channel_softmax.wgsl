// exp(x) / Σ exp(x) over the channels at each place, or the logarithm of it.

@group(0) @binding(0) var<uniform> parameters: Parameters;
// [draw][channel][place][point]
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let place = at.y * groups.x * THREADS + at.x;
    if place >= parameters.count {
        return;
    }
    let step = parameters.places * parameters.quads;
    let start = place / step * parameters.channels * step + place % step;
    var largest = x[start];
    for (var channel = 1u; channel < parameters.channels; channel++) {
        let value = x[start + channel * step];
        largest = select(largest, value, value > largest);
    }
    var total = vec4<f32>(0.0);
    for (var channel = 0u; channel < parameters.channels; channel++) {
        total += exp(x[start + channel * step] - largest);
    }
    if parameters.log != 0u {
        let logarithm = log(total);
        for (var channel = 0u; channel < parameters.channels; channel++) {
            out[start + channel * step] = x[start + channel * step] - largest - logarithm;
        }
        return;
    }
    for (var channel = 0u; channel < parameters.channels; channel++) {
        out[start + channel * step] = exp(x[start + channel * step] - largest) / total;
    }
}
