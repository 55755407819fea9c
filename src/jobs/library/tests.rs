use super::*;
use crate::files::write_atomically;
use crate::nets::folder::{Precision, save};
use crate::nets::{Ending, Graph, VaeGraphs, VaeLayers, cnn, random_weights};
use serde_json::json;

fn write_classifier(folder: &Path, seed: u32) {
    let layers = cnn([1, 8, 9], 3, [2, 3], 5, [0.25, 0.5]);
    let training = json!({
        "dataset": "MNIST train", "images": 60, "epochs": 12, "optimiser": {"kind": "adadelta", "learning_rate": 1.0}, "anneal": true,
        "seed": seed, "label_noise": 0.2, "result": {"epoch": 3, "test": {"accuracy": 0.9926, "nll": 0.023_566}},
    });
    let classes = ["a", "b", "c"].map(String::from).to_vec();
    let input_shape = [1, 8, 9];
    let graph = Graph::chain(&input_shape, &layers).unwrap();
    let (name, weights) = (format!("classifier-{seed}"), random_weights(&layers, seed));
    let description = Description::Classifier { name, input_shape, classes, ending: Ending::Logits, graph, training };
    save(folder, &description, &weights, Precision::F32).unwrap();
}

fn write_vae(folder: &Path) {
    let layers = VaeLayers::dense([1, 8, 9], &[6], 2);
    let input_shape = [1, 8, 9];
    let graphs = VaeGraphs::of_layers(input_shape, &layers).unwrap();
    let weights = random_weights(layers.all(), 20);
    let description = Description::Vae { name: "vae".into(), input_shape, graphs, training: Value::Null };
    save(folder, &description, &weights, Precision::F32).unwrap();
}

fn put(path: impl AsRef<Path>) {
    write_atomically(path.as_ref(), b"{\"what\": \"set\"}").unwrap();
}

/// A library of every kind of entry, and of what is none.
fn filled() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    write_classifier(&at("one-10"), 4);
    write_vae(&at("one-9"));
    write_classifier(&at("several/classifier-1"), 1);
    write_classifier(&at("several/classifier-2"), 2);
    write_classifier(&at("whole/classifier-0"), 0);
    write_vae(&at("whole/vae"));
    write_vae(&at("young/vae"));
    put(at("begun/plan.json"));
    write_classifier(&at("broken"), 1);
    std::fs::remove_file(at("broken/weights.safetensors")).unwrap();
    put(at("holiday/photo.jpg"));
    put(at("a file"));
    write_classifier(&at(".hidden"), 1);
    home
}

#[test]
fn entries_are_listed_with_what_their_descriptions_say() {
    let home = filled();
    let entries = entries(home.path());
    let told: Vec<(&str, EntryKind, bool)> =
        entries.iter().map(|entry| (entry.name.as_str(), entry.kind, entry.problem.is_some())).collect();
    let expected = [
        ("begun", EntryKind::Set, true),
        ("broken", EntryKind::Classifier, true),
        ("one-9", EntryKind::Vae, false),
        ("one-10", EntryKind::Classifier, false),
        ("several", EntryKind::Ensemble, false),
        ("whole", EntryKind::Set, false),
        ("young", EntryKind::Set, true),
    ];
    assert_eq!(told, expected);
    assert!(entries.iter().flat_map(|entry| &entry.problem).all(|problem| problem.ends_with('.')));
    let value = |entry: usize, what: &str| entries[entry].card.iter().find(|(key, _)| key == what).map(|(_, value)| value.as_str());
    for (what, expected) in [
        ("data set", "MNIST train"),
        ("images", "60"),
        ("epochs", "3 of 12"),
        ("optimiser", "adadelta, learning rate 1.0, falling linearly to 0"),
        ("seed", "4"),
        ("label noise", "20 %"),
        ("classes", "3 (a, b, c)"),
        ("image shape", "1 × 8 × 9"),
        ("test accuracy", "99.26 %"),
        ("test NLL", "0.02357 nats"),
        ("draws", "dropout, rates 0.25, 0.5"),
        ("parameters", "160"),
    ] {
        assert_eq!(value(3, what), Some(expected), "{what}");
    }
    assert_eq!((value(2, "latent dimensions"), value(2, "data set")), (Some("2"), None));
    assert_eq!((value(4, "classifiers"), value(4, "seed"), value(4, "images")), (Some("2"), Some("1, 2"), Some("60")));
    assert_eq!((value(5, "seed"), value(5, "VAE: latent dimensions")), (Some("0"), Some("2")));
    assert!(super::entries(&home.path().join("nowhere")).is_empty());
}

