//! Interpolations as strips of images and curves; their populations as histograms.

use super::super::ModelSet;
use super::super::interpolate::{Curve, Interpolation, InterpolationSettings, Path};
use super::super::map::{Map, MapSettings};
use super::super::population::{Population, PopulationSettings};
use super::{FigureSettings, drawn, provenance};
use crate::analysis::correlation::spearman;
use crate::error::Result;
use crate::figure::{Axis, Content, Document, Figure, Plot, Series, Strip, histograms};
use crate::uncertainty::{CellStatistics, Measure};
use serde_json::{Value, json};

/// The most images of a strip.
const MOST_IMAGES: usize = 15;
/// The bins of a histogram.
const BINS: usize = 40;

fn parsed(measures: &[&str]) -> Result<Vec<Measure>> {
    measures.iter().map(|key| Measure::from_key(key)).collect()
}

/// The document of a figure of measures (by key) over some members of an interpolation; `images` says what its ends are.
pub(super) fn interpolation(
    set: &ModelSet,
    figure: &Figure,
    (measures, members): (&[&str], Vec<usize>),
    (interpolation, images): (&Interpolation, &Value),
    settings: &FigureSettings,
) -> Result<Document> {
    // The members of a figure are the first of those that were computed.
    let places: Vec<usize> = (0..members.len()).collect();
    let shape = set.ensemble().image_shape();
    let (strips, plots) = interpolation_plots(interpolation, [shape[0], shape[1], shape[2]], &parsed(measures)?, &places);
    let asked = InterpolationSettings { members, ..interpolation.settings.clone() };
    let more = json!({ "figure": figure.name, "measures": measures, "images": images });
    let provenance = provenance(set, &interpolation.by(), &asked, &asked.members, &more);
    drawn(figure, Content::Plots { strips: &strips, plots: &plots }, settings, provenance)
}

/// The document of a figure of measures (by key) over some members of a population.
pub(super) fn population(
    set: &ModelSet,
    figure: &Figure,
    (measures, members): (&[&str], Vec<usize>),
    population: &Population,
    settings: &FigureSettings,
) -> Result<Document> {
    let places: Vec<usize> = (0..members.len()).collect();
    let plots = population_plots(population, &parsed(measures)?, &places)?;
    let asked = PopulationSettings { members, ..population.settings.clone() };
    let more = json!({ "figure": figure.name, "measures": measures, "dataset": population.dataset });
    let provenance = provenance(set, &population.by(), &asked, &asked.members, &more);
    drawn(figure, Content::Plots { strips: &[], plots: &plots }, settings, provenance)
}

/// The most dots of a scatter: more hide each other.
const MOST_DOTS: usize = 4000;

/// The document of mutual information against softmax variance over the first members of a map, with both approximations of
/// [`variance_plots`]. The provenance holds the rank correlations, at which share of the points the leading
/// term lies below mutual information, and the median of their ratio.
pub(super) fn variance_and_information(
    set: &ModelSet,
    figure: &Figure,
    members: Vec<usize>,
    map: &Map,
    settings: &FigureSettings,
) -> Result<Document> {
    let places: Vec<usize> = (0..members.len()).collect();
    let cells: Vec<CellStatistics> = (0..map.sampled.points()).map(|point| map.sampled.cell(point, places.iter().copied())).collect();
    let [variance, fluctuation] = [softmax_variance, small_fluctuation_term].map(|x| against_information(&cells, x));
    let correlations = json!({ "softmax_variance": spearman(&variance), "small_fluctuation_term": spearman(&fluctuation) });
    let asked = MapSettings { members, ..map.settings.clone() };
    let leading = below_information(&variance, map.classes() as f64)
        .map(|[share, factor]| json!({ "share_of_points_below": share, "median_factor": factor }));
    let more = json!({
        "figure": figure.name, "rank_correlation_with_mutual_information": correlations, "mutual_information_over_leading_term": leading,
    });
    let provenance = provenance(set, &map.by, &asked, &asked.members, &more);
    let plots = variance_plots(&variance, &fluctuation, map.classes());
    drawn(figure, Content::Plots { strips: &[], plots: &plots }, settings, provenance)
}

