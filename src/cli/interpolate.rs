//! `epistemap interpolate`: from one image to another, or the midpoints between many.

use super::drawing::Drawing;
use super::map_options::DrawOptions;
use super::progress::Bar;
use super::shared::{ModelOptions, TestImages, choice, pair, print, print_json};
use crate::analysis::detection::Estimate;
use crate::data::Dataset;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::figure::{Document, Format, check_dpi, plots};
use crate::files;
use crate::jobs::{
    End, Interpolation, InterpolationSettings, ModelSet, Path as Way, Population, PopulationSettings, default_ends, first_of_another_class,
    image_end, interpolate, interpolation_plots, population, population_plots, provenance, typical_image,
};
use crate::numbers::{counted, fixed, with_sign};
use crate::uncertainty::Measure;
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// `epistemap interpolate`.
#[derive(Debug, Args)]
pub struct Interpolate {
    /// Begin at a point of the latent plane [default: the first image of the data, of another class than the end where that is an image].
    #[arg(long, value_name = "Z1,Z2", value_parser = pair::<f64>, allow_hyphen_values = true, group = "first")]
    from: Option<[f64; 2]>,
    /// End at a point of the latent plane [default: the first image of another class than the beginning].
    #[arg(long, value_name = "Z1,Z2", value_parser = pair::<f64>, allow_hyphen_values = true, group = "last")]
    to: Option<[f64; 2]>,
    /// Begin at the most typical test image of a class, by its name or number.
    #[arg(long, value_name = "CLASS", group = "first")]
    from_class: Option<String>,
    /// End at the most typical test image of a class.
    #[arg(long, value_name = "CLASS", group = "last")]
    to_class: Option<String>,
    /// Begin at the test image of this number, the first being 0.
    #[arg(long, value_name = "N", group = "first")]
    from_index: Option<usize>,
    /// End at the test image of this number.
    #[arg(long, value_name = "N", group = "last")]
    to_index: Option<usize>,
    /// Images along each curve.
    #[arg(long, value_name = "N", default_value_t = 15)]
    steps: usize,
    /// The ways to go, with commas between them.
    #[arg(long, value_parser = choice(Way::ALL.map(Way::key), Way::named), value_delimiter = ',', default_value = "latent,pixel,geodesic")]
    paths: Vec<Way>,
    /// Look at the midpoints between N random pairs of images of different classes instead [default: 3000].
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "3000", conflicts_with_all = ["first", "last", "steps", "paths"])]
    population: Option<usize>,
    #[command(flatten)]
    draws: DrawOptions,
    #[command(flatten)]
    images: TestImages,
    #[command(flatten)]
    models: ModelOptions,
    /// Print everything as JSON.
    #[arg(long)]
    json: bool,
    /// Where to write; the extension says how: csv and json hold every measure, png, svg and pdf draw some.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The measures to draw and to list, with commas between them.
    #[arg(long, value_parser = choice(Measure::ALL.map(Measure::key), |key| Measure::from_key(key).ok()), value_delimiter = ',', default_value = "predictive_entropy,mutual_information")]
    measures: Vec<Measure>,
    #[command(flatten)]
    drawing: Drawing,
}

/// What was computed.
enum Computed {
    /// With the images at its ends.
    Curves(Interpolation, Value),
    Midpoints(Population),
}

impl Interpolate {
    /// Runs the verb.
    ///
    /// # Errors
    /// When an option makes no sense, models or data are missing or damaged, or the file cannot be written.
    pub fn run(self) -> Result<()> {
        let extension = self.out.as_deref().and_then(Path::extension).and_then(|extension| extension.to_str()).unwrap_or_default();
        let extension = extension.to_ascii_lowercase();
        let format = Format::named(&extension);
        if let (Some(out), None, false) = (&self.out, format, ["csv", "json"].contains(&extension.as_str())) {
            let problem = format!("'.{extension}' is no format of interpolations");
            return Err(Error::file(out, problem, "end the name in .csv, .json, .png, .svg or .pdf"));
        }
        check_dpi(self.drawing.dpi)?;
        let (set, mut engine) = self.models.open()?;
        let computed = match self.population {
            Some(pairs) => self.midpoints(&set, engine.as_mut(), pairs)?,
            None => self.curves(&set, engine.as_mut())?,
        };
        let provenance = computed.provenance(&set);
        if let Some(out) = &self.out {
            files::create_folder_of(out)?;
            match format {
                Some(format) => self.drawn(&set, &computed, provenance.clone())?.write(out, format, self.drawing.dpi)?,
                None if extension == "csv" => files::write_through(out, computed.csv(&provenance).as_bytes())?,
                None => files::write_through(out, computed.json(&provenance)?.to_string().as_bytes())?,
            }
        }
        match (self.json, &self.out) {
            (true, _) => print_json(&computed.json(&provenance)?),
            (false, None) => print(&self.table(&computed)?),
            (false, Some(_)) => Ok(()),
        }
    }

