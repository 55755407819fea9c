// Sums over the draws of a group, of one class: Σp, Σp² and the votes; with the first class ΣH.

@group(0) @binding(0) var<uniform> parameters: Parameters;
// [draw][class][point]
@group(0) @binding(1) var<storage, read> logits: array<vec4<f32>>;
// [draw][4][point], as `softmax` leaves it.
@group(0) @binding(2) var<storage, read> normal: array<vec4<f32>>;
// The group of draws g is starts[g] to starts[g + 1].
@group(0) @binding(3) var<storage, read> starts: array<u32>;
// [group][3 · classes + 1][point]
@group(0) @binding(4) var<storage, read_write> sums: array<vec4<f32>>;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let place = at.y * groups.x * THREADS + at.x;
    if place >= parameters.count {
        return;
    }
    let quads = parameters.quads;
    let classes = parameters.classes;
    let quad = place % quads;
    let number = place / quads % classes;
    let group = place / (quads * classes);
    var sum = vec4<f32>(0.0);
    var squares = vec4<f32>(0.0);
    var votes = vec4<f32>(0.0);
    var entropy = vec4<f32>(0.0);
    for (var draw = starts[group]; draw < starts[group + 1u]; draw++) {
        let of_draw = draw * 4u * quads + quad;
        let p = exp(logits[(draw * classes + number) * quads + quad] - normal[of_draw]) * normal[of_draw + quads];
        sum += p;
        squares += p * p;
        votes += select(vec4<f32>(0.0), vec4<f32>(1.0), normal[of_draw + 3u * quads] == vec4<f32>(f32(number)));
        entropy += normal[of_draw + 2u * quads];
    }
    let to = group * (3u * classes + 1u) * quads + quad;
    sums[to + number * quads] = sum;
    sums[to + (classes + number) * quads] = squares;
    sums[to + (2u * classes + number) * quads] = votes;
    if number == 0u {
        sums[to + 3u * classes * quads] = entropy;
    }
}
