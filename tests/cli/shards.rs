//! Work in shards, each a process of its own, and the parts joined: the bytes of one run.

use super::{CLASSES, IMAGE_SHAPE};
use crate::program::{Desk, write_classifier, write_vae};
use serde_json::Value;
use std::io::{Cursor, Read as _, Write as _};
#[cfg(unix)]
use std::process::Stdio;
#[cfg(unix)]
use std::time::Duration;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// Runs a line in one piece and in shards, merges the parts in another order, and compares the bytes of what is written.
fn joined(desk: &Desk, line: &str, shards: u32, ending: &str) {
    desk.succeeds(&format!("{line} --engine cpu --out one.{ending}"));
    let mut parts: Vec<String> = (1..=shards).map(|number| format!("{number}.part")).collect();
    for (number, part) in (1..).zip(&parts) {
        desk.succeeds(&format!("{line} --engine cpu --shard {number}/{shards} --out {part}"));
    }
    parts.rotate_left(1);
    desk.succeeds(&format!("merge {} --out joined.{ending}", parts.join(" ")));
    assert!(desk.read(&format!("joined.{ending}")) == desk.read(&format!("one.{ending}")), "{line}");
}

const MAP: &str = "map --models models --grid 21 --samples 3 --seed 5";

/// A desk with small models of digits.
fn desk_of_digits() -> Desk {
    let desk = Desk::new();
    write_vae(&desk.path("models/vae"), [1, 28, 28], 2);
    for seed in [0, 1] {
        write_classifier(&desk.path(&format!("models/classifier-{seed}")), [1, 28, 28], 10, seed);
    }
    desk
}

#[test]
fn maps_and_evaluations_of_shards_are_those_of_one_run() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    for (options, ending) in [("", "npz"), (" --masks per-point", "csv"), ("", "svg")] {
        joined(&desk, &format!("{MAP}{options}"), 3, ending);
    }
    let digits = desk_of_digits();
    joined(&digits, "evaluate --models models --dataset mnist-1000 --images 450 --samples 2 --json", 4, "json");
    joined(
        &digits,
        "detect --model models --dataset mnist-1000 --images 250 --attacks fgm,bim --iterations 2 --samples 2 --on mc --eps 0.1 \
        --resamples 20 --seeds 2 --no-checks --csv",
        2,
        "csv",
    );
}

/// The checks of the attacks attack anew, which no part has answers to.
#[test]
fn detections_with_checks_of_shards_are_those_of_one_run() {
    joined(
        &desk_of_digits(),
        "detect --model models --dataset mnist-1000 --images 120 --attacks bim --iterations 2 --samples 2 --on mc --eps 0.1 --resamples 20 \
        --seeds 1 --csv",
        2,
        "csv",
    );
}

/// Adds words to the command line in a part, as a former version wrote them, or a stranger.
fn add_words(desk: &Desk, part: &str, words: [&str; 2]) {
    let mut archive = ZipArchive::new(Cursor::new(desk.read(part))).unwrap();
    let mut changed = ZipWriter::new(Cursor::new(Vec::new()));
    for number in 0..archive.len() {
        let mut file = archive.by_index(number).unwrap();
        let (name, mut bytes) = (file.name().unwrap().into_owned(), Vec::new());
        file.read_to_end(&mut bytes).unwrap();
        if name == "part.json" {
            let mut header: Value = serde_json::from_slice(&bytes).unwrap();
            header["arguments"].as_array_mut().unwrap().extend(words.map(Value::from));
            bytes = header.to_string().into_bytes();
        }
        changed.start_file(&name, SimpleFileOptions::default()).unwrap();
        changed.write_all(&bytes).unwrap();
    }
    std::fs::write(desk.path(part), changed.finish().unwrap().into_inner()).unwrap();
}

