//! Figures for print: a drawing, its files (PNG, SVG, PDF), and where they come from.
//!
//! Nothing here computes a measure: a [`Figure`] says what it [`Needs`], a job computes it as [`Content`], and the figure draws it.

mod axes;
mod canvas;
mod caption;
mod colour;
#[cfg(test)]
pub mod colour_difference;
mod document;
mod dot_shape;
mod facets;
mod gallery;
mod heat_map;
mod layers;
mod plot;
pub mod provenance;
mod scale;
mod text;
mod venue;

#[cfg(test)]
mod tests;

pub use axes::{Ticks, nice_ticks};
pub use canvas::{Anchor, Area, Canvas, Shape, Stroke};
pub use caption::add_caption;
pub use colour::{ColourMap, DOT_OUTLINE, NOT_A_NUMBER, Rgb, class_colour, difference_colour, line_colour};
pub use document::{Document, Format, PRINT_DPI, Pixels, check_dpi};
pub use dot_shape::DotShape;
pub use facets::{Facet, ImageGrid, facets};
pub use gallery::{Card, gallery};
pub use heat_map::{ColourRange, MapData, Options, Panel, Scatter, colour_range, heat_map};
pub use layers::{ATTACK_COLOUR, Layers, PlanePath};
pub use plot::{Axis, Plot, Sample, Series, Strip, histograms, plots};
pub use scale::{ManualRange, Scale, Scaled, range_of};
pub use text::{Face, Run};
pub use venue::{Style, VENUES, Venue, Width};

use crate::error::Result;

/// How many members of the ensemble a figure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Members {
    /// The first network alone.
    One,
    /// All of them.
    All,
}

/// What a figure is drawn from. A new kind of figure is a variant here and what computes it among the jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// A measure over the latent plane.
    Map {
        /// The key of the measure, such as `mutual_information`.
        measure: &'static str,
        /// Of which members.
        members: Members,
        /// Whether the training encodings lie over the map.
        scatter: bool,
    },
    /// Images along the ways from one image to another, and measures (by their keys) along them.
    Interpolation { measures: &'static [&'static str], members: Members },
    /// Midpoints between many pairs of images, and histograms of measures (by their keys) of them.
    Population { measures: &'static [&'static str], members: Members },
    /// The holes of the latent plane by a measure over all members, and garbage images of so many of the largest.
    Garbage {
        /// The key of the measure.
        measure: &'static str,
        /// How many images at the most.
        images: usize,
    },
    /// The area of the holes by a measure against the number of members.
    HoleCurve {
        /// The key of the measure.
        measure: &'static str,
    },
    /// Images attacked on the deterministic network and on its MC mean by a method (by its name), and what it changed.
    AttackedImages { method: &'static str },
    /// How well measures (by their keys) tell the images that a method attacked on a victim (`mc` and so on) from clean and noisy ones.
    Detection { method: &'static str, on: &'static str, measures: &'static [&'static str] },
    /// Softmax variance against mutual information over the latent plane.
    VarianceAndInformation { members: Members },
    /// Predictive entropy against mutual information of clean, noisy and attacked images (by the method's name, on MC dropout), and of midpoints
    /// between pairs of images.
    EntropyAndInformation { method: &'static str, members: Members },
}

impl Needs {
    /// The members that the figure is about, where it does not choose them by who is attacked.
    pub const fn members(self) -> Option<Members> {
        match self {
            Self::Map { members, .. }
            | Self::Interpolation { members, .. }
            | Self::Population { members, .. }
            | Self::VarianceAndInformation { members }
            | Self::EntropyAndInformation { members, .. } => Some(members),
            Self::Garbage { .. } | Self::HoleCurve { .. } => Some(Members::All),
            Self::AttackedImages { .. } | Self::Detection { .. } => None,
        }
    }
}

/// What has been computed for a figure.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// A heat map, with encodings on top or without.
    Map { map: &'a MapData, scatter: Option<Scatter<'a>> },
    /// A heat map with pins, and an image of each.
    Gallery { panel: &'a Panel<'a>, cards: &'a [Card], image_shape: [usize; 3] },
    /// Strips of images, and plots below them.
    Plots { strips: &'a [Strip], plots: &'a [Plot] },
}

