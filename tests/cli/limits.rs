//! What foreign files and large numbers cannot do: write outside the output folder, control the terminal, take more memory than is
//! allowed, hang, or end the program with a panic.

use super::{CLASSES, IMAGE_SHAPE};
use crate::program::{Desk, PROGRAM};
use epistemap::data::{idx, npy};
use epistemap::nets::folder::{Precision, encode_weights};
use epistemap::nets::{Tensor, Weights};
use flate2::{Compression, write::ZlibEncoder};
use serde_json::json;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

const PANICS: &[u8] = include_bytes!("../cases/plte4.png");
const HUGE: &[u8] = include_bytes!("../cases/png-48KB-19999.png");
const MAP: &str = "map --models models --grid 3 --samples 1 --engine cpu";

/// Models, and IDX files of noise for them in `data8`.
fn desk() -> Desk {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    std::fs::create_dir(desk.path("data8")).unwrap();
    let [channels, height, width] = IMAGE_SHAPE.map(|axis| axis as u32);
    for (part, count) in [("train", 30_u32), ("t10k", 12)] {
        let pixels: Vec<u8> = (0..count * channels * height * width).map(|at| (at * 37 % 256) as u8).collect();
        let labels: Vec<u8> = (0..count).map(|image| (image % CLASSES as u32) as u8).collect();
        let path = |kind: &str| desk.path(&format!("data8/{part}-{kind}-ubyte"));
        std::fs::write(path("images-idx3"), idx::encode(&[count, height, width], &pixels)).unwrap();
        std::fs::write(path("labels-idx1"), idx::encode(&[count], &labels)).unwrap();
    }
    desk
}

/// Changes a text in the description of the first classifier.
fn describe(desk: &Desk, change: impl FnOnce(&mut serde_json::Value)) {
    let path = desk.path("models/classifier-0/model.json");
    let mut description = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut description);
    std::fs::write(path, description.to_string()).unwrap();
}

/// The program in a shell that runs something first.
fn after(desk: &Desk, script: &str, arguments: &str) -> Command {
    let mut shell = desk.command("sh");
    shell.args(["-c", &format!("{script} exec \"$0\" {arguments}"), PROGRAM]);
    shell
}

/// The program with little address space, in kilobytes: what asks for more ends in an abort, which is no sentence.
fn within(desk: &Desk, kilobytes: u64, arguments: &str) -> Command {
    after(desk, &format!("ulimit -v {kilobytes};"), arguments)
}

#[test]
fn a_name_in_a_model_leads_nowhere_outside_the_output_folder() {
    let desk = desk();
    let verbs = ["pack --from models --dataset data8 --out o", "laplace --model models --dataset data8 --out o"];
    let absolute = desk.path("absolute").to_string_lossy().into_owned();
    for name in ["../victim", absolute.as_str(), "a/b", "..", "", "nul"] {
        describe(&desk, |model| model["name"] = name.into());
        for verb in verbs {
            let sentence = desk.refuses(verb);
            assert!(sentence.contains(&format!("the name '{name}'")), "{sentence}");
        }
    }
    for name in ["classifier-0", "größe (2)"] {
        describe(&desk, |model| model["name"] = name.into());
        for verb in verbs {
            desk.succeeds(verb);
            assert!(desk.path("o").join(name).join("model.json").exists());
            std::fs::remove_dir_all(desk.path("o")).unwrap();
        }
    }
}

