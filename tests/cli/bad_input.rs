//! Bad input: one clear sentence, a non-zero exit, no panic, nothing half-written.

use super::{CLASSES, IMAGE_SHAPE};
use crate::program::{Desk, PROGRAM, write_classifier, write_models, write_vae};
use epistemap::nets::folder::{decode_weights, encode_weights};
use std::path::Path;

const SMALL: &str = "map --models models --out map.png";

#[test]
fn settings_out_of_range_are_refused() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    for setting in [
        "--grid 0",
        "--grid 100000",
        "--grid 8192 --memory 1GB",
        "--extent=nan,1",
        "--extent=3,3",
        "--extent=5,-5",
        "--extent=-1e30,1e30",
        "--extent=-inf,inf",
        "--samples 0",
        "--members 0",
        "--members 99",
        "--members 99999999999",
        "--members 1,1",
        "--members 0,2",
        "--dpi 0",
        "--dpi nan",
        "--dpi inf",
    ] {
        let sentence = desk.refuses(&format!("{SMALL} {setting}"));
        let option = setting.split([' ', '=']).next().unwrap();
        assert!(sentence.starts_with(&format!("epistemap: {option}: ")) && sentence.len() < 250, "{sentence}");
    }
    for setting in
        ["--extent nan", "--extent 1,2,3", "--members x", "--grid x", "--engine nonsense", "--measure nonsense", "--samples 5000000000"]
    {
        desk.misunderstands(&format!("{SMALL} {setting}"));
    }
    for line in ["figures figure-99", "figures --format gif", "nonsense", "completions nonsense", "bench train --batch 0"] {
        desk.misunderstands(line);
    }
    assert!(desk.refuses("map --out map.gif").contains(".gif"));
    assert!(desk.refuses("map --out map").contains(".npz"));
    assert!(desk.refuses("figures --models models --dpi nan").contains("--dpi"));
    assert!(desk.refuses("data fetch nonsense").contains("mnist"));
}

#[test]
fn places_that_cannot_be_written_to_stay_as_they_are() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    std::fs::write(desk.path("file"), "content").unwrap();
    std::fs::create_dir(desk.path("folder.npz")).unwrap();
    let small = "--models models --grid 7 --samples 1";
    for line in [
        format!("map {small} --out file/map.npz"),
        format!("map {small} --out file/deeper/map.npz"),
        format!("map {small} --out folder.npz"),
        format!("figures {small} --out file"),
        format!("figures {small} --out file/deeper"),
        "provenance nowhere.npz".to_owned(),
        "provenance file".to_owned(),
        "provenance folder.npz".to_owned(),
    ] {
        desk.refuses(&line);
    }
}

/// A limit on the size of files acts as a full disk does, where the signal for it is ignored.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_former_file() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    let map = |size: &str, grid: usize| {
        let mut shell = desk.command("sh");
        let script = format!("trap '' XFSZ; ulimit -f {size}; exec \"$0\" map --models models --samples 1 --grid {grid} --out map.csv");
        shell.args(["-c", &script, PROGRAM]);
        shell
    };
    assert!(map("unlimited", 3).output().unwrap().status.success());
    let sentence = desk.refuses_command(&mut map("1", 30), "a full disk");
    assert!(sentence.starts_with("epistemap: map.csv: ") && !sentence.contains(".epistemap-"), "{sentence}");
    assert!(map("unlimited", 30).output().unwrap().status.success());
}

#[cfg(target_os = "linux")]
#[test]
fn streams_that_are_full_are_no_reason_to_panic() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    assert!(desk.refuses_command(desk.program("devices").stdout(full()), "devices").contains("standard output"));
    assert_eq!(desk.program("map --grid 0 --out map.npz").stderr(full()).status().unwrap().code(), Some(1));
    let figures = "figures figure-4 --models models --grid 3 --samples 1 --format svg";
    assert_eq!(desk.program(figures).stderr(full()).status().unwrap().code(), Some(0));
}

fn change(path: &Path, how: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    how(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn broken_models_are_named() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 13] = [
        ("models", |models| std::fs::remove_dir_all(models).unwrap()),
        ("holds 0 VAEs", |models| {
            std::fs::remove_dir_all(models).unwrap();
            std::fs::create_dir(models).unwrap();
        }),
        ("holds 2 VAEs", |models| write_vae(&models.join("another"), IMAGE_SHAPE, 2)),
        ("holds no classifier", |models| (0..2).for_each(|i| std::fs::remove_dir_all(models.join(format!("classifier-{i}"))).unwrap())),
        ("classifier-1/weights.safetensors", |models| {
            change(&models.join("classifier-1/weights.safetensors"), |bytes| bytes.truncate(bytes.len() - 5));
        }),
        ("vae/weights.safetensors", |models| change(&models.join("vae/weights.safetensors"), |bytes| bytes[8] ^= 1)),
        ("classifier-0/weights.safetensors", |models| std::fs::remove_file(models.join("classifier-0/weights.safetensors")).unwrap()),
        ("fc1.bias", |models| {
            let path = models.join("classifier-0/weights.safetensors");
            let mut weights = decode_weights(&path, &std::fs::read(&path).unwrap()).unwrap();
            weights.get_mut("fc1.bias").unwrap().values[3] = f64::NAN;
            std::fs::write(&path, encode_weights(&path, &weights, epistemap::nets::folder::Precision::F32).unwrap()).unwrap();
        }),
        ("fc1.weight", |models| {
            change(&models.join("classifier-0/model.json"), |bytes| {
                let mut text: serde_json::Value = serde_json::from_slice(bytes).unwrap();
                (text["nodes"][7]["out_features"], text["nodes"][10]["in_features"]) = (6.into(), 6.into());
                *bytes = serde_json::to_vec(&text).unwrap();
            });
        }),
        ("[1, 9, 8]", |models| write_classifier(&models.join("classifier-1"), [1, 9, 8], CLASSES, 1)),
        ("are the encodings of another VAE", |models| write_vae(&models.join("vae"), IMAGE_SHAPE, 3)),
        ("3 latent dimensions", |models| {
            write_vae(&models.join("vae"), IMAGE_SHAPE, 3);
            std::fs::remove_file(models.join("encodings.safetensors")).unwrap();
        }),
        ("encodings.safetensors", |models| change(&models.join("encodings.safetensors"), |bytes| bytes.truncate(40))),
    ];
    let desk = Desk::new();
    for (named, damage) in damages {
        write_models(&desk.path("models"), IMAGE_SHAPE, CLASSES);
        desk.succeeds("map --models models --grid 2 --samples 1 --out good.npz");
        damage(&desk.path("models"));
        for line in ["map --models models --grid 2 --samples 1 --out map.npz", "figures --models models --grid 2 --samples 1"] {
            let sentence = desk.refuses(line);
            assert!(sentence.contains(named), "'{named}' in {sentence}");
        }
        let _ = std::fs::remove_dir_all(desk.path("models"));
    }
    write_models(&desk.path("models"), IMAGE_SHAPE, CLASSES);
    std::fs::remove_file(desk.path("models/encodings.safetensors")).unwrap();
    assert!(desk.refuses("figures figure-1 --models models --grid 2 --samples 1").contains("encodings.safetensors"));
    desk.succeeds("figures figure-4 --models models --grid 2 --samples 1 --format svg");
}
