//! Colour maps for values and a palette for classes.

/// Red, green, blue; sRGB.
pub type Rgb = [u8; 3];

/// What a value that is not a number looks like: magenta, which no map contains.
pub const NOT_A_NUMBER: Rgb = [255, 0, 255];

/// The source and licence of each table stand in `assets/colour-maps/README.md`.
static VIRIDIS: &[u8; 768] = include_bytes!("../../assets/colour-maps/viridis.rgb");
static CIVIDIS: &[u8; 768] = include_bytes!("../../assets/colour-maps/cividis.rgb");
static MAGMA: &[u8; 768] = include_bytes!("../../assets/colour-maps/magma.rgb");

/// A map from 0..=1 to 256 colours, dark to light, of even perceived steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColourMap {
    /// matplotlib's default: blue, green, yellow.
    #[default]
    Viridis,
    /// Blue to yellow, made to look the same to colour-blind readers.
    Cividis,
    /// Black, purple, orange, white.
    Magma,
    /// Black to white, as the paper's figures.
    Grey,
}

impl ColourMap {
    /// Every map.
    pub const ALL: [Self; 4] = [Self::Viridis, Self::Cividis, Self::Magma, Self::Grey];

    /// Its name in menus and on the command line.
    pub fn label(self) -> &'static str {
        match self {
            Self::Viridis => "viridis",
            Self::Cividis => "cividis",
            Self::Magma => "magma",
            Self::Grey => "grey",
        }
    }

    /// The map of that [`label`](Self::label).
    pub fn named(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|map| map.label() == label)
    }

    /// The colour of `t`, clamped into 0..=1 (infinities too); [`NOT_A_NUMBER`] for NaN.
    pub fn sample(self, t: f64) -> Rgb {
        if t.is_nan() {
            return NOT_A_NUMBER;
        }
        let index = (t.clamp(0.0, 1.0) * 255.0).round() as u8;
        let table = match self {
            Self::Viridis => VIRIDIS,
            Self::Cividis => CIVIDIS,
            Self::Magma => MAGMA,
            Self::Grey => return [index; 3],
        };
        let start = 3 * usize::from(index);
        [table[start], table[start + 1], table[start + 2]]
    }
}

/// The colour of a difference, `t` from 0 (the lowest) over 0.5 (none) to 1 (the highest): blue over light grey to red, the
/// ends and the middle of Moreland's cool-warm map (2009), which colour-blind readers tell apart as well. As
/// [`ColourMap::sample`] for what is out of range or not a number.
pub fn difference_colour(t: f64) -> Rgb {
    const ENDS: [[f64; 3]; 3] = [[59.0, 76.0, 192.0], [221.0, 221.0, 221.0], [180.0, 4.0, 38.0]];
    if t.is_nan() {
        return NOT_A_NUMBER;
    }
    let t = 2.0 * t.clamp(0.0, 1.0);
    let (from, share) = if t < 1.0 { (0, t) } else { (1, t - 1.0) };
    std::array::from_fn(|channel| (ENDS[from][channel] + share * (ENDS[from + 1][channel] - ENDS[from][channel])).round() as u8)
}

/// Ten colours of classes: blue, orange, green, red, lavender, sand, pink, grey, olive, cyan. They maximise the smallest CIEDE2000 distance
/// (Sharma, Wu & Dalal 2005) between any two, in normal vision (27) and in each of the three dichromacies (13; Machado, Oliveira & Fernandes
/// 2009, severity 1). The search was simulated annealing over sRGB with L* from 42 to 90 and a band of hue and chroma for each colour.
static CLASSES: [Rgb; 10] = [
    [0x03, 0x69, 0xA4],
    [0xE4, 0x69, 0x00],
    [0x0C, 0xB0, 0x6B],
    [0xC6, 0x0E, 0x39],
    [0x9C, 0x94, 0xFF],
    [0xFF, 0xD3, 0xAF],
    [0xFC, 0x93, 0xB6],
    [0x79, 0x75, 0x6C],
    [0xC9, 0xD8, 0x2A],
    [0x4F, 0xEB, 0xF9],
];

/// The outline of class dots: it separates them from the light parts of every colour map, as their fill does from the dark ones.
pub const DOT_OUTLINE: Rgb = [20; 3];

/// Six colours for lines on white paper: those of Okabe & Ito (2008, *Color universal design*) but for yellow, which is too light
/// there; black comes last, since frames and text have it.
static LINES: [Rgb; 6] =
    [[0x00, 0x72, 0xB2], [0xD5, 0x5E, 0x00], [0x00, 0x9E, 0x73], [0xCC, 0x79, 0xA7], [0x56, 0xB4, 0xE9], [0x00, 0x00, 0x00]];

/// The colour of a line by its number; beyond six they repeat.
pub fn line_colour(number: usize) -> Rgb {
    LINES[number % LINES.len()]
}