#[cfg(unix)]
#[test]
fn links_in_an_output_folder_are_not_followed_and_typed_ones_are() {
    use std::os::unix::fs::{FileTypeExt as _, symlink};
    let desk = desk();
    std::fs::create_dir_all(desk.path("elsewhere")).unwrap();
    std::fs::create_dir_all(desk.path("o")).unwrap();
    symlink(desk.path("elsewhere"), desk.path("o/classifier-0")).unwrap();
    for verb in [
        "pack --from models --dataset data8 --out o",
        "laplace --model models --dataset data8 --out o",
        "train ensemble --dataset data8 --architecture mlp --epochs 1 --members 1 --out o",
    ] {
        let sentence = desk.refuses(verb);
        assert!(sentence.contains("o/classifier-0: is a link"), "{sentence}");
    }
    assert_eq!(std::fs::read_dir(desk.path("elsewhere")).unwrap().count(), 0);

    std::fs::write(desk.path("real.csv"), "old").unwrap();
    symlink("real.csv", desk.path("link.csv")).unwrap();
    symlink("/dev/null", desk.path("null.csv")).unwrap();
    desk.succeeds(&format!("{MAP} --out link.csv"));
    assert!(desk.path("link.csv").is_symlink() && desk.read("real.csv").starts_with(b"# epistemap provenance: "));
    desk.succeeds(&format!("{MAP} --out null.csv"));
    desk.succeeds("evaluate --models models --dataset data8 --samples 1 --out /dev/null");
    assert!(desk.path("null.csv").is_symlink() && std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    let mut shell = desk.command("sh");
    let script = format!("mkfifo p.csv; cat p.csv > got & \"$0\" {MAP} --out p.csv; wait; rm p.csv");
    assert!(shell.args(["-c", &script, PROGRAM]).status().unwrap().success());
    assert_eq!(desk.read("got"), desk.read("real.csv"));
}

#[test]
fn names_in_files_do_not_control_the_terminal() {
    let desk = desk();
    describe(&desk, |model| {
        model["name"] = "m\u{1b}[2J\nforged".into();
        model["classes"][0] = "c\u{1b}]0;title\u{7}".into();
    });
    let [out, _] = desk.succeeds("evaluate --models models/classifier-0 --dataset data8 --samples 1");
    assert!(out.contains("m\\u{1b}[2J\\nforged") && !out.contains('\u{1b}'), "{out}");
    std::fs::write(desk.path("models/classifier-1/model.json"), "{\"kind\": \"\\u001b[2J\"}").unwrap();
    let sentence = desk.refuses(&format!("{MAP} --out map.csv"));
    assert!(sentence.contains("\\u{1b}[2J") && !sentence.contains('\u{1b}'), "{sentence}");
    std::fs::write(desk.path("models/classifier-1/model.json"), format!("{{\"kind\": \"{}\"}}", "x".repeat(5000))).unwrap();
    assert!(desk.refuses(&format!("{MAP} --out map.csv")).len() < 700, "the library's text is cut");
}

#[cfg(unix)]
#[test]
fn only_regular_files_are_read() {
    let desk = desk();
    assert!(Command::new("mkfifo").arg(desk.path("pipe")).status().unwrap().success());
    let sentence = |line: &str| desk_refuses_beside_a_pipe(&desk, line);
    for line in [
        "provenance pipe",
        "provenance /dev/zero",
        "attack --model models/classifier-0 --images pipe --method fgm --eps 0.1 --out x.npy",
        "attack --model models/classifier-0 --images /dev/zero --method fgm --eps 0.1 --out x.npy",
        "garbage --models models --image pipe --starts 1 --steps 1",
        "train classifier --dataset data8 --architecture pipe --out m",
    ] {
        let said = sentence(line);
        assert!(said.contains("not a regular file"), "{line}: {said}");
    }
    std::fs::remove_file(desk.path("models/vae/weights.safetensors")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", desk.path("models/vae/weights.safetensors")).unwrap();
    assert!(sentence(&format!("{MAP} --out map.csv")).contains("not a regular file"));
    assert!(sentence("provenance models").contains("is a folder"));
}

/// As [`Desk::refuses`], which would read the pipe.
#[cfg(unix)]
fn desk_refuses_beside_a_pipe(desk: &Desk, line: &str) -> String {
    let output = desk.run(line);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.starts_with("epistemap: ") && said.lines().count() == 1, "{line}: {said}");
    said
}

#[test]
fn requests_beyond_the_memory_budget_are_refused_with_the_estimate() {
    let desk = desk();
    for (line, words) in [
        (format!("{MAP} --grid 8192 --memory 1GB --out map.npz").replace("--grid 3 ", ""), "points with 2 members would take"),
        ("train ensemble --dataset data8 --members 4294967295 --out m".to_owned(), "--members: 4294967295 classifiers"),
        ("train classifier --dataset data8 --architecture mlp --widths 60000,60000 --memory 1GB --out m".to_owned(), "3.60e9 weights"),
        ("train classifier --dataset data8 --architecture resnet --blocks 4294967295 --out m".to_owned(), "--blocks: "),
    ] {
        let sentence = desk.refuses_command(&mut within(&desk, 4_000_000, &line), &line);
        assert!(sentence.contains(words), "{line}: {sentence}");
    }
    let holes = within(&desk, 4_000_000, "holes --models models --grid 5 --samples 2 --curve --subsets 99999999999999").output().unwrap();
    let said = String::from_utf8(holes.stderr).unwrap();
    assert!(holes.status.code() == Some(1) && said.contains("--subsets: 99999999999999 subsets"), "{said}");
    desk.succeeds(&format!("{MAP} --memory 1GB --out map.npz"));
    desk.misunderstands("map --memory 4 --out map.npz");
}

#[test]
fn files_that_imply_more_memory_than_they_hold_are_refused() {
    let desk = desk();
    let shallow = 2_000_000;
    describe(&desk, |model| {
        let size = |name: &str, size: [u32; 2]| json!({"name": name, "op": "upsample", "size": size, "mode": "nearest"});
        let nodes = model["nodes"].as_array_mut().unwrap();
        nodes.splice(0..0, [size("up", [6000, 6000]), size("down", [IMAGE_SHAPE[1] as u32, IMAGE_SHAPE[2] as u32])]);
    });
    let line = format!("{MAP} --out map.csv");
    let sentence = desk.refuses_command(&mut within(&desk, shallow, &line), "a large value");
    assert!(sentence.contains("node 'up' (upsample)") && sentence.contains("for 32 images would take"), "{sentence}");
    describe(&desk, |model| {
        model["nodes"].as_array_mut().unwrap().drain(..2);
        model["classes"] = (0..100_000).map(|class| class.to_string()).collect::<Vec<_>>().into();
    });
    let sentence = desk.refuses_command(&mut within(&desk, shallow, &line), "many classes");
    assert!(sentence.contains("there are 100000 class names"), "{sentence}");

    std::fs::write(desk.path("huge.png"), HUGE).unwrap();
    std::fs::write(desk.path("text.png"), png_with_text(&vec![b'['; 300_000_000])).unwrap();
    std::fs::write(desk.path("images.gz"), gzip_that_promises(1 << 28)).unwrap();
    std::fs::write(desk.path("nested.json"), "{\"\":".repeat(100) + &"[[],[]],".repeat(3_000_000)).unwrap();
    for (line, words) in [
        ("garbage --image huge.png --starts 1 --steps 1", "an image of 19999 × 19999 pixels would take"),
        ("provenance text.png", "its provenance is damaged"),
        ("attack --images images.gz --method fgm --eps 0.1 --out x.npy", "elements would take"),
        ("provenance nested.json", "of JSON may take more memory"),
    ] {
        let sentence = desk.refuses_command(&mut within(&desk, shallow, line), line);
        assert!(sentence.contains(words), "{line}: {sentence}");
    }
}

/// Writes a classifier of the mean pixel, with a weight and a name for each class.
fn write_classes(folder: &Path, classes: usize) {
    let names: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
    let nodes = json!([{"name": "pool", "op": "global_average_pool"}, {"name": "flat", "op": "flatten"},
        {"name": "fc", "op": "linear", "in_features": 1, "out_features": classes}]);
    let description = json!({"kind": "classifier", "version": 2, "name": "m", "input_shape": IMAGE_SHAPE, "classes": names,
        "output": "logits", "nodes": nodes});
    let of_shape = |shape: Vec<usize>| Tensor::new(shape, vec![0.5; classes]);
    let weights = Weights::from([("fc.weight".to_owned(), of_shape(vec![classes, 1])), ("fc.bias".to_owned(), of_shape(vec![classes]))]);
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("model.json"), description.to_string()).unwrap();
    let path = folder.join("weights.safetensors");
    std::fs::write(&path, encode_weights(&path, &weights, Precision::F32).unwrap()).unwrap();
}

