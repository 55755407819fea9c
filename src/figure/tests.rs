use super::*;
use crate::latent::View;
use crate::random::{Purpose, Stream};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Clusters on a spiral, and a measure that is low on them.
struct Example {
    map: MapData,
    points: Vec<[f32; 2]>,
    labels: Vec<u16>,
    classes: Vec<String>,
}

impl Example {
    fn new(view: View, encodings: usize, classes: &[&str]) -> Self {
        let centre = |class: usize| {
            let (angle, radius) = (2.4 * class as f64, 2.0 * (class as f64 + 0.3).sqrt());
            [radius * angle.cos(), radius * angle.sin()]
        };
        let stream = Stream::new(3, Purpose::LatentNoise);
        let labels: Vec<u16> = (0..encodings).map(|i| (i % classes.len()) as u16).collect();
        let encoding = |(i, &class): (usize, &u16)| {
            let [a, b] = centre(class.into());
            [(a + 0.55 * stream.normal([0; 3], i as u32)) as f32, (b + 0.75 * stream.normal([1, 0, 0], i as u32)) as f32]
        };
        let points = labels.iter().enumerate().map(encoding).collect();
        let value = |&[a, b]: &[f64; 2]| {
            let nearest = (0..classes.len()).map(centre).map(|[x, y]| (a - x).hypot(b - y)).fold(f64::INFINITY, f64::min);
            (1.6 - 1.6 * (-(nearest / 3.0).powi(2)).exp()) as f32
        };
        let values = view.points().iter().map(value).collect();
        let map = MapData { view, values, label: "Mutual information".into(), unit: "nats".into(), natural: [0.0, 10_f64.ln()] };
        Self { map, points, labels, classes: classes.iter().map(ToString::to_string).collect() }
    }

    fn scatter(&self) -> Scatter<'_> {
        Scatter { points: &self.points, labels: &self.labels, classes: &self.classes }
    }

    fn draw(&self, figure: &Figure, options: &Options) -> Canvas {
        let layers = Layers { pins: vec![("1".to_owned(), [3.0, -4.0])], ..Layers::default() };
        let panel = Panel { title: None, map: &self.map, scatter: None, layers };
        let card = Card { label: "1".to_owned(), image: vec![0.5; 6], lines: vec!["7: 99.0 %".to_owned()] };
        let series = Series { points: vec![[1.0, 2.0], [2.0, 1.0]], ..Series::default() };
        let plot =
            Plot { title: None, x: Axis::new("Members", "", [1.0, 2.0]), y: Axis::new("Area", "z²", [0.0, 2.0]), series: vec![series] };
        let strip = Strip { label: "Original".to_owned(), image_shape: [1, 2, 3], images: vec![0.5; 12] };
        let content = match figure.needs {
            Needs::Map { scatter, .. } => Content::Map { map: &self.map, scatter: scatter.then(|| self.scatter()) },
            Needs::Garbage { .. } => Content::Gallery { panel: &panel, cards: &[card], image_shape: [1, 2, 3] },
            Needs::AttackedImages { .. } => Content::Plots { strips: std::slice::from_ref(&strip), plots: &[] },
            Needs::HoleCurve { .. }
            | Needs::Detection { .. }
            | Needs::VarianceAndInformation { .. }
            | Needs::EntropyAndInformation { .. } => Content::Plots { strips: &[], plots: &[plot] },
            Needs::Interpolation { .. } | Needs::Population { .. } => {
                let x = Axis::new("Entropy", "nats", [0.0, 2.0]);
                Content::Plots { strips: &[], plots: &[histograms(&[("values", 0, &self.map.values)], x, "Share", 5)] }
            }
        };
        figure.draw(content, options).unwrap()
    }
}

const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

fn view(columns: usize, rows: usize) -> View {
    View::square([-10.0, 10.0], 1).map(|view| View { columns, rows, ..view }).unwrap()
}

