//! Thousands of damaged files: every loader either takes one or refuses it with a sentence that names it. None panics, and none
//! takes memory that the file does not pay for.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and its counts are shown by --nocapture")]

use epistemap::app::Storage;
use epistemap::data::{idx, load_folder, npy, read_image};
use epistemap::figure::{Canvas, Document, Format, provenance};
use epistemap::latent::{Encodings, ShippedEncodings};
use epistemap::nets::folder::{self, DESCRIPTION, Precision, WEIGHTS};
use epistemap::nets::{Description, Ending, Layer, OPERATIONS, Tensor, VaeGraphs, VaeLayers, Weights, random_graph};
use epistemap::random::{Purpose, Stream};
use flate2::{Compression, write::GzEncoder};
use peak_alloc::PeakAlloc;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Damaged files per kind of file; the environment variable `EPISTEMAP_MUTATIONS` gives another number.
const ROUNDS: u32 = 3000;
/// What loading one of these files of a few kilobytes may take at most, with the other tests of this file beside it.
const MOST_MEMORY: usize = 16 << 20;
/// What the file itself and an error may take beside a buffer as large as that.
const BESIDE: usize = 64 << 10;

fn rounds() -> u32 {
    std::env::var("EPISTEMAP_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS)
}

/// Held while memory is metered, so that a test's own meter reading is not another's.
fn metered() -> MutexGuard<'static, ()> {
    static METER: Mutex<()> = Mutex::new(());
    let guard = METER.lock().unwrap_or_else(PoisonError::into_inner);
    MEMORY.reset_peak_usage();
    guard
}

/// A fixed-seed sequence of choices.
struct Choices {
    stream: Stream,
    round: u32,
    next: u32,
}

impl Choices {
    fn new(seed: u32, round: u32) -> Self {
        Self { stream: Stream::new(seed, Purpose::Choice), round, next: 0 }
    }

    fn below(&mut self, count: usize) -> usize {
        self.next += 1;
        self.stream.word([self.round, 0, 0], self.next) as usize % count
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.below(256) as u8).collect()
    }
}

/// Damages a file as disks, networks and editors do.
fn mutate(good: &[u8], choices: &mut Choices) -> Vec<u8> {
    let mut bytes = good.to_vec();
    let at = choices.below(bytes.len());
    match choices.below(8) {
        0 => bytes.truncate(at),
        1 => {
            for _ in 0..=choices.below(4) {
                let at = choices.below(bytes.len());
                bytes[at] ^= 1 << choices.below(8);
            }
        }
        2 => {
            let count = 1 + choices.below(100);
            bytes.extend(choices.bytes(count));
        }
        3 => {
            let count = 1 + choices.below(20);
            let inserted = choices.bytes(count);
            bytes.splice(at..at, inserted);
        }
        4 => {
            let end = (at + 1 + choices.below(40)).min(bytes.len());
            bytes.drain(at..end);
        }
        5 => {
            // Lengths that lie stand near the start of binary files.
            let at = choices.below(24.min(bytes.len()));
            let end = (at + 1 + choices.below(8)).min(bytes.len());
            let value = [0x00, 0x7f, 0x80, 0xff][choices.below(4)];
            bytes[at..end].fill(value);
        }
        6 => {
            // Numbers that lie are digits in JSON, also in the header of safetensors.
            let digits: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at].is_ascii_digit()).collect();
            if !digits.is_empty() {
                let at = digits[choices.below(digits.len())];
                let count = 1 + choices.below(3) * 9;
                bytes.splice(at..=at, (0..count).map(|_| b'0' + choices.below(10) as u8).collect::<Vec<_>>());
            }
        }
        _ => {
            let (from, count) = (choices.below(bytes.len()), 1 + choices.below(64));
            let copied = bytes[from..(from + count).min(bytes.len())].to_vec();
            bytes.splice(at..at, copied);
        }
    }
    bytes
}

/// Loads one file; the text of the error must name `named`.
fn load_one<T>(named: &str, what: impl Fn() -> String, load: impl Fn() -> epistemap::error::Result<T>) -> bool {
    load_within(MOST_MEMORY, named, what, load)
}

