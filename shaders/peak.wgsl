// As many multiply-adds as the adapter can do: eight chains of vec4s a thread. The yardstick of the other kernels.

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    let factor = vec4<f32>(1.0 - f32(at.x % 7u) * 1e-7);
    var c0 = vec4<f32>(f32(at.x));
    var c1 = c0 + 1.0;
    var c2 = c0 + 2.0;
    var c3 = c0 + 3.0;
    var c4 = c0 + 4.0;
    var c5 = c0 + 5.0;
    var c6 = c0 + 6.0;
    var c7 = c0 + 7.0;
    for (var round = 0u; round < parameters.rounds; round++) {
        c0 = fma(c0, factor, c1);
        c1 = fma(c1, factor, c2);
        c2 = fma(c2, factor, c3);
        c3 = fma(c3, factor, c4);
        c4 = fma(c4, factor, c5);
        c5 = fma(c5, factor, c6);
        c6 = fma(c6, factor, c7);
        c7 = fma(c7, factor, c0);
    }
    out[at.x] = c0 + c1 + c2 + c3 + c4 + c5 + c6 + c7;
}
