//! Holes: regions of the latent plane where a prediction is sure although the data have no density there (Smith & Gal 2018,
//! Figure 5).

use crate::latent::{Nearest, View};
use crate::uncertainty::Measure;

/// What makes a point one of a hole; a part that is `None` is left out.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Thresholds {
    /// The measure; it says which of its ends is the sure one.
    pub measure: Measure,
    /// Values on the sure side of it, and it itself, are sure.
    pub uncertainty: Option<f64>,
    /// The least max p̄.
    pub confidence: Option<f64>,
    /// Densities of encodings up to this, per unit of z², are none.
    pub density: Option<f64>,
}

/// What is known of the points of a view, row by row from the lowest z₂.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    /// The measure.
    pub values: &'a [f32],
    /// max p̄.
    pub confidence: &'a [f32],
    /// The density of the encodings, per unit of z².
    pub density: &'a [f64],
}

impl Thresholds {
    /// Whether a point with this value of the measure, max p̄ and density belongs to a hole. NaN never does.
    pub fn hold(&self, value: f64, confidence: f64, density: f64) -> bool {
        self.sure(value) && self.confident(confidence) && self.empty(density)
    }

    /// Whether a value of the measure is sure. NaN never is.
    pub fn sure(&self, value: f64) -> bool {
        let within = |bound| if self.measure.rises_with_uncertainty() { value <= bound } else { value >= bound };
        !value.is_nan() && self.uncertainty.is_none_or(within)
    }

    /// Whether max p̄ is confident. NaN never is.
    pub fn confident(&self, confidence: f64) -> bool {
        !confidence.is_nan() && self.confidence.is_none_or(|least| confidence >= least)
    }

    /// Whether a density is none. NaN never is.
    pub fn empty(&self, density: f64) -> bool {
        !density.is_nan() && self.density.is_none_or(|most| density <= most)
    }

    /// How far inside a hole a point is, as one number from −1 to 1 that is 0 at the edge: its contour at 0 outlines the holes. It is the
    /// logarithm of the threshold over the value, the least of all thresholds', cut off at a factor of e: what is far beyond a
    /// threshold shall not push the outline to the point before it.
    pub fn margin(&self, value: f64, confidence: f64, density: f64) -> f64 {
        if value.is_nan() || confidence.is_nan() || density.is_nan() {
            return f64::NAN;
        }
        let within = |threshold: f64, value: f64| match (threshold > 0.0, value > 0.0) {
            (true, true) => (threshold / value).ln().clamp(-1.0, 1.0),
            (_, false) => 1.0,
            (false, true) => -1.0,
        };
        let sure = self
            .uncertainty
            .map(|bound| if self.measure.rises_with_uncertainty() { within(bound, value) } else { within(1.0 - bound, 1.0 - value) });
        let confident = self.confidence.map(|least| within(1.0 - least, 1.0 - confidence));
        let empty = self.density.map(|most| within(most, density));
        [sure, confident, empty].into_iter().flatten().fold(1.0, f64::min)
    }
}

/// The value that such a share of the values are at least as sure as: 0.95 of test images asks to be as sure as 95 % of the data.
/// NaN are the least sure.
///
/// # Panics
/// Without a value, and when the share is not within 0..=1.
pub fn as_sure_as(measure: Measure, values: &[f32], share: f64) -> f64 {
    assert!((0.0..=1.0).contains(&share) && !values.is_empty(), "a share of some values");
    let mut sorted: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
    sorted.sort_unstable_by(|a, b| surer(measure, *a, *b));
    let count = (share * sorted.len() as f64 - 1e-9).ceil() as usize;
    sorted[count.max(1) - 1]
}

/// Orders values of a measure from the surest to the least sure; NaN last.
pub fn surer(measure: Measure, a: f64, b: f64) -> std::cmp::Ordering {
    let order = if measure.rises_with_uncertainty() { a.total_cmp(&b) } else { b.total_cmp(&a) };
    a.is_nan().cmp(&b.is_nan()).then(order)
}

