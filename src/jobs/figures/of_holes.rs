//! Holes on the map, garbage images from them, and the curve of their area.

use super::super::holes::{CurvePoint, CurveSettings, Garbage, HoleSettings, Holes, Reference, garbage, hole_curve, holes, reference};
use super::super::map::{Map, MapSettings};
use super::super::{ModelSet, Observer};
use super::{FigureSettings, drawn_in_range, map_data, provenance};
use crate::engine::Engine;
use crate::error::Result;
use crate::figure::{Axis, Canvas, Card, Content, Document, Figure, Layers, MapData, Options, Panel, Plot, Series, gallery};
use crate::latent::Surroundings;
use crate::uncertainty::Measure;
use serde_json::{Value, json};

/// How many peaks are numbered on a map without garbage images.
const NUMBERED: usize = 9;

/// What a figure of holes shows, and how it was sought.
pub(super) enum Found {
    Garbage(Holes, Vec<Garbage>),
    Curve(HoleSettings, CurveSettings, Vec<CurvePoint>),
}

/// What holes of a map are sought with.
pub(super) struct Ground {
    pub surroundings: Surroundings,
    pub reference: Reference,
}

impl Ground {
    pub fn new(set: &ModelSet, engine: &mut dyn Engine, settings: &MapSettings, observe: Observer<'_>) -> Result<Self> {
        let surroundings = Surroundings::new(&set.encodings()?.train);
        Ok(Self { surroundings, reference: reference(set, engine, settings, HoleSettings::default().reference, observe)? })
    }

    /// Garbage images of the first holes by a measure (by key).
    pub fn garbage(&self, engine: &mut dyn Engine, map: &Map, measure: &str, images: usize, observe: Observer<'_>) -> Result<Found> {
        let settings = HoleSettings { measure: Measure::from_key(measure)?, ..HoleSettings::default() };
        let places: Vec<usize> = (0..map.settings.members.len()).collect();
        let found = holes(map, &self.reference, &self.surroundings, &settings, &places)?;
        let first = 0..images.min(found.list.len());
        let images = first.map(|hole| garbage(engine, map, &found, hole, &self.surroundings, observe)).collect::<Result<_>>()?;
        Ok(Found::Garbage(found, images))
    }

    /// The curve of a measure (by key).
    pub fn curve(&self, map: &Map, measure: &str, observe: Observer<'_>) -> Result<Found> {
        let settings = HoleSettings { measure: Measure::from_key(measure)?, ..HoleSettings::default() };
        let curve = CurveSettings { seed: map.settings.seed, ..CurveSettings::default() };
        Ok(Found::Curve(settings, curve, hole_curve(map, &self.reference, &self.surroundings, &settings, &curve, observe)?))
    }
}

/// The document of a figure of holes.
pub(super) fn document(
    set: &ModelSet,
    figure: &Figure,
    found: &Found,
    map: &Map,
    ranged: (&FigureSettings, Option<[f32; 2]>),
) -> Result<Document> {
    let made = |holes: &HoleSettings, curve: Option<&CurveSettings>| {
        let mut all = hole_provenance(set, map, holes, curve);
        all["figure"] = figure.name.into();
        all
    };
    match found {
        Found::Garbage(holes, garbage) => {
            let data = map_data(map, holes.settings.measure, &holes.places)?;
            let panel = panel(&data, holes, garbage);
            let content = Content::Gallery { panel: &panel, cards: &cards(set, holes, garbage), image_shape: image_shape(set) };
            drawn_in_range(figure, content, ranged, made(&holes.settings, None))
        }
        Found::Curve(of, curve, points) => {
            let plots = [curve_plot(points)];
            let content = Content::Plots { strips: &[], plots: &plots };
            drawn_in_range(figure, content, ranged, made(of, Some(curve)))
        }
    }
}

/// What made a list of holes, and its curve where it has one.
pub fn hole_provenance(set: &ModelSet, map: &Map, settings: &HoleSettings, curve: Option<&CurveSettings>) -> Value {
    let mut more = json!({ "holes": settings });
    if let Some(curve) = curve {
        more["curve"] = json!(curve);
    }
    provenance(set, &map.by, &map.settings, &map.settings.members, &more)
}

/// The map with the outlines of its holes: with the peaks of the largest numbered or, where there are garbage images, with these
/// and their places.
///
/// # Errors
/// As [`gallery`], and when the map lacks passes that the measure needs.
pub fn hole_picture(set: &ModelSet, map: &Map, holes: &Holes, garbage: &[Garbage], options: &Options) -> Result<Canvas> {
    let data = map_data(map, holes.settings.measure, &holes.places)?;
    gallery(&panel(&data, holes, garbage), &cards(set, holes, garbage), image_shape(set), options)
}

fn image_shape(set: &ModelSet) -> [usize; 3] {
    let shape = set.vae.image_shape();
    [shape[0], shape[1], shape[2]]
}

fn panel<'a>(map: &'a MapData, holes: &Holes, garbage: &[Garbage]) -> Panel<'a> {
    let label = |hole: usize| (hole + 1).to_string();
    let pins = if garbage.is_empty() {
        holes.list.iter().take(NUMBERED).enumerate().map(|(number, hole)| (label(number), hole.region.peak)).collect()
    } else {
        garbage.iter().map(|found| (label(found.hole), found.z)).collect()
    };
    Panel { title: None, map, scatter: None, layers: Layers { outlines: holes.outlines.clone(), pins, ..Layers::default() } }
}

fn cards(set: &ModelSet, holes: &Holes, garbage: &[Garbage]) -> Vec<Card> {
    let classes = set.ensemble().classes();
    let measure = holes.settings.measure;
    let card = |found: &Garbage| {
        let value = found.measures.iter().find(|(of, _)| *of == measure).map_or(f64::NAN, |(_, value)| *value);
        Card {
            label: (found.hole + 1).to_string(),
            image: found.image.clone(),
            lines: vec![format!("{}: {:.1} %", classes[found.class], 100.0 * found.confidence), format!("{} {value:.4}", measure.symbol())],
        }
    };
    garbage.iter().map(card).collect()
}

fn curve_plot(points: &[CurvePoint]) -> Plot {
    let highest = points.iter().map(|point| point.high.max(point.mean)).fold(0.0, f64::max);
    let series = Series {
        label: "Mean over subsets".to_owned(),
        look: 0,
        points: points.iter().map(|point| [point.members as f64, point.mean]).collect(),
        band: Some(points.iter().map(|point| [point.low, point.high]).collect()),
        ..Series::default()
    };
    Plot {
        title: None,
        x: Axis::new("Ensemble members", "", [1.0, points.len() as f64]).with_margins([0.03; 2]).of_counts(),
        y: Axis::new("Area of holes", "z²", [0.0, highest]).with_margins([0.0, 0.06]),
        series: vec![series],
    }
}
