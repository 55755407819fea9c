//! `epistemap bench`: how fast this machine is at what the program does, beside its own rate of matrix products.

mod window;

use super::progress::Bar;
use super::shared::{MapOptions, ModelOptions, Seed, print, print_json};
use crate::autodiff::train::{Goal, Optimiser, Settings, Trainer};
use crate::data::Dataset;
use crate::engine::{self, cpu::bench::gemm_gflops};
use crate::error::{Error, Result};
use crate::jobs::{MapSettings, ModelSet, map};
use crate::latent::View;
use crate::nets::paper_cnn;
use clap::{Args, Subcommand};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the matrix products are measured.
const GEMM_TIME: Duration = Duration::from_millis(500);
/// The first picture: points along each axis, and draws.
const FIRST_PICTURE: (usize, u32) = (24, 8);

/// `epistemap bench`.
#[derive(Debug, Args)]
pub struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A map, and the first coarse picture of one (24×24 points, 8 draws, one member).
    Map {
        #[command(flatten)]
        map: MapOptions,
        #[command(flatten)]
        models: ModelOptions,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// The window's own time per frame (update and tessellation, without painting): idle, with the pointer over the map, and while
    /// the map is computed.
    Frames {
        /// For how many seconds each.
        #[arg(long, value_name = "S", default_value_t = 5.0)]
        seconds: f64,
        #[command(flatten)]
        models: ModelOptions,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// The window under random clicks, drags, wheels and keys, to see whether its memory grows; a panic ends it.
    Soak {
        /// For how many seconds.
        #[arg(long, value_name = "S", default_value_t = 600.0)]
        seconds: f64,
        #[command(flatten)]
        seed: Seed,
        #[command(flatten)]
        models: ModelOptions,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// A training step of the paper's convolutional network: forward, backward, update.
    Train {
        /// Images per step.
        #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..))]
        batch: u16,
        /// How many steps; the fastest counts.
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
        steps: u16,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Bench {
    /// Runs the verb.
    ///
    /// # Errors
    /// When an option makes no sense or a model is damaged.
    pub fn run(self) -> Result<()> {
        let (result, json) = match self.what {
            What::Map { map, models, json } => (bench_map(&map, &models)?, json),
            What::Frames { seconds, models, json } => (window::frames(&models, duration(seconds)?)?, json),
            What::Soak { seconds, seed, models, json } => (window::soak(&models, duration(seconds)?, seed.seed)?, json),
            What::Train { batch, steps, json } => (bench_train(batch.into(), steps.into())?, json),
        };
        if json {
            return print_json(&result);
        }
        let lines: Vec<String> = result.as_object().into_iter().flatten().map(|(key, value)| format!("{key:<20}{value}")).collect();
        print(&lines.join("\n"))
    }
}

fn duration(seconds: f64) -> Result<Duration> {
    let problem = |_| Error::setting("--seconds", format!("{seconds} is no duration"), "give a number above 0");
    Duration::try_from_secs_f64(seconds).map_err(problem)
}

fn bench_map(options: &MapOptions, models: &ModelOptions) -> Result<serde_json::Value> {
    let gemm = gemm_gflops(GEMM_TIME);
    let set = ModelSet::open(models.models.as_deref())?;
    let settings = options.settings(&set, false)?;
    let (grid, samples) = FIRST_PICTURE;
    let view = View::new(settings.view.z1, settings.view.z2, grid, grid)?;
    let coarse = MapSettings { view, samples, members: settings.members[..1].to_vec(), ..settings.clone() };
    let start = Instant::now();
    let mut engine = engine::open(&models.engine, Arc::clone(&set.models))?;
    map(&set, engine.as_mut(), &coarse, &mut |_| std::ops::ControlFlow::Continue(()))?;
    let first_picture = start.elapsed();

    let bar = Bar::new(settings.view.len() as u64, "points");
    let start = Instant::now();
    map(&set, engine.as_mut(), &settings, &mut bar.follow())?;
    let seconds = start.elapsed().as_secs_f64();
    let (points, members) = (settings.view.len() as f64, settings.members.len() as f64);
    Ok(json!({
        "engine": engine.name(), "points": settings.view.len(), "samples": settings.samples, "members": settings.members.len(),
        "threads": rayon::current_num_threads(), "seconds": seconds, "ms_per_point": 1e3 * seconds / points,
        "points_per_second": points / seconds, "draws_per_second": points * members * f64::from(settings.samples) / seconds,
        "first_picture_ms": 1e3 * first_picture.as_secs_f64(), "gemm_gflops": gemm,
    }))
}

fn bench_train(batch: usize, steps: usize) -> Result<serde_json::Value> {
    let gemm = gemm_gflops(GEMM_TIME);
    let classes: Vec<String> = (0..10).map(|digit| digit.to_string()).collect();
    // The time of a step does not depend on what the images show.
    let pixels = (0..batch * 28 * 28).map(|pixel| (pixel % 97) as f32 / 96.0).collect();
    let data = Dataset::new("bench", [1, 28, 28], pixels, (0..batch).map(|image| (image % 10) as u8).collect(), classes.clone())?;
    let mut trainer = Trainer::new(Settings {
        name: "bench".to_owned(),
        goal: Goal::Classifier { layers: paper_cnn(), classes },
        image_shape: data.image_shape,
        dataset: data.name.clone(),
        images: batch,
        epochs: 1,
        batch,
        optimiser: Optimiser::Sgd { learning_rate: 0.01, momentum: 0.0 },
        anneal: false,
        seed: 0,
    })?;
    let images: Vec<usize> = (0..batch).collect();
    let mut fastest = f64::INFINITY;
    for _ in 0..=steps {
        let start = Instant::now();
        trainer.step(&data, &images)?;
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    Ok(json!({
        "seconds_per_step": fastest, "batch": batch, "images_per_second": batch as f64 / fastest,
        "threads": rayon::current_num_threads(), "gemm_gflops": gemm,
    }))
}
