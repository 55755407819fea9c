// The mean and 1 / √(variance + epsilon) of equal runs of rows: a workgroup a run and a few vec4s of points, of which each thread takes
// every LINES-th row.

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
// [draw][run][2][point]
@group(0) @binding(2) var<storage, read_write> moments: array<vec4<f32>>;

const LANES: u32 = 16u;
const LINES: u32 = THREADS / LANES;

var<workgroup> parts: array<vec4<f32>, THREADS>;

// The sum over the threads of the same points.
fn sum_of_lines(thread: u32, own: vec4<f32>) -> vec4<f32> {
    parts[thread] = own;
    workgroupBarrier();
    var sum = vec4<f32>(0.0);
    for (var line = 0u; line < LINES; line++) {
        sum += parts[line * LANES + thread % LANES];
    }
    workgroupBarrier();
    return sum;
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let quads = parameters.quads;
    let rows = parameters.rows;
    let quad = group.x * LANES + thread % LANES;
    let run = group.z * groups.y + group.y;
    let start = run * rows * quads + min(quad, quads - 1u);
    // Distances from the first row: those of a constant run are 0, and its variance is exactly 0. Sums in blocks: the
    // rounding error of one running sum grows with the number of its terms.
    let first = x[start];
    var own = vec4<f32>(0.0);
    for (var block = thread / LANES; block < rows; block += PART * LINES) {
        var part = vec4<f32>(0.0);
        for (var row = block; row < min(block + PART * LINES, rows); row += LINES) {
            part += x[start + row * quads] - first;
        }
        own += part;
    }
    let mean = first + sum_of_lines(thread, own) / f32(rows);
    own = vec4<f32>(0.0);
    for (var block = thread / LANES; block < rows; block += PART * LINES) {
        var part = vec4<f32>(0.0);
        for (var row = block; row < min(block + PART * LINES, rows); row += LINES) {
            let deviation = x[start + row * quads] - mean;
            part += deviation * deviation;
        }
        own += part;
    }
    let variance = sum_of_lines(thread, own) / f32(rows);
    if thread < LANES && quad < quads {
        moments[2u * run * quads + quad] = mean;
        moments[(2u * run + 1u) * quads + quad] = 1.0 / sqrt(variance + bitcast<f32>(parameters.epsilon));
    }
}
