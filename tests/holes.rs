//! Holes of maps whose statistics are known: areas by hand, the curve by hand, and a garbage image that is what it is said to be.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use epistemap::analysis::holes::cell_area;
use epistemap::engine::{self, Masks};
use epistemap::jobs::{
    ComputedBy, CurveSettings, HoleCriterion, HoleGround, HoleInterval, Map, MapSettings, MeasureBound, ModelSet, Progress, Reference,
    ReferenceImages, garbage, hole_curve, hole_interval, hole_region, holes, map, reference,
};
use epistemap::latent::{Encodings, Surroundings, View};
use epistemap::uncertainty::{Measure, StatisticsGrid, add_draw};
use std::ops::ControlFlow;
use std::sync::Arc;

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn statistics(points: &[[f64; 2]], members: usize, class: &dyn Fn([f64; 2], usize) -> usize) -> StatisticsGrid {
    let mut grid = StatisticsGrid::new(points.len(), members, 3);
    for (number, &z) in points.iter().enumerate() {
        for member in 0..members {
            let mut draw = [0.0; 3];
            draw[class(z, member)] = 1.0;
            add_draw(grid.sums_mut(number, member), &draw);
        }
    }
    grid
}

/// A map of 9 × 7 points, 1 apart along z₁ and 2 along z₂, so that a point stands for 2 z², on the border for half of that. Every
/// member is quite sure of one class: members 0 and 1 of the same everywhere, member 2 of another where z₂ > 0, member 3 where z₁ > 0.
fn known() -> (Map, Reference, Surroundings) {
    let view = View::new([-4.0, 4.0], [-6.0, 6.0], 9, 7).unwrap();
    let class = |[z1, z2]: [f64; 2], member: usize| match member {
        2 if z2 > 0.0 => 1,
        3 if z1 > 0.0 => 2,
        _ => 0,
    };
    let settings = MapSettings { view, samples: 1, members: vec![0, 1, 2, 3], seed: 0, masks: Masks::Shared, deterministic: false };
    let sampled = statistics(&view.points(), 4, &class);
    let map = Map { settings, sampled, deterministic: None, standard_error: None, groups: None, by: ComputedBy::default() };
    // The data lie around (−4, −6), where all agree: a region of some 1 z², which holds one quarter of a point's cell.
    let data: Vec<[f32; 2]> = (0..25).map(|i| [(i % 5) as f32 / 10.0 - 4.2, (i / 5) as f32 / 10.0 - 6.2]).collect();
    let points: Vec<[f64; 2]> = data.iter().map(|z| z.map(f64::from)).collect();
    let reference = Reference {
        images: "data".into(),
        sampled: statistics(&points, 4, &class),
        deterministic: None,
        has_draws: vec![true; 4],
        samples: 2,
    };
    let encodings = Encodings::new(data, vec![0; 25], vec!["a".into(), "b".into(), "c".into()]).unwrap();
    (map, reference, Surroundings::new(&encodings))
}

#[test]
fn the_holes_of_a_known_map_have_the_areas_that_one_counts() {
    let (map, reference, surroundings) = known();
    let settings = HoleCriterion { min_confidence: None, ..HoleCriterion::default() };
    let of = |settings: &HoleCriterion, places: &[usize]| holes(&map, &reference, &surroundings, settings, places).unwrap();

    // Where nobody disagrees, all but the data's corner of 1/2 z² is a hole of the view of 96 z².
    let alone = of(&settings, &[0]);
    assert_eq!((alone.list.len(), alone.list[0].class, alone.list[0].confidence), (1, 0, 1.0));
    assert!((alone.area - 95.5).abs() < 1e-9 && (alone.share - 95.5 / 96.0).abs() < 1e-12);
    // All are equally sure: the peak is the farthest corner.
    assert_eq!(alone.list[0].region.peak, [4.0, 6.0]);
    assert!((alone.list[0].distance - (4.0 + 3.8f64).hypot(6.0 + 5.8)).abs() < 1e-5);

    // Member 2 agrees with member 0 up to z₂ = 0, of which row the whole cell counts: 8 wide, from −6 to 1.
    let pair = of(&settings, &[0, 2]);
    assert!((pair.area - (8.0 * 7.0 - 0.5)).abs() < 1e-9, "{}", pair.area);
    assert_eq!(pair.thresholds.uncertainty, Some(0.0));
    assert!((of(&settings, &[0, 2, 3]).area - (4.5 * 7.0 - 0.5)).abs() < 1e-9);
    // The outline of the pair runs halfway between the rows of 0 and 2.
    assert!(pair.outlines.iter().flatten().filter(|[_, z2]| (z2 - 1.0).abs() < 1e-9).count() >= 9);

    // The order of members and the same class under another measure change nothing; another threshold does.
    assert_eq!(of(&settings, &[2, 0]).list, pair.list);
    let probable = of(&HoleCriterion { measure: Measure::MaximumProbability, ..settings }, &[0, 2]);
    assert_eq!((probable.area, probable.thresholds.uncertainty), (pair.area, Some(1.0)));
    // With data in the opposite corner, where these two disagree, no part of the region is taken away.
    let opposite = Encodings::new(vec![[4.0, 6.0]; 25], vec![0; 25], vec!["a".into()]).unwrap();
    let found = holes(&map, &reference, &Surroundings::new(&opposite), &settings, &[0, 2]).unwrap();
    assert!((found.area - 56.0).abs() < 1e-9, "{}", found.area);
}

