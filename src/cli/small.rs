//! The small verbs: `devices`, `provenance`, `completions`.

use super::Cli;
use super::shared::{print, print_json};
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
    let threads = rayon::current_num_threads();
    let mut lines: Vec<String> = engine::available().iter().map(|kind| format!("{:<12}{}", kind.name, kind.summary)).collect();
    lines.push(format!("threads: {threads} (RAYON_NUM_THREADS sets them); vectors: {}", vectors()));
    print(&lines.join("\n"))
}

/// The widest vectors that the kernels can use here.
fn vectors() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            return "AVX-512";
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return "AVX2 with FMA";
        }
    }
    "the target's baseline"
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
