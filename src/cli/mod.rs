//! The command line: one file per verb, each drives the same jobs as the window.

mod progress;
mod shared;
mod train;

use crate::error::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A microscope for what an image classifier does not know: maps of uncertainty over the latent plane of a VAE.
#[derive(Debug, Parser)]
#[command(name = "epistemap", version, about)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Train a VAE, a classifier or an ensemble.
    Train(train::Train),
}

/// Runs the program on its command line. 0: done; 1: failed, with one sentence on standard error; 2: not understood.
pub fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("epistemap: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    match cli.verb {
        Some(Verb::Train(train)) => train.run(),
        None => Ok(()),
    }
}