/// A connected region of points that belong to a hole.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// Its points by number in the view, in ascending order.
    pub cells: Vec<u32>,
    /// Its area in units of z², see [`cell_area`].
    pub area: f64,
    /// The surest of its points; of several equally sure ones, the farthest from any encoding.
    pub peak: [f64; 2],
    /// The number of that point in the view.
    pub peak_cell: u32,
    /// The measure at the peak.
    pub uncertainty: f64,
    /// The mean of its points, weighted with their areas; it may lie outside.
    pub centre: [f64; 2],
    /// Whether it reaches the border of the view, and so may go on beyond it.
    pub touches_border: bool,
}

/// The area that a point of a view stands for, in units of z²: from halfway to the point before to halfway to the one behind along
/// both axes, but not beyond the view, so that the areas of all points add up to the view's.
pub fn cell_area(view: &View, cell: usize) -> f64 {
    let along = |[first, last]: [f64; 2], count: usize, at: usize| match count {
        1 => last - first,
        _ if at == 0 || at == count - 1 => 0.5 * (last - first) / (count - 1) as f64,
        _ => (last - first) / (count - 1) as f64,
    };
    along(view.z1, view.columns, cell % view.columns) * along(view.z2, view.rows, cell / view.columns)
}

/// The area of all holes together, in units of z²: the sum over [`regions`], without finding them.
///
/// # Panics
/// As [`regions`].
pub fn area(view: &View, fields: Fields<'_>, thresholds: &Thresholds) -> f64 {
    let cells = members(view, fields, thresholds).into_iter().enumerate().filter(|(_, member)| *member);
    total_area(cells.map(|(cell, _)| cell_area(view, cell)))
}

/// The sum of areas; 0 of none, of which `sum` makes −0.
pub fn total_area(areas: impl IntoIterator<Item = f64>) -> f64 {
    areas.into_iter().sum::<f64>() + 0.0
}

/// The number of holes: the length of [`regions`], without their peaks.
///
/// # Panics
/// As [`regions`].
pub fn count(view: &View, fields: Fields<'_>, thresholds: &Thresholds) -> usize {
    connected(view, members(view, fields, thresholds)).len()
}

fn members(view: &View, fields: Fields<'_>, thresholds: &Thresholds) -> Vec<bool> {
    let Fields { values, confidence, density } = fields;
    let counts = [values.len(), confidence.len(), density.len()];
    assert_eq!(counts, [view.len(); 3], "a value, a confidence and a density for each point of the view");
    let points = values.iter().zip(confidence).zip(density);
    points.map(|((&value, &confidence), &density)| thresholds.hold(value.into(), confidence.into(), density)).collect()
}

/// The holes of a view, from what is known of its points: points
/// that belong to a hole and are neighbours along an axis belong to the same one. The largest comes first; of equally large
/// ones, that with the lower first point. NaN is never in a hole.
///
/// # Panics
/// When there is not one value of each kind for each point of the view.
pub fn regions(view: &View, fields: Fields<'_>, thresholds: &Thresholds, nearest: &Nearest) -> Vec<Region> {
    let points = view.points();
    let mut found: Vec<Region> = connected(view, members(view, fields, thresholds))
        .into_iter()
        .map(|cells| region(view, fields.values, &points, cells, thresholds.measure, nearest))
        .collect();
    // The sort is stable.
    found.sort_by(|a, b| b.area.total_cmp(&a.area));
    found
}

/// The connected parts of the points that are marked, each in ascending order.
fn connected(view: &View, mut waiting: Vec<bool>) -> Vec<Vec<u32>> {
    let mut parts = Vec::new();
    for first in 0..waiting.len() {
        if !std::mem::replace(&mut waiting[first], false) {
            continue;
        }
        let mut cells = vec![first as u32];
        let mut next = 0;
        while let Some(&cell) = cells.get(next) {
            for neighbour in neighbours(view, cell as usize) {
                if std::mem::replace(&mut waiting[neighbour], false) {
                    cells.push(neighbour as u32);
                }
            }
            next += 1;
        }
        cells.sort_unstable();
        parts.push(cells);
    }
    parts
}

