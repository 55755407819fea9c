//! The small verbs: `devices`, `provenance`, `completions`.

use super::Cli;
use super::shared::{print, print_json};
use crate::autodiff::device_name;
use crate::engine;
use crate::error::Result;
use crate::figure::provenance;
use clap::{Args, CommandFactory as _};
use std::path::PathBuf;

/// `epistemap devices`: the engines, and what they have to compute with.
///
/// # Errors
/// When standard output is closed.
pub fn devices() -> Result<()> {
    let lines = engine::available().iter().flat_map(|kind| {
        let devices = (kind.devices)().into_iter().map(|line| format!("{:<12}{line}", ""));
        std::iter::once(format!("{:<12}{}", kind.name, kind.summary)).chain(devices)
    });
    let gradients = format!("Training and gradients run on {}.", device_name());
    print(&lines.chain([gradients]).collect::<Vec<_>>().join("\n"))
}

/// `epistemap provenance`.
#[derive(Debug, Args)]
pub struct Provenance {
    /// A PNG, SVG, PDF, npz, CSV or JSON file that this program wrote.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Provenance {
    /// Runs the verb.
    ///
    /// # Errors
    /// When the file cannot be read or carries no provenance.
    pub fn run(self) -> Result<()> {
        print_json(&provenance::read(&self.file)?)
    }
}

/// `epistemap completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

impl Completions {
    /// Runs the verb.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn run(self) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "epistemap", &mut script);
        print(String::from_utf8_lossy(&script).trim_end())
    }
}