#[test]
fn points_that_were_not_asked_yet_are_no_holes() {
    let (mut map, reference, surroundings) = known();
    map.sampled = StatisticsGrid::new(63, 4, 3);
    let found =
        holes(&map, &reference, &surroundings, &HoleCriterion { min_confidence: None, ..HoleCriterion::default() }, &[0, 1]).unwrap();
    assert!(found.list.is_empty() && found.outlines.is_empty() && found.area == 0.0);
}

#[test]
fn a_measure_that_the_map_lacks_passes_for_is_refused() {
    let (map, reference, surroundings) = known();
    let deterministic = HoleCriterion { measure: Measure::DeterministicEntropy, ..HoleCriterion::default() };
    let refused = holes(&map, &reference, &surroundings, &deterministic, &[0]).unwrap_err().to_string();
    assert!(refused.contains("deterministic_entropy") && refused.contains("without dropout"), "{refused}");
}

/// A map and a reference in which all draws of `classes` classes agree on max p̄ = `confidence`.
fn near_chance(classes: usize, confidence: f64) -> (Map, Reference, Surroundings) {
    let (map, reference, surroundings) = known();
    let mut draw = vec![(1.0 - confidence) / (classes - 1) as f64; classes];
    draw[0] = confidence;
    let grid = |points: usize| {
        let mut grid = StatisticsGrid::new(points, 4, classes);
        (0..points * 4).for_each(|row| add_draw(grid.sums_mut(row / 4, row % 4), &draw));
        grid
    };
    (Map { sampled: grid(63), ..map }, Reference { sampled: grid(25), ..reference }, surroundings)
}

#[test]
fn models_near_chance_have_no_holes() {
    for (classes, confidence) in [(2, 0.507), (300, 0.004)] {
        let (map, reference, surroundings) = near_chance(classes, confidence);
        let of = |criterion: &HoleCriterion| holes(&map, &reference, &surroundings, criterion, &[0, 1]).unwrap();
        assert!(of(&HoleCriterion::default()).list.is_empty());
        // The criterion of mutual information alone takes nearly the whole region for one.
        let alone = of(&HoleCriterion { min_confidence: None, ..HoleCriterion::default() });
        assert!(alone.share > 0.9, "{}", alone.share);
    }
}

#[test]
fn mutual_information_without_draws_is_undefined() {
    let (map, mut reference, surroundings) = known();
    reference.has_draws = vec![false; 4];
    let undefined =
        |reference: &Reference, criterion: &HoleCriterion, places: &[usize]| match holes(&map, reference, &surroundings, criterion, places)
        {
            Ok(_) => None,
            Err(error) => Some(error.to_string()),
        };
    let default = HoleCriterion::default();
    assert!(undefined(&reference, &default, &[0]).unwrap().contains("undefined: this model has no draws"));
    assert_eq!(undefined(&reference, &default, &[0, 1]), None, "two members are two draws");
    assert_eq!(undefined(&reference, &HoleCriterion { bound: MeasureBound::Off, ..default }, &[0]), None);
    assert_eq!(undefined(&reference, &HoleCriterion { measure: Measure::PredictiveEntropy, ..default }, &[0]), None);
    (reference.has_draws, reference.samples) = (vec![true; 4], 1);
    assert!(undefined(&reference, &default, &[0]).unwrap().contains("one draw"));
}

