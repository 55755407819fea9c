//! What a training into a folder is not mixed up with: another training, other data, another name.

use crate::program::Desk;
use epistemap::data::idx;
use epistemap::files::{FolderLock, LOCK};

const SMALL: &str = "--draw none --architecture mlp --widths 4 --batch 8 --seed 3";

#[test]
fn a_folder_in_use_is_refused_and_a_lock_of_a_dead_process_is_taken_over() {
    let desk = Desk::new();
    let line = format!("train classifier --dataset decoded-digits --images 16 --epochs 1 {SMALL}");
    let lock = FolderLock::take(&desk.path("model")).unwrap().unwrap();
    let sentence = desk.refuses(&format!("{line} --out model"));
    assert!(sentence.contains(&format!("model: is being trained into by process {}", std::process::id())), "{sentence}");
    desk.succeeds(&format!("{line} --out other"));
    drop(lock);
    std::fs::create_dir(desk.path("model")).unwrap();
    std::fs::write(desk.path("model").join(LOCK), "process 1\n").unwrap();
    desk.succeeds(&format!("{line} --out model"));
    assert!(!desk.path("model").join(LOCK).exists());
    // One model of an ensemble is in use.
    let _lock = FolderLock::take(&desk.path("several/classifier-4")).unwrap().unwrap();
    let sentence = String::from_utf8(desk.run(&format!("{} --members 2 --out several", line.replace("classifier", "ensemble"))).stderr);
    assert!(sentence.unwrap().contains("several/classifier-4: is being trained into"));
    assert!(desk.path("several/classifier-3/model.json").exists() && !desk.path("several").join(LOCK).exists());
}

/// Images of 4 × 4 pixels of two classes as IDX files.
fn write_data(desk: &Desk, folder: &str, change: impl Fn(&str, &mut Vec<u8>)) {
    std::fs::create_dir_all(desk.path(folder)).unwrap();
    for (split, count) in [("train", 24), ("t10k", 10)] {
        let mut images: Vec<u8> = (0..count * 16).map(|at| (at * 37 % 251) as u8).collect();
        let mut labels: Vec<u8> = (0..count).map(|image| (image % 2) as u8).collect();
        change(&format!("{split} images"), &mut images);
        change(&format!("{split} labels"), &mut labels);
        let write = |name: &str, bytes: Vec<u8>| std::fs::write(desk.path(&format!("{folder}/{split}-{name}-ubyte")), bytes).unwrap();
        write("images-idx3", idx::encode(&[count, 4, 4], &images));
        write("labels-idx1", idx::encode(&[count], &labels));
    }
}

#[test]
fn resume_goes_on_only_with_the_same_data_and_under_any_name() {
    let desk = Desk::new();
    write_data(&desk, "data", |_, _| {});
    let line = format!("train classifier --dataset data {SMALL}");
    desk.succeeds(&format!("{line} --epochs 1 --out model"));
    desk.succeeds(&format!("{line} --epochs 2 --out whole"));
    for (changed, says) in [
        ("train images", "the training images have changed"),
        ("train labels", "the training labels have changed"),
        ("t10k images", "the test images have changed"),
        ("t10k labels", "the test labels have changed"),
    ] {
        // The counts, the classes and the name stay.
        write_data(&desk, "data", |what, bytes| {
            if what == changed {
                bytes.swap(0, 1);
            }
        });
        let sentence = desk.refuses("train resume model --epochs 2");
        assert!(sentence.contains(says) && sentence.contains("--accept-changed-data"), "{changed}: {sentence}");
        assert!(desk.refuses(&format!("{line} --resume --epochs 2 --out model")).contains(says));
    }
    std::fs::create_dir(desk.path("elsewhere")).unwrap();
    for name in ["model.json", "weights.safetensors", "checkpoint.safetensors", "training.jsonl", "plan.json"] {
        std::fs::copy(desk.path("model").join(name), desk.path("elsewhere").join(name)).unwrap();
    }
    desk.succeeds("train resume model --epochs 2 --accept-changed-data");
    // The changed data are those of the training from then on.
    desk.succeeds("train resume model --epochs 3");

    std::fs::rename(desk.path("data"), desk.path("changed")).unwrap();
    write_data(&desk, "renamed", |_, _| {});
    assert!(desk.refuses("train resume elsewhere --epochs 2").contains("data"));
    desk.succeeds("train resume elsewhere --epochs 2 --dataset renamed");
    let [moved, whole] = ["elsewhere", "whole"].map(|folder| desk.read(&format!("{folder}/weights.safetensors")));
    assert!(moved == whole, "the negative control: the same data under another name");
    let _ = desk.succeeds("train resume elsewhere");
}

/// Where models stand, nothing else is written, and what is written is whole.
#[test]
fn trained_shards_are_merged_when_they_are_whole_and_into_a_folder_without_models() {
    let desk = Desk::new();
    let line = format!("train ensemble --dataset decoded-digits --images 16 --epochs 2 {SMALL} --members 2 --out");
    desk.succeeds(&format!("{line} first --shard 1/2"));
    desk.succeeds(&format!("{line} second --shard 2/2"));
    let merge = || desk.refuses("merge first second --out joined");
    let model = |name: &str| desk.path("second/classifier-4").join(name);

    std::fs::create_dir_all(desk.path("joined/classifier-9")).unwrap();
    std::fs::copy(model("model.json"), desk.path("joined/classifier-9/model.json")).unwrap();
    assert!(merge().contains("joined/classifier-9: holds a model already"));
    std::fs::remove_dir_all(desk.path("joined")).unwrap();

    for name in ["weights.safetensors", "model.json", "training.jsonl"] {
        let bytes = std::fs::read(model(name)).unwrap();
        std::fs::remove_file(model(name)).unwrap();
        let sentence = merge();
        assert!(sentence.contains("second/classifier-4: is not trained to its last epoch"), "{name}: {sentence}");
        std::fs::write(model(name), bytes).unwrap();
    }
    let lock = FolderLock::take(&desk.path("second")).unwrap().unwrap();
    assert!(merge().contains("second: is being trained into by process"));
    drop(lock);
    #[cfg(unix)]
    {
        std::fs::create_dir(desk.path("joined")).unwrap();
        std::os::unix::fs::symlink(desk.path("first"), desk.path("joined/classifier-4")).unwrap();
        assert!(merge().contains("joined/classifier-4: is a link"));
        std::fs::remove_dir_all(desk.path("joined")).unwrap();
    }
    desk.succeeds("merge first second --out joined");
}

#[test]
fn packing_leaves_models_that_stand_there_alone() {
    let desk = Desk::new();
    write_data(&desk, "data", |_, _| {});
    desk.succeeds(&format!("train set --dataset data {SMALL} --members 1 --vae-hidden 4 --epochs 1 --out models"));
    for into in ["models", "models/vae"] {
        let sentence = desk.refuses(&format!("pack --from models --dataset data --out {into}"));
        assert!(sentence.contains("holds a model already"), "{sentence}");
    }
    for name in ["CARD.md", "encodings.safetensors", "Film"] {
        let described = std::fs::read_to_string(desk.path("models/classifier-3/model.json")).unwrap();
        std::fs::write(desk.path("models/classifier-3/model.json"), described.replace("classifier-3", name)).unwrap();
        let sentence = desk.refuses("pack --from models --dataset data --out packed");
        assert!(sentence.contains("is that of a file of the program"), "{sentence}");
        std::fs::write(desk.path("models/classifier-3/model.json"), described).unwrap();
    }
    desk.succeeds("pack --from models --dataset data --out packed");
}
