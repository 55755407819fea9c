//! The inputs of `tests/cases`, each of which once failed or must be refused, driven through the program.

use crate::program::Desk;
use std::collections::BTreeSet;
use std::path::Path;

/// An entry of `tests/cases`, a command line that reads it, the exit code, and words of what is said; no words: nothing is said.
type Case = (&'static str, &'static str, i32, &'static str);

const CASES: &[Case] = &[
    ("batch-norm-i64", "map --add-member batch-norm-i64", 0, ""),
    ("big-logit", "evaluate --models big-logit --dataset big-logit/data --samples 1", 0, "An image adds 87.3 nats to the NLL at most"),
    ("col.png", "garbage --image col.png", 0, "col.png: resized from 64 × 64 to 28 × 28, turned grey"),
    ("data8", "pack --from set --dataset data8 --out written", 0, "ensemble"),
    ("f.npy", "attack --images f.npy", 0, "mutual_information"),
    ("f16.npy", "attack --images f16.npy", 0, "mutual_information"),
    ("half.jpg", "garbage --image half.jpg", 1, "half.jpg: is a JPEG that is cut short or damaged"),
    ("hidden-class", "train classifier --dataset hidden-class", 0, "0 'a' (3 + 1), 1 'b' (3 + 1)"),
    ("medmnist-like.npz", "train classifier --dataset medmnist-like.npz", 1, "two classes at least"),
    ("mixed-formats", "train classifier --dataset mixed-formats", 0, "8 images are few for 2 classes"),
    ("model-nan", "map --models model-nan", 1, "the probabilities of 'c' (member 0) at point 0"),
    ("model.onnx", "map --models model.onnx", 1, "model.onnx: is an ONNX model"),
    ("n784.npy", "attack --images n784.npy", 0, "mutual_information"),
    ("nhwc.npy", "attack --images nhwc.npy", 1, "save x.transpose(0, 3, 1, 2)"),
    ("no-training-field", "map --add-member no-training-field", 0, ""),
    ("one-logit", "map --add-member one-logit", 1, "`output` to `binary_logit`"),
    ("plte4.png", "garbage --image plte4.png", 1, "plte4.png: is damaged in a way that its decoder does not expect"),
    ("png-48KB-19999.png", "garbage --image png-48KB-19999.png --memory 1GB", 1, "an image of 19999 × 19999 pixels would take"),
    ("prefix-orig-mod", "map --add-member prefix-orig-mod", 0, "every name begins with '_orig_mod.', which is left out"),
    ("session-members.json", "window --session session-members.json", 1, "--members: 4294967295 classifiers are out of range"),
    ("set", "evaluate --models set --dataset data8 --samples 1", 0, "classifier-1"),
    ("test-extra", "train classifier --dataset test-extra", 0, "3 images of classes without training images ('c')"),
    ("tiny1.npy", "attack --images tiny1.npy", 0, "mutual_information"),
    ("train-val", "train classifier --dataset train-val", 0, "the folder 'val' is for testing"),
    ("traversal-pack-evil", "pack --from traversal-pack-evil --dataset data8 --out written", 1, "the name '../victim'"),
    ("traversal-pack-evil", "laplace --model traversal-pack-evil --dataset data8 --out written", 1, "the name '../escaped'"),
    ("u16.npy", "attack --images u16.npy", 1, "u16.npy: image 0 holds the pixel 21588"),
    ("x.npz", "attack --images x.npz --labels x.npz", 0, "mutual_information"),
    ("yN1.npy", "attack --images f.npy --labels yN1.npy", 0, "mutual_information"),
];

/// The options that every command line of a verb has.
fn options(verb: &str) -> &'static str {
    match verb {
        "attack" => "--method fgm --eps 0.1 --samples 1 --no-checks --engine cpu --out written.npy",
        "garbage" => "--members 1 --samples 2 --starts 2 --steps 2 --confidence 0.2",
        "map" => "--grid 2 --samples 1 --members all --engine cpu --out written.npz",
        "train" => "--architecture mlp --widths 4 --epochs 1 --batch 8 --out written",
        _ => "",
    }
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases"))
}

fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        std::fs::copy(from, to).unwrap();
        return;
    }
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        copy(&from.join(&name), &to.join(&name));
    }
}

#[test]
fn every_case_ends_with_its_code_and_its_sentence() {
    let desk = Desk::new();
    copy(folder(), &desk.path(""));
    for &(entry, command, code, words) in CASES {
        assert!(command.contains(entry), "{command} does not read {entry}");
        let line = format!("{command} {}", options(command.split(' ').next().unwrap()));
        let output = desk.run(&line);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        // Notes may stand before the sentence that ends it.
        let is_sentence = said.lines().last().is_some_and(|last| last.starts_with("epistemap: ") && last.ends_with('.'));
        assert!(output.status.code() == Some(code) && is_sentence == (code == 1), "{line}: {said}");
        assert!(said.contains(words) && words.is_empty() == said.is_empty(), "{line}: {said}");
        for written in ["written", "written.npy", "written.npz"].map(|name| desk.path(name)) {
            let is_there = written.exists();
            assert!(code == 0 || !is_there, "{line}");
            if written.is_dir() {
                std::fs::remove_dir_all(written).unwrap();
            } else if is_there {
                std::fs::remove_file(written).unwrap();
            }
        }
    }
}

/// A new case without a line fails here, and so does a line without its case.
#[test]
fn every_case_has_a_line() {
    let there: BTreeSet<String> =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(there, CASES.iter().map(|(entry, ..)| (*entry).to_owned()).collect::<BTreeSet<String>>());
}

/// The negative control of the case of a session: with fewer classifiers it lacks only a display.
#[cfg(target_os = "linux")]
#[test]
fn a_good_session_is_refused_for_want_of_a_display_only() {
    let desk = Desk::new();
    let session = std::fs::read_to_string(folder().join("session-members.json")).unwrap();
    std::fs::write(desk.path("session.json"), session.replace("4294967295", "10")).unwrap();
    let mut window = desk.program("window --session session.json");
    for variable in ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"] {
        window.env_remove(variable);
    }
    let sentence = desk.refuses_command(&mut window, "a window without a display");
    assert!(sentence.contains("there is no display"), "{sentence}");
}
