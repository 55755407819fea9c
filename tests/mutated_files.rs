//! Thousands of damaged files: every loader either takes one or refuses it with a sentence that names it. None panics, and none
//! takes memory that the file does not pay for.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and its counts are shown by --nocapture")]

use epistemap::app::Storage;
use epistemap::data::{idx, load_folder, npy, read_image};
use epistemap::figure::{Canvas, Document, Format, provenance};
use epistemap::latent::{Encodings, ShippedEncodings};
use flate2::{Compression, write::GzEncoder};
use peak_alloc::PeakAlloc;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[path = "mutated/damage.rs"]
mod damage;
#[path = "mutated/images.rs"]
mod images;
#[path = "mutated/jobs.rs"]
mod jobs;
#[path = "mutated/models.rs"]
mod models;

use damage::{Choices, mutate, mutate_json};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Damaged files per kind of file; the environment variable `EPISTEMAP_MUTATIONS` gives another number.
const ROUNDS: u32 = 3000;
/// What loading one of these files of a few kilobytes may take at most, with the other tests of this file beside it.
const MOST_MEMORY: usize = 16 << 20;
/// What the file itself and an error may take beside a buffer as large as that.
const BESIDE: usize = 64 << 10;

pub fn rounds() -> u32 {
    std::env::var("EPISTEMAP_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS)
}

/// Held while memory is metered, so that a test's own meter reading is not another's.
fn metered() -> MutexGuard<'static, ()> {
    static METER: Mutex<()> = Mutex::new(());
    let guard = METER.lock().unwrap_or_else(PoisonError::into_inner);
    MEMORY.reset_peak_usage();
    guard
}

/// Loads one file; the text of the error must name `named`.
pub fn load_one<T>(named: &str, what: impl Fn() -> String, load: impl Fn() -> epistemap::error::Result<T>) -> bool {
    let _meter = metered();
    let before = MEMORY.current_usage();
    let result = load();
    let taken = MEMORY.peak_usage().saturating_sub(before);
    assert!(taken < MOST_MEMORY + BESIDE, "{} took {taken} bytes", what());
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
pub fn survive<T>(seed: u32, named: &str, good: &[u8], load: impl Fn(&[u8]) -> epistemap::error::Result<T>) {
    assert!(load_one(named, || "the whole file".to_owned(), || load(good)), "{named} is refused as it was written");
    let refused = refusals(seed, named, good, load);
    assert!(refused > rounds() as usize / 3, "only {refused} of {} damaged versions of {named} were refused", rounds());
}

/// How many damaged versions of `good` a loader refuses; `--nocapture` shows how many it took.
fn refusals<T>(seed: u32, named: &str, good: &[u8], load: impl Fn(&[u8]) -> epistemap::error::Result<T>) -> usize {
    let (mut refused, mut taken) = (0, 0);
    for round in 0..rounds() {
        let bytes = mutate(good, &mut Choices::new(seed, round));
        if bytes != good {
            let is_taken = load_one(named, || format!("seed {seed}, round {round}"), || load(&bytes));
            *(if is_taken { &mut taken } else { &mut refused }) += 1;
        }
    }
    println!("seed {seed}: {refused} refused, {taken} taken");
    refused
}

/// As [`survive`], for a loader that reads the file at `path`.
pub fn survive_at<T>(seed: u32, path: &Path, good: &[u8], load: impl Fn() -> epistemap::error::Result<T>) {
    let folder = path.parent().unwrap().to_string_lossy().into_owned();
    survive(seed, &folder, good, |bytes| {
        rewrite(path, bytes);
        load()
    });
    rewrite(path, good);
}

/// Writes a file anew: file systems that guard against a crash flush a file that is truncated and written, which takes
/// milliseconds each time.
pub fn rewrite(path: &Path, bytes: &[u8]) {
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
    let read = |seed: u32, path: &Path, load: &dyn Fn() -> epistemap::error::Result<()>| {
        let good = std::fs::read(path).unwrap();
        assert!(load_one(&named, || "the whole file".to_owned(), load), "{} is refused as it was written", path.display());
        let refused = refusals(seed, &named, &good, |bytes| {
            rewrite(path, bytes);
            load()
        });
        // A decoder of images takes much that another has damaged.
        assert!(refused > rounds() as usize / 10, "only {refused} damaged versions of {} were refused", path.display());
    };
    let mut choices = Choices::new(4, 0);
    let picture = image::RgbImage::from_raw(19, 13, choices.bytes(3 * 19 * 13)).unwrap();
    let indexed = include_bytes!("cases/plte4.png");
    for (seed, name) in [(80, "a.png"), (81, "a.jpg"), (91, "a.bmp"), (92, "a.gif"), (93, "a.webp"), (97, "a.tiff")] {
        picture.save(at(name)).unwrap();
        read(seed, &at(name), &|| read_image(&at(name), [3, 9, 9]).map(drop));
    }
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
    let kinds = [include_bytes!("cases/f16.npy").as_slice(), include_bytes!("cases/f.npy")];
    for (seed, bytes) in (106..).zip(kinds) {
        rewrite(&at("kind.npy"), bytes);
        read(seed, &at("kind.npy"), &|| npy::read_images(&at("kind.npy")).map(drop));
    }

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
