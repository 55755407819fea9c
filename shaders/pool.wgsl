// Of the statistics of a member in groups of draws: those of all groups together, and Σp and ΣH of each group added to those of the members
// before.

@group(0) @binding(0) var<uniform> parameters: Parameters;
// [group][3 · classes + 1][point], as `tally` leaves it.
@group(0) @binding(1) var<storage, read> sums: array<vec4<f32>>;
// [3 · classes + 1][point]
@group(0) @binding(2) var<storage, read_write> whole: array<vec4<f32>>;
// [group][classes + 1][point]
@group(0) @binding(3) var<storage, read_write> pooled: array<vec4<f32>>;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let place = at.y * groups.x * THREADS + at.x;
    if place >= parameters.count {
        return;
    }
    let quads = parameters.quads;
    let classes = parameters.classes;
    let row = place / quads;
    let is_pooled = row < classes || row == 3u * classes;
    var sum = vec4<f32>(0.0);
    for (var group = 0u; group < parameters.groups; group++) {
        var value = sums[group * parameters.count + place];
        sum += value;
        if is_pooled {
            let to = (group * (classes + 1u) + min(row, classes)) * quads + place % quads;
            if parameters.first == 0u {
                value += pooled[to];
            }
            pooled[to] = value;
        }
    }
    whole[place] = sum;
}
