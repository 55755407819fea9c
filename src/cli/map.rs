//! `epistemap map`: a map of the latent plane, as arrays or as a picture.

use super::drawing::Drawing;
use super::map_options::MapOptions;
use super::progress::Bar;
use super::shard::ShardOptions;
use super::shared::{ModelOptions, choice};
use crate::error::{Error, Result};
use crate::figure::{Document, Format, Layers, Panel, check_dpi, colour_range, heat_map};
use crate::files;
use crate::jobs::{RawFormat, map, map_data};
use crate::uncertainty::{Measure, Passes};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// `epistemap map`.
#[derive(Debug, Args)]
pub struct Map {
    #[command(flatten)]
    settings: MapOptions,
    #[command(flatten)]
    models: ModelOptions,
    /// Where to write; the extension says how: npz and csv hold every measure, png, svg and pdf draw one.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The measure to draw.
    #[arg(long, value_parser = choice(Measure::ALL.map(Measure::key), |key| Measure::from_key(key).ok()), default_value = "mutual_information")]
    measure: Measure,
    #[command(flatten)]
    drawing: Drawing,
    #[command(flatten)]
    pub shard: ShardOptions,
}

impl Map {
    /// Runs the verb.
    ///
    /// # Errors
    /// When an option makes no sense, a model is damaged, or the file cannot be written.
    pub fn run(self) -> Result<()> {
        let measure = self.measure;
        let extension = self.out.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
        let format = Format::named(&extension);
        let raw = RawFormat::named(&extension);
        if format.is_none() && raw.is_none() && self.shard.shard.is_none() {
            return Err(Error::file(
                &self.out,
                format!("'.{extension}' is no format of maps"),
                "end the name in .npz, .csv, .png, .svg or .pdf",
            ));
        }
        check_dpi(self.drawing.dpi)?;
        let (set, engine) = self.models.open()?;
        let mut engine = self.shard.engine(engine, set.ensemble().classes().len(), &set.hashes)?;
        // The arrays hold every measure; a picture only needs what its own is a function of.
        let deterministic = format.is_none() || measure.passes() == Passes::Deterministic;
        let settings = self.settings.settings(&set, deterministic)?;
        files::create_folder_of(&self.out)?;
        let bar = Bar::new(settings.view.len() as u64, "points");
        let map = map(&set, engine.as_mut(), &settings, &mut bar.follow())?;
        if self.shard.finish(engine.as_ref(), &set.hashes, Some(&self.out), None)? {
            return Ok(());
        }
        let mut provenance = map.provenance(&set);
        // Its thinned networks may take as much memory as the map: what follows has no use for them.
        drop(engine);
        if let Some(format) = raw {
            return files::write_through(&self.out, &map.raw(&[]).encode(format, &self.out, &provenance)?);
        }
        let places: Vec<usize> = (0..settings.members.len()).collect();
        let data = map_data(&map, measure, &places)?;
        let options = self.drawing.options();
        let panels = [Panel { title: None, map: &data, scatter: None, layers: Layers::default() }];
        let canvas = heat_map(&panels, &options)?;
        provenance["drawn"] = json!({
            "measure": measure, "colours": options.colours, "range": options.range, "range_ends": colour_range(&panels, &options),
        });
        Document { title: measure.label().to_owned(), canvas, provenance }.write(&self.out, Format::of(&self.out)?, self.drawing.dpi)
    }
}