#[test]
fn a_million_classes_are_refused_though_the_outputs_fit() {
    let desk = Desk::new();
    npy::write_images(&desk.path("x.npy"), IMAGE_SHAPE, &[0.25; 72]).unwrap();
    write_classes(&desk.path("many"), 1_000_001);
    write_classes(&desk.path("few"), 300);
    let attack = "attack --images x.npy --method fgm --eps 0.1 --samples 1 --no-checks --engine cpu --memory 4GB --out out.npy --model";
    let sentence = desk.refuses(&format!("{attack} many"));
    assert!(sentence.contains("many/model.json") && sentence.contains("there are 1000001 class names, more than 65536"), "{sentence}");
    desk.succeeds(&format!("{attack} few"));
    assert!(desk.path("out.npy").exists());
}

/// A PNG of one pixel whose text of this program is compressed.
fn png_with_text(text: &[u8]) -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    image::GrayImage::new(1, 1).write_to(&mut file, image::ImageFormat::Png).unwrap();
    let mut bytes = file.into_inner();
    let mut packed = ZlibEncoder::new(b"epistemap\0\x01\0\0\0".to_vec(), Compression::fast());
    packed.write_all(text).unwrap();
    let chunk = [b"iTXt".to_vec(), packed.finish().unwrap()].concat();
    let mut sum = flate2::Crc::new();
    sum.update(&chunk);
    let whole = [&(chunk.len() as u32 - 4).to_be_bytes(), &chunk[..], &sum.sum().to_be_bytes()].concat();
    // Behind the signature and the header.
    bytes.splice(33..33, whole);
    bytes
}

