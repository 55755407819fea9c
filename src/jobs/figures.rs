//! The paper's figures: one map that serves all that are asked for, and a document of each.

use super::map::{Map, MapSettings, map};
use super::{ModelSet, Observer};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::figure::{ColourMap, ColourRange, Document, Figure, MapData, Members, Options, Scatter, Style};
use crate::uncertainty::Measure;
use serde_json::{Value, json};

/// Everything that fixes figures, given the models.
#[derive(Clone, Debug, PartialEq)]
pub struct FigureSettings {
    /// The map under them; the members are those of a figure of all.
    pub map: MapSettings,
    /// Sizes.
    pub style: Style,
    /// The colours; those that suit the figure for `None`.
    pub colours: Option<ColourMap>,
    /// What the colours stand for.
    pub range: ColourRange,
    /// Whether the figure's title stands above it.
    pub title: bool,
}

/// Computes figures.
///
/// # Errors
/// As [`map`], and when the models have no encodings where a figure needs them.
pub fn figures(
    set: &ModelSet,
    engine: &mut dyn Engine,
    wanted: &[&'static Figure],
    settings: &FigureSettings,
    observe: Observer<'_>,
) -> Result<Vec<(&'static Figure, Document)>> {
    if wanted.iter().any(|figure| figure.needs.scatter) {
        set.encodings()?;
    }
    let mut under = settings.map.clone();
    if wanted.iter().all(|figure| figure.needs.members == Members::One) {
        under.members.truncate(1);
    }
    let map = map(set, engine, &under, observe)?;
    wanted.iter().map(|figure| Ok((*figure, document(set, engine.name(), figure, &map, settings)?))).collect()
}

fn document(set: &ModelSet, engine: &str, figure: &Figure, map: &Map, settings: &FigureSettings) -> Result<Document> {
    let measure = Measure::from_key(figure.needs.measure)?;
    let places: Vec<usize> = match figure.needs.members {
        Members::One => vec![0],
        Members::All => (0..map.settings.members.len()).collect(),
    };
    let data = map_data(map, measure, &places)?;
    let encodings = if figure.needs.scatter { Some(&set.encodings()?.train) } else { None };
    let scatter = encodings.map(|encodings| Scatter { points: &encodings.points, labels: &encodings.labels, classes: &encodings.classes });
    let options = Options {
        style: settings.style,
        colours: settings.colours.unwrap_or(figure.colours),
        range: settings.range,
        title: settings.title.then(|| figure.title.to_owned()),
    };
    let members = places.iter().map(|&place| map.settings.members[place]).collect();
    let provenance = provenance(
        set,
        engine,
        &MapSettings { members, ..map.settings.clone() },
        &json!({ "figure": figure.name, "measure": measure.key() }),
    );
    Ok(Document { title: figure.title.to_owned(), canvas: figure.draw(&data, scatter, &options)?, provenance })
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

/// What made a result: the program, the settings, the models; `more` is added at the top.
pub fn provenance(set: &ModelSet, engine: &str, settings: &MapSettings, more: &Value) -> Value {
    let names = settings.members.iter().map(|&member| set.ensemble().members()[member].name.as_str());
    let used: Vec<&str> = std::iter::once(set.descriptions[0].name()).chain(names).collect();
    let hashes: serde_json::Map<String, Value> = used.iter().map(|&name| (name.to_owned(), set.hashes[name].clone().into())).collect();
    let mut all = json!({
        "program": "epistemap", "version": env!("CARGO_PKG_VERSION"), "engine": engine, "settings": settings, "models": hashes,
    });
    if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
        all.extend(more.clone());
    }
    all
}
