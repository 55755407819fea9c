//! `epistemap figures`: the paper's figures.

use super::drawing::Drawing;
use super::map_options::MapOptions;
use super::progress::Bar;
use super::shared::{ModelOptions, TestImages, choice, number, say};
use crate::error::Result;
use crate::figure::{self, Figure, Format, Members, check_dpi};
use crate::files;
use crate::jobs::{AttackFigures, Computed, CurveSettings, FigureSettings, cache_folder, figures};
use clap::{Args, Parser};
use std::path::PathBuf;

/// `epistemap figures`.
#[derive(Debug, Args)]
pub struct Figures {
    /// Which figures [default: all]; --list names them.
    #[arg(value_parser = choice(figure::all().iter().map(|figure| figure.name), Figure::named))]
    names: Vec<&'static Figure>,
    /// List the figures and do nothing else.
    #[arg(long)]
    list: bool,
    /// The folder to write to.
    #[arg(long, value_name = "DIR", default_value = "figures")]
    out: PathBuf,
    /// The formats, with commas between them.
    #[arg(long, value_parser = choice(Format::ALL.map(Format::extension), Format::named), value_delimiter = ',', default_value = "png,pdf")]
    format: Vec<Format>,
    /// Put each figure's title above it (papers have none: there the caption says it).
    #[arg(long)]
    title: bool,
    #[command(flatten)]
    map: MapOptions,
    /// Points along each curve of figure 2, of which the strips show 15.
    #[arg(long, value_name = "N", default_value_t = 113)]
    steps: usize,
    /// Pairs of images of figure 3.
    #[arg(long, value_name = "N", default_value_t = 3000)]
    pairs: usize,
    /// Mask seeds of the figure hole-curve, which takes most of the time of all figures.
    #[arg(long, value_name = "N", default_value_t = CurveSettings::default().seeds)]
    seeds: usize,
    /// Images that are attacked for figures 7 to 14.
    #[arg(long, value_name = "N", default_value_t = AttackFigures::default().images)]
    attacked: usize,
    /// The budget of these attacks, in L∞.
    #[arg(long, value_name = "E", default_value_t = AttackFigures::default().epsilon, value_parser = number, allow_hyphen_values = true)]
    eps: f64,
    #[command(flatten)]
    images: TestImages,
    #[command(flatten)]
    models: ModelOptions,
    #[command(flatten)]
    drawing: Drawing,
}

impl Figures {
    /// All figures with the default settings.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn default_run() -> Result<()> {
        #[derive(Parser)]
        struct Defaults {
            #[command(flatten)]
            figures: Figures,
        }
        Defaults::parse_from(["epistemap"]).figures.run()
    }

    /// Runs the verb.
    ///
    /// # Errors
    /// When an option makes no sense, a model is damaged, or a file cannot be written.
    pub fn run(self) -> Result<()> {
        if self.list {
            let lines: Vec<String> = figure::all().iter().map(|figure| format!("{}: {}", figure.name, figure.summary)).collect();
            return super::shared::print(&lines.join("\n"));
        }
        let wanted = if self.names.is_empty() { figure::all().iter().collect() } else { self.names };
        check_dpi(self.drawing.dpi)?;
        let (set, mut engine) = self.models.open()?;
        let map = self.map.settings(&set, false)?;
        files::create_folder(&self.out)?;
        if self.map.has_members()
            && let [first, _, ..] = map.members[..]
        {
            let name = &set.ensemble().members()[first].name;
            let single = wanted.iter().filter(|figure| figure.needs.members() == Some(Members::One)).map(|figure| figure.name);
            let single: Vec<&str> = single.collect();
            if !single.is_empty() {
                say(&format!("{}: only the first network of --members, {name}, is shown.", single.join(", ")));
            }
        }
        let bar = Bar::new(map.view.len() as u64, "points");
        let settings = FigureSettings {
            map,
            steps: self.steps,
            pairs: self.pairs,
            seeds: self.seeds,
            attacks: AttackFigures { images: self.attacked, epsilon: self.eps, cache: cache_folder() },
            style: self.drawing.style(),
            colours: self.drawing.colours,
            range: self.drawing.range(),
            title: self.title,
        };
        let mut data = || self.images.load(&set);
        for (figure, document) in
            figures(&set, engine.as_mut(), &mut data, &wanted, &settings, &mut Computed::default(), &mut bar.follow())?
        {
            for &format in &self.format {
                let path = self.out.join(format!("{}.{}", figure.name, format.extension()));
                files::write_atomically(&path, &document.encode(format, self.drawing.dpi)?)?;
                bar.say(&format!("{}: {}", path.display(), figure.summary));
            }
        }
        Ok(())
    }
}
