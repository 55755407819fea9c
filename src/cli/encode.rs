//! `epistemap encode`: where a VAE puts its data.

use super::shared::DataOptions;
use crate::data::Split;
use crate::error::Result;
use crate::jobs::encode_into;
use clap::Args;
use std::path::PathBuf;

/// `epistemap encode`.
#[derive(Debug, Args)]
pub struct Encode {
    /// The folder of the VAE; encodings.safetensors is written into it.
    #[arg(long, value_name = "DIR")]
    vae: PathBuf,
    /// The data set that it was trained on.
    #[arg(long, value_name = "NAME", default_value = "mnist")]
    dataset: String,
    #[command(flatten)]
    data: DataOptions,
}

impl Encode {
    /// Runs the verb.
    ///
    /// # Errors
    /// When the VAE or the data are missing, damaged or do not fit, or the file cannot be written.
    pub fn run(self) -> Result<()> {
        let [train, test] = [self.data.load(&self.dataset, Split::Train)?, self.data.load(&self.dataset, Split::Test)?];
        encode_into(&self.vae, &train, &test)
    }
}
