//! The command line: one file per verb, each drives the same jobs as the window.

mod attack;
mod bench;
mod compare;
mod data;
mod decode;
mod detect;
mod drawing;
mod encode;
mod evaluate;
mod figures;
mod film;
mod garbage;
mod holes;
mod interpolate;
mod laplace;
mod map;
mod map_options;
mod progress;
mod shard;
mod shared;
mod small;
mod speaking;
mod train;
mod window;

use crate::budget;
use crate::error::{Error, Result};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A microscope for what an image classifier does not know: maps of uncertainty over the latent plane of a VAE.
///
/// Without a verb it opens its window; where there is no display, it writes the paper's figures (Smith & Gal 2018) into the
/// folder `figures`.
#[derive(Debug, Parser)]
#[command(name = "epistemap", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// The most memory that one request or one file may take, such as 8GB [default: a quarter of the machine's].
    #[arg(long, global = true, value_name = "SIZE", value_parser = budget::parse_size)]
    memory: Option<u64>,
}

/// More threads than this in `RAYON_NUM_THREADS` are refused.
const MOST_THREADS: usize = 1024;

const EXAMPLES: &str = "Examples:
  epistemap figures --out figures --format pdf --venue uai
  epistemap map --grid 200 --extent=-6,6 --samples 100 --members 5 --out map.npz
  epistemap interpolate --from-class 3 --to-class 5 --out curves.pdf
  epistemap holes --garbage 6 --out holes.pdf
  epistemap attack --images x.npy --labels y.npy --method bim --eps 0.1 --on mc --out adversarial.npy
  epistemap detect --images 200 --on mc --latex
  epistemap evaluate --json
  epistemap train classifier --seed 10 --out my-models/classifier-10

Exit codes: 0 done; 1 failed, with one sentence on standard error; 2 the command line was not understood.";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Open the window.
    Window(window::Window),
    /// Write the paper's figures.
    Figures(Box<figures::Figures>),
    /// Compute a map of the latent plane, as arrays (npz, csv) or as a picture (png, svg, pdf).
    Map(Box<map::Map>),
    /// Go from one image to another through latent space, pixel space and along a geodesic, and measure the uncertainty on the way.
    Interpolate(Box<interpolate::Interpolate>),
    /// Find holes: where the models are sure outside the region that holds 99 % of the training encodings.
    Holes(Box<holes::Holes>),
    /// Change images within a budget so that the models answer something else.
    Attack(Box<attack::Attack>),
    /// Say how well uncertainty tells attacked images from clean and noisy ones: the paper's table.
    Detect(Box<detect::Detect>),
    /// Seek garbage, decoded images that the models are sure of although hardly any data lie there, by gradient: anywhere, or nearest to an
    /// image.
    Garbage(Box<garbage::Garbage>),
    /// Decode latent points into an image.
    Decode(decode::Decode),
    /// Say how good the models are: accuracy, NLL, Brier, ECE, −ELBO.
    Evaluate(evaluate::Evaluate),
    /// Train a VAE, a classifier, an ensemble or a set of both.
    Train(Box<train::Train>),
    /// Fit a Gaussian to a trained classifier's last layer: another kind of draw.
    Laplace(laplace::Laplace),
    /// Write the film of a training as a GIF or as PNGs.
    Film(film::FilmVerb),
    /// Make trained models ready to ship: f16 weights, encodings, a card.
    Pack(evaluate::Pack),
    /// Encode a VAE's data, so that density and holes of its plane can be seen.
    Encode(encode::Encode),
    /// Join the parts that `--shard` made into what one run writes.
    Merge(shard::Merge),
    /// List data sets, or download one.
    Data(data::Data),
    /// Compute the same map with two engines, and say where they differ most; exit code 1 where that is more than a tolerance.
    Compare(Box<compare::Compare>),
    /// Measure how fast this machine is.
    Bench(Box<bench::Bench>),
    /// List what can compute here.
    Devices,
    /// Read back what made a figure or a map.
    Provenance(small::Provenance),
    /// Print a script that completes this program's command line in a shell.
    Completions(small::Completions),
}

/// Runs the program on its command line and says what went wrong, if anything did.
pub fn main() -> ExitCode {
    let Cli { verb, memory } = Cli::parse();
    if let Some(bytes) = memory {
        budget::set_limit(bytes);
    }
    match start_threads().and_then(|()| run(verb)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shared::say(&format!("epistemap: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Starts the threads that compute: where there are none to be had, that is an error at once rather than a panic later.
fn start_threads() -> Result<()> {
    const VARIABLE: &str = "RAYON_NUM_THREADS";
    let mend = format!("set {VARIABLE} to a number from 1 to {MOST_THREADS}");
    let wanted = std::env::var(VARIABLE).ok().and_then(|text| text.parse::<usize>().ok());
    if let Some(threads) = wanted.filter(|&threads| threads > MOST_THREADS) {
        return Err(Error::setting(VARIABLE, format!("{threads} threads are out of range"), mend));
    }
    let refused = |error: rayon::ThreadPoolBuildError| {
        Error::setting(
            "the compute threads",
            format!("the system refuses to start them ({error})"),
            format!("raise the limit of processes (`ulimit -u`), or {mend}"),
        )
    };
    rayon::ThreadPoolBuilder::new().thread_name(|number| format!("engine {number}")).build_global().map_err(refused)
}

fn run(verb: Option<Verb>) -> Result<()> {
    match verb {
        Some(Verb::Figures(figures)) => figures.run(),
        Some(Verb::Map(map)) => map.run(),
        Some(Verb::Interpolate(interpolate)) => interpolate.run(),
        Some(Verb::Holes(holes)) => holes.run(),
        Some(Verb::Attack(attack)) => attack.run(),
        Some(Verb::Detect(detect)) => detect.run(),
        Some(Verb::Garbage(garbage)) => garbage.run(),
        Some(Verb::Decode(decode)) => decode.run(),
        Some(Verb::Evaluate(evaluate)) => evaluate.run(),
        Some(Verb::Train(train)) => train.run(),
        Some(Verb::Laplace(laplace)) => laplace.run(),
        Some(Verb::Film(film)) => film.run(),
        Some(Verb::Pack(pack)) => pack.run(),
        Some(Verb::Encode(encode)) => encode.run(),
        Some(Verb::Merge(merge)) => merge.run(),
        Some(Verb::Data(data)) => data.run(),
        Some(Verb::Compare(compare)) => compare.run(),
        Some(Verb::Bench(bench)) => bench.run(),
        Some(Verb::Devices) => small::devices(),
        Some(Verb::Provenance(provenance)) => provenance.run(),
        Some(Verb::Completions(completions)) => completions.run(),
        Some(Verb::Window(window)) => window.run(),
        None => window::Window::default_run(),
    }
}