fn softmax_variance(cell: &CellStatistics) -> f64 {
    Measure::SoftmaxVariance.evaluate(cell)
}

/// The mutual information for small fluctuations of p around p̄, ½ Σ `Var_c` / `p̄_c` in nats: the second-order term of the mean of Σ p ln p
/// around p̄. Classes without probability add nothing.
fn small_fluctuation_term(cell: &CellStatistics) -> f64 {
    let (mean, n) = (cell.mean(), cell.draws());
    let of_class = |(&p, &square): (&f64, &f64)| if p > 0.0 { (square / n - p * p).max(0.0) / p } else { 0.0 };
    mean.iter().zip(cell.sum_p2()).map(of_class).sum::<f64>() / 2.0
}

/// [x, mutual information] of each cell.
fn against_information(cells: &[CellStatistics], x: impl Fn(&CellStatistics) -> f64) -> Vec<[f64; 2]> {
    cells.iter().map(|cell| [x(cell), Measure::MutualInformation.evaluate(cell)]).collect()
}

/// The share of the points at which `slope` times x lies below mutual information, and the median of mutual information over it; of points
/// with a variance, none without any.
fn below_information(points: &[[f64; 2]], slope: f64) -> Option<[f64; 2]> {
    let mut ratios: Vec<f64> = points.iter().filter(|[x, _]| *x > 0.0).map(|[x, information]| information / (slope * x)).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let below = ratios.iter().filter(|ratio| **ratio > 1.0).count() as f64;
    let (low, high) = (*ratios.get(ratios.len().wrapping_sub(1) / 2)?, *ratios.get(ratios.len() / 2)?);
    Some([below / ratios.len() as f64, f64::midpoint(low, high)])
}

/// Mutual information against softmax variance, and against the small-fluctuation term ½ Σ `Var_c` / `p̄_c`, both as [x, mutual information], with
/// the rank correlation above each. The first plot has the leading term of the series of Smith & Gal 2018, equation 10: with
/// ln p = (p − 1) − (p − 1)²/2 + …, it is the sum of the variances of all classes, C times the variance as a mean over the C classes. It is a
/// monotone proxy: it lies below the values. The second has the line on which both are equal.
fn variance_plots(variance: &[[f64; 2]], fluctuation: &[[f64; 2]], classes: usize) -> [Plot; 2] {
    let plot = |points: &[[f64; 2]], x: (&str, &str), line: (&str, usize, f64)| {
        let most = |axis: usize| points.iter().map(|point| point[axis]).filter(|value| value.is_finite()).fold(0.0, f64::max);
        let [right, top] = [most(0), most(1)];
        let end = right.min(top / line.2);
        let step = points.len().div_ceil(MOST_DOTS).max(1);
        let dots = points.iter().copied().step_by(step).collect();
        let dots = Series { label: "Points of the plane".to_owned(), look: 0, points: dots, dots: true, ..Series::default() };
        let line = Series { label: line.0.to_owned(), look: line.1, points: vec![[0.0, 0.0], [end, line.2 * end]], ..Series::default() };
        let correlation = spearman(points).map_or_else(|| "–".to_owned(), |correlation| format!("{correlation:.3}"));
        Plot {
            title: Some(format!("Rank correlation {correlation}")),
            x: Axis::new(x.0, x.1, [0.0, right]).with_margins([0.0, 0.03]),
            y: Axis::new(Measure::MutualInformation.label(), "nats", [0.0, top]).with_margins([0.0, 0.03]),
            series: vec![dots, line],
        }
    };
    [
        plot(variance, (Measure::SoftmaxVariance.label(), ""), ("Leading term, C Var p", 1, classes as f64)),
        plot(fluctuation, ("½ Σ Var p / p̄", "nats"), ("Small-fluctuation term", 2, 1.0)),
    ]
}

