//! The window without a screen, measured.

use super::resident_megabytes;
use crate::app::headless::{Headless, hovering, random_events};
use crate::app::{Start, Storage};
use crate::cli::shared::ModelOptions;
use crate::error::{Error, Result};
use crate::jobs::{decoded_digits, map};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The window's size in points.
const SIZE: [f32; 2] = [1280.0, 800.0];

/// Points along each axis, and draws, of the map that is timed in the window.
const MAP_GRID: usize = 64;
const MAP_SAMPLES: u32 = 10;

fn open(models: &ModelOptions) -> Result<Headless> {
    let start = Start {
        set: models.set.open()?,
        folder: models.set.models.clone(),
        additions: models.set.additions(),
        engine: models.engine.clone(),
        session: None,
        storage: Storage::in_folder(None),
        load: Arc::new(|_| decoded_digits()),
        load_named: Arc::new(|_| decoded_digits()),
        attack_cache: None,
        estimate_training: Arc::new(crate::jobs::training::estimate),
        load_training: Arc::new(|plan| plan.data.load(None)),
        library: None,
        cats_dogs: None,
    };
    Headless::open(start, SIZE)
}

/// The time of frames while nothing happens, while the pointer moves, and while the map is computed.
pub fn frames(models: &ModelOptions, how_long: Duration) -> Result<Value> {
    crate::app::leave_the_window_its_time();
    let mut window = open(models)?;
    let opened = Instant::now();
    while !window.has_picture() && !window.is_done() {
        window.step(Vec::new());
        std::thread::sleep(Duration::from_millis(2));
    }
    let first_picture = opened.elapsed();
    let computing = window.watch(how_long, |_, _| Vec::new());
    window.reseed();
    let hovering_while_computing = window.watch(how_long, hovering);
    window.finish_map()?;
    let idle = window.watch(how_long, |_, _| Vec::new());
    let hovering_when_idle = window.watch(how_long, hovering);
    let library = tempfile::tempdir().map_err(|error| Error::io(&std::env::temp_dir(), &error))?;
    window.open_everything(&library.path().join("session.json"))?;
    let opening = window.watch(how_long, hovering);
    window.change_engine();
    let changing_engine = window.watch(how_long, hovering);
    window.train(library.path());
    let training = window.watch(how_long, hovering);
    Ok(json!({
        "first_picture_ms": 1e3 * first_picture.as_secs_f64(), "computing": computing, "hovering_while_computing": hovering_while_computing,
        "idle": idle, "hovering": hovering_when_idle,
        "hovering_while_opening": opening, "hovering_while_changing_engine": changing_engine,
        "hovering_while_training": training, "map": map_in_window(models)?,
    }))
}

/// The time of a map of all members in a window that a software renderer paints, beside that of the command line. Both have made a map
/// before.
fn map_in_window(models: &ModelOptions) -> Result<Value> {
    let mut window = open(models)?;
    let is_painted = window.paint()?;
    window.time_map(MAP_GRID, MAP_SAMPLES)?;
    let (settings, set, in_window) = window.time_map(MAP_GRID, MAP_SAMPLES)?;
    drop(window);
    let mut engine = models.open_engine(&set)?;
    let mut alone = || -> Result<f64> {
        let start = Instant::now();
        map(&set, engine.as_mut(), &settings, &mut |_| ControlFlow::Continue(()))?;
        Ok(start.elapsed().as_secs_f64())
    };
    alone()?;
    let (in_window, alone) = (in_window.as_secs_f64(), alone()?);
    Ok(json!({
        "points": settings.view.len(), "samples": settings.samples, "members": settings.members.len(), "painted_by_software": is_painted,
        "window_map_seconds": in_window, "command_line_map_seconds": alone, "ratio": in_window / alone,
    }))
}

/// Random interaction, and the memory that it takes.
pub fn soak(models: &ModelOptions, how_long: Duration, seed: u32) -> Result<Value> {
    crate::app::leave_the_window_its_time();
    let mut window = open(models)?;
    let start = Instant::now();
    let (mut memory, mut frame) = (Vec::new(), 0);
    while start.elapsed() < how_long {
        let times = window.watch(how_long / 10, |_, size| {
            frame += 1;
            random_events(seed, frame, size)
        });
        memory.push(json!({ "seconds": start.elapsed().as_secs_f64(), "megabytes": resident_megabytes(), "frames": times }));
    }
    Ok(json!({ "seed": seed, "frames": frame, "memory": memory }))
}
