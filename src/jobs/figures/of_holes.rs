//! Holes on the map, garbage images from them, and the curve of their area.

use super::super::holes::{
    CurveSettings, Garbage, HOLE_GRID, HoleCriterion, HoleCurve, HoleGround, Holes, Reference, ReferenceImages, garbage, hole_curve,
    hole_region, holes, reference,
};
use super::super::map::{Map, MapSettings, map};
use super::super::{ModelSet, Observer};
use super::{FigureSettings, drawn_in_range, map_data, provenance};
use crate::data::Dataset;
use crate::engine::Engine;
use crate::error::Result;
use crate::figure::{Axis, Canvas, Card, Content, Document, Figure, Layers, MapData, Options, Panel, Plot, Series, add_caption, gallery};
use crate::latent::Surroundings;
use crate::numbers::{counted, typeset};
use crate::uncertainty::Measure;
use serde_json::{Value, json};

/// How many peaks are numbered on a map without garbage images.
const NUMBERED: usize = 9;

/// What a figure of holes shows, and how it was sought.
pub(super) enum Found {
    Garbage(Holes, Vec<Garbage>),
    Curve(HoleCriterion, CurveSettings, HoleCurve),
}

/// What holes are sought with: the map of their region, and what the models say of data.
pub(super) struct Ground {
    surroundings: Surroundings,
    reference: Reference,
    map: Map,
    images: Option<Dataset>,
}

impl Ground {
    /// Computes them with the draws and members of these settings, on at most as many points along each axis as these have.
    pub fn new(
        set: &ModelSet,
        engine: &mut dyn Engine,
        settings: &MapSettings,
        images: Option<Dataset>,
        observe: Observer<'_>,
    ) -> Result<Self> {
        let train = &set.encodings()?.train;
        let view = hole_region(train, HOLE_GRID.min(settings.view.columns))?;
        let settings = MapSettings { view, ..settings.clone() };
        let chosen = ReferenceImages::choose(set, images.as_ref());
        let reference = reference(set, engine, &settings, chosen, HoleCriterion::default().reference, observe)?;
        let map = map(set, engine, &settings, observe)?;
        Ok(Self { surroundings: Surroundings::new(train), reference, map, images })
    }

    /// The map of the holes' region.
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// Garbage images of the first holes by a measure (by key).
    pub fn garbage(&self, engine: &mut dyn Engine, measure: &str, images: usize, observe: Observer<'_>) -> Result<Found> {
        let criterion = HoleCriterion { measure: Measure::from_key(measure)?, ..HoleCriterion::default() };
        let places: Vec<usize> = (0..self.map.settings.members.len()).collect();
        let found = holes(&self.map, &self.reference, &self.surroundings, &criterion, &places)?;
        let first = 0..images.min(found.list.len());
        let images = first.map(|hole| garbage(engine, &self.map, &found, hole, &self.surroundings, observe)).collect::<Result<_>>()?;
        Ok(Found::Garbage(found, images))
    }