/// A figure of the paper (Smith & Gal 2018), or one about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Its name on the command line and in file names.
    pub name: &'static str,
    /// Its number in the paper, where it is one of the paper's.
    pub number: Option<u8>,
    /// Its title.
    pub title: &'static str,
    /// What it shows, in one line.
    pub summary: &'static str,
    /// What it is drawn from.
    pub needs: Needs,
    /// The colours that suit it: grey, as in the paper, where coloured encodings lie over the map.
    pub colours: ColourMap,
}

/// What the paper draws of interpolations.
const ENTROPY_AND_INFORMATION: &[&str] = &["predictive_entropy", "mutual_information"];

static FIGURES: [Figure; 17] = [
    Figure {
        name: "figure-1",
        number: Some(1),
        title: "Mutual information and the training data",
        summary: "the mutual information of one dropout network over the latent plane, with the training encodings in class colours",
        needs: Needs::Map { measure: "mutual_information", members: Members::One, scatter: true },
        colours: ColourMap::Grey,
    },
    Figure {
        name: "figure-2",
        number: Some(2),
        title: "Between two images",
        summary: "images between two of different classes, through latent space, through pixel space and along a geodesic, and their uncertainty",
        needs: Needs::Interpolation { measures: ENTROPY_AND_INFORMATION, members: Members::One },
        colours: ColourMap::Grey,
    },
    Figure {
        name: "figure-3",
        number: Some(3),
        title: "Midpoints between many pairs of images",
        summary: "the uncertainty of midpoints between images of different classes, through latent and through pixel space",
        needs: Needs::Population { measures: ENTROPY_AND_INFORMATION, members: Members::One },
        colours: ColourMap::Grey,
    },
    Figure {
        name: "figure-4",
        number: Some(4),
        title: "Predictive entropy",
        summary: "the predictive entropy of one dropout network over the latent plane",
        needs: Needs::Map { measure: "predictive_entropy", members: Members::One, scatter: false },
        colours: ColourMap::Viridis,
    },
    Figure {
        name: "figure-5",
        number: Some(5),
        title: "Garbage that the models are sure of",
        summary: "images decoded from the largest holes, with what the ensemble takes them for, and their places on the map",
        needs: Needs::Garbage { measure: "mutual_information", images: 6 },
        colours: ColourMap::Viridis,
    },
    Figure {
        name: "figure-6",
        number: Some(6),
        title: "Mutual information of the ensemble",
        summary: "the mutual information of the ensemble of dropout networks over the latent plane",
        needs: Needs::Map { measure: "mutual_information", members: Members::All, scatter: false },
        colours: ColourMap::Viridis,
    },
    Figure {
        name: "figure-7",
        number: Some(7),
        title: "Adversarial images",
        summary: "images before and after the basic iterative method, on the deterministic network and on MC dropout, and the differences",
        needs: Needs::AttackedImages { method: "bim" },
        colours: ColourMap::Grey,
    },
    detection(
        "figure-8",
        8,
        "Fast gradient method on MC dropout",
        "ROC and precision-recall of entropy and mutual information: images attacked by FGM on MC dropout against clean and noisy ones",
        "fgm",
        "mc",
    ),
    detection(
        "figure-9",
        9,
        "Basic iterative method on MC dropout",
        "ROC and precision-recall of entropy and mutual information: images attacked by BIM on MC dropout against clean and noisy ones",
        "bim",
        "mc",
    ),
    detection(
        "figure-10",
        10,
        "Momentum iterative method on MC dropout",
        "ROC and precision-recall of entropy and mutual information: images attacked by MIM on MC dropout against clean and noisy ones",
        "mim",
        "mc",
    ),
    detection(
        "figure-11",
        11,
        "Fast gradient method on the ensemble",
        "ROC and precision-recall of entropy and mutual information: images attacked by FGM on the ensemble against clean and noisy ones",
        "fgm",
        "ensemble",
    ),
    detection(
        "figure-12",
        12,
        "Basic iterative method on the ensemble",
        "ROC and precision-recall of entropy and mutual information: images attacked by BIM on the ensemble against clean and noisy ones",
        "bim",
        "ensemble",
    ),
    detection(
        "figure-13",
        13,
        "Momentum iterative method on the ensemble",
        "ROC and precision-recall of entropy and mutual information: images attacked by MIM on the ensemble against clean and noisy ones",
        "mim",
        "ensemble",
    ),
    Figure {
        name: "figure-14",
        number: Some(14),
        title: "Basic iterative method on the deterministic network",
        summary: "ROC and precision-recall of entropy: images attacked by BIM on the deterministic network against clean and noisy ones",
        needs: Needs::Detection { method: "bim", on: "deterministic", measures: &["deterministic_entropy"] },
        colours: ColourMap::Viridis,
    },
    Figure {
        name: "variance-information",
        number: None,
        title: "Softmax variance and mutual information",
        summary: "softmax variance as a monotone proxy of mutual information over the latent plane: the leading term of equation 10 and the small-fluctuation term",
        needs: Needs::VarianceAndInformation { members: Members::One },
        colours: ColourMap::Viridis,
    },
    Figure {
        name: "entropy-information",
        number: None,
        title: "Predictive entropy and mutual information",
        summary: "predictive entropy against mutual information of clean, noisy, attacked and midpoint images, with the bound of section 3.1",
        needs: Needs::EntropyAndInformation { method: "bim", members: Members::One },
        colours: ColourMap::Viridis,
    },
    Figure {
        name: "hole-curve",
        number: None,
        title: "Hole area and the size of the ensemble",
        summary: "the area of the holes against the number of ensemble members, figure 6 as a number",
        needs: Needs::HoleCurve { measure: "mutual_information" },
        colours: ColourMap::Viridis,
    },
];

