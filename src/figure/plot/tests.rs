use super::*;
use crate::figure::tests::text_boxes;
use crate::figure::{Document, Format, Shape, Style, VENUES, Width, line_colour};
use serde_json::json;

fn waves(count: usize) -> Vec<Series> {
    let names = ["Latent", "Pixel", "Geodesic"];
    (0..count)
        .map(|look| {
            let points: Vec<[f64; 2]> =
                (0..15).map(|i| [f64::from(i) / 14.0, 0.4 * (f64::from(i) / 4.0 + look as f64).sin() + 0.8]).collect();
            let band = (look == 1).then(|| points.iter().map(|[_, y]| [y - 0.1, y + 0.2]).collect());
            Series {
                label: names.get(look).map_or_else(|| format!("Line {look}"), ToString::to_string),
                look,
                points,
                band,
                ..Series::default()
            }
        })
        .collect()
}

fn wavy(label: &str, range: [f64; 2], series: Vec<Series>) -> Plot {
    let x = Axis::new("Position between the ends", "", [0.0, 1.0]).with_margins([0.5 / 14.0; 2]);
    Plot { title: None, x, y: Axis::new(label, "nats", range).with_margins([0.04; 2]), series }
}

fn strip(label: &str, image_shape: [usize; 3], count: usize) -> Strip {
    let pixels = image_shape.iter().product::<usize>() * count;
    Strip { label: label.to_owned(), image_shape, images: (0..pixels).map(|i| (i % 7) as f32 / 6.0).collect() }
}

fn draw(strips: &[Strip], panels: &[Plot], style: Style) -> Canvas {
    plots(strips, panels, &Options { style, ..Options::default() }).unwrap()
}

/// The frames of the plots, from the first to the last.
fn frames(canvas: &Canvas) -> Vec<crate::figure::Area> {
    let frame = |shape: &Shape| match shape {
        Shape::Rectangle { area, fill: None, stroke: Some(_) } => Some(*area),
        _ => None,
    };
    canvas.shapes.iter().filter_map(frame).collect()
}

#[test]
fn no_text_is_clipped_none_overlaps_another_and_every_file_is_made() {
    let long = "a name as long as a sentence that goes on and on, beyond every column and page of every journal";
    let ranges = [[0.0, 10_f64.ln()], [-1e6, 1e6], [7.123_456, 7.123_457], [0.0, 0.0], [f64::NAN, 1.0], [-2e-5, 3e-5]];
    for range in ranges {
        for name in ["Mutual information", long] {
            for (venue, width) in VENUES.iter().flat_map(|venue| Width::ALL.map(|width| (venue, width))) {
                let mut series = waves(3);
                series[2].label = name.to_owned();
                let panel = Plot { title: Some(name.to_owned()), ..wavy(name, range, series.clone()) };
                let swapped = Plot { x: panel.y.clone(), y: panel.x.clone(), ..panel.clone() };
                let strips = [strip("Latent", [1, 4, 3], 15), strip(name, [3, 4, 3], 15)];
                let other = wavy("Predictive entropy", range, series);
                for (strips, panels) in [
                    (&strips[..], vec![other.clone(), panel.clone()]),
                    (&strips[..], vec![]),
                    (&[], vec![panel.clone()]),
                    (&[], vec![swapped.clone(), panel.clone()]),
                    (&[], vec![other.clone(), swapped, other, panel.clone(), panel]),
                ] {
                    let options = Options { style: venue.style(width), title: Some("A title ".repeat(40)), ..Options::default() };
                    let canvas = plots(strips, &panels, &options).unwrap();
                    let boxes = text_boxes(&canvas);
                    assert!(boxes.len() > 2);
                    for (i, ([left, right, top, bottom], text)) in boxes.iter().enumerate() {
                        let inside = *left >= 0.0 && *right <= canvas.width && *top >= 0.0 && *bottom <= canvas.height;
                        assert!(inside, "{text:?} is clipped: {range:?} {} {width:?} {}", venue.label, panels.len());
                        for ([l, r, t, b], other) in &boxes[..i] {
                            let apart = left >= r || right <= l || top >= b || bottom <= t;
                            assert!(apart, "{text:?} lies over {other:?}: {range:?} {} {width:?} {}", venue.label, panels.len());
                        }
                    }
                    let svg = canvas.svg(72.0, "", "");
                    assert!(!svg.contains("NaN") && !svg.contains("inf\""));
                }
            }
        }
    }
    let document = Document {
        title: "Curves".into(),
        canvas: draw(&[strip("RGB", [3, 2, 5], 3)], &[wavy("Entropy", [0.0, 2.0], waves(6))], Style::default()),
        provenance: json!({}),
    };
    for format in Format::ALL {
        assert!(document.encode(format, 100.0).unwrap().len() > 1000);
    }
}

