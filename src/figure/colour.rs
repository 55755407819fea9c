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

/// Ten light colours, since encodings lie where a map of uncertainty is dark. From Paul Tol's *light* and *vibrant* schemes
/// (2021, SRON/EPS/TN/09-002: `77AADD EE8866 EEDD88 BBCC33 99DDFF FFAABB EE3377`), Okabe & Ito (2008: `CC79A7 D55E00`) and
/// white, chosen so that the two nearest are as far apart as these schemes allow, for readers with normal colour vision and
/// with each of the three dichromacies.
static CLASSES: [Rgb; 10] = [
    [0x77, 0xAA, 0xDD],
    [0xEE, 0x88, 0x66],
    [0xEE, 0xDD, 0x88],
    [0xCC, 0x79, 0xA7],
    [0xBB, 0xCC, 0x33],
    [0xFF, 0xFF, 0xFF],
    [0xD5, 0x5E, 0x00],
    [0x99, 0xDD, 0xFF],
    [0xEE, 0x33, 0x77],
    [0xFF, 0xAA, 0xBB],
];

/// Six colours for lines on white paper: those of Okabe & Ito (2008, *Color universal design*) but for yellow, which is too light
/// there; black comes last, since frames and text have it.
static LINES: [Rgb; 6] =
    [[0x00, 0x72, 0xB2], [0xD5, 0x5E, 0x00], [0x00, 0x9E, 0x73], [0xCC, 0x79, 0xA7], [0x56, 0xB4, 0xE9], [0x00, 0x00, 0x00]];

/// The colour of a line by its number; beyond six they repeat.
pub fn line_colour(number: usize) -> Rgb {
    LINES[number % LINES.len()]
}

/// The colour of a class; beyond ten classes they repeat.
pub fn class_colour(class: usize) -> Rgb {
    CLASSES[class % CLASSES.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let lightness: Vec<f64> = colours.iter().map(|&colour| lab(linear(colour))[0]).collect();
            assert!(lightness.windows(2).all(|pair| pair[1] > pair[0] - 0.5), "{}", map.label());
            assert!(lightness[255] - lightness[0] > 70.0);
            assert!(colours.iter().all(|&colour| distance(linear(colour), linear(NOT_A_NUMBER)) > 30.0), "{}", map.label());
        }
    }

    #[test]
    fn differences_meet_in_grey_and_part_in_hue() {
        assert_eq!([0.0, 0.5, 1.0].map(difference_colour), [[59, 76, 192], [221; 3], [180, 4, 38]]);
        assert_eq!([-1.0, f64::INFINITY, f64::NAN].map(difference_colour), [[59, 76, 192], [180, 4, 38], NOT_A_NUMBER]);
        for vision in VISIONS {
            let seen = [0.0, 0.5, 1.0].map(|t| times(vision, linear(difference_colour(t))));
            assert!(distance(seen[0], seen[2]) > 40.0 && distance(seen[0], seen[1]) > 40.0 && distance(seen[1], seen[2]) > 40.0);
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

    /// Severity 1 of Machado, Oliveira & Fernandes (2009), on linear RGB: normal, protan, deutan, tritan.
    const VISIONS: [[[f64; 3]; 3]; 4] = [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [[0.152_286, 1.052_583, -0.204_868], [0.114_503, 0.786_281, 0.099_216], [-0.003_882, -0.048_116, 1.051_998]],
        [[0.367_322, 0.860_646, -0.227_968], [0.280_085, 0.672_501, 0.047_413], [-0.011_820, 0.042_940, 0.968_881]],
        [[1.255_528, -0.076_749, -0.178_779], [-0.078_411, 0.930_809, 0.147_602], [0.004_733, 0.691_367, 0.303_900]],
    ];

    fn linear(colour: Rgb) -> [f64; 3] {
        colour.map(|byte| {
            let x = f64::from(byte) / 255.0;
            if x <= 0.04045 { x / 12.92 } else { ((x + 0.055) / 1.055).powf(2.4) }
        })
    }

    fn times(matrix: [[f64; 3]; 3], v: [f64; 3]) -> [f64; 3] {
        matrix.map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum())
    }

    /// CIELAB under D65.
    fn lab(rgb: [f64; 3]) -> [f64; 3] {
        let xyz = times(
            [[0.412_456, 0.357_576, 0.180_438], [0.212_673, 0.715_152, 0.072_175], [0.019_334, 0.119_192, 0.950_304]],
            rgb.map(|x| x.clamp(0.0, 1.0)),
        );
        let f = |x: f64| if x > 0.008_856 { x.cbrt() } else { 7.787 * x + 16.0 / 116.0 };
        let [x, y, z] = [f(xyz[0] / 0.950_47), f(xyz[1]), f(xyz[2] / 1.088_83)];
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
        lab(a).iter().zip(lab(b)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    }

    /// The smallest distance between two colours of a palette, over the four kinds of vision.
    fn smallest_distance(palette: &[Rgb]) -> f64 {
        let mut smallest = f64::INFINITY;
        for vision in VISIONS {
            for (i, &a) in palette.iter().enumerate() {
                for &b in &palette[..i] {
                    smallest = smallest.min(distance(times(vision, linear(a)), times(vision, linear(b))));
                }
            }
        }
        smallest
    }

    #[test]
    fn the_classes_are_told_apart_by_colour_blind_readers() {
        assert!(smallest_distance(&CLASSES) > 15.0, "{}", smallest_distance(&CLASSES));
        // The paper's Set3 is not: two of its ten colours are nearly one for a deuteranope.
        let set3 = [0x8d_d3c7, 0xff_ffb3, 0xbe_bada, 0xfb_8072, 0x80_b1d3, 0xfd_b462, 0xb3_de69, 0xfc_cde5, 0xd9_d9d9, 0xbc_80bd]
            .map(|code: u32| [(code >> 16) as u8, (code >> 8) as u8, code as u8]);
        assert!(smallest_distance(&set3) < 5.0);
    }

    #[test]
    fn lines_stand_out_on_paper_and_are_told_apart_by_colour_blind_readers() {
        assert!(smallest_distance(&LINES) > 15.0, "{}", smallest_distance(&LINES));
        let with_paper = |colour: Rgb| smallest_distance(&[colour, [255; 3]]);
        assert!(LINES.into_iter().all(|colour| with_paper(colour) > 30.0));
        // The scheme's yellow does not.
        assert!(with_paper([0xF0, 0xE4, 0x42]) < with_paper(LINES[4]));
    }

    #[test]
    fn the_classes_stand_out_where_maps_are_dark() {
        for map in ColourMap::ALL {
            for colour in CLASSES {
                let apart = distance(linear(colour), linear(map.sample(0.1)));
                assert!(apart > 40.0, "{colour:02x?} lies {apart} from the dark end of {}", map.label());
            }
        }
    }
}
