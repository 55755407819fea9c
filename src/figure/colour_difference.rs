//! How different colours look: the CIEDE2000 difference, in normal and in dichromatic vision. Only tests need it.

use super::colour::Rgb;

/// Normal vision, protanopia, deuteranopia and tritanopia as matrices on linear RGB: Machado, Oliveira & Fernandes (2009), severity 1.
pub const VISIONS: [[[f64; 3]; 3]; 4] = [
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    [[0.152_286, 1.052_583, -0.204_868], [0.114_503, 0.786_281, 0.099_216], [-0.003_882, -0.048_116, 1.051_998]],
    [[0.367_322, 0.860_646, -0.227_968], [0.280_085, 0.672_501, 0.047_413], [-0.011_820, 0.042_940, 0.968_881]],
    [[1.255_528, -0.076_749, -0.178_779], [-0.078_411, 0.930_809, 0.147_602], [0.004_733, 0.691_367, 0.303_900]],
];

/// The linear RGB of an sRGB colour, 0..=1.
pub fn linear(colour: Rgb) -> [f64; 3] {
    colour.map(|byte| {
        let x = f64::from(byte) / 255.0;
        if x <= 0.04045 { x / 12.92 } else { ((x + 0.055) / 1.055).powf(2.4) }
    })
}

fn times(matrix: [[f64; 3]; 3], v: [f64; 3]) -> [f64; 3] {
    matrix.map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum())
}

/// CIELAB under D65, as a vision sees the colour.
pub fn lab(vision: [[f64; 3]; 3], colour: Rgb) -> [f64; 3] {
    let xyz = times(
        [[0.412_456, 0.357_576, 0.180_438], [0.212_673, 0.715_152, 0.072_175], [0.019_334, 0.119_192, 0.950_304]],
        times(vision, linear(colour)).map(|x| x.clamp(0.0, 1.0)),
    );
    let f = |x: f64| if x > 0.008_856 { x.cbrt() } else { 7.787 * x + 16.0 / 116.0 };
    let [x, y, z] = [f(xyz[0] / 0.950_47), f(xyz[1]), f(xyz[2] / 1.088_83)];
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// The CIEDE2000 difference of two colours for a vision.
pub fn difference(vision: [[f64; 3]; 3], a: Rgb, b: Rgb) -> f64 {
    ciede2000(lab(vision, a), lab(vision, b))
}

/// The smallest difference between two colours of a palette, for each of the [`VISIONS`].
pub fn smallest_differences(palette: &[Rgb]) -> [f64; 4] {
    VISIONS.map(|vision| {
        let pairs = palette.iter().enumerate().flat_map(|(i, &a)| palette[..i].iter().map(move |&b| difference(vision, a, b)));
        pairs.fold(f64::INFINITY, f64::min)
    })
}

/// Equations 2 to 22 of Sharma, Wu & Dalal (2005), *The CIEDE2000 color-difference formula*, with all weights 1.
fn ciede2000([l1, a1, b1]: [f64; 3], [l2, a2, b2]: [f64; 3]) -> f64 {
    let saturation = |chroma: f64| (chroma.powi(7) / (chroma.powi(7) + 25_f64.powi(7))).sqrt();
    let stretch = 1.5 - 0.5 * saturation(f64::midpoint(a1.hypot(b1), a2.hypot(b2)));
    let (a1, a2) = (stretch * a1, stretch * a2);
    let (c1, c2) = (a1.hypot(b1), a2.hypot(b2));
    let hue = |a: f64, b: f64| b.atan2(a).to_degrees().rem_euclid(360.0);
    let (h1, h2) = (hue(a1, b1), hue(a2, b2));
    // The hue of grey has no meaning: the other one counts.
    let is_grey = c1 * c2 == 0.0;
    let turn = if is_grey { 0.0 } else { (h2 - h1 + 180.0).rem_euclid(360.0) - 180.0 };
    let hue = if is_grey { h1 + h2 } else { (h1 + turn / 2.0).rem_euclid(360.0) };
    let (lightness, chroma) = (f64::midpoint(l1, l2), f64::midpoint(c1, c2));
    let cos = |degrees: f64| degrees.to_radians().cos();
    let t = 1.0 - 0.17 * cos(hue - 30.0) + 0.24 * cos(2.0 * hue) + 0.32 * cos(3.0 * hue + 6.0) - 0.2 * cos(4.0 * hue - 63.0);
    let off_middle = (lightness - 50.0).powi(2);
    let dl = (l2 - l1) / (1.0 + 0.015 * off_middle / (20.0 + off_middle).sqrt());
    let dc = (c2 - c1) / (1.0 + 0.045 * chroma);
    let dh = 2.0 * (c1 * c2).sqrt() * (turn / 2.0).to_radians().sin() / (1.0 + 0.015 * chroma * t);
    let rotation = 60.0 * (-((hue - 275.0) / 25.0).powi(2)).exp();
    let rotated = -rotation.to_radians().sin() * 2.0 * saturation(chroma);
    (dl * dl + dc * dc + dh * dh + rotated * dc * dh).sqrt()
}

#[test]
fn ciede2000_gives_the_published_differences() {
    // Pairs 1, 7, 11, 17 and 25 of the paper's table 1.
    for (a, b, published) in [
        ([50.0, 2.6772, -79.7751], [50.0, 0.0, -82.7485], 2.0425),
        ([50.0, 0.0, 0.0], [50.0, -1.0, 2.0], 2.3669),
        ([50.0, 2.49, -0.001], [50.0, -2.49, 0.0011], 7.2195),
        ([50.0, 2.5, 0.0], [73.0, 25.0, -18.0], 27.1492),
        ([60.2574, -34.0099, 36.2677], [60.4626, -34.1751, 39.4387], 1.2644),
    ] {
        let difference = ciede2000(a, b);
        assert!((difference - published).abs() < 1e-4, "{a:?} and {b:?}: {difference}, not {published}");
    }
}