#[test]
fn scores_of_a_merge_are_those_of_one_run_and_no_part_says_where_they_go() {
    let desk = desk_of_digits();
    let line = "detect --model models --dataset mnist-1000 --images 120 --attacks fgm --samples 2 --on mc --eps 0.1 --resamples 20 \
        --seeds 1 --no-checks --csv --engine cpu";
    desk.succeeds(&format!("{line} --scores one.csv --out table.csv"));
    for number in [1, 2] {
        desk.succeeds(&format!("{line} --shard {number}/2 --out {number}.part"));
    }
    desk.misunderstands(&format!("{line} --shard 1/2 --scores lost.csv --out 3.part"));
    desk.succeeds("merge 1.part 2.part --scores joined.csv --out joined-table.csv");
    assert!(desk.read("joined.csv") == desk.read("one.csv") && desk.read("joined-table.csv") == desk.read("table.csv"));
    std::fs::write(desk.path("victim.csv"), "mine").unwrap();
    for words in [["--scores", "victim.csv"], ["--scores=victim.csv", "--out=victim.csv"]] {
        for part in ["1.part", "2.part"] {
            add_words(&desk, part, words);
        }
        let before = desk.files();
        let [table, _] = desk.succeeds("merge 1.part 2.part");
        assert!(desk.files() == before && table.trim_end().as_bytes() == desk.read("table.csv").trim_ascii_end());
    }
    desk.succeeds("merge 1.part 2.part --scores victim.csv --out other.csv");
    assert!(desk.read("victim.csv") == desk.read("one.csv"), "what is typed is written");
}

#[cfg(unix)]
#[test]
fn a_shard_that_was_killed_is_repeated_and_merges_to_the_bytes_of_one_run() {
    use std::os::unix::process::ExitStatusExt as _;
    const SIGKILL: i32 = 9;
    let desk = desk_of_digits();
    let (kept, part) = (desk.path("kept"), desk.path("1.part"));
    let has_written = || std::fs::read_dir(&kept).is_ok_and(|mut files| files.next().is_some());
    let mut iterations = 10;
    let line = loop {
        let line = format!(
            "detect --model models --dataset mnist-1000 --images 250 --attacks fgm,bim --iterations {iterations} --samples 2 --on mc \
            --eps 0.1 --resamples 20 --seeds 2 --no-checks --csv --engine cpu"
        );
        let mut command = desk.program(&format!("{line} --shard 1/2 --cache kept --out 1.part"));
        let mut shard = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // The first attacked images are kept long before the shard is done.
        while shard.try_wait().unwrap().is_none() && !has_written() {
            std::thread::sleep(Duration::from_millis(1));
        }
        shard.kill().unwrap();
        if shard.wait().unwrap().signal() == Some(SIGKILL) && !part.exists() {
            break line;
        }
        // It was faster: with more work it is not.
        iterations *= 2;
        assert!(iterations < 1000, "no shard was killed at work");
        let _ = std::fs::remove_dir_all(&kept);
        let _ = std::fs::remove_file(&part);
    };
    // As a kill leaves it that comes in the middle of a file.
    std::fs::write(kept.join(".epistemap-killed"), "half").unwrap();
    desk.succeeds(&format!("{line} --shard 1/2 --cache kept --out 1.part"));
    desk.succeeds(&format!("{line} --shard 2/2 --out 2.part"));
    desk.succeeds("merge 2.part 1.part --out joined.csv");
    desk.succeeds(&format!("{line} --out one.csv"));
    assert!(desk.read("joined.csv") == desk.read("one.csv"));
}

#[test]
fn holes_with_their_curve_come_in_shards() {
    let desk = Desk::new();
    joined(
        &desk,
        "holes --grid 20 --samples 4 --members 2 --seeds 2 --subsets 2 --curve --reference decoded --reference-images 150 --json",
        3,
        "json",
    );
}