    fn curves(&self, set: &ModelSet, engine: &mut dyn Engine) -> Result<Computed> {
        let load = || self.images.load(set);
        let first = Choice { option: "from", z: self.from, class: self.from_class.as_deref(), index: self.from_index };
        let last = Choice { option: "to", z: self.to, class: self.to_class.as_deref(), index: self.to_index };
        let (ends, images) = match [&first, &last].map(Choice::is_made) {
            [false, false] => default_ends(set, &load()?)?,
            [true, true] => {
                let data = if first.needs_data() || last.needs_data() { Some(load()?) } else { None };
                let ((from, a, _), (to, b, _)) = (first.end(set, data.as_ref())?, last.end(set, data.as_ref())?);
                ([from, to], json!([a, b]))
            }
            [true, false] => {
                let data = load()?;
                let (from, a, image) = first.end(set, Some(&data))?;
                let (to, b) = image_end(set, &data, first_of_another_class(&data, image.unwrap_or(0))?)?;
                ([from, to], json!([a, b]))
            }
            [false, true] => {
                let data = load()?;
                let (to, b, image) = last.end(set, Some(&data))?;
                let (from, a) = image_end(set, &data, image.map_or(Ok(0), |image| first_of_another_class(&data, image))?)?;
                ([from, to], json!([a, b]))
            }
        };
        let settings = InterpolationSettings {
            ends,
            steps: self.steps,
            samples: self.draws.samples,
            members: self.draws.members(set)?,
            seed: self.draws.seed.seed,
            masks: self.draws.masks(),
            paths: self.paths.clone(),
        };
        let bar = Bar::new(0, "images");
        Ok(Computed::Curves(interpolate(set, engine, &settings, &mut bar.follow())?, images))
    }

    fn midpoints(&self, set: &ModelSet, engine: &mut dyn Engine, pairs: usize) -> Result<Computed> {
        let settings = PopulationSettings {
            pairs,
            samples: self.draws.samples,
            members: self.draws.members(set)?,
            seed: self.draws.seed.seed,
            masks: self.draws.masks(),
        };
        let data = self.images.load(set)?;
        let bar = Bar::new(pairs as u64, "pairs");
        let mut follow = bar.follow();
        population(set, engine, &data, &settings, &mut |progress, _| follow(progress)).map(Computed::Midpoints)
    }

    fn drawn(&self, set: &ModelSet, computed: &Computed, provenance: Value) -> Result<Document> {
        let (places, shape) = (computed.places(), set.ensemble().image_shape());
        let (title, (strips, panels)) = match computed {
            Computed::Curves(interpolation, _) => {
                ("Between two images", interpolation_plots(interpolation, [shape[0], shape[1], shape[2]], &self.measures, &places))
            }
            Computed::Midpoints(population) => {
                ("Midpoints between many pairs of images", (Vec::new(), population_plots(population, &self.measures, &places)?))
            }
        };
        Ok(Document { title: title.to_owned(), canvas: plots(&strips, &panels, &self.drawing.options())?, provenance })
    }

    /// For a person: the measures along the curves, or how well they separate the midpoints.
    fn table(&self, computed: &Computed) -> Result<String> {
        let places = computed.places();
        let mut lines = Vec::new();
        match computed {
            Computed::Curves(interpolation, _) => {
                for &measure in &self.measures {
                    let columns: Vec<Vec<f32>> = interpolation.curves.iter().map(|curve| curve.measure(measure, &places)).collect();
                    let names: Vec<String> = interpolation.curves.iter().map(|curve| format!("{:>10}", curve.path.label())).collect();
                    lines.push(format!("{:<28}{}", named(measure), names.concat()));
                    for (step, t) in interpolation.positions().into_iter().enumerate() {
                        let values: Vec<String> = columns.iter().map(|column| format!("{:>10}", fixed(column[step].into(), 4))).collect();
                        lines.push(format!("{t:<28.3}{}", values.concat()));
                    }
                }
            }
            Computed::Midpoints(population) => {
                lines.push(format!("Midpoints between {} of images of {}", counted(population.done as u64, "pair"), population.dataset));
                let (defined, undefined): (Vec<Measure>, Vec<Measure>) =
                    self.measures.iter().partition(|&&measure| population.undefined(measure, &places).is_none());
                let estimates = population.compare(&defined, &places)?;
                for (&measure, [area, difference]) in defined.iter().zip(&estimates) {
                    let mut line = format!("{:<28}AUROC {:.3}{}", named(measure), area.value, interval(*area));
                    if measure != defined[0] {
                        let [first, other] = [defined[0], measure].map(|measure| measure.label().to_lowercase());
                        let difference = format!("{}{}", with_sign(difference.value, 3), interval(*difference));
                        let _ = write!(line, "; paired difference, {first} minus {other}: {difference}");
                    }
                    lines.push(line);
                }
                for measure in undefined {
                    lines.push(format!("{:<28}AUROC {}", named(measure), population.auroc_text(measure, &places)?));
                }
                lines.push("AUROC: how well the measure tells midpoints in pixel space, the positives, from those in latent space. In brackets 95 % intervals; pairs that share an image count as dependent (dyadic-robust).".to_owned());
            }
        }
        Ok(lines.join("\n"))
    }
}