/// An IDX file in gzip that says that it holds so many pixels, and is long enough to.
fn gzip_that_promises(pixels: u32) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), Compression::none());
    packed.write_all(&[0, 0, 8, 3]).unwrap();
    for axis in [pixels / 784, 28, 28] {
        packed.write_all(&axis.to_be_bytes()).unwrap();
    }
    packed.write_all(&vec![0; 300_000]).unwrap();
    packed.finish().unwrap()
}

#[test]
fn an_image_that_makes_its_decoder_panic_counts_as_damaged() {
    let desk = desk();
    std::fs::write(desk.path("bad.png"), PANICS).unwrap();
    let sentence = desk.refuses("garbage --image bad.png --starts 1 --steps 1");
    assert!(sentence.contains("bad.png: is damaged in a way that its decoder does not expect"), "{sentence}");
    for class in ["a", "b", "c"] {
        for number in 0..8_u8 {
            let path = desk.path(&format!("images/{class}/{number}.png"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            image::GrayImage::from_pixel(9, 8, image::Luma([30 * number])).save(path).unwrap();
        }
    }
    let train = "train classifier --dataset images --architecture mlp --widths 4 --epochs 1 --batch 8";
    let [_, before] = desk.succeeds(&format!("{train} --out whole"));
    assert!(!before.contains("left out"), "{before}");
    std::fs::write(desk.path("images/a/bad.png"), PANICS).unwrap();
    let [_, err] = desk.succeeds(&format!("{train} --out damaged"));
    assert!(err.contains("1 of 25 images cannot be read and are left out") && !err.contains("panicked"), "{err}");
}

#[test]
fn threads_that_are_not_to_be_had_are_one_sentence() {
    let desk = desk();
    let line = format!("{MAP} --out map.csv");
    for script in ["export RAYON_NUM_THREADS=100000;", "export RAYON_NUM_THREADS=1000; ulimit -v 1500000;"] {
        let sentence = desk.refuses_command(&mut after(&desk, script, &line), script);
        assert!(sentence.contains("RAYON_NUM_THREADS"), "{sentence}");
    }
    assert!(after(&desk, "export RAYON_NUM_THREADS=3;", &line).status().unwrap().success());
    assert!(Path::new(&desk.path("map.csv")).exists());
}