/// The same where it may take `most` bytes.
fn load_within<T>(most: usize, named: &str, what: impl Fn() -> String, load: impl Fn() -> epistemap::error::Result<T>) -> bool {
    let _meter = metered();
    let before = MEMORY.current_usage();
    let result = load();
    let taken = MEMORY.peak_usage().saturating_sub(before);
    assert!(taken < most + BESIDE, "{} took {taken} bytes", what());
    match result {
        Ok(_) => true,
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains(named) && text.ends_with('.'), "{} gave '{text}', which does not name {named}", what());
            false
        }
    }
}

/// Feeds `ROUNDS` damaged versions of `good` to a loader, which must take `good` itself and refuse a good part of the others.
fn survive<T>(seed: u32, named: &str, good: &[u8], load: impl Fn(&[u8]) -> epistemap::error::Result<T>) {
    assert!(load_one(named, || "the whole file".to_owned(), || load(good)), "{named} is refused as it was written");
    let refused = refusals(seed, MOST_MEMORY, named, good, load);
    assert!(refused > rounds() as usize / 3, "only {refused} of {} damaged versions of {named} were refused", rounds());
}

/// How many damaged versions of `good` a loader refuses, with `most` bytes for each; `--nocapture` shows how many it took.
fn refusals<T>(seed: u32, most: usize, named: &str, good: &[u8], load: impl Fn(&[u8]) -> epistemap::error::Result<T>) -> usize {
    let (mut refused, mut taken) = (0, 0);
    for round in 0..rounds() {
        let bytes = mutate(good, &mut Choices::new(seed, round));
        if bytes != good {
            let is_taken = load_within(most, named, || format!("seed {seed}, round {round}"), || load(&bytes));
            *(if is_taken { &mut taken } else { &mut refused }) += 1;
        }
    }
    println!("seed {seed}: {refused} refused, {taken} taken");
    refused
}

/// As [`survive`], for a loader that reads the file at `path`.
fn survive_at<T>(seed: u32, path: &Path, good: &[u8], load: impl Fn() -> epistemap::error::Result<T>) {
    let folder = path.parent().unwrap().to_string_lossy().into_owned();
    survive(seed, &folder, good, |bytes| {
        rewrite(path, bytes);
        load()
    });
    rewrite(path, good);
}

/// Writes a file anew: file systems that guard against a crash flush a file that is truncated and written, which takes
/// milliseconds each time.
fn rewrite(path: &Path, bytes: &[u8]) {
    std::fs::remove_file(path).ok();
    std::fs::write(path, bytes).unwrap();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_meter_sees_what_is_taken() {
    let _meter = metered();
    let before = MEMORY.current_usage();
    drop(std::hint::black_box(vec![1u8; 2 * MOST_MEMORY]));
    assert!(MEMORY.peak_usage() >= before + MOST_MEMORY);
}

#[test]
fn idx_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let mut choices = Choices::new(1, 0);
    let gray = idx::encode(&[7, 5, 3], &choices.bytes(105));
    let colour = idx::encode(&[2, 3, 5, 4], &choices.bytes(120));
    let labels = idx::encode(&[31], &choices.bytes(31));
    for (seed, good) in [(10, &gray), (11, &gzip(&gray)), (12, &colour), (13, &gzip(&colour))] {
        survive_at(seed, &path, good, || idx::read_images(&path));
    }
    for (seed, good) in [(14, &labels), (15, &gzip(&labels))] {
        survive_at(seed, &path, good, || idx::read_labels(&path));
    }
}

/// A header that lies inside a gzip file that is whole: neither the checksum nor the length of the file gives it away.
#[test]
fn gzipped_files_with_lying_headers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.gz");
    let good = idx::encode(&[7, 5, 3], &Choices::new(2, 0).bytes(105));
    survive(20, &path.to_string_lossy(), &good, |bytes| {
        rewrite(&path, &gzip(bytes));
        idx::read_images(&path)
    });
    // 64 MB of zeros, of which the header admits one; written in pieces, lest they count as what another test takes.
    let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
    bomb.write_all(&idx::encode(&[1000, 30, 35], &vec![0; 1_050_000])).unwrap();
    (0..8192).for_each(|_| bomb.write_all(&[0; 8 << 10]).unwrap());
    rewrite(&path, &bomb.finish().unwrap());
    assert!(!load_one("file.gz", || "the bomb".to_owned(), || idx::read_images(&path)));
}