/// The 95 % interval of a number in brackets, where there is one.
fn interval(estimate: Estimate) -> String {
    estimate.interval().map_or_else(String::new, |[low, high]| format!(" [{}, {}]", fixed(low, 3), fixed(high, 3)))
}

fn named(measure: Measure) -> String {
    if measure.unit().is_empty() { measure.label().to_owned() } else { format!("{} ({})", measure.label(), measure.unit()) }
}

/// An end as a person chooses it.
struct Choice<'a> {
    option: &'static str,
    z: Option<[f64; 2]>,
    class: Option<&'a str>,
    index: Option<usize>,
}

impl Choice<'_> {
    fn is_made(&self) -> bool {
        self.z.is_some() || self.needs_data()
    }

    fn needs_data(&self) -> bool {
        self.class.is_some() || self.index.is_some()
    }

    /// The end, and the image that it is, described and as its number (null and `None` for a point of the plane).
    fn end(&self, set: &ModelSet, data: Option<&Dataset>) -> Result<(End, Value, Option<usize>)> {
        let image = |data: &Dataset, number: usize| {
            let (end, what) = image_end(set, data, number)?;
            Ok((end, what, Some(number)))
        };
        match (self.class, self.index, self.z, data) {
            (Some(class), _, _, Some(data)) => image(data, self.of_class(class, set, data)?),
            (_, Some(index), _, Some(data)) if index < data.len() => image(data, index),
            (_, Some(index), _, Some(data)) => {
                let (problem, mend) =
                    (format!("{} has no image {index}", data.name), format!("give a number from 0 to {}", data.len() - 1));
                Err(Error::setting(format!("--{}-index", self.option), problem, mend))
            }
            (_, _, Some(z), _) => Ok((End::at(z), Value::Null, None)),
            _ => unreachable!("a choice has been made, and its data loaded"),
        }
    }

    /// The number of the typical image of a class, which has that name or number.
    fn of_class(&self, class: &str, set: &ModelSet, data: &Dataset) -> Result<usize> {
        let by_name = data.classes.iter().position(|name| name.eq_ignore_ascii_case(class));
        let number = by_name.or_else(|| class.parse().ok());
        let image = match number {
            Some(number) => typical_image(set, data, number)?,
            None => None,
        };
        image.ok_or_else(|| {
            let names: Vec<&str> = data.classes.iter().take(20).map(String::as_str).collect();
            let problem = format!("{} has no image of a class '{class}'", data.name);
            Error::setting(format!("--{}-class", self.option), problem, format!("choose one of {}", names.join(", ")))
        })
    }
}

impl Computed {
    fn places(&self) -> Vec<usize> {
        let members = match self {
            Self::Curves(interpolation, _) => &interpolation.settings.members,
            Self::Midpoints(population) => &population.settings.members,
        };
        (0..members.len()).collect()
    }

    fn provenance(&self, set: &ModelSet) -> Value {
        match self {
            Self::Curves(of, images) => provenance(set, &of.by(), &of.settings, &of.settings.members, &json!({ "images": images })),
            Self::Midpoints(of) => provenance(set, &of.by(), &of.settings, &of.settings.members, &json!({ "dataset": of.dataset })),
        }
    }

    fn json(&self, provenance: &Value) -> Result<Value> {
        match self {
            Self::Curves(interpolation, _) => Ok(interpolation.to_json(provenance)),
            Self::Midpoints(population) => population.to_json(provenance),
        }
    }

    fn csv(&self, provenance: &Value) -> String {
        match self {
            Self::Curves(interpolation, _) => interpolation.to_csv(provenance),
            Self::Midpoints(population) => population.to_csv(provenance),
        }
    }
}