#[test]
fn sixty_four_shards_of_which_one_is_repeated_give_the_bytes_of_one_run() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    let line = "map --models models --grid 81 --samples 2";
    let shard = |number: u32| desk.succeeds(&format!("{line} --engine cpu --shard {number}/64 --out {number}.part"));
    (1..=64).for_each(|number| drop(shard(number)));
    // A shard that was killed left nothing, or half a file of another name.
    let first = desk.read("17.part");
    std::fs::remove_file(desk.path("17.part")).unwrap();
    let parts: Vec<String> = (1..=64).map(|number| format!("{number}.part")).collect();
    let there: Vec<&str> = parts.iter().map(String::as_str).filter(|part| *part != "17.part").collect();
    let missing = desk.refuses(&format!("merge {} --out joined.npz", there.join(" ")));
    assert!(missing.contains("of 64 shards there are 63; missing: 17"), "{missing}");
    shard(17);
    assert!(desk.read("17.part") == first);
    desk.succeeds(&format!("merge {} --out joined.npz", parts.join(" ")));
    desk.succeeds(&format!("{line} --engine cpu --out one.npz"));
    assert!(desk.read("joined.npz") == desk.read("one.npz"));
}

#[test]
fn parts_that_do_not_belong_together_are_named() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    let shard = |options: &str, number: u32, name: &str| {
        desk.succeeds(&format!("{MAP}{options} --engine cpu --shard {number}/2 --out {name}"));
    };
    shard("", 1, "1.part");
    shard("", 2, "2.part");
    shard(" --masks per-point", 2, "other.part");
    let says = |line: &str, text: &str| {
        let said = desk.refuses(line);
        assert!(said.contains(text), "{line}: {said}");
    };
    says("merge 1.part 1.part --out map.npz", "is shard 1/2 once more");
    says("merge 1.part other.part --out map.npz", "other.part: is of another run than 1.part");
    says("merge 1.part 2.part --scores scores.csv --out map.npz", "--scores: only parts of `detect` have scores");
    let mut bytes = desk.read("2.part");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    std::fs::write(desk.path("broken.part"), bytes).unwrap();
    says("merge 1.part broken.part --out map.npz", "broken.part: is no whole part");
    std::fs::write(desk.path("text.part"), "no part").unwrap();
    says("merge text.part --out map.npz", "text.part: is no whole part");
    // Other models under the same names.
    write_classifier(&desk.path("models/classifier-0"), IMAGE_SHAPE, CLASSES, 99);
    says("merge 1.part 2.part --out map.npz", "classifier-0 differ");
    says(&format!("{MAP} --engine cpu --shard 1/2 --out nowhere/./"), "nowhere");
    says("holes --garbage 1 --shard 1/2 --out x.part", "--garbage");
    desk.misunderstands(&format!("{MAP} --shard 3/2 --out x.part"));
    assert!(!desk.path("map.npz").exists());
}

#[test]
fn an_ensemble_that_was_trained_in_shards_is_that_of_one_run() {
    let desk = Desk::new();
    let line = "train ensemble --dataset decoded-digits --images 60 --epochs 1 --batch 20 --channels 2,3 --hidden 4 --members 3 --out";
    desk.succeeds(&format!("{line} one"));
    desk.succeeds(&format!("{line} first --shard 1/2"));
    desk.succeeds(&format!("{line} second --shard 2/2"));
    assert!(desk.path("first/classifier-2").is_dir() && !desk.path("first/classifier-1").exists());
    let missing = desk.refuses("merge first --out joined");
    assert!(missing.contains("missing: 2"), "{missing}");
    // What is resumed stays a shard.
    desk.succeeds("train resume second");
    assert!(!desk.path("second/classifier-0").exists());
    assert!(desk.refuses("merge second first --scores scores.csv --out joined").contains("--scores"));
    desk.succeeds("merge second first --out joined");
    for file in ["plan.json", "classifier-0/weights.safetensors", "classifier-1/weights.safetensors", "classifier-2/weights.safetensors"] {
        assert!(desk.read(&format!("joined/{file}")) == desk.read(&format!("one/{file}")), "{file}");
    }
    assert!(desk.refuses("merge second first --out joined").contains("holds models already"));
    assert!(desk.refuses(&format!("{line} third --shard 1/4")).contains("--shard"));
}
