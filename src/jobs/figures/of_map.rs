//! Heat maps of the latent plane.

use super::super::ModelSet;
use super::super::map::{Map, MapSettings};
use super::{FigureSettings, drawn_in_range, provenance};
use crate::error::{Error, Result};
use crate::figure::{Content, Document, Figure, MapData, Scatter};
use crate::uncertainty::Measure;
use serde_json::json;

/// The document of a figure of a measure (by key) over some members of a map, with the encodings or not.
pub(super) fn document(
    set: &ModelSet,
    figure: &Figure,
    (measure, members, scatter): (&str, Vec<usize>, bool),
    map: &Map,
    ranged: (&FigureSettings, Option<[f32; 2]>),
) -> Result<Document> {
    let measure = Measure::from_key(measure)?;
    // The members of a figure are the first of the map's.
    let places: Vec<usize> = (0..members.len()).collect();
    let data = map_data(map, measure, &places)?;
    let encodings = if scatter { Some(&set.encodings()?.train) } else { None };
    let scatter = encodings.map(|encodings| Scatter { points: &encodings.points, labels: &encodings.labels, classes: &encodings.classes });
    let under = MapSettings { members, ..map.settings.clone() };
    let more = json!({ "figure": figure.name, "measure": measure.key() });
    let provenance = provenance(set, &map.by, &under, &under.members, &more);
    drawn_in_range(figure, Content::Map { map: &data, scatter }, ranged, provenance)
}

/// A measure of a map over some of its members, as figures take it.
///
/// # Errors
/// When the map has not the passes that the measure is a function of.
pub fn map_data(map: &Map, measure: Measure, places: &[usize]) -> Result<MapData> {
    let values = map.measure(measure, places).ok_or_else(|| {
        Error::setting(
            measure.key(),
            "it needs a pass without dropout, which this map has not",
            "compute the map with deterministic passes",
        )
    })?;
    Ok(MapData {
        view: map.settings.view,
        values,
        label: measure.label().to_owned(),
        unit: measure.unit().to_owned(),
        natural: measure.natural_range(map.classes()),
    })
}