/// What is hard on the way through XML, PDF strings and JSON.
fn hard_provenance() -> Value {
    json!({
        "seed": 4_294_967_295_u64, "draws": 50, "extent": [-10.0, 0.1], "members": ["classifier-0", "Größe ẑ 図"],
        "quoted": "epistemap provenance: <a & \"b\"> 'c' (d)) \\ &lt;\n\t\u{1}", "nothing": null,
    })
}

fn document(canvas: Canvas) -> Document {
    Document { title: "An example".into(), canvas, provenance: hard_provenance() }
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn every_figure_in_every_format_and_venue_carries_its_provenance() {
    let folder = tempfile::tempdir().unwrap();
    let example = Example::new(view(5, 7), 200, &DIGITS);
    for figure in all() {
        assert_eq!(Figure::named(figure.name), Some(figure));
        for venue in &VENUES {
            assert_eq!(Venue::named(venue.key), Some(venue));
            for width in Width::ALL {
                let options = Options { style: venue.style(width), colours: figure.colours, ..Options::default() };
                let document = document(example.draw(figure, &options));
                for format in Format::ALL {
                    let path = folder.path().join(format!("{}.{}", figure.name, format.extension()));
                    document.write(&path, Format::of(&path).unwrap(), 72.0).unwrap();
                    assert_eq!(provenance::read(&path).unwrap(), hard_provenance(), "{}, {format:?}", venue.label);
                }
            }
        }
    }
}

#[test]
fn npz_csv_and_json_carry_the_provenance_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file(provenance::NPZ_MEMBER, zip::write::SimpleFileOptions::default()).unwrap();
    std::io::Write::write_all(&mut archive, hard_provenance().to_string().as_bytes()).unwrap();
    let csv = provenance::csv_line(&hard_provenance()) + "z1,z2,mutual_information\n0,0,0.5\n";
    let json = json!({"z1": [0.0], provenance::JSON_KEY: hard_provenance()}).to_string();
    for (name, bytes) in [("a.npz", archive.finish().unwrap().into_inner()), ("a.csv", csv.into()), ("a.json", json.into())] {
        assert_eq!(provenance::read(&write(folder.path(), name, &bytes)).unwrap(), hard_provenance(), "{name}");
    }
}

#[test]
fn files_without_provenance_and_other_files_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let complaint = |name: &str, bytes: &[u8]| provenance::read(&write(folder.path(), name, bytes)).unwrap_err().to_string();
    let mut png = Vec::new();
    png::Encoder::new(&mut png, 1, 1).write_header().unwrap().write_image_data(&[0]).unwrap();
    let mut empty_archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    empty_archive.start_file("z1.npy", zip::write::SimpleFileOptions::default()).unwrap();
    for (name, bytes) in [
        ("a.png", png.as_slice()),
        ("a.npz", &empty_archive.finish().unwrap().into_inner()),
        ("a.svg", b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>"),
        ("a.pdf", b"%PDF-1.7 and so on"),
        ("a.csv", b"# z1, z2\n0, 0\n"),
        ("a.json", b"{\"z1\": []}"),
    ] {
        let complaint = complaint(name, bytes);
        assert!(complaint.contains(name) && complaint.contains("carries no provenance"), "{complaint}");
    }
    for bytes in [b"".as_slice(), b"GIF89a", b"z1,z2\n", b"<html></html>"] {
        assert!(complaint("other", bytes).contains("it is no PNG, SVG, PDF"));
    }
    assert!(provenance::read(&folder.path().join("missing.png")).unwrap_err().to_string().contains("missing.png"));
}