    /// The curve of a measure (by key) over so many mask seeds.
    pub fn curve(&self, set: &ModelSet, engine: &mut dyn Engine, (measure, seeds): (&str, usize), observe: Observer<'_>) -> Result<Found> {
        let criterion = HoleCriterion { measure: Measure::from_key(measure)?, ..HoleCriterion::default() };
        let images = ReferenceImages::choose(set, self.images.as_ref());
        let (curve, ground) =
            (CurveSettings { seeds, ..CurveSettings::default() }, HoleGround { images, surroundings: &self.surroundings });
        let found = hole_curve(set, engine, &self.map.settings, ground, &criterion, &curve, observe)?;
        Ok(Found::Curve(criterion, curve, found))
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
    let made = |holes: &HoleCriterion, curve: Option<&CurveSettings>| {
        let mut all = hole_provenance(set, map, holes, curve);
        all["figure"] = figure.name.into();
        all
    };
    let captioned = |mut document: Document, caption: &str| {
        add_caption(&mut document.canvas, caption, &ranged.0.style);
        document
    };
    match found {
        Found::Garbage(holes, garbage) => {
            let data = map_data(map, holes.criterion.measure, &holes.places)?;
            let panel = panel(&data, holes, garbage);
            let content = Content::Gallery { panel: &panel, cards: &cards(set, holes, garbage), image_shape: image_shape(set) };
            let drawn = drawn_in_range(figure, content, ranged, made(&holes.criterion, None))?;
            Ok(captioned(drawn, &caption(holes)))
        }
        Found::Curve(of, curve, points) => {
            let plots = [curve_plot(points)];
            let content = Content::Plots { strips: &[], plots: &plots };
            let mut made = made(of, Some(curve));
            made["finding"] = points.finding.clone().into();
            Ok(captioned(drawn_in_range(figure, content, ranged, made)?, &curve_caption(curve, points)))
        }
    }
}

/// What made a list of holes, and its curve where it has one.
pub fn hole_provenance(set: &ModelSet, map: &Map, criterion: &HoleCriterion, curve: Option<&CurveSettings>) -> Value {
    let mut more = json!({ "holes": criterion });
    if let Some(curve) = curve {
        more["curve"] = json!(curve);
    }
    provenance(set, &map.by, &map.settings, &map.settings.members, &more)
}

/// The map with the outlines of its holes: with the peaks of the largest numbered or, where there are garbage images, with these
/// and their places. The thresholds stand below.
///
/// # Errors
/// As [`gallery`], and when the map lacks passes that the measure needs.
pub fn hole_picture(set: &ModelSet, map: &Map, holes: &Holes, garbage: &[Garbage], options: &Options) -> Result<Canvas> {
    let data = map_data(map, holes.criterion.measure, &holes.places)?;
    let mut canvas = gallery(&panel(&data, holes, garbage), &cards(set, holes, garbage), image_shape(set), options)?;
    add_caption(&mut canvas, &caption(holes), &options.style);
    Ok(canvas)
}

/// What counts as a hole, with every threshold, and how much of it was found.
fn caption(holes: &Holes) -> String {
    let (images, count) = &holes.reference;
    let thresholds = typeset(&holes.thresholds.describe());
    let about_density = holes.criterion.about_density().map_or_else(String::new, |text| format!(" {text}"));
    let border = if holes.list.iter().any(|hole| hole.region.touches_border) { " *: touches the border of the region." } else { "" };
    format!(
        "Outlined: {thresholds}. {}.{border} Reference: {} of {images}.{about_density}",
        holes.describe(),
        counted(*count as u64, "image")
    )
}

/// What the curve shows, and what it was made of.
fn curve_caption(settings: &CurveSettings, curve: &HoleCurve) -> String {
    let most = curve.points.iter().map(|point| point.subsets).max().unwrap_or_default();
    format!(
        "{} Lines are means over {} mask seeds and, for each size, up to {most} subsets of the members; the band is the 95 % prediction interval \
         of another subset with other masks; dots are means of single members over the seeds.",
        curve.finding, settings.seeds
    )
}

fn image_shape(set: &ModelSet) -> [usize; 3] {
    let shape = set.vae.image_shape();
    [shape[0], shape[1], shape[2]]
}

fn panel<'a>(map: &'a MapData, holes: &Holes, garbage: &[Garbage]) -> Panel<'a> {
    let pins = if garbage.is_empty() {
        holes.list.iter().take(NUMBERED).enumerate().map(|(number, hole)| (holes.label(number), hole.region.peak)).collect()
    } else {
        garbage.iter().map(|found| (holes.label(found.hole), found.z)).collect()
    };
    Panel {
        title: None,
        map,
        scatter: None,
        layers: Layers { outlines: holes.outlines.clone(), pins, threshold: holes.thresholds.uncertainty, ..Layers::default() },
    }
}

fn cards(set: &ModelSet, holes: &Holes, garbage: &[Garbage]) -> Vec<Card> {
    let classes = set.ensemble().classes();
    let measure = holes.criterion.measure;
    let card = |found: &Garbage| {
        let value = found.measures.iter().find(|(of, _)| *of == measure).map_or(f64::NAN, |(_, value)| *value);
        Card {
            label: holes.label(found.hole),
            image: found.image.clone(),
            lines: vec![format!("{}: {:.1} %", classes[found.class], 100.0 * found.confidence), format!("{} {value:.4}", measure.symbol())],
        }
    };
    garbage.iter().map(card).collect()
}

fn curve_plot(curve: &HoleCurve) -> Plot {
    let HoleCurve { points, singles, .. } = curve;
    let highest = points.iter().map(|point| point.interval[1].max(point.equal_total)).fold(0.0, f64::max);
    let last = points.last().map_or(1, |point| point.members);
    let mean = Series {
        label: "Equal draws of each member".to_owned(),
        look: 0,
        points: points.iter().map(|point| [point.members as f64, point.mean]).collect(),
        band: Some(points.iter().map(|point| point.interval).collect()),
        ..Series::default()
    };
    let control = Series {
        label: "Equal draws in all".to_owned(),
        look: 1,
        points: points.iter().map(|point| [point.members as f64, point.equal_total]).collect(),
        ..Series::default()
    };
    let single = Series {
        label: "Single members".to_owned(),
        look: 2,
        points: singles.iter().map(|single| [1.0, single.mean]).collect(),
        dots: true,
        ..Series::default()
    };
    Plot {
        title: None,
        x: Axis::new("Ensemble members", "", [1.0, last as f64]).with_margins([0.03; 2]).of_counts(),
        y: Axis::new("Area of holes", "z²", [0.0, highest]).with_margins([0.0, 0.06]),
        series: vec![mean, control, single],
    }
}
