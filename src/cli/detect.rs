//! `epistemap detect`: whether uncertainty notices attacks, and unfamiliar images.

use super::attack::{ClassifierOptions, Method};
use super::progress::Bar;
use super::shard::ShardOptions;
use super::shared::{DataOptions, choice, first_images, number, print, print_json};
use crate::attack::{self, Norm};
use crate::data::{Dataset, Split};
use crate::error::{Error, Result};
use crate::files;
use crate::jobs::library::{CATS_DOGS_MISSING, cats_dogs};
use crate::jobs::{
    self, AttackSettings, DetectSettings, NoiseControl, On, ScoreFile, TABLE1_IMAGES, cache_folder, scored_csv, scored_text, self_checks,
    table1_attacks,
};
use crate::nets::Ensemble;
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::{Path, PathBuf};

/// `epistemap detect`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub struct Detect {
    #[command(flatten)]
    classifiers: ClassifierOptions,
    /// The data set, or a folder as `epistemap train` takes it, whose test images are attacked [default: that of the
    /// models' classes].
    #[arg(long, value_name = "NAME|DIR")]
    dataset: Option<String>,
    #[command(flatten)]
    data: DataOptions,
    /// A table of the paper: table1 has its attacks on photographs, with its budgets and steps, and stronger ones, on the models of cats and dogs
    /// where no others are named.
    #[arg(long, value_enum, conflicts_with_all = ["methods", "norm", "eps", "on", "csv"])]
    preset: Option<Preset>,
    /// How many images are attacked, the first ones [default: 1000, or all where there are fewer; 200 for table1].
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    /// Attack images of this class only.
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// The attacks, with commas between them. What an attack cannot do is left out: mi-evading on the deterministic network.
    #[arg(
        long = "attacks",
        alias = "method",
        value_name = "LIST",
        value_parser = PossibleValuesParser::new(attack::all().iter().map(|attack| attack.name())),
        value_delimiter = ',',
        default_value = "fgm,bim,mim"
    )]
    methods: Vec<String>,
    /// How a change is measured.
    #[arg(long, value_parser = choice(Norm::ALL.map(Norm::key), |key| Norm::from_key(key).ok()), default_value = "linf")]
    norm: Norm,
    /// The budgets, with commas between them, such as 0.1 or 8/255.
    #[arg(long, value_name = "E", value_delimiter = ',', default_value = "0.1,0.2,0.3", value_parser = number, allow_hyphen_values = true)]
    eps: Vec<f64>,
    /// Whose answers are attacked, with commas between them.
    #[arg(long, value_parser = choice(On::ALL.map(On::key), On::from_key), value_delimiter = ',', default_value = "deterministic,mc,ensemble")]
    on: Vec<On>,
    #[command(flatten)]
    how: Method,
    /// Also tell the test images of another data set from these.
    #[arg(long, value_name = "NAME")]
    unfamiliar: Option<String>,
    /// The seeds of dropout masks that measure the same attacked images, for the spread of AUROC over them; 1 for none.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    seeds: u32,
    /// The noise controls: noise of the L2 norm of the attack (matched), or the noise of the paper's code, which destroys the image (published)
    /// [default: matched; published for photographs that are attacked as published].
    #[arg(long, value_parser = choice(NoiseControl::ALL.map(NoiseControl::key), NoiseControl::from_key))]
    noise: Option<NoiseControl>,
    /// Resamples behind each 95 % interval.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    resamples: u32,
    /// Where attacked images are kept from run to run [default: the user's cache directory].
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    cache: Option<PathBuf>,
    /// Keep no attacked images.
    #[arg(long)]
    no_cache: bool,
    /// Do not run the checks of the attacks, some variations of them on a few images.
    #[arg(long)]
    no_checks: bool,
    /// Print JSON: every number.
    #[arg(long, conflicts_with_all = ["csv", "latex"])]
    json: bool,
    /// Print CSV: every number.
    #[arg(long, conflicts_with = "latex")]
    csv: bool,
    /// Print the paper's table for LaTeX.
    #[arg(long)]
    latex: bool,
    /// Write the scores of every image and version into this file, .csv or .npz: a column for each measure and detector, for scikit-learn and
    /// others. Shards have none: name the file where they are merged.
    #[arg(long, value_name = "FILE", conflicts_with = "shard")]
    pub scores: Option<PathBuf>,
    /// Compute the table of the scores in this file, .csv or .npz, as --scores writes it; every other column of numbers is a detector too.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["latex", "scores", "unfamiliar", "methods", "eps", "on", "images", "class", "dataset"])]
    from_scores: Option<PathBuf>,
    /// Write what would be printed into this file instead.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    pub shard: ShardOptions,
}

