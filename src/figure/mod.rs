//! Figures for print: a drawing, its files (PNG, SVG, PDF), and where they come from.
//!
//! Nothing here computes a measure: a [`Figure`] says what it [`Needs`], a job computes it, and the figure draws it.

mod axes;
mod canvas;
mod colour;
mod document;
mod heat_map;
mod plot;
pub mod provenance;
mod text;
mod venue;

#[cfg(test)]
mod tests;

pub use axes::{Ticks, nice_ticks};
pub use canvas::{Anchor, Area, Canvas, Shape, Stroke};
pub use colour::{ColourMap, NOT_A_NUMBER, Rgb, class_colour, difference_colour, line_colour};
pub use document::{Document, Format, PRINT_DPI, check_dpi};
pub use heat_map::{ColourRange, MapData, Options, Panel, Scatter, heat_map};
pub use plot::{Axis, Plot, Sample, Series, Strip, histograms, plots};
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

/// What a figure is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The key of the measure, such as `mutual_information`.
    pub measure: &'static str,
    /// Of which members.
    pub members: Members,
    /// Whether the training encodings lie over the map.
    pub scatter: bool,
}

/// A figure of the paper (Smith & Gal 2018).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Its name on the command line and in file names.
    pub name: &'static str,
    /// Its number in the paper.
    pub number: u8,
    /// Its title.
    pub title: &'static str,
    /// What it shows, in one line.
    pub summary: &'static str,
    /// What it is drawn from.
    pub needs: Needs,
    /// The colours that suit it: grey, as in the paper, where coloured encodings lie over the map.
    pub colours: ColourMap,
}

static FIGURES: [Figure; 3] = [
    Figure {
        name: "figure-1",
        number: 1,
        title: "Mutual information and the training data",
        summary: "the mutual information of one dropout network over the latent plane, with the training encodings in class colours",
        needs: Needs { measure: "mutual_information", members: Members::One, scatter: true },
        colours: ColourMap::Grey,
    },
    Figure {
        name: "figure-4",
        number: 4,
        title: "Predictive entropy",
        summary: "the predictive entropy of one dropout network over the latent plane",
        needs: Needs { measure: "predictive_entropy", members: Members::One, scatter: false },
        colours: ColourMap::Viridis,
    },
    Figure {
        name: "figure-6",
        number: 6,
        title: "Mutual information of the ensemble",
        summary: "the mutual information of the ensemble of dropout networks over the latent plane",
        needs: Needs { measure: "mutual_information", members: Members::All, scatter: false },
        colours: ColourMap::Viridis,
    },
];

/// Every figure, in the paper's order.
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
    /// As [`heat_map`].
    ///
    /// # Panics
    /// As [`heat_map`], and when the encodings are missing or superfluous.
    pub fn draw(&self, map: &MapData, scatter: Option<Scatter<'_>>, options: &Options) -> Result<Canvas> {
        assert_eq!(scatter.is_some(), self.needs.scatter, "{} has encodings exactly where it needs them", self.name);
        heat_map(&[Panel { title: None, map, scatter }], options)
    }
}