#[test]
fn interval_and_curve_repeat_seeds_and_stop_when_told() {
    let folder = tempfile::tempdir().unwrap();
    crate::program::write_models(folder.path(), [1, 8, 9], 3);
    let set = ModelSet::load(folder.path()).unwrap();
    let train = &set.encodings().unwrap().train;
    let surroundings = Surroundings::new(train);
    let view = hole_region(train, 11).unwrap();
    let settings = MapSettings { view, samples: 6, members: vec![0, 1], seed: 2, masks: Masks::Shared, deterministic: false };
    let mut engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
    let criterion = HoleCriterion { min_confidence: None, bound: MeasureBound::Quantile(0.9), ..HoleCriterion::default() };
    let decoded = ReferenceImages::Decoded;
    let ground = HoleGround { images: decoded, surroundings: &surroundings };

    let mut interval = |seeds, observe: &mut dyn FnMut(Progress) -> ControlFlow<()>| {
        hole_interval(&set, engine.as_mut(), &settings, ground, &criterion, seeds, observe)
    };
    let found = interval(4, &mut go_on).unwrap();
    assert!(found.area[0] < found.area[1] && found.area[0] <= found.mean_area && found.mean_area <= found.area[1], "{found:?}");
    assert!(found.count[0] <= found.count[1] && found.seeds == 4);
    assert!(interval(1, &mut go_on).unwrap_err().to_string().contains("--seeds"));
    assert!(interval(4, &mut |_| ControlFlow::Break(())).unwrap_err().to_string().contains("Cancelled"));

    let mut areas = Vec::new();
    for seed in 2..5 {
        let settings = MapSettings { seed, ..settings.clone() };
        let map = map(&set, engine.as_mut(), &settings, &mut go_on).unwrap();
        let reference = reference(&set, engine.as_mut(), &settings, decoded, 1000, &mut go_on).unwrap();
        areas.push([0, 1].map(|member| holes(&map, &reference, &surroundings, &criterion, &[member]).unwrap().area));
    }
    assert!(areas[0] != areas[1], "seeds differ");
    let mut curve =
        |settings: &MapSettings, curve: &CurveSettings| hole_curve(&set, engine.as_mut(), settings, ground, &criterion, curve, &mut go_on);
    let made = curve(&settings, &CurveSettings { seeds: 3, ..CurveSettings::default() }).unwrap();
    assert_eq!(made.points.iter().map(|point| (point.members, point.subsets)).collect::<Vec<_>>(), [(1, 2), (2, 1)]);
    assert_eq!(made.singles.iter().map(|single| single.member).collect::<Vec<_>>(), [0, 1]);
    assert!((made.points[0].equal_total - made.points[0].mean).abs() < 1e-9, "of one member all draws are its own");
    assert!(made.points[1].equal_total != made.points[1].mean, "three draws of each are not six");
    // The curve draws what the interval draws, in another order of summation.
    let apart = hole_interval(&set, engine.as_mut(), &settings, ground, &criterion, 3, &mut go_on).unwrap();
    let numbers = |of: &HoleInterval| [of.area[0], of.area[1], of.mean_area, of.count[0], of.count[1]];
    for (once, again) in numbers(&made.interval).into_iter().zip(numbers(&apart)) {
        assert!((once - again).abs() < 1e-9, "{:?} against {apart:?}", made.interval);
    }
    assert!(made.interval.seeds == 3 && apart.mean_area != found.mean_area, "the negative control: three seeds are not four");
    let difference = made.difference.unwrap();
    assert!((difference.mean - (made.points[0].mean - made.points[1].mean)).abs() < 1e-9);
    for (settings, option) in [
        (CurveSettings { subsets: 0, ..CurveSettings::default() }, "--subsets"),
        (CurveSettings { seeds: 0, ..CurveSettings::default() }, "--seeds"),
    ] {
        let refused = hole_curve(&set, engine.as_mut(), &self::settings(&set), ground, &criterion, &settings, &mut go_on);
        assert!(refused.unwrap_err().to_string().contains(option));
    }
}

fn settings(set: &ModelSet) -> MapSettings {
    let view = hole_region(&set.encodings().unwrap().train, 5).unwrap();
    MapSettings { view, samples: 2, members: vec![0, 1], seed: 0, masks: Masks::Shared, deterministic: false }
}

#[test]
fn holes_of_the_shipped_network_are_confident() {
    let set = ModelSet::shipped().unwrap();
    let digits = epistemap::data::shipped_digits().unwrap();
    let train = &set.encodings().unwrap().train;
    let surroundings = Surroundings::new(train);
    let view = hole_region(train, 40).unwrap();
    let settings = MapSettings { view, samples: 50, members: vec![0], seed: 0, masks: Masks::Shared, deterministic: false };
    let mut engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
    let map = map(&set, engine.as_mut(), &settings, &mut go_on).unwrap();
    let mut unsure_share = |images, criterion: &HoleCriterion| {
        let reference = reference(&set, engine.as_mut(), &settings, images, 1000, &mut go_on).unwrap();
        let found = holes(&map, &reference, &surroundings, criterion, &[0]).unwrap();
        let cells = found.list.iter().flat_map(|hole| hole.region.cells.iter().map(|&cell| cell as usize));
        let unsure = cells.filter(|&cell| map.measure_at(cell, Measure::MaximumProbability, &[0]) < 0.5);
        unsure.map(|cell| cell_area(&settings.view, cell)).sum::<f64>() / found.area
    };
    // The earlier criterion, mutual information as low as on decoded encodings, calls regions holes where the network cannot tell: 27 %
    // of their area.
    let earlier = HoleCriterion { min_confidence: None, ..HoleCriterion::default() };
    let share = unsure_share(ReferenceImages::Decoded, &earlier);
    assert!((share - 0.271).abs() < 0.02, "{share}");
    assert_eq!(unsure_share(ReferenceImages::Test(&digits), &HoleCriterion::default()), 0.0);
}