#[test]
fn names_that_some_system_refuses_are_refused() {
    for name in ["mnist", "MNIST 3 epochs", "zwölf", "a.b", "console"] {
        check_name(name).unwrap();
    }
    for name in ["", "  ", ".", "..", ".x", "a/b", "a\\b", "a:b", "a\nb", "a ", " a", "a.", "con", "NUL.txt", "lpt1", "?"] {
        assert!(check_name(name).unwrap_err().to_string().contains("the model's name"), "{name:?}");
    }
    assert!(check_name(&"x".repeat(files::LONGEST_NAME)).is_ok() && check_name(&"x".repeat(files::LONGEST_NAME + 1)).is_err());
    let home = filled();
    assert_eq!(free_name(home.path(), "new"), "new");
    assert_eq!(free_name(home.path(), "whole"), "whole-2");
    put(home.path().join("whole-2"));
    assert_eq!(free_name(home.path(), "whole"), "whole-3");
}

#[test]
fn what_is_deleted_is_a_model_with_all_that_training_left() {
    let home = filled();
    let at = |name: &str| home.path().join(name);
    for file in ["plan.json", "encodings.safetensors", ".epistemap-a1b2c3", "film/epoch-0001.safetensors", "classifier-0/training.jsonl"] {
        put(at("whole").join(file));
    }
    for name in ["whole/classifier-0", "whole", "begun", "broken", "one-9"] {
        delete(home.path(), &at(name)).unwrap();
        assert!(!at(name).exists(), "{name}");
    }
    let left: Vec<String> = entries(home.path()).into_iter().map(|entry| entry.name).collect();
    assert_eq!(left, ["one-10", "several", "young"]);
    assert!(at("holiday/photo.jpg").exists());
}

#[test]
fn what_is_no_model_or_holds_anything_else_is_left_as_it_is() {
    let home = filled();
    let at = |name: &str| home.path().join(name);
    for file in ["one-10/notes.txt", "several/classifier-1/film/photo.jpg", "young/vae/deeper/model.json", "one-9/film"] {
        put(at(file));
    }
    let outside = tempfile::tempdir().unwrap();
    write_classifier(&outside.path().join("model"), 1);
    let mut refused = vec![
        (at("one-10"), "notes.txt"),
        (at("several"), "photo.jpg"),
        (at("young"), "deeper"),
        (at("one-9"), "film"),
        (at("holiday"), "photo.jpg"),
        (at("a file"), "no folder"),
        (at("nowhere"), "nowhere"),
        (home.path().to_owned(), "library"),
        (outside.path().join("model"), "library"),
        (at("whole/../.."), "library"),
    ];
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink(outside.path().join("model"), at("link")).unwrap();
        symlink(outside.path().join("model"), at("whole/classifier-7")).unwrap();
        symlink(outside.path().join("model/model.json"), at("broken/weights.safetensors")).unwrap();
        refused.extend([(at("link"), "link"), (at("whole"), "classifier-7"), (at("broken"), "weights")]);
    }
    let before = entries(home.path());
    for (folder, told) in refused {
        let text = delete(home.path(), &folder).unwrap_err().to_string();
        assert!(text.contains(told), "{}: {text}", folder.display());
    }
    assert_eq!(entries(home.path()), before);
    assert!(outside.path().join("model/weights.safetensors").exists());
}