/// A strip of images of each curve of an interpolation, and a plot of each measure along the curves over the members at the given
/// places. The images of a strip, fifteen at the most, stand above the points that they belong to.
pub fn interpolation_plots(
    interpolation: &Interpolation,
    image_shape: [usize; 3],
    measures: &[Measure],
    places: &[usize],
) -> (Vec<Strip>, Vec<Plot>) {
    let (steps, pixels) = (interpolation.settings.steps, image_shape.iter().product::<usize>());
    let shown = steps.min(MOST_IMAGES);
    let strip = |curve: &Curve| {
        let image = |number: usize| {
            let step = ((number * (steps - 1)) as f64 / (shown - 1) as f64).round() as usize;
            &curve.images[step * pixels..][..pixels]
        };
        Strip { label: curve.path.label().to_owned(), image_shape, images: (0..shown).flat_map(image).copied().collect() }
    };
    let positions = interpolation.positions();
    let plot = |&measure: &Measure| {
        let series = interpolation.curves.iter().map(|curve| Series {
            label: curve.path.label().to_owned(),
            look: curve.path as usize,
            points: positions.iter().zip(curve.measure(measure, places)).map(|(&t, value)| [t, f64::from(value)]).collect(),
            ..Series::default()
        });
        let series: Vec<Series> = series.collect();
        let values = series.iter().flat_map(|series| &series.points).map(|point| point[1]);
        let y = axis(measure, interpolation.classes(), values).with_margins([0.04; 2]);
        let x = Axis::new("Position between the ends", "", [0.0, 1.0]).with_margins([0.5 / (shown - 1) as f64; 2]);
        Plot { title: None, x, y, series }
    };
    (interpolation.curves.iter().map(strip).collect(), measures.iter().map(plot).collect())
}

/// Histograms of each measure at the latent and at the pixel midpoints over the members at the given places, with the AUROC that
/// separates the two above them.
///
/// # Errors
/// As [`Population::auroc`].
pub fn population_plots(population: &Population, measures: &[Measure], places: &[usize]) -> Result<Vec<Plot>> {
    let plot = |&measure: &Measure| {
        let [latent, pixel] = [Path::Latent, Path::Pixel].map(|path| population.measure(path, measure, places));
        let samples =
            [(Path::Latent, &latent), (Path::Pixel, &pixel)].map(|(path, values)| (path.label(), path as usize, values.as_slice()));
        let x = axis(measure, population.classes(), latent.iter().chain(&pixel).copied().map(f64::from));
        let title = Some(format!("AUROC {}", population.auroc_text(measure, places)?));
        Ok(Plot { title, ..histograms(&samples, x, "Share of midpoints", BINS) })
    };
    measures.iter().map(plot).collect()
}

/// The axis of a measure over the values, from 0 where a measure begins there. Unlike colours, axes say by themselves what they
/// stand for: the natural range would press the mutual information, which is small beside ln C, to the ground.
fn axis(measure: Measure, classes: usize, values: impl Iterator<Item = f64>) -> Axis {
    let wider = |[low, high]: [f64; 2], value: f64| [low.min(value), high.max(value)];
    let [low, high] = values.filter(|value| value.is_finite()).fold([f64::INFINITY, f64::NEG_INFINITY], wider);
    let first = if measure.natural_range(classes)[0] == 0.0 { 0.0 } else { low };
    Axis::new(measure.label(), measure.unit(), [first, high])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_small_fluctuation_term_is_near_information_where_draws_differ_little() {
        let cell = CellStatistics::of_draws(&[[0.30, 0.70], [0.31, 0.69], [0.29, 0.71], [0.32, 0.68]]);
        let [[term, information]] = against_information(std::slice::from_ref(&cell), small_fluctuation_term)[..] else {
            panic!("one cell")
        };
        assert!((term / information - 1.0).abs() < 0.01, "{term} for {information}");
        let leading = 2.0 * softmax_variance(&cell);
        assert!(information / leading > 1.15, "the leading term is too low: {leading} for {information}");
    }

    #[test]
    fn the_share_below_and_the_median_factor_are_counted() {
        let points = [[0.1, 0.4], [0.1, 0.1], [0.2, 0.5], [0.0, 0.0], [0.1, 0.6]];
        let [share, factor] = below_information(&points, 2.0).unwrap();
        // The ratios are 2, 0.5, 1.25 and 3.
        assert!(share == 0.75 && (factor - 1.625).abs() < 1e-12, "{share} {factor}");
        assert!((below_information(&points, 4.0).unwrap()[0] - 0.25).abs() < 1e-12, "the negative control");
        assert_eq!(below_information(&[[0.0, 0.0]], 2.0), None);
    }
}
