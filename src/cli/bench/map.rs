//! A map, measured.

use super::super::map_options::MapOptions;
use super::super::progress::Bar;
use super::super::shared::ModelOptions;
use crate::engine::cpu::bench::{YARDSTICK, gemm_gflops};
use crate::engine::{Block, Draws, Engine, Input, Profile, Work, work};
use crate::error::Result;
use crate::jobs::{MapSettings, map};
use crate::latent::View;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::time::Instant;

/// The first picture: points along each axis, and draws.
const FIRST_PICTURE: (usize, u32) = (24, 8);

/// The time of a map, and of its first picture; and what these times mean in points, draws and floating-point operations.
pub fn measure(options: &MapOptions, models: &ModelOptions) -> Result<Value> {
    let gemm = gemm_gflops(YARDSTICK);
    let set = models.set.open()?;
    let settings = options.settings(&set, false)?;
    let (grid, samples) = FIRST_PICTURE;
    let view = View::new(settings.view.z1, settings.view.z2, grid, grid)?;
    let coarse = MapSettings { view, samples, members: settings.members[..1].to_vec(), ..settings.clone() };
    let start = Instant::now();
    let mut engine = models.open_engine(&set)?;
    map(&set, engine.as_mut(), &coarse, &mut |_| ControlFlow::Continue(()))?;
    let first_picture = start.elapsed();

    let bar = Bar::new(settings.view.len() as u64, "points");
    let start = Instant::now();
    let made = map(&set, engine.as_mut(), &settings, &mut bar.follow())?;
    let seconds = start.elapsed().as_secs_f64();
    drop(bar);
    let (points, members) = (settings.view.len() as f64, settings.members.len() as f64);
    let Work { arithmetic, effective } = work(&set.models, &settings.members, settings.samples, settings.masks);
    let gflops = |flops: f64| 1e-9 * flops * points / seconds;
    let (profiled, profile) = profile(engine.as_mut(), &settings)?;
    let profile = profile.unwrap_or_default();
    // Where this is far from 1, the device waits for the program.
    let kernel_seconds: f64 = profile.kernels.iter().map(|kernel| kernel.seconds).sum::<f64>() * points / profiled as f64;
    let share_of_time = (kernel_seconds > 0.0).then_some(kernel_seconds / seconds);
    let kernels: Vec<Value> = profile
        .kernels
        .iter()
        .map(|of| {
            let gflops = 1e-9 * of.flops / of.seconds;
            json!({ "name": of.name, "calls": of.calls, "ms": 1e3 * of.seconds, "gflops": gflops,
                "share_of_peak": profile.peak_gflops.map(|peak| gflops / peak) })
        })
        .collect();
    Ok(json!({
        "engine": made.by.to_string(), "points": settings.view.len(), "samples": settings.samples, "members": settings.members.len(),
        "threads": rayon::current_num_threads(), "seconds": seconds, "ms_per_point": 1e3 * seconds / points,
        "points_per_second": points / seconds, "draws_per_second": points * members * f64::from(settings.samples) / seconds,
        "arithmetic_gflops": gflops(arithmetic), "effective_gflops": gflops(effective),
        "peak_gflops": profile.peak_gflops, "share_of_peak": profile.peak_gflops.map(|peak| gflops(arithmetic) / peak),
        "profiled_points": profiled, "points_together": profile.points_together, "submissions": profile.submissions,
        "megabytes_read_back": 1e-6 * profile.bytes_read_back as f64, "kernels_share_of_time": share_of_time,
        "first_picture_ms": 1e3 * first_picture.as_secs_f64(), "gemm_gflops": gemm, "kernels": kernels,
    }))
}

/// What the engine tells of itself on one block of the map, of so many points.
fn profile(engine: &mut dyn Engine, settings: &MapSettings) -> Result<(usize, Option<Profile>)> {
    let points = settings.view.points();
    let points = &points[..points.len().min(engine.points_per_block().max(1))];
    let numbers: Vec<u32> = (0..points.len() as u32).collect();
    let profile = engine.profile(&Block {
        input: Input::Latent(points.as_flattened()),
        point_numbers: &numbers,
        members: &settings.members,
        draws: Draws::Sampled(0..settings.samples),
        groups: settings.groups(),
        seed: settings.seed,
        masks: settings.masks,
    })?;
    Ok((points.len(), profile))
}
