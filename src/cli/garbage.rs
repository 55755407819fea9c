//! `epistemap garbage`: images outside the region of the data that the models are sure of, sought by gradient.

use super::map_options::{MemberChoice, chosen_members, members};
use super::progress::Bar;
use super::shared::{ModelOptions, Seed, pair, print, print_json, say};
use crate::autodiff::encode;
use crate::data::{Dataset, ImageFile, npy, read_image};
use crate::error::{Error, Result};
use crate::files;
use crate::jobs::{Garbage as Found, HoleCriterion, ModelSet, SearchSettings, search_garbage};
use crate::latent::Surroundings;
use crate::numbers::fixed;
use crate::uncertainty::Measure;
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Two points closer than this count as the same: their distance would be printed as 0.000.
const SAME_POINT: f64 = 5e-4;

/// `epistemap garbage`.
#[derive(Debug, Args)]
pub struct Garbage {
    #[command(flatten)]
    models: ModelOptions,
    /// Seek the garbage nearest to this latent point.
    #[arg(long, value_name = "Z1,Z2", value_parser = pair::<f64>, allow_hyphen_values = true)]
    near: Option<[f64; 2]>,
    /// Seek the garbage nearest to this image file.
    #[arg(long, value_name = "FILE", conflicts_with = "near")]
    image: Option<PathBuf>,
    /// Confident is a mean probability of at least this, of the draws that are climbed on and of those that measure. Mutual information has no
    /// bound, as it has in `epistemap holes`.
    #[arg(long, value_name = "P", default_value_t = SearchSettings::default().confidence, allow_hyphen_values = true)]
    confidence: f64,
    /// Garbage lies outside the region that holds this share of the training encodings: at 0.99 up to 1 % of the data lie there.
    #[arg(long, value_name = "SHARE", default_value_t = SearchSettings::default().covered, allow_hyphen_values = true)]
    covered: f64,
    /// Random places that are climbed from.
    #[arg(long, value_name = "N", default_value_t = SearchSettings::default().starts)]
    starts: usize,
    /// Steps of each climb.
    #[arg(long, value_name = "N", default_value_t = SearchSettings::default().steps)]
    steps: u32,
    /// The first and the last latent coordinate, of both axes.
    #[arg(long, value_name = "MIN,MAX", value_parser = pair::<f64>, default_value = "-10,10", allow_hyphen_values = true)]
    extent: [f64; 2],
    /// Dropout draws per member, T: so many are climbed on, and so many others measure.
    #[arg(long, value_name = "T", default_value_t = SearchSettings::default().samples)]
    samples: u32,
    /// How many members, or which: a count, or their numbers with commas [default: all].
    #[arg(long, value_name = "E|N,N,…", value_parser = members)]
    members: Option<MemberChoice>,
    #[command(flatten)]
    seed: Seed,
    /// Also write the images: an npy file [N, C, H, W] of f32.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print JSON rather than a table.
    #[arg(long)]
    json: bool,
}

impl Garbage {
    /// Runs the verb.
    ///
    /// # Errors
    /// When an option makes no sense, a file is missing or damaged, the models have no encodings, or nothing was found to write.
    pub fn run(self) -> Result<()> {
        let (set, mut engine) = self.models.open()?;
        let wanted = chosen_members(self.members.as_ref(), set.ensemble().members().len())?;
        let near = match &self.image {
            None => self.near,
            Some(path) => Some(encoding(&set, path)?),
        };
        let settings = SearchSettings {
            members: set.members(wanted.as_deref())?,
            samples: self.samples,
            seed: self.seed.seed,
            confidence: self.confidence,
            covered: self.covered,
            starts: self.starts,
            steps: self.steps,
            extent: self.extent,
            near,
        };
        let surroundings = Surroundings::new(&set.encodings()?.train);
        let bar = Bar::new(u64::from(self.steps), "steps");
        let found = search_garbage(&set, engine.as_mut(), &surroundings, &settings, &mut bar.follow())?;
        drop(bar);
        if let Some(out) = &self.out {
            let shape = set.vae.image_shape();
            let images: Vec<f32> = found.iter().flat_map(|garbage| garbage.image.iter().copied()).collect();
            files::write_through(out, &npy::encode_images([shape[0], shape[1], shape[2]], &images))?;
        }
        if self.json { print_json(&report(&set, &settings, &found)) } else { print(&table(&set, &settings, &found)) }
    }
}

/// Where an image lies on the plane.
fn encoding(set: &ModelSet, path: &std::path::Path) -> Result<[f64; 2]> {
    let shape = set.vae.image_shape();
    let shape = [shape[0], shape[1], shape[2]];
    let ImageFile { image, notes } = read_image(path, shape)?;
    if !notes.is_empty() {
        say(&format!("{}: {}.", path.display(), notes.join(", ")));
    }
    let one = Dataset::new("the image", shape, image, vec![0], set.ensemble().classes().to_vec())?;
    match encode(&set.vae, &one)?[..] {
        [z1, z2] => Ok([z1.into(), z2.into()]),
        _ => Err(Error::file(&set.origin, "its VAE has no plane", "choose a VAE with two latent dimensions")),
    }
}

fn report(set: &ModelSet, settings: &SearchSettings, found: &[Found]) -> Value {
    let classes = set.ensemble().classes();
    let defined = |measure: Measure| set.ensemble().undefined(measure, &settings.members, settings.samples).is_none();
    let garbage = found.iter().map(|garbage| {
        let measures: serde_json::Map<String, Value> =
            garbage.measures.iter().map(|(measure, value)| (measure.key().to_owned(), json!(defined(*measure).then_some(value)))).collect();
        json!({
            "z": garbage.z,
            "class": classes[garbage.class],
            "confidence": garbage.confidence,
            "distance_to_data": garbage.distance,
            "measures": measures,
        })
    });
    json!({ "settings": settings, "garbage": garbage.collect::<Vec<Value>>() })
}

fn table(set: &ModelSet, settings: &SearchSettings, found: &[Found]) -> String {
    let near = settings.near;
    let undefined = set.ensemble().undefined(Measure::MutualInformation, &settings.members, settings.samples);
    let mut lines = vec![match near {
        Some([z1, z2]) => {
            format!("Garbage nearest to {},{}: {}", fixed(z1, 3), fixed(z2, 3), if found.is_empty() { "none" } else { "found" })
        }
        None => format!("{} pieces of garbage", found.len()),
    }];
    let criterion = HoleCriterion { covered: Some(settings.covered), ..HoleCriterion::default() };
    lines.extend(criterion.about_density());
    for garbage in found {
        let information = garbage.measures.iter().find(|(of, _)| *of == Measure::MutualInformation).map_or(f64::NAN, |(_, value)| *value);
        let information = undefined.map_or_else(|| format!("{information:.5} nats"), str::to_owned);
        let away = near.map(|z| (garbage.z[0] - z[0]).hypot(garbage.z[1] - z[1]));
        let from = away.map_or_else(String::new, |away| {
            if away < SAME_POINT {
                ": that point itself, which lies outside the region of the data".to_owned()
            } else {
                format!(", {away:.3} away")
            }
        });
        let from_data = if garbage.distance < SAME_POINT {
            "at a training encoding".to_owned()
        } else {
            format!("{:.3} from the nearest training encoding", garbage.distance)
        };
        lines.push(format!(
            "'{}' with {:.4}, mutual information {information}, at {},{}, {from_data}{from}",
            set.ensemble().classes()[garbage.class],
            garbage.confidence,
            fixed(garbage.z[0], 3),
            fixed(garbage.z[1], 3)
        ));
    }
    lines.join("\n")
}