/// Images, arrays and figures, decoded by other crates.
#[test]
fn images_arrays_and_figures() {
    // What the estimates are held to.
    epistemap::budget::set_limit(MOST_MEMORY as u64);
    let folder = tempfile::tempdir().unwrap();
    let named = folder.path().to_string_lossy().into_owned();
    let at = |name: &str| folder.path().join(name);
    let read_within = |most: usize, seed: u32, path: &Path, load: &dyn Fn() -> epistemap::error::Result<()>| {
        let good = std::fs::read(path).unwrap();
        assert!(load_one(&named, || "the whole file".to_owned(), load), "{} is refused as it was written", path.display());
        let refused = refusals(seed, most, &named, &good, |bytes| {
            rewrite(path, bytes);
            load()
        });
        // A decoder of images takes much that another has damaged.
        assert!(refused > rounds() as usize / 10, "only {refused} damaged versions of {} were refused", path.display());
    };
    let read = |seed, path: &Path, load: &dyn Fn() -> _| read_within(MOST_MEMORY, seed, path, load);
    let mut choices = Choices::new(4, 0);
    let picture = image::RgbImage::from_raw(19, 13, choices.bytes(3 * 19 * 13)).unwrap();
    let indexed = include_bytes!("cases/plte4.png");
    for (seed, name) in [(80, "a.png"), (81, "a.jpg"), (91, "a.bmp"), (92, "a.gif"), (93, "a.webp")] {
        picture.save(at(name)).unwrap();
        read(seed, &at(name), &|| read_image(&at(name), [3, 9, 9]).map(drop));
    }
    // For the tags that a header promises, this decoder allocates up to 256 MiB before it takes a limit.
    picture.save(at("a.tiff")).unwrap();
    read_within(MOST_MEMORY + (256 << 20), 97, &at("a.tiff"), &|| read_image(&at("a.tiff"), [3, 9, 9]).map(drop));
    assert!(!load_one(
        &named,
        || "a broken palette".to_owned(),
        || {
            rewrite(&at("b.png"), indexed);
            read_image(&at("b.png"), [1, 9, 9])
        }
    ));

    npy::write_images(&at("x.npy"), [2, 3, 5], &[0.25; 60]).unwrap();
    read(82, &at("x.npy"), &|| npy::read_images(&at("x.npy")).map(drop));

    let set = include_bytes!("cases/medmnist-like.npz");
    rewrite(&at("set.npz"), set);
    read(95, &at("set.npz"), &|| load_folder(&at("set.npz"), None).map(drop));
    rewrite(&at("set.npz"), set);
    read(96, &at("set.npz"), &|| npy::read_images(&at("set.npz")).map(drop));

    let provenance = json!({"program": "epistemap", "members": [0, 1, 2], "extent": [-10.0, 10.0]});
    let document = Document {
        title: "t".to_owned(),
        canvas: Canvas { width: 20.0, height: 20.0, shapes: Vec::new() },
        provenance: provenance.clone(),
    };
    for (seed, name, format) in [(83, "f.png", Format::Png), (84, "f.svg", Format::Svg), (85, "f.pdf", Format::Pdf)] {
        document.write(&at(name), format, 72.0).unwrap();
        read(seed, &at(name), &|| provenance::read(&at(name)).map(drop));
    }
    std::fs::write(at("f.json"), json!({"provenance": provenance}).to_string()).unwrap();
    read(86, &at("f.json"), &|| provenance::read(&at("f.json")).map(drop));
    std::fs::write(at("f.csv"), provenance::csv_line(&provenance) + "a,b\n1,2\n").unwrap();
    read(87, &at("f.csv"), &|| provenance::read(&at("f.csv")).map(drop));
    let mut archive = zip::ZipWriter::new(std::fs::File::create(at("f.npz")).unwrap());
    archive.start_file(provenance::NPZ_MEMBER, zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(provenance.to_string().as_bytes()).unwrap();
    archive.finish().unwrap();
    read(88, &at("f.npz"), &|| provenance::read(&at("f.npz")).map(drop));

    let path = at("session.json");
    let session: Value = serde_json::from_slice(include_bytes!("cases/session-members.json")).unwrap();
    rewrite(&path, session.to_string().as_bytes());
    read(89, &path, &|| Storage::open(&path).map(drop));
    for round in 0..rounds() {
        let mutated = mutate_json(&session, &mut Choices::new(90, round));
        rewrite(&path, mutated.to_string().as_bytes());
        load_one(&named, || mutated.to_string(), || Storage::open(&path));
    }
}

#[test]
fn encodings() {
    let classes = vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
    let split = |far| Encodings::new(vec![[0.5, -1.25], [far, 2.0], [3.0, 0.0]], vec![2, 0, 1], classes.clone()).unwrap();
    let path = Path::new("encodings.safetensors");
    for (seed, far) in [(30, 1.5), (31, 1234.567)] {
        let good = ShippedEncodings { train: split(far), test: split(-1.5), vae: Some("0a".to_owned()), data: None }.encode(path).unwrap();
        survive(seed, "encodings.safetensors", &good, |bytes| ShippedEncodings::decode(path, bytes));
    }
}

fn weights_of(shapes: impl IntoIterator<Item = (String, Vec<usize>)>) -> Weights {
    let mut choices = Choices::new(3, 0);
    let mut tensor = |(name, shape): (String, Vec<usize>)| {
        // A variance is above 0.
        let least = if name.ends_with("running_var") { 0.5 } else { -0.5 };
        let values = (0..shape.iter().product()).map(|_| choices.below(2000) as f64 / 1000.0 + least).collect();
        (name, Tensor::new(shape, values))
    };
    shapes.into_iter().map(&mut tensor).collect()
}

/// A classifier of every operation.
fn classifier() -> (Description, Weights) {
    let input_shape = [2, 4, 3];
    let graph = random_graph(&input_shape, 4, OPERATIONS, 7, |_| true).unwrap();
    let weights = weights_of(graph.weights());
    let classes = ["a", "b", "c", "d"].map(String::from).to_vec();
    let (name, ending, training) = ("odd".into(), Ending::Logits, json!({"epochs": 3}));
    (Description::Classifier { name, input_shape, classes, ending, graph, training }, weights)
}

fn vae() -> (Description, Weights) {
    let layers = VaeLayers::dense([2, 3, 5], &[7, 4], 2);
    let weights = weights_of(layers.all().flat_map(Layer::weights));
    let graphs = VaeGraphs::of_layers([2, 3, 5], &layers).unwrap();
    (Description::Vae { name: "vae".into(), input_shape: [2, 3, 5], graphs, training: Value::Null }, weights)
}

#[test]
fn weights() {
    let path = Path::new("weights.safetensors");
    for (seed, (_, weights)) in [(40, classifier()), (41, vae())] {
        for (seed, precision) in [(seed, Precision::F16), (seed + 2, Precision::F32)] {
            let good = folder::encode_weights(path, &weights, precision).unwrap();
            // The shorter the numbers, the more of the file is its header.
            survive(seed, "weights.safetensors", &good[..], |bytes| folder::decode_weights(path, bytes));
        }
    }
}

#[test]
fn model_folders() {
    for (seed, (description, weights)) in [(50, classifier()), (60, vae())] {
        let place = tempfile::tempdir().unwrap();
        folder::save(place.path(), &description, &weights, Precision::F16).unwrap();
        for (seed, name) in [(seed, DESCRIPTION), (seed + 1, WEIGHTS)] {
            let path = place.path().join(name);
            let good = std::fs::read(&path).unwrap();
            survive_at(seed, &path, &good, || folder::load(place.path()));
        }
    }
}

/// A description that is still JSON, with one value replaced by a hostile one.
fn mutate_json(good: &Value, choices: &mut Choices) -> Value {
    let hostile = [
        json!(0),
        json!(1),
        json!(-1),
        json!(0.5),
        json!(1e308),
        json!(u64::MAX),
        json!(1u64 << 32),
        json!(1u64 << 63),
        json!([]),
        json!([0, 0]),
        json!([1u64 << 32, 1u64 << 32, 1u64 << 32]),
        json!({}),
        json!(null),
        json!(""),
        json!("conv2d"),
        json!({"kind": "flatten"}),
    ];
    let mut mutated = good.clone();
    let mut node = &mut mutated;
    loop {
        let children = match node {
            Value::Array(items) => items.len(),
            Value::Object(fields) => fields.len(),
            _ => 0,
        };
        if children == 0 || choices.below(20) == 0 {
            *node = hostile[choices.below(hostile.len())].clone();
            return mutated;
        }
        let (at, change) = (choices.below(children), choices.below(20));
        node = match node {
            Value::Array(items) if change == 0 => {
                items.remove(at);
                return mutated;
            }
            Value::Array(items) if change == 1 => {
                items.insert(at, items[at].clone());
                return mutated;
            }
            Value::Array(items) => &mut items[at],
            Value::Object(fields) => {
                let key = fields.keys().nth(at).unwrap().clone();
                if change == 0 {
                    fields.remove(&key);
                    return mutated;
                }
                &mut fields[&key]
            }
            _ => unreachable!("only arrays and objects have children"),
        };
    }
}

#[test]
fn descriptions_that_are_json_but_lie() {
    for (seed, (description, weights)) in [(70, classifier()), (71, vae())] {
        let place = tempfile::tempdir().unwrap();
        folder::save(place.path(), &description, &weights, Precision::F32).unwrap();
        let path = place.path().join(DESCRIPTION);
        let good: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let refused = (0..rounds()).filter(|&round| {
            let mutated = mutate_json(&good, &mut Choices::new(seed, round));
            rewrite(&path, mutated.to_string().as_bytes());
            mutated != good && !load_one(&place.path().to_string_lossy(), || mutated.to_string(), || folder::load(place.path()))
        });
        assert!(refused.count() > rounds() as usize / 3);
    }
}

/// Mistakes that people make, with what the sentence must say.
#[test]
fn particular_mistakes_are_named() {
    let layers = [
        Layer::Conv2d { name: "conv".into(), in_channels: 2, out_channels: 3, kernel: [3, 2], stride: [2, 1], padding: [1, 0] },
        Layer::MaxPool2d { kernel: [2, 2], stride: [1, 2] },
        Layer::Reshape { shape: vec![3, 12] },
        Layer::Flatten,
        Layer::Dropout { rate: 0.25 },
        Layer::Linear { name: "out".into(), inputs: 36, outputs: 4 },
    ];
    let weights = weights_of(layers.iter().flat_map(Layer::weights));
    let classifier = |classes: &[&str], layers: &[Layer], weights: &Weights| {
        let place = tempfile::tempdir().unwrap();
        let description =
            json!({"kind": "classifier", "name": "x", "input_shape": [2, 9, 7], "classes": classes, "layers": layers, "training": null});
        std::fs::write(place.path().join(DESCRIPTION), description.to_string()).unwrap();
        let path = place.path().join(WEIGHTS);
        std::fs::write(&path, folder::encode_weights(&path, weights, Precision::F32).unwrap()).unwrap();
        folder::load(place.path()).map_err(|error| error.to_string())
    };
    let classes = ["a", "b", "c", "d"];
    classifier(&classes, &layers, &weights).unwrap();
    let with = |name: &str, tensor: Option<Tensor>| {
        let mut weights = weights.clone();
        weights.remove(name);
        weights.extend(tensor.map(|tensor| (name.to_owned(), tensor)));
        weights
    };
    let replaced = |at: usize, layer: Layer| {
        let mut layers = layers.to_vec();
        layers[at] = layer;
        layers
    };
    for (result, text) in [
        (classifier(&[], &layers, &weights), "there are 0 class names"),
        (classifier(&classes[..3], &layers, &weights), "there are 3 class names"),
        (
            classifier(&classes, &layers, &with("out.bias", Some(Tensor::new([4], vec![0.0, f64::NAN, 0.0, 0.0])))),
            "'out.bias' holds NaN at position 1",
        ),
        (classifier(&classes, &layers, &with("out.bias", Some(Tensor::new([4], vec![1e300; 4])))), "'out.bias' holds inf"),
        (
            classifier(&classes, &layers, &with("out.bias", Some(Tensor::new([2, 2], vec![0.0; 4])))),
            "should have the shape [4] but has [2, 2]",
        ),
        (classifier(&classes, &layers, &with("conv.weight", None)), "'conv.weight' of shape [3, 2, 3, 2] is missing"),
        (classifier(&classes, &layers, &with("fc9.bias", Some(Tensor::new([1], vec![0.0])))), "no node takes the weight 'fc9.bias'"),
        (classifier(&classes, &replaced(4, Layer::Dropout { rate: 1.0 }), &weights), "rate 1, which is not in 0 ≤ rate < 1"),
        (classifier(&classes, &replaced(2, Layer::Reshape { shape: vec![3, 8] }), &weights), "as many elements as [3, 8] has"),
        (classifier(&classes, &replaced(1, Layer::MaxPool2d { kernel: [2, 2], stride: [0, 2] }), &weights), "a stride of 0"),
        (classifier(&classes, &[], &weights), "it has no nodes"),
    ] {
        let error = result.unwrap_err();
        assert!(error.contains(text) && (error.contains(WEIGHTS) || error.contains(DESCRIPTION)), "'{error}' should say '{text}'");
    }
}
