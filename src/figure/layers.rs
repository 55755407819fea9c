//! What lies over a heat map besides encodings: contours, outlines, a line between two points, numbered pins.

use super::axes;
use super::canvas::{Anchor, Area, Canvas, Shape, Stroke};
use super::colour::Rgb;
use super::text::{CAPITAL, Run};
use super::venue::Style;
use crate::latent::View;

const WHITE: Rgb = [255; 3];
/// Nearly black: under white lines, so that they stand out from light cells as from dark ones.
const CASING: Rgb = [24; 3];
/// The colour of the path of an attack, here and in the window.
pub const ATTACK_COLOUR: Rgb = [0xff, 0x5c, 0x47];
/// The thickness of contours, outlines and the line over that of a frame, and of the casing around them.
const CONTOUR: f64 = 0.9;
const OUTLINE: f64 = 1.6;
const AROUND: f64 = 1.3;

/// A polyline on the latent plane: points [z₁, z₂]; closed where it ends with its first.
pub type PlanePath = Vec<[f64; 2]>;

/// What lies over the cells of a panel, in the order of the drawing; none of it by default. Positions are [z₁, z₂]; what lies
/// outside of the view is not seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layers {
    /// Thin lines: levels of density.
    pub contours: Vec<PlanePath>,
    /// Stronger lines: the edges of holes.
    pub outlines: Vec<PlanePath>,
    /// A line between two points, as of an interpolation, with its ends marked.
    pub line: Option<[[f64; 2]; 2]>,
    /// Marked places with what is written on them: a letter or a number.
    pub pins: Vec<(String, [f64; 2])>,
    /// The encodings of an image under attack, from the original to the last step: a ring, a dot for each step, a cross.
    pub attack: PlanePath,
    /// The value up to which the measure is sure in a hole: a mark on the colour bar.
    pub threshold: Option<f64>,
}

impl Layers {
    /// Draws them over the area of a view.
    pub(super) fn draw(&self, canvas: &mut Canvas, view: &View, area: Area, style: &Style) {
        let place = |z: f64, [first, last]: [f64; 2]| (z - first) / (last - first);
        let at = |z: [f64; 2]| [area.x + place(z[0], view.z1) * area.width, area.bottom() - place(z[1], view.z2) * area.height];
        let all = |lines: &[PlanePath]| lines.iter().map(|line| line.iter().copied().map(at).collect()).collect::<Vec<_>>();
        cased(canvas, &all(&self.contours), area, (WHITE, CONTOUR), style);
        cased(canvas, &all(&self.outlines), area, (WHITE, OUTLINE), style);
        if let Some(ends) = self.line {
            let ends = ends.map(at);
            cased(canvas, &[ends.to_vec()], area, (WHITE, OUTLINE), style);
            for centre in ends.into_iter().filter(|&end| within(end, area)) {
                let stroke = Some(Stroke { colour: CASING, width: AROUND * style.line_pt });
                canvas.add(Shape::Circle { centre, radius: 3.2 * style.line_pt, fill: WHITE, stroke });
            }
        }
        let path: Vec<[f64; 2]> = self.attack.iter().copied().map(at).collect();
        attack_path(canvas, &path, area, style);
        for (label, z) in &self.pins {
            let there = at(*z);
            if within(there, area) {
                // On the border of a view, the pin is moved inwards until it is whole.
                let radius = pin_radius(label, style);
                let inside = |x: f64, first: f64, length: f64| {
                    x.clamp(first, first + length).clamp(first + radius, first + (length - radius).max(radius))
                };
                pin(canvas, label, [inside(there[0], area.x, area.width), inside(there[1], area.y, area.height)], style);
            }
        }
    }
}

fn within([x, y]: [f64; 2], area: Area) -> bool {
    // A point on the border may lie a rounding error beyond it.
    let around = |x: f64, first: f64, last: f64| (first - 1e-6..=last + 1e-6).contains(&x);
    around(x, area.x, area.right()) && around(y, area.y, area.bottom())
}

/// The path of an attack in points of the canvas.
fn attack_path(canvas: &mut Canvas, path: &[[f64; 2]], area: Area, style: &Style) {
    let [first, .., last] = path else { return };
    cased(canvas, &[path.to_vec()], area, (ATTACK_COLOUR, OUTLINE), style);
    for &centre in path.iter().filter(|&&centre| within(centre, area)) {
        canvas.add(Shape::Circle { centre, radius: 1.4 * style.line_pt, fill: ATTACK_COLOUR, stroke: None });
    }
    if within(*first, area) {
        let stroke = Some(Stroke { colour: ATTACK_COLOUR, width: OUTLINE * style.line_pt });
        canvas.add(Shape::Circle { centre: *first, radius: 3.2 * style.line_pt, fill: WHITE, stroke });
    }
    let arm = 3.0 * style.line_pt;
    let cross = [[1.0, 1.0], [1.0, -1.0]].map(|[x, y]| [-arm, arm].map(|arm| [last[0] + x * arm, last[1] + y * arm]).to_vec());
    cased(canvas, &cross, area, (ATTACK_COLOUR, OUTLINE), style);
}

/// Lines of a colour and a thickness over that of a frame, with a thin dark casing, all casings first, so that none lies over another line.
fn cased(canvas: &mut Canvas, lines: &[Vec<[f64; 2]>], clip: Area, (colour, over): (Rgb, f64), style: &Style) {
    let width = over * style.line_pt;
    for (colour, width) in [(CASING, width + 2.0 * AROUND * 0.6 * style.line_pt), (colour, width)] {
        for points in lines.iter().filter(|points| points.len() > 1) {
            canvas.add(Shape::Polyline { clip, points: points.clone(), stroke: Stroke { colour, width }, dashes: Vec::new() });
        }
    }
}

