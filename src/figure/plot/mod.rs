//! Plots: curves with bands, histograms, and strips of images above them.

mod draw;
mod layout;
#[cfg(test)]
mod tests;

pub(super) use draw::pixel_colour;

use super::canvas::Canvas;
use super::heat_map::Options;
use crate::error::Result;
use layout::Layout;

/// An axis of a plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What it shows, such as "Mutual information".
    pub label: String,
    /// Its unit, such as "nats"; empty for a pure number.
    pub unit: String,
    /// The first and the last value that ticks may stand at.
    pub range: [f64; 2],
    /// How far the axis goes on before and after its range, as parts of it, so that lines along an end are seen whole.
    pub margins: [f64; 2],
    /// Whether it counts something, so that ticks stand at whole numbers only.
    pub is_count: bool,
}

impl Axis {
    /// An axis that ends where its range ends.
    pub fn new(label: impl Into<String>, unit: impl Into<String>, range: [f64; 2]) -> Self {
        Self { label: label.into(), unit: unit.into(), range, margins: [0.0; 2], is_count: false }
    }

    /// With room beyond both ends.
    #[must_use]
    pub fn with_margins(self, margins: [f64; 2]) -> Self {
        Self { margins, ..self }
    }

    /// With ticks at whole numbers only, for what is counted.
    #[must_use]
    pub fn of_counts(self) -> Self {
        Self { is_count: true, ..self }
    }

    /// The label with the unit.
    fn text(&self) -> String {
        if self.unit.is_empty() { self.label.clone() } else { format!("{} ({})", self.label, self.unit) }
    }

    /// The range; one from 0 to 1 for values that are all the same, or no numbers.
    fn usable_range(&self) -> [f64; 2] {
        match self.range {
            [first, last] if first < last && (last - first).is_finite() => [first, last],
            [first, _] if first.is_finite() => [first, first + first.abs().max(1.0)],
            _ => [0.0, 1.0],
        }
    }

    /// Where the frame stands.
    fn ends(&self) -> [f64; 2] {
        let [first, last] = self.usable_range();
        [first - self.margins[0] * (last - first), last + self.margins[1] * (last - first)]
    }
}

/// A curve of a plot, or the outline of a histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// What the legend calls it.
    pub label: String,
    /// The number of its colour ([`super::line_colour`]) and of its dashes: what is the same thing in several plots has the same.
    pub look: usize,
    /// Its points [x, y] from one end to the other; where a number is not finite, the line has a gap.
    pub points: Vec<[f64; 2]>,
    /// The lower and the upper end of a shaded band at each point, such as mean ± standard deviation.
    pub band: Option<Vec<[f64; 2]>>,
    /// Whether the area between the line and the lower end of the y axis is shaded.
    pub filled: bool,
    /// Whether its points are dots rather than ends of lines.
    pub dots: bool,
}

/// Two axes and what is plotted over them.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// What stands above it.
    pub title: Option<String>,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// From the first drawn to the last.
    pub series: Vec<Series>,
}

/// A row of images with a name at its left.
#[derive(Clone, Debug, PartialEq)]
pub struct Strip {
    /// Its name.
    pub label: String,
    /// [channels, height, width] of every image. One channel is drawn in grey, three as red, green, blue, others by their mean.
    pub image_shape: [usize; 3],
    /// Pixels in 0..=1, \[N, C, H, W\] row-major: as many images as are to stand side by side.
    pub images: Vec<f32>,
}

impl Strip {
    /// The number of images.
    fn len(&self) -> usize {
        self.images.len() / self.image_shape.iter().product::<usize>().max(1)
    }
}

/// The values of one histogram among several: name, look (see [`Series`]), values.
pub type Sample<'a> = (&'a str, usize, &'a [f32]);

/// Histograms over one another: the share of each sample's values that fall into each of `bins` equal bins over the range of
/// `x`. What is not finite is left out; what lies beyond the range counts, but is not drawn. `what` names the values: "Share of
/// midpoints".
///
/// # Panics
/// Without a bin.
pub fn histograms(samples: &[Sample<'_>], x: Axis, what: impl Into<String>, bins: usize) -> Plot {
    assert!(bins > 0, "a histogram has a bin");
    let [first, last] = x.usable_range();
    let edge = |bin: usize| first + (last - first) * bin as f64 / bins as f64;
    let mut highest = 0.0_f64;
    let outline = |&(label, look, values): &Sample<'_>| {
        let mut counts = vec![0_usize; bins];
        let finite: Vec<f64> = values.iter().copied().map(f64::from).filter(|value| value.is_finite()).collect();
        // A measure at the end of its range may lie a rounding error of f32 beyond it.
        let slack = 1e-6 * (last - first);
        for value in finite.iter().filter(|&&value| (first - slack..=last + slack).contains(&value)) {
            counts[(((value - first) / (last - first) * bins as f64) as usize).min(bins - 1)] += 1;
        }
        let shares: Vec<f64> = counts.into_iter().map(|count| count as f64 / finite.len().max(1) as f64).collect();
        highest = shares.iter().copied().fold(highest, f64::max);
        let steps = shares.iter().enumerate().flat_map(|(bin, &share)| [[edge(bin), share], [edge(bin + 1), share]]);
        let points = std::iter::once([first, 0.0]).chain(steps).chain([[last, 0.0]]).collect();
        Series { label: label.to_owned(), look, points, filled: true, ..Series::default() }
    };
    let series = samples.iter().map(outline).collect();
    Plot { title: None, x, y: Axis::new(what, "", [0.0, highest]).with_margins([0.0, 0.06]), series }
}

/// Draws strips of images, one below the other, and plots below them: next to each other where there is room and no strip above,
/// else one below the other. A strip is as wide as a plot, so that its images stand above what is plotted about them where the
/// x axis goes half an image beyond the first and the last. Of the options, style and title count.
///
/// # Errors
/// When the labels leave no room for the plots.
///
/// # Panics
/// Without a strip and a plot; when a strip has no whole image, or a band is not as long as its line.
pub fn plots(strips: &[Strip], plots: &[Plot], options: &Options) -> Result<Canvas> {
    assert!(!strips.is_empty() || !plots.is_empty(), "a figure shows something");
    for strip in strips {
        let pixels = strip.image_shape.iter().product::<usize>();
        assert!(!strip.images.is_empty() && strip.images.len().is_multiple_of(pixels), "a strip consists of whole images");
    }
    for series in plots.iter().flat_map(|plot| &plot.series) {
        assert!(series.band.as_ref().is_none_or(|band| band.len() == series.points.len()), "a band has ends at each point");
    }
    let layout = Layout::new(strips, plots, options)?;
    let mut canvas = Canvas { width: layout.width, height: layout.height, shapes: Vec::new() };
    draw::all(&mut canvas, &layout, strips, plots, options);
    Ok(canvas)
}