fn neighbours(view: &View, cell: usize) -> impl Iterator<Item = usize> {
    let (row, column, columns) = (cell / view.columns, cell % view.columns, view.columns);
    let sides = [
        (column > 0).then(|| cell - 1),
        (column + 1 < columns).then(|| cell + 1),
        (row > 0).then(|| cell - columns),
        (row + 1 < view.rows).then(|| cell + columns),
    ];
    sides.into_iter().flatten()
}

fn region(view: &View, values: &[f32], points: &[[f64; 2]], cells: Vec<u32>, measure: Measure, nearest: &Nearest) -> Region {
    let value = |cell: u32| f64::from(values[cell as usize]);
    let surest = cells.iter().copied().min_by(|&a, &b| surer(measure, value(a), value(b))).unwrap_or(cells[0]);
    let equals: Vec<u32> = cells.iter().copied().filter(|&cell| value(cell) == value(surest)).collect();
    let peak = if equals.len() == 1 { surest } else { farthest(&equals, points, nearest) };
    let areas: Vec<f64> = cells.iter().map(|&cell| cell_area(view, cell as usize)).collect();
    let area: f64 = areas.iter().sum();
    let along = |axis: usize| cells.iter().zip(&areas).map(|(&cell, weight)| weight * points[cell as usize][axis]).sum::<f64>() / area;
    Region {
        area,
        peak: points[peak as usize],
        peak_cell: peak,
        uncertainty: value(peak),
        centre: [along(0), along(1)],
        touches_border: cells.iter().any(|&cell| neighbours(view, cell as usize).count() < 4),
        cells,
    }
}

