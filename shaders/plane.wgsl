// Pools, padding and resampling: every pixel of the output is the maximum, or a weighted sum, of listed pixels of the same channel.

@group(0) @binding(0) var<uniform> parameters: Parameters;
// Output pixel i takes the taps starts[i] to starts[i + 1].
@group(0) @binding(1) var<storage, read> starts: array<u32>;
// A pixel of the input and the bits of its weight.
@group(0) @binding(2) var<storage, read> taps: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;


// By the bits: comparisons with NaN may be optimised away.
fn is_nan(value: vec4<f32>) -> vec4<bool> {
    return (bitcast<vec4<u32>>(value) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let place = at.y * groups.x * THREADS + at.x;
    if place >= parameters.count {
        return;
    }
    let quad = place % parameters.quads;
    let row = place / parameters.quads;
    let channel = row / parameters.to * parameters.size;
    let first = starts[row % parameters.to];
    let end = starts[row % parameters.to + 1u];
    var value = vec4<f32>(0.0);
    if parameters.maximum != 0u {
        for (var tap = first; tap < end; tap++) {
            let pixel = x[(channel + taps[tap].x) * parameters.quads + quad];
            // Not max, which may hide NaN; one that is there stays, for nothing is larger.
            value = select(value, pixel, (value < pixel) | is_nan(pixel) | vec4<bool>(tap == first));
        }
    } else {
        // Sums in blocks: the rounding error of one running sum grows with the number of its terms.
        for (var start = first; start < end; start += PART) {
            var part = vec4<f32>(0.0);
            for (var tap = start; tap < min(start + PART, end); tap++) {
                part += x[(channel + taps[tap].x) * parameters.quads + quad] * bitcast<f32>(taps[tap].y);
            }
            value += part;
        }
    }
    out[place] = activated(value);
}