/// ROC and precision-recall of entropy and mutual information, of images attacked by a method on a victim.
const fn detection(
    name: &'static str,
    number: u8,
    title: &'static str,
    summary: &'static str,
    method: &'static str,
    on: &'static str,
) -> Figure {
    Figure {
        name,
        number: Some(number),
        title,
        summary,
        needs: Needs::Detection { method, on, measures: ENTROPY_AND_INFORMATION },
        colours: ColourMap::Viridis,
    }
}

/// Every figure, in the paper's order, then those that it has not.
pub fn all() -> &'static [Figure] {
    &FIGURES
}

impl Figure {
    /// The figure of that [`name`](Self::name).
    pub fn named(name: &str) -> Option<&'static Self> {
        FIGURES.iter().find(|figure| figure.name == name)
    }

    /// Draws the figure from what it [`Needs`].
    ///
    /// # Errors
    /// As [`heat_map`] and [`plots`].
    ///
    /// # Panics
    /// As these, and when the content is of another kind, or the encodings are missing or superfluous.
    pub fn draw(&self, content: Content<'_>, options: &Options) -> Result<Canvas> {
        match (self.needs, content) {
            (Needs::Map { scatter: needed, .. }, Content::Map { map, scatter }) => {
                assert_eq!(scatter.is_some(), needed, "{} has encodings exactly where it needs them", self.name);
                heat_map(&[Panel { title: None, map, scatter, layers: Layers::default() }], options)
            }
            (Needs::Garbage { .. }, Content::Gallery { panel, cards, image_shape }) => gallery(panel, cards, image_shape, options),
            (
                Needs::Interpolation { .. }
                | Needs::Population { .. }
                | Needs::HoleCurve { .. }
                | Needs::AttackedImages { .. }
                | Needs::Detection { .. }
                | Needs::VarianceAndInformation { .. }
                | Needs::EntropyAndInformation { .. },
                Content::Plots { strips, plots: panels },
            ) => plots(strips, panels, options),
            (needs, _) => unreachable!("{} is drawn from {needs:?}", self.name),
        }
    }
}
