//! What is on the screen, as a figure or as raw data: the live map as it is now, complete or not.

use super::figures::provenance;
use super::live::{LiveMap, fill_gaps};
use super::map::{Map, Seen};
use super::{ModelSet, Raw};
use crate::engine::Engine;
use crate::error::Result;
use crate::figure::{
    ColourMap, ColourRange, Document, Facet, ImageGrid, Layers, ManualRange, MapData, Scale, Scaled, Scatter, Style, facets, range_of,
};
use crate::latent::View;
use crate::uncertainty::Passes;
use serde_json::{Value, json};

/// Everything that is seen, given the models and the map.
#[derive(Clone, Debug, PartialEq)]
pub struct ScreenSettings {
    /// The maps, row by row.
    pub maps: Vec<Seen>,
    /// How many stand in a row.
    pub columns: usize,
    /// The colours of values; differences have theirs.
    pub colours: ColourMap,
    /// What they stand for.
    pub range: ColourRange,
    /// The ranges that were set by hand.
    pub manual_ranges: Vec<ManualRange>,
    /// The classes whose encodings are hidden, where encodings are shown.
    pub encodings: Option<Vec<usize>>,
    /// The points whose decoded images are shown, where they are.
    pub images: Option<View>,
    /// What else lies over each map.
    pub layers: Vec<Layers>,
    /// Sizes.
    pub style: Style,
    /// Whether the maps' measures stand above everything.
    pub title: bool,
    /// What the provenance says besides how the map was made.
    pub more: Value,
}

/// Draws what is seen.
///
/// # Errors
/// When the models have no encodings where these are shown, the engine cannot decode, or the maps do not fit into the width.
///
/// # Panics
/// When there is not a set of layers for each map, or a member is none of the map's.
pub fn screen(set: &ModelSet, live: &LiveMap, engine: &mut dyn Engine, settings: &ScreenSettings) -> Result<Document> {
    assert_eq!(settings.maps.len(), settings.layers.len(), "each map has its layers");
    let (data, provenance) = {
        let map = live.read();
        let data: Vec<MapData> = settings.maps.iter().map(|seen| map_data(&map, seen)).collect();
        (data, screen_provenance(set, &map, &settings.maps, &settings.more))
    };
    let scaled: Vec<Scaled> = settings.maps.iter().zip(&data).map(|(seen, data)| scaled(seen, data)).collect();
    let scatter = match &settings.encodings {
        Some(_) => {
            let train = &set.encodings()?.train;
            Some(Scatter { points: &train.points, labels: &train.labels, classes: &train.classes })
        }
        None => None,
    };
    let shape = set.vae.image_shape();
    let images = settings.images.map(|view| -> Result<ImageGrid> {
        let pixels = engine.decode(view.points().as_flattened())?;
        Ok(ImageGrid { view, shape: [shape[0], shape[1], shape[2]], pixels })
    });
    let images = images.transpose()?;
    let classes = set.ensemble().classes().len();
    let drawn: Vec<Facet<'_>> = (0..data.len())
        .map(|place| Facet {
            title: (data.len() > 1).then(|| title(set, &settings.maps[place])),
            map: &data[place],
            scale: Scale::new(&scaled, place, classes, settings.colours, settings.range)
                .with_manual(&settings.manual_ranges, &scaled[place]),
            images: images.as_ref(),
            scatter,
            hidden: settings.encodings.as_deref().unwrap_or_default(),
            layers: settings.layers[place].clone(),
        })
        .collect();
    let headline = headline(set, &settings.maps);
    let canvas = facets(&drawn, settings.columns, &settings.style, settings.title.then_some(headline.as_str()))?;
    Ok(Document { title: headline, canvas, provenance })
}

