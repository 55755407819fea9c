//! `epistemap evaluate` and `epistemap pack`: how good the models are, and models made ready to ship.

use super::progress::Bar;
use super::shard::ShardOptions;
use super::shared::{DataOptions, ModelOptions, Seed, first_images, print, print_json, say_each};
use crate::analysis::calibration::LEAST_PROBABILITY;
use crate::data::{Split, sources};
use crate::error::Result;
use crate::files;
use crate::jobs::{Evaluation, ModelSet, evaluate, pack};
use crate::numbers::counted;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// `epistemap evaluate`.
#[derive(Debug, Args)]
pub struct Evaluate {
    #[command(flatten)]
    models: ModelOptions,
    /// The data set; its test images are used. `epistemap data list` names them [default: that of the models' classes].
    #[arg(long, value_name = "NAME|DIR")]
    dataset: Option<String>,
    #[command(flatten)]
    data: DataOptions,
    /// Use the first N test images only.
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    /// Dropout draws per member of the scores with draws.
    #[arg(long, value_name = "T", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    samples: u32,
    #[command(flatten)]
    seed: Seed,
    /// Print JSON. Its NLL, too, counts no probability as less than 1.2e-38 (87.3 nats).
    #[arg(long)]
    json: bool,
    /// Write what would be printed into this file instead.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    pub shard: ShardOptions,
}

impl Evaluate {
    /// Runs the verb.
    ///
    /// # Errors
    /// When models or data are missing, damaged or do not fit.
    pub fn run(self) -> Result<()> {
        let (classifiers, vae) = self.models.set.open_classifiers()?;
        let ensemble = classifiers.ensemble();
        let engine = self.models.open_engine_of(&classifiers.models)?;
        let mut engine = self.shard.engine(engine, ensemble.classes().len(), &classifiers.hashes)?;
        // A shard has no use for what the VAE alone says.
        let vae = vae.filter(|_| self.shard.shard.is_none());
        let data = self.data.load_of(ensemble, self.dataset.as_deref(), Split::Test)?;
        let data = first_images(data, self.images)?;
        let bar = Bar::new(data.len() as u64, "images");
        let evaluation = evaluate(ensemble, vae.as_ref(), engine.as_mut(), &data, self.samples, self.seed.seed, &mut bar.follow())?;
        drop(bar);
        if self.shard.finish(engine.as_ref(), &classifiers.hashes, self.out.as_deref(), None)? {
            return Ok(());
        }
        let Some(out) = &self.out else {
            return if self.json { print_json(&evaluation) } else { print(&table(&evaluation)) };
        };
        let text = if self.json { format!("{:#}", json!(evaluation)) } else { table(&evaluation) };
        files::write_through(out, format!("{text}\n").as_bytes())
    }
}

fn table(evaluation: &Evaluation) -> String {
    let mut lines = vec![format!("{} of {}", counted(evaluation.images as u64, "image"), evaluation.dataset)];
    lines.extend(evaluation.vae.map(|vae| {
        format!("VAE: −ELBO {:.2} = reconstruction {:.2} + KL {:.2} nats per image", vae.negative_elbo, vae.reconstruction, vae.kl)
    }));
    lines.push(format!("{:<16}{:>6}{:>25}{:>12}{:>9}{:>9}", "", "draws", "accuracy", "NLL (nats)", "Brier", "ECE"));
    for rows in evaluation.rows() {
        for (of, draws) in rows.into_iter().zip(["off".to_owned(), evaluation.samples.to_string()]) {
            let accuracy = of.accuracy_text();
            lines.push(format!("{:<16}{draws:>6}{accuracy:>25}{:>12.4}{:>9.4}{:>9.4}", of.name, of.nll, of.brier, of.ece));
        }
    }
    lines.push(
        format!(
            "Draws are per member; the ensemble is the mean of all members. ECE over 15 bins. In brackets Wilson's 95 % interval. An image adds \
             {:.1} nats to the NLL at most: probabilities are single precision, and none counts as less than {LEAST_PROBABILITY:.1e}.",
            -LEAST_PROBABILITY.ln()
        ),
    );
    lines.join("\n")
}

/// `epistemap pack`.
#[derive(Debug, Args)]
pub struct Pack {
    /// The folder of the trained model folders.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The folder to write: the models with f16 weights, the encodings of the data, and CARD.md.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The data set that the models were trained on [default: that of their classes].
    #[arg(long, value_name = "NAME|DIR")]
    dataset: Option<String>,
    #[command(flatten)]
    data: DataOptions,
}

impl Pack {
    /// Runs the verb.
    ///
    /// # Errors
    /// When models or data are missing, damaged or do not fit, or a file cannot be written.
    pub fn run(self) -> Result<()> {
        let set = ModelSet::load(&self.from)?;
        say_each(&set.notes);
        let shape = <[usize; 3]>::try_from(set.ensemble().image_shape()).ok();
        let classes = set.ensemble().classes();
        let dataset = self.dataset.as_deref().unwrap_or_else(|| sources::of_classes(classes).folder);
        let [train, test] = self.data.load_both(dataset, shape)?;
        let (train, test) = (train.with_classes(classes)?, test.with_classes(classes)?);
        let bar = Bar::new(test.len() as u64, "images");
        let evaluation = pack(&self.from, &self.out, [&train, &test], 50, &mut bar.follow())?;
        drop(bar);
        print(&table(&evaluation))
    }
}
