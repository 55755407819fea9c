//! The figures: what they need is computed once for all that are asked for, and a document made of each.

mod of_attacks;
mod of_bound;
mod of_holes;
mod of_map;
mod of_plots;

pub use of_attacks::detection_plots;
pub use of_holes::{hole_picture, hole_provenance};
pub use of_map::map_data;
pub use of_plots::{interpolation_plots, population_plots};

use super::interpolate::{Interpolation, InterpolationSettings, Path, interpolate};
use super::interpolation_ends::default_ends;
use super::map::{Map, MapSettings, map};
use super::passes::{ComputedBy, check};
use super::population::{Population, PopulationSettings, population};
use super::{AttackSettings, Classifiers, Detection, ModelSet, Observer};
use crate::data::Dataset;
use crate::engine::Engine;
use crate::error::Result;
use crate::figure::{ColourMap, ColourRange, Content, Document, Figure, Members, Needs, Options, Style, range_of};
use crate::uncertainty::Measure;
use of_holes::Ground;
use serde::Serialize;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Everything that fixes figures, given the models.
#[derive(Clone, Debug, PartialEq)]
pub struct FigureSettings {
    /// The map under those of the latent plane; the members are those of a figure of all.
    pub map: MapSettings,
    /// The number of images along each curve between two.
    pub steps: usize,
    /// The number of pairs of images whose midpoints are looked at.
    pub pairs: usize,
    /// The mask seeds of the hole curve.
    pub seeds: usize,
    /// What attacks are shown of.
    pub attacks: AttackFigures,
    /// Sizes.
    pub style: Style,
    /// The colours; those that suit the figure for `None`.
    pub colours: Option<ColourMap>,
    /// What the colours stand for.
    pub range: ColourRange,
    /// Whether the figure's title stands above it.
    pub title: bool,
}

/// What fixes the attacks of figures.
#[derive(Clone, Debug, PartialEq)]
pub struct AttackFigures {
    /// How many images are attacked, the first of the data.
    pub images: usize,
    /// The budget, in L∞.
    pub epsilon: f64,
    /// Where attacked images are kept, as in [`DetectSettings`](super::DetectSettings).
    pub cache: Option<PathBuf>,
}

impl Default for AttackFigures {
    fn default() -> Self {
        Self { images: 200, epsilon: 0.3, cache: None }
    }
}

impl FigureSettings {
    /// The members that a figure is about, by number.
    fn members(&self, members: Members) -> Vec<usize> {
        match members {
            Members::One => self.map.members[..1].to_vec(),
            Members::All => self.map.members.clone(),
        }
    }

    /// How a figure is drawn, with the range that it shares.
    fn options(&self, figure: &Figure, shared: Option<[f32; 2]>) -> Options {
        Options {
            style: self.style,
            colours: self.colours.unwrap_or(figure.colours),
            range: self.range,
            shared,
            title: self.title.then(|| figure.title.to_owned()),
        }
    }
}

/// Loads the images that some figures are about; asked once, and only where a figure needs them.
pub type DataSource<'a> = &'a mut dyn FnMut() -> Result<Dataset>;

/// What figures are drawn from, as far as they need it: kept, it draws them again in other sizes, or others from the same.
#[derive(Default)]
pub struct Computed {
    /// The map's settings, steps, pairs and attacks that it was computed with.
    of: Option<(MapSettings, usize, usize, AttackFigures)>,
    map: Option<Map>,
    /// With the images at its ends, for the provenance.
    interpolation: Option<(Interpolation, Value)>,
    population: Option<Population>,
    ground: Option<Ground>,
    detection: Option<Detection>,
}

