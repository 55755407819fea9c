//! The widths and font sizes that the venues' style files ask for.

/// How wide a figure is in a two-column layout; the same for a venue of one column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Width {
    /// One column of the text.
    #[default]
    Column,
    /// The whole width of the text.
    Full,
}

impl Width {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Column, Self::Full];
}

/// The sizes that a figure is drawn in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Style {
    /// The width of the figure in inches. The height follows from what is drawn.
    pub width_in: f64,
    /// The size of titles and axis labels in points.
    pub label_pt: f64,
    /// The size of tick labels and legends in points.
    pub tick_pt: f64,
    /// The thickness of axes, frames and ticks in points.
    pub line_pt: f64,
}

/// A conference or journal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Venue {
    /// Its name on the command line.
    pub key: &'static str,
    /// Its name.
    pub label: &'static str,
    column_in: f64,
    full_in: f64,
    label_pt: f64,
    tick_pt: f64,
}

const fn venue(key: &'static str, label: &'static str, [column_in, full_in]: [f64; 2], [label_pt, tick_pt]: [f64; 2]) -> Venue {
    Venue { key, label, column_in, full_in, label_pt, tick_pt }
}

/// Every venue; the first is the default. The widths are those of their style files; the font sizes are the body's, one or two
/// points smaller, as tueplots (`figsizes.py`, `fontsizes.py`) sets them.
pub static VENUES: [Venue; 8] = [
    venue("icml", "ICML", [3.25, 6.75], [8.0, 6.0]),
    venue("neurips", "NeurIPS", [5.5, 5.5], [9.0, 7.0]),
    venue("iclr", "ICLR", [5.5, 5.5], [9.0, 7.0]),
    venue("aistats", "AISTATS", [3.25, 6.75], [9.0, 7.0]),
    venue("uai", "UAI", [3.25, 6.75], [9.0, 7.0]),
    venue("cvpr", "CVPR", [3.25, 6.875], [8.0, 6.0]),
    venue("tmlr", "TMLR", [6.5, 6.5], [9.0, 7.0]),
    venue("jmlr", "JMLR", [6.0, 6.0], [10.0, 8.0]),
];

impl Venue {
    /// The venue of that [`key`](Self::key).
    pub fn named(key: &str) -> Option<&'static Self> {
        VENUES.iter().find(|venue| venue.key == key)
    }

    /// The sizes of a figure in this venue.
    pub fn style(&self, width: Width) -> Style {
        let width_in = match width {
            Width::Column => self.column_in,
            Width::Full => self.full_in,
        };
        Style { width_in, label_pt: self.label_pt, tick_pt: self.tick_pt, line_pt: 0.5 }
    }
}

impl Default for Style {
    fn default() -> Self {
        VENUES[0].style(Width::Column)
    }
}
