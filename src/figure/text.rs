//! The typeface of the figures, Liberation Sans 2 (metrically Arial), embedded so that a figure looks the same everywhere. Characters that it
//! lacks come from the system's fonts.

use resvg::usvg::fontdb::{Database, Source};
use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

/// The family names of an SVG's text: elsewhere, a face with the same metrics takes over.
pub const FAMILY: &str = "Liberation Sans, Arial, Helvetica, sans-serif";

/// The height of capitals and digits as a part of the font size.
pub const CAPITAL: f64 = 0.688;

/// A face of the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// Upright.
    Regular,
    /// Bold.
    Bold,
    /// Italic: variables.
    Italic,
}

/// Liberation Sans 2.1.5; its licence stands beside the files.
static FILES: [&[u8]; 3] = [
    include_bytes!("../../assets/fonts/LiberationSans-Regular.ttf"),
    include_bytes!("../../assets/fonts/LiberationSans-Bold.ttf"),
    include_bytes!("../../assets/fonts/LiberationSans-Italic.ttf"),
];

static METRICS: LazyLock<[Option<ttf_parser::Face<'static>>; 3]> =
    LazyLock::new(|| FILES.map(|file| ttf_parser::Face::parse(file, 0).ok()));

static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    for file in FILES {
        fonts.load_font_source(Source::Binary(Arc::new(file)));
    }
    Arc::new(fonts)
});

/// The embedded fonts with those of the system behind them.
static WITH_SYSTEM: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut fonts = (**FONTS).clone();
    fonts.load_system_fonts();
    Arc::new(fonts)
});

/// The embedded fonts, and no others.
pub(super) fn fonts() -> Arc<Database> {
    Arc::clone(&FONTS)
}

/// The fonts that a text needs, and the text as they can draw it: the embedded fonts, and those of the system where these lack a character. A
/// character that no font has becomes its number, such as `[U+6F22]`.
pub(super) fn fonts_for(text: &str) -> (Arc<Database>, Cow<'_, str>) {
    let embedded = METRICS[0].as_ref();
    let mut lacking: Vec<char> =
        text.chars().filter(|&one| !one.is_ascii() && embedded.is_none_or(|face| face.glyph_index(one).is_none())).collect();
    if lacking.is_empty() {
        return (fonts(), text.into());
    }
    lacking.sort_unstable();
    lacking.dedup();
    lacking.retain(|&one| !is_invisible(one) && !is_installed(one));
    let drawn = lacking.iter().fold(Cow::Borrowed(text), |drawn, &one| drawn.replace(one, &format!("[U+{:04X}]", u32::from(one))).into());
    (Arc::clone(&WITH_SYSTEM), drawn)
}

/// Whether one of the system's fonts has a character.
fn is_installed(one: char) -> bool {
    let has = |data: &[u8], index| ttf_parser::Face::parse(data, index).is_ok_and(|face| face.glyph_index(one).is_some());
    WITH_SYSTEM.faces().any(|face| WITH_SYSTEM.with_face_data(face.id, has) == Some(true))
}

/// Whether a character only changes its neighbours: joiners, directions and variants.
fn is_invisible(one: char) -> bool {
    one.is_whitespace()
        || matches!(one, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}')
}

/// A piece of a line of text in one face. Subscripts and superscripts are written as the Unicode characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What is written.
    pub text: String,
    /// The face.
    pub face: Face,
}

impl Run {
    /// A piece of text.
    pub fn new(text: impl Into<String>, face: Face) -> Self {
        Self { text: text.into(), face }
    }

    /// Upright text.
    pub fn regular(text: impl Into<String>) -> Self {
        Self::new(text, Face::Regular)
    }

    /// How wide the text is at a font size, both in points, without kerning. A character that the font lacks counts as half
    /// of the size.
    pub fn width(&self, size: f64) -> f64 {
        self.text.chars().map(|character| advance(character, self.face)).sum::<f64>() * size
    }
}

/// The size of a raised or lowered character as a part of the font size.
pub(super) const SCRIPT: f64 = 0.7;

/// A raised or lowered character as an ordinary one, and how far it is raised, as a part of the font size. The fonts lack some of
/// these characters, and draw the others in two designs: made from ordinary ones, they all look alike.
pub(super) fn script(character: char) -> Option<(char, f64)> {
    const RAISED: f64 = 0.35;
    let digit = |zero: char| char::from_u32(u32::from(character) - u32::from(zero) + u32::from('0'));
    match character {
        '¹' => Some(('1', RAISED)),
        '²' => Some(('2', RAISED)),
        '³' => Some(('3', RAISED)),
        '⁻' => Some(('−', RAISED)),
        '⁰' | '⁴'..='⁹' => Some((digit('⁰')?, RAISED)),
        '₀'..='₉' => Some((digit('₀')?, -0.18)),
        _ => None,
    }
}

fn advance(character: char, face: Face) -> f64 {
    if let Some((ordinary, _)) = script(character) {
        return SCRIPT * advance(ordinary, face);
    }
    let in_units = || {
        let face = METRICS[face as usize].as_ref()?;
        let units = face.glyph_hor_advance(face.glyph_index(character)?)?;
        Some(f64::from(units) / f64::from(face.units_per_em()))
    };
    in_units().unwrap_or(0.5)
}

/// The text, shortened to its beginning and "…" where it is wider than `widest` points.
pub fn elide(text: &str, face: Face, size: f64, widest: f64) -> String {
    if Run::new(text, face).width(size) <= widest {
        return text.to_owned();
    }
    let mut room = widest - advance('…', face) * size;
    let kept: String = text
        .chars()
        .take_while(|&character| {
            room -= advance(character, face) * size;
            room >= 0.0
        })
        .collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_face_has_the_characters_that_figures_need() {
        for face in METRICS.iter() {
            let face = face.as_ref().expect("the embedded fonts are whole");
            for character in "−·…–×ẑαβγεμσω≤≥ℓ\u{2009}0123456789".chars() {
                assert!(face.glyph_index(character).is_some(), "{character:?} is missing");
            }
            let capital = f64::from(face.capital_height().expect("a capital height")) / f64::from(face.units_per_em());
            assert!((capital - CAPITAL).abs() < 1e-3, "{capital}");
        }
    }

    #[test]
    fn characters_that_the_embedded_fonts_lack_come_from_the_system_or_are_named() {
        let (fonts, text) = fonts_for("Ĝ – ω");
        assert!(Arc::ptr_eq(&fonts, &FONTS) && text == "Ĝ – ω", "the negative control");
        // No font has the last private character.
        let (fonts, text) = fonts_for("a\u{10fffd}b\u{fe0f}");
        assert!(Arc::ptr_eq(&fonts, &WITH_SYSTEM) && text == "a[U+10FFFD]b\u{fe0f}", "{text}");
        let (_, text) = fonts_for("猫 cat");
        assert_eq!(text, if is_installed('猫') { "猫 cat" } else { "[U+732B] cat" });
    }

    #[test]
    fn long_text_is_elided_within_its_room() {
        let text = "a class name that goes on and on";
        for widest in [20.0, 40.0, 80.0] {
            let short = elide(text, Face::Regular, 7.0, widest);
            assert!(short.ends_with('…') && Run::regular(&short).width(7.0) <= widest, "{short} in {widest} pt");
        }
        assert_eq!(elide(text, Face::Regular, 7.0, 500.0), text);
        assert_eq!(elide(text, Face::Regular, 7.0, 0.0), "…");
    }
}
