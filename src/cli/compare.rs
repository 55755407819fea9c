//! `epistemap compare`: two engines on the same map.

use super::map_options::MapOptions;
use super::progress::Bar;
use super::shared::{SetOptions, TOLERANCE, print, print_json, tolerance};
use crate::engine;
use crate::error::{Error, Result};
use crate::jobs::{Comparison, compare};
use crate::numbers::{counted, fixed};
use clap::Args;
use serde_json::json;
use std::sync::Arc;

/// `epistemap compare`.
#[derive(Debug, Args)]
pub struct Compare {
    /// The two engines, such as `cpu,gpu`, or one, which is compared with `reference` (with a small --grid: the reference is slow). Where votes
    /// differ, the second is asked how close the classes are. No other engine takes over from either.
    #[arg(long, value_name = "A[,B]", value_parser = engines)]
    engines: [String; 2],
    /// How far a measure may differ, in units of its natural range (entropies: of ln C nats). Votes may also differ in draws whose two
    /// best classes are closer than this.
    #[arg(long, value_name = "SHARE", value_parser = tolerance, default_value = TOLERANCE)]
    tolerance: f64,
    #[command(flatten)]
    map: MapOptions,
    #[command(flatten)]
    models: SetOptions,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Compare {
    /// Runs the verb.
    ///
    /// # Errors
    /// When an option makes no sense, a model is damaged, an engine fails, or the engines differ by more than the tolerance.
    pub fn run(self) -> Result<()> {
        let set = self.models.open()?;
        let settings = self.map.settings(&set, true)?;
        let open = |name: &String| (engine::named(name.trim())?.open)(Arc::clone(&set.models));
        let (mut first, mut second) = (open(&self.engines[0])?, open(&self.engines[1])?);
        let names = [first.name(), second.name()];
        let bar = Bar::new(settings.view.len() as u64, "points");
        let compared = compare(&set, [first.as_mut(), second.as_mut()], &settings, self.tolerance, &mut bar.follow())?;
        drop(bar);
        if self.json {
            print_json(&json!({
                "engines": names, "settings": settings, "tolerance": self.tolerance, "agree": compared.wrong == 0, "comparison": compared,
            }))?;
        } else {
            print(&table(names, &compared))?;
        }
        judge(names, &compared)
    }
}

/// Two engines' names with a comma between them, or one.
fn engines(text: &str) -> std::result::Result<[String; 2], String> {
    let names: Vec<&str> = text.split(',').map(str::trim).collect();
    match names[..] {
        [one] if !["", "reference"].contains(&one) => Ok([one, "reference"].map(str::to_owned)),
        [first, second] => Ok([first, second].map(str::to_owned)),
        _ => Err(format!("'{text}' is not two engines such as cpu,reference, nor one other than reference")),
    }
}

fn judge([first, second]: [&str; 2], compared: &Comparison) -> Result<()> {
    let Some(worst) = compared.worst().filter(|_| compared.wrong > 0) else { return Ok(()) };
    let (wrong, points, [z1, z2]) = (compared.wrong, compared.points, worst.z);
    if worst.share.is_nan() {
        let of = match worst.values.map(f32::is_nan) {
            [true, true] => format!("both {first} and {second}"),
            [true, false] => first.to_owned(),
            _ => second.to_owned(),
        };
        return Err(Error::Network(format!(
            "{} by {of} is not finite at z = {}, {}: weights are too large or no numbers; train the models again, or leave out the one that \
             has them",
            worst.measure.key(),
            fixed(z1, 4),
            fixed(z2, 4)
        )));
    }
    let problem = format!(
        "{first} and {second} differ by more at {wrong} of {points} points, most in {} (by {:.2e} of its range at {}, {})",
        worst.measure.key(),
        worst.share,
        fixed(z1, 4),
        fixed(z2, 4)
    );
    Err(Error::setting("--tolerance", problem, "allow more, or report the engine that is farther from `reference`"))
}

fn table([first, second]: [&str; 2], compared: &Comparison) -> String {
    let mut lines = vec![format!("{:<28}{:>10}{:>10}   at z₁, z₂ ({first}, {second})", "largest difference", "absolute", "of range")];
    lines.extend(compared.differences.iter().map(|of| {
        let ([z1, z2], [a, b]) = (of.z.map(|z| fixed(z, 4)), of.values.map(|value| fixed(value.into(), 6)));
        format!("{:<28}{:>10.2e}{:>10.2e}   {z1}, {z2} ({a}, {b})", of.measure.key(), of.largest, of.share)
    }));
    let points = counted(compared.points as u64, "point");
    lines.push(match compared.ties {
        0 => points,
        ties => format!("{points}, in {ties} of which draws vote for either of two equally probable classes"),
    });
    lines.join("\n")
}