/// Computes figures. What `computed` holds of the same settings, for the same models and data, is not computed again.
///
/// # Errors
/// As [`map`], [`interpolate`] and [`population`], and when the models have no encodings, or the data no two classes, where a
/// figure needs them.
pub fn figures(
    set: &ModelSet,
    engine: &mut dyn Engine,
    data: DataSource<'_>,
    wanted: &[&'static Figure],
    settings: &FigureSettings,
    computed: &mut Computed,
    observe: Observer<'_>,
) -> Result<Vec<(&'static Figure, Document)>> {
    // What can be refused is refused before anything is computed or loaded.
    check(set, settings.map.samples, &settings.map.members)?;
    let of_holes = |figure: &&Figure| matches!(figure.needs, Needs::Garbage { .. } | Needs::HoleCurve { .. });
    if wanted.iter().any(|figure| of_holes(figure) || matches!(figure.needs, Needs::Map { scatter: true, .. })) {
        set.encodings()?;
    }
    // Of each kind, what the figure with the most members needs serves all.
    let members = |of: fn(Needs) -> Option<Members>| {
        wanted.iter().filter_map(|figure| of(figure.needs)).map(|members| settings.members(members)).max_by_key(Vec::len)
    };
    let of_map = members(|needs| match needs {
        Needs::Map { members, .. } | Needs::VarianceAndInformation { members } => Some(members),
        _ => None,
    });
    let of_interpolation = members(|needs| if let Needs::Interpolation { members, .. } = needs { Some(members) } else { None });
    let of_population = members(|needs| match needs {
        Needs::Population { members, .. } | Needs::EntropyAndInformation { members, .. } => Some(members),
        _ => None,
    });
    let MapSettings { samples, seed, masks, .. } = settings.map;
    let of = Some((settings.map.clone(), settings.steps, settings.pairs, settings.attacks.clone()));
    if computed.of != of {
        *computed = Computed { of, ..Computed::default() };
    }
    let of_map = of_map.filter(|members| computed.map.as_ref().is_none_or(|map| map.settings.members.len() < members.len()));
    let of_interpolation = of_interpolation
        .filter(|members| computed.interpolation.as_ref().is_none_or(|(curves, _)| curves.settings.members.len() < members.len()));
    let of_population =
        of_population.filter(|members| computed.population.as_ref().is_none_or(|pairs| pairs.settings.members.len() < members.len()));
    let of_attacks = of_attacks::wanted(set, wanted, settings);
    let missing = |asked: &AttackSettings| computed.detection.as_ref().is_none_or(|detection| of_attacks::row(detection, asked).is_none());
    let of_attacks = if of_attacks.iter().any(missing) { of_attacks } else { Vec::new() };
    if of_interpolation.is_some() || of_population.is_some() || !of_attacks.is_empty() {
        let data = data()?;
        if !of_attacks.is_empty() {
            computed.detection = Some(of_attacks::detection(set, engine, &data, of_attacks, settings, observe)?);
        }
        if let Some(members) = of_interpolation {
            let (ends, images) = default_ends(set, &data)?;
            let asked = InterpolationSettings { ends, steps: settings.steps, samples, members, seed, masks, paths: Path::ALL.to_vec() };
            computed.interpolation = Some((interpolate(set, engine, &asked, observe)?, images));
        }
        if let Some(members) = of_population {
            let asked = PopulationSettings { pairs: settings.pairs, samples, members, seed, masks };
            computed.population = Some(population(set, engine, &data, &asked, &mut |progress, _| observe(progress))?);
        }
    }
    if let Some(members) = of_map {
        computed.map = Some(map(set, engine, &MapSettings { members, ..settings.map.clone() }, observe)?);
    }
    if computed.ground.is_none() && wanted.iter().any(of_holes) {
        // Without images that the models take, decoded encodings are the reference.
        computed.ground = Some(Ground::new(set, engine, &settings.map, data().ok(), observe)?);
    }
    wanted.iter().map(|figure| Ok((*figure, document(set, engine, figure, (computed, wanted), settings, observe)?))).collect()
}

/// The measure (by key) that a figure is a map of, of which members, and that map.
fn mapped<'a>(figure: &Figure, computed: &'a Computed) -> Option<(&'static str, Members, &'a Map)> {
    match figure.needs {
        Needs::Map { measure, members, .. } => Some((measure, members, computed.map.as_ref()?)),
        Needs::Garbage { measure, .. } => Some((measure, Members::All, computed.ground.as_ref()?.map())),
        _ => None,
    }
}

