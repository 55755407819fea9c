// Dropout of activations, the twin of `random::keep_mask`: a thread draws four units, of one mask for all points or of one for each.

@group(0) @binding(0) var<uniform> parameters: Parameters;
// The points' numbers.
@group(0) @binding(1) var<storage, read> numbers: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let place = at.y * groups.x * THREADS + at.x;
    if place >= parameters.count {
        return;
    }
    let quad = place % parameters.quads;
    let unit_quads = (parameters.units + 3u) / 4u;
    let unit_quad = place / parameters.quads % unit_quads;
    let draw = place / (parameters.quads * unit_quads);
    let key = vec2<u32>(parameters.seed, parameters.member);
    // The four words of each of the four points.
    var words: array<vec4<u32>, 4>;
    for (var point = 0u; point < 4u; point++) {
        if point == 0u || parameters.per_point != 0u {
            let address = select(0u, 1u + numbers[quad][point], parameters.per_point != 0u);
            words[point] = philox(vec4<u32>(unit_quad, parameters.first_draw + draw, parameters.stream, address), key);
        } else {
            words[point] = words[0];
        }
    }
    for (var number = 0u; number < 4u; number++) {
        let unit = unit_quad * 4u + number;
        if unit < parameters.units {
            let word = vec4<u32>(words[0][number], words[1][number], words[2][number], words[3][number]);
            let scale = select(vec4<f32>(0.0), vec4<f32>(bitcast<f32>(parameters.scale)), word >= vec4<u32>(parameters.threshold));
            for (var row = 0u; row < parameters.size; row++) {
                let offset = (unit * parameters.size + row) * parameters.quads + quad;
                let value = x[draw * parameters.x_draw + offset];
                out[draw * parameters.units * parameters.size * parameters.quads + offset] = select(vec4<f32>(0.0), value * scale, scale > vec4<f32>(0.0));
            }
        }
    }
}
