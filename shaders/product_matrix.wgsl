// Products of weights and activations on matrix units (see product_common.wgsl): factors of 16 bits, sums of 32.
//
// Of the tile of 64 outputs × 128 columns of a workgroup each of its four subgroups of 32 threads makes 32 × 64, as 2 × 4 matrices of
// 16 × 16. The factors pass through workgroup memory, where they are rounded, and so do the results, a matrix at a time.

var<workgroup> weight_tile: array<f16, DEPTH * TILE_OUTPUTS>;
var<workgroup> x_tile: array<f16, DEPTH * TILE_QUADS * 4u>;
var<workgroup> result: array<f32, 4u * 256u>;

// Stores a matrix of the subgroup, by its first output and first vec4 of columns.
fn store_matrix(own: Share, subgroup: u32, lane: u32, output: u32, column: u32) {
    for (var part = lane; part < 64u; part += 32u) {
        let at = subgroup * 256u + part * 4u;
        store(own, output + part / 4u, column + part % 4u, vec4<f32>(result[at], result[at + 1u], result[at + 2u], result[at + 3u]));
    }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let own = share(group, thread);
    let subgroup = thread / 32u;
    let lane = thread % 32u;
    let row = subgroup / 2u * 32u;
    let column = subgroup % 2u * 64u;
    let place = subgroup * 256u;

    // Matrices of zeros.
    for (var at = thread; at < 4u * 256u; at += THREADS) {
        result[at] = 0.0;
    }
    workgroupBarrier();
    var c00 = coopLoadT<coop_mat16x16<f32, C>>(&result[place], 16u);
    var c01 = c00;
    var c02 = c00;
    var c03 = c00;
    var c10 = c00;
    var c11 = c00;
    var c12 = c00;
    var c13 = c00;

    // Beyond the last output there is nothing to multiply; a return would not be uniform by the rules of matrices.
    let steps = select(0u, (own.inputs + DEPTH - 1u) / DEPTH, own.first_output < own.outputs);
    for (var step = 0u; step < steps; step++) {
        for (var load = 0u; load < WEIGHT_LOADS; load++) {
            let k = load * (THREADS / WEIGHT_QUADS) + thread / WEIGHT_QUADS;
            let value = element(weights_of(own, step * DEPTH + k));
            let at = k * TILE_OUTPUTS + thread % WEIGHT_QUADS * 4u;
            weight_tile[at] = value.x;
            weight_tile[at + 1u] = value.y;
            weight_tile[at + 2u] = value.z;
            weight_tile[at + 3u] = value.w;
        }
        for (var load = 0u; load < X_LOADS; load++) {
            let k = load * (THREADS / TILE_QUADS) + thread / TILE_QUADS;
            let value = element(x_of(own, step * DEPTH + k));
            let at = (k * TILE_QUADS + thread % TILE_QUADS) * 4u;
            x_tile[at] = value.x;
            x_tile[at + 1u] = value.y;
            x_tile[at + 2u] = value.z;
            x_tile[at + 3u] = value.w;
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k += 16u) {
            // Weights lie input by input: as a matrix of outputs × inputs they are column-major.
            let a0 = coopLoad<coop_mat16x16<f16, A>>(&weight_tile[k * TILE_OUTPUTS + row], TILE_OUTPUTS);
            let a1 = coopLoad<coop_mat16x16<f16, A>>(&weight_tile[k * TILE_OUTPUTS + row + 16u], TILE_OUTPUTS);
            let b0 = coopLoadT<coop_mat16x16<f16, B>>(&x_tile[k * TILE_QUADS * 4u + column], TILE_QUADS * 4u);
            let b1 = coopLoadT<coop_mat16x16<f16, B>>(&x_tile[k * TILE_QUADS * 4u + column + 16u], TILE_QUADS * 4u);
            let b2 = coopLoadT<coop_mat16x16<f16, B>>(&x_tile[k * TILE_QUADS * 4u + column + 32u], TILE_QUADS * 4u);
            let b3 = coopLoadT<coop_mat16x16<f16, B>>(&x_tile[k * TILE_QUADS * 4u + column + 48u], TILE_QUADS * 4u);
            c00 = coopMultiplyAdd(a0, b0, c00);
            c01 = coopMultiplyAdd(a0, b1, c01);
            c02 = coopMultiplyAdd(a0, b2, c02);
            c03 = coopMultiplyAdd(a0, b3, c03);
            c10 = coopMultiplyAdd(a1, b0, c10);
            c11 = coopMultiplyAdd(a1, b1, c11);
            c12 = coopMultiplyAdd(a1, b2, c12);
            c13 = coopMultiplyAdd(a1, b3, c13);
        }
        workgroupBarrier();
    }

    let output = own.first_output + row;
    let quad = own.first_column + column / 4u;
    coopStoreT(c00, &result[place], 16u);
    workgroupBarrier();
    store_matrix(own, subgroup, lane, output, quad);
    workgroupBarrier();
    coopStoreT(c01, &result[place], 16u);
    workgroupBarrier();
    store_matrix(own, subgroup, lane, output, quad + 4u);
    workgroupBarrier();
    coopStoreT(c02, &result[place], 16u);
    workgroupBarrier();
    store_matrix(own, subgroup, lane, output, quad + 8u);
    workgroupBarrier();
    coopStoreT(c03, &result[place], 16u);
    workgroupBarrier();
    store_matrix(own, subgroup, lane, output, quad + 12u);
    workgroupBarrier();
    coopStoreT(c10, &result[place], 16u);
    workgroupBarrier();
    store_matrix(own, subgroup, lane, output + 16u, quad);
    workgroupBarrier();
    coopStoreT(c11, &result[place], 16u);
    workgroupBarrier();
    store_matrix(own, subgroup, lane, output + 16u, quad + 4u);
    workgroupBarrier();
    coopStoreT(c12, &result[place], 16u);
    workgroupBarrier();
    store_matrix(own, subgroup, lane, output + 16u, quad + 8u);
    workgroupBarrier();
    coopStoreT(c13, &result[place], 16u);
    workgroupBarrier();
    store_matrix(own, subgroup, lane, output + 16u, quad + 12u);
    workgroupBarrier();
}