/// The radius of a pin in points.
pub(super) fn pin_radius(label: &str, style: &Style) -> f64 {
    let size = 0.9 * style.tick_pt;
    (0.62 * size).max(Run::regular(label).width(size) / 2.0 + 0.22 * size)
}

/// A white disc with a dark edge and its label.
pub(super) fn pin(canvas: &mut Canvas, label: &str, centre: [f64; 2], style: &Style) {
    let size = 0.9 * style.tick_pt;
    let stroke = Some(Stroke { colour: CASING, width: AROUND * style.line_pt });
    canvas.add(Shape::Circle { centre, radius: pin_radius(label, style), fill: WHITE, stroke });
    let at = [centre[0], centre[1] + CAPITAL / 2.0 * size];
    canvas.add(axes::text(at, Anchor::Middle, size, Run::regular(label)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{MapData, Options, Panel, heat_map};

    /// The polylines and the circles of a canvas.
    fn lines_and_circles(canvas: &Canvas) -> (Vec<PlanePath>, Vec<([f64; 2], f64)>) {
        let line = |shape: &Shape| match shape {
            Shape::Polyline { points, .. } => Some(points.clone()),
            _ => None,
        };
        let circle = |shape: &Shape| match shape {
            Shape::Circle { centre, radius, .. } => Some((*centre, *radius)),
            _ => None,
        };
        (canvas.shapes.iter().filter_map(line).collect(), canvas.shapes.iter().filter_map(circle).collect())
    }

    /// The first panel's frame.
    fn frame_of(canvas: &Canvas) -> Area {
        let frame = canvas.shapes.iter().find_map(|shape| match shape {
            Shape::Raster { clip, .. } => Some(*clip),
            _ => None,
        });
        frame.unwrap()
    }

    #[test]
    fn layers_lie_where_the_axes_say_and_stay_within_the_panel() {
        let view = View::new([-1.0, 3.0], [-2.0, 2.0], 2, 3).unwrap();
        let map = MapData { view, values: vec![0.0; 6], label: "m".into(), unit: String::new(), natural: [0.0, 5.0] };
        let draw = |layers: Layers| heat_map(&[Panel { title: None, map: &map, scatter: None, layers }], &Options::default()).unwrap();
        let path = vec![[-1.0, -2.0], [1.0, 0.0], [90.0, 0.0]];
        for layers in [
            Layers { contours: vec![path.clone()], ..Layers::default() },
            Layers { outlines: vec![path.clone(), vec![[0.0, 0.0]]], ..Layers::default() },
        ] {
            let canvas = draw(layers);
            let (lines, _) = lines_and_circles(&canvas);
            let area = frame_of(&canvas);
            assert_eq!(lines.len(), 2, "a casing and a line; a single point is none");
            let expected = [[area.x, area.bottom()], [area.x + area.width / 2.0, area.y + area.height / 2.0]];
            for line in lines {
                assert!((0..2).all(|i| (0..2).all(|axis| (line[i][axis] - expected[i][axis]).abs() < 1e-9)), "{line:?}");
            }
            assert!(canvas.shapes.iter().all(|shape| !matches!(shape, Shape::Polyline { clip, .. } if *clip != area)));
        }

        let canvas = draw(Layers { attack: path, ..Layers::default() });
        let (lines, circles) = lines_and_circles(&canvas);
        let area = frame_of(&canvas);
        let centre = [area.x + area.width / 2.0, area.y + area.height / 2.0];
        assert_eq!(lines.len(), 2 + 4, "the path and the cross, each line with its casing");
        assert!(lines[0].len() == 3 && (0..2).all(|axis| (lines[0][1][axis] - centre[axis]).abs() < 1e-9), "{lines:?}");
        assert_eq!(circles.len(), 3, "the last of three steps is outside; the first has a ring");
        assert_eq!(circles[2].0, circles[0].0, "the ring is around the first step");
        assert!(
            draw(Layers { attack: vec![[0.0, 0.0]], ..Layers::default() }).shapes.len() + 9 == canvas.shapes.len(),
            "one step is no path"
        );

        let pins = [("A", [1.0, 0.0]), ("12", [3.0, 2.0]), ("out", [3.1, 0.0]), ("nan", [f64::NAN, 0.0])];
        let layers = Layers {
            pins: pins.map(|(label, z)| (label.to_owned(), z)).to_vec(),
            line: Some([[0.0, 0.0], [9.0, 0.0]]),
            ..Layers::default()
        };
        let canvas = draw(layers);
        let (_, circles) = lines_and_circles(&canvas);
        let area = frame_of(&canvas);
        let ([end, middle, corner], []) = (&circles[..3], &circles[3..]) else {
            panic!("one end of the line and two pins are in the view")
        };
        assert!((end.0[0] - area.x - area.width / 4.0).abs() < 1e-9);
        assert!((middle.0[0] - area.x - area.width / 2.0).abs() < 1e-9 && (middle.0[1] - area.y - area.height / 2.0).abs() < 1e-9);
        assert!((corner.0[0] + corner.1 - area.right()).abs() < 1e-9 && (corner.0[1] - corner.1 - area.y).abs() < 1e-9, "moved inwards");
    }
}
