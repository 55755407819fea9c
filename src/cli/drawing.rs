//! How figures are drawn: venue, width, resolution, colours.

use super::shared::choice;
use crate::figure::{ColourMap, ColourRange, Options, PRINT_DPI, Style, VENUES, Venue, Width};
use clap::{Args, ValueEnum};

/// The options of everything that is drawn.
#[derive(Debug, Args)]
pub struct Drawing {
    /// Whose column width and font sizes.
    #[arg(long, value_parser = choice(VENUES.iter().map(|venue| venue.key), Venue::named), default_value = "icml")]
    venue: &'static Venue,
    /// One column, or the full width of the text.
    #[arg(long, value_enum, default_value_t = WidthChoice::Column)]
    width: WidthChoice,
    /// Pixels per inch of PNG files and of what is drawn as pixels in the others.
    #[arg(long, value_name = "N", default_value_t = PRINT_DPI)]
    pub dpi: f64,
    /// The colour map [default: what suits the figure].
    #[arg(long, value_parser = choice(ColourMap::ALL.map(ColourMap::label), ColourMap::named))]
    pub colours: Option<ColourMap>,
    /// Colours for the values that there are (all figures of a measure drawn together share them), or for all that the measure can
    /// take, so that figures of different runs can be compared.
    #[arg(long, value_enum, default_value_t = RangeChoice::Data)]
    range: RangeChoice,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum WidthChoice {
    Column,
    Full,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RangeChoice {
    Natural,
    Data,
}

impl Drawing {
    /// The sizes.
    pub fn style(&self) -> Style {
        self.venue.style(match self.width {
            WidthChoice::Column => Width::Column,
            WidthChoice::Full => Width::Full,
        })
    }

    /// What the colours stand for.
    pub fn range(&self) -> ColourRange {
        match self.range {
            RangeChoice::Natural => ColourRange::Natural,
            RangeChoice::Data => ColourRange::Data,
        }
    }

    /// All of it, without a title.
    pub fn options(&self) -> Options {
        Options { style: self.style(), colours: self.colours.unwrap_or_default(), range: self.range(), shared: None, title: None }
    }
}