#[test]
fn a_damaged_file_gives_an_error_or_the_true_provenance_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let document = document(Example::new(view(3, 2), 20, &DIGITS).draw(Figure::named("figure-4").unwrap(), &Options::default()));
    let stream = Stream::new(1, Purpose::Choice);
    let mut damaged = 0;
    for (number, format) in Format::ALL.into_iter().enumerate() {
        let bytes = document.encode(format, 36.0).unwrap();
        let keyword = bytes.windows(9).position(|window| window == b"epistemap").unwrap();
        for trial in 0..300 {
            let place = |index| (stream.uniform([number as u32, trial, 0], index) * bytes.len() as f64) as usize;
            let mut broken = bytes.clone();
            match trial % 3 {
                0 => broken.truncate(place(0)),
                1 => broken[place(0)] ^= 1 << (trial % 8),
                // Within the provenance itself.
                _ => broken[keyword + 10 + place(0) % 200] ^= 0x80,
            }
            match provenance::read(&write(folder.path(), "broken", &broken)) {
                // PNG's checksum finds every change; a changed letter of text is a different text.
                Ok(read) => assert!(format != Format::Png || read == hard_provenance()),
                Err(error) => damaged += usize::from(error.to_string().contains("is damaged")),
            }
        }
    }
    assert!(damaged > 100, "{damaged}");
}

#[test]
fn the_same_settings_give_the_same_bytes() {
    let bytes = |change: f32| {
        let mut example = Example::new(view(11, 6), 2500, &DIGITS);
        example.map.values[7] += change;
        let document = document(example.draw(&all()[0], &Options::default()));
        Format::ALL.map(|format| document.encode(format, 150.0).unwrap())
    };
    let [first, second, other] = [bytes(0.0), bytes(0.0), bytes(0.5)];
    for format in 0..Format::ALL.len() {
        assert!(first[format] == second[format], "{:?} is not reproducible", Format::ALL[format]);
        assert!(first[format] != other[format], "{:?} does not show a changed value", Format::ALL[format]);
    }
}

#[test]
fn a_png_is_as_wide_as_the_venue_asks_at_its_resolution() {
    let example = Example::new(view(4, 4), 10, &DIGITS);
    for (venue, dpi) in [("icml", 300.0), ("cvpr", 96.0), ("jmlr", 150.0)] {
        let style = Venue::named(venue).unwrap().style(Width::Full);
        let canvas = example.draw(Figure::named("figure-4").unwrap(), &Options { style, ..Options::default() });
        let height = (canvas.height * dpi / 72.0).round() as u32;
        let bytes = document(canvas).encode(Format::Png, dpi).unwrap();
        let reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        assert_eq!(reader.info().size(), ((style.width_in * dpi).round() as u32, height), "{venue}");
        assert_eq!(reader.info().pixel_dims.unwrap().xppu, (dpi / 0.0254).round() as u32);
    }
}

#[test]
fn resolutions_and_names_that_make_no_sense_are_refused() {
    let document = document(Example::new(view(1, 1), 1, &["a"]).draw(&all()[0], &Options::default()));
    for dpi in [0.0, -300.0, f64::NAN, f64::INFINITY, 1e9] {
        assert!(document.encode(Format::Png, dpi).unwrap_err().to_string().starts_with("--dpi"), "{dpi}");
    }
    assert_eq!(Format::of(Path::new("a.PDF")).unwrap(), Format::Pdf);
    assert!(Format::of(Path::new("a.gif")).is_err() && Format::of(Path::new("a")).is_err());
}

/// The boxes of the lines of text, from the baseline to the height of capitals: [left, right, top, bottom].
pub(super) fn text_boxes(canvas: &Canvas) -> Vec<([f64; 4], String)> {
    let boxed = |shape: &Shape| {
        let Shape::Text { at: [x, y], anchor, upwards, size, runs } = shape else { return None };
        let width: f64 = runs.iter().map(|run| run.width(*size)).sum();
        let start = match anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => -width / 2.0,
            Anchor::End => -width,
        };
        let text = runs.iter().map(|run| run.text.as_str()).collect();
        let height = 0.69 * size;
        Some(if *upwards {
            ([x - height, *x, y - start - width, y - start], text)
        } else {
            ([x + start, x + start + width, y - height, *y], text)
        })
    };
    canvas.shapes.iter().filter_map(boxed).collect()
}

