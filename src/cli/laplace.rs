//! `epistemap laplace`: last-layer Laplace models of trained classifiers.

use super::progress::Bar;
use super::shared::{DataOptions, choice, first_images, print, print_json, say_each};
use crate::autodiff::Structure;
use crate::data::Split;
use crate::error::Result;
use crate::jobs::{Classifiers, LaplaceModel, laplace};
use clap::Args;
use std::path::PathBuf;

/// Fits a Gaussian to the weights of a trained classifier's last layer (Laplace approximation; the prior's precision is that of the largest
/// evidence). The result is a model folder as any other: a draw of it is a draw of these weights. Dropout layers of
/// the classifier are left out.
#[derive(Debug, Args)]
pub struct Laplace {
    /// The folder of a classifier, or of several [default: the shipped models].
    #[arg(long, alias = "model", value_name = "DIR")]
    models: Option<PathBuf>,
    /// The data set that it was trained on, or a folder, as `epistemap train` takes it; its training images are used
    /// [default: that of its classes].
    #[arg(long, value_name = "NAME|DIR")]
    dataset: Option<String>,
    #[command(flatten)]
    data: DataOptions,
    /// Use the first N training images only [default: as many as it was trained on].
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    /// What is kept of the Hessian: all of it, or its Kronecker factors, which make the variance too small; their bias together with the
    /// weights, or apart from them as in laplace-torch [default: full for at most 4,000 weights, else kronecker].
    #[arg(long, value_parser = choice(STRUCTURES.map(|(key, _)| key), structure_of))]
    structure: Option<Structure>,
    /// The model folder to write; for several classifiers, the folder of their folders.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Laplace {
    /// Runs the verb.
    ///
    /// # Errors
    /// When a model or data are missing, damaged or do not fit, or a file cannot be written.
    pub fn run(self) -> Result<()> {
        let classifiers = Classifiers::open(self.models.as_deref())?;
        say_each(&classifiers.notes);
        let data = first_images(self.data.load_of(classifiers.ensemble(), self.dataset.as_deref(), Split::Train)?, self.images)?;
        let bar = Bar::new(data.len() as u64, "images");
        let made = laplace(self.models.as_deref(), &data, self.structure, &self.out, &mut bar.follow())?;
        drop(bar);
        if self.json { print_json(&made) } else { print(&table(&made)) }
    }
}

/// The structures by name.
const STRUCTURES: [(&str, Structure); 3] =
    [("full", Structure::Full), ("kronecker", Structure::Kronecker), ("kronecker-bias-apart", Structure::KroneckerBiasApart)];

fn structure_of(key: &str) -> Option<Structure> {
    STRUCTURES.into_iter().find(|(name, _)| *name == key).map(|(_, structure)| structure)
}

fn table(made: &[LaplaceModel]) -> String {
    let line = |LaplaceModel { folder, structure, prior_precision, log_evidence, .. }: &LaplaceModel| {
        let name = STRUCTURES.into_iter().find(|(_, other)| other == structure).map_or("", |(name, _)| name);
        format!("{}: {name}, prior precision {prior_precision:.4}, log evidence {log_evidence:.1} nats", folder.display())
    };
    made.iter().map(line).collect::<Vec<_>>().join("\n")
}