/// The smallest and the largest finite value of a figure's measure on all maps that are drawn of it: one range for all, so that they
/// can be compared. `None`: the figure is not a map.
fn shared_range(figure: &Figure, wanted: &[&'static Figure], computed: &Computed, settings: &FigureSettings) -> Result<Option<[f32; 2]>> {
    let Some((measure, ..)) = mapped(figure, computed) else { return Ok(None) };
    let parsed = Measure::from_key(measure)?;
    let of_figure = |(of, members, map): (&str, Members, &Map)| {
        let places: Vec<usize> = (0..settings.members(members).len()).collect();
        if of == measure { map.measure(parsed, &places).as_deref().and_then(range_of) } else { None }
    };
    let all = wanted.iter().filter_map(|other| mapped(other, computed)).filter_map(of_figure);
    Ok(all.reduce(|[lowest, highest], [low, high]| [lowest.min(low), highest.max(high)]))
}

fn document(
    set: &ModelSet,
    engine: &mut dyn Engine,
    figure: &Figure,
    (computed, wanted): (&Computed, &[&'static Figure]),
    settings: &FigureSettings,
    observe: Observer<'_>,
) -> Result<Document> {
    let shared = shared_range(figure, wanted, computed, settings)?;
    match (figure.needs, computed) {
        (Needs::Map { measure, members, scatter }, Computed { map: Some(map), .. }) => {
            of_map::document(set, figure, (measure, settings.members(members), scatter), map, (settings, shared))
        }
        (Needs::Interpolation { measures, members }, Computed { interpolation: Some((interpolation, images)), .. }) => {
            of_plots::interpolation(set, figure, (measures, settings.members(members)), (interpolation, images), settings)
        }
        (Needs::Population { measures, members }, Computed { population: Some(population), .. }) => {
            of_plots::population(set, figure, (measures, settings.members(members)), population, settings)
        }
        (Needs::Garbage { measure, images }, Computed { ground: Some(ground), .. }) => {
            let found = ground.garbage(engine, measure, images, observe)?;
            of_holes::document(set, figure, &found, ground.map(), (settings, shared))
        }
        (Needs::HoleCurve { measure }, Computed { ground: Some(ground), .. }) => {
            let found = ground.curve(set, engine, (measure, settings.seeds), observe)?;
            of_holes::document(set, figure, &found, ground.map(), (settings, shared))
        }
        (Needs::AttackedImages { method }, Computed { detection: Some(detection), .. }) => {
            of_attacks::images(set, figure, method, detection, settings)
        }
        (Needs::Detection { method, on, measures }, Computed { detection: Some(detection), .. }) => {
            of_attacks::curves(set, figure, (method, on, measures), detection, settings)
        }
        (Needs::VarianceAndInformation { members }, Computed { map: Some(map), .. }) => {
            of_plots::variance_and_information(set, figure, settings.members(members), map, settings)
        }
        (Needs::EntropyAndInformation { method, members }, Computed { population: Some(population), detection: Some(detection), .. }) => {
            of_bound::document(set, figure, (method, settings.members(members)), (population, detection), settings)
        }
        (needs, _) => unreachable!("{needs:?} has been computed"),
    }
}

/// The document of a figure that shares no range.
fn drawn(figure: &Figure, content: Content<'_>, settings: &FigureSettings, provenance: Value) -> Result<Document> {
    drawn_in_range(figure, content, (settings, None), provenance)
}

/// The document of a figure, and the fitted range that it shares with others.
fn drawn_in_range(
    figure: &Figure,
    content: Content<'_>,
    (settings, shared): (&FigureSettings, Option<[f32; 2]>),
    provenance: Value,
) -> Result<Document> {
    Ok(Document { title: figure.title.to_owned(), canvas: figure.draw(content, &settings.options(figure, shared))?, provenance })
}

/// What made a result: the program, the engine, the settings, the VAE and the members of these numbers; `more` is added at the top.
pub fn provenance(set: &ModelSet, by: &ComputedBy, settings: &impl Serialize, members: &[usize], more: &Value) -> Value {
    let classifiers = Classifiers::of(set);
    let mut all = classifier_provenance(&classifiers, by, settings, members);
    let vae = set.descriptions[0].name();
    all["models"][vae] = set.hashes[vae].clone().into();
    if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
        all.extend(more.clone());
    }
    all
}

/// What made a result without a VAE: the program, the engine, the settings and the members of these numbers.
pub(in crate::jobs) fn classifier_provenance(
    classifiers: &Classifiers,
    by: &ComputedBy,
    settings: &impl Serialize,
    members: &[usize],
) -> Value {
    let names = members.iter().map(|&member| classifiers.ensemble().members()[member].name.as_str());
    let hashes: serde_json::Map<String, Value> = names.map(|name| (name.to_owned(), classifiers.hashes[name].clone().into())).collect();
    json!({
        "program": "epistemap", "version": env!("CARGO_PKG_VERSION"), "engine": by.to_string(), "settings": settings, "models": hashes,
    })
}