/// What the layout takes a text's width for is what the renderer makes of it, but for the kerning.
#[test]
fn text_is_as_wide_as_the_renderer_sets_it() {
    use resvg::usvg;
    for text in ["Mutual information (nats)", "−1×10⁻⁶", "T-shirt/top", "ln\u{2009}10"] {
        for face in [Face::Regular, Face::Bold, Face::Italic] {
            let run = Run::new(text, face);
            let width = run.width(9.0);
            let shape = Shape::Text { at: [20.0, 30.0], anchor: Anchor::Start, upwards: false, size: 9.0, runs: vec![run] };
            let svg = Canvas { width: 300.0, height: 50.0, shapes: vec![shape] }.svg(72.0, "", "");
            let options = usvg::Options { dpi: 72.0, fontdb: text::fonts(), ..usvg::Options::default() };
            let tree = usvg::Tree::from_str(&svg, &options).unwrap();
            let drawn = tree.root().children().last().unwrap().abs_bounding_box();
            assert!((f64::from(drawn.x()) - 20.0).abs() < 1e-3);
            assert!((f64::from(drawn.width()) - width).abs() < 0.03 * width, "{text}: {} is not {width}", drawn.width());
        }
    }
}

#[test]
fn no_text_is_clipped_and_none_overlaps_another() {
    let long =
        ["a class with a name as long as a sentence that goes on and on, beyond every column and page of every journal", "Ankle boot"];
    let clothes = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];
    let extents = [
        [[-10.0, 10.0], [-10.0, 10.0]],
        [[-1e6, 1e6], [-1e6, 1e6]],
        [[7.123_456, 7.123_457], [-2e-5, 3e-5]],
        [[0.0, 100.0], [-1.0, 1.0]],
        [[-0.013, 0.02], [-7.0, 900.0]],
    ];
    for [z1, z2] in extents {
        for classes in [&DIGITS[..], &long, &clothes, &["one"]] {
            let example = Example::new(View::new(z1, z2, 3, 5).unwrap(), 30, classes);
            for venue in &VENUES {
                for (width, range) in Width::ALL.into_iter().zip([ColourRange::Natural, ColourRange::Data]) {
                    let options = Options { style: venue.style(width), range, title: Some("A title ".repeat(40)), ..Options::default() };
                    let panel = Panel {
                        title: Some("(a) As long a title of a panel as ever there was, and longer than panels are wide"),
                        map: &example.map,
                        scatter: Some(example.scatter()),
                        layers: Layers::default(),
                    };
                    for panels in [vec![panel.clone()], vec![panel; 2]] {
                        let Ok(canvas) = heat_map(&panels, &options) else {
                            assert!(panels.len() > 1, "{} {z1:?}", venue.label);
                            continue;
                        };
                        let boxes = text_boxes(&canvas);
                        assert!(boxes.len() > 8);
                        for (i, ([left, right, top, bottom], text)) in boxes.iter().enumerate() {
                            let inside = *left >= 0.0 && *right <= canvas.width && *top >= 0.0 && *bottom <= canvas.height;
                            assert!(inside, "{text:?} is clipped: {z1:?} {z2:?} {} {width:?}", venue.label);
                            for ([l, r, t, b], other) in &boxes[..i] {
                                let apart = left >= r || right <= l || top >= b || bottom <= t;
                                assert!(apart, "{text:?} lies over {other:?}: {z1:?} {z2:?} {} {width:?}", venue.label);
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn too_many_panels_for_the_width_are_refused() {
    let example = Example::new(view(2, 2), 1, &["a"]);
    let panel = Panel { title: None, map: &example.map, scatter: None, layers: Layers::default() };
    assert!(heat_map(&vec![panel.clone(); 2], &Options::default()).is_ok());
    assert!(heat_map(&vec![panel; 9], &Options::default()).unwrap_err().to_string().contains("9 panels"));
}

#[test]
fn the_lowest_row_is_drawn_lowest_and_encodings_lie_where_they_belong() {
    let view = View::new([-1.0, 3.0], [-2.0, 2.0], 2, 3).unwrap();
    let map = MapData { view, values: vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0], label: "m".into(), unit: String::new(), natural: [0.0, 5.0] };
    let (points, labels, classes) = ([[0.0, 1.0], [9.0, 0.0]], [1, 0], ["a".to_owned(), "b".to_owned()]);
    let scatter = Scatter { points: &points, labels: &labels, classes: &classes };
    let options = Options { colours: ColourMap::Grey, ..Options::default() };
    let canvas = heat_map(&[Panel { title: None, map: &map, scatter: Some(scatter), layers: Layers::default() }], &options).unwrap();
    let raster = canvas.shapes.iter().find_map(|shape| match shape {
        Shape::Raster { area, clip, pixels, .. } => Some((*area, *clip, pixels)),
        _ => None,
    });
    let (area, clip, pixels) = raster.unwrap();
    assert_eq!(pixels.iter().map(|pixel| pixel[0]).collect::<Vec<_>>(), [204, 255, 102, 153, 0, 51]);
    // The outermost values belong to points on the border: half of their cells lies beyond it.
    assert!((area.width - 2.0 * clip.width).abs() < 1e-9 && (area.height - 1.5 * clip.height).abs() < 1e-9);
    let markers = canvas.shapes.iter().find_map(|shape| match shape {
        Shape::ClassDots { dots, .. } => Some(dots),
        _ => None,
    });
    let [([x, y], class)] = markers.unwrap()[..] else { panic!("one encoding lies in the view") };
    assert!((x - (clip.x + 0.25 * clip.width)).abs() < 1e-9 && (y - (clip.y + 0.25 * clip.height)).abs() < 1e-9);
    assert_eq!(class, 1);
}

#[test]
fn values_that_are_no_numbers_are_marked_and_small_maps_are_drawn() {
    for (columns, rows) in [(1, 1), (1, 7), (7, 1)] {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, f32::MAX] {
            for range in [ColourRange::Natural, ColourRange::Data] {
                let mut example = Example::new(view(columns, rows), 3, &["only one"]);
                example.map.values.fill(value);
                example.map.natural = [0.0, 1_f64.ln()];
                example.points[0] = [f32::NAN, f32::INFINITY];
                let canvas = example.draw(&all()[0], &Options { range, ..Options::default() });
                let svg = canvas.svg(72.0, "", "");
                assert!(!svg.contains("\"NaN") && !svg.contains("\"inf") && !svg.contains("\"-inf"), "{value} {range:?}");
                let marked =
                    canvas.shapes.iter().any(|shape| matches!(shape, Shape::Raster { pixels, .. } if pixels.contains(&NOT_A_NUMBER)));
                assert_eq!(marked, value.is_nan());
                for format in Format::ALL {
                    document(canvas.clone()).encode(format, 50.0).unwrap();
                }
            }
        }
    }
}

#[test]
fn names_in_any_script_are_drawn() {
    let example = Example::new(view(2, 3), 30, &["お", "<b>&amp;\"", "عربي", "control \u{1}\0", "e\u{301}", "", "   ", "🙂", "\u{fffe}"]);
    let document = document(example.draw(&all()[0], &Options { title: Some("]]>".into()), ..Options::default() }));
    for format in Format::ALL {
        document.encode(format, 72.0).unwrap();
    }
}

#[test]
fn a_figure_of_too_many_pixels_is_refused_before_it_takes_the_memory() {
    let names: Vec<String> =
        (0..250).map(|class| format!("a long name that takes a row of its own, and that of class number {class}")).collect();
    let example = Example::new(view(2, 2), 1, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let style = Venue::named("tmlr").unwrap().style(Width::Full);
    let document = document(example.draw(&all()[0], &Options { style, ..Options::default() }));
    assert!(document.encode(Format::Png, 1200.0).unwrap_err().to_string().contains("too many"));
    assert!(document.encode(Format::Png, 72.0).is_ok());
}

#[test]
fn few_dots_are_vectors_and_many_are_one_image() {
    let shapes = |encodings: usize| {
        let svg = Example::new(view(4, 4), encodings, &DIGITS).draw(&all()[0], &Options::default()).svg(300.0, "", "");
        (svg.matches("<image").count(), svg.matches("<circle").count(), svg.len())
    };
    // Always the map and the colour bar; always ten dots in the legend.
    assert_eq!((shapes(0).0, shapes(0).1), (2, 10));
    assert_eq!((shapes(500).0, shapes(500).1), (2, 510));
    let (images, circles, length) = shapes(60_000);
    assert_eq!((images, circles), (3, 10));
    assert!(length < 400_000, "{length}");
}

#[test]
fn dots_of_the_second_ten_classes_are_squares() {
    let names: Vec<String> = (0..20).map(|class| class.to_string()).collect();
    let example = Example::new(view(4, 4), 0, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let svg = example.draw(&all()[0], &Options::default()).svg(300.0, "", "");
    // In the legend, without encodings.
    assert_eq!((svg.matches("<circle").count(), svg.matches("<polygon").count()), (10, 10));
}

#[test]
fn a_bar_from_0_to_ln_c_says_so() {
    let style = Style::default();
    let bar = |range, unit| axes::bar_ticks(range, unit, 160.0, &style).labels;
    assert_eq!(bar([0.0, 10_f64.ln()], "nats"), ["0", "0.5", "1.0", "1.5", "2.0", "ln\u{2009}10"]);
    assert_eq!(bar([0.0, 2_f64.ln()], "nats").last().unwrap(), "ln\u{2009}2");
    assert_eq!(bar([0.0, 2.3], "nats").last().unwrap(), "2.0");
    assert_eq!(bar([0.0, 2_f64.ln()], "").last().unwrap(), "0.6");
}

#[test]
fn tick_labels_are_typeset() {
    assert_eq!(nice_ticks([-10.0, 10.0], 7).labels, ["−10", "−5", "0", "5", "10"]);
    assert_eq!(nice_ticks([-0.25, 0.31], 7).labels, ["−0.2", "−0.1", "0", "0.1", "0.2", "0.3"]);
    assert_eq!(nice_ticks([-2.5e5, 3e5], 4).labels, ["−2×10⁵", "0", "2×10⁵"]);
    assert_eq!(nice_ticks([0.0, 2.1e-7], 3).labels, ["0", "1×10⁻⁷", "2×10⁻⁷"]);
    for nothing in [[1.0, 1.0], [2.0, 1.0], [f64::NAN, 1.0], [0.0, f64::INFINITY]] {
        assert!(nice_ticks(nothing, 5).at.is_empty());
    }
}

proptest::proptest! {
    #[test]
    fn ticks_are_nice_and_within_the_range(first in -1e6..1e6_f64, logarithm in -3.0..6.0_f64, most in 2..12_usize) {
        let last = first + 10_f64.powf(logarithm);
        let ticks = nice_ticks([first, last], most);
        assert!(ticks.at.len() <= most && 2 * ticks.at.len() + 2 >= most.min(4), "{:?} of {most}", ticks.at);
        assert!(ticks.at.iter().all(|tick| (first..=last).contains(tick)));
        assert_eq!(ticks.labels.len(), ticks.at.len());
        for pair in ticks.at.windows(2) {
            let step = pair[1] - pair[0];
            let mantissa = step / 10_f64.powf((step.log10() + 1e-6).floor());
            assert!([1.0, 2.0, 5.0].iter().any(|nice| (mantissa - nice).abs() < 1e-4), "a step of {step}");
        }
        for (tick, label) in ticks.at.iter().zip(&ticks.labels).filter(|(_, label)| !label.contains('×')) {
            let read: f64 = label.replace('−', "-").parse().unwrap();
            assert!((read - tick).abs() <= 1e-6 * (last - first), "{label} at {tick}");
        }
    }
}
