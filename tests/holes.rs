//! Holes of maps whose statistics are known: areas by hand, the curve by hand, and a garbage image that is what it is said to be.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use epistemap::engine::{self, Masks};
use epistemap::jobs::{
    ComputedBy, CurveSettings, CurveThreshold, HoleSettings, Map, MapSettings, ModelSet, Progress, Reference, garbage, hole_curve, holes,
    map, reference,
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
    let map = Map { settings, sampled, deterministic: None, standard_error: None, by: ComputedBy::default() };
    // The data lie around (−4, −6), where all agree: a region of some 1 z², which holds one quarter of a point's cell.
    let data: Vec<[f32; 2]> = (0..25).map(|i| [(i % 5) as f32 / 10.0 - 4.2, (i / 5) as f32 / 10.0 - 6.2]).collect();
    let points: Vec<[f64; 2]> = data.iter().map(|z| z.map(f64::from)).collect();
    let reference = Reference { sampled: statistics(&points, 4, &class), deterministic: None, points };
    let encodings = Encodings::new(data, vec![0; 25], vec!["a".into(), "b".into(), "c".into()]).unwrap();
    (map, reference, Surroundings::new(&encodings))
}

#[test]
fn the_holes_of_a_known_map_have_the_areas_that_one_counts() {
    let (map, reference, surroundings) = known();
    let settings = HoleSettings::default();
    let of = |settings: &HoleSettings, places: &[usize]| holes(&map, &reference, &surroundings, settings, places).unwrap();

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
    assert_eq!(pair.thresholds.uncertainty, 0.0);
    assert!((of(&settings, &[0, 2, 3]).area - (4.5 * 7.0 - 0.5)).abs() < 1e-9);
    // The outline of the pair runs halfway between the rows of 0 and 2.
    assert!(pair.outlines.iter().flatten().filter(|[_, z2]| (z2 - 1.0).abs() < 1e-9).count() >= 9);

    // The order of members and the same class under another measure change nothing; another threshold does.
    assert_eq!(of(&settings, &[2, 0]).list, pair.list);
    let probable = of(&HoleSettings { measure: Measure::MaximumProbability, ..settings }, &[0, 2]);
    assert_eq!((probable.area, probable.thresholds.uncertainty), (pair.area, 1.0));
    // With data in the opposite corner, where these two disagree, no part of the region is taken away.
    let opposite = Encodings::new(vec![[4.0, 6.0]; 25], vec![0; 25], vec!["a".into()]).unwrap();
    let found = holes(&map, &reference, &Surroundings::new(&opposite), &settings, &[0, 2]).unwrap();
    assert!((found.area - 56.0).abs() < 1e-9, "{}", found.area);
}

#[test]
fn points_that_were_not_asked_yet_are_no_holes() {
    let (mut map, reference, surroundings) = known();
    map.sampled = StatisticsGrid::new(63, 4, 3);
    let found = holes(&map, &reference, &surroundings, &HoleSettings::default(), &[0, 1]).unwrap();
    assert!(found.list.is_empty() && found.outlines.is_empty() && found.area == 0.0);
}

#[test]
fn the_curve_is_the_mean_over_the_subsets() {
    let (map, reference, surroundings) = known();
    let settings = HoleSettings::default();
    let curve = |curve: &CurveSettings| hole_curve(&map, &reference, &surroundings, &settings, curve, &mut go_on).unwrap();
    let points = curve(&CurveSettings::default());
    // Alone: 95.5 each. Pairs: 01 95.5; 02, 12 55.5; 03, 13 from −4 to 0.5 along z₁, 4.5 · 12 − 0.5 = 53.5; 23 as these agree where z₁, z₂ ≤ 0: 31.
    let pairs = [95.5, 55.5, 55.5, 53.5, 53.5, 31.0];
    // Threes: 012 55.5, 013 53.5, and 023, 123 31. All: 31.
    let means = [95.5, pairs.iter().sum::<f64>() / 6.0, (55.5 + 53.5 + 31.0 + 31.0) / 4.0, 31.0];
    assert_eq!(points.iter().map(|point| (point.members, point.subsets)).collect::<Vec<_>>(), [(1, 4), (2, 6), (3, 4), (4, 1)]);
    assert!(points.iter().zip(means).all(|(point, mean)| (point.mean - mean).abs() < 1e-9), "{points:?}");
    // The tenth percentile of six numbers lies halfway between the first two, the ninetieth between the last two.
    assert!((points[1].low - 42.25).abs() < 1e-9 && (points[1].high - 75.5).abs() < 1e-9);
    assert_eq!((points[3].low, points[3].high), (points[3].mean, points[3].mean));
    // On these data every subset is as sure as the whole.
    assert_eq!(curve(&CurveSettings { threshold: CurveThreshold::Whole, ..CurveSettings::default() }), points);
    // With one subset of each size, which one depends on the seed.
    let one = |seed| curve(&CurveSettings { seed, subsets: 1, threshold: CurveThreshold::Own });
    assert_eq!(one(0), one(0));
    assert!((1..9).any(|seed| one(seed)[1] != one(0)[1]));

    let none = CurveSettings { subsets: 0, ..CurveSettings::default() };
    assert!(hole_curve(&map, &reference, &surroundings, &settings, &none, &mut go_on).unwrap_err().to_string().contains("--subsets"));
    let stopped = hole_curve(&map, &reference, &surroundings, &settings, &CurveSettings::default(), &mut |_| ControlFlow::Break(()));
    assert!(stopped.unwrap_err().to_string().contains("Cancelled"));
    let deterministic = HoleSettings { measure: Measure::DeterministicEntropy, ..settings };
    let refused = holes(&map, &reference, &surroundings, &deterministic, &[0]).unwrap_err().to_string();
    assert!(refused.contains("deterministic_entropy") && refused.contains("without dropout"), "{refused}");
}

#[test]
fn shares_out_of_range_are_refused() {
    let (map, reference, surroundings) = known();
    for share in [0.0, -0.1, 1.5, f64::NAN, f64::INFINITY] {
        for (option, settings) in [
            ("--confident", HoleSettings { confident: share, ..HoleSettings::default() }),
            ("--covered", HoleSettings { covered: share, ..HoleSettings::default() }),
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
    let reference = reference(&set, engine.as_mut(), &settings, 1000, &mut go_on).unwrap();
    assert_eq!(reference.points.len(), 30, "all, where there are fewer");
    let surroundings = Surroundings::new(&set.encodings().unwrap().train);
    for (measure, places) in
        [(Measure::MutualInformation, &[0, 1][..]), (Measure::MaximumProbability, &[1]), (Measure::DeterministicEntropy, &[1, 0])]
    {
        let wanted = HoleSettings { measure, confident: 1.0, ..HoleSettings::default() };
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
        assert!(surroundings.density.at(image.z) <= found.thresholds.density);

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
