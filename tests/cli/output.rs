//! What is printed: columns, notes, provenance, and a reader that goes away.

use super::{CLASSES, IMAGE_SHAPE};
use crate::program::Desk;
use serde_json::Value;
use std::io::Read as _;
use std::process::Stdio;

#[test]
fn columns_of_data_list_and_compare_stand_apart() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    let [list, _] = desk.succeeds("data list");
    // The place begins in one column: behind the name and the split.
    let columns: Vec<Option<usize>> = list.lines().map(|line| line.find("not here").or_else(|| line.find("part of the program"))).collect();
    assert!(columns.len() > 4 && columns.iter().all(|column| *column == columns[0] && column.is_some()), "{list}");
    assert!(list.lines().all(|line| !line.contains("trainnot") && !line.contains("testnot")), "{list}");

    let [compared, _] = desk.succeeds("compare --models models --engines cpu,reference --grid 3 --samples 3");
    let rows: Vec<&str> = compared.lines().filter(|line| line.contains("   ")).collect();
    let ends: Vec<usize> = rows.iter().map(|line| line.chars().collect::<String>().trim_end().rfind("   ").unwrap_or(0)).collect();
    assert!(rows.len() > 8 && rows.iter().any(|line| line.starts_with("mutual_information_corrected ")), "{compared}");
    assert!(ends.iter().all(|end| *end == ends[0]), "{compared}");
}

#[test]
fn one_engine_is_compared_with_the_reference() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    let of = |engines: &str| desk.succeeds(&format!("compare --models models --engines {engines} --grid 3 --samples 3"))[0].clone();
    assert_eq!(of("cpu"), of("cpu,reference"));
    for engines in ["reference", "cpu,cpu,cpu", ""] {
        desk.misunderstands(&format!("compare --models models --engines={engines} --grid 3 --samples 3"));
    }
    assert!(desk.refuses("compare --models models --engines steam --grid 3").contains("steam"));
}

#[test]
fn decoded_images_are_what_their_name_says() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    let starts = [("png", &b"\x89PNG"[..]), ("PNG", b"\x89PNG"), ("jpg", b"\xff\xd8\xff"), ("jpeg", b"\xff\xd8\xff")];
    for (extension, start) in starts {
        desk.succeeds(&format!("decode --models models --z=1,2 --out image.{extension}"));
        assert!(desk.read(&format!("image.{extension}")).starts_with(start), "{extension}");
    }
    let sentence = desk.refuses("decode --models models --z=1,2 --out image.tiff");
    assert!(sentence.contains("'.tiff' is no format of decoded images") && sentence.contains(".png or .jpg"), "{sentence}");
}

#[test]
fn evaluate_states_the_largest_nll_of_an_image() {
    let desk = Desk::with_models([1, 28, 28], 10);
    let [table, _] = desk.succeeds("evaluate --models models --dataset decoded-digits --images 20 --samples 2");
    assert!(table.contains("An image adds 87.3 nats to the NLL at most"), "{table}");
}

#[test]
fn models_are_named_by_one_option_and_its_former_name() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    for verb in ["map", "attack", "detect", "laplace", "evaluate", "holes"] {
        let [help, _] = desk.succeeds(&format!("{verb} --help"));
        assert!(help.contains("--models <DIR>") && !help.contains("--model <DIR>"), "{verb}");
    }
    let of = |option: &str| {
        desk.succeeds(&format!("map {option} models --grid 3 --samples 2 --members all --out map.csv"));
        desk.read("map.csv")
    };
    assert!(of("--models") == of("--model"));
}

#[test]
fn picture_of_a_map_says_measure_range_and_colours() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    let drawn = |options: &str| {
        desk.succeeds(&format!("map --models models --grid 4 --samples 3 --out map.png {options}"));
        let [text, _] = desk.succeeds("provenance map.png");
        serde_json::from_str::<Value>(&text).unwrap()["drawn"].clone()
    };
    let data = drawn("--measure softmax_variance --range data --colours magma");
    assert_eq!((&data["measure"], &data["range"], &data["colours"]), (&"softmax_variance".into(), &"data".into(), &"magma".into()));
    let natural = drawn("--range natural");
    let most = natural["range_ends"][1].as_f64().unwrap();
    assert!((most - (CLASSES as f64).ln()).abs() < 1e-12 && data["range_ends"][1].as_f64().unwrap() < most, "{natural} {data}");
    assert_eq!(natural["measure"], "mutual_information");
}

#[test]
fn figures_of_one_network_say_so_where_members_were_asked_for() {
    let desk = Desk::with_models(IMAGE_SHAPE, CLASSES);
    let line = "figures figure-1 --models models --grid 4 --samples 3 --format svg";
    let [_, err] = desk.succeeds(&format!("{line} --members 2"));
    assert!(err.contains("figure-1: only the first network of --members, classifier-0, is shown."), "{err}");
    for members in ["", "--members 1", "--members 1,"] {
        let [_, err] = desk.succeeds(&format!("{line} {members}"));
        assert!(!err.contains("only the first network"), "{members}: {err}");
    }
}

#[test]
fn reader_that_goes_away_is_no_error() {
    let desk = Desk::new();
    // More than a pipe holds.
    let mut child = desk.program("completions bash").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert!(child.wait().unwrap().success() && err.is_empty(), "{err}");
}

#[test]
fn tables_of_scores_and_garbage_say_what_is_what() {
    let desk = Desk::new();
    let rows = ["a,clean,0.1,0.4", "b,clean,0.2,0.3", "a,attacked,0.3,0.2", "b,attacked,0.15,0.5"];
    std::fs::write(desk.path("peer.csv"), format!("image,version,first,second\n{}\n", rows.join("\n"))).unwrap();
    let [text, _] = desk.succeeds("detect --from-scores peer.csv --resamples 20");
    let of = |name: &str| text.lines().filter(|line| line.trim_start().starts_with(name)).collect::<Vec<_>>();
    // All attacked, and the successful ones, of which there are none: two comparisons.
    assert!(of("first").len() == 2 && of("second").len() == 2, "{text}");
    assert!(!of("first")[0].contains("− this") && of("second")[0].contains("first − this: "), "{text}");
    assert!(text.contains("2 all against 2 clean and noisy (too few for the intervals to say much)"), "{text}");

    let [garbage, _] = desk.succeeds("garbage --members 1 --samples 3 --starts 20 --steps 15");
    assert!(garbage.contains("No density means outside the region that holds 99 % of the training encodings"), "{garbage}");
    let least = garbage.lines().filter_map(|line| line.split(" with ").nth(1)?.split(',').next()?.parse::<f64>().ok()).fold(1.0, f64::min);
    assert!((0.9..1.0).contains(&least), "every piece is as confident as was asked for: {garbage}");
}
