// The kept units of a dropout layer, or the dropped ones, as lists with their length in front: a workgroup a draw.

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read_write> lists: array<u32>;

var<workgroup> counts: array<u32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let list = group.x * parameters.stride;
    let key = vec2<u32>(parameters.seed, parameters.member);
    var before = 0u;
    for (var first = 0u; first < parameters.units; first += 4u * THREADS) {
        let quad = first / 4u + thread;
        let words = philox(vec4<u32>(quad, parameters.first_draw + group.x, parameters.stream, 0u), key);
        let left = parameters.units - min(parameters.units, 4u * quad);
        let listed = vec4<u32>((words >= vec4<u32>(parameters.threshold)) != vec4<bool>(parameters.dropped != 0u))
            * vec4<u32>(vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(left));
        let own = listed.x + listed.y + listed.z + listed.w;
        // Sums over this thread and those before it (Hillis & Steele).
        counts[thread] = own;
        workgroupBarrier();
        for (var step = 1u; step < THREADS; step *= 2u) {
            var sum = counts[thread];
            if thread >= step {
                sum += counts[thread - step];
            }
            workgroupBarrier();
            counts[thread] = sum;
            workgroupBarrier();
        }
        var at = list + 1u + before + counts[thread] - own;
        for (var number = 0u; number < 4u; number++) {
            if listed[number] != 0u {
                lists[at] = 4u * quad + number;
                at++;
            }
        }
        before += counts[THREADS - 1u];
        workgroupBarrier();
    }
    if thread == 0u {
        lists[list] = before;
    }
}
