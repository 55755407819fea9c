// Products of weights and activations on the adapter's ordinary units (see product_common.wgsl).
//
// A workgroup makes a tile of TILE_OUTPUTS outputs × TILE_QUADS vec4s of columns, a thread 8 outputs × 2 vec4s of it, in registers; DEPTH
// inputs at a time stand in workgroup memory, and the next ones are on their way from outside meanwhile.

var<workgroup> weight_tile: array<vec4<Element>, DEPTH * WEIGHT_QUADS>;
var<workgroup> x_tile: array<vec4<Element>, DEPTH * TILE_QUADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let own = share(group, thread);
    if own.first_output >= own.outputs {
        return;
    }
    // What this thread makes.
    let row_outputs = thread / THREAD_COLUMNS * 8u;
    let lane = thread % THREAD_COLUMNS;
    let idle = own.first_output + row_outputs >= own.outputs;

    var next_weights: array<vec4<f32>, WEIGHT_LOADS>;
    var next_x: array<vec4<f32>, X_LOADS>;
    var c00 = vec4<f32>(0.0);
    var c01 = vec4<f32>(0.0);
    var c10 = vec4<f32>(0.0);
    var c11 = vec4<f32>(0.0);
    var c20 = vec4<f32>(0.0);
    var c21 = vec4<f32>(0.0);
    var c30 = vec4<f32>(0.0);
    var c31 = vec4<f32>(0.0);
    var c40 = vec4<f32>(0.0);
    var c41 = vec4<f32>(0.0);
    var c50 = vec4<f32>(0.0);
    var c51 = vec4<f32>(0.0);
    var c60 = vec4<f32>(0.0);
    var c61 = vec4<f32>(0.0);
    var c70 = vec4<f32>(0.0);
    var c71 = vec4<f32>(0.0);

    let steps = (own.inputs + DEPTH - 1u) / DEPTH;
    for (var step = 0u; step <= steps; step++) {
        // One step ahead: bring in what the next round multiplies while this one multiplies what stands in the tiles.
        if step < steps {
            for (var load = 0u; load < WEIGHT_LOADS; load++) {
                next_weights[load] = weights_of(own, step * DEPTH + load * (THREADS / WEIGHT_QUADS) + thread / WEIGHT_QUADS);
            }
            for (var load = 0u; load < X_LOADS; load++) {
                next_x[load] = x_of(own, step * DEPTH + load * (THREADS / TILE_QUADS) + thread / TILE_QUADS);
            }
        }
        if step > 0u && !idle {
            for (var k = 0u; k < DEPTH; k++) {
                let a0 = vec4<f32>(weight_tile[k * WEIGHT_QUADS + row_outputs / 4u]);
                let a1 = vec4<f32>(weight_tile[k * WEIGHT_QUADS + row_outputs / 4u + 1u]);
                let b0 = vec4<f32>(x_tile[k * TILE_QUADS + lane]);
                let b1 = vec4<f32>(x_tile[k * TILE_QUADS + lane + THREAD_COLUMNS]);
                c00 = fma(vec4<f32>(a0.x), b0, c00);
                c01 = fma(vec4<f32>(a0.x), b1, c01);
                c10 = fma(vec4<f32>(a0.y), b0, c10);
                c11 = fma(vec4<f32>(a0.y), b1, c11);
                c20 = fma(vec4<f32>(a0.z), b0, c20);
                c21 = fma(vec4<f32>(a0.z), b1, c21);
                c30 = fma(vec4<f32>(a0.w), b0, c30);
                c31 = fma(vec4<f32>(a0.w), b1, c31);
                c40 = fma(vec4<f32>(a1.x), b0, c40);
                c41 = fma(vec4<f32>(a1.x), b1, c41);
                c50 = fma(vec4<f32>(a1.y), b0, c50);
                c51 = fma(vec4<f32>(a1.y), b1, c51);
                c60 = fma(vec4<f32>(a1.z), b0, c60);
                c61 = fma(vec4<f32>(a1.z), b1, c61);
                c70 = fma(vec4<f32>(a1.w), b0, c70);
                c71 = fma(vec4<f32>(a1.w), b1, c71);
            }
        }
        workgroupBarrier();
        if step < steps {
            for (var load = 0u; load < WEIGHT_LOADS; load++) {
                weight_tile[load * THREADS + thread] = element(next_weights[load]);
            }
            for (var load = 0u; load < X_LOADS; load++) {
                x_tile[load * THREADS + thread] = element(next_x[load]);
            }
        }
        workgroupBarrier();
    }

    let output = own.first_output + row_outputs;
    let column = own.first_column + lane;
    let other = column + THREAD_COLUMNS;
    store(own, output, column, c00);
    store(own, output, other, c01);
    store(own, output + 1u, column, c10);
    store(own, output + 1u, other, c11);
    store(own, output + 2u, column, c20);
    store(own, output + 2u, other, c21);
    store(own, output + 3u, column, c30);
    store(own, output + 3u, other, c31);
    store(own, output + 4u, column, c40);
    store(own, output + 4u, other, c41);
    store(own, output + 5u, column, c50);
    store(own, output + 5u, other, c51);
    store(own, output + 6u, column, c60);
    store(own, output + 6u, other, c61);
    store(own, output + 7u, column, c70);
    store(own, output + 7u, other, c71);
}