/// The colour of a class; beyond ten classes they repeat, with another [`DotShape`](super::DotShape).
pub fn class_colour(class: usize) -> Rgb {
    CLASSES[class % CLASSES.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::colour_difference::{VISIONS, difference, lab, smallest_differences};

    #[test]
    fn the_maps_are_the_published_ones() {
        let ends = |map: ColourMap| [0.0, 128.0 / 255.0, 1.0].map(|t| map.sample(t));
        assert_eq!(ends(ColourMap::Viridis), [[68, 1, 84], [33, 145, 140], [253, 231, 37]]);
        assert_eq!(ends(ColourMap::Cividis), [[0, 34, 78], [125, 124, 120], [254, 232, 56]]);
        assert_eq!(ends(ColourMap::Magma), [[0, 0, 4], [183, 55, 121], [252, 253, 191]]);
        assert_eq!(ends(ColourMap::Grey), [[0; 3], [128; 3], [255; 3]]);
    }

    #[test]
    fn every_map_grows_lighter_and_none_holds_the_colour_of_nan() {
        for map in ColourMap::ALL {
            let colours: Vec<Rgb> = (0..256).map(|i| map.sample(f64::from(i) / 255.0)).collect();
            let lightness: Vec<f64> = colours.iter().map(|&colour| lab(VISIONS[0], colour)[0]).collect();
            assert!(lightness.windows(2).all(|pair| pair[1] > pair[0] - 0.5), "{}", map.label());
            assert!(lightness[255] - lightness[0] > 70.0);
            assert!(colours.iter().all(|&colour| difference(VISIONS[0], colour, NOT_A_NUMBER) > 20.0), "{}", map.label());
        }
    }

    #[test]
    fn differences_meet_in_grey_and_part_in_hue() {
        assert_eq!([0.0, 0.5, 1.0].map(difference_colour), [[59, 76, 192], [221; 3], [180, 4, 38]]);
        assert_eq!([-1.0, f64::INFINITY, f64::NAN].map(difference_colour), [[59, 76, 192], [180, 4, 38], NOT_A_NUMBER]);
        for vision in VISIONS {
            let [low, none, high] = [0.0, 0.5, 1.0].map(difference_colour);
            assert!([[low, none], [none, high], [low, high]].into_iter().all(|[a, b]| difference(vision, a, b) > 20.0));
        }
    }

    #[test]
    fn numbers_out_of_the_range_are_clamped_and_nan_is_marked() {
        for map in ColourMap::ALL {
            assert_eq!(ColourMap::named(map.label()), Some(map));
            assert_eq!(map.sample(f64::NEG_INFINITY), map.sample(0.0));
            assert_eq!(map.sample(f64::INFINITY), map.sample(1.0));
            assert_eq!(map.sample(1e300), map.sample(1.0));
            assert_eq!(map.sample(f64::NAN), NOT_A_NUMBER);
        }
    }

    #[test]
    fn class_colours_differ_in_normal_and_dichromatic_vision() {
        let is_distinct = |palette: &[Rgb]| {
            let [normal, dichromatic @ ..] = smallest_differences(palette);
            normal >= 10.0 && dichromatic.into_iter().all(|difference| difference >= 5.0)
        };
        assert!(is_distinct(&CLASSES), "{:?}", smallest_differences(&CLASSES));
        // The colours of matplotlib's tab10 are not.
        let tab10 = [0x1f_77b4, 0xff_7f0e, 0x2c_a02c, 0xd6_2728, 0x94_67bd, 0x8c_564b, 0xe3_77c2, 0x7f_7f7f, 0xbc_bd22, 0x17_becf];
        assert!(!is_distinct(&tab10.map(|code: u32| [(code >> 16) as u8, (code >> 8) as u8, code as u8])));
    }

    #[test]
    fn line_colours_differ_from_each_other_and_from_paper() {
        assert!(smallest_differences(&LINES).into_iter().all(|difference| difference > 10.0), "{:?}", smallest_differences(&LINES));
        let with_paper = |colour: Rgb| smallest_differences(&[colour, [255; 3]]).into_iter().fold(f64::INFINITY, f64::min);
        assert!(LINES.into_iter().all(|colour| with_paper(colour) > 20.0));
        // The scheme's yellow does not.
        assert!(with_paper([0xF0, 0xE4, 0x42]) < with_paper(LINES[4]));
    }

    #[test]
    fn class_dots_stand_out_on_every_colour_map() {
        for vision in VISIONS {
            for class in CLASSES {
                assert!(difference(vision, class, DOT_OUTLINE) > 15.0, "{class:02x?} has an outline that contrasts");
                for map in ColourMap::ALL {
                    for ground in (0..256).map(|i| map.sample(f64::from(i) / 255.0)) {
                        let seen = difference(vision, class, ground).max(difference(vision, DOT_OUTLINE, ground));
                        assert!(seen > 10.0, "{class:02x?} on {ground:02x?} of {} differs by {seen}", map.label());
                    }
                }
            }
        }
    }
}
