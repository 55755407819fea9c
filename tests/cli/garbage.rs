//! `epistemap garbage`: what it prints and writes, and what it refuses.

use crate::program::Desk;
use epistemap::data::npy;
use serde_json::Value;

const SHORT: &str = "garbage --members 1 --samples 3 --starts 20 --steps 15 --confidence 0.8";

#[test]
fn garbage_is_listed_and_its_images_are_written() {
    let desk = Desk::new();
    let [json, err] = desk.succeeds(&format!("{SHORT} --json --out garbage.npy"));
    assert_eq!(err, "");
    let json: Value = serde_json::from_str(&json).unwrap();
    let garbage = json["garbage"].as_array().unwrap();
    let images = npy::read_images(&desk.path("garbage.npy")).unwrap();
    assert_eq!((images.count, images.shape), (garbage.len(), [1, 28, 28]));
    assert!(garbage.iter().all(|one| one["measures"]["mutual_information"].is_number() && one["distance_to_data"].as_f64() > Some(0.0)));
    let [table, _] = desk.succeeds(SHORT);
    assert!(table.starts_with(&format!("{} pieces of garbage", garbage.len())), "{table}");
}

#[test]
fn the_nearest_garbage_to_an_image_is_that_to_its_encoding() {
    let desk = Desk::new();
    desk.succeeds("decode --z=2,0 --out image.png");
    let [of_image, _] = desk.succeeds(&format!("{SHORT} --image image.png"));
    assert!(of_image.starts_with("Garbage nearest to ") && of_image.contains(" away"), "{of_image}");
    let z = of_image.split(['t', ':']).find_map(|part| part.trim().strip_prefix("o ")).unwrap();
    let [of_point, _] = desk.succeeds(&format!("{SHORT} --near={z}"));
    let distance = |text: &str| text.rsplit(", ").next().unwrap().split(' ').next().unwrap().parse::<f64>().unwrap();
    assert!((distance(&of_image) - distance(&of_point)).abs() <= 0.01, "{of_image} {of_point}");
    assert!(!of_image.contains("that point itself"), "{of_image}");
}

#[test]
fn image_outside_the_region_of_the_data_is_said_to_be_found_itself() {
    let desk = Desk::new();
    desk.succeeds("decode --z=-3,3 --out image.png");
    let [of_image, _] = desk.succeeds(&format!("{SHORT} --image image.png"));
    assert!(of_image.contains(": that point itself, which lies outside the region of the data"), "{of_image}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let desk = Desk::new();
    for setting in
        ["--samples 0", "--starts 0", "--confidence 0", "--confidence nan", "--covered 2", "--extent=3,3", "--near=nan,0", "--members 11"]
    {
        let name = setting.split([' ', '=']).next().unwrap();
        let line: Vec<&str> = SHORT.split(" --").filter(|part| part.split(' ').next() != name.strip_prefix("--")).collect();
        let sentence = desk.refuses(&format!("{} {setting}", line.join(" --")));
        assert!(sentence.starts_with(&format!("epistemap: {name}: ")), "{sentence}");
    }
    assert!(desk.refuses(&format!("{SHORT} --image nowhere.png")).contains("nowhere.png"));
    desk.misunderstands("garbage --near 1 --image x.png");
}