#[test]
fn shares_out_of_range_are_refused() {
    let (map, reference, surroundings) = known();
    for share in [0.0, -0.1, 1.5, f64::NAN, f64::INFINITY] {
        for (option, settings) in [
            (
                "--quantile",
                HoleCriterion {
                    bound: MeasureBound::Quantile(share),
                    ..HoleCriterion { min_confidence: None, ..HoleCriterion::default() }
                },
            ),
            ("--covered", HoleCriterion { covered: Some(share), ..HoleCriterion { min_confidence: None, ..HoleCriterion::default() } }),
        ] {
            let refused = holes(&map, &reference, &surroundings, &settings, &[0]).unwrap_err().to_string();
            assert!(refused.starts_with(option), "{refused}");
        }
    }
}

#[test]
fn a_garbage_image_is_confident_in_its_hole_and_farther_from_data_than_the_grid_says() {
    let folder = tempfile::tempdir().unwrap();
    crate::program::write_models(folder.path(), [1, 8, 9], 3);
    let set = ModelSet::load(folder.path()).unwrap();
    let view = View::square([-6.0, 6.0], 13).unwrap();
    let settings = MapSettings { view, samples: 6, members: vec![0, 1], seed: 2, masks: Masks::Shared, deterministic: true };
    let mut engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
    let map = map(&set, engine.as_mut(), &settings, &mut go_on).unwrap();
    let reference = reference(&set, engine.as_mut(), &settings, ReferenceImages::Decoded, 1000, &mut go_on).unwrap();
    assert_eq!(reference.sampled.points(), 30, "all, where there are fewer");
    let surroundings = Surroundings::new(&set.encodings().unwrap().train);
    for (measure, places) in
        [(Measure::MutualInformation, &[0, 1][..]), (Measure::MaximumProbability, &[1]), (Measure::DeterministicEntropy, &[1, 0])]
    {
        let wanted = HoleCriterion { measure, bound: MeasureBound::Quantile(1.0), min_confidence: None, ..HoleCriterion::default() };
        let found = holes(&map, &reference, &surroundings, &wanted, places).unwrap();
        assert!(!found.list.is_empty(), "{measure:?}");
        let image = garbage(engine.as_mut(), &map, &found, 0, &surroundings, &mut go_on).unwrap();
        let cells = &found.list[0].region.cells;
        let confidence = |cell: u32| map.sampled.cell(cell as usize, places.iter().copied()).mean().into_iter().fold(0.0, f64::max);
        let mut confidences: Vec<f64> = cells.iter().map(|&cell| confidence(cell)).collect();
        confidences.sort_by(|a, b| b.total_cmp(a));
        let least = confidences[(0.05 * confidences.len() as f64).ceil() as usize - 1];
        let points = view.points();
        let eligible = cells.iter().filter(|&&cell| confidence(cell) >= least);
        let farthest = eligible.map(|&cell| surroundings.nearest.distance(points[cell as usize])).fold(0.0, f64::max);
        assert!(image.confidence >= least && image.distance >= farthest, "{measure:?}");
        assert_eq!(image.distance, surroundings.nearest.distance(image.z));
        assert!(found.thresholds.empty(surroundings.density.at(image.z)));

        // What it says of itself is what a map of that point alone says.
        let members = places.iter().map(|&place| settings.members[place]).collect();
        let here = View::new([image.z[0] - 1.0, image.z[0] + 1.0], [image.z[1] - 1.0, image.z[1] + 1.0], 1, 1).unwrap();
        let there = self::map(&set, engine.as_mut(), &MapSettings { view: here, members, ..settings.clone() }, &mut go_on).unwrap();
        let all: Vec<usize> = (0..places.len()).collect();
        for &(of, value) in &image.measures {
            assert!((value - f64::from(there.measure(of, &all).unwrap()[0])).abs() <= 1e-5, "{of:?}");
            assert!(of != measure || found.thresholds.sure(value), "{of:?} {value}");
        }
        assert_eq!(image.image, engine.decode(&image.z).unwrap());
        assert!((image.probabilities[image.class] - image.confidence).abs() == 0.0 && image.measures.len() == Measure::ALL.len());
        let count = found.list.len();
        assert!(garbage(engine.as_mut(), &map, &found, count, &surroundings, &mut go_on).is_err());
    }
}
