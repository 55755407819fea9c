//! What the machine is, and its own speed, so that two machines can be compared.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};
use std::time::{Duration, Instant};

/// How long matrix products are measured.
pub const YARDSTICK: Duration = Duration::from_millis(500);

/// GFLOP/s of a square matrix product in f32 by a general library (faer), with all threads of the current pool: the best
/// of the products that fit into `time`, at least two.
pub fn gemm_gflops(time: Duration) -> f64 {
    const SIZE: usize = 2048;
    let [a, b] = [7, 5].map(|step| Mat::<f32>::from_fn(SIZE, SIZE, |row, column| ((row + step * column) % 11) as f32 - 5.0));
    let mut product = Mat::<f32>::zeros(SIZE, SIZE);
    let (begin, mut best, mut runs) = (Instant::now(), Duration::MAX, 0);
    while runs < 2 || begin.elapsed() < time {
        let start = Instant::now();
        matmul(product.as_mut(), Accum::Replace, a.as_ref(), b.as_ref(), 1.0, Par::rayon(rayon::current_num_threads()));
        best = best.min(start.elapsed());
        runs += 1;
    }
    2.0 * (SIZE as f64).powi(3) / best.as_secs_f64() / 1e9
}

/// The widest vectors that the kernels can use here.
pub fn vectors() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            return "AVX-512";
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return "AVX2 with FMA";
        }
    }
    if cfg!(target_arch = "aarch64") { "NEON, which this program has never been run on" } else { "the target's baseline" }
}