/// Whether scores go into an npz file, rather than CSV, by the file's name.
fn is_npz(path: &Path) -> Result<bool> {
    match path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("npz") => Ok(true),
        Some("csv") => Ok(false),
        _ => Err(Error::file(path, "has no ending that says the format of the scores", "end the name in .csv or .npz")),
    }
}

/// Images that are attacked where nobody says how many.
const IMAGES: usize = 1000;

/// Tables of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Preset {
    /// Attacks on a transferred network on photographs of cats and dogs.
    Table1,
}

impl Detect {
    /// Runs the verb.
    ///
    /// # Errors
    /// When an option makes no sense, models or data are missing or damaged, or a file cannot be written.
    pub fn run(mut self) -> Result<()> {
        if let Some(path) = &self.from_scores {
            return self.of_scores(path);
        }
        if self.preset.is_some() && self.classifiers.models.is_none() {
            let missing = || Error::setting("--preset", CATS_DOGS_MISSING, "or name models with --models DIR");
            self.classifiers.models = Some(cats_dogs().ok_or_else(missing)?);
        }
        let scores_as_npz = self.scores.as_deref().map(is_npz).transpose()?.unwrap_or(false);
        let (classifiers, engine) = self.classifiers.open()?;
        let classes = classifiers.ensemble().classes().len();
        let mut engine = self.shard.engine(engine, classes, &classifiers.hashes)?;
        // A shard has no use for what the VAE alone says.
        let manifold = if self.shard.shard.is_some() { None } else { self.classifiers.manifold() };
        let mut attacks = match self.preset {
            Some(Preset::Table1) => table1_attacks(
                |method, norm, epsilon| self.how.settings(method, norm, epsilon),
                self.how.samples,
                &self.how.members(&classifiers, On::Mc)?,
            ),
            None => Vec::new(),
        };
        attacks.iter().try_for_each(|settings| settings.check(&classifiers))?;
        for &on in self.on.iter().filter(|_| self.preset.is_none()) {
            let members = self.how.members(&classifiers, on)?;
            for method in &self.methods {
                // An attack without meaning for a victim is left out where others remain.
                if method == "mi-evading" && on == On::Deterministic && self.methods.len() * self.on.len() > 1 {
                    continue;
                }
                for &epsilon in &self.eps {
                    let attack = self.how.settings(method, self.norm, epsilon);
                    let settings = AttackSettings { attack, on, members: members.clone(), samples: self.how.samples };
                    settings.check(&classifiers)?;
                    attacks.push(settings);
                }
            }
        }
        let is_colour = classifiers.ensemble().image_shape().first() == Some(&3);
        let usual = if self.how.as_published && is_colour { NoiseControl::Published } else { NoiseControl::Matched };
        let noise = self.noise.unwrap_or(usual);
        // A part holds the images that its shard attacked; a merge finds them where it puts them.
        let of_parts = (self.shard.shard.is_some() || self.shard.is_merge()).then(tempfile::tempdir).transpose();
        let of_parts = of_parts.map_err(|error| Error::io(&std::env::temp_dir(), &error))?;
        let cache = match &of_parts {
            Some(folder) if self.shard.shard.is_none() || self.cache.is_none() => {
                self.shard.unpack(folder.path())?;
                Some(folder.path().to_owned())
            }
            _ if self.no_cache => None,
            _ => self.cache.clone().or_else(cache_folder),
        };
        let settings = DetectSettings { attacks, resamples: self.resamples, seeds: self.seeds, noise, shard: self.shard.shard, cache };
        let data = self.images(classifiers.ensemble())?;
        let other = self.unfamiliar.as_ref().map(|name| self.data.load(name, Split::Test)).transpose()?;
        let other = other.map(|other| if other.len() > data.len() { other.slice(0..data.len()) } else { other });
        for out in self.out.iter().chain(&self.scores) {
            files::create_folder_of(out)?;
        }

        let bar = Bar::without_unit();
        let mut follow = bar.follow();
        let mut found = jobs::detect(&classifiers, engine.as_mut(), manifold.as_ref(), &data, &settings, &mut follow)?;
        if let Some(other) = &other {
            let mut on: Vec<(On, Vec<usize>)> = Vec::new();
            for &of in &self.on {
                let members = self.how.members(&classifiers, of)?;
                // Every measure is of the draws and the passes of some members: the same for all who are measured by them.
                if on.iter().all(|(_, others)| *others != members) {
                    on.push((of, members));
                }
            }
            let fixed = (self.how.samples, self.how.seed.seed, self.resamples);
            found.unfamiliar = jobs::unfamiliar(&classifiers, engine.as_mut(), manifold.as_ref(), [&data, other], &on, fixed, &mut follow)?;
        }
        // The checks run new attacks, for which the parts hold no answers.
        if !self.no_checks && self.shard.shard.is_none() && !self.shard.is_merge() {
            for row in found.checked_rows() {
                let images = data.images();
                for failure in self_checks(&classifiers, engine.as_mut(), (&images, data.image_shape), &row.attacked, &mut follow)? {
                    bar.say(&format!("Check of {}: {failure}", row.attacked.settings.on.key()));
                }
            }
        }
        drop(follow);
        drop(bar);
        if self.shard.finish(engine.as_ref(), &classifiers.hashes, self.out.as_deref(), found.settings.cache.as_deref())? {
            return Ok(());
        }
        if let Some(path) = &self.scores {
            let bytes = if scores_as_npz { found.scores_npz(path, &classifiers)? } else { found.scores_csv(&classifiers).into_bytes() };
            files::write_through(path, &bytes)?;
        }
        let text = match () {
            () if self.json && self.out.is_none() => return print_json(&found.to_json(&classifiers)),
            () if self.json => format!("{:#}\n", found.to_json(&classifiers)),
            () if self.csv => found.to_csv(&classifiers),
            () if self.latex && self.preset.is_some() => found.to_table1_latex(&classifiers),
            () if self.latex => found.to_latex(&classifiers),
            () if self.preset.is_some() => found.to_table1(),
            () => found.to_text(),
        };
        self.deliver(&text)
    }

