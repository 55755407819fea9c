//! `epistemap bench`: how fast this machine is at what the program does, beside its own rate of matrix products.

mod map;
mod nets;
mod requests;
mod train;
mod window;

use super::map_options::MapOptions;
use super::shared::{ModelOptions, Seed, TOLERANCE, engine_name, print, print_json, tolerance};
use crate::engine::AUTO;
use crate::error::{Error, Result};
use clap::{Args, Subcommand};
use serde_json::Value;
use std::time::Duration;

/// `epistemap bench`.
#[derive(Debug, Args)]
pub struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A map, and the first coarse picture of one (24×24 points, 8 draws, one member).
    ///
    /// Arithmetic GFLOP/s count what thinned draws need: decoder and trunk once per point, of each draw only the units that it keeps.
    /// Effective GFLOP/s count every draw as a whole forward pass, as the paper's code made it. Both count products and convolutions.
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
    /// the map is computed. And the time of a map of 64×64 points, 10 draws and all members in a window that a software renderer paints, as
    /// a ratio to the time on the command line.
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
    /// An engine under maps of random sizes, draws, members, seeds and masks on a small random network, half of them stopped midway;
    /// each finished one is compared with the reference engine's. Exit code 1 on any wrong cell or error.
    Requests {
        /// What computes; no other engine takes over from it.
        #[arg(long, value_parser = engine_name(), default_value = AUTO)]
        engine: String,
        /// How many maps.
        #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
        requests: u32,
        /// How far a measure may be from the reference's, in units of its natural range.
        #[arg(long, value_name = "SHARE", value_parser = tolerance, default_value = TOLERANCE)]
        tolerance: f64,
        #[command(flatten)]
        seed: Seed,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Networks beyond the paper's on the CPU, with random weights: a residual network, one of depthwise convolutions, the decoder of a
    /// convolutional VAE; and an attack on draws of the paper's network. Milliseconds per image.
    Nets {
        /// How often each; the fastest counts.
        #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
        runs: u16,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// A training step of the paper's convolutional network: forward, backward, update; and what looks at a model under way cost, as a ratio
    /// of the time with them to the time without, within one training of a classifier and one of a VAE on the decoded digits.
    Train {
        /// Images per step.
        #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..))]
        batch: u16,
        /// How many steps; the fastest counts.
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
        steps: u16,
        /// Epochs of the trainings that are looked at.
        #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
        epochs: u16,
        /// Images of the trainings that are looked at, up to 8000.
        #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u16).range(1..=8000))]
        images: u16,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Bench {
    /// Runs the verb.
    ///
    /// # Errors
    /// When an option makes no sense or a model is damaged, or an engine does not pass.
    pub fn run(self) -> Result<()> {
        let mut verdict = Ok(());
        let (result, json) = match self.what {
            What::Map { map, models, json } => (map::measure(&map, &models)?, json),
            What::Requests { engine, requests, tolerance, seed, json } => {
                let (result, judged) = requests::requests(&engine, requests, seed.seed, tolerance)?;
                verdict = judged;
                (result, json)
            }
            What::Nets { runs, json } => (nets::measure(runs.into())?, json),
            What::Frames { seconds, models, json } => (window::frames(&models, duration(seconds)?)?, json),
            What::Soak { seconds, seed, models, json } => (window::soak(&models, duration(seconds)?, seed.seed)?, json),
            What::Train { batch, steps, epochs, images, json } => {
                let mut result = train::step(batch.into(), steps.into())?;
                let (looks, largest) = train::looks(epochs.into(), images.into())?;
                result["looks"] = looks.into();
                result["largest_with_to_without"] = largest.into();
                (result, json)
            }
        };
        if json {
            print_json(&result)?;
        } else {
            print(&lines(&result).join("\n"))?;
        }
        verdict
    }
}

/// A line for each number; the parts of a list have one each.
fn lines(result: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, value) in result.as_object().into_iter().flatten() {
        match value.as_array() {
            Some(parts) => lines.extend(parts.iter().map(|part| format!("{key:<20}{part}"))),
            None => lines.push(format!("{key:<20}{value}")),
        }
    }
    lines
}

/// The memory that the process holds now, where the system tells.
fn resident_megabytes() -> Option<f64> {
    const PAGE: f64 = 4096.0;
    let pages: f64 = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    Some(pages * PAGE / 1e6)
}

fn duration(seconds: f64) -> Result<Duration> {
    let problem = |_| Error::setting("--seconds", format!("{seconds} is no duration"), "give a number above 0");
    Duration::try_from_secs_f64(seconds).map_err(problem)
}
