//! How fast the adapter is, and where the time goes.

use super::Gpu;
use super::chunks::Traffic;
use super::device::Device;
use super::kernel::{Kernel, PeakParameters, THREADS};
use super::recorder::{Recorder, Slot, Slots, Times, read};
use crate::engine::{Block, Engine as _, KernelTime, Profile};
use crate::error::Result;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// Threads that measure the peak: enough to fill any adapter several times.
const PEAK_THREADS: u32 = 1 << 18;
/// Operations of a round of a thread: eight multiply-adds of vec4s.
const FLOPS_PER_ROUND: f64 = 8.0 * 4.0 * 2.0;
/// The peak is measured in calls of about this length.
const PEAK_SECONDS: f64 = 0.02;

/// GFLOP/s of the adapter's own multiply-adds: the best of some calls.
///
/// # Errors
/// When the device fails.
pub fn peak_gflops(device: &Device) -> Result<f64> {
    let mut slots = Slots::default();
    // A software adapter is kept busy by far fewer.
    let threads = if device.kind == wgpu::DeviceType::Cpu { PEAK_THREADS / 64 } else { PEAK_THREADS };
    let mut once = |rounds: u32| {
        let no_room = |problem| device.no_room(problem);
        let out = slots.take(device, Slot::Input, 16 * u64::from(threads)).map_err(no_room)?;
        let staging = slots.take(device, Slot::Staging(0), 16).map_err(no_room)?;
        let mut recorder = Recorder::new(device, f64::INFINITY);
        recorder.workgroups(Kernel::Peak, &PeakParameters { rounds }, &[&out], [threads / THREADS, 1, 1]);
        let start = Instant::now();
        let submission = recorder.submit(&mut slots, &[(out, 16)], &staging, None).map_err(no_room)?;
        read::<f32>(device, &staging, 16, submission)?;
        Ok::<_, crate::error::Error>(start.elapsed().as_secs_f64())
    };
    let (mut rounds, mut best) = (16u32, 0.0f64);
    for _ in 0..24 {
        let seconds = once(rounds)?;
        best = best.max(f64::from(threads) * f64::from(rounds) * FLOPS_PER_ROUND / seconds / 1e9);
        if seconds < PEAK_SECONDS {
            rounds = rounds.saturating_mul(2);
        }
    }
    Ok(best)
}

/// The peak, and what a block of a map takes: its way through the device, and the time of each kernel for each node by the device's own
/// clock, the longest first; nothing where it has none.
///
/// # Errors
/// When the device fails.
pub fn profile(engine: &mut Gpu, block: &Block<'_>) -> Result<Profile> {
    let peak_gflops = Some(peak_gflops(&engine.device)?);
    // The first time shaders are compiled, weights uploaded and the speed learned.
    engine.grouped_statistics(block)?;
    engine.times = engine.device.features.contains(wgpu::Features::TIMESTAMP_QUERY).then(HashMap::new);
    engine.traffic = Traffic::default();
    let answered = engine.grouped_statistics(block);
    let times = engine.times.take().unwrap_or_default();
    answered?;
    let of_kernel = |((kernel, node), Times { calls, seconds, flops }): ((Kernel, Arc<str>), Times)| {
        let name = format!("{} of {node}", kernel.name());
        KernelTime { name, calls, seconds, flops }
    };
    let mut kernels: Vec<KernelTime> = times.into_iter().map(of_kernel).collect();
    kernels.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let Traffic { submissions, bytes, points } = engine.traffic;
    Ok(Profile { peak_gflops, kernels, submissions, bytes_read_back: bytes, points_together: points })
}