/// The map's raw data with what is seen of it, and what made them.
pub fn screen_data(set: &ModelSet, live: &LiveMap, seen: &[Seen], more: &Value) -> (Raw, Value) {
    let map = live.read();
    let (raw, mut provenance) = (map.raw(seen), screen_provenance(set, &map, seen, more));
    let arrays = raw.completeness();
    provenance["complete"] = arrays.as_object().is_some_and(|arrays| arrays.values().all(|whole| whole == true)).into();
    provenance["complete_arrays"] = arrays;
    (raw, provenance)
}

/// What made a map that may still be growing: for each map that is seen the draws per point, the fewest and the most.
fn screen_provenance(set: &ModelSet, map: &Map, seen: &[Seen], more: &Value) -> Value {
    let describe = |seen: &Seen| {
        let values = map.seen(seen);
        let draws = map.draws_of(seen);
        let known = values.iter().filter(|value| value.is_finite()).count();
        let is_sampled = seen.parts().any(|(measure, _)| measure.passes() == Passes::Sampled);
        let complete = known == values.len() && (!is_sampled || draws[0] == map.settings.samples);
        let mut described = json!({ "map": seen, "draws": draws, "points": known, "complete": complete });
        if !is_sampled {
            described["draws"] = json!(null);
        }
        (described, complete)
    };
    let (maps, complete): (Vec<Value>, Vec<bool>) = seen.iter().map(describe).unzip();
    let mut all = json!({ "maps": maps, "complete": complete.iter().all(|&complete| complete) });
    if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
        all.extend(more.clone());
    }
    provenance(set, &map.by, &map.settings, &map.settings.members, &all)
}

fn map_data(map: &Map, seen: &Seen) -> MapData {
    let view = map.settings.view;
    let mut values = map.seen(seen);
    fill_gaps(&view, &mut values);
    let Seen { measure, minus, .. } = seen;
    let label = match minus {
        Some((other, _)) if other == measure => format!("Difference of {}", measure.label().to_lowercase()),
        Some(_) => "Difference".to_owned(),
        None => measure.label().to_owned(),
    };
    MapData { view, values, label, unit: measure.unit().to_owned(), natural: measure.natural_range(map.classes()) }
}

fn scaled(seen: &Seen, data: &MapData) -> Scaled {
    Scaled { measure: seen.measure, is_difference: seen.minus.is_some(), range: range_of(&data.values) }
}

/// The measure, and of whom it is.
fn title(set: &ModelSet, seen: &Seen) -> [String; 2] {
    let of = |members: &[usize]| match members {
        [one] => set.ensemble().members()[*one].name.clone(),
        several => format!("{} members", several.len()),
    };
    let Seen { measure, members, minus } = seen;
    match minus {
        None => [measure.label().to_owned(), of(members)],
        Some((other, theirs)) => {
            let what = if other == measure { measure.label().to_owned() } else { format!("{} − {}", measure.symbol(), other.symbol()) };
            let of_whom = if theirs == members { of(members) } else { format!("{} − {}", of(members), of(theirs)) };
            [what, of_whom]
        }
    }
}