/// Of some points of a view, at least one, the farthest from any encoding; the first of those equally far.
pub fn farthest(cells: &[u32], points: &[[f64; 2]], nearest: &Nearest) -> u32 {
    let mut best = (f64::NEG_INFINITY, cells[0]);
    for &cell in cells {
        let distance = nearest.distance(points[cell as usize]);
        if distance > best.0 {
            best = (distance, cell);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::Encodings;
    use proptest::prelude::*;

    fn nearest(points: Vec<[f32; 2]>) -> Nearest {
        let labels = vec![0; points.len()];
        Nearest::new(&Encodings::new(points, labels, vec!["only".into()]).unwrap())
    }

    const NONE: Thresholds =
        Thresholds { measure: Measure::MutualInformation, uncertainty: Some(0.1), confidence: None, density: Some(0.01) };

    static CONFIDENT: [f32; 143] = [1.0; 143];

    /// Points of which all are confident.
    fn of<'a>(values: &'a [f32], density: &'a [f64]) -> Fields<'a> {
        Fields { values, confidence: &CONFIDENT[..values.len()], density }
    }

    #[test]
    fn low_values_that_are_not_confident_are_no_hole() {
        let (values, density) = two_rectangles();
        let near = nearest(vec![[0.0, 0.0]]);
        let confidence: Vec<f32> = (0..143).map(|cell| if cell % 13 < 6 { 0.49 } else { 0.95 }).collect();
        let fields = Fields { values: &values, confidence: &confidence, density: &density };
        assert_eq!(regions(&view(), fields, &NONE, &near).len(), 2, "without a bound on max p̄ both are holes");
        let confident = Thresholds { confidence: Some(0.9), ..NONE };
        let found = regions(&view(), fields, &confident, &near);
        assert!(found.len() == 1 && (found[0].area - 4.0).abs() < 1e-12);
        assert_eq!(count(&view(), fields, &confident), 1);
        assert!(confident.margin(0.05, 0.89, 0.0) < 0.0 && confident.margin(0.05, 0.91, 0.0) > 0.0);
        assert!(!confident.hold(0.05, f64::NAN, 0.0) && confident.margin(0.05, f64::NAN, 0.0).is_nan());
        let all = Thresholds { uncertainty: None, confidence: None, density: None, ..NONE };
        assert!((area(&view(), fields, &all) - 120.0).abs() < 1e-9, "all parts off: the whole view");
    }

    /// Unequal ranges and counts, so that swapped axes show: spacings of 0.5 along z₁ and 2 along z₂, a cell of 1 z².
    fn view() -> View {
        View::new([0.0, 6.0], [-10.0, 10.0], 13, 11).unwrap()
    }

    /// Uncertain everywhere but in two rectangles of 3 × 4 and 2 × 2 points away from the border; data nowhere.
    fn two_rectangles() -> (Vec<f32>, Vec<f64>) {
        let mut values = vec![0.5; view().len()];
        for (columns, rows) in [(2..5, 3..7), (8..10, 1..3)] {
            for row in rows {
                for column in columns.clone() {
                    values[row * 13 + column] = 0.05;
                }
            }
        }
        (values, vec![0.0; view().len()])
    }

    #[test]
    fn two_sure_rectangles_without_data_are_two_holes_of_their_area() {
        let (mut values, density) = two_rectangles();
        values[4 * 13 + 3] = 0.01;
        let found = regions(&view(), of(&values, &density), &NONE, &nearest(vec![[0.0, 0.0]]));
        assert_eq!(found.len(), 2);
        // 12 and 4 points of 1 z² each.
        assert!((found[0].area - 12.0).abs() < 1e-12 && (found[1].area - 4.0).abs() < 1e-12);
        assert_eq!(found[0].cells, [41, 42, 43, 54, 55, 56, 67, 68, 69, 80, 81, 82]);
        // Column 3, row 4; then columns 2..5 and rows 3..7 in the mean.
        assert_eq!((found[0].peak, found[0].uncertainty, found[0].peak_cell), ([1.5, -2.0], f64::from(0.01f32), 55));
        assert_eq!((found[0].centre, found[0].touches_border), ([1.5, -1.0], false));
        // All of the smaller are equally sure: its peak is the farthest from (0, 0), of columns 8 and 9, rows 1 and 2.
        assert_eq!(found[1].peak, [4.5, -8.0]);
        let total = area(&view(), of(&values, &density), &NONE);
        assert!((total - 16.0).abs() < 1e-12);
    }

    #[test]
    fn where_data_are_is_no_hole() {
        let (values, mut density) = two_rectangles();
        let near = nearest(vec![[0.0, 0.0]]);
        for cell in [14 + 7, 14 + 8, 26 + 8, 26 + 9] {
            density[cell] = 0.02;
        }
        let found = regions(&view(), of(&values, &density), &NONE, &near);
        assert!(found.len() == 1 && (found[0].area - 12.0).abs() < 1e-12);
        // At the threshold itself there is still no density.
        let density: Vec<f64> = density.into_iter().map(|of| of.min(0.01)).collect();
        assert_eq!(regions(&view(), of(&values, &density), &NONE, &near).len(), 2);
        assert!(regions(&view(), of(&values, &[0.02; 143]), &NONE, &near).is_empty());
    }

    #[test]
    fn corners_do_not_connect_and_nan_is_never_a_hole() {
        let view = View::new([0.0, 2.0], [0.0, 2.0], 3, 3).unwrap();
        let near = nearest(vec![[9.0, 9.0]]);
        let (sure, not) = (0.0, 1.0);
        let values = [sure, not, not, not, sure, not, f32::NAN, not, sure];
        let found = regions(&view, of(&values, &[0.0; 9]), &NONE, &near);
        // The middle is a whole cell; corners of the view are quarters.
        assert_eq!(found.iter().map(|of| (of.area, of.touches_border)).collect::<Vec<_>>(), [(1.0, false), (0.25, true), (0.25, true)]);
        let mut density = [0.0; 9];
        density[4] = f64::NAN;
        assert_eq!(regions(&view, of(&values, &density), &NONE, &near).len(), 2);
    }

    #[test]
    fn the_areas_of_all_points_add_up_to_the_views() {
        for (columns, rows) in [(13, 11), (1, 5), (2, 1), (1, 1)] {
            let view = View::new([0.0, 6.0], [-10.0, 10.0], columns, rows).unwrap();
            let total: f64 = (0..view.len()).map(|cell| cell_area(&view, cell)).sum();
            assert!((total - 120.0).abs() < 1e-9, "{columns} × {rows}: {total}");
        }
    }

    #[test]
    fn high_maximum_probability_is_sure() {
        let (values, density) = two_rectangles();
        let values: Vec<f32> = values.iter().map(|value| 1.0 - value).collect();
        let high = Thresholds { measure: Measure::MaximumProbability, uncertainty: Some(0.9), confidence: None, density: Some(0.01) };
        let near = nearest(vec![[0.0, 0.0]]);
        assert_eq!(regions(&view(), of(&values, &density), &high, &near).len(), 2);
        let low = Thresholds { uncertainty: Some(0.4), ..NONE };
        assert!(regions(&view(), of(&values, &density), &low, &near).is_empty(), "as mutual information, these are the uncertain ones");
        for (thresholds, value, density) in [
            (high, 0.95, 0.0),
            (high, 0.9, 0.01),
            (high, 0.8, 0.0),
            (NONE, 0.05, 0.02),
            (NONE, 0.1, 0.01),
            (NONE, 0.2, 0.0),
            (NONE, 0.0, 0.0),
        ] {
            assert_eq!(thresholds.margin(value, 1.0, density) >= 0.0, thresholds.hold(value, 1.0, density), "{value} {density}");
        }
        assert!(NONE.margin(f64::NAN, 1.0, 0.0).is_nan() && NONE.margin(0.0, 1.0, f64::NAN).is_nan());

        let data = [0.2, 0.9, 0.6, 0.8, f32::NAN];
        let at = |measure, share| as_sure_as(measure, &data, share) as f32;
        let (high, low) = (Measure::MaximumProbability, Measure::PredictiveEntropy);
        assert_eq!([0.0, 0.2, 0.21, 0.6, 0.8].map(|share| at(high, share)), [0.9, 0.9, 0.8, 0.6, 0.2]);
        assert_eq!([0.0, 0.2, 0.21, 0.6, 0.8].map(|share| at(low, share)), [0.2, 0.2, 0.6, 0.8, 0.9]);
        assert!(at(high, 1.0).is_nan() && at(low, 1.0).is_nan());
    }

    proptest! {
        #[test]
        fn holes_never_grow_when_a_threshold_gets_stricter(
            values in proptest::collection::vec(0.0..1.0f32, 143),
            density in proptest::collection::vec(0.0..1.0f64, 143),
            thresholds in (0.0..1.0f64, 0.0..1.0f64),
            stricter in (0.0..1.0f64, 0.0..1.0f64),
            high in proptest::bool::ANY,
        ) {
            let measure = if high { Measure::MaximumProbability } else { Measure::MutualInformation };
            let whole_of = |uncertainty, density_threshold| {
                let uncertainty = if high { 1.0 - uncertainty } else { uncertainty };
                let thresholds = Thresholds { measure, uncertainty: Some(uncertainty), confidence: None, density: Some(density_threshold) };
                area(&view(), of(&values, &density), &thresholds)
            };
            let whole = whole_of(thresholds.0, thresholds.1);
            prop_assert!(whole_of(thresholds.0 * stricter.0, thresholds.1) <= whole);
            prop_assert!(whole_of(thresholds.0, thresholds.1 * stricter.1) <= whole);
            let uncertainty = if high { 1.0 - thresholds.0 } else { thresholds.0 };
            let found = regions(&view(), of(&values, &density), &Thresholds { measure, uncertainty: Some(uncertainty), confidence: None, density: Some(thresholds.1) }, &nearest(vec![[0.0, 0.0]]));
            let sum: f64 = found.iter().map(|of| of.area).sum();
            prop_assert!((sum - whole).abs() <= 1e-9);
            prop_assert!(found.windows(2).all(|pair| pair[0].area >= pair[1].area));
        }
    }
}