#[test]
fn points_stand_where_the_axes_say_and_images_above_them() {
    let canvas = draw(&[strip("Latent", [1, 2, 2], 15)], &[wavy("Entropy", [0.0, 2.0], waves(1))], Style::default());
    let frame = frames(&canvas)[0];
    let points = canvas.shapes.iter().find_map(|shape| match shape {
        Shape::Polyline { points, .. } => Some(points.clone()),
        _ => None,
    });
    let points = points.unwrap();
    let images = canvas.shapes.iter().filter_map(|shape| match shape {
        Shape::Raster { area, .. } => Some(area.x + area.width / 2.0),
        _ => None,
    });
    assert_eq!(images.clone().count(), 15);
    assert!(images.zip(&points).all(|(middle, point)| (middle - point[0]).abs() < 1e-9), "each image stands above its point");
    // y = 0.8 of 0 … 2 with 4 % of room at each end: 0.88 of 2.16 from below.
    assert!((frame.bottom() - points[0][1] - 0.88 / 2.16 * frame.height).abs() < 1e-9);
    assert!(frames(&draw(&[], &[wavy("a", [0.0, 2.0], waves(1)), wavy("b", [0.0, 2.0], waves(1))], Style::default())).len() == 2);
}

#[test]
fn plots_stand_side_by_side_where_there_is_room_and_share_axes() {
    let panels = [wavy("a", [0.0, 2.0], waves(2)), wavy("a", [0.0, 2.0], waves(2))];
    let style = |width| VENUES[0].style(width);
    let (narrow, wide) = (draw(&[], &panels, style(Width::Column)), draw(&[], &panels, style(Width::Full)));
    let [above, below] = frames(&narrow)[..] else { panic!("two plots") };
    assert!(above.x == below.x && above.bottom() < below.y);
    let [left, right] = frames(&wide)[..] else { panic!("two plots") };
    assert!(left.y == right.y && left.right() < right.x);
    let times = |canvas: &Canvas, text: &str| text_boxes(canvas).iter().filter(|(_, there)| there == text).count();
    assert_eq!((times(&narrow, "Position between the ends"), times(&narrow, "a (nats)")), (1, 2));
    assert_eq!((times(&wide, "Position between the ends"), times(&wide, "a (nats)")), (2, 1));
    assert_eq!((times(&wide, "Latent"), times(&wide, "Pixel")), (1, 1), "one legend for all");
    assert_eq!(times(&draw(&[], &[wavy("a", [0.0, 2.0], waves(1))], style(Width::Full)), "Latent"), 0, "one line needs none");
}

#[test]
fn a_gap_parts_a_line_and_a_band_ends_with_it() {
    let count = |series: Series| {
        let canvas = draw(&[], &[wavy("a", [0.0, 2.0], vec![series])], Style::default());
        let of = |kind: fn(&Shape) -> bool| canvas.shapes.iter().filter(|shape| kind(shape)).count();
        [
            of(|shape| matches!(shape, Shape::Polyline { .. })),
            of(|shape| matches!(shape, Shape::Polygon { .. })),
            of(|shape| matches!(shape, Shape::Circle { .. })),
        ]
    };
    let whole = waves(2).remove(1);
    assert_eq!(count(whole.clone()), [1, 1, 0]);
    let mut parted = whole.clone();
    parted.points[6][1] = f64::NAN;
    assert_eq!(count(parted), [2, 2, 0]);
    let mut lone = whole;
    lone.points[1][1] = f64::INFINITY;
    assert_eq!(count(lone), [1, 2, 1], "the first point alone is a dot");
}