/// One map in full; of several, where each has its own title, the measures.
fn headline(set: &ModelSet, maps: &[Seen]) -> String {
    if let [one] = maps {
        return title(set, one).join(", ");
    }
    let mut names: Vec<&str> = Vec::new();
    for label in maps.iter().map(|seen| seen.measure.label()) {
        if !names.contains(&label) {
            names.push(label);
        }
    }
    names.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{self, Masks};
    use crate::figure::{Format, Shape, difference_colour};
    use crate::jobs::{MapSettings, fill};
    use crate::uncertainty::Measure;
    use std::ops::ControlFlow;
    use std::sync::Arc;

    fn seen(measure: Measure, members: &[usize]) -> Seen {
        Seen { measure, members: members.to_vec(), minus: None }
    }

    fn settings(maps: Vec<Seen>) -> ScreenSettings {
        let layers = vec![Layers::default(); maps.len()];
        ScreenSettings {
            maps,
            columns: 2,
            colours: ColourMap::Viridis,
            range: ColourRange::Data,
            manual_ranges: Vec::new(),
            encodings: None,
            images: None,
            layers,
            style: Style::default(),
            title: true,
            more: json!({}),
        }
    }

    /// A map of two members that has been filled for so many blocks.
    fn live(set: &ModelSet, engine: &mut dyn Engine, blocks: u32) -> LiveMap {
        let view = View::square([-6.0, 6.0], 8).unwrap();
        let settings = MapSettings { view, samples: 4, members: vec![0, 1], seed: 1, masks: Masks::Shared, deterministic: true };
        let live = LiveMap::new(set, &settings).unwrap();
        let mut left = blocks;
        let filled = fill(&live, engine, &mut |_| {
            left = left.saturating_sub(1);
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(filled.is_err(), left == 0);
        live
    }

    #[test]
    fn the_pixels_are_those_of_the_scale_and_bars_are_shared_where_scales_are() {
        let set = ModelSet::shipped().unwrap();
        let mut engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
        let live = live(&set, engine.as_mut(), u32::MAX);
        let [mi, entropy] = [Measure::MutualInformation, Measure::PredictiveEntropy].map(|measure| seen(measure, &[0, 1]));
        let variance = seen(Measure::SoftmaxVariance, &[0]);
        let difference = Seen { minus: Some((Measure::PredictiveEntropy, vec![0, 1])), ..seen(Measure::PredictiveEntropy, &[0]) };
        let alone = |of: &Seen| Seen { members: vec![1], ..of.clone() };
        for (maps, range, bars) in [
            (vec![mi.clone()], ColourRange::Data, 1),
            (vec![mi.clone(), alone(&mi)], ColourRange::Data, 1),
            (vec![mi.clone(), entropy.clone()], ColourRange::Data, 2),
            (vec![mi.clone(), entropy.clone()], ColourRange::Natural, 1),
            (vec![mi.clone(), variance.clone()], ColourRange::Natural, 2),
            (vec![mi.clone(), entropy.clone(), alone(&mi), alone(&entropy)], ColourRange::Data, 2),
            (vec![mi.clone(), alone(&mi), difference.clone(), difference.clone()], ColourRange::Data, 2),
            (vec![mi, variance, difference, entropy], ColourRange::Data, 4),
        ] {
            let asked = ScreenSettings { range, ..settings(maps.clone()) };
            let document = screen(&set, &live, engine.as_mut(), &asked).unwrap();
            let rasters: Vec<(usize, &Vec<[u8; 3]>)> = document
                .canvas
                .shapes
                .iter()
                .filter_map(|shape| if let Shape::Raster { columns, pixels, .. } = shape { Some((*columns, pixels)) } else { None })
                .collect();
            assert_eq!(rasters.iter().filter(|(columns, _)| *columns == 1).count(), bars, "{maps:?}");
            let pictures: Vec<_> = rasters.iter().filter(|(columns, _)| *columns == 8).collect();
            assert_eq!(pictures.len(), maps.len());
            let map = live.read();
            let all: Vec<Scaled> = maps.iter().map(|seen| scaled(seen, &map_data(&map, seen))).collect();
            for (place, (_, pixels)) in pictures.iter().enumerate() {
                let scale = Scale::new(&all, place, 10, ColourMap::Viridis, range);
                let lowest_row = &map.seen(&maps[place])[..8];
                let expected: Vec<_> = lowest_row.iter().map(|&value| scale.colour(value.into())).collect();
                assert_eq!(pixels[56..], expected, "{:?}", maps[place]);
                assert_eq!(scale.colours.is_none(), maps[place].minus.is_some());
            }
            assert_eq!(document.provenance["complete"], true);
        }
        assert_ne!(difference_colour(0.2), ColourMap::Viridis.sample(0.2), "the two kinds of colours can be told apart");
    }

    #[test]
    fn a_map_that_still_grows_says_so() {
        let set = ModelSet::shipped().unwrap();
        let mut engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
        // One block: the first member has no other points than those of the coarse grid, here all, and the second none.
        let live = live(&set, engine.as_mut(), 2);
        let map = live.read();
        let (first, second) = (seen(Measure::MutualInformation, &[0]), seen(Measure::MutualInformation, &[1]));
        let draws = [map.draws_of(&first), map.draws_of(&second)];
        drop(map);
        let document = screen(&set, &live, engine.as_mut(), &settings(vec![first, second])).unwrap();
        for (place, [fewest, most]) in draws.into_iter().enumerate() {
            let told = &document.provenance["maps"][place];
            assert_eq!((&told["draws"], &told["complete"]), (&json!([fewest, most]), &json!(fewest == 4)));
        }
        assert_eq!(document.provenance["complete"], false);
        assert!(document.encode(Format::Svg, 72.0).is_ok());
    }

    #[test]
    fn the_data_of_a_growing_map_hold_only_what_is_final_and_say_so_of_each_array() {
        let set = ModelSet::shipped().unwrap();
        let mut engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
        let shown = [seen(Measure::MutualInformation, &[0])];
        let data = |stop: u32, engine: &mut dyn engine::Engine| screen_data(&set, &live(&set, engine, stop), &shown, &json!({}));
        let (whole, provenance) = data(u32::MAX, engine.as_mut());
        assert_eq!(provenance["complete"], true);
        let (some, provenance) = data(2, engine.as_mut());
        assert_eq!(provenance["complete"], false);
        let arrays = provenance["complete_arrays"].as_object().unwrap();
        assert!(arrays["mutual_information"] == false && arrays["mean_probabilities"] == false, "{arrays:?}");
        let bytes = |raw: &Raw| raw.encode(crate::jobs::RawFormat::Csv, "x.csv".as_ref(), &json!({})).unwrap();
        let lines = |raw: &Raw| String::from_utf8(bytes(raw)).unwrap().lines().skip(2).map(str::to_owned).collect::<Vec<_>>();
        for (some, whole) in lines(&some).iter().zip(lines(&whole)) {
            for (some, whole) in some.split(',').zip(whole.split(',')) {
                assert!(some == whole || some == "NaN", "{some} is neither final nor NaN: {whole}");
            }
        }
    }

    #[test]
    fn hidden_classes_are_neither_drawn_nor_named_and_images_lie_under_the_encodings() {
        let set = ModelSet::shipped().unwrap();
        let mut engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
        let live = live(&set, engine.as_mut(), u32::MAX);
        let with = |hidden: Vec<usize>| ScreenSettings {
            encodings: Some(hidden),
            images: Some(View::square([-4.0, 4.0], 3).unwrap()),
            ..settings(vec![seen(Measure::MutualInformation, &[0])])
        };
        let mut dots_of = |settings: &ScreenSettings| {
            let shapes = screen(&set, &live, engine.as_mut(), settings).unwrap().canvas.shapes;
            let at = |wanted: fn(&Shape) -> bool| shapes.iter().position(wanted).unwrap();
            assert!(at(|shape| matches!(shape, Shape::Overlay { .. })) < at(|shape| matches!(shape, Shape::ClassDots { .. })));
            let keys = shapes.iter().filter(|shape| matches!(shape, Shape::ClassDot { .. })).count();
            let classes = shapes.into_iter().find_map(|shape| match shape {
                Shape::ClassDots { dots, .. } => Some(dots.into_iter().map(|(_, class)| class).collect::<std::collections::BTreeSet<_>>()),
                _ => None,
            });
            (keys, classes.unwrap())
        };
        assert_eq!(dots_of(&with(Vec::new())), (10, (0..10).collect()));
        assert_eq!(dots_of(&with((1..10).collect())), (1, [0].into()));
    }
}