    /// The table of scores in a file.
    fn of_scores(&self, path: &Path) -> Result<()> {
        let lines = ScoreFile::read(path)?.table(path, self.resamples, self.how.seed.seed)?;
        match () {
            () if self.json => self.deliver(&format!("{:#}\n", json!({ "scores": path, "detection": lines }))),
            () if self.csv => self.deliver(&scored_csv(&lines)),
            () => self.deliver(&scored_text(&lines)),
        }
    }

    /// Writes or prints what was computed.
    fn deliver(&self, text: &str) -> Result<()> {
        match &self.out {
            Some(out) => {
                files::create_folder_of(out)?;
                files::write_through(out, text.as_bytes())
            }
            None => print(text.trim_end()),
        }
    }

    /// The images to attack, of the classes that the models know.
    fn images(&self, ensemble: &Ensemble) -> Result<Dataset> {
        let mut data = self.data.load_of(ensemble, self.dataset.as_deref(), Split::Test)?;
        if let Some(name) = &self.class {
            let class = data.classes.iter().position(|class| class == name).ok_or_else(|| {
                let mend = format!("choose one of {}", data.classes.join(", "));
                Error::setting("--class", format!("'{name}' is no class of {}", data.name), mend)
            })?;
            let of_class: Vec<usize> = (0..data.len()).filter(|&image| usize::from(data.labels[image]) == class).collect();
            if of_class.is_empty() {
                let problem = format!("{} has no image of the class '{name}'", data.name);
                return Err(Error::setting("--class", problem, "choose another class"));
            }
            data = data.subset(&of_class);
        }
        let usual = if self.preset.is_some() { TABLE1_IMAGES } else { IMAGES };
        let wanted = self.images.unwrap_or(usual.min(data.len()));
        first_images(data, Some(wanted))
    }
}