#[test]
fn looks_differ_in_colour_and_in_dashes() {
    let svg = draw(&[], &[wavy("a", [0.0, 2.0], waves(6))], Style::default()).svg(72.0, "", "");
    let dashes: std::collections::BTreeSet<&str> =
        svg.split("stroke-dasharray=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(dashes.len(), 5, "one of the six is unbroken");
    for look in 0..6 {
        let [red, green, blue] = line_colour(look);
        assert!(svg.contains(&format!("stroke=\"#{red:02x}{green:02x}{blue:02x}\"")));
    }
    assert!(svg.contains("fill-opacity=\"0.22\"") && svg.contains("<clipPath"));
}

#[test]
fn a_histogram_counts_shares_in_shared_bins() {
    let axis = Axis::new("Entropy", "nats", [0.0, 2.0]);
    let (first, second) = ([0.0, 0.1, 0.5, 2.0, f32::NAN], [1.0, 1.5, 1.999, 7.0]);
    let plot = histograms(&[("first", 0, &first), ("second", 1, &second)], axis, "Share", 4);
    let heights = |series: &Series| series.points[1..series.points.len() - 1].iter().step_by(2).map(|point| point[1]).collect::<Vec<_>>();
    // Four finite numbers: two in 0 … ½, one in ½ … 1 (an edge belongs to the bin above it), and the end of the range in the last.
    assert_eq!(heights(&plot.series[0]), [0.5, 0.25, 0.0, 0.25]);
    // 7 counts among the four, but lies beyond the range.
    assert_eq!(heights(&plot.series[1]), [0.0, 0.0, 0.25, 0.5]);
    assert_eq!((plot.y.range, plot.series[0].points[0], plot.series[0].points[9]), ([0.0, 0.5], [0.0, 0.0], [2.0, 0.0]));
    let edges: Vec<f64> = plot.series[0].points.iter().map(|point| point[0]).collect();
    assert_eq!(edges, [0.0, 0.0, 0.5, 0.5, 1.0, 1.0, 1.5, 1.5, 2.0, 2.0]);
    let empty = histograms(&[("none", 0, &[])], Axis::new("Entropy", "nats", [0.0, 2.0]), "Share", 4);
    assert!(heights(&empty.series[0]).iter().all(|&height| height == 0.0));
    draw(&[], &[empty], Style::default());
}

#[test]
fn images_are_drawn_in_grey_or_in_colour() {
    let pixels = |channels: usize, image: Vec<f32>| {
        let strip = Strip { label: String::new(), image_shape: [channels, 1, 2], images: image };
        let canvas = draw(&[strip], &[], Style::default());
        let pixels = canvas.shapes.iter().find_map(|shape| match shape {
            Shape::Raster { pixels, .. } => Some(pixels.clone()),
            _ => None,
        });
        pixels.unwrap()
    };
    assert_eq!(pixels(1, vec![0.0, 1.0]), [[0; 3], [255; 3]]);
    assert_eq!(pixels(3, vec![1.0, 0.0, 0.0, 1.0, 0.2, 0.4]), [[255, 0, 51], [0, 255, 102]]);
    assert_eq!(pixels(2, vec![0.0, 1.0, 1.0, 1.0]), [[128; 3], [255; 3]]);
}

#[test]
fn a_page_that_is_too_narrow_is_refused() {
    let style = Style { width_in: 0.6, ..Style::default() };
    let error = plots(&[], &[wavy("a", [0.0, 2.0], waves(1))], &Options { style, ..Options::default() }).unwrap_err();
    assert!(error.to_string().contains("does not fit"));
}
