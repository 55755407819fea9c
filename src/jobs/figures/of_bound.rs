//! Predictive entropy against mutual information of images of several kinds, and the bound that the one sets the other.

use super::super::interpolate::Path;
use super::super::population::Population;
use super::super::{Detected, Detection, Detector, ModelSet, On};
use super::{FigureSettings, drawn, of_attacks, provenance};
use crate::error::Result;
use crate::figure::{Axis, Content, Document, Figure, Plot, Series};
use crate::uncertainty::Measure;
use serde_json::json;

/// The axes: horizontal, vertical.
const MEASURES: [Measure; 2] = [Measure::PredictiveEntropy, Measure::MutualInformation];
/// The most dots of each kind of images: more hide each other.
const MOST_DOTS: usize = 800;

/// The document of the midpoints of a population and the images of a detection on MC dropout, over the first member.
pub(super) fn document(
    set: &ModelSet,
    figure: &Figure,
    (method, members): (&str, Vec<usize>),
    (population, detection): (&Population, &Detection),
    settings: &FigureSettings,
) -> Result<Document> {
    let row = of_attacks::row_of(set, method, On::Mc, detection, settings);
    let plot = bound_plot(row, population, &(0..members.len()).collect::<Vec<_>>());
    let mut by = population.by();
    by.merge(&row.attacked.by());
    let asked = json!({ "midpoints": population.settings, "attack": row.attacked.settings });
    let more = json!({ "figure": figure.name, "dataset": { "name": detection.dataset, "images": detection.images } });
    let provenance = provenance(set, &by, &asked, &members, &more);
    drawn(figure, Content::Plots { strips: &[], plots: &[plot] }, settings, provenance)
}

/// Mutual information over predictive entropy: a dot for each image. As I(y; ω) = H[E p] − E H[p] and no entropy is negative, no dot lies
/// above the line I = H (Smith & Gal 2018, §3.1).
fn bound_plot(row: &Detected, population: &Population, places: &[usize]) -> Plot {
    let [entropies, informations] = MEASURES.map(|measure| row.values(Detector::Measure(measure)));
    let of_row = |kind: usize| entropies[kind].iter().zip(&informations[kind]).map(|(&h, &i)| [h, i]).collect::<Vec<_>>();
    let midpoints = |path: Path| {
        let [h, i] = MEASURES.map(|measure| population.measure(path, measure, places));
        h.into_iter().zip(i).map(|(h, i)| [f64::from(h), f64::from(i)]).collect::<Vec<_>>()
    };
    let kinds = [
        ("Clean", of_row(0)),
        ("Noisy", of_row(1)),
        ("Latent midpoints", midpoints(Path::Latent)),
        ("Pixel midpoints", midpoints(Path::Pixel)),
        ("Attacked", of_row(2)),
    ];
    let most = |axis: usize| {
        kinds.iter().flat_map(|(_, points)| points).map(|point| point[axis]).filter(|value| value.is_finite()).fold(0.0, f64::max)
    };
    let [right, top] = [most(0), most(1)];
    let bound = Series { label: "I = H".to_owned(), look: kinds.len(), points: vec![[0.0; 2], [right.min(top); 2]], ..Series::default() };
    let dots = kinds.into_iter().enumerate().map(|(look, (label, points))| {
        let step = points.len().div_ceil(MOST_DOTS).max(1);
        Series { label: label.to_owned(), look, points: points.into_iter().step_by(step).collect(), dots: true, ..Series::default() }
    });
    let axis = |measure: Measure, most: f64| Axis::new(measure.label(), measure.unit(), [0.0, most]).with_margins([0.0, 0.03]);
    // Mutual information of fewer draws is lower.
    let [of_images, of_midpoints] = [row.attacked.settings.samples, population.settings.samples];
    let title = (of_images != of_midpoints).then(|| format!("{of_images} draws, {of_midpoints} of midpoints"));
    Plot { title, x: axis(MEASURES[0], right), y: axis(MEASURES[1], top), series: dots.chain([bound]).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::{Norm, Settings};
    use crate::data::decoded_digits;
    use crate::engine::{self, Masks};
    use crate::jobs::{AttackSettings, Classifiers, DetectSettings, PopulationSettings, detect, population};
    use std::ops::ControlFlow;
    use std::sync::Arc;

    #[test]
    fn no_dot_lies_above_the_bound() {
        let set = ModelSet::shipped().unwrap();
        let mut engine = engine::open("cpu", Arc::clone(&set.models)).unwrap();
        let test = &set.encodings().unwrap().test;
        let data = decoded_digits(&test.points[..20], &test.labels[..20], &test.classes, [1, 28, 28], |z| engine.decode(z)).unwrap();
        let attack = Settings { iterations: Some(2), ..Settings::new("bim", Norm::Linf, 0.3) };
        let attacks = vec![AttackSettings { attack, on: On::Mc, members: vec![0], samples: 4 }];
        let asked = DetectSettings { attacks, resamples: 1, seeds: 1, noise: crate::jobs::NoiseControl::Matched, shard: None, cache: None };
        let classifiers = Classifiers::of(&set);
        let found = detect(&classifiers, engine.as_mut(), None, &data, &asked, &mut |_| ControlFlow::Continue(())).unwrap();
        let asked = PopulationSettings { pairs: 15, samples: 6, members: vec![0], seed: 0, masks: Masks::Shared };
        let midpoints = population(&set, engine.as_mut(), &data, &asked, &mut |_, _| ControlFlow::Continue(())).unwrap();
        let plot = bound_plot(&found.rows[0], &midpoints, &[0]);
        let (bound, dots) = plot.series.split_last().unwrap();
        assert_eq!(dots.iter().map(|series| series.points.len()).collect::<Vec<_>>(), [20, 20, 15, 15, 20]);
        for [entropy, information] in dots.iter().flat_map(|series| &series.points) {
            assert!(*information <= entropy + 1e-6, "{information} above {entropy}");
        }
        assert!(dots.iter().flat_map(|series| &series.points).any(|[entropy, information]| *information < 0.9 * entropy));
        assert!(bound.points.iter().all(|[entropy, information]| entropy == information) && bound.points[1][0] > 0.0);
        assert_eq!(plot.title.as_deref(), Some("4 draws, 6 of midpoints"));
    }
}
