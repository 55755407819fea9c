//! `epistemap encode`: where a VAE puts its data.

use super::shared::DataOptions;
use crate::data::{Split, sources};
use crate::error::Result;
use crate::jobs::encode_into;
use crate::nets::folder::describe;
use clap::Args;
use serde_json::Value;
use std::path::PathBuf;

/// `epistemap encode`.
#[derive(Debug, Args)]
pub struct Encode {
    /// The folder of the VAE; encodings.safetensors is written into it.
    #[arg(long, value_name = "DIR")]
    vae: PathBuf,
    /// The data set that it was trained on, or a folder, as `epistemap train` takes it [default: what its description says, or mnist].
    #[arg(long, value_name = "NAME|DIR")]
    dataset: Option<String>,
    #[command(flatten)]
    data: DataOptions,
}

impl Encode {
    /// Runs the verb.
    ///
    /// # Errors
    /// When the VAE or the data are missing, damaged or do not fit, or the file cannot be written.
    pub fn run(self) -> Result<()> {
        let description = describe(&self.vae)?;
        let trained_on = description.training()["dataset"].as_str().unwrap_or_default();
        // The name of a data set stands before that of its part: "MNIST train".
        let known = sources::ALL.iter().find(|source| trained_on == format!("{} {}", source.name, Split::Train));
        let dataset = self.dataset.as_deref().or(known.map(|source| source.folder)).unwrap_or("mnist");
        let [mut train, mut test] = self.data.load_both(dataset, Some(description.input_shape()))?;
        // The classes that it was trained on, where these are not all.
        if let Some(kept) = description.training()["kept_classes"].as_array() {
            let kept: Vec<usize> = kept.iter().filter_map(Value::as_u64).map(|class| class as usize).collect();
            (train, test) = (train.keep_classes(&kept)?, test.keep_classes(&kept)?);
        }
        encode_into(&self.vae, &train, &test)
    }
}
